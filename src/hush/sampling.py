"""Samplers are functions: walking a noise ladder down, and between resolutions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

#: (state, level as a share of the start's standard deviation) → estimate of the whole noise,
#: in an array of its own
NoiseEstimate = Callable[[np.ndarray, float], np.ndarray]


def walk_down(
    noise: NoiseEstimate, s: np.ndarray, steps: int
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    r"""Algorithm 2 of MID: from the estimated step down to zero in `steps` equal increments.

    With t increments left, one increment is the share 1/t of the whole noise that the network
    sees, :math:`s \leftarrow s - \tfrac1t\hat n(s)`, and what is left of the *standard
    deviation* is the factor (1 − 1/t): the removed part is a multiple of the noise itself, not
    an independent piece of it. ``steps=1`` is the one-shot ablation of §IV-F.

    Returns the last state and, per step, the level before it and the rms removed.
    """
    trace, level = [], 1.0
    for t in range(steps, 0, -1):
        removed = noise(s, level)
        removed /= t  # in place, here and below: images may fill much of the memory
        rms = math.sqrt(float(np.vdot(removed, removed)) / removed.size)
        trace.append({"step": t, "level": level, "removed_rms": rms})
        s = np.subtract(s, removed, out=removed)
        level *= 1 - 1 / t
    return s, trace


def halved(x: np.ndarray) -> np.ndarray:
    """``(C, H, W)`` at half the resolution, means of 2×2 pixels; an odd last row or column is
    counted twice."""
    pad = [(0, 0), *((0, n % 2) for n in x.shape[1:])]
    x = np.pad(x, pad, mode="edge") if x.shape[1] % 2 or x.shape[2] % 2 else x
    out: np.ndarray = x[:, ::2, ::2] + x[:, 1::2, ::2]
    out += x[:, ::2, 1::2]
    out += x[:, 1::2, 1::2]
    out /= 4
    return out


def enlarged(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`x` ``(C, h, w)``, as `halved` made it, brought linearly to `shape` ``(C, H, W)``."""
    import torch
    from torch.nn.functional import interpolate

    even = [n + n % 2 for n in shape[1:]]
    out = interpolate(torch.from_numpy(x)[None], size=even, mode="bilinear", align_corners=False)
    result: np.ndarray = out[0, :, : shape[1], : shape[2]].numpy()
    return result
