"""No denoising: the noisy image itself, for a row that every table should have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hush.denoiser import ANY, Advance, Denoiser, Window
from hush.noise.processes import Process
from hush.record import Batch
from hush.results import Estimate, Restoration


@dataclass
class Identity(Denoiser):
    """Returns the input."""

    name: ClassVar[str] = "none"
    summary: ClassVar[str] = "the unchanged input"
    citation: ClassVar[str] = ""
    kinds: ClassVar[tuple[str, ...]] = ANY
    copies: ClassVar[float] = 3

    def restore(
        self,
        x: np.ndarray,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        if advance:
            advance(1.0)
        return Restoration(x, process=noise)

    def window(self, about: Mapping[str, Any]) -> Window | None:
        return Window(0)

    def denoise_item(
        self,
        batch: Batch,
        index: int,
        noise: Process | None = None,
        strength: float = 1.0,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> tuple[np.ndarray, Restoration]:
        """Of strength 0: float32 may not represent the values exactly."""
        return super().denoise_item(batch, index, noise, 0.0, advance, found)
