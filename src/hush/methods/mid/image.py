"""MID on images: networks that fold 2×2 pixels, and what only images need.

Images are denoised on the grid that a scanner acquired, impulses are replaced first, and noise
that spans pixels is looked for again at half the resolution.
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

#: symmetries of a square that are their own inverse
_SYMMETRIES: list[Callable[[Tensor], Tensor]] = [
    lambda x: x,
    lambda x: x.flip(2, 3),
    lambda x: x.flip(3),
    lambda x: x.flip(2),
    lambda x: x.transpose(2, 3),
    lambda x: x.flip(2, 3).transpose(2, 3),
]

_COARSEST = 64  #: pixels; smaller images are not looked at again at half the resolution


@dataclass
class MID(ValueMID):
    """MID for images: iterative removal of Gaussian and counting noise.

    turns : of the symmetries of a square, that many are averaged over when denoising, up to 6.
    precision : ``"float32"``; ``"bfloat16"``, used where the machine is faster with it and the
        noise strong enough to hide its rounding; or ``"auto"``, the latter for stored integers.

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
            raise HushError(f"MID takes 1 to {len(_SYMMETRIES)} turns, not {self.turns}")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise HushError(
                f"MID's precision is 'auto', 'float32' or 'bfloat16', not '{self.precision}'"
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
        """The noise of one image on the grid that was acquired."""
        return estimate_any(x)

    def prepared(self, x: np.ndarray) -> np.ndarray:
        """An image on the grid that was acquired."""
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
        """Algorithm 2 on the grid that was acquired; see `Denoiser.restore`."""
        return as_acquired(super().restore, x, noise, advance, found)

    def remainder(self, state: np.ndarray, x: np.ndarray, process: Process, found: Estimate) -> Any:
        """Of noise that spans pixels, what is left over and is found at half the resolution.

        Both networks know noise of independent pixels. What spans pixels is nearly that at half
        the resolution, or at half of that.
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
        """See `Denoiser.suited`; here ``precision="auto"`` is decided."""
        rounded = self.precision == "auto" and dtype.kind in "iu"
        return self.replace(precision="bfloat16") if rounded else self

    def half_precision(self, level: float, x: np.ndarray) -> bool:
        """Whether Φ runs in bfloat16, whose rounding is of the order of 0.4 % of an edge.

        With noise of a fifth of the image's own spread that costs under 0.01 dB; faint noise on
        a strong picture would drown in it.
        """
        enough = level > 0.2 * float(sparse(x).std())
        return self.precision == "bfloat16" and enough and bfloat16(self.device_)

    def widened(self, channels: int) -> dict[str, Tensor]:
        """See `ValueMID.widened`; a gray model may start more, each treated like their mean."""
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
