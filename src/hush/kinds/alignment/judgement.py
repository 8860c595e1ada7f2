"""Judging which rows were left out of an alignment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hush.kinds.alignment import show
from hush.kinds.alignment.advice import counted, places
from hush.kinds.alignment.alphabet import FILLED
from hush.kinds.alignment.measure import measured
from hush.report.describe import share
from hush.results import Judgement, Restoration

if TYPE_CHECKING:
    from hush.kinds.alignment import Alignment

LOST = 0.1  #: fall of the coverage that is mentioned


def judged(
    kind: Alignment,
    noisy: np.ndarray,
    strength: float,
    about: Mapping[str, Any],
    how: Restoration | None,
) -> Judgement:
    """How many rows of an item ``(L, N)`` were removed, and what that did.

    The statistics are those of every kind, ``rms`` being the share of removed rows, and ``kept``,
    ``before`` and ``after`` (`Measures.plain`).
    """
    rows = np.ascontiguousarray(noisy.T)
    count = len(rows)
    kept = np.ones(count, bool) if how is None or how.kept is None else how.kept
    left = int(kept.sum())
    query = kind.query(about, count)
    before = measured(rows, query).plain()
    after = before
    if left < count:
        after = measured(rows[kept], int(kept[:query].sum())).plain()
    stats = {
        "n": count,
        "kept": left,
        "mean": 0.0,
        "rms": 1 - left / max(count, 1),
        "expected_rms": None,
        "ratio": None,
        "autocorrelation": {},
        "before": before,
        "after": after,
    }
    warnings = []
    if 0 < strength < 1:
        warnings.append(
            f"A row is removed or not, so --strength {strength:g} changes nothing; state the rows "
            "to keep with --count or --keep instead."
        )
    if left < count:
        warnings += _lost(rows, kept, before, after)
    return Judgement(stats, tuple(warnings), verdict(before, after))


def _lost(
    rows: np.ndarray, kept: np.ndarray, before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[str]:
    """Warnings about what the kept rows lack."""
    notes = []
    if after["effective"] < after["columns"] <= before["effective"]:
        notes.append(
            f"The effective number of sequences fell from {show.number(before['effective'])} to "
            f"{show.number(after['effective'])}, below the {after['columns']:,} columns: too few "
            "for direct-coupling analysis. Keep more rows with --count or --keep."
        )
    empty = np.flatnonzero(~FILLED[rows[kept]].any(0) & FILLED[rows].any(0))
    if len(empty):
        are = "is" if len(empty) == 1 else "are"
        notes.append(
            f"{counted(len(empty), 'column')} ({places(empty)}) {are} now gaps only, because the "
            "rows that filled them were removed."
        )
    if before["coverage"] is not None and after["coverage"] < before["coverage"] - LOST:
        was, now = (share(seen["coverage"]) for seen in (before, after))
        notes.append(f"Rows fill {now} of the query's columns on average, {was} before.")
    return notes


def verdict(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What happened, in two sentences."""
    gone = before["rows"] - after["rows"]
    effective = show.number(before["effective"])
    if not gone:
        return f"Nothing was removed. The effective number of sequences is {effective}."
    were = "was" if gone == 1 else "were"
    return (
        f"{gone:,} of {counted(before['rows'], 'row')} {were} removed. The effective number of "
        f"sequences went from {effective} to {show.number(after['effective'])}."
    )
