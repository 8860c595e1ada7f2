r"""Which noise is this? Family, level and spatial correlation from the noisy image alone.

Everything is read off the DCT of 8×8 blocks, in three steps.

**Level.** In a block of white noise all 64 coefficients share one variance; structure adds to
the low frequencies first. Blocks are therefore *chosen* by their low frequencies and
*measured* by their high ones: the two are independent, so that choosing the flattest blocks
biases nothing (Ponomarenko et al. 2007; Colom and Buades 2013).

**Family.** Variance against mean over the chosen blocks, the photon transfer curve, is a line
:math:`v(x) = a\,x + b` (Foi et al. 2008). It is fitted through the curve that clipping bends
it into (Foi 2009). The family is the simplest of constant, proportional and affine whose χ²
is within `REJECT` of the affine one's, χ² being scaled to the affine misfit; where constant
and proportional both are, the data do not decide.

**Correlation.** The mean spectrum of the flattest blocks is fitted, all amplitudes
non-negative, by white noise, noise blurred with a Gaussian kernel, and structure falling as
:math:`1/f^2` and :math:`1/f^4`. To call noise correlated the blurred part must matter, must
explain what the rest cannot, and must be the same in flat and in less flat blocks: noise is
everywhere, structure is not. The level is then measured, and the blocks chosen, where that
noise is: by two interleaved halves of the low frequencies.

What cannot be told apart: a picture that is one fine, even texture all over (a lawn) is noise
to this method, and more so the weaker its noise.

References
----------
N. Ponomarenko, V. Lukin, M. Zriakhov, A. Kaarna, J. Astola, "An automatic approach to lossy
compression of AVIRIS images", IGARSS 2007.
M. Colom, A. Buades, "Analysis and extension of the Ponomarenko et al. method, estimating a
noise curve from a single image", Image Processing On Line 3, 2013.
A. Foi, M. Trimeche, V. Katkovnik, K. Egiazarian, "Practical Poissonian-Gaussian noise modeling
and fitting for single-image raw-data", IEEE Trans. Image Processing 17(10), 2008.
A. Foi, "Clipped noisy images: heteroskedastic modeling and practical denoising", Signal
Processing 89(12), 2009.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.optimize import nnls
from scipy.special import ndtr

from hush.errors import HushError
from hush.noise.processes import Gaussian, Poisson, PoissonGaussian, Process

SIZE = 8  #: side of a block
MOST_BLOCKS = 65536  #: all that are looked at, however large the image
BINS = 24  #: points on the photon transfer curve
FLAT = 1.3  #: low-frequency energy, relative to the noise's, up to which a block is flat
FEWEST = 12  #: blocks used for a point even where none is flat
SYSTEMATIC = 0.02  #: relative error of a point beyond its statistical one
REJECT = 10.0  #: rise of χ² at which the simpler family is rejected
REJECT_CORRELATED = 30.0  #: the same where noise is measured among structure
ENOUGH = 1000  #: blocks (overlapping) that it takes to tell correlated noise from white
FLATTEST = (0.01, 0.03, 0.1)  #: shares of the blocks whose spectra are compared

_ROWS, _COLS = (i.ravel() for i in np.indices((SIZE, SIZE)))
_HIGH = _ROWS + _COLS >= 10
_LOW = (_ROWS + _COLS >= 1) & ~_HIGH
_EVEN = _LOW & (_ROWS % 2 == _COLS % 2)  # the low ones in two halves, each the other's judge
_ODD = _LOW & ~_EVEN
_BAND = _EVEN & (_ROWS + _COLS >= 4)  # where correlated noise is measured
_DCT = np.cos(np.pi / SIZE * np.outer(np.arange(SIZE), np.arange(SIZE) + 0.5))  # type II
_DCT /= np.linalg.norm(_DCT, axis=1, keepdims=True)


@dataclass(frozen=True)
class Estimate:
    """What the noise looks like; levels in units of full range 1.

    family : ``gaussian``, ``poisson`` or ``poisson-gaussian``.
    sigma : rms standard deviation of the noise over the image, quantisation included.
    gain, read_sigma, offset : variance is ``gain·(x − offset) + read_sigma²``.
    correlated : the noise is not independent from pixel to pixel.
    correlation : lag-1 autocorrelation of the noise; 0 unless `correlated`.
    kernel_width : standard deviation, in pixels, of the Gaussian kernel that blurred its
        correlated part; nan for white noise.
    clipped : share of pixels at a level where values pile up.
    channels : `sigma` of each channel.
    uncertainty : relative standard error of `sigma`, structure taken for noise included.
    undecided : the data do not tell the constant from the proportional family.
    """

    family: str
    sigma: float
    gain: float = 0.0
    read_sigma: float = 0.0
    offset: float = 0.0
    correlated: bool = False
    correlation: float = 0.0
    kernel_width: float = math.nan
    clipped: float = 0.0
    channels: tuple[float, ...] = ()
    uncertainty: float = 0.0
    undecided: bool = False

    @property
    def process(self) -> Process:
        """The noise as a ladder; its level is the whole one, its correlation is not in it."""
        if self.family == "gaussian":
            return Gaussian(sigma=self.sigma)
        if self.family == "poisson":
            return Poisson(peak=1 / self.gain)
        return PoissonGaussian(gain=self.gain, sigma=self.read_sigma, offset=self.offset)


def estimate(x: np.ndarray | Sequence[np.ndarray]) -> Estimate:
    """The noise of one image, or the one noise of several pooled.

    Parameters
    ----------
    x : float array ``(C, H, W)`` in units of full range 1, or a list of such with the same C.
        Pixels that are not finite are left out. A constant image has Gaussian noise of level 0.

    Raises
    ------
    HushError : no 8×8 block of finite pixels is left.
    """
    images = [x] if isinstance(x, np.ndarray) else list(x)
    if not images or any(i.ndim != 3 or len(i) != len(images[0]) for i in images):
        raise HushError("noise is estimated from images (C, H, W) of one number of channels")
    blocks, sample, low, high = _gather(images)
    finite = np.isfinite(sample)
    clipped = float(((sample == low) | (sample == high)).sum() / finite.sum())
    parts = [blocks.take(blocks.channel == c) for c in range(len(sample))]
    live = [p for p in parts if p.high.any()]
    if not live:
        return Estimate("gaussian", 0.0, clipped=clipped, channels=(0.0,) * len(sample))

    # One channel, one vote: channels may differ in level, and one may be empty.
    spectra = [_spectrum(p, _fit_curve(p, low, high), low, high) for p in live]
    votes = [s for s in spectra if s.correlated]
    correlated = 2 * len(votes) > len(spectra)
    if correlated:
        shape = np.mean([s.shape for s in votes], axis=0)
        blocks, spectra = blocks.seen_through(shape), votes
        parts = [p.seen_through(shape) for p in parts]
    reject = REJECT_CORRELATED if correlated else REJECT
    family, undecided = _family(_fit_curve(blocks, low, high), reject)
    curve = _fit_curve(blocks, low, high, family)
    if curve.slope <= 0:
        family = "gaussian"
    factor = _spectrum(blocks, curve, low, high).variance if correlated else 1.0

    signal = np.where(finite, sample, 0).sum(axis=1) / np.maximum(finite.sum(axis=1), 1)
    variances = np.zeros(len(sample))
    for c, part in enumerate(parts):
        if part.high.any():
            line = _fit_curve(part, low, high, family)
            variances[c] = factor * max(line.slope * signal[c] + line.level, 0.0)
            typical = float(np.median(line.variance))
            if correlated and variances[c] < 0.4 * typical:
                variances[c] = typical  # no line holds, as in cameras' JPEGs
    sigma = math.sqrt(variances.mean())
    gain, level = factor * curve.slope, factor * curve.level
    error = curve.error(float(signal.mean())), float(np.mean([s.error for s in spectra]))
    return Estimate(
        family,
        sigma,
        gain=gain,
        read_sigma=sigma if family == "gaussian" else math.sqrt(max(level, 0.0)),
        offset=-level / gain if gain > 0 and level < 0 else 0.0,
        correlated=correlated,
        correlation=float(np.mean([s.correlation for s in votes])) if correlated else 0.0,
        kernel_width=float(np.mean([s.kernel for s in votes])) if correlated else math.nan,
        clipped=clipped,
        channels=tuple(np.sqrt(variances).tolist()),
        uncertainty=math.hypot(*error),
        undecided=undecided,
    )


@dataclass(frozen=True)
class _Blocks:
    """Blocks, one row each; they are chosen by `low` and measured by `high`."""

    energy: np.ndarray  # (n, 64) squared DCT coefficients
    mean: np.ndarray
    low: np.ndarray  # mean energy of the low frequencies
    high: np.ndarray  # and of the high ones
    channel: np.ndarray

    def take(self, which: np.ndarray) -> _Blocks:
        return _Blocks(*(values[which] for values in vars(self).values()))

    def seen_through(self, shape: np.ndarray) -> _Blocks:
        """Chosen and measured where noise of this spectrum is, in units of its variance."""
        energy = self.energy / shape.astype(np.float32)
        return replace(self, low=energy[:, _ODD].mean(axis=1), high=energy[:, _BAND].mean(axis=1))


def _gather(images: Sequence[np.ndarray]) -> tuple[_Blocks, np.ndarray, float, float]:
    """Blocks on a regular grid, a sample ``(C, n)`` of the pixels, and the clipping levels."""
    rows, channel, sample = [], [], []
    for image in images:
        # Odd steps meet all phases of JPEG's 8×8 grid and of a colour filter's 2×2.
        step = 1
        while image[:, : 1 - SIZE : step, : 1 - SIZE : step].size > MOST_BLOCKS / len(images):
            step += 2
        sample.append(image[:, ::step, ::step].reshape(len(image), -1))
        if min(image.shape[1:]) >= SIZE:
            windows = sliding_window_view(image, (SIZE, SIZE), axis=(1, 2))[:, ::step, ::step]
            flat = windows.reshape(-1, SIZE**2).astype(np.float32)
            finite = np.isfinite(flat).all(axis=1)
            rows.append(flat[finite])
            channel.append(np.repeat(np.arange(len(image)), len(flat) // len(image))[finite])
    if sum(map(len, rows)) == 0:
        raise HushError("there is too little to estimate noise from: give 8×8 finite pixels")
    cut, pixels = np.concatenate(rows), np.concatenate(sample, axis=1).astype(np.float32)
    mean = cut.mean(axis=1, dtype=np.float64)
    basis = np.kron(_DCT, _DCT).T.astype(np.float32)
    energy = ((cut - mean[:, None].astype(np.float32)) @ basis) ** 2
    low, high = (energy[:, band].mean(axis=1) for band in (_LOW, _HIGH))
    lowest, highest, dead = _limits(pixels[np.isfinite(pixels)], cut, high)
    blocks = _Blocks(energy, mean, low, high, np.concatenate(channel))
    return blocks.take(~dead), pixels, lowest, highest


def _limits(
    pixels: np.ndarray, rows: np.ndarray, high: np.ndarray
) -> tuple[float, float, np.ndarray]:
    """Levels that values are clipped at, -inf and inf where none, and blocks that tell nothing.

    Values pile up at a limit: three times what the next level holds, or visibly so at full
    range. Counts of few photons pile up at zero too and lose nothing by it: there the variance
    is of the order of one count squared. Constant blocks tell nothing, unless they are most
    of what there is between the extremes: then there is no noise.
    """
    levels, number = np.unique(pixels, return_counts=True)
    first, last = levels[0], levels[-1]
    lowest, highest = -math.inf, math.inf
    if len(levels) > 1:
        share = (rows == first).mean(axis=1)
        partly = (share > 0.05) & (share < 0.5)
        counts = partly.any() and np.median(high[partly]) < 4 * (levels[1] - first) ** 2
        if number[0] > max(10, 3 * number[1]) and not counts:
            lowest = float(first)
        full = last == 1 and number[-1] > 0.001 * len(pixels)
        if number[-1] > max(10, 3 * number[-2]) or full:
            highest = float(last)
    constant = np.ptp(rows, axis=1) == 0
    extreme = constant & ((rows[:, 0] == first) | (rows[:, 0] == last))
    if (constant & ~extreme).sum() > 0.5 * (~extreme).sum():
        return lowest, highest, np.ones(len(rows), dtype=bool)
    at_limit = ((rows == lowest) | (rows == highest)).mean(axis=1) > 0.5
    return lowest, highest, constant | at_limit


@dataclass(frozen=True)
class _Curve:
    """The photon transfer curve: points ``variance ± sd`` at `x`, and the line in them."""

    x: np.ndarray
    variance: np.ndarray
    sd: np.ndarray
    slope: float = 0.0
    level: float = 0.0
    covariance: np.ndarray = field(default_factory=lambda: np.zeros((2, 2)))  # of the two

    def fitted(self, family: str) -> _Curve:
        """With the family's line, by weighted least squares; its slope is not negative."""
        design = np.stack([self.x, np.ones_like(self.x)], axis=1) / self.sd[:, None]
        design[:, {"gaussian": [0], "poisson": [1]}.get(family, [])] = 0
        covariance = np.linalg.pinv(design.T @ design, hermitian=True)
        slope, level = covariance @ (design.T @ (self.variance / self.sd))
        if slope < 0:
            return self.fitted("gaussian")
        return replace(self, slope=float(slope), level=float(level), covariance=covariance)

    def misfit(self) -> float:
        line = self.slope * self.x + self.level
        return float((((self.variance - line) / self.sd) ** 2).sum())

    def error(self, x: float) -> float:
        """Relative standard error of the standard deviation at signal `x`."""
        at = np.array([x, 1.0])
        variance = max(self.slope * x + self.level, float(self.variance.min()), 1e-30)
        return 0.5 * math.sqrt(max(float(at @ self.covariance @ at), 0.0)) / variance


