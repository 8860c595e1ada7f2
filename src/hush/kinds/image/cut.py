"""Training patches of images, and previews of a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hush.kinds.cut import Patches


class Turned(Patches):
    """Random square patches ``(C, size, size)``, flipped and rotated."""

    def turned(self, window: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One of the eight symmetries of a square."""
        window = np.rot90(window, int(rng.integers(4)), (1, 2))
        return window[:, :, ::-1] if rng.random() < 0.5 else window


def contact_sheet(above: Sequence[np.ndarray], below: Sequence[np.ndarray], path: Path) -> None:
    """Write a gray PNG: images ``(C, h, w)`` side by side, above others of the same sizes.

    All use one scale, from the first column's 0.5th to its 99.5th percentile.
    """
    from PIL import Image

    columns = [np.concatenate(pair, 1).mean(0) for pair in zip(above, below, strict=True)]
    low, high = np.percentile(columns[0], [0.5, 99.5])
    tallest = max(len(c) for c in columns)
    strip = np.concatenate([np.pad(c, [(0, tallest - len(c)), (0, 0)]) for c in columns], 1)
    shown = np.clip((strip - low) / max(high - low, 1e-6), 0, 1) * 255
    Image.fromarray(shown.astype(np.uint8)).save(path)
