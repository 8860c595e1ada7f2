r"""The empirical Wiener filter: every frequency of a window is kept by the share that is signal.

Windows overlap by half and are weighed twice by the root of a Hann window, so that they sum to one.
In each, the power of noisy values is the signal's plus the noise's, and a frequency is kept by

.. math:: \frac{\max(S_y - S_n, 0)}{S_y}, \quad \text{then} \quad \frac{S_1}{S_1 + S_n},

where S_y is averaged over neighbouring windows and frequencies, and S_1 is the power of the first
pass, as in BM3D. There are no further assumptions, so it is what a denoiser has to beat.

N. Wiener, "Extrapolation, Interpolation, and Smoothing of Stationary Time Series", 1949.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from scipy.fft import fftn, ifftn
from scipy.ndimage import uniform_filter

SIDES = {1: 64, 2: 16, 3: 8}  #: side of a window in samples, by the number of axes
SHARED = 5  #: windows, and frequencies, along each axis, that share one spectrum
CHANCE = 1.05  #: factor by which power must exceed the noise to count as signal, not as chance


def wiener(x: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """The signal in values ``(*S)`` with noise of the power `noise`; float32.

    noise : expected power of the noise at each frequency of a window, relative to that of white
        noise with variance 1 (`window_power`), ``(side,) * ndim`` in the order of `numpy.fft`.
    """
    spectra = _spectra(x, len(noise))
    power = uniform_filter(np.abs(spectra) ** 2, [SHARED] * x.ndim + [1] * x.ndim, mode="nearest")
    power = uniform_filter(power, [1] * x.ndim + [SHARED] * x.ndim, mode="wrap")
    gain = np.clip(1 - CHANCE * noise / np.maximum(power, 1e-20), 0, 1)
    first = np.abs(_spectra(_overlaid(spectra * gain, x.shape), len(noise))) ** 2
    return _overlaid(spectra * (first / np.maximum(first + noise, 1e-20)), x.shape)


def window_power(autocorrelation: np.ndarray, side: int | None = None) -> np.ndarray:
    """Expected ``|fftn|²`` of a window of noise with variance 1 and this autocorrelation.

    autocorrelation : at lags −R … R along each axis, 1 in the middle.
    """
    ndim, radius = autocorrelation.ndim, len(autocorrelation) // 2
    side = side or SIDES[ndim]
    reach = min(radius, side - 1)
    window = _window(side)
    overlap = np.correlate(window, window, "full")  # of the window with itself, for each lag
    lags = np.arange(-reach, reach + 1)
    weight = overlap[lags + side - 1]
    wrapped = np.zeros((side,) * ndim)
    weights: Any = weight
    for _ in range(ndim - 1):
        weights = np.multiply.outer(weights, weight)
    middle = (slice(radius - reach, radius + reach + 1),) * ndim
    np.add.at(wrapped, np.ix_(*[lags % side] * ndim), autocorrelation[middle] * weights)
    result: np.ndarray = np.maximum(fftn(wrapped).real, 0)
    return result


def _window(side: int) -> np.ndarray:
    """The root of a Hann window, along one axis: its squares at half overlap add up to one."""
    return np.sin(np.pi * (np.arange(side) + 0.5) / side).astype(np.float32)


def _weights(side: int, ndim: int) -> np.ndarray:
    result = window = _window(side)
    for _ in range(ndim - 1):
        result = np.multiply.outer(result, window)
    return result


def _spectra(x: np.ndarray, side: int) -> np.ndarray:
    """Spectra of all windows of ``(*S)``, mirrored at the border; first the windows by axis."""
    step, ndim = side // 2, x.ndim
    x = np.pad(x.astype(np.float32), [(side, side + -n % step) for n in x.shape], mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(x, (side,) * ndim)[
        (slice(None, None, step),) * ndim
    ]
    result: np.ndarray = fftn(windows * _weights(side, ndim), axes=tuple(range(ndim, 2 * ndim)))
    return result


def _overlaid(spectra: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The values ``(*S)`` of that shape from the spectra of its windows."""
    ndim, side = len(shape), spectra.shape[-1]
    step = side // 2
    parts = ifftn(spectra, axes=tuple(range(ndim, 2 * ndim))).real * _weights(side, ndim)
    out = np.zeros([(n + 1) * step for n in parts.shape[:ndim]], np.float32)
    order = [i for axis in range(ndim) for i in (axis, ndim + axis)]
    for start in product((0, 1), repeat=ndim):  # every second window along each axis
        part = parts[tuple(slice(i, None, 2) for i in start)]
        sides = [n * side for n in part.shape[:ndim]]
        whole = part.transpose(order).reshape(sides)
        out[tuple(slice(i * step, i * step + n) for i, n in zip(start, sides, strict=True))] += (
            whole
        )
    return out[tuple(slice(side, side + n) for n in shape)]
