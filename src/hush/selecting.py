"""Everything shared by methods that tell outliers from the rest of a set.

A method adds `verdict`. The order of the rows does not matter to it: random numbers are drawn for
the elements in an order of their own (`hush.kinds.points.places.ordered`).
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, TypeVar

import numpy as np

from hush.denoiser import Advance, Denoiser, Learns
from hush.errors import HushError
from hush.kinds.points import Points
from hush.kinds.points.cut import FEWEST
from hush.kinds.points.elements import Elements
from hush.noise.outliers import Outliers
from hush.noise.process import Process
from hush.record import Batch
from hush.results import Estimate, Restoration

SETS = ("points", "correspondences", "segments")


@dataclass(frozen=True)
class Verdict:
    """What a method makes of elements.

    kept : bool ``(n,)``; probability : of belonging to the set, float ``(n,)``, NaN if unknown.
    said : sentences for the user.
    """

    kept: np.ndarray
    probability: np.ndarray
    said: tuple[str, ...] = ()


@dataclass
class Selecting(Denoiser):
    """Base of methods for sets."""

    kinds: ClassVar[tuple[str, ...]] = SETS
    selects: ClassVar[bool] = True
    #: elements below which none is judged
    fewest: ClassVar[int] = FEWEST

    @property
    def set_kind(self) -> Points:
        """The kind of sets that this object denoises."""
        kind = self.kind
        assert isinstance(kind, Points)
        return kind

    def verdict(
        self, elements: Elements, share: float | None, advance: Advance | None = None
    ) -> Verdict:
        """Which elements belong to the set; of a given `share` of outliers, that many do not."""
        raise NotImplementedError

    def judges(self, elements: Elements) -> bool:
        """Whether there are enough elements, unlike enough, to judge any."""
        return len(elements) >= self.fewest and self.set_kind.judgeable(elements)

    def restore_item(
        self,
        batch: Batch,
        index: int,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """Remove outliers; sets that cannot be judged stay whole, with probabilities of NaN."""
        elements = self.set_kind.elements(batch, index)
        x = batch.data[index]
        if not self.judges(elements):
            kept = np.array(elements.known)
            unknown = np.full(len(kept), np.nan)
            return Restoration(x, noise or Outliers(0.0), kept=kept, probability=unknown)
        given = noise.share if isinstance(noise, Outliers) else None
        made = self.verdict(elements, given, advance)
        if advance:
            advance(1.0)
        removed = 1 - float(made.kept.mean())
        return Restoration(
            x,
            Outliers(removed if given is None else given),
            kept=elements.spread(made.kept, False),
            probability=elements.spread(made.probability, np.nan),
            said=made.said,
        )


def decided(elements: Elements, probability: np.ndarray, share: float | None) -> Verdict:
    """Elements above one half are kept; with a given share of outliers, all but the least likely.

    Of equal ones the order of their coordinates decides, not that of the rows.
    """
    if share is None:
        return Verdict(probability >= 0.5, probability)
    order = np.lexsort((*elements.x.T[::-1], probability))
    kept = np.ones(len(elements), bool)
    kept[order[: round(share * len(elements))]] = False
    return Verdict(kept, probability)


def sklearn(part: str, method: str) -> ModuleType:
    """A module of scikit-learn; `HushError` with the remedy if it is not installed."""
    try:
        return importlib.import_module(f"sklearn.{part}")
    except ImportError:
        raise HushError(
            f"{method} needs scikit-learn; install it with pip install 'hush-denoise[sets]'"
        ) from None
