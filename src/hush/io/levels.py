"""Lower resolutions of an image, computed from its full one by averaging blocks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

AT_ONCE = 2**22  #: values that are averaged together


def reduced(data: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """`data` at a lower resolution of this shape: each value the mean of a block, rounded.

    Blocks are 2 × 2, 4 × 4, … where the sizes are whole fractions; elements that are left over at
    the end belong to none. Otherwise blocks that differ by one element divide the axis evenly.
    Axes of the same length stay as they are.

    Examples
    --------
    >>> reduced(np.array([[0, 2, 4, 6], [2, 4, 6, 8]]), (1, 2))
    array([[2, 6]])
    """
    if tuple(shape) == data.shape:
        return data
    bounds = [_bounds(n, m) for n, m in zip(data.shape, shape, strict=True)]
    made = np.empty(shape, data.dtype)
    along = next(i for i, (n, m) in enumerate(zip(data.shape, shape, strict=True)) if n != m)
    outer = data.shape[:along]
    for index in np.ndindex(outer):  # such as planes
        part, into, rows = data[index], made[index], bounds[along]
        width = max(1, part[0].size)
        step = max(1, AT_ONCE // max(1, width * int(np.diff(rows).max())))
        for first, last in pairwise([*range(0, len(rows) - 1, step), len(rows) - 1]):
            strip = part[rows[first] : rows[last]].astype(np.float64)
            edges = [rows[first : last + 1] - rows[first], *bounds[along + 1 :]]
            for axis, edge in enumerate(edges):
                strip = _means(strip, edge, axis)
            into[first:last] = np.rint(strip) if data.dtype.kind in "iu" else strip
    return made


def _bounds(length: int, fewer: int) -> np.ndarray:
    """Where the blocks of an axis begin, and where the last one ends."""
    for factor in (length // fewer, -(-length // fewer)):
        if factor > 1 and fewer in (length // factor, -(-length // factor)):
            return np.minimum(np.arange(fewer + 1) * factor, length)
    return np.arange(fewer + 1) * length // fewer


def _means(x: np.ndarray, edges: np.ndarray, axis: int) -> np.ndarray:
    if len(edges) - 1 == x.shape[axis]:
        return x
    along = [1] * x.ndim
    along[axis] = len(edges) - 1
    x = x.take(range(edges[-1]), axis) if edges[-1] < x.shape[axis] else x
    means: np.ndarray = np.add.reduceat(x, edges[:-1], axis) / np.diff(edges).reshape(along)
    return means
