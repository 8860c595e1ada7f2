"""Images at half the resolution, and back."""

from __future__ import annotations

import numpy as np


def halved(x: np.ndarray) -> np.ndarray:
    """``(C, H, W)`` at half the resolution, as means of 2×2 pixels; an odd last row or column
    is repeated."""
    pad = [(0, 0), *((0, n % 2) for n in x.shape[1:])]
    x = np.pad(x, pad, mode="edge") if x.shape[1] % 2 or x.shape[2] % 2 else x
    out: np.ndarray = x[:, ::2, ::2] + x[:, 1::2, ::2]
    out += x[:, ::2, 1::2]
    out += x[:, 1::2, 1::2]
    out /= 4
    return out


def enlarged(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`x` ``(C, h, w)`` from `halved`, interpolated linearly to `shape` ``(C, H, W)``."""
    import torch
    from torch.nn.functional import interpolate

    even = [n + n % 2 for n in shape[1:]]
    out = interpolate(torch.from_numpy(x)[None], size=even, mode="bilinear", align_corners=False)
    result: np.ndarray = out[0, :, : shape[1], : shape[2]].numpy()
    return result
