r"""Wavelet thresholding of images: every band of details is shrunk by a threshold of its own.

.. math:: T = \frac{\sigma^2}{\sigma_x}, \qquad \sigma_x^2 = \max(E[d^2] - \sigma^2, 0)

with details d of a band and noise of the standard deviation σ.

S. G. Chang, B. Yu, M. Vetterli, "Adaptive wavelet thresholding for image denoising and
compression", IEEE Trans. Image Processing 9, 2000 (BayesShrink); the implementation of
scikit-image. The result is the mean over shifts of the image, because one transform depends on
where the image begins: R. R. Coifman, D. L. Donoho, "Translation-invariant de-noising", 1995.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hush.bases.levelled import Levelled
from hush.bases.wavelets import package
from hush.errors import HushError


@dataclass
class ImageWavelet(Levelled):
    """BayesShrink, with the noise level given or estimated from the image.

    wavelet : name of an orthogonal wavelet in PyWavelets. levels : bands of octaves, fewer if the
        image is too small. shifts : along each axis, over all pairs of which the mean is taken.
    """

    wavelet: str = "sym4"
    levels: int = 5
    shifts: int = 2

    name: ClassVar[str] = "wavelet"
    summary: ClassVar[str] = "wavelet thresholding, of images and of signals (extra: signals)"
    citation: ClassVar[str] = "Chang et al., IEEE TIP 2000"
    stabilises: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.shifts < 1 or self.levels < 1:
            raise HushError("a wavelet transform needs at least 1 level and 1 shift")

    @property
    def least(self) -> int:
        """See `Levelled.least`: below this a transform has no level."""
        return 32

    def filtered(self, x: np.ndarray, sigma: float) -> np.ndarray:
        """See `Levelled.filtered`; every channel is denoised on its own, in units of the noise,
        because scikit-image adds a tiny number to variances."""
        most = package(self.wavelet).dwtn_max_level(x.shape[1:], self.wavelet)
        levels = min(self.levels, most)
        unit = np.float32(sigma)
        return unit * np.stack([self._spun(c / unit, levels) for c in x])

    def _spun(self, x: np.ndarray, levels: int) -> np.ndarray:
        """The mean over shifts of one channel ``(H, W)`` with noise of deviation 1."""
        from skimage.restoration import denoise_wavelet

        total = np.zeros_like(x)
        for shift in np.ndindex(self.shifts, self.shifts):
            y = denoise_wavelet(
                np.roll(x, shift, (0, 1)),
                1.0,
                wavelet=self.wavelet,
                wavelet_levels=levels,
                method="BayesShrink",
                rescale_sigma=False,
            )
            total += np.roll(y, tuple(-n for n in shift), (0, 1))
        return total / self.shifts**2
