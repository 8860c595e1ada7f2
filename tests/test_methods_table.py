"""The README's table of methods against kinds of data is that of the table of methods."""

from __future__ import annotations

import sys
from pathlib import Path

from hush.methods import METHODS

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from methods_table import BEGIN, END, README, with_table  # noqa: E402


def test_the_table_is_up_to_date() -> None:
    """If it is not: python benchmarks/methods_table.py."""
    text = README.read_text(encoding="utf-8")
    assert with_table(text) == text
    assert with_table(text.replace("| `nlm` | ●", "| `nlm` | ")) == text  # it can fail


def test_every_method_has_a_row_and_a_line_that_describes_it() -> None:
    text = README.read_text(encoding="utf-8")
    rows, described = text.split(BEGIN)[1].split(END)
    for name in METHODS._own:
        if name != "none":
            assert rows.count(f"| `{name}` |") == 1
            assert f"`{name}`" in described, f"{name} is not described below the table"
