"""OME-Zarr metadata: the axes of an image, its lower resolutions, and the size of a voxel.

Written by hand to the specification, versions 0.1 to 0.5 (https://ngff.openmicroscopy.org): an
image is a group whose attribute ``multiscales`` lists arrays, the highest resolution first, and
from version 0.4 on the length of an element along each axis.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hush.record import Record

#: millimetres in the units of length that files name
MILLIMETRES = {
    "meter": 1e3,
    "centimeter": 10.0,
    "millimeter": 1.0,
    "micrometer": 1e-3,
    "nanometer": 1e-6,
    "angstrom": 1e-7,
    "picometer": 1e-9,
    "inch": 25.4,
    "m": 1e3,
    "cm": 10.0,
    "mm": 1.0,
    "um": 1e-3,
    "µm": 1e-3,
    "nm": 1e-6,
}
#: axis letters by the names that files give their dimensions
LETTERS = {
    **dict.fromkeys(("t", "time", "frame", "frames"), "T"),
    **dict.fromkeys(("c", "channel", "channels", "volume", "volumes", "dwi", "direction"), "C"),
    **dict.fromkeys(("z", "slice", "slices", "depth", "plane"), "Z"),
    **dict.fromkeys(("y", "row", "rows", "height"), "Y"),
    **dict.fromkeys(("x", "column", "columns", "width"), "X"),
}
#: what attributes may say about a series (`hush.kinds.volume`), and its shape; None: any number
SHAPES: Mapping[str, tuple[int | None, ...]] = {
    "bvals": (None,),
    "bvecs": (None, 3),
    "affine": (4, 4),
    "zero": (),
}
VERSION = "0.5"
MOST = 5  #: axes of an OME-Zarr array


def images_of(attributes: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The first of a group's ``multiscales``; None if it has none."""
    inner = attributes.get("ome")
    found = (inner if isinstance(inner, dict) else attributes).get("multiscales")
    first = found[0] if isinstance(found, list) and found else None
    return first if isinstance(first, dict) and levels(first) else None


def levels(image: Mapping[str, Any]) -> list[str]:
    """The paths of an image's resolutions in its group, the highest first."""
    return [d["path"].strip("/") for d in _datasets(image) if isinstance(d.get("path"), str)]


def axis_names(image: Mapping[str, Any], ndim: int) -> list[str]:
    """The names of an image's axes; versions 0.1 and 0.2 have five."""
    stated = image.get("axes")
    if not isinstance(stated, list):
        return list("tczyx")[-ndim:] if ndim <= MOST else []
    return [str(a.get("name", "")) if isinstance(a, dict) else str(a) for a in stated]


def letters_of(names: Sequence[Any]) -> str | None:
    """Axis letters for the names of dimensions; None if they say nothing, or one twice."""
    found = [LETTERS.get(str(name).lower()) for name in names]
    known = [letter for letter in found if letter is not None]
    if len(known) < len(found) or len(set(known)) < len(known) or not {"Y", "X"} <= set(known):
        return None
    return "".join(known)


def spacing_of(image: Mapping[str, Any], level: str, axes: str) -> tuple[float, ...] | None:
    """The size of a voxel along Z, Y and X in mm; None if it is not stated.

    Lengths without a unit are millimetres.
    """
    scale = scale_of(image, level, len(axes))
    if scale is None or not {"Z", "Y", "X"} <= set(axes):
        return None
    units = [
        a.get("unit") if isinstance(a, dict) else None for a in image.get("axes") or [None] * MOST
    ]
    where = [axes.index(letter) for letter in "ZYX"]
    return tuple(float(scale[i]) * MILLIMETRES.get(str(units[i]).lower(), 1.0) for i in where)


def scale_of(image: Mapping[str, Any], level: str, ndim: int) -> np.ndarray | None:
    """The length of an element of a resolution along each axis; None if it is not stated."""
    own = next((d for d in _datasets(image) if d.get("path", "").strip("/") == level), {})
    scale: np.ndarray | None = None
    for holder in (own, image):
        for step in holder.get("coordinateTransformations") or ():
            factors = step.get("scale") if isinstance(step, dict) else None
            if isinstance(factors, list) and len(factors) == ndim:
                scale = np.asarray(factors, np.float64) * (1.0 if scale is None else scale)
    return scale


def kept(attributes: Mapping[str, Any], paths: Sequence[str]) -> dict[str, Any]:
    """A group's attributes with only these resolutions of its image, now means of blocks."""
    image = images_of(attributes)
    assert image is not None
    made = {
        **image,
        "datasets": [d for d in _datasets(image) if d.get("path", "").strip("/") in paths],
    }
    if len(paths) > 1:
        made |= {"type": "mean"} if "type" in made else {}
        made.pop("metadata", None)  # how the lower resolutions were computed before
    inner = attributes.get("ome")
    if isinstance(inner, dict):
        return {**attributes, "ome": {**inner, "multiscales": [made]}}
    return {**attributes, "multiscales": [made]}


def order(axes: str) -> list[int] | None:
    """The positions of a record's axes as an image has them, time first, then channels, then space.

    None if there are more than an image can have.
    """
    space = [axes.index(a) for a in "ZYX" if a in axes]
    channel = [axes.index(a) for a in "SC" if a in axes]
    rest = [i for i in range(len(axes)) if i not in space + channel]
    if len(rest) > 1 or len(channel) > 1 or len(space) < 2:
        return None
    return [*rest, *channel, *space]


