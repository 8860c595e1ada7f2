"""Heart beats in an ECG, or in another recording that picked up an ECG.

A beat is a short event of 10–40 Hz that comes back with the same shape at 30 to 200 a minute.
Either polarity will do. Spikes of EMG, bursts of breathing muscles and firing motor units are not
taken for beats, because their shapes or their intervals differ.

Recordings are searched in blocks of `BLOCK` seconds, each with the blocks before and after it. So a
part that begins at a multiple of it has the same beats as the whole, a block within its ends.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

BLOCK = 20  #: seconds that are searched together
BAND = (10.0, 40.0)  #: Hz, where a QRS complex stands out from EMG and from the T wave
REFRACTORY = 0.25  #: seconds between beats, at least
SLOWEST, FASTEST = 60 / 30, 60 / 200  #: seconds between beats
HALF = 0.08  #: seconds to either side of a beat that are compared with other beats
#: deviation of an interval from the median of so many, relative to it
EVEN, NEIGHBOURS = 0.2, 5
UNEVEN = 0.8  #: how much time with uneven intervals counts, as in atrial fibrillation
#: heights of peaks, relative to the highest ones, above which they are tried as beats
THRESHOLDS = np.geomspace(0.15, 0.85, 12)
BETTER = 0.02  #: quality that fewer beats must add to be chosen: every second one may match as well
LEAST = 3  #: beats that make a rhythm
#: places at least so many seconds from a beat look like one from this height on, relative to it
NEAR, ALIKE = 0.1, 0.6
#: the least quality of beats: EMG reaches 0.5, regular bursts 0.7, an ECG in EMG 0.85 or more
SURE = 0.75


class Beats(NamedTuple):
    """Beats in a recording.

    positions : of the R peaks, in samples, rising; quality : 0 to 1, how much their shapes and
    intervals resemble each other. There are no positions where the quality is below `SURE`.
    """

    positions: np.ndarray
    quality: float


def beats(x: np.ndarray, rate: float) -> np.ndarray:
    """R peaks of a recording ``(T,)`` in samples; empty if there is no rhythm.

    rate : samples a second. Missing values must be filled.
    """
    return find_beats(x, rate).positions


def block_of(rate: float) -> int:
    """`BLOCK` in samples."""
    return max(1, round(BLOCK * rate))


def find_beats(x: np.ndarray, rate: float) -> Beats:
    """The same, and how sure it is."""
    x = np.asarray(x, np.float64)
    block = block_of(rate)
    found, qualities = [], []
    for start in range(0, len(x), block):
        low = max(0, start - block)
        positions, quality = _rhythm(x[low : start + 2 * block], rate)
        positions = positions + low
        found.append(positions[(positions >= start) & (positions < start + block)])
        qualities.append((quality, min(block, len(x) - start)))
    if not found:
        return Beats(np.empty(0, np.int64), 0.0)
    positions = np.concatenate(found)
    apart = np.diff(positions, prepend=-np.inf) >= REFRACTORY * rate  # not twice at a block's end
    quality = float(np.average([q for q, _ in qualities], weights=[n for _, n in qualities]))
    return Beats(positions[apart].astype(np.int64), quality)


def calibrates(x: np.ndarray, rate: float) -> bool:
    """Whether a recording ``(T,)`` shows the square wave with which recorders are calibrated.

    Its edges are alike, except that every second one is upside down.
    """
    y, envelope = _banded(np.asarray(x, np.float64), rate)
    peaks = _peaks(envelope, rate)
    peaks = peaks[envelope[peaks] > 0.5 * envelope.max(initial=0)]
    if len(peaks) < LEAST:
        return False
    parts = _cut(y, peaks, rate)
    parts /= np.maximum(np.linalg.norm(parts, axis=1, keepdims=True), 1e-30)
    return bool(np.median(np.sum(parts[1:] * parts[:-1], axis=1)) < -ALIKE)


def _rhythm(x: np.ndarray, rate: float) -> Beats:
    """Beats of a part of a recording, which has one rhythm or none."""
    from scipy.ndimage import correlate1d

    none = Beats(np.empty(0, np.int64), 0.0)
    if rate <= 2.5 * BAND[0] or len(x) < 2 * rate or np.ptp(x) == 0:
        return none
    y, envelope = _banded(x, rate)
    best = _best(y, envelope, rate)
    # The beats' shape finds those that are buried in bursts of EMG, and their exact place.
    for _ in range(2):
        if not len(best.positions):
            return none
        shape = np.median(_cut(y, best.positions, rate), axis=0)
        matched = correlate1d(y, shape / (np.linalg.norm(shape) or 1.0), mode="constant")
        best = _best(y, matched.clip(0), rate)
    if len(best.positions):
        best = best._replace(quality=best.quality * _alone(matched, best.positions, rate))
    if best.quality < SURE:
        return Beats(none.positions, best.quality)
    return Beats(_centred(y, best.positions, rate), best.quality)


def _banded(x: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """A recording in the band of QRS complexes, and its envelope."""
    from scipy.ndimage import correlate1d
    from scipy.signal import butter, sosfiltfilt

    band = butter(2, (BAND[0], min(BAND[1], 0.45 * rate)), "bandpass", fs=rate, output="sos")
    y = sosfiltfilt(band, x - np.median(x), padlen=min(len(x) - 1, round(rate)))
    window = np.hanning(max(3, round(0.1 * rate)) + 2)[1:-1]
    return y, np.sqrt(correlate1d(y**2, window / window.sum(), mode="constant").clip(0))


def _peaks(height: np.ndarray, rate: float) -> np.ndarray:
    """Where `height` is largest among all places nearer than the refractory time."""
    from scipy.ndimage import maximum_filter1d

    top = maximum_filter1d(height, 2 * round(REFRACTORY * rate) + 1, mode="constant")
    return np.flatnonzero((height == top) & (height > 0))


def _best(y: np.ndarray, height: np.ndarray, rate: float) -> Beats:
    """Of the peaks of `height` above any threshold, those that are most like beats."""
    peaks = _peaks(height, rate)
    found = height[peaks]
    best = Beats(peaks[:0], 0.0)
    for threshold in np.quantile(found, 0.98) * THRESHOLDS if len(found) else ():
        chosen = peaks[found >= threshold]
        if (quality := _quality(y, chosen, rate)) > best.quality + BETTER:
            best = Beats(chosen, quality)
    return best


def _quality(y: np.ndarray, positions: np.ndarray, rate: float) -> float:
    """How much the beats' shapes, and the intervals between them, resemble each other."""
    from scipy.ndimage import median_filter

    if len(positions) < LEAST:
        return 0.0
    intervals = np.diff(positions) / rate
    usual = median_filter(intervals, NEIGHBOURS, mode="nearest")
    # Where beats were missed, others lie between them, or there are none, time is uneven.
    likely = (intervals >= FASTEST) & (intervals <= SLOWEST)
    even = likely & (np.abs(intervals - usual) <= EVEN * usual)
    if not likely.any():
        return 0.0
    time = intervals[even].sum() + UNEVEN * intervals[likely & ~even].sum()
    covered = (time + np.median(intervals[likely])) * rate / len(y)
    return _likeness(y, positions, rate) ** 2 * min(1.0, float(covered))


