"""What a training is given: collected images as floats, parts held out, and a look at them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hush.errors import HushError
from hush.kinds.layout import check_dtype, default_axes, finite
from hush.record import Record


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


def takes(data: Sequence[np.ndarray] | np.ndarray) -> list[list[np.ndarray]]:
    """The takes ``(C, H, W)`` of each scene, a stack or a list of them; of one shape a scene."""
    scenes = [float_images([x] if isinstance(x, np.ndarray) else x) for x in data]
    if any(len({x.shape for x in scene}) > 1 for scene in scenes):
        raise HushError("the takes of a scene must have one shape; crop them to each other")
    return scenes


def check_channels(images: Sequence[np.ndarray], channels: int) -> None:
    """Refuse images that have not all `channels` channels, their first axis."""
    counts = sorted({len(x) for x in images})
    if counts != [channels]:
        raise HushError(f"training images must share one number of channels; these have {counts}")


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


def within(images: Sequence[np.ndarray], patch: int, unit: int = 1) -> int:
    """A side of patches, `patch` or the most multiples of `unit` that fit in an image: one that
    reflections fill up would show what is hidden elsewhere."""
    side = max(min(x.shape[1:]) for x in images) // unit * unit
    return min(patch, max(side, unit))


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
