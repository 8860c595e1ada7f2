"""From stored values to what methods see, and back."""

from __future__ import annotations

import math
from math import prod
from typing import Any

import numpy as np

from hush.errors import HushError
from hush.record import UNKNOWN, Batch, channel_letter


def stored_order(axes: str, letters: str) -> list[int]:
    """The positions of a batch's axes in the data: stacks, then channels, then `letters`."""
    last = [*channel_letter(axes), *letters]
    rest = [i for i, a in enumerate(axes) if a not in last]
    return [*rest, *(axes.index(a) for a in last)]


def laid_out(data: np.ndarray, axes: str, letters: str) -> np.ndarray:
    """`data` as ``(B, C, *S)``, a view for the usual layouts."""
    x = data.transpose(stored_order(axes, letters))
    if not channel_letter(axes):
        x = np.expand_dims(x, -len(letters) - 1)
    size = len(letters) + 1
    return x.reshape(prod(x.shape[:-size]), *x.shape[-size:])


def channels_before(shape: tuple[int, ...], letters: str) -> str:
    """Axes of an array that ends in `letters`; the dimension before them is channels."""
    rest = len(shape) - len(letters)
    if rest > len(UNKNOWN):
        raise HushError(f"has {len(shape)} dimensions, more than {len(UNKNOWN) + len(letters)}")
    stack = UNKNOWN.translate({ord(a): None for a in letters})[: max(0, rest - 1)][::-1]
    return stack + "C" * (rest > 0) + letters


def check_dtype(x: np.ndarray) -> None:
    """Refuse data that is empty or not made of real numbers."""
    if x.dtype.kind == "b":
        raise HushError("this is a boolean mask; give the data itself")
    if x.dtype.kind not in "iuf":
        raise HushError(_not_real(x.dtype))
    if x.size == 0:
        raise HushError(f"the data is empty: its shape is {x.shape}")


def _not_real(dtype: np.dtype[Any]) -> str:
    """What is wrong with a type that holds no real numbers, and what would work."""
    if dtype.names:
        first, *_ = dtype.names
        return f"this array has fields ({', '.join(dtype.names)}); give one, such as x['{first}']"
    what = {
        "c": "complex numbers; denoise the real and the imaginary part, each alone",
        "O": "Python objects, not numbers; convert it with astype(float) first",
        "M": "dates, not values",
        "m": "time spans; convert them to numbers first",
        "U": "text, not numbers",
        "S": "text, not numbers",
    }.get(dtype.kind, f"{dtype}; hush denoises integers and real numbers")
    return f"this array holds {what}"


def check_span(batch: Batch, index: int, known: np.ndarray) -> None:
    """Refuse an item whose values, squared, leave the range of single precision."""
    x, offset = batch.data[index], batch.offset(index)
    low, high = (float(f(x, where=known, initial=offset)) for f in (np.min, np.max))
    peak = max(offset - low, high - offset) / batch.scale
    if peak and not 1e-12 < peak < 1e18:
        raise HushError(
            f"the values go up to {peak * batch.scale:.3g}, far from others of this data, and "
            "single precision does not hold both; rescale them first"
        )


def to_stored(
    x: np.ndarray,
    dtype: np.dtype[Any],
    scale: float,
    limits: tuple[float, float] | None = None,
    offset: float = 0,
) -> np.ndarray:
    """Full-range floats ``(C, *S)`` as stored values within `limits`, integers rounded.

    offset : the stored value of 0; an int for integers.
    """
    out = np.empty(x.shape, dtype)
    low, high = _bounds(dtype, scale, limits, offset)
    for row in range(0, x.shape[1], 256):  # a few rows at a time, to save memory
        part = (slice(None), slice(row, row + 256)) if x.ndim > 2 else ...
        values = x[part]
        if scale != 1 or offset:
            values = values.astype(np.float64) * scale
        if dtype.kind in "iu":
            values = np.rint(values)
        values = np.clip(values, low, high)
        if not offset:
            out[part] = values
        elif dtype.kind == "f":
            out[part] = values + offset
        else:  # values of 64 bits have no exact float
            whole = values.astype(np.int64).astype(np.uint64) + np.uint64(offset % 2**64)
            out[part] = whole.astype(dtype)
        if part is ...:
            break
    return out


def _bounds(
    dtype: np.dtype[Any], scale: float, limits: tuple[float, float] | None, offset: float
) -> tuple[float, float]:
    """The lowest and the highest stored value of a result, less `offset`."""
    low, high = (-math.inf, math.inf) if limits is None else limits
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        if limits is not None or offset:  # full range may be that of what is above an offset
            low, high = max(low, int(info.min)), min(high, int(info.max))
        else:
            low, high = max(low, -scale - 1 if dtype.kind == "i" else 0), min(high, scale)
    low, high = low - offset, high - offset
    if dtype.kind in "iu" and dtype.itemsize == 8:  # a float of the largest value is beyond it
        high = min(float(high), float(np.nextafter(float(np.iinfo(dtype).max), 0)))
    return low, high


def range_used(data: np.ndarray) -> float | None:
    """The full range of 64-bit integers, which nobody fills; None for other types."""
    if data.dtype.kind not in "iu" or data.dtype.itemsize < 8 or not data.size:
        return None
    most = max(abs(int(data.max())), abs(int(data.min())))
    return float(next(n for n in (255, 65535, 2**32 - 1, 2**63, 2**64 - 1) if most <= n))


def filled(x: np.ndarray, known: np.ndarray, empty: float | None = None) -> np.ndarray:
    """An item ``(C, *S)`` with unknown values replaced by the nearest known ones.

    empty : fills a channel without any known value; by default that is a `HushError`.
    """
    return x if known.all() else fill_nearest(x, known, empty)


def fill_nearest(x: np.ndarray, known: np.ndarray, empty: float | None = None) -> np.ndarray:
    """The same, always as a copy."""
    from scipy.ndimage import distance_transform_edt

    out = x.copy()
    for plane, ok in zip(out, known, strict=True):
        if not ok.any():
            if empty is None:
                raise HushError("a whole channel is NaN or infinite; there is nothing to denoise")
            plane[...] = empty
            continue
        index = distance_transform_edt(~ok, return_distances=False, return_indices=True)
        plane[...] = plane[tuple(index)]
    return out


def with_gaps(batch: Batch, index: int) -> np.ndarray:
    """Item `index` as floats in units of full range, NaN for unknown values."""
    known = batch.known(index)
    if batch.real is np.float32:
        check_span(batch, index, known)
    x = batch.floats(index)
    if not known.all():
        x[~known] = np.nan
    return x
