"""What the readers of alignments share: text to pieces, and pieces to columns and tokens."""

from __future__ import annotations

import gzip
import mmap
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hush.errors import HushError
from hush.io.aligned import BOM, INSERTED, SHARED, Text
from hush.io.columns_head import decoded
from hush.io.gz import DAMAGED, MAGIC, unpacked
from hush.io.residues import TOKENS
from hush.record import Record

_MAPPED = 2**26  #: bytes from which a file is mapped, so that its text needs no memory
_HEAD = 2**16  #: bytes by which files are recognised
_CHUNK = 2**22  #: characters that are looked at together
_UTF16 = (b"\xff\xfe", b"\xfe\xff")  #: how text in UTF-16 begins
#: characters that may be in a row
KNOWN = bytes(range(65, 91)) + bytes(range(97, 123)) + b"-.*~_"
_TOKENS = TOKENS.tobytes()


# -- text --------------------------------------------------------------------------------------


def beginning(head: bytes, path: Path, more: bool = False) -> bytes | None:
    """How a file begins, decompressed and without blank lines; None if that is damaged.

    head : its first bytes; more : whether they are not enough.
    """
    if more or head.startswith(MAGIC):
        try:
            with unpacked(path) as stream:
                head = stream.read1(_HEAD)  # type: ignore[attr-defined]
        except DAMAGED:
            return None
    head = head[2:] if head.startswith(_UTF16) else head.removeprefix(BOM)
    return head.replace(b"\0", b"").lstrip() or None


@dataclass(frozen=True)
class Source:
    """The text of a file, its lines ended by ``\\n``, and what to know to write it as it was.

    notes : about what was changed in it; newline : the file's own line end; bom : whether the
    file begins with the mark of UTF-8.
    """

    raw: bytes | mmap.mmap
    notes: Sequence[str] = ()
    newline: bytes = b"\n"
    bom: bool = False


def text_in(path: Path) -> Source:
    """The text of a file.

    Raises
    ------
    HushError
        If a compressed file is cut short, or nothing is in it.
    """
    raw: bytes | mmap.mmap
    try:
        with unpacked(path) as stream:
            plain = not isinstance(stream, gzip.GzipFile)
            if plain and path.stat().st_size >= _MAPPED:
                raw = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            else:
                raw = stream.read()
    except DAMAGED:
        raise HushError("is cut short or damaged; copy or download it again") from None
    return cleaned(raw)


def cleaned(raw: bytes | mmap.mmap) -> Source:
    """See `text_in`."""
    notes, newline = [], b"\n"
    bom = raw[:3] == BOM
    if bom:
        raw = raw[3:]
    if raw[:2] in _UTF16:
        raw = raw[:].decode("utf-16", "replace").encode()
        notes.append("The text was UTF-16; the result is UTF-8.")
    if raw.find(b"\0") >= 0:
        before = len(raw)
        raw = raw[:].replace(b"\0", b"")
        count = before - len(raw)
        notes.append(f"{count} NUL byte{'s were' if count > 1 else ' was'} removed from the text.")
    if raw.find(b"\r") >= 0:
        raw = raw[:]
        newline = _newline(raw)
        if newline == b"\n":
            notes.append("Lines ended in different ways; the result's lines end with LF.")
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not raw[:_HEAD].strip():
        raise HushError("is empty: it holds only blank lines")
    return Source(raw, notes, newline, bom)


def _newline(raw: bytes) -> bytes:
    """CRLF or CR if all lines end so, and LF otherwise."""
    both, cr, lf = raw.count(b"\r\n"), raw.count(b"\r"), raw.count(b"\n")
    if both == cr == lf:
        return b"\r\n"
    return b"\n" if lf else b"\r"


def lines_in(raw: bytes | mmap.mmap, begin: int = 0) -> Iterator[tuple[int, int]]:
    """Where each line begins and ends, its line end included."""
    while begin < len(raw):
        end = raw.find(b"\n", begin) + 1 or len(raw)
        yield begin, end
        begin = end


# -- pieces ------------------------------------------------------------------------------------


