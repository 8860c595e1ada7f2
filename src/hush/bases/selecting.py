"""Everything shared by methods that tell outliers from the rest of a set.

A method adds `verdict`. It sees every element once, in an order of their own
(`hush.kinds.points.places.different`): so neither the order of the rows nor repeats matter, not
even to random numbers and rounding, and all copies of an element have one fate.
"""

from __future__ import annotations

import dataclasses
import importlib
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from hush.denoiser import Advance, Denoiser
from hush.errors import missing_package
from hush.kinds.points import Points
from hush.kinds.points.cut import FEWEST
from hush.kinds.points.elements import Elements
from hush.kinds.points.places import different
from hush.noise.outliers import Outliers
from hush.noise.process import Process
from hush.record import Batch
from hush.results import Estimate, Restoration

WILD = 1e6  #: times the usual distance from the middle, from which on an element is far off
MOST = 20_000  #: elements that the others are compared with, of methods that slow down with them
SETS = ("points", "correspondences", "segments")


@dataclass(frozen=True)
class Verdict:
    """What a method makes of elements.

    kept : bool ``(n,)``; probability : of belonging to the set, float ``(n,)``, NaN if unknown.
    said : sentences for the user. step, trace : as in `Restoration`.
    """

    kept: np.ndarray
    probability: np.ndarray
    said: tuple[str, ...] = ()
    step: float | None = None
    trace: list[dict[str, Any]] = field(default_factory=list)

    def saying(self, said: tuple[str, ...]) -> Verdict:
        """The same with these sentences."""
        return replace(self, said=said)


@dataclass
class Selecting(Denoiser):
    """Base of methods for sets."""

    kinds: ClassVar[tuple[str, ...]] = SETS
    selects: ClassVar[bool] = True
    #: whether its probabilities are good enough to say how many outliers there are
    measures: ClassVar[bool] = True

    @property
    def set_kind(self) -> Points:
        """The kind of sets that this object denoises."""
        kind = self.kind
        assert isinstance(kind, Points)
        return kind

    def verdict(
        self, elements: Elements, share: float | None, advance: Advance | None = None
    ) -> Verdict:
        """Which of different elements belong to the set; of a `share` of outliers, so many not."""
        raise NotImplementedError

    def judges(self, elements: Elements) -> bool:
        """Whether there are enough elements, unlike enough, to judge any."""
        return len(elements) >= FEWEST and self.set_kind.judgeable(elements)

    def restore_item(
        self,
        batch: Batch,
        index: int,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """Remove outliers; sets that cannot be judged stay whole, with probabilities of NaN."""
        every = self.set_kind.elements(batch, index)
        x = batch.data[index]
        wild = far_off(every.x)
        near = every.part(~wild) if wild.any() else every
        near = dataclasses.replace(near, x=moderate(near.x))
        first, of = different(near.x)
        elements = near.part(first)
        if not self.judges(elements):
            kept = np.array(every.known)
            unknown = np.full(len(kept), np.nan)
            said = self._few(len(near), len(first))
            return Restoration(x, noise or Outliers(0.0), kept=kept, probability=unknown, said=said)
        given = noise.share if isinstance(noise, Outliers) else None
        made = self.verdict(elements, given, advance)
        kept, probability = np.zeros(len(every), bool), np.zeros(len(every))
        kept[~wild], probability[~wild] = made.kept[of], made.probability[of]
        removed = 1 - float(kept.mean())
        return Restoration(
            x,
            Outliers(removed if given is None else given),
            kept=every.spread(kept, False),
            probability=every.spread(probability, np.nan),
            said=made.said,
            step=made.step,
            trace=made.trace,
            found=share_of_outliers(probability) if self.measures else None,
        )

    def _few(self, every: int, others: int) -> tuple[str, ...]:
        """A sentence on sets with enough elements (`Kind.advice`), but too few different ones."""
        if every < FEWEST or not 1 < others < FEWEST:
            return ()
        return (
            f"Only {others} different {self.set_kind.element}s: too few to judge, which takes "
            f"{FEWEST}; all come back.",
        )

    def looked(self, batch: Batch, index: int, found: Estimate) -> tuple[Estimate, float | None]:
        """See `Denoiser.looked`: by denoising."""
        how = self.restore_item(batch, index)
        return how.found or found, how.step


def far_off(x: np.ndarray) -> np.ndarray:
    """Elements ``(n, d)`` so far away that no others could be told apart beside them, bool."""
    if not len(x):
        return np.zeros(0, bool)
    middle = np.median(x, axis=0)
    away = np.abs(x / 2 - middle / 2).max(axis=1)
    usual = float(np.quantile(away, 0.75))
    return away > WILD * usual if usual > 0 else np.zeros(len(x), bool)


def moderate(x: np.ndarray) -> np.ndarray:
    """Elements in another unit where squares of their differences leave double precision."""
    span = float(np.ptp(x / 2)) if x.size else 0.0
    return x if not span or 1e-100 < span < 1e100 else x / span


def share_of_outliers(probability: np.ndarray) -> Estimate | None:
    """The share of outliers by the probabilities of belonging to the set; None without any."""
    p = probability[np.isfinite(probability)]
    if not p.size:
        return None
    share, variance = float(np.mean(1 - p)), float(np.sum(p * (1 - p)))
    doubt = float(np.sqrt(variance)) / max(share * p.size, 1e-6)
    return Estimate(Outliers(share), share, uncertainty=doubt)


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


@dataclass(frozen=True)
class Distinct:
    """The different places of elements, in an order of their own.

    places : ``(m, d)``; of : the place of each element ``(n,)``. drawn, rest : indices of those
    that the others are compared with, and of all others. said : a sentence if there are others.
    """

    places: np.ndarray
    of: np.ndarray
    drawn: np.ndarray
    rest: np.ndarray
    said: tuple[str, ...]


def distinct(kind: Points, x: np.ndarray, most: int, seed: int) -> Distinct:
    """Every place of elements ``(n, d)`` once; at most `most`, drawn at random, are compared with.

    Segments with their ends swapped have one place.
    """
    every, of = np.unique(kind.places(x), axis=0, return_inverse=True)
    of = of.ravel()
    if len(every) <= most:
        return Distinct(every, of, np.arange(len(every)), np.arange(0), ())
    order = np.random.default_rng(seed).permutation(len(every))
    said = (
        f"Every element was compared with {most:,} of the {len(every):,} only, drawn at random, "
        "to limit the time."
    )
    return Distinct(every, of, np.sort(order[:most]), np.sort(order[most:]), (said,))


def sklearn(part: str, method: str) -> ModuleType:
    """A module of scikit-learn; `HushError` with the remedy if it is not installed."""
    try:
        return importlib.import_module(f"sklearn.{part}")
    except ImportError:
        raise missing_package("scikit-learn", "sets", what=method) from None
