r"""Total variation: the image with the least sum of gradients that is near the noisy one.

.. math:: \min_u \sum_i |\nabla u|_i + \frac{1}{2w} \sum_i (u_i - y_i)^2

L. I. Rudin, S. Osher, E. Fatemi, "Nonlinear total variation based noise removal algorithms",
Physica D 60, 1992; solved as in A. Chambolle, "An algorithm for total variation minimization and
applications", J. Math. Imaging Vis. 20, 2004, by scikit-image.

The weight w is proportional to σ, the standard deviation of the noise: if image and noise are
multiplied by a factor, the result is then multiplied by it, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hush.bases.levelled import Levelled
from hush.errors import HushError


@dataclass
class TV(Levelled):
    """Total variation, with the noise level given or estimated from the image.

    weight : w / σ. On photographs, for σ from 5 to 50 of 255, the default is within 0.4 dB of the
        best.
    steps_most, tolerance : the iteration ends after so many steps, or when the energy changes by
        less than this share in one.
    """

    weight: float = 0.7
    steps_most: int = 200
    tolerance: float = 1e-4

    name: ClassVar[str] = "tv"
    summary: ClassVar[str] = "total variation, with a weight that is proportional to the noise"
    citation: ClassVar[str] = "Rudin, Osher and Fatemi, Physica D 1992; Chambolle, JMIV 2004"
    stabilises: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.weight > 0 or self.steps_most < 1 or not self.tolerance >= 0:
            raise HushError(
                "total variation needs a weight above 0, at least 1 step and a tolerance from 0"
            )

    def filtered(self, x: np.ndarray, sigma: float) -> np.ndarray:
        """See `Levelled.filtered`; every channel is denoised on its own."""
        from skimage.restoration import denoise_tv_chambolle

        settings = {"eps": self.tolerance, "max_num_iter": self.steps_most}
        weight = self.weight * sigma
        return np.stack([denoise_tv_chambolle(c, weight, **settings) for c in x])
