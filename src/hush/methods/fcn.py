r"""ECG artifact removal by a fully convolutional network, FCN (Wang et al., ICASSP 2023).

A supervised method, for comparison: a denoising autoencoder learns the clean channel x from the
noisy one y,

.. math:: \arg\min_\theta E\,|f_\theta(y) - x|.

Here gain and polarity vary at random in training, and channels of any rate and length are denoised
(`hush.bases.interference`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from hush.bases.interference import Subtracting, varied
from hush.bases.learned import Network, through
from hush.denoiser import Advance
from hush.nets.fcn import FCN as Net


@dataclass
class FCN(Subtracting):
    """FCN for ECG in surface EMG, from pairs.

    channels, tile, rate, model_rate : see `hush.bases.interference.Subtracting`.
    widths : features of the encoder's layers. The default is the paper's network, which has 0.14 M
        parameters.
    """

    widths: Sequence[int] = (80, 40, 20)

    name: ClassVar[str] = "fcn"
    summary: ClassVar[str] = "a convolutional autoencoder that learns EMG without ECG from pairs"
    citation: ClassVar[str] = (
        "Wang et al., ECG Artifact Removal from Single-Channel Surface EMG Using Fully "
        "Convolutional Networks, ICASSP 2023"
    )
    pace: ClassVar[Mapping[str, Any]] = {"batch": 8, "learning_rate": 4e-3}

    def build(self, channels: int) -> Net:
        """See `Learned.build`."""
        return Net(self.widths)

    def loss(
        self, network: Network, x: Tensor, generator: torch.Generator, done: float
    ) -> Mapping[str, Tensor]:
        """Absolute error on patches ``(B, 2, T)``, noisy and clean."""
        noisy, clean = varied(x, generator).split(1, 1)
        return {"loss": (network(noisy).float() - clean).abs().mean()}

    def removed(self, z: np.ndarray, advance: Advance | None = None) -> np.ndarray:
        """See `Subtracting.removed`."""
        return z - through(self.network, z, self.tile, advance)

    def context(self) -> tuple[int, int]:
        """See `Subtracting.context`."""
        network = self.network
        return network.radius, network.multiple
