"""Rows of a file of a set as they are stored, so that the rows that stay come back unchanged.

A set is a record ``(N, D)`` with axes ``NC``: elements, then coordinates and other columns. All its
formats share these keys of ``Record.meta``:

``fields``
    The name of each column, empty for unknown ones.
``types``
    The dtype of each column in the file, such as ``u1``, if the file states them.
``kept``
    bool ``(N,)`` over the rows of the file: those that are in ``Record.data``, in order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hush.errors import HushError
from hush.io.columns_head import Head
from hush.io.columns_parse import CHUNK, parsed, without_words
from hush.record import Record

_ASIDE = re.compile(rb"\s*(#|%|//|\Z)")  #: a comment, or a blank line
_LETTERS = ("x", "y", "z")
_PAIRED = ("correspondences", "segments")  #: kinds with two points in a row
#: names of the columns of matches and segments that are written anew
PAIR = ("x1", "y1", "x2", "y2")


@dataclass(frozen=True)
class Stored:
    """The bytes of a file of `N` rows.

    above, below : before and after the rows.
    raw : the rows; sizes ``(L,)`` : bytes of each of its pieces; rows ``(L,)`` : bool, whether a
        piece is a row (`N` are) or a line between rows, such as a comment.
    data : the values ``(N, D)`` that were read from the rows.
    """

    above: bytes
    raw: bytes
    sizes: np.ndarray
    rows: np.ndarray
    below: bytes
    data: np.ndarray

    def kept(self, record: Record) -> np.ndarray | None:
        """Which rows are in `record`, bool ``(N,)``; None if its values are not those of rows."""
        kept = np.asarray(record.meta.get("kept", np.ones(len(self.data), bool)), bool)
        if kept.shape != (len(self.data),):
            return None
        expected = self.data if kept.all() else self.data[kept]
        same = (expected.dtype, expected.shape) == (record.data.dtype, record.data.shape)
        return kept if same and np.array_equal(_bits(expected), _bits(record.data)) else None

    def body(self, kept: np.ndarray) -> bytes:
        """The bytes of the rows in `kept`, and of the lines between rows."""
        if kept.all():
            return self.raw
        pieces = np.ones(len(self.rows), bool)
        pieces[self.rows] = kept
        return np.frombuffer(self.raw, np.uint8)[np.repeat(pieces, self.sizes)].tobytes()


def _bits(x: np.ndarray) -> np.ndarray:
    """The bytes of an array, in which NaNs and zeros are equal only if all their bits are."""
    return np.ascontiguousarray(x).reshape(-1).view(np.uint8)


def as_set(record: Record) -> Record:
    """The record; HushError if it is not a set."""
    if record.axes != "NC" or record.kind == "alignment":
        what = "an alignment" if record.kind == "alignment" else f"not one (axes {record.axes})"
        raise HushError(
            f"the ending is that of a set of points, and this is {what}; use another ending"
        )
    return record


# -- reading -----------------------------------------------------------------------------------


def lines_of(
    raw: bytes, begin: int, head: Head, number: int, most: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
    """The lines of numbers of `raw` from byte `begin` on, which is line `number`, from 1.

    Blank lines and comments between rows are skipped. With `most`, no more rows are read.

    Returns
    -------
    float64 values ``(N, D)``, bytes of each line ``(L,)``, bool whether it is a row ``(L,)``, and
    whether all numbers are written as integers.

    Raises
    ------
    HushError
        With the line's number, if a line has other columns than `head` or a cell is not a number.
    """
    blocks, sizes, rows = [], [], []
    whole, count = True, 0
    for lines in _parts(raw, begin):
        if most is not None and count >= most:
            break
        taken = [_ASIDE.match(line) is None for line in lines]
        if most is not None and count + sum(taken) > most:
            stop = int(np.flatnonzero(taken)[most - count])
            lines, taken = lines[:stop], taken[:stop]
        if any(taken):
            block, text = _block(lines, taken, head, number)
            whole = whole and re.search(rb"[.a-zA-Z]", text) is None
            blocks.append(block)
        count, number = count + sum(taken), number + len(lines)
        sizes += [len(line) for line in lines]
        rows += taken
    width = len(head.names) - len(head.texts)
    values = np.concatenate(blocks) if blocks else np.empty((0, width))
    whole = whole and bool((values == np.rint(values)).all())
    return values, np.array(sizes, np.int64), np.array(rows, bool), whole


def _parts(raw: bytes, begin: int) -> Iterator[list[bytes]]:
    """Lines with their ends, about a megabyte at once."""
    newline = b"\n" if raw.find(b"\n", begin) >= 0 else b"\r"
    while begin < len(raw):
        stop = raw.find(newline, begin + CHUNK) + 1 or len(raw)
        yield raw[begin:stop].splitlines(keepends=True)
        begin = stop


def _block(
    lines: Sequence[bytes], taken: Sequence[bool], head: Head, number: int
) -> tuple[np.ndarray, bytes]:
    """The numbers of those of the lines that are rows, and their text."""

    names = tuple(name for c, name in enumerate(head.names) if c not in head.texts)

    def numbers(some: Sequence[bytes], first: int) -> tuple[np.ndarray, bytes]:
        text = b"\n".join(line.rstrip(b"\r\n") for line in some)
        text = without_words(text, head, first) if head.texts else text
        return parsed(text, replace(head, names=names), len(names), first), text

    try:
        return numbers([line for line, row in zip(lines, taken, strict=True) if row], number)
    except HushError:
        for i, line in enumerate(lines):  # one by one: the number of the line counts all lines
            if taken[i]:
                numbers([line], number + i)
        raise


def uneven(source: str, stated: int, found: int) -> HushError:
    """The error of a file with other rows than it states; source : what states their number."""
    cut = "is cut short: " * (stated > found)
    return HushError(
        f"{cut}{source} states {stated} point{'s' * (stated != 1)}, but {found} "
        f"{'is' if found == 1 else 'are'} there"
    )


def plain_head(names: Sequence[str]) -> Head:
    """How lines of numbers between spaces are laid out, for `lines_of`."""
    return Head(0, " ", ".", tuple(names), ("",) * len(names), None, frozenset(), ())


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Columns ``(N,)`` or ``(N, k)`` side by side: of their dtype if it is one, else float64."""
    types = {part.dtype.newbyteorder("=") for part in parts}
    dtype = types.pop() if len(types) == 1 else np.dtype(np.float64)
    return np.concatenate([x.reshape(len(x), -1).astype(dtype) for x in parts], axis=1)


