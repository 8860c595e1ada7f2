"""What the lines above columns of numbers say: separator, names, units and rate."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hush.errors import HushError
from hush.io.channels import is_mark
from hush.io.columns_style import MISSING, NUMBER

#: separator and decimal mark, in the order in which they are tried; a space is any white space
DIALECTS = (
    *(("\t", "."), ("\t", ","), (";", "."), (";", ","), (",", "."), ("|", "."), ("|", ",")),
    *((" ", "."), (" ", ",")),
)
_COMMENT = re.compile(r"\s*(#|%|//|\"?[{}])")
_UNIT = re.compile(
    r"[afpnuµμmckMG]?(V|A|g|G|m|s|Hz|Pa|N|Nm|T|W|J|K|C|F|S|Ohm|Ω|l|L|bar|rad|mol)"
    r"|%|a\.?u\.?|adu|counts?|lsb|mmHg|cmH2O|bpm|dB|(°|deg)[CF]?(/s)?|m/s(\^?2|²)?|volts?"
    r"|(milli|micro)volts?|(milli|micro|nano)?seconds?|[mun]?sec|minutes?|min",
    re.IGNORECASE,
)
_UNITS = {"volt": "V", "millivolt": "mV", "microvolt": "uV"}
_RATE = re.compile(
    r"(?:sampl(?:ing|e)[ _-]?(?:rate|freq(?:uency)?)|sampl(?:ing|e)s[ _-]?(?:per|a|/)[ _-]?s\w*"
    r"|s?rate|s?freq|fs)\b[^\d\n,;]{0,16}?(\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*(k)?",
    re.IGNORECASE,
)
_INTERVAL = re.compile(
    r"(?:sampling[ _-]?)?interval\W{0,8}(\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*(s|ms|us|µs)\b", re.I
)
_LABELS = re.compile(r"\W*(?:labels?|channel ?titles?|channels?|columns?)\s*[:=]+\s*(.+)", re.I)
_OF_ALL = re.compile(r"\W*units?\s*[:=]+\s*(.+)", re.I)

_TIME = re.compile(
    r"(t|(elapsed|relative|absolute|unix|epoch)?[ _]?time([ _]?stamps?)?|seconds?|secs?"
    r"|[mun]?s(ec)?|(milli|micro|nano)seconds?|zeit|temps|tiempo)",
    re.IGNORECASE,
)
#: names of clocks, and of other columns: the values have to rise
_DATE = re.compile(
    r"((date[ _]?time|date|unix|epoch|posix|utc|clock|datum)([ _]?(time|ts|stamps?))?|ts)",
    re.IGNORECASE,
)
_COUNTER = re.compile(
    r"n?seq|samples?([ _-]?(no|nr|num|number|index|idx|#)\.?)?|index|idx|frames?|rows?|#|n[or]\.?"
    r"|count(er)?|unnamed: 0|",
    re.IGNORECASE,
)
_IDENTIFIER = re.compile(
    r"(.*[ _.-])?(id|key|name|label|no|num|number)\.?"
    r"|(point|pt|obj(ect)?|track|trajectory|query|train|line|seg(ment)?|spot|particle|feature|scan"
    r"|match|vertex|node)s?[ _]?(id|idx|index|n[or]\.?|num|number)?|(u?u|[fgopt])id",
    re.IGNORECASE,
)
_CLASSES = re.compile(
    r"label|class|annotations?|notes?|comments?|remarks?|restimulus|repetition|[io]\d",
    re.IGNORECASE,
)
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0}
_EPOCH = (9e8, 5e9)  #: seconds since 1970, from 1998 to 2128


#: the first line of numbers, the separator, the decimal mark, and the columns of words
Found = tuple[int, str, str, frozenset[int]]


@dataclass(frozen=True)
class Head:
    """How a file is laid out, from its first lines.

    start : the first line of numbers, from 0; separator, decimal : as in `DIALECTS`.
    names, units : of the columns; rate : that the lines state, or None.
    texts : columns that hold words rather than numbers.
    sample : cells of the first rows, a column each, with decimal points.
    """

    start: int
    separator: str
    decimal: str
    names: tuple[str, ...]
    units: tuple[str, ...]
    rate: float | None
    texts: frozenset[int]
    sample: tuple[tuple[str, ...], ...]


def decoded(raw: bytes) -> str:
    """Bytes as text: UTF-8, or Latin-1 as older programs write it."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def cells_of(line: str, separator: str) -> list[str]:
    """The cells of a line, quotes and spaces included."""
    if separator == " ":
        return re.findall(r"\s*\S+", line.rstrip())
    if '"' in line:
        return _quoted(line, separator)
    return line.split(separator)


