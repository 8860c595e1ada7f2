"""Traces over time as wide strips, whose labels keep their size on any screen.

A strip is an SVG that is stretched to the width of the page, with HTML labels at percentages of it.
A long recording is drawn as the lowest and highest value of every column, read piece by piece.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from hush.record import Batch
from hush.recording import let_go
from hush.report import plots

PIECE = 2**20  #: samples that are read at once
WIDE, HIGH = 1000, 100  #: the view box


@dataclass(frozen=True)
class Strip:
    """One or more traces over the same time. Positions are in percent of the strip.

    y_ticks, x_ticks : labels and where they are; beats : of the heart, across; gaps : the same.
    """

    label: str
    svg: str
    y_ticks: Sequence[tuple[str, float]]
    x_ticks: Sequence[tuple[str, float]] = ()
    beats: Sequence[float] = ()
    gaps: Sequence[float] = ()


@dataclass
class Envelope:
    """The lowest and highest value of every column of a trace, and the power about its mean."""

    width: int
    low: np.ndarray
    high: np.ndarray
    power: np.ndarray
    total: np.ndarray = field(repr=False)

    @classmethod
    def of(cls, batch: Batch, parts: Sequence[tuple[int, int]], columns: int) -> Envelope:
        """Of a channel's items, each with its first sample's place, in the data's own units."""
        count = max((start + batch.data[i].shape[-1] for i, start in parts), default=1)
        width = max(1, -(-count // columns))
        size = -(-count // width)
        low, high = np.full(size, np.nan), np.full(size, np.nan)
        sums = np.zeros((3, size))  # of ones, values and squares
        for index, start in parts:
            item = batch.data[index]
            for first in range(0, item.shape[-1], PIECE):
                piece = batch.piece(index, slice(first, first + PIECE))
                x = np.where(piece.known(0), piece.data[0], np.nan)[0].astype(np.float64)
                _add(x, start + first, width, low, high, sums)
                let_go(item)
        n = np.maximum(sums[0], 1)
        power = np.where(sums[0] > 0, sums[2] / n - (sums[1] / n) ** 2, 0.0)
        return cls(width, low, high, np.maximum(power, 0.0), sums[0])


def _add(
    x: np.ndarray, start: int, width: int, low: np.ndarray, high: np.ndarray, sums: np.ndarray
) -> None:
    """Take samples that begin at place `start` into their columns."""
    first = start // width
    edges = np.arange((first + 1) * width - start, len(x), width)
    edges = np.concatenate([[0], edges]).astype(np.int64)
    columns = slice(first, first + len(edges))
    low[columns] = np.fmin(low[columns], np.fmin.reduceat(x, edges))
    high[columns] = np.fmax(high[columns], np.fmax.reduceat(x, edges))
    known = np.isfinite(x)
    filled = np.where(known, x, 0.0)
    for row, values in zip(sums, (known.astype(float), filled, filled * filled), strict=True):
        row[columns] += np.add.reduceat(values, edges)


def bounds(*values: np.ndarray) -> tuple[float, float]:
    """The lowest and highest finite value, with some room."""
    finite = np.concatenate([v[np.isfinite(v)].ravel() for v in values])
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    room = 0.04 * (high - low) or abs(high) or 1.0
    return low - room, high + room


def outline(envelope: Envelope, cls: str, span: tuple[float, float]) -> str:
    """An envelope as filled shapes, one for each stretch without gaps of missing values."""
    count = len(envelope.low)
    known = np.flatnonzero(np.isfinite(envelope.low))
    marks = []
    for run in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1):
        if not len(run):
            continue
        x = WIDE * (run + 0.5) / count
        top, bottom = _y(envelope.high[run], span), _y(envelope.low[run], span)
        bottom = np.maximum(bottom, top + 0.6)  # a thin line is still seen
        points = [*zip(x, top, strict=True), *zip(x[::-1], bottom[::-1], strict=True)]
        marks.append(f'<polygon class="{cls}" points="{_path(points)}"/>')
    return "".join(marks)


def trace(x: np.ndarray, cls: str, span: tuple[float, float], most: int = WIDE) -> str:
    """A trace as lines; of more than `most` samples the extremes of every column, in order."""
    place = np.arange(len(x))
    if len(x) > 2 * most:
        width = -(-len(x) // most)
        padded = np.full(width * -(-len(x) // width), np.nan)
        padded[: len(x)] = x
        columns = padded.reshape(-1, width)
        ends = np.stack(
            [
                np.argmin(np.where(np.isnan(columns), np.inf, columns), axis=1),
                np.argmax(np.where(np.isnan(columns), -np.inf, columns), axis=1),
            ]
        )
        ends.sort(axis=0)
        place = (ends + width * np.arange(len(columns))).T.ravel()
        place = place[place < len(x)]
    values = x[place]
    known = np.flatnonzero(np.isfinite(values))
    across, down = WIDE * place / max(1, len(x) - 1), _y(values, span)
    marks = []
    for run in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1):
        points = list(zip(across[run], down[run], strict=True))
        marks.append(f'<polyline class="trace {cls}" points="{_path(points)}"/>')
    return "".join(marks)


def y_ticks(span: tuple[float, float]) -> list[tuple[str, float]]:
    """A few round values of a strip."""
    found = plots.ticks(*span, most=3)
    found = found if len(found) > 1 else plots.ticks(*span, most=5)
    return [(plots.number(t), round(float(_y(t, span)), 1)) for t in found]


def x_ticks(first: float, last: float, form: Callable[[float], str]) -> list[tuple[str, float]]:
    """A few round places between the first and the last one."""
    if not last > first:
        return []
    found = plots.ticks(first, last)
    return [(form(t), round(100 * (t - first) / (last - first), 2)) for t in found]


def _y(value: np.ndarray | float, span: tuple[float, float]) -> np.ndarray:
    low, high = span
    return np.asarray(HIGH * (high - np.asarray(value)) / (high - low))


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
