"""BM4D: block matching and filtering of groups of cubes.

M. Maggioni, V. Katkovnik, K. Egiazarian, A. Foi, "Nonlocal transform-domain filter for volumetric
data denoising and reconstruction", IEEE TIP 22(1), 2013. It is the authors' own package ``bm4d``
(for nonprofit use), which must be installed separately.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hush.bases.series import Seen, VolumeMethod, grown, needing
from hush.results import Restoration

SMALLEST = 16  #: voxels; the package stops the program on slices of 8 × 8
#: Cells in which the package computes the variance of transformed noise. For white noise, smaller
#: ones than its own give the same result within 2 %, in a sixth of the time.
CELLS, FLAT_CELLS = (8, 8, 8), (16, 16, 1)
CUBES = 5  #: slices from which on the package's blocks are cubes; squares below


@dataclass
class BM4D(VolumeMethod):
    """BM4D for white noise, volume by volume, at the noise's level; the bias of magnitudes stays.

    refilter : denoise the residual as well, as the package's ``refilter`` does.

    Where the level varies, volumes are divided by its map before, so that it is even. Slices that
    are not neighbours are denoised one by one.
    """

    refilter: bool = False

    name: ClassVar[str] = "bm4d"
    summary: ClassVar[str] = "block matching and filtering of volumes (extra: peers)"
    citation: ClassVar[str] = "Maggioni et al., IEEE TIP 2013"

    def denoised(self, seen: Seen, advance: Callable[[float], None]) -> Restoration:
        """See `VolumeMethod.denoised`."""
        with needing("BM4D", "bm4d", "peers"):
            from bm4d import BM4DProfile, BM4DProfile2D, bm4d

        level = self.level(seen)
        sigma = level.mean
        if sigma == 0:
            return Restoration(seen.x.copy(), seen.process)
        root = np.broadcast_to(np.asarray(level.sigma) / sigma, seen.x.shape[1:])
        root = np.maximum(root, 1e-3)
        # The package's thresholds expect values in [0, 1].
        low, span = float(seen.x.min()), float(np.ptp(seen.x))
        cubes = seen.adjacent and seen.x.shape[1] >= CUBES
        profile = BM4DProfile() if cubes else BM4DProfile2D()
        profile.nf = CELLS if cubes else FLAT_CELLS
        profile.denoise_residual = self.refilter
        out, slabs = np.empty_like(seen.x), seen.slabs()
        for c, volume in enumerate(seen.x):
            for slab in slabs:
                z = (volume[slab].astype(np.float64) - low) / (span * root[slab])
                z = grown(z, [max(n, SMALLEST) for n in z.shape[1:]]).transpose(1, 2, 0)
                made = bm4d(z, sigma / span, profile).reshape(z.shape).transpose(2, 0, 1)
                made = made[:, : volume.shape[1], : volume.shape[2]]
                out[c, slab] = made * (span * root[slab]) + low
                advance(1 / len(slabs) / len(out))
        return Restoration(out, seen.process)
