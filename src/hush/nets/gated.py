"""A U-Net of gated blocks that estimates the noise in an image, relative to the noise's level.

Its blocks are NAFNet's (Chen et al., ECCV 2022) without channel attention, the statistics of which
would depend on the tile. Norms and gates are not homogeneous. So what comes from the first layer,
which uses only differences between pixels, is divided by a unit, and the result multiplied by it.
Gates cannot cancel values far above 1, as edges are in units of weak noise. So the unit is the
noise's level, but nowhere less than a share of the local contrast.
"""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from hush.nets.nafnet import GatedBlock
from hush.nets.unet import NoiseUNet

LEAST = 1e-12  #: a unit of 0 counts as this one
CONTRAST = 8.0  #: the most that features are, in units, root mean square over the channels


class GatedUNet(NoiseUNet):
    """Noise in an image; arguments and properties are those of `NoiseUNet`."""

    block: ClassVar[type[nn.Module]] = GatedBlock
    bias: ClassVar[bool] = True

    def forward(self, x: Tensor, level: Tensor, shares: Tensor | None = None) -> Tensor:
        """See `NoiseUNet.forward`."""
        h = self.head(x) + self.told(F.avg_pool2d(level, 2), shares)
        variance = F.avg_pool2d(level.square().mean(1, keepdim=True), 2)  # of all channels
        contrast = h.float().square().mean(1, keepdim=True)
        unit = (variance + contrast / CONTRAST**2 + LEAST**2).sqrt()
        return F.pixel_shuffle(self.tail(self.through(h / unit, lambda z: z)) * unit, 2)
