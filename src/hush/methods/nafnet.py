r"""Simple Baselines for Image Restoration (Chen et al., ECCV 2022): NAFNet, from clean images.

The supervised method, for comparison. It learns from pairs of a noisy image x and a clean one y,

.. math:: \arg\min_\theta E\,|f_\theta(x) - y|.

The paper's loss is PSNR, the logarithm of each image's squared error. The absolute error here is
robust to a few bad pixels in the clean images and has no singularity where f is exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from hush.bases.learned import NAFNET_PACE, Learned, Network
from hush.denoiser import Learns
from hush.errors import HushError
from hush.kinds.cut import takes
from hush.nets.nafnet import NAFNet as Net


@dataclass
class NAFNet(Learned):
    """NAFNet, for any noise for which there are clean images.

    `fit` takes a list of pairs, each a stack ``(2, H, W)`` or ``(2, H, W, 3)`` with the noisy image
    first and the clean one last, or a list of the two.

    channels, tile : see `hush.bases.learned.Learned`.
    width, encoder, middle, decoder : sizes, see `hush.nets.nafnet.NAFNet`.
    """

    width: int = 16
    encoder: Sequence[int] = (1, 1, 2)
    middle: int = 2
    decoder: Sequence[int] = (1, 1, 1)

    name: ClassVar[str] = "nafnet"
    summary: ClassVar[str] = "a network that learns clean images from noisy ones"
    citation: ClassVar[str] = "Chen et al., Simple Baselines for Image Restoration, ECCV 2022"
    pace: ClassVar[Mapping[str, Any]] = NAFNET_PACE
    learns_from: ClassVar[Learns] = "pairs"

    def scenes(self, data: Sequence[np.ndarray] | np.ndarray) -> list[np.ndarray]:
        """Pairs ``(C, 2, H, W)``, the clean image last."""
        scenes = takes(data, self.kind)
        if not scenes or any(len(pair) != 2 for pair in scenes):
            raise HushError(
                "nafnet learns from pairs; give it stacks of two, a noisy image and then a clean "
                "one, or hush train a folder of each (--clean)"
            )
        return [np.stack(pair, 1) for pair in scenes]

    def shown(self, scene: np.ndarray) -> np.ndarray:
        """The noisy image: when denoising, only it gives the mean and deviation."""
        return scene[:, :1]

    def build(self, channels: int) -> Net:
        """See `Learned.build`."""
        return Net(channels, self.width, self.encoder, self.middle, self.decoder)

    def loss(
        self, network: Network, x: Tensor, generator: torch.Generator, done: float
    ) -> Mapping[str, Tensor]:
        """Absolute error on patches ``(B, C·2, h, w)``."""
        noisy, clean = x.unflatten(1, (self.channels, 2)).unbind(2)
        return {"loss": (network(noisy).float() - clean).abs().mean()}
