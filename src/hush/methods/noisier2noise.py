r"""Noisier2Noise: Learning to Denoise from Unpaired Noisy Data (Moran et al., CVPR 2020).

From a noisy image y = x + n a noisier one is made, z = y + m, with further noise m of the same law
and α times the deviation. A network learns to predict y from z,

.. math:: \arg\min_\theta E\,\|g_\theta(z) - y\|^2, \quad\text{so}\quad g(z) = E[y \mid z].

If m has the law of n (α = 1), neither can be told from the other in z, and
E[n | z] = E[m | z]; in general E[n | z] = E[m | z]/α². With E[y | z] = z − E[m | z] this gives

.. math:: E[x \mid z] = \frac{(1 + \alpha^2)\,E[y \mid z] - z}{\alpha^2}.

The same holds for counts, from which photons are taken (`hush.noise.process`).

The network here gives the corrected estimate itself, f(z), and the loss compares
E[y | z] = (z + α² f(z))/(1 + α²) with y: a network of y would have to pass all the noise on, and
its errors would be (1 + α²)/α² times as large. Its layers learn the noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hush.bases.learned import Network, Plain
from hush.bases.noisier import Noisier
from hush.nets.plain import PlainUNet


@dataclass
class Noisier2Noise(Plain, Noisier):
    """Noisier2Noise for noise of a known or measured law.

    channels, tile, widths : see `hush.bases.learned`; alpha, draws : see `hush.bases.noisier`.
    """

    name: ClassVar[str] = "noisier2noise"
    summary: ClassVar[str] = "a network that learns the noisy image from a noisier one"
    citation: ClassVar[str] = "Moran et al., Noisier2Noise, CVPR 2020"

    def build(self, channels: int) -> PlainUNet:
        """See `Learned.build`."""
        return PlainUNet(channels, self.widths, residual=True)

    def loss(
        self, network: Network, x: Tensor, generator: torch.Generator, done: float
    ) -> Mapping[str, Tensor]:
        """Of z and y ``(B, 2·C, h, w)``: the squared error of E[y | z]."""
        z, y = x.chunk(2, 1)
        return {"loss": (uncorrected(network(z).float(), z, self.alpha) - y).square().mean()}


def uncorrected(estimate: Tensor, z: Tensor, alpha: float) -> Tensor:
    """E[y | z] from E[x | z], the corrected estimate."""
    return (z + alpha**2 * estimate) / (1 + alpha**2)
