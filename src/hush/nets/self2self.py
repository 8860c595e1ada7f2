"""Self2Self's U-Net: partial convolutions on the way down, dropout on the way up.

Y. Quan, M. Chen, T. Pang, H. Ji, "Self2Self with dropout", CVPR 2020, §3.2. Partial convolutions:
G. Liu et al., "Image inpainting for irregular holes using partial convolutions", ECCV 2018.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hush.errors import HushError
from hush.nets import Tiled

SLOPE = 0.1  #: of the activations below 0


class PartialConv(nn.Conv2d):
    """A 3×3 convolution over the known values of its window only, scaled to the full window."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Values and where they are known, of 0 and 1, and both afterwards, known ``(B, 1, …)``.

        Liu et al., eqs. 1 and 2; beyond the border nothing is known.
        """
        with torch.no_grad():
            share = F.avg_pool2d(known.mean(1, keepdim=True), 3, 1, 1)
            seen = (share > 0).to(x.dtype)
            gain = seen / torch.where(share > 0, share, 1)
        weighed = F.conv2d(x * known, self.weight, None, padding=1) * gain
        assert self.bias is not None
        return weighed + self.bias[:, None, None] * seen, seen


class PartialUNet(Tiled):
    """From an image with holes to the image; dropout is on in training and in use.

    The input must have mean 0 and deviation 1.

    channels : image channels C, in and out; images may have any sides.
    width : features on the way down; twice as many on the way up. depth : poolings.
    dropout : share of the features left out before every convolution on the way up.
    """

    def __init__(
        self, channels: int, width: int = 48, depth: int = 5, dropout: float = 0.3
    ) -> None:
        super().__init__()
        if width < 2 or not 1 <= depth <= 6 or not 0 <= dropout < 1:
            raise HushError(
                "self2self needs a width of at least 2, a depth of 1 to 6 and a dropout from 0 to "
                "below 1"
            )
        self.depth, self.dropout = depth, dropout
        self.enter = PartialConv(channels, width)
        self.down = nn.ModuleList(PartialConv(width, width) for _ in range(depth + 1))
        widths = [*[2 * width] * (depth - 1), 4 * width // 3]  # on the way up
        before = [width, *widths[:-1]]
        beside = [*[width] * (depth - 1), channels]
        last = [*widths[:-1], 2 * width // 3]
        self.up = nn.ModuleList(
            nn.ModuleList([_conv(a + b, c), _conv(c, d)])
            for a, b, c, d in zip(before, beside, widths, last, strict=True)
        )
        self.tail = _conv(last[-1], channels)

    @property
    def multiple(self) -> int:
        """Tiles begin at multiples of this."""
        return int(2**self.depth)

    @property
    def radius(self) -> int:
        """Receptive radius in pixels, rounded up to a multiple of `multiple`."""
        each = 2 * (self.multiple - 1) + 2 * (self.multiple - 1) + self.multiple
        return -(-(each + 4) // self.multiple) * self.multiple

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        """``(B, C, H, W)`` from the same and where it is known, of the same shape."""
        given = x * known
        levels = [given]
        h, known = self.enter(given, known)
        h = F.leaky_relu(h, SLOPE)
        for i, layer in enumerate(self.down):
            h, known = layer(h, known)
            h = F.leaky_relu(h, SLOPE)
            if i < self.depth:
                h, known = (F.max_pool2d(a, 2, ceil_mode=True) for a in (h, known))
                levels.append(h)
        levels.pop()  # the coarsest one, which h has come from
        stages: Any = self.up
        for stage in stages:
            beside = levels.pop()
            h = torch.cat([F.interpolate(h, beside.shape[2:]), beside], 1)
            for layer in stage:
                h = F.leaky_relu(layer(self._dropped(h)), SLOPE)
        out: Tensor = self.tail(self._dropped(h))
        return out

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, training=True)


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)
