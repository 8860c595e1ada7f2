"""What beats of the heart add to a signal: their mean shape, their power, and what lies between."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

#: Hz; a QRS complex is above the first, EMG and not the T wave above the second
QRS, BETWEEN = 10.0, 20.0
#: seconds around a beat that belong to it, and those that its mean is shown for
NEAR, SHOWN = 0.1, 0.3
#: beats that make an ECG; the least share of its power above `QRS`, of that above `DRIFT` Hz: waves
#: of pressure beat as well, but have next to none there
FEWEST, SHARP, DRIFT = 5, 0.03, 1.0
#: Hz; EMG has most of its power above, an ECG next to none, and no power line is there
MUSCLE = 65.0
#: ratio of a signal above `MUSCLE`, between beats, to its ECG, in dB: below, it is an ECG only
PURE = -22.0
#: the same above `QRS`, for the median of short parts, where the rate is too low for EMG
PURE_SLOW = -15.0
PART = 0.05  #: seconds of such a part
#: share of a signal's power, without that of noise, from which on it is nothing else
EXPLAINED = 0.85
SEARCHED = 60  #: seconds of a signal in which an ECG is looked for
FAINT = 10.0  #: dB; of an ECG that is this much weaker than the rest nobody can be sure


@dataclass(frozen=True)
class Heart:
    """The ECG in a signal.

    pace : beats a minute; power : of the ECG above 10 Hz, in the signal's unit squared.
    snr : power of the signal between beats over that of the ECG, in dB.
    pure : whether the signal is an ECG, rather than one with an ECG in it.
    beating, whole : power above 1 Hz, of what is alike at every beat and of the signal.
    """

    positions: np.ndarray
    pace: float
    power: float
    snr: float
    pure: bool
    beating: float = 0.0
    whole: float = 0.0

    def explains(self, sigma: float) -> bool:
        """Whether the signal is an ECG, besides white noise of this level."""
        return self.beating > EXPLAINED * (self.whole - sigma**2)


def heart_in(x: np.ndarray, rate: float) -> Heart | None:
    """The ECG in a signal ``(T,)``; None if there is none.

    Beats are looked for in a rather quiet part of a long signal, to save time.
    """
    from hush.kinds.signal.beats import beats

    filled = bridged(x)
    if filled is None:
        return None
    part = quiet_part(filled, rate)
    seen = filled[part]
    return of_beats(seen, rate, beats(seen, rate), filled if len(seen) < len(filled) else None)


def quiet_part(x: np.ndarray, rate: float) -> slice:
    """The `SEARCHED` seconds of a signal that are stronger than only a quarter of the others."""
    size = round(SEARCHED * rate)
    if len(x) <= size:
        return slice(0, len(x))
    starts = np.arange(0, len(x) - size + 1, max(1, size // 2))
    power = np.concatenate([[0.0], np.cumsum(np.square(above(x, rate, BETWEEN)))])
    order = np.argsort(power[starts + size] - power[starts])
    start = int(starts[order[len(order) // 4]])
    return slice(start, start + size)


def of_beats(
    x: np.ndarray, rate: float, positions: np.ndarray, whole: np.ndarray | None = None
) -> Heart | None:
    """The ECG in a signal without gaps, whose beats are at these positions.

    whole : the signal that this is a part of; muscles may be active elsewhere.
    """
    if len(positions) < FEWEST:
        return None
    power = locked_power(above(x, rate, QRS), positions, rate)
    steady = above(x, rate, DRIFT)
    beating = locked_power(steady, positions, rate, SHOWN)
    if power < SHARP * beating:
        return None
    apart = between(len(x), positions, rate)
    if power <= 0 or not apart.any():
        return None
    high = np.square(above(x, rate, BETWEEN))
    rest = high[apart]
    elsewhere = 0.0 if whole is None else _more(whole, high, rate, BETWEEN)
    if rate > 3 * MUSCLE:
        own = np.square(above(x, rate, MUSCLE))
        muscle = float(own[apart].mean())
        muscle += 0.0 if whole is None else _more(whole, own, rate, MUSCLE)
        pure = _decibels(muscle / power) < PURE
    else:
        size = min(len(rest), max(1, round(PART * rate)))
        parts = rest[: len(rest) // size * size].reshape(-1, size).mean(axis=1)
        pure = _decibels(float(np.median(parts)) / power) < PURE_SLOW
    pace = 60 * rate / float(np.median(np.diff(positions)))
    snr = _decibels((float(rest.mean()) + elsewhere) / power)
    if snr > FAINT:
        return None
    seen = steady if whole is None else above(whole, rate, DRIFT)
    return Heart(positions, pace, power, snr, pure, beating, float(np.var(seen)))


def _more(whole: np.ndarray, own: np.ndarray, rate: float, frequency: float) -> float:
    """How much more power a signal has above a frequency than its part, whose power is `own`."""
    power = float(np.mean(np.square(above(whole, rate, frequency))))
    return max(0.0, power - float(own.mean()))


def _decibels(ratio: float) -> float:
    return 10 * math.log10(max(ratio, 1e-12))


def bridged(x: np.ndarray) -> np.ndarray | None:
    """A signal ``(T,)`` about its median, straight lines across gaps; None if it is constant."""
    known = np.isfinite(x)
    if not known.any():
        return None
    y = x.astype(np.float64)
    y -= np.median(y[known])
    if not known.all():
        y = np.interp(np.arange(len(y)), np.flatnonzero(known), y[known])
    return y if np.ptp(y) > 0 else None


def above(x: np.ndarray, rate: float, frequency: float) -> np.ndarray:
    """A signal's part above a frequency (Butterworth, 4th order, forwards and backwards)."""
    from scipy.signal import butter, sosfiltfilt

    if frequency >= 0.49 * rate or len(x) < 8:
        return np.zeros(len(x))
    sos = butter(4, frequency, "highpass", fs=rate, output="sos")
    out: np.ndarray = sosfiltfilt(sos, x, padlen=min(len(x) - 1, round(rate)))
    return out


def between(length: int, positions: np.ndarray, rate: float) -> np.ndarray:
    """Where a signal is further than `NEAR` from every beat, bool ``(T,)``."""
    reach, edges = round(NEAR * rate), np.zeros(length + 1, np.int64)
    np.add.at(edges, np.maximum(positions - reach, 0), 1)
    np.add.at(edges, np.minimum(positions + reach + 1, length), -1)
    apart: np.ndarray = np.cumsum(edges[:-1]) == 0
    return apart


def cut(x: np.ndarray, positions: np.ndarray, rate: float, seconds: float) -> np.ndarray:
    """Parts ``(N, M)`` around the beats that have so much on both sides."""
    half = round(seconds * rate)
    whole = positions[(positions >= half) & (positions + half < len(x))]
    parts: np.ndarray = x[whole[:, None] + np.arange(-half, half + 1)]
    return parts


def locked_power(x: np.ndarray, positions: np.ndarray, rate: float, seconds: float = NEAR) -> float:
    """Power of what is alike at every beat, within so many seconds, averaged over all of a signal.

    The mean shapes of odd and of even beats are multiplied: what is not alike has no share.
    """
    parts = cut(x, positions, rate, seconds)
    if len(parts) < 2:
        return 0.0
    odd, even = parts[::2].mean(axis=0), parts[1::2].mean(axis=0)
    return float(odd @ even) * len(positions) / len(x)
