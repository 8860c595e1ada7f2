"""Non-local means in three dimensions, for Rician noise too.

P. Coupé, P. Yger, S. Prima, P. Hellier, C. Kervrann, C. Barillot, "An optimized blockwise nonlocal
means denoising filter for 3-D magnetic resonance images", IEEE TMI 27(4), 2008; M. Descoteaux, N.
Wiest-Daesslé, S. Prima, C. Barillot, R. Deriche, "Impact of Rician adapted non-local means
filtering on HARDI", MICCAI 2008; the implementation of DIPY.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hush.bases.series import Seen, VolumeMethod, needing, transposed
from hush.errors import HushError
from hush.results import Restoration


@dataclass
class NLMeans(VolumeMethod):
    """Non-local means, volume by volume, at the noise's level; a map of it is used as such.

    patch : radius of the patches that are compared, in voxels; search : radius of the
    neighbourhood that they come from.
    rician : correct the mean for Rician noise; by default if the noise is Rician.

    Slices that are not neighbours are denoised one by one. It runs DIPY's ``method="classic"``,
    because the blockwise one of DIPY 1.12 loses much of the signal in volumes of one or two slices.
    Volumes are continued by mirror images first: near their ends DIPY reads beyond the array, and
    results change from run to run.
    """

    patch: int = 1
    search: int = 3
    rician: bool | None = None

    name: ClassVar[str] = "nlmeans"
    summary: ClassVar[str] = "non-local means of volumes, Rician too (extra: diffusion)"
    citation: ClassVar[str] = "Coupé et al., IEEE TMI 2008; Descoteaux et al., MICCAI 2008"

    def __post_init__(self) -> None:
        if self.patch < 0 or self.search < 1:
            raise HushError("nlmeans needs a patch radius of 0 or more and a search of 1 or more")

    def denoised(self, seen: Seen, advance: Callable[[float], None]) -> Restoration:
        """See `VolumeMethod.denoised`."""
        with needing("NLMEANS", "dipy", "diffusion"):
            from dipy.denoise.nlmeans import nlmeans

        level = self.level(seen)
        unit = level.mean
        if unit == 0:
            return Restoration(seen.x.copy(), seen.process)
        sigma = np.broadcast_to(np.asarray(level.sigma) / unit, seen.x.shape[1:])
        rician = level.magnitude if self.rician is None else self.rician
        out, slabs = np.empty_like(seen.x), seen.slabs()
        reach = self.search + self.patch
        for c, volume in enumerate(seen.x):
            for slab in slabs:
                part = np.pad(volume[slab].astype(np.float64) / unit, reach, mode="symmetric")
                within = np.pad(np.ones(volume[slab].shape, bool), reach)
                made = nlmeans(
                    transposed(part),
                    transposed(np.pad(sigma[slab], reach, mode="symmetric")),
                    mask=transposed(within),
                    patch_radius=self.patch,
                    block_radius=self.search,
                    rician=rician,
                    method="classic",
                )
                out[c, slab] = made.transpose()[within].reshape(volume[slab].shape) * unit
                advance(1 / len(slabs) / len(out))
        return Restoration(out, seen.process)
