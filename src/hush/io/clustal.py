"""CLUSTAL, as Clustal, MUSCLE, ProbCons, MSAProbs and T-Coffee write it: blocks of rows.

A line below each block marks the columns in which all rows are the same or alike. It is left out
once a row is dropped, as it may not be true any more.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from hush.errors import HushError
from hush.io.aligned import (
    ABOUT_ALL,
    as_in_file,
    labels,
    left_out,
    letters,
    repeated,
    stored,
    text_of,
)
from hush.io.aligned_read import Blocks, Pieces, beginning, lines_in, record_of, text_in
from hush.io.gz import packed, zipped
from hush.record import Record

NAME = "CLUSTAL"
OWN = zipped(".clustal", ".clw")
ENDINGS = (*zipped(".aln"), *OWN)
MAGIC = (b"CLUSTAL", b"MUSCLE", b"PROBCONS", b"MSAPROBS", b"T-COFFEE", b"PROBALIGN", b"Kalign")
_BLANK = re.compile(rb"[^\n]*\n[ \t]*(\r?\n|\Z)")  #: a line, and a blank one
_WIDTH = 60  #: columns of a block that is written


def sniff(head: bytes, path: Path) -> bool:
    """Whether the first line names such a program, compressed or not."""
    start = beginning(head, path)
    named = path.name.lower().endswith(ENDINGS)
    if start is None:
        return named
    return start.startswith(MAGIC) and (named or _BLANK.match(start) is not None)


def read(path: Path) -> Record:
    """The alignment ``(N, L)``, uint8 tokens; every character of a row is in a column.

    Raises
    ------
    HushError
        If a line is not a name with residues, rows are not equally long, or there are several
        alignments.
    """
    source = text_in(path)
    pieces, blocks, marked, header = Pieces(), Blocks(), False, True
    for number, (begin, end) in enumerate(lines_in(raw := source.raw), 1):
        line = raw[begin:end]
        if line.isspace():
            pieces.add(end)
            blocks.gap()
        elif header:
            pieces.add(end)
            header = False
        elif line[:1].isspace():
            pieces.add(end, ABOUT_ALL)
            blocks.gap()
            marked = True
        else:
            name, *cells = line.split()
            if not cells:
                raise HushError(f"line {number} is not a name with residues behind it")
            if len(cells) > 2 and line.startswith(MAGIC):
                raise HushError(f"holds another alignment from line {number} on; split the file")
            counted = len(cells) > 1 and cells[-1].isdigit()
            stop = begin + line.rindex(cells[-1]) if counted else end
            row, name_end = blocks.row(name), begin + len(name)
            pieces.add(end, row, blocks.block, (name_end, stop))
            if 2 * row == len(pieces.heads):
                pieces.heads.extend((begin, name_end))
    extra = "the lines of conservation" if marked else ""
    return record_of(pieces.text(NAME, source, extra=extra), notes=source.notes)


def write(record: Record, path: Path) -> None:
    """Write the rows that stay as they were read; those of other formats in blocks of 60."""
    found = text_of(record)
    with packed(path) as stream:
        if found is not None and found[0].format == NAME:
            stream.writelines(as_in_file(found[0], stored(record, *found)))
            return
        names = [name for name, _ in labels(record)]
        width = max(map(len, names)) + 6
        shape = record.data.shape
        lines = np.frombuffer(b"".join(letters(record)), np.uint8).reshape(shape)
        stream.write(b"CLUSTAL multiple sequence alignment\n\n")
        for start in range(0, shape[1], _WIDTH):
            stream.write(b"\n")
            for name, line in zip(names, lines[:, start : start + _WIDTH], strict=True):
                stream.write(name.ljust(width) + line.tobytes() + b"\n")
            stream.write(b"\n")


def notes(record: Record) -> list[str]:
    """A sentence about what the file does not hold."""
    found = text_of(record)
    if found is None or found[0].format != NAME:
        return left_out(record, NAME, "names") + repeated(record, NAME)
    text, kept = found
    if kept.all() or not text.extra:
        return []
    return ["The lines of conservation are left out: they describe rows that were dropped."]
