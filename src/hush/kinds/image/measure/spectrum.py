"""The spectrum of flat blocks, separated into noise, white or blurred, and structure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np

from hush.kinds.image.measure.blocks import (
    BAND,
    COLS,
    DCT,
    EVEN,
    HIGH,
    LOW,
    ODD,
    ROWS,
    SIZE,
    Blocks,
    sharp,
)
from hush.kinds.image.measure.transfer import Bend, Bent, Curve
from hush.noise.spectrum import OCTAVES, levels

ENOUGH = 1000  #: number of (overlapping) blocks needed to distinguish correlated from white noise
FLATTEST = (0.01, 0.03, 0.1)  #: shares of the flattest blocks with spectra to compare
_GRID = 64  #: side of the grid of frequencies on which kernels are made
#: misfit of a steeper kernel, relative to a Gaussian one's, below which it is taken; 0.85 and more
#: where noise was blurred by a Gaussian, 0.36 to 0.64 where it is the mean of 2×2 pixels
CLEARER = 0.8
_POWERS, _CUTS = (3.0, 4.0), np.geomspace(0.06, 0.6, 16)  #: of `_steeper` ones
#: products of the values of each function of the DCT at distances −7 to 7, summed
_PRODUCTS = np.stack([np.correlate(row, row, "full") for row in DCT])
QUIET = 0.25  #: blocks with less than this share of the noise's mean variance are left out


@dataclass(frozen=True)
class Spectrum:
    """The noise in the spectrum of flat blocks, in units of the curve's variance."""

    correlated: bool
    correlation: np.ndarray  # at lags 1 to 7
    kernel: float
    variance: float
    shape: np.ndarray  # (64,) with mean 1
    means: np.ndarray  # density in each octave, of which white noise has 1
    error: float  # relative error of the level if structure was mistaken for noise


class Kernel(NamedTuple):
    """Blurred noise of variance 1: the kernel's width in pixels, autocorrelation at lags 1 to 7,
    block spectrum ``(64,)`` and mean density in each octave.

    Blocks see the density through windows: their coefficients leak into each other. So its octaves
    are the kernel's own.
    """

    width: float
    lags: np.ndarray
    shape: np.ndarray
    means: np.ndarray


def _kernel(width: float, power: np.ndarray) -> Kernel:
    """The kernel with this power density on an FFT grid."""
    lags = np.fft.ifft2(power).real
    lags = lags / lags[0, 0]
    shape = seen_in_blocks(lags)
    along = (lags[0, 1:SIZE] + lags[1:SIZE, 0]) / 2
    density = power / power.mean()
    return Kernel(width, along, shape, np.square(levels(density, density, OCTAVES)[0]))


def seen_in_blocks(lags: np.ndarray) -> np.ndarray:
    """The block spectrum ``(64,)`` of noise with these autocorrelations, of an FFT grid."""
    near = np.arange(1 - SIZE, SIZE)
    made: np.ndarray = (_PRODUCTS @ lags[np.ix_(near, near)] @ _PRODUCTS.T).ravel()
    return made


def _on_grid() -> np.ndarray:
    """Cycles per pixel on the grid of kernels."""
    f = np.fft.fftfreq(_GRID)
    return np.hypot(f[:, None], f[None, :])


@cache
def _kernels() -> list[Kernel]:
    """Gaussian kernels, which tell blurred noise from structure."""
    widths = [*np.arange(0.3, 1.0, 0.05), *np.arange(1.0, 2.6, 0.1)]
    made = []
    for width in map(float, widths):
        kernel = np.exp(-(np.arange(-12, 13) ** 2) / (2 * width**2))
        line = np.zeros(_GRID)
        line[np.arange(-12, 13)] = kernel
        density = np.abs(np.fft.fft(line)) ** 2
        made.append(_kernel(width, np.outer(density, density)))
    return made


