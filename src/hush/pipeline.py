"""The path of one item: measured, restored, and judged against the measured noise."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from hush.check import Depth, check, deviation, instead, warnings
from hush.comparison import Check
from hush.denoiser import Denoiser
from hush.errors import HushError
from hush.kinds import Kind, Series
from hush.kinds import get as kind_of
from hush.kinds.layout import filled, stored_with_gaps, with_gaps
from hush.kinds.values import removed_nothing
from hush.methods import make
from hush.noise.processes import Process
from hush.out import Out, Place
from hush.record import Batch, Record
from hush.recording import available, let_go
from hush.report import checked
from hush.results import Estimate, Item, Judgement, Restoration

INSPECTED = 8  #: the most items of a stack that an inspection measures
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
    pool: Alone = field(default_factory=lambda: Alone())  #: who restores items and their pieces

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
        if low := batch.low(index):
            given = self.given and self.given.moved(low)
            made = replace(self, given=given)._item(batch, index, out, advance, timings)
            return made.moved(-low)
        return self._item(batch, index, out, advance, timings)

    def _item(
        self,
        batch: Batch,
        index: int,
        out: Out,
        advance: Callable[[float], None],
        timings: dict[str, float],
    ) -> Item:
        """The same with laws above the item's offset."""
        times = [time.perf_counter()]
        shape = batch.data[index].shape
        glimpse = self.kind.glimpse(batch, index)
        noisy = with_gaps(glimpse, 0)
        about = glimpse.about(0)
        pictured = "whole" in about  # in a glimpse that stands for the item
        shared, given, found = self.measured(index, noisy, about)
        if self.law is not None:
            found = self.kind.under(self.law, found)
        advice = [
            *self.kind.missing(batch, index),
            *self.kind.advice(owned(self.record, batch, index), noisy, given, found),
        ]
        impulses = self.kind.cleaned(noisy, found) != noisy if pictured else None
        del noisy
        times.append(time.perf_counter())
        denoiser, seen = self.denoiser, None
        if self.strength == 1 and denoiser.is_trained and not self.kind.selected:
            at, where = (glimpse, 0) if pictured else (batch, index)
            depth: Depth = "windows" if pictured else self.depth  # without maps of a montage
            seen = check(self.kind, denoiser, at, where, given, found, depth, self.guarded)
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
            whole = found.on(shape[1:]) if pictured else found
            how = self._in_pieces(denoiser, batch, index, pieces, out, advance, whole)
            place, made = out.place(index), out.glimpse(index)
        times.append(time.perf_counter())
        found = found if pictured else how.found or found
        process = (None if pictured else self._glimpsed(how.process, shape)) or found.local
        if pictured and given is not None and not given.varies:
            process = given
        before, scale = glimpse.data[0], batch.scale
        if pictured:  # what was replaced and taken is of the item, not of what stands for it
            how = replace(how, replaced=None, taken=None)
        if how.kept is not None:
            before = before if self.kind.selected else before[..., how.kept]
        elif not self.kind.selected:
            before, made = stored_with_gaps(glimpse, before), stored_with_gaps(glimpse, made)
            if how.replaced is not None or how.taken is not None:
                before = before.astype(np.float32)
        if how.taken is not None:  # no part of the noise
            before -= how.taken * np.float32(batch.scale)
        if how.replaced is not None:  # they say nothing about the noise
            before[how.replaced] = np.nan
        if impulses is not None:
            before = np.where(impulses, np.nan, before)
        judgement = self.kind.judge(
            before,
            made,
            process,
            strength=self.strength,
            scale=scale,
            known=found.correlated,
            missed=found.misses(self.given) or (found.counted and self.given is None),
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
            found.on(shape[1:]) if pictured else found,
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
        pieces: Sequence[Piece],
        out: Out,
        advance: Callable[[float], None],
        found: Estimate,
    ) -> Restoration:
        """Restore an item piece by piece into `out`; what is returned holds no samples."""
        process, seen = self.given, None
        steps: list[tuple[float, float]] = []
        said: dict[str, None] = {}  # pieces may say the same of the whole item
        size = math.prod(batch.data[index].shape[1:])
        made = self.pool.pieces(self, denoiser, batch, index, pieces, out, advance, found)
        for piece, how in zip(pieces, made, strict=True):
            if how is None:
                continue
            process = how.process or process  # a map is the piece's own
            if how.step is not None:
                steps.append((piece.size / size, how.step))
            seen = how.found
            said |= dict.fromkeys(how.said)
        mean = sum(w * s for w, s in steps) / sum(w for w, _ in steps) if steps else None
        return Restoration(np.empty(0, np.float32), process, mean, found=seen, said=tuple(said))

    def piece(
        self,
        denoiser: Denoiser,
        batch: Batch,
        index: int,
        piece: Piece,
        out: Out,
        advance: Callable[[float], None],
        found: Estimate,
    ) -> Restoration | None:
        """Restore a piece of an item into `out`; None if no value in it is known.

        What is returned holds no samples.
        """
        whole = batch.data[index]
        share = piece.size / math.prod(whole.shape[1:])
        outer = self._known(batch, index, piece)
        part = batch.place(index, outer)
        inner = tuple(
            slice(i.start - o.start, i.stop - o.start)
            for i, o in zip(piece.inner, outer, strict=True)
        )
        about = {"begin": outer[self._axis].start, "place": outer, "inner": inner}
        part = replace(part, context={**part.context, **about})
        how = None
        if part.known(0).any():
            given = self.given and self.given.part(outer)
            own = self.kind.inside(found, outer)
            made, how = denoiser.denoise_item(
                part, 0, given, self.strength, partial(_share, advance, share), own
            )
            if how.kept is not None:
                raise TypeError(f"{denoiser.name} leaves elements out: it has no window")
            out.fill(index, piece.inner, made[:, *inner])
            process = None if how.process and how.process.varies else how.process
            none = np.empty(0, np.float32)
            how = Restoration(none, process, how.step, found=how.found, said=how.said)
        else:
            out.fill(index, piece.inner, whole[:, *piece.inner])
        for mapped in (whole, out.into):
            let_go(mapped)
        return how

    @property
    def _axis(self) -> int:
        """`Kind.along`, among the axes of space."""
        along = self.kind.along
        return along - 1 if along > 0 else along

    def _known(self, batch: Batch, index: int, piece: Piece) -> Place:
        """What a piece depends on, wider by its own lengths until every channel has known values
        in it, if it has any."""
        shape, outer = batch.data[index].shape[1:], piece.outer
        while True:
            known = batch.place(index, outer).known(0)
            if known.all() or not known.any() or known.any(tuple(range(1, known.ndim))).all():
                return outer
            if outer == tuple(slice(0, n) for n in shape):
                if batch.blank is not None:
                    return outer
                raise HushError("a whole channel has no known value; there is nothing to denoise")
            steps = (i.stop - i.start for i in piece.inner)
            outer = tuple(
                slice(max(0, o.start - step), min(o.stop + step, n))
                for o, step, n in zip(outer, steps, shape, strict=True)
            )


