"""The photon transfer curve: variance of the noise against the signal."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from scipy.special import i0e, i1e, ndtr

from hush.kinds.image.measure.blocks import HIGH, SIZE, Blocks
from hush.noise.processes import FAMILIES

BINS = 24  #: points on the photon transfer curve
FLAT = 1.3  #: low-frequency energy, relative to the noise's, up to which a block counts as flat
STEEP = 4.0  #: ratio of variances over the signal from which on a line is tried first
STEPS = 12  #: groups of blocks, by signal, that must lie on the line
SOME = 3  #: least number of blocks in such a group
ON_LINE = 0.4  #: largest relative error of a group on the line
FEWEST = 12  #: least number of blocks for a point, even if none is flat
NARROW = 2.5  #: width of a point, in standard errors of a block's mean, up to which they mix
SYSTEMATIC = 0.02  #: relative error of a point beyond its statistical one
REJECT = 15.0  #: rise of χ² at which the simpler family is rejected
FALLING = 0.7  #: the curve falls if bright over dark variance is below this
REJECT_CORRELATED = 30.0  #: like `REJECT`, if noise is measured at low frequencies


#: powers of the signal in the variance
CONSTANT, PROPORTIONAL, LINE, ANY = (0,), (1,), (0, 1), (0, 1, 2)

#: (signal, variance of the noise) → mean and variance of the observed values
Bend = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Curve:
    """The photon transfer curve: points ``variance ± sd`` at `x`, and the fitted law."""

    x: np.ndarray
    variance: np.ndarray
    sd: np.ndarray
    law: np.ndarray = field(default_factory=lambda: np.zeros(3))  # of x⁰, x¹, x²
    covariance: np.ndarray = field(default_factory=lambda: np.zeros((3, 3)))  # of the three

    def fitted(self, terms: tuple[int, ...]) -> Curve:
        """The curve with a law of these powers, by weighted least squares; lines do not fall."""
        design = self.x[:, None] ** np.arange(3) / self.sd[:, None]
        design[:, [power for power in range(3) if power not in terms]] = 0
        values, vectors = np.linalg.eigh(design.T @ design)
        some = values > 1e-15 * values[-1]  # powers left out, or one signal alone: not all
        covariance = vectors[:, some] / values[some] @ vectors[:, some].T
        law = covariance @ (design.T @ (self.variance / self.sd))
        if max(terms) == 1 and law[1] < 0:
            return self.fitted(CONSTANT)
        return replace(self, law=law, covariance=covariance)

    @property
    def falls(self) -> bool:
        """Whether bright areas have less noise, as after compression."""
        some = -(-len(self.x) // 4)
        dark, bright = np.median(self.variance[:some]), np.median(self.variance[-some:])
        return bool(bright < FALLING * dark)

    def at(self, x: np.ndarray | float) -> np.ndarray:
        """The law's variance at signal `x`."""
        result: np.ndarray = self.law[0] + (self.law[1] + self.law[2] * np.asarray(x)) * x
        return result

    def misfit(self, terms: tuple[int, ...]) -> float:
        """χ² of the law of these powers."""
        return self.misfit_of(self.fitted(terms).at(self.x))

    def misfit_of(self, variance: np.ndarray) -> float:
        """χ² of variances predicted at the points."""
        return float((((self.variance - variance) / self.sd) ** 2).sum())

    def error(self, x: float) -> float:
        """Relative standard error of the standard deviation at signal `x`."""
        powers = x ** np.arange(3)
        variance = max(float(self.at(x)), float(self.variance.min()), 1e-30)
        return 0.5 * math.sqrt(max(float(powers @ self.covariance @ powers), 0.0)) / variance


