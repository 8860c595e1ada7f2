"""PSICOV's ``.aln``: a row of residues on each line, without names."""

from __future__ import annotations

from pathlib import Path

from hush.io import clustal
from hush.io.aligned import SPACE, as_in_file, left_out, letters, stored, text_of
from hush.io.aligned_read import KNOWN, Pieces, beginning, lines_in, record_of, text_in
from hush.io.gz import packed, zipped
from hush.record import Record

NAME = "PSICOV"
ENDINGS = zipped(".aln", ".psicov")


def sniff(head: bytes, path: Path) -> bool:
    """Whether a file with one of the endings begins with residues."""
    if not path.name.lower().endswith(ENDINGS) or clustal.sniff(head, path):
        return False
    start = beginning(head, path)
    return start is None or not start.partition(b"\n")[0].translate(None, KNOWN + SPACE)


def read(path: Path) -> Record:
    """The alignment ``(N, L)``, uint8 tokens; names are ``row 1``, ….

    Raises
    ------
    HushError
        If rows are not equally long, or a row holds what is neither a residue nor a gap.
    """
    source = text_in(path)
    pieces, count = Pieces(), 0
    for begin, end in lines_in(raw := source.raw):
        if raw[begin:end].isspace():
            pieces.add(end)
        else:
            pieces.add(end, count, 0, (begin, end))
            count += 1
    return record_of(pieces.text(NAME, source), notes=source.notes)


def write(record: Record, path: Path) -> None:
    """Write the rows that stay as they were read; those of other formats on a line each."""
    found = text_of(record)
    with packed(path) as stream:
        if found is not None and found[0].format == NAME:
            stream.writelines(as_in_file(found[0], stored(record, *found)))
            return
        stream.writelines(line + b"\n" for line in letters(record))


def notes(record: Record) -> list[str]:
    """A sentence about what the file does not hold."""
    found = text_of(record)
    return [] if found is not None and found[0].format == NAME else left_out(record, NAME)
