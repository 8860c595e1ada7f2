"""PLY, ASCII and binary: points are its vertices, with whatever other properties they have.

The format is that of G. Turk, "The PLY Polygon File Format" (1994). Rows that stay are written as
they were. Once a point is removed, faces, edges and whatever else may refer to points by number are
left out; a camera, as PCL writes it, stays.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
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

MAGIC = (b"ply\n", b"ply\r\n")
_CODES = {
    "char int8": "i1",
    "uchar uint8": "u1",
    "short int16": "i2",
    "ushort uint16": "u2",
    "int int32": "i4",
    "uint uint32": "u4",
    "float float32": "f4",
    "double float64": "f8",
}
_TYPES = {name: code for names, code in _CODES.items() for name in names.split()}
_NAMES = {code: names.split()[0] for names, code in _CODES.items()}
_SOURCE = "its header"  #: of the number of points
#: names of numbers of points, and of elements in which any whole number may be one
_REFERS = re.compile(r"vert|point|index|idx|ind|[vpi]_?\d+$", re.IGNORECASE)
_JOINS = re.compile(r"edge|line|face|tri|cell|tetra|poly|strip|bond|link", re.IGNORECASE)
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass(frozen=True)
class _Element:
    """An element of the header: its properties, of which a list has no type here."""

    name: str
    count: int
    properties: list[tuple[str, str | None]]

    @property
    def lists(self) -> list[str]:
        return [name for name, code in self.properties if code is None]

    @property
    def refers(self) -> bool:
        """Whether it may refer to points by number: lists do, and edges."""
        whole = [name for name, code in self.properties if code is None or code[0] in "iu"]
        if _JOINS.search(self.name) and whole:
            return True
        return bool(self.lists) or any(_REFERS.match(name) for name, _ in self.properties)

    def dtype(self, order: str) -> np.dtype:
        """The dtype of a row; fields are numbered, because names may be used twice."""
        return np.dtype([(f"{i}", f"{order}{code}") for i, (_, code) in enumerate(self.properties)])


@dataclass(frozen=True)
class _Layout:
    """A file's header, its byte order (empty for text), its elements, and its rows."""

    header: bytes
    order: str
    elements: list[_Element]
    stored: Stored

    def others(self) -> dict[str, bytes]:
        """The bytes of the elements that do not refer to points; of those behind lists, none."""
        found, body = dict[str, bytes](), self.stored.above[len(self.header) :]
        for element in self.elements:
            if element.name == "vertex":
                body = self.stored.below
                continue
            if not self.order:
                size = sum(map(len, body.splitlines(keepends=True)[: element.count]))
            elif element.lists and element.count:
                body = b""
                continue
            else:
                size = 0 if element.lists else element.count * element.dtype(self.order).itemsize
            if not element.refers and size and size <= len(body):
                found[element.name] = body[:size]
            body = body[size:]
        return found


def read(path: Path) -> Record:
    """The vertices ``(N, D)``, all properties as columns.

    Raises
    ------
    HushError
        If the file is damaged, or its vertices have no x and y, or lists.
    """
    raw = path.read_bytes()
    header, order, elements = _header(raw)
    at = next((i for i, e in enumerate(elements) if e.name == "vertex"), None)
    if at is None:
        raise HushError("has no element 'vertex', and so no points")
    vertex = elements[at]
    if vertex.lists:
        raise HushError(
            f"has lists in its vertices ('{vertex.lists[0]}'), which hush cannot read as columns"
        )
    names = [name for name, _ in vertex.properties]
    where = placed(names)
    if where is None:
        raise HushError(f"has vertices without x and y; they have {', '.join(names) or 'nothing'}")
    if not vertex.count:
        raise HushError("holds no points: its header states 0 vertices")
    take = _binary if order else _lines
    stored = take(raw, len(header), order, elements[:at], vertex)
    return Record(
        stored.data,
        "NC",
        kind="points",
        full=1.0,
        meta={
            "ply": _Layout(header, order, elements, stored),
            "fields": tuple(names),
            "types": tuple(code or "" for _, code in vertex.properties),
        },
        context={"coordinates": where},
    )


