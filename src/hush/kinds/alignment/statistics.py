"""What the rows of a family have in common, and how one more row fits it.

A row must not be judged by statistics that it is part of: it would fit them the better, the fewer
the rows. So a family is split into two halves, and each is judged by the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hush.io.residues import NONE
from hush.tasks.couplings import Couplings, strongest
from hush.tasks.dca import STATES, reweighted

MOST = 2000  #: rows that couplings are measured with; more make them hardly better
PSEUDO = 0.1  #: share of the background in a column's frequencies
#: of each residue of a row: see `Statistics.columns`; of each row: see `rows`
COLUMNS, ROWS = 5, 6


@dataclass(frozen=True)
class Statistics:
    """Of some rows of a family.

    odds : log of a residue's frequency in a column over that in all columns, float32 ``(L, 21)``, 0
    for gaps; filled : share of rows with a residue, ``(L,)``; unit : rms of a residue's couplings.
    number : effective number of the rows.
    """

    odds: np.ndarray
    filled: np.ndarray
    couplings: Couplings
    unit: float
    number: float

    def columns(self, states: np.ndarray, query: np.ndarray) -> np.ndarray:
        """How each residue of rows ``(N, L)`` fits, float32 ``(N, L, COLUMNS)``.

        Its log-odds, its couplings to the rest of the row, whether it is a gap, the share of rows
        with a residue there, and whether it is the query's ``(L,)``.
        """
        out = np.empty((*states.shape, COLUMNS), np.float32)
        out[..., 0] = self.odds[np.arange(states.shape[1]), states]
        out[..., 1] = self.couplings.fields(states) / self.unit
        out[..., 2] = states == NONE
        out[..., 3] = self.filled
        out[..., 4] = (states == query) & (query != NONE)
        return out


def statistics(states: np.ndarray, seed: int = 0) -> Statistics:
    """Of rows ``(N, L)``, at most `MOST` of them, weighted so that similar ones count once."""
    if len(states) > MOST:
        states = states[np.sort(np.random.default_rng(seed).permutation(len(states))[:MOST])]
    weights = reweighted(states)
    weights /= weights.sum()
    share = np.stack([weights @ (states == s) for s in range(STATES)], 1)
    filled = 1 - share[:, NONE]
    background = share[:, :NONE].sum(0) + 1e-3
    background /= background.sum()
    amino = share[:, :NONE] / np.maximum(filled, 1e-9)[:, None]
    odds = np.zeros(share.shape, np.float32)
    odds[:, :NONE] = np.log((1 - PSEUDO) * amino / background + PSEUDO)
    couplings = strongest(states, weights=weights)
    unit = float(np.sqrt(np.square(couplings.fields(states)).mean())) or 1.0
    number = float(weights.sum() ** 2 / np.square(weights).sum())
    return Statistics(odds, filled, couplings, unit, number)


@dataclass(frozen=True)
class Halves:
    """Two halves of a family's rows.

    first : bool ``(n,)``; of : the statistics of the first half and of the second one.
    """

    first: np.ndarray
    of: tuple[Statistics, Statistics]

    @property
    def number(self) -> float:
        """The smaller effective number of the two."""
        return min(part.number for part in self.of)

    def columns(self, states: np.ndarray, where: np.ndarray) -> np.ndarray:
        """`Statistics.columns` of some of the family's rows ``(n, L)``, each by the other half."""
        out = np.empty((len(where), states.shape[1], COLUMNS), np.float32)
        mine = self.first[where]
        for half, part in ((1, mine), (0, ~mine)):
            out[part] = self.of[half].columns(states[where[part]], states[0])
        return out


def halves(states: np.ndarray, seed: int = 0) -> Halves:
    """Rows ``(n, L)`` split at random."""
    order = np.random.default_rng(seed).permutation(len(states))
    first = np.zeros(len(states), bool)
    first[order[: len(order) // 2]] = True
    return Halves(first, (statistics(states[first]), statistics(states[~first])))


def rows(states: np.ndarray, columns: np.ndarray, nearest: np.ndarray, number: float) -> np.ndarray:
    """What is told of each row as a whole, float32 ``(N, ROWS)``.

    The means over its residues of log-odds, couplings and agreement with the query; its share of
    gaps; the share of its residues in the row nearest to it; and from what effective number of rows
    that is known, as a logarithm.
    """
    filled = np.maximum((states != NONE).sum(1), 1)
    means = columns[..., [0, 1, 4]].sum(1) / filled[:, None]
    depth = np.full(len(states), np.log10(number) / 3)
    return np.stack([*means.T, columns[..., 2].mean(1), nearest, depth], 1).astype(np.float32)
