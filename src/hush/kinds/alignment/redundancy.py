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
    return best / np.maximum((states != NONE).sum(1), 1)


def filtered(states: np.ndarray, limit: float) -> np.ndarray:
    """Bool ``(N,)``: rows of which no row kept before them has a share `limit` of the residues."""
    residues = np.maximum((states != NONE).sum(1), 1)
    every, kept = packed(states, NONE), np.zeros(len(states), bool)
    for start in range(0, len(states), BLOCK):
        block = np.arange(start, min(start + BLOCK, len(states)))
        own = Packed(every.planes[:, :, block], every.columns)
        before = np.flatnonzero(kept)
        repeated = np.zeros(len(block), bool)
        others = Packed(every.planes[:, :, before], every.columns)
        for rows, _, _, same in compared(own, others):
            repeated[rows] |= same.max(1) >= limit * residues[block[rows]]
        inside = np.zeros((len(block), len(block)), np.int64)
        for rows, columns, _, same in compared(own, own):
            inside[rows, columns] = same
        for k in np.flatnonzero(~repeated):
            one = block[k]
            kept[one] = not (inside[k, :k][kept[block[:k]]] >= limit * residues[one]).any()
    return kept
