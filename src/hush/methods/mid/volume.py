r"""MID on volumes: slices, slabs of neighbouring slices, and series in their principal components.

The networks see a slab of three neighbouring slices, or one slice, as in the paper (§IV-D).

*Series.* The volumes of a series y_1 … y_T show one anatomy with independent noise of variance σ²
each. A rotation U of the volumes keeps the law of independent Gaussian noise, so that a ladder in
the components c = Uᵀ(y − μ) is the ladder in the volumes: increments remain exchangeable with the
collected noise. With U from the principal components of the series, few components have the
signal, with a high signal-to-noise ratio, and the others hold next to nothing but noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import nn

from hush.errors import HushError
from hush.kinds.volume.cut import slabs
from hush.methods.mid.core import ValueMID
from hush.nets.step import StepNet
from hush.nets.unet import NoiseUNet


@dataclass
class VolumeMID(ValueMID):
    """MID for volumes.

    channels : slices that the networks see together, 3 or 1; set from the data when fitting.

    The other settings are `ValueMID`'s.
    """

    ladder: str = "gaussian:0-55/255|correlated:0-55/255,any"
    widths: Sequence[int] = (32, 64, 96)
    blocks: Sequence[int] = (1, 2, 2)
    stored: float = 0.0

    kinds: ClassVar[tuple[str, ...]] = ("volume",)
    cell: ClassVar[int] = StepNet.cell
    reach: ClassVar[int] = StepNet.radius

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.channels not in (None, 1, 3):
            raise HushError(f"channels, the slices seen together, are 1 or 3, not {self.channels}")

    @property
    def joint(self) -> int | None:
        """See `Denoiser.joint`: all volumes of a series are denoised together."""
        return None

    def build(self, channels: int) -> nn.ModuleDict:
        """Ψ and Φ, untrained."""
        return nn.ModuleDict(
            {
                "step": StepNet(channels),
                "noise": NoiseUNet(channels, self.widths, self.blocks),
            }
        )

    def lessons(self, data: Any, corpus: bool) -> list[np.ndarray]:
        """See `ValueMID.lessons`: slabs ``(slices, Y, X)``."""
        self.channels = self.channels or 3
        every = [
            s for x in self.kind.items(data) for volume in x for s in slabs(volume, self.channels)
        ]
        if not every:
            raise HushError(
                f"these volumes have fewer than {self.channels} slices; add --set channels=1"
            )
        return every
