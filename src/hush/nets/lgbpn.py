"""LG-BPN: a local and a global branch that see nothing of a whole patch.

    Z. Wang, Y. Fu, J. Liu, Y. Zhang: LG-BPN: Local and Global Blind-Patch Network for
    Self-Supervised Real-World Denoising, CVPR 2023.

Correlated noise is known from a pixel's neighbours, so the blind spot grows with its correlation.
The *local* branch still samples densely: a large kernel with only the blind patch masked (DSPMC),
where earlier networks thinned the image out. The *global* branch reaches far, with dilated
transformer blocks (DTB) whose attention is between channels.

Each branch moves in strides of its own, so that the pixels which one leaves out, around the blind
spot's images under its strides, the other sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hush.errors import HushError
from hush.nets.blindspot import BlindConv, BlindMean, from_phases, to_phases
from hush.nets.nafnet import LayerNorm2d
from hush.nets.pooled import Pool, PooledNet


class DilatedBlock(nn.Module):
    """x + 1×1(relu(3×3(x))): on a phase, the 3×3 convolution is dilated."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(width, width, 3, padding=1)
        self.project = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.project(F.relu(self.spread(x)))
        return out


class DilatedTransformerBlock(nn.Module):
    """DTB: attention between channels, then a gated feed-forward layer, both with depthwise
    convolutions that on a phase are dilated. ``(B, width, H, W)`` to the same.
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
    """Each pixel, estimated from those outside its blind spot: ``(B, C, H, W)`` to the same.

    The Jacobian is exactly zero within the ``blind × blind`` pixels around each output pixel.
    With ``attention="image"``, as in the paper, statistics of the whole image let the blind
    pixels through unless they are held fixed: measured after a short training on smooth images
    plus noise, 4e-5 (root mean square, its own pixel) for 32×32 pixels, 6e-6 for 64×64, 1e-6 for
    128×128: at most 0.05 %, 0.009 %, 0.001 % of the largest entry of its row.

    Two cores are meant to train it: the defaults have a quarter of the paper's features and
    4 of its 15 blocks; its own are ``width=128, blocks=(9, 6)``. Its masks are diamonds within
    larger kernels; here they are the squares of `blind`.

    channels : image channels C.
    blind : side of the blind spot; 1 for independent noise, 5 and 9 for noise correlated by a
        Gaussian kernel of σ = 0.5 and 1.2 pixels.
    width : features of each branch, a multiple of `heads`.
    blocks : dilated blocks of the local branch, transformer blocks of the global one.
    heads : groups of channels that attend to each other.
    attention : over what channels are compared, "phase" or "image".
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
            raise HushError(f"blind is the odd side of a square around a pixel, not {blind}")
        if len(blocks) != 2 or heads < 1 or width < 1 or width % heads:
            raise HushError(
                "LG-BPN takes two numbers of blocks, and a width that is a multiple of heads, "
                f"not {list(blocks)}, {width} and {heads}"
            )
        self.attention, self.blocks = attention, tuple(blocks)
        # A ring about as wide as the blind spot; strides that just clear it (blind = 1: 2 and 3).
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
        """Pixels, each way, that an output pixel can depend on, the statistics apart."""
        hops = self.blocks[0], 2 * self.blocks[1]
        sides = zip(self.reaches, self.steps, hops, strict=True)
        furthest = max(reach + step * n for reach, step, n in sides)
        return -(-furthest // self.multiple) * self.multiple

    def run(self, x: Tensor, pooled: Sequence[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        near, far = (
            to_phases(entrance(x), step)
            for entrance, step in zip(self.entrances, self.steps, strict=True)
        )
        pool = Pool(pooled, len(far), self.steps[1] ** 2 if self.attention == "image" else 1)
        # Beyond the image the phases' grid is as empty as what lies beyond the grid: where it ends
        # differs from tile to tile, which begin at multiples of the other step.
        inside = to_phases(torch.ones_like(x[:, :1]), self.steps[0])
        for block in self.local:
            near = block(near) * inside
        for block in self.distant:
            far = block(far, pool)
        branches = zip((near, far), self.steps, strict=True)
        h = torch.cat([from_phases(b, step, x.shape[-2:]) for b, step in branches], 1)
        return self.around(x) + self.fuse(h), pool.seen


def _spreading(inputs: int, outputs: int) -> nn.Sequential:
    """1×1 convolution, then a depthwise one of 3×3."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 1),
        nn.Conv2d(outputs, outputs, 3, padding=1, groups=outputs),
    )
