"""The chunks of Zarr arrays: read into, and written from, arrays that lie in temporary files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hush.errors import HushError
from hush.io.levels import averaged, known_in
from hush.missing import Missing
from hush.recording import empty, let_go

if TYPE_CHECKING:
    import zarr

AT_ONCE = 2**22  #: values that are read and written together, or one chunk
MANY = 2**20  #: chunks, of which
EMPTIEST = 1000  #: times as many are not to be expected as there are


def held(folder: Path, stored: zarr.Array) -> int:
    """How many chunks there are; `HushError` if metadata state far more than could be."""
    if stored.nchunks > MANY:
        files = sum(1 for path in folder.rglob("*") if path.is_file())
        inner = math.prod(stored.shards or stored.chunks) // max(1, math.prod(stored.chunks))
        if files * inner * EMPTIEST < stored.nchunks:
            raise HushError(
                f"is probably damaged: it states {stored.nchunks:,} chunks, and has {files:,} "
                "files; copy it again"
            )
    return int(stored.nchunks_initialized)


def loaded(stored: zarr.Array) -> np.ndarray:
    """An array's values, in a temporary file if they are many."""
    data = empty(stored.shape, stored.dtype)
    for where in blocks(stored.shape, stored.shards or stored.chunks):
        data[where] = stored[where]
        let_go(data)
    return data


def blocks(
    shape: Sequence[int], unit: Sequence[int], at_once: int = AT_ONCE
) -> Iterator[tuple[slice, ...]]:
    """Parts of an array made of whole chunks, of at most `at_once` values or one chunk."""
    size = [max(1, min(n, u)) for n, u in zip(shape, unit, strict=True)]
    for axis in reversed(range(len(shape))):
        size[axis] = min(shape[axis], size[axis] * max(1, at_once // math.prod(size)))
    starts = [range(0, n, s) for n, s in zip(shape, size, strict=True)]
    for corner in product(*starts):
        yield tuple(slice(a, min(a + s, n)) for a, s, n in zip(corner, size, shape, strict=True))


def fill(made: zarr.Array, data: np.ndarray) -> None:
    for where in blocks(made.shape, made.shards or made.chunks):
        made[where] = data[where]
        let_go(data)


def fill_smaller(
    made: zarr.Array, data: np.ndarray, factor: Sequence[int], missing: Sequence[Missing] = ()
) -> None:
    """Fill a lower resolution with the means of blocks; those at the end may be smaller."""
    at_once = max(1, AT_ONCE // math.prod(factor))
    for where in blocks(made.shape, made.shards or made.chunks):
        means = np.empty([w.stop - w.start for w in where], made.dtype)
        for part in blocks(means.shape, [1] * means.ndim, at_once):
            inner = [
                slice(w.start + p.start, w.start + p.stop) for w, p in zip(where, part, strict=True)
            ]
            means[part] = block_means(data, inner, factor, missing)
            let_go(data)
        made[where] = means


def block_means(
    data: np.ndarray,
    where: Sequence[slice],
    factor: Sequence[int],
    missing: Sequence[Missing] = (),
) -> np.ndarray:
    """The part `where` of `data` with blocks of `factor` elements replaced by their means."""
    outer = tuple(
        slice(w.start * f, min(w.stop * f, n))
        for w, f, n in zip(where, factor, data.shape, strict=True)
    )
    x = data[outer]
    edges = [np.append(np.arange(0, n, f), n) for n, f in zip(x.shape, factor, strict=True)]
    means = averaged(x, known_in(x, missing), edges)
    return np.rint(means) if data.dtype.kind in "iu" else means
