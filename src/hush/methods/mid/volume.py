r"""MID on volumes: slices, slabs of neighbouring slices, and series in their principal components.

The networks see a slab of three neighbouring slices, or one slice, as in the paper (§IV-D).

*Series.* The volumes of a series y_1 … y_T show one anatomy with independent noise of variance σ²
each. A rotation U of the volumes keeps the law of independent Gaussian noise, so that a ladder in
the components c = Uᵀ(y − μ) is the ladder in the volumes: increments remain exchangeable with the
collected noise. With U from the principal components of the series, few components have the
signal, with a high signal-to-noise ratio, and the others hold next to nothing but noise.

*Magnitudes.* The noise of MR magnitudes is Rician, which matters where the signal is weak.
Components of a series are sums over so many volumes that increments of Gaussian noise serve. A few
volumes of magnitudes teach by adding complex noise (`hush.noise.magnitude`). Either way results are
means of magnitudes, brighter than the signal where it is weak, as in the input; `unbias` takes the
signal from these means by Koay's inversion of E[M].
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from hush.denoiser import Advance, Window
from hush.errors import HushError
from hush.kinds.cut import MOST_ADAPTED
from hush.kinds.layout import filled
from hush.kinds.volume.components import Components
from hush.kinds.volume.cut import slabs
from hush.kinds.volume.decomposition import components, tissue_of
from hush.kinds.volume.dropouts import Dropouts, dropouts
from hush.kinds.volume.measure import estimate_of
from hush.kinds.volume.places import are_adjacent, zero_of
from hush.methods.mid.contrast import beyond
from hush.methods.mid.core import ValueMID
from hush.methods.mid.loss import spread
from hush.missing import areas
from hush.nets import channels_last
from hush.nets.step import StepNet
from hush.nets.unet import NoiseUNet
from hush.noise.processes import Correlated, Gaussian, Process, Rician
from hush.record import Batch
from hush.results import Estimate, Restoration
from hush.sampling import walk_down

LEVEL = 0.1  #: the noise's deviation in the units that the networks get
BORNE_OUT = 0.32  #: share of the level that Φ removes of noise at least: 0.34 to 0.82, else below
LEAST = 0.5  #: components with less signal, relative to the noise, teach nothing
SLICES = 3  #: that networks see together, if nothing else is said
AT_ONCE = 2**19  #: voxels that the networks get at once


@dataclass
class VolumeMID(ValueMID):
    """MID for volumes.

    channels : slices that the networks see together, 3 or 1; set from the data when fitting.
    turns : 1, or 2 to average over a slice and the same turned by half a circle.
    rest : variance of the noise that Φ leaves in a component, relative to what was in it;
        components are weighed by their signal's share of what remains, as in a Wiener filter.
    unbias : remove what Rician noise adds to dark places; by default results keep the mean of
        magnitudes. The option ``--unbias`` sets it for a file.

    The other settings are `ValueMID`'s.
    """

    ladder: str = "gaussian:0-55/255|correlated:0-55/255,any"
    widths: Sequence[int] = (32, 64, 96)
    blocks: Sequence[int] = (1, 2, 2)
    stored: float = 0.0

    rest: float = 0.3
    turns: int = 2
    unbias: bool = False

    series_: Components | None = field(default=None, init=False, repr=False)
    lost_: Dropouts | None = field(default=None, init=False, repr=False)
    law_: Process | None = field(default=None, init=False, repr=False)

    kinds: ClassVar[tuple[str, ...]] = ("volume",)
    applied: ClassVar[tuple[str, ...]] = ("tile", "level", "turns", "rest")
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

    def taught(self, channels: int) -> int:
        """See `Denoiser.taught`: slices."""
        return self.channels or SLICES

    def build(self, channels: int) -> nn.ModuleDict:
        """Ψ and Φ, untrained."""
        return nn.ModuleDict(
            {
                "step": StepNet(channels),
                "noise": NoiseUNet(channels, self.widths, self.blocks),
            }
        )

    # -- training --------------------------------------------------------------------------------

    def lessons(self, data: Any, corpus: bool) -> list[np.ndarray]:
        """See `ValueMID.lessons`: slabs ``(slices, Y, X)``; of noisy series those of components."""
        self.channels = n = self.channels or SLICES
        items = self.kind.items(data)
        if corpus:
            every = [s for x in items for volume in x for s in slabs(volume, n)]
        else:
            every, self.law_ = self.collected(items, [{}] * len(items))
        if not every and max(x.shape[1] for x in items) >= n:
            raise HushError("no noise was found in these volumes, so there is nothing to learn")
        if not every:
            raise HushError(f"these volumes have fewer than {n} slices; add --set channels=1")
        return every

    def collected(
        self, items: Sequence[np.ndarray], about: Sequence[Mapping[str, Any]]
    ) -> tuple[list[np.ndarray], Process | None]:
        """Slabs of series with noise of deviation `LEVEL`, and its law.

        Of the components, or if all series are of few volumes of magnitudes, of these as they are.
        """
        n, every = self.channels or 1, []
        kept: list[tuple[np.ndarray, Components]] = []
        for x, told in zip(items, about, strict=True):
            zero = np.float32(zero_of(told, told.get("full", 1.0)))
            own = self.bound(Batch([x], context={**told, "zero": zero}), 0, None, None).series_
            if own is not None and own.sigma > 0 and x.shape[1] >= n:
                kept.append((x - zero, own))
        complex = all(own.parts is not None for _, own in kept)
        for x, own in kept:
            most = max(1, MOST_ADAPTED // (x[0].size * n))
            if complex:
                for v in own.used[:most]:
                    every += slabs(np.float32(LEVEL / own.sigma) * x[v], n)
                continue
            strong = np.flatnonzero(own.signal > LEAST)
            for c in own.forward(x)[strong[:most]]:
                level = np.broadcast_to(own.deviation(0, len(c))[0], c.shape)
                every += slabs(np.float32(LEVEL) * c / level, n)
        if len(every) * every[0].size > MOST_ADAPTED if every else False:
            every = every[:: -(-len(every) * every[0].size // MOST_ADAPTED)]
        laws = [own.magnitude_law(LEVEL) if complex else own.law(LEVEL) for _, own in kept]
        return every, laws[0] if laws else None

    def measured(self, x: np.ndarray) -> Estimate:
        """The noise of a slab as used in training, which has one level."""
        return Estimate(Gaussian(LEVEL), LEVEL)

    def _collected(
        self, items: Sequence[np.ndarray], stated: Process | None
    ) -> tuple[list[np.ndarray], list[Process | None]]:
        return list(items), [self.law_ or Gaussian(LEVEL)] * len(items)

    def reviewed(self, x: np.ndarray, found: Estimate) -> Estimate:
        """See `Denoiser.reviewed`: of a single volume, no more noise than Φ removes.

        Slices cannot tell faint anatomy from little noise, and what is left in a result of hush
        would be measured as noise. But where there is none, Φ leaves anatomy alone whatever it is
        told. Of several volumes, their components say more.
        """
        n = self.channels or 1
        if len(x) > 1 or x.shape[1] < n or found.sigma <= 0 or self.networks_ is None:
            return found
        tissue = tissue_of(x[0], x[0] == 0)
        area = np.convolve(tissue.sum((1, 2)), np.ones(n), mode="valid")
        some = slice(int(area.argmax()), int(area.argmax()) + n)
        state = np.float32(LEVEL / found.sigma) * (x[0, some] - x[0, some].mean())
        white, octaves = Gaussian(LEVEL), found.spectrum
        law = white if octaves is None else Correlated(white, octaves, 2)
        shares = spread(law, n, self._network("step").octaves, 2)
        removed = self._planes(state, np.full_like(state, LEVEL), shares)[tissue[some]]
        share = float(np.sqrt(np.mean(np.square(removed, dtype=np.float64)))) / LEVEL
        if share > BORNE_OUT:
            return found
        channels = tuple(share * level for level in found.channels)
        process = found.process.scaled(share**2)
        return replace(found, process=process, sigma=share * found.sigma, channels=channels)

    def step_of(self, x: np.ndarray, found: Estimate) -> float:
        """See `Denoiser.step_of`: the share of noise in noise and contrast."""
        return found.sigma / (found.sigma + found.amplitude) if found.sigma else 0.0

    def adapt(
        self,
        items: Sequence[np.ndarray],
        seconds: float,
        *,
        noise: Process | None = None,
        seed: int = 0,
        advance: Advance | None = None,
        about: Sequence[Mapping[str, Any]] = (),
    ) -> VolumeMID:
        """See `ValueMID.adapt`: Φ learns from the components of the series to denoise."""
        from hush.methods.mid.adapting import adapted

        if self.networks_ is None:
            raise self.untrained()
        every, law = self.collected(items, about or [{}] * len(items))
        if not every:
            return self
        made: VolumeMID = adapted(self, every, seconds, noise=law, seed=seed, advance=advance)
        return made

    def _preview(self, held_out: Sequence[np.ndarray], corpus: bool, path: Path) -> None:
        """Write up to four held-out slabs before and after denoising."""
        before, law = list(held_out[:4]), self.law_ or Gaussian(LEVEL)
        if corpus:
            generator = torch.Generator().manual_seed(0)
            before = [law.sample(torch.from_numpy(x), generator).numpy() for x in before]
        shares = spread(law, self.channels or 1, self._network("step").octaves, 2)
        after = [x - self._planes(x, np.full_like(x, LEVEL), shares) for x in before]
        self.kind.preview(before, after, path)

    # -- denoising -------------------------------------------------------------------------------

    def window(self, about: Mapping[str, Any]) -> Window | None:
        """See `Denoiser.window`: every slice is in as many slabs as in the whole series."""
        return Window((self.channels or 1) - 1)

    def bound(
        self, batch: Batch, index: int, noise: Process | None, found: Estimate | None
    ) -> VolumeMID:
        """See `Denoiser.bound`: with the components of the whole series."""
        about, shape = batch.about(index), batch.data[index].shape
        zero = np.float32(zero_of(about, batch.scale))

        def read(start: int, stop: int) -> np.ndarray:
            part = batch.piece(index, slice(start, stop), 1)
            return filled(part.floats(0), part.known(0), batch.blank) - zero

        series = components(read, shape, adjacent=are_adjacent(about, shape[1]))
        if noise is not None and noise.stated:
            series = series.stated(noise)
        elif shape[0] == 1:
            if found is None:
                x = read(0, shape[1])
                found = self.reviewed(x, estimate_of(series, x))
            series = series.lowered(found.sigma)
        other = copy.copy(self)
        other.series_ = series
        other.lost_ = dropouts(other.series_, read, shape[1])
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
        own = self if self.series_ else self.bound(batch, index, noise, found)
        series, lost = own.series_, own.lost_
        assert series is not None
        assert lost is not None
        about, n = batch.about(index), self.channels or 1
        zero, begin = np.float32(zero_of(about, batch.scale)), int(about.get("begin", 0))
        given = filled(batch.floats(index), batch.known(index), batch.blank)
        x = given - zero
        depth = x.shape[1]
        if depth < n:
            raise HushError(
                f"this model sees {n} slices together, but there are only {depth}; "
                "choose a model for single slices"
            )
        if series.sigma <= 0:
            return Restoration(given, noise, 0.0)
        step = series.sigma / (series.sigma + series.brightness)
        if self.unbias and not series.magnitudes:
            raise HushError(
                "these values are no magnitudes, as some are below zero, and have no bias to "
                "remove; leave --unbias out"
            )
        out = x.copy()
        size = max(1, AT_ONCE * 8 // x[:, 0].size)
        for start in range(0, depth, size):
            stop = min(start + size, depth)
            low = min(max(0, start - n + 1), depth - n)
            high = max(min(depth, stop + n - 1), low + n)
            tell = advance and partial(_share, advance, (stop - start) / depth)
            made = self._slices(x[:, low:high], series, begin + low, tell)
            part = out[:, start:stop]
            part[list(series.used)] = made[:, start - low : stop - low]
            series.levelled(part, x[:, start:stop], begin + start)
            lost.restore(part, x[:, start:stop], begin + start)
            if self.unbias:
                used = part[list(series.used)]
                deviation = series.complex_deviation(used, begin + start)
                part[list(series.used)] = Rician(deviation).unbias(used)
            if series.magnitudes:  # and so is their mean
                np.maximum(part, 0, out=part)
            part[_zeroed(x[:, start:stop])] = 0
            part[:, series.empty[begin + start : begin + stop]] = 0
        out += zero
        others = [c for c in range(len(x)) if c not in series.used]
        out[others] = given[others]
        return Restoration(out, noise, step, found=found, said=lost.said())

    def _slices(
        self, x: np.ndarray, series: Components, begin: int, advance: Advance | None
    ) -> np.ndarray:
        """The used volumes of some slices ``(C, z, Y, X)``, the first of them slice `begin`."""
        share = series.signal / np.maximum(series.signal + self.rest, 1e-12)
        if len(share) == 1:  # nothing to weigh it against
            share = np.ones(1)
        scale = np.float32(LEVEL / series.sigma)
        shares = spread(series.law(LEVEL), self.channels or 1, self._network("step").octaves, 2)
        told = scale * series.deviation(begin, begin + x.shape[1])[0]
        told = np.broadcast_to(told, x.shape[1:])
        made = series.forward(x)
        kept = np.flatnonzero(share > 0)
        made[share == 0] = 0
        noise = partial(self._left, told=told, shares=shares)
        for k in kept.tolist():
            state = scale * made[k]
            clean, _ = walk_down(noise, state, self.steps)
            strong = beyond(state[None], clean[None], Gaussian(float(told.max())))
            if strong is not None:
                clean = walk_down(noise, state - strong[0], self.steps)[0] + strong[0]
            made[k] = clean * np.float32(share[k] / scale)
            if advance:
                advance(1 / len(kept))
        return series.back(made)

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
                if self.turns == 2:
                    turned = (channels_last(x.flip(2, 3)) for x in (state, level))
                    noise = (noise + network(*turned, spectrum).flip(2, 3)) / 2
                for i, each in enumerate(noise.float().cpu().numpy(), first):
                    total[i : i + n] += each[:, :height, :width]
                    count[i : i + n] += 1
        return total / count


def _share(advance: Advance, share: float, done: float) -> None:
    advance(share * done)


def _zeroed(x: np.ndarray) -> np.ndarray:
    """Where slices ``(C, z, Y, X)`` were set to zero: solid areas, and voxels with all of their
    neighbours in the plane."""
    from scipy.ndimage import maximum_filter

    zeroed: np.ndarray = maximum_filter(x != 0, size=(1, 1, 3, 3), mode="nearest") == 0
    for volume, found in zip(x, zeroed, strict=True):
        found |= areas(volume == 0)
    return zeroed
