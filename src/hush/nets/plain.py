"""A plain U-Net from image to image, as in the papers on self-supervised denoising."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hush.errors import HushError
from hush.nets import Tiled


class PlainUNet(Tiled):
    """Two 3×3 convolutions with biases per scale, max-pooling, nearest upsampling and skips.

    The input must have mean 0 and deviation 1.

    channels : image channels, in and out.
    widths : features at 1, 1/2, 1/4… of the resolution.
    residual : what the layers learn is subtracted from the input.
    """

    def __init__(
        self, channels: int, widths: Sequence[int] = (32, 64, 128), residual: bool = False
    ) -> None:
        super().__init__()
        if not 1 <= len(widths) <= 4 or min(widths) < 1:
            raise HushError(
                f"a plain U-Net needs one to four widths, each at least 1, not {list(widths)}"
            )
        self.widths, self.residual = tuple(widths), residual
        pairs = list(itertools.pairwise(widths))
        self.down = nn.ModuleList(_twice(a, b) for a, b in [(channels, widths[0]), *pairs])
        self.up = nn.ModuleList(_twice(a + b, a) for a, b in reversed(pairs))
        self.tail = nn.Conv2d(widths[0], channels, 1)

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this."""
        return int(2 ** (len(self.widths) - 1))

    @property
    def radius(self) -> int:
        """Receptive radius in pixels, rounded up to a multiple of `multiple`."""
        last = self.multiple  # two convolutions down and two up at 1, 2, 4…; two at the last
        r = 4 * (last - 1) + 2 * last + last  # and neighbours in the same coarsest cell
        return -(-r // last) * last

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same shape."""
        given, skips = x, list[Tensor]()
        for stage in self.down:
            x = stage(F.max_pool2d(x, 2) if skips else x)
            skips.append(x)
        skips.pop()
        for stage in self.up:
            x = stage(torch.cat([F.interpolate(x, scale_factor=2.0), skips.pop()], 1))
        out: Tensor = self.tail(x)
        return given - out if self.residual else out


def _twice(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.ReLU(),
    )
