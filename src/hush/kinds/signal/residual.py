"""Whether what was removed from a signal is interference, and what was lost with it.

White noise is judged as for any kind of data. What an ECG leaves when it is removed is not white:
it has to repeat with the heartbeat, lie below 60 Hz, and leave alone what is between beats. Hum has
to lie at its frequency and the multiples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hush.kinds import values
from hush.kinds.signal.heart import (
    BETWEEN,
    NEAR,
    QRS,
    above,
    between,
    bridged,
    cut,
    heart_in,
    locked_power,
)
from hush.kinds.signal.measure import spectra
from hush.noise.powerline import PowerLine
from hush.noise.processes import Process
from hush.noise.units import fixed
from hush.results import Judgement

if TYPE_CHECKING:
    from hush.kinds.signal import Signal

#: Hz; an ECG is below the first, and above the second there is next to nothing of it
LOW, HIGH = 60.0, 100.0
JUDGED = 20.0  #: seconds from the middle of a signal that are judged
#: limits: change of the power above 100 Hz between beats; share of what was removed below 60 Hz;
#: its level between beats, relative to that at beats; height of beats that are left
KEPT, CONFINED, SMALL, LEFT = 0.05, 0.7, 0.35, 0.3
#: power that the beats of the input have of that of the beats removed: below, they were invented
PRESENT = 0.3
INTERFERENCE = ("ecg", "powerline")  #: families that are no noise around the signal
HUM = 1.0  #: Hz around a power line and its multiples that belong to it
#: rms of what was removed, relative to the signal, that counts as next to nothing
HARDLY = 10 ** (-25 / 20)
PART = 0.05  #: seconds of the parts whose median level is that between beats
#: of the envelopes' coherence: samples a second, seconds of a segment, and Hz to average over
PACE, SEGMENT, SLOW = 50.0, 2.56, (0.5, 5.0)


@dataclass(frozen=True)
class Loss:
    """What was removed from a signal with beats, levels in the signal's unit.

    confined : share of the removed power above 10 Hz that lies below 60 Hz.
    small : its level between beats, above 20 Hz, relative to that at beats.
    before : height of the mean beat in the input; left : of what is alike at every beat, the share
        that is left, as a ratio of heights; chance : what this is by chance if nothing is left.
    before_power, removed_power : power of what is alike at every beat, in the input and in what
        was removed.
    high : share of the input's power above 100 Hz between beats that was removed; below 0, added.
        None if the rate is too low.
    """

    confined: float
    small: float
    before: float
    left: float
    chance: float
    before_power: float
    removed_power: float
    high: float | None

    @property
    def gone(self) -> bool:
        """Whether no beat is seen any more."""
        return self.left <= self.chance


def loss(y: np.ndarray, x: np.ndarray, rate: float, positions: np.ndarray) -> Loss:
    """What was lost from `y` to `x` ``(T,)``, without gaps, with beats at these positions."""
    r = y - x
    apart = between(len(y), positions, rate)
    sharp = np.square(above(r, rate, BETWEEN))
    size = max(1, round(PART * rate))
    calm = sharp[apart]
    calm = calm[: max(len(calm) // size * size, min(len(calm), size))]
    calm = calm.reshape(-1, min(size, max(1, len(calm)))).mean(axis=1)
    at = float(sharp[~apart].mean()) if not apart.all() else 0.0
    small = math.sqrt(float(np.median(calm)) / at) if calm.size and at else 0.0
    power = float(np.mean(np.square(above(r, rate, QRS))))
    beyond = float(np.mean(np.square(above(r, rate, LOW))))
    highs = [np.square(above(a, rate, HIGH))[apart] for a in (y, x)]
    high = None
    if rate > 2.5 * HIGH and apart.any() and highs[0].any():
        high = 1 - float(highs[1].mean() / highs[0].mean())
    before = cut(above(y, rate, QRS), positions, rate, NEAR)
    before_power, _ = _alike(y, rate, positions)
    after_power, chance = _alike(x, rate, positions)
    whole = max(before_power, 1e-30)
    return Loss(
        confined=1 - beyond / power if power else 1.0,
        small=small,
        before=float(np.abs(before.mean(axis=0)).max()) if len(before) else 0.0,
        left=math.sqrt(max(0.0, after_power) / whole),
        chance=math.sqrt(2 * chance / whole),
        before_power=before_power,
        removed_power=_alike(r, rate, positions)[0],
        high=high,
    )


def _alike(x: np.ndarray, rate: float, positions: np.ndarray) -> tuple[float, float]:
    """Power of what is alike at every beat (`locked_power`), and its standard error."""
    high = above(x, rate, QRS)
    parts = cut(high, positions, rate, NEAR)
    if len(parts) < 3:
        return 0.0, 0.0
    apart = parts - parts.mean(axis=0)
    products = (apart @ apart.T)[~np.eye(len(parts), dtype=bool)]
    error = 2 / len(parts) * math.sqrt(float(np.mean(np.square(products))))
    return locked_power(high, positions, rate), error * len(positions) / len(x)


def coherence(
    y: np.ndarray, r: np.ndarray, rate: float, positions: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float] | None:
    """Whether the strength of what was removed follows the signal's activity above 100 Hz.

    Returns frequencies in Hz, the squared coherence of both envelopes at them, 0 to 1, and the
    coherence that 19 of 20 unrelated signals stay below. Beats, and T waves below 20 Hz, are left
    out: there, both are strong for another reason. None if the signal is too short or its rate is
    too low.
    """
    from scipy.signal import coherence as squared

    size, segment = max(1, round(rate / PACE)), round(SEGMENT * PACE)
    if rate <= 2.5 * HIGH or len(y) // size < 4 * segment:
        return None
    count = len(y) // size
    apart = between(len(y), positions, rate)[: count * size].reshape(count, size).all(axis=1)
    if apart.sum() < count // 4:
        return None
    lines = []
    for a in (above(y, rate, HIGH), above(r, rate, BETWEEN)):
        slow = np.abs(a)[: count * size].reshape(count, size).mean(axis=1)
        lines.append(np.interp(np.arange(count), np.flatnonzero(apart), slow[apart]))
    if min(map(np.ptp, lines)) == 0:
        return None
    frequency, found = squared(*lines, fs=rate / size, nperseg=segment)
    independent = 0.9 * (2 * count / segment - 1)  # Hann windows that overlap by half
    limit = 1 - 0.05 ** (1 / max(1.0, independent - 1))
    shown = (frequency >= SLOW[0] / 2) & (frequency <= 2 * SLOW[1])
    return frequency[shown], found[shown], limit


def slow_mean(frequency: np.ndarray, found: np.ndarray) -> float:
    """The mean coherence at the speed of movements."""
    return float(found[(frequency >= SLOW[0]) & (frequency <= SLOW[1])].mean())


def spectrum(x: np.ndarray, rate: float, width: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in Hz about `width` apart, and the power density there, per Hz."""
    length = 2 ** max(4, round(math.log2(rate / width)))
    while length > max(16, len(x)):
        length //= 2
    power = spectra(x, length)
    density = 2 / rate * (power.mean(axis=0) if len(power) else np.zeros(length // 2 + 1))
    return np.fft.rfftfreq(length, 1 / rate), density


# -- judging -----------------------------------------------------------------------------------


def judged(
    kind: Signal,
    noisy: np.ndarray,
    clean: np.ndarray,
    process: Process,
    *,
    strength: float,
    scale: float,
    adaptable: bool,
    about: Mapping[str, Any],
) -> Judgement:
    """Judge what was removed from a channel ``(1, T)``, as stored.

    Of an ECG the figures include those of `Loss`, if the rate is known; ``ratio`` is None.
    """
    judgement = values.judged(
        kind, noisy, clean, process, strength=strength, scale=scale, adaptable=adaptable
    )
    if not judgement.stats["n"]:  # which the advice says
        return Judgement(judgement.stats, (), judgement.verdict)
    if process.family not in INTERFERENCE:
        return judgement
    stats = {**judgement.stats, "expected_rms": judgement.stats["rms"], "ratio": None}
    y, x = (a[0].astype(np.float64) / scale for a in (noisy, clean))
    with np.errstate(invalid="ignore"):
        removed = np.where(np.isfinite(y - x), y - x, 0.0)
    signal = bridged(y)
    rate = about.get("rate")
    if isinstance(process, PowerLine):
        return _of_hum(stats, removed, fixed(process.hertz), rate or fixed(process.rate))
    if signal is None or stats["rms"] < HARDLY * float(np.std(signal)):
        return _of_nothing(stats, signal, rate, strength)
    if rate is None:
        note = "The rate is unknown, so it cannot be said whether an ECG was removed: state --rate."
        return Judgement(stats, (note,), "")
    return _of_ecg(stats, signal, removed, rate, strength)


def _of_hum(stats: dict[str, Any], r: np.ndarray, hertz: float, rate: float) -> Judgement:
    """Hum is a tone and its harmonics, of any strength: no white noise, whose level is known."""
    if stats["rms"] == 0:
        return Judgement(stats, (), "No hum was found, and nothing was removed.")
    power = np.square(np.abs(np.fft.rfft(r - r.mean())))
    frequency = np.fft.rfftfreq(len(r), 1 / rate)
    near = np.abs(frequency - hertz * np.maximum(1, np.rint(frequency / hertz))) <= HUM
    share = float(power[near].sum() / (power.sum() or 1.0))
    said = f"{100 * share:.0f} % of it lies at {hertz:g} Hz and its multiples"
    if share < CONFINED:
        note = f"Only {said.replace('it', 'what was removed', 1)}, so it contains signal. "
        return Judgement(stats, (f"{note}Look at what was removed.",), "")
    return Judgement(stats, (), f"{said}.")


def _of_nothing(
    stats: dict[str, Any], y: np.ndarray | None, rate: float | None, strength: float
) -> Judgement:
    """Nothing or next to nothing was removed, which is right if there are no beats."""
    few = "" if stats["rms"] == 0 else "next to "
    heart = heart_in(_judged_part(y, rate), rate) if y is not None and rate and strength else None
    if heart:
        note = (
            f"{few}nothing was removed, although there are beats of the heart "
            f"({heart.pace:.0f} a minute). If the recording has other ECG than the model knows, "
            "state your own: --noise ecg:FILE."
        )
        return Judgement(stats, (f"{note[0].upper()}{note[1:]}",), "")
    said = f"{few}no ECG was found, and {few}nothing was removed."
    return Judgement(stats, (), f"{said[0].upper()}{said[1:]}")


def _judged_part(x: np.ndarray, rate: float) -> np.ndarray:
    size = min(len(x), round(JUDGED * rate))
    start = (len(x) - size) // 2
    return x[start : start + size]


def _of_ecg(
    stats: dict[str, Any], y: np.ndarray, r: np.ndarray, rate: float, strength: float
) -> Judgement:
    from hush.kinds.signal.beats import LEAST, SLOWEST, beats

    y, r = _judged_part(y, rate), _judged_part(r, rate)
    positions = beats(r, rate)
    if len(positions) < LEAST:
        seconds = len(y) / rate
        note = "What was removed does not repeat like heartbeats, so it contains signal."
        if seconds < LEAST * SLOWEST:  # a slow heart does not beat often enough
            note = f"{seconds:.2g} s is too short to tell whether what was removed is an ECG."
        return Judgement(stats, (f"{note} Look at what was removed.",), "")
    lost = loss(y, y - r, rate, positions)
    pace = 60 * rate / float(np.median(np.diff(positions)))
    stats |= {"heart_rate": pace, "beats": len(positions), "confined": lost.confined}
    stats |= {"between": lost.small, "high": lost.high, "left": max(lost.left, lost.chance)}
    stats |= {"beat": lost.before, "gone": lost.gone}
    parts = [
        f"it repeats with the heartbeat ({pace:.0f} a minute)",
        f"{100 * lost.confined:.0f} % of it lies below {LOW:g} Hz",
    ]
    if lost.high is not None:
        percent = 100 * (1 - lost.high)
        parts.append(f"{percent:.1f} % of the power above {HIGH:g} Hz between beats is left")
    said = "; ".join(parts)
    return Judgement(stats, tuple(_warnings(lost, strength)), f"{said[0].upper()}{said[1:]}.")


def _warnings(lost: Loss, strength: float) -> list[str]:
    notes = []
    remedy = "If signal was removed, try --strength 0.7."
    invented = lost.before_power < PRESENT * lost.removed_power
    if invented:
        notes.append(
            "Beats were removed that are hardly in the input: the method may have invented them. "
            "Look at what was removed."
        )
    if lost.high is not None and abs(lost.high) > KEPT:
        where = f"he power above {HIGH:g} Hz between beats"
        done = "removed" if lost.high > 0 else "added"
        said = f"{100 * abs(lost.high):.0f} % of t{where} was {done}"
        if lost.high < -1:  # more than there was
            said = f"T{where} became {1 - lost.high:,.0f} times as high"
        notes.append(f"{said}, where there is no ECG, so the signal was changed. {remedy}")
    if lost.confined < CONFINED:
        notes.append(
            f"Only {100 * lost.confined:.0f} % of what was removed lies below {LOW:g} Hz, where an "
            f"ECG has nearly all its power. {remedy}"
        )
    if lost.small > SMALL:
        notes.append(
            f"Between beats, what was removed is {100 * lost.small:.0f} % as strong as at beats, "
            f"so it contains signal. {remedy}"
        )
    if not invented and lost.left > 1 - strength + LEFT and not lost.gone:
        notes.append(
            f"Beats are left, {100 * lost.left:.0f} % as high as before. If the recording has "
            "other ECG than the model knows, state your own: --noise ecg:FILE."
        )
    return notes
