"""What is to be known of a recording before denoising: ECG, power line, and broken channels."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hush.kinds.signal.heart import Heart, bridged, heart_in
from hush.kinds.signal.measure import ITSELF, measured, spectra, stepped
from hush.kinds.signal.tracks import Track, overview, span, tracks
from hush.kinds.values import hardly_noisy, mismatch
from hush.missing import Marks, Stretches
from hush.noise.processes import Process
from hush.record import Batch, Record
from hush.recording import let_go
from hush.report.describe import number
from hush.results import Estimate, Survey
from hush.titles import MOST_TITLES, by_title

if TYPE_CHECKING:
    from hush.kinds.signal import Signal

#: a run of so many equal samples at the end of the range counts as clipped, if there are two
CLIPPED_RUN = 3
#: a flat line: so many equal samples, and so many seconds
FLAT, FLAT_SECONDS = 50, 1.0
#: names of an ECG and of its leads
ECG = re.compile(
    r"(?i:(?!.*emg)(.*[^a-z])?(ecg|ekg)([^a-z].*)?|(lead )?(avr|avl|avf))"
    r"|(lead )?(ML)?I{1,3}|(lead )?(MCL|V)[1-6]"
)
MAINS = (50.0, 60.0)  #: Hz
HARMONICS = 5
LINE_SECONDS = 4.0  #: of a spectrum that resolves a power line
#: power of a line over that of its neighbours, and share of the signal's rms, to be mentioned
OVER, SHARE = 10.0, 0.03
#: volts rms that signals of the body stay between
PLAUSIBLE = (1e-7, 3e-2)
VOLTS = {"v": 1.0, "mv": 1e-3, "uv": 1e-6, "µv": 1e-6, "μv": 1e-6, "nv": 1e-9}
VOLTS |= {"volt": 1.0, "volts": 1.0, "millivolts": 1e-3, "microvolts": 1e-6}


@dataclass(frozen=True)
class Findings:
    """What a channel ``(T,)`` holds besides its signal, levels in the data's own units.

    known : number of samples that are not missing; constant : all of these are equal.
    clipped : share of samples at the ends of the range, if they were cut off there.
    flat : seconds of flat lines, or samples if the rate is unknown; gaps : samples of those that
    count as missing.
    heart : the ECG, if any; lines : rms of power lines by their frequency.
    """

    samples: int
    known: int
    constant: bool
    clipped: float = 0.0
    flat: float = 0.0
    heart: Heart | None = None
    lines: Mapping[float, float] | None = None
    gaps: int = 0


def findings(
    x: np.ndarray, rate: float | None, marks: Marks | None = None, *, hearts: bool = True
) -> Findings:
    """Look at a channel ``(T,)``, NaN for missing values.

    marks : of these; hearts : look for an ECG, too.
    """
    gaps = marks.count if isinstance(marks, Stretches) else 0
    seen = x[np.isfinite(x)]
    constant = bool(seen.size) and float(seen.min()) == float(seen.max())
    if constant or not seen.size:
        return Findings(len(x), seen.size, constant)
    least = FLAT if rate is None else max(FLAT, round(FLAT_SECONDS * rate))
    flat = flat_samples(x, least)
    return Findings(
        len(x),
        seen.size,
        constant,
        clipped_share(x),
        (flat + gaps) / (rate or 1.0),
        heart_in(x, rate) if rate and hearts and not stepped(x) else None,
        power_lines(x, rate) if rate else None,
        gaps,
    )


# -- looking -----------------------------------------------------------------------------------


def runs(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where runs of equal values begin, and how long they are."""
    starts = np.flatnonzero(np.concatenate([[True], x[1:] != x[:-1]]))
    return starts, np.diff(starts, append=len(x))


