"""BM3D: block matching and filtering in three dimensions, gray and colour.

K. Dabov, A. Foi, V. Katkovnik, K. Egiazarian, "Image denoising by sparse 3-D transform-domain
collaborative filtering", IEEE Transactions on Image Processing 16(8), 2007. It is the authors' own
package ``bm3d`` (for nonprofit use), which must be installed separately.

Noise with variance ``gain·x + b`` is first made white by the generalised Anscombe
transform; the result goes through the closed form of its exact unbiased inverse:
M. Mäkitalo, A. Foi, "Optimal inversion of the generalized Anscombe transformation for
Poisson-Gaussian noise", IEEE Transactions on Image Processing 22(1), 2013.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hush.denoiser import Advance, Denoiser
from hush.errors import missing_package
from hush.noise.processes import Process
from hush.results import Estimate, Restoration

SMALLEST_SIDE = 16  # the package fails on images as small as one block, 8×8

#: (image (C, H, W), σ) → denoised image
Filter = Callable[[np.ndarray, float], np.ndarray]


@dataclass
class BM3D(Denoiser):
    """BM3D with the noise level given, or estimated from the image.

    stabilise : make noise white first if its variance is linear in the signal. With False, or for
        other noise, this is plain BM3D at the mean noise level.
    """

    stabilise: bool = True

    name: ClassVar[str] = "bm3d"
    summary: ClassVar[str] = "block matching and 3-D filtering, gray and colour (extra: peers)"
    citation: ClassVar[str] = "Dabov et al., IEEE TIP 2007; Mäkitalo and Foi, IEEE TIP 2013"

    def restore(
        self,
        x: np.ndarray,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """See `Denoiser.restore`; raises `HushError` if the ``bm3d`` package is missing."""
        filtered = _package()
        used, root = noise, np.ones((), np.float32)
        if noise is None:
            found = found or self.kind.measure([x])
            # Divided by its unevenness, the noise is the same everywhere.
            noise, used, root = found.process, found.local, found.unevenness
        line = affine_variance(noise) if self.stabilise and not noise.varies else None
        gain, constant = line or (0.0, float(np.mean(noise.variance(x.astype(np.float64)))))
        if gain <= 1e-3 * constant:  # the noise hardly changes over the range
            sigma = math.sqrt(max(constant + gain * float(x.mean()), 0.0))
            y = root * filtered(x / root, sigma)
        else:
            z = anscombe(x.astype(np.float64), gain, constant) / root
            # The thresholds of block matching expect images in [0, 1].
            low, span = float(z.min()) - 1, float(np.ptp(z)) + 2
            z = low + span * filtered((z - low) / span, 1 / span)
            y = inverse_anscombe(root * z, gain, constant)
        if advance:
            advance(1.0)
        return Restoration(y.astype(np.float32), process=used)


def affine_variance(noise: Process) -> tuple[float, float] | None:
    """Gain and constant of a process with variance ``gain·x + constant``, or None."""
    one, middle, two = (noise.variance(x) for x in (1.0, 1.5, 2.0))
    straight = math.isclose(one + two, 2 * middle, rel_tol=1e-6)
    return (two - one, 2 * one - two) if straight else None


def anscombe(x: np.ndarray, gain: float, constant: float) -> np.ndarray:
    """Transform signals with noise variance ``gain·x + constant`` so that it is about 1."""
    root: np.ndarray = np.sqrt(np.maximum(gain * x + 3 / 8 * gain**2 + constant, 0))
    return 2 / gain * root


def inverse_anscombe(z: np.ndarray, gain: float, constant: float) -> np.ndarray:
    """The signal from the mean `z` of its transform: closed form of the exact unbiased inverse."""
    z = np.maximum(z, math.sqrt(3 / 2))  # zero light
    c = math.sqrt(3 / 2)
    counts = z**2 / 4 + c / 4 / z - 11 / 8 / z**2 + 5 / 8 * c / z**3 - 1 / 8
    return gain * counts - constant / gain


def _package() -> Filter:
    """The package's filters as one function for any number of channels and any size."""
    try:
        from bm3d import bm3d, bm3d_rgb
    except ImportError:
        raise missing_package("the bm3d package", "peers", what="BM3D") from None

    def filtered(x: np.ndarray, sigma: float) -> np.ndarray:
        if sigma == 0:
            return x
        height, width = x.shape[1:]
        pad = [(0, 0), *((0, max(0, SMALLEST_SIDE - n)) for n in (height, width))]
        padded = np.pad(x.astype(np.float64), pad, mode="symmetric")
        if _has_colour(padded):
            y = bm3d_rgb(padded.transpose(1, 2, 0), sigma).transpose(2, 0, 1)
        else:
            y = np.stack([bm3d(plane, sigma).reshape(plane.shape) for plane in padded])
        return y[:, :height, :width]

    return filtered


def _has_colour(x: np.ndarray) -> bool:
    """Whether `x` ``(C, H, W)`` can be converted to opponent colours, none of them constant."""
    if len(x) != 3:
        return False
    red, green, blue = x
    opponents = (red + green + blue, red - blue, red - 2 * green + blue)
    return all(np.ptp(o) > 0 for o in opponents)
