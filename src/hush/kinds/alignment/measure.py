"""How deep, diverse and clean an alignment is."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hush.kinds.alignment import profile
from hush.kinds.alignment.alphabet import FILLED, OTHER, Alphabet, alphabet
from hush.tasks import identity
from hush.tasks.distances import EXACT

SAMPLE = 2_000  #: of more than `EXACT` rows, so many are compared with all: about 1 % error
CLOSE = 0.8  #: share of columns from which on two rows count as neighbours
REPEATED = 0.9  #: share of a row's residues from which on another row repeats it
HALF = 0.5  #: share of the query's columns below which a row is short


@dataclass(frozen=True)
class Measures:
    """The figures of an alignment; shares are of all rows, NaN if they are not known.

    rows, columns : its depth and its length.
    alphabet : ``protein``, ``RNA``, ``DNA`` or ``unknown``.
    effective : number of sequences, each counted as one over the rows that have the same state as
        it in at least 80 % of the columns, gaps included (Morcos et al., PNAS 2011); error : its
        standard error, 0 if all pairs were compared; sampled : rows that were compared with all,
        else 0.
    coverage : share of the query's columns, those where it has a residue, that a row fills, mean.
    gaps : share of gaps in all rows and columns.
    identity : of the residues that a row and the query have in the same column, the share that is
        the same; median over the rows.
    copies : rows that are equal to another one, which counts once; without rows of gaps only.
    redundant : rows of which at least 90 % of the residues are in one other row too; of rows that
        repeat each other the one with the most residues is not counted. Copies are part of it.
    misaligned : rows that fit the family's profile no better than their own residues in another
        order (`profile.fit` below `profile.MISFIT`); of all rows, also those that cannot be judged.
    short : rows that fill less than half of the query's columns.
    blank, empty : numbers of rows and of columns that hold gaps only.
    """

    rows: int
    columns: int
    alphabet: str
    effective: float
    error: float
    sampled: int
    coverage: float
    gaps: float
    identity: float
    copies: float
    redundant: float
    misaligned: float
    short: float
    blank: int
    empty: int

    def plain(self) -> dict[str, Any]:
        """The same by name, None instead of NaN."""
        return {k: None if v != v else v for k, v in asdict(self).items()}


def measured(tokens: np.ndarray, query: int = 0) -> Measures:
    """The figures of rows ``(N, L)`` of tokens, one of which is the query.

    The order of the rows changes nothing, but which of more than `EXACT` rows are compared.
    """
    letters = alphabet(tokens)
    states = letters.states[tokens]
    filled = FILLED[tokens]
    spread = diversity(tokens, states, letters, query)
    fits = fitted(states, letters)
    cover = covers(filled, query)
    return Measures(
        rows=len(tokens),
        columns=tokens.shape[1],
        alphabet=letters.name,
        effective=spread.effective,
        error=spread.error,
        sampled=spread.sampled,
        coverage=float(cover.mean()),
        gaps=1 - float(filled.mean()),
        identity=_median(likeness(states, letters, query)),
        copies=spread.copies,
        redundant=spread.redundant,
        misaligned=float(np.mean(fits < profile.MISFIT)) if np.isfinite(fits).any() else math.nan,
        short=float(np.mean(cover < HALF)) if filled[query].any() else math.nan,
        blank=int((~filled.any(1)).sum()),
        empty=int((~filled.any(0)).sum()),
    )


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else math.nan


def covers(filled: np.ndarray, query: int) -> np.ndarray:
    """The share of the query's columns that each row ``(N, L)`` fills; NaN without any."""
    there = filled[query]
    if not there.any():
        return np.full(len(filled), np.nan)
    share: np.ndarray = filled[:, there].mean(1)
    return share


def likeness(states: np.ndarray, letters: Alphabet, query: int) -> np.ndarray:
    """The identity of each row ``(N, L)`` to the query, over columns where both have a residue.

    NaN without such a column.
    """
    both = (states != letters.none) & (states[query] != letters.none)
    same = ((states == states[query]) & both).sum(1)
    with np.errstate(invalid="ignore"):
        share: np.ndarray = same / both.sum(1)
    return share


