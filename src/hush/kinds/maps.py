"""Maps beside a result: what was removed, and the standard deviation of the noise, place by place.

Both are float32 records in the units of the noisy data, with its layout and its pixel size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from os import PathLike
from types import MappingProxyType
from typing import Any

import numpy as np

from hush import io
from hush.errors import HushError
from hush.kinds import get
from hush.noise.processes import Process
from hush.noise.units import fit
from hush.record import Record
from hush.recording import let_go
from hush.results import Denoised, Item

PIECE = 2**22  #: values that are subtracted at once
#: metadata of the noisy file that its maps keep
KEPT = frozenset({"resolution"})
#: what says which stored value is zero: not of levels and differences
ORIGINS = ("zero", "intercept")


def check(record: Record) -> None:
    """Raise `HushError` for data of a kind that has no maps."""
    kind = get(record.kind)
    if kind.selected:
        raise HushError(
            f"methods keep or leave out the {kind.element}s of {kind.nouns[1]} and never change "
            "them, so there is no residual and no map of the noise"
        )


def like(record: Record, data: np.ndarray, **changes: Any) -> Record:
    """A map with the layout and units of a record; of the metadata only `KEPT` stays, and of the
    context all but `ORIGINS`."""
    meta = {k: v for k, v in record.meta.items() if k in KEPT}
    context = {k: v for k, v in record.context.items() if k not in ORIGINS}
    made = replace(record, data=data, meta=meta, context=context, full=record.scale, limits=None)
    return replace(made, **changes)


def spread(record: Record, items: Sequence[np.ndarray]) -> Record:
    """The spread of items like those of a record, and 0 in what is no item, such as other channels
    than those that were chosen."""
    none = np.broadcast_to(np.zeros((), np.float32), record.data.shape)
    return like(record, get(record.kind).record(replace(record, data=none), items).data)


def mean(values: Record) -> float:
    """The mean of the finite values in the items of a record; NaN if there are none."""
    total, count = 0.0, 0
    for item in get(values.kind).batch(values).data:
        known = np.isfinite(item)
        total += float(np.sum(item, where=known, dtype=np.float64))
        count += int(known.sum())
        let_go(item)
    return total / count if count else float("nan")


def residual(result: Denoised, into: np.ndarray | None = None) -> Record:
    """The noisy data minus the result, float32, of the same shape.

    into : the array to use, such as one in a file. `HushError` for results of another shape.
    """
    noisy, clean = result.noisy, result.record
    check(noisy)
    if noisy.data.shape != clean.data.shape:
        raise HushError(
            f"{result.method} leaves elements out, so there is no residual of the data's shape"
        )
    out = np.empty(noisy.data.shape, np.float32) if into is None else into
    rows = max(1, PIECE // max(1, prod(out.shape[1:])))
    for start in range(0, len(out), rows):
        part = slice(start, start + rows)
        with np.errstate(invalid="ignore"):  # infinite values stay as they are
            out[part] = noisy.data[part].astype(np.float64) - clean.data[part]
        for mapped in (noisy.data, clean.data, out):
            let_go(mapped)
    return like(noisy, out)


def sigma_map(result: Denoised, into: np.ndarray | None = None) -> Record:
    """The standard deviation of the noise in every place, float32.

    Of Rician noise it is that of the real and the imaginary part. Of noise that depends on the
    signal it is taken at the result. It is 0 where values are missing. The volumes of a series
    share one map, the rms of theirs.

    into : the array to use. `HushError` if the noise has no level in every place.
    """
    noisy, kind = result.noisy, get(result.noisy.kind)
    check(noisy)
    if noisy.data.shape != result.record.data.shape:
        raise HushError(f"{result.method} leaves elements out, so there is no map of the noise")
    if not all(_noise(result, item).stated for item in result.items):
        raise HushError("what was removed is interference, which has no level in every place")
    template = blank(noisy, "sigma_map")
    out = np.zeros(template.data.shape, np.float32) if into is None else into
    record, clean, before = (
        replace(template, data=out),
        kind.batch(result.record),
        kind.batch(noisy),
    )
    shared = template.axes != noisy.axes
    places: Any = kind.batch(record).data
    views = all(np.shares_memory(place, out) for place in places)
    if not views:  # an axis order in which items are not parts of the array
        places = [np.zeros(np.shape(place), np.float32) for place in places]
    for item in result.items:
        x, where = clean.data[item.index], slice(None)
        if item.channel is not None:
            where = slice(item.channel, item.channel + 1)
            x = x[where]
        known = before.known(item.index)[where]
        x = x if known.all() else np.where(known, x, x.dtype.type(0))
        variance = noisy.scale**2 * variances(_noise(result, item), x, noisy.scale) * known
        if shared:
            places[item.index][0] += variance.sum(axis=0) / len(clean.data[item.index])
        else:
            places[item.index][where] = np.sqrt(variance)
        let_go(out)
    if not views:
        out[...] = kind.record(record, places).data
    return replace(record, data=np.sqrt(out, out=out)) if shared else record


def variances(noise: Process, x: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """The variance of an item's noise in units of full range, ``(C, *S)``.

    x : the clean item as stored; scale : the stored value that means full range.
    """
    if noise.terms == (0,) and hasattr(noise, "sigma"):
        return np.broadcast_to(np.square(fit(noise.sigma, x)), x.shape)
    return np.maximum(np.asarray(noise.variance(x.astype(np.float32) / np.float32(scale))), 0)


def _noise(result: Denoised, item: Item) -> Process:
    """The noise of an item with its level in every place, if it varies."""
    if result.given:
        return item.process
    return item.found.each(len(get(result.noisy.kind).letters))


#: the maps by their names in ``--json``, and how each is made
MAPS: Mapping[str, Callable[..., Record]] = MappingProxyType(
    {"residual": residual, "sigma_map": sigma_map}
)


def blank(record: Record, name: str) -> Record:
    """A record like one of the `MAPS` of a noisy record, without memory for its values."""
    if name == "sigma_map":
        record = get(record.kind).leveled(record)
    return like(record, np.broadcast_to(np.zeros((), np.float32), record.data.shape))


def write(result: Denoised, name: str, path: str | PathLike[str]) -> None:
    """Write one of the `MAPS`, or the spread, to a file; in place in formats that allow it."""
    if name == "uncertainty":
        if result.spread is not None:
            io.write(result.spread, path)
        return
    with io.opened(blank(result.noisy, name), path) as file:
        if file is not None:
            MAPS[name](result, file)
    if file is None:
        io.write(MAPS[name](result), path)
