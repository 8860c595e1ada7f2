"""From stored values to what methods see, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from hush.errors import HushError
from hush.io.array import array_axes


def check_dtype(x: np.ndarray) -> None:
    """Refuse what is not a real-valued image."""
    if x.dtype.kind == "b":
        raise HushError("this is a boolean mask, not an image; there is no noise to measure in it")
    if x.dtype.kind not in "iuf":
        raise HushError(f"hush denoises integers and real numbers, not {x.dtype}; convert it first")
    if x.size == 0:
        raise HushError(f"the image is empty: its shape is {x.shape}")


def default_axes(shape: tuple[int, ...]) -> str:
    """Axes of an array that nothing else is known about, as for ``.npy`` files.

    ``YX``; a short last axis of 1, 3 or 4 is samples (``YXS``); what comes before is a stack.
    """
    if len(shape) < 2:
        raise HushError(f"an image needs at least two dimensions, not the shape {shape}")
    return array_axes(shape)


def to_stored(x: np.ndarray, dtype: np.dtype[Any], scale: float) -> np.ndarray:
    """Full-range floats ``(C, H, W)`` as stored values: integers rounded and clipped."""
    out = np.empty(x.shape, dtype)
    for row in range(0, x.shape[1], 256):  # a few rows at a time, for the memory
        part = (slice(None), slice(row, row + 256))
        values = x[part] if scale == 1 else x[part].astype(np.float64) * scale
        if dtype.kind in "iu":
            values = np.clip(np.rint(values), -scale - 1 if dtype.kind == "i" else 0, scale)
        out[part] = values
    return out


def finite(x: np.ndarray) -> np.ndarray:
    """An image ``(C, H, W)`` with pixels that are not finite taken from their neighbours."""
    valid = np.isfinite(x)
    return x if valid.all() else fill_nearest(x, valid)


def fill_nearest(x: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """`x` ``(C, H, W)`` with the pixels that are not `valid` taken from the nearest that is."""
    from scipy.ndimage import distance_transform_edt

    out = x.copy()
    for plane, ok in zip(out, valid, strict=True):
        if not ok.any():
            raise HushError("a whole channel is NaN or infinite; there is nothing to denoise")
        index = distance_transform_edt(~ok, return_distances=False, return_indices=True)
        plane[...] = plane[tuple(index)]
    return out
