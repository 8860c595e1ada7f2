"""Pixels hidden on a grid, and what a network sees in their place."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor


def phase(x: Tensor, grid: int, row: int, column: int) -> Tensor:
    """J: every `grid`-th pixel of every `grid`-th row from (row, column), bool ``(H, W)``."""
    hidden = torch.zeros(x.shape[-2:], dtype=torch.bool, device=x.device)
    hidden[row::grid, column::grid] = True
    return hidden


def phases(x: Tensor, grid: int) -> Iterator[Tensor]:
    """All ``grid²`` of them, row by row; every pixel is in one."""
    for row, column in itertools.product(range(grid), repeat=2):
        yield phase(x, grid, row, column)


def interpolated(x: Tensor) -> Tensor:
    """s(x): the mean of the eight neighbours, those at the corners with half weight."""
    height, width = x.shape[-2:]
    image, there = F.pad(x, [1] * 4), F.pad(torch.ones_like(x), [1] * 4)
    total, weights = torch.zeros_like(x), torch.zeros_like(x)
    for dy, dx in itertools.product((0, 1, 2), repeat=2):
        weight = (0.5, 1.0, 0.0)[(dy == 1) + (dx == 1)]
        window = (..., slice(dy, dy + height), slice(dx, dx + width))
        total += weight * image[window]
        weights += weight * there[window]
    return total / weights
