"""Files in gzip: recognised by their content when they are read, by their name when written."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

LEVEL = 3  #: of compression: nearly as small as 9, in a fraction of the time
MAGIC = b"\x1f\x8b"
#: what reading a compressed file raises that is damaged or cut short
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)


@contextmanager
def unpacked(path: Path) -> Iterator[IO[bytes]]:
    """The content of a file, decompressed if it is in gzip, whatever its name."""
    with path.open("rb") as file:
        packed = file.read(2) == MAGIC
        file.seek(0)
        if packed:
            with gzip.GzipFile(fileobj=file) as stream:
                yield stream  # type: ignore[misc]
        else:
            yield file


@contextmanager
def packed(path: Path) -> Iterator[IO[bytes]]:
    """A new file to write to, compressed if its name ends in ``.gz``."""
    with path.open("wb") as file:
        if path.name.lower().endswith(".gz"):
            with gzip.GzipFile("", "wb", LEVEL, file, mtime=0) as stream:
                yield stream  # type: ignore[misc]
        else:
            yield file


def zipped(*endings: str) -> tuple[str, ...]:
    """Endings, and those of the same files in gzip."""
    return (*endings, *(f"{ending}.gz" for ending in endings))
