"""PCD, the files of the Point Cloud Library: ASCII, binary and binary_compressed.

All fields are columns; a field of several values has several, and padding (fields named ``_``) has
none. Rows that stay are written as they were, those of a compressed file without compression.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from hush.errors import HushError
from hush.io.rows_stored import (
    Stored,
    as_set,
    joined,
    lines_of,
    names_of,
    packed,
    placed,
    plain_head,
    portable,
    typed,
    uneven,
)
from hush.record import Record

_HEAD = 2**16  #: bytes in which the header must end
_SOURCE = "its header"  #: of the number of points
_KINDS = {"F": "f", "I": "i", "U": "u"}
_LETTERS = {kind: letter for letter, kind in _KINDS.items()}


@dataclass(frozen=True)
class _Header:
    """A file's header.

    raw : its bytes; count : of points.
    names, codes, widths : of each field, its dtype such as ``f4``, and its values in a point.
    coding : ascii, binary or binary_compressed.
    """

    raw: bytes
    count: int
    names: list[str]
    codes: list[str]
    widths: list[int]
    coding: str

    @property
    def dtype(self) -> np.dtype:
        """The dtype of a binary row; fields are numbered, because names may be used twice."""
        fields = zip(self.codes, self.widths, strict=True)
        return np.dtype([(f"{i}", f"<{code}", (width,)) for i, (code, width) in enumerate(fields)])

    @property
    def used(self) -> list[int]:
        """The fields that are not padding."""
        return [i for i, name in enumerate(self.names) if name != "_"]

    def columns(self, fields: list[int]) -> list[str]:
        """The name of each column of these fields."""
        return [
            f"{self.names[i]}_{k + 1}" if self.widths[i] > 1 else self.names[i]
            for i in fields
            for k in range(self.widths[i])
        ]


def read(path: Path) -> Record:
    """The points ``(N, D)``, all fields as columns.

    Raises
    ------
    HushError
        If the file is damaged or its points have no x and y.
    """
    raw = path.read_bytes()
    header = _header(raw)
    names = header.columns(header.used)
    where = placed(names)
    if where is None:
        raise HushError(f"has points without x and y; they have {', '.join(names) or 'nothing'}")
    if not header.count:
        raise HushError("holds no points: its header states 0")
    stored = _lines(raw, header) if header.coding == "ascii" else _binary(raw, header)
    return Record(
        stored.data,
        "NC",
        kind="points",
        full=1.0,
        meta={
            "pcd": (header, stored),
            "fields": tuple(names),
            "types": tuple(header.codes[i] for i in header.used for _ in range(header.widths[i])),
        },
        context={"coordinates": where},
    )


def _header(raw: bytes) -> _Header:
    match = re.search(rb"(?m)^DATA[ \t]+(\w+)[ \t]*(\r?\n|\Z)", raw[:_HEAD])
    if match is None:
        raise HushError("has no line 'DATA' at the end of a header; it is cut short or no PCD file")
    entries = {}
    for line in raw[: match.start()].decode("latin-1").splitlines():
        key, *values = line.split() or ["#"]
        entries[key] = values
    entries["FIELDS"] = entries.get("FIELDS", entries.get("COLUMNS", []))
    if missing := [k for k in ("FIELDS", "SIZE", "TYPE") if not entries.get(k)]:
        raise HushError(f"has a header without {missing[0]}, so its fields are unknown")
    names = entries["FIELDS"]
    try:
        codes = [_KINDS[t] + s for t, s in zip(entries["TYPE"], entries["SIZE"], strict=True)]
        widths = [int(c) for c in entries.get("COUNT") or ["1"] * len(names)]
        shape = [int(entries[k][0]) for k in ("WIDTH", "HEIGHT") if k in entries]
        count = int(entries["POINTS"][0]) if "POINTS" in entries else prod(shape)
        header = _Header(raw[: match.end()], count, names, codes, widths, match[1].decode())
        valid = len(names) == len(codes) == len(widths) and min(*widths, *shape, count, 1) >= 0
        if not valid or 0 in widths or not (shape or "POINTS" in entries):
            raise ValueError
        _ = header.dtype
    except (KeyError, ValueError, IndexError, TypeError):
        raise HushError(
            "has a damaged header: FIELDS, SIZE, TYPE, COUNT, WIDTH, HEIGHT and POINTS do not fit "
            "together"
        ) from None
    if len(shape) == 2 and prod(shape) != count:
        raise HushError(f"states {count} points, but a width and height of {shape[0]} × {shape[1]}")
    if header.coding not in ("ascii", "binary", "binary_compressed"):
        raise HushError(f"has data stored as '{header.coding}', which hush does not know")
    return header


def _lines(raw: bytes, header: _Header) -> Stored:
    every = list(range(len(header.names)))
    start = len(header.raw)
    head = plain_head(header.columns(every))
    values, sizes, rows, _ = lines_of(raw, start, head, len(header.raw.splitlines()) + 1)
    if len(values) != header.count:
        raise uneven(_SOURCE, header.count, len(values))
    fields = np.repeat(every, header.widths)
    used = np.isin(fields, header.used)
    data = typed(values[:, used], [np.dtype(header.codes[i]) for i in fields[used]])
    return Stored(header.raw, raw[start:], sizes, rows, b"", data)


def _binary(raw: bytes, header: _Header) -> Stored:
    start, dtype = len(header.raw), header.dtype
    if header.coding == "binary_compressed":
        table, below = _unpacked(raw, start, header), b""
    else:
        stop = start + header.count * dtype.itemsize
        if stop > len(raw):
            raise uneven(_SOURCE, header.count, (len(raw) - start) // dtype.itemsize)
        table, below = np.frombuffer(raw, dtype, header.count, start), raw[stop:]
    data = joined([table[f"{i}"] for i in header.used])
    sizes, rows = np.full(header.count, dtype.itemsize), np.ones(header.count, bool)
    return Stored(header.raw, table.tobytes(), sizes, rows, below, data)


def _unpacked(raw: bytes, start: int, header: _Header) -> np.ndarray:
    """The rows of a compressed file, which holds field after field."""
    dtype, count = header.dtype, header.count
    if start + 8 > len(raw):
        raise uneven(_SOURCE, count, 0)
    packed, size = struct.unpack_from("<II", raw, start)
    if size != count * dtype.itemsize:
        raise HushError(
            f"states {count} points of {dtype.itemsize} bytes, but {size} bytes of compressed data"
        )
    if start + 8 + packed > len(raw):
        raise HushError("is cut short in its compressed data; copy it again")
    plain = unpacked(raw[start + 8 : start + 8 + packed], size)
    table, offset = np.empty(count, dtype), 0
    for name in dtype.names or ():
        field = table[name]
        table[name] = np.frombuffer(plain, field.dtype, field.size, offset).reshape(field.shape)
        offset += field.nbytes
    return table


def unpacked(packed: bytes, size: int) -> bytes:
    """The `size` bytes that M. Lehmann's LZF compressed; HushError if they are damaged.

    A control byte c below 32 copies the next c + 1 bytes. Any other copies (c >> 5) + 2 bytes, or
    with c >> 5 = 7 as many more as the next byte says, from up to 8192 bytes back.
    """
    made, i = bytearray(), 0
    try:
        while i < len(packed):
            control = packed[i]
            i += 1
            if control < 32:
                made += packed[i : i + control + 1]
                i += control + 1
                continue
            length = (control >> 5) + 2
            if length == 9:
                length += packed[i]
                i += 1
            back = ((control & 31) << 8) + packed[i] + 1
            i += 1
            start = len(made) - back
            if start < 0 or len(made) > size:
                raise IndexError
            piece = made[start : start + length]
            made += piece if back >= length else (piece * (length // back + 1))[:length]
        if i > len(packed) or len(made) != size:
            raise IndexError
    except IndexError:
        raise HushError("has damaged compressed data; copy it again") from None
    return bytes(made)


# -- writing -----------------------------------------------------------------------------------


def check(record: Record) -> None:
    """Raise HushError if a PCD file cannot hold the record."""
    if _kept(as_set(record))[2] is None:
        portable(record, "PCD")


def notes(record: Record) -> list[str]:
    """A sentence about compression."""
    header, _, kept = _kept(record)
    packed = header is not None and kept is not None and header.coding == "binary_compressed"
    return ["The points are written without compression (DATA binary)."] * packed


def _kept(record: Record) -> tuple[_Header | None, Stored | None, np.ndarray | None]:
    """The header and rows of the file that was read, and which of them are in the record."""
    header, stored = record.meta.get("pcd", (None, None))
    return header, stored, None if stored is None else stored.kept(record)


def write(record: Record, path: Path) -> None:
    """Write the rows that stay as they were read; values of other files in binary."""
    _, stored, kept = _kept(record)
    if stored is None or kept is None:
        path.write_bytes(_plain(record))
        return
    above = re.sub(rb"(?m)^(DATA[ \t]+)binary_compressed", rb"\g<1>binary", stored.above)
    if kept.all():
        path.write_bytes(above + stored.raw + stored.below)
        return
    for key, number in (("WIDTH", kept.sum()), ("HEIGHT", 1), ("POINTS", kept.sum())):
        pattern = rf"(?m)^({key}[ \t]+)\d+".encode()
        above = re.sub(pattern, rb"\g<1>" + f"{number}".encode(), above)
    path.write_bytes(above + stored.body(kept))


def _plain(record: Record) -> bytes:
    columns = portable(record, "PCD")
    entries = {
        "FIELDS": names_of(record),
        "SIZE": [f"{x.dtype.itemsize}" for x in columns],
        "TYPE": [_LETTERS[x.dtype.kind] for x in columns],
        "COUNT": ["1"] * len(columns),
    }
    count = len(record.data)
    lines = ["# .PCD v0.7 - Point Cloud Data file format", "VERSION 0.7"]
    lines += [f"{key} {' '.join(values)}" for key, values in entries.items()]
    lines += [f"WIDTH {count}", "HEIGHT 1", "VIEWPOINT 0 0 0 1 0 0 0", f"POINTS {count}"]
    return "\n".join([*lines, "DATA binary", ""]).encode() + packed(columns)
