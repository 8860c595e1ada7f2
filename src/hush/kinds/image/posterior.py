r"""Posterior mean of a pixel from a blind-spot prediction and a known noise law: E[x | y].

A network that does not see pixel y predicts it by μ. The residual r = y − μ is the noise n, about
which μ has no information, plus what μ missed of the clean x. The two are uncorrelated, so the
spectra add,

.. math:: S_r(f) = S_{x - \mu}(f) + S_n(f), \quad
          \hat x = \mu + \frac{S_r - S_n}{S_r} * r,

which is the Wiener filter; with Gaussian x and n it is the posterior mean. S_n follows from the
variance and autocorrelation of the noise. S_r is measured in windows, averaged over neighbouring
windows and frequencies. For white noise and the mean over all frequencies this is the
1 − σ²/Var(y) of a single pixel. Frequency by frequency, it brings back the edges that
the prediction blurred, but not the noise between them.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import fft2, ifft2
from scipy.ndimage import uniform_filter

SIDE = 16  #: side of a window in pixels; windows overlap by half
_SPACE, _FREQUENCY = 5, 5  #: windows and frequencies, along each axis, that share one spectrum
_CHANCE = 1.05  #: factor by which power must exceed the noise to count as structure, not as chance


def posterior_mean(
    y: np.ndarray, prediction: np.ndarray, variance: np.ndarray, autocorrelation: np.ndarray
) -> np.ndarray:
    """The best linear estimate from noisy pixels and a blind prediction, float32 ``(C, H, W)``.

    y, prediction : ``(C, H, W)``. variance : of the noise in each pixel, the same shape.
    autocorrelation : of the noise at lags up to R, ``(2R+1, 2R+1)`` with 1 in the middle.
    """
    deviation = np.sqrt(np.maximum(variance, 0)).astype(np.float32)
    unit = np.where(deviation > 0, y - prediction, 0) / np.where(deviation > 0, deviation, 1)
    noise = _noise_spectrum(autocorrelation)
    kept = np.stack([_wiener(plane.astype(np.float32), noise) for plane in unit])
    result: np.ndarray = np.where(deviation > 0, prediction + deviation * kept, y)
    return result.astype(np.float32)


def _window() -> np.ndarray:
    """The root of a Hann window, along one axis: its squares at half overlap add up to one."""
    return np.sin(np.pi * (np.arange(SIDE) + 0.5) / SIDE).astype(np.float32)


def _noise_spectrum(autocorrelation: np.ndarray) -> np.ndarray:
    """Expected ``|fft2|²`` of a window of noise with variance 1."""
    radius = len(autocorrelation) // 2
    reach = min(radius, SIDE - 1)
    overlap = np.correlate(_window(), _window(), "full")  # of the window with itself, for each lag
    lags = np.arange(-reach, reach + 1)
    weight = overlap[lags + SIDE - 1]
    middle = slice(radius - reach, radius + reach + 1)
    wrapped = np.zeros((SIDE, SIDE))
    np.add.at(
        wrapped,
        (lags[:, None] % SIDE, lags % SIDE),
        autocorrelation[middle, middle] * np.outer(weight, weight),
    )
    result: np.ndarray = np.maximum(fft2(wrapped).real, 0)
    return result


def _wiener(residual: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """The structure in a residual ``(H, W)`` with noise of variance 1.

    Two passes, as in BM3D: the result of the first is the second's S_{x−μ}, window by window.
    """
    spectra = _spectra(residual)
    power = uniform_filter(np.abs(spectra) ** 2, (_SPACE, _SPACE, 1, 1), mode="nearest")
    power = uniform_filter(power, (1, 1, _FREQUENCY, _FREQUENCY), mode="wrap")
    gain = np.clip(1 - _CHANCE * noise / np.maximum(power, 1e-20), 0, 1)
    first = np.abs(_spectra(_overlaid(spectra * gain, residual.shape))) ** 2
    return _overlaid(spectra * (first / np.maximum(first + noise, 1e-20)), residual.shape)


def _spectra(x: np.ndarray) -> np.ndarray:
    """Spectra of all windows of ``(H, W)``, mirrored at the border: ``(m, n, SIDE, SIDE)``."""
    step = SIDE // 2
    x = np.pad(x, [(SIDE, SIDE + -n % step) for n in x.shape], mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(x, (SIDE, SIDE))[::step, ::step]
    result: np.ndarray = fft2(windows * np.outer(_window(), _window()))
    return result


def _overlaid(spectra: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """The image ``(H, W)`` of that size from the spectra of its windows."""
    step = SIDE // 2
    parts = ifft2(spectra).real * np.outer(_window(), _window())
    out = np.zeros([(n + 1) * step for n in parts.shape[:2]], np.float32)
    for i in (0, 1):
        for j in (0, 1):  # every second window along each axis: they do not overlap
            part = parts[i::2, j::2]
            rows, columns = part.shape[0] * SIDE, part.shape[1] * SIDE
            whole = part.transpose(0, 2, 1, 3).reshape(rows, columns)
            out[i * step : i * step + rows, j * step : j * step + columns] += whole
    return out[SIDE : SIDE + size[0], SIDE : SIDE + size[1]]
