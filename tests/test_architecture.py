"""Imports point one way: the contracts in pyproject.toml, checked on the source as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from importlinter.cli import lint_imports

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def test_import_contracts_hold(capsys: pytest.CaptureFixture[str]) -> None:
    status = lint_imports(str(PYPROJECT), no_cache=True)
    assert status == 0, capsys.readouterr().out


ROOT = PYPROJECT.parent / "src" / "hush"
#: what a kind of data is told by; the trunk has none of it
TRUNK = ("api.py", "denoiser.py", "learned.py", "record.py", "results.py", "sampling.py")
TRUNK += ("schedule.py", "table.py", "tiling.py", "training.py")


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_is_one_idea(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500


@pytest.mark.parametrize("name", TRUNK)
def test_the_trunk_knows_no_kind(name: str) -> None:
    """It asks `hush.kinds`; no kind's package is imported there."""
    assert "hush.kinds.image" not in (ROOT / name).read_text(encoding="utf-8")
