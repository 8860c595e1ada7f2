"""Noise of magnitudes, as in MRI: Rician with one coil, non-central χ with several.

Formulas from Koay and Basser (2006), "Analytically exact correction scheme for signal extraction
from noisy magnitude MR signals", and, for several coils, Constantinides et al. (1997).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hush.noise.process import Process, T, normal
from hush.noise.units import Level, Ratio, at, fit, fixed, level, number, root

if TYPE_CHECKING:
    import torch

    from hush.noise.process import Draw

_ROUNDS = 30  #: of the fixed point by which a level is found
_HIGHEST_SNR = 1e3  # above it the magnitude's variance is σ² to one part in a million


@dataclass(frozen=True)
class _Magnitude(Process):
    """The root of the sum of squares of complex Gaussian channels.

    The law is closed: the noise is isotropic, so a state accumulates by treating the magnitude as
    a complex number, adding complex noise and taking the magnitude again. The ratio a is that of
    the variances σ² of the complex noise. Magnitudes themselves do not add: s + n is
    |s + n₁ + i·n₂| ≈ s + n₁ to first order; the next term n₂²/2s is the bias. What is exchangeable
    to all orders is the complex noise (`projected`, `exchanged`).

    sigma : standard deviation of each channel's real and imaginary part.
    """

    sigma: Level = field(metadata=level("the standard deviation of each part", maps=True))
    taylor_order: ClassVar[float] = 1
    biased: ClassVar[bool] = True
    complex: ClassVar[bool] = True
    terms: ClassVar[tuple[int, ...]] = (0,)

    @property
    def _coils(self) -> int:
        raise NotImplementedError

    def variance(self, x: T) -> T:
        """Variance of the magnitude at the noise-free amplitude |x|: σ² for |x| ≫ σ, else less."""
        sigma, unit = self._parts(x)
        return _apply(lambda v: sigma**2 * _variance(np.abs(v) / unit, self._coils), x)

    def bias(self, x: T) -> T:
        """E[M] − x, from E[M²] = x² + 2Lσ² for L coils; σ√(π/2) at x = 0 for one coil."""
        sigma, unit = self._parts(x)

        def shift(v: np.ndarray) -> np.ndarray:
            mean = sigma * _mean(np.abs(v) / unit, self._coils)
            return np.where(sigma > 0, mean, np.abs(v)) - v

        return _apply(shift, x)

    def unbias(self, mean: T) -> T:
        """The amplitude at which magnitudes have this mean; 0 below the noise floor (Koay)."""
        sigma, unit = self._parts(mean)
        snr, _ = _table(self._coils)
        means = _mean(snr, self._coils)

        def amplitude(m: np.ndarray) -> np.ndarray:
            near = np.interp(m / unit, means, snr**2)  # the mean is smooth in SNR²
            far = (m / unit) ** 2 + 1 - 2 * self._coils
            above = sigma * np.sqrt(np.where(m / unit < means[-1], near, far))
            return np.where(sigma > 0, above, m)

        return _apply(amplitude, mean)

    def _parts(self, x: Any) -> tuple[Any, Any]:
        """σ, and a divisor for ratios to σ, which is 1 where there is no noise."""
        sigma = fit(self.sigma, x)
        return sigma, np.where(sigma > 0, sigma, 1.0)

    def scaled(self, ratio: Ratio) -> Process:
        return dataclasses.replace(self, sigma=fixed(self.sigma) * root(ratio))

    def sample(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return _length(x, self._added(x, 2, generator))

    def projected(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`accumulate`, with the projection of the added noise instead of the difference.

        The projection of complex noise on the final phase is exchangeable, which the difference of
        magnitudes is not: given the state M and the amplitude A, with φ the final phase less that
        of the signal, the projections of added and of all noise have expectations with the ratio
        (a − 1)/a of their variances, and that of all noise is M − A·E[cos φ].
        """
        parts = self._added(s, ratio, generator)
        state = _length(s, parts)
        squares = sum((n * n for n in parts[1:]), (s + parts[0]) * parts[0])
        return state, squares / state.clamp(min=1e-30)

    def exchanged(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator, draw: Draw | None = None
    ) -> tuple[Process, tuple[tuple[torch.Tensor, torch.Tensor], ...]]:
        """See `Process.exchanged`; the ratio is always 2.

        Complex states s + n and s − n have independent noise if n has as much as s. So do their
        magnitudes, which have the same law: the expectation of one, given the other and its
        surroundings, is the mean of magnitudes at the amplitude that these show.
        """
        parts = self._added(s, 2, generator, draw)
        one, other = _length(s, parts), _length(s, [-n for n in parts])
        return self.scaled(2), ((one, one - other), (other, other - one))

    def variance_near(self, mean: T) -> T:
        """See `Process.variance_near`; a mean of magnitudes is above the amplitude."""
        return self.variance(self.unbias(mean))

    def _added(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator, draw: Draw | None = None
    ) -> list[torch.Tensor]:
        """Further noise in every part of state `s`, that of its own direction first."""
        sigma = at(self.sigma, s) * math.sqrt(ratio - 1)
        return [sigma * (draw or normal)(s, generator) for _ in range(2 * self._coils)]


