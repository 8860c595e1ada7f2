"""Further noise for alignments: rows that do not help, added to those that are there.

Two sorts, as the paper has them (MID, section IV-E), and as large alignments have them: misaligned
rows, which say nothing about the family's columns, and redundant ones, which repeat others.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hush.io.residues import GAP

SHIFT = 12  #: columns by which rows are shifted at most
PARENTS = 0.08  #: of the rows are those that redundant ones are copies of, at most
MUTATED = 0.08  #: share of a copy's residues that differ, at most
FRAGMENT = 0.3  #: share of the copies that are fragments

#: makes a misaligned row of one row ``(L,)``, given all of them ``(n, L)``
Spoil = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]


def shifted(row: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A segment of at least a third of the columns moved by up to `SHIFT` of them."""
    length = len(row)
    size = int(rng.integers(max(2, length // 3), length + 1))
    begin = int(rng.integers(0, length - size + 1))
    by = int(rng.integers(1, min(SHIFT, size - 1) + 1)) * int(rng.choice([-1, 1]))
    out = row.copy()
    out[begin : begin + size] = np.roll(row[begin : begin + size], by)
    return out


def shuffled(row: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """At least a third of the residues, or of the columns, in another order."""
    where = np.flatnonzero(row != GAP) if rng.random() < 0.7 else np.arange(len(row))
    size = int(np.ceil(len(where) * rng.uniform(0.35, 1)))
    begin = int(rng.integers(0, len(where) - size + 1))
    part = where[begin : begin + size]
    out = row.copy()
    out[part] = row[rng.permutation(part)]
    return out


def independent(row: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """At least a third of the residues, each replaced by that of another row in its column.

    Every column fits the family then, but not their combination.
    """
    drawn = rows[rng.integers(0, len(rows), len(row)), np.arange(len(row))]
    swap = (rng.random(len(row)) < rng.uniform(0.35, 1)) & (row != GAP) & (drawn != GAP)
    return np.where(swap, drawn, row)


def foreign(row: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Residues of any columns of any rows, in the places of the row's own."""
    pool = rows[rows != GAP]
    return np.where(row != GAP, pool[rng.integers(0, max(len(pool), 1), len(row))], row)


SPOILS: tuple[Spoil, ...] = (shifted, shuffled, independent, independent, foreign)


def misaligned(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` misaligned rows made of tokens ``(n, L)``."""
    made = np.empty((count, rows.shape[1]), rows.dtype)
    for out in made:
        spoil = SPOILS[int(rng.integers(len(SPOILS)))]
        out[:] = spoil(rows[int(rng.integers(len(rows)))], rows, rng)
    return made


def redundant(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` copies of a few of the tokens ``(n, L)``, mutated, some of them fragments."""
    few = max(1, round(PARENTS * rng.random() * len(rows)))
    parents = rng.permutation(len(rows))[:few]
    made = rows[parents[rng.integers(0, few, count)]]
    drawn = rows[rng.integers(0, len(rows), made.shape), np.arange(made.shape[1])]
    swap = rng.random(made.shape) < MUTATED * rng.random((count, 1))
    made = np.where(swap & (made != GAP) & (drawn != GAP), drawn, made)
    for row in (made[k] for k in np.flatnonzero(rng.random(count) < FRAGMENT)):
        where = np.flatnonzero(row != GAP)
        if len(where) < 8:
            continue
        size = int(rng.integers(len(where) // 3, len(where)))
        begin = int(rng.integers(0, len(where) - size + 1))
        row[np.delete(where, np.s_[begin : begin + size])] = GAP
    return made
