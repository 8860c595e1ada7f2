"""The level of the noise in the cells of a coarse grid.

As in the whole picture, the flattest blocks of a cell are selected by their low frequencies and
measured by their high ones. A cell counts only if these have the flat spectrum of white noise, so
that texture is not mistaken for a higher level.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from hush.kinds.image.measure.blocks import COLS, HIGH, ROWS, SIZE, Blocks
from hush.kinds.image.measure.transfer import FEWEST, FLAT, Bend, Bent, fit_curve, magnitude

SIDE, MOST = 32, 12  #: least side of a cell in pixels, and most cells along an axis
FLAT_SHARE = 0.1  #: least share of flat blocks in a cell that counts
ENOUGH, SHARE = 6, 0.15  #: least number and share of cells that count
#: error of a cell's log-level beyond chance: for all its blocks over the flat ones, and for the
#: slope of its spectrum between the lower and the upper half of the high frequencies
ERROR, SLOPE = 0.03, 0.5
KNOTS = 12  #: of a free law of brightness
#: ratio of mean to deviation of magnitudes without signal (1.91), and least share of such points
LOWEST, HIGHEST, BACKGROUND = 1.55, 2.15, 0.05

UPPER = ROWS + COLS >= 12  # of the high frequencies
LOWER = HIGH & ~UPPER

Seams = tuple[tuple[int, ...], tuple[int, ...]]
NONE: Seams = ((), ())


@dataclass(frozen=True)
class Law:
    """The variance at each signal: the channels' curves, with a correction between knots.

    log : half the logarithm of the correction at the knots; magnitudes : the level is that of the
        real and imaginary parts.
    """

    curves: Mapping[int, Bent]
    knots: np.ndarray
    log: np.ndarray = field(default_factory=lambda: np.zeros(KNOTS))
    magnitudes: bool = False

    @classmethod
    def of_terms(
        cls, blocks: Blocks, bend: Bend, terms: tuple[int, ...], magnitudes: bool = False
    ) -> Law:
        """The photon transfer curve of each channel, with these powers of the signal."""
        curves = {}
        for channel in np.unique(blocks.channel):
            part = blocks.take(blocks.channel == channel)
            if part.high.any():
                curves[int(channel)] = Bent(fit_curve(part, bend, terms), bend, part.mean)
        knots = np.quantile(blocks.mean, np.linspace(0.01, 0.99, KNOTS))
        return cls(curves, knots, magnitudes=magnitudes)

    def basis(self, mean: np.ndarray) -> np.ndarray:
        """Weights of the knots at signals, ``(n, knots)``."""
        return np.stack([np.interp(mean, self.knots, one) for one in np.eye(KNOTS)], axis=-1)

    def variance_at(self, mean: np.ndarray, channel: int) -> np.ndarray:
        """Expected variance of blocks or pixels of a channel with these means."""
        variance: np.ndarray = self.curves[channel].variance_at(mean)
        if not self.log.any():
            return variance
        return variance * np.exp(2 * np.interp(mean, self.knots, self.log))

    def of(self, blocks: Blocks) -> np.ndarray:
        """Expected variance of each block; infinite in channels without noise."""
        variance = np.full(len(blocks.mean), np.inf)
        for channel in self.curves:
            own = blocks.channel == channel
            variance[own] = self.variance_at(blocks.mean[own], channel)
        return variance


@dataclass(frozen=True)
class Grid:
    """Cells: their edges in pixels along both axes, some of them at seams."""

    edges: tuple[np.ndarray, np.ndarray]
    seams: Seams = NONE

    @classmethod
    def over(cls, shape: Sequence[int], seams: Seams = NONE) -> Grid:
        """Cells of about one size over an image ``(H, W)``."""
        side = max(SIDE, max(shape) / MOST)
        rows, columns = (_edges(n, cuts, side) for n, cuts in zip(shape, seams, strict=True))
        return cls((rows, columns), seams)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.edges[0]) - 1, len(self.edges[1]) - 1

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def area(self) -> np.ndarray:
        """Pixels in each cell."""
        return np.outer(*(np.diff(e) for e in self.edges)).ravel()

    def cell_of(self, blocks: Blocks) -> np.ndarray:
        """The cell of each block's centre; `size` for blocks across a seam."""
        cell = np.zeros(len(blocks.mean), int)
        for start, marks in zip(blocks.place.T, self.edges, strict=True):
            cell = cell * (len(marks) - 1) + np.searchsorted(marks, start + SIZE // 2, "right") - 1
        for start, cuts in zip(blocks.place.T, self.seams, strict=True):
            for cut in cuts:
                cell[(start < cut) & (start + SIZE > cut)] = self.size
        return cell


@dataclass(frozen=True)
class Points:
    """Measured log-levels relative to a law, each of one cell and one signal.

    log : half the logarithm of the relative variance; weight : 1/error²; signal : `Law.basis`;
    ratio : of the mean to the standard deviation.
    """

    grid: Grid
    cell: np.ndarray
    log: np.ndarray
    weight: np.ndarray
    signal: np.ndarray
    ratio: np.ndarray

    @property
    def rayleigh(self) -> bool:
        """Whether there is a background of magnitudes without signal: none has a lower ratio."""
        floor = (self.ratio > LOWEST) & (self.ratio < HIGHEST)
        return bool(floor.mean() > BACKGROUND > 5 * np.mean(self.ratio <= LOWEST))

    @property
    def enough(self) -> bool:
        """Whether the level is known in enough cells."""
        return len(np.unique(self.cell)) >= max(ENOUGH, SHARE * self.grid.size)


def levels(blocks: Blocks, law: Law, grid: Grid) -> Points:
    """The level in each cell, of the brighter and of the darker part of its flat blocks."""
    cells = _Rows.of(grid.cell_of(blocks), grid.size)
    variance = law.of(blocks)
    low, high = (cells.each(energy / variance) for energy in (blocks.low, blocks.high))
    level, flat = _flat(np.where(cells.own, low, np.inf), high, cells)
    number = flat.sum(axis=1)
    known = (number >= np.maximum(FLAT_SHARE * cells.count, FEWEST)) & (level > 0)
    upper, lower = (
        mean_of(cells.each(blocks.energy[:, band].mean(axis=1)), flat) for band in (UPPER, LOWER)
    )
    slope = np.log(np.maximum(upper, 1e-30) / np.maximum(lower, 1e-30))
    texture = np.hypot(ERROR * cells.count / np.maximum(number, 1), SLOPE * slope)
    # Blocks overlap: fewer are independent than there are, not many more than fit in.
    room = 1.5 * grid.area / SIZE**2 / np.maximum(cells.count, 1)

    mean, raw = cells.each(blocks.mean), cells.each(blocks.high)
    bright = mean > mean_of(mean, flat)[:, None]
    halves = []
    for half in (flat & bright, flat & ~bright):
        some, strength, signal = half.sum(axis=1), mean_of(high, half), mean_of(mean, half)
        ratio = signal / np.sqrt(np.maximum(mean_of(raw, half), 1e-30))
        here = np.flatnonzero(known & (strength > 0))
        if law.magnitudes:
            strength = strength / _share(ratio)
        independent = np.minimum(1, room) * np.maximum(some, 1)
        weight = 1 / (0.5 / (HIGH.sum() * independent) + texture**2)
        log = np.log(np.maximum(strength, 1e-30)) / 2
        halves.append((here, *(v[here] for v in (log, weight, signal, ratio))))
    cell, log, weight, signal, ratio = (np.concatenate(v) for v in zip(*halves, strict=True))
    return Points(grid, cell, log, weight, law.basis(signal), ratio)


@dataclass(frozen=True)
class _Rows:
    """The blocks of each cell in a row, rows padded to one length.

    index : of the block; own : whether it is one of the cell's, not padding.
    """

    index: np.ndarray
    own: np.ndarray
    count: np.ndarray

    @classmethod
    def of(cls, cell: np.ndarray, size: int) -> _Rows:
        order = np.argsort(cell, kind="stable")
        first = np.searchsorted(cell[order], np.arange(size + 1))
        count = np.diff(first)
        column = np.arange(max(int(count.max()), FEWEST))
        index = order[np.minimum(first[:-1, None] + column, len(order) - 1)]
        return cls(index, column < count[:, None], count)

    def each(self, values: np.ndarray) -> np.ndarray:
        return values[self.index]


def mean_of(values: np.ndarray, which: np.ndarray) -> np.ndarray:
    """The mean of some values of each row; 0 if there are none."""
    total: np.ndarray = np.where(which, values, 0).sum(axis=1)
    return total / np.maximum(which.sum(axis=1), 1)


def _flat(low: np.ndarray, high: np.ndarray, cells: _Rows) -> tuple[np.ndarray, np.ndarray]:
    """The lowest level of each cell at which its flat blocks are as strong as itself, and those."""
    least = np.partition(low, FEWEST - 1, axis=1)[:, FEWEST - 1]
    lowest = np.sort(np.where(cells.own, high, np.inf), axis=1)
    level = lowest[np.arange(len(low)), cells.count // 10]
    for _ in range(10):
        level = mean_of(high, low <= np.maximum(FLAT * level, least)[:, None])
    return level, low <= FLAT * level[:, None]


def _share(ratio: np.ndarray) -> np.ndarray:
    """The variance of magnitudes relative to that of their parts (Koay and Basser 2006)."""
    means, variances = magnitude(np.linspace(0, 8, 256), np.ones(256))
    share: np.ndarray = np.interp(ratio, means / np.sqrt(variances), variances)
    return share


def _edges(length: int, cuts: Sequence[int], side: float) -> np.ndarray:
    """Edges of cells of about this side, some of them at the cuts."""
    parts = [
        np.linspace(a, b, max(1, round((b - a) / side)) + 1).round().astype(int)[:-1]
        for a, b in pairwise([0, *cuts, length])
    ]
    return np.concatenate([*parts, [length]])