def _quoted(line: str, separator: str) -> list[str]:
    """The cells of a line with quotes; separators within them, or before an odd one, are none."""
    parts = line.split('"')
    cells, inside = [""], len(parts) % 2 == 0
    for part in parts:
        first, *others = [part] if inside else part.split(separator)
        cells[-1] += first
        cells += others
        cells[-1] += '"'
        inside = not inside
    cells[-1] = cells[-1][:-1]
    return cells


def number_in(cell: str, decimal: str) -> bool:
    """Whether a cell is a number."""
    return NUMBER.fullmatch(_plain(cell, decimal)) is not None


def value_in(cell: str, decimal: str) -> bool:
    """Whether a cell is a number or stands for a missing one."""
    return number_in(cell, decimal) or _plain(cell, decimal).lower() in MISSING


def _plain(cell: str, decimal: str) -> str:
    cell = cell.strip().strip('"').strip()
    return cell.replace(decimal, ".") if decimal != "." else cell


def head_of(lines: Sequence[str]) -> Head:
    """What the first lines of a file say.

    Raises
    ------
    HushError
        If they hold no columns of numbers.
    """
    body = [(i, line) for i, line in enumerate(lines) if line.strip()]
    if not body:
        raise HushError("holds no lines of numbers")
    tries = [t for s, d in DIALECTS if (t := _start(body, s, d)) is not None]
    best = max(tries, key=lambda t: (t[0], -t[1][0]), default=None)
    found = _beside_words(body, best[1]) if best else _with_words(body)
    if found is None:
        raise HushError("holds no columns of numbers")
    start, separator, decimal, texts = found
    rows = [cells_of(line, separator) for i, line in body if i >= start]
    width = len(rows[0])
    sample = [[c.replace(decimal, ".") if decimal != "." else c for c in row] for row in rows]
    sample = [row for row in sample if len(row) == width]
    above = list(lines[:start])
    _refuse_ragged(above, separator, decimal, width)
    ended = width > 1 and all(not row[-1].strip() for row in sample)  # a separator at the end
    ended = ended and not _names_last(above, separator, width)
    names, units = _names(above, separator, width - ended)
    return Head(
        start,
        separator,
        decimal,
        (*names, *[""] * ended),
        (*units, *[""] * ended),
        _rate(above),
        texts,
        tuple(tuple(row[c] for row in sample) for c in range(width)),
    )


def _start(
    body: Sequence[tuple[int, str]], separator: str, decimal: str
) -> tuple[int, Found] | None:
    """The lines that hold numbers only, for one dialect: how many, and the first of them."""
    counts: list[tuple[int, int]] = []
    for i, line in body[:2000]:
        row = cells_of(line, separator)
        pure = all(value_in(c, decimal) for c in row) and any(number_in(c, decimal) for c in row)
        counts.append((i, len(row) if pure and not _COMMENT.match(line) else 0))
    usual = Counter(n for _, n in counts if n).most_common(1)
    if not usual or usual[0][1] < 0.5 * len([n for _, n in counts if n]):
        return None
    if decimal == "," and usual[0][0] == 1:  # 1,5 is two columns rather than one
        return None
    rows = [i for i, n in counts if n == usual[0][0]]
    lines = dict(body)
    first = rows[0]
    if len(rows) > 1 and _numbers_columns(cells_of(lines[first], separator), lines[rows[1]]):
        first = rows[1]
    return len(rows), (first, separator, decimal, frozenset())


def _beside_words(body: Sequence[tuple[int, str]], found: Found) -> Found:
    """The first line, and the columns of words, where most lines leave the words out.

    Such columns hold notes or events: a line with one is a line of numbers, too.
    """
    first, separator, decimal, _ = found
    if separator == " ":  # which cannot leave a cell empty
        return found
    width = len(cells_of(dict(body)[first], separator))
    rows = [(i, cells_of(line, separator)) for i, line in body if not _COMMENT.match(line)]
    rows = [(i, row) for i, row in rows if len(row) == width]
    lines = [row for _, row in rows if any(number_in(c, decimal) for c in row)]
    words = _words(lines, decimal)
    if not words or len(words) == width:
        return found
    return next(i for i, row in rows if _holds(row, words, decimal)), separator, decimal, words


