"""Data bars: rows along the border of an image that a program has drawn, as microscopes do.

A bar has no noise: most neighbours in each of its rows are equal, those of letters and lines in it,
too. The picture beside it has noise, so few of its neighbours are.
"""

from __future__ import annotations

import numpy as np

LEAST = 8  #: rows of a bar
MOST = 1 / 3  #: share of the image's rows that a bar has at most
SIDE = 48  #: the smallest side of an image in which to look for one
DRAWN = 0.3  #: least share of equal neighbours in each of its rows, and `TIMES` that of the picture
TIMES, NOISY = 2.5, 0.2  #: NOISY: the highest share of the picture, by the median of its rows
BORDER = 0.6  #: least share in the row at the border
BACKGROUND = 0.5  #: least share of its most frequent value
LETTERS = 0.25  #: least share of its other pixels that have an equal one beside, above or below
CONTRAST = 0.5  #: of letters, relative to that of the picture, at least
CLEAR = 0.4  #: least share of the other pixels that have half of it


def bars_in(x: np.ndarray) -> tuple[tuple[int, int], ...]:
    """First and last row, exclusive, of the data bars of an image ``(C, H, W)``, at most two."""
    height, width = x.shape[1:]
    if min(height, width) < SIDE:
        return ()
    above, below = _height(x), _height(x[:, ::-1])
    found = [(0, above)] * (above > 0) + [(height - below, height)] * (below > 0)
    return tuple(found)


def _height(x: np.ndarray) -> int:
    """How many of the first rows are a data bar; 0 if none is."""
    if _equal(x[:, :1])[0] < BORDER:
        return 0
    most = int(MOST * x.shape[1])
    equal = _equal(x[:, : 2 * most])
    usual = float(np.median(equal[most:]))
    count = int(np.argmin(equal >= max(DRAWN, TIMES * usual)))  # of the first row not drawn
    if not LEAST <= count <= most or usual > NOISY:
        return 0
    bar = x[:, :count]
    values, counts = np.unique(bar[0], return_counts=True)
    ground = values[counts.argmax()]
    other = bar[0] != ground
    if not other.any() or other.mean() > 1 - BACKGROUND:
        return 0
    off = np.abs(bar[0][other] - np.float64(ground))
    low, high = np.quantile(x[0, count : 2 * most], (0.01, 0.99))
    clear = off.max() >= CONTRAST * (high - low) and np.mean(off >= off.max() / 2) >= CLEAR
    return count if clear and np.mean(_with_equal(bar)[other]) >= LETTERS else 0


def _equal(rows: np.ndarray) -> np.ndarray:
    """The share of equal neighbours in each row of ``(C, H, W)``."""
    share: np.ndarray = (rows[:, :, 1:] == rows[:, :, :-1]).all(axis=0).mean(axis=1)
    return share


def _with_equal(x: np.ndarray) -> np.ndarray:
    """Which pixels of ``(C, H, W)`` have an equal neighbour."""
    found = np.zeros(x.shape[1:], bool)
    across, down = ((np.diff(x, axis=a) == 0).all(axis=0) for a in (2, 1))
    found[:, 1:] |= across
    found[:, :-1] |= across
    found[1:] |= down
    found[:-1] |= down
    return found
