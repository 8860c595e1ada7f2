"""Binning: so few photons that pixels are summed in squares before they are denoised.

Where most pixels have no photon and few have two, neither a variance-stabilising transform nor a
network can tell the brightness of single pixels. Sums over squares can be denoised, and the result
is as sharp as so few photons allow. Combined with stabilisation: Azzari and Foi, "Variance
stabilization for noisy+estimate combination in iterative Poisson denoising", IEEE Signal Processing
Letters 23(8), 2016.
"""

from __future__ import annotations

import numpy as np

from hush.kinds.cut import sparse
from hush.noise.processes import Poisson, PoissonGaussian, Process

FEW = 0.6  #: photons a pixel that a photon shares, on average, from which on none are summed
LARGEST = 16  #: side of a square in pixels
SMALLEST = 32  #: least side of the binned image


def side_of_bins(x: np.ndarray, noise: Process) -> int:
    """The side of the squares, in pixels, that suits the noise of an image ``(C, H, W)``; 1 for
    none.

    The number of photons counts where the light is: the mean of n² over that of n.
    """
    if not isinstance(noise, Poisson | PoissonGaussian) or noise.varies:
        return 1
    some = sparse(x)
    finite = some[np.isfinite(some)].astype(np.float64)
    read = float(getattr(noise, "sigma", 0.0)) / float(noise.gain)  # type: ignore[arg-type]
    counts = (finite - float(getattr(noise, "offset", 0.0))) / float(noise.gain)  # type: ignore[arg-type]
    mean = float(counts.mean()) if counts.size else 0.0
    if mean <= 0:
        return 1
    squares = counts**2
    error = float(np.sqrt(np.mean(squares**2) / counts.size))
    shared = float(np.mean(squares) - mean - read**2 - error) / mean  # noise itself has n + read²
    side = 1
    while (
        max(shared, mean) * side**2 < FEW
        and 2 * side <= LARGEST
        and min(x.shape[1:]) >= 2 * side * SMALLEST
    ):
        side *= 2
    return side


def binned(x: np.ndarray, side: int, shift: tuple[int, ...] = (0, 0)) -> np.ndarray:
    """Means over squares of an image ``(C, H, W)``, the first of which begin `shift` pixels before
    it; the image is mirrored to complete them."""
    ends = [(s, -(n + s) % side) for n, s in zip(x.shape[1:], shift, strict=True)]
    y = np.pad(x, [(0, 0), *ends], mode="symmetric")
    c, h, w = y.shape
    mean: np.ndarray = y.reshape(c, h // side, side, w // side, side).mean((2, 4))
    return mean


def enlarged(
    x: np.ndarray, side: int, shift: tuple[int, ...], shape: tuple[int, ...]
) -> np.ndarray:
    """The image `shape` of which `x` ``(C, h, w)`` is `binned`, by a cubic spline in its range."""
    from scipy.ndimage import zoom

    padded = np.pad(x, [(0, 0), (2, 2), (2, 2)], mode="symmetric")
    planes = [zoom(p, side, order=3, mode="nearest", grid_mode=True) for p in padded]
    first = [2 * side + s for s in shift]
    rows, columns = (slice(f, f + n) for f, n in zip(first, shape, strict=True))
    return np.clip(np.stack(planes)[:, rows, columns], x.min(), x.max())
