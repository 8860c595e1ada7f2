"""Training data: items as floats, parts held out, and windows drawn from the rest.

Items are ``(C, *S)`` with any number of axes in S; parts are held out along the first of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hush.errors import HushError
from hush.foreign import taken
from hush.kinds.arrays import held, recorded
from hush.kinds.layout import filled
from hush.kinds.ranges import limited, raised, ranged
from hush.record import Batch, Record

if TYPE_CHECKING:
    from torch import Tensor

    from hush.kinds import Kind

#: the most samples that a model adapts to, 256 MB
MOST_ADAPTED = 64 * 2**20
COMPARED = 2**17  #: samples held out on which two models are compared, a few seconds of work
CELL = 16  #: held-out parts are multiples of this along every axis, because networks halve them


@dataclass
class Patches:
    """Random windows of items with one channel count, all values equally likely.

    items : float32 arrays ``(C, *S)``; those smaller than the window are padded by reflection.
    size : of the window along every axis.
    """

    items: Sequence[np.ndarray]
    size: int

    def __post_init__(self) -> None:
        grown = []
        for x in self.items:
            short = [max(0, self.size - n) for n in x.shape[1:]]
            pad = [(0, 0), *((s // 2, s - s // 2) for s in short)]
            grown.append(np.pad(x, pad, mode="reflect") if any(short) else x)
        self.items = grown
        volume = np.array([x[0].size for x in grown], dtype=np.float64)
        self._share = np.cumsum(volume / volume.sum())

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Tensor, list[int]]:
        """`count` windows ``(count, C, size, …)`` and the indices of their items."""
        import torch

        out, indices = [], []
        for u in rng.random(count):
            i = min(int(np.searchsorted(self._share, u)), len(self.items) - 1)
            x = self.items[i]
            starts = [int(rng.integers(n - self.size + 1)) for n in x.shape[1:]]
            window = x[:, *(slice(start, start + self.size) for start in starts)]
            out.append(self.turned(window, rng))
            indices.append(i)
        return torch.from_numpy(np.stack(out)), indices

    def turned(self, window: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The window under a random symmetry of its kind of data; here unchanged."""
        return window


@dataclass
class Sampled:
    """Items of any number of records to adapt a denoiser to, in bounded memory.

    All items are kept as long as they have at most `most` samples together (64 gray megapixels);
    beyond that every second, every fourth and so on. A single larger item is cut to its middle.
    about : the context of each, and as ``full`` the stored value that means full range.
    """

    most: int = MOST_ADAPTED
    kept: list[np.ndarray] = field(default_factory=list, init=False)
    about: list[Mapping[str, Any]] = field(default_factory=list, init=False)
    _seen: int = field(default=0, init=False)
    _every: int = field(default=1, init=False)

    def add(self, batch: Batch) -> None:
        """Add the items of a record, in units of full range, gaps filled."""
        part = middle(batch, self.most)
        for i in range(len(part)):
            if not part.known(i).any():
                continue
            if self._seen % self._every == 0:
                self.kept.append(filled(part.floats(i), part.known(i), part.blank))
                self.about.append({**part.about(i), "full": part.scale})
            self._seen += 1
            while len(self.kept) > 1 and sum(x.size for x in self.kept) > self.most:
                self.kept, self.about = self.kept[::2], self.about[::2]
                self._every *= 2


