"""DBSN: a blind-spot network of two branches with dilated convolutions.

    X. Wu, M. Liu, Y. Cao, D. Ren, W. Zuo: Unpaired Learning of Deep Image Denoising, ECCV 2020; in
    the lighter form of W. Lee, S. Son, K. M. Lee: AP-BSN, CVPR 2022.

Each branch begins with a convolution whose centre is masked, of 3×3 pixels in one branch and of 5×5
in the other. All later convolutions have a dilation of 2 or 3 pixels, which never leads back to the
centre (`blindspot`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hush.errors import HushError
from hush.nets.blindspot import BlindConv, BlindMean, DilatedBlock
from hush.nets.pooled import Unpooled

STEPS = (2, 3)  #: dilation of each branch; its masked kernel has 2·step − 1 pixels a side


def pointwise(inputs: int, outputs: int) -> nn.Sequential:
    """1×1 convolution, then ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.ReLU())


def dilated(width: int, step: int, blocks: int) -> nn.Sequential:
    """`blocks` dilated blocks, then 1×1; ``(B, width, H, W)`` to the same shape."""
    return nn.Sequential(
        *(DilatedBlock(width, step) for _ in range(blocks)), pointwise(width, width)
    )


def tail(inputs: int, width: int, channels: int) -> nn.Sequential:
    """From the features of all branches to the image, by 1×1 convolutions; at first to zeros."""
    half = max(1, width // 2)
    last = nn.Conv2d(half, channels, 1)
    for parameter in last.parameters():
        nn.init.zeros_(parameter)
    return nn.Sequential(
        pointwise(inputs, width), pointwise(width, half), pointwise(half, half), last
    )


def reach(blocks: int) -> int:
    """Receptive radius of the wider branch: its masked kernel and so many dilated blocks."""
    return max(step - 1 + step * blocks for step in STEPS)


class Branch(nn.Module):
    """A masked convolution, two 1×1 and the dilated blocks: ``(B, width, H, W)`` to the same."""

    def __init__(self, width: int, step: int, blocks: int) -> None:
        super().__init__()
        self.entrance = BlindConv(width, width, blind=1, reach=step - 1, step=step)
        self.mix = nn.Sequential(pointwise(width, width), pointwise(width, width))
        self.body = dilated(width, step, blocks)

    def forward(self, x: Tensor, blind: bool = True) -> Tensor:
        out: Tensor = self.body(self.mix(F.relu(self.entrance(x, blind))))
        return out


class DBSN(Unpooled):
    """Predicts each pixel from the others: ``(B, C, H, W)`` to the same shape, any size.

    Of a *conditional* network (C-BSN, ICCV 2023), the masks can be lifted: `predict` tells whether
    the output is blind or sees its own pixel, with the same weights.

    What the branches give is added to the mean of the eight pixels around, so that learning begins
    from there; the papers begin from nothing.

    The defaults are for training on two cores; the papers have ``width=128, blocks=9``.

    channels : image channels C.
    width : features of each branch. blocks : dilated blocks of each branch.
    blind : whether a call without further ado is blind.
    """

    def __init__(self, channels: int, width: int = 32, blocks: int = 3, blind: bool = True) -> None:
        super().__init__()
        if width < 1 or blocks < 0:
            raise HushError(
                f"this network needs a width of at least 1 and blocks from 0, not {width} and "
                f"{blocks}"
            )
        self.blocks, self.blind = blocks, blind
        self.head = pointwise(channels, width)
        self.branches = nn.ModuleList(Branch(width, step, blocks) for step in STEPS)
        self.around = BlindMean(1)
        self.tail = tail(len(STEPS) * width, width, channels)

    @property
    def multiple(self) -> int:
        """Tiles may begin anywhere."""
        return 1

    @property
    def radius(self) -> int:
        """Receptive radius in pixels."""
        return reach(self.blocks)

    def predict(self, x: Tensor, blind: bool) -> Tensor:
        """The result, blind or not."""
        h = self.head(x)
        out: Tensor = self.tail(torch.cat([branch(h, blind) for branch in self.branches], 1))
        return self.around(x) + out

    def answer(self, x: Tensor) -> Tensor:
        """See `Unpooled.answer`."""
        return self.predict(x, self.blind)
