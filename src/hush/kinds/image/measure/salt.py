"""Salt and pepper: pixels replaced by the lowest or the highest value, up to most of a picture.

Where many are replaced, a pixel's neighbours are, too, and it no longer stands out from their
median. But replaced pixels are known by their value. They are told from black and white of a
picture, and from noise that is cut off: whether a pixel is replaced does not depend on its
neighbours, and the others are a picture, whose neighbours are alike.

Replacing only what has an extreme value: R. H. Chan, C.-W. Ho and M. Nikolova, "Salt-and-pepper
noise removal by median-type noise detectors and detail-preserving regularization", IEEE Trans.
Image Processing 14(10), 2005.
"""

from __future__ import annotations

import math

import numpy as np

LEAST = 0.005  #: share of pixels that have each of both values
OTHERS = 0.1  #: least share of pixels that have neither
#: pairs may be off from independent ones by this share, and by so many standard errors
ALIKE, ERRORS = 0.25, 3.0
SMOOTH = 0.15  #: highest median step between others, of the span; noise cut off so often has 0.18
NEXT, SPIKE = 0.02, 0.5  #: as many as this have an extreme value, of those next to it in the span


def extremes(plane: np.ndarray) -> np.ndarray | None:
    """Where a plane ``(H, W)`` is replaced by salt and pepper, bool; None if it is not."""
    finite = np.isfinite(plane)
    if not finite.any() or min(plane.shape) < 2:
        return None
    low, high = float(plane[finite].min()), float(plane[finite].max())
    both = [plane == low, plane == high]
    shares = [np.count_nonzero(one) / np.count_nonzero(finite) for one in both]
    if min(shares) < LEAST or sum(shares) > 1 - OTHERS:
        return None
    reach = NEXT * (high - low)
    beside = [
        np.count_nonzero((plane > low) & (plane <= low + reach)),
        np.count_nonzero((plane < high) & (plane >= high - reach)),
    ]
    spikes = all(np.count_nonzero(a) >= SPIKE * b for a, b in zip(both, beside, strict=True))
    hit = both[0] | both[1]
    if not (spikes and _independent(both, finite) and _smooth(plane, finite & ~hit, high - low)):
        return None
    return hit


def _independent(both: list[np.ndarray], finite: np.ndarray) -> bool:
    """Whether a pixel of either value has neighbours of that and of the other as often as any."""
    total = sum(np.count_nonzero(a & b) for a, b in _neighbours(finite))
    shares = [np.count_nonzero(one) / np.count_nonzero(finite) for one in both]
    for i, j in ((0, 0), (1, 1), (0, 1)):
        seen = sum(
            np.count_nonzero(a & b)
            for one, other in ((both[i], both[j]), (both[j], both[i]))
            for a, b in _across(one, other)
        )
        expected = 2 * total * shares[i] * shares[j]
        if abs(seen - expected) > ALIKE * expected + ERRORS * math.sqrt(2 * expected):
            return False
    return True


def _smooth(plane: np.ndarray, others: np.ndarray, span: float) -> bool:
    """Whether neighbours that are both not replaced are alike."""
    steps = [
        np.abs(np.subtract(a, b, dtype=np.float64))[ok_a & ok_b]
        for (a, b), (ok_a, ok_b) in zip(_neighbours(plane), _neighbours(others), strict=True)
    ]
    every = np.concatenate(steps)
    return bool(every.size and np.median(every) < SMOOTH * span)


def _neighbours(plane: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pixels and those below and to the right of them."""
    return _across(plane, plane)


def _across(one: np.ndarray, other: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(one[:-1], other[1:]), (one[:, :-1], other[:, 1:])]