def middle(batch: Batch, most: int) -> Batch:
    """The middle of every item, at most about `most` samples."""
    if all(x.size <= most for x in batch.data):
        return batch
    channels = len(batch.data[0])

    def inner(shape: Sequence[int]) -> list[slice]:
        share = min(1.0, (most / channels / math.prod(shape)) ** (1 / len(shape)))
        sides = [(n, max(1, int(n * share))) for n in shape]
        return [slice((n - side) // 2, (n - side) // 2 + side) for n, side in sides]

    return batch.cropped(inner)


def float_items(data: Any, kind: Kind) -> list[np.ndarray]:
    """Float32 items ``(C, *S)`` in units of full range, gaps filled.

    data : an array (one item or a stack), or a list of arrays or Records.
    """
    own = taken(data)
    whole = isinstance(data, Record) or (
        isinstance(data, np.ndarray) and data.ndim == len(kind.letters)
    )
    found: list[np.ndarray] = []
    for one in [data] if whole or own is not None else list(data):
        record = one if isinstance(one, Record) else recorded(held(one), kind)
        record = ranged(kind, kind.marked(record))
        batch = raised(limited(kind, record))
        for i in range(len(batch)):
            if (known := batch.known(i)).any():  # else an empty plane of a stack
                found.append(np.ascontiguousarray(filled(batch.floats(i), known, batch.blank)))
    if not found:
        raise HushError(f"there are no {kind.nouns[1]} with known values to train on")
    return found


def takes(data: Any, kind: Kind) -> list[list[np.ndarray]]:
    """The takes ``(C, *S)`` of each scene, given as a stack or a list; one shape per scene."""
    scenes = [kind.items([x] if isinstance(x, np.ndarray) else x) for x in data]
    if any(len({x.shape for x in scene}) > 1 for scene in scenes):
        raise HushError("the takes of a scene must have the same shape; crop them to one size")
    return scenes


def check_channels(items: Sequence[np.ndarray], channels: int) -> None:
    """Refuse items without `channels` channels, their first axis."""
    counts = sorted({len(x) for x in items})
    if counts != [channels]:
        raise HushError(
            f"training images must have the same number of channels; these have {counts}"
        )


def splits(x: np.ndarray) -> bool:
    """Whether an item is large enough for `split` to hold out a part."""
    return x.shape[1] >= 2 * CELL


def split(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first part of an item for training; the last, at least an eighth, for judging."""
    rows = max(CELL, x.shape[1] // 8 // CELL * CELL)
    cut = x.shape[1] - rows if x.shape[1] >= 2 * rows else 0
    sides = [max(CELL, n // CELL * CELL) for n in x.shape[2:]]
    held_out = x[:, cut : cut + rows, *map(slice, sides)]
    pad = [(0, 0), *((0, -n % CELL) for n in held_out.shape[1:])]
    return x[:, : cut or x.shape[1]], np.pad(held_out, pad, mode="reflect")


def hold_out(items: Sequence[np.ndarray], patch: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Training items, and up to eight crops held out for validation."""
    training, parts = withhold(items)
    side = CELL * max(1, patch // 8)
    crops = [x[:, *[slice(side)] * (x.ndim - 1)] for x in (parts or list(items))[:8]]
    usable = [x[:, *(slice(n // CELL * CELL) for n in x.shape[1:])] for x in crops]
    usable = [np.ascontiguousarray(x) for x in usable if x.size]
    if not usable:
        least = (len(items[0]), *[CELL] * (items[0].ndim - 1))
        usable = [np.ascontiguousarray(np.resize(items[0], least))]
    return training, usable


def withhold(items: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Training items, and what is held out: some items, or of few the last eighth of each.

    Nothing is held out if all items are small.
    """
    if len(items) >= 20:
        chosen = set(range(len(items) // 20, len(items), -(-len(items) // 8)))
        parts = [items[i] for i in sorted(chosen)]
        training = [x for i, x in enumerate(items) if i not in chosen]
        return training, parts
    cuts = [max(x.shape[1] - max(x.shape[1] // 8, CELL), 8) for x in items]
    cuts = [c if x.shape[1] - c >= CELL else x.shape[1] for x, c in zip(items, cuts, strict=True)]
    parts = [x[:, c:] for x, c in zip(items, cuts, strict=True) if c < x.shape[1]]
    training = [x[:, :c] for x, c in zip(items, cuts, strict=True)]
    return training, parts


def to_compare(parts: Sequence[np.ndarray], most: int = COMPARED) -> list[np.ndarray]:
    """What is held out as it is used to compare two models: `most` samples in all, evenly cut.

    Sides are multiples of `CELL`; empty if nothing is large enough.
    """
    parts = [x for x in parts if min(x.shape[1:]) >= CELL]
    parts = parts[:: -(-len(parts) // 16)] if parts else []
    made = []
    for x in parts:
        left, sides = most / len(parts) / len(x), list(x.shape[1:])
        for i, axis in enumerate(
            order := np.argsort(sides)
        ):  # what short sides leave, long ones get
            sides[axis] = max(CELL, int(min(sides[axis], left ** (1 / (len(order) - i)))))
            left /= sides[axis]
        made.append(np.ascontiguousarray(x[:, *(slice(n // CELL * CELL) for n in sides)]))
    return made


def within(items: Sequence[np.ndarray], patch: int, unit: int = 1) -> int:
    """The patch side: `patch`, or the largest multiple of `unit` that fits the largest item.

    Padding by reflection would reveal masked pixels.
    """
    side = max(min(x.shape[1:]) for x in items) // unit * unit
    return min(patch, max(side, unit))


def moments(x: np.ndarray) -> tuple[np.ndarray, float]:
    """Each channel's mean, float32 ``(C, 1, …)``, and the standard deviation of `x` ``(C, …)``.

    The deviation is taken from these means. Subtract and divide to make items independent of units.
    """
    every = tuple(range(1, x.ndim))
    mean = x.mean(every, dtype=np.float64, keepdims=True).astype(np.float32)
    return mean, float((x - mean).std(dtype=np.float64))


def sparse(x: np.ndarray, most: int = 256) -> np.ndarray:
    """About `most` evenly spread positions along every axis of an item; all of a small one."""
    return x[:, *(slice(None, None, max(1, n // most)) for n in x.shape[1:])]


def rms_level(process: Any, x: np.ndarray) -> float:
    """Square root of a process's mean variance over an item's signal."""
    part = x if process.varies else sparse(x)
    return math.sqrt(float(np.mean(process.variance(part.astype(np.float64)))))
