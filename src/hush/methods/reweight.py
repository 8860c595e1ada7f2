r"""Reweighting as in direct coupling analysis: rows with many relatives are drawn less often.

F. Morcos et al., "Direct-coupling analysis of residue coevolution captures native contacts across
many protein families", PNAS 2011: a row has the weight 1/m, if m rows, itself included, have the
same state as it in at least 80 % of the columns, gaps being a state. The sum of the weights is the
effective number of sequences.

Rows are drawn by these weights, without replacement, as is usual where a model takes only a part of
an alignment (Truong and Bepler, "PoET", NeurIPS 2023).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hush.bases.selecting_rows import WeightedRows
from hush.denoiser import Advance
from hush.errors import HushError
from hush.kinds.alignment.family import Family
from hush.tasks.distances import EXACT, SAMPLE, similar


@dataclass
class Reweight(WeightedRows):
    """Rows drawn by the inverse number of rows like them.

    identity : share of the columns from which on two rows are alike.
    """

    identity: float = 0.8

    name: ClassVar[str] = "reweight"
    summary: ClassVar[str] = "rows drawn by the inverse number of similar rows (alignments)"
    citation: ClassVar[str] = "Morcos et al., Direct-coupling analysis, PNAS 2011"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.identity <= 1:
            raise HushError(f"identity is a share above 0 and up to 1, not {self.identity:g}")

    def weigh(
        self, family: Family, advance: Advance | None = None
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        """See `WeightedRows.weigh`; rows are compared with a sample if they are many."""
        most = int((1 - self.identity) * family.states.shape[1] + 1e-9)
        count = similar(family.packed_states, most, seed=self.seed, advance=advance)
        said: tuple[str, ...] = ()
        if len(family) > EXACT:
            said = (
                f"Similar rows were counted among {SAMPLE:,} of the {len(family):,} different "
                "rows, drawn at random, to limit the time.",
            )
        return 1 / count, said
