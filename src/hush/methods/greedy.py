"""Greedy diversity maximisation: the usual way to choose rows for the MSA Transformer.

Rao et al., "MSA Transformer", ICML 2021, section 3: beginning with the query, the row with the
largest mean Hamming distance to those chosen so far is chosen next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hush.bases.selecting_rows import Choice, RowSelection, chosen, spread
from hush.denoiser import Advance
from hush.kinds.alignment.family import Family
from hush.tasks.distances import distances

CHOSEN = -(2**62)  #: sum of distances of a row that is chosen


@dataclass
class Greedy(RowSelection):
    """Rows that are as different from each other as can be, on average.

    keep : share of the rows to keep, if their number is not stated.
    """

    keep: float = 0.5

    name: ClassVar[str] = "greedy"
    summary: ClassVar[str] = "greedy diversity, by mean Hamming distance (alignments)"
    citation: ClassVar[str] = "Rao et al., MSA Transformer, ICML 2021"

    def __post_init__(self) -> None:
        spread(self.keep, 1)

    def choose(self, family: Family, count: int | None, advance: Advance | None = None) -> Choice:
        """See `RowSelection.choose`; of equal ones the first in the family's order is taken."""
        count = count or spread(self.keep, len(family))
        order, total = [0], np.zeros(len(family), np.int64)
        while len(order) < count:
            total += distances(family.packed, order[-1])
            total[order[-1]] = CHOSEN
            order.append(int(total.argmax()))
            if advance:
                advance(1 / (count - 1))
        return Choice(chosen(np.array(order), len(family)), np.full(len(family), np.nan))
