"""What is handed on: what was measured, what a method gives back, and what came of a record."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hush.noise.processes import Correlated, Gaussian, Process
from hush.record import Record

BEYOND = 4.0  #: times a law's variance that a measured one is believed to differ, either way


@dataclass(frozen=True)
class Estimate:
    """What the noise looks like; levels in units of full range 1.

    process : the noise as a ladder, Gaussian, Poisson, Poisson–Gaussian, Gamma or Rician;
        correlation and impulses are not in it.
    sigma : rms standard deviation of the noise over the image, quantisation included; of
        Rician noise that of the real and the imaginary part.
    impulses : share of pixels whose value was replaced, on top of the noise of the rest.
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

    process: Process
    sigma: float
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
    def family(self) -> str:
        """The process's family; ``impulse`` where there are impulses on top of it."""
        return "impulse" if self.impulses > 0 else self.process.family

    @property
    def gain(self) -> float:
        """Of noise of variance ``gain·(x − offset) + read_sigma²``; 0 where there is none.

        The mean, as of `read_sigma`, `offset` and `shape`, where it varies from place to place.
        """
        return float(np.mean(getattr(self.process, "gain", 0.0)))

    @property
    def read_sigma(self) -> float:
        return float(np.mean(getattr(self.process, "sigma", 0.0)))

    @property
    def offset(self) -> float:
        return float(np.mean(getattr(self.process, "offset", 0.0)))

    @property
    def shape(self) -> float:
        """Of Gamma noise, where the variance is ``x²/shape``; infinite for others."""
        return float(np.mean(getattr(self.process, "shape", math.inf)))

    @property
    def correlation(self) -> float:
        """Lag-1 autocorrelation of the noise; 0 for white noise."""
        return self.autocorrelation[0] if self.autocorrelation else 0.0

    def lags(self, radius: int, ndim: int = 2) -> np.ndarray:
        """Correlation of the noise at lags −radius … radius, ``(2r + 1,)·ndim``, centre 1."""
        white, centre = Gaussian(sigma=self.sigma), (radius,) * ndim
        if not self.correlated:
            return white.autocorrelation(radius, ndim)
        half = Correlated(white, self.kernel_width).autocorrelation(radius, ndim)
        next_to_it = (*centre[1:], radius + 1)
        share = min(1.0, 0.5 * self.correlation / half[next_to_it])  # of what is blurred
        lags = 2 * share * half
        lags[centre] = 1
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


@dataclass
class Restoration:
    """What a method gives back for one item ``(C, *S)``, in units of full range.

    data : the denoised item; of a method that selects, the input itself.
    kept : of a method that selects elements along the last axis, which it keeps, bool.
    process : the noise it was taken to have.
    step : MID's relative step in [0, 1], where a method has one; trace : one entry per step of an
        iteration.
    spread : of a method that draws at random, the standard deviation from draw to draw of each
        value, float32 ``(C, *S)``, if it was asked for (`Denoiser.with_spread`).
    """

    data: np.ndarray
    process: Process | None = None
    step: float | None = None
    trace: list[dict[str, Any]] = field(default_factory=list)
    spread: np.ndarray | None = None
    kept: np.ndarray | None = None


@dataclass(frozen=True)
class Judgement:
    """Whether what was removed looks like noise.

    stats : plain numbers, levels in units of full range 1; at least ``n``, ``mean``, ``rms``,
        ``expected_rms``, ``ratio`` and ``autocorrelation``.
    warnings : what is wrong, a sentence or two each.
    verdict : why there is nothing to warn of, in figures.
    """

    stats: Mapping[str, Any]
    warnings: tuple[str, ...]
    verdict: str


@dataclass(frozen=True)
class Item:
    """How one item of a record came out; levels in units of full range 1.

    index : of the plane in the batch; channel : in it, where channels are items of their own.
    found : what was measured of its noise, once, before anything else.
    process : the noise that was removed.
    step : MID's estimate t/T; trace : for each of its steps, the level before it and the rms
        removed.
    advice : what to know of the noisy item.
    """

    index: int
    channel: int | None
    found: Estimate
    process: Process
    judgement: Judgement
    step: float | None = None
    trace: tuple[Mapping[str, Any], ...] = ()
    advice: tuple[str, ...] = ()

    @property
    def warnings(self) -> list[str]:
        """What to know of the item and its result, the causes first."""
        return [*self.advice, *self.judgement.warnings]


@dataclass
class Denoised:
    """A denoised record and how it came about.

    items : one for each plane, or each channel that is denoised by itself.
    spread : float32 record laid out like the noisy one, in its units, if it was asked for.
    given : the noise was stated, not measured.
    adapted : adapting the model to the file was tried before.
    """

    record: Record
    noisy: Record
    items: Sequence[Item]
    method: str
    model: str
    steps: int
    strength: float = 1.0
    given: bool = False
    timings: dict[str, float] = field(default_factory=dict)
    spread: Record | None = None

    @property
    def noisiest(self) -> Item:
        """The item with the most noise, which the summary speaks of."""
        return max(self.items, key=lambda item: item.found.sigma)

    @property
    def estimate(self) -> Estimate:
        """What was measured of the noisiest item."""
        return self.noisiest.found

    @property
    def process(self) -> Process:
        """The noise that was removed from the noisiest item."""
        return self.noisiest.process

    @property
    def step(self) -> float | None:
        """MID's estimate t/T of the noisiest item."""
        return self.noisiest.step

    @property
    def trace(self) -> tuple[Mapping[str, Any], ...]:
        """The steps that the noisiest item went through."""
        return self.noisiest.trace

    @property
    def residual(self) -> Mapping[str, Any]:
        """What was removed from the noisiest item, in figures."""
        return self.noisiest.judgement.stats

    @property
    def verdict(self) -> str:
        """Why what was removed looks like noise; empty where there are warnings."""
        return "" if self.warnings else self.noisiest.judgement.verdict

    @property
    def warnings(self) -> list[str]:
        """What to know of the noisiest item and its result, and how many others have warnings."""
        shown = self.noisiest
        others = sum(bool(item.warnings) for item in self.items if item is not shown)
        said = list(shown.warnings)
        if others:
            said.append(
                f"{others} of the other {len(self.items) - 1} items have warnings too; "
                "--json lists them under items."
            )
        return said


@dataclass
class Inspection:
    """The noise in a record, and what denoising it would do; levels in units of full range 1.

    index, channel : the item that was looked at, as in `Item`; step : Ψ's estimate t/T, in
    [0, 1], where the method has one.
    """

    record: Record
    index: int
    channel: int | None
    estimate: Estimate
    method: str
    model: str
    steps: int
    step: float | None = None
    warnings: list[str] = field(default_factory=list)
