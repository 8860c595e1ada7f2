"""CSV, TSV and other text with a column for each channel and a line for each sample.

Lines above the numbers, separators, line endings and the number of decimals come back as given, and
so do columns that hold the time, marks or words. A channel that has a value in every n-th line only
is read at its own rate, without the lines between.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np

from hush.errors import HushError
from hush.io.channels import channels_of, flat, label, laid, like_read, pieces
from hush.io.columns_clock import Clock, clock_of
from hush.io.columns_head import (
    Head,
    decoded,
    epoch_unit,
    head_of,
    is_counter,
    is_label,
    is_time,
    may_be_time,
    seconds_in,
    unit_in,
)
from hush.io.columns_parse import comments_in, filled
from hush.io.columns_style import Column, Style, Table, is_long, style_of, words
from hush.record import Record
from hush.recording import Channel, empty, let_go

SUFFIXES = (".csv", ".tsv", ".txt")
_HEAD = 2**18  #: bytes in which the columns must begin
_ROWS = 2**15  #: rows that are written at once
_MANY, _FEW = 512, 64  #: columns and lines, of a file that holds a channel in each line
_STEADY = 16  #: lines of a first column that is no clock by its name, at least
_GRID = 0.5  #: share of the lines of a slow channel's grid in which it has a value, at least


# -- reading -----------------------------------------------------------------------------------


def probable(path: Path) -> bool:
    """Whether a text file states a rate or a time beside its columns of numbers."""
    try:
        head, _ = _head(path)
    except (HushError, OSError, UnicodeError):
        return False
    return head.rate is not None or any(map(is_time, head.names))


def read(path: Path) -> Record:
    """The columns, float64. Columns of times, sample numbers and marks are no signals.

    Raises
    ------
    HushError
        With the line's number, if a line has other columns than the first or a cell is no number.
    """
    head, newline = _head(path)
    with path.open("rb") as stream:
        begin, stop, below = _bounds(stream, head.start, newline)
        stream.seek(0)
        above = stream.read(begin)
        rows, comments = comments_in(stream, begin, stop, newline)
        suffix = path.suffix.lower()
        dialect = (head.separator, head.decimal, newline)
        table = Table(above, below, *dialect, rows, suffix, comments=comments)
        columns = [_column(head, c) for c in range(len(head.sample))]
        if len(columns) > _MANY and rows < _FEW:
            raise HushError(
                f"holds {len(columns)} columns and {rows} line{'s' * (rows != 1)}; hush takes each "
                "column for a channel. If each line is a channel, transpose the file"
            )
        values = empty((len(columns) - len(head.texts), rows))
        styles = filled(stream, values, head, table, columns, begin, stop)
    kept = [c for c in range(len(columns)) if c not in head.texts]
    for c, style in zip(kept, styles, strict=True):
        columns[c] = replace(columns[c], style=style)
    notes: list[str] = []
    data, layout, clocks, columns = _layout(values, head, columns, kept, notes)
    table = replace(table, columns=tuple(columns))
    data, axes = laid(data, layout)
    return Record(
        data,
        axes,
        kind="signal",
        meta={"columns": table, "clock": clocks, "notes": notes},
        context={"layout": tuple(layout), "events": ()},
    )


def _column(head: Head, c: int) -> Column:
    """How a column is written. What may be a clock is kept as text where float64 is too short."""
    cells = head.sample[c]
    clock = c not in head.texts and (c == 0 or may_be_time(head.names[c])) and is_long(cells)
    text = c in head.texts or clock
    return Column(style_of(cells), words=words() if text else None, clock=clock)


def _head(path: Path) -> tuple[Head, bytes]:
    """What the first lines say, and how lines end."""
    with path.open("rb") as stream:
        start = stream.read(_HEAD)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in start:
        raise HushError("is not UTF-8 text (it may be UTF-16); save it as UTF-8")
    newline = b"\n" if b"\n" in start or b"\r" not in start else b"\r"
    newline = b"\r\n" if b"\r\n" in start else newline
    whole = start if len(start) < _HEAD else start[: start.rfind(newline) + 1]
    lines = decoded(whole).split(newline.decode())
    return head_of(lines), newline


def _bounds(stream: BinaryIO, line: int, newline: bytes) -> tuple[int, int, bytes]:
    """Where the lines of numbers begin and end, and what is below: blank lines and comments."""
    stream.seek(0)
    start = stream.read(_HEAD)
    begin = 0
    for _ in range(line):
        begin = start.index(newline, begin) + len(newline)
    size = stream.seek(0, 2)
    stream.seek(max(begin, size - _HEAD))
    end = stream.read()
    match = re.search(rb"(?:[\r\n]+[ \t]*(?:(?:#|%|//)[^\r\n]*)?)+\Z", end)
    below = match[0] if match else b""
    return begin, size - len(below), below


# -- what the columns are ----------------------------------------------------------------------


def _layout(
    values: np.ndarray,
    head: Head,
    columns: Sequence[Column],
    kept: Sequence[int],
    notes: list[str],
) -> tuple[np.ndarray, list[Channel], tuple[int, ...], list[Column]]:
    """Samples one channel after the other, the channels, those of the clock, and the columns."""
    names = [head.names[c] for c in kept]
    clocks, clock = _clocks(values, head, kept, columns, notes)
    made = list(columns)
    channels, start = [], 0
    for i, c in enumerate(kept):
        blank = not names[i] and not np.isfinite(values[i, :1]).any() and _all_missing(values[i])
        signal = not (blank or i in clocks or is_label(names[i]))
        first, step = (0, 1) if i in clocks else _grid(values[i])
        made[c] = replace(made[c], first=first, step=step)
        if made[c].clock and i not in clocks:
            made[c] = replace(made[c], words=None, clock=False)
        rate = clock.rate and clock.rate / step
        count = len(range(first, values.shape[1], step))
        breaks = tuple(-(-(b - first) // step) for b in clock.breaks if b > first)
        channels.append(Channel(names[i], head.units[c], rate, start, count, breaks, signal))
        start += count
        if step > 1 and signal:
            speed = f": {rate:g} samples a second" if rate else ""
            notes.append(
                f"Channel {label(channels[-1], i)} has a value in every {step}th line{speed}."
            )
    if not any(channel.signal for channel in channels):
        raise HushError("holds only times and marks, and no signal")
    if start == values.size:
        return values.reshape(-1), channels, clocks, made
    data = empty(start)
    for row, channel, c in zip(values, channels, kept, strict=True):
        for part in pieces(channel.count):
            at = slice(
                made[c].first + part.start * made[c].step,
                made[c].first + part.stop * made[c].step,
                made[c].step,
            )
            channel.of(data)[part] = row[at]
            let_go(values)
            let_go(data)
    return data, channels, clocks, made


def _clocks(
    values: np.ndarray,
    head: Head,
    kept: Sequence[int],
    columns: Sequence[Column],
    notes: list[str],
) -> tuple[tuple[int, ...], Clock]:
    """The columns that hold times or sample numbers, and what they say."""
    clocks, found = [], Clock(head.rate)
    for i, c in enumerate(kept):
        name = head.names[c]
        first = i == 0 and len(kept) > 1
        if not (first or may_be_time(name) or (name and is_counter(name))):
            continue
        seen = clock_of(values[i], columns[c].style.most)
        if not _is_clock(name, seen, values.shape[1] if first else 0):
            continue
        clocks.append(i)
        if seen.rate is None or (is_counter(name) and (name or seen.step == 1)):
            continue
        unit = seconds_in(name, head.units[c]) or epoch_unit(values[i, 0])
        told = not name or may_be_time(name)
        if unit is None and (seen.step >= 1 or not told):
            notes += _unknown(label(Channel(name), i), told, head.rate is not None)
            continue
        rate = float(f"{seen.rate_in(unit or 1.0):.12g}")
        if not name:
            notes.append(f"Column 1 is taken for the time in seconds: {rate:g} samples a second.")
        if head.rate and abs(head.rate - rate) > 0.01 * rate:
            notes.append(
                f"The lines above the numbers say {head.rate:g} samples a second, the column of "
                f"times {rate:g}; the times are used."
            )
        if seen.breaks:
            notes.append(f"The times have {len(seen.breaks)} gap{'s' * (len(seen.breaks) != 1)}.")
        found = replace(seen, rate=rate)
    return tuple(clocks), found


def _is_clock(name: str, seen: Clock, rows: int) -> bool:
    """Whether a column holds times or numbers of samples.

    rows : of the first column, which may be one under any name if it rises evenly; 0 for others.
    """
    if is_time(name):
        return True
    if name and is_counter(name):
        return seen.even or seen.wraps
    if may_be_time(name) and seen.rate is not None:
        return True
    return seen.steady and rows >= _STEADY if name else seen.even and rows >= 3


def _unknown(column: str, told: bool, stated: bool) -> list[str]:
    """A sentence about a clock without a unit, which the rate may not need."""
    if not told:
        what = f"Column {column} rises evenly and is taken for a clock, not for a signal"
        return [f"{what}." if stated else f"{what}; state --rate."]
    return [] if stated else [f"Column {column} does not say its unit; state --rate."]


def _all_missing(x: np.ndarray) -> bool:
    return not any(np.isfinite(x[part]).any() for part in pieces(len(x)))


def _grid(x: np.ndarray) -> tuple[int, int]:
    """The first row and the step of a channel that has values in every step-th row only."""
    first, last, step, count = -1, -1, 0, 0
    for part in pieces(len(x)):
        at = np.flatnonzero(~np.isnan(x[part])) + part.start
        let_go(x)
        if not len(at):
            continue
        step = int(np.gcd.reduce(np.diff(at, prepend=last if last >= 0 else at[0]), initial=step))
        first, last, count = (int(at[0]) if first < 0 else first), int(at[-1]), count + len(at)
        if step == 1:
            return 0, 1
    slow = count >= 3 and step > 1 and first < step
    slow = slow and count >= _GRID * ((last - first) // max(step, 1) + 1)
    return (first, step) if slow and len(x) - last <= 2 * step else (0, 1)


# -- writing -----------------------------------------------------------------------------------


def write(record: Record, path: Path) -> None:
    """Write the columns as those that were read; of other formats, with names and the time."""
    table, channels = _prepared(record, path.suffix.lower())
    data = flat(record)
    views = [channel.of(data) for channel in channels]
    for column in table.columns:
        if column.words is not None:
            column.words.seek(0)
    joint = b"" if table.separator == " " else table.separator.encode()
    with path.open("wb") as stream:
        stream.write(table.above)
        comments = dict[int, bytes]()
        for row, comment in table.comments:
            comments[row] = comments.get(row, b"") + comment + table.newline
        edges = sorted({*range(0, table.rows, _ROWS), *comments, table.rows})
        for start, end in pairwise(edges):
            if start:
                stream.write(table.newline)
            stream.write(comments.get(start, b""))
            stream.write(_block(table, views, slice(start, end), joint))
            let_go(data)
        stream.write(table.below)


def _block(table: Table, views: Sequence[np.ndarray], rows: slice, joint: bytes) -> bytes:
    """Some rows as text, without the last row's end."""
    count = rows.stop - rows.start
    numbers: Iterator[np.ndarray] = iter(views)
    if table.clock is not None:
        numbers = chain([np.arange(rows.start, rows.stop) / table.clock], numbers)
    parts: list[np.ndarray | list[str]] = []
    for column in table.columns:
        if column.words is not None:
            cells = [column.words.readline().rstrip(b"\n").decode("latin-1") for _ in range(count)]
            parts.append(cells)
            if column.clock:
                next(numbers)
            continue
        x = next(numbers)
        if column.step == 1:
            whole = table.clock is not None and not parts
            parts.append(x if whole else x[rows].astype(np.float64))
            continue
        spread = np.full(count, np.nan)
        begin, end = (
            max(0, -(-(r - column.first) // column.step)) for r in (rows.start, rows.stop)
        )
        some = x[begin:end]
        at = column.first + np.arange(begin, begin + len(some)) * column.step
        spread[at - rows.start] = some
        parts.append(spread)
    styles = [column.style for column in table.columns]
    plain = all(
        isinstance(x, np.ndarray) and style.template is not None and np.isfinite(x).all()
        for x, style in zip(parts, styles, strict=True)
    )
    join = joint.decode("latin-1")
    newline = table.newline.decode()
    if plain:
        block = np.stack([s.rounded(np.asarray(x)) for s, x in zip(styles, parts, strict=True)], 1)
        template = join.join(str(style.template) for style in styles)
        text = newline.join([template] * count) % tuple(block.ravel().tolist())
        return _marked(text, table).encode("latin-1")
    written: list[list[str]] = [
        x if isinstance(x, list) else [_marked(t, table) for t in style.texts(x)]
        for x, style in zip(parts, styles, strict=True)
    ]
    return newline.join(map(join.join, zip(*written, strict=True))).encode("latin-1")


def _marked(text: str, table: Table) -> str:
    """Numbers with the table's decimal mark."""
    return text if table.decimal == "." else text.replace(".", table.decimal)


def _prepared(record: Record, suffix: str) -> tuple[Table, tuple[Channel, ...]]:
    """How to write a record, and its channels, one for each column of numbers."""
    table: Table | None = record.meta.get("columns")
    if table is not None and table.suffix == suffix:
        channels = tuple(record.context["layout"])
        counts = [len(range(c.first, table.rows, c.step)) for c in table.numbers]
        like_read(channels, counts, "text")
        return table, channels
    return _new(record, suffix)


def _new(record: Record, suffix: str) -> tuple[Table, tuple[Channel, ...]]:
    """A table for a recording of another format: a line of names, and the time if it is known."""
    channels = channels_of(record, "text")
    rates = [c.rate for c in channels]
    most = max((r for r in rates if r), default=None)
    rows = max(c.count for c in channels)
    digits = 9 if record.data.dtype.itemsize <= 4 else 17
    style = Style("r", 0, digits, missing="nan")
    columns, names = [], []
    if most is not None and None not in rates:
        decimals = next((d for d in range(1, 9) if float(f"{1 / most:.{d}f}") == 1 / most), 9)
        columns.append(Column(Style("f", decimals, decimals)))
        names.append("time (s)")
    for number, channel in enumerate(channels):
        what = f"channel {label(channel, number)}"
        step = round(most / channel.rate) if most and channel.rate else 1
        if channel.breaks:
            raise HushError(f"{what} has gaps, which hush writes to the format of the input only")
        slow = channel.rate is not None and most is not None and step * channel.rate != most
        if slow or channel.count != len(range(0, rows, step)):
            raise HushError(
                f"{what} has another rate or length than the others, which lines of text cannot "
                "hold; write a .hea or .edf file"
            )
        columns.append(Column(style, 0, step))
        name = channel.name or f"{number + 1}"
        has = not channel.unit or unit_in(name) == channel.unit
        name = name if has else f"{name} ({channel.unit})"
        names.append(f'"{name}"' if re.search(r"[,\t\"]", name) else name)
    separator = "," if suffix == ".csv" else "\t"
    clock = most if len(columns) > len(channels) else None
    above = (separator.join(names) + "\n").encode()
    table = Table(above, b"\n", separator, ".", b"\n", rows, suffix, tuple(columns), clock)
    return table, channels


def check(record: Record) -> None:
    """Raise HushError if no text file can hold the record."""
    _prepared(record, record.meta["columns"].suffix if "columns" in record.meta else ".csv")


def notes(record: Record) -> list[str]:
    """A sentence about annotations, which have no place in columns."""
    count = len(record.context.get("events", ()))
    left = f"{count} annotation{'s are' if count != 1 else ' is'} left out: columns have none."
    return [left] * bool(count)
