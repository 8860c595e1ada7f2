"""Stored values that stand for missing ones, such as padding and nodata, and where they are.

A `Marks` says which values of one item ``(C, *S)`` mean nothing, and knows it of every part of the
item, too: so a large item needs no mask in memory. Values that are not finite need no mark.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Mask = NDArray[np.bool_]

#: side of a block of one value by which an area counts as solid
BLOCK = 5
#: names of attributes that state missing values
ATTRIBUTES = ("_FillValue", "missing_value", "nodata", "nodatavals")
REACH = 2  #: steps from blocks to the pixels in the nooks of a curved edge


@dataclass(frozen=True)
class Missing:
    """Values from `low` to `high`, in the data's own units, that stand for missing ones.

    solid : only in areas of one value, `BLOCK` wide or along the border; elsewhere it is data.
    joint : only where all channels have it. stated : by the file; else found among its values.
    """

    low: float
    high: float
    solid: bool = False
    joint: bool = False
    stated: bool = False

    def where(self, x: np.ndarray) -> Mask:
        """The missing values of an item ``(C, *S)``, or of a part of it."""
        with np.errstate(invalid="ignore"):
            there: Mask = x == self.low if self.low == self.high else _between(x, self)
        if self.joint and len(there) > 1:
            there = np.broadcast_to(there.all(axis=0), there.shape)
        if self.solid and there.any():
            planes = there[:1] if self.joint else there
            there = np.broadcast_to(np.stack([areas(p) for p in planes]), there.shape)
        return there


def exactly(value: float, dtype: np.dtype) -> Missing | None:
    """The mark of a value that a file states, as its type has it; None if that cannot hold it.

    Files state numbers as text with fewer digits than the samples have.
    """
    if dtype.kind == "f":
        if not np.isfinite(value):
            return None
        limit = float(np.finfo(dtype).max)
        own = float(np.asarray(np.clip(value, -limit, limit), dtype))
        exact = own == 0 or abs(own) == limit  # in text, too
        near = 0.0 if exact else 4 * float(np.spacing(np.asarray(abs(own), dtype)))
        return Missing(own - near, own + near, stated=True)
    if dtype.kind not in "iu" or not np.isfinite(value) or value != round(value):
        return None
    limits = np.iinfo(dtype)
    value = int(value)  # floats do not tell the highest integers of 64 bits apart
    return Missing(value, value, stated=True) if limits.min <= value <= limits.max else None


def of_attributes(attributes: Mapping[str, Any], dtype: np.dtype) -> tuple[Missing, ...]:
    """The marks that the attributes of an array state, as netCDF, CF and rasterio have them."""
    found: dict[float, Missing] = {}
    for name in ATTRIBUTES:
        values = np.asarray(attributes.get(name, ()))
        if values.dtype.kind in "iuf":
            marks = {v: exactly(v, dtype) for v in values.reshape(-1).tolist()}
            found |= {value: mark for value, mark in marks.items() if mark is not None}
    return tuple(found.values())


class Marks(Protocol):
    """Which values of one item ``(C, *S)`` are missing."""

    def where(self, x: np.ndarray) -> Mask:
        """Where values of the item, or of the part that it was `cut` to, are missing."""

    def cut(self, where: slice, along: int) -> Marks:
        """The same for a part of the item along one of its axes."""

    def channel(self, number: int) -> Marks:
        """The same for one channel alone."""


@dataclass(frozen=True)
class ByValue:
    """Marks of the values themselves, for every channel. See `Marks`."""

    channels: tuple[tuple[Missing, ...], ...]

    def where(self, x: np.ndarray) -> Mask:
        first = self.channels[0]
        if all(marks == first for marks in self.channels):
            return _any(x, first)
        planes = [_any(plane[None], own) for plane, own in zip(x, self.channels, strict=True)]
        return np.concatenate(planes)

    def without(self, value: float) -> ByValue | None:
        """The same, except for one value, to single precision; None without any other."""
        spared = np.float32(value)
        own = [
            [m for m in c if not np.float32(m.low) == np.float32(m.high) == spared]
            for c in self.channels
        ]
        return ByValue(tuple(map(tuple, own))) if any(own) else None

    def cut(self, where: slice, along: int) -> ByValue:
        return self

    def channel(self, number: int) -> ByValue:
        return ByValue((tuple(replace(m, joint=False) for m in self.channels[number]),))


@dataclass(frozen=True)
class Stretches:
    """Marks of stretches of an item ``(1, T)``. See `Marks`.

    starts, stops : positions, ascending; begin : of the part that it was cut to; values : marks
    of values beside them.
    """

    starts: np.ndarray
    stops: np.ndarray
    begin: int = 0
    values: tuple[Missing, ...] = ()

    @property
    def count(self) -> int:
        """Samples in all stretches."""
        return int((self.stops - self.starts).sum())

    def where(self, x: np.ndarray) -> Mask:
        out = _any(x, self.values)
        first, last = np.searchsorted(self.stops, self.begin, "right"), len(self.starts)
        for k in range(int(first), last):
            start, stop = self.starts[k] - self.begin, self.stops[k] - self.begin
            if start >= x.shape[-1]:
                break
            out[..., max(0, start) : stop] = True
        return out

    def cut(self, where: slice, along: int) -> Stretches:
        return replace(self, begin=self.begin + (where.start or 0))

    def channel(self, number: int) -> Stretches:
        return self


@dataclass(frozen=True)
class Bars:
    """Marks of whole rows of an image ``(C, H, W)``, as of data bars drawn into it. See `Marks`.

    rows : first and last ones, exclusive; begin : of the part that it was cut to; values : marks of
    values beside them.
    """

    rows: tuple[tuple[int, int], ...]
    begin: int = 0
    values: ByValue | None = None

    def where(self, x: np.ndarray) -> Mask:
        out = np.zeros(x.shape, bool) if self.values is None else self.values.where(x)
        for start, stop in self.rows:
            out[..., max(0, start - self.begin) : max(0, stop - self.begin), :] = True
        return out

    def cut(self, where: slice, along: int) -> Bars:
        return self if along in (2, -1) else replace(self, begin=self.begin + (where.start or 0))

    def channel(self, number: int) -> Bars:
        return replace(self, values=self.values and self.values.channel(number))

    def every_second(self, first: int) -> Bars:
        """The same for every second row, from row 0 or 1 on."""
        rows = tuple((max(0, a - first + 1) // 2, max(0, b - first + 1) // 2) for a, b in self.rows)
        return replace(self, rows=rows, begin=self.begin // 2)


class Later(Sequence[T]):
    """Things that are made when they are asked for, and kept."""

    def __init__(self, count: int, make: Callable[[int], T]) -> None:
        self._count, self._make, self._made = count, make, dict[int, T]()

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            chosen = range(self._count)[index]
            return Later(len(chosen), lambda i: self[chosen[i]])
        at = range(self._count)[index]
        if at not in self._made:
            self._made[at] = self._make(at)
        return self._made[at]


def areas(there: Mask) -> Mask:
    """The solid areas of `there` ``(*S)``: `blocks` that together have the pixels of one, and what
    hangs together with them within `REACH` steps."""
    from scipy.ndimage import binary_dilation, generate_binary_structure, label

    out = blocks(there)
    if not out.any():
        return out
    named, count = label(out)
    sizes = np.bincount(named.reshape(-1), minlength=count + 1)
    sizes[0] = 0
    out = (sizes >= BLOCK**2)[named]
    flat = generate_binary_structure(min(there.ndim, 2), 1)
    flat = flat.reshape((1,) * (there.ndim - flat.ndim) + flat.shape)
    grown: Mask = binary_dilation(out, flat, iterations=REACH, mask=there)
    return grown


def blocks(there: Mask, side: int = BLOCK) -> Mask:
    """The pixels of `there` that lie in blocks of `side` along the last two axes, of it or of what
    lies beyond the border."""
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    out = there.view(np.uint8)
    axes = range(max(0, there.ndim - 2), there.ndim)
    wide = np.pad(out, [(side * (a in axes),) * 2 for a in range(out.ndim)], constant_values=1)
    for axis in axes:
        wide = minimum_filter1d(wide, side, axis)
    for axis in axes:
        wide = maximum_filter1d(wide, side, axis)
    inner = tuple(slice(side, -side) if a in axes else slice(None) for a in range(out.ndim))
    opened: Mask = wide[inner].astype(bool) & there
    return opened


def _any(x: np.ndarray, marks: Sequence[Missing]) -> Mask:
    out = np.zeros(x.shape, bool)
    for mark in marks:
        out |= mark.where(x)
    return out


def _between(x: np.ndarray, mark: Missing) -> Mask:
    there: Mask = (x >= mark.low) & (x <= mark.high)
    return there
