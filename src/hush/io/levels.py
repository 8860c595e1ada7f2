"""Lower resolutions of an image, computed from its full one by averaging blocks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from hush.missing import Missing

AT_ONCE = 2**22  #: values that are averaged together


def reduced(
    data: np.ndarray,
    shape: Sequence[int],
    missing: Sequence[Missing] = (),
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """`data` at a lower resolution of this shape: each value the mean of a block, rounded.

    Blocks are 2 × 2, 4 × 4, … where the sizes are whole fractions; elements that are left over at
    the end belong to none. Otherwise blocks that differ by one element divide the axis evenly.
    Axes of the same length stay as they are.

    Missing values, by `missing`, `mask` (False there, broadcasts to the data) or not being finite,
    are left out of the means; a block of nothing else becomes its first value.

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
    every = None if mask is None else np.broadcast_to(mask, data.shape)
    for index in np.ndindex(outer):  # such as planes
        part, into, rows = data[index], made[index], bounds[along]
        width = max(1, part[0].size)
        step = max(1, AT_ONCE // max(1, width * int(np.diff(rows).max())))
        for first, last in pairwise([*range(0, len(rows) - 1, step), len(rows) - 1]):
            strip = part[rows[first] : rows[last]]
            edges = [rows[first : last + 1] - rows[first], *bounds[along + 1 :]]
            known = known_in(strip, missing)
            if every is not None:
                known &= every[index][rows[first] : rows[last]]
            means = averaged(strip, known, edges)
            into[first:last] = np.rint(means) if data.dtype.kind in "iu" else means
    return made


def known_in(x: np.ndarray, missing: Sequence[Missing]) -> np.ndarray:
    """Where values are finite and mark no missing ones."""
    known = np.isfinite(x) if x.dtype.kind == "f" else np.ones(x.shape, bool)
    for marks in missing:
        known &= ~marks.where(x)
    return known


def averaged(x: np.ndarray, known: np.ndarray, edges: Sequence[np.ndarray]) -> np.ndarray:
    """The means of the known values of blocks, float64; blocks without any have their first value.

    edges : for each axis, where blocks begin, and where the last one ends.
    """
    whole = known.all()
    means = x.astype(np.float64) if whole else np.where(known, x, 0).astype(np.float64)
    for axis, edge in enumerate(edges):
        means = _means(means, edge, axis)
    if whole:
        return means
    share = known.astype(np.float64)
    for axis, edge in enumerate(edges):
        share = _means(share, edge, axis)
    first = x[np.ix_(*(edge[:-1] for edge in edges))]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(share > 0, means / share, first)


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
