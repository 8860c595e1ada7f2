"""The EXIF and GPS directories of a TIFF file, which contain file positions."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from hush.io import exif
from hush.io.exif import Exif, Tag
from hush.io.tiff_layout import tags_of


def of_file(path: Path, tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Exif:
    """EXIF of the first page: some of its tags and the directories it points to."""
    first = tuple(tag for tag in tags_of(page) if tag[0] in exif.FIRST)
    pointers = [page.tags[code] for code in exif.DIRECTORIES if code in page.tags]
    directories = {}
    if pointers and not tif.is_bigtiff:
        content = np.memmap(path, np.uint8, "r").data
        for tag in pointers:
            with suppress(struct.error, KeyError, IndexError):  # must not prevent reading the image
                (offset,) = struct.unpack_from(tif.byteorder + "I", content, tag.offset + 8)
                directories[tag.code] = exif.read_directory(content, offset, tif.byteorder)
    return Exif(tif.byteorder, first, directories)


def pointers(directories: Iterable[int]) -> list[Any]:
    """Tags that will point to the directories; by name, because tifffile rejects their codes."""
    return [(exif.DIRECTORIES[code], 4, 1, 0, True) for code in directories]


def append(path: Path, directories: Mapping[int, Sequence[Tag]]) -> None:
    """Append the directories to a TIFF file and make its `pointers` point to them."""
    if not directories:
        return
    with tifffile.TiffFile(path) as tif:
        order, start = tif.byteorder, tif.pages.first.offset
    with path.open("r+b") as stream:
        stream.seek(start)
        (count,) = struct.unpack(order + "H", stream.read(2))
        codes = [struct.unpack(order + "H10x", stream.read(12))[0] for _ in range(count)]
        for code, tags in directories.items():
            end = stream.seek(0, os.SEEK_END)
            offset = stream.seek(end + end % 2)  # directories begin at even offsets
            stream.write(exif.write_directory(tags, offset, order))
            stream.seek(start + 2 + 12 * codes.index(code) + 8)
            stream.write(struct.pack(order + "I", offset))
