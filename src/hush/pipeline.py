"""The path of one item: measured, restored, and judged against the measured noise."""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hush.denoiser import Denoiser
from hush.errors import HushError
from hush.kinds import Kind
from hush.kinds.layout import check_span, filled, laid_out
from hush.noise.processes import Process
from hush.record import Batch, Record
from hush.results import Item


@dataclass
class Work:
    """The work on every item of a record."""

    kind: Kind
    record: Record
    denoiser: Denoiser
    given: Process | None
    strength: float
    was_adapted: bool

    def item(
        self,
        batch: Batch,
        index: int,
        out: Out,
        advance: Callable[[float], None],
        timings: dict[str, float],
    ) -> Item:
        """Measure, restore and judge one item; put its result into `out`."""
        times = [time.perf_counter()]
        noisy = with_gaps(batch, index)
        found = self.kind.measure([noisy])
        if (known := np.isfinite(noisy)).any(axis=tuple(range(1, noisy.ndim))).all():
            found = self.denoiser.reviewed(filled(noisy, known), found)
        advice = self.kind.advice(self.record, noisy, self.given, found)
        del noisy
        times.append(time.perf_counter())
        made, how = self.denoiser.denoise_item(
            batch, index, self.given, self.strength, advance, found
        )
        place = out.put(index, made, how.spread, whole=how.kept is None)
        times.append(time.perf_counter())
        process = how.process or found.local
        before, scale = batch.data[index], batch.scale
        if how.kept is not None:
            before = before[..., how.kept]
        elif batch.mask is not None or how.replaced is not None:
            before = with_gaps(batch, index) * np.float32(batch.scale)
        if how.replaced is not None:  # they say nothing about the noise
            before[how.replaced] = np.nan
        judgement = self.kind.judge(
            before,
            made,
            process,
            strength=self.strength,
            scale=scale,
            known=found.correlated,
            adaptable=self.denoiser.adapts and not self.was_adapted and not found.correlated,
        )
        times.append(time.perf_counter())
        for mapped in (batch.data, out.into):
            _let_go(mapped)
        for name, spent in zip(("measure", "denoise", "check"), np.diff(times), strict=True):
            timings[name] = timings.get(name, 0.0) + float(spent)
        trace = tuple(how.trace)
        if self.given is None and process.varies:  # the maps of a stack would fill the memory
            process = found.process
        return Item(*place, found, process, judgement, how.step, trace, tuple(advice), how.kept)


class Out:
    """Collects the items of a result in an array like the data, or in a list if they shrink.

    into : the array to use, such as one in a file.
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

    def put(
        self, index: int, made: np.ndarray, spread: np.ndarray | None, whole: bool
    ) -> tuple[int, int | None]:
        """Store one item; return its plane, and its channel if channels are items."""
        if spread is not None:
            self.spreads.append(spread)
        channels = len(self.batch.data[0])
        plane, channel = divmod(index, channels) if self.apart else (index, None)
        begun = self._whole is not None
        if isinstance(self.batch.data, np.ndarray) and whole:
            if not begun:
                if any(item is not None for item in self.items):
                    raise self._uneven()
                self._whole = self.items = self._blank(self.batch.data)
            part = slice(None) if channel is None else slice(channel, channel + 1)
            self._whole[plane, part] = made
        elif begun:
            raise self._uneven()
        elif self.items[plane] is None:
            self.items[plane] = made
        else:
            self.items[plane] = np.concatenate([self.items[plane], made])
        return plane, channel

    def record(self) -> Record:
        """The result as a record like the noisy one."""
        if self.into is not None and self._whole is not None:
            return self.noisy.with_data(self.into)
        as_array = isinstance(self.batch.data, np.ndarray) and self._whole is None
        if as_array and len({item.shape[-1] for item in self.items}) > 1:
            raise self._uneven()
        return self.kind.record(self.noisy, self.items)

    def _uneven(self) -> HushError:
        return HushError(
            f"the method keeps a different number of {self.kind.element}s of each of the "
            f"{self.kind.nouns[1]}, which do not fit in one array; give them one by one"
        )

    def _blank(self, like: np.ndarray) -> np.ndarray:
        if self.into is not None:
            view = laid_out(self.into, self.noisy.axes, self.kind.letters)
            if np.shares_memory(view, self.into):
                return view
            self.into = None  # its axis order does not allow views as items
        return np.empty(like.shape, like.dtype)


def _let_go(mapped: Any) -> None:
    """Give the pages of a memory-mapped array back; the file has them, and memory stays flat."""
    in_file = False  # a copy-on-write map holds changes that no file has
    while isinstance(mapped, np.ndarray):
        if isinstance(mapped, np.memmap):
            in_file = mapped.mode in ("r", "r+", "w+")
        mapped = mapped.base
    if in_file and isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def with_gaps(batch: Batch, index: int) -> np.ndarray:
    """Item `index` as floats in units of full range, NaN for unknown values."""
    known = batch.known(index)
    check_span(batch.data[index], known, batch.scale)
    x = batch.floats(index)
    if not known.all():
        x[~known] = np.nan
    return x