def _fit_curve(
    blocks: _Blocks, low: float, high: float, family: str = "poisson-gaussian"
) -> _Curve:
    """Choose flat blocks and fit the variance of `family` to them, in turns."""
    order = np.argsort(blocks.mean, kind="stable")
    bins = [p for p in np.array_split(order, BINS) if len(p)]
    x = np.array([blocks.mean[p].mean() for p in bins])
    variance = np.array([np.quantile(blocks.high[p], 0.1) for p in bins])
    curve = _Curve(x, variance, variance + 0.05 * variance.mean() + 1e-30).fitted(family)
    for _ in range(8):
        bent = _Bent(curve, low, high, blocks.mean)
        score = blocks.low / bent.variance_at(blocks.mean)
        chosen = [_flattest(p, score) for p in bins]
        mean = np.array([blocks.mean[p].mean() for p in chosen])
        variance = np.array([blocks.high[p].mean() for p in chosen])
        # Blocks overlap: each is worth about a quarter of its coefficients.
        freedom = 0.25 * _HIGH.sum() * np.array([len(p) for p in chosen])
        rough = np.array([max(1.0, score[p].mean()) for p in chosen]) ** 2
        x, straight, unbend = bent.undo(mean)
        sd = straight * rough * np.sqrt(2 / freedom + SYSTEMATIC**2)
        curve = _Curve(x, variance * unbend, sd).fitted(family)
    return curve


