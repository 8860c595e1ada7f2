"""The step prediction network: how much noise there is in each cell, and in which octaves."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hush.nets.blocks import Residual, ZeroMeanHead, conv
from hush.nets.values import groups
from hush.noise.spectrum import OCTAVES


class StepNet(nn.Module):
    """Noise deviation in each cell of 16×16 pixels, per octave (a CNN, then linear layers).

    Homogeneous of degree one and invariant to offsets, like a standard deviation. White noise shows
    next to each pixel; coarser octaves need the wide view of the two coarser branches, which add to
    the first one and start from zero.
    """

    cell = 16
    #: pixels beyond the cell, each way, that its value depends on, rounded up
    radius = 64

    def __init__(self, channels: int, width: int = 32, octaves: int = OCTAVES) -> None:
        super().__init__()
        self.octaves, outputs = octaves, octaves * groups(channels)
        self.head = ZeroMeanHead(channels, width)
        self.features = nn.Sequential(
            nn.ReLU(), conv(width, width), nn.ReLU(), conv(width, width), nn.ReLU()
        )
        self.fully_connected = nn.Sequential(
            nn.Linear(width, 2 * width, bias=False),
            nn.ReLU(),
            nn.Linear(2 * width, outputs, bias=False),
        )
        self.coarse = _coarser(width, 2 * width)
        self.coarser = _coarser(2 * width, 3 * width)
        self.wide = nn.Sequential(
            nn.Linear(6 * width, 4 * width, bias=False),
            nn.ReLU(),
            nn.Linear(4 * width, outputs, bias=False),
        )
        nn.init.zeros_(self.wide[-1].weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)``, sides multiples of 16, to ``(B, octaves, groups, H/16, W/16)``."""
        fine = self.features(self.head(x))
        half = self.coarse(fine)
        scales = [fine, half, self.coarser(half)]
        cells = [
            F.avg_pool2d(h, self.cell // stride).movedim(1, -1)
            for h, stride in zip(scales, (2, 4, 8), strict=True)
        ]
        h = self.fully_connected(cells[0]) + self.wide(torch.cat(cells, -1))
        return h.movedim(-1, 1).abs().unflatten(1, (self.octaves, -1))


def _coarser(inputs: int, outputs: int) -> nn.Sequential:
    """Half the resolution, two residual blocks, and a rectifier."""
    down = nn.Conv2d(inputs, outputs, 2, stride=2, bias=False)
    return nn.Sequential(down, Residual(outputs), Residual(outputs), nn.ReLU())
