r"""SDEMG: score-based diffusion for surface EMG denoising (Liu et al., ICASSP 2024).

A supervised method, for comparison. It draws a sample of the clean channel x given the noisy one y.
In training the clean channel is diffused to a random share of signal, and a network learns the
noise from it, given y and that share:

.. math:: \arg\min_\theta E\,\big|\epsilon - \epsilon_\theta(\sqrt{\bar\alpha}\,x
          + \sqrt{1 - \bar\alpha}\,\epsilon,\; y,\; \sqrt{\bar\alpha})\big|.

:math:`\sqrt{\bar\alpha}` is drawn evenly between neighbouring levels of a cosine schedule with 50
levels (Chen et al., WaveGrad, ICLR 2021). Sampling begins with noise and goes down these levels.

All random numbers of sampling repeat with a fixed period, so a channel that is denoised in parts
gets the same sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from hush.bases.interference import Subtracting, varied
from hush.bases.learned import Network
from hush.denoiser import Advance
from hush.errors import HushError
from hush.nets.sdemg import TwoStreams
from hush.sampling import ancestral, cosine_signal
from hush.tiling import tiled

LEVELS = 50  #: of the schedule, as in the paper
#: the network sees the clean channel with this gain over the noisy one: at −10 dB its rms is 0.9
GAIN = 3.0
LIMIT = 6.0  #: samples are clipped to this, with that gain
PERIOD = 4.0  #: seconds after which the random numbers repeat


@dataclass
class SDEMG(Subtracting):
    """SDEMG for ECG in surface EMG, from pairs.

    channels, tile, rate, model_rate : see `hush.bases.interference.Subtracting`.
    width, fold, dilations : of the network, see `hush.nets.sdemg.TwoStreams`. The default has
        1.3 M parameters; ``width=128, fold=1`` is the paper's network, with 5 M, and takes 20 times
        as long.
    steps : of sampling, at most 50. seed : of sampling.
    """

    width: int = 64
    fold: int = 8
    dilations: Sequence[int] = (1, 2, 4, 2, 1)
    steps: int = 50
    seed: int = 0

    name: ClassVar[str] = "sdemg"
    summary: ClassVar[str] = "diffusion that samples EMG without ECG, given the noisy channel"
    citation: ClassVar[str] = (
        "Liu et al., SDEMG: Score-based Diffusion Model for Surface Electromyographic Signal "
        "Denoising, ICASSP 2024"
    )
    pace: ClassVar[Mapping[str, Any]] = {"batch": 8, "learning_rate": 1e-3}
    iterates: ClassVar[bool] = True
    applied: ClassVar[tuple[str, ...]] = ("tile", "seed")

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= LEVELS:
            raise HushError(f"steps must be 1 to {LEVELS}, not {self.steps}")
        super().__post_init__()

    @property
    def increments(self) -> int:
        """See `Denoiser.increments`."""
        return self.steps

    def build(self, channels: int) -> TwoStreams:
        """See `Learned.build`."""
        return TwoStreams(self.width, self.fold, self.dilations)

    def loss(
        self, network: Network, x: Tensor, generator: torch.Generator, done: float
    ) -> Mapping[str, Tensor]:
        """Absolute error of the noise in patches ``(B, 2, T)``, noisy and clean."""
        noisy, clean = varied(x, generator).split(1, 1)
        options: dict[str, Any] = {"generator": generator, "device": x.device}
        signal = [1.0, *np.sqrt(cosine_signal(LEVELS))]
        shares = torch.tensor(signal, dtype=torch.float32, device=x.device)
        at = torch.randint(LEVELS, (len(x),), **options)
        level = torch.lerp(shares[at + 1], shares[at], torch.rand(len(x), **options))
        share = level[:, None, None]
        noise = torch.randn(clean.shape, **options)
        state = share * GAIN * clean + (1 - share**2).sqrt() * noise
        found = network(torch.cat([state, noisy], 1), level).float()
        return {"loss": (found - noise).abs().mean()}

    def removed(self, z: np.ndarray, advance: Advance | None = None) -> np.ndarray:
        """See `Subtracting.removed`."""
        network, signal = self.network, cosine_signal(LEVELS)
        place = next(network.parameters()).device
        period, length = self.context()[1], z.shape[-1]

        def fresh(step: int) -> np.ndarray:
            drawn = np.random.default_rng((self.seed, step)).standard_normal(period, np.float32)
            return np.resize(drawn, (1, length))

        def predict(x: np.ndarray, time: int) -> np.ndarray:
            level = torch.tensor([np.sqrt(signal[time])], dtype=torch.float32, device=place)

            def answer(part: np.ndarray) -> np.ndarray:
                with torch.inference_mode():
                    out = network(torch.from_numpy(part)[None].to(place), level)
                found: np.ndarray = out[0].float().cpu().numpy()
                return found

            return tiled(
                answer,
                np.concatenate([x, z]),
                size=self.tile,
                radius=network.radius,
                multiple=network.multiple,
                advance=(lambda share: advance(share / self.steps)) if advance else None,
            )

        sample = ancestral(predict, fresh, signal, self.steps, LIMIT)
        return z - sample / np.float32(GAIN)

    def context(self) -> tuple[int, int]:
        """See `Subtracting.context`: every step sees the samples around."""
        network = self.network
        period = max(1, round(PERIOD * self.model_rate / network.multiple)) * network.multiple
        return self.steps * network.radius, period
