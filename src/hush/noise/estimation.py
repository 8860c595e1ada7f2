r"""Which noise is this? Family, level and spatial correlation from the noisy image alone.

Everything is read off the DCT of 8×8 blocks, in three steps.

**Level.** In a block of noise alone all 64 coefficients share one variance; structure adds to
the low frequencies first. Blocks are therefore *chosen* by their low frequencies and
*measured* by their high ones: of white noise the two are independent, so that choosing the
flattest blocks biases nothing (Ponomarenko et al. 2007; Colom and Buades 2013).

**Family.** Variance against mean over the chosen blocks, the photon transfer curve, is a line
:math:`v(x) = a\,x + b` (Foi et al. 2008). It is fitted through the curve that clipping bends
it into (Foi 2009), and the simplest of constant, proportional and affine that the data do
not reject is the family; where neither of the simple two is rejected they are undecided.

**Correlation.** The mean spectrum of the flattest blocks is fitted, all amplitudes non-negative,
by white noise, noise blurred with a Gaussian kernel, and structure falling as
:math:`1/f^2` and :math:`1/f^4`. To call noise correlated, the blurred part must matter, must
explain what the rest cannot, and must be the same in flat and in less flat blocks: noise is
everywhere, structure is not. The level is then that of the whole fitted noise spectrum, of
which the high frequencies show only a part.

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
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import dct
from scipy.optimize import nnls
from scipy.stats import norm

from hush.errors import HushError
from hush.noise.processes import Gaussian, Poisson, PoissonGaussian, Process

SIZE = 8  #: side of a block
MOST_BLOCKS = 65536  #: all that are looked at, however large the image
FEWEST_FLAT = 300  #: blocks used even where none is flat
FLAT = 1.3  #: low-frequency energy, relative to the noise's, up to which a block is flat
BINS = 24  #: points on the photon transfer curve
SYSTEMATIC = 0.02  #: relative error of a point beyond its statistical one: structure left in
REJECT = 10.0  #: rise of χ² at which the simpler family is rejected
REJECT_CORRELATED = 60.0  #: the same where noise is measured among structure
FLATTEST = (0.01, 0.03, 0.1)  #: shares of the blocks whose spectra are compared

_ROWS, _COLS = (i.ravel() for i in np.indices((SIZE, SIZE)))
_HIGH = _ROWS + _COLS >= 10
_LOW = (_ROWS + _COLS >= 1) & ~_HIGH
_EVEN = _LOW & (_ROWS % 2 == _COLS % 2)  # the low ones in two halves, each the other's judge
_ODD = _LOW & ~_EVEN
_BAND = _EVEN & (_ROWS + _COLS >= 4)  # where correlated noise is measured
_DCT = dct(np.eye(SIZE), axis=0, norm="ortho")


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
    uncertainty : relative standard error of `sigma`.
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
        Pixels that are not finite are left out.

    Raises
    ------
    HushError : no 8×8 block of finite pixels is left.
    """
    images = [x] if isinstance(x, np.ndarray) else list(x)
    if not images or any(i.ndim != 3 or len(i) != len(images[0]) for i in images):
        raise HushError("noise is estimated from images (C, H, W) of one number of channels")
    blocks, pixels, low, high = _gather(images)
    clipped = float(((pixels == low) | (pixels == high)).mean())
    own = [blocks.take(blocks.channel == c) for c in range(len(images[0]))]
    own = [b for b in own if b.high.any()]
    if not own:
        return Estimate("gaussian", 0.0, clipped=clipped, channels=(0.0,) * len(images[0]))

    # One channel, one vote: channels may differ in level, and one may be empty.
    spectra = [_spectrum(b, _fit_curve(b, low, high)) for b in own]
    votes = [s for s in spectra if s.correlated]
    correlated = 2 * len(votes) > len(spectra)
    if correlated:
        blocks = blocks.as_seen_through(np.mean([s.shape for s in votes], axis=0))
    curve = _fit_curve(blocks, low, high)
    family, undecided = _family(curve, REJECT_CORRELATED if correlated else REJECT)
    curve = _fit_curve(blocks, low, high, family)

    factor = _spectrum(blocks, curve).total if correlated else 1.0
    error = float(np.mean([s.error for s in (votes if correlated else spectra)]))
    channels = []
    for c in range(len(images[0])):
        part = blocks.take(blocks.channel == c)
        variance = 0.0
        if part.high.any():
            line = _fit_curve(part, low, high, family)
            signal = np.mean([i[c][np.isfinite(i[c])].mean() for i in images])
            variance = factor * max(line.slope * float(signal) + line.level, 0.0)
        channels.append(math.sqrt(variance))
    sigma = math.sqrt(float(np.mean(np.square(channels))))
    gain, level = factor * curve.slope, factor * curve.level
    return Estimate(
        family,
        sigma,
        gain=gain,
        read_sigma=sigma if family == "gaussian" else math.sqrt(max(level, 0.0)),
        offset=max(-level / gain, 0.0) if gain > 0 else 0.0,
        correlated=correlated,
        correlation=float(np.mean([s.correlation for s in votes])) if correlated else 0.0,
        kernel_width=float(np.mean([s.kernel for s in votes])) if correlated else math.nan,
        clipped=clipped,
        channels=tuple(channels),
        uncertainty=math.hypot(curve.error(float(pixels.mean())), error),
        undecided=undecided,
    )


