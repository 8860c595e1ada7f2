"""A3M, A2M and aligned FASTA: a header and a sequence for each row.

In A3M and A2M, lower-case letters and dots are insertions, in no column; in aligned FASTA every
character is in a column. Which of them a file is, its lengths say (`modes`).
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

from hush.errors import HushError
from hush.io.aligned import (
    Text,
    as_in_file,
    labels,
    left_out,
    letters,
    stored,
    text_of,
    told,
)
from hush.io.aligned_read import KNOWN, Pieces, Source, beginning, cleaned, record_of, text_in
from hush.io.gz import DAMAGED, packed, unpacked, zipped
from hush.record import Record

A3M, FASTA = "A3M", "aligned FASTA"
MAGIC = (b">", b"#")
A3M_ENDINGS = zipped(".a3m", ".a2m")
FASTA_ENDINGS = zipped(".fasta", ".fa", ".afa", ".mfa", ".fas", ".aln-fasta")
_HEAD = 2**16  #: bytes by which a file in a folder is judged
#: rows of HH-suite that hold predicted or known structure, one character a residue
_STRUCTURE = re.compile(rb"\s*(ss|sa|aa)_(pred|conf|dssp)\b")
#: the line above a paired alignment: lengths of its parts, and how often each is there
_PARTS = re.compile(rb"\s*#(\d+(?:,\d+)*)\t\d+(?:,\d+)*\s*$", re.M)
#: capitals and - only, as lower case and dots are insertions
_ANEW = bytes(c - 32 if 97 <= c <= 122 else c for c in range(256)).replace(b".", b"-")


# -- recognising -------------------------------------------------------------------------------


def _begins(head: bytes, path: Path) -> bool:
    """Whether a file begins with a header, below lines that begin with #."""
    named = path.name.lower().endswith(A3M_ENDINGS + FASTA_ENDINGS)
    start = beginning(head, path, head.lstrip()[:1] in (b"#", b">"))
    if start is None:
        return named
    while start.startswith(b"#") and not start.startswith(b"# STOCKHOLM"):
        start = start.partition(b"\n")[2].lstrip()
    if named or not start.startswith(b">"):
        return start.startswith(b">")
    second = start.partition(b"\n")[2].partition(b"\n")[0].strip()
    return bool(second) and not second.translate(None, KNOWN)


def is_a3m(head: bytes, path: Path) -> bool:
    """Whether a file is read as A3M: all with headers that are not named as FASTA."""
    return not path.name.lower().endswith(FASTA_ENDINGS) and _begins(head, path)


def is_fasta(head: bytes, path: Path) -> bool:
    """Whether a file is named as FASTA, and begins so."""
    return path.name.lower().endswith(FASTA_ENDINGS) and _begins(head, path)


def probable(path: Path) -> bool:
    """Whether the first rows of a FASTA file, two at least, are equally long."""
    try:
        with unpacked(path) as stream:
            head = stream.read(_HEAD)
        whole = len(head) < _HEAD
        source = cleaned(head if whole else head[: head.rfind(b"\n>") + 1])
        return len(_record(source, FASTA).data) > 1
    except HushError:
        return False
    except (*DAMAGED, OSError):
        return True  # reading it raises the error


# -- reading -----------------------------------------------------------------------------------


def read(path: Path) -> Record:
    """The alignment ``(N, L)``: uint8 tokens; lengths of the parts of a paired one in ``context``.

    If all rows have as many capitals and ``-``, those are the columns. Otherwise, and always in
    files named as FASTA, every character is in a column if all rows are equally long.

    Raises
    ------
    HushError
        If the rows are not aligned, with the first row that differs; or if a row holds what is
        neither a residue nor a gap.
    """
    source = text_in(path)
    named = path.name.lower().endswith(FASTA_ENDINGS)
    return _record(source, FASTA if named else A3M)


def _record(source: Source, name: str) -> Record:
    raw, pieces, count, structure = source.raw, Pieces(), 0, 0
    begin = 0 if raw[:1] == b">" else raw.find(b"\n>") + 1
    above = raw[:begin]
    if begin:
        pieces.add(begin)
    while begin < len(raw):
        end = raw.find(b"\n>", begin) + 1 or len(raw)
        stop = raw.find(b"\n", begin, end)
        stop = end if stop < 0 else stop
        if _STRUCTURE.match(raw[begin + 1 : stop]):
            structure += 1
            pieces.add(end)
        else:
            pieces.add(end, count, 0, (stop, end))
            pieces.heads.extend((begin + 1, stop))
            count += 1
        begin = end
    made = list(source.notes)
    if structure:
        made.append(
            f"{structure} row{'s' if structure > 1 else ''} of HH-suite's structure (such as "
            "ss_pred) count as annotation, not as sequences."
        )
    lost = ["the lines above the rows"] * bool(above.strip()) + ["structure"] * bool(structure)
    extra = " and ".join(lost)
    modes = ("columns", "insertions") if name == FASTA else ("insertions", "columns")
    record = record_of(pieces.text(name, source, extra=extra), modes, made)
    stated = _PARTS.match(above)
    parts = tuple(map(int, stated[1].split(b","))) if stated else ()
    if parts and sum(parts) == record.data.shape[1]:
        return replace(record, context={**record.context, "parts": parts})
    return record


# -- writing -----------------------------------------------------------------------------------


def _as_is(text: Text, target: str) -> bool:
    """Whether rows may stay as they are, and mean the same in a file of the format `target`."""
    if text.format not in (A3M, FASTA):
        return False
    return target == text.format or not (text.soft if target == A3M else text.inserted)


def write(record: Record, path: Path, target: str) -> None:
    """Write the rows that stay as they were read; those of other formats on a line each."""
    found = text_of(record)
    with packed(path) as stream:
        if found is not None and _as_is(found[0], target):
            bare = target == FASTA and found[0].format == A3M
            stream.writelines(as_in_file(found[0], stored(record, *found, bare)))
            return
        for (name, description), line in zip(labels(record), letters(record), strict=True):
            joint = b"" if description[:1] in (b"", b"\t") else b" "
            made = line.translate(_ANEW) if target == A3M else line
            stream.write(b">" + name + joint + description + b"\n" + made + b"\n")


def notes(record: Record, target: str) -> list[str]:
    """Sentences about what the file does not hold exactly."""
    found = text_of(record)
    if found is None:
        return []
    text, _ = found
    if _as_is(text, target):
        bare = target == FASTA and text.format == A3M
        return told(target, text, [text.extra] * bare)
    changed = "Lower-case letters become capitals and dots become -: in A3M they mean insertions."
    lost = left_out(record, target, "names descriptions")
    return lost + [changed] * (target == A3M and text.soft)


write_a3m, write_fasta = partial(write, target=A3M), partial(write, target=FASTA)
notes_a3m, notes_fasta = partial(notes, target=A3M), partial(notes, target=FASTA)
