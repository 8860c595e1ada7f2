"""Gaussian kernels, and convolution along the axes of space."""

from __future__ import annotations

import functools
import math
import operator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def gaussian_kernel(width: float) -> np.ndarray:
    """A Gaussian of standard deviation `width` pixels, up to four widths, with sum 1."""
    reach = math.ceil(4 * width)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (width or 1)) ** 2)
    return kernel / kernel.sum()


def kernel_correlation(a: np.ndarray, b: np.ndarray, radius: int) -> np.ndarray:
    """Σ_i a_i·b_{i+d} for d = −radius … radius, of two kernels with odd lengths."""
    lags = np.correlate(b, a, "full")
    reach = len(lags) // 2
    lags = np.pad(lags, max(0, radius - reach))
    return lags[len(lags) // 2 - radius : len(lags) // 2 + radius + 1]


def padded(x: torch.Tensor, reach: int, ndim: int) -> torch.Tensor:
    """`x` padded by `reach` with its border values along its last `ndim` axes."""
    import torch

    for axis in range(-ndim, 0):
        near = torch.arange(-reach, x.shape[axis] + reach, device=x.device)
        x = x.index_select(axis, near.clamp(0, x.shape[axis] - 1))
    return x


def convolved(x: torch.Tensor, kernel: np.ndarray, ndim: int) -> torch.Tensor:
    """`x` convolved with a symmetric kernel along its last `ndim` axes, without its border.

    Tap by tap: faster than torch's convolution, and for any dtype.
    """
    for axis in range(-ndim, 0):
        size = x.shape[axis] - len(kernel) + 1
        shifted = (tap * x.narrow(axis, i, size) for i, tap in enumerate(kernel.tolist()))
        x = functools.reduce(operator.add, shifted)
    return x
