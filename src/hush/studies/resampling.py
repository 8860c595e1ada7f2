"""Means over samples that do not count alike, and how sure a difference of two of them is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

DRAWS = 4000  #: of the bootstrap


class Difference(NamedTuple):
    """A difference of two means, its 95 % interval, and the two-sided p-value of none."""

    value: float
    low: float
    high: float
    p: float


NOTHING = Difference(np.nan, np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class Resampling:
    """How samples are weighed and resampled, by their names.

    unit : what is drawn as a whole, such as the image that a vanishing point is of.
    stratum : sets of units that weigh the same, such as scenes; units are resampled in each.
    """

    unit: Callable[[str], str] = str
    stratum: Callable[[str], str] = lambda name: ""

    def mean(self, values: Mapping[str, float]) -> float:
        """The mean over strata of the mean of their values; NaN for none."""
        strata: dict[str, list[float]] = {}
        for name, value in values.items():
            strata.setdefault(self.stratum(name), []).append(value)
        return float(np.mean([np.mean(of) for of in strata.values()])) if strata else np.nan

    def difference(
        self, a: Mapping[str, float], b: Mapping[str, float], seed: int = 0
    ) -> Difference:
        """``mean(a) - mean(b)`` over the names that both have, by a paired bootstrap.

        All NaN where there is no common name with finite values.
        """
        shared = _shared(a, b)
        if not shared:
            return NOTHING
        return _tested(*self._means({n: a[n] - b[n] for n in shared}, seed))

    def relative(self, a: Mapping[str, float], b: Mapping[str, float], seed: int = 0) -> Difference:
        """``mean(a) / mean(b) - 1``, as `difference`; all NaN if ``mean(b)`` is not above 0."""
        shared = _shared(a, b)
        if not shared:
            return NOTHING
        # drawn alike, because the names and the seed are the same
        ours, theirs = (self._means({n: x[n] for n in shared}, seed) for x in (a, b))
        if theirs[0] <= 0:
            return NOTHING
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn = ours[1] / theirs[1] - 1
        return _tested(ours[0] / theirs[0] - 1, drawn[np.isfinite(drawn)])

    def _means(self, values: Mapping[str, float], seed: int) -> tuple[float, np.ndarray]:
        """The mean over strata of values, and `DRAWS` of it."""
        units: dict[str, dict[str, list[float]]] = {}
        for name, value in values.items():
            of = units.setdefault(self.stratum(name), {})
            of.setdefault(self.unit(name), []).append(value)
        rng = np.random.default_rng(seed)
        mean, drawn = 0.0, np.zeros(DRAWS)
        for of in units.values():
            sums = np.array([sum(x) for x in of.values()])
            counts = np.array([len(x) for x in of.values()])
            times = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=DRAWS)
            mean += sums.sum() / counts.sum() / len(units)
            drawn += (times @ sums) / (times @ counts) / len(units)
        return mean, drawn


def _shared(a: Mapping[str, float], b: Mapping[str, float]) -> list[str]:
    return [n for n in sorted(a.keys() & b.keys()) if np.isfinite(a[n]) and np.isfinite(b[n])]


def _tested(value: float, drawn: np.ndarray) -> Difference:
    low, high = np.quantile(drawn, (0.025, 0.975))
    # (k + 1) / (n + 1): a bootstrap cannot show a smaller p-value than 1 / n
    least = min(np.sum(drawn <= 0), np.sum(drawn >= 0))
    p = min(1.0, 2 * (float(least) + 1) / (len(drawn) + 1))
    return Difference(value, float(low), float(high), p)
