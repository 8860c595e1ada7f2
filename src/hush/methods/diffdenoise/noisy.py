"""The noisy images that DiffDenoise learns from, and the measurements of their noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter

from hush.kinds.cut import moments
from hush.kinds.image.measure.estimation import estimate_any
from hush.results import Estimate

POOLED = 64  #: most images whose noise is measured together
_WIDE = 0.8  #: kernel width in pixels from which a blind spot of 5 is too small
_NEXT = 0.1  #: correlation of neighbours, below which a blind spot of one pixel is enough


@dataclass(frozen=True)
class Noisy:
    """Training images ``(C, H, W)``, the same with mean 0 and deviation 1, and their noise: of all
    together, and of each."""

    images: Sequence[np.ndarray]
    seen: Sequence[np.ndarray]
    pooled: Estimate
    laws: Sequence[Estimate]

    @classmethod
    def of(cls, images: Sequence[np.ndarray]) -> Noisy:
        """Measure images ``(C, H, W)``, in units of full range."""
        pooled = estimate_any(images[:POOLED]).uniform
        return cls(images, [standard(x)[0] for x in images], pooled, laws_of(images, pooled))

    @property
    def blind(self) -> int:
        """The side of a blind spot that covers this noise."""
        found = self.pooled
        if not found.correlated or max(found.autocorrelation, default=1.0) < _NEXT:
            return 1
        return 5 if found.kernel_width < _WIDE else 9


def shift_and_scale(x: np.ndarray) -> tuple[np.ndarray, float]:
    """An image's means and its deviation, or 1 for a constant image."""
    mean, deviation = moments(x)
    return mean, deviation or 1.0


def standard(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """An image scaled to mean 0 and deviation 1, the means and the deviation."""
    mean, scale = shift_and_scale(x)
    return ((x - mean) / scale).astype(np.float32), mean, scale


def deviation_of(residual: np.ndarray) -> float:
    """s: the root mean square of the residual, never zero."""
    return float(np.sqrt(np.mean(residual**2, dtype=np.float64))) or 1.0


def laws_of(images: Sequence[np.ndarray], pooled: Estimate) -> list[Estimate]:
    """The noise of each image: the estimate from all together, which is more certain, unless the
    image's own level is more than twice or less than half of it."""
    laws = []
    for x in images:
        own, expected = estimate_any(x).uniform, math.sqrt(float(np.mean(pooled.variance(x))))
        laws.append(pooled if expected / 2 <= own.sigma <= 2 * expected else own)
    return laws


def noise_of(x: np.ndarray, law: Estimate) -> np.ndarray:
    """The noise deviation in each pixel of ``(C, H, W)``, with the 5×5 mean as the signal."""
    variance = np.asarray(law.variance(uniform_filter(x, (1, 5, 5))))
    return np.sqrt(variance, dtype=np.float32)


def crop(x: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """A random square of `side` pixels of ``(C, H, W)``, smaller if the image is."""
    starts = [int(rng.integers(max(1, n - side + 1))) for n in x.shape[1:]]
    return x[:, starts[0] : starts[0] + side, starts[1] : starts[1] + side]
