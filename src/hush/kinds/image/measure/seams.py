"""Seams: rows or columns at which the level of the noise jumps, as between stitched frames.

References
----------
J. Immerkær, "Fast noise variance estimation", Computer Vision and Image Understanding 64(2), 1996
(the filter that leaves little but noise).
"""

from __future__ import annotations

import math

import numpy as np

from hush.kinds.image.measure.cells import SIDE, Law, Points, Seams
from hush.kinds.image.measure.spline import smooth

JUMP = 1.25  #: least ratio of levels at a seam
REACH, STRIP = 20, 48  #: pixels compared on both sides of a seam, and length of a part of it
LANES = 2  #: least number of cells along a seam with known levels on both sides
PIXELS = 2**20  #: the most pixels in which to look for seams


def possible(image: np.ndarray, law: Law) -> Seams:
    """Rows and columns of an image ``(C, H, W)`` at which the level seems to jump."""
    return _columns(image.swapaxes(1, 2), law), _columns(image, law)


def confirmed(points: Points, brightness: float) -> Seams:
    """Those seams of the grid at which the fitted level jumps more than it rises beside them."""
    shape = points.grid.shape
    weight = np.bincount(points.cell, points.weight, points.grid.size).reshape(shape)
    fitted = smooth(points, brightness=brightness).field.reshape(shape)
    kept = []
    for axis, (edges, seams) in enumerate(zip(points.grid.edges, points.grid.seams, strict=True)):
        known, log = (np.moveaxis(v, axis, 0) for v in (weight, fitted))
        rise, cut = np.abs(np.diff(log, axis=0)), np.isin(edges[1:-1], seams)
        certain = []
        for seam in seams:
            k = int(np.searchsorted(edges, seam)) - 1
            near = [i for i in (k - 1, k + 1) if 0 <= i < len(rise) and not cut[i]]
            jump = rise[k] - np.max(rise[near], axis=0, initial=0.0)
            sides = known[max(0, k - 1) : k + 1].sum(axis=0), known[k + 1 : k + 3].sum(axis=0)
            lanes = np.minimum(*sides)
            if np.count_nonzero(lanes) >= LANES and lanes @ jump > math.log(JUMP) * lanes.sum():
                certain.append(seam)
        kept.append(tuple(certain))
    return kept[0], kept[1]


def _columns(image: np.ndarray, law: Law) -> tuple[int, ...]:
    """Columns at which the level jumps, up in some places and down in others or not."""
    most = PIXELS // len(law.curves)
    profiles = np.concatenate([_profiles(image[c], law, c, most) for c in law.curves])
    length, half = profiles.shape[1], REACH // 2
    total = np.pad(np.cumsum(profiles, axis=1), ((0, 0), (1, 0)))
    at = np.arange(half, length - half + 1)
    first, last = np.maximum(at - REACH, 0), np.minimum(at + REACH, length)
    step = np.full((len(profiles), length + 1), np.nan)
    step[:, at] = (total[:, last] - total[:, at]) / (last - at)
    step[:, at] -= (total[:, at] - total[:, first]) / (at - first)
    # A slope has the same step to the left and to the right.
    beside = np.full((2, *step.shape), np.nan)
    beside[0, :, REACH:], beside[1, :, :-REACH] = step[:, :-REACH], step[:, REACH:]
    inner = slice(SIDE, length + 1 - SIDE)
    contrast = np.zeros(length + 1)
    slope = np.nanmean(beside[:, :, inner], axis=0)
    contrast[inner] = np.abs(step[:, inner] - slope).mean(axis=0)
    found: list[int] = []
    while contrast.max() > math.log(JUMP):
        found.append(int(contrast.argmax()))
        contrast[max(0, found[-1] - SIDE) : found[-1] + SIDE + 1] = 0
    return tuple(sorted(found))


def _profiles(plane: np.ndarray, law: Law, channel: int, most: int) -> np.ndarray:
    """Log-level of the columns of ``(H, W)`` relative to the law, in strips ``(n, W)``."""
    height, width = plane.shape
    strips = max(1, min(height // STRIP, most // (STRIP * width)))
    logs = []
    for top in np.linspace(0, height - STRIP, strips).astype(int):
        part = plane[top : top + STRIP]
        fine = np.diff(np.diff(part, 2, axis=0), 2, axis=1) / 6
        mean = (part[1:-1, :-2] + part[1:-1, 1:-1] + part[1:-1, 2:]) / 3
        relative = np.abs(fine) / np.sqrt(law.variance_at(mean, channel))
        # Edges and texture are in the upper half; pixels that are not finite are the highest.
        quiet = np.quantile(np.nan_to_num(relative, nan=np.inf), 0.4, axis=0, method="lower")
        whole = np.isfinite(quiet)
        log = np.log(np.maximum(quiet[whole], 1e-3))
        logs.append(np.interp(np.arange(width - 2), np.flatnonzero(whole), log) if len(log) else 0)
    rows = [np.broadcast_to(log, width - 2) for log in logs]
    return np.pad(rows, ((0, 0), (1, 1)), mode="edge")
