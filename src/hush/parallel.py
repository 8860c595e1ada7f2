"""Large files in parts: kept when a run is killed, and handed out to several processes.

The parts of a file are its items, and the blocks of an item that is restored in blocks
(`hush.pipeline.Piece`). Which they are does not depend on the processes, nor does what is made of
each, so results are the same bytes. Processes are those of Dask: the input and the result are
files that all of them map.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hush import __version__, io, kinds
from hush.denoiser import Denoiser
from hush.io.naming import format_for
from hush.io.partial import Mapped, Partial, partial
from hush.kinds.layout import laid_out
from hush.kinds.ranges import limited
from hush.noise.process import Process
from hush.out import Out
from hush.pipeline import Alone, Piece, Work, is_large
from hush.record import Batch, Record
from hush.results import Estimate, Item, Restoration
from hush.workers import Workers

Advance = Callable[[float], None]


def _silent(_: float) -> None:
    """Nobody watches a block in another process."""


@contextmanager
def opened(
    record: Record,
    batch: Batch,
    path: str | os.PathLike[str] | None,
    workers: Workers | None,
    settings: Sequence[Any],
    anew: bool = True,
    whole: bool = False,
) -> Iterator[tuple[np.ndarray | None, Alone]]:
    """The array in a file for a result like `record`, and who restores the items.

    A large file, or with `workers` any, is written in parts (`hush.io.partial`), if its layout
    allows it. settings : what the result depends on beside the input. whole : not in parts.
    """
    able = not whole and record.source is not None and (workers or is_large(record))
    if path is None or not able or not _in_parts(record, batch):
        with io.opened(record, path) as file:
            yield file, Alone()
        return
    path = Path(path)
    fmt = format_for(path, record.kind, io.format_of(record))
    with partial(record, path, fmt, fingerprint(record, settings), anew) as part:
        yield part.data, Resumed(part, workers)
        if Path(part.values.path).name != Path(os.path.realpath(path)).name:
            io.write(record.with_data(part.data), path)


def _in_parts(record: Record, batch: Batch) -> bool:
    """Whether items are parts of an array like the record's, so that each can be written alone."""
    if not isinstance(batch.data, np.ndarray):
        return False
    # Whether axes of a new array merge into views does not depend on how long they are.
    small = np.empty([min(n, 2) for n in record.data.shape])
    letters = kinds.get(record.kind).letters
    view = laid_out(small, record.axes, letters)
    sides = tuple(record.data.shape[record.axes.index(a)] for a in letters)
    same = sides == batch.data.shape[-len(letters) :]
    return same and bool(np.shares_memory(view, small))


def fingerprint(record: Record, settings: Sequence[Any]) -> str:
    """What a result is of: the file as it is now, how it is read, and the settings.

    A method counts with its configuration and weights.
    """
    assert record.source is not None
    source = record.source.resolve()
    files = sorted(source.rglob("*")) if source.is_dir() else [source]
    beside = [source.parent / name for name in record.meta.get("files", ())]
    files += [p for p in beside if p.is_file() and p not in files]
    states = [(str(p), s.st_size, s.st_mtime_ns) for p in files for s in [p.stat()]]
    told = [__version__, states, record.data.shape, record.data.dtype.str, record.axes]
    told += [record.kind, record.scale, sorted(map(repr, record.context.items()))]
    told += [repr(record.missing), record.sought]
    made = hashlib.sha256(json.dumps(told, default=str).encode())
    for setting in settings:
        if isinstance(setting, Denoiser):
            device = getattr(setting, "device_", "")
            about = [setting.name, device, setting.config()]
            made.update(json.dumps(about, default=str).encode())
            for name, tensor in sorted(setting.weights().items()):
                made.update(name.encode() + tensor.detach().cpu().numpy().tobytes())
        else:
            made.update(pickle.dumps(setting))
    return made.hexdigest()