def attributes_for(record: Record, axes: Sequence[int], name: str) -> dict[str, Any]:
    """The attributes of a new group for a record whose axes come in this order."""
    letters = [record.axes[i] for i in axes]
    sizes, unit = _sizes(record)
    described: list[dict[str, str]] = []
    scale = []
    for letter in letters:
        if letter in "ZYX":
            described.append(
                {"name": letter.lower(), "type": "space"}
                | ({"unit": unit} if letter in sizes else {})
            )
            scale.append(sizes.get(letter, 1.0))
        else:
            what = {"S": "c", "C": "c"}.get(letter, "t")
            about = {"name": what, "type": "channel" if what == "c" else "time"}
            interval = record.meta.get("interval") if what == "t" else None
            described.append(about | ({"unit": "second"} if interval else {}))
            scale.append(float(interval or 1.0))
    image = {
        "name": name,
        "axes": described,
        "datasets": [
            {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}
        ],
    }
    context = {
        key: np.asarray(record.context[key], np.float64)
        for key in SHAPES
        if record.context.get(key) is not None
    }
    told = {key: np.where(np.isfinite(x), x, 0.0).tolist() for key, x in context.items()}
    made: dict[str, Any] = {"version": VERSION, "multiscales": [image]}
    if channels := _channels(record):
        made["omero"] = {"channels": channels}
    return {"ome": made, **told}


def _sizes(record: Record) -> tuple[dict[str, float], str]:
    """The length of an element along Z, Y and X, where it is known, and the unit: millimetres for
    volumes (`Record.context`), micrometres for images (`hush.io`)."""
    spacing = record.context.get("spacing")
    if spacing is not None:
        return {a: float(n) for a, n in zip("ZYX", spacing, strict=True)}, "millimeter"
    sizes = {a: 1e6 / n for a, n in zip("XY", record.meta.get("resolution", ()), strict=False)}
    if "depth" in record.meta:
        sizes["Z"] = 1e6 * record.meta["depth"]
    return sizes, "micrometer"


def _channels(record: Record) -> list[dict[str, Any]]:
    """What viewers are told about channels: names and colours, if they are known."""
    names, colours = (record.meta.get(key, ()) for key in ("channels", "colours"))
    count = record.data.shape[record.axes.index("C")] if "C" in record.axes else 1
    if count not in (len(names), len(colours)) or "S" in record.axes:
        return []
    full = record.scale
    window = {"min": 0.0, "max": full, "start": 0.0, "end": full}
    return [
        {
            **({"label": names[i]} if len(names) == count else {}),
            "color": colours[i] if len(colours) == count else "FFFFFF",
            "window": window,
            "active": True,
        }
        for i in range(count)
    ]


def about(attributes: Mapping[str, Any], level: str, axes: str) -> dict[str, Any]:
    """What an image's metadata say that other formats hold, too (`hush.io`).

    level : of the resolution that was read; axes : its letters, as in the metadata.
    """
    image = images_of(attributes)
    scale = None if image is None else scale_of(image, level, len(axes))
    meta: dict[str, Any] = {}
    if image is not None and scale is not None:
        stated = [
            str(a.get("unit") or "").lower() if isinstance(a, dict) else ""
            for a in image.get("axes") or [""] * len(axes)
        ]
        size = {
            a: float(n) * MILLIMETRES[unit] / 1e3
            for a, n, unit in zip(axes, scale, stated, strict=False)
            if unit in MILLIMETRES and 0 < n < np.inf
        }
        if "X" in size and "Y" in size:
            meta["resolution"] = (1 / size["X"], 1 / size["Y"])
        if "Z" in size:
            meta["depth"] = size["Z"]
        seconds = {"second": 1.0, "millisecond": 1e-3, "minute": 60.0, "hour": 3600.0}
        if "T" in axes and (unit := seconds.get(stated[axes.index("T")])):
            meta["interval"] = float(scale[axes.index("T")]) * unit
    inner = attributes.get("ome")
    shown = (inner if isinstance(inner, dict) else attributes).get("omero")
    channels = shown.get("channels") if isinstance(shown, dict) else None
    if isinstance(channels, list) and all(isinstance(c, dict) for c in channels):
        names = tuple(str(c.get("label", "")) for c in channels)
        colours = tuple(str(c.get("color", "FFFFFF")).upper()[:6] for c in channels)
        meta |= {"channels": names} if any(names) else {}
        hexadecimal = set("0123456789ABCDEF")
        meta |= (
            {"colours": colours}
            if all(set(c) <= hexadecimal and len(c) == 6 for c in colours) and colours
            else {}
        )
    return meta


def context_of(attributes: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    """What some attributes say about a series; of those with one name, the first counts."""
    for key, shape in SHAPES.items():
        for one in attributes:
            try:
                value = np.asarray(one.get(key), np.float64)
            except (TypeError, ValueError):
                continue
            if key == "bvecs" and value.ndim == 2 and value.shape[1] != 3:
                value = value.T
            pairs = zip(value.shape, shape, strict=False)
            fits = value.ndim == len(shape) and all(m in (None, n) for n, m in pairs)
            if fits and np.isfinite(value).all():
                yield key, float(value) if key == "zero" else value
                break


def _datasets(image: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = image.get("datasets")
    return [d for d in found if isinstance(d, dict)] if isinstance(found, list) else []
