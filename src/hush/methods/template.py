"""Template subtraction: the mean heart beat is subtracted wherever the heart beats.

Beats are found in every channel by itself (`hush.kinds.signal.beats`), so no ECG channel is needed.
Around each of them the mean of the nearest others, scaled to fit, is subtracted: its P wave, QRS
complex and T wave. Where no rhythm is found, nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hush.bases.filters import Filter
from hush.denoiser import Advance, Window
from hush.errors import HushError
from hush.kinds.signal.beats import BLOCK, beats, block_of
from hush.noise.processes import Process
from hush.results import Estimate, Restoration

BEFORE, AFTER = 0.25, 0.45  #: seconds around an R peak that a template covers, at most
SHARE = 0.4  #: of the time between two beats that belongs to the second one
EDGE = 0.02  #: seconds over which a template fades in and out
SLACK = 0.02  #: seconds by which a beat is shifted to fit the template, at most
CORE = 0.08  #: seconds to either side of an R peak that decide on the shift and the scale
SCALES = (0.25, 2.0)  #: of a template


@dataclass
class Template(Filter):
    """Subtraction of the averaged beat, scaled by least squares, channel by channel.

    count : beats that are averaged, the nearest ones; rate : samples a second of data that do not
    state it.
    """

    count: int = 20
    rate: float | None = None

    name: ClassVar[str] = "template"
    summary: ClassVar[str] = "averaged heart beat, subtracted beat by beat (signals)"
    citation: ClassVar[str] = "Bloch, J. Appl. Physiol. 55, 1983"
    keeps_range: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.count < 1:
            raise HushError(f"a template is the mean of at least 1 beat, not {self.count}")

    def window(self, about: Mapping[str, Any]) -> Window:
        """See `Denoiser.window`."""
        block = block_of(self.hertz(about))
        return Window(3 * block, block)

    def restore(
        self,
        x: np.ndarray,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """See `Denoiser.restore`."""
        rate = self.hertz()
        y = np.stack([channel - self._beating(channel, rate) for channel in x])
        if advance:
            advance(1.0)
        return Restoration(y.astype(np.float32), process=noise)

    def _beating(self, x: np.ndarray, rate: float) -> np.ndarray:
        """What the heart adds to one channel ``(T,)``."""
        x = x.astype(np.float64)
        positions = beats(x, rate)
        removed = np.zeros_like(x)
        if len(positions) < 2:
            return removed
        cutter = _Cutter(x, rate)
        parts, within = cutter.parts(positions)
        for i, others in self._nearest(positions, rate):
            # A mean of the others: with the beat's own EMG in it, some of that would be removed.
            weight = np.maximum(within[others].sum(axis=0), 1)
            template = parts[others].sum(axis=0) / weight
            fitted = cutter.fitted(template, parts[i], within[i])
            gap = np.diff(positions[max(0, i - 1) : i + 2])
            fade = cutter.fade(SHARE * gap[0], (1 - SHARE) * gap[-1])
            cutter.add(removed, positions[i], fade * fitted)
        return removed

    def _nearest(self, positions: np.ndarray, rate: float) -> Iterator[tuple[int, np.ndarray]]:
        """For every beat the nearest others, at most a block away."""
        block = BLOCK * rate
        for i, position in enumerate(positions):
            low, high = max(0, i - self.count), i + self.count + 1
            others = np.array([j for j in range(low, min(high, len(positions))) if j != i])
            away = np.abs(positions[others] - position)
            near = others[np.argsort(away, kind="stable")[: self.count]]
            near = near[np.abs(positions[near] - position) <= block]
            if len(near):
                yield i, near


class _Cutter:
    """Cuts parts of a signal around beats, and fits a template to them."""

    def __init__(self, x: np.ndarray, rate: float) -> None:
        self.x = x
        self.before, self.after = round(BEFORE * rate), round(AFTER * rate)
        self.offsets = np.arange(-self.before, self.after + 1)
        self.edge = max(1, round(EDGE * rate))
        self.slack = max(1, round(SLACK * rate))
        self.core = np.abs(self.offsets) <= CORE * rate

    def parts(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Parts ``(N, M)``, less their median, and where they are within the signal."""
        where = positions[:, None] + self.offsets
        within = (where >= 0) & (where < len(self.x))
        cut = np.where(within, self.x[where.clip(0, len(self.x) - 1)], np.nan)
        cut -= np.nanmedian(cut, axis=1, keepdims=True)
        return np.where(within, cut, 0.0), within

    def shift(self, template: np.ndarray, part: np.ndarray, within: np.ndarray) -> float:
        """By how many samples a template is moved to fit a part best; it may be a fraction."""
        core = self.core & within
        padded = np.pad(template, self.slack)
        moved = np.lib.stride_tricks.sliding_window_view(padded, len(template))[::-1, core]
        energy = np.maximum((moved**2).sum(axis=1), 1e-30)
        match = (moved @ part[core]) / np.sqrt(energy)
        best = int(np.argmax(match))
        shift = float(best - self.slack)
        if 0 < best < 2 * self.slack:
            a, b, c = match[best - 1 : best + 2]
            shift += 0.5 * (a - c) / (a - 2 * b + c) if a - 2 * b + c < 0 else 0.0
        return shift

    def fitted(self, template: np.ndarray, part: np.ndarray, within: np.ndarray) -> np.ndarray:
        """The template at the place and scale that fit a part best."""
        moved = _shifted(template, self.shift(template, part, within))
        core = self.core & within
        scale = moved[core] @ part[core] / max(float(moved[core] @ moved[core]), 1e-30)
        return float(np.clip(scale, *SCALES)) * moved

    def fade(self, left: float, right: float) -> np.ndarray:
        """1 around the R peak, falling to 0 before the beat's share of time ends."""
        left, right = min(left, self.before), min(right, self.after)
        inside = np.minimum(self.offsets + left, right - self.offsets) / self.edge
        return 0.5 - 0.5 * np.cos(np.pi * inside.clip(0, 1))

    def add(self, to: np.ndarray, position: int, part: np.ndarray) -> None:
        """Add a part around a position, as far as the signal goes."""
        where = position + self.offsets
        within = (where >= 0) & (where < len(to))
        to[where[within]] += part[within]


def _shifted(x: np.ndarray, shift: float) -> np.ndarray:
    """`x` moved to the right by a number of samples, with zeros beyond its ends."""
    from scipy.ndimage import shift as moved

    result: np.ndarray = moved(x, shift, order=3, mode="constant")
    return result