@dataclass
class Resumed(Alone):
    """The items of a file that is written in parts, by this process or by workers.

    part : what is there already, and where what is made goes.
    """

    part: Partial
    workers: Workers | None = None
    _job: Job | None = field(default=None, init=False)

    def items(
        self, work: Work, batch: Batch, out: Out, advance: Advance, timings: dict[str, float]
    ) -> Iterator[Item]:
        """See `Alone.items`; those that an earlier run finished are not made again."""
        out.begin()
        every = range(len(batch))
        found: dict[int, Item] = {}
        for i in every:
            if isinstance(item := self.part.done(str(i)), Item):
                found[i] = item
                advance(1.0)
        left = [i for i in every if i not in found]
        whole = [i for i in left if work.kind.blocks(batch.data[i].shape) is None]
        if self.workers and len(whole) > 1:
            job = self._shared(work, batch)
            for i, (item, spent) in self.workers.each(_item, whole, job):
                self.part.mark(str(i), item)
                found[i] = item
                for name, seconds in spent.items():
                    timings[name] = timings.get(name, 0.0) + seconds
                advance(1.0)
        for i in every:
            if i not in found:
                found[i] = work.item(batch, i, out, advance, timings)
                self._flush()
                self.part.mark(str(i), found[i])
            yield found.pop(i)

    def pieces(
        self,
        work: Work,
        denoiser: Denoiser,
        batch: Batch,
        index: int,
        pieces: Sequence[Piece],
        out: Out,
        advance: Advance,
        found: Estimate,
    ) -> Iterator[Restoration | None]:
        """See `Alone.pieces`; by workers, as they come."""
        size = sum(piece.size for piece in pieces)
        made: dict[int, Restoration | None] = {}
        for k, piece in enumerate(pieces):
            if (seen := self.part.done(f"{index}-{k}")) is not None:
                made[k] = seen[0]
                advance(piece.size / size)
        left = [k for k in range(len(pieces)) if k not in made]
        if self.workers:
            tasks = [(index, pieces[k]) for k in left]
            job = self._shared(work, batch)
            each = self.workers.each(_piece, tasks, job, work.given, denoiser, found)
            for (_, piece), how in each:
                made[k := pieces.index(piece)] = how
                self.part.mark(f"{index}-{k}", (how,))
                advance(piece.size / size)
        else:
            for k in left:
                made[k] = work.piece(denoiser, batch, index, pieces[k], out, advance, found)
                self._flush()
                self.part.mark(f"{index}-{k}", (made[k],))
        for k in range(len(pieces)):
            yield made[k]

    def _flush(self) -> None:
        """What is marked as done has to survive a power cut, too."""
        self.part.data.flush()

    def _shared(self, work: Work, batch: Batch) -> Job:
        """The work, as other processes get it."""
        if self._job is None:
            record = work.record
            mask = None if record.mask is None else np.broadcast_to(record.mask, record.data.shape)
            stub = np.zeros((1,) * record.data.ndim, record.data.dtype)
            marks = None if record.sought else ()  # those found are found again
            self._job = Job(
                replace(
                    work,
                    record=replace(
                        record, data=stub, mask=None, marks=marks, full=record.scale, meta={}
                    ),
                    pool=Alone(),
                ),
                self.part.shared("input", record.data),
                None if mask is None else self.part.shared("mask", mask),
                self.part.values,
                batch.offsets,
            )
        return self._job


@dataclass
class Job:
    """Work on a record whose values, mask and result are in files; offsets : of its items."""

    work: Work
    values: Mapped
    mask: Mapped | None
    result: Mapped
    offsets: Sequence[float] = ()
    _opened: tuple[Work, Batch, Out] | None = field(default=None, init=False)

    def opened(self) -> tuple[Work, Batch, Out]:
        """The work, its items, and where their results go."""
        if self._opened is None:
            mask = None if self.mask is None else self.mask.open()
            record = replace(self.work.record, data=self.values.open(), mask=mask)
            record = self.work.kind.marked(record)
            work = replace(self.work, record=record)
            batch = limited(work.kind, record)
            seen = replace(work.denoiser.seen(batch), offsets=self.offsets)
            into = self.result.open("r+")
            out = Out(work.kind, record, batch, len(seen) != len(batch), into)
            self._opened = work, seen, out
        return self._opened

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}


_one = threading.Lock()  #: a process works on one part at a time, so that memory is bounded


def _item(index: int, job: Job) -> tuple[Item, dict[str, float]]:
    """Restore an item in a worker; also the seconds that each part of the work took."""
    with _one:
        work, batch, out = job.opened()
        spent: dict[str, float] = {}
        item = work.item(batch, index, out, _silent, spent)
        _flush(out)
        return item, spent


def _piece(
    task: tuple[int, Piece], job: Job, given: Process | None, denoiser: Denoiser, found: Estimate
) -> Restoration | None:
    """Restore a block in a worker; given : the noise as stated, above the item's offset."""
    with _one:
        work, batch, out = job.opened()
        how = replace(work, given=given).piece(denoiser, batch, *task, out, _silent, found)
        _flush(out)
        return how


def _flush(out: Out) -> None:
    if isinstance(out.into, np.memmap):
        out.into.flush()
