r"""Noise2Void: Learning Denoising from Single Noisy Images (Krull, Buchholz and Jug, CVPR 2019).

Where a pixel's noise is independent of all others', its surroundings tell of its signal alone. A
network that is not shown pixel i therefore learns E[s_i | surroundings] from the noisy target x_i:

.. math:: \arg\min_\theta \sum_j \sum_i L\big(f(\tilde x^j_{RF(i)}; \theta),\, x^j_i\big)

with :math:`\tilde x_{RF(i)}` the receptive field of pixel i without i (§3.4). Where the paper's
text leaves a choice, this file does the following.

*Uniform pixel selection* takes the place of pixel i by another of its neighbourhood, as the paper
does, but never by itself nor by another masked pixel: masked pixels keep their distance. So the
blind spot is exactly blind in training. When denoising, the network sees every pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from hush.errors import HushError
from hush.learned import Learned, Network, Plain


@dataclass
class Noise2Void(Plain, Learned):
    """Noise2Void for images whose noise is independent from pixel to pixel.

    channels, tile, widths : see `hush.learned`.
    cell : one pixel of every cell of that side is masked, 64 in patches of 64×64 (§3.4).
    radius : masked pixels are replaced by one that is at most so many rows and columns away.
    """

    cell: int = 8
    radius: int = 2

    name: ClassVar[str] = "noise2void"
    summary: ClassVar[str] = "a network that learned each pixel from those around it"
    citation: ClassVar[str] = "Krull, Buchholz and Jug, Noise2Void, CVPR 2019"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.radius < self.cell:
            raise HushError("noise2void needs a radius of at least 1, and cells larger than that")

    def loss(
        self, network: Network, x: Tensor, generator: torch.Generator, done: float
    ) -> Mapping[str, Tensor]:
        """§3.4: squared error at the masked pixels only."""
        masked = stratified(x, self.cell, self.radius, generator)
        blind = torch.where(masked, a_neighbour(x, self.radius, generator), x)
        error = (network(blind).float() - x).square()
        return {"loss": error.mean(1, keepdim=True)[masked].mean()}


def stratified(x: Tensor, cell: int, radius: int, generator: torch.Generator) -> Tensor:
    """One random pixel of each cell, bool ``(B, 1, H, W)``; more than `radius` apart.

    The last `radius` rows and columns of a cell stay free, which keeps the distance; the cells'
    origin is drawn too, so every pixel has the same chance.
    """
    rows, columns = (n // cell + 2 for n in x.shape[2:])

    def draw(below: int, *size: int) -> Tensor:
        return torch.randint(below, size, generator=generator, device=x.device)

    row, column = draw(cell - radius, 2, len(x), rows, columns)
    chosen = F.one_hot(row * cell + column, cell**2).movedim(-1, 1)
    top, left = draw(cell, 2).tolist()
    every = F.pixel_shuffle(chosen, cell)  # a channel for each pixel of a cell
    return every[:, :, top : top + x.shape[2], left : left + x.shape[3]].bool()


def a_neighbour(x: Tensor, radius: int, generator: torch.Generator) -> Tensor:
    """For every pixel the value of another at most `radius` rows and columns away, same shape."""
    batch, _, height, width = x.shape
    side = 2 * radius + 1
    # All of the square but its centre, which has the middle number.
    shape = (batch, height, width)
    index = torch.randint(side**2 - 1, shape, generator=generator, device=x.device)
    index += index >= side**2 // 2
    places = []
    for offset, n, axis in ((index // side, height, 1), (index % side, width, 2)):
        here = torch.arange(n, device=x.device).view([-1 if a == axis else 1 for a in range(3)])
        there = here + offset - radius
        inside = (there >= 0) & (there < n)
        places.append(torch.where(inside, there, 2 * here - there))  # mirrored at the pixel
    flat = (places[0] * width + places[1]).flatten(1)
    return x.flatten(2).gather(2, flat[:, None].expand(-1, x.shape[1], -1)).view_as(x)
