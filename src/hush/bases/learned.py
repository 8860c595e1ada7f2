"""Everything shared by methods that train one noisy-to-clean network; a method adds its loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from hush.denoiser import Advance, Denoiser, Learns
from hush.errors import HushError
from hush.kinds.cut import (
    check_channels,
    hold_out,
    moments,
    within,
)
from hush.nets import Tiled, channels_last, placed
from hush.nets.plain import PlainUNet
from hush.nets.pooled import PooledNet
from hush.noise.process import Process
from hush.results import Estimate, Restoration
from hush.schedule import Schedule
from hush.tiling import BORDER, tiled

#: Schedules for networks that learn faster in many small steps: on X-rays, in three minutes,
#: blind-spot networks gain 0.6 dB and NAFNet 0.7 dB; on photographs, in five, neighbor2neighbor 0.1
#: and r2r 0.25 dB (docs/figures.md)
FAST_PACE: Mapping[str, Any] = {"batch": 8, "learning_rate": 2e-3}
NAFNET_PACE: Mapping[str, Any] = {"batch": 8, "learning_rate": 4e-3}

L = TypeVar("L", bound="Learned")
Network = Tiled | PooledNet
#: (patches ``(B, C, h, w)``, the index of each one's item, generator) → what the loss gets
Lessons = Callable[[Tensor, list[int], torch.Generator], Tensor]


@dataclass
class Learned(Denoiser):
    """A network from noisy to denoised images; a method adds `build` and `loss`.

    channels : image channels of the network; set from the data when fitting.
    tile : side in pixels; larger images are denoised in tiles of this side.

    The network sees images with mean 0 and deviation 1, over whole images and not over tiles, so
    that results scale with the image's gain and offset. A `PooledNet` also gets statistics of the
    whole image, and zeros beyond its border; other networks get a reflected border.
    """

    channels: int | None = None
    tile: int = 512

    learns_from: ClassVar[Learns] = "noisy"
    applied: ClassVar[tuple[str, ...]] = ("tile",)
    #: defaults for the schedule's `batch` and `learning_rate`, if not the usual ones
    pace: ClassVar[Mapping[str, Any]] = {}

    network_: Network | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        with torch.device("meta"):  # refuses invalid sizes without allocating memory
            self.build(self.channels or 1)

    @property
    def network(self) -> Network:
        """The trained network; `HushError` if there is none."""
        if self.network_ is None:
            raise self.untrained()
        return self.network_

    @property
    def joint(self) -> int | None:
        """See `Denoiser.joint`."""
        return self.channels

    @property
    def is_trained(self) -> bool:
        """See `Denoiser.is_trained`."""
        return self.network_ is not None

    def build(self, channels: int) -> Network:
        """The untrained network for the settings."""
        raise NotImplementedError

    def loss(
        self, network: Network, x: Tensor, generator: torch.Generator, done: float
    ) -> Mapping[str, Tensor]:
        """The loss on patches ``(B, C, h, w)``, after a share `done` of the training."""
        raise NotImplementedError

    def prepared(self, scene: np.ndarray, mean: np.ndarray, deviation: float) -> np.ndarray:
        """A scene as a training item ``(C·R, *S)``; here standardised by these moments."""
        scaled = (scene - mean) / (deviation or 1)
        return scaled.reshape(-1, *scene.shape[2:])

    def lessons(self, items: Sequence[np.ndarray]) -> Lessons:
        """What `loss` gets of patches of these items; here the patches themselves."""
        return lambda x, indices, generator: x

    def scenes(self, data: Sequence[np.ndarray] | np.ndarray) -> list[np.ndarray]:
        """Training items ``(C, R, *S)`` with R takes of each scene, here one."""
        return [x[:, None] for x in self.kind.items(data)]

    def shown(self, scene: np.ndarray) -> np.ndarray:
        """The takes of a scene ``(C, R, *S)`` that the network gets as input, here all."""
        return scene

    def previewed(self, x: np.ndarray) -> np.ndarray:
        """A training item ``(C, *S)`` as the network has learned to denoise it so far."""
        return self.restore(x).data

    def fit(
        self: L,
        data: Sequence[np.ndarray] | np.ndarray,
        *,
        schedule: Schedule | None = None,
        folder: Path | None = None,
        resume: bool = False,
        device: str = "auto",
        progress: bool | None = None,
        **options: Any,
    ) -> L:
        """Train on images, arrays ``(H, W)`` or ``(H, W, 3)`` of any real dtype, or on `scenes`.

        schedule : duration and other settings; by default 10 minutes.
        """
        if given := [name for name, value in options.items() if value]:
            raise HushError(
                f"{self.name} learns from {self.kind.nouns[1]} only; leave {given[0]} out"
            )
        scenes = self.scenes(data)
        self.channels = self.channels or len(scenes[0])
        check_channels(scenes, self.channels)
        scales = [moments(self.shown(x)) for x in scenes]
        if not any(deviation for _, deviation in scales):
            nouns = self.kind.nouns[1]
            raise HushError(f"these {nouns} are constant; give {nouns} with content to train on")
        images = [self.prepared(x, *scale) for x, scale in zip(scenes, scales, strict=True)]
        schedule = (schedule or Schedule(budget=600.0, patch=self.kind.patch)).settled(**self.pace)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(schedule.seed)
            network = self.network_ or self.build(self.channels)
        self.network_ = network
        unit = 1 if isinstance(network, PooledNet) else 2 * network.multiple
        if schedule.patch % unit:
            raise HushError(
                f"this network needs a patch side that is a multiple of {unit} {self.kind.element}s"
            )
        training, held_out = hold_out(images, schedule.patch)
        schedule = dataclasses.replace(schedule, patch=within(training, schedule.patch, unit))

        lessons, exam = self.lessons(training), self.lessons(held_out)

        def loss(
            x: Tensor, indices: list[int], generator: torch.Generator, done: float
        ) -> Mapping[str, Tensor]:
            return self.loss(network, lessons(x, indices, generator), generator, done)

        def validate() -> Mapping[str, float]:
            place = next(network.parameters()).device
            generator = torch.Generator(place).manual_seed(0)
            with torch.inference_mode():
                every = [
                    self.loss(network, exam(patch, [i], generator), generator, 1.0)
                    for i, x in enumerate(held_out)
                    for patch in [torch.from_numpy(x)[None].to(place)] * 4
                ]
            return {"val_loss": float(np.mean([sum(map(float, p.values())) for p in every]))}

        def preview(path: Path) -> None:
            before = [x.reshape(self.channels or 1, -1, *x.shape[1:])[:, 0] for x in held_out[:4]]
            self.kind.preview(before, [self.previewed(x) for x in before], path)

        from hush.training import train

        self.figures_ = train(
            network,
            self.kind.patches(training, schedule.patch),
            loss,
            schedule,
            folder=folder,
            resume=resume,
            validate=validate,
            preview=preview,
            device=device,
            progress=progress,
        )
        return self

    def restore(
        self,
        x: np.ndarray,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """See `Denoiser.restore`; the noise does not matter."""
        return Restoration(self.predict(x, *moments(x), advance), noise)

    def predict(
        self, x: np.ndarray, mean: np.ndarray, deviation: float, advance: Advance | None = None
    ) -> np.ndarray:
        """The network's output, tile by tile, for an image ``(C, H, W)`` with these moments."""
        network = self.network
        if deviation == 0:
            return np.broadcast_to(mean, x.shape).copy()
        z = through(network, (x - mean) / np.float32(deviation), self.tile, advance)
        return z * np.float32(deviation) + mean

    def one_pass(self) -> Network:
        """See `Denoiser.one_pass`."""
        return self.network

    def to(self: L, device: str) -> L:
        """Run on `device` from now on, ``cpu``, ``cuda`` or ``mps``."""
        if self.network_ is not None:
            placed(self.network_, device)
        return self

    def weights(self) -> Mapping[str, Tensor]:
        return self.network.state_dict()

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        assert self.channels is not None
        self.network_ = self.build(self.channels)
        self.network_.load_state_dict(tensors)
        channels_last(self.network_).eval()


