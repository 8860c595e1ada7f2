"""Lines of numbers as arrays, a few megabytes at once; with a sentence for lines that are not."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import BinaryIO

import numpy as np

from hush.errors import HushError
from hush.io.columns_head import Head, cells_of, decoded, value_in
from hush.io.columns_style import Column, Style, Table
from hush.recording import let_go

CHUNK = 2**20  #: bytes that are parsed at once
_MARKS = (b"#", b"%", b"//")  #: with which comments begin
_COMMENT = re.compile(rb"^[ \t]*(?:#|%|//).*$", re.MULTILINE)  #: of lines that end in \n
_MISSING = {
    ",": re.compile(rb"(?<=,)[ \t]*(?:n/?a|null|none|-+|\?|nan)?[ \t]*(?=,)", re.IGNORECASE),
    " ": re.compile(rb"(?<![^\s,])(?:n/?a|null|none|-+|\?)(?![^\s,])", re.IGNORECASE),
}


def filled(
    stream: BinaryIO,
    values: np.ndarray,
    head: Head,
    table: Table,
    columns: Sequence[Column],
    begin: int,
    stop: int,
) -> list[Style]:
    """Read all numbers into `values` ``(columns, rows)``; return the styles that hold them."""
    kept = [c for c in range(len(columns)) if c not in head.texts]
    styles = [columns[c].style for c in kept]
    row, line = 0, head.start + 1
    for text, comments in _lines(stream, begin, stop, table.newline):
        line += len(comments)
        if any(column.words is not None for column in columns):
            text = without_words(text, head, line, [column.words for column in columns])
        block = parsed(text, head, len(kept), line)
        values[:, row : row + len(block)] = block.T
        for c, style in enumerate(styles):
            column = block[:, c]
            known = ~np.isnan(column)
            styles[c] = style.fitting(column[np.isfinite(column)])
            if style.missing is None and not known.all():
                cell = cells_of(_line(text, int(np.argmin(known))), head.separator)[c]
                styles[c] = replace(styles[c], missing=cell.strip())
        row += len(block)
        line += len(block)
        let_go(values)
    return styles


def comments_in(
    stream: BinaryIO, begin: int, stop: int, newline: bytes
) -> tuple[int, tuple[tuple[int, bytes], ...]]:
    """The number of lines between two positions, and the comments among them, which are not
    counted: each with the number of the line that it stands before."""
    count, found = 0, []
    for text, comments in _lines(stream, begin, stop, newline):
        found += [(count + at, comment) for at, comment in comments]
        count += text.count(b"\n") + 1
    return count, tuple(found)


def _lines(
    stream: BinaryIO, begin: int, stop: int, newline: bytes
) -> Iterator[tuple[bytes, list[tuple[int, bytes]]]]:
    """Lines that end in \\n, a few megabytes at once, without the comments among them; these, each
    with the number of the line that it stands before."""
    carried: list[tuple[int, bytes]] = []
    for part in _parts(stream, begin, stop, newline):
        text = part.replace(b"\r\n", b"\n") if newline == b"\r\n" else part
        text = text.replace(b"\r", b"\n") if newline == b"\r" else text
        comments = carried
        if any(mark in text for mark in _MARKS) and _COMMENT.search(text):
            kept: list[bytes] = []
            for one in text.split(b"\n"):
                if _COMMENT.match(one):
                    comments.append((len(kept), one))
                else:
                    kept.append(one)
            if not kept:
                carried = [(0, comment) for _, comment in comments]
                continue
            text = b"\n".join(kept)
        carried = []
        yield text, comments


def _parts(stream: BinaryIO, begin: int, stop: int, newline: bytes) -> Iterator[bytes]:
    """Whole lines, a few megabytes at once, without the last line's end."""
    stream.seek(begin)
    left, rest = stop - begin, b""
    while left > 0:
        part = rest + stream.read(min(CHUNK, left))
        left = stop - stream.tell()
        cut = len(part) if left <= 0 else part.rfind(newline)
        if cut < 0:
            rest = part
            continue
        yield part[:cut]
        rest = part[cut + len(newline) :]


def _line(text: bytes, index: int) -> str:
    return decoded(text.split(b"\n", index + 1)[index])


