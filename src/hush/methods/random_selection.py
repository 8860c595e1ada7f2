"""Random selection: what any way to leave elements out has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hush.denoiser import Advance
from hush.errors import HushError
from hush.kinds.points.elements import Elements
from hush.selecting import Selecting, Verdict


@dataclass
class RandomSelection(Selecting):
    """Keeps a random part of the elements.

    keep : share to keep, if no share of outliers is given. seed : of the random numbers.
    """

    keep: float = 0.5
    seed: int = 0

    name: ClassVar[str] = "random"
    summary: ClassVar[str] = "keeps a random part of a set (sets)"
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
