"""The file that a record was read from, for formats whose results copy parts of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hush.errors import HushError
from hush.io.gz import unpacked

PIECE = 2**22  #: bytes that are copied at once


@dataclass(frozen=True)
class Origin:
    """A file, and what it was like when it was read."""

    path: Path
    size: int
    changed: int

    @classmethod
    def of(cls, path: Path) -> Origin:
        """The file at `path` as it is now; its absolute path, so that it is found again."""
        stat = path.stat()
        return cls(path.absolute(), stat.st_size, stat.st_mtime_ns)

    def check(self) -> None:
        """Raise HushError if the file is gone, or is not as it was."""
        if not self.path.is_file():
            raise HushError(f"the input {self.path}, which the result is a copy of, is missing")
        if Origin.of(self.path) != self:
            raise HushError(f"the input {self.path} has changed since it was read; run hush again")

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Its content, decompressed. Raises HushError as `check` does."""
        self.check()
        with unpacked(self.path) as stream:
            yield stream


def copy(source: IO[bytes], target: IO[bytes], count: int | None = None) -> None:
    """Copy `count` bytes, or all that are left."""
    left = count
    while left is None or left > 0:
        part = source.read(PIECE if left is None else min(PIECE, left))
        if not part:
            return
        target.write(part)
        left = None if left is None else left - len(part)
