"""A small bias-free U-Net that estimates the noise in an image, given its level and spectrum."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from hush.nets.blocks import Residual, ZeroMeanHead, conv
from hush.nets.values import Told
from hush.noise.spectrum import OCTAVES


class NoiseUNet(nn.Module):
    """Noise in an image, given the expected standard deviation at each pixel.

    Homogeneous of degree one in (image, level) and invariant to offsets of the image.

    channels : image channels C.
    widths : features at 1/2, 1/4, 1/8… of the resolution.
    blocks : residual blocks at each scale, on the way down and on the way up (once at the last).
    octaves : of the noise's spectrum that it is told.
    """

    block: ClassVar[Any] = Residual  #: with a `reach` in pixels
    bias: ClassVar[bool] = False  #: of the layers between scales

    def __init__(
        self,
        channels: int,
        widths: Sequence[int] = (48, 96, 160),
        blocks: Sequence[int] = (1, 1, 2),
        octaves: int = OCTAVES,
    ) -> None:
        super().__init__()
        self.widths, self.blocks = tuple(widths), tuple(blocks)
        self.head = ZeroMeanHead(channels, widths[0])
        self.told = Told(channels, 2, octaves, widths[0])
        pairs = list(itertools.pairwise(widths))

        def stack(width: int, count: int) -> nn.Sequential:
            return nn.Sequential(*(self.block(width) for _ in range(count)))

        self.enter = nn.ModuleList(stack(w, n) for w, n in zip(widths, blocks, strict=True))
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2, bias=self.bias) for a, b in pairs)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(b, a, 2, stride=2, bias=self.bias) for a, b in pairs
        )
        self.leave = nn.ModuleList(
            stack(w, n) for w, n in zip(widths[:-1], blocks[:-1], strict=True)
        )
        self.tail = conv(widths[0], 4 * channels)

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this."""
        return 2 ** len(self.widths)

    @property
    def radius(self) -> int:
        """Receptive radius in pixels, rounded up to a multiple of `multiple`."""
        last = len(self.widths) - 1
        r = 2 * 2  # head and tail
        for i, n in enumerate(self.blocks):
            r += 2 ** (i + 1) * self.block.reach * n * (1 if i == last else 2)
        r += self.multiple  # strides: neighbours in the same cell of the coarsest grid
        return -(-r // self.multiple) * self.multiple

    def forward(self, x: Tensor, level: Tensor, shares: Tensor | None = None) -> Tensor:
        """Noise from image and level, all ``(B, C, H, W)``; for shares see `Told`."""
        h = self.head(x) + self.told(F.avg_pool2d(level, 2), shares)
        return F.pixel_shuffle(self.tail(F.relu(self.through(h, F.relu))), 2)

    def through(self, h: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
        """Features through all scales, with an activation between these."""
        skips = []
        for enter, down in zip(self.enter, self.down, strict=False):
            h = enter(h)
            skips.append(h)
            h = down(activation(h))
        h = self.enter[-1](h)
        for up, leave in zip(reversed(self.up), reversed(self.leave), strict=True):
            h = leave(up(activation(h)) + skips.pop())
        return h
