r"""Deep Image Prior: a network that has learned structure before it learns noise.

D. Ulyanov, A. Vedaldi, V. Lempitsky, "Deep image prior", CVPR 2018. A network f is fitted to the
one noisy sample x₀ from a fixed random input z, and the fit ends early:

.. math:: \theta^* = \arg\min_\theta \|f_\theta(z) - x_0\|^2, \quad x^* = f_{\theta^*}(z).
          \qquad (2)

As in the paper, the input is jittered in every step, and the result comes from averaged weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hush.results import Restoration
from hush.series_methods import Seen, Trained, padded, through, windows_side

INPUTS = 16  #: channels of the input
JITTER = 0.05  #: deviation of what is added to the input in every step
RATE = 3e-3  #: learning rate
DECAY = 0.99  #: of the averages of the weights and of the loss
WINDOW = 96  #: most voxels of a window's side


@dataclass
class DIP(Trained):
    """Deep Image Prior of a volume or series, a network fitted to it within a time limit.

    The network sees slices. The volumes of a series are the channels of its output, as colours are
    in the paper. Where slices are neighbours, their inputs are similar.

    The fit ends after `seconds` or `steps`, and before if the residual is as large as the noise, if
    that is given or was measured: what is left to learn is noise.

    seconds, steps, width, seed : see `hush.series_methods.Trained`. batch : windows in a step.
    """

    seconds: float = 120.0
    width: int = 32
    batch: int = 1

    name: ClassVar[str] = "dip"
    summary: ClassVar[str] = "a network fitted to one volume from a random input, ended early"
    citation: ClassVar[str] = "Ulyanov, Vedaldi and Lempitsky, Deep Image Prior, CVPR 2018"

    def denoised(self, seen: Seen, advance: Callable[[float], None]) -> Restoration:
        """See `VolumeMethod.denoised`."""
        from hush.nets.slices import SliceUNet

        x = seen.x
        mean, deviation = seen.moments()
        target = (x - mean) / deviation
        network = self._seeded(lambda: SliceUNet(INPUTS, len(x), self.width))
        z = self._input((INPUTS, *x.shape[1:]), seen.adjacent)
        level = seen.level
        enough = 0.0 if level is None else float(np.mean((level.mean / deviation) ** 2))
        averaged = self._fitted(network, z, target, enough, lambda done: advance(0.9 * done))
        every = through(averaged, z.swapaxes(0, 1), self.device_, lambda n: advance(0.1 * n))
        return Restoration(every.swapaxes(0, 1) * deviation + mean, seen.process)

    def _input(self, shape: tuple[int, ...], adjacent: bool) -> np.ndarray:
        """z ``(K, Z, Y, X)``, standard normal; similar in neighbouring slices."""
        z = np.random.default_rng(self.seed).standard_normal(shape, np.float32)
        if adjacent:
            from scipy.ndimage import gaussian_filter1d

            z = gaussian_filter1d(z, 1.0, axis=1, mode="reflect")
            z /= z.std()
        return z

    def _fitted(
        self,
        network: Any,
        z: np.ndarray,
        target: np.ndarray,
        enough: float,
        advance: Callable[[float], None],
    ) -> Any:
        """The network of averaged weights, fitted to windows of the target."""
        import torch
        from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

        from hush.nets import placed

        place = torch.device(self.device_)
        placed(network, place).train()
        averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(DECAY))
        optimiser = torch.optim.Adam(network.parameters(), RATE)
        rng = np.random.default_rng((self.seed, 1))
        both = padded(np.concatenate([z, target]), network.multiple)
        side = windows_side(both.shape[2:], WINDOW, network.multiple)
        begun, done, error = time.perf_counter(), 0.0, 0.0
        step = 0
        while done < 1:
            part = torch.from_numpy(self._windows(both, side, network.multiple, rng)).to(place)
            given, wanted = part[:, : len(z)], part[:, len(z) :]
            jitter = torch.from_numpy(rng.standard_normal(given.shape, np.float32)).to(place)
            answer = network(given + JITTER * jitter)
            loss = (answer - wanted).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            averaged.update_parameters(network)
            step += 1
            error += (1 - DECAY) * (float(loss.detach()) - error)
            last, done = done, self._done(step, time.perf_counter() - begun)
            if error / (1 - DECAY**step) <= enough:
                done = 1.0
            advance(done - last)
        return averaged.module

    def _done(self, step: int, elapsed: float) -> float:
        return min(1.0, step / self.steps if self.steps else elapsed / self.seconds)

    def _windows(
        self, both: np.ndarray, side: int, multiple: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Windows ``(batch, K, side, side)`` that begin at multiples, as the pooling does."""
        out = []
        for _ in range(self.batch):
            k = int(rng.integers(both.shape[1]))
            row, column = (
                int(rng.integers((n - side) // multiple + 1)) * multiple for n in both.shape[2:]
            )
            out.append(both[:, k, row : row + side, column : column + side])
        return np.stack(out)
