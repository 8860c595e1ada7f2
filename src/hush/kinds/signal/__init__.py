"""Signals: recordings of one or more channels over time.

Every channel is an item ``(1, T)``, and so is every stretch of it between gaps: channels may have
unlike rates, units and lengths. Items are views of the record (`hush.recording`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hush.errors import HushError
from hush.kinds import NOTHING, Chosen, Kind, Option
from hush.kinds.layout import laid_out, stated_marks
from hush.record import Batch, Record
from hush.recording import Channel

if TYPE_CHECKING:
    from hush.metrics import Range
    from hush.noise.process import Process
    from hush.report.frame import Entry
    from hush.results import Denoised, Estimate, Inspection, Judgement, Restoration, Survey

#: an item is measured and judged by this many stretches of so many samples, if it is longer
GLIMPSES, GLIMPSE = 16, 2**16
SLOWEST, FASTEST = 1e-9, 1e9  #: samples a second; one in thirty years, and a gigahertz


def rate(text: str) -> float:
    """Samples a second."""
    value = float(text)
    if not SLOWEST < value < FASTEST:
        raise ValueError(f"a rate is above 0 samples a second, not {text}")
    return value


UNIT = re.compile(r"\s*[\[(][^\[\]()]*[\])]$")  #: at the end of a channel's name


def channel_list(text: str) -> tuple[str, ...]:
    """``1-4,6`` or names, as they were written; `chosen` looks them up in the file."""
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    if not parts:
        raise ValueError("name channels, such as 1-4 or EMG1,EMG2")
    return parts


@dataclass(frozen=True)
class Place:
    """Where an item lies: the channel's number among signals, the channel, the stretch of it."""

    number: int
    channel: Channel
    stretch: slice


