"""The noise of a signal of unknown content: the white floor of its quiet stretches.

The noise of one channel is what is left where the signal is weakest, in time and in frequency. So
the spectrum is measured in short blocks; the quietest blocks give a level for each of several
frequency bands, and the floor is the lower quartile of these levels. For white noise all levels are
equal. A signal that is sampled much faster than it changes leaves the high bands to the noise, and
one with pauses leaves all of them. A steady signal that fills every band cannot be told from noise:
then the levels differ from band to band, the floor is an upper limit, and the estimate says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hush.noise.processes import Gaussian
from hush.results import Estimate

FRAME = 256  #: samples of a spectrum
BANDS = 16  #: equal parts of the spectrum, without its ends
PARTS = 8  #: of a frame, none of which may be constant
BLOCK = 8  #: spectra that are averaged
QUIET = 0.1  #: share of the blocks that are taken as quiet
LOW, FLOOR, HIGH = 0.125, 0.25, 0.5  #: quantiles of the bands' levels
#: how far the lower quartile of a few bands is below their mean, in deviations of their levels
LOWER = 0.55
#: logarithm of their upper level over their lower one that chance makes, in such deviations
EVEN = 2.5
ONE_DEVIATION = 0.683  #: share of normal values within one deviation
#: samples of which none may be a step, and share of those that may be another one: of a trigger the
#: level changes seldom, and a counter begins again seldom
STEPPED, OTHERS = 8, 0.25
#: doubt about the floor from which on it could also be the signal
DOUBTFUL = 0.1
#: what else the floor of a steady signal may be, in `Estimate.alternatives`
ITSELF = "signal"


@dataclass(frozen=True)
class Floor:
    """The white noise of a signal.

    sigma : its deviation; error : relative standard error of that; doubt : the part of it that is
    due to levels that differ from band to band.
    """

    sigma: float
    error: float
    doubt: float = 0.0


def measured(items: Sequence[np.ndarray]) -> Estimate:
    """The common white noise of items ``(C, T)``, float32, NaN for missing values.

    `Estimate.alternatives` holds `ITSELF` where the signal cannot be told from noise.
    """
    channels = list(zip(*items, strict=True))
    floors = [[floor(x) for x in rows] for rows in channels]
    levels = tuple(_rms([f.sigma for f in row]) for row in floors)
    sigma, error = _rms(levels), _rms([f.error for row in floors for f in row])
    doubt = _rms([f.doubt for row in floors for f in row])
    return Estimate(
        Gaussian(sigma),
        sigma,
        channels=levels,
        uncertainty=error,
        alternatives=(ITSELF,) if sigma and doubt > DOUBTFUL else (),
        amplitude=_rms([amplitude(x) for rows in channels for x in rows]),
    )


def amplitude(x: np.ndarray) -> float:
    """RMS of a signal ``(T,)`` about its mean; 0 if nothing is known."""
    seen = x[np.isfinite(x)].astype(np.float64)
    return float(seen.std()) if seen.size else 0.0


def floor(x: np.ndarray) -> Floor:
    """The white floor of a signal ``(T,)``; missing values and flat stretches are left out.

    Of a signal too short for spectra the level is that of its second differences; of triggers and
    counters it is 0.
    """
    if stepped(x):
        return Floor(0.0, 0.0)
    length = FRAME
    while length > len(x) // 4:
        length //= 2
    power = spectra(x, length) if length >= 4 * BANDS else np.empty((0, 0))
    if not len(power):
        return _short(x)
    bins = power[:, 2:-1]  # the mean and what a window leaks from it, and the last one's half
    width = bins.shape[1] // BANDS
    bands = bins[:, -width * BANDS :].reshape(len(bins), BANDS, width).mean(axis=2)
    size = min(BLOCK, len(bands))
    blocks = bands[: len(bands) // size * size].reshape(-1, size, BANDS).mean(axis=1)
    # Hann windows that overlap by half correlate powers a little, and those of neighbours a lot.
    likeness = 1.056 * (1 + 0.889 * (1 - 1 / width) + 0.056 * max(0.0, 1 - 2 / width))
    freedom = 2 * size * width / likeness
    count = max(1, round(QUIET * len(blocks)))
    quiet = np.argsort(np.log(np.maximum(blocks, 1e-300)).mean(axis=1))[:count]
    level = blocks[quiet].mean(axis=0)
    level /= math.exp(_lowest(count, len(blocks)) * math.sqrt(2 / (freedom * BANDS)))
    low, middle, high = np.quantile(level, (LOW, FLOOR, HIGH))
    if middle <= 0:
        return Floor(0.0, 0.0)
    spread = math.sqrt(2 / (freedom * count))
    chance = spread / 2 / math.sqrt(FLOOR * BANDS)
    slope = math.log(high / max(low, 1e-3 * high))
    sigma = math.sqrt(middle / (1 - LOWER * spread))
    doubt = 0.25 * slope * (slope > EVEN * spread)
    return Floor(sigma, math.hypot(chance, doubt), doubt)


def stepped(x: np.ndarray) -> bool:
    """Whether a channel ``(T,)`` holds two levels, or one step again and again.

    That is a trigger or a counter, which no noise is in.
    """
    seen = x[np.isfinite(x)].astype(np.float64)
    if len(seen) < STEPPED:
        return False
    low, high, steps = seen.min(), seen.max(), np.diff(seen)
    if low == high:
        return False
    if ((seen == low) | (seen == high)).all():
        return bool(np.mean(steps != 0) < OTHERS)
    step, rounding = float(np.median(steps)), 2 * float(np.spacing(x.dtype.type(max(-low, high))))
    return abs(step) > rounding and bool(np.mean(np.abs(steps - step) > rounding) < OTHERS)


def _short(x: np.ndarray) -> Floor:
    """The noise of a few samples, from two thirds of the second differences, without the largest.

    Their median, as for pictures, would be less exact.
    """
    second = np.abs(np.diff(x.astype(np.float64), 2))
    second = second[np.isfinite(second)]
    if not second.size:
        return Floor(0.0, 0.0)
    sigma = float(np.quantile(second, ONE_DEVIATION)) / math.sqrt(6)
    return Floor(sigma, min(1.0, 1.3 / math.sqrt(second.size)) if sigma else 0.0)


def spectra(x: np.ndarray, length: int) -> np.ndarray:
    """Periodograms ``(N, length // 2 + 1)`` of a signal's frames that overlap by half.

    Frames with missing values, or with an eighth that is constant, are left out. White noise has
    its variance at every frequency.
    """
    frames = np.lib.stride_tricks.sliding_window_view(x, length)[:: length // 2]
    frames = frames[np.isfinite(frames).all(axis=1)].astype(np.float64)
    parts = frames.reshape(len(frames), PARTS, length // PARTS)
    frames = frames[(np.ptp(parts, axis=2) > 0).all(axis=1)]
    frames -= frames.mean(axis=1, keepdims=True)
    window = np.hanning(length + 1)[:-1]
    power: np.ndarray = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
    return power / float(window @ window)


def _lowest(few: int, count: int) -> float:
    """The mean to expect of the lowest few of `count` normal values, in deviations (Blom)."""
    from statistics import NormalDist

    normal = NormalDist()
    places = [normal.inv_cdf((i + 1 - 0.375) / (count + 0.25)) for i in range(few)]
    return sum(places) / few


def _rms(values: Sequence[float]) -> float:
    return math.sqrt(float(np.mean(np.square(values)))) if len(values) else 0.0