@dataclass(frozen=True)
class _Blocks:
    """DCT blocks, one row each: what is chosen by (mean and low) and what is measured."""

    energy: np.ndarray  # (n, 64) squared coefficients
    mean: np.ndarray
    low: np.ndarray  # mean energy of the low frequencies
    high: np.ndarray  # and of the high ones
    channel: np.ndarray

    def __len__(self) -> int:
        return len(self.mean)

    def take(self, which: np.ndarray) -> _Blocks:
        return _Blocks(*(values[which] for values in vars(self).values()))

    def as_seen_through(self, shape: np.ndarray) -> _Blocks:
        """Chosen and measured where noise of this spectrum is, in units of its variance."""
        energy = self.energy / shape.astype(np.float32)
        return replace(
            self, low=energy[:, _ODD].mean(axis=1), high=energy[:, _BAND].mean(axis=1)
        )


def _gather(images: Sequence[np.ndarray]) -> tuple[_Blocks, np.ndarray, float, float]:
    """Blocks on a regular grid, a sample of the pixels, and the levels they are clipped at."""
    cut, channel, pixels = [], [], []
    for image in images:
        if min(image.shape[1:]) < SIZE:
            continue
        # Odd steps meet all phases of JPEG's 8×8 grid and of a colour filter's 2×2.
        step = 1
        while image[:, : 1 - SIZE : step, : 1 - SIZE : step].size > MOST_BLOCKS / len(images):
            step += 2
        windows = sliding_window_view(image, (SIZE, SIZE), axis=(1, 2))[:, ::step, ::step]
        rows = windows.reshape(-1, SIZE * SIZE).astype(np.float32)
        finite = np.isfinite(rows).all(axis=1)
        cut.append(rows[finite])
        channel.append(np.repeat(np.arange(len(image)), len(rows) // len(image))[finite])
        flat = image.reshape(-1)[:: max(1, image.size * len(images) // 2**18)]
        pixels.append(flat[np.isfinite(flat)])
    if sum(map(len, cut)) == 0:
        raise HushError("the image is too small to estimate noise from: give 8×8 finite pixels")
    rows, sample = np.concatenate(cut), np.concatenate(pixels).astype(np.float32)
    mean = rows.mean(axis=1, dtype=np.float64)
    centred = rows - mean[:, None].astype(np.float32)
    energy = (centred @ np.kron(_DCT, _DCT).T.astype(np.float32)) ** 2
    high = energy[:, _HIGH].mean(axis=1)
    blocks = _Blocks(
        energy, mean, energy[:, _LOW].mean(axis=1), high, np.concatenate(channel)
    )
    low_limit, high_limit, dead = _limits(sample, rows, high)
    return blocks.take(~dead), sample, low_limit, high_limit


def _limits(
    sample: np.ndarray, rows: np.ndarray, high: np.ndarray
) -> tuple[float, float, np.ndarray]:
    """Levels at which values pile up, -inf and inf where none; blocks mostly at one of them.

    A pile is three times what the next level holds. Counts of few photons pile up at zero too
    and lose nothing by it: there the variance is of the order of one count squared.
    """
    levels, number = np.unique(sample, return_counts=True)
    low, high_limit = -math.inf, math.inf
    if len(levels) > 1 and number[0] > max(10, 3 * number[1]):
        share = (rows == levels[0]).mean(axis=1)
        partly = (share > 0.05) & (share < 0.5)
        if not partly.any() or np.median(high[partly]) > 4 * (levels[1] - levels[0]) ** 2:
            low = float(levels[0])
    piled = number[-1] > max(10, 3 * number[-2]) if len(levels) > 1 else False
    if piled or (levels[-1] == 1.0 and number[-1] > 0.001 * len(sample)):
        high_limit = float(levels[-1])
    dead = ((rows == low) | (rows == high_limit)).mean(axis=1) > 0.5
    constant = np.ptp(rows, axis=1) == 0
    at_end = constant & ((rows[:, 0] == levels[0]) | (rows[:, 0] == levels[-1]))
    noise_free = (constant & ~at_end).sum() > 0.5 * (~at_end).sum()
    dead |= constant | noise_free
    return low, high_limit, dead


class _Curve(NamedTuple):
    """The photon transfer curve: points ``variance ± error`` at `x`, and the line in them."""

    slope: float
    level: float
    covariance: np.ndarray  # of (slope, level)
    x: np.ndarray
    variance: np.ndarray
    error_: np.ndarray
    seen_mean: np.ndarray  # what clipping makes of the line: observed mean against
    seen_variance: np.ndarray  # observed variance

    def seen(self, mean: np.ndarray) -> np.ndarray:
        """Variance that a block of this observed mean should show, never quite zero."""
        floor = SYSTEMATIC * float(self.seen_variance.mean())
        return np.maximum(np.interp(mean, self.seen_mean, self.seen_variance), floor)

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
    parts = [p for p in np.array_split(order, BINS) if len(p)]
    x = np.array([blocks.mean[p].mean() for p in parts])
    variance = np.array([np.quantile(blocks.high[p], 0.1) for p in parts])
    error = np.maximum(variance, 0.05 * variance.mean() + 1e-30)
    slope, level, covariance = _line(x, variance, error, family)
    ends = float(blocks.mean.min()), float(blocks.mean.max())
    for _ in range(8):
        grid, true, seen_mean, seen_variance = _clipped(slope, level, low, high, *ends)
        curve = _Curve(slope, level, covariance, x, variance, error, seen_mean, seen_variance)
        chosen = _flattest(blocks.low / curve.seen(blocks.mean), order)
        parts = [p for p in np.array_split(chosen, BINS) if len(p)]
        mean = np.array([blocks.mean[p].mean() for p in parts])
        x = np.interp(mean, seen_mean, grid)
        unbend = np.clip(np.interp(mean, seen_mean, true / seen_variance), 0.5, 3.0)
        variance = unbend * np.array([blocks.high[p].mean() for p in parts])
        expected = np.maximum(np.interp(x, grid, true), SYSTEMATIC * true.mean())
        # Blocks overlap: each is worth about a quarter of its coefficients.
        freedom = 0.25 * _HIGH.sum() * np.array([len(p) for p in parts])
        error = expected * np.sqrt(2 / freedom + SYSTEMATIC**2)
        slope, level, covariance = _line(x, variance, error, family)
    return _Curve(slope, level, covariance, x, variance, error, seen_mean, seen_variance)


def _flattest(score: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Indices, in `order`, of blocks scoring below `FLAT`, or else of the lowest few."""
    last = min(FEWEST_FLAT, len(score)) - 1
    return order[score[order] <= max(FLAT, float(np.partition(score, last)[last]))]


def _line(
    x: np.ndarray, y: np.ndarray, error: np.ndarray, family: str
) -> tuple[float, float, np.ndarray]:
    """Weighted least squares of a family's variance, its slope not negative."""
    design = np.stack([x, np.ones_like(x)], axis=1)
    design[:, {"gaussian": [0], "poisson": [1]}.get(family, [])] = 0
    scaled = design / error[:, None]
    covariance = np.linalg.pinv(scaled.T @ scaled, hermitian=True)
    slope, level = covariance @ (scaled.T @ (y / error))
    if slope < 0:
        return _line(x, y, error, "gaussian")
    return float(slope), float(level), covariance


def _clipped(
    slope: float, level: float, low: float, high: float, first: float, last: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Signal, variance, and the mean and variance left by clipping to [low, high] (Foi 2009)."""
    spread = math.sqrt(max(slope * last + level, level, 0.0)) + 1e-15
    margin = 0.1 * (last - first) + spread
    x = np.linspace(first - margin, last + margin, 512)
    variance = slope * x + level
    variance = np.maximum(variance, SYSTEMATIC * max(variance.mean(), spread**2))
    s = np.sqrt(variance)
    mean, square = x.copy(), variance.copy()  # E[y] and E[(y − x)²] of the clipped y
    for limit, sign in ((low, 1.0), (high, -1.0)):
        if math.isfinite(limit):
            u = sign * (limit - x) / s  # what lies beyond the limit moves onto it
            beyond, density = norm.cdf(u), norm.pdf(u)
            mean += sign * s * (u * beyond + density)
            square += variance * ((u**2 - 1) * beyond + u * density)
    return x, variance, mean, np.maximum(square - (mean - x) ** 2, 1e-3 * variance)


def _family(curve: _Curve, reject: float) -> tuple[str, bool]:
    """The simplest family that the curve does not reject, and whether two are left."""

    def misfit(family: str) -> float:
        slope, level, _ = _line(curve.x, curve.variance, curve.error_, family)
        line = slope * curve.x + level
        return float((((curve.variance - line) / curve.error_) ** 2).sum())

    affine = misfit("poisson-gaussian")
    gaussian, poisson = misfit("gaussian") - affine, misfit("poisson") - affine
    if min(gaussian, poisson) > reject:
        return "poisson-gaussian", False
    return "gaussian" if gaussian <= poisson else "poisson", max(gaussian, poisson) <= reject


@dataclass(frozen=True)
class _Spectrum:
    """The noise's share of the spectrum of flat blocks."""

    correlated: bool
    correlation: float  # lag 1
    kernel: float
    total: float  # variance, in units of the transfer curve's
    shape: np.ndarray  # (64,) spectrum, its mean 1
    error: float  # relative, of the level


@cache
def _kernels() -> list[tuple[float, float, np.ndarray]]:
    """Kernel widths with the lag-1 autocorrelation and block spectrum of noise they blurred."""
    table = []
    for width in [*np.arange(0.3, 1.0, 0.05), *np.arange(1.0, 2.6, 0.1)]:
        kernel = np.exp(-(np.arange(-12, 13) ** 2) / (2 * width**2))
        lags = np.convolve(kernel, kernel)[24 : 24 + SIZE]
        lags /= lags[0]
        matrix = lags[np.abs(np.subtract.outer(np.arange(SIZE), np.arange(SIZE)))]
        line = np.einsum("ki,ij,kj->k", _DCT, matrix, _DCT)
        table.append((float(width), float(lags[1]), np.outer(line, line).ravel()))
    return table


def _spectrum(blocks: _Blocks, curve: _Curve) -> _Spectrum:
    """Split the spectrum of the flattest blocks into noise, white or blurred, and structure."""
    seen = curve.seen(blocks.mean)
    even, odd = (blocks.energy[:, m].mean(axis=1) / seen for m in (_EVEN, _ODD))

    def measure(share: float) -> np.ndarray:
        number = min(max(int(share * len(blocks)), 100), len(blocks))
        spectrum = np.empty(SIZE * SIZE)
        for judge, judged in ((odd, _EVEN), (even, _ODD), (even + odd, ~_LOW)):
            chosen = np.argpartition(judge, number - 1)[:number]
            energy = blocks.energy[np.ix_(chosen, judged)]
            spectrum[judged] = (energy / seen[chosen, None]).mean(axis=0)
        return spectrum

    inner, middle, outer = (measure(share) for share in FLATTEST)
    use = _LOW | _HIGH
    f2 = (_ROWS**2 + _COLS**2)[use].astype(np.float64)
    weight = 1 / np.maximum(middle[use], 1e-6)

    def fit(*shapes: np.ndarray) -> tuple[np.ndarray, float]:
        columns = np.stack([np.ones_like(f2), 1 / f2, 1 / f2**2, *shapes], axis=1)
        amplitudes, residual = nnls(columns * weight[:, None], middle[use] * weight)
        return amplitudes, residual**2

    _, white = fit()
    kernel, lag, shape, amplitudes, misfit = min(
        ((k, c, s, *fit(s[use])) for k, c, s in _kernels()), key=lambda row: row[-1]
    )
    noise = amplitudes[0] + amplitudes[3] * shape
    structure = amplitudes[1] / f2 + amplitudes[2] / f2**2
    variance = amplitudes[0] + amplitudes[3]
    correlation = lag * amplitudes[3] / variance if variance > 0 else 0.0
    weigh = np.where(_LOW, np.minimum(1.0, (_ROWS + _COLS) / 4), 0.0)
    excess = weigh @ outer / weigh.sum() - outer[_HIGH].mean()
    growth = weigh @ (outer - inner) / weigh.sum()
    correlated = correlation > 0.1 and white - misfit > 0.3 and growth < 0.4 * excess
    return _Spectrum(
        correlated,
        correlation,
        kernel,
        variance,
        noise / variance if variance > 0 else np.ones_like(noise),
        0.5 * float((structure / noise[use])[(_BAND if correlated else _HIGH)[use]].mean()),
    )
