"""Alignments as their files store them, so that rows that stay come back unchanged.

An alignment is a record ``(N, L)`` with axes ``NC``: sequences, then columns, as uint8 tokens
(`hush.io.residues`). All its formats share these keys of ``Record.meta``:

``aligned``
    The text of the file (`Text`), from which results are written.
``kept``
    bool ``(N,)`` over the rows of the file: those that are in ``Record.data``, in order.
``first``
    Index in the file of the row that is before the others in ``Record.data``, such as the query.

``Record.context["names"]`` holds the name of each row that was read.
"""

from __future__ import annotations

import mmap
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hush.errors import HushError
from hush.io.columns_head import decoded
from hush.io.residues import BYTES
from hush.record import Record

#: owners of pieces that are no rows: what all rows share, and what is true of all of them only
SHARED, ABOUT_ALL = -1, -2
BOM = b"\xef\xbb\xbf"  #: with which some programs begin text in UTF-8
SPACE = b" \t\r\n\f\v"
#: letters that are in no column of an A3M file
INSERTED = b"abcdefghijklmnopqrstuvwxyz."


@dataclass(frozen=True, eq=False)
class Text:
    """The text of a file with `N` rows, in `P` pieces such as lines.

    format : its name; raw : the text, in memory or mapped.
    ends ``(P,)`` : of the pieces; the first begins at 0.
    rows ``(P,)`` : to which row a piece belongs, or `SHARED` or `ABOUT_ALL`.
    blocks ``(P,)`` : in which block of rows a piece is; -1 for pieces outside, such as annotation
        by name.
    begins, stops ``(K,)`` : where residues are, row after row; offsets ``(N + 1,)`` : the first of
        those of each row.
    heads ``(N, 2)`` : where the names are, and after them descriptions; None without names.
    described : descriptions that are elsewhere, by row.
    same ``(N,)`` : the first row with the same name.
    inserted : whether lower-case letters and dots are insertions, and there are some; soft :
        whether there are some in columns.
    starred : whether a ``*`` at the end of a row is in no column.
    tokens ``(N, L)`` : that were read.
    newline : how lines of the file end, which do with ``\\n`` in `raw`; bom : whether the file
        begins with the mark of UTF-8.
    extra : what other formats do not hold, as words; empty for nothing.
    """

    format: str
    raw: bytes | mmap.mmap
    ends: np.ndarray
    rows: np.ndarray
    blocks: np.ndarray
    begins: array[int]
    stops: array[int]
    offsets: array[int]
    same: np.ndarray
    heads: np.ndarray | None = None
    described: Mapping[int, bytes] = field(default_factory=dict)
    extra: str = ""
    inserted: bool = False
    soft: bool = False
    starred: bool = False
    tokens: np.ndarray = field(default_factory=lambda: np.empty((0, 0), np.uint8))
    newline: bytes = b"\n"
    bom: bool = False

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def characters(self, rows: Sequence[int] | None = None) -> Iterator[bytes]:
        """All characters of some rows, or of each, without spaces and line ends."""
        for row in range(len(self)) if rows is None else rows:
            cells = range(self.offsets[row], self.offsets[row + 1])
            parts = (self.raw[self.begins[k] : self.stops[k]] for k in cells)
            yield b"".join(parts).translate(None, SPACE)

    def columns(self, rows: Sequence[int] | None = None) -> Iterator[bytes]:
        """The characters of some rows that are in columns, ``L`` each."""
        left_out = INSERTED if self.inserted else b""
        for line in self.characters(rows):
            line = line.removesuffix(b"*") if self.starred else line
            yield line.translate(None, left_out) if left_out else line

    def label(self, row: int) -> tuple[bytes, bytes]:
        """The name and the description of a row; each may be empty."""
        if self.heads is None:
            return b"", b""
        begin, end = self.heads[row].tolist()
        head: bytes = self.raw[begin:end]
        name = next(iter(head.split(None, 1)), b"")
        rest = head[head.index(name) + len(name) :]
        return name, self.described.get(row, rest.removeprefix(b" "))


def as_alignment(record: Record) -> Record:
    """The record; HushError if it is not an alignment."""
    if record.kind != "alignment" or record.axes != "NC" or record.data.dtype != np.uint8:
        raise HushError(
            "the ending is that of an alignment, and this is not one "
            f"({record.kind}, axes {record.axes}, {record.data.dtype}); use another ending"
        )
    return record


def text_of(record: Record) -> tuple[Text, np.ndarray] | None:
    """The text that a record was read from, and which of its rows are in the record.

    None if it was not read from one, or its tokens are not those of rows of the text.
    """
    text: Text | None = record.meta.get("aligned")
    if text is None:
        return None
    kept = np.asarray(record.meta.get("kept", np.ones(len(text), bool)), bool)
    if kept.shape != (len(text),):
        return None
    order = _order(record, kept)
    expected = text.tokens if order == list(range(len(text))) else text.tokens[order]
    return (text, kept) if np.array_equal(expected, record.data) else None


