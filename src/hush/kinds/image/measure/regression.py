r"""Noise that is correlated along one axis only, as of line scanners and analogue video.

A filter of first order along rows makes white noise n such noise: :math:`y_j = r\,y_{j-1} + n_j`.
It is seen in flat blocks, at the high frequencies of the other axis, where structure is weakest:
their spectrum along rows is that of the filter, and at high frequencies of rows that along columns
is flat. Noise that a lens, a camera or JPEG has smoothed is correlated along both.

The inverse filter, :math:`y_j - r\,y_{j-1}`, makes the noise white again.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from hush.kinds.image.measure.blocks import COLS, DCT, ROWS, SIZE, Blocks
from hush.noise.processes import Gamma, Poisson, PoissonGaussian, Process
from hush.noise.units import fixed

LEAST = 0.25  #: least coefficient of a filter that counts
FLAT = 0.2  #: the most by which the other axis' spectrum may rise to low frequencies, relative
MISFIT = 0.15  #: the most by which a filter's spectrum may be off, relative, rms
SHARES = (0.02, 0.1)  #: of the flattest blocks, in all of which it must be about the same
APART = 0.1  #: how far the coefficients may be apart
ENOUGH = 1000  #: blocks
_HALF = SIZE // 2
_COEFFICIENTS = np.arange(-0.9, 0.951, 0.025)


def regression_of(blocks: Blocks) -> tuple[float, ...]:
    """The filter's coefficients down and across, one of them 0; empty for other noise."""
    if len(blocks.high) < ENOUGH or not blocks.high.any():
        return ()
    found = [_seen(blocks, share) for share in SHARES]
    down, across = (max(v) - min(v) for v in zip(*found, strict=True))
    if max(down, across) > APART or any(bool(d) == bool(a) for d, a in found):
        return ()
    return found[-1]


def whitened(x: np.ndarray, regression: tuple[float, ...]) -> np.ndarray:
    """An image ``(C, H, W)`` after the inverse filter; the first pixels keep their variance."""
    for axis, r in enumerate(regression, 1):
        if r:
            moved = np.moveaxis(x, axis, -1)
            out = moved.copy()
            out[..., 1:] -= np.float32(r) * moved[..., :-1]
            # As if the same value had come before, which continues the picture.
            out[..., 0] *= np.float32(1 - r)
            x = np.moveaxis(out, -1, axis)
    return np.ascontiguousarray(x)


def coloured(x: np.ndarray, regression: tuple[float, ...]) -> np.ndarray:
    """The image of which `whitened` made this one."""
    from scipy.signal import lfilter

    for axis, r in enumerate(regression, 1):
        if r:
            first = np.moveaxis(x, axis, -1).astype(np.float64)
            first[..., 0] /= 1 - r
            x = np.moveaxis(lfilter([1.0], [1.0, -r], first), -1, axis)
    return np.ascontiguousarray(x, np.float32)


def law_of_white(process: Process, regression: tuple[float, ...]) -> Process:
    """The law of the noise after the inverse filter, of which that of the image is known.

    The inverse filter leaves the share 1 − r of brightness, and 1 − r² of the variance.
    """
    return _law(process, 1 - sum(regression), 1 - sum(regression) ** 2)


def law_of_image(process: Process, regression: tuple[float, ...]) -> Process:
    """The law of the noise in the image, of which that after the inverse filter is known."""
    return _law(process, 1 / (1 - sum(regression)), 1 / (1 - sum(regression) ** 2))


def _law(process: Process, signal: float, variance: float) -> Process:
    """The law if the signal has this ratio and the variance that one."""
    if isinstance(process, Poisson):
        return Poisson(fixed(process.peak) * signal / variance)
    if isinstance(process, PoissonGaussian):
        gain, read, offset = map(fixed, (process.gain, process.sigma, process.offset))
        return PoissonGaussian(gain * variance / signal, read * variance**0.5, offset * signal)
    if isinstance(process, Gamma):
        return Gamma(fixed(process.shape) * signal**2 / variance)
    return process.scaled(variance)


def _seen(blocks: Blocks, share: float) -> tuple[float, float]:
    """The coefficients down and across in this share of the flattest blocks."""
    number = min(len(blocks.high), max(ENOUGH // 2, int(share * len(blocks.high))))
    out = []
    for own, other in ((ROWS, COLS), (COLS, ROWS)):
        judge = (own < _HALF) & (other < _HALF) & (own + other > 0)
        flattest = np.argpartition(blocks.energy[:, judge].mean(axis=1), number - 1)[:number]
        energy = blocks.energy[flattest].mean(axis=0)
        along = np.array([energy[(own == k) & (other >= _HALF)].mean() for k in range(SIZE)])
        across = np.array([energy[(other == k) & (own >= _HALF)].mean() for k in range(SIZE)])
        r, misfit = _fitted(along)
        rise = abs(across[1:_HALF].mean() / max(across[_HALF:].mean(), 1e-30) - 1)
        out.append(r if abs(r) >= LEAST and misfit < MISFIT and rise < FLAT else 0.0)
    return out[0], out[1]


def _fitted(along: np.ndarray) -> tuple[float, float]:
    """The coefficient whose spectrum fits best, and how far it is off."""
    spectra = _spectra()
    relative = along / np.maximum(spectra, 1e-30)
    relative = relative / np.maximum(relative.mean(axis=1, keepdims=True), 1e-30)
    off = relative.std(axis=1)
    best = int(off.argmin())
    return float(_COEFFICIENTS[best]), float(off[best])


@cache
def _spectra() -> np.ndarray:
    """Block spectra ``(n, SIZE)`` of noise of all coefficients."""
    lags = np.abs(np.subtract.outer(np.arange(SIZE), np.arange(SIZE)))
    return np.stack([np.einsum("ki,ij,kj->k", DCT, r**lags, DCT) for r in _COEFFICIENTS])
