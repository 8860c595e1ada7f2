"""What the surer elements of a set agree on, and how well each element agrees with it.

A second look at a set knows the probabilities of the first: directions, epipolar geometry and
meeting points then come from the elements that probably belong to it.
"""

from __future__ import annotations

import numpy as np

from hush.kinds.points.graph import Graph
from hush.kinds.points.graph_pairs import standardised

SAMPLES = 256  #: minimal samples of correspondences
EIGHT = 8  #: correspondences in one
VOTERS = 4096  #: correspondences that rank the samples, to limit memory
TOLERANCE = 0.01  #: distance to an epipolar line at which a correspondence counts half
ROUNDS = 3  #: of least squares on those that agree
FLOOR = 1e-4


def of_points(x: np.ndarray, graph: Graph, inlier: np.ndarray) -> np.ndarray:
    """Of points ``(n, d)`` with these probabilities: the shape of their weighted neighbourhoods.

    ``(n, 6)``: for the nearer half of the neighbours and for all, how flat they lie, how far the
    point is aside, and how many are sure.
    """
    index = graph.index
    offset = x[index] - x[:, None]
    reach = np.linalg.norm(offset[:, -1], axis=1)
    out = []
    for size in (index.shape[1] // 2, index.shape[1]):
        weight = inlier[index[:, :size]]
        total = weight.sum(1) + 1e-6
        part = offset[:, :size] / np.maximum(reach, 1e-300)[:, None, None]
        middle = np.einsum("nk,nki->ni", weight, part) / total[:, None]
        spread = part - middle[:, None]
        covariance = np.einsum("nk,nki,nkj->nij", weight, spread, spread) / total[:, None, None]
        values, vectors = np.linalg.eigh(covariance)
        main = vectors[:, :, -1]
        along = np.einsum("ni,ni->n", middle, main)
        aside = np.linalg.norm(middle - along[:, None] * main, axis=1)
        width = np.sqrt(np.maximum(values[:, :-1].sum(1), 0))
        out += [np.log(width + FLOOR), np.log(aside + FLOOR), np.log(total / size + FLOOR)]
    return np.stack(out, 1)


def of_correspondences(x: np.ndarray, inlier: np.ndarray) -> np.ndarray:
    """Of correspondences ``(n, 4)``: distances from the epipolar lines that the surer agree on.

    ``(n, 2)``: the logarithm of the distance, relative to the points' spread, and the share of all
    probability that agrees. By RANSAC with samples of the surer, and least squares.
    """
    order = np.lexsort(x.T)  # the same answer in every order
    one, other = (
        np.column_stack([standardised(x[order, i : i + 2]), np.ones(len(x))]) for i in (0, 2)
    )
    weight = inlier[order]
    rows = (other[:, :, None] * one[:, None, :]).reshape(len(x), 9)
    share = weight**2 / max((weight**2).sum(), 1e-12)
    rng = np.random.default_rng(0)
    picks = np.searchsorted(np.cumsum(share), rng.random((SAMPLES, EIGHT))).clip(0, len(x) - 1)
    chosen = rows[picks]
    _, vectors = np.linalg.eigh(np.swapaxes(chosen, 1, 2) @ chosen)
    models = vectors[:, :, 0].reshape(-1, 3, 3)
    some = np.sort(rng.permutation(len(x))[:VOTERS])
    distance = _sampson(models, one[some], other[some])
    vote = (weight[some] / (1 + (distance / TOLERANCE) ** 2)).sum(1)
    best = models[int(np.argmax(vote))]
    for _ in range(ROUNDS):
        fit = weight / (1 + (_sampson(best[None], one, other)[0] / TOLERANCE) ** 2) ** 2
        _, vectors = np.linalg.eigh((rows * fit[:, None]).T @ rows)
        u, s, v = np.linalg.svd(vectors[:, 0].reshape(3, 3))
        best = u @ np.diag([s[0], s[1], 0]) @ v
    distance = _sampson(best[None], one, other)[0]
    agreed = (weight / (1 + (distance / TOLERANCE) ** 2)).sum() / max(weight.sum(), 1e-12)
    out = np.empty((len(x), 2))
    out[order] = np.stack([np.log(distance + FLOOR), np.full(len(x), agreed)], 1)
    return out


def _sampson(models: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Sampson distances ``(M, n)`` of homogeneous points ``(n, 3)``."""
    there = np.einsum("mij,nj->mni", models, one)
    here = np.einsum("mij,ni->mnj", models, other)
    error = np.abs(np.einsum("mni,ni->mn", there, other))
    slope = np.square(there[..., :2]).sum(-1) + np.square(here[..., :2]).sum(-1)
    return error / np.sqrt(np.maximum(slope, 1e-18))
