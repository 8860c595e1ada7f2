"""Blocks of an item that are held out of a training on that item, spread over all of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hush.kinds.cut import CELL

CELLS = 64  #: that an item is divided into, over all axes
EVERY = 8  #: so many cells have one block
LARGEST = 4096  #: values of a block in each channel, about
MARGIN = CELL // 2  #: what is seen around a block, along every axis


def blocks(shape: Sequence[int]) -> list[tuple[slice, ...]]:
    """About eight blocks of one size in an item with these axes, at most about an eighth of it; in
    small ones fewer.

    They lie on a lattice, so that every row and every column of cells has one. Sides are multiples
    of `CELL`, or the whole axis where that is shorter.
    """
    most, side = (round(n ** (1 / len(shape))) for n in (CELLS, LARGEST))
    counts = [max(1, min(most, n // CELL)) for n in shape]
    cells = [n // k for n, k in zip(shape, counts, strict=True)]
    sides = [n if n < CELL else min(n // CELL * CELL, max(side, CELL)) for n in cells]
    chosen = [
        i for i in np.ndindex(*counts) if sum((2 * a + 1) * k for a, k in enumerate(i)) % EVERY == 0
    ]
    return [
        tuple(
            slice(first := k * n + (n - s) // 2, first + s)
            for k, n, s in zip(index, cells, sides, strict=True)
        )
        for index in chosen
    ]


def withheld(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where an item ``(C, *S)`` may be learned from, its blocks, and what of these is judged.

    Returns float32: ``(1, *S)``, 0 in the blocks and 1 elsewhere; the blocks with what is around
    them, reflected at borders, ``(B, C, *s)`` with sides that are multiples of `CELL`; and
    ``(1, *s)``, 1 in the blocks and 0 around them.
    """
    found = blocks(x.shape[1:])
    free = np.ones((1, *x.shape[1:]), np.float32)
    for block in found:
        free[:, *block] = 0
    sides = [s.stop - s.start for s in found[0]]
    around = [(MARGIN, MARGIN + -n % CELL) for n in sides]
    grown = np.pad(x, [(0, 0), *around], mode="reflect")
    wide = [n + sum(more) for n, more in zip(sides, around, strict=True)]
    crops = [
        grown[:, *(slice(s.start, s.start + n) for s, n in zip(block, wide, strict=True))]
        for block in found
    ]
    judged = np.zeros((1, *wide), np.float32)
    judged[:, *(slice(MARGIN, MARGIN + n) for n in sides)] = 1
    return free, np.stack(crops), judged
