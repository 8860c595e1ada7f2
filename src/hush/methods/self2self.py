r"""Self2Self with Dropout: Learning Self-Supervised Denoising from Single Image (CVPR 2020).

Y. Quan, M. Chen, T. Pang, H. Ji. Values of the one image y are left out at random, b = 0, and a
network learns them from the others (§3.3):

.. math:: \min_\theta \sum_m \big\|F_\theta(b_m \odot y) - y\big\|^2_{1 - b_m}. \qquad (6)

A value that is left out has noise that the network does not see, if the noise is independent from
value to value, so its error is that beside the signal plus the noise's variance. Dropout on the way
up makes every pass another estimator, in use as well (§3.4): the result is the mean of many,

.. math:: x^* = \frac1N \sum_n F_{\theta_n}(b_{M+n} \odot y). \qquad (8)

In the paper a step sees the whole image, 150,000 times or more. Here it sees a window of it, with a
narrower network and a higher learning rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from hush.bases.zero_shot import FORWARD, Pace, Windows, ZeroShot, answered, cosine, learn
from hush.errors import HushError
from hush.nets import channels_last, placed
from hush.nets.self2self import PartialUNet

MOST = 0.25  #: share of the time for the passes that are averaged


@dataclass
class Self2Self(ZeroShot):
    """Self2Self for images whose noise is independent from value to value.

    seconds, steps, seed : see `hush.bases.zero_shot.ZeroShot`.
    width, depth : of the network (`hush.nets.self2self`), 48 and 5 in the paper.
    patch : side of the window of a step; None is the whole image, as in the paper.
    keep : share of the values that a pass sees. dropout : share of features left out.
    passes : results that are averaged; fewer if they would take a quarter of `seconds`.
    learning_rate : the first one; 0.0001 in the paper.
    """

    width: int = 16
    depth: int = 4
    patch: int | None = 96
    keep: float = 0.7
    dropout: float = 0.3
    passes: int = 50
    learning_rate: float = 2e-3

    name: ClassVar[str] = "self2self"
    summary: ClassVar[str] = "a network that learns left-out values of the one image from others"
    citation: ClassVar[str] = "Quan et al., Self2Self with Dropout, CVPR 2020"

    def __post_init__(self) -> None:
        super().__post_init__()
        with torch.device("meta"):  # refuses invalid sizes without allocating memory
            PartialUNet(1, self.width, self.depth, self.dropout)
        if not 0 < self.keep < 1 or self.passes < 1 or self.learning_rate <= 0:
            raise HushError(
                "self2self needs a keep between 0 and 1, at least 1 pass and a learning_rate "
                "above 0"
            )
        if self.patch is not None and self.patch < 2:
            raise HushError("self2self needs patches of at least 2")

    def learned(self, x: Tensor, pace: Pace, level: float) -> np.ndarray:
        """See `ZeroShot.learned`."""
        network = PartialUNet(x.shape[1], self.width, self.depth, self.dropout)
        placed(channels_last(network), x.device)
        windows = Windows((x.shape[2], x.shape[3]), self.patch, self.seed)

        def loss() -> Tensor:
            rows, columns = windows.draw()
            y = windows.flipped(x[:, :, rows, columns])
            return left_out(network, y, self.keep)

        after = self.passes * FORWARD / windows.share
        learn(network, loss, pace, cosine(self.learning_rate), after, MOST)
        return self._mean(network, x[0].cpu().numpy(), pace)

    def _mean(self, network: PartialUNet, image: np.ndarray, pace: Pace) -> np.ndarray:
        """Eq. 8: the mean over passes with values and features left out anew."""
        rng, count = np.random.default_rng((self.seed, 1)), len(image)
        total = np.zeros_like(image)

        def seen(both: Tensor) -> Tensor:
            out: Tensor = network(both[:, :count], both[:, count:])
            return out

        for number in pace.answers(self.passes):
            kept = rng.random(image.shape, np.float32) < self.keep
            both = np.concatenate([image, kept.astype(np.float32)])
            made = answered(seen, both, network.radius, network.multiple, self.device_)
            total += (made - total) / np.float32(number + 1)
        return total


def left_out(network: PartialUNet, y: Tensor, keep: float) -> Tensor:
    """Eq. 6, per value: the error of an image ``(B, C, H, W)`` where the network did not see it."""
    b = (torch.rand(y.shape, device="cpu") < keep).to(y.device, y.dtype)
    missing = 1 - b
    return ((network(y, b) - y).square() * missing).sum() / missing.sum().clamp(min=1)
