"""BM4D: block matching and filtering of groups of cubes.

M. Maggioni, V. Katkovnik, K. Egiazarian, A. Foi, "Nonlocal transform-domain filter for volumetric
data denoising and reconstruction", IEEE TIP 22(1), 2013, and, for correlated noise, Y. Mäkinen, S.
Marchesini, A. Foi, "Ring artifact and Poisson noise attenuation via volumetric multiscale nonlocal
collaborative filtering of spatially correlated noise", Journal of Synchrotron Radiation 29, 2022.
It is the authors' own package ``bm4d`` (for nonprofit use), which must be installed separately.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hush.errors import HushError
from hush.results import Restoration
from hush.series_methods import Seen, VolumeMethod, grown, needing

SMALLEST = 16  #: voxels; the package stops the program on slices of 8 × 8
LAGS = 7  #: reach of the noise's correlation that is used

PROFILES = ("np", "lc", "refilter", "8x8")


@dataclass
class BM4D(VolumeMethod):
    """BM4D, volume by volume, at the noise's mean level; the bias of magnitudes stays.

    profile : of the package, ``np`` or ``lc``, which is faster.
    correlated : use the noise's correlation within slices, if it is given or was measured.

    Where the level varies, volumes are divided by its map before, so that it is even. Slices that
    are not neighbours are denoised one by one.
    """

    profile: str = "np"
    correlated: bool = True

    name: ClassVar[str] = "bm4d"
    summary: ClassVar[str] = "block matching and filtering of volumes (extra: peers)"
    citation: ClassVar[str] = "Maggioni et al., IEEE TIP 2013; Mäkinen et al., J. Synchr. Rad. 2022"

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            raise HushError(f"bm4d has the profiles {', '.join(PROFILES)}, not '{self.profile}'")

    def denoised(self, seen: Seen, advance: Callable[[float], None]) -> Restoration:
        """See `VolumeMethod.denoised`."""
        with needing("BM4D", "bm4d", "peers"):
            from bm4d import bm4d

        level = self.level(seen)
        sigma = level.mean
        if sigma == 0:
            return Restoration(seen.x.copy(), seen.process)
        root = np.broadcast_to(np.asarray(level.sigma) / sigma, seen.x.shape[1:])
        root = np.maximum(root, 1e-3)
        # The package's thresholds expect values in [0, 1].
        low, span = float(seen.x.min()), float(np.ptp(seen.x))
        lags = self._lags(seen)
        out, slabs = np.empty_like(seen.x), seen.slabs()
        for c, volume in enumerate(seen.x):
            for slab in slabs:
                z = (volume[slab].astype(np.float64) - low) / (span * root[slab])
                z = grown(z, [max(n, SMALLEST) for n in z.shape[1:]]).transpose(1, 2, 0)
                noise = sigma / span
                made = bm4d(z, noise if lags is None else spectrum(lags, noise, z), self.profile)
                made = made.reshape(z.shape).transpose(2, 0, 1)
                made = made[:, : volume.shape[1], : volume.shape[2]]
                out[c, slab] = made * (span * root[slab]) + low
                advance(1 / len(slabs) / len(out))
        return Restoration(out, seen.process)

    def _lags(self, seen: Seen) -> np.ndarray | None:
        """Correlation of the noise within a slice, ``(2r + 1, 2r + 1)``; None for white noise."""
        if not self.correlated:
            return None
        if seen.noise is not None and seen.noise.stated:
            return None if seen.noise.white else seen.noise.autocorrelation(LAGS, 2)
        return seen.found.lags(LAGS, 2) if seen.found and seen.found.correlated else None


def spectrum(lags: np.ndarray, sigma: float, like: np.ndarray) -> np.ndarray:
    """The noise's power spectrum in the package's units: its mean is σ² times the voxels.

    lags : as from `BM4D._lags`; like : a volume ``(Y, X, Z)``; noise is independent along z.
    """
    circular = np.zeros(like.shape[:2])
    reach = len(lags) // 2
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            circular[dy % like.shape[0], dx % like.shape[1]] += lags[dy + reach, dx + reach]
    power = np.maximum(np.fft.fft2(circular).real, 1e-3)
    power *= sigma**2 * like.size / power.mean()
    return np.array(np.broadcast_to(power[..., None], like.shape))
