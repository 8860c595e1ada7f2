"""Outliers: elements of a set that belong to nothing in it.

What accumulates is elements: further outliers are superposed on a set. The law of the superposed
ones is the kind of data's (`hush.kinds.points`), so a set has no noisy version of the same size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hush.errors import HushError
from hush.noise.process import Process, T
from hush.noise.units import Ratio, number

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch


@dataclass(frozen=True)
class Outliers(Process):
    """Superposed outliers; closed: superposing twice is superposing the sum.

    share : of all elements that are outliers, 0 to 1. Its square counts as variance.
    """

    share: float = field(metadata=number("the share of outliers", highest=1.0, ranges=False))
    family: ClassVar[str] = "outliers"
    label: ClassVar[str] = "Outliers"
    examples: ClassVar[tuple[str, ...]] = ("outliers:0.4",)
    superposed: ClassVar[bool] = True

    def words(self, sigma: str, scale: float, number: Callable[[float], str]) -> str:
        return f"{number(100 * self.share)} % of the elements"

    def variance(self, x: T) -> T:
        return 0 * x + self.share**2

    @property
    def odds(self) -> float:
        """Outliers for each inlier."""
        return self.share / (1 - self.share) if self.share < 1 else math.inf

    def scaled(self, ratio: Ratio) -> Outliers:
        """With `ratio` times the number of outliers beside the same inliers."""
        if isinstance(ratio, np.ndarray):
            raise HushError("a set has one share of outliers, not a map of shares")
        odds = self.odds * ratio if ratio else 0.0
        return Outliers(odds / (1 + odds) if math.isfinite(odds) else 1.0)

    def sample(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        raise HushError(_ADDED)

    def accumulate(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        raise HushError(_ADDED)


_ADDED = "outliers are further elements, not other values of the same ones; give points as a set"
