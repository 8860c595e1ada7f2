"""The different rows of an alignment, as methods see them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from hush.io.residues import NONE, SIZE, STATES
from hush.kinds.alignment.alphabet import Alphabet, alphabet
from hush.tasks.identity import Packed, packed

if TYPE_CHECKING:
    from hush.kinds.alignment.statistics import Halves, Statistics


@dataclass(frozen=True)
class Family:
    """Different rows, the query first, the others in an order that the file's does not change.

    tokens : ``(n, L)`` uint8 (`hush.io.residues`); copies : rows of the alignment that each stands
    for, int ``(n,)``.
    """

    tokens: np.ndarray
    copies: np.ndarray

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def alphabet(self) -> Alphabet:
        """What the letters stand for."""
        return alphabet(self.tokens)

    @cached_property
    def states(self) -> np.ndarray:
        """Amino acids, or nucleotides, ``(n, L)``, uint8 from 0; `NONE` for gaps."""
        found = self.alphabet
        table = (
            STATES
            if found.none >= NONE
            else np.where(found.states < found.none, found.states, NONE)
        )
        return table.astype(np.uint8)[self.tokens]

    @cached_property
    def gaps(self) -> np.ndarray:
        """The share of gaps in each row, float ``(n,)``."""
        return np.asarray((self.states == NONE).mean(1))

    @cached_property
    def known(self) -> Statistics:
        """The statistics of all rows."""
        from hush.kinds.alignment.statistics import statistics

        return statistics(self.states)

    @cached_property
    def residues(self) -> np.ndarray:
        """The number of residues in each row, int ``(n,)``."""
        return np.asarray((self.states != NONE).sum(1))

    @cached_property
    def counts(self) -> np.ndarray:
        """How many rows have each state in each column, int ``(L, 21)``."""
        columns = np.ascontiguousarray(self.states.T)
        return np.stack([np.bincount(column, minlength=NONE + 1) for column in columns])

    @cached_property
    def packed(self) -> Packed:
        """The tokens as bits; none of them stands for no residue."""
        return packed(self.tokens, SIZE)

    @cached_property
    def packed_states(self) -> Packed:
        """The states as bits."""
        return packed(self.states, NONE)

    @cached_property
    def nearest(self) -> np.ndarray:
        """The largest share of each row's residues that another row has, float ``(n,)``."""
        from hush.kinds.alignment.redundancy import nearest

        return nearest(self.states, self.packed_states)

    @cached_property
    def halves(self) -> Halves:
        """The statistics of one half of the rows, by which the other is judged."""
        from hush.kinds.alignment.statistics import halves

        return halves(self.states)

    def part(self, where: np.ndarray) -> Family:
        """The rows at `where`, bool or indices; the query has to be among them, first."""
        return Family(self.tokens[where], self.copies[where])


def different(tokens: np.ndarray, query: int) -> tuple[Family, np.ndarray, np.ndarray]:
    """The different ones of rows ``(N, L)``.

    Returns them, where each stands first ``(n,)``, and which of them every row is ``(N,)``. The
    query itself stands for the rows with its residues.
    """
    rows = np.ascontiguousarray(tokens)
    _, first, of, copies = np.unique(
        rows.view(f"V{rows.shape[1]}").ravel(),
        return_index=True,
        return_inverse=True,
        return_counts=True,
    )
    ahead = of[query]
    order = np.r_[ahead, np.delete(np.arange(len(first)), ahead)]
    first[ahead] = query
    place = np.empty(len(order), np.intp)
    place[order] = np.arange(len(order))
    return Family(rows[first[order]], copies[order]), first[order], place[of.ravel()]
