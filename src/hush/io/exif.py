"""EXIF blocks, and the tag directories that EXIF and TIFF files consist of.

Entries are copied as bytes, so types, byte order and values stay exactly as the camera wrote them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from tifffile import TIFF

#: Code, type, count and value (in the file's byte order) of a tag.
Tag = tuple[int, int, int, bytes]

#: Byte order: little or big endian.
Order = Literal["<", ">"]

#: Further directories of an EXIF block, by the tag that points to them.
DIRECTORIES = {34665: "ExifTag", 34853: "GPSTag"}

#: Make, model, orientation, time, artist, copyright: the tags kept of its first directory.
FIRST = frozenset({271, 272, 274, 306, 315, 33432})

_PREFIX = b"Exif\0\0"
_INTEROPERABILITY = 40965  # points to another directory, which nobody needs
_FRACTIONS = {5: "I", 10: "i"}


def extra_tag(tag: Tag, order: str, once: bool = True) -> tuple[int, int, int, Any, bool]:
    """A tag as tifffile's writer takes it, in its byte order; fractions, whose bytes it would
    count twice, as numbers. once : whether it is for the first page only."""
    code, kind, count, value = tag
    if kind in _FRACTIONS and len(value) == 8 * count:
        return (
            code,
            kind,
            count,
            struct.unpack(f"{order}{2 * count}{_FRACTIONS[kind]}", value),
            once,
        )
    return code, kind, count, value, once


@dataclass(frozen=True)
class Exif:
    """An EXIF block: byte order, first directory, and others by the tag that points to them."""

    order: Order = "<"
    first: tuple[Tag, ...] = ()
    directories: Mapping[int, Sequence[Tag]] = field(default_factory=dict)

    @classmethod
    def from_bytes(cls, block: bytes) -> Exif:
        """Parse a block as in a JPEG file; skip what cannot be decoded."""
        content = block.removeprefix(_PREFIX)
        order: Order = ">" if content.startswith(b"MM") else "<"
        first: tuple[Tag, ...] = ()
        directories = {}
        # damaged EXIF is common; it must not prevent reading the image
        with suppress(struct.error, KeyError, IndexError):
            tags = read_directory(content, struct.unpack_from(order + "I", content, 4)[0], order)
            first = tuple(tag for tag in tags if tag[0] in FIRST)
            for code, _, _, value in tags:
                if code in DIRECTORIES:
                    offset = struct.unpack(order + "I", value)[0]
                    directories[code] = read_directory(content, offset, order)
        return cls(order, first, directories)

    def to_bytes(self) -> bytes:
        """The block as in a JPEG file; empty without any tags."""
        if not self.first and not self.directories:
            return b""
        order, start = self.order, 8
        pointers = [(code, 4, 1, bytes(4)) for code in self.directories]
        end = start + len(write_directory([*self.first, *pointers], start, order))
        pointers, rest = [], b""
        for code, tags in self.directories.items():
            pointers.append((code, 4, 1, struct.pack(order + "I", end + len(rest))))
            rest += write_directory(tags, end + len(rest), order)
        header = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, start)
        return _PREFIX + header + write_directory([*self.first, *pointers], start, order) + rest


def read_directory(content: bytes | memoryview, offset: int, order: Order) -> list[Tag]:
    """The tags of the directory at `offset` in `content`, which is bytes or a memory-mapped file.

    Raises struct.error, KeyError or IndexError if it is damaged.
    """
    (entries,) = struct.unpack_from(order + "H", content, offset)
    tags = []
    for start in range(offset + 2, offset + 2 + 12 * entries, 12):
        code, kind, count = struct.unpack_from(order + "HHI", content, start)
        size = count * struct.calcsize(TIFF.DATA_FORMATS[kind])
        where = start + 8
        if size > 4:
            (where,) = struct.unpack_from(order + "I", content, where)
        value = bytes(content[where : where + size])
        if len(value) < size:
            raise IndexError(f"tag {code} lies outside of the file")
        if code != _INTEROPERABILITY:
            tags.append((code, kind, count, value))
    return tags


def write_directory(tags: Sequence[Tag], offset: int, order: Order) -> bytes:
    """A directory with `tags`, to be placed at the even `offset`."""
    entries, values = struct.pack(order + "H", len(tags)), b""
    after = offset + 2 + 12 * len(tags) + 4
    for code, kind, count, value in sorted(tags):
        entries += struct.pack(order + "HHI", code, kind, count)
        if len(value) <= 4:
            entries += value.ljust(4, b"\0")
        else:
            entries += struct.pack(order + "I", after + len(values))
            values += value + bytes(len(value) % 2)  # values begin at even offsets
    return entries + bytes(4) + values
