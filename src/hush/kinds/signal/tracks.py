"""Channels as people see them: their names, units and times, with their stretches between gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hush.record import Record
from hush.titles import listed

if TYPE_CHECKING:
    from hush.kinds.signal import Signal


@dataclass(frozen=True)
class Track:
    """A channel that may be denoised.

    rate : samples a second, None if unknown; count : its samples, without gaps.
    parts : its items in the batch, and where each begins, in samples from the channel's first.
    """

    name: str
    unit: str
    rate: float | None
    count: int
    parts: tuple[tuple[int, int], ...]

    @property
    def breaks(self) -> tuple[int, ...]:
        """Where recording began again after a gap, in samples."""
        return tuple(start for _, start in self.parts[1:])

    @property
    def title(self) -> str:
        """Its name in sentences."""
        return f"channel {self.name}" if self.name.isdecimal() else self.name

    @property
    def length(self) -> str:
        """How long it is, in words."""
        return span(self.count, self.rate)


def tracks(kind: Signal, record: Record) -> list[Track]:
    """The channels of a record that may be denoised, and were chosen."""
    batch = kind.batch(record)
    numbers, starts = list(range(len(batch))), [0] * len(batch)
    if "layout" in record.context:
        places = kind.places(record)
        numbers = [p.number for p in places]
        starts = [p.stretch.start for p in places]
    parts: dict[int, list[tuple[int, int]]] = {}
    for index, (channel, start) in enumerate(zip(numbers, starts, strict=True)):
        parts.setdefault(channel, []).append((index, start))
    return [
        Track(
            str(batch.about(own[0][0]).get("name", "")),
            str(batch.about(own[0][0]).get("unit") or ""),
            batch.about(own[0][0]).get("rate"),
            sum(batch.data[index].shape[-1] for index, _ in own),
            tuple(own),
        )
        for own in parts.values()
    ]


def overview(every: Sequence[Track]) -> str:
    """How many channels there are, of which rates, units and lengths, and how many gaps."""
    count = len(every)
    text = f"{count} channel{'s' * (count != 1)}"
    alike: dict[str, list[str]] = {}
    for track in every:
        rate = "rate unknown" if track.rate is None else f"{track.rate:g} Hz"
        gaps = len(track.breaks)
        of_gaps = f", {gaps} gap{'s' * (gaps != 1)}" if gaps else ""
        about = f"{rate}, {track.unit or 'unit unknown'}, {track.length}{of_gaps}"
        alike.setdefault(about, []).append(track.name)
    if len(alike) == 1:
        return f"{text}, {next(iter(alike))}"
    groups = (f"{listed(t).partition(' ')[2]} {about}" for about, t in alike.items())
    return f"{text}: {'; '.join(groups)}"


def span(samples: float, rate: float | None) -> str:
    """``12.5 s``, ``3 min 20 s``, ``2 h 5 min``, or ``500 samples`` if the rate is unknown."""
    if rate is None:
        return f"{samples:,.0f} samples"
    seconds = samples / rate
    if seconds < 90:
        return f"{seconds:.3g} s"
    minutes, seconds = divmod(round(seconds), 60)
    if minutes < 90:
        return f"{minutes} min" + (f" {seconds} s" if seconds else "")
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h" + (f" {minutes} min" if minutes else "")
