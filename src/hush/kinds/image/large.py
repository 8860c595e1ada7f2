"""Images too large for memory: restored in blocks, measured and judged by windows.

A *glimpse* is a montage: windows at the crossings of a regular grid, side by side, as one image. So
it shows the level of the noise in every region, and what is found in it is brought to the whole by
scaling (`hush.results.Estimate.on`). Offsets of lines and hum would need the whole image; they are
left in, and hush says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from hush.record import Batch
from hush.results import Estimate

#: pixels above which an image is restored in blocks; a whole one takes some 60 bytes a pixel
LARGE = 2**26
BLOCK = 2048  #: side of a block in pixels
WINDOW = 256  #: side of a window of the montage
WINDOWS = 8  #: the most windows of the montage along an axis
ALIGNED = 16  #: windows begin at a multiple of this: blocks of a JPEG stay whole
#: impulses are looked for in cells of this side, with so many pixels around them
CELL, MARGIN = 256, 16


def is_large(shape: Sequence[int]) -> bool:
    """Whether an image ``(C, H, W)`` is restored in blocks."""
    return shape[-2] * shape[-1] > LARGE


def cuts(length: int) -> list[slice]:
    """Where the windows of the montage are along an axis."""
    size = min(WINDOW, length)
    count = max(1, min(WINDOWS, length // WINDOW))
    starts = (np.arange(count) + 0.5) * length / count - size / 2
    aligned = (np.clip(starts, 0, length - size) // ALIGNED * ALIGNED).astype(int)
    return [slice(s, s + size) for s in aligned.tolist()]


def montage(batch: Batch, index: int) -> Batch:
    """The windows of item `index`, side by side, as a batch of one.

    Its context has the shape of the whole item as ``whole``.
    """
    item = batch.data[index]
    rows, columns = (cuts(n) for n in item.shape[1:])
    parts = [[batch.place(index, where) for where in product([r], columns)] for r in rows]

    def joined(of: Callable[[Batch], np.ndarray]) -> list[np.ndarray]:
        return [np.concatenate([np.concatenate([*map(of, row)], axis=2) for row in parts], axis=1)]

    return replace(
        parts[0][0],
        data=joined(lambda part: part.data[0]),
        mask=None if batch.mask is None and batch.marks is None else joined(lambda p: p.known(0)),
        marks=None,
        context={**batch.about(index), "whole": item.shape},
    )


def of_whole(found: Estimate, item: np.ndarray, about: Mapping[str, Any]) -> Estimate:
    """What was measured in a montage, without offsets of lines, which stay in the image, and with
    the number of impulses in the whole."""
    if "whole" not in about:
        return found
    hits = round(found.hits * math.prod(about["whole"]) / item.size)
    return replace(found, lines=found.lines and found.lines.kept(), hits=hits)


def in_cells(
    cleaned: Callable[[np.ndarray], np.ndarray],
    x: np.ndarray,
    place: Sequence[slice],
    wanted: Sequence[slice],
) -> np.ndarray:
    """A copy of a block `x` ``(C, h, w)`` with `cleaned` applied in the cells that are `wanted`.

    Cells lie at multiples of `CELL` of the whole image, of which `x` is the part at `place`; so
    the result does not depend on how the image is cut into blocks. wanted : rows and columns of x.
    """
    out = x.copy()
    spans = []
    for at, want, n in zip(place, wanted, x.shape[1:], strict=True):
        first = (at.start + want.start) // CELL * CELL - at.start
        own = [slice(max(0, s), min(s + CELL, n)) for s in range(first, want.stop, CELL)]
        spans.append([(s, slice(max(0, s.start - MARGIN), min(s.stop + MARGIN, n))) for s in own])
    for (down, rows), (across, columns) in product(*spans):
        made = cleaned(x[:, rows, columns])
        inside = (
            slice(down.start - rows.start, down.stop - rows.start),
            slice(across.start - columns.start, across.stop - columns.start),
        )
        out[:, down, across] = made[:, *inside]
    return out
