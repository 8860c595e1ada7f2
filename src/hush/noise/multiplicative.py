"""Multiplicative noise: Gamma, as in radar or laser images, and speckle, additive in the log.

Displays that show the logarithm, as of OCT and ultrasound, turn the first into additive noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hush.noise.process import Process, T, normal, seeded
from hush.noise.units import Level, Ratio, at, fit, fixed, level, number, root, told
from hush.noise.white import Gaussian

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch


@dataclass(frozen=True)
class Gamma(Process):
    """y = x·g with g ~ Gamma(L, rate L), of mean 1 and variance 1/L; closed by beta thinning.

    With L' = L/a and B ~ Beta(L', L − L'), g·B and g·(1 − B) are independent Gamma(L') and
    Gamma(L − L') of rate L: as with counts, the part kept and the part removed are independent,
    and s·B·a is a state of shape L'. DiffDenoise's Gamma noise (§4.1, α = β = 100 or 500).

    shape : L, the number of looks of speckle.
    """

    shape: Level = field(metadata=number("the Gamma shape", open_end=True, maps=True))
    family: ClassVar[str] = "gamma"
    label: ClassVar[str] = "Gamma (multiplicative)"
    examples: ClassVar[tuple[str, ...]] = ("gamma:100", "gamma:4", "gamma:50-500")
    terms: ClassVar[tuple[int, ...]] = (2,)
    advice: ClassVar[str] = (
        "The noise is multiplicative (Gamma). The shipped models were trained on Gaussian and "
        "counting noise; they are given a noise level proportional to the brightness."
    )

    @classmethod
    def of_terms(cls, level: float, gain: float, relative: float) -> Gamma:
        return cls(float(1 / relative))

    def words(self, sigma: str, scale: float, number: Callable[[float], str]) -> str:
        share = told(fixed(self.shape) ** -0.5, lambda v: number(float(f"{100 * v:.2g}")))
        return f"shape {told(self.shape, number)}: σ is {share} % of the signal"

    def variance(self, x: T) -> T:
        return x * x / at(self.shape, x)

    def scaled(self, ratio: Ratio) -> Process:
        return Gamma(fixed(self.shape) / ratio) if np.any(ratio) else Gaussian(0.0)

    def sample(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        import torch

        shape = fit(self.shape, x)
        factor = seeded(generator).gamma(shape, 1 / shape, tuple(x.shape))
        return x * torch.as_tensor(factor).to(x)

    def accumulate(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        shape = fit(self.shape, s)
        kept = shape / ratio
        taken = shape - kept
        if np.any(taken == 0):
            return s, 0 * s
        share = seeded(generator).beta(kept, taken, tuple(s.shape))
        state = s * torch.as_tensor(share * ratio).to(s)
        return state, state - s


@dataclass(frozen=True)
class Speckle(Process):
    """log y = log x + n − σ²/2 with n ~ N(0, σ²), so that E[y] = x; closed: logarithms add.

    The ratio a is that of the variances σ² of the *logarithm* (eq. 2's "multiplicative noise is
    additive in the log domain"). In the logarithm, differences are exchangeable Gaussian
    increments, and removing a share is exact (up to the known −σ²/2). In the values themselves it
    holds to first order: F(s, n) = s·exp(n) ≈ s + s·n.

    sigma : standard deviation of the logarithm, independent of the data's units.
    """

    sigma: Level = field(metadata=number("the standard deviation of the logarithm", maps=True))
    family: ClassVar[str] = "speckle"
    label: ClassVar[str] = "Speckle (multiplicative)"
    examples: ClassVar[tuple[str, ...]] = ("speckle:0.2", "speckle:0.1-0.5")
    taylor_order: ClassVar[float] = 1
    terms: ClassVar[tuple[int, ...]] = (2,)

    @classmethod
    def of_terms(cls, level: float, gain: float, relative: float) -> Speckle:
        return cls(math.sqrt(math.log1p(relative)))

    def variance(self, x: T) -> T:
        sigma = fixed(self.sigma)
        square = np.expm1(sigma**2) if isinstance(sigma, np.ndarray) else math.expm1(sigma**2)
        return x * x * at(square, x)

    def scaled(self, ratio: Ratio) -> Speckle:
        return Speckle(fixed(self.sigma) * root(ratio))

    def sample(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        sigma = at(self.sigma, x)
        return x * (sigma * normal(x, generator) - sigma**2 / 2).exp()

    def accumulate(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        state = Speckle(fixed(self.sigma) * math.sqrt(ratio - 1)).sample(s, generator)
        return state, state - s


@dataclass(frozen=True)
class LogSpeckle(Process):
    """y = x + c·(log g − E[log g]) with g ~ Gamma(L, rate L): `Gamma` noise where x shows a log.

    OCT and ultrasound displays show x = c·log(intensity) + const. Speckle of L looks multiplies the
    intensity by g (Arsenault and April 1976). E[log g] = ψ(L) − log L is subtracted, so that
    E[y] = x. The variance c²·ψ₁(L) is the same at every brightness. The skewness ψ₂(L)/ψ₁(L)^1.5
    is negative, −1.14 for one look: few pixels are much too dark, many a little too bright.

    The ratio a is that of the variances 1/L of the *intensity*. Closed by beta thinning, as
    `Gamma` is: log g + log B + log a, with B ~ Beta(L/a, L − L/a), is the logarithm of L/a looks.
    The increment does not depend on the signal. Yet it is a share of the whole noise only to first
    order in L^−½, where the logarithm is linear: for few looks the variance c²·ψ₁(L/a) is more
    than a times c²·ψ₁(L), at most a² times.

    contrast : c, in signal units per factor e of intensity, which is 4.34 decibels.
    looks : L, the independent intensities averaged; not necessarily a whole number.
    """

    contrast: Level = field(metadata=level("the contrast of the logarithm", maps=True))
    looks: Level = field(
        default=1.0, metadata=number("the number of looks", open_end=True, maps=True)
    )
    family: ClassVar[str] = "log-speckle"
    label: ClassVar[str] = "Log-compressed speckle"
    examples: ClassVar[tuple[str, ...]] = (
        "log-speckle:0.1", "log-speckle:25/255,2", "log-speckle:5-40/255,1-4"
    )  # fmt: skip
    taylor_order: ClassVar[float] = 1

    def words(self, sigma: str, scale: float, number: Callable[[float], str]) -> str:
        return f"{sigma}, the same at every brightness, looks {told(self.looks, number)}"

    def variance(self, x: T) -> T:
        from scipy.special import zeta

        trigamma = zeta(2, fixed(self.looks))
        square = trigamma if isinstance(trigamma, np.ndarray) else float(trigamma)
        return 0 * x + at(self.contrast, x) ** 2 * at(square, x)

    def scaled(self, ratio: Ratio) -> Process:
        if not np.any(ratio):
            return Gaussian(0.0)
        return LogSpeckle(self.contrast, fixed(self.looks) / ratio)

    def sample(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        import torch
        from scipy.special import digamma

        contrast, looks = fit(self.contrast, x), fit(self.looks, x)
        logarithm = _log_gamma(looks, tuple(x.shape), seeded(generator)) - digamma(looks)
        return x + torch.as_tensor(contrast * logarithm).to(x)

    def accumulate(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        import torch
        from scipy.special import digamma

        if ratio == 1:
            return s, 0 * s
        contrast, looks = fit(self.contrast, s), fit(self.looks, s)
        rng, kept = seeded(generator), looks / ratio
        share = _log_gamma(kept, tuple(s.shape), rng)
        share -= np.logaddexp(share, _log_gamma(looks - kept, tuple(s.shape), rng))
        increment = contrast * (share - digamma(kept) + digamma(looks))
        increment = torch.as_tensor(increment).to(s)
        return s + increment, increment


def _log_gamma(
    shape: float | np.ndarray, size: tuple[int, ...], rng: np.random.Generator
) -> np.ndarray:
    """Logarithms of Gamma draws of rate 1, from Gamma(k) = Gamma(k + 1)·U^(1/k), U uniform.

    The draws themselves underflow to 0 for small k.
    """
    one_more = np.log(rng.standard_gamma(shape + 1, size))
    return np.asarray(one_more - rng.standard_exponential(size) / shape)