class Signal(Kind):
    """One or more channels over time ``(1, T)``."""

    name: ClassVar[str] = "signal"
    nouns: ClassVar[tuple[str, str]] = ("signal", "signals")
    letters: ClassVar[str] = "T"
    apart: ClassVar[bool] = True
    piece: ClassVar[int | None] = 2**18
    checked: ClassVar[int | None] = 4 * 2**14
    levels: ClassVar[frozenset[str]] = frozenset({"rmse"})
    options: ClassVar[Mapping[str, Option]] = {
        "rate": Option(rate, "Samples a second of signals, if the file does not say.", "HZ"),
        "channels": Option(
            channel_list,
            "Denoise only these channels of signals: numbers from 1 or names, such as 1-4,6.",
            "LIST",
        ),
    }

    # -- layout --------------------------------------------------------------------------------

    def axes(self, shape: tuple[int, ...]) -> str:
        """``T``; of two axes, the longer one is time and the other one channels."""
        if len(shape) == 2 and shape[0] > shape[1]:
            return "TC"
        return super().axes(shape)

    def places(self, record: Record) -> list[Place]:
        """The items of a record with `Channel`\\ s: what may be denoised, and was chosen."""
        channels = [c for c in record.context["layout"] if c.signal]
        numbers = chosen(record.context.get("channels"), [c.name for c in channels])
        return [
            Place(number, channel, stretch)
            for number, channel in enumerate(channels)
            if number in numbers
            for stretch in channel.stretches
        ]

    def check(self, record: Record) -> None:
        """Also for a rate that no recording has, as a damaged file may state."""
        super().check(record)
        for channel in record.context.get("layout", ()):
            if channel.rate is not None and not SLOWEST < channel.rate < FASTEST:
                raise HushError(
                    f"states {channel.rate:g} samples a second of {channel.name or 'a channel'}, "
                    "which no recording has; the file is probably damaged"
                )

    def batch(self, record: Record) -> Batch:
        """Every channel, or stretch of one between gaps, as an item ``(1, T)``."""
        self.check(record)
        context = dict(record.context)
        stated = context.get("rate")
        if "layout" not in context:
            whole = laid_out(record.data, record.axes, self.letters)
            mask = None
            if record.mask is not None:
                mask = np.broadcast_to(record.mask, record.data.shape)
                mask = laid_out(mask, record.axes, self.letters)
            names = [f"{i + 1}" for i in range(whole.shape[1])]
            picked = sorted(chosen(context.get("channels"), names))
            where = [(b, c) for b in range(len(whole)) for c in picked]
            return Batch(
                [whole[b, c : c + 1] for b, c in where],
                record.scale,
                None if mask is None else [mask[b, c : c + 1] for b, c in where],
                context,
                [{"name": names[c], "rate": stated, "unit": ""} for _, c in where],
                marks=stated_marks(record, len(where), 1),
            )
        places = self.places(record)
        flat = None if record.mask is None else np.broadcast_to(record.mask, record.data.shape)
        return Batch(
            [p.channel.of(record.data)[p.stretch][None] for p in places],
            record.scale,
            None if flat is None else [p.channel.of(flat)[p.stretch][None] for p in places],
            context,
            [
                {
                    "name": p.channel.name or f"{p.number + 1}",
                    "rate": stated or p.channel.rate,
                    "unit": p.channel.unit,
                }
                for p in places
            ],
            marks=stated_marks(record, len(places), 1),
        )

    def record(self, like: Record, items: np.ndarray | Sequence[np.ndarray]) -> Record:
        """Items ``(1, T)`` as a record like `like`; those of other channels are its own."""
        data = np.array(like.data, dtype=np.asarray(items[0]).dtype)
        views = self.batch(replace(like, data=data)).data
        if len(views) != len(items) or any(
            v.shape != np.shape(x) or not np.shares_memory(v, data)
            for v, x in zip(views, items, strict=False)
        ):
            return super().record(like, items)
        for view, item in zip(views, items, strict=True):
            view[...] = item
        return replace(like, data=data)

    # -- cut -------------------------------------------------------------------------------------

    def chosen(
        self, found: Sequence[Sequence[Record]], channels: str | None, takes: bool
    ) -> Chosen:
        """All channels of all files, or those in a list such as ``1-4,6``, as items."""
        picked = {"channels": channel_list(channels)} if channels else {}
        data: list[Any] = []
        for records in found:
            own = [replace(r, context={**r.context, **picked}) for r in records]
            data.append(own if len(own) > 1 else own[0])  # as records, which know their rates
        return Chosen(data, 1, range(len(found)), self.nouns[1])

    @property
    def patch(self) -> int:
        """See `Kind.patch`: several heartbeats at 1000 samples a second."""
        return 4096

    # -- measure ---------------------------------------------------------------------------------

    def glimpses(self, shape: Sequence[int]) -> list[slice]:
        """A long item's parts, evenly spread over it: results must not depend on the window."""
        length = shape[-1]
        if length <= GLIMPSES * GLIMPSE:
            return super().glimpses(shape)
        starts = np.linspace(0, length - GLIMPSE, GLIMPSES).astype(int).tolist()
        return [slice(s, s + GLIMPSE) for s in starts]

    def measure(self, items: Sequence[np.ndarray]) -> Estimate:
        """The white floor of quiet stretches and bands."""
        from hush.kinds.signal.measure import measured

        return measured(items)

    # -- show ------------------------------------------------------------------------------------

    def missing(self, batch: Batch, index: int) -> list[str]:
        """Nothing: `advice` says it, with the channel's other troubles."""
        return []

    def advice(
        self, record: Record, item: np.ndarray, given: Process | None, found: Estimate
    ) -> list[str]:
        from hush.kinds.signal.advice import advice

        return advice(self, record, item, given, found)

    def judge(
        self,
        noisy: np.ndarray,
        clean: np.ndarray,
        process: Process,
        *,
        strength: float,
        scale: float,
        known: bool = False,
        missed: bool = False,
        adaptable: bool = False,
        about: Mapping[str, Any] = NOTHING,
        how: Restoration | None = None,
    ) -> Judgement:
        """White noise like any kind's; interference by its beats and by what lies between."""
        from hush.kinds.signal.residual import judged

        return judged(
            self,
            noisy,
            clean,
            process,
            strength=strength,
            scale=scale,
            adaptable=adaptable,
            about=about,
        )

    def section(self, result: Denoised, budget: float) -> Entry:
        from hush.kinds.signal.show import section

        return section(self, result, budget)

    def survey(self, record: Record) -> Survey:
        from hush.kinds.signal.advice import survey

        return survey(self, record)

    def inspected(self, seen: Inspection, budget: float) -> Entry:
        from hush.kinds.signal.show import inspected

        return inspected(self, seen, budget)

    def extent(self, reference: Record) -> Range | None:
        """None: the scores of signals take the power of the reference."""
        return None

    def scores(self, a: np.ndarray, b: np.ndarray) -> Mapping[str, float]:
        """SNR in dB, RMSE, and PRD in percent."""
        from hush.metrics import prd, rmse, snr

        return {"snr": snr(a, b), "rmse": rmse(a, b), "prd": prd(a, b)}


def chosen(wanted: str | Sequence[str | int] | None, names: Sequence[str]) -> set[int]:
    """The channels, from 0, that a list of numbers, ranges and names means; None: all."""
    if wanted is None:
        return set(range(len(names)))
    found: set[int] = set()
    for part in channel_list(wanted) if isinstance(wanted, str) else wanted:
        found |= set(_matching(str(part), names))
    return found


def _matching(part: str, names: Sequence[str]) -> Iterator[int]:
    same = [i for i, name in enumerate(names) if name == part]
    same = same or [i for i, name in enumerate(names) if UNIT.sub("", name) == part]
    if len(same) > 1:
        numbers = " and ".join(str(i + 1) for i in same)
        raise HushError(f"channels {numbers} are all named '{part}'; choose by number")
    if same:
        yield same[0]
        return
    match = re.fullmatch(r"(\d+)(?:\s*-\s*(\d+))?", part)
    if match is None:
        known = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
        raise HushError(f"there is no channel '{part}'; choose from {known}")
    first, last = int(match[1]), int(match[2] or match[1])
    if not 1 <= first <= last <= len(names):
        raise HushError(f"channels are numbered 1 to {len(names)}, so there is no '{part}'")
    yield from range(first - 1, last)


SIGNAL = Signal()

__all__ = ["SIGNAL", "Signal"]
