"""Impulses: pixels with a replaced value, detected from their neighbours.

The expected value of a pixel is the median of its eight neighbours, and their scatter is the sixth
smallest deviation from it, so up to two of them may be impulses, too. A pixel that deviates several
times more is an impulse. Small real objects (stars, beads) extend into their neighbours and are not
detected. Detection by rank-ordered deviations: Garnett, Huegerich, Chui and He, "A universal
noise removal algorithm with an impulse detector", IEEE Trans. Image Processing 14(11), 2005.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

ROUNDS = 2  #: the second pass, with found impulses replaced, finds adjacent ones
LOCAL = 6.0  #: least deviation of an impulse, relative to the scatter of its neighbours
KNOWN = 2.5  #: the same if the image is known to have impulses
GLOBAL = 4.0  #: least deviation relative to the typical scatter in the image
ANY = 0.2  #: least typical deviation of impulses, relative to the span of all values
WINDOWS, WINDOW = 8, 128  #: number and side of the windows in which impulses are counted
ROWS = 256  #: cleaned at a time, to save memory
_AROUND = [(i, j) for i in (0, 1, 2) for j in (0, 1, 2) if (i, j) != (1, 1)]


def without_impulses(x: np.ndarray) -> np.ndarray:
    """An image ``(C, H, W)`` with every impulse replaced by the median of its neighbours.

    Pixels that are not finite are kept.
    """
    out = np.empty_like(x)
    for plane, cleaned in zip(x, out, strict=True):
        padded = np.pad(plane, 1, mode="symmetric")
        for top in range(0, plane.shape[0], ROWS):
            _clean(padded[top : top + ROWS + 2], KNOWN)
        cleaned[...] = padded[1:-1, 1:-1]
    return out


def impulse_share(images: Sequence[np.ndarray]) -> float:
    """Share of impulses in images ``(C, H, W)``, measured in `WINDOWS` windows.

    They are counted in calm areas, because some are missed in structure. Impulses may take any
    value. If the deviations are small relative to the span of all values, they are rare single
    counts in dark recordings, and the share is 0.
    """
    every = [plane for x in images for plane in x if min(plane.shape) >= 3]
    counted, deviations, spans = 0, [np.zeros(0)], [0.0]
    for i in range(WINDOWS if every else 0):
        plane = every[i * len(every) // WINDOWS]
        corner = [
            (n - WINDOW) * ((i * step) % WINDOWS) // (WINDOWS - 1) if n > WINDOW else 0
            for n, step in zip(plane.shape, (1, 3), strict=True)
        ]
        window = plane[corner[0] : corner[0] + WINDOW, corner[1] : corner[1] + WINDOW]
        cleaned = window.copy()
        far, calm = _clean(cleaned, LOCAL)
        before, after = window[1:-1, 1:-1], cleaned[1:-1, 1:-1]
        # Where most values are clipped, the others stand out but are not impulses.
        at = far & calm & (after != np.max(after)) & (after != np.min(after))
        deviations.append(np.abs(before[at] - after[at]))
        counted += int(calm.sum())
        spans.append(_span(window))
    found = np.concatenate(deviations)
    if not found.size or np.median(found) < ANY * max(spans):
        return 0.0
    return found.size / max(counted, 1)


def _clean(plane: np.ndarray, local: float) -> tuple[np.ndarray, np.ndarray]:
    """Replace impulses in place; return where they were, inside the border, and calm areas."""
    hits, calm = np.zeros((2, *(n - 2 for n in plane.shape)), bool)
    inner = plane[1:-1, 1:-1]
    for _ in range(ROUNDS):
        median, scatter = _surroundings(plane)
        known = np.isfinite(scatter)
        if not known.any():
            break
        typical = float(np.median(scatter[known])) + 1e-3 * float(np.ptp(median[known]))
        with np.errstate(invalid="ignore"):  # infinite pixels
            far = np.abs(inner - median) > np.maximum(local * scatter, GLOBAL * typical)
        inner[far] = median[far]
        hits |= far
        calm = scatter <= typical
    return hits, calm


def _surroundings(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and scatter of the eight neighbours of every pixel inside the border."""
    height, width = plane.shape
    neighbours = np.stack([plane[i : i + height - 2, j : j + width - 2] for i, j in _AROUND])
    neighbours.sort(axis=0)
    median = (neighbours[3] + neighbours[4]) / 2
    with np.errstate(invalid="ignore"):
        deviations = np.abs(neighbours - median)
    deviations.partition(5, axis=0)
    return median, deviations[5]


def _span(x: np.ndarray) -> float:
    known = x[np.isfinite(x)]
    return float(np.ptp(known)) if known.size else 0.0
