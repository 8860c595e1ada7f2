"""A toy method: the median of neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.ndimage import median_filter

from hush.denoiser import Advance, Denoiser
from hush.noise.process import Process
from hush.results import Estimate, Restoration


@dataclass
class Median(Denoiser):
    """The median of `size` neighbours."""

    size: int = 5

    name: ClassVar[str] = "median"
    summary: ClassVar[str] = "the median of neighbours"
    citation: ClassVar[str] = "Tukey, Exploratory Data Analysis, 1977"
    kinds: ClassVar[tuple[str, ...]] = ("trace",)

    def restore(
        self,
        x: np.ndarray,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        return Restoration(median_filter(x, (1, self.size), mode="nearest"), noise)
