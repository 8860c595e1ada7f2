r"""LG-BPN: Local and Global Blind-Patch Network for Self-Supervised Real-World Denoising
(Wang et al., CVPR 2023), only its network.

Correlated noise also shows in a pixel's neighbours, so the network must not see those either. For
a network f that is blind to the patch in which the noise is correlated, noisy images x and clean
ones y are equivalent targets:

.. math:: E\|f(x) - x\|^2 = E\|f(x) - y\|^2 + E\|x - y\|^2.

This identity holds for the squared error, which is least at the mean. The paper uses the absolute
error, which is least at the median. So the loss here is the squared error.

The paper refines its results by random replacing, and its kernels use sampling offsets when
denoising. Both are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from hush.bases.learned import FAST_PACE, Learned, Network
from hush.nets.lgbpn import LGBPN as Net


@dataclass
class LGBPN(Learned):
    """LG-BPN for images whose noise may be correlated over a few pixels.

    No prediction depends on its blind spot, except through the mean and deviation of the image.

    channels, tile : see `hush.bases.learned.Learned`.
    blind : side of the blind spot: 1 for independent noise, 5 or 9 for noise correlated by a
        Gaussian kernel of σ = 0.5 or 1.2 pixels.
    width, blocks, heads : sizes, see `hush.nets.lgbpn.LGBPN`.
    """

    blind: int = 1
    width: int = 32
    blocks: Sequence[int] = (2, 2)
    heads: int = 4

    name: ClassVar[str] = "lgbpn"
    summary: ClassVar[str] = "a network blind to a patch, also for correlated noise"
    citation: ClassVar[str] = "Wang et al., LG-BPN, CVPR 2023"
    pace: ClassVar[Mapping[str, Any]] = FAST_PACE

    def build(self, channels: int) -> Net:
        """See `Learned.build`."""
        return Net(channels, self.blind, self.width, self.blocks, self.heads)

    def loss(
        self, network: Network, x: Tensor, generator: torch.Generator, done: float
    ) -> Mapping[str, Tensor]:
        """The left side of the identity."""
        return {"loss": (network(x).float() - x).square().mean()}
