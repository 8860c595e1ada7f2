"""How much of a row is repeated by another one."""

from __future__ import annotations

import numpy as np

from hush.io.residues import NONE
from hush.tasks.distances import EXACT, SAMPLE
from hush.tasks.identity import Packed, compared, packed

BLOCK = 512  #: rows that are filtered at once


def nearest(
    states: np.ndarray,
    every: Packed | None = None,
    *,
    most: int = EXACT,
    sample: int = SAMPLE,
    seed: int = 0,
) -> np.ndarray:
    """The largest share of a row's residues that another row has, float ``(N,)``.

    It is not symmetric: a fragment is repeated by the whole sequence, which it does not repeat.
    Of more than `most` rows ``(N, L)``, each is compared with a `sample` of them. every : the same
    rows as bits.
    """
    count = len(states)
    some = np.arange(count)
    if count > most:
        some = np.sort(np.random.default_rng(seed).permutation(count)[:sample])
    every = packed(states, NONE) if every is None else every
    others = every if count <= most else packed(states[some], NONE)
    best = np.zeros(count, np.int64)
    for rows, columns, _, same in compared(every, others):
        own = np.arange(rows.start, rows.stop)[:, None] == some[columns]
        np.maximum(best[rows], np.where(own, 0, same).max(1), out=best[rows])
    return best / _residues(states)


def repeated(states: np.ndarray, by: np.ndarray) -> np.ndarray:
    """The largest share of a row's residues that another row has, of those marked in `by`.

    states : ``(N, L)``; by : bool ``(N,)``. Returns float ``(N,)``.
    """
    best, others = np.zeros(len(states), np.int64), np.flatnonzero(by)
    every = packed(states, NONE)
    for rows, columns, _, same in compared(every, _some(every, others)):
        own = np.arange(rows.start, rows.stop)[:, None] == others[columns]
        np.maximum(best[rows], np.where(own, 0, same).max(1), out=best[rows])
    return best / _residues(states)


def repeating(states: np.ndarray, limit: float) -> np.ndarray:
    """How many other rows a row repeats: the sum of the shares of their residues that it has.

    Shares below `limit` do not count. Of a row and its copies with a few residues replaced, the row
    has the most: each copy differs from it in its own replaced residues only, and from another copy
    in those of both. states : ``(N, L)``; returns float ``(N,)``.
    """
    total, every, residues = np.zeros(len(states)), packed(states, NONE), _residues(states)
    for rows, columns, _, same in compared(every, every):
        share = same / residues[columns]
        own = np.arange(rows.start, rows.stop)[:, None] == np.arange(columns.start, columns.stop)
        total[rows] += np.where(own | (share < limit), 0, share).sum(1)
    return total.round(9)  # sums of the same shares in another order are equal


def filtered(states: np.ndarray, limit: float) -> np.ndarray:
    """Bool ``(N,)``: rows of which no row kept before them has a share `limit` of the residues."""
    residues = _residues(states)
    every, kept = packed(states, NONE), np.zeros(len(states), bool)
    for start in range(0, len(states), BLOCK):
        block = np.arange(start, min(start + BLOCK, len(states)))
        own, before = _some(every, block), np.flatnonzero(kept)
        found = np.zeros(len(block), bool)
        for rows, _, _, same in compared(own, _some(every, before)):
            found[rows] |= same.max(1) >= limit * residues[block[rows]]
        inside = np.zeros((len(block), len(block)), np.int64)
        for rows, columns, _, same in compared(own, own):
            inside[rows, columns] = same
        for k in np.flatnonzero(~found):
            one = block[k]
            kept[one] = not (inside[k, :k][kept[block[:k]]] >= limit * residues[one]).any()
    return kept


def _residues(states: np.ndarray) -> np.ndarray:
    """Of each row, at least 1, int ``(N,)``."""
    return np.maximum((states != NONE).sum(1), 1)


def _some(every: Packed, where: np.ndarray) -> Packed:
    return Packed(every.planes[:, :, where], every.columns)
