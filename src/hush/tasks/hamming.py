"""Hamming distances of many aligned rows: in how many columns two rows differ.

The bits of a row's letters lie in planes, 64 columns to a word. Where any of the bits differ, so do
the letters: XOR and OR over the planes, and count the ones. That is ten times as fast as to compare
letter by letter, in less memory than the letters take.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

EXACT = 20_000  #: rows up to which `similar` compares all with each other
SAMPLE = 5_000  #: of more rows, so many are drawn at random that all are compared with
WORDS = 2**17  #: words that are compared at once, to stay in the processor's cache


@dataclass(frozen=True)
class Packed:
    """Rows as planes of bits.

    planes : uint64 ``(B, W, n)`` of B bits of a letter, and W words to a row.
    """

    planes: np.ndarray

    def __len__(self) -> int:
        return self.planes.shape[2]

    def distances(self, row: int, start: int = 0) -> np.ndarray:
        """In how many columns the rows from `start` on differ from this row, int32 ``(n',)``."""
        own = self.planes[:, :, row, None]
        size = max(64, WORDS // len(own[0]))
        out = np.empty(len(self) - start, np.int32)
        for begin in range(start, len(self), size):
            part = self.planes[:, :, begin : begin + size]
            unlike = part[0] ^ own[0]
            for bits, mine in zip(part[1:], own[1:], strict=True):
                unlike |= bits ^ mine
            ones(unlike).sum(0, dtype=np.int32, out=out[begin - start : begin - start + size])
        return out


def packed(rows: np.ndarray) -> Packed:
    """Rows ``(n, L)`` of letters as uint8, such as tokens or states, as planes of bits."""
    count, length = rows.shape
    bits = max(1, int(rows.max(initial=0)).bit_length())
    planes = np.zeros((bits, -(-length // 64), count), "<u8")
    size = max(1, 2**22 // max(length, 1))
    for begin in range(0, count, size):
        part = rows[begin : begin + size]
        for bit, plane in enumerate(planes):
            held = np.packbits(part >> bit & 1, axis=1, bitorder="little")
            words = np.zeros((len(part), plane.shape[0] * 8), np.uint8)
            words[:, : held.shape[1]] = held
            plane[:, begin : begin + size] = words.view("<u8").T
    return Packed(planes)


def neighbours(
    rows: Packed,
    most: int,
    among: np.ndarray | None = None,
    advance: Callable[[float], None] | None = None,
) -> np.ndarray:
    """How many rows differ from each in `most` columns or fewer, itself included, int ``(n,)``.

    among : indices of the rows that are counted; by default all. advance : called with the share
    of the work just finished.
    """
    count = np.zeros(len(rows), np.int64)
    if among is not None:
        for row in among:
            count += rows.distances(row) <= most
            if advance:
                advance(1 / len(among))
        return count
    for row in range(len(rows)):
        near = rows.distances(row, row) <= most
        count[row:] += near
        count[row] += np.count_nonzero(near[1:])
        if advance:
            advance(2 * (len(rows) - row) / (len(rows) + 1) / len(rows))
    return count


def similar(
    rows: Packed,
    most: int,
    *,
    exact: int = EXACT,
    sample: int = SAMPLE,
    seed: int = 0,
    advance: Callable[[float], None] | None = None,
) -> np.ndarray:
    """`neighbours` as float ``(n,)``; of more than `exact` rows an estimate, from a random sample.

    The estimate's expectation is the true number, over the draws of the sample.
    """
    if len(rows) <= exact:
        return neighbours(rows, most, advance=advance).astype(np.float64)
    drawn = np.random.default_rng(seed).permutation(len(rows))[:sample]
    seen = neighbours(rows, most, drawn, advance)
    others = np.full(len(rows), len(drawn))
    seen[drawn] -= 1
    others[drawn] -= 1
    found: np.ndarray = 1 + seen * ((len(rows) - 1) / others)
    return found


def _table(words: np.ndarray) -> np.ndarray:
    """How many bits of each uint64 are 1, uint8; for NumPy before 2."""
    parts = words[..., None].view(np.uint8)
    found: np.ndarray = ONES[parts].sum(-1, dtype=np.uint8)
    return found


ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(1, dtype=np.uint8)
ones: Callable[[np.ndarray], np.ndarray] = getattr(np, "bitwise_count", _table)
