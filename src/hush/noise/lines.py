"""Interference over a whole image: an offset for each row or column, and hum, which is a wave."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np


@dataclass(frozen=True)
class Wave:
    """A plane wave of one amplitude over the whole image.

    down, across : frequency along columns and rows, in cycles per pixel.
    parts : of each channel the complex amplitude at the first pixel; its real part is the cosine's.
    """

    down: float
    across: float
    parts: tuple[complex, ...]

    @property
    def period(self) -> float:
        """In pixels."""
        return 1 / max(math.hypot(self.down, self.across), 1e-9)

    @property
    def sigma(self) -> float:
        """Root mean square over the image and its channels."""
        return float(np.sqrt(np.mean(np.abs(self.parts) ** 2) / 2))

    def map(self, shape: Sequence[int]) -> np.ndarray:
        """The wave in every pixel, ``(C, H, W)``."""
        y, x = (
            np.exp(2j * np.pi * f * np.arange(n))
            for f, n in zip((self.down, self.across), shape, strict=True)
        )
        # Two products of real numbers each, because complex ones take four.
        re, im = np.outer(y, x).real, np.outer(y, x).imag
        return np.stack([p.real * re - p.imag * im for p in self.parts])


@dataclass(frozen=True, eq=False)
class Lines:
    """Offsets of rows ``(C, H)`` and columns ``(C, W)`` of an image, with mean 0, and its hum.

    limits : of each channel the lowest and highest value if pixels are clipped there, else ∓∞;
    doubtful : waves that may be of the picture, as of crystals, and are left in; unsure : standard
    deviations of offsets that are left in, by ``rows`` and ``columns``; left : of all offsets and
    hum, which are left in because the image is too large to take them out; absent : what the user
    states and the image does not have.
    """

    rows: np.ndarray
    columns: np.ndarray
    waves: tuple[Wave, ...] = ()
    doubtful: tuple[Wave, ...] = ()
    unsure: Mapping[str, float] = field(default_factory=dict)
    limits: tuple[tuple[float, float], ...] = ()
    left: float = 0.0
    absent: str = ""

    def __bool__(self) -> bool:
        return bool(self.rows.any() or self.columns.any() or self.waves)

    @property
    def along(self) -> dict[str, float]:
        """Standard deviation of the offsets of ``rows`` and ``columns``; without those of 0."""
        both = {"rows": self.rows, "columns": self.columns}
        return {k: float(np.sqrt(np.mean(v**2))) for k, v in both.items() if v.any()}

    @property
    def hum(self) -> float:
        """Root mean square of all waves; 0 without any."""
        return math.sqrt(sum(wave.sigma**2 for wave in self.waves))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the image."""
        return self.rows.shape[1], self.columns.shape[1]

    def on(self, shape: Sequence[int]) -> Lines:
        """The same of the same picture on another grid ``(H, W)``."""
        if tuple(shape) == self.shape:
            return self
        from scipy.signal import resample

        height, width = (old / n for n, old in zip(shape, self.shape, strict=True))
        waves, doubtful = (
            tuple(replace(w, down=w.down * height, across=w.across * width) for w in every)
            for every in (self.waves, self.doubtful)
        )
        rows, columns = (
            resample(v, n, axis=1) for v, n in zip((self.rows, self.columns), shape, strict=True)
        )
        return Lines(rows, columns, waves, doubtful, self.unsure, self.limits, self.left)

    def kept(self) -> Lines:
        """The same, left in."""
        offsets = sum(level**2 for level in self.along.values())
        left = math.sqrt(offsets + self.hum**2)
        return Lines(0 * self.rows, 0 * self.columns, left=left)

    def map(self) -> np.ndarray:
        """What was added to every pixel, float32 ``(C, H, W)``."""
        total = self.rows[:, :, None] + self.columns[:, None]
        for wave in self.waves:
            total = total + wave.map(self.shape)
        return total.astype(np.float32)

    def seen(self, x: np.ndarray) -> np.ndarray:
        """What the image ``(C, H, W)`` has of it: nothing where it is clipped."""
        total = self.map()
        for plane, added, (low, high) in zip(x, total, self.limits, strict=True):
            added[(plane <= low) | (plane >= high)] = 0
        return total
