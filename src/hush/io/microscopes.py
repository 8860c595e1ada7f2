"""What the readers of microscopes' own formats share: axes as OME has them, and metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from hush.errors import HushError
from hush.record import Record

ORDER = "TZCYXS"


def record(
    data: np.ndarray,
    axes: Sequence[str],
    meta: Mapping[str, Any],
    mask: np.ndarray | None = None,
    bits: int = 0,
) -> Record:
    """A record with the axes T, Z, C, Y, X and S, in this order, of those that the data have.

    axes : names of the data's axes. Further ones, such as positions, become points in time, one
    after the other, with a note; those of length 1 are left out. mask : as `Record.mask`, of the
    data's shape. bits : that values have, if fewer than those that are stored; 0 if unknown.

    Raises
    ------
    HushError
        If there is no axis X or Y.
    """
    if not {"Y", "X"} <= set(axes):
        raise HushError(f"holds no image: its axes are {', '.join(axes)}")
    names = list(axes)
    if "S" in names and data.shape[names.index("S")] not in (3, 4) and "C" not in names:
        names[names.index("S")] = "C"
    kept = [i for i, n in enumerate(names) if data.shape[i] > 1 or n in "YX"]
    others = [i for i in kept if names[i] not in ORDER]
    known = [names.index(a) for a in ORDER if a in names and names.index(a) in kept]
    letters = "".join(names[i] for i in known)
    if others and "T" not in letters:
        letters = f"T{letters}"
    order = [*others, *known, *(i for i in range(data.ndim) if i not in kept)]
    folded = len(others) + (1 if others and "T" in (names[i] for i in known) else 0)

    def laid(x: np.ndarray) -> np.ndarray:
        x = x.transpose(order).reshape([x.shape[i] for i in [*others, *known]])
        return x.reshape(prod(x.shape[:folded]), *x.shape[folded:]) if others else x

    notes = list(meta.get("notes", ()))
    if others:
        what = " and ".join(names[i] for i in others)
        notes.append(f"Images along the file's axis {what} are treated as points in time.")
    made, full = laid(data), None
    if 0 < bits < 8 * made.dtype.itemsize and made.dtype.kind == "u":
        full = 2.0**bits - 1 if float(made.max(initial=0)) < 2**bits else None
    about = {**meta, **({"notes": notes} if notes else {})}
    return Record(made, letters, meta=about, full=full, mask=None if mask is None else laid(mask))


def sizes(x: float, y: float, z: float = 0.0) -> dict[str, Any]:
    """Metadata of the sides of a voxel in metres; those that are not known are 0 or NaN."""
    meta: dict[str, Any] = {}
    if 0 < x < np.inf and 0 < y < np.inf:
        meta["resolution"] = (1 / x, 1 / y)
    if 0 < z < np.inf:
        meta["depth"] = z
    return meta


def channels(names: Sequence[str], colours: Sequence[str] = ()) -> dict[str, Any]:
    """Metadata of channels: names, and colours as hexadecimal RRGGBB, if all have some."""
    meta: dict[str, Any] = {}
    if any(names):
        meta["channels"] = tuple(names)
    if colours and all(len(c) == 6 for c in colours):
        meta["colours"] = tuple(c.upper() for c in colours)
    return meta
