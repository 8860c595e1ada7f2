"""The step prediction network: how much noise there is in each cell."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from hush.nets.blocks import ZeroMeanHead, conv


class StepNet(nn.Module):
    """Noise standard deviation in each cell of 16×16 pixels (a CNN, then fully connected layers).

    Homogeneous of degree one and invariant to offsets, like a standard deviation.
    """

    cell = 16

    def __init__(self, channels: int, width: int = 32) -> None:
        super().__init__()
        self.head = ZeroMeanHead(channels, 0, width)
        self.features = nn.Sequential(
            nn.ReLU(), conv(width, width), nn.ReLU(), conv(width, width), nn.ReLU()
        )
        self.fully_connected = nn.Sequential(
            nn.Linear(width, 2 * width, bias=False),
            nn.ReLU(),
            nn.Linear(2 * width, channels, bias=False),
        )

    #: pixels beyond the cell, each way, that its value depends on
    radius = 16

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)``, H and W multiples of 16, to ``(B, C, H/16, W/16)``."""
        h = F.avg_pool2d(self.features(self.head(x)), self.cell // 2)
        h = self.fully_connected(h.movedim(1, -1)).movedim(-1, 1)
        return h.abs()
