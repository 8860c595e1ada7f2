"""Direct coupling analysis: which columns of an alignment depend on each other directly.

Alignments are states uint8 ``(N, L)``, 0..20 (`hush.io.residues.STATES`; 20 is a gap). Scores are
symmetric float64 ``(L, L)``, larger for columns that are more likely in contact, 0 on the diagonal.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.linalg.lapack import dpotri

from hush.errors import HushError
from hush.io.residues import NONE
from hush.tasks.distances import similar
from hush.tasks.identity import packed

STATES = NONE + 1
IDENTITY = 0.8  #: two rows are similar if they agree in more than this share of all columns
PSEUDOCOUNT = 0.5  #: share of uniform frequencies
SITES = 32  #: columns whose couplings are computed at once


def mean_field(
    states: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    identity: float = IDENTITY,
    pseudocount: float = PSEUDOCOUNT,
) -> np.ndarray:
    """Scores ``(L, L)`` of mean-field DCA (Morcos et al., PNAS 2011), corrected by `apc`.

    weights : of the rows, ``(N,)``; by default `reweighted` at `identity`. pseudocount : share of
    uniform frequencies, above 0 and below 1. `HushError` for anything but states ``(N, L)``.

    Couplings are minus the inverse of the covariance of 20 states, with 0 for the gap, in the
    zero-sum gauge. Their Frobenius norm is over the 20 amino acids.
    """
    states = checked(states)
    if not 0 < pseudocount < 1:
        raise HushError(f"the pseudocount is {pseudocount:g}; give one between 0 and 1")
    if weights is None:
        weights = reweighted(states, identity)
    U = deviations(states, np.asarray(weights, np.float64), pseudocount)
    squares = _from_rows(U) if len(U) < U.shape[1] else _from_columns(U)
    return apc(STATES / pseudocount * np.sqrt(squares))


# With the mixed frequencies, the covariance of 20 states is exactly D + U₂₀ᵀU₂₀, where D is that of
# independent uniform states times the pseudocount, and U holds the rows' deviations from the mean
# times the root of their weights, and as one row more the mean's deviation from uniform. Inverted,
# and in the zero-sum gauge of 21 states, this becomes, with c = 21 / pseudocount and between
# different columns,
#
#     −C⁻¹  =  c² Uᵀ (I + c UUᵀ)⁻¹ U  =  c I − c (I + c UᵀU)⁻¹
#
# whichever state is left out. The matrix with the smaller side, N + 1 or 21 L, is factorised.


def deviations(states: np.ndarray, weights: np.ndarray, pseudocount: float) -> np.ndarray:
    """√c U, float64 ``(N + 1, 21 L)``."""
    share = weights / weights.sum()
    U = np.empty((len(states) + 1, states.shape[1] * STATES))
    one_hot(states, U[:-1])
    mean = share @ U[:-1]
    U[:-1] -= mean
    U[:-1] *= np.sqrt(STATES * (1 - pseudocount) / pseudocount * share)[:, None]
    U[-1] = np.sqrt(STATES * (1 - pseudocount)) * (mean - 1 / STATES)
    return U


def _from_rows(U: np.ndarray) -> np.ndarray:
    """Squared norms ``(L, L)`` of the couplings / c, through rows.

    Float32 is enough after the factorisation, which is done in float64: nothing amplifies errors.
    """
    gram = U @ U.T
    gram.flat[:: len(gram) + 1] += 1
    lower = cholesky(gram, lower=True, overwrite_a=True, check_finite=False).astype(np.float32)
    Y = solve_triangular(lower, U.astype(np.float32), lower=True, check_finite=False)
    return products(amino(Y), amino(Y))


def _from_columns(U: np.ndarray) -> np.ndarray:
    """Squared norms ``(L, L)`` of the couplings / c, through columns."""
    columns = U.shape[1] // STATES
    matrix = U.T @ U
    matrix.flat[:: len(matrix) + 1] += 1
    upper = cholesky(matrix, lower=False, overwrite_a=True, check_finite=False)
    inverse, _ = dpotri(upper, lower=False, overwrite_c=True)  # its upper triangle
    squares = np.zeros((columns, columns))
    for first in range(columns):
        at = first * STATES
        squares[first, first:] = norms2(amino(inverse[at : at + NONE, at:]))[0]
    return mirrored(squares)


def amino(x: np.ndarray) -> np.ndarray:
    """The amino acids' columns ``(R, 20 L)`` of ``(R, 21 L)``."""
    return np.ascontiguousarray(x.reshape(len(x), -1, STATES)[..., :NONE]).reshape(len(x), -1)


