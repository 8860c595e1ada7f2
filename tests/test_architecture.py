"""Imports point one way: the contracts in pyproject.toml, checked on the source as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def test_import_contracts_hold(capsys: pytest.CaptureFixture[str]) -> None:
    status = lint_imports(str(PYPROJECT), no_cache=True)
    assert status == 0, capsys.readouterr().out


ROOT = PYPROJECT.parent / "src" / "hush"
#: what serves every kind of data
TRUNK = [*ROOT.glob("*.py"), *(ROOT / "cli").glob("*.py"), *(ROOT / "report").glob("*.py")]
TRUNK += [ROOT / "bases" / name for name in ("draws.py", "learned.py", "stages.py")]


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_is_one_idea(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500


@pytest.mark.parametrize("path", TRUNK, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_trunk_knows_no_kind(path: Path) -> None:
    """It asks `hush.kinds`; no kind's package is imported there."""
    imports = r"^\s*(from|import) hush\.kinds\.(image|signal|points|volume|alignment)\b"
    assert not re.search(imports, path.read_text(encoding="utf-8"), re.MULTILINE)
