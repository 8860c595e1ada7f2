"""Zero-filled Fourier space: an MR scanner's interpolation, found in an image and undone.

Scanners fill up what they acquired of k-space with zeros, so that images come out larger. Beyond
the last acquired frequency there is nothing of the object, and noise that was white is correlated.
On the grid that was acquired it is white again, and there are fewer pixels to work on.

Zero-filling leaves a step in the power spectrum along that axis; real objects have none. Taking
the magnitude spreads noise beyond the step, but only in part.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from hush.noise.process import Process
from hush.results import Estimate, Restoration

FEWEST, MOST = 96, 1024  #: sides in pixels, below and above which no step is looked for
STEP = 3.0  #: power within over power beyond the step, at least
SLOPE = 3.0  #: and its logarithm, over that of the change within as wide a band on either side
_LOWEST = 0.15  #: cycles per pixel, from which on a step is looked for
_BAND = 0.025  #: width of what is compared, in cycles per pixel
_EDGE = 0.008  #: a window blurs the step by so much, in cycles per pixel
_OTHERS = 0.06  #: frequencies along the other axis, from which on they count


def acquired(x: np.ndarray) -> tuple[int, int]:
    """Rows and columns that an image ``(C, H, W)`` had before zero-filling; mostly its own."""
    height, width = x.shape[1:]
    if min(height, width) < FEWEST or max(height, width) > MOST or not np.isfinite(x).all():
        return height, width
    windows = np.outer(np.hanning(height), np.hanning(width))
    power = (np.abs(np.fft.fft2((x - x.mean((1, 2), keepdims=True)) * windows)) ** 2).sum(0)
    return _extent(power), _extent(power.T)


def reduced(x: np.ndarray) -> np.ndarray:
    """An image ``(C, H, W)`` on the grid that was acquired; mostly itself."""
    return resized(x, acquired(x))


def resized(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """``(C, H, W)`` on a grid of `size`, Fourier's components being cropped or zero-filled.

    An image without negative values is a magnitude, and stays one. float32.
    """
    if x.shape[1:] == tuple(size):
        return x
    from scipy.signal import resample  # as long to import as half of torch

    out = x
    for axis, length in zip((1, 2), size, strict=True):
        if x.shape[axis] != length:
            out = resample(out, length, axis=axis)
    return np.asarray(np.abs(out) if x.min() >= 0 else out, dtype=np.float32)


def _extent(power: np.ndarray) -> int:
    """How many of the frequencies along the first axis were acquired; `power` is ``(n, m)``."""
    length, others = power.shape
    if not power.any():
        return length
    # Logarithms: the edges of an object are bright lines, which a mean would follow.
    seen = np.log(power[:, np.abs(np.fft.fftfreq(others)) >= _OTHERS] + 1e-12 * power.max())
    at = np.arange(1, length // 2)
    total = np.concatenate([[0], np.cumsum((seen[at] + seen[-at]).mean(axis=1) / 2)])

    def mean(start: np.ndarray) -> np.ndarray:
        """In the band that begins at these frequencies, in cycles per pixel."""
        first, last = (np.round((start + d) * length).astype(int) - 1 for d in (0, _BAND))
        return (total[last] - total[first]) / (last - first)

    reach = _EDGE + 2 * _BAND
    cut = at[(at >= _LOWEST * length) & (at < (0.5 - reach) * length)] / length
    inside, beyond = mean(cut - _EDGE - _BAND), mean(cut + _EDGE)
    slopes = [mean(cut - reach) - inside, beyond - mean(cut + _EDGE + _BAND)]
    step = inside - beyond
    step[step < SLOPE * np.abs(slopes).max(axis=0)] = 0
    if step.max() < math.log(STEP):
        return length
    return 2 * round(float(cut[step.argmax()]) * length) + 1


Restore = Callable[
    [np.ndarray, Process | None, Callable[[float], None] | None, Estimate | None], Restoration
]


def as_acquired(
    restore: Restore,
    x: np.ndarray,
    noise: Process | None,
    advance: Callable[[float], None] | None,
    found: Estimate | None,
) -> Restoration:
    """`restore` of what a scanner acquired of an image, and zero-filled again as it was."""
    smaller = reduced(x)
    made = restore(smaller, noise, advance, found)
    if smaller is x:
        return made
    untouched = np.array_equal(made.data, smaller)
    return dataclasses.replace(
        made,
        data=x.copy() if untouched else resized(made.data, x.shape[1:]),
        spread=None if made.spread is None else np.abs(resized(made.spread, x.shape[1:])),
    )