def fitted(states: np.ndarray, letters: Alphabet) -> np.ndarray:
    """`profile.fit` of each row ``(N, L)``; NaN for letters of which nothing is known."""
    if letters is OTHER:
        return np.full(len(states), np.nan)
    return profile.fit(states, letters.none)


# -- pairs -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Diversity:
    """See `Measures`."""

    effective: float
    error: float
    sampled: int
    copies: float
    redundant: float


def diversity(
    tokens: np.ndarray, states: np.ndarray, letters: Alphabet, query: int, most: int = EXACT
) -> Diversity:
    """How many rows ``(N, L)`` are unlike; of more than `most` rows by a sample, always the same.

    The memory is that of the states as bits.
    """
    order = ranked(tokens, states != letters.none, query)
    rows = identity.packed(states[order], letters.none)
    has = (states != letters.none).sum(1)[order]
    close = math.ceil(CLOSE * rows.columns - 1e-9)
    repeats = np.maximum(np.ceil(REPEATED * has - 1e-9), 1)
    full = as_one(tokens[states.min(1) < letters.none])
    copies = (len(full) - len(np.unique(full))) / len(tokens)
    if len(rows) <= most:
        near, repeated = _all_pairs(rows, close, repeats)
        return Diversity(float((1 / near).sum()), 0.0, 0, copies, float(repeated.mean()))
    drawn = np.sort(np.random.default_rng(0).permutation(len(rows))[:SAMPLE])
    near, repeated = _some_pairs(rows, drawn, close, repeats)
    weight = 1 / near
    error = len(rows) * float(weight.std(ddof=1)) / math.sqrt(len(drawn))
    effective = len(rows) * float(weight.mean())
    return Diversity(effective, error, len(drawn), copies, float(repeated.mean()))


def ranked(tokens: np.ndarray, filled: np.ndarray, query: int) -> np.ndarray:
    """Indices of rows: the query, and by falling number of residues, equal ones by their letters.

    So neither the order of the rows nor the computer decides which of two rows repeats the other.
    """
    by_letters = np.argsort(as_one(tokens), kind="stable")
    order = by_letters[np.argsort(-filled.sum(1)[by_letters], kind="stable")]
    return np.r_[query, order[order != query]]


def as_one(tokens: np.ndarray) -> np.ndarray:
    """Rows ``(N, L)`` as single values ``(N,)`` that can be sorted."""
    rows = np.ascontiguousarray(tokens)
    return rows.view(f"V{rows.shape[1]}").ravel()


def _all_pairs(
    rows: identity.Packed, close: int, repeats: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The neighbours of each row, itself among them, and whether one before it repeats it."""
    near = np.zeros(len(rows), np.int64)
    repeated = np.zeros(len(rows), bool)
    for at, others, same, residues in identity.pairs(rows):
        before = np.arange(others.start, others.stop) < np.arange(at.start, at.stop)[:, None]
        close_by = (same >= close) & before
        near[at] += close_by.sum(1)
        near[others] += close_by.sum(0)
        repeated[at] |= ((residues >= repeats[at, None]) & before).any(1)
    return near + 1, repeated


def _some_pairs(
    rows: identity.Packed, drawn: np.ndarray, close: int, repeats: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The same for the rows `drawn` among all of them."""
    some = identity.Packed(rows.planes[:, :, drawn], rows.columns)
    near = np.zeros(len(drawn), np.int64)
    repeated = np.zeros(len(drawn), bool)
    for at, others, same, residues in identity.compared(some, rows):
        before = np.arange(others.start, others.stop) < drawn[at, None]
        near[at] += (same >= close).sum(1)
        repeated[at] |= ((residues >= repeats[drawn[at], None]) & before).any(1)
    return near, repeated
