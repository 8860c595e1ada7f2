r"""Noise2Noise: Learning Image Restoration without Clean Data (Lehtinen et al., ICML 2018).

The squared error is least at the mean of its targets. So noisy targets work like clean ones if
their noise has mean zero and is independent of the input's noise:

.. math:: \arg\min_\theta \sum_i L\big(f_\theta(\hat x_i),\, \hat y_i\big),
          \quad E\{\hat y_i \mid \hat x_i\} = y_i. \qquad (6)

Input and target are two takes of one scene, drawn again at every step, in either order.

The volumes of a series are takes of one scene if they have the same b-value and direction. Where a
volume has no such repeat, the volumes of its shell with the nearest directions take their place, as
in the tables of DDM² (Xiang et al., ICLR 2023). What differs between them is smoothed away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from hush.bases.learned import Learned, Network, Plain
from hush.bases.series import Seen, Slices, Trained, share_of, through, windows_side
from hush.denoiser import Learns
from hush.errors import HushError
from hush.kinds.cut import takes
from hush.kinds.volume.series import Series
from hush.nets.slices import SliceUNet
from hush.results import Restoration

NEAR = 2  #: volumes that take the place of missing repeats
SAME = 0.999  #: cosine of the angle between two directions from which on they are the same
LEAST = 0.2  #: share of the time that even a shell of few volumes gets
WINDOW = 64  #: most voxels of a window's side


@dataclass
class Noise2Noise(Plain, Learned):
    """Noise2Noise for any noise of mean zero, from repeated takes of still scenes.

    `fit` takes a list of scenes, each a stack ``(R, H, W)`` or ``(R, H, W, 3)`` of R ≥ 2 takes, or
    a list of takes. If scenes have different numbers of takes, only the first ones are used. For
    ``hush train`` every file is a scene: a stack of takes.

    channels, tile, widths : see `hush.bases.learned`.
    """

    name: ClassVar[str] = "noise2noise"
    summary: ClassVar[str] = "a network that learns one noisy take of a scene from another"
    citation: ClassVar[str] = "Lehtinen et al., Noise2Noise, ICML 2018"
    learns_from: ClassVar[Learns] = "takes"

    def scenes(self, data: Sequence[np.ndarray] | np.ndarray) -> list[np.ndarray]:
        """Scenes ``(C, R, H, W)``, all with the same R."""
        scenes = takes(data, self.kind)
        count = min(map(len, scenes), default=0)
        if count < 2:
            raise HushError(
                "noise2noise learns from repeats; give it stacks, each of two or more takes of one "
                "scene"
            )
        return [np.stack(scene[:count], 1) for scene in scenes]

    def loss(
        self, network: Network, x: Tensor, generator: torch.Generator, done: float
    ) -> Mapping[str, Tensor]:
        """Eq. 6 on two takes of each patch ``(C·R, h, w)``."""
        scene = x.unflatten(1, (self.channels, -1))
        order = torch.rand(len(x), scene.shape[2], generator=generator, device=x.device).argsort(1)
        every = torch.arange(len(x), device=x.device)
        source, target = (scene[every, :, order[:, i]] for i in (0, 1))
        return {"loss": (network(source).float() - target).square().mean()}


@dataclass
class VolumeNoise2Noise(Trained):
    """Noise2Noise of a series: the network learns on the series itself, slice by slice.

    Each shell has a network of its own. A volume without others in its shell stays as it is.

    seconds, steps, width, seed : see `hush.bases.series.Trained`; a shell gets its share of the
    time. batch : windows in a step.
    """

    batch: int = 8

    name: ClassVar[str] = "noise2noise"
    summary: ClassVar[str] = "a network that learns one volume of a series from its repeats"
    citation: ClassVar[str] = "Lehtinen et al., Noise2Noise, ICML 2018"
    least: ClassVar[int] = 2

    def denoised(self, seen: Seen, advance: Callable[[float], None]) -> Restoration:
        """See `VolumeMethod.denoised`."""
        mean, deviation = seen.moments()
        x = (seen.x - mean) / deviation
        mates = {c: near for c in range(len(x)) if (near := repeats(seen.series, c))}
        said: tuple[str, ...] = ()
        if len(mates) < len(x):
            said = (
                "Volumes without others in their shell have no repeats, so noise2noise left "
                f"{len(x) - len(mates)} of {len(x)} as they were.",
            )
        out = seen.x.copy()
        for shell in seen.series.shells:
            chosen = [c for c in shell if c in mates]
            if chosen:
                share = len(chosen) / len(mates)
                made = self._learned(x, chosen, mates, share, advance)
                out[chosen] = made * deviation[chosen] + mean[chosen]
        return Restoration(out, seen.process, said=said)

    def _learned(
        self,
        x: np.ndarray,
        chosen: Sequence[int],
        mates: Mapping[int, list[int]],
        share: float,
        advance: Callable[[float], None],
    ) -> np.ndarray:
        """Some volumes of a shell, denoised by a network that gets a share of the time."""
        from hush.training import train

        network = self._seeded(lambda: SliceUNet(1, 1, self.width))

        def choose(rng: np.random.Generator) -> list[int]:
            c = chosen[int(rng.integers(len(chosen)))]
            return [c, mates[c][int(rng.integers(len(mates[c])))]]

        def loss(
            window: Tensor, _: list[int], generator: torch.Generator, done: float
        ) -> Mapping[str, Tensor]:
            """Eq. 6; the network learns the difference from its input."""
            given, wanted = window[:, :1], window[:, 1:]
            return {"loss": (given - network(given).float() - wanted).square().mean()}

        side = windows_side(x.shape[2:], WINDOW, network.multiple)
        train(
            network,
            Slices(x, choose, side),
            loss,
            self.schedule(max(share, LEAST), side, self.batch),
            device=self.device_,
            progress=False,
            advance=(trained := share_of(advance, 0.8 * share)),
        )
        trained(1.0)
        made = []
        for c in chosen:
            made.append(x[c] - through(network, x[c][:, None], self.device_)[:, 0])
            advance(0.2 * share / len(chosen))
        return np.stack(made)


def repeats(series: Series, index: int) -> list[int]:
    """The repeats of a volume, or else the nearest others of its shell; none if it is alone."""
    others = [i for i in series.shell_of(index) if i != index]
    if series.unweighted[index]:
        return others
    if series.bvecs is not None and series.bvecs[index].any():
        same = [i for i in others if abs(series.bvecs[i] @ series.bvecs[index]) > SAME]
        if same:
            return same
    return series.nearest(index, NEAR)
