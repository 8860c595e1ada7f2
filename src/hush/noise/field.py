"""Noise that varies from place to place: its level relative to the whole, on a coarse grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np


@dataclass(frozen=True, eq=False)
class Field:
    """A relative variance over a picture, with mean 1: smooth, but for jumps at straight seams.

    log : logarithm of the relative variance in cells, ``(rows, columns)``; interpolated between
        their centres, up to the nearest seam.
    edges : the cells' edges along rows and columns, in pixels; the last ones are the picture's
        size. seams : those edges at which the level jumps.
    """

    log: np.ndarray
    edges: tuple[np.ndarray, np.ndarray]
    seams: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the picture."""
        return int(self.edges[0][-1]), int(self.edges[1][-1])

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and highest relative standard deviation."""
        variance = self.at(*(_extremes(edges) for edges in self.edges))
        return float(variance.min() ** 0.5), float(variance.max() ** 0.5)

    def on(self, shape: Sequence[int]) -> Field:
        """The field of the same picture on another grid."""
        if tuple(shape) == self.shape:
            return self
        ratios = [n / old for n, old in zip(shape, self.shape, strict=True)]
        rows, columns = (_scaled(e, r) for e, r in zip(self.edges, ratios, strict=True))
        down, across = (
            tuple(_scaled(s, r).tolist()) for s, r in zip(self.seams, ratios, strict=True)
        )
        return replace(self, edges=(rows, columns), seams=(down, across))

    def map(self) -> np.ndarray:
        """The relative variance of every pixel, float32 ``(1, H, W)``."""
        return self.at(*map(np.arange, self.shape))[None]

    def part(self, place: Sequence[slice]) -> Window:
        """The field in some rows and columns."""
        return Window(self, (place[0], place[1]))

    def normalised(self) -> Field:
        """This field with mean 1."""
        return replace(self, log=self.log - np.log(self.map().mean(dtype=np.float64)))

    def at(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The relative variance in some rows and columns, float32."""
        down, across = (
            _weights(*each) for each in zip((rows, columns), self.edges, self.seams, strict=True)
        )
        log = _between(_between(self.log.astype(np.float32), 0, down), 1, across)
        return np.exp(log, out=log)


@dataclass(frozen=True, eq=False)
class Window:
    """A `Field` in some rows and columns of a picture that is too large for a map of it."""

    whole: Field
    place: tuple[slice, slice]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        down, across = (len(range(n)[p]) for n, p in zip(self.whole.shape, self.place, strict=True))
        return down, across

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and highest relative standard deviation."""
        variance = self.map()
        return float(variance.min() ** 0.5), float(variance.max() ** 0.5)

    def on(self, shape: Sequence[int]) -> Window:
        """The same field, which is known for one grid."""
        return self

    def map(self) -> np.ndarray:
        """The relative variance of every pixel, float32 ``(1, H, W)``."""
        pixels = zip(self.whole.shape, self.place, strict=True)
        return self.whole.at(*(np.arange(n)[p] for n, p in pixels))[None]


@dataclass(frozen=True, eq=False)
class Grid:
    """A relative variance over a volume: smooth in the plane, with a level for every slice.

    log : logarithm of the relative variance in cells ``(Z, y, x)``, interpolated between their
        centres. shape : of the volume ``(Z, Y, X)``. side : of a cell in the plane, in voxels.
    """

    log: np.ndarray
    shape: tuple[int, ...]
    side: int

    def rows(self, start: int, stop: int) -> np.ndarray:
        """The relative variance in some slices, float32 ``(z, Y, X)``."""
        return self._at(start, stop, *map(np.arange, self.shape[1:]))

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and highest relative standard deviation."""
        variance = self._at(0, self.shape[0], *map(_extremes, self._edges))
        return float(variance.min() ** 0.5), float(variance.max() ** 0.5)

    def map(self) -> np.ndarray:
        """The relative variance of every voxel, float32 ``(1, Z, Y, X)``."""
        return self.rows(0, self.shape[0])[None]

    def on(self, shape: Sequence[int]) -> Grid:
        """The same field, which is known for one grid."""
        return self

    @property
    def _edges(self) -> list[np.ndarray]:
        """The cells' edges along rows and columns, in voxels."""
        return [np.array([*range(0, n, self.side), n]) for n in self.shape[1:]]

    def _at(self, start: int, stop: int, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The relative variance in some rows and columns of some slices, float32."""
        down, across = (
            _weights(where, edges, ())
            for where, edges in zip((rows, columns), self._edges, strict=True)
        )
        planes = self.log[start:stop].astype(np.float32)
        log = _between(_between(planes, 1, down), 2, across)
        return np.exp(log, out=log)


def _extremes(edges: np.ndarray) -> np.ndarray:
    """Pixels that hold the extremes of levels that are linear between the centres of cells."""
    first, last = edges[:-1], edges[1:] - 1
    return np.unique([first, last, (first + last) // 2, -(-(first + last) // 2)])


#: between which cells pixels lie: the first cell and the second, and the weight of the second
Between = tuple[np.ndarray, np.ndarray, np.ndarray]


def _weights(pixel: np.ndarray, edges: np.ndarray, seams: Sequence[int]) -> Between:
    """Between which cells along an axis some pixels lie, ``(pixels,)`` each, weights in float32.

    Linear between the centres of cells, and beyond the last ones.
    """
    centre = _centres(edges)
    first, second = np.zeros((2, len(pixel)), int)
    share = np.zeros(len(pixel), np.float32)
    bounds = [0, *(i for i, edge in enumerate(edges) if int(edge) in seams), len(centre)]
    for start, stop in pairwise(bounds):
        here = np.flatnonzero((pixel >= edges[start]) & (pixel < edges[stop]))
        if stop - start == 1:
            first[here] = second[here] = start
            continue
        cell = np.clip(np.searchsorted(centre, pixel[here]) - 1, start, stop - 2)
        first[here], second[here] = cell, cell + 1
        share[here] = (pixel[here] - centre[cell]) / (centre[cell + 1] - centre[cell])
    return first, second, share


def _between(x: np.ndarray, axis: int, weights: Between) -> np.ndarray:
    """Values at pixels along an axis of cells.

    Pixel by pixel: a matrix product rounds differently for a part of an image.
    """
    first, second, share = weights
    share = share.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    values: np.ndarray = x.take(first, axis) * (1 - share)
    values += x.take(second, axis) * share
    return values


def _centres(edges: np.ndarray) -> np.ndarray:
    centres: np.ndarray = (edges[1:] + edges[:-1] - 1) / 2
    return centres


def _scaled(marks: np.ndarray | Sequence[int], ratio: float) -> np.ndarray:
    return np.round(np.asarray(marks) * ratio).astype(int)