def fit_curve(blocks: Blocks, bend: Bend, terms: tuple[int, ...] = LINE) -> Curve:
    """Alternately select flat blocks and fit a variance with these powers to them."""
    order = np.argsort(blocks.mean, kind="stable")
    mean, high, low = values = np.stack([blocks.mean, blocks.high, blocks.low])[:, order]
    line = _line(blocks) if 1 in terms else None
    first = [part[0] for part in np.array_split(np.arange(len(mean)), BINS) if len(part)]
    if line is not None:  # its bright blocks may be few, all in one bin
        first = _with_steps(first, mean)
    bins = [slice(*ends) for ends in pairwise((*first, len(mean)))]
    x = np.array([mean[b].mean() for b in bins])
    variance = np.array([_low(high[b]) for b in bins])
    curve = Curve(x, variance, variance + 0.05 * variance.mean() + 1e-30).fitted(terms)
    if line is not None:
        curve = replace(curve, law=line)
    for _ in range(8):
        bent = Bent(curve, bend, mean)
        score = low / bent.variance_at(mean)
        chosen = flattest(score, bins)
        number = np.add.reduceat(chosen, first, dtype=int)
        sums = np.add.reduceat(np.where(chosen, [*values, score], 0), first, axis=1)
        signal, variance, rest, rough = sums / number
        # Blocks overlap, so each counts for about a quarter of its coefficients.
        freedom = 0.25 * HIGH.sum() * number
        rough = np.maximum(1.0, rough) ** 2
        x, straight, unbend = bent.undo(signal)
        if line is not None:  # by their own noise: by a law that is too low all would be rough
            own = rest / np.maximum(variance, 1e-30)
            rough, straight = np.maximum(1.0, own) ** 2, np.maximum(straight, variance * unbend)
        sd = straight * rough * np.sqrt(2 / freedom + SYSTEMATIC**2)
        # Bins are sorted by a noisy mean, which matters where many blocks have the same signal, so
        # that bins are narrower than its error.
        slope, error = curve.law[1] + 2 * curve.law[2] * x, np.sqrt(straight) / SIZE
        width = np.abs(np.gradient(x)) if len(x) > 1 else 0.0
        sd = np.hypot(sd, slope * error / (1 + (width / (NARROW * error + 1e-30)) ** 2))
        before, curve = curve, Curve(x, variance * unbend, sd).fitted(terms)
        last = before.at(x)
        if (np.abs(curve.at(x) - last) <= 1e-4 * np.abs(last)).all():
            break
    return curve


def _low(values: np.ndarray) -> float:
    """A value that a tenth of the others are below: where to begin, so none is interpolated."""
    at = len(values) // 10
    return float(np.partition(values, at)[at])


def _with_steps(first: list[int], mean: np.ndarray) -> list[int]:
    """The first blocks of bins, and of those at equal steps of the signal; enough are in each."""
    steps = np.searchsorted(mean, np.linspace(mean[0], mean[-1], STEPS + 1)[1:-1])
    found = [0]
    for at in np.union1d(first, steps).tolist():
        if min(at - found[-1], len(mean) - at) >= FEWEST:
            found.append(at)
    return found


def _line(blocks: Blocks) -> np.ndarray | None:
    """The law (x⁰, x¹, x²) of blocks that lie along a steep line; None if they do not.

    Where bright areas are few and textured, as cells on a dark background, the points of the
    background alone decide on the law, and by that law all other points are structure. But
    structure does not grow with the signal along a line. So the blocks are grouped in equal steps
    of the signal, and those are measured that are flat by their own noise.
    """
    flat = blocks.take(blocks.low <= FLAT * blocks.high)
    span = float(np.ptp(flat.mean)) if len(flat.mean) else 0.0
    if span == 0:
        return None
    step = np.minimum((flat.mean - flat.mean.min()) / span * STEPS, STEPS - 1).astype(int)
    count = np.bincount(step, minlength=STEPS)
    enough = count >= SOME
    if enough.sum() < 5:
        return None
    x, variance = (
        np.bincount(step, v, STEPS)[enough] / count[enough] for v in (flat.mean, flat.high)
    )
    relative = np.stack([np.ones_like(x), x], axis=1) / np.maximum(variance, 1e-30)[:, None]
    law = np.linalg.lstsq(relative, np.ones(len(x)))[0]
    seen = law[0] + law[1] * x
    steep = seen.min() > 0 and seen[-1] > STEEP * seen[0]
    return np.append(law, 0.0) if steep and np.abs(relative @ law - 1).max() < ON_LINE else None


