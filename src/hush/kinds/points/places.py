"""Coordinates of elements that depend neither on the place nor on the unit of the data."""

from __future__ import annotations

import numpy as np


def normalised(x: np.ndarray, pictures: int = 1) -> np.ndarray:
    """Coordinates ``(n, d)`` with mean 0 and spread 1; of pairs, in each of the `pictures`.

    Directions and ratios of lengths stay as they are.
    """
    n = len(x)
    parts = x.reshape(n, pictures, -1)
    parts = parts - parts.mean(0)
    spread = np.sqrt(np.square(parts).sum(-1).mean(0))
    parts = parts / np.where(spread > 0, spread, 1.0)[None, :, None]
    return parts.reshape(n, -1)


def normalised_ends(x: np.ndarray) -> np.ndarray:
    """Ends ``(n, 4)`` of segments with mean 0 and spread 1 in their one picture."""
    return normalised(x.reshape(-1, 2)).reshape(-1, 4)


def middles(ends: np.ndarray) -> np.ndarray:
    """A segment's middle and its half length along its double angle ``(n, 4)``.

    Both are the same, whichever end comes first.
    """
    first, last = ends[:, :2], ends[:, 2:]
    half = (last - first) / 2
    length = np.hypot(*half.T)
    with np.errstate(invalid="ignore"):
        cosine, sine = np.nan_to_num(half.T / length)
    double = np.stack([cosine**2 - sine**2, 2 * cosine * sine], 1)
    return np.concatenate([(first + last) / 2, length[:, None] * double], 1)


def ordered(x: np.ndarray) -> np.ndarray:
    """Indices of elements ``(n, d)`` in an order that their order in the file does not change."""
    return np.lexsort(x.T[::-1])


def different(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the different elements of ``(n, d)`` are, ``(m,)``, and which one each is ``(n,)``.

    They are in an order that their order in the file does not change.
    """
    _, first, of = np.unique(x, axis=0, return_index=True, return_inverse=True)
    return first, of.ravel()
