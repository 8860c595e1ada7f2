"""Events: single bright points that draw a picture, such as photons behind a multiplier.

Each looks like an impulse: no lens draws it. But impulses fall on all parts of an image with the
same chance, and events do not. So their numbers in cells of one size scatter more than Poisson's
law allows. Cells are left out if structure hides impulses there.
"""

from __future__ import annotations

import math

import numpy as np

from hush.kinds.image.measure.pixels import sharpness
from hush.kinds.image.measure.tracks import groups

FEWEST = 30  #: number of impulses from which on they can draw a picture
BRIGHT = 0.95  #: least share of bright ones among events; impulses are often dark, too
SAME = 0.3  #: largest share of events with one value; impulses often have the largest possible one
TRACK = 0.6  #: least length of a track, relative to its number of pixels
SCATTER = 1.6  #: least ratio of the variance of the numbers to their mean
SURE = 5.0  #: standard errors by which that ratio must exceed 1
HIDDEN = 3.0  #: ratio to the sharpness around from which on impulses are not hidden

_CELL = 16


def draw_a_picture(plane: np.ndarray, clean: np.ndarray, hit: np.ndarray) -> bool:
    """Whether the points `hit` are where a picture is, rather than anywhere.

    plane, clean, hit : ``(H, W)``; without the points, `plane` is `clean`.
    """
    at = np.argwhere(hit)
    if len(at) < FEWEST:
        return False
    at = at[_independent(at, plane.shape[1])]
    values = plane[tuple(at.T)]
    distance = values - clean[tuple(at.T)]
    if len(at) < FEWEST or np.mean(distance > 0) < BRIGHT:
        return False
    if np.unique(values, return_counts=True)[1].max() > SAME * len(at):
        return False
    least = float(np.median(distance))
    rows, columns = (n // _CELL for n in plane.shape)
    strong = at[distance >= least] // _CELL
    strong = strong[(strong < (rows, columns)).all(axis=1)]
    number = np.zeros((rows, columns))
    np.add.at(number, tuple(strong.T), 1)
    number = number[_sharpest(clean) * HIDDEN < least]
    if number.sum() < FEWEST / 3:
        return False
    ratio = float(number.var() / number.mean())
    return ratio > max(SCATTER, 1 + SURE * math.sqrt(2 / number.size))


def _independent(at: np.ndarray, width: int) -> np.ndarray:
    """Whether each of the points ``(n, 2)`` is no track, or the first one of its track."""
    group = groups(at, width)
    size = np.bincount(group)
    first = np.unique(group, return_index=True)[1]
    low, high = at[first], at[first]
    np.minimum.at(low, group, at)
    np.maximum.at(high, group, at)
    alone = (high - low + 1).max(axis=1) < TRACK * size
    out = alone[group]
    out[first] = True
    return out


def _sharpest(plane: np.ndarray) -> np.ndarray:
    """The fourth largest sharpness in every whole cell of a plane."""
    width = plane.shape[1] // _CELL * _CELL
    padded = np.pad(plane, 1, mode="reflect")
    out = []
    for top in range(0, plane.shape[0] // _CELL * _CELL, _CELL):
        both = np.fmax(*sharpness(padded[top : top + _CELL + 2, : width + 2]))
        cells = both.reshape(_CELL, -1, _CELL).swapaxes(0, 1).reshape(-1, _CELL**2)
        out.append(np.partition(np.nan_to_num(cells), -4, axis=1)[:, -4])
    return np.array(out)
