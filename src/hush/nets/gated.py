"""A U-Net of gated blocks that estimates the noise in an image, in units of the noise's level.

Its blocks are NAFNet's (Chen et al., ECCV 2022) without channel attention, the statistics of which
would depend on the tile. Norms and gates are not homogeneous. So the first layer, which uses only
differences between pixels, is divided by the level, and the result multiplied by it.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hush.nets.nafnet import LayerNorm2d, simple_gate
from hush.nets.unet import NoiseUNet

LEAST = 1e-12  #: a level of 0 counts as this one


class GatedBlock(nn.Module):
    """Two gated residuals, scaled by β and γ, which are initialised with zeros.

    ``(B, width, H, W)`` to the same shape.
    """

    reach = 1  #: pixels to either side that it sees

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = LayerNorm2d(width), LayerNorm2d(width)
        self.expand1 = nn.Conv2d(width, 2 * width, 1)
        self.spread = nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width)
        self.project1 = nn.Conv2d(width, width, 1)
        self.expand2 = nn.Conv2d(width, 2 * width, 1)
        self.project2 = nn.Conv2d(width, width, 1)
        self.beta = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.beta * self.project1(simple_gate(self.spread(self.expand1(self.norm1(x)))))
        out: Tensor = x + self.gamma * self.project2(simple_gate(self.expand2(self.norm2(x))))
        return out


class GatedUNet(NoiseUNet):
    """Noise in an image; arguments and properties are those of `NoiseUNet`."""

    block: ClassVar[type[nn.Module]] = GatedBlock
    bias: ClassVar[bool] = True

    def forward(self, x: Tensor, level: Tensor, shares: Tensor | None = None) -> Tensor:
        """See `NoiseUNet.forward`."""
        unit = level.square().mean(1, keepdim=True).sqrt().clamp(min=LEAST)  # of all channels
        h = self.head(x) + self.told(F.avg_pool2d(level, 2), shares)
        h = self.through(h / F.avg_pool2d(unit, 2), lambda z: z)
        return F.pixel_shuffle(self.tail(h), 2) * unit
