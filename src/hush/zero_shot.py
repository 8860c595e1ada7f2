"""Shared by methods that learn from the one image they denoise: their time, windows and loop.

Such a method has no weights to keep: a network begins anew with every image. It learns on windows,
so a step takes the same time for any image, and memory grows with the image and not with features.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from hush.denoiser import Advance, Denoiser
from hush.errors import HushError
from hush.kinds.cut import moments, rms_level
from hush.nets import channels_last
from hush.noise.process import Process
from hush.results import Estimate, Restoration

Z = TypeVar("Z", bound="ZeroShot")

LEARNING = 0.9  #: share of the work, for progress
TILE = 512  #: side of the tiles in which a result is computed


@dataclass
class ZeroShot(Denoiser):
    """Base of methods that learn from the image they denoise, and from no other.

    seconds : that an image takes, learning and result together, to about a step.
    steps : of learning instead, so that results are repeatable.
    seed : of all random numbers.

    The image is seen with mean 0 and deviation 1, so results scale with its gain and offset. The
    planes of a stack are denoised one after the other, each in `seconds`.
    """

    seconds: float = 60.0
    steps: int | None = None
    seed: int = 0

    device_: str = field(default="cpu", init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.seconds > 0 or (self.steps is not None and self.steps < 1):
            raise HushError(f"{self.name} needs more than 0 seconds, or at least 1 step")

    def learned(self, x: Tensor, pace: Pace, level: float) -> np.ndarray:
        """The result ``(C, H, W)`` for a standardised image ``(1, C, H, W)``, after learning it.

        level : the noise's deviation in the same unit, as stated or else measured; 0 if unknown.
        """
        raise NotImplementedError

    def restore(
        self,
        x: np.ndarray,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """See `Denoiser.restore`; an image of one row or column is left as it is."""
        pace = Pace(self.seconds, self.steps, advance)
        x = np.ascontiguousarray(x)
        mean, deviation = moments(x)
        if deviation == 0 or min(x.shape[1:]) < 2:
            pace.finish()
            return Restoration(x.copy(), noise)
        place = torch.device(self.device_)
        given = channels_last(torch.from_numpy((x - mean) / np.float32(deviation))[None]).to(place)
        law = noise if noise is not None and noise.stated else found and found.process
        with torch.random.fork_rng([place] if place.type == "cuda" else []):
            torch.manual_seed(self.seed)
            y = self.learned(given, pace, rms_level(law, x) / deviation if law else 0.0)
        pace.finish()
        return Restoration(y * np.float32(deviation) + mean, noise)

    def hurried(self) -> None:
        """See `Denoiser.hurried`: learning one window takes as long as learning the image."""

    def to(self: Z, device: str) -> Z:
        """Run on `device` from now on, ``cpu``, ``cuda`` or ``mps``."""
        self.device_ = device
        return self


class Pace:
    """How much of the work on an image is done, by steps or by the clock, which starts now.

    advance : gets the share of the work just finished.
    """

    def __init__(
        self, seconds: float, steps: int | None = None, advance: Advance | None = None
    ) -> None:
        self.seconds, self.steps, self.advance = seconds, steps, advance or (lambda _: None)
        self.begun, self._told = time.perf_counter(), 0.0

    @property
    def left(self) -> float:
        """Seconds of the time that are left."""
        return self.seconds - (time.perf_counter() - self.begun)

    def learning(self, after: float) -> Iterator[float]:
        """The finished share of the learning before every step, from 0; the last is below 1.

        after : what follows takes as long as so many steps.
        """
        count, done, first = 0, 0.0, self.left
        while done < 1:
            yield done
            count += 1
            if self.steps:
                done = count / self.steps
            else:
                each, rest = (first - self.left) / count, self.left
                done = max(done, 1 - (rest - (after + 0.5) * each) / self.seconds)
            self.tell(LEARNING * done)

    def tell(self, share: float) -> None:
        """Say that this share of all the work is done."""
        if (share := min(1.0, share)) > self._told:
            self.advance(share - self._told)
            self._told = share

    def finish(self) -> None:
        """Say that all of the work is done."""
        self.tell(1.0)


def learn(
    network: nn.Module,
    loss: Callable[[], Tensor],
    pace: Pace,
    rate: Callable[[float], float],
    after: float,
) -> None:
    """Train a network by Adam until the time that is left is what the result takes.

    loss : of a step; rate : the learning rate after a share of the learning; after : see
    `Pace.learning`.
    """
    optimiser = torch.optim.Adam(network.parameters(), rate(0.0))
    network.train()
    for done in pace.learning(after):
        for group in optimiser.param_groups:
            group["lr"] = rate(done)
        error = loss()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
    network.eval()


def cosine(peak: float) -> Callable[[float], float]:
    """A learning rate that falls from `peak` to 0 along a cosine."""
    return lambda done: peak * 0.5 * (1 + math.cos(math.pi * done))


@dataclass
class Windows:
    """Random windows of one image, drawn on the CPU so that every device sees the same.

    shape : of the image ``(H, W)``. side : of a window, in pixels; the image's where that is
    shorter, or for None. multiple : sides and corners are multiples of it.
    """

    shape: tuple[int, int]
    side: int | None
    seed: int = 0
    multiple: int = 1

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        units = [min(n, self.side or n) // self.multiple for n in self.shape]
        self.sides = [max(1, unit) * self.multiple for unit in units]

    @property
    def share(self) -> float:
        """A window's share of the image."""
        return math.prod(self.sides) / math.prod(self.shape)

    def draw(self) -> tuple[slice, slice]:
        """The rows and columns of a window; every corner is equally likely."""
        rows, columns = (
            slice(start, start + side)
            for n, side in zip(self.shape, self.sides, strict=True)
            for start in [int(self.rng.integers((n - side) // self.multiple + 1)) * self.multiple]
        )
        return rows, columns
