"""Record and Batch: one layout for everything hush reads.

A `Record` holds the contents of a file: samples in the file's dtype and axis order, a letter for
each axis, and the format's metadata. A `Batch` is what methods see: items ``(C, *S)``, views of the
same memory, with the scale that converts stored values to full range 1. A kind of data
(`hush.kinds`) converts one to the other. Values are converted to floats item by item, so a batch
needs no extra memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hush.errors import HushError
from hush.missing import Later, Marks, Missing

#: Axis letters for dimensions of unknown meaning, in the order in which they are used.
UNKNOWN = "QIPRLAHEVM"

#: values of a full range that single precision divides by without a loss
ORDINARY = (1e-6, 1e20)
KEPT = 2**24  #: values of an item up to which a batch keeps what is known of it


def full_range(dtype: np.dtype[Any]) -> float:
    """Full range of stored values: the maximum of an integer type, 1 for floats."""
    return float(np.iinfo(dtype).max) if dtype.kind in "iu" else 1.0


@dataclass(frozen=True)
class Record:
    """The contents of a file.

    Parameters
    ----------
    data : array of any real dtype, one dimension per letter of `axes`.
    axes : letters T, Z, C, Y, X, S (S: interleaved samples such as RGB), Q for unknown ones.
    kind : name of the kind of data, one of `hush.kinds.KINDS`.
    meta : metadata of the file format; only the format's own reader and writer use it.
    source : the file it was read from, if any.
    full : the stored value that means full range, if not `full_range` of the dtype: 4095 for 12
        bits stored in 16.
    mask : bool, broadcasts to the data's shape; False where the file marks values as missing, such
        as padding. Values that are not finite need no mask.
    context : further data that methods of this kind may need, such as a sampling rate.
    limits : the lowest and the highest stored value that a result may have; None if nobody looked
        for them (`hush.kinds.ranges`).
    missing : stored values that mark missing ones, as the file states.
    marks : of each item, which of its values are missing; `hush.kinds.Kind.marked` finds them.
    """

    data: np.ndarray
    axes: str
    kind: str = "image"
    meta: Mapping[str, Any] = field(default_factory=dict)
    source: Path | None = None
    full: float | None = None
    mask: np.ndarray | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    limits: tuple[float, float] | None = None
    missing: tuple[Missing, ...] = ()
    marks: Sequence[Marks | None] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.data, np.ndarray):
            object.__setattr__(self, "data", np.asarray(self.data))
        if self.mask is not None:
            try:
                np.broadcast_to(self.mask, self.data.shape)
            except ValueError:
                raise HushError(
                    f"a mask of shape {np.shape(self.mask)} does not fit data of {self.data.shape}"
                ) from None
            object.__setattr__(self, "mask", np.asarray(self.mask, bool))
        if self.data.ndim != len(self.axes):
            raise HushError(
                f"axes '{self.axes}' name {len(self.axes)} dimensions, but the data has "
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
        """Number of channels: the length of axis S or C, 1 without either."""
        letter = channel_letter(self.axes)
        return self.data.shape[self.axes.index(letter)] if letter else 1

    @property
    def sought(self) -> bool:
        """Whether values that mark missing ones are looked for; the user may say that none does."""
        return self.marks is None or len(self.marks) > 0

    def with_data(self, data: np.ndarray, **changes: Any) -> Record:
        """This record with other samples along the same axes; metadata and source are kept."""
        return replace(self, data=data, **changes)


def channel_letter(axes: str) -> str:
    """The letter of the channel axis; empty if there is none."""
    return next((a for a in "SC" if a in axes), "")


@dataclass(frozen=True)
class Batch:
    """What methods see: items ``(C, *S)`` of stored values.

    data : array ``(B, C, *S)``, or a list of items if their sizes differ.
    scale : the stored value that means full range.
    mask : like `data`, bool, or None; False where values are missing.
    marks : of each item, which of its values are missing besides; None if no item has any.
    context : further data that the kind's methods may need; each : of every item, such as its rate,
        and its name in sentences, if it has one.
    real : the floats that methods compute with; float64 for coordinates, which may be large.
    blank : what methods see, in units of full range, instead of a channel without any known value;
        None if such data is refused.
    limits : the lowest and the highest stored value that a result may have.
    offsets : of each item, the stored value that methods see as 0; none: it is 0. For values on a
        pedestal, for which single precision has no room.
    """

    data: np.ndarray | Sequence[np.ndarray]
    scale: float = 1.0
    mask: np.ndarray | Sequence[np.ndarray] | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    each: Sequence[Mapping[str, Any]] = ()
    real: type[np.floating] = np.float32
    blank: float | None = None
    limits: tuple[float, float] | None = None
    offsets: Sequence[float] = ()
    marks: Sequence[Marks | None] | None = None
    #: what `known` found by marks, which takes long
    _known: dict[int, np.ndarray] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __len__(self) -> int:
        return len(self.data)

    def floats(self, index: int) -> np.ndarray:
        """Item `index` as `real` floats ``(C, *S)`` in units of full range, above its offset."""
        stored = self.data[index]
        if self.offset(index) or not ORDINARY[0] <= self.scale <= ORDINARY[1]:
            return (self.above(index, stored) / self.scale).astype(self.real)
        with np.errstate(over="ignore"):  # values that mark missing ones may be that large
            x = stored.astype(self.real)
        x /= self.real(self.scale)
        return x

    def offset(self, index: int) -> float:
        """The stored value that methods see as 0 in item `index`; an int for integers."""
        return self.offsets[index] if len(self.offsets) else 0

    def low(self, index: int) -> float:
        """The offset of item `index` in units of full range."""
        return self.offset(index) / self.scale

    def above(self, index: int, stored: np.ndarray) -> np.ndarray:
        """Stored values of item `index` less its offset, as float64."""
        offset = self.offset(index)
        if stored.dtype.kind not in "iu" or not offset:
            return stored.astype(np.float64) - offset
        if stored.dtype == np.uint64:  # differences fit, though values do not
            return (stored - np.uint64(offset)).view(np.int64).astype(np.float64)
        return (stored.astype(np.int64) - offset).astype(np.float64)

    def known(self, index: int) -> np.ndarray:
        """Where item `index` has known values, finite and not masked; bool ``(C, *S)``.

        May be read-only.
        """
        if index in self._known:
            return self._known[index]
        x = self.data[index]
        known = np.isfinite(x) if x.dtype.kind == "f" else np.ones(x.shape, bool)
        if self.mask is not None:
            known = known & self.mask[index]
        if (marks := self.marked(index)) is not None:
            known &= ~marks.where(x)
            if known.size <= KEPT:
                known.flags.writeable = False
                self._known[index] = known
        return known

    def marked(self, index: int) -> Marks | None:
        """The marks of missing values of item `index`."""
        return None if self.marks is None else self.marks[index]

    def about(self, index: int) -> Mapping[str, Any]:
        """The context of item `index`: the batch's and its own."""
        return {**self.context, **self.each[index]} if self.each else self.context

    def piece(self, index: int, where: slice, along: int = -1) -> Batch:
        """A batch of one item: a part of item `index` along one of its axes."""
        data = [cut(self.data[index], where, along)]
        mask = None if self.mask is None else [cut(self.mask[index], where, along)]
        own = self.marked(index)
        return replace(
            self,
            data=data,
            mask=mask,
            marks=None if own is None else [own.cut(where, along)],
            context=self.about(index),
            each=(),
            offsets=self.offsets[index : index + 1],
        )

    def place(self, index: int, where: Sequence[slice]) -> Batch:
        """A batch of one item: a part of item `index`, with a slice for each axis of space."""
        part = self.piece(index, slice(None))
        for axis, along in enumerate(where, 1):
            part = part.piece(0, along, axis)
        return part

    def cropped(self, where: Callable[[Sequence[int]], Sequence[slice]]) -> Batch:
        """A part of every item; `where` takes its shape `S`, and returns a slice for each axis."""
        known = self.marks

        def part(x: np.ndarray) -> np.ndarray:
            return x[:, *where(x.shape[1:])]

        def own(index: int) -> Marks | None:
            marks = known and known[index]
            for axis, place in enumerate(where(np.shape(self.data[index])[1:]), 1):
                marks = marks and marks.cut(place, axis)
            return marks or None

        mask = None if self.mask is None else [part(x) for x in self.mask]
        marks = None if known is None else Later(len(known), own)
        return replace(self, data=[part(x) for x in self.data], mask=mask, marks=marks)

    def channelwise(self) -> Batch:
        """The same with every channel as a separate item ``(1, *S)``, in order."""
        mask = None if self.mask is None else _apart(self.mask)
        counts = [len(item) for item in self.data]
        each = [about for n, about in zip(counts, self.each, strict=False) for _ in range(n)]
        offsets = [low for n, low in zip(counts, self.offsets, strict=False) for _ in range(n)]
        marks: Sequence[Marks | None] | None = None
        if (known := self.marks) is not None:
            at = [(i, c) for i, n in enumerate(counts) for c in range(n)]
            marks = Later(len(at), lambda k: (own := known[at[k][0]]) and own.channel(at[k][1]))
        return replace(
            self, data=_apart(self.data), mask=mask, marks=marks, each=each, offsets=offsets
        )


def cut(x: np.ndarray, where: slice, along: int = -1) -> np.ndarray:
    """The part `where` of an array along one of its axes, as a view."""
    part: np.ndarray = x[(*(slice(None),) * (along % x.ndim), where)]
    return part


def _apart(items: np.ndarray | Sequence[np.ndarray]) -> list[np.ndarray]:
    return [channel[None] for item in items for channel in item]