@dataclass(frozen=True)
class Rician(_Magnitude):
    """Magnitude of one complex channel."""

    family: ClassVar[str] = "rician"
    label: ClassVar[str] = "Rician"
    examples: ClassVar[tuple[str, ...]] = ("rician:10/255", "rician:0.3", "rician:2-20/255")
    advice: ClassVar[str] = (
        "The noise is Rician. The shipped models were trained on Gaussian and counting noise; they "
        "are given its level at every brightness. Dark areas, which this noise brightens, stay too "
        "bright."
    )

    @classmethod
    def of_terms(cls, level: float, gain: float, relative: float) -> Rician:
        return cls(math.sqrt(max(level, 0.0)))

    def words(self, sigma: str, scale: float, number: Callable[[float], str]) -> str:
        return f"{sigma} in each part; dark areas are brightened"

    @property
    def _coils(self) -> int:
        return 1


@dataclass(frozen=True)
class NonCentralChi(_Magnitude):
    """Root of the sum of squares over `coils` complex channels with the same noise level."""

    coils: int = field(metadata=number("the number of coils", lowest=1, whole=True, ranges=False))
    family: ClassVar[str] = "noncentral-chi"
    label: ClassVar[str] = "Non-central χ"
    examples: ClassVar[tuple[str, ...]] = ("noncentral-chi:10/255,4",)

    @property
    def _coils(self) -> int:
        return self.coils


def level_of(deviation: np.ndarray, means: np.ndarray) -> np.ndarray:
    """σ of the complex noise behind Rician magnitudes, from their rms deviation and their means.

    deviation : ``(…)``, of several magnitudes together; means : ``(n, …)``, of each of them. The
    result has the deviation's shape. It is Koay and Basser's fixed point, and is poorly determined
    where all means are at the noise floor.
    """
    dark = 1 - math.pi / 4  # variance at no signal, in units of 2σ²
    sigma = np.asarray(deviation, np.float64)
    highest = sigma / math.sqrt(2 * dark)
    for _ in range(_ROUNDS):
        unit = np.where(sigma > 0, sigma, 1.0)
        amplitude = Rician(1.0).unbias(np.asarray(means, np.float64) / unit)
        sigma = np.minimum(deviation / np.sqrt(_variance(amplitude, 1).mean(0)), highest)
    return sigma


def _length(s: torch.Tensor, parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """The magnitude of state `s` with noise in every part."""
    squares = (s + parts[0]).square()
    for n in parts[1:]:
        squares = squares + n.square()
    return squares.sqrt()


@functools.lru_cache(maxsize=8)
def _table(coils: int) -> tuple[np.ndarray, np.ndarray]:
    """Signal-to-noise ratios, and the magnitude's variance at each in units of σ².

    The mean is √2·Γ(L + ½)/Γ(L)·₁F₁(−½; L; −SNR²/2), in units of σ. It is smooth but slow to
    compute; linear interpolation between 4096 nodes is accurate to 1e-6.
    """
    from scipy.special import gammaln, hyp1f1

    snr = np.sinh(np.linspace(0, math.asinh(_HIGHEST_SNR), 4096))
    at_zero = math.sqrt(2) * math.exp(gammaln(coils + 0.5) - gammaln(coils))
    mean = at_zero * hyp1f1(-0.5, coils, -(snr**2) / 2)
    return snr, snr**2 + 2 * coils - mean**2


def _variance(snr: np.ndarray, coils: int) -> np.ndarray:
    return np.interp(snr, *_table(coils))


def _mean(snr: np.ndarray, coils: int) -> np.ndarray:
    return np.sqrt(snr**2 + 2 * coils - _variance(snr, coils))


def _apply(function: Callable[[np.ndarray], np.ndarray], x: Any) -> Any:
    """Apply a NumPy function to a number, an array or a tensor; returns the same type."""
    if hasattr(x, "detach"):  # a tensor on any device
        import torch

        return torch.as_tensor(function(x.detach().cpu().double().numpy())).to(x)
    result = function(np.asarray(x, np.float64))
    if hasattr(x, "dtype"):
        return result.astype(x.dtype)
    return result if np.ndim(result) else float(result)
