r"""PUCA: Patch-Unshuffle and Channel Attention for Enhanced Self-Supervised Image Denoising
(Jang et al., NeurIPS 2023), only its network.

A network f that predicts pixel i without seeing it is J-invariant. So for noise with mean
zero that is independent between pixels, its error on the noisy image x gives its error on the
clean one y (proposition 1 of Noise2Self):

.. math:: E\|f(x) - x\|^2 = E\|f(x) - y\|^2 + E\|x - y\|^2.

The paper uses the absolute error. That is least at the *median* of a pixel's possible values, which
for skewed noise, such as counts, is not their mean; and the identity above holds for the square. So
the loss here is the squared error.

The noise of real cameras is correlated. For this the paper subsamples images (pixel-shuffle
downsampling, as in AP-BSN) and refines the result (random replacing). Both are outside the network
and are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from hush.bases.learned import FAST_PACE, Learned, Network
from hush.nets.puca import PUCA as Net


@dataclass
class PUCA(Learned):
    """PUCA for images whose noise is independent from pixel to pixel.

    No prediction depends on its own pixel, except through the mean and deviation of the image.

    channels, tile : see `hush.bases.learned.Learned`.
    width, encoder, middle, decoder : sizes, see `hush.nets.puca.PUCA`.
    """

    width: int = 32
    encoder: Sequence[int] = (1, 1)
    middle: int = 2
    decoder: Sequence[int] = (1, 1)

    name: ClassVar[str] = "puca"
    summary: ClassVar[str] = "a U-shaped blind-spot network with channel attention"
    citation: ClassVar[str] = "Jang et al., PUCA, NeurIPS 2023"
    pace: ClassVar[Mapping[str, Any]] = FAST_PACE

    def build(self, channels: int) -> Net:
        """See `Learned.build`."""
        return Net(channels, self.width, self.encoder, self.middle, self.decoder)

    def loss(
        self, network: Network, x: Tensor, generator: torch.Generator, done: float
    ) -> Mapping[str, Tensor]:
        """The left side of the identity."""
        return {"loss": (network(x).float() - x).square().mean()}