def _likeness(y: np.ndarray, positions: np.ndarray, rate: float) -> float:
    """Median correlation of each beat with the mean of the others."""
    parts = _cut(y, positions, rate)
    parts = parts / np.maximum(np.linalg.norm(parts, axis=1, keepdims=True), 1e-30)
    others = parts.sum(axis=0) - parts
    others /= np.maximum(np.linalg.norm(others, axis=1, keepdims=True), 1e-30)
    return float(np.median(np.sum(parts * others, axis=1)))


def _alone(matched: np.ndarray, positions: np.ndarray, rate: float) -> float:
    """The share of beats among all places that look like one; motor units fire more often."""
    from scipy.ndimage import maximum_filter1d

    near = round(NEAR * rate)
    level = ALIKE * float(np.median(matched[positions]))
    top = (matched >= level) & (matched == maximum_filter1d(matched, 2 * near + 1))
    alike = np.flatnonzero(top)
    closest = np.searchsorted(positions, alike).clip(1, len(positions) - 1)
    far = np.minimum(abs(alike - positions[closest - 1]), abs(alike - positions[closest]))
    return len(positions) / (len(positions) + int(np.sum(far > near)))


def _cut(y: np.ndarray, positions: np.ndarray, rate: float) -> np.ndarray:
    """Parts ``(N, M)`` around every position; zeros beyond the ends."""
    half = round(HALF * rate)
    padded = np.pad(y, half)
    return padded[positions[:, None] + np.arange(2 * half + 1)]


def _centred(y: np.ndarray, positions: np.ndarray, rate: float) -> np.ndarray:
    """The positions moved, all alike, to the largest deflection of their mean shape."""
    half = round(HALF * rate)
    shape = np.abs(_cut(y, positions, rate).mean(axis=0))
    moved = positions + int(np.argmax(shape)) - half
    return moved[(moved >= 0) & (moved < len(y))]
