"""A U-Net of gated blocks that estimates the noise in an image, in units of the noise's level.

Its blocks are NAFNet's (Chen et al., ECCV 2022) without channel attention, the statistics of which
would depend on the tile. Norms and gates are not homogeneous. So the first layer, which uses only
differences between pixels, is divided by the level, and the result multiplied by it.
"""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from hush.nets.nafnet import GatedBlock
from hush.nets.unet import NoiseUNet

LEAST = 1e-12  #: a level of 0 counts as this one


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
