r"""PUCA: Patch-Unshuffle and Channel Attention for Enhanced Self-Supervised Image Denoising
(Jang et al., NeurIPS 2023), its network alone.

A network f that does not see pixel i when it answers for it is J-invariant, so for noise of mean
zero that is independent from pixel to pixel its error on the noisy image x tells its error on the
clean one y (proposition 1 of Noise2Self):

.. math:: E\|f(x) - x\|^2 = E\|f(x) - y\|^2 + E\|x - y\|^2.

The paper takes the absolute error. That is least at the *median* of what a pixel may be, which for
skewed noise, counts say, is not its mean; the identity above, too, is the square's. So the loss
here is the square.

Real cameras' noise is correlated; the paper thins images out for it (pixel-shuffle downsampling, as
AP-BSN) and refines the result (random replacing). Both stand outside the network and are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from hush.learned import BLIND_PACE, Learned, Network
from hush.nets.puca import PUCA as Net


@dataclass
class PUCA(Learned):
    """PUCA for images whose noise is independent from pixel to pixel.

    No pixel is seen by its own answer, the mean and deviation of the whole image apart.

    channels, tile : see `hush.learned.Learned`.
    width, encoder, middle, decoder : sizes, see `hush.nets.puca.PUCA`.
    """

    width: int = 32
    encoder: Sequence[int] = (1, 1)
    middle: int = 2
    decoder: Sequence[int] = (1, 1)

    name: ClassVar[str] = "puca"
    summary: ClassVar[str] = "a U-shaped blind-spot network with channel attention"
    citation: ClassVar[str] = "Jang et al., PUCA, NeurIPS 2023"
    pace: ClassVar[Mapping[str, Any]] = BLIND_PACE

    def build(self, channels: int) -> Net:
        """See `Learned.build`."""
        return Net(channels, self.width, self.encoder, self.middle, self.decoder)

    def loss(
        self, network: Network, x: Tensor, generator: torch.Generator, done: float
    ) -> Mapping[str, Tensor]:
        """The identity's left side."""
        return {"loss": (network(x).float() - x).square().mean()}
