"""Random selection: what any way to leave elements out has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hush.bases.selecting import Selecting, Verdict
from hush.bases.selecting_rows import Choice, RowSelection, chosen, spread
from hush.denoiser import Advance
from hush.errors import HushError
from hush.kinds.alignment.family import Family
from hush.kinds.points.elements import Elements


@dataclass
class RandomSelection(Selecting):
    """Keeps a random part of the elements.

    keep : share to keep, if no share of outliers is given. seed : of the random numbers.
    """

    keep: float = 0.5
    seed: int = 0

    name: ClassVar[str] = "random"
    summary: ClassVar[str] = "keeps a random part (sets, alignments)"
    citation: ClassVar[str] = ""
    measures: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 <= self.keep <= 1:
            raise HushError(f"keep, the share of elements to keep, is 0 to 1, not {self.keep:g}")

    def verdict(
        self, elements: Elements, share: float | None, advance: Advance | None = None
    ) -> Verdict:
        """See `Selecting.verdict`; the probability is the share that is kept, of every element."""
        count = len(elements)
        keep = self.keep if share is None else 1 - share
        drawn = np.random.default_rng(self.seed).permutation(count)[: round(keep * count)]
        kept = np.zeros(count, bool)
        kept[drawn] = True
        if advance:
            advance(1.0)
        return Verdict(kept, np.full(count, keep))


@dataclass
class RandomRows(RowSelection):
    """Keeps a random part of the rows of an alignment.

    keep : share to keep, if their number is not stated. seed : of the random numbers.
    """

    keep: float = 0.5
    seed: int = 0

    name: ClassVar[str] = "random"
    summary: ClassVar[str] = RandomSelection.summary
    citation: ClassVar[str] = ""

    def __post_init__(self) -> None:
        spread(self.keep, 1)

    def choose(self, family: Family, count: int | None, advance: Advance | None = None) -> Choice:
        """See `RowSelection.choose`."""
        count = count or spread(self.keep, len(family))
        drawn = np.random.default_rng(self.seed).permutation(len(family) - 1)[: count - 1] + 1
        kept = chosen(np.r_[0, drawn], len(family))
        if advance:
            advance(1.0)
        return Choice(kept, np.full(len(family), np.nan))