class Alone:
    """The items of a record and their pieces, one after the other in this process.

    Others hand them out (`hush.parallel`).
    """

    def items(
        self,
        work: Work,
        batch: Batch,
        out: Out,
        advance: Callable[[float], None],
        timings: dict[str, float],
    ) -> Iterator[Item]:
        """`Work.item` of each, in order."""
        for index in range(len(batch)):
            yield work.item(batch, index, out, advance, timings)

    def pieces(
        self,
        work: Work,
        denoiser: Denoiser,
        batch: Batch,
        index: int,
        pieces: Sequence[Piece],
        out: Out,
        advance: Callable[[float], None],
        found: Estimate,
    ) -> Iterator[Restoration | None]:
        """`Work.piece` of each, in order."""
        for piece in pieces:
            yield work.piece(denoiser, batch, index, piece, out, advance, found)


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


@dataclass(frozen=True)
class Piece:
    """A part of an item that is restored, and the part that this depends on."""

    inner: Place
    outer: Place

    @property
    def size(self) -> int:
        """Values of a channel that are restored."""
        return math.prod(i.stop - i.start for i in self.inner)


def pieces_of(kind: Kind, denoiser: Denoiser, batch: Batch, index: int) -> Iterator[Piece]:
    """Parts of an item that cover it; the whole, if results depend on that."""
    shape = batch.data[index].shape
    lengths = kind.blocks(shape)
    window = None if lengths is None else denoiser.window(batch.about(index))
    if window is None or lengths is None:
        whole = tuple(slice(0, n) for n in shape[1:])
        yield Piece(whole, whole)
        return
    unit, reach = window.multiple, -(-window.reach // window.multiple) * window.multiple
    sides = []
    for n, length in zip(shape[1:], lengths, strict=True):
        step = n if length >= n else max(1, length // unit) * unit
        own = [slice(start, min(start + step, n)) for start in range(0, n, step)]
        sides.append([(s, slice(max(0, s.start - reach), min(s.stop + reach, n))) for s in own])
    for place in product(*sides):
        inner, outer = zip(*place, strict=True)
        yield Piece(inner, outer)


def is_large(record: Record) -> bool:
    """Whether a record is of a kind that comes in pieces, and so large that memory matters."""
    kind = kind_of(record.kind)
    pieces = kind.piece is not None or kind.blocked
    return pieces and record.data.size * FLOAT >= STATED


def memory_for(record: Record, batch: Batch, denoiser: Denoiser) -> int:
    """About how many bytes it takes to measure, restore and judge the items of a large record.

    Without the data and the result, which are in files.
    """
    kind = kind_of(record.kind)
    seen, needed = denoiser.seen(batch), 0.0
    for index, item in enumerate(seen.data):
        most = max(
            math.prod(o.stop - o.start for o in piece.outer)
            for piece in pieces_of(kind, denoiser, seen, index)
        )
        needed = max(
            needed, kind.seen(item.shape) * JUDGED, len(item) * most * FLOAT * denoiser.copies
        )
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
