"""Text with a row for each element of a set: points, matches of two pictures, or line segments.

Separators, header and columns of words may be as in `hush.io.columns`; blank lines and comments may
stand between rows. Rows that stay are written as they were. A first line that only holds a number
is the count of rows, as in ``.pts`` files, and is kept true.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from hush.errors import HushError
from hush.io.columns import SUFFIXES
from hush.io.columns_head import (
    Head,
    cells_of,
    decoded,
    head_of,
    is_counter,
    is_number,
    number_in,
    value_in,
)
from hush.io.rows_stored import (
    PAIR,
    Stored,
    as_set,
    coordinates_of,
    lines_of,
    names_of,
    placed,
    uneven,
)
from hush.record import Record

#: endings that only sets have
OWN = (".xyz", ".pts")
ENDINGS = (*OWN, *SUFFIXES)
_HEAD = 2**18  #: bytes in which the rows must begin
_ROWS = 2**15  #: rows that are written at once
_BOM = b"\xef\xbb\xbf"
_COUNT = re.compile(rb"[ \t]*(\d+)[ \t]*[\r\n]*")
_COMMENT = re.compile(r"\s*(#|%|//)")
#: a coordinate with a word before it or a unit behind it
_PLACE = re.compile(
    r"(?:(?:pos(?:ition)?|points?|coord(?:inate)?s?|loc(?:ation)?|cent(?:er|re|roid))[ _.:]*)?"
    r"([xyz012])(?:[ _]+(?:[nuµμmck]?m|px|pix(?:els?)?)|[ _]*[(\[].*[)\]])?",
    re.IGNORECASE,
)
_COUNTED = 16  #: so many rows that count on are numbered
#: other names of the coordinates of a match or segment, without underscores and spaces
_PAIRS = (
    *(PAIR, ("x", "y", "x'", "y'"), ("xa", "ya", "xb", "yb"), ("u1", "v1", "u2", "v2")),
    *(("x0", "y0", "x1", "y1"), ("xl", "yl", "xr", "yr"), ("xleft", "yleft", "xright", "yright")),
    *(("xstart", "ystart", "xend", "yend"), ("startx", "starty", "endx", "endy")),
)


@dataclass(frozen=True)
class _Text:
    """The rows of a text file, its ending, and where its count of rows stands, if it has one."""

    stored: Stored
    suffix: str
    count: slice | None


# -- reading -----------------------------------------------------------------------------------


def probable(path: Path) -> bool:
    """Whether a text file has rows of numbers in two columns or more."""
    try:
        with path.open("rb") as stream:
            head, _ = _head(stream.read(_HEAD), True)
    except (HushError, OSError):
        return False
    return len(head.names) - len(head.texts) > 1


def read(path: Path, kind: str = "points") -> Record:
    """The columns of numbers ``(N, D)``: int64 if all are integers, otherwise float64.

    Of matches and segments, x1, y1, x2 and y2 come first, and the columns of homogeneous matches
    that are all 1 are left out.

    Raises
    ------
    HushError
        With the line's number, if a line has other columns than the first or a cell is not a
        number; or if there are not as many rows as the first line says.
    """
    raw = path.read_bytes()
    head, count = _head(raw[:_HEAD], len(raw) <= _HEAD)
    lines = raw[:_HEAD].splitlines(keepends=True)[: head.start]
    start = max(sum(map(len, lines)), len(_BOM) * raw.startswith(_BOM))
    values, sizes, rows, whole = lines_of(raw, start, head, head.start + 1)
    if count is not None and int(raw[count]) != len(values):
        raise uneven("its first line", int(raw[count]), len(values))
    names = [name for c, name in enumerate(head.names) if c not in head.texts]
    if not names[-1] and len(names) > 1 and np.isnan(values[:, -1]).all():
        values, names = values[:, :-1], names[:-1]  # a separator at the end of each line
    if len(names) < 2:
        raise HushError("has one number in each line; points have two or three coordinates")
    if whole and np.abs(values).max(initial=0) < 2**53:
        values = values.astype(np.int64)
    order, where, notes = _order(values, names, kind)
    if lines and _all_numbers(decoded(lines[-1]), head):
        notes.append(f"Line {len(lines)} is taken for the names of the columns, not for a row.")
    data = values if order == list(range(len(names))) else values[:, order]
    stored = Stored(raw[:start], raw[start:], sizes, rows, b"", data)
    return Record(
        data,
        "NC",
        kind=kind,
        full=1.0,
        meta={
            "rows": _Text(stored, path.suffix.lower(), count),
            "fields": tuple(names[i] for i in order),
            "notes": notes,
        },
        context={"coordinates": where},
    )


read_matches = partial(read, kind="correspondences")
read_segments = partial(read, kind="segments")


def _head(start: bytes, complete: bool) -> tuple[Head, slice | None]:
    """What the first lines of a file say, and where the count of rows stands.

    complete : whether `start` is the whole file.
    """
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in start:
        raise HushError("is not UTF-8 text (it may be UTF-16); save it as UTF-8")
    raw = start.removeprefix(_BOM).splitlines(keepends=True)
    raw = raw if complete else raw[:-1]
    lines = [decoded(line).rstrip("\r\n") for line in raw]
    count = _count(raw, len(start) - len(start.removeprefix(_BOM)))
    if count is not None:
        line = next(i for i, text in enumerate(lines) if text.strip() and not _aside(text))
        lines[line] = ""  # so that it is not taken for a row
        if not any(text.strip() for text in lines[line:]):
            if int(start[count]) == 0:
                raise HushError("holds no points: its first line states 0")
            raise uneven("its first line", int(start[count]), 0)
    head = head_of(lines)
    begin = _begin(lines, head)
    names = head.names if begin == head.start else ("",) * len(head.names)
    if begin and _partly(lines[begin - 1], head):
        cells = cells_of(lines[begin - 1], head.separator)
        column = next(c for c, cell in enumerate(cells) if not value_in(cell, head.decimal))
        raise HushError(
            f"line {begin} has '{cells[column].strip()[:40]}' in column {column + 1}, not a number"
        )
    return replace(head, start=begin, names=names), count


def _aside(line: str) -> bool:
    return _COMMENT.match(line) is not None


def _count(lines: Sequence[bytes], offset: int) -> slice | None:
    """Where the count of rows stands: alone in the first line, above rows of several numbers."""
    begin, found = offset, None
    for line in lines:
        if line.strip() and not _aside(decoded(line)):
            if found is not None:
                return found if len(re.split(rb"[\s,;]+", line.strip())) > 1 else None
            match = _COUNT.fullmatch(line)
            if match is None:
                return None
            found = slice(begin + match.start(1), begin + match.end(1))
        begin += len(line)
    return found


def _begin(lines: Sequence[str], head: Head) -> int:
    """The first row; a line 0 1 2 … between spaces is one here, and names columns elsewhere."""
    begin = head.start
    if begin and head.separator in " \t" and _all_numbers(lines[begin - 1], head):
        begin -= 1
    return begin


def _all_numbers(line: str, head: Head) -> bool:
    """Whether a line has a number for each column."""
    cells = cells_of(line.strip("\r\n\ufeff"), head.separator)
    return len(cells) == len(head.names) and all(number_in(c, head.decimal) for c in cells)


def _partly(line: str, head: Head) -> bool:
    """Whether the line above the rows has a number among its cells, and so is a damaged row."""
    cells = cells_of(line, head.separator)
    numbers = [number_in(cell, head.decimal) for cell in cells]
    aside = _aside(line) or len(cells) != len(head.names) or all(numbers)
    return not aside and any(numbers) and bool(cells[0].strip())


def _order(
    values: np.ndarray, names: Sequence[str], kind: str
) -> tuple[list[int], tuple[int, ...], list[str]]:
    """The columns in the order of the record, those of them with coordinates, and notes."""
    every = list(range(len(names)))
    if kind == "points":
        where = placed(names) or _located(names)
        free, notes = (every, []) if where else _beside_numbers(values, names, 2)
        return every, where or tuple(free[:3]), notes
    bare = [re.sub(r"[\s_]", "", name).lower() for name in names]
    named = next((p for p in _PAIRS if set(p) <= set(bare)), None)
    free, notes = (every, list[str]()) if named else _beside_numbers(values, names, 4)
    first = [bare.index(n) for n in named] if named else free[:4]
    ones: list[int] = []
    homogeneous = kind == "correspondences" and not named and len(names) >= 6
    if homogeneous and (values[:, [2, 5]] == 1).all():
        first, ones = [0, 1, 3, 4], [2, 5]
        notes = ["Columns 3 and 6 are all 1: the matches are read as homogeneous, x y 1 x′ y′ 1."]
    order = [*first, *(c for c in every if c not in first and c not in ones)]
    return order, tuple(range(len(first))), notes


def _located(names: Sequence[str]) -> tuple[int, ...] | None:
    """The columns named x, y and z with a unit or a word, such as ``x [nm]`` or ``pos_x``."""
    found = [_PLACE.fullmatch(name.strip()) for name in names]
    for letters in ("xyz", "012"):
        at = {m[1].lower(): c for c, m in reversed(list(enumerate(found))) if m}
        if {*letters[:2]} <= set(at):
            return tuple(at[letter] for letter in letters if letter in at)
    return None


def _beside_numbers(
    values: np.ndarray, names: Sequence[str], least: int
) -> tuple[list[int], list[str]]:
    """The columns without those at the front that number the rows, and a note on doubtful ones.

    least : so many columns are left.
    """
    start, most = 0, len(names) - least
    while start < most and any(names) and (is_counter(names[start]) or is_number(names[start])):
        start += 1
    if start or most < 1 or not _counts(values[:, 0]):
        return list(range(start, len(names))), []
    way = f"state --coordinates 1-{min(3, len(names))}" if least == 2 else "name the columns"
    return list(range(1, len(names))), [
        f"Column 1 counts the rows, so it is taken for their numbers; if it is a coordinate, {way}."
    ]


def _counts(x: np.ndarray) -> bool:
    """Whether values are 0, 1, 2 … or 1, 2, 3 …, so many that chance does not do it."""
    return len(x) >= _COUNTED and x[0] in (0, 1) and bool((np.diff(x) == 1).all())


# -- writing -----------------------------------------------------------------------------------


def check(record: Record) -> None:
    """Raise HushError for what is not a set."""
    as_set(record)


def write(record: Record, path: Path) -> None:
    """Write the rows that stay as they were read; those of other files with names of columns."""
    text: _Text | None = record.meta.get("rows")
    kept = text.stored.kept(record) if text and text.suffix == path.suffix.lower() else None
    if text is None or kept is None:
        _plain(record, path)
        return
    above = text.stored.above
    if text.count is not None:
        above = above[: text.count.start] + f"{kept.sum()}".encode() + above[text.count.stop :]
    path.write_bytes(above + text.stored.body(kept))


def _plain(record: Record, path: Path) -> None:
    """Write numbers with the digits that tell them apart; .pts begins with the count."""
    suffix, data = path.suffix.lower(), record.data
    separator = {".csv": ",", ".tsv": "\t"}.get(suffix, " ")
    where = coordinates_of(record)
    whole = [c not in where and _whole(x) for c, x in enumerate(data.T)]
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        if suffix == ".pts":
            stream.write(f"{len(data)}\n")
        if suffix in (".csv", ".tsv") or where != tuple(range(len(where))):
            stream.write(separator.join(names_of(record, r"[^\s,\"]+")) + "\n")
        for a, b in pairwise([*range(0, len(data), _ROWS), len(data)]):
            texts = [_texts(x[a:b], w) for x, w in zip(data.T, whole, strict=True)]
            stream.writelines(separator.join(row) + "\n" for row in zip(*texts, strict=True))


def _texts(x: np.ndarray, whole: bool) -> list[str]:
    """The numbers of a column as text; whole : without decimals."""
    values: list[str] = (x.astype(np.int64) if whole else x).astype("U").tolist()
    return values


def _whole(x: np.ndarray) -> bool:
    """Whether a column holds integers only, such as colours and numbers of points."""
    return bool((np.abs(x) < 2**53).all() and (x == np.rint(x)).all())
