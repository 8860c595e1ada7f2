"""How many columns any two rows share, exact and fast.

A row is kept as bits: one bit for each column and each binary digit of its state. Two rows differ
where any digit does, so one pass of XOR and OR compares 64 columns (about ten times faster than a
product of one-hot matrices).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

BLOCK = 64, 1024  #: rows that are compared at once, so that they stay in the cache


@dataclass(frozen=True)
class Packed:
    """Rows of states as bits.

    planes : uint64 ``(W, B + 1, N)``, of W · 64 columns the B digits of every row, and where it has
    no residue. columns : L.
    """

    planes: np.ndarray
    columns: int

    def __len__(self) -> int:
        return int(self.planes.shape[2])


def packed(states: np.ndarray, none: int) -> Packed:
    """Rows ``(N, L)`` of states 0 to `none`, which stands for no residue."""
    planes = [_bits(states & (1 << k) != 0) for k in range(int(none).bit_length())]
    return Packed(np.stack([*planes, _bits(states == none)], axis=1), states.shape[1])


def _bits(marks: np.ndarray) -> np.ndarray:
    """Bool ``(N, L)`` as uint64 ``(W, N)``; bits beyond L are 0."""
    packed = np.packbits(marks, axis=1)
    whole = np.ascontiguousarray(np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8))))
    return np.ascontiguousarray(whole.view(np.uint64).T)


def compared(one: Packed, other: Packed) -> Iterator[tuple[slice, slice, np.ndarray, np.ndarray]]:
    """Every block of pairs of rows: where it is in `one` and in `other`, and of each pair

    in how many columns both have the same state, and in how many the same residue, ``(n, m)`` int.
    """
    for rows in _parts(len(one), BLOCK[0]):
        for others in _parts(len(other), BLOCK[1]):
            yield rows, others, *_shared(one, other, rows, others)


def pairs(every: Packed) -> Iterator[tuple[slice, slice, np.ndarray, np.ndarray]]:
    """`compared` of rows with themselves, only the blocks with any pair (i, j) of j ≤ i."""
    for rows in _parts(len(every), BLOCK[0]):
        for others in _parts(rows.stop, BLOCK[1]):
            yield rows, others, *_shared(every, every, rows, others)


def _parts(length: int, step: int) -> Iterator[slice]:
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))


def _shared(
    one: Packed, other: Packed, rows: slice, others: slice
) -> tuple[np.ndarray, np.ndarray]:
    shape = rows.stop - rows.start, others.stop - others.start
    unlike, without = (np.zeros(shape, np.uint32) for _ in range(2))
    differ, digit = (np.empty(shape, np.uint64) for _ in range(2))
    count = np.empty(shape, np.uint8)
    for a, b in zip(one.planes[:, :, rows, None], other.planes[:, :, others], strict=True):
        np.bitwise_xor(a[0], b[0], out=differ)
        for k in range(1, len(a) - 1):
            np.bitwise_xor(a[k], b[k], out=digit)
            np.bitwise_or(differ, digit, out=differ)
        unlike += ones(differ, count)
        np.bitwise_or(differ, b[-1], out=differ)  # where they are equal, both have a gap or none
        without += ones(differ, count)
    return one.columns - unlike.astype(np.int64), one.columns - without.astype(np.int64)


def ones(words: np.ndarray, out: np.ndarray) -> np.ndarray:
    """The number of bits that are 1 in each uint64, into uint8 `out`."""
    if hasattr(np, "bitwise_count"):  # NumPy 2
        made: np.ndarray = np.bitwise_count(words, out=out)
        return made
    parts = words.view(np.uint8).reshape(*words.shape, 8)
    return np.sum(_ONES[parts], axis=-1, dtype=np.uint8, out=out)


_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(1, dtype=np.uint8)
