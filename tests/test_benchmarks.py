"""Every benchmark can be imported: what it takes from hush is there."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", [p.stem for p in sorted((ROOT / "benchmarks").glob("*.py"))])
def test_it_finds_what_it_imports(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.syspath_prepend(ROOT / "benchmarks")  # where Python looks if it is run as a script
    if name != "__main__":
        importlib.import_module(f"benchmarks.{name}")