def clipped_share(x: np.ndarray) -> float:
    """Share of samples at the highest or lowest value, if runs of them were cut off there.

    A slow signal in whole numbers also rests at its peaks, but reaches them in single steps.
    """
    steps = np.abs(np.diff(x))
    steps = steps[np.isfinite(steps) & (steps > 0)]
    if not steps.size:
        return 0.0
    quantum = float(steps.min())
    starts, lengths = runs(x)
    long = lengths >= CLIPPED_RUN
    starts, lengths = starts[long], lengths[long]
    count = 0
    for end in (np.nanmin(x), np.nanmax(x)):
        there = x[starts] == end
        if there.sum() < 2:
            continue
        first, last = starts[there], starts[there] + lengths[there] - 1
        into = np.abs(x[first] - x[np.maximum(first - 1, 0)])
        out = np.abs(x[last] - x[np.minimum(last + 1, len(x) - 1)])
        if np.nanmedian(np.concatenate([into, out])) > 2 * quantum:
            count += int(np.count_nonzero(x == end))
    return count / len(x)


def flat_samples(x: np.ndarray, least: int) -> int:
    """The number of samples in runs of at least so many equal values."""
    starts, lengths = runs(x)
    return int(lengths[(lengths >= least) & np.isfinite(x[starts])].sum())


def power_lines(x: np.ndarray, rate: float) -> dict[float, float]:
    """RMS of the power line and of its harmonics, by frequency in Hz; empty without one."""
    if 0.48 * rate <= min(MAINS):  # too slow to hold them
        return {}
    filled = bridged(x)
    length = 2 ** round(math.log2(LINE_SECONDS * rate))
    if filled is None or len(filled) < length:
        return {}
    every = spectra(filled, length)
    if not len(every):  # flat in places, all along
        return {}
    power = every.mean(axis=0)
    width = rate / length
    found: dict[float, float] = {}
    for mains in MAINS:
        lines = {}
        for k in range(1, HARMONICS + 1):
            if k * mains < 0.48 * rate and (line := _line(power, k * mains / width, width)):
                # One-sided: each bin stands for two frequencies.
                lines[k * mains] = math.sqrt(2 * line / length)
        if mains in lines and math.hypot(*lines.values()) > math.hypot(*found.values(), 0.0):
            found = lines
    strong = math.hypot(*found.values(), 0.0) > SHARE * float(filled.std())
    return found if strong else {}


def _line(power: np.ndarray, place: float, width: float) -> float:
    """Power above the neighbours' within a quarter of a hertz of a bin; 0 if it is not a line."""
    reach = max(2, math.ceil(0.25 / width))
    centre, apart = round(place), max(reach + 2, round(4 / width))
    near = power[centre - reach : centre + reach + 1]
    side = np.concatenate([power[centre - apart : centre - reach], power[centre + reach + 1 :]])
    level = float(np.median(side[: 2 * apart]))
    over = float(near.max())
    return float(np.sum(near - level)) if over > OVER * level else 0.0


# -- saying ------------------------------------------------------------------------------------


def advice(
    kind: Signal, record: Record, item: np.ndarray, given: Process | None, found: Estimate
) -> list[str]:
    """Warnings about a channel ``(1, T)`` of a record, whose context is the channel's own."""
    about, interference = record.context, is_ecg(given)
    marks = record.marks[0] if record.marks else None
    hearts = given is None or interference
    seen = findings(item[0], about.get("rate"), marks, hearts=hearts)
    return sentences(record, item, seen, given, found, asked=interference)


def is_ecg(process: Process | None) -> bool:
    return process is not None and process.family == "ecg"


