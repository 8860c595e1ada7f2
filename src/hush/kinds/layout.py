"""From stored values to what methods see, and back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from hush.errors import HushError
from hush.missing import ByValue, Marks
from hush.record import UNKNOWN, Batch, Record, channel_letter


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


def stated_marks(record: Record, items: int, channels: int) -> Sequence[Marks | None] | None:
    """The marks of missing values of so many items: those found, or else those stated."""
    if record.marks is not None and len(record.marks) == items:
        return record.marks
    return [ByValue((record.missing,) * channels)] * items if record.missing else None


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
    peak = max(offset - low, high - offset)
    if not peak or 1e-12 < peak / batch.scale < 1e18:
        return
    # Full range is that of all items: where these values are small, others are the far ones.
    far, rest = max(peak, batch.scale), min(peak, batch.scale)
    raise HushError(
        f"this data holds values of up to {far:.3g} beside others of up to {rest:.3g}, and single "
        "precision does not hold both; leave some out or rescale them first"
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
    """An item ``(C, *S)`` with unknown values replaced by known ones; see `fill`.

    empty : fills a channel without any known value; by default that is a `HushError`.
    """
    return x if known.all() else fill(x, known, empty)


def fill(x: np.ndarray, known: np.ndarray, empty: float | None = None) -> np.ndarray:
    """The same, always as a copy: a line with the nearest values; a plane mirrored at the edge of
    what is known, as at the border of a picture, so that noise goes on; a volume plane by plane."""
    out = x.copy()
    before, pairs = None, []
    for values, ok in zip(out, known, strict=True):
        if not ok.any():
            if empty is None:
                raise HushError("a whole channel has no known value; there is nothing to denoise")
            values[...] = empty
            continue
        if before is None or not np.array_equal(ok, before):
            before, pairs = ok, list(_sources(ok))
        for target, source in pairs:
            values[target] = values[source]
    return out


def _sources(known: np.ndarray) -> Iterator[tuple[Any, Any]]:
    """Unknown places and those that fill them, in the order in which they are filled."""
    from scipy.ndimage import distance_transform_edt

    if known.ndim < 3:
        target = np.nonzero(~known)
        nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
        source = tuple(index[target] for index in nearest)
        if known.ndim > 1:
            both = zip(source, target, known.shape, strict=True)
            mirrored = tuple(np.clip(2 * s - t, 0, n - 1) for s, t, n in both)
            source = tuple(index[mirrored] for index in nearest)
        yield target, source
        return
    having = np.flatnonzero(known.any(axis=tuple(range(1, known.ndim))))
    for plane in having[~known[having].all(axis=tuple(range(1, known.ndim)))].tolist():
        for target, source in _sources(known[plane]):
            yield (plane, *target), (plane, *source)
    for plane in sorted(set(range(len(known))) - set(having.tolist())):
        yield plane, int(having[np.argmin(np.abs(having - plane))])


def with_gaps(batch: Batch, index: int) -> np.ndarray:
    """Item `index` as floats in units of full range, NaN for unknown values."""
    known = batch.known(index)
    if batch.real is np.float32:
        check_span(batch, index, known)
    x = batch.floats(index)
    if not known.all():
        x[~known] = np.nan
    return x


def stored_with_gaps(batch: Batch, x: np.ndarray, index: int = 0) -> np.ndarray:
    """Values `x` like item `index`, as stored above its offset; floats if it has one, or missing
    values, which are NaN."""
    x = batch.above(index, x) if batch.offset(index) else x
    known = batch.known(index)
    if known.all():
        return x
    real = x.dtype if x.dtype.kind == "f" else np.result_type(x.dtype, np.float32)
    return np.where(known, x, real.type(np.nan))
