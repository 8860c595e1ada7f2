"""Pixels and their neighbours, by the coordinates of the pixels."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

_AROUND = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j])


def replaced(x: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """A copy of `x` ``(C, H, W)`` with hit pixels replaced by the median of those around them."""
    out = x.copy()
    for plane, hit in zip(out, hits, strict=True):
        known = np.isfinite(plane) & ~hit
        left = np.argwhere(hit)
        while len(left):
            ok = windows(known, left, 1).reshape(-1, 9)
            some = ok.any(axis=1)
            if not some.any():
                break
            at, values = tuple(left[some].T), windows(plane, left[some], 1).reshape(-1, 9)
            plane[at] = median(values, ok[some])
            known[at] = True
            left = left[~some]
    return out


def sharpness(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the pixels inside the border of ``(…, H, W)``, as bright and as dark ones."""
    centre = x[..., 1:-1, 1:-1]
    left, right = x[..., 1:-1, :-2], x[..., 1:-1, 2:]
    above, below = x[..., :-2, 1:-1], x[..., 2:, 1:-1]
    bright = centre - np.fmin(np.fmax(left, right), np.fmax(above, below))
    dark = np.fmax(np.fmin(left, right), np.fmin(above, below)) - centre
    return bright, dark


def windows(plane: np.ndarray, at: np.ndarray, reach: int) -> np.ndarray:
    """Squares ``(n, 2·reach + 1, 2·reach + 1)`` around pixels `at` ``(n, 2)``; the plane is
    reflected at its border."""
    side = 2 * reach + 1
    out = np.empty((len(at), side, side), plane.dtype)
    inner = ((at >= reach) & (at < np.array(plane.shape) - reach)).all(axis=1)
    if inner.any():  # faster than by single indices
        y, x = at[inner].T - reach
        out[inner] = sliding_window_view(plane, (side, side))[y, x]
    y, x = (
        reflected(i[:, None] + np.arange(-reach, reach + 1), n)
        for i, n in zip(at[~inner].T, plane.shape, strict=True)
    )
    out[~inner] = plane[y[:, :, None], x[:, None, :]]
    return out


def touching(at: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The eight neighbours of each of some pixels ``(n, 2)``, as far as they are inside; and
    which pixel each is a neighbour of."""
    near = (at[:, None] + _AROUND).reshape(-1, 2)
    inside = ((near >= 0) & (near < shape)).all(axis=1)
    return near[inside], np.arange(len(at)).repeat(8)[inside]


def reflected(i: np.ndarray, size: int) -> np.ndarray:
    i = np.abs(i)
    return np.minimum(i, 2 * (size - 1) - i)


def median(rows: np.ndarray, ok: np.ndarray) -> np.ndarray:
    """Of every row ``(n, m)`` where `ok`; NaN if it is nowhere."""
    rows = np.where(ok, rows, np.inf)
    rows.sort(axis=1)
    count, row = ok.sum(axis=1), np.arange(len(rows))
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, rows.shape[1] - 1)
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, (rows[row, low] + rows[row, high]) / 2, np.nan)
