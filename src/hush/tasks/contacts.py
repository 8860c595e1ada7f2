"""Contacts in a protein predicted from an alignment, compared with those in its structure.

Scores of pairs of columns come from `hush.tasks.dca`, `hush.tasks.pseudo_likelihood` or the MSA
Transformer (`hush.tasks.msa_transformer`); structures from `hush.io.structure`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hush.errors import HushError
from hush.io.structure import biotite

SEPARATIONS = (6, 12, 24)  #: |i − j| from which on pairs count: short, medium and long range
DIVISORS = (1, 2, 5)  #: P@L, P@L/2 and P@L/5
GAP_OPEN, GAP_EXTEND = -11, -1  #: with BLOSUM62


def precision(
    scores: np.ndarray,
    contacts: np.ndarray,
    known: np.ndarray | None = None,
    *,
    separation: int = 24,
    divisor: int = 1,
) -> float:
    """The share of true contacts among the L / `divisor` pairs of columns with the highest scores.

    scores : ``(L, L)``, symmetric. contacts : bool ``(L, L)``. known : bool ``(L,)``, columns whose
    residue is in the structure, by default all; only these count, also in L. separation : the
    smallest |i − j| of columns. Of equal scores the first columns count. NaN if no pair is so far
    apart; `HushError` if shapes disagree or scores are not finite.
    """
    scores, contacts = np.asarray(scores), np.asarray(contacts, bool)
    if scores.shape != contacts.shape or scores.ndim != 2 or scores.shape[0] != scores.shape[1]:
        raise HushError(
            f"scores of shape {scores.shape} cannot be compared with contacts of shape "
            f"{contacts.shape}; both have to be (L, L)"
        )
    at = np.arange(len(scores)) if known is None else np.flatnonzero(known)
    i, j = (at[k] for k in np.triu_indices(len(at), 1))
    far = j - i >= separation
    i, j = i[far], j[far]
    if not np.isfinite(scores[i, j]).all():
        raise HushError("some scores are not finite, so pairs cannot be ranked by them")
    best = np.argsort(-scores[i, j], kind="stable")[: max(1, len(at) // divisor)]
    return float(contacts[i[best], j[best]].mean()) if len(best) else float("nan")


def precisions(
    scores: np.ndarray, contacts: np.ndarray, known: np.ndarray | None = None
) -> Mapping[tuple[int, int], float]:
    """`precision` for each of `SEPARATIONS` and `DIVISORS`, by (separation, divisor)."""
    return {
        (s, d): precision(scores, contacts, known, separation=s, divisor=d)
        for s in SEPARATIONS
        for d in DIVISORS
    }


def aligned(query: str, sequence: str) -> np.ndarray:
    """Residues of a query and of a structure that are the same, int ``(n, 2)``: indices of both.

    A global alignment with free ends, BLOSUM62, and affine gaps. Letters that name no residue match
    nothing better than any other.
    """
    align, sequences = biotite("sequence.align"), biotite("sequence")
    known = set(sequences.ProteinSequence.alphabet.get_symbols())
    a, b = (
        sequences.ProteinSequence("".join(c if c in known else "X" for c in text.upper()))
        for text in (query, sequence)
    )
    if not len(a) or not len(b):
        return np.empty((0, 2), np.intp)
    found = align.align_optimal(
        a,
        b,
        align.SubstitutionMatrix.std_protein_matrix(),
        gap_penalty=(GAP_OPEN, GAP_EXTEND),
        terminal_penalty=False,
        max_number=1,
    )[0]
    trace = found.trace
    pairs: np.ndarray = trace[(trace >= 0).all(axis=1)].astype(np.intp)
    return pairs
