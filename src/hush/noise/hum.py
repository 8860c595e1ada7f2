"""Hum in images: a plane wave over the whole image, of random phase and strength."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hush.noise.process import Process, T, wide
from hush.noise.units import Level, Ratio, fixed, level, number, root

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Hum(Process):
    """A plane wave in every plane, one of its own; closed. Planes are the last two axes.

    Its cosine and sine parts are normal and independent, so the sum of two such waves is one, and
    their variances add. In images that are denoised, period and angle are found and need not be
    right.

    sigma : rms over all planes; period : in pixels; angle : of the direction in which it
    oscillates, in degrees, 0 along rows and 90 along columns.
    """

    sigma: Level = field(metadata=level("the rms of the hum"))
    period: float = field(
        default=8.0, metadata=number("the hum's period in pixels", open_end=True, ranges=False)
    )
    angle: float = field(default=0.0, metadata=number("the hum's angle", ranges=False))
    family: ClassVar[str] = "hum"
    label: ClassVar[str] = "Hum"
    examples: ClassVar[tuple[str, ...]] = ("hum:5/255", "hum:5/255,7.3,60")
    white: ClassVar[bool] = False
    beside: ClassVar[bool] = True
    symmetric: ClassVar[bool] = True
    terms: ClassVar[tuple[int, ...]] = (0,)

    def variance(self, x: T) -> T:
        return 0 * x + fixed(self.sigma) ** 2

    def scaled(self, ratio: Ratio) -> Hum:
        return Hum(fixed(self.sigma) * root(ratio), self.period, self.angle)

    def sample(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        self._in_space(x.ndim)
        return x + self._wave(x, generator) * fixed(self.sigma)

    def over(self, ndim: int) -> Hum:
        self._in_space(ndim)
        return self

    def autocorrelation(self, radius: int, ndim: int = 2) -> np.ndarray:
        self._in_space(ndim)
        lags = np.zeros((2 * radius + 1,) * ndim)
        at = np.arange(-radius, radius + 1)
        down, across = self._turns
        lags[(radius,) * (ndim - 2)] = np.cos(2 * np.pi * (down * at[:, None] + across * at))
        return lags

    @property
    def _turns(self) -> tuple[float, float]:
        """Frequency down and across, in cycles per pixel."""
        angle = math.radians(self.angle)
        return math.sin(angle) / self.period, math.cos(angle) / self.period

    def _wave(self, like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """A wave of rms 1 for each plane ``(…, H, W)``."""
        import torch

        shape = (2, *like.shape[:-2], 1, 1)
        part = torch.randn(shape, generator=generator, device=like.device)
        y, x = (torch.arange(n, dtype=torch.float64) for n in like.shape[-2:])
        down, across = self._turns
        turns = 2 * math.pi * (down * y[:, None] + across * x)
        cosine, sine = (f.float().to(like.device) for f in (turns.cos(), turns.sin()))
        wave = part[0] * cosine + part[1] * sine
        return wave.to(wide(like).dtype).to(like.dtype)
