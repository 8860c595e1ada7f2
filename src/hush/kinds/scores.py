"""The table beside a result of a kind that selects: which rows were kept, and their scores.

Columns are ``row``, its number in the input from 1; ``name``, if rows have names; ``kept``, 1 or 0;
and ``score``, the method's probability or score, empty if there is none.
"""

from __future__ import annotations

import csv
import io as text
from os import PathLike
from pathlib import Path

import numpy as np

from hush.errors import HushError
from hush.io import atomic
from hush.kinds import get
from hush.record import Record
from hush.results import Denoised

#: endings of the table, and what is between its columns
SEPARATORS = {".tsv": "\t", ".csv": ","}


def check(record: Record) -> None:
    """Raise `HushError` for data of a kind that has no rows to keep or leave out."""
    kind = get(record.kind)
    if not kind.selected:
        raise HushError(
            f"methods change the values of {kind.nouns[1]} and leave out none, so there are no "
            "rows for --scores to list; it is for sets and alignments"
        )


def separator(path: str | PathLike[str]) -> str:
    """What is between the columns of a table with this name; `HushError` for other endings."""
    ending = Path(path).suffix.lower()
    if ending not in SEPARATORS:
        raise HushError(f"{path}: scores are a table; use a name ending in .tsv or .csv")
    return SEPARATORS[ending]


def table(result: Denoised, between: str = "\t") -> str:
    """The table of a result, one line for each row of the input below a line of headings."""
    check(result.noisy)
    item = result.items[0]
    rows = result.noisy.data.shape[result.noisy.axes.index("N")]
    kept = np.ones(rows, bool) if item.kept is None else item.kept
    score = np.full(rows, np.nan) if item.probability is None else item.probability
    names = result.noisy.context.get("names", ())
    columns = {
        "row": range(1, rows + 1),
        **({"name": names} if len(names) == rows else {}),
        "kept": kept.astype(int),
        "score": [f"{value:.6g}" if np.isfinite(value) else "" for value in score],
    }
    out = text.StringIO()
    writer = csv.writer(out, delimiter=between, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return out.getvalue()


def write(result: Denoised, path: str | PathLike[str]) -> None:
    """Write the `table` of a result, completely or not at all."""
    made = table(result, separator(path))
    with atomic(Path(path)) as temporary:
        Path(temporary).write_text(made, encoding="utf-8", newline="")
