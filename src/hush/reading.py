"""What users give, as records: files, arrays, lists, and objects of other packages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from hush import io, kinds
from hush.errors import HushError
from hush.foreign import Foreign
from hush.kinds.arrays import held, recorded, renamed
from hush.kinds.layout import check_dtype
from hush.missing import exactly
from hush.record import Record

Source = np.ndarray | Sequence[Any] | Record | str | PathLike[str]


def read(
    path: str | PathLike[str],
    *,
    kind: str | None = None,
    axes: str | None = None,
    context: Mapping[str, Any] | None = None,
    nodata: Sequence[float] | None = None,
) -> Record:
    """Read a file as a record of its kind of data.

    The kind is `kind` if given; otherwise that of the file format, of the arrays in an .npz file,
    or of the options in `context`; otherwise an image. `context` is added to the record's.
    `nodata`: stored values that mark missing ones, instead of those that the file states; without
    any, no value does, and none is looked for.
    Raises `HushError` with one sentence that names the file.
    """
    if found := _kind_by_keys(Path(path), kind):
        with io.decoding(Path(path), "NumPy archive "):
            arrays = io.array.read_all(Path(path))
            record = io.array.with_arrays(kinds.get(found).from_arrays(arrays), arrays)
            io.check_samples(record)
        record = replace(record, source=Path(path))
        kind, axes = found, axes or record.axes
    else:
        record = io.read(path, kind, context)
    fmt = io.format_of(record)
    open_kind = fmt is None or fmt.kind is None
    if open_kind and "layout" in record.context:  # an archive that states a rate
        open_kind = kind is not None and kinds.get(kind).name != record.kind
    name = kind or (_kind_by_options(context or {}) or "image" if open_kind else record.kind)
    chosen = kinds.get(name)
    held = kinds.get(record.kind)
    if held.selected and fmt is not None and not fmt.holds(chosen.name) and not chosen.selected:
        raise HushError(
            f"{path}: {fmt.name} files hold {held.nouns[1]}, not {chosen.nouns[1]}; leave --kind "
            "out"
        )
    if strange := sorted((context or {}).keys() - _names(chosen)):
        raise HushError(f"{path}: {chosen.nouns[1]} have no --{strange[0]}; leave it out")
    for option in (context or {}).keys() & chosen.options.keys():
        if chosen.options[option].reader and option not in (fmt.takes if fmt else ()):
            raise HushError(f"{path}: this format takes no --{option}; leave it out")
    letters = axes.upper() if axes else None
    if letters is None and (open_kind or chosen.selected) and chosen.name != record.kind:
        with io.decoding(Path(path)):
            record = chosen.adopted(record)
    letters = letters or renamed(record.axes, chosen)
    if not letters.isalpha() or len(set(letters)) < len(letters):
        raise HushError(f"axes need a different letter for each dimension, not {axes}")
    record = replace(
        record,
        kind=chosen.name,
        axes=letters,
        context={**record.context, **(context or {})},
        full=chosen.full(record.data) if record.full is None else record.full,
    )
    with io.decoding(Path(path)):
        chosen.check(record)
    if nodata is None:
        return record
    if chosen.selected:
        raise HushError(f"{path}: {chosen.nouns[1]} have no missing values; leave --nodata out")
    return _marked(record, nodata)


def _marked(record: Record, values: Sequence[float]) -> Record:
    """The record with the values that mark missing ones as the user states them.

    Of interleaved colours, all have to have the value. ``meta["notes"]`` says what contradicts.
    """
    dtype, joint = record.data.dtype, "S" in record.axes
    marks = {value: exactly(value, dtype) for value in values if not math.isnan(value)}
    stated = tuple(replace(mark, joint=joint) for mark in marks.values() if mark)
    notes = [
        f"No {dtype} value is {value:.10g}, so --nodata {value:.10g} marks nothing."
        for value, mark in marks.items()
        if mark is None
    ]
    spans = [(mark.low, mark.high) for mark in stated]
    if own := [mark for mark in record.missing if (mark.low, mark.high) not in spans]:
        listed = ", ".join(
            f"{m.low:.6g}" if m.low == m.high else f"{m.low:.6g} to {m.high:.6g}" for m in own
        )
        notes.append(
            f"The file says that {listed} marks missing values, but --nodata does not name it, so "
            "it counts as data."
        )
    meta = (
        {**record.meta, "notes": [*record.meta.get("notes", ()), *notes]} if notes else record.meta
    )
    return replace(record, missing=stated, marks=None if values else (), meta=meta)


def _kind_by_keys(path: Path, kind: str | None) -> str | None:
    """The kind of data with `keys` that an .npz file has; of all kinds, or `kind` alone."""
    having = set(io.array.names_in(path)) if path.suffix.lower() == ".npz" else set()
    if not having:
        return None
    every = [kinds.get(name) for name in ([kind] if kind else kinds.KINDS)]
    return next((k.name for k in every if k.keys and k.keys <= having), None)


def _kind_by_options(context: Mapping[str, Any]) -> str | None:
    """The first kind of data that has options with these names; None if none has."""
    if not context:
        return None
    having = [name for name in kinds.KINDS if context.keys() <= _names(kinds.get(name))]
    return having[0] if having else None


def _names(kind: kinds.Kind) -> frozenset[str]:
    """What `context` may hold for a kind of data."""
    return kind.told | kind.options.keys()


def record_of(
    x: Source | Foreign,
    axes: str | None = None,
    kind: str | None = None,
    context: Mapping[str, Any] | None = None,
) -> Record:
    """A Record of an array, list, path or MNE `Raw`, or of an array of another package
    (`hush.foreign`); 64-bit integers get the range they use.

    Missing values are marked, also those that are found by their values (`Kind.marked`).
    """
    record = _record_of(x, axes, kind, context)
    return kinds.get(record.kind).marked(record)


def _record_of(
    x: Source | Foreign, axes: str | None, kind: str | None, context: Mapping[str, Any] | None
) -> Record:
    """The same, not marked."""
    if io.mne.is_raw(x):
        return _record_of(io.mne.from_raw(x), axes, kind, context)
    if isinstance(x, Record):
        chosen = kinds.get(kind or x.kind)
        if chosen.selected and chosen.name != x.kind:
            x = chosen.adopted(x)
        both = {**x.context, **_known_to(chosen, context)}
        made = replace(x, axes=axes or x.axes, kind=chosen.name, context=both)
        if (made.axes, made.kind) == (x.axes, x.kind) and _equal(both, x.context):
            return made
        return replace(made, marks=None if x.sought else (), limits=None)
    if isinstance(x, str | PathLike):
        return read(x, kind=kind, axes=axes, context=context)
    if kind and (record := kinds.get(kind).from_objects(x)) is not None:
        return _record_of(record, None, None, context)
    own = held(x)
    chosen = kinds.get(kind or _kind_by_options(context or {}) or own.kind or "image")
    told = _known_to(chosen, context)
    if chosen.selected and axes is None:
        check_dtype(own.data)
        data, letters = own.data, io.array.array_axes(own.data.shape)
        record = chosen.adopted(Record(data, letters, mask=own.mask))
        return replace(
            record,
            kind=chosen.name,
            full=chosen.full(record.data),
            context={**record.context, **told},
        )
    return recorded(own, chosen, axes, told)


def _equal(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two contexts say the same; their values may be arrays."""
    return one.keys() == other.keys() and all(
        one[k] is other[k] or np.array_equal(one[k], other[k]) for k in one
    )


def _known_to(kind: kinds.Kind, context: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The options, if this kind has them all; `HushError` otherwise."""
    if strange := sorted((context or {}).keys() - _names(kind)):
        raise HushError(f"{kind.nouns[1]} have no {strange[0]}; leave it out")
    return context or {}


def matched(x1: Any, x2: Any) -> np.ndarray:
    """Points of two pictures ``(N, 2)``, or ``(N, 1, 2)`` as OpenCV has them, as ``(N, 4)``."""
    both = [
        np.ma.filled(np.ma.asarray(x, np.float64), np.nan) if np.ma.isMA(x) else np.asarray(x)
        for x in (x1, x2)
    ]
    one, two = (x[:, 0] if x.ndim == 3 and x.shape[1] == 1 else x for x in both)
    if one.ndim != 2 or one.shape != two.shape or one.shape[1] != 2:
        raise HushError(
            f"matches are two arrays (N, 2), a row a match, not {both[0].shape} and {both[1].shape}"
        )
    return np.concatenate([one, two], axis=1)
