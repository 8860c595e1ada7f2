r"""Zero-Shot Noise2Noise: Efficient Image Denoising without any Data (Mansour, Heckel, CVPR 2023).

Two fixed filters of stride 2 make two small images of one: D₁ is the mean of one diagonal of every
cell of 2×2 pixels, D₂ that of the other (§3.2). They show nearly the same scene with independent
noise, as Noise2Noise needs. A network of three convolutions learns the noise, x̂ = y − f(y), with
each small image as the target of the other, and so that denoising and downsampling commute:

.. math:: \mathcal L_{res} = \tfrac12\big(\|D_1(y) - f(D_1(y)) - D_2(y)\|^2
          + \|D_2(y) - f(D_2(y)) - D_1(y)\|^2\big)

.. math:: \mathcal L_{cons} = \tfrac12\big(\|D_1(y) - f(D_1(y)) - D_1(y - f(y))\|^2
          + \|D_2(y) - f(D_2(y)) - D_2(y - f(y))\|^2\big).

In the paper a step sees the whole image, 2000 times. Here it sees a window, with a higher rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from hush.bases.learned import through
from hush.bases.zero_shot import FORWARD, TILE, Pace, Windows, ZeroShot, cosine, learn
from hush.errors import HushError
from hush.nets import channels_last, placed
from hush.nets.shallow import Shallow


@dataclass
class ZeroShotNoise2Noise(ZeroShot):
    """Zero-Shot Noise2Noise for images whose noise is independent from pixel to pixel.

    seconds, steps, seed : see `hush.bases.zero_shot.ZeroShot`.
    width : features of the network, 48 in the paper.
    patch : side of the window of a step; None is the whole image, as in the paper.
    learning_rate : the first one; 0.001 in the paper, halved after 1000 steps.
    """

    width: int = 24
    patch: int | None = 64
    learning_rate: float = 1e-2

    name: ClassVar[str] = "zs-n2n"
    summary: ClassVar[str] = "a small network that learns two halves of the one image"
    citation: ClassVar[str] = "Mansour and Heckel, Zero-Shot Noise2Noise, CVPR 2023"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width < 1 or self.learning_rate <= 0 or min(2, self.patch or 2) < 2:
            raise HushError(
                "zs-n2n needs a width of at least 1, patches of at least 2 and a learning_rate "
                "above 0"
            )

    def learned(self, x: Tensor, pace: Pace, level: float) -> np.ndarray:
        """See `ZeroShot.learned`."""
        f = Shallow(x.shape[1], self.width)
        placed(channels_last(f), x.device)
        height, width = x.shape[2:]
        windows = Windows((height // 2 * 2, width // 2 * 2), self.patch, self.seed, multiple=2)

        def loss() -> Tensor:
            rows, columns = windows.draw()
            return residual_and_consistency(f, x[:, :, rows, columns])

        learn(f, loss, pace, cosine(self.learning_rate), after=FORWARD / windows.share)
        image = x[0].cpu().numpy()
        return image - through(f, image, TILE)


def pair(x: Tensor) -> tuple[Tensor, Tensor]:
    """D₁(x) and D₂(x), each ``(B, C, H/2, W/2)``: the means of the diagonals of every cell."""
    upper, lower = x[:, :, 0::2], x[:, :, 1::2]
    falling = (upper[..., 0::2] + lower[..., 1::2]) / 2
    return falling, (upper[..., 1::2] + lower[..., 0::2]) / 2


def residual_and_consistency(f: nn.Module, y: Tensor) -> Tensor:
    """L_res + L_cons of images ``(B, C, H, W)`` with even sides, per value."""
    d1, d2 = pair(y)
    one, other = d1 - f(d1), d2 - f(d2)
    after1, after2 = pair(y - f(y))

    def apart(a: Tensor, b: Tensor) -> Tensor:
        return (a - b).square().mean()

    residual = (apart(one, d2) + apart(other, d1)) / 2
    consistency = (apart(one, after1) + apart(other, after2)) / 2
    return torch.add(residual, consistency)
