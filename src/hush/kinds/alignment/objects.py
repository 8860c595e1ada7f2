"""Alignments from Python objects: text, arrays of letters, and Biopython's records."""

from __future__ import annotations

from typing import Any

import numpy as np

from hush.errors import HushError
from hush.io.aligned_read import KNOWN
from hush.io.residues import TOKENS
from hush.record import Record


def aligned(objects: Any) -> Record | None:
    """Rows as an alignment; None if they are not letters.

    A row is text or bytes, letters in a list or an array, a sequence of Biopython, or an object
    with such a `seq`, and perhaps an `id`.

    Raises
    ------
    HushError
        If rows are not equally long, or hold what is neither a residue nor a gap.
    """
    if (isinstance(objects, np.ndarray) and objects.dtype.kind not in "US") or not len(objects):
        return None
    every = list(objects)
    rows = [letters(getattr(row, "seq", row)) for row in every]
    names = tuple(str(getattr(row, "id", f"row{i}")) for i, row in enumerate(every, 1))
    found = [row for row in rows if row is not None]
    if len(found) < len(rows):
        return None
    length = len(found[0])
    for name, row in zip(names, found, strict=True):
        if not row:
            raise HushError(f"{name} has no residues; leave it out")
        if odd := row.translate(None, KNOWN):
            sign = odd[:1].decode("latin-1")
            raise HushError(
                f"{name} holds {sign!r}, which is neither a residue nor a gap; correct or remove "
                "that row"
            )
        if len(row) != length:
            raise HushError(
                f"this is no alignment: {name} has {len(row)} columns, but {names[0]} has "
                f"{length}; align the sequences, or remove that row"
            )
    data = TOKENS[np.frombuffer(b"".join(found), np.uint8).reshape(-1, length)]
    return Record(data, "NC", kind="alignment", full=1.0, context={"names": names})


def letters(row: Any) -> bytes | None:
    """The letters of a row; None if it is none."""
    if isinstance(row, str):
        return row.encode("latin-1", "replace")
    if hasattr(row, "__bytes__") or isinstance(row, bytes):  # bytes, and Biopython's Seq
        return bytes(row)
    if isinstance(row, list | tuple | np.ndarray) and len(row):
        cells = [letters(cell) for cell in row if isinstance(cell, str | bytes)]
        if len(cells) == len(row):
            return b"".join(cell for cell in cells if cell is not None)
    return None
