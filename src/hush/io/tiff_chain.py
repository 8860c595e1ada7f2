"""The directories of a TIFF file as a chain, and what tifffile complains about."""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tifffile

from hush.errors import HushError


def opened(path: Path, omexml: str | None = None) -> tifffile.TiffFile:
    """The TIFF file at `path`, whose pages are known to come to an end."""
    check_chain(path)
    return tifffile.TiffFile(path, omexml=omexml)


def check_chain(path: Path) -> list[int]:
    """Where the pages of a TIFF file are described.

    `HushError` if one is followed by itself or an earlier one: tifffile notices only some of these
    loops. Anything else that is wrong is left to it.
    """
    seen: dict[int, int] = {}
    with path.open("rb") as stream:
        head = stream.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
        try:
            big = struct.unpack_from(f"{order}H", head, 2)[0] == 43
            count, entry, word = ("Q", 20, "Q") if big else ("H", 12, "I")
            (offset,) = struct.unpack_from(order + word, head, 8 if big else 4)
            while offset:
                if offset in seen:
                    raise HushError(
                        f"is damaged: after page {len(seen)} it goes back to page "
                        f"{seen[offset] + 1}, without end; save it again"
                    )
                seen[offset] = len(seen)
                stream.seek(offset)
                (tags,) = struct.unpack(order + count, stream.read(struct.calcsize(count)))
                stream.seek(tags * entry, 1)
                (offset,) = struct.unpack(order + word, stream.read(struct.calcsize(word)))
        except (struct.error, OSError, OverflowError):  # cut short; reading the pages says so
            pass
    return list(seen)


@contextmanager
def complaints() -> Iterator[list[str]]:
    """Collect the errors that tifffile logs about files and pages; print nothing."""
    errors: list[str] = []
    serious = ("<tifffile.TiffFile", "<tifffile.TiffPages")

    class Collect(logging.Handler):
        def emit(self, entry: logging.LogRecord) -> None:
            about, _, message = entry.getMessage().partition("> ")
            # an unusual tag does no harm, because samples are checked separately; lost pages do,
            # and so does anything beyond the end of the file
            place = re.search(r"invalid value offset (\d+)", message)
            if (place and int(place[1]) >= 8) or (
                entry.levelno >= logging.ERROR and about.startswith(serious)
            ):
                errors.append(message)

    log, handler = logging.getLogger("tifffile"), Collect()
    propagate, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        yield errors
    finally:
        log.removeHandler(handler)
        log.propagate = propagate
