"""Farthest-point selection: each chosen row is as far as can be from the nearest chosen one.

Gonzalez, "Clustering to minimize the maximum intercluster distance", Theoretical Computer Science,
1985. With the rows farthest from the query left out first, it is the best simple rule that was
found for contacts (docs/alignments.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hush.bases.selecting_rows import Choice, RowSelection, chosen, spread
from hush.denoiser import Advance
from hush.errors import HushError
from hush.kinds.alignment.family import Family
from hush.tasks.distances import distances
from hush.tasks.identity import Packed


@dataclass
class Farthest(RowSelection):
    """Rows in which no two are near each other, as far as their number allows.

    drop : share of the rows, those farthest from the query, that is left out first.
    keep : share of the rows to keep, if their number is not stated.
    """

    drop: float = 0.25
    keep: float = 0.5

    name: ClassVar[str] = "farthest"
    summary: ClassVar[str] = "farthest points, without those far from the query (alignments)"
    citation: ClassVar[str] = (
        "Gonzalez, Clustering to minimize the maximum intercluster distance, TCS 1985"
    )

    def __post_init__(self) -> None:
        spread(self.keep, 1)
        if not 0 <= self.drop < 1:
            raise HushError(f"drop, the share of far rows, is 0 or more and below 1: {self.drop:g}")

    def choose(self, family: Family, count: int | None, advance: Advance | None = None) -> Choice:
        """See `RowSelection.choose`; if more are asked for, the nearest of the dropped rows too."""
        rows, count = len(family), count or spread(self.keep, len(family))
        left = max(count, rows - round(self.drop * rows))
        near = np.argsort(distances(family.packed, 0), kind="stable")[:left]
        order = farthest(family.part(near).packed, count, advance)
        return Choice(chosen(near[order], rows), np.full(rows, np.nan))


def farthest(rows: Packed, count: int, advance: Advance | None = None) -> np.ndarray:
    """Indices of `count` of the rows, the first row first; of equal ones the first."""
    order, nearest = [0], np.full(len(rows), np.iinfo(np.int32).max, np.int32)
    while len(order) < count:
        np.minimum(nearest, distances(rows, order[-1]), out=nearest)
        nearest[order[-1]] = -1
        order.append(int(nearest.argmax()))
        if advance:
            advance(1 / (count - 1))
    return np.array(order)
