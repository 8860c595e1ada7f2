"""Shared by methods that learn from the one image they denoise: their time, windows and loop.

Such a method has no weights to keep: a network begins anew with every image. It learns on windows,
so a step takes the same time for any image, and memory grows with the image and not with features.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from hush.denoiser import Advance, Denoiser
from hush.errors import HushError
from hush.kinds.cut import moments, rms_level
from hush.nets import channels_last
from hush.noise.process import Process
from hush.results import Estimate, Restoration
from hush.tiling import tiled

Z = TypeVar("Z", bound="ZeroShot")

LEARNING = 0.9  #: share of the work, for progress
TILE = 1024  #: side of the tiles in which a result is computed
FORWARD = 1 / 3  #: time of a network's answer, relative to that of a step on as many pixels


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

    #: whether it has to know the noise's level, which is then measured if nobody has
    needs_level: ClassVar[bool] = False

    device_: str = field(default="cpu", init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.seconds > 0 or (self.steps is not None and self.steps < 1):
            raise HushError(f"{self.name} needs more than 0 seconds, or at least 1 step")

    def learned(self, x: Tensor, pace: Pace, level: float) -> np.ndarray:
        """The result ``(C, H, W)`` for a standardised image ``(1, C, H, W)``, after learning it.

        level : the noise's deviation in the same unit, as stated or else measured; 0 if it is
            unknown, which it is not with `needs_level`.
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
        if law is None and self.needs_level:
            law = self.kind.measure([x]).process
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

    def learning(self, after: float, most: float = 1.0) -> Iterator[float]:
        """The finished share of the learning before every step, from 0; the last is below 1.

        after : what follows takes as long as so many steps, and at most this share of the time.
        """
        count, done, first = 0, 0.0, self.left
        while done < 1:
            yield done
            count += 1
            if self.steps:
                done = count / self.steps
            else:
                each, rest = (first - self.left) / count, self.left
                kept = min(after * each, most * self.seconds) + each / 2
                done = max(done, (self.seconds - rest) / max(self.seconds - kept, each))
            self.tell(LEARNING * done)

    def answers(self, count: int) -> Iterator[int]:
        """The numbers of results to average: `count`, or as many as the time is enough for."""
        first = self.left
        for number in range(count):
            yield number
            self.tell(LEARNING + (1 - LEARNING) * (number + 1) / count)
            each = (first - self.left) / (number + 1)
            if not self.steps and self.left < each:
                return

    def parts(self, count: int) -> Iterator[Pace]:
        """The paces of parts that follow each other, each with its share of the time left."""
        for number in range(count):
            seconds = max(self.left, 0.0) / (count - number)
            yield Pace(seconds, self.steps, lambda share: self.tell(self._told + share / count))

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
    most: float = 1.0,
) -> None:
    """Train a network by Adam until the time that is left is what the result takes.

    loss : of a step; rate : the learning rate after a share of the learning; after, most : see
    `Pace.learning`.
    """
    optimiser = torch.optim.Adam(network.parameters(), rate(0.0))
    network.train()
    for done in pace.learning(after, most):
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


def answered(
    network: Callable[[Tensor], Tensor], x: np.ndarray, radius: int, multiple: int, device: str
) -> np.ndarray:
    """A network's answer to ``(C, H, W)``, in tiles that end at the image's border."""

    def answer(part: np.ndarray) -> np.ndarray:
        given = torch.from_numpy(np.ascontiguousarray(part))[None]
        with torch.inference_mode():
            out: np.ndarray = network(channels_last(given).to(device))[0].float().cpu().numpy()
        return out

    return tiled(answer, x, size=TILE, radius=radius, multiple=multiple, border=None)


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

    def flipped(self, x: Tensor) -> Tensor:
        """A window ``(…, h, w)``, mirrored along either axis with a chance of one half."""
        axes = [axis for axis in (-2, -1) if self.rng.random() < 0.5]
        return x.flip(axes) if axes else x
