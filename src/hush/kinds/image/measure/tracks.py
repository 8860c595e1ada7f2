"""Impulses that touch each other: tracks, told from lines and drawings.

What touches an impulse and stands out like it belongs to its group. A group is a line if it is
long. It is drawn, as letters and dashes are, if all its pixels have the same value, unless single
impulses with one value are so many that they meet by chance. And it is part of a drawing if most
pixels nearby that stand out like it are no impulses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from hush.kinds.image.measure.pixels import touching, windows

LONGEST = 10  #: longest track in pixels; twice that if its values vary as no line's do
LARGEST = 50  #: pixels of a group; no track is that large
VARIED = 0.25  #: relative deviation of values that vary
EQUAL = 5.0  #: range of equal values, in standard deviations of the noise
CHANCE = 0.1  #: groups of equal impulses, relative to single ones, that meet by chance
LIKE = 0.5  #: distance from the background, relative to an impulse's, of what stands out like it
NEARBY = 10  #: pixels to others that are compared

#: signal → variance of the noise
Variance = Callable[[np.ndarray], np.ndarray]

_BATCH = 4096


def without_drawings(
    plane: np.ndarray,
    at: np.ndarray,
    distance: np.ndarray,
    sure: np.ndarray,
    others: np.ndarray,
    noise: Variance,
) -> np.ndarray:
    """The pixels ``(n, 2)`` of those impulses, and of what continues them, that are not drawn.

    Parameters
    ----------
    plane : ``(H, W)``; at, distance : impulses ``(n, 2)`` and their distance from the background.
    sure : those that can only be a line; others : further pixels ``(m, 2)`` that stand out.
    noise : the variance of the noise.
    """
    number = len(at)
    at, distance, source = _grown(plane, at, distance)
    group = _groups(at, distance, source, number, plane.shape[1])
    size = np.bincount(group)
    sure = np.bincount(group[:number], sure, len(size)) > 0
    kept = 2 * np.bincount(group[:number], minlength=len(size)) >= size
    equal = np.zeros(len(size), bool)
    for i, own in _members(group, size):
        depth, middle = distance[own], np.median(distance[own])
        varied = np.median(np.abs(depth - middle)) > VARIED * abs(middle)
        kept[i] &= np.ptp(at[own], axis=0).max() < LONGEST * (1 + varied)
        values = plane[tuple(at[own].T)].astype(np.float64)
        deviation = math.sqrt(max(float(np.max(noise(values))), 0.0))
        equal[i] = kept[i] and not sure[i] and np.ptp(values) <= EQUAL * deviation
    if np.count_nonzero(equal) > CHANCE * np.count_nonzero(kept & (size == 1)):
        kept &= ~equal
    chosen = kept[group]
    others = np.concatenate([at[~chosen], others])
    at, distance, sure = at[chosen], distance[chosen], sure[group[chosen]]
    if not len(others):
        return at
    ours, theirs = (_number_like(plane, at, distance, these) for these in (at, others))
    return at[sure | (ours > theirs)]


def _grown(
    plane: np.ndarray, at: np.ndarray, distance: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The impulses and all pixels that continue them, their distances from the background, and
    the impulses that they continue."""
    seen = np.zeros(plane.shape, bool)
    seen[tuple(at.T)] = True
    all_at, all_distances = [at], [distance]
    ground = plane[tuple(at.T)] - distance
    source, size = np.arange(len(at)), np.ones(len(at), int)
    all_sources = [source]
    for _ in range(2 * LONGEST):
        at, inside = touching(at, plane.shape)
        distance, ground, source = (a[inside] for a in (distance, ground, source))
        own = plane[tuple(at.T)] - ground
        more = ~seen[tuple(at.T)] & (own / distance > LIKE) & (size[source] < LARGEST)
        at, first = np.unique(at[more], axis=0, return_index=True)
        if not len(at):
            break
        seen[tuple(at.T)] = True
        distance, ground, source = (a[more][first] for a in (own, ground, source))
        size += np.bincount(source, minlength=len(size))
        all_at.append(at)
        all_distances.append(distance)
        all_sources.append(source)
    return np.concatenate(all_at), np.concatenate(all_distances), np.concatenate(all_sources)


def _groups(
    at: np.ndarray, distance: np.ndarray, source: np.ndarray, number: int, width: int
) -> np.ndarray:
    """Impulses, the first `number`, are grouped with those of any height that touch them, bright
    or dark; what continues them with its source, and with what is alike."""
    i, j = _touching_pairs(at, width)
    ratio = distance[i] / distance[j]
    alike = (ratio > LIKE**2) & (ratio < LIKE**-2)
    alike |= (i < number) & (j < number) & (ratio > 0)
    i, j = np.append(i[alike], np.arange(len(at))), np.append(j[alike], source)
    return _connected(i, j, len(at))


def groups(at: np.ndarray, width: int) -> np.ndarray:
    """For each of some pixels ``(n, 2)`` of an image of this width, the number of the group of
    touching ones that it belongs to."""
    return _connected(*_touching_pairs(at, width), len(at))


def _touching_pairs(at: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    width += 2
    key = at[:, 0] * width + at[:, 1] + 1
    order = np.argsort(key)
    pairs = []
    for step in (1, width - 1, width, width + 1):
        place = np.minimum(np.searchsorted(key, key + step, sorter=order), len(key) - 1)
        met = np.flatnonzero(key[order[place]] == key + step)
        pairs.append((met, order[place[met]]))
    i, j = (np.concatenate(ends) for ends in zip(*pairs, strict=True))
    return i, j


def _connected(i: np.ndarray, j: np.ndarray, number: int) -> np.ndarray:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(i), bool), (i, j)), (number, number))
    return np.asarray(connected_components(graph, directed=False)[1])


def _members(group: np.ndarray, size: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The number and the members of every group of three or more."""
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(size)
    for i in np.flatnonzero(size >= 3):
        yield int(i), order[ends[i] - size[i] : ends[i]]


def _number_like(
    plane: np.ndarray, at: np.ndarray, distance: np.ndarray, others: np.ndarray
) -> np.ndarray:
    """How many of the others nearby stand out like each of these pixels."""
    marked = np.zeros(plane.shape, bool)
    marked[tuple(others.T)] = True
    number = [np.zeros(0, int)]
    for i in range(0, len(at), _BATCH):
        part, own = at[i : i + _BATCH], distance[i : i + _BATCH, None, None]
        ground = plane[tuple(part.T)][:, None, None] - own
        ratio = (windows(plane, part, NEARBY) - ground) / own
        like = windows(marked, part, NEARBY) & (ratio > LIKE) & (ratio < 1 / LIKE)
        number.append(np.count_nonzero(like, axis=(1, 2)))
    return np.concatenate(number)
