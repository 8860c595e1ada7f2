"""The geometry of a set as a graph: what the networks see of elements and of pairs of neighbours.

No feature depends on the place, the unit or the order of the elements.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEIGHBOURS = 24  #: of each point
SIZES = (8, 16, 24)  #: neighbourhoods whose shape is described
SPACING = 7  #: the neighbour, from 0, whose median distance is the unit of length
TINY = 1e-9


@dataclass(frozen=True)
class Graph:
    """nodes ``(n, F)`` and edges ``(n, K, E)``, float32; index ``(n, K)`` of the neighbours."""

    nodes: np.ndarray
    index: np.ndarray
    edges: np.ndarray


def neighbours(x: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances and indices ``(n, count)`` of the nearest others; padded by the farthest of few.

    Repeats of an element are its neighbours, the element itself never is.
    """
    from scipy.spatial import cKDTree

    n = len(x)
    found = min(count, n - 1)
    tree = cKDTree(x)
    distance, index = tree.query(x, found + 1, workers=1)
    distance, index = distance.reshape(n, -1), index.reshape(n, -1)
    own = index == np.arange(n)[:, None]
    own[~own.any(1), -1] = True  # of many repeats, the element itself may not be among the nearest
    distance, index = (a[~own].reshape(n, found) for a in (distance, index))
    pad = [min(k, found - 1) for k in range(count)]
    return distance[:, pad], index[:, pad]


def unit(distance: np.ndarray) -> float:
    """The usual distance between neighbours, above 0 unless all elements are one."""
    usual = float(np.median(distance[:, min(SPACING, distance.shape[1] - 1)]))
    return usual or float(distance.max()) or 1.0


def graph_of_points(x: np.ndarray, rng: np.random.Generator | None = None) -> Graph:
    """The graph of points ``(n, d)``; turned at random by `rng`.

    Of more than three coordinates, the offsets' first three principal components are used.
    """
    n = len(x)
    distance, index = neighbours(x, NEIGHBOURS)
    scale = unit(distance)
    offset = (x[index] - x[:, None]) / scale
    offset = _in_space(offset).astype(np.float32)  # relative, so that is enough
    if rng is not None:
        offset = offset @ turn(rng, planar=x.shape[1] == 2).astype(np.float32)
    far = (distance / scale).astype(np.float32)
    nodes = [_log(far[:, [3, 7, 15, NEIGHBOURS - 1]])]
    edges = [far[..., None] / 4, _log(far)[..., None], offset / 4]
    for size in SIZES:
        cloud = np.concatenate([offset[:, :size], np.zeros((n, 1, 3), np.float32)], 1)
        middle = cloud.mean(1, keepdims=True)
        spread = cloud - middle
        covariance = np.einsum("nki,nkj->nij", spread, spread) / (size + 1)
        values, vectors = np.linalg.eigh(covariance)
        values = np.maximum(values, 1e-12)
        total = values.sum(1, keepdims=True)
        main = vectors[:, :, -1]
        aside = np.linalg.norm(
            middle[:, 0] - np.einsum("ni,ni->n", middle[:, 0], main)[:, None] * main, axis=1
        )
        width = np.sqrt(values[:, 0] + values[:, 1])
        nodes += [
            values[:, :2] / total,
            _log(total),
            np.minimum(aside / width, 5)[:, None],
        ]
        along = np.abs(np.einsum("nki,ni->nk", offset, main)) / (far + TINY)
        there = np.abs(np.einsum("nki,nki->nk", offset, main[index])) / (far + TINY)
        alike = np.abs(np.einsum("ni,nki->nk", main, main[index]))
        edges += [a[..., None] for a in (along, there, alike)]
        if size < SIZES[-1]:  # the direction, whichever way it points
            across = main[index]
            edges += [
                (2 * across[..., i] * across[..., j] - (i == j))[..., None]
                for i, j in ((0, 0), (0, 1))
            ]
    return packed(nodes, index, edges)


def turn(rng: np.random.Generator, planar: bool) -> np.ndarray:
    """A random rotation or reflection of space ``(3, 3)``, of its first two axes if `planar`."""
    size = 2 if planar else 3
    q, r = np.linalg.qr(rng.normal(size=(size, size)))
    out = np.eye(3)
    out[:size, :size] = q * np.sign(np.diag(r))
    return out


def _in_space(offset: np.ndarray) -> np.ndarray:
    """Offsets ``(n, K, d)`` with three coordinates."""
    d = offset.shape[-1]
    if d <= 3:
        return np.pad(offset, [(0, 0), (0, 0), (0, 3 - d)])
    flat = offset.reshape(-1, d)
    _, vectors = np.linalg.eigh(flat.T @ flat)
    return offset @ vectors[:, :-4:-1]


def _log(distance: np.ndarray) -> np.ndarray:
    return np.log(distance + 1e-3)


def packed(nodes: list[np.ndarray], index: np.ndarray, edges: list[np.ndarray]) -> Graph:
    """A graph of lists of features, in single precision."""
    return Graph(
        np.concatenate(nodes, 1, dtype=np.float32),
        index,
        np.concatenate(edges, -1, dtype=np.float32),
    )
