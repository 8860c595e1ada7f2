"""Residues of aligned sequences as numbers.

A token is a number of the vocabulary of the MSA Transformer and ESM-1b (Rao et al., ICML 2021), so
that its weights can be used; a state is one of the 20 amino acids, or a gap.
"""

from __future__ import annotations

import numpy as np

#: letters by token, from `FIRST` on; those before are special
LETTERS = "LAGVSERTIDPKQNFYMHWCXBUZO.-"
FIRST = 4
UNKNOWN = 3  #: a letter that the vocabulary lacks, such as J
MASK = 32
SIZE = 33  #: of the vocabulary
GAP = FIRST + LETTERS.index("-")

AMINO = "ACDEFGHIKLMNPQRSTVWY"  #: amino acids by state
NONE = len(AMINO)  #: the state of gaps, and of letters that name no single amino acid


def _tokens() -> np.ndarray:
    table = np.full(256, UNKNOWN, np.uint8)
    for token, letter in enumerate(LETTERS, FIRST):
        table[ord(letter)] = table[ord(letter.lower())] = token
    for sign in ".~_":  # all mean a gap; HMMER writes the last two
        table[ord(sign)] = GAP
    return table


def _states() -> np.ndarray:
    table = np.full(256, NONE, np.uint8)
    for state, letter in enumerate(AMINO):
        table[FIRST + LETTERS.index(letter)] = state
    return table


#: byte of a letter, of either case → token
TOKENS = _tokens()
#: token → state
STATES = _states()
#: token → byte of its letter; ``X`` for tokens without one
BYTES = np.full(256, ord("X"), np.uint8)
BYTES[FIRST : FIRST + len(LETTERS)] = np.frombuffer(LETTERS.encode(), np.uint8)