def typed(values: np.ndarray, types: Sequence[np.dtype]) -> np.ndarray:
    """Numbers that were written as text: integers if all columns are of one integer type.

    Reals stay float64 even if they are declared with 4 bytes: the text may have more digits.
    """
    first = types[0]
    if first.kind not in "iu" or any(t != first for t in types):
        return values
    with np.errstate(invalid="ignore"):
        made = values.astype(first)
    return made if np.array_equal(made, values) else values


def placed(names: Sequence[str]) -> tuple[int, ...] | None:
    """The columns named x, y and z, in any case; None without x and y."""
    lower = [name.lower() for name in names]
    if "x" not in lower or "y" not in lower:
        return None
    return tuple(lower.index(c) for c in _LETTERS if c in lower)


# -- writing -----------------------------------------------------------------------------------


def coordinates_of(record: Record) -> tuple[int, ...]:
    """The columns that hold coordinates; by default the first ones."""
    width = record.data.shape[1]
    usual = 4 if record.kind in _PAIRED else 3
    return tuple(record.context.get("coordinates") or range(min(width, usual)))


def names_of(record: Record, pattern: str = r"\S+") -> list[str]:
    """A name for each column, none of them twice: those of the file read, where they match.

    Coordinates are x, y and z, or x1, y1, x2 and y2.
    """
    width = record.data.shape[1]
    where = coordinates_of(record)
    letters = PAIR if len(where) == 4 else _LETTERS
    names = dict(zip(where, letters, strict=False))
    read = list(record.meta.get("fields", ()))
    read = read if len(read) == width else [""] * width
    for i, name in enumerate(read):
        if i not in names and re.fullmatch(pattern, name) and name not in names.values():
            names[i] = name
    return [names.get(i, f"column{i + 1}") for i in range(width)]


def portable(record: Record, name: str) -> list[np.ndarray]:
    """The columns, of dtypes that PLY and PCD files have: up to 32-bit integers, or floats.

    A column has the dtype of the file that was read (``meta["types"]``) if that holds its values.

    Raises
    ------
    HushError
        For other sets than points, and for integers that neither 32 bits nor a float64 hold; name :
        of the format.
    """
    data = record.data
    if record.kind in _PAIRED:
        raise HushError(f"{name} files hold points, not {record.kind}; write a .npz or .csv file")
    types = record.meta.get("types", ())
    types = types if len(types) == data.shape[1] else [""] * data.shape[1]
    return [_held(x, code, name) for x, code in zip(data.T, types, strict=True)]


def _held(x: np.ndarray, code: str, name: str) -> np.ndarray:
    """A column, little-endian, as `code` if that is portable and holds it."""
    if code and not (code[0] in "iu" and code[1:] == "8"):
        with np.errstate(invalid="ignore", over="ignore"):
            made = x.astype(f"<{code}")
        if np.array_equal(made.astype(x.dtype), x, equal_nan=x.dtype.kind == "f"):
            return made
    return x.astype(_common(x, name).newbyteorder("<"))


def _common(x: np.ndarray, name: str) -> np.dtype:
    """A dtype that PLY and PCD files have, for values of any dtype."""
    if x.dtype.kind == "f":
        return np.dtype(np.float32) if x.dtype.itemsize < 4 else x.dtype
    if x.dtype.itemsize < 8:
        return x.dtype
    least, most = (int(x.min()), int(x.max())) if x.size else (0, 0)
    if least >= -(2**31) and most < 2**31:
        return np.dtype(np.int32)
    if max(-least, most) <= 2**53:
        return np.dtype(np.float64)
    raise HushError(f"{name} files do not hold integers up to {most}; write a .npy file")


def packed(columns: Sequence[np.ndarray]) -> bytes:
    """Rows in binary, of columns of any dtypes."""
    table = np.empty(len(columns[0]), [(f"{i}", x.dtype) for i, x in enumerate(columns)])
    for i, x in enumerate(columns):
        table[f"{i}"] = x
    return table.tobytes()