@dataclass
class Pieces:
    """The pieces of a text, as they are found; see `Text`."""

    ends: array[int] = field(default_factory=lambda: array("q"))
    rows: array[int] = field(default_factory=lambda: array("q"))
    blocks: array[int] = field(default_factory=lambda: array("q"))
    cells: array[int] = field(default_factory=lambda: array("q"))  #: begin and end of residues
    heads: array[int] = field(default_factory=lambda: array("q"))

    def add(
        self, end: int, row: int = SHARED, block: int = -1, cell: tuple[int, int] = (0, 0)
    ) -> None:
        """A piece that ends at `end`; cell : where residues are in it."""
        self.ends.append(end)
        self.rows.append(row)
        self.blocks.append(block)
        self.cells.extend(cell)

    def wrap(self, count: int) -> None:
        """Take the rows for blocks of `count` rows each."""
        for piece, row in enumerate(self.rows):
            if row >= 0:
                self.rows[piece], self.blocks[piece] = row % count, row // count
        del self.heads[2 * count :]

    def text(self, name: str, source: Source, **more: Any) -> Text:
        """The text in these pieces; name : of the format."""
        ends, rows, blocks = (np.array(x, np.int64) for x in (self.ends, self.rows, self.blocks))
        cells = np.array(self.cells, np.int64).reshape(-1, 2)
        filled = np.flatnonzero((rows >= 0) & (cells[:, 1] > 0))
        filled = filled[np.argsort(rows[filled], kind="stable")]
        count = int(rows.max(initial=-1)) + 1
        firsts = np.searchsorted(rows[filled], np.arange(count + 1))
        heads = np.array(self.heads, np.int64).reshape(-1, 2) if self.heads else None
        begins, stops, offsets = (array("q", x.tobytes()) for x in (*cells[filled].T, firsts))
        made = {"same": np.arange(count), "newline": source.newline, "bom": source.bom, **more}
        places = (ends, rows, blocks, begins, stops, offsets)
        return Text(name, source.raw, *places, heads=heads, **made)


class Blocks:
    """To which row and block a line with a name belongs, in text wrapped into blocks of rows.

    A new block begins after a gap, with a name that the last block has. One name twice in a block
    is two rows.
    """

    def __init__(self) -> None:
        self.names: list[bytes] = []
        self.block = 0
        self.last: dict[bytes, int] = {}  #: row by name, of the last block that has it
        self.previous = -1  #: the row of the last line with a name
        self._inside: set[bytes] = set()
        self._gap = False

    def gap(self) -> None:
        """A blank line, or another that ends a block."""
        self._gap = True

    def row(self, name: bytes) -> int:
        """The row of the next line with a name."""
        if self._gap and name in self._inside:
            self.block += 1
            self._inside.clear()
            self.previous = -1
        self._gap = False
        self._inside.add(name)
        row = self.previous + 1
        if self.block == 0:
            row = len(self.names)
        elif row >= len(self.names) or self.names[row] != name:
            row = self.last.get(name, len(self.names))
        if row == len(self.names):
            self.names.append(name)
        self.previous = row
        self.last[name] = row
        return row


# -- columns -----------------------------------------------------------------------------------


def record_of(
    text: Text,
    modes: Sequence[str] = ("columns",),
    notes: Sequence[str] = (),
    context: Mapping[str, Any] | None = None,
) -> Record:
    """The record ``(N, L)`` of a text.

    modes : what lower-case letters and dots may be, ``"columns"`` or ``"insertions"``; the first
        with which all rows have as many columns is taken.

    Raises
    ------
    HushError
        If there is no row, a row holds what is no residue, or rows have different lengths.
    """
    if not len(text):
        raise HushError("holds no sequences")
    names = tuple(_name(text, row) for row in range(len(text)))
    lengths, capitals, stopped = _counts(text, names)
    mode, out, width = _settled(text, names, modes, lengths, capitals, stopped)
    mixed = bool((lengths - stopped != capitals).any())
    text = replace(
        text,
        inserted=mixed and mode == "insertions",
        soft=mixed and mode == "columns",
        starred=out and bool(stopped.any()),
    )
    try:
        tokens = np.empty((len(text), width), np.uint8)
    except MemoryError:
        size = len(text) * width / 2**30
        raise HushError(
            f"has {len(text)} rows of {width} columns, which need {size:.1f} GiB of memory, more "
            "than there is; select some of the rows first"
        ) from None
    for row, line in enumerate(text.columns()):
        tokens[row] = np.frombuffer(line.translate(_TOKENS), np.uint8)
    return Record(
        tokens,
        "NC",
        kind="alignment",
        full=1.0,
        meta={"aligned": replace(text, tokens=tokens), "notes": list(notes)},
        context={"names": names, **(context or {})},
    )


