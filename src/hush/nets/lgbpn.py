"""LG-BPN: a local and a global branch, both blind to a whole patch.

    Z. Wang, Y. Fu, J. Liu, Y. Zhang: LG-BPN: Local and Global Blind-Patch Network for
    Self-Supervised Real-World Denoising, CVPR 2023.

Correlated noise shows in a pixel's neighbours, so the blind spot must be as wide as the
correlation. The *local* branch samples densely with a large kernel in which only the blind patch is
masked (DSPMC); earlier networks subsampled the image. The *global* branch reaches far, with dilated
transformer blocks (DTB) and attention between channels.

The branches have different strides. Each skips the pixels around the strided copies of the blind
spot; the other branch sees them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hush.errors import HushError
from hush.nets.blindspot import BlindConv, BlindMean, DilatedBlock, from_phases, to_phases
from hush.nets.nafnet import LayerNorm2d
from hush.nets.pooled import Pool, PooledNet


class DilatedTransformerBlock(nn.Module):
    """DTB: attention between channels, then a gated feed-forward layer. The depthwise convolutions
    act as dilated ones on a phase. ``(B, width, H, W)`` to the same shape.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = LayerNorm2d(width), LayerNorm2d(width)
        self.queries_keys_values = _spreading(width, 3 * width)
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.project1 = nn.Conv2d(width, width, 1)
        self.expand = _spreading(width, 4 * width)
        self.project2 = nn.Conv2d(2 * width, width, 1)

    def forward(self, x: Tensor, pool: Pool) -> Tensor:
        h = self.queries_keys_values(self.norm1(x)).unflatten(1, (3, self.heads, -1)).flatten(4)
        queries_keys, values = h[:, :2].transpose(1, 2).flatten(2, 3), h[:, 2]
        products = pool(lambda: queries_keys @ queries_keys.mT / values.shape[-1])
        norms = products.diagonal(dim1=-2, dim2=-1).clamp_min(1e-12).sqrt()
        cosines = products / (norms[..., None] * norms[..., None, :])
        width = values.shape[-2]
        attention = (self.temperature * cosines[..., :width, width:]).softmax(-1)
        x = x + self.project1((attention @ values).flatten(1, 2).view_as(x))
        gate, h = self.expand(self.norm2(x)).chunk(2, 1)
        out: Tensor = x + self.project2(F.gelu(gate) * h)
        return out


class LGBPN(PooledNet):
    """Predicts each pixel from those outside its blind spot: ``(B, C, H, W)`` to the same shape.

    The Jacobian is exactly zero within the ``blind × blind`` pixels around each output pixel.
    With ``attention="image"``, as in the paper, statistics of the whole image leak the blind
    pixels unless they are held fixed. Measured after a short training on smooth images
    plus noise: 4e-5 (root mean square, its own pixel) for 32×32 pixels, 6e-6 for 64×64, 1e-6 for
    128×128, which is at most 0.05 %, 0.009 %, 0.001 % of the largest entry of its row.

    The defaults are for training on two cores: they have a quarter of the paper's features and
    4 of its 15 blocks; the paper has ``width=128, blocks=(9, 6)``. Its masks are diamonds within
    larger kernels; here they are squares of side `blind`.

    channels : image channels C.
    blind : side of the blind spot: 1 for independent noise, 5 or 9 for noise correlated by a
        Gaussian kernel of σ = 0.5 or 1.2 pixels.
    width : features of each branch, a multiple of `heads`.
    blocks : number of dilated blocks in the local branch, of transformer blocks in the global one.
    heads : groups of channels that attend to each other.
    attention : the pixels over which channels are compared, "phase" or "image".
    """

    def __init__(
        self,
        channels: int,
        blind: int = 1,
        width: int = 32,
        blocks: Sequence[int] = (2, 2),
        heads: int = 4,
        attention: Literal["phase", "image"] = "phase",
    ) -> None:
        super().__init__()
        if blind < 1 or blind % 2 == 0:
            raise HushError(f"blind must be odd, such as 1, 5 or 9, not {blind}")
        if len(blocks) != 2 or heads < 1 or width < 1 or width % heads:
            raise HushError(
                "LG-BPN needs two numbers of blocks and a width that is a multiple of heads, "
                f"not {list(blocks)}, {width} and {heads}"
            )
        self.attention, self.blocks = attention, tuple(blocks)
        # Kernels extend about as far as the blind spot is wide; strides just clear it (1: 2 and 3).
        self.reaches = blind, blind + 1
        self.steps = blind + blind // 2 + 1, blind + blind // 2 + 2
        self.entrances = nn.ModuleList(
            BlindConv(channels, width, blind, reach, step)
            for reach, step in zip(self.reaches, self.steps, strict=True)
        )
        self.local = nn.Sequential(*(DilatedBlock(width) for _ in range(blocks[0])))
        self.distant = nn.ModuleList(
            DilatedTransformerBlock(width, heads) for _ in range(blocks[1])
        )
        self.around = BlindMean(blind)
        self.fuse = nn.Sequential(
            nn.Conv2d(2 * width, width, 1), nn.GELU(), nn.Conv2d(width, channels, 1)
        )
        for last in self.fuse[-1].parameters():
            nn.init.zeros_(last)

    @property
    def multiple(self) -> int:
        """Tiles begin at multiples of this."""
        return self.steps[1]

    @property
    def radius(self) -> int:
        """Receptive radius in pixels, not counting the statistics."""
        hops = self.blocks[0], 2 * self.blocks[1]
        sides = zip(self.reaches, self.steps, hops, strict=True)
        furthest = max(reach + step * n for reach, step, n in sides)
        return -(-furthest // self.multiple) * self.multiple

    def run(self, x: Tensor, pooled: Sequence[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        near, far = (
            to_phases(entrance(x), step)
            for entrance, step in zip(self.entrances, self.steps, strict=True)
        )
        pool = Pool(pooled, far.shape[0], self.steps[1] ** 2 if self.attention == "image" else 1)
        # Zero the padding after every block: where padding begins depends on the tile, so features
        # computed in it would make tiles disagree.
        inside = to_phases(torch.ones_like(x[:, :1]), self.steps[0])
        for block in self.local:
            near = block(near) * inside
        for block in self.distant:
            far = block(far, pool)
        branches = zip((near, far), self.steps, strict=True)
        h = torch.cat([from_phases(b, step, x.shape[-2:]) for b, step in branches], 1)
        return self.around(x) + self.fuse(h), pool.seen


def _spreading(inputs: int, outputs: int) -> nn.Sequential:
    """1×1 convolution, then a 3×3 depthwise one."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 1),
        nn.Conv2d(outputs, outputs, 3, padding=1, groups=outputs),
    )
