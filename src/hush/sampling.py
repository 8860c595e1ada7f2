"""Samplers are functions: walking a noise ladder down."""

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
