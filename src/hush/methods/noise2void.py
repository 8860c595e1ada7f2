r"""Noise2Void: Learning Denoising from Single Noisy Images (Krull, Buchholz and Jug, CVPR 2019).

If a pixel's noise is independent of all other pixels, its surroundings have information only about
its signal. So a network that does not see pixel i learns E[s_i | surroundings] from the noisy
target x_i:

.. math:: \arg\min_\theta \sum_j \sum_i L\big(f(\tilde x^j_{RF(i)}; \theta),\, x^j_i\big)

with :math:`\tilde x_{RF(i)}` the receptive field of pixel i without i (§3.4).

*Uniform pixel selection* replaces pixel i by another one of its neighbourhood, as in the paper, but
never by itself or by another masked pixel, because masked pixels keep their distance. So the
blind spot is exactly blind during training. When denoising, the network sees every pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from hush.bases.learned import Learned, Network, Plain
from hush.errors import HushError


@dataclass
class Noise2Void(Plain, Learned):
    """Noise2Void for images whose noise is independent from pixel to pixel.

    channels, tile, widths : see `hush.bases.learned`.
    cell : side of a cell; one pixel in each is masked, 64 in patches of 64×64 (§3.4).
    radius : masked pixels are replaced by one at most this many rows and columns away.
    """

    cell: int = 8
    radius: int = 2

    name: ClassVar[str] = "noise2void"
    summary: ClassVar[str] = "a network that learns each pixel from those around it"
    citation: ClassVar[str] = "Krull, Buchholz and Jug, Noise2Void, CVPR 2019"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.radius < self.cell:
            raise HushError(
                "noise2void needs a radius of at least 1 and a cell larger than the radius"
            )

    def loss(
        self, network: Network, x: Tensor, generator: torch.Generator, done: float
    ) -> Mapping[str, Tensor]:
        """§3.4: squared error at the masked pixels only."""
        masked = stratified(x, self.cell, self.radius, generator)
        blind = torch.where(masked, a_neighbour(x, self.radius, generator), x)
        error = (network(blind).float() - x).square()
        return {"loss": error.mean(1, keepdim=True)[masked].mean()}


def stratified(x: Tensor, cell: int, radius: int, generator: torch.Generator) -> Tensor:
    """Choose one random pixel per cell, bool ``(B, 1, H, W)``, more than `radius` apart.

    The last `radius` rows and columns of a cell stay free, which keeps the distance. The origin of
    the cells is also random, so every pixel has the same chance.
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
    """For every pixel, the value of another one at most `radius` rows and columns away."""
    batch, _, height, width = x.shape
    side = 2 * radius + 1
    # All pixels of the square except its centre, which has the middle index.
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