@cache
def _steeper() -> list[Kernel]:
    """Kernels that keep coarse detail whole and remove fine detail more sharply than a Gaussian,
    as means over neighbours, interpolation and smoothing against noise do."""
    radius = _on_grid()
    return [
        _kernel(math.nan, np.exp(-((radius / cut) ** power))) for power in _POWERS for cut in _CUTS
    ]


def spectrum_of(blocks: Blocks, curve: Curve, bend: Bend) -> Spectrum:
    """Split the spectrum of the flattest blocks into noise, white or blurred, and structure."""
    seen = Bent(curve, bend, blocks.mean).variance_at(blocks.mean)
    # Dark areas may have almost no noise: their blocks are the flattest, but contain nothing.
    loud = seen >= QUIET * seen.mean()
    blocks, seen = blocks.take(loud), seen[loud]
    even, odd = (blocks.energy[:, half].mean(axis=1) / seen for half in (EVEN, ODD))

    def measure(share: float) -> np.ndarray:
        number = min(max(int(share * len(seen)), 100), len(seen))
        spectrum = np.empty(SIZE**2)
        for judge, judged in ((odd, EVEN), (even, ODD), (even + odd, ~LOW)):
            chosen = np.argpartition(judge, number - 1)[:number]
            spectrum[judged] = (blocks.energy[chosen] / seen[chosen, None]).mean(axis=0)[judged]
        return spectrum

    inner, middle, outer = (measure(share)[1:] for share in FLATTEST)  # without the mean
    f2 = (ROWS**2 + COLS**2)[1:].astype(np.float64)
    falling = [1 / f2, 1 / f2**2]

    plain = np.stack([np.ones_like(f2), *falling], axis=1)
    weight = 1 / np.maximum(middle, 1e-6)
    white = float(_nonnegative((plain * weight[:, None])[None], middle * weight)[1][0])
    gaussian, parts, misfit = _separated(middle, plain)
    correlation = gaussian.lags * parts[-1] / max(parts[0] + parts[-1], 1e-30)

    importance = np.where(LOW, np.minimum(1.0, (ROWS + COLS) / 4), 0.0)[1:]
    excess = np.average(outer, weights=importance) - outer[HIGH[1:]].mean()
    growth = np.average(outer - inner, weights=importance)
    # If no fit is good, as in texture, the blurred part must explain a share of the misfit.
    explained = white - misfit > max(0.3, 0.25 * white)
    matters, everywhere = correlation[0] > 0.1, growth < 0.4 * excess
    correlated = matters and explained and everywhere and len(seen) >= ENOUGH
    if not correlated and len(seen) >= ENOUGH and _rises(inner, middle, outer):
        mild, flat, blurred = _mild(middle)
        made = _spectrum(mild, flat, blurred)
        if made.correlation[0] <= MILD and mild.width < NARROW:
            variance = max(parts[0] + parts[-1], 1e-30)
            return replace(made, variance=variance)
    kernel = gaussian
    if correlated:
        steeper, others, left = _separated(middle, plain, kernels=_steeper())
        if left < CLEARER * misfit:
            kernel, parts = steeper, others
    flat, *steep, blurred = parts
    structure = steep[0] * falling[0] + steep[1] * falling[1]
    made = _spectrum(kernel, flat, blurred)
    measured = (BAND if correlated and not sharp(made.shape) else HIGH)[1:]
    noise = made.shape[1:] * made.variance  # can be 0 where blur leaves nothing
    error = 0.5 * float(
        (structure / np.maximum(noise, np.maximum(structure, 1e-30)))[measured].mean()
    )
    return replace(made, correlated=bool(correlated), kernel=gaussian.width, error=error)


def _spectrum(kernel: Kernel, flat: float, blurred: float) -> Spectrum:
    """Noise of two parts with these variances, white and blurred."""
    variance = max(flat + blurred, 1e-30)
    lags, shape, means = (blurred * part / variance for part in kernel[1:])
    white = flat / variance
    return Spectrum(True, lags, kernel.width, variance, white + shape, white + means, 0.0)


