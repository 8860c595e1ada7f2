"""Zero-filled k-space: an MR scanner's interpolation, detected in an image and undone.

Scanners pad the k-space they acquired with zeros, so that images become larger. Above the highest
acquired frequency there is nothing of the object, and noise that was white becomes correlated. On
the acquired grid it is white again, and there are fewer pixels to process.

Zero-filling leaves a step in the power spectrum along that axis; real objects have none. Taking
the magnitude spreads noise beyond the step, but only in part. Means over pixels have nulls in their
spectrum, beyond which there is power again. A picture enlarged by a good filter has a step, too,
and the same remedy.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from hush.memo import memoised
from hush.noise.process import Process
from hush.results import Estimate, Restoration

FEWEST, MOST = 96, 1024  #: the shortest and longest sides, in pixels, on which to look for a step
STEP = 4.8  #: least ratio of the power inside to the power beyond the step; print has up to 4.4
SLOPE = 3.0  #: least ratio of the log step to the log change within an equal band on either side
_LOWEST = 0.15  #: lowest frequency of a step, in cycles per pixel
_BAND = 0.025  #: width of the compared bands, in cycles per pixel
_EDGE = 0.008  #: how much the window blurs the step, in cycles per pixel
_OTHERS = 0.06  #: lowest frequency along the other axis that counts


def acquired(x: np.ndarray) -> tuple[int, int]:
    """Rows and columns of an image ``(C, H, W)`` before zero-filling; its own if there was none."""
    height, width = x.shape[1:]
    if min(height, width) < FEWEST or max(height, width) > MOST or not np.isfinite(x).all():
        return height, width
    return _acquired(x)


@memoised
def _acquired(x: np.ndarray) -> tuple[int, int]:
    height, width = x.shape[1:]
    windows = np.outer(np.hanning(height), np.hanning(width))
    power = (np.abs(np.fft.fft2((x - x.mean((1, 2), keepdims=True)) * windows)) ** 2).sum(0)
    return _extent(power), _extent(power.T)


def reduced(x: np.ndarray) -> np.ndarray:
    """An image ``(C, H, W)`` on the acquired grid; the same array if it was not zero-filled."""
    return resized(x, acquired(x))


def resized(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """``(C, H, W)`` on a grid of `size`, by cropping or zero-filling its spectrum. float32.

    An image without negative values is taken for a magnitude, and the result has none either.
    """
    if x.shape[1:] == tuple(size):
        return x
    from scipy.signal import resample  # takes half as long to import as torch

    out = x
    for axis, length in zip((1, 2), size, strict=True):
        if x.shape[axis] != length:
            out = resample(out, length, axis=axis)
    return np.asarray(np.abs(out) if x.min() >= 0 else out, dtype=np.float32)


def _extent(power: np.ndarray) -> int:
    """The number of acquired frequencies along the first axis of `power` ``(n, m)``."""
    length, others = power.shape
    if not power.any():
        return length
    # Logarithms, because an object's edges are bright lines that would dominate a mean.
    seen = np.log(power[:, np.abs(np.fft.fftfreq(others)) >= _OTHERS] + 1e-12 * power.max())
    at = np.arange(1, length // 2)
    total = np.concatenate([[0], np.cumsum((seen[at] + seen[-at]).mean(axis=1) / 2)])

    def mean(start: np.ndarray) -> np.ndarray:
        """Mean over the bands that begin at these frequencies, in cycles per pixel."""
        first, last = (np.round((start + d) * length).astype(int) - 1 for d in (0, _BAND))
        return (total[last] - total[first]) / (last - first)

    reach = _EDGE + 2 * _BAND
    cut = at[(at >= _LOWEST * length) & (at < (0.5 - reach) * length)] / length
    inside, beyond = mean(cut - _EDGE - _BAND), mean(cut + _EDGE)
    starts = np.arange(round(_LOWEST * length), round((0.5 - _BAND) * length)) / length
    highest = np.maximum.accumulate(mean(starts)[::-1])[::-1]  # of the bands from there on
    rest = highest[np.searchsorted(starts, cut + _EDGE)]
    slopes = [mean(cut - reach) - inside, beyond - mean(cut + _EDGE + _BAND)]
    step = inside - beyond
    step[step < SLOPE * np.abs(slopes).max(axis=0)] = 0
    step[step < SLOPE * (rest - beyond)] = 0  # the null of a filter, such as a mean over pixels
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
    """Apply `restore` on the acquired grid of an image and zero-fill the result again."""
    varies = noise is not None and noise.varies  # a map is on the grid of the file
    smaller = x if varies else reduced(x)
    made = restore(smaller, noise, advance, found and found.on(smaller.shape[1:]))
    if smaller is x:
        return made
    untouched = np.array_equal(made.data, smaller)
    process = made.process
    if process is not None and process.varies:  # its map is on the acquired grid
        process = found.local if found is not None else None
    return dataclasses.replace(
        made,
        process=process,
        data=x.copy() if untouched else resized(made.data, x.shape[1:]),
        spread=None if made.spread is None else np.abs(resized(made.spread, x.shape[1:])),
        taken=None if made.taken is None else resized(made.taken, x.shape[1:]),
        replaced=None,  # its pixels are not those of the file
    )
