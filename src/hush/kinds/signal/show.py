"""The pages about recordings: what was removed, and what was lost with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hush.kinds.signal.figures import (
    Table,
    beat_charts,
    change,
    found_table,
    heights,
    lost_charts,
    lost_table,
    spectrum_chart,
)
from hush.kinds.signal.heart import bridged
from hush.kinds.signal.residual import HIGH
from hush.kinds.signal.strips import Envelope, Strip, bounds, outline, trace, x_ticks, y_ticks
from hush.kinds.signal.tracks import Track, overview, tracks
from hush.record import Batch
from hush.report import describe, plots
from hush.report.describe import number
from hush.report.frame import Card, Chart, Entry, between_card, names

if TYPE_CHECKING:
    from hush.kinds.signal import Signal
    from hush.results import Denoised, Estimate, Inspection, Item

CHANNELS = 12  #: the most that are drawn
SECONDS, SAMPLES = 4.0, 4000  #: of the part that is shown in detail; without a rate, samples
STUDIED = 120.0  #: seconds of the channel from which its plots are made
COLUMNS = 600  #: of an overview; fewer on pages about many files


@dataclass(frozen=True)
class Signals(Entry):
    """Everything the page shows about one recording.

    detail : a few seconds of the channel that is shown; whole : all of every channel.
    """

    detail: tuple[Strip, ...]
    detail_caption: str
    whole: tuple[Strip, ...]
    whole_caption: str
    lost: str
    charts: tuple[Chart, ...]
    table: Table | None

    template: ClassVar[str] = "hush.kinds.signal/page.html.j2"
    compares: ClassVar[bool] = True


@dataclass(frozen=True)
class Interference(Signals):
    """The same, if what was removed is an ECG."""

    fine: ClassVar[str] = "What was removed looks like an ECG"
    badge: ClassVar[str] = "like an ECG"


@dataclass(frozen=True)
class InspectedSignals(Signals):
    """The same for a recording that was only inspected."""

    heading: ClassVar[str] = "Noise report"
    judged: ClassVar[str] = "status"
    look: ClassVar[str] = "Know this before you denoise"
    fine: ClassVar[str] = "Ready to denoise"
    badge: ClassVar[str] = "ready to denoise"
    compares: ClassVar[bool] = False


# -- a result ----------------------------------------------------------------------------------


def section(kind: Signal, result: Denoised, budget: float) -> Signals:
    """What a page shows about a result, without keeping its arrays."""
    before, after = (kind.batch(record) for record in (result.noisy, result.record))
    every, items = tracks(kind, result.noisy), {item.index: item for item in result.items}
    shown = max(every, key=lambda t: _most_removed(t, items))
    item, scale = max((items[i] for i, _ in shown.parts), key=_removed), result.noisy.scale
    ecg = item.process.family == "ecg"
    columns = _columns(budget)
    drawn = every if len(every) <= CHANNELS else every[:CHANNELS]
    drawn = drawn if shown in drawn else [shown, *drawn[1:]]
    rows = [
        (t, Envelope.of(before, t.parts, columns), Envelope.of(after, t.parts, columns))
        for t in drawn
    ]
    start = dict(shown.parts)[item.index]
    whole_y, whole_x = _lines(before, after, item)
    busy = _busy(next(row for row in rows if row[0] is shown)[2], start, len(whole_y))
    part = _around(busy, len(whole_y), shown, STUDIED, SAMPLES * 30)
    y, x = whole_y[part].astype(np.float64), whole_x[part].astype(np.float64)
    positions = _beats(y - x if ecg else y, shown.rate)
    name, parent = names(result.noisy)
    parts = lost_charts(shown, item, y, x, positions, ecg)
    units = describe.units(scale, shown.unit)
    time = describe.duration(sum(result.timings.values()))
    removed = Card(
        "Removed", f"{number(scale * item.judgement.stats['rms'])}{units}", _of_model(item)
    )
    stats = item.judgement.stats
    noise = (
        [Card("Interference", "ECG", _pace(stats), result.given * "--noise ecg"), removed]
        if ecg
        else [_noise_card(item.found, scale, shown.unit), between_card(item.found, "sample")]
    )
    return (Interference if ecg else Signals)(
        name=name,
        parent=parent,
        facts=overview(every),
        cards=(
            *noise,
            *(_ecg_cards(stats, scale, units) if ecg else [removed]),
            Card("Method", result.method, f"{describe.steps(result.steps)}, {time}"),
        ),
        warnings=tuple(result.warnings),
        verdict=item.judgement.verdict,
        icon=None,
        notes=_notes(every, shown, drawn, "where most was removed"),
        noise={},
        row={
            "noise": "ECG" if ecg else describe.noise(item.found, scale, shown.unit, "sample"),
            "removed / model": "" if stats["ratio"] is None else f"{100 * stats['ratio']:.0f} %",
            "time": time,
        },
        detail=_detail(shown, start, busy, part, y, x, positions),
        detail_caption=_detail_caption(shown, positions, compares=True),
        whole=_strips(rows),
        whole_caption=_whole_caption(drawn, compares=True),
        lost="What was lost",
        charts=tuple(parts),
        table=lost_table(every, items, scale) if ecg and len(every) > 1 else None,
    )


def _removed(item: Item) -> float:
    """What was removed, relative to the signal: channels may have unlike units."""
    rms = float(item.judgement.stats["rms"])
    return rms / item.found.amplitude if item.found.amplitude else 0.0


def _most_removed(track: Track, items: dict[int, Item]) -> float:
    return max(_removed(items[i]) for i, _ in track.parts)


def _lines(before: Batch, after: Batch, item: Item) -> tuple[np.ndarray, np.ndarray]:
    y, x = before.data[item.index][0], after.data[item.index][0]
    return (y if item.kept is None else y[item.kept]), x


def _of_model(item: Item) -> str:
    ratio = item.judgement.stats["ratio"]
    return "rms" if ratio is None else f"{100 * ratio:.0f} % of what the noise model predicts"


def _pace(stats: Any) -> str:
    pace = stats.get("heart_rate")
    return f"{pace:.0f} beats a minute" if pace else "no heartbeat was found"


def _ecg_cards(stats: Any, scale: float, units: str) -> list[Card]:
    """How high beats were and are, and how much was left of what lies between."""
    if "beat" not in stats:
        return []
    cards = [
        Card(
            "Mean beat",
            heights(stats, scale, units),
            f"height; {change(stats)} weaker",
        )
    ]
    if stats["high"] is not None:
        kept = f"{100 * (1 - stats['high']):.1f} % kept"
        cards.append(Card(f"Above {HIGH:g} Hz", kept, "power between beats, where no ECG is"))
    return cards


def _noise_card(found: Estimate, scale: float, unit: str) -> Card:
    if not found.sigma:
        return Card("Noise", "None found")
    level = describe.level(found, scale, unit, "sample")
    return Card(
        "Noise", describe.family(found.family), level, f"--noise {found.process.spec(scale)}"
    )


# -- an inspection -----------------------------------------------------------------------------


def inspected(kind: Signal, seen: Inspection, budget: float) -> InspectedSignals:
    """What a page shows about an inspection, without keeping arrays."""
    record, scale = seen.record, seen.record.scale
    batch, every = kind.batch(record), tracks(kind, record)
    shown = next(t for t in every if seen.index in dict(t.parts))
    drawn = every if len(every) <= CHANNELS else every[:CHANNELS]
    drawn = drawn if shown in drawn else [shown, *drawn[1:]]
    rows = [(t, Envelope.of(batch, t.parts, _columns(budget))) for t in drawn]
    start = dict(shown.parts)[seen.index]
    line = batch.data[seen.index][0]
    busy = _busy(next(e for t, e in rows if t is shown), start, len(line))
    part = _around(busy, len(line), shown, STUDIED, SAMPLES * 30)
    y = line[part].astype(np.float64)
    positions = _beats(y, shown.rate)
    charts = []
    filled = bridged(y)
    if filled is not None and len(filled) >= 16:
        charts.append(spectrum_chart(shown, {"data": filled}))
        if shown.rate and len(positions) > 2:
            charts += beat_charts(shown, {"data": filled}, positions)
    name, parent = names(record)
    facts = dict(seen.survey.facts) if seen.survey else {}
    cards = [_noise_card(seen.estimate, scale, shown.unit)]
    cards += [
        Card(label, *_halves(facts[fact]))
        for label, fact in (("ECG", "ECG"), ("Power line", "power line"), ("Clipped", "clipped"))
        if fact in facts
    ]
    return InspectedSignals(
        name=name,
        parent=parent,
        facts=overview(every),
        cards=tuple(cards),
        warnings=tuple(seen.warnings),
        verdict="The estimate of the noise raised no warnings.",
        icon=None,
        notes=_notes(every, shown, drawn, "which has the most noise"),
        noise={},
        row={"noise": describe.noise(seen.estimate, scale, seen.unit, "sample")},
        detail=_detail(shown, start, busy, part, y, None, positions),
        detail_caption=_detail_caption(shown, positions, compares=False),
        whole=_strips([(t, e, None) for t, e in rows]),
        whole_caption=_whole_caption(drawn, compares=False),
        lost="What it holds",
        charts=tuple(charts),
        table=found_table(seen, every) if len(every) > 1 else None,
    )


def _halves(text: str) -> tuple[str, str]:
    first, _, rest = text.partition("; ")
    return first, rest


# -- parts of both -----------------------------------------------------------------------------


def _columns(budget: float) -> int:
    """Fewer columns on pages about many files."""
    return int(min(COLUMNS, max(200, budget / 2500)))


def _beats(x: np.ndarray, rate: float | None) -> np.ndarray:
    from hush.kinds.signal.beats import beats

    filled = bridged(x)
    if rate is None or filled is None:
        return np.empty(0, np.int64)
    return beats(filled, rate)


def _busy(envelope: Envelope, start: int, length: int) -> int:
    """The place in an item, which begins at `start` of its channel, where it is most active."""
    first, last = start // envelope.width, (start + length - 1) // envelope.width + 1
    power = envelope.power[first:last]
    place = (first + int(np.argmax(power)) + 0.5) * envelope.width - start
    return int(min(max(place, 0), length - 1))


def _around(place: int, length: int, track: Track, seconds: float, samples: int) -> slice:
    size = min(length, samples if track.rate is None else max(16, round(seconds * track.rate)))
    start = min(max(0, place - size // 2), length - size)
    return slice(start, start + size)


def _detail(
    track: Track,
    start: int,
    busy: int,
    part: slice,
    y: np.ndarray,
    x: np.ndarray | None,
    positions: np.ndarray,
) -> tuple[Strip, ...]:
    """A few seconds around the most active place of a part; all strips have one scale.

    start : of the item; times count from the channel's first sample.
    """
    near = _around(busy - part.start, len(y), track, SECONDS, SAMPLES)
    rate = track.rate or 1.0
    lines = {"Before": ("one", y[near])}
    if x is not None:
        lines |= {"After": ("two", x[near]), "Removed": ("three", y[near] - x[near])}
    else:
        lines = {"": ("one", y[near])}
    span = bounds(*(v for _, v in lines.values()))
    inside = positions[(positions >= near.start) & (positions < near.stop)] - near.start
    count = max(1, near.stop - near.start - 1)
    begin = (start + part.start + near.start) / rate
    ticks = x_ticks(begin, begin + count / rate, plots.number)
    return tuple(
        Strip(
            label,
            trace(values, cls, span),
            y_ticks(span),
            ticks if k == len(lines) - 1 else (),
            [round(100 * float(p) / count, 2) for p in inside],
        )
        for k, (label, (cls, values)) in enumerate(lines.items())
    )


def _detail_caption(track: Track, positions: np.ndarray, *, compares: bool) -> str:
    of_beats = "; marks at the top are heartbeats" if len(positions) else ""
    unit = f"in {track.unit}" if track.unit else "unit unknown"
    time = "time in seconds" if track.rate else "time in samples"
    scale = ", all on one scale" if compares else ""
    return f"Channel {track.name} where it is most active, {unit}{scale}; {time}{of_beats}."


def _strips(rows: Sequence[tuple[Track, Envelope, Envelope | None]]) -> tuple[Strip, ...]:
    """All of every channel; the time is written below the last one of as many seconds."""
    lengths = [t.count / (t.rate or 1.0) for t, _, _ in rows]
    last = [not math.isclose(a, b, rel_tol=0.01) for a, b in pairwise([*lengths, -1.0])]
    return tuple(_strip(*row, timed) for row, timed in zip(rows, last, strict=True))


def _strip(track: Track, before: Envelope, after: Envelope | None, timed: bool) -> Strip:
    """All of a channel."""
    span = bounds(before.low, before.high)
    drawn = outline(before, "envelope" if after else "envelope one", span)
    if after is not None:
        drawn += outline(after, "envelope two", span)
    length = len(before.low) * before.width
    factor = (track.rate or 1.0) * _step(track)[0]
    return Strip(
        track.title if track.unit in track.title else f"{track.title}, {track.unit}",
        drawn,
        y_ticks(span) if np.isfinite(before.low).any() else (),
        x_ticks(0.0, length / factor, plots.number) if timed else (),
        gaps=[round(100 * place / length, 2) for place in track.breaks],
    )


def _step(track: Track) -> tuple[float, str]:
    """The unit of an overview's time axis in seconds, and its name."""
    if track.rate is None:
        return 1.0, "samples"
    seconds = track.count / track.rate
    if seconds > 3 * 3600:
        return 3600.0, "hours"
    return (60.0, "minutes") if seconds > 300 else (1.0, "seconds")


def _whole_caption(drawn: Sequence[Track], *, compares: bool) -> str:
    units = dict.fromkeys(_step(t)[1] for t in drawn)
    gaps = "; dashed lines are gaps" if any(t.breaks for t in drawn) else ""
    before = " before (pale) and after" if compares else ""
    return f"Lowest and highest values{before}; time in {' or '.join(units)}{gaps}."


def _notes(
    every: Sequence[Track], shown: Track, drawn: Sequence[Track], why: str
) -> tuple[str, ...]:
    if len(every) == 1:
        return ()
    notes = [f"the plots are of channel {shown.name}, {why}"]
    if len(drawn) < len(every):
        notes.append(f"{len(every) - len(drawn)} more channels are not drawn")
    return tuple(notes)
