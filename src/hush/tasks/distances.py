"""One row of an alignment compared with all others, and how many rows are similar to each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hush.tasks.identity import Packed, ones

EXACT = 20_000  #: rows up to which `similar` compares all with each other
SAMPLE = 5_000  #: of more rows, so many are drawn at random that all are compared with
WORDS = 2**17  #: words that are compared at once, to stay in the processor's cache


def distances(every: Packed, row: int, start: int = 0) -> np.ndarray:
    """In how many columns the rows from `start` on differ from this row, int32 ``(n,)``."""
    return _counted(every, row, start)[0]


def shared(every: Packed, row: int, start: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """`distances`, and in how many columns both have the same residue, int32 ``(n,)``."""
    unlike, without = _counted(every, row, start, gaps=True)
    return unlike, every.columns - without


def _counted(every: Packed, row: int, start: int, gaps: bool = False) -> np.ndarray:
    """In how many columns they differ, and with `gaps` differ or have none, ``(1 or 2, n)``."""
    own = every.planes[:, :, row, None]
    size = max(64, WORDS // len(own))
    out = np.empty((1 + gaps, len(every) - start), np.int32)
    count = np.empty((len(own), size), np.uint8)
    for begin in range(start, len(every), size):
        part = every.planes[:, :, begin : begin + size]
        to = slice(begin - start, begin - start + part.shape[2])
        unlike = part[:, 0] ^ own[:, 0]
        for digit in range(1, part.shape[1] - 1):
            unlike |= part[:, digit] ^ own[:, digit]
        ones(unlike, count[:, : part.shape[2]]).sum(0, dtype=np.int32, out=out[0, to])
        if gaps:
            unlike |= part[:, -1]
            ones(unlike, count[:, : part.shape[2]]).sum(0, dtype=np.int32, out=out[1, to])
    return out


def similar(
    every: Packed,
    most: int,
    *,
    exact: int = EXACT,
    sample: int = SAMPLE,
    seed: int = 0,
    advance: Callable[[float], None] | None = None,
) -> np.ndarray:
    """How many rows differ from each in `most` columns or fewer, itself included, float ``(n,)``.

    Of more than `exact` rows it is an estimate, from a random sample of them; its expectation is
    the true number. advance : called with the share of the work just finished.
    """
    rows, count = len(every), np.zeros(len(every), np.int64)
    if rows <= exact:
        for row in range(rows):
            near = distances(every, row, row) <= most
            count[row:] += near
            count[row] += np.count_nonzero(near[1:])
            if advance:
                advance(2 * len(near) / (rows * (rows + 1)))
        return count.astype(np.float64)
    drawn = np.random.default_rng(seed).permutation(rows)[:sample]
    for row in drawn:
        count += distances(every, row) <= most
        if advance:
            advance(1 / len(drawn))
    others = np.full(rows, len(drawn))
    count[drawn] -= 1
    others[drawn] -= 1
    found: np.ndarray = 1 + count * ((rows - 1) / others)
    return found
