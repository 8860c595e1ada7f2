"""The geometry of line segments: neighbours, and the points where many of their lines meet.

Lines of a building meet in a few vanishing points. Candidates are the intersections of the longest
segments; the best of them, then the best for the segments that this one leaves, and so on.

Nothing else is seen of a segment but its length. Where it lies, and what lies beside it, would tell
a network how training moved it, not whether it points anywhere.
"""

from __future__ import annotations

import numpy as np

from hush.kinds.points.graph import Graph, neighbours, packed

NEIGHBOURS = 8  #: by place, and as many by the line that a segment lies on
LONGEST = 40  #: segments whose intersections are candidates
MEETINGS = 6  #: points where lines meet that describe a segment
WIDTH = 0.03  #: sine of the angle to a meeting point at which a segment counts a third
FLOOR = 1e-3
BLOCK = 32  #: candidates that are looked at together, to limit memory


def graph_of_segments(x: np.ndarray, rng: np.random.Generator | None = None) -> Graph:
    """The graph of segments ``(n, 4)``; `rng` mirrors and tilts the picture at random."""
    centre, along, length = lines(x, rng)
    double = np.stack([along[:, 0] ** 2 - along[:, 1] ** 2, 2 * along[:, 0] * along[:, 1]], 1)
    log_length = np.log(length + FLOOR)
    sine, support = meetings(centre, along, length)
    _, near = neighbours(centre, NEIGHBOURS)
    offset = np.einsum("ni,ni->n", centre, np.stack([-along[:, 1], along[:, 0]], 1))
    # A line in a plane where distance is unlikeness: its double angle and its signed offset.
    line = np.column_stack([double, offset[:, None] * np.stack([-along[:, 1], along[:, 0]], 1)])
    _, alike = neighbours(line, NEIGHBOURS)
    index = np.concatenate([near, alike], 1)
    same = np.abs(sine[index] - sine[:, None]).min(-1)
    nodes = [
        log_length[:, None],
        np.log(sine + FLOOR),
        support,
        np.log(np.sort(sine, 1)[:, :2] + FLOOR),
    ]
    return packed(nodes, index, [np.log(same + FLOOR)[..., None]])


def lines(
    x: np.ndarray, rng: np.random.Generator | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Middles ``(n, 2)``, directions and lengths of segments in a unit of the picture."""
    ends = x.reshape(-1, 2, 2)
    middle = ends.mean((0, 1))
    spread = np.sqrt(np.square(ends - middle).sum(-1).mean())
    ends = (ends - middle) / (spread or 1.0)
    if rng is not None:
        angle = rng.uniform(-0.05, 0.05)
        turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        ends = ends @ turned * [rng.choice([-1, 1]), 1]
    along = ends[:, 1] - ends[:, 0]
    length = np.linalg.norm(along, axis=1)
    return ends.mean(1), along / np.maximum(length, 1e-9)[:, None], length


def consensus_of_segments(x: np.ndarray, inlier: np.ndarray) -> np.ndarray:
    """The meeting points of the segments that probably belong to one, for each ``(n, 14)``."""
    centre, along, length = lines(x)
    sine, support = meetings(centre, along, length * inlier)
    return np.column_stack([np.log(sine + FLOOR), support, np.log(np.sort(sine, 1)[:, :2] + FLOOR)])


def meetings(
    centre: np.ndarray, along: np.ndarray, length: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How far each segment is from pointing at the meeting points: sines ``(n, MEETINGS)``.

    The second result is the share of the whole length that points at each ``(n, MEETINGS)``.
    """
    order = np.lexsort((*centre.T, -length))[:LONGEST]
    lines = np.column_stack([_left(along), -np.einsum("ni,ni->n", _left(along), centre)])[order]
    first, second = np.triu_indices(len(order), 1)
    points = np.cross(lines[first], lines[second])  # homogeneous; at infinity if parallel
    points = points[np.linalg.norm(points, axis=1) > 1e-12]
    n = len(centre)
    if not len(points):
        return np.ones((n, MEETINGS)), np.zeros((n, MEETINGS))
    every = np.empty((len(points), n), np.float32)
    for start in range(0, len(points), BLOCK):
        part = slice(start, start + BLOCK)
        every[part] = _sines(points[part], centre, along)
    vote = np.exp(-((every / WIDTH) ** 2))
    weight = (length / max(length.sum(), 1e-9)).astype(np.float32)
    left = weight.copy()
    sines, shares = [], []
    for _ in range(MEETINGS):
        best = int(np.argmax(vote @ left))
        sines.append(every[best])
        shares.append(np.full(n, float(vote[best] @ left)))
        left = left * (1 - vote[best])
    return np.stack(sines, 1).astype(np.float64), np.stack(shares, 1)


def _sines(points: np.ndarray, centre: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Sine of the angle between a segment and the line from its middle to a point ``(M, n)``."""
    to_x = points[:, :1] - points[:, 2:] * centre[:, 0]
    to_y = points[:, 1:2] - points[:, 2:] * centre[:, 1]
    crossed = np.abs(to_x * along[:, 1] - to_y * along[:, 0])
    return crossed / np.maximum(np.hypot(to_x, to_y), 1e-12)


def _left(along: np.ndarray) -> np.ndarray:
    return np.stack([-along[..., 1], along[..., 0]], -1)
