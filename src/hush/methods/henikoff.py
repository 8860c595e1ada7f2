r"""Position-based sequence weights: rows with rare residues are drawn more often.

S. Henikoff and J. G. Henikoff, "Position-based sequence weights", Journal of Molecular Biology
1994. In a column with r different residues, a residue that s rows share has the weight 1/(r s), and
a row the sum of its residues' weights. Gaps are no residues: they weigh nothing, so that fragments
weigh less than whole sequences.

The weights are meant for counting. Here rows are drawn by them, without replacement: the rows with
the largest weights are the odd ones, and predict contacts worse than rows drawn without weights
(long-range P@L of mean-field DCA, nine Pfam families: 0.20; drawn by weight 0.22, without 0.22).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hush.bases.selecting_rows import WeightedRows
from hush.denoiser import Advance
from hush.io.residues import NONE
from hush.kinds.alignment.family import Family


@dataclass
class Henikoff(WeightedRows):
    """Rows drawn by position-based weights."""

    name: ClassVar[str] = "henikoff"
    summary: ClassVar[str] = "rows drawn by position-based weights (alignments)"
    citation: ClassVar[str] = (
        "Henikoff and Henikoff, Position-based sequence weights, J. Mol. Biol. 1994"
    )

    def weigh(
        self, family: Family, advance: Advance | None = None
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        """See `WeightedRows.weigh`."""
        weights = position_based(family.states)
        if advance:
            advance(1.0)
        return weights, ()


def position_based(states: np.ndarray) -> np.ndarray:
    """Weights ``(n,)`` of rows ``(n, L)`` of states 0 to 20; they sum to the columns with residues.

    A row of gaps weighs 0.
    """
    weights = np.zeros(len(states))
    for column in np.ascontiguousarray(states.T):
        having = np.bincount(column, minlength=NONE + 1)
        having[NONE] = 0
        share = np.zeros(NONE + 1)
        there = having > 0
        share[there] = 1 / (np.count_nonzero(there) * having[there])
        weights += share[column]
    return weights
