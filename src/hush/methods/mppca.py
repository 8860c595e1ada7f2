r"""MP-PCA: principal components of patches, cut where random matrix theory ends the noise.

J. Veraart, D. S. Novikov, D. Christiaens, B. Ades-aron, J. Sijbers, E. Fieremans, "Denoising of
diffusion MRI using random matrix theory", NeuroImage 142, 2016; the implementation of DIPY.

The patch around a voxel is a matrix of its N voxels by the M volumes. The eigenvalues of pure noise
fill an interval (Marchenko and Pastur), whose width tells the variance (eq. 11 and 12):

.. math:: \lambda_\pm = \sigma^2 \big(1 \pm \sqrt{M / N}\big)^2.

Components within it are removed. The result is a mean over all patches that hold the voxel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hush.bases.series import Seen, VolumeMethod, in_patches, needing, transposed
from hush.errors import HushError
from hush.results import Restoration


@dataclass
class MPPCA(VolumeMethod):
    """MP-PCA of a series. It measures the noise itself; a given level does not matter.

    radius : of a patch in voxels. It is 0 along z if slices are not neighbours, and smaller where a
    side is short: DIPY's loops would be empty there.

    DIPY clips its result at 0. Data with negative values is shifted by its minimum before, which
    changes nothing else.
    """

    radius: int = 2

    name: ClassVar[str] = "mppca"
    summary: ClassVar[str] = "principal components of a series above the noise (extra: diffusion)"
    citation: ClassVar[str] = "Veraart et al., NeuroImage 2016"
    least: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if self.radius < 1:
            raise HushError("mppca needs a patch radius of at least 1 voxel")

    def denoised(self, seen: Seen, advance: Callable[[float], None]) -> Restoration:
        """See `VolumeMethod.denoised`."""
        with needing("MP-PCA", "dipy", "diffusion"):
            from dipy.denoise.localpca import mppca

        def run(part: np.ndarray, radius: np.ndarray, slab: slice) -> np.ndarray:
            mask = transposed(~seen.empty[slab])
            made: np.ndarray = mppca(part, mask=mask, patch_radius=radius, suppress_warning=True)
            return made

        return Restoration(in_patches(self.name, seen, self.radius, run, advance), seen.process)
