"""Training patches of volumes: a few neighbouring slices, with contrasts of every kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hush.kinds.image.cut import Turned, contact_sheet

if TYPE_CHECKING:
    from torch import Tensor

TONED = 0.5  #: share of patches with another tone curve, as other contrasts and components have
WEAKEST = 0.02  #: the least contrast, relative to that of the volume
WAVES = 4  #: half periods that a tone curve has at most


def slabs(x: np.ndarray, depth: int) -> list[np.ndarray]:
    """The views ``(depth, Y, X)`` of neighbouring slices in a volume ``(Z, Y, X)``."""
    return [x[z : z + depth] for z in range(len(x) - depth + 1)]


@dataclass
class Slabs(Turned):
    """Random patches ``(depth, size, size)`` of clean slabs, with tone and contrast varied.

    The components of a series have the edges of its anatomy, but not its contrast: some tissues are
    below zero, and most components are weak. So a part of the patches gets a random tone curve,
    which need not rise, and all have a random sign and contrast.
    """

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Tensor, list[int]]:
        import torch

        same, places = super().draw(count, rng)
        varied = [toned(x, rng) for x in same.numpy()]
        return torch.from_numpy(np.stack(varied)), places


def toned(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A patch with values about 0 to 1 under a random tone curve, sign and contrast."""
    if rng.random() < TONED:
        curve = np.zeros_like(x)
        for k in range(1, int(rng.integers(1, WAVES + 1)) + 1):
            curve += np.float32(rng.normal() / k) * np.sin(
                np.float32(np.pi * k) * x + np.float32(rng.uniform(0, 2 * np.pi))
            )
        x = curve
    contrast = np.float32(rng.choice((-1, 1)) * WEAKEST ** (rng.random() ** 1.5))
    return np.ascontiguousarray(contrast * x)


def preview(before: Sequence[np.ndarray], after: Sequence[np.ndarray], path: Path) -> None:
    """A contact sheet of the middle slices of slabs ``(depth, Y, X)``."""
    above, below = ([x[len(x) // 2][None] for x in side] for side in (before, after))
    contact_sheet(above, below, path)
