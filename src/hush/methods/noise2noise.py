r"""Noise2Noise: Learning Image Restoration without Clean Data (Lehtinen et al., ICML 2018).

The squared error is least at the mean of its targets. So noisy targets work like clean ones if
their noise has mean zero and is independent of the input's noise:

.. math:: \arg\min_\theta \sum_i L\big(f_\theta(\hat x_i),\, \hat y_i\big),
          \quad E\{\hat y_i \mid \hat x_i\} = y_i. \qquad (6)

Input and target are two takes of one scene, drawn again at every step, in either order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from hush.denoiser import Learns
from hush.errors import HushError
from hush.kinds.cut import takes
from hush.learned import Learned, Network, Plain


@dataclass
class Noise2Noise(Plain, Learned):
    """Noise2Noise for any noise of mean zero, from repeated takes of still scenes.

    `fit` takes a list of scenes, each a stack ``(R, H, W)`` or ``(R, H, W, 3)`` of R ≥ 2 takes, or
    a list of takes. If scenes have different numbers of takes, only the first ones are used. For
    ``hush train`` every file is a scene: a stack of takes.

    channels, tile, widths : see `hush.learned`.
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
