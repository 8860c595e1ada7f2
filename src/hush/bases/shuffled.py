r"""Asymmetric pixel-shuffle downsampling and random replacing: shared by AP-BSN and MM-BSN.

    W. Lee, S. Son, K. M. Lee: AP-BSN: Self-Supervised Denoising for Real-World Images via
    Asymmetric PD and Blind-Spot Network, CVPR 2022.

Where noise is correlated between neighbours, a blind-spot network f learns to predict the noise.
Sub-images of every n-th pixel (pixel-shuffle downsampling, PD) have nearly independent noise, but
they lack detail. So the stride is large in training, a = 5, and small afterwards, b = 2:

.. math:: L = \|PD_a^{-1}(f(PD_a(x))) - x\|_1, \qquad \hat s = PD_b^{-1}(f(PD_b(x))).

*Random replacing* (R³) removes the lattice of the sub-images and noise that is left. In ŝ, a share
p of the pixels is replaced by those of x, which are then mostly apart; f denoises the mixture
without downsampling. The result is the mean over T random mixtures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from hush.bases.learned import Learned, Network, through
from hush.denoiser import Advance
from hush.errors import HushError
from hush.nets.pooled import PooledNet
from hush.nets.shuffled import Shuffled, shuffled


@dataclass
class Asymmetric(Learned):
    """`Learned` with a blind-spot network, asymmetric downsampling and random replacing.

    channels, tile : see `hush.bases.learned.Learned`.
    stride : a, of the sub-images in training; longer than the noise is correlated.
    stride_after : b, of the sub-images when denoising.
    replaced : p, the share of pixels that random replacing takes from the noisy image.
    refinements : T, the number of mixtures; with 0, there is no random replacing.
    """

    stride: int = 5
    stride_after: int = 2
    replaced: float = 0.16
    refinements: int = 8

    applied: ClassVar[tuple[str, ...]] = ("tile", "stride_after", "replaced", "refinements")

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.stride, self.stride_after) < 1:
            raise HushError(
                f"{self.name} needs strides of at least 1, not {self.stride} and "
                f"{self.stride_after}"
            )
        if not 0 <= self.replaced <= 1 or self.refinements < 0:
            raise HushError(
                f"{self.name} needs a replaced share from 0 to 1, and refinements from 0, not "
                f"{self.replaced:g} and {self.refinements}"
            )

    def build(self, channels: int) -> PooledNet:
        """See `Learned.build`; a blind-spot network."""
        raise NotImplementedError

    def loss(
        self, network: Network, x: Tensor, generator: torch.Generator, done: float
    ) -> Mapping[str, Tensor]:
        """L."""
        return {"loss": (shuffled(network, x, self.stride).float() - x).abs().mean()}

    def predict(
        self, x: np.ndarray, mean: np.ndarray, deviation: float, advance: Advance | None = None
    ) -> np.ndarray:
        """See `Learned.predict`; the random mixtures are the same for all images of one shape."""
        network = self.network
        if deviation == 0:
            return np.broadcast_to(mean, x.shape).copy()

        def passed(by: Network, z: np.ndarray) -> np.ndarray:
            return through(by, z, self.tile, advance and (lambda share: advance(share / passes)))

        passes = 1 + self.refinements
        z = (x - mean) / np.float32(deviation)
        estimate = passed(Shuffled(network, self.stride_after), z)
        if self.refinements:
            estimate = refined(
                lambda mixture: passed(network, mixture),
                estimate,
                z,
                self.replaced,
                self.refinements,
            )
        return estimate * np.float32(deviation) + mean

    def one_pass(self) -> Network:
        """See `Denoiser.one_pass`; with random replacing there are several passes."""
        if self.refinements:
            raise HushError(
                f"{self.name} denoises {self.refinements} random mixtures and cannot be exported; "
                "a model trained with --set refinements=0 can be"
            )
        return Shuffled(self.network, self.stride_after)


def refined(
    denoise: Callable[[np.ndarray], np.ndarray],
    estimate: np.ndarray,
    noisy: np.ndarray,
    share: float,
    times: int,
    seed: int = 0,
) -> np.ndarray:
    """Random replacing: the mean of `times` denoised mixtures ``(C, H, W)``, float32.

    In each mixture, every value is that of `noisy` with the probability `share`, else that of
    `estimate`.
    """
    rng = np.random.default_rng(seed)
    total = np.zeros_like(estimate)
    for _ in range(times):
        taken = rng.random(noisy.shape, np.float32) < share
        total += denoise(np.where(taken, noisy, estimate))
    return total / np.float32(times)
