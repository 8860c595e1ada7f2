"""The hum of a power line in signals: a tone of random phase and strength."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hush.noise.process import Process, T, wide
from hush.noise.units import Level, Ratio, at, fixed, level, number, root

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch


@dataclass(frozen=True)
class PowerLine(Process):
    """A tone along the last axis, in every row one of its own; closed.

    Its cosine and sine parts are normal and independent, so the sum of two such tones is one, and
    their variances add.

    sigma : rms over all rows; hertz : frequency; rate : samples a second.
    """

    sigma: Level = field(metadata=level("the rms of the hum"))
    hertz: float = field(default=50.0, metadata=number("the line's frequency in hertz"))
    rate: float = field(default=1000.0, metadata=number("the samples a second"))
    family: ClassVar[str] = "powerline"
    label: ClassVar[str] = "Power line"
    examples: ClassVar[tuple[str, ...]] = ("powerline:0.1", "powerline:0.1,60,500")
    only: ClassVar[str] = "signal"
    symmetric: ClassVar[bool] = True
    white: ClassVar[bool] = False

    def words(self, sigma: str, scale: float, number: Callable[[float], str]) -> str:
        return f"{sigma} at {number(fixed(self.hertz))} Hz"

    def variance(self, x: T) -> T:
        return 0 * x + at(self.sigma, x) ** 2

    def scaled(self, ratio: Ratio) -> PowerLine:
        return PowerLine(fixed(self.sigma) * root(ratio), self.hertz, self.rate)

    def sample(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return x + self._tone(x, generator) * at(self.sigma, x)

    def accumulate(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        increment = self._tone(s, generator) * at(self.sigma, s) * math.sqrt(ratio - 1)
        return s + increment, increment

    def autocorrelation(self, radius: int, ndim: int = 2) -> np.ndarray:
        lags = np.zeros((2 * radius + 1,) * ndim)
        turns = fixed(self.hertz) / fixed(self.rate) * np.arange(-radius, radius + 1)
        lags[(radius,) * (ndim - 1)] = np.cos(2 * np.pi * turns)
        return lags

    def _tone(self, like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """A tone of rms 1 for each row ``(…, T)``."""
        import torch

        if like.ndim == 0:
            return self._tone(like[None], generator)[0]
        shape = (2, *like.shape[:-1], 1)
        part = torch.randn(shape, generator=generator, device=like.device)
        place = torch.arange(like.shape[-1], dtype=torch.float64)
        turns = 2 * math.pi * fixed(self.hertz) / fixed(self.rate) * place
        cosine, sine = (f.float().to(like.device) for f in (turns.cos(), turns.sin()))
        tone = part[0] * cosine + part[1] * sine
        return tone.to(wide(like).dtype).to(like.dtype)
