"""New TIFF files, for records of other formats: OME-TIFF, ImageJ's, or tifffile's plain ones.

A plain TIFF becomes one of ImageJ if it has a scale along Z, a time step, or channels with names or
colours, and ImageJ knows its axes and type: nothing else that Fiji reads can hold them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from hush.errors import HushError
from hush.io import tiff_exif
from hush.io.exif import Exif
from hush.record import Record

#: Above this many bytes of samples, offsets may not fit in 32 bits; leaves room for the tags.
CLASSIC_LIMIT = 2**32 - 2**25

_IMAGEJ_AXES = "TZCYXS"
_IMAGEJ_TYPES = ("uint8", "uint16", "float32")
#: keys of metadata that a plain TIFF has no tags for
_MORE = ("depth", "interval", "channels", "colours")


def write(record: Record, path: Path, ome: bool) -> None:
    """Write the record with the metadata that all formats share (`hush.io`)."""
    data, axes, meta = record.data, record.axes, scaled(record)
    samples = data.shape[axes.index("S")] if "S" in axes else 1
    alpha = meta.get("alpha_samples", 0)
    options: dict[str, Any] = {"photometric": "minisblack"}
    if samples == 1 and axes.endswith("S"):  # TIFF has no axis of one sample
        data, axes = data[..., 0], axes[:-1]
    elif samples > 1 and axes.endswith(("YXS", "SYX")):
        rgb = samples - alpha == 3
        extra = samples - alpha - (3 if rgb else 1)
        options = {
            "photometric": "rgb" if rgb else "minisblack",
            "planarconfig": "contig" if axes.endswith("S") else "separate",
            "extrasamples": [0] * extra + [2] * alpha or None,
        }
    if data.dtype.kind == "u" and meta.get("bits", 64) < 8 * data.dtype.itemsize:
        options["bitspersample"] = meta["bits"]
    imagej = not ome and _for_imagej(data, axes, meta)
    description = (_ome if ome else _imagej if imagej else _plain)(data, axes, meta)
    if "resolution" in meta and axes.endswith(("YX", "YXS")):
        x, y = meta["resolution"]
        unit = {"resolutionunit": "centimeter"}
        options |= {"resolution": (x / 100, y / 100), **unit}
        if imagej:  # which counts in the unit of the scale along Z
            options |= {"resolution": (x / 1e6, y / 1e6), "resolutionunit": None}
    big = data.nbytes > CLASSIC_LIMIT
    camera = Exif.from_bytes(meta.get("exif", b""))
    directories = {} if big or imagej else camera.directories
    tags = [] if imagej else list(camera.first)
    if "icc" in meta:
        tags.append((34675, 7, len(meta["icc"]), meta["icc"]))
    kind: dict[str, Any] = {"imagej": True} if imagej else {"bigtiff": big, "ome": ome}
    if not imagej:
        kind["byteorder"] = camera.order
    try:
        with tifffile.TiffWriter(path, **kind) as out:
            out.write(
                data,
                metadata=description,
                software=False,
                extratags=[(*tag, True) for tag in tags] + tiff_exif.pointers(directories),
                **options,
            )
    except tifffile.OmeXmlError as error:
        raise HushError(f"OME-TIFF cannot hold axes {axes}; use a name ending in .tif") from error
    tiff_exif.append(path, directories)


def scaled(record: Record) -> dict[str, Any]:
    """The metadata of a record, with the pixels' size of a volume (`Record.context`, in mm)."""
    spacing = record.context.get("spacing")
    if spacing is None or not all(np.isfinite(spacing)) or min(spacing) <= 0:
        return dict(record.meta)
    z, y, x = (float(s) for s in spacing)
    return {"resolution": (1e3 / x, 1e3 / y), "depth": z / 1e3, **record.meta}


