"""The colours of residues in pictures, which are the same on light and dark pages.

They are those of Okabe and Ito ("Color universal design", 2008), which readers with any colour
vision can tell apart.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hush.io.residues import TOKENS
from hush.kinds.alignment.alphabet import DNA, FILLED, PROTEIN, RNA, Alphabet

Colour = tuple[int, int, int]

GAP: Colour = (236, 239, 241)
REST: Colour = (88, 92, 100)
#: letters by what they are, and their colour
AMINO_ACIDS: Mapping[str, tuple[str, Colour]] = {
    "aliphatic": ("AVLIM", (0, 114, 178)),
    "aromatic": ("FWY", (86, 180, 233)),
    "positive": ("KRH", (213, 94, 0)),
    "negative": ("DE", (204, 121, 167)),
    "polar": ("STNQ", (0, 158, 115)),
    "glycine, proline": ("GP", (230, 159, 0)),
    "cysteine": ("C", (240, 228, 66)),
}
NUCLEOTIDES: Mapping[str, tuple[str, Colour]] = {
    "A": ("A", (0, 158, 115)),
    "C": ("C", (0, 114, 178)),
    "G": ("G", (240, 228, 66)),
    "T": ("T", (213, 94, 0)),
    "U": ("U", (213, 94, 0)),
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