def without_words(
    text: bytes, head: Head, line: int, files: Sequence[BinaryIO | None] = ()
) -> bytes:
    """The lines without the columns of words. Cells go into the files of their columns, if any."""
    made = []
    for number, raw in enumerate(text.split(b"\n")):
        cells = cells_of(raw.decode("latin-1"), head.separator)
        _check_width(cells, len(head.names), line + number)
        for cell, file in zip(cells, files, strict=False):
            if file is not None:
                file.write(cell.encode("latin-1") + b"\n")
        made.append(head.separator.join(x for c, x in enumerate(cells) if c not in head.texts))
    return "\n".join(made).encode("latin-1")


def _check_width(cells: Sequence[str], width: int, line: int) -> None:
    if len(cells) != width:
        count = len(cells) if any(c.strip() for c in cells) else 0
        what = f"has {count} column{'s' * (count != 1)}" if count else "is empty"
        raise HushError(f"line {line} {what}; the lines above have {width}")


def parsed(text: bytes, head: Head, width: int, line: int) -> np.ndarray:
    """Lines of numbers as an array ``(lines, width)``; line : the number of the first."""
    separator = head.separator.encode()
    if b'"' in text:
        text = text.replace(b'"', b"")
    _check_widths(text, separator, width, line)
    if head.decimal != ".":
        text = text.replace(head.decimal.encode(), b".")
    mark = " " if separator == b" " else ","
    if mark == "," != head.separator and b"," in text:  # in a cell
        raise _wrong_cell(text, head, width, line, re.escape(head.separator))
    if mark == ",":
        text = text.translate(bytes.maketrans(separator + b"\n", b",,"))
    values = _numbers(text, mark)
    if values is None or len(values) % width:  # a separator at the end is not seen as a cell
        values = _numbers(_MISSING[mark].sub(b"nan", b"," + text + b",")[1:-1], mark)
    if values is not None and len(values) % width == 0:
        return values.reshape(-1, width)
    raise _wrong_cell(text, head, width, line, mark)


def _numbers(text: bytes, separator: str) -> np.ndarray | None:
    """The numbers in a text; None if it holds anything else."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # of older versions of numpy
        try:
            return np.fromstring(text, np.float64, sep=separator)
        except (ValueError, DeprecationWarning):
            return None


def _check_widths(text: bytes, separator: bytes, width: int, line: int) -> None:
    """Refuse lines with other numbers of cells than `width`."""
    raw = np.frombuffer(text, np.uint8)
    ends = np.append(np.flatnonzero(raw == 10), len(raw))
    if separator == b" ":
        inked = raw > 32
        marks = np.flatnonzero(inked & ~np.concatenate([[False], inked[:-1]]))
        found = np.diff(np.searchsorted(marks, ends), prepend=0)
    else:
        marks = np.flatnonzero(raw == separator[0])
        found = np.diff(np.searchsorted(marks, ends), prepend=0) + 1
    wrong = np.flatnonzero(found != width)
    if width == 1:  # an empty line has as many separators as a line of one number
        sizes = np.diff(ends, prepend=-1) - 1
        wrong = np.union1d(wrong, np.flatnonzero(sizes == 0))
    if len(wrong):
        cells = cells_of(_line(text, int(wrong[0])), separator.decode())
        raise _ragged(cells, width, line + int(wrong[0]))


def _ragged(cells: Sequence[str], width: int, line: int) -> HushError:
    try:
        _check_width(cells if any(c.strip() for c in cells) else [], width, line)
    except HushError as error:
        return error
    return HushError(f"line {line} cannot be read")


def _wrong_cell(text: bytes, head: Head, width: int, line: int, separator: str) -> HushError:
    """The sentence about the first cell that is no number."""
    cells = re.split(r"\s+" if separator == " " else rf"{separator}|\n", decoded(text).strip())
    for index, cell in enumerate(cells):
        if not value_in(cell, "."):
            row, column = divmod(index, width)
            name = head.names[column] or f"{column + 1}"
            return HushError(
                f"line {line + row} has '{cell.strip()[:40]}' in column '{name}', not a number"
            )
    return HushError(f"the lines from {line} on cannot be read as numbers")
