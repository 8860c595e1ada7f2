"""A small U-Net from slice to slice that learns within seconds: `DiffusionUNet` without its time.

Its normalised residual blocks fit a slice in a tenth of the steps of a plain U-Net.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hush.nets.diffusion import DiffusionUNet


class SliceUNet(nn.Module):
    """From `inputs` to `outputs` channels; 0 before it is trained.

    width : features at half the resolution; twice as many at a quarter, and at further `scales`.
    """

    def __init__(self, inputs: int, outputs: int, width: int, scales: int = 2) -> None:
        super().__init__()
        self.outputs, self.missing = outputs, max(0, outputs - inputs)
        widths = (width, *[2 * width] * (scales - 1))
        self.unet = DiffusionUNet(max(inputs, outputs), widths, total=1)

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this."""
        return self.unet.multiple

    @property
    def radius(self) -> int:
        """Receptive radius in pixels, rounded up to a multiple of `multiple`."""
        return self.unet.radius

    def forward(self, x: Tensor) -> Tensor:
        """``(B, outputs, H, W)`` from ``(B, inputs, H, W)``."""
        empty = x.new_zeros(len(x), self.missing, *x.shape[2:])
        given = torch.cat([x, empty], 1)
        out: Tensor = self.unet(given, torch.zeros_like(given), x.new_zeros(len(x)))
        return out[:, : self.outputs]