def _name(text: Text, row: int) -> str:
    return decoded(text.label(row)[0]) or f"row {row + 1}"


def _counts(text: Text, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Characters of each row, those of them neither lower case nor dots, and whether a * ends it.

    A * at the end is in the first number only.
    """
    counts = np.zeros((3, len(text)), np.int64)
    for row, line in enumerate(text.characters()):
        if not line:
            raise HushError(
                f"row {row + 1}, '{names[row]}', has no residues; remove it, or copy the file again"
            )
        if odd := line.translate(None, KNOWN):
            sign = chr(odd[0]) if odd[:1].isascii() else decoded(odd)[0]
            raise HushError(
                f"row {row + 1}, '{names[row]}', holds {sign!r}, which is neither a residue nor a "
                "gap; correct or remove that row"
            )
        star = line.endswith(b"*")
        counts[:, row] = len(line), len(line.translate(None, INSERTED)) - star, star
    return counts[0], counts[1], counts[2]


def _settled(
    text: Text,
    names: Sequence[str],
    modes: Sequence[str],
    lengths: np.ndarray,
    capitals: np.ndarray,
    stopped: np.ndarray,
) -> tuple[str, bool, int]:
    """What lower case and dots are, whether * at the ends are in no column, and the columns."""
    found = {"columns": lengths - stopped, "insertions": capitals}
    for out in (True, False):
        for mode in modes:
            columns = found[mode] if out else found[mode] + stopped
            width = int(columns[0])
            if width == 0 or (columns != width).any():
                continue
            if mode == "insertions" and "columns" in modes and not _consistent(text, lengths):
                continue
            return mode, out, width
    mode = next((m for m in modes if (found[m] != found[m][0]).any()), modes[0])
    columns = found[mode]
    widths, counts = np.unique(columns, return_counts=True)
    width = int(columns[0])
    if counts.max() > np.sum(columns == width):
        width = int(widths[counts.argmax()])
    row, other = (int(np.flatnonzero(x)[0]) for x in (columns != width, columns == width))
    number, what = int(columns[row]), "column" if mode == "columns" else "match column"
    what += "s" * (number != 1) + " (capitals and -)" * (mode != "columns")
    raise HushError(
        f"is not an alignment: row {row + 1}, '{names[row]}', has {number} {what}, but row "
        f"{other + 1}, '{names[other]}', has {width}; align the sequences, or remove that row"
    )


def _consistent(text: Text, lengths: np.ndarray) -> bool:
    """Whether dots and lower case share columns, where all rows are equally long.

    Then dots stand beside insertions, as A2M has them; otherwise they are gaps. True without dots.
    """
    width, dots = int(lengths[0]), False
    if (lengths != width).any():
        return True
    some, every = np.zeros(width, bool), np.ones(width, bool)
    step = max(1, _CHUNK // width)
    for start in range(0, len(text), step):
        rows = range(start, min(start + step, len(text)))
        lines = b"".join(text.characters(rows))
        dots = dots or b"." in lines
        inserted = _INSERTS[np.frombuffer(lines, np.uint8)].reshape(len(rows), width)
        some |= inserted.any(0)
        every &= inserted.all(0)
    return not dots or bool((some == every).all())


_INSERTS = np.zeros(256, bool)
_INSERTS[np.frombuffer(INSERTED, np.uint8)] = True