# -- writing rows as they were -----------------------------------------------------------------


def stored(record: Record, text: Text, kept: np.ndarray, bare: bool = False) -> Iterator[bytes]:
    """The pieces of the kept rows and of what belongs to all, lines ended by ``\\n``.

    bare : only those of rows.
    """
    named = np.zeros(len(text), bool)
    named[text.same[kept]] = True
    whole = kept.all()
    stays = np.where(text.blocks < 0, named[text.rows], kept[text.rows])
    stays[text.rows == SHARED] = not bare
    stays[text.rows == ABOUT_ALL] = whole and not bare
    ends = text.ends.tolist()
    begins = [0, *ends[:-1]]
    pieces = np.argsort(_places(text, record.meta.get("first")), kind="stable")
    ended = True
    for piece in pieces[stays[pieces]].tolist():
        if not ended:
            yield b"\n"  # the file's last line has no end, and is not the last any more
        made = text.raw[begins[piece] : ends[piece]]
        ended = made.endswith(b"\n")
        yield made


def as_in_file(text: Text, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces of a text with the file's line ends, and the mark that the file begins with."""
    if text.bom:
        yield BOM
    for piece in pieces:
        yield piece if text.newline == b"\n" else piece.replace(b"\n", text.newline)


def _places(text: Text, first: int | None) -> np.ndarray:
    """Numbers by which pieces are sorted: in each block those of row `first` before the others."""
    places = 2 * np.arange(len(text.rows))
    inside = (text.rows >= 0) & (text.blocks >= 0)
    if first is not None and inside.any():
        begin = np.full(text.blocks.max() + 1, len(places))
        np.minimum.at(begin, text.blocks[inside], np.flatnonzero(inside))
        mine = inside & (text.rows == first)
        places[mine] = 2 * begin[text.blocks[mine]] - 1
    return places


# -- writing rows anew -------------------------------------------------------------------------


def _order(record: Record, kept: np.ndarray) -> list[int]:
    """The kept rows of the file, in the order in which they are in the record."""
    rows: list[int] = np.flatnonzero(kept).tolist()
    first = record.meta.get("first")
    if first is not None and kept[first]:
        rows.remove(first)
        rows.insert(0, int(first))
    return rows


def labels(record: Record) -> Iterator[tuple[bytes, bytes]]:
    """The name of each row, without spaces and never empty, and its description."""
    if (found := text_of(record)) is not None:
        text, kept = found
        for row in _order(record, kept):
            name, description = text.label(row)
            yield name or b"row%d" % (row + 1), description
        return
    names = record.context.get("names", ())
    names = names if len(names) == len(record.data) else [""] * len(record.data)
    for row, name in enumerate(names, 1):
        made = re.sub(r"\s+", "_", name).encode("utf-8", "replace")
        yield made or b"row%d" % row, b""


def letters(record: Record) -> Iterator[bytes]:
    """The letters of each row in its columns, as in the file; in the order of `labels`."""
    if (found := text_of(record)) is not None:
        yield from found[0].columns(_order(record, found[1]))
        return
    for row in record.data:
        yield BYTES[row].tobytes()


def left_out(record: Record, target: str, holds: str = "") -> list[str]:
    """A sentence about what a file of the format `target`, written anew, does not hold.

    holds : which of the words ``names`` and ``descriptions`` it does hold.
    """
    found = text_of(record)
    if found is None:
        named = bool(record.context.get("names")) and "names" not in holds
        return [f"Left out, as {target} files do not hold them: names."] * named
    text, kept = found
    lost = ["insertions"] * text.inserted
    if "names" not in holds and text.heads is not None:
        lost.append("names")
    if "descriptions" not in holds and any(
        text.label(row)[1] for row in np.flatnonzero(kept).tolist()
    ):
        lost.append("descriptions")
    lost += ["the * at the ends of rows"] * text.starred + [text.extra]
    return told(target, text, lost)


def told(target: str, text: Text, lost: Sequence[str]) -> list[str]:
    """The sentence that a file of the format `target` does not hold this of a text, if anything."""
    lost = [word for word in lost if word]
    if not lost:
        return []
    listed = " and ".join(filter(None, (", ".join(lost[:-1]), lost[-1])))
    return [f"Left out, as {target} files do not hold them: {listed} of the {text.format} input."]


def repeated(record: Record, target: str) -> list[str]:
    """A sentence about rows with one name, if a file of `target` tells blocks apart by names."""
    counts = Counter(name for name, _ in labels(record))
    name, count = counts.most_common(1)[0] if counts else (b"", 0)
    if count < 2:
        return []
    return [
        f"{count} rows are called {decoded(name)}; other programs may take rows of one name in a "
        f"{target} file for one row."
    ]
