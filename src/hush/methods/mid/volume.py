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
from functools import partial
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


@dataclass
class VolumeMID(ValueMID):
    """MID for volumes.

    channels : slices that the networks see together, 3 or 1; set from the data when fitting.
    rest : variance of the noise that Φ leaves in a component, relative to what was in it;
        components are weighed by their signal's share of what remains, as in a Wiener filter.

    The other settings are `ValueMID`'s.
    """

    ladder: str = "gaussian:0-55/255|correlated:0-55/255,any"
    widths: Sequence[int] = (32, 64, 96)
    blocks: Sequence[int] = (1, 2, 2)
    stored: float = 0.0

    rest: float = 0.3

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
        depth, n = x.shape[1], self.channels or 1
        if depth < n:
            raise HushError(
                f"this model sees {n} slices together, but there are only {depth}; "
                "choose a model for single slices"
            )
        signal = np.maximum(0, series.power - 1)
        share = signal / (signal + self.rest)
        kept = np.flatnonzero(share > 0)
        size = max(1, AT_ONCE * 8 // (x.shape[0] * x.shape[2] * x.shape[3]))
        scale = np.float32(LEVEL / series.sigma)
        white = Gaussian(LEVEL)
        law = white if series.spectrum is None else Correlated(white, series.spectrum, 2)
        shares = spread(law, n, self._network("step").octaves, 2)
        for start in range(0, depth, size):
            stop = min(start + size, depth)
            low = min(max(0, start - n // 2), depth - n)
            high = max(min(depth, stop + n // 2), low + n)
            c = series.forward(x[:, low:high])
            made = np.zeros((len(c), stop - start, *c.shape[2:]), np.float32)
            inner = slice(start - low, stop - low)
            told = scale * series.deviation(begin + low, begin + high)[0]
            told = np.broadcast_to(told, c.shape[1:])
            for k in kept.tolist():
                noise = partial(self._left, told=told, shares=shares)
                clean, _ = walk_down(noise, scale * c[k], self.steps)
                made[k] = clean[inner] * np.float32(share[k] / scale)
                if advance:
                    advance((stop - start) / depth / len(kept))
            out[list(series.used), start:stop] = series.back(made)
        out[:, series.empty[begin : begin + depth]] = 0

    def _left(
        self, s: np.ndarray, left: float, *, told: np.ndarray, shares: np.ndarray
    ) -> np.ndarray:
        """`_planes` with a share of the deviation left."""
        return self._planes(s, told * np.float32(left), shares)

    def _planes(self, s: np.ndarray, told: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """The whole noise in the slices of one component ``(Z, Y, X)``, from every slab."""
        network = self._network("noise")
        device = next(network.parameters()).device
        n, (height, width) = self.channels or 1, s.shape[1:]
        pad = [(-side) % network.multiple for side in (height, width)]
        mode = "reflect" if min(height, width) > network.multiple else "replicate"
        both = F.pad(torch.from_numpy(np.stack([s, told])), (0, pad[1], 0, pad[0]), mode=mode)
        total, count = np.zeros_like(s), np.zeros((len(s), 1, 1), np.float32)
        batch = max(1, AT_ONCE // (n * both[0, 0].numel()))
        spectrum = torch.from_numpy(shares)[None].to(device)
        starts = range(len(s) - n + 1)
        with torch.inference_mode():
            for first in range(0, len(starts), batch):
                slabs_ = [both[:, z : z + n] for z in starts[first : first + batch]]
                state, level = torch.stack(slabs_, 1).to(device)
                noise = network(channels_last(state), channels_last(level), spectrum)
                for i, each in enumerate(noise.float().cpu().numpy(), first):
                    total[i : i + n] += each[:, :height, :width]
                    count[i : i + n] += 1
        return total / count
