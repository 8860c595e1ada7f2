"""Clean patches in more variety than a corpus of photographs has.

Photographs are sharp, bright and, as JPEG files, have colour at half the resolution. Pictures of
microscopes, telescopes, scanners and cameras are often blurred, dark or saturated. So a part of
the patches is blurred, darkened, reduced in size (which makes the colour of a JPEG file as sharp as
its brightness), or has its colours mixed; and a part is made by rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

from hush.kinds.image.cut import Turned
from hush.kinds.image.structures import structure

if TYPE_CHECKING:
    from torch import Tensor

RULED = 0.3  #: share of patches made by rule
BLURRED = 0.3  #: share of photographs that are blurred, by a kernel of `WIDTHS` pixels
WIDTHS = (0.5, 2.5)
DARKENED = 0.25  #: share of patches that are darkened to at least `DARKEST` of their brightness
DARKEST = 0.03
REDUCED = {1: 0.15, 3: 0.45}  #: share reduced to half the size, for gray and for RGB
RECOLOURED = 0.35  #: share of RGB patches with other colours


@dataclass
class Varied(Turned):
    """Random patches ``(C, size, size)`` as they are, varied, and made by rule.

    plain : share of the patches that are only flipped and rotated.
    """

    plain: float = 0.4

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Tensor, list[int]]:
        import torch

        kinds = rng.random(count)
        out, indices = [], []
        for u in kinds:
            if u < self.plain:
                same, places = super().draw(1, rng)
                patch, i = same[0].numpy(), places[0]
            else:
                patch, i = self._varied(rng)
            out.append(np.ascontiguousarray(patch, dtype=np.float32))
            indices.append(i)
        return torch.from_numpy(np.stack(out)), indices

    def _varied(self, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        channels = len(self.items[0])
        i = min(int(np.searchsorted(self._share, rng.random())), len(self.items) - 1)
        x = self.items[i]
        if rng.random() < RULED / (1 - self.plain):
            patch = structure(self.size, channels, rng)
        else:
            half = rng.random() < REDUCED.get(channels, REDUCED[3])
            half = half and min(x.shape[1:]) >= 2 * self.size
            patch = _window(x, self.size * (2 if half else 1), rng)
            if half:
                patch = patch.reshape(channels, self.size, 2, self.size, 2).mean((2, 4))
            if rng.random() < BLURRED / (1 - self.plain):
                width = rng.uniform(*WIDTHS)
                patch = gaussian_filter(patch, (0, width, width), mode="reflect", truncate=3)
            patch = self.turned(patch, rng)
        if channels == 3 and rng.random() < RECOLOURED:
            patch = recoloured(patch, rng)
        if rng.random() < DARKENED:
            patch = patch * DARKEST ** rng.random()
        return patch, i


def recoloured(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An RGB picture ``(3, H, W)`` with permuted, mixed and saturated channels, within [0, 1]."""
    x = x[rng.permutation(3)]
    if rng.random() < 0.5:
        mix = np.eye(3) + rng.uniform(-0.6, 0.6, (3, 3))
        x = np.tensordot(mix / mix.sum(1, keepdims=True).clip(0.3), x, 1)
    mean = x.mean(0)
    x = mean + rng.uniform(0, 3) * (x - mean)
    return np.clip(x, 0, 1).astype(np.float32)


def _window(x: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    top, left = (int(rng.integers(n - side + 1)) for n in x.shape[1:])
    return x[:, top : top + side, left : left + side]
