"""How close a result is to a reference, by the scores of its kind of data, and on which range.

PSNR and SSIM depend on the range of the data, and every figure says which was taken: 255 for 8
bits, 1 for floats within [0, 1], as is usual for photographs, with values clipped to it; otherwise
what the reference spans, as in scikit-image, because no camera fills 16 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from hush import kinds
from hush.errors import HushError
from hush.metrics import Range, extent, fit_gain_offset, mean_score
from hush.record import Batch, Record, full_range

#: the range of values to take: its width in the reference's units, or that of the type
Stated = float | Literal["dtype"]


@dataclass(frozen=True)
class Scores:
    """How close a result is: `values` by name, and the mean absolute `error`, if values change.

    span : the range that PSNR and SSIM took, in the reference's units; None if no score has one.
    gain, offset : fitted to the result first, in units of the reference.
    """

    values: Mapping[str, float]
    error: float | None
    span: Range | None
    gain: float = 1.0
    offset: float = 0.0


def scored(
    result: Record, reference: Record, stated: Stated | None = None, fit: bool = False
) -> Scores:
    """The scores of a result, each the mean over items.

    stated : the range to take. fit : fit the result's gain and offset to the reference first.
    Raises `HushError` for data of unlike shapes.
    """
    kind = kinds.get(reference.kind)
    result = replace(result, axes=reference.axes, kind=reference.kind)
    if result.data.shape != reference.data.shape and not kind.selected:
        raise HushError(
            f"compare data of the same shape, not {result.data.shape} and {reference.data.shape}"
        )
    mine, theirs = (_without_missing(kind, record) for record in (result, reference))
    span = _range(kind, theirs, stated)
    own = 1.0 if _same_units(kind, mine, theirs, stated) else reference.scale / result.scale
    a = [own * x for x in _items(kind.batch(result))]
    b = _items(kind.batch(reference))
    gain, offset = 1.0, 0.0
    if fit:
        gain, offset = fit_gain_offset(*(np.concatenate([x.ravel() for x in y]) for y in (a, b)))
        a = [gain * x + offset for x in a]
    values = [kind.scores(*_scaled(x, y, span)) for x, y in zip(a, b, strict=True)]
    means = {name: mean_score([row[name] for row in values]) for name in values[0]}
    error = None
    if not kind.selected:
        errors = np.concatenate([np.abs(x - y).ravel() for x, y in zip(a, b, strict=True)])
        error = mean_score(errors[np.isfinite(errors)])
    return Scores(means, error, span, gain, offset)


def _range(kind: kinds.Kind, reference: Record, stated: Stated | None) -> Range | None:
    """The range that the kind's scores take; None if they take none."""
    found = kind.extent(reference)
    if found is None:
        if stated is not None:
            raise HushError(f"scores of {kind.nouns[1]} do not depend on a range; leave it out")
        return None
    if stated == "dtype":
        top = full_range(reference.data.dtype)
        return Range(0.0, top, f"that of {reference.data.dtype.name}", clipped=True)
    if stated is None:
        return found
    if not np.isfinite(stated) or stated <= 0:
        raise HushError(f"the range of values is a number above 0, or 'dtype', not {stated!r}")
    own = extent(reference.data)
    inside = own.low >= 0 and own.high <= stated
    return Range(0.0, float(stated), "as stated", clipped=inside)


def _same_units(kind: kinds.Kind, result: Record, reference: Record, stated: Stated | None) -> bool:
    """Whether both are in one unit, though of unlike types; else each is relative to its type's.

    A format may not keep what full range is, and levels and counts do not depend on the type.
    """
    if result.data.dtype == reference.data.dtype or kind.levels or kind.selected:
        return True
    if kind.extent(reference) is None or isinstance(stated, float | int):
        return True
    if not extent(reference.data).clipped:
        return result.data.dtype.kind != "f" or not extent(result.data).clipped
    return result.data.dtype.kind == "f" and not extent(result.data).clipped


def _without_missing(kind: kinds.Kind, record: Record) -> Record:
    """A record with any known value in place of its missing ones, whose values span nothing."""
    if kind.selected:
        return record
    batch, items = kind.batch(record), []
    for i, x in enumerate(batch.data):
        known = batch.known(i)
        items.append(x if known.all() or not known.any() else np.where(known, x, x[known][0]))
    if all(item is x for item, x in zip(items, batch.data, strict=True)):
        return record
    return kind.record(record, items)


def _items(batch: Batch) -> list[np.ndarray]:
    """Items as float64, NaN for unknown values."""
    return [
        np.where(batch.known(i), x.astype(np.float64), np.nan) for i, x in enumerate(batch.data)
    ]


def _scaled(a: np.ndarray, b: np.ndarray, span: Range | None) -> tuple[np.ndarray, np.ndarray]:
    """Both items on a scale where the range has the width 1, clipped if it is that of a type."""
    if span is None:
        return a, b
    a, b = a / span.width, b / span.width
    return (np.clip(a, 0, 1), np.clip(b, 0, 1)) if span.clipped else (a, b)
