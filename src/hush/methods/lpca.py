r"""LPCA: principal components of patches above a threshold that the noise's level sets.

J. V. Manjón, P. Coupé, L. Concha, A. Buades, D. L. Collins, M. Robles, "Diffusion weighted image
denoising using overcomplete local PCA", PLoS ONE 8(9), 2013; the implementation of DIPY. Components
with a variance below :math:`(\tau \sigma)^2`, τ = 2.3, are removed (section "Noise reduction").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hush.bases.series import (
    Seen,
    VolumeMethod,
    grown,
    in_patches,
    level_of,
    needing,
    transposed,
)
from hush.errors import HushError
from hush.results import Restoration


@dataclass
class LPCA(VolumeMethod):
    """LPCA of a series at a given noise level, or with the paper's own local estimate.

    radius : of a patch in voxels. It is 0 along z if slices are not neighbours, and smaller where a
    side is short: DIPY's loops would be empty there.
    threshold : τ.
    correct_bias : correct the own estimate for Rician noise.

    Data with negative values is shifted by its minimum, as DIPY clips its result at 0.
    """

    radius: int = 2
    threshold: float = 2.3
    correct_bias: bool = True

    name: ClassVar[str] = "lpca"
    summary: ClassVar[str] = "principal components of a series above a level (extra: diffusion)"
    citation: ClassVar[str] = "Manjón et al., PLoS ONE 2013"
    least: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if self.radius < 1:
            raise HushError("lpca needs a patch radius of at least 1 voxel")
        if not self.threshold > 0:
            raise HushError("lpca needs a threshold above 0")

    def denoised(self, seen: Seen, advance: Callable[[float], None]) -> Restoration:
        """See `VolumeMethod.denoised`."""
        with needing("LPCA", "dipy", "diffusion"):
            from dipy.denoise.localpca import localpca

        def run(part: np.ndarray, radius: np.ndarray, slab: slice) -> np.ndarray:
            made: np.ndarray = localpca(
                part,
                sigma=transposed(self._sigma(seen, slab)),
                mask=transposed(~seen.empty[slab]),
                patch_radius=radius,
                tau_factor=self.threshold,
                suppress_warning=True,
            )
            return made

        return Restoration(in_patches(self.name, seen, self.radius, run, advance), seen.process)

    def _sigma(self, seen: Seen, slab: slice) -> np.ndarray:
        """The noise's deviation in a slab ``(Z, Y, X)``: the given one, or the paper's estimate.

        The estimate is made from the volumes at b = 0 if there are two or more, as in DIPY.
        """
        x = seen.x[:, slab]
        if seen.noise is not None and seen.noise.stated:
            given = np.broadcast_to(level_of(seen.noise, seen.x).sigma, seen.x.shape[1:])
            return np.array(given[slab], np.float64)
        from dipy.core.gradients import gradient_table
        from dipy.denoise.pca_noise_estimate import pca_noise_estimate

        weighted = ~seen.series.unweighted
        sides = [n if n == 1 else max(n, 3) for n in x.shape[1:]]
        sigma = pca_noise_estimate(
            transposed(grown(x, sides)).astype(np.float64),
            # Which volumes are at b = 0 is all that counts.
            gradient_table(1000.0 * weighted, bvecs=np.outer(weighted, [1.0, 0.0, 0.0])),
            correct_bias=self.correct_bias,
            patch_radius=1,
            images_as_samples=True,
        )
        found = np.nan_to_num(np.asarray(sigma, np.float64)).transpose()
        return found[tuple(slice(n) for n in x.shape[1:])]
