"""Diffusion tensors by weighted least squares, as a quick look for reports.

The signal is S₀·exp(−b·gᵀDg). Its logarithm is fitted twice: plainly, and with the squares of the
first fit's signals as weights (Salvador et al. 2005, "Formal characterization and extension of the
linearized diffusion tensor model").
"""

from __future__ import annotations

import numpy as np

LEAST = 1e-3  #: of the brightest signal, below which signals are cut: logarithms need them positive
RIDGE = 1e-9  #: of the largest weight, added to the normal equations
PIECE = 2**14  #: voxels that are fitted at once


def design(bvals: np.ndarray, bvecs: np.ndarray) -> np.ndarray:
    """The linear model ``(C, 7)`` of log signals: log S₀, and D's xx, yy, zz, xy, xz, yz."""
    x, y, z = np.asarray(bvecs, np.float64).T
    products = np.stack([x * x, y * y, z * z, 2 * x * y, 2 * x * z, 2 * y * z], axis=1)
    b = np.asarray(bvals, np.float64)[:, None]
    return np.concatenate([np.ones_like(b), -b * products], axis=1)


def determined(bvals: np.ndarray, bvecs: np.ndarray) -> bool:
    """Whether the b-values ``(C,)`` and directions ``(C, 3)`` determine a tensor."""
    scale = float(np.max(bvals, initial=0)) or 1.0
    return bool(np.linalg.matrix_rank(design(np.asarray(bvals) / scale, bvecs), tol=1e-3) == 7)


def fit(signals: np.ndarray, bvals: np.ndarray, bvecs: np.ndarray) -> np.ndarray:
    """Tensors ``(N, 3, 3)`` in mm²/s of signals ``(C, N)``, 0 being no signal.

    bvals, bvecs : in s/mm² ``(C,)``, and unit directions ``(C, 3)``; see `determined`.
    """
    a = design(bvals, bvecs)
    out = np.empty((signals.shape[1], 3, 3))
    for start in range(0, signals.shape[1], PIECE):
        s = np.asarray(signals[:, start : start + PIECE], np.float64).T
        y = np.log(np.maximum(s, LEAST * max(float(s.max(initial=0)), 1e-12)))
        first = np.linalg.lstsq(a, y.T, rcond=None)[0].T
        predicted = np.clip(first @ a.T, -30, 60)
        weight = np.exp(2 * (predicted - predicted.max(axis=1, keepdims=True)))
        normal = np.einsum("nc,ci,cj->nij", weight, a, a, optimize=True)
        unit = np.sqrt(np.einsum("nii->ni", normal))  # equilibrated: b-values are large
        normal /= unit[:, :, None] * unit[:, None, :]
        normal += RIDGE * np.eye(7)
        right = np.einsum("nc,nc,ci->ni", weight, y, a, optimize=True) / unit
        d = (np.linalg.solve(normal, right[..., None])[..., 0] / unit)[:, 1:]
        xx, yy, zz, xy, xz, yz = d.T
        rows = [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]
        out[start : start + PIECE] = np.moveaxis(np.array(rows), -1, 0)
    return out


def anisotropy(tensors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fractional anisotropy ``(N,)`` in 0…1, and main directions ``(N, 3)``, of any sign."""
    values, vectors = np.linalg.eigh(tensors)
    values = np.maximum(values, 0)
    size = np.maximum(np.sum(values**2, axis=1), 1e-30)
    apart = np.sum((values - values.mean(axis=1, keepdims=True)) ** 2, axis=1)
    return np.sqrt(np.minimum(1.5 * apart / size, 1)), vectors[:, :, -1]
