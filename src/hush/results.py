"""What is handed on: what was measured, what a method gives back, and what came of a record."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hush.noise.correlated import Correlated
from hush.noise.processes import Gamma, Gaussian, Poisson, PoissonGaussian, Process, Rician
from hush.record import Record

BEYOND = 4.0  #: times a law's variance that a measured one is believed to differ, either way


@dataclass(frozen=True)
class Estimate:
    """What the noise looks like; levels in units of full range 1.

    family : ``gaussian``, ``poisson``, ``poisson-gaussian``, ``gamma`` (multiplicative),
        ``rician``, or ``impulse``: impulses on top of what the levels tell.
    sigma : rms standard deviation of the noise over the image, quantisation included; of
        Rician noise that of the real and the imaginary part.
    gain, read_sigma, offset : variance is ``gain·(x − offset) + read_sigma²``.
    shape : of Gamma noise, where the variance is ``x²/shape``; infinite for others.
    impulses : share of pixels whose value was replaced; 0 unless the family is ``impulse``.
    correlated : the noise is not independent from pixel to pixel.
    autocorrelation : of the noise, at lags of 1 to 7 pixels; empty unless `correlated`.
    kernel_width : standard deviation, in pixels, of the Gaussian kernel that blurred its
        correlated part; nan for white noise.
    clipped : share of pixels at a level where values pile up.
    channels : `sigma` of each channel.
    uncertainty : relative standard error of `sigma`, structure taken for noise included.
    curve : the photon transfer curve: (signal, variance measured, variance by the family's law).
    alternatives : families of one parameter that the data do not tell from `family`.
    """

    family: str
    sigma: float
    gain: float = 0.0
    read_sigma: float = 0.0
    offset: float = 0.0
    shape: float = math.inf
    impulses: float = 0.0
    correlated: bool = False
    autocorrelation: tuple[float, ...] = ()
    kernel_width: float = math.nan
    clipped: float = 0.0
    channels: tuple[float, ...] = ()
    uncertainty: float = 0.0
    curve: tuple[tuple[float, float, float], ...] = ()
    alternatives: tuple[str, ...] = ()

    @property
    def correlation(self) -> float:
        """Lag-1 autocorrelation of the noise; 0 for white noise."""
        return self.autocorrelation[0] if self.autocorrelation else 0.0

    def lags(self, radius: int) -> np.ndarray:
        """Correlation of the noise at lags −radius … radius, ``(2r + 1, 2r + 1)``, centre 1."""
        white = Gaussian(sigma=self.sigma)
        if not self.correlated:
            return white.autocorrelation(radius)
        half = Correlated(white, self.kernel_width).autocorrelation(radius)
        share = min(1.0, 0.5 * self.correlation / half[radius, radius + 1])  # of what is blurred
        lags = 2 * share * half
        lags[radius, radius] = 1
        return lags

    def variance(self, x: np.ndarray) -> np.ndarray:
        """Variance of the noise at clean signal `x`: the family's law, and what the photon
        transfer curve shows beyond it. Magnitudes of several MR coils, say, follow no law here.
        """
        law: np.ndarray = np.asarray(self.process.variance(x))
        points = sorted((x, seen / law) for x, seen, law in self.curve if law > 0)
        if not points:
            return law
        at, ratio = np.array(points).T
        return law * np.interp(x, at, np.clip(ratio, 1 / BEYOND, BEYOND))

    @property
    def undecided(self) -> bool:
        """The data do not decide between families."""
        return bool(self.alternatives)

    @property
    def process(self) -> Process:
        """The noise as a ladder; correlation and impulses are not in it."""
        if self.family == "gamma":
            return Gamma(shape=self.shape)
        if self.family == "rician":
            return Rician(sigma=self.sigma)
        if self.family == "poisson":
            return Poisson(peak=1 / self.gain)
        if self.gain > 0:
            return PoissonGaussian(gain=self.gain, sigma=self.read_sigma, offset=self.offset)
        return Gaussian(sigma=self.sigma)


@dataclass
class Restoration:
    """What a method gives back for one image ``(C, H, W)``, in units of full range.

    data : the denoised image; process : the noise it was taken to have; step : MID's relative
    step in [0, 1], where a method has one; trace : one entry per step of an iteration; found : what
    was estimated of the noise, if that was asked for; spread : of a method that draws at random,
    the standard deviation from draw to draw at each pixel, float32 ``(C, H, W)``, if it was asked
    for (`Denoiser.with_spread`).
    """

    data: np.ndarray
    process: Process | None = None
    step: float | None = None
    trace: list[dict[str, Any]] = field(default_factory=list)
    found: Estimate | None = None
    spread: np.ndarray | None = None


@dataclass
class Result:
    """A denoised record and how it came about.

    Levels are in units of full range 1. `step` is MID's estimate t/T; `trace` has, for each
    step of the first plane, the level before it and the rms removed. `spread`, if it was asked
    for, is a float32 record laid out like the noisy one, in its units.
    """

    record: Record
    noisy: Record
    estimate: Estimate
    process: Process
    method: str
    model: str
    steps: int
    step: float | None = None
    trace: list[dict[str, Any]] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    residual: dict[str, Any] = field(default_factory=dict)
    spread: Record | None = None


@dataclass
class Inspection:
    """The noise in a record, and what denoising it would do; levels in units of full range 1.

    `step` is Ψ's estimate t/T, in [0, 1].
    """

    record: Record
    estimate: Estimate
    method: str
    model: str
    steps: int
    step: float
    warnings: list[str] = field(default_factory=list)
