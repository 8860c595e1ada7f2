"""NAFNet: image restoration without activation functions.

    L. Chen, X. Chu, X. Zhang, J. Sun: Simple Baselines for Image Restoration, ECCV 2022.

A block consists of layer normalisation, a depthwise convolution, gates that multiply the two halves
of the channels, and channel attention that is one linear map of the channels' means.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hush.errors import HushError
from hush.nets.pooled import Pool, PooledNet


class LayerNorm2d(nn.LayerNorm):
    """Normalises over the channels of each pixel: ``(B, C, H, W)`` to the same shape."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


def simple_gate(x: Tensor) -> Tensor:
    """One half of the channels times the other: ``(B, 2C, H, W)`` to ``(B, C, H, W)``."""
    a, b = x.chunk(2, 1)
    return a * b


class Pointwise(nn.Conv2d):
    """A 1×1 convolution, as a matrix product over the channels of each pixel.

    On one thread torch's own unfolds its input first, and takes three times as long.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1)

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        """``(B, inputs, H, W)`` to ``(B, outputs, H, W)``, times a scale of each output."""
        weight, bias = self.weight.flatten(1), self.bias
        assert bias is not None
        if scale is not None:  # of the weights instead of the pixels
            weight, bias = weight * scale.flatten()[:, None], bias * scale.flatten()
        return F.linear(x.movedim(1, -1), weight, bias).movedim(-1, 1)


class GatedBlock(nn.Module):
    """Two gated residuals, scaled by β and γ, which are initialised with zeros.

    ``(B, width, H, W)`` to the same shape.
    """

    reach = 1  #: pixels to either side that it sees

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = LayerNorm2d(width), LayerNorm2d(width)
        self.expand1 = Pointwise(width, 2 * width)
        self.spread = nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width)
        self.project1 = Pointwise(width, width)
        self.expand2 = Pointwise(width, 2 * width)
        self.project2 = Pointwise(width, width)
        self.beta = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.joined(x, self.gated(x))

    def gated(self, x: Tensor) -> Tensor:
        """What the first residual is made of."""
        return simple_gate(self.spread(self.expand1(self.norm1(x))))

    def joined(self, x: Tensor, h: Tensor) -> Tensor:
        """Both residuals added to x; h : see `gated`."""
        x = x + self.project1(h, self.beta)
        h = simple_gate(self.expand2(self.norm2(x)))
        out: Tensor = x + self.project2(h, self.gamma)
        return out


class NAFBlock(GatedBlock):
    """Figure 3c: a `GatedBlock` with channel attention, the statistic of which depends on all
    pixels."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.attend = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor, pool: Pool) -> Tensor:  # type: ignore[override]
        h = self.gated(x)
        return self.joined(x, h * self.attend(pool(lambda: h.mean((2, 3), keepdim=True))))  # SCA


class NAFBlocks(nn.ModuleList):
    """Several blocks in sequence."""

    def __init__(self, width: int, number: int) -> None:
        super().__init__(NAFBlock(width) for _ in range(number))

    def forward(self, x: Tensor, pool: Pool) -> Tensor:
        for block in self:
            x = block(x, pool)
        return x


class NAFUNet(nn.Module):
    """Blocks at full resolution, at 1/2 with twice the width, at 1/4 …, and back up.

    ``(B, width, H, W)`` to the same shape, any size: the last rows and columns are repeated up
    to a multiple of `multiple` and cropped at the end.
    """

    def __init__(
        self, width: int, encoder: Sequence[int], middle: int, decoder: Sequence[int]
    ) -> None:
        super().__init__()
        if width < 1 or len(encoder) != len(decoder):
            raise HushError(
                "a U-shape needs a width of at least 1 and as many encoder as decoder scales, "
                f"not {width}, {list(encoder)} and {list(decoder)}"
            )
        self.counts = tuple(encoder), middle, tuple(decoder)
        widths = [width * 2**i for i in range(len(encoder) + 1)]
        self.encoder = nn.ModuleList(NAFBlocks(w, n) for w, n in zip(widths, encoder, strict=False))
        self.down = nn.ModuleList(nn.Conv2d(w, 2 * w, 2, stride=2) for w in widths[:-1])
        self.middle = NAFBlocks(widths[-1], middle)
        self.up = nn.ModuleList(nn.Conv2d(w, 2 * w, 1, bias=False) for w in widths[:0:-1])
        self.decoder = nn.ModuleList(
            NAFBlocks(w, n) for w, n in zip(widths[-2::-1], decoder, strict=True)
        )

    @property
    def multiple(self) -> int:
        """The total stride: the network is equivariant to shifts by multiples of it."""
        return 2 ** len(self.down)

    @property
    def reach(self) -> int:
        """Receptive radius in pixels, not counting the statistics."""
        encoder, middle, decoder = self.counts
        both = zip(encoder, reversed(decoder), strict=True)
        blocks = sum(2**i * (e + d) for i, (e, d) in enumerate(both)) + self.multiple * middle
        return blocks + self.multiple - 1  # neighbours in the same cell of the coarsest grid

    def forward(self, x: Tensor, pool: Pool) -> Tensor:
        height, width = x.shape[-2:]
        x = F.pad(x, (0, -width % self.multiple, 0, -height % self.multiple), mode="replicate")
        skips = []
        for blocks, down in zip(self.encoder, self.down, strict=True):
            x = blocks(x, pool)
            skips.append(x)
            x = down(x)
        x = self.middle(x, pool)
        for up, blocks in zip(self.up, self.decoder, strict=True):
            x = blocks(F.pixel_shuffle(up(x), 2) + skips.pop(), pool)
        return x[..., :height, :width]


class NAFNet(PooledNet):
    """The restored image: the input plus the output of a U-shape of NAF blocks.

    With the default sizes, one core takes 0.2 s for 300×300 pixels. The paper's sizes for
    SIDD are ``width=32`` (or 64), ``encoder=(2, 2, 4, 8), middle=12, decoder=(2, 2, 2, 2)``.

    channels : image channels C.
    width : features at full resolution; each lower scale has twice as many.
    encoder, middle, decoder : blocks at each scale on the way down, at the lowest, on the way up.
    """

    def __init__(
        self,
        channels: int,
        width: int = 16,
        encoder: Sequence[int] = (1, 1, 2),
        middle: int = 2,
        decoder: Sequence[int] = (1, 1, 1),
    ) -> None:
        super().__init__()
        self.intro = nn.Conv2d(channels, width, 3, padding=1)
        self.body = NAFUNet(width, encoder, middle, decoder)
        self.ending = nn.Conv2d(width, channels, 3, padding=1)

    @property
    def multiple(self) -> int:
        """Tiles begin at multiples of this."""
        return self.body.multiple

    @property
    def radius(self) -> int:
        """Receptive radius in pixels, not counting the statistics."""
        return -(-(self.body.reach + 2) // self.multiple) * self.multiple

    def run(self, x: Tensor, pooled: Sequence[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        pool = Pool(pooled, x.shape[0])
        return x + self.ending(self.body(self.intro(x), pool)), pool.seen
