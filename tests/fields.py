"""Random fields with a known autocovariance, and the best linear estimate of noise on them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

REACH = 3
WINDOW = 2 * REACH + 1


def stationary(count: int, seed: int) -> tuple[Tensor, Callable[[int, int], float]]:
    """Periodic Gaussian random fields ``(count, 1, 64, 64)`` and their autocovariance."""
    deviation = 0.2
    taps = np.exp(-0.5 * (np.arange(-4, 5) / 1.5) ** 2)
    taps /= np.linalg.norm(taps)
    line = np.convolve(taps, taps)  # one axis' autocorrelation, lag 0 at index 8
    field = np.random.default_rng(seed).normal(size=(count, 1, 64, 64))
    for axis in (2, 3):
        field = sum(t * np.roll(field, i - 4, axis) for i, t in enumerate(taps))

    def covariance(dy: int, dx: int) -> float:
        return deviation**2 * float(line[8 + dy] * line[8 + dx])  # no lag here is above 6

    return torch.from_numpy(deviation * field), covariance


def wiener(covariance: Callable[[int, int], float], v: float) -> Tensor:
    """The best linear estimate of white noise of variance `v` from the 7×7 pixels around."""
    offsets = [(y, x) for y in range(WINDOW) for x in range(WINDOW)]
    r = torch.tensor(
        [[covariance(p[0] - q[0], p[1] - q[1]) for q in offsets] for p in offsets],
        dtype=torch.float64,
    )
    target = torch.zeros(len(offsets), dtype=torch.float64)
    target[len(offsets) // 2] = v
    return torch.linalg.solve(r + v * torch.eye(len(offsets), dtype=torch.float64), target)
