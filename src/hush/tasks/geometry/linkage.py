"""J-Linkage and T-Linkage's clustering: elements that prefer the same models.

Toldo and Fusiello, "Robust multiple structures estimation with J-Linkage", ECCV 2008; Magri and
Fusiello, "T-Linkage: a continuous relaxation of J-Linkage for multi-model fitting", CVPR 2014.
"""

from __future__ import annotations

import numpy as np


def preferences(residuals: np.ndarray, threshold: float, *, soft: bool) -> np.ndarray:
    """How much each element likes each hypothesis: ``(M, N)`` residuals to float32 ``(N, M)``.

    J-Linkage: 1 within the threshold. T-Linkage: exp(−d/τ) within 5 τ, where τ is a fifth of the
    threshold, so that both call the same elements inliers.
    """
    within = residuals <= threshold
    if not soft:
        return np.ascontiguousarray(within.T, np.float32)
    liking = np.exp(residuals * (-5 / threshold), where=within, out=np.zeros_like(residuals))
    return np.ascontiguousarray(liking.T, np.float32)


def clusters(preferences: np.ndarray) -> np.ndarray:
    """A cluster's number for each element ``(N,)``, from preferences ``(N, M)``.

    Merges the two clusters with the smallest Tanimoto distance, 1 − ⟨p, q⟩ / (‖p‖² + ‖q‖² − ⟨p, q⟩)
    — Jaccard's for preferences of 0 and 1 — until all are 1 apart. A merged cluster prefers what
    both did: the minimum. Time grows with N² and with the preferences that are not 0.
    """
    from scipy.sparse import csr_array

    rows = np.array(preferences, np.float32)
    count = len(rows)
    labels = np.arange(count)
    if count < 2:
        return labels
    columns = np.ascontiguousarray(rows.T)
    sparse = csr_array(rows)  # its products round alike on any number of threads
    products = (sparse @ sparse.T).toarray()
    norms = products.diagonal().copy()
    distances = _tanimoto(products, norms[:, None] + norms)
    np.fill_diagonal(distances, np.inf)
    nearest = distances.argmin(axis=1)
    least = distances[labels, nearest]
    parent = labels.copy()
    while True:
        i = int(least.argmin())
        if not least[i] < 1:
            break
        j = int(nearest[i])
        parent[j] = i
        # the merged cluster takes the place of i
        merged = np.minimum(rows[i], rows[j])
        columns[np.flatnonzero(rows[j]), j] = 0
        before, after = np.flatnonzero(rows[i]), np.flatnonzero(merged)
        columns[before, i] = merged[before]
        rows[i], rows[j] = merged, 0
        values = merged[after]
        norms[i] = np.einsum("k,k->", values, values)
        inner = np.einsum("k,kn->n", values, columns[after])
        new = _tanimoto(inner, norms[i] + norms)
        new[i] = np.inf
        new[np.isinf(distances[i]) & (labels != i)] = np.inf  # merged away before
        new[j] = np.inf
        distances[i] = distances[:, i] = new
        distances[j] = distances[:, j] = np.inf
        least[j] = np.inf
        stale = np.flatnonzero(((nearest == i) | (nearest == j)) & np.isfinite(least))
        closer = new < least
        nearest[closer], least[closer] = i, new[closer]
        stale = np.union1d(stale[~closer[stale]], i)
        nearest[stale] = distances[stale].argmin(axis=1)
        least[stale] = distances[stale, nearest[stale]]
    return _roots(parent)


def _tanimoto(products: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Tanimoto distances, 1 where both prefer nothing."""
    union = sums - products
    with np.errstate(invalid="ignore", divide="ignore"):
        distances: np.ndarray = 1 - products / union
    # disjoint ones are exactly 1 apart
    return np.where((union > 0) & (products > 0), distances, 1).astype(np.float32)


def _roots(parent: np.ndarray) -> np.ndarray:
    """Follows each element to the cluster that it ended in."""
    while True:
        above = parent[parent]
        if (above == parent).all():
            return parent
        parent = above
