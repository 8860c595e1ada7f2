"""What a training is given: collected images as floats, parts held out, and a look at them.

`Learned` is what the methods share that learn nothing but a network from noisy images to
denoised ones: all of a method but its loss.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from hush.denoiser import (
    Advance,
    Denoiser,
    Restoration,
    by_channels,
    check_dtype,
    default_axes,
    finite,
)
from hush.errors import HushError
from hush.nets.plain import PlainUNet
from hush.noise.process import Process
from hush.record import Record
from hush.schedule import Patches, Schedule
from hush.tiling import tiled

L = TypeVar("L", bound="Learned")


def float_images(data: Sequence[np.ndarray] | np.ndarray) -> list[np.ndarray]:
    """Float32 images ``(C, H, W)`` in units of full range, NaN filled."""
    arrays = [data] if isinstance(data, np.ndarray) and data.ndim == 2 else list(data)
    if not arrays:
        raise HushError("there are no images to train on")
    images: list[np.ndarray] = []
    for array in arrays:
        x = np.asarray(array)
        check_dtype(x)
        axes = default_axes(x.shape)
        batch = Record(x, axes).to_batch()
        images.extend(np.ascontiguousarray(finite(batch.floats(i))) for i in range(len(batch)))
    return images


def splits(x: np.ndarray) -> bool:
    """Whether `split` can keep a part out."""
    return x.shape[1] >= 32


def split(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The upper part of an image for training and the lower, an eighth at least, for judging."""
    rows = max(16, x.shape[1] // 8 // 16 * 16)
    cut = x.shape[1] - rows if x.shape[1] >= 2 * rows else 0
    held_out = x[:, cut : cut + rows, : max(16, x.shape[2] // 16 * 16)]
    pad = [(0, 0), *((0, -n % 16) for n in held_out.shape[1:])]
    return x[:, : cut or x.shape[1]], np.pad(held_out, pad, mode="reflect")


def hold_out(images: Sequence[np.ndarray], patch: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Training images, and up to eight crops for validation that training never sees."""
    if len(images) >= 20:
        chosen = set(range(len(images) // 20, len(images), -(-len(images) // 8)))
        crops = [images[i] for i in sorted(chosen)]
        training = [x for i, x in enumerate(images) if i not in chosen]
    else:  # few images: the bottom eighth of each
        cuts = [max(x.shape[1] - max(x.shape[1] // 8, 16), 8) for x in images]
        crops = [x[:, c:] for x, c in zip(images, cuts, strict=True) if x.shape[1] - c >= 16]
        crops = crops or list(images)
        training = [x[:, :c] for x, c in zip(images, cuts, strict=True)]
    side = 16 * max(1, patch // 8)
    crops = [x[:, : side - side % 16, : side - side % 16] for x in crops[:8]]
    usable = [x[:, : x.shape[1] // 16 * 16, : x.shape[2] // 16 * 16] for x in crops]
    usable = [np.ascontiguousarray(x) for x in usable if x.size]
    return training, usable or [
        np.ascontiguousarray(np.resize(images[0], (images[0].shape[0], 16, 16)))
    ]


def contact_sheet(above: Sequence[np.ndarray], below: Sequence[np.ndarray], path: Path) -> None:
    """Write a gray PNG of images ``(C, h, w)``, side by side, over others of the same sizes.

    All share one scale, between the first column's 0.5th and 99.5th percentiles.
    """
    from PIL import Image

    columns = [np.concatenate(pair, 1).mean(0) for pair in zip(above, below, strict=True)]
    low, high = np.percentile(columns[0], [0.5, 99.5])
    tallest = max(len(c) for c in columns)
    strip = np.concatenate([np.pad(c, [(0, tallest - len(c)), (0, 0)]) for c in columns], 1)
    shown = np.clip((strip - low) / max(high - low, 1e-6), 0, 1) * 255
    Image.fromarray(shown.astype(np.uint8)).save(path)


def moments(x: np.ndarray) -> tuple[np.ndarray, float]:
    """Each channel's mean, float32 ``(C, 1, …)``, and the deviation from them over `x` ``(C, …)``.

    Images without the first and over the second look alike whatever their units.
    """
    every = tuple(range(1, x.ndim))
    mean = x.mean(every, dtype=np.float64, keepdims=True).astype(np.float32)
    return mean, float((x - mean).std(dtype=np.float64))


@dataclass
class Learned(Denoiser):
    """A network from noisy to denoised images; a method adds its `loss`.

    channels : image channels the network sees; taken from the data when fitting.
    widths : features at 1, 1/2, 1/4… of the resolution.
    tile : pixels; larger images are denoised in tiles of that side.

    The network sees images of mean 0 and deviation 1, taken over whole images and not over tiles,
    so that the results follow the image's gain and offset.
    """

    channels: int | None = None
    widths: Sequence[int] = (32, 64, 128)
    tile: int = 512

    trained: ClassVar[bool] = True

    network_: PlainUNet | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if not 1 <= len(self.widths) <= 4:
            raise HushError(f"{self.name} takes one to four widths, not {len(self.widths)}")

    def loss(
        self, network: PlainUNet, x: Tensor, generator: torch.Generator, done: float
    ) -> Mapping[str, Tensor]:
        """What to minimise on patches ``(B, C, h, w)``, a share `done` of the training over."""
        raise NotImplementedError

    def scenes(self, data: Sequence[np.ndarray] | np.ndarray) -> list[np.ndarray]:
        """Training images ``(C, R, H, W)``: R takes of each scene, here one."""
        return [x[:, None] for x in float_images(data)]

    def fit(
        self: L,
        data: Sequence[np.ndarray] | np.ndarray,
        *,
        schedule: Schedule | None = None,
        folder: Path | None = None,
        resume: bool = False,
        device: str = "auto",
        progress: bool = False,
        **options: Any,
    ) -> L:
        """Train on noisy images, arrays ``(H, W)`` or ``(H, W, 3)`` of any real dtype.

        schedule : how long; by default 10 minutes.
        """
        if given := [name for name, value in options.items() if value]:
            raise HushError(f"{self.name} learns from noisy images alone, without {given[0]}")
        scenes = self.scenes(data)
        self.channels = self.channels or len(scenes[0])
        if any(len(x) != self.channels for x in scenes):
            counts = sorted({len(x) for x in scenes})
            raise HushError(
                f"training images must share one number of channels; these have {counts}"
            )
        scales = [moments(x) for x in scenes]
        if not any(deviation for _, deviation in scales):
            raise HushError("these images are constant; there is nothing to learn from")
        images = [
            ((x - mean) / (deviation or 1)).reshape(-1, *x.shape[2:])
            for x, (mean, deviation) in zip(scenes, scales, strict=True)
        ]
        schedule = schedule or Schedule(budget=600.0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(schedule.seed)
            network = self.network_ or PlainUNet(self.channels, self.widths)
        self.network_ = network
        unit = 2 * network.multiple
        if schedule.patch % unit:
            raise HushError(f"this network needs patches of a multiple of {unit} pixels")
        training, held_out = hold_out(images, schedule.patch)
        # A patch that reflections fill up would show what is masked: none larger than the images.
        side = max(min(x.shape[1:]) for x in training) // unit * unit
        schedule = dataclasses.replace(schedule, patch=min(schedule.patch, max(side, unit)))
        done = 0.0

        def before_step(share: float) -> None:
            nonlocal done
            done = share

        def loss(x: Tensor, _: list[int], generator: torch.Generator) -> Mapping[str, Tensor]:
            return self.loss(network, x, generator, done)

        def validate() -> Mapping[str, float]:
            place = next(network.parameters()).device
            generator = torch.Generator(place).manual_seed(0)
            with torch.inference_mode():
                every = [
                    self.loss(network, torch.from_numpy(x)[None].to(place), generator, 1.0)
                    for x in held_out
                    for _ in range(4)
                ]
            return {"val_loss": float(np.mean([sum(map(float, p.values())) for p in every]))}

        def preview(path: Path) -> None:
            before = [x.reshape(self.channels or 1, -1, *x.shape[1:])[:, 0] for x in held_out[:4]]
            contact_sheet(before, [self.restore(x).data for x in before], path)

        from hush.training import train

        self.figures_ = train(
            network,
            Patches(training, schedule.patch),
            loss,
            schedule,
            folder=folder,
            resume=resume,
            validate=validate,
            preview=preview,
            device=device,
            progress=progress,
            before_step=before_step,
        )
        return self

    def restore(
        self, x: np.ndarray, noise: Process | None = None, advance: Advance | None = None
    ) -> Restoration:
        """See `Denoiser.restore`; the noise is not asked for, unless it is told to be none."""
        if self.network_ is None:
            raise HushError(f"this {self.name} has not been trained; call fit, or hush.load one")
        if noise is not None and not np.any(noise.variance(x)):
            return Restoration(x.copy(), noise)
        return by_channels(self._restore, self.channels, x, noise, advance)

    def _restore(
        self, x: np.ndarray, noise: Process | None, advance: Advance | None
    ) -> Restoration:
        return Restoration(self.predict(x, *moments(x), advance), noise)

    def predict(
        self, x: np.ndarray, mean: np.ndarray, deviation: float, advance: Advance | None = None
    ) -> np.ndarray:
        """The network's answer, tile by tile, to an image ``(C, H, W)`` with these moments."""
        if deviation == 0:
            return np.broadcast_to(mean, x.shape).copy()
        assert self.network_ is not None
        network = self.network_
        place = next(network.parameters()).device

        def answer(part: np.ndarray) -> np.ndarray:
            tensor = torch.from_numpy(np.ascontiguousarray(part))[None].to(place)
            with torch.inference_mode():
                out = network(tensor.contiguous(memory_format=torch.channels_last))
            result: np.ndarray = out[0].float().cpu().numpy()
            return result

        z = tiled(
            answer,
            (x - mean) / np.float32(deviation),
            size=self.tile,
            radius=network.radius,
            multiple=network.multiple,
            advance=advance,
        )
        return z * np.float32(deviation) + mean

    def to(self: L, device: str) -> L:
        """Run on `device` from now on, ``cpu`` or ``cuda``."""
        if self.network_ is not None:
            self.network_.to(device)
        return self

    def config(self) -> dict[str, Any]:
        return {**super().config(), "widths": list(self.widths)}

    def weights(self) -> Mapping[str, Tensor]:
        if self.network_ is None:
            raise HushError(f"this {self.name} has not been trained; there is nothing to save")
        return self.network_.state_dict()

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        assert self.channels is not None
        self.network_ = PlainUNet(self.channels, self.widths)
        self.network_.load_state_dict(tensors)
        self.network_.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
