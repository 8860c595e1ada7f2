"""Shared by methods for white noise of one level: the level, and an image whose noise has it.

A method derives from `Levelled` and writes `filtered`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hush.denoiser import Advance, Denoiser
from hush.noise.processes import Process
from hush.noise.stabilise import stabilised
from hush.results import Estimate, Restoration


@dataclass
class Levelled(Denoiser):
    """A method that takes the standard deviation of white noise, given or measured.

    Noise of several levels is denoised at its mean level.
    """

    #: whether counting noise is first transformed so that it has one level (`hush.noise.stabilise`)
    stabilises: ClassVar[bool] = False

    @property
    def least(self) -> int:
        """Least side of the arrays that `filtered` takes; smaller ones are mirrored."""
        return 1

    def filtered(self, x: np.ndarray, sigma: float) -> np.ndarray:
        """An item ``(C, *S)`` with white noise of this standard deviation, denoised."""
        raise NotImplementedError

    def restore(
        self,
        x: np.ndarray,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """See `Denoiser.restore`."""
        used, root = noise, np.ones((), np.float32)
        if noise is None:
            found = found or self.kind.measure([x])
            # Divided by its unevenness, the noise is the same everywhere.
            noise, used, root = found.process, found.local, found.unevenness
        form = stabilised(noise) if self.stabilises and root.ndim == 0 else None
        if form is not None:
            y = form[0].inverse(self._levelled(form[0](x).astype(np.float32), form[1]))
        else:
            y = root * self._levelled(x / root, noise, x)
        if advance:
            advance(1.0)
        return Restoration(np.asarray(y, np.float32), process=used)

    def _levelled(self, x: np.ndarray, noise: Process, at: np.ndarray | None = None) -> np.ndarray:
        """`filtered` at the mean level of the noise. at : the values that decide it, if not `x`."""
        values = (x if at is None else at).astype(np.float64)
        sigma = math.sqrt(float(np.mean(noise.variance(values))))
        if sigma == 0:
            return x.copy()
        pads = [(0, 0), *((0, max(0, self.least - n)) for n in x.shape[1:])]
        y = self.filtered(np.pad(x, pads, mode="symmetric"), sigma)
        return y[(slice(None), *(slice(n) for n in x.shape[1:]))]
