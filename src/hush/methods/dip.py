r"""Deep Image Prior: a network that has learned structure before it learns noise.

D. Ulyanov, A. Vedaldi, V. Lempitsky, "Deep image prior", CVPR 2018. A network f is fitted to the
one noisy sample x₀ from a fixed random input z, and the fit ends early:

.. math:: \theta^* = \arg\min_\theta \|f_\theta(z) - x_0\|^2, \quad x^* = f_{\theta^*}(z).
          \qquad (2)

As in the paper, the input is jittered in every step, and results are averaged: the weights of the
last steps for a volume, and their outputs for an image. The fit ends when the residual is as large
as the noise: what is left to learn is noise.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hush.bases.series import Seen, Trained, padded, through, windows_side
from hush.bases.zero_shot import Pace, ZeroShot
from hush.errors import HushError
from hush.results import Restoration
from hush.tiling import BORDER, tiled

if TYPE_CHECKING:
    from torch import Tensor

INPUTS = 16  #: channels of the input
JITTER = 0.05  #: deviation of what is added to the input in every step
RATE = 3e-3  #: learning rate
DECAY = 0.99  #: of the averages of the weights and of the loss
WINDOW = 96  #: most voxels of a window's side
OCTAVES = 7  #: of an image's input
POWER = 4  #: of a step's number, the weight of its output in the average


class Fit:
    """A fit of a network, step by step, and averages of its weights and of its residual.

    enough : the mean square of the residual at which it is over, the noise's variance.
    """

    def __init__(self, network: Any, place: Any, enough: float, rate: float = RATE) -> None:
        import torch
        from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

        from hush.nets import placed

        self.network, self.enough = placed(network, place).train(), enough
        self.averaged: Any = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(DECAY))
        self.optimiser = torch.optim.Adam(network.parameters(), rate)
        self.steps, self._error = 0, 0.0

    def step(self, z: Tensor, target: Tensor, jitter: Tensor) -> Tensor:
        """One step of eq. 2 on windows ``(B, K, h, w)`` of the input; returns the output."""
        answer: Tensor = self.network(z + JITTER * jitter)
        loss = (answer - target).square().mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.averaged.update_parameters(self.network)
        self.steps += 1
        self._error += (1 - DECAY) * (float(loss.detach()) - self._error)
        return answer.detach()

    @property
    def is_over(self) -> bool:
        """Whether the residual is as large as the noise."""
        return self._error / (1 - DECAY**self.steps) <= self.enough


@dataclass
class DIP(Trained):
    """Deep Image Prior of a volume or series, a network fitted to it within a time limit.

    The network sees slices. The volumes of a series are the channels of its output, as colours are
    in the paper. Where slices are neighbours, their inputs are similar.

    The fit ends after `seconds` or `steps`, and before if the residual is as large as the noise, if
    that is given or was measured.

    seconds, steps, width, seed : see `hush.bases.series.Trained`. batch : windows in a step.
    """

    seconds: float = 120.0
    width: int = 32
    batch: int = 1

    name: ClassVar[str] = "dip"
    summary: ClassVar[str] = (
        "a network fitted to one image or volume from a random input, ended early"
    )
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

        place = torch.device(self.device_)
        fit = Fit(network, place, enough)
        rng = np.random.default_rng((self.seed, 1))
        both = padded(np.concatenate([z, target]), network.multiple)
        side = windows_side(both.shape[2:], WINDOW, network.multiple)
        begun, done = time.perf_counter(), 0.0
        while done < 1:
            part = torch.from_numpy(self._windows(both, side, network.multiple, rng)).to(place)
            jitter = rng.standard_normal(part[:, : len(z)].shape, np.float32)
            fit.step(part[:, : len(z)], part[:, len(z) :], torch.from_numpy(jitter).to(place))
            last, done = done, self._done(fit.steps, time.perf_counter() - begun)
            if fit.is_over:
                done = 1.0
            advance(done - last)
        return fit.averaged.module

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


@dataclass
class ImageDIP(ZeroShot):
    """Deep Image Prior of an image, a network fitted to it within a time limit.

    Larger images are fitted in tiles, each by a network of its own, so that every step sees all of
    a tile. A fit ends after its share of `seconds`, or after `steps`, and before if the residual is
    as large as the noise, as stated or measured. A step's output counts in proportion to the fourth
    power of its number, so that the last ones decide, whenever the end comes.

    seconds, steps, seed : see `hush.bases.zero_shot.ZeroShot`.
    width, scales : of the network (`hush.nets.slices`); the paper's has 128 features on 5 scales.
    tile : side in pixels; None is the whole image, as in the paper.
    learning_rate : 0.01 in the paper.
    """

    width: int = 16
    scales: int = 3
    tile: int | None = 128
    learning_rate: float = 1e-2

    name: ClassVar[str] = "dip"
    summary: ClassVar[str] = DIP.summary
    citation: ClassVar[str] = DIP.citation
    needs_level: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width < 2 or self.scales < 1 or self.learning_rate <= 0:
            raise HushError(
                "dip needs a width of at least 2, at least 1 scale and a learning_rate above 0"
            )
        if self.tile is not None and self.tile < 1:
            raise HushError("dip needs tiles of at least 1 pixel")

    def learned(self, x: Tensor, pace: Pace, level: float) -> np.ndarray:
        """See `ZeroShot.learned`."""
        multiple = 2**self.scales
        side = -(-(self.tile or max(x.shape[2:])) // multiple) * multiple
        paces = pace.parts(math.prod(-(-n // side) for n in x.shape[2:]))
        return tiled(
            lambda part: self._fitted(part, next(paces), level),
            x[0].cpu().numpy(),
            size=side,
            radius=BORDER,
            multiple=multiple,
        )

    def _fitted(self, target: np.ndarray, pace: Pace, level: float) -> np.ndarray:
        """A tile ``(C, H, W)``, as the last steps of a fit show it."""
        import torch

        from hush.nets.slices import SliceUNet

        network = SliceUNet(INPUTS, len(target), self.width, self.scales)
        fit = Fit(network, torch.device(self.device_), level**2, self.learning_rate)
        z = torch.from_numpy(octaves(target.shape[1:]))[None].to(self.device_)
        wanted = torch.from_numpy(np.ascontiguousarray(target))[None].to(self.device_)
        mean = torch.zeros_like(wanted)
        total = 0.0
        for _ in pace.learning(after=0.0):
            output = fit.step(z, wanted, torch.randn(z.shape).to(self.device_))
            weight = float(fit.steps) ** POWER
            total += weight
            mean += (output - mean) * (weight / total)
            if fit.is_over:
                break
        pace.finish()
        result: np.ndarray = mean[0].cpu().numpy()
        return result


def octaves(shape: Sequence[int]) -> np.ndarray:
    """The input z ``(K, H, W)`` of an image: channels of noise of 1, 2, 4… pixels, of variance 1.

    In the paper it is white. In coarse channels, neighbours are alike, as they are in an image.
    """
    import torch
    import torch.nn.functional as F

    made = []
    for channel in range(INPUTS):
        size = 2 ** (channel % OCTAVES)
        grid = torch.randn([1, 1, *(-(-n // size) + 1 for n in shape)])
        fine = F.interpolate(grid, scale_factor=size, mode="bicubic")
        fine = fine[0, 0, : shape[0], : shape[1]]
        made.append(fine / fine.square().mean().sqrt())
    return torch.stack(made).numpy()