def _words(rows: Sequence[Sequence[str]], decimal: str) -> frozenset[int]:
    """The columns in which most cells that are not empty hold no number."""
    found = []
    for c, column in enumerate(zip(*rows, strict=True)):
        other = sum(not value_in(cell, decimal) for cell in column)
        if other and other > sum(number_in(cell, decimal) for cell in column):
            found.append(c)
    return frozenset(found)


def _holds(row: Sequence[str], words: frozenset[int], decimal: str) -> bool:
    """Whether a line holds numbers, or nothing, in all columns besides those of words."""
    cells = [cell for c, cell in enumerate(row) if c not in words]
    return all(value_in(c, decimal) for c in cells) and any(number_in(c, decimal) for c in cells)


def _numbers_columns(row: Sequence[str], following: str) -> bool:
    """Whether a line is 0, 1, 2 … above numbers with decimals: the names of columns."""
    cells = [c.strip().strip('"') for c in row]
    cells = cells[1:] if cells[0] == "" else cells
    if len(cells) < 2 or not all(c.isdigit() for c in cells) or "." not in following:
        return False
    values = [int(c) for c in cells]
    return values[0] in (0, 1) and values == list(range(values[0], values[0] + len(values)))


def _with_words(body: Sequence[tuple[int, str]]) -> Found | None:
    """The first line of columns of which some hold words, such as the time of day.

    Of two ways to read the lines, the one with more columns of numbers is right: with another
    decimal mark, numbers are words.
    """
    best, most = None, 0
    for separator, decimal in DIALECTS[:7]:
        rows = [(i, cells_of(line, separator)) for i, line in body if not _COMMENT.match(line)]
        usual = Counter(len(row) for _, row in rows).most_common(1)
        if not usual or usual[0][0] < 2 or usual[0][1] < max(3, 0.8 * len(rows)):
            continue
        rows = [(i, row) for i, row in rows if len(row) == usual[0][0]]
        for first in range(min(4, len(rows) - 1)):
            part = rows[first:]
            words = _words([row for _, row in part], decimal)
            numbers = len(part[0][1]) - len(words)
            if _holds(part[0][1], words, decimal) and numbers > most:
                best, most = (part[0][0], separator, decimal, words), numbers
                break
    return best


def _refuse_ragged(above: Sequence[str], separator: str, decimal: str, width: int) -> None:
    """Refuse a line of numbers with other columns than the rest directly above them."""
    if not above or _COMMENT.match(above[-1]):
        return
    row = cells_of(above[-1], separator)
    if len(row) > 1 and len(row) != width and all(number_in(c, decimal) for c in row):
        raise HushError(f"line {len(above)} has {len(row)} columns, but the next has {width}")


# -- names, units, rate ------------------------------------------------------------------------


def _names(above: Sequence[str], separator: str, width: int) -> tuple[list[str], list[str]]:
    """Names and units of the columns; empty if there are none."""
    units = [""] * width
    names = [""] * width
    for row in _rows(above, separator, width):
        names = row
        if any(units) or not all(_UNIT.fullmatch(cell) or not cell for cell in row):
            break
        units = row
    for line in above:
        if (match := _OF_ALL.match(line)) and not any(units):
            parts = [p.strip() for p in re.split(r"[\t,;]", match[1].strip()) if p.strip()]
            units = parts if len(parts) == width else parts[:1] * width
    units = [_named_unit(unit) or unit_in(name) for unit, name in zip(units, names, strict=True)]
    return names, units


def _names_last(above: Sequence[str], separator: str, width: int) -> bool:
    """Whether a line above the numbers names the last column, which may be empty then."""
    rows = (cells_of(line, separator) for line in above if not _COMMENT.match(line))
    return any(len(row) == width and row[-1].strip() for row in rows)


def _rows(above: Sequence[str], separator: str, width: int) -> Iterator[list[str]]:
    """The lines above the numbers that have a cell for each column, from the last one."""
    for line in reversed(above):
        plain = line.strip("\ufeff\r\n")
        comment = _COMMENT.match(plain)
        if listed := _listed(plain, width):
            yield listed
            continue
        if comment:
            plain = plain[comment.end() :]
        row = [c.strip().strip('"').strip() for c in cells_of(plain, separator)]
        if len(row) == width + 1 and not row[-1]:  # a separator at the end
            row.pop()
        named = not comment or (width > 1 and not re.search("[:=]", plain))
        if named and len(row) == width and not all(NUMBER.fullmatch(c) for c in row):
            yield row


