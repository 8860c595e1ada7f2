r"""Neighbor2Neighbor: Self-Supervised Denoising from Single Noisy Images (Huang et al., CVPR 2021).

From every cell of 2×2 pixels two neighbours are drawn, one for the sub-image g₁(y), the other for
g₂(y). They are two noisy images of nearly the same scene, as Noise2Noise needs; only nearly,
because neighbours differ. A denoiser f* with f*(y) = x and f*(g₁(y)) = g₁(x) has (§3.3)

.. math:: E\{f^*(g_1(y)) - g_2(y) - (g_1(f^*(y)) - g_2(f^*(y)))\} = 0,

which the loss has as a regulariser beside the reconstruction (§4.2, algorithm 1):

.. math:: \|f(g_1(y)) - g_2(y)\|^2
          + \gamma\,\|f(g_1(y)) - g_2(y) - (g_1(f(y)) - g_2(f(y)))\|^2.

No gradient flows through f(y), and γ grows from zero during training, as in the authors' code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from hush.bases.learned import FAST_PACE, Learned, Network, Plain
from hush.errors import HushError

#: pairs that share an edge; the pixels of a cell have the numbers 0 1 / 2 3
PAIRS = ((0, 1), (0, 2), (1, 3), (2, 3), (1, 0), (2, 0), (3, 1), (3, 2))


@dataclass
class Neighbor2Neighbor(Plain, Learned):
    """Neighbor2Neighbor for images whose noise is independent from pixel to pixel.

    channels, tile, widths : see `hush.bases.learned`.
    gamma : the regulariser's weight γ at the end of the training.
    """

    gamma: float = 2.0

    name: ClassVar[str] = "neighbor2neighbor"
    summary: ClassVar[str] = "a network that learns one half of the pixels from their neighbours"
    citation: ClassVar[str] = "Huang et al., Neighbor2Neighbor, CVPR 2021"
    pace: ClassVar[Mapping[str, Any]] = FAST_PACE

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gamma < 0:
            raise HushError(f"neighbor2neighbor needs a gamma of at least 0, not {self.gamma:g}")

    def loss(
        self, network: Network, x: Tensor, generator: torch.Generator, done: float
    ) -> Mapping[str, Tensor]:
        """§4.2: reconstruction and regulariser."""
        pair = drawn_pairs(x, generator)
        first, second = sub_images(x, pair)  # g₁(y), g₂(y)
        # Before f(y): autocast would reuse weights that were first cast without gradients.
        error = network(first).float() - second
        with torch.no_grad():
            one, other = sub_images(network(x).float(), pair)  # g₁(f(y)), g₂(f(y))
        return {
            "reconstruction": error.square().mean(),
            "regulariser": self.gamma * done * (error - (one - other)).square().mean(),
        }


def drawn_pairs(x: Tensor, generator: torch.Generator) -> Tensor:
    """Two random neighbours in every cell, ``(B, 2, H/2, W/2)``; all pairs are equally likely."""
    cells = (len(x), x.shape[2] // 2, x.shape[3] // 2)
    drawn = torch.randint(len(PAIRS), cells, generator=generator, device=x.device)
    return torch.tensor(PAIRS, device=x.device)[drawn].movedim(-1, 1)


def sub_images(x: Tensor, pair: Tensor) -> tuple[Tensor, Tensor]:
    """g₁(x) and g₂(x), each ``(B, C, H/2, W/2)``: the two pixels in `pair` from every cell."""
    cells = F.pixel_unshuffle(x, 2).unflatten(1, (x.shape[1], 4))
    chosen = cells.gather(2, pair[:, None].expand(-1, x.shape[1], -1, -1, -1))
    return chosen[:, :, 0], chosen[:, :, 1]
