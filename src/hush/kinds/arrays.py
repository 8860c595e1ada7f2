"""Arrays, lists and objects of other packages as records of a kind of data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hush.errors import HushError
from hush.foreign import Foreign, taken
from hush.kinds import Kind
from hush.kinds.layout import check_dtype
from hush.record import UNKNOWN, Record, channel_letter, full_range


def held(x: Any) -> Foreign:
    """What an array, a list or an object of another package holds; `HushError` for others."""
    if isinstance(x, Foreign):
        return x
    if (own := taken(x)) is not None:
        return own
    try:
        data = np.asarray(x)
    except (ValueError, TypeError) as error:
        raise HushError(f"this is not an array of numbers ({error})") from error
    if data.ndim == 0 and data.dtype.kind == "O":
        raise HushError(f"this is a {type(x).__name__}, not an array of numbers")
    return Foreign(data)


def recorded(
    own: Foreign,
    kind: Kind,
    axes: str | None = None,
    context: Mapping[str, Any] | None = None,
) -> Record:
    """An array as a record of a kind of data; 64-bit integers get the range they use.

    axes : a letter for each dimension; by default by their names, or as the kind says.
    """
    data = own.data
    if data.dtype.kind in "US":
        raise HushError("this is text; for rows of an alignment, state kind='alignment'")
    check_dtype(data)
    known = own.context if own.kind == kind.name else {}
    return Record(
        data,
        axes or _named(own, kind) or kind.axes(data.shape),
        kind=kind.name,
        full=kind.full(data),
        mask=own.mask,
        context={**known, **(context or {})},
    )


def full_of(data: Any, kind: Kind) -> float:
    """The full range of the first of the data for a training: a record, or a list of any."""
    first = data if isinstance(data, Record) else data[0]
    if isinstance(first, Record):
        return first.scale
    values = held(first).data
    return kind.full(values) or full_range(values.dtype)


def _named(own: Foreign, kind: Kind) -> str | None:
    """Axes by the names that an object of another package has, if they have those of the kind."""
    axes = None if own.axes is None else renamed(own.axes, kind)
    return axes if axes and set(kind.letters) <= set(axes) else None


def renamed(axes: str, kind: Kind) -> str:
    """Axes in which one of unknown meaning, or of time, is the only one that the kind misses.

    A stack of planes without a name is the slices of a volume; another stack is its channels.
    """
    missing = [a for a in kind.letters if a not in axes]
    free = [a for a in axes if a in UNKNOWN + "T" and a not in kind.letters]
    if len(missing) != 1 or len(kind.letters) == 1 or not free:
        return axes
    axes = axes.replace(free.pop(), missing[0])
    return axes.replace(free.pop(), "C") if free and not channel_letter(axes) else axes
