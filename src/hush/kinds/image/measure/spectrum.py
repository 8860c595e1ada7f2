"""The spectrum of flat blocks, separated into noise, white or blurred, and structure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise

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
from hush.noise.spectrum import Octaves

ENOUGH = 1000  #: number of (overlapping) blocks needed to distinguish correlated from white noise
FLATTEST = (0.01, 0.03, 0.1)  #: shares of the flattest blocks with spectra to compare
QUIET = 0.25  #: blocks with less than this share of the noise's mean variance are left out


@dataclass(frozen=True)
class Spectrum:
    """The noise in the spectrum of flat blocks, in units of the curve's variance."""

    correlated: bool
    correlation: np.ndarray  # at lags 1 to 7
    kernel: float
    variance: float
    shape: np.ndarray  # (64,) with mean 1
    error: float  # relative error of the level if structure was mistaken for noise


def octaves(shape: np.ndarray) -> Octaves:
    """A spectrum ``(64,)`` of a block's coefficients as densities per octave.

    Coefficient k has k/16 cycles per pixel, so blocks see four octaves.
    """
    radius = np.hypot(ROWS, COLS) / (2 * SIZE)
    bounds = [radius >= 1 / 4, radius >= 1 / 8, radius > 1 / 16, radius > 0]
    parts = [here & ~finer for here, finer in zip(bounds, [radius > 1, *bounds], strict=False)]
    return Octaves(tuple(float(shape[part].mean()) for part in parts))


@cache
def _kernels() -> list[tuple[float, np.ndarray, np.ndarray]]:
    """Kernel widths, and autocorrelation (lags 1 to 7) and block spectrum of the blurred noise."""
    table = []
    for width in [*np.arange(0.3, 1.0, 0.05), *np.arange(1.0, 2.6, 0.1)]:
        kernel = np.exp(-(np.arange(-12, 13) ** 2) / (2 * width**2))
        lags = np.convolve(kernel, kernel)[24 : 24 + SIZE]
        matrix = lags[np.abs(np.subtract.outer(np.arange(SIZE), np.arange(SIZE)))] / lags[0]
        line = np.einsum("ki,ij,kj->k", DCT, matrix, DCT)
        table.append((float(width), lags[1:] / lags[0], np.outer(line, line).ravel()))
    return table


def blurred(width: float, correlation: float) -> np.ndarray:
    """The block spectrum ``(64,)``, with mean 1, of noise with this correlation of neighbours, a
    part of it blurred by a kernel of this width."""
    _, lags, shape = min(_kernels(), key=lambda row: abs(row[0] - width))
    share = min(1.0, correlation / float(lags[0]))
    return 1 - share + share * shape


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
    (kernel, lags, shape), (flat, *steep, blurred), misfit = _separated(middle, plain)
    variance = max(flat + blurred, 1e-30)
    noise = (flat + blurred * shape) / variance
    structure = steep[0] * falling[0] + steep[1] * falling[1]
    correlation = lags * blurred / variance

    importance = np.where(LOW, np.minimum(1.0, (ROWS + COLS) / 4), 0.0)[1:]
    excess = np.average(outer, weights=importance) - outer[HIGH[1:]].mean()
    growth = np.average(outer - inner, weights=importance)
    # If no fit is good, as in texture, the blurred part must explain a share of the misfit.
    explained = white - misfit > max(0.3, 0.25 * white)
    matters, everywhere = correlation[0] > 0.1, growth < 0.4 * excess
    correlated = matters and explained and everywhere and len(seen) >= ENOUGH
    if not correlated and len(seen) >= ENOUGH and _rises(inner, middle, outer):
        width, lags, shape = _mild(middle)
        if lags[0] <= MILD and width < NARROW:
            return Spectrum(True, lags, width, variance, shape, error=0.0)
    measured = (BAND if correlated and not sharp(noise) else HIGH)[1:]
    error = 0.5 * float((structure / (noise[1:] * variance))[measured].mean())
    return Spectrum(bool(correlated), correlation, kernel, variance, noise, error)


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


def _mild(spectrum: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Kernel, correlation at lags 1 to 7 and block spectrum of mildly correlated noise, from the
    fine bands of a spectrum ``(63,)`` alone."""
    fine = np.hypot(ROWS, COLS)[1:] / (2 * SIZE) >= BANDS[-1]
    (width, lags, shape), (flat, part), _ = _separated(spectrum, np.ones((len(fine), 1)), fine)
    total = max(flat + part, 1e-30)
    return width, lags * part / total, (flat + part * shape) / total


def _separated(
    spectrum: np.ndarray, plain: np.ndarray, where: np.ndarray | slice = slice(None)
) -> tuple[tuple[float, np.ndarray, np.ndarray], np.ndarray, float]:
    """The row of `_kernels` that fits a spectrum ``(63,)`` best beside `plain` columns, the
    amplitudes of these and of its noise, and the squared misfit; by the coefficients `where`."""
    table, target = _kernels(), spectrum[where]
    weight = 1 / np.maximum(target, 1e-6)
    every = np.stack([np.column_stack([plain, shape[1:]])[where] for *_, shape in table])
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
