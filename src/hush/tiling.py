"""Big images through small networks: tiles that give exactly the whole image's result.

A tile is computed with a margin of at least the network's receptive radius, starts at a
multiple of its stride, and beyond the image's edge sees the same short reflection whatever
the tiling, or nothing: a network with a blind spot would meet its own mirror image there.
Nothing is scaled per tile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

BORDER = 8  #: pixels of reflection beyond the image's edge, at least


@dataclass(frozen=True)
class Tile:
    """`inner`: pixels this tile answers for; `rows`, `columns`: pixels it reads, edges
    reflected; `crop`: where the inner pixels lie in what it reads."""

    inner: tuple[slice, slice]
    rows: np.ndarray
    columns: np.ndarray
    crop: tuple[slice, slice]


def tiles(
    height: int, width: int, size: int, radius: int, multiple: int, border: int | None = BORDER
) -> Iterator[Tile]:
    """Tiles of at most `size` pixels a side covering ``height × width``.

    `radius` and `border` are taken up, and `size` too, to the next `multiple`. Without a `border`
    tiles end where the image does, at a multiple or not.
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

    for inner_y, rows, crop_y in spans(height):
        for inner_x, columns, crop_x in spans(width):
            yield Tile((inner_y, inner_x), rows, columns, (crop_y, crop_x))


def tiled(
    function: Callable[[np.ndarray], np.ndarray],
    x: np.ndarray,
    *,
    size: int,
    radius: int,
    multiple: int,
    border: int | None = BORDER,
    advance: Callable[[float], None] | None = None,
) -> np.ndarray:
    """`function` of `x` ``(C, H, W)``, tile by tile; it keeps sides, and may change the channels.

    `advance` is told the share of the image that each finished tile was.
    """
    out: np.ndarray | None = None
    height, width = x.shape[1:]
    for tile in tiles(height, width, size, radius, multiple, border):
        result = function(x[:, tile.rows[:, None], tile.columns])
        if out is None:
            out = np.empty((len(result), height, width), x.dtype)
        out[:, *tile.inner] = result[:, *tile.crop]
        if advance:
            inner = out[0, *tile.inner]
            advance(inner.size / (height * width))
    assert out is not None  # an image has a pixel
    return out
