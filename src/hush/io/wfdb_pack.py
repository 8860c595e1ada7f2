"""The storage formats of WFDB signal files (https://physionet.org/physiotools/wag/signal-5.htm).

Here they are packed, because the wfdb library writes only some of them, and only whole files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Storage:
    """A storage format.

    bits : of a sample; size : bytes of a sample, on average; invalid : whether its lowest value
    means a missing sample. pack : whole samples of all signals in file order as bytes.
    """

    bits: int
    size: float
    invalid: bool
    pack: Callable[[np.ndarray], bytes]

    @property
    def low(self) -> int:
        """The lowest sample, which may stand for a missing one."""
        return -(2 ** (self.bits - 1))

    @property
    def high(self) -> int:
        return 2 ** (self.bits - 1) - 1


def _cast(dtype: str, shift: int = 0) -> Callable[[np.ndarray], bytes]:
    return lambda x: (x + shift).astype(dtype).tobytes()


def _24(x: np.ndarray) -> bytes:
    return x.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


def _212(x: np.ndarray) -> bytes:
    """Two samples of 12 bits in three bytes."""
    odd = len(x) % 2
    a, b = np.append(x, [0] * odd).astype(np.int64).reshape(-1, 2).T
    rows = np.stack([a & 255, (a >> 8 & 15) | (b >> 8 & 15) << 4, b & 255], 1).astype(np.uint8)
    return rows.tobytes()[: len(rows) * 3 - odd]


def _310(x: np.ndarray) -> bytes:
    """Three samples of 10 bits in two words: the third one in the upper bits of both."""
    rest = -len(x) % 3
    a, b, c = np.append(x, [0] * rest).astype(np.int64).reshape(-1, 3).T
    words = np.stack([(a & 1023) << 1 | (c & 31) << 11, (b & 1023) << 1 | (c >> 5 & 31) << 11], 1)
    return words.astype("<u2").tobytes()[: 2 * words.size - 2 * (rest == 2)]


def _311(x: np.ndarray) -> bytes:
    """Three samples of 10 bits in four bytes, from the lowest bit on."""
    rest = -len(x) % 3
    a, b, c = np.append(x, [0] * rest).astype(np.int64).reshape(-1, 3).T
    words = (a & 1023) | (b & 1023) << 10 | (c & 1023) << 20
    return words.astype("<u4").tobytes()[: 4 * words.size - 2 * (rest == 2)]


#: without 8, first differences, which depend on the samples before
STORAGES: Mapping[str, Storage] = {
    "16": Storage(16, 2, True, _cast("<i2")),
    "24": Storage(24, 3, True, _24),
    "32": Storage(32, 4, True, _cast("<i4")),
    "61": Storage(16, 2, True, _cast(">i2")),
    "80": Storage(8, 1, True, _cast("u1", 128)),
    "160": Storage(16, 2, True, _cast("<u2", 32768)),
    "212": Storage(12, 1.5, True, _212),
    "310": Storage(10, 4 / 3, True, _310),
    "311": Storage(10, 4 / 3, True, _311),
    "8": Storage(32, 1, False, _cast("i1")),
}
#: compressed formats → what is written instead
PLAIN: Mapping[str, str] = {"508": "80", "516": "16", "524": "24"}
#: frames are packed in multiples of this: whole groups of 2 or 3 samples
GROUP = 6
