"""The geometry of correspondences: neighbours in either picture, and whether they moved alike."""

from __future__ import annotations

import numpy as np

from hush.kinds.points.graph import TINY, Graph, neighbours, packed

NEIGHBOURS = 8  #: in each of the two pictures
FLOOR = 1e-3  #: added to distances before the logarithm, relative to the points' spread
CLOSEST = 6  #: of the neighbours' disagreements, this many smallest describe an element


def graph_of_correspondences(x: np.ndarray, rng: np.random.Generator | None = None) -> Graph:
    """The graph of correspondences ``(n, 4)``; `rng` turns and swaps the pictures at random."""
    one, other = standardised(x[:, :2]), standardised(x[:, 2:])
    if rng is not None:
        if rng.random() < 0.5:
            one, other = other, one
        turned = _turn(rng)
        one, other = one @ turned, other @ turned
    found, about = [], []
    for points in (one, other):
        distance, index = neighbours(points, NEIGHBOURS)
        found.append(index)
        about += [
            np.log(distance[:, [0, 3, 7]] + 1e-4),
            np.log1p((distance < TINY).sum(1))[:, None],  # how many share the place
        ]
    index = np.concatenate(found, 1)
    offsets = [points[index] - points[:, None] for points in (one, other)]
    lengths = [np.linalg.norm(offset, axis=-1) for offset in offsets]
    near, far = (np.log(length + FLOOR) for length in lengths)
    (u, v), (p, q) = (np.moveaxis(offset, -1, 0) for offset in offsets)
    product = lengths[0] * lengths[1] + TINY
    apart = np.log(np.linalg.norm(offsets[1] - offsets[0], axis=-1) + FLOOR)
    picture = np.zeros(index.shape)
    picture[:, :NEIGHBOURS] = 1
    edges = [
        *(near, far, far - near),
        *((u * p + v * q) / product, (u * q - v * p) / product),  # the angle between the offsets
        apart,
        *(np.tanh(8 * a) for a in (u, v, p, q)),
        picture,
    ]
    closest = [
        np.sort(part, axis=1)[:, :CLOSEST]
        for part in (apart[:, :NEIGHBOURS], apart[:, NEIGHBOURS:])
    ]
    return packed([one, other, *about, *closest], index, [e[..., None] for e in edges])


def standardised(points: np.ndarray) -> np.ndarray:
    """Points ``(n, 2)`` with mean 0 and spread 1."""
    points = points - points.mean(0)
    spread = np.sqrt(np.square(points).sum(1).mean())
    return points / (spread or 1.0)


def _turn(rng: np.random.Generator) -> np.ndarray:
    """About a multiple of a right angle, or a reflection."""
    angle = rng.integers(4) * np.pi / 2 + rng.uniform(-0.3, 0.3)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return turned * [1, -1] if rng.random() < 0.5 else turned