def _listed(line: str, width: int) -> list[str]:
    """Names in a comment: ``Labels:= A  B``, or the JSON of OpenSignals; empty without any."""
    if match := _LABELS.match(line):
        for pattern in (r"\t", r"[,;]", r"\s+"):
            parts = [p.strip().strip("'\"[]") for p in re.split(pattern, match[1].strip())]
            if len(parts) in (width - 1, width):  # without a name for the time
                return [*[""] * (width - len(parts)), *parts]
    for device in _devices(line):
        columns = device.get("column", ())
        if len(columns) == width:
            labels = list(device.get("label", ()))
            named = [str(c) for c in columns]
            channels = len(device.get("channels", labels))
            if len(labels) == channels and 0 < channels <= width:
                named[width - channels :] = [str(x) for x in labels]
            return named
    return []


def _devices(line: str) -> list[dict[str, Any]]:
    """The devices in the JSON of a comment line."""
    match = re.search(r"\{.*\}", line)
    try:
        found = json.loads(match[0]) if match else None
    except ValueError:
        return []
    return [d for d in found.values() if isinstance(d, dict)] if isinstance(found, dict) else []


def unit_in(name: str) -> str:
    """The unit in a name such as ``EMG (uV)`` or ``EMG [mV]``; empty without one."""
    match = re.search(r"[(\[]\s*([^()\[\]]+?)\s*[)\]]\s*$", name)
    if match is None:
        match = re.search(r"[_/]([um]?V|m?s|Hz)$", name)
    return _named_unit(match[1]) if match and _UNIT.fullmatch(match[1]) else ""


def _named_unit(unit: str) -> str:
    unit = unit.strip("()[] ")
    return _UNITS.get(unit.lower().rstrip("s"), unit)


def _rate(above: Sequence[str]) -> float | None:
    """The rate that the lines state, in samples a second."""
    for line in above:
        if (match := _RATE.search(line)) and float(match[1]) > 0:
            return float(match[1]) * (1000 if match[2] else 1)
        if (match := _INTERVAL.search(line)) and float(match[1]) > 0:
            return 1 / (float(match[1]) * _SECONDS[match[2].lower().replace("µ", "u")])
    return None


# -- what columns are --------------------------------------------------------------------------


def is_time(name: str) -> bool:
    """Whether a column of that name holds the time."""
    return _TIME.fullmatch(_bare(name)) is not None


def may_be_time(name: str) -> bool:
    """Whether a column of that name holds the time if its values rise."""
    return is_time(name) or _DATE.fullmatch(_bare(name)) is not None


def is_counter(name: str) -> bool:
    """Whether a column of that name may number the samples."""
    return _COUNTER.fullmatch(_bare(name)) is not None


def is_number(name: str) -> bool:
    """Whether a column of that name holds the numbers of things, such as ``id`` or ``track_id``."""
    return _IDENTIFIER.fullmatch(_bare(name)) is not None


def is_label(name: str) -> bool:
    """Whether a column of that name holds marks and no signal."""
    return is_mark(name) or _CLASSES.fullmatch(_bare(name)) is not None


def seconds_in(name: str, unit: str) -> float | None:
    """The seconds that one step of a column of times stands for; None if nothing says so."""
    plain = re.sub(r"[(\[][^()\[\]]*[)\]]\s*$", "", name.strip().strip("'\"")).lower()
    for text in (unit, re.split(r"[_ ]", plain.strip())[-1], plain):
        short = text.strip().lower().replace("µ", "u").replace("μ", "u")
        short = re.sub(r"^(milli|micro|nano)", lambda m: "u" if m[0] == "micro" else m[0][0], short)
        short = re.sub(r"(?<=[mun])s(ec(ond)?s?)$|^s(ec(ond)?s?)?$", "s", short)
        short = "min" if short.startswith("minute") else short
        if short in _SECONDS:
            return _SECONDS[short]
    return None


def epoch_unit(value: float) -> float | None:
    """The seconds of one step of a time that counts from 1970; None if a time is none of those."""
    units = (unit for unit in _SECONDS.values() if unit <= 1)
    return next((unit for unit in units if _EPOCH[0] <= value * unit <= _EPOCH[1]), None)


def _bare(name: str) -> str:
    """A name without quotes, unit and spaces around it."""
    bare = re.sub(r"[(\[][^()\[\]]*[)\]]\s*$", "", name.strip().strip("'\""))
    unit = r"[_ ]([mun]?s|[mun]?sec|(milli|micro|nano)?seconds)$"
    return re.sub(unit, "", bare.strip(), flags=re.IGNORECASE)
