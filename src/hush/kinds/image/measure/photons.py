r"""Single photons: images so dark that many pixels have none, and the others whole numbers of them.

No flat blocks can be selected there: those without photons are the flattest. But the *step* from
one number of photons to the next is seen in the values, which are multiples of it above those of
pixels without photons, up to the read noise σ. A step counts if it also is the gain, the ratio of
variance to mean, which neighbours show. Pairs :math:`a, b` with the same mean have

.. math:: g = \sum \left((a - b)^2 - 2 \sigma^2\right) / \sum (a + b),

also if only some sums a + b are taken: given the sum, a is binomial. Dark pairs are taken, where
structure is weaker than noise, and what structure still adds is extrapolated from lags 1 and 2 to
lag 0 as the square of the lag, as in a variogram. Lines with one value are no photons: their pixels
are neighbours, but none has two.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from hush.noise.processes import Poisson, PoissonGaussian, Process

DARK = 0.25  #: least share of pixels without photons
MOST = 4.0  #: largest median number of photons; brighter images have blocks to measure
FEWEST = 30  #: least number of pixels with photons in the sample
RESOLVED = 0.25  #: largest read noise, in steps, with which the steps can be seen
ALIGNED = 0.8  #: least alignment of values with multiples of a step, relative to the ideal one
AGREE = 1.25  #: largest ratio of the gain and the step, either way
TOGETHER = 0.5  #: least number of photons that share a pixel, relative to those that are neighbours
EQUAL = 0.5  #: share of equal pairs of bright neighbours, at most; of photons 0.3 are
WHOLE = 0.1  #: how far counts are from whole numbers in single precision, at most
DIM = 4.0  #: most photons in a pair that shows the gain

_SAMPLE, _LIT, _PIXELS, _BAND = 65536, 2048, 2**20, 64


@dataclass(frozen=True)
class Photons:
    """Photons of `gain` each, with read noise `sigma` about `offset`."""

    gain: float
    sigma: float
    offset: float

    @property
    def process(self) -> Process:
        if self.sigma == self.offset == 0:
            return Poisson(1 / self.gain)
        return PoissonGaussian(self.gain, self.sigma, self.offset)


def resolved(images: Sequence[np.ndarray]) -> Photons | None:
    """The photons in images ``(C, H, W)``; None if their steps cannot be seen, or for too many."""
    sample = np.concatenate([_sample(x, _SAMPLE // len(images) + 1) for x in images])
    sample = np.sort(sample[np.isfinite(sample)]).astype(np.float64)
    dark = int(DARK * len(sample))
    if dark < FEWEST:
        return None
    start = int(np.argmin(sample[dark:] - sample[:-dark]))  # the densest part
    offset = float(np.median(sample[start : start + dark]))
    sigma = _below(sample, offset)
    if sigma:
        offset = float(np.median(sample[np.abs(sample - offset) < 2 * sigma]))
        sigma = _below(sample, offset)
    above = sample - offset
    step = _step(above[above > 4 * sigma], sigma)
    if not step or float(np.median(above)) > MOST * step:
        return None
    found = Photons(step, sigma, offset)
    return found if _poisson(images, found) else None


def step_of_counts(sample: np.ndarray) -> float:
    """The step of which all values are multiples, none below zero, as counts are; else 0."""
    values = np.unique(sample[np.isfinite(sample)]).astype(np.float64)
    if len(values) < 2 or values[0] < 0:
        return 0.0
    step = float(np.diff(values, prepend=0)[1:].min())
    number = np.rint(values / step)
    step = float(values @ number / (number @ number))
    return step if np.abs(values / step - number).max() < WHOLE else 0.0


def _sample(x: np.ndarray, most: int) -> np.ndarray:
    every = 1
    while x[:, ::every, ::every].size > most:
        every += 2
    return x[:, ::every, ::every].ravel()


def _below(sample: np.ndarray, offset: float) -> float:
    """The read noise: nothing else is below the offset, except for single dead pixels."""
    below = offset - sample[sample < offset]
    if len(below) < 0.01 * len(sample):
        return 0.0
    below = below[below < 5 * np.median(below)]
    return math.sqrt(float(np.mean(below**2)))


def _step(lit: np.ndarray, sigma: float) -> float:
    """The step of which sorted values are multiples; 0 if there is none."""
    if len(lit) < FEWEST:
        return 0.0
    if sigma == 0:
        return float(np.diff(np.unique(lit), prepend=0).min())
    lit = lit[:: -(-len(lit) // _LIT)]
    step, least = float(np.median(lit)), max(sigma / RESOLVED, lit[0] / 2)
    while step > least:  # the largest step: its fractions fit as well
        few = lit[lit < 4.5 * step]
        if len(few) < max(FEWEST, 0.2 * len(lit)):
            return 0.0
        ideal = math.exp(-2 * (math.pi * sigma / step) ** 2)
        if np.cos(2 * np.pi * few / step).mean() > ALIGNED * ideal:
            for _ in range(3):
                number = np.maximum(np.rint(few / step), 1)
                step = float(few @ number / (number @ number))
            width = float(np.std(few - number * step))
            return step if 0.5 * sigma < width < 2 * sigma else 0.0  # equal values are no photons
        step /= 1.03
    return 0.0


def _poisson(images: Sequence[np.ndarray], law: Photons) -> bool:
    """Whether the numbers of photons vary as those of a Poisson law do."""
    every = max(1, round(sum(x.size for x in images) / _PIXELS))
    squares, sums = np.zeros((2, 2, 2))  # of lags 1 and 2, dim and bright
    same = touching = 0.0
    bright = equal = 0  # pairs
    under = np.zeros(4)  # neighbours below the offset: number, sums of both, sum of products
    for band in _bands(images, every):
        y = np.nan_to_num((band.astype(np.float64) - law.offset) / law.gain, posinf=0, neginf=0)
        noise = (law.sigma / law.gain) ** 2
        for i, lag in enumerate((1, 2)):
            for a, b in ((y[lag:], y[:-lag]), (y[:, lag:], y[:, :-lag])):
                total, power = a + b, (a - b) ** 2 - 2 * noise
                least = -5 * law.sigma / law.gain
                low = (a < 0) & (b < 0) & (a > least) & (b > least)
                under += low.sum(), a[low].sum(), b[low].sum(), a[low] @ b[low]
                dim = total <= DIM
                squares[i] += power[dim].sum(), power[~dim].sum()
                sums[i] += total[dim].sum(), total[~dim].sum()
                bright += total.size - int(np.count_nonzero(dim))
                equal += int(np.count_nonzero(power[~dim] == 0))
        same += np.sum(y * (y - 1) - noise)
        pairs = (y[1:], y[:-1]), (y[:, 1:], y[:, :-1]), (y[1:, 1:], y[:-1, :-1])
        touching += sum(np.sum(a * b) for a, b in (*pairs, (y[1:, :-1], y[:-1, 1:]))) / 4
    with np.errstate(divide="ignore", invalid="ignore"):
        near, far = squares / sums
    gain, structure = (4 * near[0] - far[0]) / 3, max(0.0, far[0] - near[0])
    number, first, second, product = under
    return bool(
        # Below the offset is read noise, which neighbours do not share; a smooth picture has π/2.
        (number < FEWEST or product * number < AGREE * first * second)
        and 1 / AGREE < gain < AGREE + structure
        and (sums[0, 1] < FEWEST * DIM or equal <= EQUAL * bright)  # drawn areas have one value
        and (sums[0, 1] < FEWEST * DIM or near[1] > 1 / AGREE)  # structure only adds to it
        and (touching < FEWEST or same > TOGETHER * touching)
    )


def _bands(images: Sequence[np.ndarray], every: int) -> Iterator[np.ndarray]:
    """Every so many bands of rows of all planes."""
    bands = (
        plane[top : top + _BAND]
        for image in images
        for plane in image
        for top in range(0, len(plane), _BAND)
    )
    return islice(bands, 0, None, every)
