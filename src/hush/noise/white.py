"""White noise: Gaussian, Poisson (counting) and both."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hush.noise.process import Process, T, normal, positive, wide
from hush.noise.units import Level, Ratio, at, fixed, level, number, root, told

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch


@dataclass(frozen=True)
class Gaussian(Process):
    """Additive white Gaussian noise; closed: variances add.

    sigma : standard deviation.
    """

    sigma: Level = field(metadata=level("the standard deviation of Gaussian noise", maps=True))
    family: ClassVar[str] = "gaussian"
    label: ClassVar[str] = "Gaussian"
    examples: ClassVar[tuple[str, ...]] = ("gaussian:25/255", "gaussian:5-50/255")
    symmetric: ClassVar[bool] = True
    normal: ClassVar[bool] = True
    terms: ClassVar[tuple[int, ...]] = (0,)

    @classmethod
    def of_terms(cls, level: float, gain: float, relative: float) -> Gaussian:
        return cls(math.sqrt(max(level, 0.0)))

    def words(self, sigma: str, scale: float, number: Callable[[float], str]) -> str:
        return f"{sigma}, the same at every brightness"

    def variance(self, x: T) -> T:
        return 0 * x + at(self.sigma, x) ** 2

    def scaled(self, ratio: Ratio) -> Gaussian:
        return Gaussian(fixed(self.sigma) * root(ratio))

    def sample(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return x + at(self.sigma, x) * normal(x, generator)

    def accumulate(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        increment = at(self.sigma, s) * math.sqrt(ratio - 1) * normal(s, generator)
        return s + increment, increment


@dataclass(frozen=True)
class Poisson(Process):
    """Counting noise; closed: thinned counts are again Poisson.

    peak : expected count at full range (λ). Fewer counts, more noise: ratio a keeps 1/a of them.
    """

    peak: Level = field(
        metadata=number("the Poisson count at full range (λ)", open_end=True, maps=True)
    )
    family: ClassVar[str] = "poisson"
    label: ClassVar[str] = "Poisson"
    examples: ClassVar[tuple[str, ...]] = ("poisson:30", "poisson:5-50")
    terms: ClassVar[tuple[int, ...]] = (1,)

    @classmethod
    def of_terms(cls, level: float, gain: float, relative: float) -> Poisson:
        return cls(float(1 / gain))

    @property
    def gain(self) -> float | np.ndarray:
        """Signal units per count."""
        return 1 / fixed(self.peak)

    def words(self, sigma: str, scale: float, number: Callable[[float], str]) -> str:
        return f"{sigma} on average, {told(self.peak, number)} counts at full range"

    def variance(self, x: T) -> T:
        return positive(x) / at(self.peak, x)

    def moved(self, by: float) -> PoissonGaussian:
        peak = self.peak
        gain = (1 / peak[1], 1 / peak[0]) if isinstance(peak, tuple) else 1 / peak
        return PoissonGaussian(gain, 0.0, -by)

    def scaled(self, ratio: Ratio) -> Process:
        # Infinitely many counts, which is no noise in any family.
        return Poisson(fixed(self.peak) / ratio) if np.any(ratio) else Gaussian(0.0)

    def sample(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        import torch

        peak = at(self.peak, wide(x))
        counts = torch.poisson((wide(x) * peak).clamp(min=0), generator=generator)
        return (counts / peak).to(x.dtype)

    def accumulate(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        peak = at(self.peak, wide(s))
        counts = (wide(s) * peak).round().clamp(min=0)
        kept = torch.binomial(counts, torch.full_like(counts, 1 / ratio), generator=generator)
        state = (kept * (ratio / peak)).to(s.dtype)
        return state, state - s


@dataclass(frozen=True)
class PoissonGaussian(Process):
    """Signal-dependent plus constant noise, variance ``gain·(x − offset) + sigma²``.

    No exact thinning exists; the ladder matches two moments. The state s + √((a−1)·v(s))·z has
    mean x and variance a·v(x), and its share 1/a, the part of s that is kept, is uncorrelated
    with the rest, the part removed. Higher moments drift: the third cumulant becomes
    gain²·x + 3(a−1)·gain·v(x) instead of a²·gain²·x (offset 0).

    This is eq. 3's first-order form of noise n that adds up after variance stabilisation,
    f(s) = 2√v(s)/gain: F(s, n) = f⁻¹(f(s) + n) = s + √v(s)·n + gain·n²/4 without the last term,
    which would shift the mean.

    gain : signal units per count; sigma : read noise; offset : the signal without light. Each may
    be a map, such as one over the pixels of a sensor.
    """

    gain: Level = field(metadata=level("the Poisson gain", maps=True))
    sigma: Level = field(metadata=level("the read noise", maps=True))
    offset: float | np.ndarray = field(
        default=0.0, metadata=level("the offset", lowest=-math.inf, ranges=False, maps=True)
    )
    family: ClassVar[str] = "poisson-gaussian"
    label: ClassVar[str] = "Poisson–Gaussian"
    examples: ClassVar[tuple[str, ...]] = (
        "poisson-gaussian:0.02/1,10/255",
        "poisson-gaussian:0.02,0,0.05",
        "poisson-gaussian:0,0.05",
        "poisson-gaussian:0.001-0.1/1,0-20/255",
    )
    closed: ClassVar[bool] = False
    taylor_order: ClassVar[float] = 1
    symmetric: ClassVar[bool] = True
    terms: ClassVar[tuple[int, ...]] = (0, 1)

    @classmethod
    def of_terms(cls, level: float, gain: float, relative: float) -> PoissonGaussian:
        # A negative variance at x = 0 means that zero light is at an offset.
        offset = float(-level / gain) if level < 0 else 0.0
        return cls(float(gain), math.sqrt(max(level, 0.0)), offset)

    def words(self, sigma: str, scale: float, number: Callable[[float], str]) -> str:
        gain, read = (told(scale * fixed(v), number) for v in (self.gain, self.sigma))
        return f"{sigma} on average, gain {gain}, read noise σ {read}"

    def variance(self, x: T) -> T:
        return at(self.gain, x) * positive(x - at(self.offset, x)) + at(self.sigma, x) ** 2

    def moved(self, by: float) -> PoissonGaussian:
        return PoissonGaussian(self.gain, self.sigma, self.offset - by)

    def scaled(self, ratio: Ratio) -> PoissonGaussian:
        sigma = fixed(self.sigma) * root(ratio)
        return PoissonGaussian(fixed(self.gain) * ratio, sigma, self.offset)

    def sample(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        import torch

        gain, sigma, offset = (at(v, wide(x)) for v in (self.gain, self.sigma, self.offset))
        light = positive(wide(x) - offset)
        grainy = fixed(self.gain) > 0
        if np.any(grainy):
            counted = torch.poisson(light / (gain + (gain == 0)), generator=generator) * gain
            light = counted if np.all(grainy) else counted + light * (gain == 0)
        return (light + offset + sigma * normal(light, generator)).to(x.dtype)

    def accumulate(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        # Not clamped at zero light: read noise makes states darker than that, and the mean of
        # gain·y + sigma² must remain v(x); only a negative sum is clamped.
        gain, sigma, offset = (at(v, s) for v in (self.gain, self.sigma, self.offset))
        v = (gain * (s - offset) + sigma**2).clamp(min=0)
        increment = ((ratio - 1) * v).sqrt() * normal(s, generator)
        return s + increment, increment
