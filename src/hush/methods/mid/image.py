"""MID on images: networks that fold 2×2 pixels, and what only images need.

Images are denoised on the grid that a scanner acquired. Impulses are replaced first. Correlated
noise is also removed at half the resolution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from hush.denoiser import Advance
from hush.errors import HushError
from hush.kinds.cut import sparse
from hush.kinds.image.measure.estimation import estimate_any
from hush.kinds.image.measure.impulses import without_impulses
from hush.kinds.image.resolution import enlarged, halved
from hush.kinds.image.zerofill import as_acquired, reduced
from hush.methods.mid.core import ValueMID
from hush.nets.step import StepNet
from hush.nets.unet import NoiseUNet
from hush.noise.process import Process
from hush.precision import bfloat16
from hush.results import Estimate, Restoration

#: the symmetries of a square that are their own inverse
_SYMMETRIES: list[Callable[[Tensor], Tensor]] = [
    lambda x: x,
    lambda x: x.flip(2, 3),
    lambda x: x.flip(3),
    lambda x: x.flip(2),
    lambda x: x.transpose(2, 3),
    lambda x: x.flip(2, 3).transpose(2, 3),
]

_COARSEST = 64  #: least side in pixels for another pass at half the resolution


@dataclass
class MID(ValueMID):
    """MID for images: iterative removal of Gaussian and counting noise.

    turns : number of symmetries of a square, up to 6, to average over when denoising.
    precision : ``"float32"``; ``"bfloat16"``, used if the machine is faster with it and the noise
        strong enough to hide its rounding; or ``"auto"``, bfloat16 for stored integers only.

    The other settings are `ValueMID`'s.
    """

    turns: int = 2
    precision: str = "auto"

    kinds: ClassVar[tuple[str, ...]] = ("image",)
    cell: ClassVar[int] = StepNet.cell
    reach: ClassVar[int] = StepNet.radius

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.turns <= len(_SYMMETRIES):
            raise HushError(f"turns must be 1 to {len(_SYMMETRIES)}, not {self.turns}")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise HushError(
                f"precision must be 'auto', 'float32' or 'bfloat16', not '{self.precision}'"
            )

    def build(self, channels: int) -> nn.ModuleDict:
        """Ψ and Φ, untrained."""
        return nn.ModuleDict(
            {
                "step": StepNet(channels),
                "noise": NoiseUNet(channels, self.widths, self.blocks),
            }
        )

    def measured(self, x: np.ndarray) -> Estimate:
        """The noise of one image on the acquired grid."""
        return estimate_any(x)

    def prepared(self, x: np.ndarray) -> np.ndarray:
        """An image on the acquired grid."""
        return reduced(x)

    def cleaned(self, x: np.ndarray, found: Estimate) -> np.ndarray:
        """An image without impulses."""
        return without_impulses(x) if found.impulses else x

    def restore(
        self,
        x: np.ndarray,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """Algorithm 2 on the acquired grid; see `Denoiser.restore`."""
        return as_acquired(super().restore, x, noise, advance, found)

    def remainder(self, state: np.ndarray, x: np.ndarray, process: Process, found: Estimate) -> Any:
        """The correction for correlated noise, found at half the resolution.

        Both networks were trained on white noise. Correlated noise is nearly white at half or a
        quarter of the resolution.
        """
        if not (found.correlated or not process.white) or min(x.shape[1:]) < _COARSEST:
            return None
        small = halved(x)
        coarse = super().restore(small, None, None, self.measured(small)).data
        return enlarged(coarse - halved(state), x.shape)

    def whole_noise(self, state: Tensor, deviation: Tensor, half: bool) -> Tensor:
        """Φ, averaged over some symmetries of a square."""
        network = self._network("noise")
        symmetries = _SYMMETRIES[: max(1, self.turns)]
        total = torch.zeros_like(state)
        with torch.autocast(state.device.type, torch.bfloat16, enabled=half):
            for turn in symmetries:
                total += turn(network(turn(state), turn(deviation)))
        return total / len(symmetries)

    def suited(self, dtype: np.dtype[Any]) -> MID:
        """See `Denoiser.suited`; resolves ``precision="auto"``."""
        rounded = self.precision == "auto" and dtype.kind in "iu"
        return self.replace(precision="bfloat16") if rounded else self

    def half_precision(self, level: float, x: np.ndarray) -> bool:
        """Whether Φ runs in bfloat16, with rounding errors of about 0.4 % of an edge.

        If the noise is a fifth of the image's standard deviation, they cost less than 0.01 dB; they
        would exceed faint noise.
        """
        enough = level > 0.2 * float(sparse(x).std())
        return self.precision == "bfloat16" and enough and bfloat16(self.device_)

    def widened(self, channels: int) -> dict[str, Tensor]:
        """See `ValueMID.widened`; a gray model can start any number of channels, by their mean."""
        if self.networks_ is None or self.channels != 1:
            return super().widened(channels)
        state = dict(self.networks_.state_dict())
        copies = channels
        for key in (
            "step.head.weight",
            "noise.head.weight",
        ):  # (width, groups × 4 sub-pixels, 3, 3)
            per_channel = state[key].unflatten(1, (-1, 1, 4))
            state[key] = per_channel.repeat(1, 1, copies, 1, 1, 1).flatten(1, 3) / copies
        for key in ("noise.tail.weight", "step.fully_connected.2.weight"):
            state[key] = state[key].repeat(copies, *[1] * (state[key].ndim - 1))
        return state
