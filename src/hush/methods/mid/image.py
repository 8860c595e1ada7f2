"""MID on images: networks that fold 2×2 pixels, and what only images need.

Images are denoised on the grid that a scanner acquired. Impulses are replaced first. Fine waves
that the networks would smooth away are kept from them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from hush.denoiser import Advance, Window
from hush.devices import bfloat16
from hush.errors import HushError
from hush.kinds.cut import sparse
from hush.kinds.image.binning import binned, enlarged, side_of_bins
from hush.kinds.image.large import CELL, MARGIN
from hush.kinds.image.measure.estimation import estimate_any, gains, unlike
from hush.kinds.image.measure.impulses import without_impulses
from hush.kinds.image.measure.lines import without_lines
from hush.kinds.image.measure.quiet import bounded
from hush.kinds.image.measure.regression import coloured, law_of_white, whitened
from hush.kinds.image.zerofill import as_acquired, reduced
from hush.kinds.layout import filled
from hush.methods.mid import large
from hush.methods.mid.core import ValueMID
from hush.methods.mid.loss import BLUR
from hush.methods.mid.waves import waves
from hush.nets.experts import Experts
from hush.nets.gated import GatedUNet
from hush.nets.step import StepNet
from hush.nets.unet import NoiseUNet
from hush.nets.values import groups
from hush.noise.process import Process
from hush.noise.spectrum import OCTAVES
from hush.record import Batch
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

NETS = {"unet": NoiseUNet, "gated": GatedUNet}
#: of trainings from scratch, chosen by five minutes each on 180 noisy pictures
PACES: dict[str, Mapping[str, Any]] = {
    "unet": {"batch": 8, "learning_rate": 2e-3},
    "gated": {"batch": 8, "learning_rate": 4e-3},
}


@dataclass
class MID(ValueMID):
    """MID for images: iterative removal of Gaussian and counting noise.

    net : architecture of Φ: ``"unet"``, that of the shipped models; or ``"gated"``, which learns
        as much in a few minutes and, with widths of 32, 64 and 128, denoises in half the time.
    white_net : architecture of a second Φ, which takes over where noise is white; none by default.
    turns : number of symmetries of a square, up to 6, to average over when denoising.
    precision : ``"float32"``; ``"bfloat16"``, used if the machine is faster with it and the noise
        strong enough to hide its rounding; or ``"auto"``, bfloat16 for stored integers only.

    The other settings are `ValueMID`'s.
    """

    ladder: str = (
        "gaussian:0-55/255|gaussian:0-55/255|gaussian:0-55/255|gaussian:0-55/255|gaussian:0-55/255"
        "|gaussian:0-55/255|gaussian:0-4/255"
        "|poisson:0.3-4|poisson:4-60|poisson-gaussian:0.001-0.1/1,0-20/255|log-speckle:0-40/255,1-5"
        "|correlated:0-4/255,any|correlated:0-15/255,any|correlated:0-40/255,any"
        "|correlated:poisson-gaussian:0.001-0.1/1,0-15/255,any"
        "|camera:0.0001-0.012,0.0001-0.015,0-2.5|camera:0.0001-0.012,0.0001-0.015,0-2,50-100"
    )
    blocks: Sequence[int] = (2, 2, 4)
    net: str = "unet"
    white_net: str = ""
    turns: int = 2
    precision: str = "auto"

    kinds: ClassVar[tuple[str, ...]] = ("image",)
    architecture: ClassVar[tuple[str, ...]] = ("net", "white_net", "widths", "blocks")
    applied: ClassVar[tuple[str, ...]] = ("tile", "level", "turns", "precision")
    power: ClassVar[float] = 0.8  # in 2, 4 and 8 steps (docs/figures.md)
    cell: ClassVar[int] = StepNet.cell
    reach: ClassVar[int] = StepNet.radius

    decided_: large.Decided | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.turns <= len(_SYMMETRIES):
            raise HushError(f"turns must be 1 to {len(_SYMMETRIES)}, not {self.turns}")
        if self.net not in NETS:
            raise HushError(f"net must be 'unet' or 'gated', not '{self.net}'")
        if self.white_net not in ("", *NETS):
            raise HushError(f"white_net must be 'unet' or 'gated', not '{self.white_net}'")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise HushError(
                f"precision must be 'auto', 'float32' or 'bfloat16', not '{self.precision}'"
            )

    @property
    def pace(self) -> Mapping[str, Any]:
        """See `ValueMID.pace`."""
        return PACES[self.net]

    def build(self, channels: int) -> nn.ModuleDict:
        """Ψ and Φ, untrained."""
        step = StepNet(channels)
        noise: nn.Module = NETS[self.net](channels, self.widths, self.blocks)
        if self.white_net:
            white = NETS[self.white_net](channels, self.widths, self.blocks)
            noise = Experts(white, noise)
        return nn.ModuleDict({"step": step, "noise": noise})

    def measured(self, x: np.ndarray) -> Estimate:
        """The noise of one image on the acquired grid."""
        return estimate_any(x)

    def prepared(self, x: np.ndarray) -> np.ndarray:
        """An image on the acquired grid."""
        return reduced(x)

    def reviewed(self, x: np.ndarray, found: Estimate) -> Estimate:
        """See `Denoiser.reviewed`; on the acquired grid, without offsets of lines and hum."""
        if found.regression:  # Ψ knows no noise of one axis
            return found
        less = reduced(without_lines(x, found.lines))
        seen = super().reviewed(less, replace(found, lines=None))
        return replace(bounded(seen, [less]), lines=found.lines)

    def cleaned(self, x: np.ndarray, found: Estimate) -> np.ndarray:
        """An image without offsets of lines, hum and impulses."""
        return without_impulses(without_lines(x, found.lines), found)

    def window(self, about: Mapping[str, Any]) -> Window | None:
        """See `Denoiser.window`; of images too large for memory."""
        if self.networks_ is None or self.level == "step":
            return None
        return Window(self.around + CELL + MARGIN, math.lcm(self.tile, CELL))

    @property
    def around(self) -> int:
        """How far Φ sees, in pixels, in all steps."""
        return self.steps * int(self._network("noise").radius + BLUR)

    def bound(self, batch: Batch, index: int, noise: Process | None, found: Estimate) -> MID:
        """See `Denoiser.bound`; of an image too large for memory, decided on its glimpse."""
        glimpse = self.kind.glimpse(batch, index)
        if "whole" not in glimpse.about(0) or self.window({}) is None:
            return self
        x = filled(glimpse.floats(0), glimpse.known(0), batch.blank)
        other = copy.copy(self)
        other.decided_ = large.decided(self, x, batch.data[index].dtype, noise, found, self.around)
        return other

    def restore_item(
        self,
        batch: Batch,
        index: int,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """`restore` item `index`; impulses are replaced first, so that they do not fill gaps."""
        if found is not None and self.decided_ is not None and "place" in batch.about(index):
            return large.restored(self, batch, index, noise, advance, found, self.decided_)
        known = batch.known(index)
        if known.all():
            return super().restore_item(batch, index, noise, advance, found)
        x = np.where(known, batch.floats(index), np.float32(np.nan))
        noise, found = self._told(x, noise, found)
        taken = found.lines.seen(x) if found.lines else None
        x = x if taken is None else x - taken
        clean = without_impulses(x, found)
        rest = replace(found, impulses=0.0, lines=None)
        made = replace(self.restore(filled(clean, known), noise, advance, rest), taken=taken)
        return made if clean is x else replace(made, replaced=known & (clean != x))

    def restore(
        self,
        x: np.ndarray,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """Algorithm 2 on the acquired grid, or in squares; see `Denoiser.restore`."""
        return as_acquired(self._restore, x, noise, advance, found)

    def _restore(
        self,
        x: np.ndarray,
        noise: Process | None,
        advance: Advance | None,
        found: Estimate | None,
    ) -> Restoration:
        noise, found = self._told(x, noise, found)
        if found.lines:
            taken = found.lines.seen(x)
            made = self._restore(x - taken, noise, advance, replace(found, lines=None))
            return replace(made, taken=taken)
        if found.regression:
            return self._after_filter(x, noise, advance, found)
        if noise is None and found.process.terms == (0,) and unlike(found):
            return self._in_levels(x, advance, found)
        law = found.law() if noise is None else noise
        side = side_of_bins(x, law)
        if side == 1:
            return super().restore(x, noise, advance, found)
        clean, less = self.cleaned(x, found), law.scaled(1 / side**2)
        known = replace(found, process=less, impulses=0.0)
        total = np.zeros_like(x)
        for shift in product((0, side // 2), repeat=2):  # their mean has no grid
            few = binned(clean, side, shift)
            made = super().restore(few, less, None, known)
            total += enlarged(made.data, side, shift, x.shape[1:])
        if advance:
            advance(1.0)
        return replace(made, data=total / 4, process=law)

    def _after_filter(
        self, x: np.ndarray, noise: Process | None, advance: Advance | None, found: Estimate
    ) -> Restoration:
        """`_restore` after the filter that makes the noise white, which is then undone."""
        clean, regression = self.cleaned(x, found), found.regression
        white = replace(
            found,
            process=law_of_white(found.process, regression),
            correlated=False,
            autocorrelation=(),
            impulses=0.0,
            curve=(),
            regression=(),
        )
        law = None if noise is None else law_of_white(noise, regression)
        made = self._restore(whitened(clean, regression), law, advance, white)
        return replace(
            made,
            data=coloured(made.data, regression),
            process=found.local if noise is None else noise,
            found=found,
            replaced=None if clean is x else clean != x,
        )

    def _in_levels(self, x: np.ndarray, advance: Advance | None, found: Estimate) -> Restoration:
        """`_restore` of channels that are brought to one level of noise, and back."""
        clean, gain = self.cleaned(x, found), gains(found)
        even = replace(found, impulses=0.0, channels=(found.sigma,) * len(x))
        made = self._restore(clean * gain, None, advance, even)
        replaced = None if clean is x else clean != x
        data = np.divide(made.data, gain, out=clean.copy(), where=gain > 0)
        return replace(made, data=data, found=found, replaced=replaced)

    def _told(
        self, x: np.ndarray, noise: Process | None, found: Estimate | None
    ) -> tuple[Process | None, Estimate]:
        """The noise to remove besides offsets that are stated, and the measurement."""
        if found is None or (noise is not None and noise.beside):
            noise, found = self.kind.stated(x, noise)
            found = self.reviewed(filled(x, np.isfinite(x)), found)
        return noise, found

    def lost(self, x: np.ndarray, state: np.ndarray, noise: Process) -> np.ndarray | None:
        """See `ValueMID.lost`; fine waves, too, if there still are some in what Φ removed."""
        kept = super().lost(x, state, noise)
        return waves(x, noise) if kept is None and waves(x, noise, state) is not None else kept

    def whole_noise(self, state: Tensor, deviation: Tensor, shares: Tensor, half: bool) -> Tensor:
        """Φ, averaged over some symmetries of a square."""
        network = self._network("noise")
        symmetries = _SYMMETRIES[: max(1, self.turns)]
        total = torch.zeros_like(state)
        with torch.autocast(state.device.type, torch.bfloat16, enabled=half):
            for turn in symmetries:
                total += turn(network(turn(state), turn(deviation), shares))
        return total / len(symmetries)

    def suited(self, dtype: np.dtype[Any]) -> MID:
        """See `Denoiser.suited`; resolves ``precision="auto"``."""
        rounded = self.precision == "auto" and dtype.kind in "iu"
        return self.replace(precision="bfloat16") if rounded else self

    def hurried(self) -> MID:
        """See `Denoiser.hurried`; one pass, without an average over symmetries."""
        return self.replace(turns=1)

    def thorough(self) -> MID:
        """See `ValueMID.thorough`; averaged over all symmetries."""
        return self.replace(turns=len(_SYMMETRIES))

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
        for key, weight in state.items():
            if key.endswith(".head.weight"):  # (width, 4 sub-pixels, 3, 3)
                state[key] = weight.repeat(1, channels, 1, 1) / channels
            elif key.endswith(".tail.weight"):
                state[key] = weight.repeat(channels, *[1] * (weight.ndim - 1))
            elif channels > 1 and key.endswith(".told.weight"):  # of each channel, and of the mean
                told = weight[:, :, None]
                told = torch.cat([told.repeat(1, 1, channels, 1, 1) / channels, 0 * told], 2)
                state[key] = told.flatten(1, 2)
            elif channels > 1 and key in ("step.fully_connected.2.weight", "step.wide.2.weight"):
                state[key] = weight.repeat_interleave(groups(channels), 0)
        return state

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Load weights; those of networks that were told one level for all octaves, too."""
        told = any(key.endswith(".told.weight") for key in tensors)
        super().load_weights(tensors if told else _of_white(tensors))


def _of_white(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights for networks with octaves from those for white noise alone.

    The level counts for all octaves together, and each octave is estimated as that level.
    """
    state = {key: tensor.float() for key, tensor in tensors.items()}
    channels = len(state["step.fully_connected.2.weight"])
    image, level = state["noise.head.weight"].chunk(2, 1)
    # Levels are smooth, so a filter of them is the sum of its weights.
    level = level.unflatten(1, (channels, 4)).sum((2, 3, 4)) / OCTAVES
    mean = [torch.zeros_like(level[:, :1])] * (channels > 1)
    told = torch.cat([level, *mean], 1).repeat(1, OCTAVES)
    rows = state["step.fully_connected.2.weight"]
    rows = torch.cat([rows, *[rows.mean(0, keepdim=True)] * (channels > 1)])
    state["noise.head.weight"], state["noise.told.weight"] = image, told[..., None, None]
    state["step.fully_connected.2.weight"] = rows.repeat(OCTAVES, 1)
    # The wide branches are zero at the end, so that their other weights do not matter.
    wide = {f"step.{key}": w for key, w in StepNet(channels).state_dict().items()}
    return {**wide, **state}
