"""Shared layers. None has a bias, so all are homogeneous of degree one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv(inputs: int, outputs: int) -> nn.Conv2d:
    """3×3 convolution without bias, zero padding."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)


class Residual(nn.Module):
    """x + conv(relu(conv(x))); the second convolution is initialised with zeros."""

    reach = 2  #: pixels to either side that it sees

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = conv(width, width), conv(width, width)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(F.relu(self.first(x)))
        return out


class ZeroMeanHead(nn.Module):
    """First layer: folds 2×2 pixels into channels and uses only differences between pixels.

    Each filter's weights sum to zero over every channel, so a constant added to a channel
    changes nothing: followed by bias-free layers, an estimate of the *noise* is equivariant to
    gain and invariant to offset by construction. Replicated borders preserve this at the
    image's edge. Always float32: bfloat16 loses small differences between bright pixels.

    Input ``(B, channels, H, W)`` with even H, W; output ``(B, width, H/2, W/2)``.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.channels = channels
        self.weight = nn.Parameter(torch.empty(width, 4 * channels, 3, 3))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(F.pixel_unshuffle(x, 2), (1, 1, 1, 1), mode="replicate")
        windows = self.weight.unflatten(1, (self.channels, 4))  # one 6×6 window per channel
        weight = (windows - windows.mean((2, 3, 4), keepdim=True)).flatten(1, 2)
        with torch.autocast(x.device.type, enabled=False):
            return F.conv2d(x, weight)
