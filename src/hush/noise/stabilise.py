r"""Counting noise made Gaussian of one level: the generalised Anscombe transform.

For values y with noise of variance ``gain·(x − offset) + σ²``,

.. math:: f(y) = \frac{2}{g} \sqrt{g\,(y - o) + \tfrac38 g^2 + \sigma^2}

has noise of a standard deviation close to 1. The inverse is exact and unbiased: an estimate of
E[f(y) | x] is taken back to x, not to f⁻¹, which would be too dark by about a quarter of a count.

M. Mäkitalo, A. Foi, "Optimal inversion of the Anscombe transformation in low-count Poisson image
denoising", IEEE Trans. Image Processing 20(1), 2011; and, with Gaussian noise, 22(1), 2013.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hush.noise.process import T, positive
from hush.noise.processes import Correlated, Gaussian, Poisson, PoissonGaussian, Process

_FEW = 64.0  #: counts up to which the expectation is summed exactly
_CHUNK = 2**20  #: values inverted at once
_NODES = 24  #: of the Gauss-Hermite rule for read noise
LEAST = (
    0.05  #: least share of counting noise, at full range, for which stabilising changes anything
)


@dataclass(frozen=True)
class Stabiliser:
    """The transform for one law, with values scaled so that signals 0 to 1 span 0 to 1.

    gain, sigma, offset : of the law. The noise's standard deviation becomes `level`.
    """

    gain: float
    sigma: float = 0.0
    offset: float = 0.0

    @property
    def level(self) -> float:
        """Standard deviation of the stabilised noise."""
        dark, full = (self._root(max(v - self.offset, 0.0) / self.gain) for v in (0.0, 1.0))
        return float(1 / max(full - dark, 1e-3))

    def __call__(self, y: T) -> T:
        """The transform, elementwise."""
        return self.level * self._root((y - self.offset) / self.gain)

    def mean(self, x: np.ndarray) -> np.ndarray:
        """E[f(y)] at clean signals `x`; float64."""
        counts = np.maximum((np.asarray(x, np.float64) - self.offset) / self.gain, 0)
        grid, expected, _ = _expected(self.sigma / self.gain)
        constant = 3 / 8 + (self.sigma / self.gain) ** 2
        # Beyond the table to second order; the variance of a count is itself.
        many = np.maximum(counts, _FEW)
        taylor = 2 * np.sqrt(many + constant)
        taylor -= (many + constant - 3 / 8) / 4 * (many + constant) ** -1.5
        few = np.interp(np.sqrt(counts), grid, expected)
        return self.level * np.where(counts < _FEW, few, taylor)

    def variance(self, x: np.ndarray) -> np.ndarray:
        """Var[f(y)] at clean signals `x`, relative to `level`²; float64. Far below 1 at few counts:
        most of such values are equal."""
        counts = np.maximum((np.asarray(x, np.float64) - self.offset) / self.gain, 0)
        grid, _, variance = _expected(self.sigma / self.gain)
        return np.interp(np.sqrt(counts), grid, variance)

    def inverse(self, z: np.ndarray) -> np.ndarray:
        """The clean signal from an estimate `z` of its `mean`; float32, never below the offset."""
        grid, expected, _ = _expected(self.sigma / self.gain)
        constant = 3 / 8 + (self.sigma / self.gain) ** 2
        if z.size > _CHUNK:  # memory for large images
            rows = -(-len(z.ravel()) // _CHUNK)
            parts = [self.inverse(p) for p in np.array_split(z.ravel(), rows)]
            return np.concatenate(parts).reshape(z.shape)
        z = np.asarray(z, np.float64) / self.level
        root = np.interp(z, expected, grid)
        # Two steps of Newton's method for `mean` beyond the table.
        high = np.maximum(z, expected[-1])
        counts = (high / 2) ** 2 - constant
        for _ in range(2):
            total = counts + constant
            reached = 2 * np.sqrt(total) - (total - 3 / 8) / 4 * total**-1.5
            counts = counts + (high - reached) * np.sqrt(total)
        counts = np.where(z < expected[-1], root**2, counts)
        result: np.ndarray = (self.offset + self.gain * counts).astype(np.float32)
        return result

    def _root(self, counts: T) -> T:
        inside = counts + (3 / 8 + (self.sigma / self.gain) ** 2)
        root: T = 2 * positive(inside) ** 0.5
        return root


def stabilised(process: Process) -> tuple[Stabiliser, Process] | None:
    """The transform for counting noise and the noise after it; None if it does not apply.

    It applies to noise with one law everywhere whose variance grows clearly with the signal.
    """
    white = process.noise if isinstance(process, Correlated) else process
    if process.varies or not isinstance(white, Poisson | PoissonGaussian):
        return None
    if isinstance(white, Poisson):
        form = Stabiliser(float(white.gain))
    else:
        gain, sigma, offset = map(float, (white.gain, white.sigma, white.offset))  # type: ignore[arg-type]
        if gain <= LEAST * (gain + sigma**2):
            return None
        form = Stabiliser(gain, sigma, offset)
    after: Process = Gaussian(form.level)
    if isinstance(process, Correlated):
        after = dataclasses.replace(process, noise=after)
    return form, after


@lru_cache(maxsize=512)
def _expected(sigma: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Roots of counts, and E[f] and Var[f] at these counts with read noise of `sigma` counts.

    The expectation increases with the counts, so it can be inverted by interpolation.
    """
    roots = np.linspace(0, math.sqrt(_FEW), 321)
    counts = roots**2
    k = np.arange(int(_FEW + 12 * math.sqrt(_FEW)))
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, len(k))))])
    with np.errstate(divide="ignore"):
        log = k * np.log(np.maximum(counts, 1e-300))[:, None] - counts[:, None] - log_factorial
    weight = np.exp(log)
    weight[0] = k == 0
    nodes, share = np.polynomial.hermite_e.hermegauss(_NODES if sigma > 0 else 1)
    share = share / share.sum()
    inside = k[:, None] + sigma * nodes + 3 / 8 + sigma**2
    values = 2 * np.sqrt(np.maximum(inside, 0))
    expected = weight @ (values @ share)
    variance = weight @ (values**2 @ share) - expected**2
    return roots, np.maximum.accumulate(expected + 1e-9 * roots), variance