def _flattest(part: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Of a part of the blocks those scoring below `FLAT`, or else the lowest few."""
    last = min(FEWEST, len(part)) - 1
    return part[score[part] <= max(FLAT, float(np.partition(score[part], last)[last]))]


class _Bent:
    """What clipping to [low, high] makes of a curve's line: mean and variance (Foi 2009)."""

    def __init__(self, curve: _Curve, low: float, high: float, means: np.ndarray) -> None:
        first, last = float(means.min()), float(means.max())
        spread = math.sqrt(max(curve.slope * last + curve.level, curve.level, 0.0)) + 1e-15
        margin = 0.1 * (last - first) + spread
        self.x = x = np.linspace(first - margin, last + margin, 512)
        variance = curve.slope * x + curve.level
        self.line = np.maximum(variance, SYSTEMATIC * max(variance.mean(), spread**2))
        s = np.sqrt(self.line)
        self.mean, square = x.copy(), self.line.copy()  # E[y] and E[(y − x)²] of the clipped y
        for limit, sign in ((low, 1.0), (high, -1.0)):
            if math.isfinite(limit):
                u = sign * (limit - x) / s  # what lies beyond the limit moves onto it
                beyond, density = ndtr(u), np.exp(-(u**2) / 2) / math.sqrt(2 * math.pi)
                self.mean += sign * s * (u * beyond + density)
                square += self.line * ((u**2 - 1) * beyond + u * density)
        self.variance = np.maximum(square - (self.mean - x) ** 2, 1e-3 * self.line)

    def variance_at(self, mean: np.ndarray) -> np.ndarray:
        """Variance that a block of this observed mean should show, never quite zero."""
        floor = SYSTEMATIC * float(self.variance.mean())
        return np.maximum(np.interp(mean, self.mean, self.variance), floor)

    def undo(self, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Signal behind an observed mean, the line there, and its ratio to what is seen."""
        x = np.interp(mean, self.mean, self.x)
        ratio = np.interp(mean, self.mean, self.line / self.variance)
        return x, np.interp(x, self.x, self.line), np.clip(ratio, 0.5, 3.0)


def _family(curve: _Curve, reject: float) -> tuple[str, bool]:
    """The simplest family that the curve does not reject, and whether two are left."""
    affine = curve.misfit()
    scale = max(1.0, affine / max(len(curve.x) - 2, 1))
    gaussian, poisson = (
        (curve.fitted(name).misfit() - affine) / scale for name in ("gaussian", "poisson")
    )
    if min(gaussian, poisson) > reject:
        return "poisson-gaussian", False
    return "gaussian" if gaussian <= reject else "poisson", max(gaussian, poisson) <= reject


@dataclass(frozen=True)
class _Spectrum:
    """The noise in the spectrum of flat blocks, which is in units of the curve's variance."""

    correlated: bool
    correlation: float  # lag 1
    kernel: float
    variance: float
    shape: np.ndarray  # (64,) its mean 1
    error: float  # relative, of the level, should structure pass for noise


@cache
def _kernels() -> list[tuple[float, float, np.ndarray]]:
    """Kernel widths with the lag-1 autocorrelation and block spectrum of noise they blurred."""
    table = []
    for width in [*np.arange(0.3, 1.0, 0.05), *np.arange(1.0, 2.6, 0.1)]:
        kernel = np.exp(-(np.arange(-12, 13) ** 2) / (2 * width**2))
        lags = np.convolve(kernel, kernel)[24 : 24 + SIZE]
        matrix = lags[np.abs(np.subtract.outer(np.arange(SIZE), np.arange(SIZE)))] / lags[0]
        line = np.einsum("ki,ij,kj->k", _DCT, matrix, _DCT)
        table.append((float(width), float(lags[1] / lags[0]), np.outer(line, line).ravel()))
    return table


def _spectrum(blocks: _Blocks, curve: _Curve, low: float, high: float) -> _Spectrum:
    """Split the spectrum of the flattest blocks into noise, white or blurred, and structure."""
    seen = _Bent(curve, low, high, blocks.mean).variance_at(blocks.mean)
    even, odd = (blocks.energy[:, half].mean(axis=1) / seen for half in (_EVEN, _ODD))

    def measure(share: float) -> np.ndarray:
        number = min(max(int(share * len(seen)), 100), len(seen))
        spectrum = np.empty(SIZE**2)
        for judge, judged in ((odd, _EVEN), (even, _ODD), (even + odd, ~_LOW)):
            chosen = np.argpartition(judge, number - 1)[:number]
            spectrum[judged] = (blocks.energy[chosen] / seen[chosen, None]).mean(axis=0)[judged]
        return spectrum

    inner, middle, outer = (measure(share)[1:] for share in FLATTEST)  # the mean is no noise
    f2 = (_ROWS**2 + _COLS**2)[1:].astype(np.float64)
    falling = [1 / f2, 1 / f2**2]

    def fit(*blurred: np.ndarray) -> tuple[np.ndarray, float]:
        columns = np.stack([np.ones_like(f2), *falling, *blurred], axis=1)
        weight = 1 / np.maximum(middle, 1e-6)
        amplitudes, residual = nnls(columns * weight[:, None], middle * weight)
        return amplitudes, residual**2

    white = fit()[1]
    kernel, lag, shape, (flat, *steep, blurred), misfit = min(
        ((width, lag, shape, *fit(shape[1:])) for width, lag, shape in _kernels()),
        key=lambda row: row[-1],
    )
    variance = max(flat + blurred, 1e-30)
    noise = (flat + blurred * shape) / variance
    structure = steep[0] * falling[0] + steep[1] * falling[1]
    correlation = lag * blurred / variance

    importance = np.where(_LOW, np.minimum(1.0, (_ROWS + _COLS) / 4), 0.0)[1:]
    excess = np.average(outer, weights=importance) - outer[_HIGH[1:]].mean()
    growth = np.average(outer - inner, weights=importance)
    correlated = correlation > 0.1 and white - misfit > 0.3 and growth < 0.4 * excess
    correlated &= len(seen) >= ENOUGH
    measured = (_BAND if correlated else _HIGH)[1:]
    error = 0.5 * float((structure / (noise[1:] * variance))[measured].mean())
    return _Spectrum(bool(correlated), correlation, kernel, variance, noise, error)