def _ome(data: np.ndarray, axes: str, meta: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as tifffile's OME writer takes it; lengths in µm."""
    made: dict[str, Any] = {"axes": axes}
    sizes = dict(zip("XY", (1 / n for n in meta.get("resolution", ())), strict=False))
    if "depth" in meta:
        sizes["Z"] = meta["depth"]
    for axis, size in sizes.items():
        made |= {f"PhysicalSize{axis}": 1e6 * size, f"PhysicalSize{axis}Unit": "µm"}
    if "interval" in meta:
        made |= {"TimeIncrement": meta["interval"], "TimeIncrementUnit": "s"}
    count = data.shape[axes.index("C")] if "C" in axes else 1
    channel: dict[str, Any] = {}
    if len(names := meta.get("channels", ())) == count:
        channel["Name"] = list(names)
    if len(colours := meta.get("colours", ())) == count:
        codes = [int(c, 16) << 8 | 0xFF for c in colours]
        channel["Color"] = [c - 2**32 if c >= 2**31 else c for c in codes]
    return made | ({"Channel": channel} if channel and "S" not in axes else {})


def _imagej(data: np.ndarray, axes: str, meta: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as tifffile's ImageJ writer takes it; lengths in µm, colours as look-up tables."""
    made: dict[str, Any] = {"axes": axes, "unit": "um"}
    if "depth" in meta:
        made["spacing"] = 1e6 * meta["depth"]
    if "interval" in meta:
        made["finterval"] = meta["interval"]
    count = data.shape[axes.index("C")] if "C" in axes else 1
    if len(names := meta.get("channels", ())) == count and "S" not in axes:
        planes = int(np.prod([n for a, n in zip(axes, data.shape, strict=True) if a in "TZ"]))
        made["Labels"] = list(names) * planes
    if len(colours := meta.get("colours", ())) == count > 1:
        ramp = np.arange(256)[None]
        shares = [np.array([[int(c[i : i + 2], 16)] for i in (0, 2, 4)]) for c in colours]
        made |= {"LUTs": [(s * ramp // 255).astype(np.uint8) for s in shares], "mode": "composite"}
    return made


def _plain(data: np.ndarray, axes: str, meta: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as tifffile puts it into the description, as JSON."""
    return {"axes": axes, **{key: meta[key] for key in _MORE if key in meta}}


def _for_imagej(data: np.ndarray, axes: str, meta: Mapping[str, Any]) -> bool:
    """Whether ImageJ's TIFF holds this record better than a plain one."""
    order = [_IMAGEJ_AXES.find(a) for a in axes]
    wanted = any(key in meta for key in _MORE) and {"Y", "X"} < set(axes)
    colour = "S" not in axes or (axes.endswith("YXS") and data.dtype == np.uint8)
    fits = order == sorted(order) and min(order) >= 0 and data.dtype.name in _IMAGEJ_TYPES
    long = all(n > 1 for n in data.shape)  # ImageJ drops axes of length 1
    return wanted and fits and colour and long and data.nbytes <= CLASSIC_LIMIT


def from_plain(about: Mapping[str, Any]) -> dict[str, Any]:
    """What `_plain` wrote."""
    meta = {key: _positive(about.get(key)) for key in ("depth", "interval")}
    texts = {key: about.get(key) for key in ("channels", "colours")}
    lists = {k: tuple(map(str, v)) for k, v in texts.items() if isinstance(v, list)}
    return {key: value for key, value in {**meta, **lists}.items() if value}


def from_imagej(
    about: Mapping[str, Any], axes: str, shape: Sequence[int], unit: float
) -> dict[str, Any]:
    """What ImageJ's metadata say that other formats hold, too; `unit` is its length in metres."""
    meta: dict[str, Any] = {}
    if unit and (depth := _positive(about.get("spacing"))):
        meta["depth"] = depth * unit
    if interval := _positive(about.get("finterval")):
        meta["interval"] = interval
    count = shape[axes.index("C")] if "C" in axes else 1
    tables = about.get("LUTs")
    if isinstance(tables, list) and len(tables) == count > 1:
        meta["colours"] = tuple(bytes(t[:, -1].astype(np.uint8)).hex().upper() for t in tables)
    labels = about.get("Labels")
    if isinstance(labels, list) and len(labels) == count > 1 and not {"T", "Z"} & set(axes):
        meta["channels"] = tuple(map(str, labels))
    return meta


def _positive(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and 0 < value < np.inf else 0.0
