"""Blocks of 8×8 pixels and their DCT: selected by low frequencies, measured by high ones.

In a block of white noise all 64 coefficients have the same variance; structure adds to the low
frequencies first (references in `hush.kinds.image.measure.estimation`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from hush.errors import HushError
from hush.noise.field import Field

SIZE = 8  #: side of a block
MOST_BLOCKS = 65536  #: the most blocks used, however large the image

ROWS, COLS = (i.ravel() for i in np.indices((SIZE, SIZE)))
HIGH = ROWS + COLS >= 10
LOW = (ROWS + COLS >= 1) & ~HIGH
EVEN = LOW & (ROWS % 2 == COLS % 2)  # two halves of the low ones: select by one, measure the other
ODD = LOW & ~EVEN
BAND = EVEN & (ROWS + COLS >= 4)  # where blurred noise is measured
ENOUGH_HIGH = 0.3  #: least share of the noise's mean spectrum at high frequencies to measure there
DCT = np.cos(np.pi / SIZE * np.outer(np.arange(SIZE), np.arange(SIZE) + 0.5))  # type II
DCT /= np.linalg.norm(DCT, axis=1, keepdims=True)


@dataclass(frozen=True)
class Blocks:
    """Blocks, one row each; selected by `low` and measured by `high`."""

    energy: np.ndarray  # (n, 64) squared DCT coefficients
    mean: np.ndarray
    low: np.ndarray  # mean energy of the low frequencies
    high: np.ndarray  # and of the high ones
    channel: np.ndarray
    place: np.ndarray  # (n, 2) row and column of the first pixel

    def take(self, which: np.ndarray) -> Blocks:
        return Blocks(*(values[which] for values in vars(self).values()))

    @classmethod
    def together(cls, parts: Sequence[Blocks]) -> Blocks:
        """The blocks of several images."""
        names = [f.name for f in fields(cls)]
        return cls(*(np.concatenate([getattr(b, name) for b in parts]) for name in names))

    def spread(self, most: int) -> Blocks:
        """About `most` of the blocks at most: half of them at equal steps of the signal, because
        the few that differ from a background show how the noise depends on it."""
        if len(self.mean) <= most:
            return self
        order = np.argsort(self.mean, kind="stable")
        mean = self.mean[order]
        steps = np.searchsorted(mean, np.linspace(mean[0], mean[-1], most // 2))
        evenly = np.linspace(0, len(mean) - 1, most - most // 2).astype(int)
        return self.take(order[np.union1d(steps, evenly)])

    def over(self, field: Field, signals: bool = False) -> Blocks:
        """The blocks with energies relative to a field's variance at their centres.

        signals : also the means, to its deviation, because the law of magnitudes depends on both.
        """
        rows, columns = (self.place + SIZE // 2).T
        variance = field.map()[0][rows, columns]
        return replace(
            self,
            energy=self.energy / variance[:, None],
            mean=self.mean / np.sqrt(variance) if signals else self.mean,
            low=self.low / variance,
            high=self.high / variance,
        )

    def seen_through(self, shape: np.ndarray, high: bool) -> Blocks:
        """The blocks with energies relative to a noise spectrum, for selection and measurement: at
        the high frequencies if `high`, where structure is weakest, otherwise at the low ones."""
        energy = self.energy / shape.astype(np.float32)
        judge, judged = (LOW, HIGH) if high else (ODD, BAND)
        return replace(self, low=energy[:, judge].mean(axis=1), high=energy[:, judged].mean(axis=1))


def sharp(shape: np.ndarray) -> bool:
    """Whether noise of this spectrum can be measured at the high frequencies."""
    return float(shape[HIGH].mean()) >= ENOUGH_HIGH


def gather(images: Sequence[np.ndarray]) -> tuple[Blocks, np.ndarray, float, float]:
    """Blocks on a regular grid, a sample ``(C, n)`` of the pixels, and the clipping levels."""
    rows, channel, place, sample = [], [], [], []
    for image in images:
        # Odd steps sample all phases of JPEG's 8×8 grid and of a colour filter's 2×2.
        step = 1
        while image[:, : 1 - SIZE : step, : 1 - SIZE : step].size > MOST_BLOCKS / len(images):
            step += 2
        sample.append(image[:, ::step, ::step].reshape(len(image), -1))
        if min(image.shape[1:]) >= SIZE:
            windows = sliding_window_view(image, (SIZE, SIZE), axis=(1, 2))[:, ::step, ::step]
            flat = windows.reshape(-1, SIZE**2).astype(np.float32)
            finite = np.isfinite(flat).all(axis=1)
            rows.append(flat[finite])
            which = np.indices(windows.shape[:3], np.int32).reshape(3, -1)[:, finite]
            channel.append(which[0])
            place.append(step * which[1:].T)
    if sum(map(len, rows)) == 0:
        raise HushError("too few pixels to estimate noise; give at least 8×8 finite ones")
    cut, pixels = np.concatenate(rows), np.concatenate(sample, axis=1).astype(np.float32)
    mean = cut.mean(axis=1, dtype=np.float64)
    basis = np.kron(DCT, DCT).T.astype(np.float32)
    energy = ((cut - mean[:, None].astype(np.float32)) @ basis) ** 2
    low, high = (energy[:, band].mean(axis=1) for band in (LOW, HIGH))
    lowest, highest, dead = _limits(pixels[np.isfinite(pixels)], cut, high)
    blocks = Blocks(energy, mean, low, high, np.concatenate(channel), np.concatenate(place))
    return blocks.take(~dead), pixels, lowest, highest


def gather_frames(
    frames: Sequence[np.ndarray],
) -> tuple[Blocks, np.ndarray, float, float]:
    """The same of frames of one camera, each with blocks of all its signals."""
    parts = [gather([x]) for x in frames]
    every = [blocks.spread(MOST_BLOCKS // len(frames)) for blocks, *_ in parts]
    blocks = Blocks.together(every)
    pixels = np.concatenate([sample for _, sample, *_ in parts], axis=1)
    # What others go beyond is no limit.
    first, last = np.nanmin(pixels), np.nanmax(pixels)
    low = max((v for *_, v, _ in parts if v == first), default=-math.inf)
    high = min((v for *_, v in parts if v == last), default=math.inf)
    return blocks, pixels, low, high


def _limits(
    pixels: np.ndarray, rows: np.ndarray, high: np.ndarray
) -> tuple[float, float, np.ndarray]:
    """The clipping levels, -inf and inf if there are none, and the blocks to exclude.

    A limit has three times as many values as the next level, or visibly many at full range.
    Counts of few photons also pile up at zero, but without clipping: their variance there is of
    the order of one count squared. Constant blocks are excluded; if they are the majority between
    the extremes, there is no noise.
    """
    levels, number = np.unique(pixels, return_counts=True)
    first, last = levels[0], levels[-1]
    lowest, highest = -math.inf, math.inf
    if len(levels) > 1:
        share = (rows == first).mean(axis=1)
        partly = (share > 0.05) & (share < 0.5)
        counts = partly.any() and np.median(high[partly]) < 4 * (levels[1] - first) ** 2
        if number[0] > max(10, 3 * number[1]) and not counts:
            lowest = float(first)
        full = last == 1 and number[-1] > 0.001 * len(pixels)
        if number[-1] > max(10, 3 * number[-2]) or full:
            highest = float(last)
    constant = np.ptp(rows, axis=1) == 0
    extreme = constant & ((rows[:, 0] == first) | (rows[:, 0] == last))
    if (constant & ~extreme).sum() > 0.5 * (~extreme).sum():
        return lowest, highest, np.ones(len(rows), dtype=bool)
    at_limit = ((rows == lowest) | (rows == highest)).mean(axis=1) > 0.5
    return lowest, highest, constant | at_limit
