"""Non-local means: a mean of pixels whose surroundings look alike.

A. Buades, B. Coll, J.-M. Morel, "A non-local algorithm for image denoising", CVPR 2005; the
implementation of scikit-image, with patches of 5 × 5 pixels in windows of 13 × 13.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hush.bases.levelled import Levelled
from hush.errors import HushError


@dataclass
class NLM(Levelled):
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

    def __post_init__(self) -> None:
        if self.patch < 1 or self.distance < 0 or not self.width > 0:
            raise HushError(
                "non-local means need patches of at least 1 pixel, a distance from 0 and a width "
                "above 0"
            )

    @property
    def least(self) -> int:
        """See `Levelled.least`: a patch has to fit."""
        return self.patch

    def filtered(self, x: np.ndarray, sigma: float) -> np.ndarray:
        """See `Levelled.filtered`."""
        from skimage.restoration import denoise_nl_means

        image = np.moveaxis(x, 0, -1)
        y = denoise_nl_means(
            image[..., 0] if len(x) == 1 else image,
            patch_size=self.patch,
            patch_distance=self.distance,
            h=self.width * sigma,
            sigma=sigma,
            fast_mode=True,
            channel_axis=None if len(x) == 1 else -1,
        )
        return np.moveaxis(y.reshape(image.shape), -1, 0)
