"""Channels of a recording: how the files of physiologists are laid out in a `Record`.

Channels of one file may have different rates, lengths and units, and gaps. A signal's record holds
their samples one after the other in memory order, in physical units, or as stored where a file
states none. ``Record.context["layout"]`` is a tuple of `Channel`, which says what lies where:

- all channels alike: `Record.data` is ``(C, T)`` with axes ``CT``;
- otherwise it is ``(N,)`` with axes ``T``, the channels one after the other.

Either way channel c is ``data.reshape(-1)[c.start : c.start + c.count]``.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from hush.errors import HushError

#: arrays of more bytes are kept in a temporary file, so that memory does not grow with a recording
LARGE = 2**26


@dataclass(frozen=True)
class Channel:
    """One channel of a recording.

    name : as in the file, not necessarily unique; unit : such as ``uV``, empty if unknown.
    rate : samples a second; None if unknown.
    start, count : where its samples lie in the record.
    breaks : positions, from the channel's first sample, at which recording began again after a gap.
    signal : False for what no method may change, such as a trigger or a status channel.
    """

    name: str
    unit: str = ""
    rate: float | None = None
    start: int = 0
    count: int = 0
    breaks: tuple[int, ...] = ()
    signal: bool = True

    def of(self, data: np.ndarray) -> np.ndarray:
        """Its samples in a record's data, as a view ``(T,)``."""
        return data.reshape(-1)[self.start : self.start + self.count]

    @property
    def stretches(self) -> Iterator[slice]:
        """The parts of the channel between gaps."""
        edges = [0, *self.breaks, self.count]
        return (slice(a, b) for a, b in pairwise(edges) if b > a)


@dataclass(frozen=True)
class Event:
    """An annotation: onset and duration in seconds (None: no duration), and its text."""

    onset: float
    duration: float | None
    text: str


def empty(shape: int | Sequence[int], dtype: np.dtype | type = np.float64) -> np.ndarray:
    """An array to fill; a large one lies in a temporary file that nobody else sees."""
    dtype, shape = np.dtype(dtype), tuple(np.atleast_1d(shape).tolist())
    size = int(np.prod(shape)) * dtype.itemsize
    if size <= LARGE:
        return np.empty(shape, dtype)
    # The memory map keeps the file alive after its name is gone.
    with tempfile.NamedTemporaryFile(prefix="hush-") as file:
        file.truncate(size)
        if hasattr(os, "posix_fallocate"):  # if the disk is full later, it is a fatal signal
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                raise HushError(
                    f"{size / 2**30:.1f} GiB of temporary files do not fit in "
                    f"{tempfile.gettempdir()}; set TMPDIR to a folder with more room"
                ) from error
        return np.memmap(file, dtype, "r+", shape=shape)


def available() -> int | None:
    """How many bytes of memory are free for new work; None if the system does not say."""
    found = []
    with suppress(OSError, ValueError, IndexError):
        text = Path("/proc/meminfo").read_text()
        found.append(int(text.partition("MemAvailable:")[2].split()[0]) * 1024)
    with suppress(OSError, ValueError):  # a container's limit, less what cannot be given back
        group = Path("/sys/fs/cgroup")
        stat = (group / "memory.stat").read_text()
        cached = int(stat.partition("inactive_file ")[2].split()[0])
        used = int((group / "memory.current").read_text()) - cached
        found.append(int((group / "memory.max").read_text()) - used)
    if not found:
        with suppress(OSError, ValueError, AttributeError):
            found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min(found, default=None)


def let_go(mapped: Any) -> None:
    """Give the pages of a memory-mapped array back; the file has them, and memory stays flat."""
    in_file = False  # a copy-on-write map holds changes that no file has
    while isinstance(mapped, np.ndarray):
        if isinstance(mapped, np.memmap):
            in_file = mapped.mode in ("r", "r+", "w+")
        mapped = mapped.base
    if in_file and isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