def sentences(
    record: Record,
    item: np.ndarray,
    seen: Findings,
    given: Process | None,
    found: Estimate,
    *,
    asked: bool = False,
) -> list[str]:
    """What was found in a channel, one or two sentences each, the causes first.

    asked : the ECG is to be removed anyway.
    """
    if not seen.known:
        return ["All values are missing; the channel is left as it is."]
    if seen.constant:
        return ["All values are the same, so there is nothing to denoise."]
    about, notes = record.context, []
    if seen.heart and (seen.heart.pure or ECG.fullmatch(str(about.get("name") or ""))):
        what = "This is an ECG, not another signal with an ECG in it"
        notes.append(
            f"{what}: --noise ecg removes it. To keep it, leave the channel out with --channels."
            if asked
            else f"{what}: --noise ecg would remove it."
        )
    elif seen.heart and not asked:
        notes.append(
            "Besides noise, the signal is an ECG; if that is interference, --noise ecg removes it."
            if seen.heart.explains(found.sigma)
            else "An ECG was found in the signal; --noise ecg removes it."
        )
    hum = given is not None and given.family == "powerline"
    if seen.lines and not hum:
        notes.append(f"The power line was picked up ({_mains(seen.lines):g} Hz).")
    if seen.clipped:
        notes.append(
            "Values are cut off at the ends of the range (clipped): what was above is lost, and "
            "results near these places are not reliable."
        )
    if seen.flat:
        notes.append(
            "The line is flat in places, as if an electrode was off or the amplifier saturated."
            + f" {seen.gaps:,} samples of these gaps are left as they are." * bool(seen.gaps)
        )
    notes += implausible(found.amplitude * record.scale, about.get("unit", ""))
    if (missing := len(item[0]) - seen.known - seen.gaps) > 0:
        one = missing == 1
        notes.append(
            f"{missing:,} sample{' is' if one else 's are'} missing and left as "
            f"{'it is' if one else 'they are'}."
        )
    if about.get("rate") is None:
        notes.append(
            "The rate is unknown, so hush cannot look for an ECG or the power line; state it with "
            "--rate."
        )
    if given is None and hardly_noisy(found.sigma, item):
        least = "No" if found.sigma == 0 else "Next to no"
        notes.append(f"{least} white noise was found; without --noise little is removed.")
    elif given is None and ITSELF in found.alternatives:
        notes.append(
            "Even its quietest parts do not have the flat spectrum of noise, so noise cannot be "
            "told from the signal: the measured level is an upper limit."
        )
    # The floor is that of white noise, which says nothing about hum.
    return notes if hum else [*notes, *mismatch(record, item, given, found)]


def implausible(level: float, unit: str) -> list[str]:
    """A warning if a level in this unit is beyond what bodies make."""
    volts = VOLTS.get(unit.strip().lower())
    if volts is None or level == 0 or PLAUSIBLE[0] <= level * volts <= PLAUSIBLE[1]:
        return []
    size = "large" if level * volts > PLAUSIBLE[1] else "small"
    return [
        f"The amplitude of {number(level)} {unit} is too {size} for a signal of the body: check "
        "the unit. Values are not rescaled."
    ]


def _mains(lines: Mapping[float, float]) -> float:
    return min(lines)


# -- the whole record --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Channel:
    """A channel with what was found in each of its stretches between gaps."""

    track: Track
    seen: Sequence[Findings]
    found: Sequence[Estimate]
    warnings: Sequence[str]
    scale: float

    @property
    def noisiest(self) -> float:
        return self.scale * max(f.sigma for f in self.found)

    @property
    def empty(self) -> bool:
        return not any(s.known for s in self.seen)

    @property
    def constant(self) -> bool:
        return all(s.constant for s in self.seen)

    @property
    def heart(self) -> Heart | None:
        return next((s.heart for s in self.seen if s.heart), None)

    @property
    def lines(self) -> Mapping[float, float]:
        every = [s.lines for s in self.seen if s.lines]
        return max(every, key=lambda lines: max(lines.values()), default={})


def survey(kind: Signal, record: Record) -> Survey:
    """Everything found in the channels of a record, for ``hush inspect``."""
    batch = kind.batch(record)
    every = [_channel(kind, record, batch, track) for track in tracks(kind, record)]
    facts = [
        ("recording", overview([c.track for c in every])),
        ("floor", _floors(every)),
        ("ECG", _hearts(every)),
        ("power line", _lines(every)),
        ("clipped", _clipped(every)),
        ("flat", _flats(every)),
        ("constant", _some([c.track.title for c in every if c.constant])),
        ("empty", _some([c.track.title for c in every if c.empty])),
    ]
    return Survey(
        [(label, value) for label, value in facts if value],
        by_title([(c.track.name, c.warnings) for c in every]),
        [_plain(c) for c in every],
    )


