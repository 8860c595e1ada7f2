"""MM-BSN: a blind-spot network with masks of several shapes.

    D. Zhang, F. Zhou, Y. Jiang, Z. Fu: MM-BSN: Self-Supervised Image Denoising for Real-World with
    Multi-Mask based on Blind-Spot Network, CVPR Workshops 2023.

Correlated noise shows in a pixel's neighbours. Masks that also hide lines or crosses through the
centre break the correlation along them; together, kernels with several masks still see all of the
neighbourhood. Every mask has two branches as in DBSN. Their features are fused at two depths (dense
fusion): shallow ones go straight to the end, deeper ones are joined before further dilated blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hush.errors import HushError
from hush.nets.blindspot import BlindConv, BlindMean
from hush.nets.dbsn import STEPS, dilated, pointwise, reach, tail
from hush.nets.pooled import Unpooled

#: what each mask hides of a kernel: rows and columns from the centre, −r to r → bool. All hide the
#: centre itself.
MASKS: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    "o": lambda i, j, r: (i == 0) & (j == 0),
    "-": lambda i, j, r: i == 0,
    "|": lambda i, j, r: j == 0,
    "/": lambda i, j, r: i == -j,
    "\\": lambda i, j, r: i == j,
    "+": lambda i, j, r: (i == 0) | (j == 0),
    "x": lambda i, j, r: i.abs() == j.abs(),
    "#": lambda i, j, r: (i.abs() < r) & (j.abs() < r),  # all but the rim
}


def hidden(shape: str, side: int) -> Tensor:
    """What a mask hides of a kernel, bool ``(side, side)``."""
    r = side // 2
    at = torch.arange(-r, r + 1)
    return MASKS[shape](at[:, None], at[None], r).expand(side, side)


class ShapedConv(BlindConv):
    """A blind convolution whose mask also hides the pixels of a shape."""

    def __init__(self, width: int, shape: str, step: int) -> None:
        super().__init__(width, width, blind=1, reach=step - 1, step=step)
        self.mask &= ~hidden(shape, 2 * step - 1)


class MaskedBranch(nn.Module):
    """Shallow and deep features behind one mask, both ``(B, width, H, W)``."""

    def __init__(self, width: int, shape: str, step: int, blocks: int) -> None:
        super().__init__()
        self.entrance = ShapedConv(width, shape, step)
        self.mix = nn.Sequential(pointwise(width, width), pointwise(width, width))
        self.shallow, self.inner = pointwise(width, width), pointwise(width, width)
        self.body = dilated(width, step, blocks)
        self.fuse = pointwise(2 * width, width)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.mix(F.relu(self.entrance(x)))
        inner = self.inner(h)
        return self.shallow(h), self.fuse(torch.cat([inner, self.body(inner)], 1))


class Side(nn.Module):
    """All masks at one dilation: the shallow features of each, and the fused deep ones."""

    def __init__(self, width: int, masks: str, step: int, blocks: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            MaskedBranch(width, shape, step, blocks[0]) for shape in masks
        )
        self.join = pointwise(len(masks) * width, width)
        self.body = dilated(width, step, blocks[1])

    def forward(self, x: Tensor) -> list[Tensor]:
        shallow, deep = zip(*(branch(x) for branch in self.branches), strict=True)
        return [*shallow, self.body(self.join(torch.cat(deep, 1)))]


class MMBSN(Unpooled):
    """Predicts each pixel from the others: ``(B, C, H, W)`` to the same shape, any size.

    As in `hush.nets.dbsn.DBSN`, learning begins from a mean, of the pixels around that not all
    masks hide.

    The defaults are for training on two cores; the paper has ``width=128, blocks=(2, 7)``.

    channels : image channels C.
    masks : their shapes, one character each: ``o`` hides the centre, ``- | / \\`` lines through it,
        ``+ x`` both lines, ``#`` all but the kernel's rim.
    width : features of each branch.
    blocks : dilated blocks behind each mask, and after the fusion.
    """

    def __init__(
        self, channels: int, masks: str = "o/", width: int = 24, blocks: Sequence[int] = (1, 2)
    ) -> None:
        super().__init__()
        if not masks or set(masks) - MASKS.keys() or len(set(masks)) < len(masks):
            raise HushError(
                f"masks must be different characters of {' '.join(MASKS)}, not '{masks}'"
            )
        if width < 1 or len(blocks) != 2 or min(blocks) < 0:
            raise HushError(
                "MM-BSN needs a width of at least 1 and two numbers of blocks, not "
                f"{width} and {list(blocks)}"
            )
        self.blocks = tuple(blocks)
        self.head = pointwise(channels, width)
        self.sides = nn.ModuleList(Side(width, masks, step, self.blocks) for step in STEPS)
        self.around = BlindMean(1, torch.stack([hidden(shape, 3) for shape in masks]).all(0))
        self.tail = tail(len(STEPS) * (len(masks) + 1) * width, width, channels)

    @property
    def multiple(self) -> int:
        """Tiles may begin anywhere."""
        return 1

    @property
    def radius(self) -> int:
        """Receptive radius in pixels."""
        return reach(sum(self.blocks))

    def answer(self, x: Tensor) -> Tensor:
        """See `Unpooled.answer`."""
        h = self.head(x)
        out: Tensor = self.tail(torch.cat([part for side in self.sides for part in side(h)], 1))
        return self.around(x) + out
