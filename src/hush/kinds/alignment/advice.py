"""Warnings about an alignment before rows are chosen, and what ``hush inspect`` says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hush.kinds.alignment import show
from hush.kinds.alignment.alphabet import FILLED, OTHER, PROTEIN, alphabet
from hush.kinds.alignment.measure import HALF, SAMPLE, as_one, covers, measured
from hush.kinds.alignment.profile import LEAST
from hush.report import describe
from hush.results import Survey
from hush.tasks.distances import EXACT

if TYPE_CHECKING:
    from hush.kinds.alignment import Alignment
    from hush.record import Record

MANY = 0.3  #: share of short rows from which on they are mentioned
LISTED = 3  #: rows or columns that a sentence names


def survey(kind: Alignment, record: Record) -> Survey:
    """Everything found in an alignment, for ``hush inspect``."""
    query = kind.query(record.context, len(record.data))
    seen = measured(kind.rows(kind.batch(record), 0), query)
    plain = seen.plain()
    name = named(record.context, query)
    facts = show.found(plain, name, _residues(kind, record, query))
    notes = advice(kind, record)
    if seen.rows >= LEAST and seen.effective < seen.columns:
        notes.append(
            f"The effective number of sequences, {show.number(seen.effective)}, is below the "
            f"{seen.columns:,} columns: too few for direct-coupling analysis."
        )
    return Survey(facts, notes, [{"name": name or None, **plain}])


def advice(kind: Alignment, record: Record) -> list[str]:
    """Warnings about an alignment, the causes first."""
    rows = kind.rows(kind.batch(record), 0)
    query = kind.query(record.context, len(rows))
    filled = FILLED[rows]
    if len(rows) == 1 and filled.any():
        return ["There is one row only, the query, which comes back as it is."]
    return [
        *_query(filled, query, record.context),
        *_letters(rows, filled),
        *_blank(filled, record.context),
        *_few(filled),
        *_copies(rows, filled, query),
        *_short(filled, query),
        *_deep(rows),
    ]


def named(about: Mapping[str, Any], row: int) -> str:
    """The name of a row; empty if it has none."""
    names = about.get("names", ())
    return str(names[row]) if row < len(names) else ""


def counted(count: int, noun: str) -> str:
    """``1 row``, ``1,200 rows``."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def some(words: Sequence[str]) -> str:
    """``A``, ``A and B``, ``A, B, C, …``."""
    if len(words) > LISTED:
        return ", ".join([*words[:LISTED], "…"])
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _residues(kind: Alignment, record: Record, query: int) -> int:
    return int(FILLED[kind.rows(kind.batch(record), 0)[query]].sum())


def _query(filled: np.ndarray, query: int, about: Mapping[str, Any]) -> list[str]:
    """A query with gaps, or without any residue."""
    gaps = int((~filled[query]).sum())
    of = f" {name}" if (name := named(about, query)) else ""
    if gaps == filled.shape[1]:
        return [
            f"The query{of} has no residues, only gaps, so no row can be compared with it; name "
            "another query with --query."
        ]
    if gaps:
        return [
            f"The query{of} has gaps in {gaps:,} of {counted(filled.shape[1], 'column')}; coverage "
            "and identity are about the others."
        ]
    return []


def _few(filled: np.ndarray) -> list[str]:
    count = len(filled)
    if not 1 < count < LEAST:
        return []
    return [f"Only {count} rows: too few to tell which are misaligned, which takes {LEAST} rows."]


def _blank(filled: np.ndarray, about: Mapping[str, Any]) -> list[str]:
    """Rows and columns that hold gaps only."""
    notes = []
    rows = np.flatnonzero(~filled.any(1))
    if len(rows):
        names = [name for i in rows[: LISTED + 1] if (name := named(about, int(i)))]
        which = f" ({some(names)})" if names else ""
        hold = "holds" if len(rows) == 1 else "hold"
        notes.append(f"{counted(len(rows), 'row')}{which} {hold} gaps only.")
    columns = np.flatnonzero(~filled.any(0))
    if len(columns):
        are = "is" if len(columns) == 1 else "are"
        notes.append(f"{counted(len(columns), 'column')} ({places(columns)}) {are} gaps only.")
    return notes


def places(columns: np.ndarray) -> str:
    """The first numbers of columns, from 1."""
    return some([f"{c + 1:,}" for c in columns[: LISTED + 1]])


def _letters(rows: np.ndarray, filled: np.ndarray) -> list[str]:
    """Other residues than amino acids."""
    letters = alphabet(rows)
    if letters is PROTEIN or not filled.any():
        return []
    if letters is OTHER:
        return [
            "Most letters are neither amino acids nor nucleotides; rows are compared by identity "
            "alone."
        ]
    return [
        f"The residues are {letters.name}, not amino acids: rows are compared by identity alone, "
        "because the networks learned from proteins."
    ]


def _copies(rows: np.ndarray, filled: np.ndarray, query: int) -> list[str]:
    """Rows that are equal to the query or to each other; rows of gaps only are no copies."""
    of_query = int((rows == rows[query]).all(1).sum()) - 1 if filled[query].any() else 0
    full = as_one(rows[filled.any(1)])
    others = len(full) - len(np.unique(full)) - of_query
    if not of_query + others:
        return []
    repeat = "repeats" if of_query == 1 else "repeat"
    if of_query and others:
        text = f"{counted(of_query, 'row')} {repeat} the query, and {others:,} repeat other rows"
    elif of_query:
        text = f"{counted(of_query, 'row')} {repeat} the query"
    else:
        text = f"{counted(others, 'row')} {'repeats' if others == 1 else 'repeat'} another one"
    return [f"{text}; copies are the first to be left out."]


def _short(filled: np.ndarray, query: int) -> list[str]:
    share = float(np.mean(covers(filled, query) < HALF))
    if share < MANY:
        return []
    return [f"{describe.share(share)} of the rows fill less than half of the query's columns."]


def _deep(rows: np.ndarray) -> list[str]:
    if len(rows) <= EXACT:
        return []
    return [
        f"The effective number and the redundancy are estimates: of {len(rows):,} rows, "
        f"{SAMPLE:,} drawn at random were compared with all others (all are, up to {EXACT:,})."
    ]