def _channel(kind: Signal, record: Record, batch: Batch, track: Track) -> _Channel:
    seen, found = [], []
    said: dict[str, None] = {}
    for index, _ in track.parts:
        glimpse = kind.glimpse(batch, index)
        x = np.where(glimpse.known(0), glimpse.floats(0), np.float32(np.nan))
        own = replace(record, context=batch.about(index))
        seen.append(findings(x[0], track.rate, batch.marked(index)))
        found.append(measured([x]))
        let_go(batch.data[index])
        said |= dict.fromkeys(sentences(own, x, seen[-1], None, found[-1]))
    return _Channel(track, seen, found, list(said), record.scale)


def _floors(every: Sequence[_Channel]) -> str:
    """The noise of each channel; of a single one it is listed with everything else."""
    if len(every) == 1:
        return ""
    return _some([f"{_level(c.noisiest, c)} in {c.track.title}" for c in every if c.noisiest])


def _hearts(every: Sequence[_Channel]) -> str:
    """The heart rate, and how much weaker than the ECG each signal is."""
    found = [(c, c.heart) for c in every if c.heart]
    if not found:
        return ""
    pace = float(np.median([heart.pace for _, heart in found]))
    places = [
        f"{c.track.title} is an ECG"
        if h.pure
        else f"SNR {number(round(h.snr))} dB in {c.track.title}"
        for c, h in found
    ]
    return f"{pace:.0f} beats a minute; {_some(places)}"


def _lines(every: Sequence[_Channel]) -> str:
    """The frequency of the power line, and its rms in each channel."""
    found = [c for c in every if c.lines]
    if not found:
        return ""
    places = []
    for c in found:
        level = _level(math.hypot(*c.lines.values()) * c.scale, c)
        places.append(f"{level} in {c.track.title}")
    mains = dict.fromkeys(f"{min(c.lines):g} Hz" for c in found)
    return f"{' and '.join(mains)}; {_some(places)}"


def _flats(every: Sequence[_Channel]) -> str:
    places = []
    for c in every:
        if flat := sum(s.flat for s in c.seen):
            places.append(f"{span(flat * (c.track.rate or 1.0), c.track.rate)} in {c.track.title}")
    return _some(places)


def _clipped(every: Sequence[_Channel]) -> str:
    shares = [(c, max(s.clipped for s in c.seen)) for c in every]
    return _some([f"{100 * v:.2g} % of {c.track.title}" for c, v in shares if v])


def _level(level: float, channel: _Channel) -> str:
    return f"{number(level)} {channel.track.unit}".strip()


def _some(parts: Sequence[str]) -> str:
    """The first few of many."""
    if len(parts) <= MOST_TITLES:
        return ", ".join(parts)
    return ", ".join([*parts[: MOST_TITLES - 1], f"and {len(parts) - MOST_TITLES + 1} more"])


def _plain(c: _Channel) -> dict[str, Any]:
    """What was found in a channel, for JSON."""
    heart = c.heart
    return {
        "name": c.track.name,
        "unit": c.track.unit or None,
        "rate": c.track.rate,
        "samples": c.track.count,
        "gaps": len(c.track.breaks),
        "missing": sum(s.samples - s.known for s in c.seen),
        "constant": c.constant,
        "sigma": c.noisiest,
        "amplitude": c.scale * max(f.amplitude for f in c.found),
        "clipped": max(s.clipped for s in c.seen),
        "flat": sum(s.flat for s in c.seen),
        "heart_rate": heart and heart.pace,
        "ecg_snr": heart and heart.snr,
        "only_ecg": bool(heart and heart.pure),
        "lines": {f"{f:g}": c.scale * level for f, level in c.lines.items()},
        "warnings": list(c.warnings),
    }