#: bands of a block's spectrum, in cycles per pixel, from the finest, and the least power of mildly
#: correlated noise in each, relative to the first
BANDS = (0.5, 0.375, 0.25, 0.1875, 0.125)
LEAST = (1.09, 1.155, 1.23)
#: kernel from which on structure looks alike: of 432 pictures with white noise of σ 2 to 50 whose
#: power rises so, none has a narrower one; mildly correlated noise has a kernel of 0.40 to 0.45
NARROW = 0.475
MILD = 0.15  #: the most correlation of neighbours of such noise; more would be seen without it
GROWTH = 1.08  #: the most by which it may grow from the flattest to less flat blocks


def _bands(spectrum: np.ndarray) -> np.ndarray:
    """Mean power in `BANDS`, relative to the finest, of a spectrum ``(63,)`` without the mean."""
    radius = np.hypot(ROWS, COLS)[1:] / (2 * SIZE)
    power = [spectrum[radius >= BANDS[1]].mean()]
    power += [
        spectrum[(radius >= low) & (radius < high)].mean() for high, low in pairwise(BANDS[1:])
    ]
    return np.array(power[1:]) / max(power[0], 1e-30)


def _rises(*spectra: np.ndarray) -> bool:
    """Whether the power rises to coarser bands as that of mildly correlated noise does.

    It rises in the finest bands, where structure has next to no power, and in the flattest blocks
    as in less flat ones.
    """
    inner, middle, outer = map(_bands, spectra)
    rises = np.minimum(middle, outer) >= LEAST
    return bool(rises.all() and (outer <= GROWTH * inner).all())


def _mild(spectrum: np.ndarray) -> tuple[Kernel, float, float]:
    """Kernel of mildly correlated noise, and the variances of its white and its blurred part, from
    the fine bands of a spectrum ``(63,)`` alone."""
    fine = np.hypot(ROWS, COLS)[1:] / (2 * SIZE) >= BANDS[-1]
    kernel, (flat, blurred), _ = _separated(spectrum, np.ones((len(fine), 1)), fine)
    return kernel, float(flat), float(blurred)


def _separated(
    spectrum: np.ndarray,
    plain: np.ndarray,
    where: np.ndarray | slice = slice(None),
    kernels: Sequence[Kernel] = (),
) -> tuple[Kernel, np.ndarray, float]:
    """The kernel, of Gaussian ones by default, that fits a spectrum ``(63,)`` best beside `plain`
    columns, the amplitudes of these and of its noise, and the squared misfit; by the coefficients
    `where`."""
    table, target = kernels or _kernels(), spectrum[where]
    weight = 1 / np.maximum(target, 1e-6)
    every = np.stack([np.column_stack([plain, row.shape[1:]])[where] for row in table])
    parts, misfits = _nonnegative(every * weight[:, None], target * weight)
    best = int(np.argmin(misfits))
    return table[best], parts[best], float(misfits[best])


def _nonnegative(columns: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Non-negative least squares of several sets ``(n, m, k)`` of a few columns: coefficients
    ``(n, k)``, and the squared residuals ``(n,)``.

    Tries all subsets and takes the best non-negative solution, which is exact. Importing
    `scipy.optimize` would take longer than the whole estimate.
    """
    number = columns.shape[-1]
    products, along = columns.swapaxes(-1, -2) @ columns, target @ columns
    best, least = np.zeros_like(along), np.full(len(along), float(target @ target))
    for size in range(1, number + 1):
        for subset in map(list, combinations(range(number), size)):
            inverse = np.linalg.pinv(products[:, subset][..., subset], hermitian=True)
            solution = np.einsum("nij,nj->ni", inverse, along[:, subset])
            left = target @ target - (along[:, subset] * solution).sum(axis=1)
            better = (solution >= 0).all(axis=1) & (left < least)
            least[better] = left[better]
            best[better] = 0
            best[np.ix_(better, subset)] = solution[better]
    return best, np.maximum(least, 0.0)
