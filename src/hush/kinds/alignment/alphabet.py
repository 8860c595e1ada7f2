"""What the letters of an alignment stand for: amino acids, or nucleotides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hush.io.residues import FIRST, GAP, LETTERS, MASK, NONE, SIZE, STATES, TOKENS

#: share of the letters that has to be A, C, G, T, U or N, which are 27 % of those of proteins
NUCLEOTIDES = 0.9
AMINO_ACIDS = 0.5  #: share of the letters that has to be one of the 20
_SPECIAL = (*range(FIRST - 1), FIRST + LETTERS.index("."), GAP, MASK)


@dataclass(frozen=True)
class Alphabet:
    """The states of a kind of residues.

    name : as in sentences. states : token → state, uint8 ``(256,)``; `none` for gaps, and for
    letters that name no single residue.
    """

    name: str
    states: np.ndarray
    none: int


def _nucleotides() -> np.ndarray:
    table = np.full(256, 4, np.uint8)
    for letter, state in (("A", 0), ("C", 1), ("G", 2), ("T", 3), ("U", 3)):
        table[TOKENS[ord(letter)]] = state
    return table


def _every() -> np.ndarray:
    table = np.full(256, SIZE, np.uint8)
    table[:SIZE] = np.arange(SIZE)
    table[list(_SPECIAL)] = SIZE
    return table


PROTEIN = Alphabet("protein", STATES, NONE)
RNA = Alphabet("RNA", _nucleotides(), 4)
DNA = Alphabet("DNA", RNA.states, 4)
#: every letter is a residue of its own
OTHER = Alphabet("unknown", _every(), SIZE)

#: token → whether it is a residue, known or not, and no gap
FILLED: np.ndarray = OTHER.states != OTHER.none


def alphabet(tokens: np.ndarray) -> Alphabet:
    """What most letters of rows ``(N, L)`` are; `OTHER` if they are neither, or if there is none.

    Nucleotides, of which at least three are different, are RNA if there are more U than T.
    """
    counts = np.bincount(tokens.ravel(), minlength=256) * FILLED
    total = int(counts.sum())
    of = {letter: int(counts[TOKENS[ord(letter)]]) for letter in "ACGTUN"}
    several = sum(count > 0 for letter, count in of.items() if letter != "N") > 2
    if several and sum(of.values()) >= NUCLEOTIDES * total:
        return RNA if of["U"] > of["T"] else DNA
    known = int(counts[STATES != NONE].sum())
    return PROTEIN if total and known >= AMINO_ACIDS * total else OTHER
