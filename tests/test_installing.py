"""The command in an error text installs what is missing, wherever hush came from."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import sysconfig
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest

from hush import installing
from hush.errors import missing_package

NAMED = "hush-denoise[medical]"


@pytest.fixture
def activated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell whose first pip is this environment's."""
    found = str(Path(sysconfig.get_path("scripts")) / "pip")
    monkeypatch.setattr(shutil, "which", {"pip": found}.get)


@pytest.fixture
def origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The metadata of a hush that was not started from a clone: a ``dist-info`` to fill in."""
    info = tmp_path / "hush_denoise-0.1.0.dist-info"
    info.mkdir()
    needs = ["numpy>=1.26", "nibabel>=5.2; extra == 'medical'", "wfdb>=4; extra == 'signals'"]
    lines = ["Metadata-Version: 2.4", "Name: hush-denoise", "Version: 0.1.0"]
    (info / "METADATA").write_text("\n".join(lines + [f"Requires-Dist: {n}" for n in needs]) + "\n")
    monkeypatch.setattr(installing, "CLONE", tmp_path)
    monkeypatch.setattr(installing, "distribution", lambda _: Distribution.at(info))
    return info


def arguments() -> list[str]:
    """What the shell would hand to ``pip install``."""
    return shlex.split(installing.command("nibabel", "medical"))[2:]


def url(info: Path, **source: object) -> None:
    (info / "direct_url.json").write_text(json.dumps(source))


def test_from_a_clone(activated: None) -> None:
    root = Path(__file__).parents[1]
    said = str(missing_package("nibabel", "medical", what="a NIfTI file"))
    assert said == f"a NIfTI file needs nibabel: pip install -e '{root}[medical]'"
    assert str(missing_package("mne")) == "this needs mne: pip install mne"


def test_from_an_index(activated: None, origin: Path) -> None:
    assert arguments() == [NAMED]


def test_from_a_folder_or_wheel_that_is_there(activated: None, origin: Path) -> None:
    for name in ("a clone's folder", "hush_denoise-0.1.0-py3-none-any.whl"):
        path = origin.parent / name
        path.touch()
        url(origin, url=path.as_uri(), dir_info={})
        assert arguments() == [f"{path}[medical]"]


def test_from_a_folder_that_is_gone(activated: None, origin: Path) -> None:
    url(origin, url=(origin.parent / "gone").as_uri(), dir_info={})
    assert arguments() == ["nibabel>=5.2"]


def test_from_a_repository(activated: None, origin: Path) -> None:
    where = "https://example.org/hush.git"
    url(origin, url=where, vcs_info={"vcs": "git", "commit_id": "a1b2"})
    assert arguments() == [f"{NAMED} @ git+{where}@a1b2"]
    url(origin, url="https://example.org/hush.whl", archive_info={})
    assert arguments() == [f"{NAMED} @ https://example.org/hush.whl"]


def test_from_conda(activated: None, origin: Path) -> None:
    (origin / "INSTALLER").write_text("conda\n")
    assert arguments() == ["nibabel>=5.2"]


def test_not_installed_at_all(
    activated: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(name: str) -> Distribution:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(installing, "CLONE", tmp_path)
    monkeypatch.setattr(installing, "distribution", none)
    assert arguments() == [NAMED]


def test_another_pip_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", {"pip": "/usr/bin/pip"}.get)
    monkeypatch.setattr(sys, "executable", "/my environments/a/bin/python")
    assert installing.command("mne") == "'/my environments/a/bin/python' -m pip install mne"
    monkeypatch.setattr(installing, "find_spec", lambda _: None)
    monkeypatch.setattr(shutil, "which", {"pip": "/usr/bin/pip", "uv": "/usr/bin/uv"}.get)
    said = installing.command("mne")
    assert said == "uv pip install --python '/my environments/a/bin/python' mne"


def test_windows_quotes(activated: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "WINDOWS", True)
    assert installing.command("mne") == "pip install mne"
    assert installing._quoted("C:\\hush[medical]") == '"C:\\hush[medical]"'


def test_no_other_source_states_a_command() -> None:
    sources = (Path(__file__).parents[1] / "src").rglob("*.py")
    stated = [p.name for p in sources if "pip install" in p.read_text("utf-8")]
    assert stated == ["installing.py"]


def test_extras_that_errors_name_exist() -> None:
    """Each extra in the sources is one of pyproject.toml's."""
    sources = (Path(__file__).parents[1] / "src").rglob("*.py")
    named = re.compile(r'missing_package\(\s*f?"[^"]+",\s*"(\w+)"|command\([^()]*, \'(\w+)\'\)')
    found = {a or b for path in sources for a, b in named.findall(path.read_text("utf-8"))}
    assert len(found) >= 8
    extras = set(distribution("hush-denoise").metadata.get_all("Provides-Extra") or ())
    assert found <= extras
