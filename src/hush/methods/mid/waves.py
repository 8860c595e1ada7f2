r"""Fine waves, as of crystals, gratings and cloth, that are weaker than the noise at each pixel.

Φ weighs some tens of pixels as it learned from photographs, where such regularity is rare, and
would smooth it away. In the spectrum of a window it is a peak far above the noise. So if there are
peaks in what Φ removed, the waves are taken out of the image before Φ and put back after it.

The windows are Hann windows that overlap by half, so they sum to one. A peak stands out of the
noise's power, averaged over 3 × 3 windows, so far that less than one bin in 10⁹ would by chance;
and out of the bins around it, because edges make lines in a spectrum, and texture makes clouds.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from hush.noise.process import Process
from hush.noise.spectrum import OCTAVES, Octaves
from hush.tiling import tiles

SIDE = 64  #: of a window, in pixels
LONGEST = 16.0  #: period in pixels
CHANCE = 1e-9  #: for a bin of noise to be a peak
ALONE = 5.0  #: least power of a peak, relative to all bins at a distance of `RING`
RING = 3
REACH = 2  #: bins around a peak that belong to it
TILE = 512  #: side of the tiles in which larger images are searched

_HOP = SIDE // 2


def waves(x: np.ndarray, noise: Process, state: np.ndarray | None = None) -> np.ndarray | None:
    """The waves in an image ``(C, H, W)`` that stand out of its noise, or with a denoised `state`
    those in what was removed; None if there are none."""
    if min(x.shape[1:]) < SIDE:
        return None
    density = _density(noise, len(x))
    local = np.broadcast_to(noise.variance(x), x.shape) if noise.varies else None
    out: np.ndarray | None = None
    for tile in tiles(x.shape[1:], TILE, 3 * _HOP, _HOP, border=_HOP):
        part = tile.of(x)
        variance = noise.variance(part) if local is None else tile.of(local)
        places = zip(tile.inner, tile.crop, tile.reads, strict=True)
        known = [at == np.arange(len(at)) + i.start - c.start for i, c, at in places]
        seen = part if state is None else part - tile.of(state)
        found = _waves(seen, variance, np.outer(*known), density)
        if found is not None:
            out = np.zeros_like(x) if out is None else out
            out[:, *tile.inner] = found[:, *tile.crop]
    return out


def _waves(
    x: np.ndarray, variance: np.ndarray, known: np.ndarray, density: np.ndarray
) -> np.ndarray | None:
    """The waves in an image whose sides are multiples of the windows' distance; `known` pixels are
    not mirrored. None if there are none."""
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(SIDE) + 0.5) / SIDE)
    window = np.outer(taper, taper)
    cut = _cut(x)
    spectra = np.fft.fft2((cut - cut.mean((3, 4), keepdims=True)) * window)
    expected = _cut(variance).mean((3, 4), keepdims=True) * np.sum(window**2) * density
    whole = _cut(known[None].astype(np.float32)).min(
        (3, 4), keepdims=True
    )  # without mirrored pixels
    number = _three(whole)
    power = np.abs(spectra) ** 2 / np.maximum(expected, 1e-30)
    power = _three(power * whole) / np.maximum(number, 1)
    peaks = _peaks(power, number)
    if not peaks.any():
        return None
    out = np.zeros_like(x)
    kept = np.where(_greatest(peaks, REACH), np.maximum(1 - 1 / np.maximum(power, 1), 0), 0)
    parts = np.fft.ifft2(spectra * kept).real.astype(np.float32)
    for i, j in np.argwhere(peaks.any((0, 3, 4))):
        out[:, i * _HOP : i * _HOP + SIDE, j * _HOP : j * _HOP + SIDE] += parts[:, i, j]
    return out


def _cut(x: np.ndarray) -> np.ndarray:
    """The windows of ``(C, H, W)``: ``(C, rows, columns, SIDE, SIDE)``."""
    return sliding_window_view(x, (SIDE, SIDE), axis=(1, 2))[:, ::_HOP, ::_HOP]


def _three(x: np.ndarray) -> np.ndarray:
    """Sums over each window and its neighbours."""
    for axis in (1, 2):
        around = np.pad(x, [(int(i == axis),) * 2 for i in range(x.ndim)])
        x = sliding_window_view(around, 3, axis=axis).sum(axis=-1)
    return x


def _peaks(power: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Bins that stand out of noise, whose power averages 1 over this number of windows."""
    from scipy.special import gammainccinv

    least = gammainccinv(np.maximum(number, 1), CHANCE) / np.maximum(number, 1)
    f = np.fft.fftfreq(SIDE)
    fine = np.hypot(f[:, None], f) >= 1 / LONGEST
    peaks: np.ndarray = (power > least) & fine & (number > 0)
    if peaks.any():
        peaks &= power == _greatest(power, REACH)
        for axis in (3, 4):  # the four sides of the ring
            side = _greatest(power, RING, axis)
            for step in (-RING, RING):
                peaks &= power > ALONE * np.roll(side, step, axis=7 - axis)
    return peaks


def _greatest(x: np.ndarray, reach: int, *axes: int) -> np.ndarray:
    """The greatest within `reach` bins along the axes of frequency."""
    from scipy.ndimage import maximum_filter1d

    for axis in axes or (3, 4):
        x = maximum_filter1d(x, 2 * reach + 1, axis=axis, mode="wrap")
    return x


def _density(noise: Process, channels: int) -> np.ndarray:
    """The power of noise in each bin of a window, relative to that of white noise."""
    if noise.white:
        return np.ones((SIDE, SIDE))
    bright, colour = np.square(noise.octaves(OCTAVES, 2, channels))
    own = (bright + (channels - 1) * colour) / channels
    return Octaves(tuple(own.tolist())).power((SIDE, SIDE))[0]
