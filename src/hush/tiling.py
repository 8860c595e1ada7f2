"""Large items through small networks: tiles give exactly the result of the whole item.

A tile is computed with a margin of at least the network's receptive radius and begins at a multiple
of the network's stride. Beyond the item's edge it reads the same short reflection for every tiling,
or nothing for a blind-spot network, which would otherwise see its own mirror image. Nothing is
scaled per tile.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

BORDER = 8  #: samples of reflection beyond the item's edge, at least


@dataclass(frozen=True)
class Tile:
    """A part of an item, by axis.

    inner : the samples this tile computes; reads : the samples it reads, edges reflected;
    crop : the position of the inner samples in those.
    """

    inner: tuple[slice, ...]
    reads: tuple[np.ndarray, ...]
    crop: tuple[slice, ...]

    def of(self, x: np.ndarray) -> np.ndarray:
        """The part of `x` ``(C, *S)`` that this tile reads."""
        index: tuple[Any, ...] = (slice(None), *np.ix_(*self.reads))
        part: np.ndarray = x[index]
        return part


def tiles(
    shape: tuple[int, ...], size: int, radius: int, multiple: int, border: int | None = BORDER
) -> Iterator[Tile]:
    """Tiles of at most `size` samples a side that cover `shape`.

    `size`, `radius` and `border` are rounded up to the next `multiple`. Without a `border`,
    tiles end at the item's edge, whether that is at a multiple or not.
    """
    exact = border is None
    size, radius, border = (-(-n // multiple) * multiple for n in (size, radius, border or 0))
    size = max(size, multiple)

    def spans(n: int) -> list[tuple[slice, np.ndarray, slice]]:
        end = n if exact else -(-n // multiple) * multiple + border
        index = np.pad(np.arange(n), (border, end - n), mode="reflect" if n > 1 else "edge")
        out = []
        for start in range(0, n, size):
            stop = min(start + size, n)
            first = max(-border, start - radius)
            last = min(end, -(-stop // multiple) * multiple + radius)
            crop = slice(start - first, stop - first)
            out.append((slice(start, stop), index[first + border : last + border], crop))
        return out

    for axes in product(*map(spans, shape)):
        inner, reads, crop = zip(*axes, strict=True)
        yield Tile(inner, reads, crop)


def tiled(
    function: Callable[[np.ndarray], np.ndarray],
    x: np.ndarray,
    *,
    size: int,
    radius: int,
    multiple: int,
    border: int | None = BORDER,
    advance: Callable[[float], None] | None = None,
    only: Sequence[slice] | None = None,
) -> np.ndarray:
    """Apply `function` to `x` ``(C, *S)`` tile by tile; it may change only the channels.

    After each tile, `advance` gets the tile's share of the item.
    only : a slice for each axis of space; tiles outside are left out, and the result is 0 there.
    """
    out: np.ndarray | None = None
    shape = x.shape[1:]
    every = list(tiles(shape, size, radius, multiple, border))
    if only is not None:
        every = [tile for tile in every if all(map(_meet, tile.inner, only))]
        shape = tuple(w.stop - w.start for w in only)
    for tile in every:
        result = function(tile.of(x))
        if out is None:
            make = np.empty if only is None else np.zeros
            out = make((len(result), *x.shape[1:]), x.dtype)
        inner: tuple[Any, ...] = (slice(None), *tile.inner)
        crop: tuple[Any, ...] = (slice(None), *tile.crop)
        out[inner] = result[crop]
        if advance:
            advance(min(1.0, out[0][inner[1:]].size / math.prod(shape)))
    assert out is not None  # an item has a sample
    return out


def _meet(one: slice, other: slice) -> bool:
    return one.start < other.stop and other.start < one.stop
