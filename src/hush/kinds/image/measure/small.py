"""The level of noise where `hush.kinds.image.measure.estimation` has too little to go by."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hush.errors import HushError
from hush.kinds.image.measure.estimation import estimate
from hush.noise.processes import Gaussian, Poisson
from hush.results import Estimate


def estimate_any(x: np.ndarray | Sequence[np.ndarray]) -> Estimate:
    """`estimate`, or Gaussian noise from neighbours' differences where that finds too little.

    One row or one column, or no whole 8×8 block between missing pixels: something is known of
    the noise all the same. Of a single pixel nothing is, and its noise is taken as zero.
    """
    try:
        return estimate(x)
    except HushError:
        images = [x] if isinstance(x, np.ndarray) else list(x)
        channels = tuple(map(_level, zip(*images, strict=True)))
        sigma = math.sqrt(float(np.mean(np.square(channels))))
        return Estimate(Gaussian(sigma), sigma, channels=channels, alternatives=(Poisson.family,))


def _level(planes: Sequence[np.ndarray]) -> float:
    """Standard deviation from the median second difference, which straight slopes pass."""
    with np.errstate(invalid="ignore"):  # between infinite pixels
        seconds = [np.diff(plane, 2, axis).ravel() for plane in planes for axis in (0, 1)]
    differences = np.concatenate(seconds)
    differences = differences[np.isfinite(differences)]
    if not differences.size:
        return 0.0
    return 1.4826 * float(np.median(np.abs(differences))) / math.sqrt(6)