def products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Squared norms ``(L, L)`` of the blocks of leftᵀ right, each ``(R, 20 L)``; 0 on the diagonal.

    The product has to be symmetric.
    """
    columns = left.shape[1] // NONE
    squares = np.zeros((columns, columns))
    for first in range(0, columns, SITES):
        stop = min(first + SITES, columns)
        rows = left[:, first * NONE : stop * NONE]
        squares[first:stop, first:] = norms2(rows.T @ right[:, first * NONE :])
    return mirrored(squares)


def mirrored(squares: np.ndarray) -> np.ndarray:
    """Symmetric, with what is above the diagonal, and 0 on it."""
    upper = np.triu(squares, 1)
    return upper + upper.T


def norms2(couplings: np.ndarray) -> np.ndarray:
    """Squared Frobenius norms ``(L, K)`` of the blocks of couplings ``(20 L, 20 K)``."""
    rows, columns = (side // NONE for side in couplings.shape)
    squares = np.square(couplings).reshape(rows, NONE, columns * NONE).sum(axis=1)
    return squares.reshape(rows, columns, NONE).sum(axis=2, dtype=np.float64)


def apc(scores: np.ndarray) -> np.ndarray:
    """Average product correction of symmetric scores ``(L, L)`` (Dunn et al., Bioinformatics 2008).

    Means are over pairs of different columns. The diagonal of the result is 0.
    """
    count = len(scores)
    corrected = np.array(scores, np.float64)
    np.fill_diagonal(corrected, 0.0)
    means = corrected.sum(axis=0) / max(count - 1, 1)
    if (total := means.mean()) > 0:
        corrected -= np.outer(means, means) / total
    np.fill_diagonal(corrected, 0.0)
    return corrected


# -- rows that are similar -----------------------------------------------------------------------


def reweighted(states: np.ndarray, identity: float = IDENTITY) -> np.ndarray:
    """Weights ``(N,)``: 1 / the number of similar rows, the row itself included.

    Rows are similar if they agree in more than a share `identity` of all columns, gaps included.
    """
    states = checked(states)
    columns = states.shape[1]
    needed = min(int(np.floor(identity * columns + 1e-9)) + 1, columns)
    rows = packed(states.astype(np.uint8), NONE)
    return 1 / similar(rows, columns - needed, exact=len(rows))


def effective_number(states: np.ndarray, identity: float = IDENTITY) -> float:
    """Effective number of sequences: the sum of the weights by `reweighted`."""
    return float(reweighted(states, identity).sum())


def one_hot(states: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Indicators of states ``(N, L)`` as ``(N, 21 L)``, float32 or into `out`."""
    rows, columns = states.shape
    if out is None:
        out = np.empty((rows, columns * STATES), np.float32)
    out[:] = 0
    at = states + np.arange(columns, dtype=np.intp) * STATES
    np.put_along_axis(out, at, 1, axis=1)
    return out


def checked(states: np.ndarray) -> np.ndarray:
    """States ``(N, L)`` as they are; `HushError` for anything else."""
    states = np.asarray(states)
    if states.ndim != 2 or 0 in states.shape or not np.issubdtype(states.dtype, np.integer):
        raise HushError(
            f"{states.dtype} of shape {states.shape} is not an alignment; give states (N, L)"
        )
    if states.min() < 0 or states.max() > NONE:
        raise HushError(
            f"states range from {states.min()} to {states.max()}; they have to be 0 to {NONE}, "
            "as hush.io.residues.STATES gives them for tokens"
        )
    return states