def through(
    network: Network, x: np.ndarray, tile: int, advance: Advance | None = None
) -> np.ndarray:
    """A network's output for an image ``(C, H, W)``, in tiles but as for the whole image."""
    place = next(network.parameters()).device

    def tensor(part: np.ndarray) -> Tensor:
        given = torch.from_numpy(np.ascontiguousarray(part))[None].to(place)
        return channels_last(given)

    def answer(part: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            out = network(tensor(part), *told)
        result: np.ndarray = out[0].float().cpu().numpy()
        return result

    told: list[Any] = []
    border: int | None = BORDER
    if isinstance(network, PooledNet):
        border = None
        if max(x.shape[1:]) > tile:  # otherwise the one tile is the image
            with torch.inference_mode():
                told = [network.pooled(tensor(x))]
    return tiled(
        answer,
        x,
        size=tile,
        radius=network.radius,
        multiple=network.multiple,
        border=border,
        advance=advance,
    )


@dataclass
class Plain:
    """Mixin before `Learned` for papers without a network of their own: uses a `PlainUNet`.

    widths : features at 1, 1/2, 1/4… of the resolution.
    """

    widths: Sequence[int] = (32, 64, 128)

    def build(self, channels: int) -> PlainUNet:
        """See `Learned.build`."""
        return PlainUNet(channels, self.widths)
