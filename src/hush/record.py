"""Record and Batch: one layout for everything hush reads.

A `Record` is what a file held: the samples in the file's own dtype and axis order, a letter
for each axis, and the codec's metadata. A `Batch` is what methods see: ``(B, C, *S)`` views
of the same memory plus the scale that turns stored values into full range 1. Converting to
float happens tile by tile, so that a batch costs no memory of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hush.errors import HushError

#: Axis letters (tifffile's) that a method works along, per kind of data.
SPATIAL = {"image": "YX"}


def full_range(dtype: np.dtype[Any]) -> float:
    """Full range of stored values: the integer type's maximum, 1 for floats."""
    return float(np.iinfo(dtype).max) if dtype.kind in "iu" else 1.0


@dataclass(frozen=True)
class Record:
    """What a file held.

    Parameters
    ----------
    data : array of any real dtype, one dimension per letter of `axes`.
    axes : letters T, Z, C, Y, X, S (S: interleaved samples such as RGB), Q for unknown ones.
    kind : what the samples are; arrays without a kind are images.
    meta : the codec's own metadata, passed through untouched by everything else.
    source : the file it came from, if any.
    full : the stored value that means full range, where it is not `full_range` of the dtype: 4095
        for 12 bits kept in 16.
    """

    data: np.ndarray
    axes: str
    kind: str = "image"
    meta: Mapping[str, Any] = field(default_factory=dict)
    source: Path | None = None
    full: float | None = None

    def __post_init__(self) -> None:
        if self.data.ndim != len(self.axes):
            raise HushError(
                f"axes '{self.axes}' name {len(self.axes)} dimensions but the data has "
                f"{self.data.ndim}: {self.data.shape}"
            )
        repeated = [a for a in "YXCS" if self.axes.count(a) > 1]
        if repeated:
            raise HushError(
                f"axes '{self.axes}' name {repeated[0]} more than once; write Q for unknown ones"
            )

    @property
    def scale(self) -> float:
        """The stored value that means full range."""
        return full_range(self.data.dtype) if self.full is None else self.full

    @property
    def channels(self) -> int:
        """Number of channels a method sees: the length of S or C, 1 without either."""
        letter = self._channel_letter
        return self.data.shape[self.axes.index(letter)] if letter else 1

    @property
    def _channel_letter(self) -> str:
        return next((a for a in "SC" if a in self.axes), "")

    @property
    def _order(self) -> list[int]:
        """Where the axes of a batch lie in the data: planes first, then channels, then space."""
        last = [*self._channel_letter, *SPATIAL[self.kind]]
        rest = [i for i, a in enumerate(self.axes) if a not in last]
        return [*rest, *(self.axes.index(a) for a in last)]

    def to_batch(self) -> Batch:
        """Views of the data as ``(B, C, *S)``; no copy for the usual layouts."""
        spatial = SPATIAL[self.kind]
        missing = [a for a in spatial if a not in self.axes]
        if missing:
            raise HushError(
                f"an image needs axes Y and X; '{self.axes}' lacks {' and '.join(missing)}"
            )
        x = self.data.transpose(self._order)
        if not self._channel_letter:
            x = np.expand_dims(x, -len(spatial) - 1)
        x = x.reshape(-1, *x.shape[-len(spatial) - 1 :])
        return Batch(x, scale=self.scale)

    def with_batch(self, data: np.ndarray) -> Record:
        """This record holding `data` of shape ``(B, C, *S)``, laid out as the file was."""
        order = self._order
        x = data.reshape([self.data.shape[i] for i in order]).transpose(np.argsort(order))
        return replace(self, data=np.ascontiguousarray(x))


@dataclass(frozen=True)
class Batch:
    """What methods see: stored values ``(B, C, *S)`` and the value that means full range."""

    data: np.ndarray
    scale: float = 1.0

    def __len__(self) -> int:
        return len(self.data)

    def floats(self, index: int) -> np.ndarray:
        """Item `index` as float32 ``(C, *S)`` in units of full range."""
        x = self.data[index].astype(np.float32)
        x /= np.float32(self.scale)
        return x
