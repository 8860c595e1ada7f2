"""Result types: what was measured, what a method returns, and the result for a record."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hush.comparison import Check
from hush.noise.field import Field, Grid, Window
from hush.noise.lines import Lines
from hush.noise.processes import Correlated, Gaussian, Process
from hush.noise.spectrum import Octaves
from hush.record import Record
from hush.titles import by_title

MANY = 0.015  #: share of impulses from which on they are the noise's family
BEYOND = 4.0  #: limit for the ratio of the measured variance to the law's, either way
QUARTERS = 4  #: parts of the photon transfer curve, by brightness, that its law must fit alike
#: ratio between two quarters of what is measured to what the law says, in deviations, from which
#: on the curve misses its law, and by how many standard errors. Of 612 white noises of the right
#: law on photographs two do; of six OCT pictures, whose display is a logarithm, the five white ones
MISSED, SURE = 1.1, 3.0


@dataclass(frozen=True)
class Estimate:
    """The measured noise; levels in units of full range 1.

    process : Gaussian, Poisson, Poisson–Gaussian, Gamma or Rician; without correlation and
        impulses, and with its mean level if this varies from place to place.
    sigma : rms standard deviation of the noise over the image, including quantisation; for Rician
        noise that of the real and the imaginary part.
    impulses : share of values that are impulses, in addition to the noise of the rest; hits : the
        number of pixels with one, in any channel.
    correlated : whether the noise is correlated between pixels.
    autocorrelation : of the noise, at lags of 1 to 7 pixels; empty unless `correlated`.
    near : its lag-1 autocorrelation along each axis, NaN if unknown; empty if it was not measured
        per axis.
    kernel_width : standard deviation, in pixels, of the Gaussian kernel that blurred the
        correlated part; NaN for white noise, and if it is not known.
    spectrum : of correlated noise, its density per octave, if it is known.
    counted : whether single counts are seen, which makes the law certain.
    network : measured by a method's network, because the statistics ended (`Denoiser.reviewed`).
    compressed : found from how the file was compressed, which statistics and networks do not know.
    left : level of coarse noise that it saw in a picture that was smoothed before; this is left in,
        and not part of `sigma`.
    clipped : share of pixels at the clipping levels.
    channels : `sigma` of each channel.
    amplitude : rms of the values about their mean, signal and noise; 0 if it was not measured.
    uncertainty : relative standard error of `sigma`, including structure mistaken for noise.
    curve : the photon transfer curve: (signal, measured variance, variance by the family's law).
    curve_errors : standard errors of its measured variances, relative to the law's; empty if they
        are not known.
    alternatives : one-parameter families that the data cannot distinguish from `family`.
    field : how the variance varies from place to place, relative to its mean; None if it does not.
    regression : of noise that is correlated along one axis only, the coefficient by which a value
        follows the one before it, down and across, one of them 0; empty for other noise.
    lines : offsets of rows or columns and hum, in addition to the noise; None if there are none.
    """

    process: Process
    sigma: float
    impulses: float = 0.0
    hits: int = 0
    correlated: bool = False
    autocorrelation: tuple[float, ...] = ()
    near: tuple[float, ...] = ()
    kernel_width: float = math.nan
    spectrum: Octaves | None = None
    counted: bool = False
    network: bool = False
    compressed: bool = False
    left: float = 0.0
    clipped: float = 0.0
    channels: tuple[float, ...] = ()
    amplitude: float = 0.0
    uncertainty: float = 0.0
    curve: tuple[tuple[float, float, float], ...] = ()
    curve_errors: tuple[float, ...] = ()
    alternatives: tuple[str, ...] = ()
    field: Field | Grid | Window | None = None
    regression: tuple[float, ...] = ()
    lines: Lines | None = None

    @property
    def local(self) -> Process:
        """`process`, with a map of levels ``(1, H, W)`` if it varies from place to place."""
        return self.process if self.field is None else self.process.scaled(self.field.map())

    def each(self, ndim: int) -> Process:
        """`local` over `ndim` axes of space, with the level of each channel if these differ."""
        own = np.array(self.channels)
        one = self.process.terms == (0,) and self.process.white and not self.process.complex
        if not one or not self.sigma or len(own) < 2 or np.ptp(own) == 0:
            return self.local
        return self.local.scaled(np.square(own / self.sigma).reshape(-1, *[1] * ndim))

    @property
    def unevenness(self) -> np.ndarray:
        """The deviation in every place ``(1, H, W)``, relative to the mean; 1 if it is even."""
        return np.ones((), np.float32) if self.field is None else np.sqrt(self.field.map())

    @property
    def uniform(self) -> Estimate:
        """The same noise with its mean level everywhere."""
        return self if self.field is None else dataclasses.replace(self, field=None)

    def on(self, shape: Sequence[int]) -> Estimate:
        """The noise of the same picture on another grid ``(H, W)``."""
        field, lines = self.field and self.field.on(shape), self.lines and self.lines.on(shape)
        if field is self.field and lines is self.lines:
            return self
        return dataclasses.replace(self, field=field, lines=lines)

    @property
    def sigma_range(self) -> tuple[float, float] | None:
        """The lowest and highest `sigma` of all places; None if it does not vary."""
        if self.field is None:
            return None
        low, high = self.field.range
        return self.sigma * low, self.sigma * high

    @property
    def prominence(self) -> float:
        """`sigma` relative to `amplitude`, if that was measured: items may have unlike units."""
        return self.sigma / self.amplitude if self.amplitude else self.sigma

    @property
    def family(self) -> str:
        """The process's family; ``impulse`` if there are many impulses, or nothing else."""
        most = self.impulses >= MANY or (self.impulses > 0 and self.sigma == 0)
        return "impulse" if most else self.process.family

    @property
    def gain(self) -> float:
        """The gain in the variance ``gain·(x − offset) + read_sigma²``; 0 if there is none.

        For maps this is the mean, and so are `read_sigma`, `offset` and `shape`.
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
        """The shape of Gamma noise, with variance ``x²/shape``; infinite for others."""
        return float(np.mean(getattr(self.process, "shape", math.inf)))

    def law(self, ndim: int = 2) -> Process:
        """`local` with the measured spectrum, over `ndim` axes of space."""
        if self.spectrum is None or self.field is not None or not self.process.white:
            return self.local
        return Correlated(self.process, self.spectrum, ndim)

    def moved(self, by: float) -> Estimate:
        """The same noise of signals that are lower by this."""
        curve = tuple((x - by, seen, law) for x, seen, law in self.curve)
        process = self.process.moved(by) or self.process
        return dataclasses.replace(self, process=process, curve=curve)

    def told(self, noise: Process | None, ndim: int = 2) -> Process:
        """The noise as stated, with the measured spectrum if it is white; `law` if none is."""
        if noise is None:
            return self.law(ndim)
        if self.spectrum is None or not noise.white:
            return noise
        return dataclasses.replace(self, process=noise, field=None).law(ndim)

    @property
    def correlation(self) -> float:
        """Lag-1 autocorrelation of the noise; 0 for white noise."""
        return self.autocorrelation[0] if self.autocorrelation else 0.0

    def lags(self, radius: int, ndim: int = 2) -> np.ndarray:
        """Correlation of the noise at lags −radius … radius, ``(2r + 1,)·ndim``, centre 1."""
        white, centre = Gaussian(sigma=self.sigma), (radius,) * ndim
        if not self.correlated:
            return white.autocorrelation(radius, ndim)
        if self.regression:
            at = np.abs(np.arange(-radius, radius + 1))
            axes = [float(r) ** at for r in self.regression]  # 0⁰ is 1
            return np.multiply.outer(*axes)
        if self.spectrum is not None:
            return Correlated(white, self.spectrum, ndim).autocorrelation(radius, ndim)
        half = Correlated(white, self.kernel_width).autocorrelation(radius, ndim)
        next_to_it = (*centre[1:], radius + 1)
        share = min(1.0, 0.5 * self.correlation / half[next_to_it])  # of the blurred part
        lags = 2 * share * half
        lags[centre] = 1
        return lags

    def variance(self, x: np.ndarray) -> np.ndarray:
        """Variance of the noise at clean signal `x`: the family's law, corrected by the photon
        transfer curve. The correction covers noise outside all families, such as multi-coil MR.
        """
        law: np.ndarray = np.asarray(self.local.variance(x))
        points = sorted((x, seen / law) for x, seen, law in self.curve if law > 0)
        if not points:
            return law
        at, ratio = np.array(points).T
        return law * np.interp(x, at, np.clip(ratio, 1 / BEYOND, BEYOND))

    @property
    def missed(self) -> tuple[tuple[float, float], ...]:
        """Where the curve misses its law: (signal, measured over lawful deviation) of each quarter.

        Empty if the quarters agree, within their errors and a factor of `MISSED`. Only of white
        noise: under correlated noise there is more structure, which bends the curve as well.
        """
        if self.correlated or len(self.curve_errors) != len(self.curve) or not self.curve:
            return ()
        signal, seen, law = np.array(self.curve).T
        weights = 1 / np.square(self.curve_errors)
        parts = np.array_split(np.argsort(signal), QUARTERS)
        if min(map(len, parts)) == 0 or law.min() <= 0:
            return ()
        ratio = np.array([np.average((seen / law)[p], weights=weights[p]) for p in parts])
        error = np.array([weights[p].sum() ** -0.5 for p in parts])
        if ratio.min() <= 0:
            return ()
        level, error = np.log(ratio) / 2, error / ratio / 2  # of the deviation's logarithm
        apart = level[:, None] - level - SURE * np.hypot(error[:, None], error)
        if apart.max() <= math.log(MISSED):
            return ()
        at = [float(np.average(signal[p], weights=weights[p])) for p in parts]
        return tuple(zip(at, np.exp(level).tolist(), strict=True))

    def misses(self, given: Process | None) -> bool:
        """Whether the curve misses its law, or one that the user gave and that is bent alike."""
        return bool(self.missed) and (given is None or given.terms == self.process.terms)

    @property
    def undecided(self) -> bool:
        """Whether the data fit several families."""
        return bool(self.alternatives)


@dataclass
class Restoration:
    """The result of a method for one item ``(C, *S)``, in units of full range.

    data : the denoised item; the input itself if the method selects elements.
    kept : if the method selects elements along the last axis, those it keeps, bool; probability :
        of each element to belong to the set, float; NaN if it was not judged.
    found : the noise as the method measured it, if that is better than the kind's measurement.
    replaced : where `data` has nothing of the input's value, bool like it; None if nowhere.
    taken : what was subtracted before `process` was removed, such as stripes, like `data`; None if
        nothing was.
    said : warnings of the method, one or two sentences each.
    process : the noise model used.
    step : MID's relative step in [0, 1], if the method has one; trace : one entry per step of an
        iteration.
    spread : if the method draws samples, the standard deviation between draws of each value,
        float32 ``(C, *S)``, on request (`Denoiser.with_spread`).
    """

    data: np.ndarray
    process: Process | None = None
    step: float | None = None
    trace: list[dict[str, Any]] = field(default_factory=list)
    spread: np.ndarray | None = None
    kept: np.ndarray | None = None
    probability: np.ndarray | None = None
    found: Estimate | None = None
    replaced: np.ndarray | None = None
    taken: np.ndarray | None = None
    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """Whether the residual looks like noise.

    stats : plain numbers, levels in units of full range 1; at least ``n``, ``mean``, ``rms``,
        ``expected_rms``, ``ratio`` and ``autocorrelation``.
    warnings : one or two sentences each.
    verdict : the reason why there are no warnings, in figures.
    """

    stats: Mapping[str, Any]
    warnings: tuple[str, ...]
    verdict: str


@dataclass(frozen=True)
class Item:
    """The result for one item of a record; levels in units of full range 1.

    index : of the plane in the batch; channel : in that plane, if channels are separate items.
    found : its noise, measured once before denoising.
    process : the noise that was removed; if it was measured, with its mean level (`found.local` has
        the level in every place).
    step : MID's estimate t/T; trace : for each step, the level before it and the rms removed.
    advice : warnings about the noisy item.
    kept : of a method that selects, which elements along the last axis are left, bool;
        probability : of each to belong to the set.
    title : its name in sentences, such as that of a channel; unit : of its values. Both may be
        empty.
    check : what two halves of it tell, if they were compared.
    law : the number of the law of noise that it shares with other items of its channel, from 1 on;
        0 if it was measured alone, None if all items are.
    """

    index: int
    channel: int | None
    found: Estimate
    process: Process
    judgement: Judgement
    step: float | None = None
    trace: tuple[Mapping[str, Any], ...] = ()
    advice: tuple[str, ...] = ()
    kept: np.ndarray | None = None
    probability: np.ndarray | None = None
    title: str = ""
    unit: str = ""
    check: Check | None = None
    law: int | None = None

    def moved(self, by: float) -> Item:
        """The same with laws of signals that are lower by this."""
        process = self.process.moved(by) or self.process
        return dataclasses.replace(self, found=self.found.moved(by), process=process)

    @property
    def warnings(self) -> list[str]:
        """Warnings about the item and its result, the causes first."""
        return [*self.advice, *self.judgement.warnings]


@dataclass
class Denoised:
    """A denoised record with its measurements and warnings.

    items : one for each plane, or for each channel if channels are denoised separately.
    spread : float32 record with the layout and units of the noisy one, if requested.
    given : the user stated the noise; it was not measured.
    drawn : the spread is between samples of the method; else it is the error's (`hush.check`).
    notes : sentences about the file that was read, and about the one that was written.
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
    drawn: bool = True
    notes: list[str] = field(default_factory=list)

    @property
    def noisiest(self) -> Item:
        """The item with the most noise, which the summary describes."""
        return noisiest(self.items)

    @property
    def estimate(self) -> Estimate:
        """The measured noise of the noisiest item."""
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
        """The steps taken for the noisiest item."""
        return self.noisiest.trace

    @property
    def laws(self) -> list[tuple[int, int]]:
        """The channel and the law (`Item.law`) of each item of a series; else empty."""
        return [(i.channel or 0, i.law) for i in self.items if i.law is not None]

    @property
    def residual(self) -> Mapping[str, Any]:
        """Statistics of what was removed from the noisiest item."""
        return self.noisiest.judgement.stats

    @property
    def verdict(self) -> str:
        """The reason why the residual looks like noise; empty if there are warnings."""
        return "" if self.warnings else self.noisiest.judgement.verdict

    @property
    def warnings(self) -> list[str]:
        """Notes, warnings about the noisiest item and its result, and how many have others.

        If items have titles, the warnings about all of them, with the titles.
        """
        if any(item.title for item in self.items):
            titled = by_title([(item.title, item.warnings) for item in self.items])
            return [*self.notes, *titled]
        shown = self.noisiest
        others = sum(bool({*item.warnings} - {*shown.warnings}) for item in self.items)
        said = [*self.notes, *shown.warnings]
        if others:
            items = "item has" if others == 1 else "items have"
            too = " too" if shown.warnings else ""
            said.append(f"{others} other {items} warnings{too}; --json lists them under items.")
        return said


def noisiest(items: Sequence[Item]) -> Item:
    """The item with the most noise, which summaries and pages show."""
    return max(items, key=lambda item: item.found.prominence)


def unmapped(items: Sequence[Item]) -> list[Item]:
    """Items with the maps of the noisiest one only: those of a stack would fill the memory."""
    shown = noisiest(items)
    return [
        item
        if item is shown or item.check is None or item.check.deviation is None
        else dataclasses.replace(
            item, check=dataclasses.replace(item.check, invented=None, deviation=None)
        )
        for item in items
    ]


@dataclass(frozen=True)
class Survey:
    """What was found in all items of a record together.

    facts : labels and values for people; warnings : with the items' titles.
    items : of every item, what was found in it as plain values, levels in the data's own units.
    """

    facts: Sequence[tuple[str, str]]
    warnings: Sequence[str]
    items: Sequence[Mapping[str, Any]]


@dataclass
class Inspection:
    """The noise in a record, and how hush would denoise it; levels in units of full range 1.

    index, channel : the item that was measured, as in `Item`; step : Ψ's estimate t/T in [0, 1],
    if the method has one; survey : what was found in all items, if the kind of data has one; unit :
    of the item's values, if known; laws : of the items that were measured, `Denoised.laws`.
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
    survey: Survey | None = None
    unit: str = ""
    laws: Sequence[tuple[int, int]] = ()