def _header(raw: bytes) -> tuple[bytes, str, list[_Element]]:
    """The bytes of the header, the byte order (empty for text), and the elements."""
    newline = rb"\r\n" if raw.startswith(MAGIC[1]) else rb"\n"
    end = re.search(rb"\nend_header[ \t]*" + newline, raw)
    if end is None:
        raise HushError("has a header without end: no line 'end_header'; it is cut short")
    order, elements = None, list[_Element]()
    lines = raw[: end.end()].decode("latin-1").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            match line.split():
                case ["format", name, *_]:
                    order = _ORDERS[name]
                case ["element", name, count]:
                    elements.append(_Element(name, _count(count), []))
                case ["property", "list", size, item, name]:
                    _ = _TYPES[size], _TYPES[item]
                    elements[-1].properties.append((name, None))
                case ["property", kind, name]:
                    elements[-1].properties.append((name, _TYPES[kind]))
                case ["element" | "property", *_]:
                    raise ValueError
        except (KeyError, ValueError, IndexError):
            raise HushError(f"has a damaged header: line {number} is '{line[:60]}'") from None
    if order is None:
        raise HushError("has a header that does not state the format, such as ascii 1.0")
    return raw[: end.end()], order, elements


def _count(text: str) -> int:
    count = int(text)
    if count < 0:
        raise ValueError
    return count


def _binary(raw: bytes, start: int, order: str, before: list[_Element], vertex: _Element) -> Stored:
    for element in before:
        if element.lists and element.count:
            raise HushError(
                f"has its vertices behind the lists of '{element.name}'; save it with the "
                "vertices first"
            )
        start += element.count * (0 if element.lists else element.dtype(order).itemsize)
    dtype = vertex.dtype(order)
    stop = start + vertex.count * dtype.itemsize
    if stop > len(raw):
        raise uneven(_SOURCE, vertex.count, max(0, len(raw) - start) // dtype.itemsize)
    table = np.frombuffer(raw, dtype, vertex.count, start)
    sizes = np.full(vertex.count, dtype.itemsize)
    data = joined([table[name] for name in table.dtype.names or ()])
    rows = np.ones(vertex.count, bool)
    return Stored(raw[:start], raw[start:stop], sizes, rows, raw[stop:], data)


def _lines(raw: bytes, start: int, order: str, before: list[_Element], vertex: _Element) -> Stored:
    number = len(raw[:start].splitlines()) + 1
    skipped = sum(element.count for element in before)
    lines = raw[start:].splitlines(keepends=True)[:skipped] if skipped else []
    start, number = start + sum(map(len, lines)), number + len(lines)
    head = plain_head([name for name, _ in vertex.properties])
    values, sizes, rows, _ = lines_of(raw, start, head, number, vertex.count)
    if len(values) < vertex.count:
        raise uneven(_SOURCE, vertex.count, len(values))
    data = typed(values, [np.dtype(code) for _, code in vertex.properties])
    stop = start + int(sizes.sum())
    return Stored(raw[:start], raw[start:stop], sizes, rows, raw[stop:], data)


# -- writing -----------------------------------------------------------------------------------


def check(record: Record) -> None:
    """Raise HushError if a PLY file cannot hold the record."""
    if _kept(as_set(record))[1] is None:
        portable(record, "PLY")


def notes(record: Record) -> list[str]:
    """A sentence about the elements that are left out."""
    layout, kept = _kept(record)
    if layout is None or kept is None or kept.all():
        return []
    stay = {"vertex", *layout.others()}
    left = [f"'{e.name}'" for e in layout.elements if e.name not in stay and e.count]
    if not left:
        return []
    return [f"Elements that may refer to points by number are left out: {', '.join(left)}."]


def _kept(record: Record) -> tuple[_Layout | None, np.ndarray | None]:
    """The layout of the file that was read, and which of its rows are in the record."""
    layout: _Layout | None = record.meta.get("ply")
    return layout, None if layout is None else layout.stored.kept(record)


def write(record: Record, path: Path) -> None:
    """Write the rows that stay as they were read; values of other files in little-endian binary."""
    layout, kept = _kept(record)
    if layout is None or kept is None:
        path.write_bytes(_plain(record))
        return
    stored = layout.stored
    if kept.all():
        path.write_bytes(stored.above + stored.raw + stored.below)
        return
    parts = layout.others() | {"vertex": stored.body(kept)}
    counts = {e.name: e.count for e in layout.elements if e.name in parts}
    counts["vertex"] = int(kept.sum())

    def stated(line: re.Match[bytes]) -> bytes:
        return line[1] + b"%d" % counts.get(line[2].decode("latin-1"), 0)

    header = re.sub(rb"(?m)^(element[ \t]+(\S+)[ \t]+)\d+", stated, layout.header)
    body = (parts[e.name] for e in layout.elements if e.name in parts)
    path.write_bytes(header + b"".join(body))


def _plain(record: Record) -> bytes:
    columns = portable(record, "PLY")
    kinds = [_NAMES[f"{x.dtype.kind}{x.dtype.itemsize}"] for x in columns]
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(record.data)}"]
    lines += [f"property {k} {name}" for k, name in zip(kinds, names_of(record), strict=True)]
    return "\n".join([*lines, "end_header", ""]).encode() + packed(columns)
