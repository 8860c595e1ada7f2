"""Pixel-shuffle downsampling: a network that sees an image as sub-images of every n-th pixel.

Noise that is correlated between neighbours is nearly independent between pixels n apart. A
sub-image is a phase of `blindspot`, so the pixels of one never meet those of another.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hush.nets import Tiled
from hush.nets.blindspot import from_phases, to_phases
from hush.nets.pooled import PooledNet, Unpooled


class Shuffled(Unpooled):
    """``PDₙ⁻¹(network(PDₙ(x)))``: the network for each of the stride² sub-images.

    ``(B, C, H, W)`` to the same shape. Of a blind network, each output is independent of its own
    pixel and of all within `stride` − 1 of it.
    """

    def __init__(self, network: Tiled | PooledNet, stride: int) -> None:
        super().__init__()
        self.network, self.stride = network, stride

    @property
    def multiple(self) -> int:
        """Tiles begin at multiples of this."""
        return self.stride * self.network.multiple

    @property
    def radius(self) -> int:
        """Receptive radius in pixels."""
        return self.stride * self.network.radius

    def answer(self, x: Tensor) -> Tensor:
        """See `Unpooled.answer`."""
        return shuffled(self.network, x, self.stride)


def shuffled(network: Tiled | PooledNet, x: Tensor, stride: int) -> Tensor:
    """What a network gives for the sub-images of ``(B, C, H, W)``, put together again."""
    return from_phases(network(to_phases(x, stride)), stride, x.shape[-2:])


def drawn_places(x: Tensor, stride: int, generator: torch.Generator) -> Tensor:
    """A random pixel in every cell of stride² pixels, ``(B, H/stride, W/stride)``."""
    cells = (len(x), x.shape[2] // stride, x.shape[3] // stride)
    return torch.randint(stride**2, cells, generator=generator, device=x.device)


def subsampled(x: Tensor, places: Tensor, stride: int) -> Tensor:
    """Random subsampling: the pixel at its place in every cell, ``(B, C, H/stride, W/stride)``.

    Rows and columns that fill no cell are left out.
    """
    rows, columns = (n * stride for n in places.shape[1:])
    cells = F.pixel_unshuffle(x[..., :rows, :columns], stride).unflatten(1, (x.shape[1], -1))
    chosen = places[:, None, None].expand(-1, x.shape[1], -1, -1, -1)
    return cells.gather(2, chosen)[:, :, 0]
