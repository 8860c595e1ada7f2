"""The strongest couplings of an alignment, and how well each row agrees with them.

Couplings are those of mean-field DCA (`hush.tasks.dca`). A row that is misaligned, or put together
from parts of others, may fit every column by itself, but it breaks the couplings between them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.linalg.blas import ssyrk
from scipy.linalg.lapack import dpotri

from hush.io.residues import NONE
from hush.tasks.dca import PSEUDOCOUNT, STATES, apc, deviations, reweighted

APART = 4  #: columns between which couplings are not only those of neighbours
EACH = 2.0  #: pairs for each column
FEW = 200  #: rows up to which a matrix of all columns is not needed


@dataclass(frozen=True)
class Couplings:
    """Couplings between pairs of columns, in the zero-sum gauge.

    pairs : int ``(P, 2)``, the strongest first; blocks : float32 ``(P, 21, 21)``, by state, 0 for
    gaps.
    """

    pairs: np.ndarray
    blocks: np.ndarray

    def fields(self, states: np.ndarray) -> np.ndarray:
        """Of each residue the sum of its couplings to the others of its row, float32 ``(N, L)``."""
        out = np.zeros(states.shape, np.float32)
        for (i, j), block in zip(self.pairs, self.blocks, strict=True):
            value = block[states[:, i], states[:, j]]
            out[:, i] += value
            out[:, j] += value
        return out


def strongest(
    states: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    each: float = EACH,
    pseudocount: float = PSEUDOCOUNT,
) -> Couplings:
    """The couplings of states ``(N, L)`` between the ``each · L`` pairs of the highest scores.

    weights : of the rows, ``(N,)``; by default `reweighted`.
    """
    count = states.shape[1]
    weights = reweighted(states) if weights is None else weights
    U = deviations(states, np.asarray(weights, np.float64), pseudocount)
    if len(U) < U.shape[1]:  # see hush.tasks.dca: the smaller of the two matrices is factorised
        gram = U @ U.T
        gram.flat[:: len(gram) + 1] += 1
        lower = cholesky(gram, lower=True, overwrite_a=True, check_finite=False)
        Y = solve_triangular(lower, U, lower=True, check_finite=False).astype(np.float32)
        if len(Y) <= FEW:
            return _of_few(Y.reshape(len(Y), count, STATES), each, STATES / pseudocount)
        whole = ssyrk(1.0, Y.T)  # its upper triangle; half the work of a product
    else:
        matrix = U.T @ U
        matrix.flat[:: len(matrix) + 1] += 1
        upper = cholesky(matrix, lower=False, overwrite_a=True, check_finite=False)
        inverse, _ = dpotri(upper, lower=False, overwrite_c=True)
        whole = -np.triu(inverse).astype(np.float32)
    whole *= np.float32(STATES / pseudocount)
    squares = np.zeros((count, count))
    for first in range(count):
        rows = whole[first * STATES : (first + 1) * STATES, first * STATES :]
        norms = np.square(rows).reshape(STATES, -1, STATES).sum((0, 2), dtype=np.float64)
        squares[first, first:] = squares[first:, first] = norms
    pairs = _best(squares, each)
    blocks = np.zeros((len(pairs), STATES, STATES), np.float32)
    for block, (a, b) in zip(blocks, pairs, strict=True):
        block[:NONE, :NONE] = whole[a * STATES :, b * STATES :][:NONE, :NONE]
    return Couplings(pairs, blocks)


def _of_few(Y: np.ndarray, each: float, factor: float) -> Couplings:
    """The same from the factors ``(n, L, 21)`` of few rows, without the matrix of all columns.

    The squared norm of Yᵢᵀ Yⱼ is the scalar product of Yᵢ Yᵢᵀ and Yⱼ Yⱼᵀ.
    """
    columns = np.ascontiguousarray(Y.transpose(1, 0, 2))
    products = (columns @ columns.transpose(0, 2, 1)).reshape(len(columns), -1)
    pairs = _best(np.maximum(products @ products.T, 0).astype(np.float64), each)
    blocks = np.zeros((len(pairs), STATES, STATES), np.float32)
    left, right = (columns[pairs[:, k], :, :NONE] for k in (0, 1))
    blocks[:, :NONE, :NONE] = factor * (left.transpose(0, 2, 1) @ right)
    return Couplings(pairs, blocks)


def _best(squares: np.ndarray, each: float) -> np.ndarray:
    """The pairs of columns, far enough apart, with the highest scores, by squared norms."""
    count = len(squares)
    scores = apc(np.sqrt(squares))
    i, j = np.triu_indices(count, min(APART, count - 1))
    best = np.argsort(-scores[i, j], kind="stable")[: max(1, round(each * count))]
    return np.stack([i[best], j[best]], 1)
