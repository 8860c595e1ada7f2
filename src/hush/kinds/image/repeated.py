"""Pictures that were enlarged by repeating every pixel: denoised at their own size.

Noise of a pixel that stands in k × k places is no noise that a method knows: it looks correlated,
and its blocks have edges. Every k-th row and column are the picture itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hush.record import Batch, Record

MOST = 8  #: largest number of times that a pixel is repeated along an axis
LEAST = 16  #: sides of the smallest picture that is looked for
CHUNK = 2**24  #: values that are compared at once


def factors_of(record: Record) -> tuple[int, int]:
    """How many times pixels are repeated along Y and X; (1, 1) if they are not."""
    found: tuple[int, int] = record.context.get("repeated", (1, 1))
    return found


def recognised(record: Record, whole: Batch) -> Record:
    """The record with the factors in its context, if its pixels are repeated; else the same.

    whole : its items ``(C, H, W)``.
    """
    if "repeated" in record.context or "jpeg" in record.context:
        return record
    factors = _factors(whole.data)
    if factors == (1, 1):
        return record
    height, width = (-(-n // k) for n, k in zip(whole.data[0].shape[1:], factors, strict=True))
    note = (
        f"The picture was enlarged by repeating every pixel {factors[1]} × {factors[0]} times. It "
        f"is denoised at its own size, {width} × {height}, and enlarged again."
    )
    return replace(
        record,
        context={**record.context, "repeated": factors},
        meta={**record.meta, "notes": [*record.meta.get("notes", ()), note]},
    )


def shrunk(batch: Batch, factors: tuple[int, int]) -> Batch:
    """Every item at its own size: copies, so that results are not taken for parts of the file."""
    rows, columns = factors
    data = [np.ascontiguousarray(x[:, ::rows, ::columns]) for x in batch.data]
    mask = None if batch.mask is None else [m[:, ::rows, ::columns] for m in batch.mask]
    return replace(batch, data=data, mask=mask)


def enlarged(
    items: np.ndarray | Sequence[np.ndarray], factors: tuple[int, int], size: tuple[int, int]
) -> list[np.ndarray]:
    """Items ``(C, h, w)`` with every pixel repeated, as many as `size` has rows and columns."""
    rows, columns = factors
    return [
        np.asarray(x).repeat(rows, axis=-2).repeat(columns, axis=-1)[..., : size[0], : size[1]]
        for x in items
    ]


def _factors(items: np.ndarray | Sequence[np.ndarray]) -> tuple[int, int]:
    """The largest factors along Y and X by which all items are repeated."""
    first = items[0]
    if min(first.shape[1:]) < 2 * LEAST:
        return 1, 1
    found = [1, 1]
    for axis in (1, 2):
        for k in range(MOST, 1, -1):
            if first.shape[axis] >= k * LEAST and all(_repeats(x, axis, k) for x in items):
                found[axis - 1] = k
                break
    # Stripes, and blank pictures, repeat pixels along one axis, or all of them.
    return (found[0], found[1]) if min(found) > 1 and first.min() < first.max() else (1, 1)


def _repeats(x: np.ndarray, axis: int, k: int) -> bool:
    """Whether values of ``(C, H, W)`` are equal in groups of k along an axis; quickly, if not."""
    lines = np.moveaxis(x, axis, 0)
    count = len(lines)
    step = max(1, CHUNK // max(1, lines[0].size)) * k
    for start in (count // 2 // k * k, *range(0, count, step)):
        part = lines[start : start + (k if start == count // 2 // k * k else step)]
        if not np.array_equal(part, part[np.arange(len(part)) // k * k], equal_nan=_real(x)):
            return False
    return True


def _real(x: np.ndarray) -> bool:
    return x.dtype.kind == "f"
