"""What surface EMG is used for: its features, and how well denoising keeps them.

ARV, the average rectified value, follows the force of a muscle; MF, the mean frequency of the power
spectrum, falls as it tires. Equation numbers are those of MID's paper; windows are those of SDEMG.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hush.errors import HushError

ARV_WINDOW = 1.0  #: seconds
#: seconds: a frame's window and step; at 1 kHz, 128 and 32 samples in an FFT of 256
FRAME, HOP = 0.128, 0.032
LOWEST = 10.0  #: Hz, from which on frequencies count
#: muscles work where the envelope, over so many seconds, exceeds a share of its 95th percentile
ENVELOPE, SHARE = 0.25, 0.2


def features(
    x: np.ndarray, rate: float, active: np.ndarray | None = None
) -> Mapping[str, np.ndarray | float]:
    """Features of an EMG recording ``(T,)``.

    rate : samples a second. active : bool ``(T,)``, where muscles work; by default where the
    envelope says so. Returns

    - ``arv`` ``(N,)``: in windows of 1 s, in units of `x`; a shorter recording is one window;
    - ``mf`` ``(M,)``: in Hz, in windows of 128 ms every 32 ms;
    - ``active`` ``(M,)``: whether muscles work in those windows;
    - ``mean_arv``, ``mean_mf``: their means, that of MF over active windows; NaN if there are none.
    """
    x = _signal(x, rate)
    frequencies = mean_frequency(x, rate)
    frames = active_frames(x, rate, active)
    worked = frequencies[frames & np.isfinite(frequencies)]
    values = arv(x, rate)
    return {
        "arv": values,
        "mf": frequencies,
        "active": frames,
        "mean_arv": float(values.mean()),
        "mean_mf": float(worked.mean()) if len(worked) else float("nan"),
    }


def arv(x: np.ndarray, rate: float) -> np.ndarray:
    """Average rectified value (eq. 16) in whole windows of 1 s ``(N,)``."""
    x = _signal(x, rate)
    window = min(len(x), round(ARV_WINDOW * rate))
    count = len(x) // window
    means: np.ndarray = np.abs(x[: count * window]).reshape(count, window).mean(axis=1)
    return means


def mean_frequency(x: np.ndarray, rate: float) -> np.ndarray:
    """Mean frequency of the power spectrum (eq. 17) from 10 Hz on, of every frame ``(M,)``, in Hz.

    NaN where there is no power.
    """
    x = _signal(x, rate)
    window = _frame(rate)
    parts = _frames(x, rate) * np.hamming(window)
    power = np.abs(np.fft.rfft(parts, 2 * window, axis=1)) ** 2
    f = np.fft.rfftfreq(2 * window, 1 / rate)
    counts = f >= LOWEST
    total = power[:, counts].sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        frequencies: np.ndarray = power[:, counts] @ f[counts] / total
    return np.where(total > 0, frequencies, np.nan)


def active_frames(x: np.ndarray, rate: float, active: np.ndarray | None = None) -> np.ndarray:
    """Frames ``(M,)`` in whose middle muscles work, by `active` ``(T,)`` or by `working`."""
    x = _signal(x, rate)
    if active is None:
        active = working(x, rate)
    active = np.asarray(active, bool)
    if active.shape != x.shape:
        raise HushError(
            f"activity of {active.shape} does not fit a signal of {x.shape}; give a value a sample"
        )
    window = _frame(rate)
    return _frames(active, rate)[:, window // 2]


def working(x: np.ndarray, rate: float) -> np.ndarray:
    """Where muscles work ``(T,)``, by the envelope: the rms over 250 ms."""
    x = _signal(x, rate)
    size = min(len(x), max(1, round(ENVELOPE * rate)))
    power = np.convolve(np.pad(x**2, size // 2, "edge"), np.ones(size) / size, "valid")[: len(x)]
    envelope = np.sqrt(power.clip(0))
    result: np.ndarray = envelope > SHARE * np.quantile(envelope, 0.95)
    return result


# -- how close a result is to a reference ----------------------------------------------------


def snr(x: np.ndarray, reference: np.ndarray) -> float:
    """Power of the reference over that of the difference, in dB (eq. 14)."""
    x, reference = _pair(x, reference)
    error = float(np.sum((x - reference) ** 2))
    power = float(np.sum(reference**2))
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(10 * (np.log10(power) - np.log10(error)))


def snr_improvement(result: np.ndarray, reference: np.ndarray, noisy: np.ndarray) -> float:
    """By how many dB denoising improved the SNR (eq. 13)."""
    return snr(result, reference) - snr(noisy, reference)


def rmse(x: np.ndarray, reference: np.ndarray) -> float:
    """Root mean square of the difference (eq. 15), in units of the reference."""
    x, reference = _pair(x, reference)
    return float(np.sqrt(np.mean((x - reference) ** 2)))


def prd(x: np.ndarray, reference: np.ndarray) -> float:
    """Root mean square of the difference, in per cent of that of the reference."""
    power = float(np.sqrt(np.mean(np.square(np.asarray(reference, np.float64)))))
    return 100 * rmse(x, reference) / power if power else float("nan")


def arv_rmse(x: np.ndarray, reference: np.ndarray, rate: float) -> float:
    """Root mean square error of the average rectified value."""
    return rmse(arv(x, rate), arv(reference, rate))


def mf_rmse(
    x: np.ndarray, reference: np.ndarray, rate: float, active: np.ndarray | None = None
) -> float:
    """Root mean square error of the mean frequency in Hz, in frames where muscles work.

    active : as in `features`, by default from the reference. NaN if they never do.
    """
    x, reference = _pair(x, reference)
    frames = active_frames(reference, rate, active)
    difference = (mean_frequency(x, rate) - mean_frequency(reference, rate))[frames]
    difference = difference[np.isfinite(difference)]
    return float(np.sqrt(np.mean(difference**2))) if len(difference) else float("nan")


# -- parts -----------------------------------------------------------------------------------


def _signal(x: np.ndarray, rate: float) -> np.ndarray:
    x = np.asarray(x, np.float64)
    if x.ndim != 1 or not len(x):
        raise HushError(f"EMG features need one channel (T,) of samples, not the shape {x.shape}")
    if not rate > 2 * LOWEST:
        raise HushError(f"EMG features need a sampling rate above {2 * LOWEST:g} Hz, not {rate:g}")
    return x


def _pair(x: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if np.shape(x) != np.shape(reference):
        raise HushError(
            f"only signals of one shape can be compared, not {np.shape(x)} and "
            f"{np.shape(reference)}"
        )
    return np.asarray(x, np.float64), np.asarray(reference, np.float64)


def _frame(rate: float) -> int:
    return max(2, round(FRAME * rate))


def _frames(x: np.ndarray, rate: float) -> np.ndarray:
    """Frames ``(M, window)`` of a signal; a shorter one is padded to one frame."""
    window, hop = _frame(rate), max(1, round(HOP * rate))
    if len(x) < window:
        x = np.pad(x, (0, window - len(x)))
    return np.lib.stride_tricks.sliding_window_view(x, window)[::hop]
