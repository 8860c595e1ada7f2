r"""LG-BPN: Local and Global Blind-Patch Network for Self-Supervised Real-World Denoising
(Wang et al., CVPR 2023), its network alone.

Noise that is correlated shows in a pixel's neighbours, which therefore must not be seen either. For
a network f blind to the patch within which the noise is correlated, noisy images x and clean ones y
are alike as targets:

.. math:: E\|f(x) - x\|^2 = E\|f(x) - y\|^2 + E\|x - y\|^2.

That is the square's identity, and the square is least at the mean; the paper takes the absolute
error, which is least at the median. So the loss here is the square.

The paper refines its results by random replacing, which is left out; so are the sampling offsets
that its kernels take when denoising.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from hush.learned import BLIND_PACE, Learned, Network
from hush.nets.lgbpn import LGBPN as Net


@dataclass
class LGBPN(Learned):
    """LG-BPN for images whose noise may be correlated over a few pixels.

    Nothing within the blind spot is seen, the mean and deviation of the whole image apart.

    channels, tile : see `hush.learned.Learned`.
    blind : side of the blind spot: 1 for independent noise, 5 or 9 for noise correlated by a
        Gaussian kernel of σ = 0.5 or 1.2 pixels.
    width, blocks, heads : sizes, see `hush.nets.lgbpn.LGBPN`.
    """

    blind: int = 1
    width: int = 32
    blocks: Sequence[int] = (2, 2)
    heads: int = 4

    name: ClassVar[str] = "lgbpn"
    summary: ClassVar[str] = "a network blind to a patch, for correlated noise too"
    citation: ClassVar[str] = "Wang et al., LG-BPN, CVPR 2023"
    pace: ClassVar[Mapping[str, Any]] = BLIND_PACE

    def build(self, channels: int) -> Net:
        """See `Learned.build`."""
        return Net(channels, self.blind, self.width, self.blocks, self.heads)

    def loss(
        self, network: Network, x: Tensor, generator: torch.Generator, done: float
    ) -> Mapping[str, Tensor]:
        """The identity's left side."""
        return {"loss": (network(x).float() - x).square().mean()}
