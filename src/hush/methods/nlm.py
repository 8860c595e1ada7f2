"""Non-local means: a mean of pixels whose surroundings look alike.

A. Buades, B. Coll, J.-M. Morel, "A non-local algorithm for image denoising", CVPR 2005; the
implementation of scikit-image, with patches of 5 × 5 pixels in windows of 13 × 13.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hush.denoiser import Advance, Denoiser
from hush.noise.processes import Process
from hush.results import Estimate, Restoration


@dataclass
class NLM(Denoiser):
    """Non-local means at the noise's mean level, given or estimated from the image.

    patch : side of the patches in pixels; distance : greatest distance of a compared patch.
    width : of the filter, relative to the level; 0.8 is usual if the level is known.
    """

    patch: int = 5
    distance: int = 6
    width: float = 0.8

    name: ClassVar[str] = "nlm"
    summary: ClassVar[str] = "non-local means, the mean of pixels with similar surroundings"
    citation: ClassVar[str] = "Buades, Coll and Morel, CVPR 2005"

    def restore(
        self,
        x: np.ndarray,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """See `Denoiser.restore`."""
        from skimage.restoration import denoise_nl_means

        used, root = noise, np.ones((), np.float32)
        if noise is None:
            found = found or self.kind.measure([x])
            # Divided by its unevenness, the noise is the same everywhere.
            noise, used, root = found.process, found.local, found.unevenness
        sigma = math.sqrt(float(np.mean(noise.variance(x.astype(np.float64)))))
        if sigma == 0:
            return Restoration(x.copy(), process=used)
        pads = [(0, 0), *((0, max(0, self.patch - n)) for n in x.shape[1:])]
        image = np.moveaxis(np.pad(x / root, pads, mode="symmetric"), 0, -1)
        y = denoise_nl_means(
            image[..., 0] if len(x) == 1 else image,
            patch_size=self.patch,
            patch_distance=self.distance,
            h=self.width * sigma,
            sigma=sigma,
            fast_mode=True,
            channel_axis=None if len(x) == 1 else -1,
        )
        if advance:
            advance(1.0)
        y = np.moveaxis(y.reshape(image.shape), -1, 0)[:, : x.shape[1], : x.shape[2]]
        return Restoration(np.asarray(root * y, np.float32), process=used)
