"""The colours of residues in pictures, which are the same on light and dark pages."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hush.io.residues import TOKENS
from hush.kinds.alignment.alphabet import DNA, FILLED, PROTEIN, RNA, Alphabet

Colour = tuple[int, int, int]

GAP: Colour = (236, 239, 241)
REST: Colour = (138, 143, 152)
#: letters by what they are, and their colour
AMINO_ACIDS: Mapping[str, tuple[str, Colour]] = {
    "aliphatic": ("AVLIM", (79, 121, 199)),
    "aromatic": ("FWY", (52, 152, 150)),
    "positive": ("KRH", (206, 70, 88)),
    "negative": ("DE", (150, 84, 200)),
    "polar": ("STNQ", (96, 166, 90)),
    "glycine, proline": ("GP", (229, 150, 60)),
    "cysteine": ("C", (226, 200, 70)),
}
NUCLEOTIDES: Mapping[str, tuple[str, Colour]] = {
    "A": ("A", (96, 166, 90)),
    "C": ("C", (79, 121, 199)),
    "G": ("G", (229, 150, 60)),
    "T": ("T", (206, 70, 88)),
    "U": ("U", (206, 70, 88)),
}


def classes(letters: Alphabet) -> dict[str, tuple[str, Colour]]:
    """The classes of the residues of an alphabet."""
    if letters is PROTEIN:
        return dict(AMINO_ACIDS)
    unused = {RNA.name: "T", DNA.name: "U"}.get(letters.name, "ACGTU")
    return {name: one for name, one in NUCLEOTIDES.items() if name not in unused}


def key(letters: Alphabet) -> tuple[tuple[str, str], ...]:
    """The legend: colours as in style sheets, and what they mean."""
    every = {name: colour for name, (_, colour) in classes(letters).items()}
    named = {**every, "other letters": REST, "gap": GAP}
    return tuple(("#" + bytes(colour).hex(), name) for name, colour in named.items())


def coloured(tokens: np.ndarray, letters: Alphabet) -> np.ndarray:
    """Rows of tokens ``(n, L)`` as colours ``(3, n, L)``, uint8."""
    table = np.where(FILLED[:, None], REST, GAP).astype(np.uint8)
    for residues, colour in classes(letters).values():
        table[TOKENS[np.frombuffer(residues.encode(), np.uint8)]] = colour
    return np.moveaxis(table[tokens], -1, 0)
