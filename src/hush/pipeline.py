"""The path of one item: measured, restored, and judged against the measured noise."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from hush.check import Depth, check, deviation, instead, warnings
from hush.comparison import Check
from hush.denoiser import Denoiser
from hush.errors import HushError
from hush.kinds import Kind, Series
from hush.kinds import get as kind_of
from hush.kinds.layout import filled, laid_out, stored_with_gaps, with_gaps
from hush.kinds.values import removed_nothing
from hush.methods import make
from hush.noise.processes import Process
from hush.record import Batch, Record, cut
from hush.recording import available, empty, let_go
from hush.report import checked
from hush.results import Estimate, Item, Judgement, Restoration

INSPECTED = 8  #: the most items of a stack that an inspection measures
COPIED = 2**22  #: values that are copied at once
BASE = 2**28  #: bytes of the programs themselves
JUDGED = 96  #: bytes that measuring and judging take for a value
FLOAT = 4  #: bytes of a value, as methods see it
PARTS = ("measure", "check", "denoise", "check")  #: of the time for an item
STATED = 2**30  #: the memory for records of so many bytes of float32 is stated beforehand


@dataclass
class Work:
    """The work on every item of a record."""

    kind: Kind
    record: Record
    denoiser: Denoiser
    given: Process | None
    strength: float
    was_adapted: bool
    law: type[Process] | None = None  #: as stated without a level, which is measured
    series: Series | None = None  #: what the items share
    guarded: bool = False  #: the nearest method's result is kept (`hush.check`)
    depth: Depth = "windows"  #: how much of an item is checked
    uncertain: bool = False  #: the spread is that of the check, if the method draws no samples

    def item(
        self,
        batch: Batch,
        index: int,
        out: Out,
        advance: Callable[[float], None],
        timings: dict[str, float],
    ) -> Item:
        """Measure, restore and judge one item; put its result into `out`.

        A long item is restored in pieces, if the method's results depend on what is near only, and
        measured and judged by parts of it (`Kind.glimpse`).
        """
        times = [time.perf_counter()]
        glimpse = self.kind.glimpse(batch, index)
        noisy = with_gaps(glimpse, 0)
        about = batch.about(index)
        shared, given, found = self.measured(index, noisy, about)
        if self.law is not None:
            found = self.kind.under(self.law, found)
        advice = [
            *self.kind.missing(batch, index),
            *self.kind.advice(owned(self.record, batch, index), noisy, given, found),
        ]
        del noisy
        times.append(time.perf_counter())
        denoiser, seen = self.denoiser, None
        if self.strength == 1 and denoiser.is_trained and not self.kind.selected:
            seen = check(self.kind, denoiser, batch, index, given, found, self.depth, self.guarded)
            if seen is not None and seen.kept != seen.method:
                denoiser = make(seen.kept, self.kind.name)
        times.append(time.perf_counter())
        if denoiser.is_trained:
            denoiser = denoiser.bound(batch, index, given, found)
        pieces = list(pieces_of(self.kind, denoiser, batch, index))
        if len(pieces) == 1:
            if seen is not None and seen.kept != seen.method:
                made, how = instead(self.kind, seen, batch, index, given, found)
                advance(1.0)
            else:
                made, how = denoiser.denoise_item(
                    batch, index, given, self.strength, advance, found
                )
            if self.uncertain and not denoiser.spreads:
                law = how.process or found.local
                how = replace(how, spread=deviation(seen, law, batch, index, made))
            place = out.put(index, made, how.spread, whole=how.kept is None)
            if how.kept is None and made.shape != glimpse.data[0].shape:
                made = self.kind.glimpse(Batch([made], batch.scale), 0).data[0]
        else:
            if self.uncertain:
                raise HushError(
                    f"the uncertainty of {self.kind.nouns[1]} of {batch.data[index].size:,} values "
                    "cannot be told; give parts of them"
                )
            how = self._in_pieces(denoiser, batch, index, pieces, out, advance, found)
            place, made = out.place(index), out.glimpse(index)
        times.append(time.perf_counter())
        found = how.found or found
        process = self._glimpsed(how.process, batch.data[index].shape) or found.local
        before, scale = glimpse.data[0], batch.scale
        if how.kept is not None:
            before = before if self.kind.selected else before[..., how.kept]
        else:
            before, made = stored_with_gaps(glimpse, before), stored_with_gaps(glimpse, made)
            if how.replaced is not None or how.taken is not None:
                before = before.astype(np.float32)
        if how.taken is not None:  # no part of the noise
            before -= how.taken * np.float32(batch.scale)
        if how.replaced is not None:  # they say nothing about the noise
            before[how.replaced] = np.nan
        judgement = self.kind.judge(
            before,
            made,
            process,
            strength=self.strength,
            scale=scale,
            known=found.correlated,
            missed=found.misses(self.given),
            adaptable=self.denoiser.adapts and not self.was_adapted and not found.correlated,
            about=about,
            how=how,
        )
        if self.kind.checked is not None:
            judgement = self._with_check(judgement, seen, how.spread)
        times.append(time.perf_counter())
        for mapped in (batch.data[index], out.into):
            let_go(mapped)
        for name, spent in zip(PARTS, np.diff(times), strict=True):
            timings[name] = timings.get(name, 0.0) + float(spent)
        trace = tuple(how.trace)
        if given is None and process.varies:  # the maps of a stack would fill the memory
            process = found.process
        return Item(
            *place,
            found,
            process,
            judgement,
            how.step,
            trace,
            (*how.said, *advice) if self.kind.selected else (*advice, *how.said),
            how.kept,
            how.probability,
            str(about.get("name", "")),
            str(about.get("unit") or ""),
            check=seen,
            law=shared,
        )

    def measured(
        self, index: int, noisy: np.ndarray, about: Mapping[str, Any]
    ) -> tuple[int | None, Process | None, Estimate]:
        """The noise of an item ``(C, *S)``: the number of the law that it shares with others, 0 if
        it was measured alone and None if every item is; what is left of the noise as stated
        (`Kind.stated`); and the measurement."""
        stated = self.given is not None and self.given.beside
        shared = None if stated or self.series is None else self.series.measure(index, noisy)
        if shared is not None:
            return shared[0], self.given, shared[1]
        given, found = self.kind.stated(noisy, self.given, about)
        known = np.isfinite(noisy)
        if known.any(axis=tuple(range(1, noisy.ndim))).all() and not self.kind.selected:
            found = self.denoiser.reviewed(filled(noisy, known), found)
        return None if self.series is None else 0, given, found

    def _with_check(
        self, judgement: Judgement, seen: Check | None, spread: np.ndarray | None
    ) -> Judgement:
        """A judgement with what was found on two halves, and whether they were compared at all."""
        said = [] if seen is None else warnings(seen)
        if spread is not None and np.isnan(spread).all() and judgement.stats["n"]:
            said = [checked.unknown(self.strength)]
        verdict = judgement.verdict
        if removed_nothing(judgement.stats) is None:
            verdict = f"{verdict} {checked.verdict(seen)}"
        return replace(judgement, warnings=(*judgement.warnings, *said), verdict=verdict)

    def _glimpsed(self, process: Process | None, shape: Sequence[int]) -> Process | None:
        """The noise of an item of this shape in its glimpse; None for a map in several parts."""
        parts = self.kind.glimpses(shape)
        if process is None or not process.varies or parts == [slice(0, shape[self.kind.along])]:
            return process
        return self._part(process, parts[0]) if len(parts) == 1 else None

    def _part(self, process: Process, where: slice) -> Process:
        """The noise of an item in a part of it."""
        axes = len(self.kind.letters)
        index = [slice(None)] * (axes + 1)
        index[self.kind.along] = where
        return process.part(tuple(index[1:]))

    def _in_pieces(
        self,
        denoiser: Denoiser,
        batch: Batch,
        index: int,
        pieces: Sequence[tuple[slice, slice]],
        out: Out,
        advance: Callable[[float], None],
        found: Estimate,
    ) -> Restoration:
        """Restore an item piece by piece into `out`; what is returned holds no samples."""
        along, whole = self.kind.along, batch.data[index]
        step = pieces[0][1].stop
        steps, process, seen = [], self.given, None
        for outer, inner in pieces:
            outer = self._known(batch, index, outer, step)
            part = batch.piece(index, outer, along)
            part = replace(part, context={**part.context, "begin": outer.start})
            share = (inner.stop - inner.start) / whole.shape[along]
            if part.known(0).any():
                given = self.given and self._part(self.given, outer)
                made, how = denoiser.denoise_item(
                    part, 0, given, self.strength, partial(_share, advance, share), found
                )
                if how.kept is not None:
                    raise TypeError(f"{denoiser.name} leaves elements out: it has no window")
                if how.process and not how.process.varies:  # a map is the piece's own
                    process = how.process
                steps += [(share, how.step)] * (how.step is not None)
                seen = how.found
                first = inner.start - outer.start
                out.fill(index, inner, cut(made, slice(first, None), along))
            else:
                out.fill(index, inner, cut(whole, inner, along))
            for mapped in (whole, out.into):
                let_go(mapped)
        mean = sum(w * s for w, s in steps) / sum(w for w, _ in steps) if steps else None
        return Restoration(np.empty(0, np.float32), process, mean, found=seen)

    def _known(self, batch: Batch, index: int, outer: slice, step: int) -> slice:
        """A piece, wider by steps until every channel has known values in it, if it has any."""
        along = self.kind.along
        length = batch.data[index].shape[along]
        while True:
            known = batch.piece(index, outer, along).known(0)
            if known.all() or not known.any() or known.any(tuple(range(1, known.ndim))).all():
                return outer
            if outer == slice(0, length):
                if batch.blank is not None:
                    return outer
                raise HushError("a whole channel has no known value; there is nothing to denoise")
            outer = slice(max(0, outer.start - step), min(outer.stop + step, length))


def owned(record: Record, batch: Batch, index: int) -> Record:
    """A record with the context and the marks of one of its items."""
    marks = None if batch.marks is None else [batch.marks[index]]
    return replace(record, context=batch.about(index), marks=marks)


def inspect_items(
    kind: Kind, batch: Batch, channels: int, denoiser: Denoiser | None
) -> tuple[dict[int, Estimate], dict[int, int]]:
    """Measure some items; in a series, also the law that each shares with others, or 0.

    channels : items ``i·channels + c`` are channel c of plane i.
    """
    series = kind.series(batch, channels, denoiser.reviewed if denoiser else lambda _, found: found)
    found, laws = {}, {}
    for i in np.unique(np.linspace(0, len(batch) - 1, INSPECTED).astype(int)).tolist():
        noisy = with_gaps(kind.glimpse(batch, i), 0)
        if shared := series and series.measure(i, noisy):
            laws[i], found[i] = shared
        else:
            found[i] = kind.stated(noisy, None, batch.about(i))[1]
            if series:
                laws[i] = 0
        let_go(batch.data[i])
    return found, laws


def pieces_of(
    kind: Kind, denoiser: Denoiser, batch: Batch, index: int
) -> Iterator[tuple[slice, slice]]:
    """Parts of an item along `Kind.along` with what they depend on, and without."""
    shape = batch.data[index].shape
    length, span = shape[kind.along], kind.span(shape)
    window = None if span is None else denoiser.window(batch.about(index))
    if window is None or span is None:
        yield slice(0, length), slice(0, length)
        return
    unit, reach = window.multiple, -(-window.reach // window.multiple) * window.multiple
    step = max(1, span // unit) * unit
    for start in range(0, length, step):
        stop = min(start + step, length)
        yield slice(max(0, start - reach), min(stop + reach, length)), slice(start, stop)


def is_large(record: Record) -> bool:
    """Whether a record is of a kind that comes in pieces, and so large that memory matters."""
    return kind_of(record.kind).piece is not None and record.data.size * FLOAT >= STATED


def memory_for(record: Record, batch: Batch, denoiser: Denoiser) -> int:
    """About how many bytes it takes to measure, restore and judge the items of a large record.

    Without the data and the result, which are in files.
    """
    kind = kind_of(record.kind)
    seen, needed = denoiser.seen(batch), 0.0
    for index, item in enumerate(seen.data):
        length = item.shape[kind.along]
        judged = sum(len(range(length)[part]) for part in kind.glimpses(item.shape))
        most = max(o.stop - o.start for o, _ in pieces_of(kind, denoiser, seen, index))
        here = max(judged * JUDGED, most * FLOAT * denoiser.copies)
        needed = max(needed, here * (item.size // length))
    return BASE + round(needed)


def check_memory(record: Record, batch: Batch, denoiser: Denoiser) -> None:
    """Refuse work on a large record that does not fit in the memory that is free."""
    free = available()
    if free is None or not is_large(record):
        return
    if (needed := memory_for(record, batch, denoiser)) > free:
        raise HushError(
            f"{denoiser.name} needs about {needed / 2**30:.1f} GiB of memory for this data, but "
            f"{free / 2**30:.1f} GiB are free; close other programs, or denoise parts of the data"
        )


def _share(advance: Callable[[float], None], share: float, done: float) -> None:
    advance(share * done)


class Out:
    """Collects the items of a result in an array like the data, or in a list if they shrink.

    into : the array to use, such as one in a file.

    Where a kind's items are views of the record and differ in length, the result begins as a copy
    of the record: what is in no item, such as a trigger channel, stays as it is.
    """

    def __init__(
        self,
        kind: Kind,
        noisy: Record,
        batch: Batch,
        apart: bool,
        into: np.ndarray | None,
    ) -> None:
        self.kind, self.noisy, self.batch, self.apart, self.into = kind, noisy, batch, apart, into
        self.items: Any = [None] * len(batch)
        self.spreads: list[np.ndarray] = []
        self._whole: Any = None
        self._views: Any = None
        if not isinstance(batch.data, np.ndarray):
            self._views = self._copied()

    def _copied(self) -> Sequence[np.ndarray] | None:
        """The items as views of a copy of the record; None if they are no views."""
        noisy = self.noisy.data
        if not all(np.shares_memory(item, noisy) for item in self.batch.data):
            return None
        into = empty(noisy.shape, noisy.dtype) if self.into is None else self.into
        views = list(self.kind.batch(self.noisy.with_data(into)).data)
        if not all(np.shares_memory(view, into) for view in views):
            return None
        source, target = noisy.reshape(-1), into.reshape(-1)
        if np.shares_memory(source, noisy) and np.shares_memory(target, into):
            for start in range(0, len(source), COPIED):
                target[start : start + COPIED] = source[start : start + COPIED]
                for mapped in (noisy, into):
                    let_go(mapped)
        else:
            into[...] = noisy
        self.into = into
        return views

    def place(self, index: int) -> tuple[int, int | None]:
        """The plane of an item, and its channel if channels are items."""
        if not self.apart:
            return index, None
        return divmod(index, len(self.batch.data[0]))

    def fill(self, index: int, where: slice, made: np.ndarray) -> None:
        """Store the part `where` of an item along `Kind.along`, the first values of `made`."""
        along = self.kind.along
        target = cut(self._item(index), where, along)
        target[...] = cut(made, slice(0, where.stop - where.start), along)

    def glimpse(self, index: int) -> np.ndarray:
        """The part of an item's result by which it is judged."""
        made: np.ndarray = self.kind.glimpse(Batch([self._item(index)]), 0).data[0]
        return made

    def _item(self, index: int) -> np.ndarray:
        """The place of one item in the result, a view to fill."""
        if self._views is not None:
            view: np.ndarray = self._views[index]
            return view
        if not isinstance(self.batch.data, np.ndarray):
            raise TypeError(f"{self.kind.nouns[1]} in pieces need items that are views of a record")
        if self._whole is None:
            if any(item is not None for item in self.items):
                raise self.kind.uneven()
            self._whole = self.items = self._blank(self.batch.data)
        plane, channel = self.place(index)
        whole: np.ndarray = self._whole[plane]
        return whole if channel is None else whole[channel : channel + 1]

    def put(
        self, index: int, made: np.ndarray, spread: np.ndarray | None, whole: bool
    ) -> tuple[int, int | None]:
        """Store one item; return its plane, and its channel if channels are items."""
        if spread is not None:
            self.spreads.append(spread)
        plane, channel = self.place(index)
        begun = self._whole is not None
        if self._views is not None and whole and not self._shrunk:
            self._views[index][...] = made
        elif isinstance(self.batch.data, np.ndarray) and whole:
            self._item(index)[...] = made
        elif begun:
            raise self.kind.uneven()
        elif self.items[plane] is None:
            self.items[plane] = made
        else:
            self.items[plane] = np.concatenate([self.items[plane], made])
        return plane, channel

    @property
    def _shrunk(self) -> bool:
        return any(item is not None for item in self.items)

    def record(self) -> Record:
        """The result as a record like the noisy one."""
        if self._views is not None and not self._shrunk and self.into is not None:
            return self.noisy.with_data(self.into)
        if self.into is not None and self._whole is not None:
            return self.noisy.with_data(self.into)
        as_array = isinstance(self.batch.data, np.ndarray) and self._whole is None
        if as_array and len({item.shape[-1] for item in self.items}) > 1:
            raise self.kind.uneven()
        return self.kind.record(self.noisy, self.items)

    def _blank(self, like: np.ndarray) -> np.ndarray:
        into = self.into
        if into is None and self.kind.piece:  # large, or it would not come in pieces
            into = empty(self.noisy.data.shape, like.dtype)
        self.into = None
        if into is not None:
            view = laid_out(into, self.noisy.axes, self.kind.letters)
            if np.shares_memory(view, into):
                self.into = into
                return view  # else its axis order does not allow views as items
        return np.empty(like.shape, like.dtype)
