r"""MID on volumes: slices, slabs of neighbouring slices, and series in their principal components.

The networks see a slab of three neighbouring slices, or one slice, as in the paper (§IV-D).

*Series.* The volumes of a series y_1 … y_T show one anatomy with independent noise of variance σ²
each. A rotation U of the volumes keeps the law of independent Gaussian noise, so that a ladder in
the components c = Uᵀ(y − μ) is the ladder in the volumes: increments remain exchangeable with the
collected noise. With U from the principal components of the series, few components have the
signal, with a high signal-to-noise ratio, and the others hold next to nothing but noise.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from hush.denoiser import Advance, Window
from hush.errors import HushError
from hush.kinds.layout import filled
from hush.kinds.volume import adjacent
from hush.kinds.volume.components import Components, components
from hush.kinds.volume.cut import slabs
from hush.methods.mid.core import ValueMID
from hush.methods.mid.loss import spread
from hush.nets import channels_last
from hush.nets.step import StepNet
from hush.nets.unet import NoiseUNet
from hush.noise.processes import Correlated, Gaussian, Process
from hush.record import Batch
from hush.results import Estimate, Restoration
from hush.sampling import walk_down

LEVEL = 0.1  #: the noise's deviation in the units that the networks get
AT_ONCE = 2**19  #: voxels that the networks get at once
WEAKEST = 0.0  #: components of less signal, relative to the noise's variance, are left out


@dataclass
class VolumeMID(ValueMID):
    """MID for volumes.

    channels : slices that the networks see together, 3 or 1; set from the data when fitting.
    shrink : weigh each component by its signal's share of its variance, as a Wiener filter does.

    The other settings are `ValueMID`'s.
    """

    ladder: str = "gaussian:0-55/255|correlated:0-55/255,any"
    widths: Sequence[int] = (32, 64, 96)
    blocks: Sequence[int] = (1, 2, 2)
    stored: float = 0.0

    shrink: bool = True

    series_: Components | None = field(default=None, init=False, repr=False)

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

    # -- denoising -------------------------------------------------------------------------------

    def window(self, about: Mapping[str, Any]) -> Window | None:
        """See `Denoiser.window`: the slices beside a slab."""
        return Window(2)

    def bound(self, batch: Batch, index: int, noise: Process | None, found: Estimate) -> VolumeMID:
        """See `Denoiser.bound`: with the components of the whole series."""
        x, known = batch.data[index], None if batch.mask is None else batch.mask[index]

        def read(start: int, stop: int) -> np.ndarray:
            part = batch.piece(index, slice(start, stop), 1)
            return filled(part.floats(0), part.known(0))

        del known
        other = copy.copy(self)
        other.series_ = components(read, x.shape, adjacent=adjacent(x.shape[1], batch.about(index)))
        return other

    def restore_item(
        self,
        batch: Batch,
        index: int,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """Algorithm 2 on the components of a series; see `Denoiser.restore`."""
        if self.networks_ is None:
            raise self.untrained()
        begin = int(batch.about(index).get("begin", 0))
        x = filled(batch.floats(index), batch.known(index))
        series = (
            self.series_
            or self.bound(batch, index, noise, found or Estimate(Gaussian(0.0), 0.0)).series_
        )
        assert series is not None
        out = x.copy()
        if series.sigma > 0:
            self._components(x, out, series, begin, advance)
        process: Process = Gaussian(series.sigma)
        return Restoration(out, process, min(1.0, series.sigma / self.top_))

    def _components(
        self,
        x: np.ndarray,
        out: np.ndarray,
        series: Components,
        begin: int,
        advance: Advance | None,
    ) -> None:
        depth = x.shape[1]
        used = list(series.used)
        share = np.maximum(0, 1 - 1 / np.maximum(series.power, 1e-12))
        kept = np.flatnonzero(series.power - 1 > WEAKEST) if self.shrink else np.arange(len(share))
        size = max(1, AT_ONCE * 8 // (x.shape[0] * x.shape[2] * x.shape[3]))
        reach = (self.channels or 1) // 2
        white = Gaussian(LEVEL)
        law = white if series.spectrum is None else Correlated(white, series.spectrum, 2)
        for start in range(0, depth, size):
            stop = min(start + size, depth)
            low, high = max(0, start - reach), min(depth, stop + reach)
            deviation = series.deviation(begin + low, begin + high)
            c = series.forward(x[:, low:high], deviation)
            made = np.zeros((len(c), stop - start, *c.shape[2:]), np.float32)
            for k in kept.tolist():
                clean, _ = walk_down(
                    lambda s, left: self._planes(s, law.scaled(left**2)), LEVEL * c[k], self.steps
                )
                made[k] = clean[start - low : start - low + stop - start] / LEVEL
                if self.shrink:
                    made[k] *= share[k]
                if advance:
                    advance((stop - start) / depth / len(kept))
            inner = deviation if deviation.shape[1] == 1 else deviation[:, start - low : stop - low]
            out[used, start:stop] = series.back(made, inner)
        out[:, series.empty[begin : begin + depth]] = 0

    def _planes(self, s: np.ndarray, law: Process) -> np.ndarray:
        """The whole noise in the slices of one component ``(Z, Y, X)``, from every slab."""
        network = self._network("noise")
        n = self.channels or 1
        multiple = network.multiple
        height, width = s.shape[1:]
        pad = [(-height) % multiple, (-width) % multiple]
        mode = "reflect" if min(height, width) > multiple else "replicate"
        state = F.pad(torch.from_numpy(s)[None], (0, pad[1], 0, pad[0]), mode=mode)[0]
        state = torch.stack([state[z : z + n] for z in range(len(s) - n + 1)])
        device = next(network.parameters()).device
        shares = torch.from_numpy(spread(law, n, self._network("step").octaves, 2))[None]
        total, count = np.zeros_like(s), np.zeros((len(s), 1, 1), np.float32)
        batch = max(1, AT_ONCE // state[0].numel())
        level = float(law.variance(np.zeros(1))[0]) ** 0.5
        with torch.inference_mode():
            for first in range(0, len(state), batch):
                part = channels_last(state[first : first + batch].contiguous().to(device))
                told = torch.full_like(part, level)
                noise = network(part, told, shares.to(device)).float().cpu().numpy()
                for i, each in enumerate(noise[:, :, :height, :width], first):
                    total[i : i + n] += each
                    count[i : i + n] += 1
        return total / count
