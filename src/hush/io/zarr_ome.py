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
    spacing = record.context.get("spacing")
    described: list[dict[str, str]] = []
    scale = []
    for letter in letters:
        if letter in "ZYX":
            unit = {"unit": "millimeter"} if spacing is not None else {}
            described.append({"name": letter.lower(), "type": "space", **unit})
            scale.append(1.0 if spacing is None else float(spacing["ZYX".index(letter)]))
        else:
            what = {"S": "c", "C": "c"}.get(letter, "t")
            described.append({"name": what, "type": "channel" if what == "c" else "time"})
            scale.append(1.0)
    image = {
        "name": name,
        "axes": described,
        "datasets": [
            {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}
        ],
    }
    context = {
        key: np.asarray(record.context[key], np.float64)
        for key in ("bvals", "bvecs", "affine")
        if record.context.get(key) is not None
    }
    told = {key: np.where(np.isfinite(x), x, 0.0).tolist() for key, x in context.items()}
    return {"ome": {"version": VERSION, "multiscales": [image]}, **told}


def context_of(attributes: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    """b-values, directions and the affine matrix among attributes, those named first count."""
    for key in ("bvals", "bvecs", "affine"):
        for one in attributes:
            try:
                value = np.asarray(one.get(key), np.float64)
            except (TypeError, ValueError):
                continue
            if key == "bvecs" and value.ndim == 2 and value.shape[1] != 3:
                value = value.T
            if (
                (key == "bvals" and value.ndim == 1)
                or (key == "bvecs" and value.ndim == 2 and value.shape[1] == 3)
                or (key == "affine" and value.shape == (4, 4))
            ):
                yield key, value
                break


def _datasets(image: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = image.get("datasets")
    return [d for d in found if isinstance(d, dict)] if isinstance(found, list) else []
