"""Stockholm, as Pfam and HMMER write it: rows, perhaps wrapped into blocks, and their annotation.

Annotation of the file (GF) and of columns (GC) stays; that of a row (GS, GR) goes with its row. A
description (``#=GS name DE``) is what stands behind the name in a FASTA header.
"""

from __future__ import annotations

import mmap
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hush.errors import HushError
from hush.io.aligned import (
    SHARED,
    Text,
    as_alignment,
    as_in_file,
    labels,
    left_out,
    letters,
    repeated,
    stored,
    text_of,
)
from hush.io.aligned_read import Blocks, Pieces, Source, beginning, lines_in, record_of, text_in
from hush.io.columns_head import decoded
from hush.io.gz import packed, zipped
from hush.record import Record

NAME = "Stockholm"
ENDINGS = zipped(".sto", ".sth", ".stockholm", ".stk")
MAGIC = (b"# STOCKHOLM",)
_NAME = re.compile(rb"\s*(\S+)")
_OF_ROW = re.compile(rb"#=G([SR])[ \t]+(\S+)[ \t]+(\S+)[ \t]?")
_COUNT = re.compile(rb"(#=GF[ \t]+SQ[ \t]+)(\d+)")


def sniff(head: bytes, path: Path) -> bool:
    """Whether the first line says so, compressed or not."""
    start = beginning(head, path)
    if start is None:
        return path.name.lower().endswith(ENDINGS)
    return start.startswith(MAGIC)


# -- reading -----------------------------------------------------------------------------------


def read(path: Path, alignment: int | None = None) -> Record:
    """The alignment ``(N, L)``, uint8 tokens; every character of a row is in a column.

    alignment : which one of a file of several, from 1.

    Raises
    ------
    HushError
        If there are several and none is stated, rows are not equally long, or a row holds what is
        neither a residue nor a gap.
    """
    source = text_in(path)
    raw = source.raw
    starts = list(_starts(raw))
    if len(starts) > 1 and alignment is None:
        raise HushError(
            f"holds {len(starts)} alignments; choose one with --alignment 1 to {len(starts)}"
        )
    if alignment is not None:
        if not 1 <= alignment <= len(starts):
            raise HushError(f"has no alignment {alignment}; it holds {len(starts)}")
        stops = [*starts[1:], len(raw)]
        source = replace(source, raw=raw[starts[alignment - 1] : stops[alignment - 1]])
    return _record(source)


def _starts(raw: bytes | mmap.mmap) -> Iterator[int]:
    """Where each alignment of a file begins."""
    at = 0 if raw[: len(MAGIC[0])] == MAGIC[0] else raw.find(b"\n" + MAGIC[0]) + 1
    yield at
    while at := raw.find(b"\n" + MAGIC[0], at) + 1:
        yield at


def _record(source: Source) -> Record:
    pieces, blocks, ended, annotated = Pieces(), Blocks(), False, False
    later: list[tuple[int, bytes]] = []  # pieces about a row that may be further down
    described: dict[bytes, list[bytes]] = defaultdict(list)
    for begin, end in lines_in(raw := source.raw):
        line = raw[begin:end]
        row = SHARED
        if ended or line.isspace():
            blocks.gap()
        elif line.startswith(b"//"):
            ended = True
        elif not line.startswith(b"#"):
            match = _NAME.match(line)
            assert match is not None
            row = blocks.row(match[1])
            pieces.add(end, row, blocks.block, (begin + match.end(), end))
            if 2 * row == len(pieces.heads):
                pieces.heads.extend((begin + match.start(1), begin + match.end(1)))
            continue
        elif match := _OF_ROW.match(line):
            _, name, feature = match.groups()
            said = line[match.end() :].rstrip(b"\n").lstrip(b" ")
            if match[1] == b"R":
                row = blocks.last.get(name, SHARED)
            elif feature == b"DE":
                described[name].append(said)
            annotated = annotated or (match[1], feature) != (b"S", b"DE")
            if row == SHARED:
                later.append((len(pieces.ends), name))
        else:
            annotated = annotated or line.startswith(b"#=")
            if line.startswith(b"#=GC"):
                blocks.gap()
            if blocks.names and line.startswith(b"#=GR_" + blocks.names[blocks.previous]):
                row = blocks.previous  # a name with spaces, written with _
        pieces.add(end, row, blocks.block if row >= 0 else -1)
    names = blocks.names
    if blocks.block == 0 and (period := _period(names)) < len(names):
        pieces.wrap(period)
        names = names[:period]
    first: dict[bytes, int] = {}
    same = np.array([first.setdefault(name, row) for row, name in enumerate(names)], np.int64)
    for piece, name in later:
        pieces.rows[piece] = first.get(name, SHARED)
    made = [*source.notes] + ["The file does not end with //; it may be cut short."] * (not ended)
    text = pieces.text(
        NAME,
        source,
        same=same,
        described=_descriptions(names, described),
        extra="annotation" if annotated else "",
    )
    return record_of(text, notes=made)


def _period(names: Sequence[bytes]) -> int:
    """After how many rows, two at least, all names repeat: blocks without lines between them."""
    try:
        period = names.index(names[0], 1)
    except (ValueError, IndexError):
        return len(names)
    repeated = [*names[:period]] * (len(names) // period)
    return period if period > 1 and names == repeated else len(names)


def _descriptions(
    names: Sequence[bytes], described: Mapping[bytes, Sequence[bytes]]
) -> dict[int, bytes]:
    """The description of each row that has one; rows with one name have theirs in order."""
    counts, seen = Counter(names), Counter[bytes]()
    made = {}
    for row, name in enumerate(names):
        if lines := described.get(name):
            apart = len(lines) == counts[name]
            made[row] = lines[seen[name]] if apart else b" ".join(lines)
            seen[name] += 1
    return made


# -- writing -----------------------------------------------------------------------------------


def check(record: Record) -> None:
    """Raise HushError for what is no alignment, and names that mean something else here."""
    found = text_of(as_alignment(record))
    if found is None or found[0].format != NAME:
        for name, _ in labels(record):
            if name.startswith((b"#", b"//")):
                raise HushError(
                    f"Stockholm files cannot hold a row named '{decoded(name)}'; write a .a3m file"
                )


def write(record: Record, path: Path) -> None:
    """Write what stays as it was read, the number of rows (SQ) kept true; or a row a line."""
    found = text_of(record)
    with packed(path) as stream:
        if found is not None and found[0].format == NAME:
            text, kept = found
            stream.writelines(as_in_file(text, _counted(text, kept, stored(record, text, kept))))
            return
        stream.write(MAGIC[0] + b" 1.0\n")
        width = 0
        for name, description in labels(record):
            width = max(width, len(name))
            if description:
                stream.write(b"#=GS " + name + b" DE " + description + b"\n")
        for (name, _), line in zip(labels(record), letters(record), strict=True):
            stream.write(name.ljust(width) + b" " + line + b"\n")
        stream.write(b"//\n")


def _counted(text: Text, kept: np.ndarray, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces in which the number of rows is that of the kept ones."""
    for piece in pieces:
        count = _COUNT.match(piece)
        if count and int(count[2]) == len(text):
            piece = count[1] + b"%d" % kept.sum() + piece[count.end() :]
        yield piece


def notes(record: Record) -> list[str]:
    """A sentence about what the file does not hold."""
    found = text_of(record)
    same = found is not None and found[0].format == NAME
    if same:
        return []
    return left_out(record, NAME, "names descriptions") + repeated(record, NAME)
