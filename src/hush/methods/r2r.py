r"""Recorrupted-to-Recorrupted: Unsupervised Deep Learning for Image Denoising
(Pang et al., CVPR 2021).

A noisy image y = x + n is corrupted twice with one draw z of noise of the same law (eq. 5),

.. math:: \hat y = y + \alpha D^T z, \qquad \tilde y = y - \tfrac{1}{\alpha} D^{-1} z.

The noise of the two is uncorrelated, for Gaussian noise independent, so that one is a target for
the other as in Noise2Noise (theorem 1):

.. math:: E\,\|f(\hat y) - \tilde y\|^2 = E\,\|f(\hat y) - x\|^2 + \text{const.}

Denoising averages over several draws (eq. 14), because f has learned on images with more noise:

.. math:: x^* = \frac1J \sum_j f(y + \alpha D^T z_j).

Here D is the identity. With the first image drawn, the second follows from it,
ỹ = y − (ŷ − y)/α², and that holds for counts, too: photons that ŷ has lost make up ỹ, and the two
are independent (Monroy et al., *Generalized Recorrupted-to-Recorrupted*, 2024).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hush.bases.learned import Network, Plain
from hush.bases.noisier import Noisier


@dataclass
class R2R(Plain, Noisier):
    """Recorrupted-to-Recorrupted for noise of a known or measured law.

    channels, tile, widths : see `hush.bases.learned`; alpha, draws : see `hush.bases.noisier`.
    """

    draws: int = 8

    name: ClassVar[str] = "r2r"
    summary: ClassVar[str] = "a network that learns one recorrupted image from its partner"
    citation: ClassVar[str] = "Pang et al., Recorrupted-to-Recorrupted, CVPR 2021"

    def loss(
        self, network: Network, x: Tensor, generator: torch.Generator, done: float
    ) -> Mapping[str, Tensor]:
        """Of ŷ and y ``(B, 2·C, h, w)``: theorem 1's left side."""
        more, y = x.chunk(2, 1)
        return {"loss": (network(more).float() - partner(y, more, self.alpha)).square().mean()}


def partner(y: Tensor, more: Tensor, alpha: float) -> Tensor:
    """ỹ, from y and ŷ."""
    return y - (more - y) / alpha**2