def flattest(score: np.ndarray, bins: Sequence[slice] | Sequence[np.ndarray]) -> np.ndarray:
    """Which have a score below `FLAT`, bool; in every bin at least the lowest few."""
    flat = score <= FLAT
    for part in bins:
        own = score[part]
        few = min(FEWEST, len(own))
        if np.count_nonzero(flat[part]) < few:
            flat[part] = own <= np.partition(own, few - 1)[few - 1]
    return np.asarray(flat)


class Bent:
    """Means and variances as observed after the recording's clipping, from a curve's law."""

    def __init__(self, curve: Curve, bend: Bend, means: np.ndarray) -> None:
        first, last = float(means.min()), float(means.max())
        spread = math.sqrt(max(float(curve.at(last)), float(curve.law[0]), 0.0)) + 1e-15
        margin = 0.1 * (last - first) + spread
        self.x = x = np.linspace(first - margin, last + margin, 512)
        variance = np.maximum(curve.at(x), 0)  # a parabola may become very negative
        self.law = np.maximum(variance, SYSTEMATIC * max(variance.mean(), spread**2))
        self.mean, variance = bend(x, self.law)
        self.variance = np.maximum(variance, 1e-3 * self.law)

    def variance_at(self, mean: np.ndarray) -> np.ndarray:
        """Expected variance of a block with this observed mean; always above zero."""
        floor = SYSTEMATIC * float(self.variance.mean())
        return np.maximum(np.interp(mean, self.mean, self.variance), floor)

    def undo(self, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Signal for an observed mean, the law there, and its ratio to the observed variance."""
        x = np.interp(mean, self.mean, self.x)
        ratio = np.interp(mean, self.mean, self.law / self.variance)
        return x, np.interp(x, self.x, self.law), np.clip(ratio, 0.5, 3.0)


def clipping(low: float, high: float) -> Bend:
    """The bend of clipping to [low, high] (Foi 2009)."""

    def bend(x: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        s = np.sqrt(variance)
        mean, square = x.copy(), variance.copy()  # E[y] and E[(y − x)²] of the clipped y
        for limit, sign in ((low, 1.0), (high, -1.0)):
            if math.isfinite(limit):
                u = sign * (limit - x) / s
                beyond, density = ndtr(u), np.exp(-(u**2) / 2) / math.sqrt(2 * math.pi)
                mean += sign * s * (u * beyond + density)
                square += variance * ((u**2 - 1) * beyond + u * density)
        return mean, square - (mean - x) ** 2

    return bend


def magnitude(x: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bend of taking the magnitude of a complex signal with noise in both parts (Rice 1944)."""
    x = np.maximum(x, 0)
    h = x**2 / (4 * variance)
    mean = np.sqrt(np.pi / 2 * variance) * ((1 + 2 * h) * i0e(h) + 2 * h * i1e(h))
    return mean, x**2 + 2 * variance - mean**2


def family_of(misfit: Mapping[str, float], reject: float) -> tuple[str, tuple[str, ...]]:
    """The first one-parameter family that the data do not reject, and all such families.

    misfit : χ² of each family on the same points; a family is rejected if it exceeds the least
        by more than `reject`, in units of the scatter of the best fit.
    """
    least = min(misfit.values())
    scale = max(1.0, least / (BINS - 2))
    simple = [name for name in misfit if len(FAMILIES[name].terms) == 1]
    possible = tuple(n for n in simple if (misfit[n] - least) / scale <= reject)
    return possible[0] if possible else min(misfit, key=lambda name: misfit[name]), possible
