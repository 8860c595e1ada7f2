"""CZI files of Zeiss's ZEN; only read. czifile finds the parts of a file.

An image is put together from tiles at full resolution; lower resolutions are left out. Where no
tile lies, values are missing. Each scene is an image; one of several is chosen as ``file.czi:2``.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from hush.errors import HushError, missing_package
from hush.io import microscopes
from hush.io.array import split_key
from hush.io.several import Held, chosen
from hush.record import Record

ENDINGS = (".czi",)
MAGIC = (b"ZISRAWFILE",)
_JPEG, _LZW, _JPEG_XR, _ZSTD, _ZSTD_PACKED = 1, 2, 4, 5, 6  #: ways of compression
_APART = "S"  #: the axis of scenes
_MOST = 2**40  #: values of an image, by which damaged files are recognised


def read(path: Path) -> Record:
    """The only scene, or the chosen one, with the axes T, Z, C, Y, X and S.

    Raises
    ------
    HushError
        If czifile is missing, there are several scenes, or values are complex.
    """
    try:
        import czifile
    except ImportError:
        raise missing_package("czifile", "microscopy", what="is a CZI file, which") from None
    file, key = split_key(path)
    with czifile.CziFile(str(file)) as opened:
        entries = [e for e in opened.subblock_directory if e.stored_shape == e.shape]
        if not entries:
            raise HushError("holds no images")
        scenes: dict[int, list[Any]] = {}
        for entry in entries:
            scenes.setdefault(_start(entry, _APART), []).append(entry)
        parts = [scenes[k] for k in sorted(scenes)]
        held = [Held(_box(p)[1], p[0].axes.replace("0", "S"), _dtype(p)) for p in parts]
        tiles = parts[chosen(held, key, file.name)]
        data, known = _assembled(tiles)
        text = opened.metadata()
    axes = ["S" if a == "0" else "scene" if a == _APART else a for a in tiles[0].axes]
    root = _parsed(text)
    meta = _described(root, data.shape[axes.index("C")] if "C" in axes else 1)
    if data.shape[-1] == 4:
        meta["alpha_samples"] = 1
    return microscopes.record(data, axes, meta, None if known.all() else known, _bits(root))


def _start(entry: Any, axis: str) -> int:
    return next((d.start for d in entry.dimension_entries if d.dimension == axis), 0)


def _dtype(entries: Sequence[Any]) -> np.dtype[Any]:
    """The type that holds the values of all tiles."""
    dtype = np.result_type(*(np.dtype(e.dtype).base for e in entries))
    if dtype.kind == "c":
        raise HushError("holds complex samples; denoise the real and imaginary parts separately")
    return dtype


def _box(entries: Sequence[Any]) -> tuple[np.ndarray, tuple[int, ...]]:
    """Where the image begins along each axis, and its shape."""
    low = np.min([e.start for e in entries], axis=0)
    high = np.max([np.add(e.start, e.shape) for e in entries], axis=0)
    shape = tuple(int(n) for n in high - low)
    if not 0 < np.prod(shape, dtype=object) <= _MOST:
        raise HushError(f"is damaged: its tiles span {shape}")
    return low, shape


def _assembled(entries: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """The image that tiles make, and where there is one; later tiles lie over earlier ones."""
    low, shape = _box(entries)
    data, known = np.zeros(shape, _dtype(entries)), np.zeros(shape, bool)
    for entry in sorted(entries, key=lambda e: e.mosaic_index or 0):
        where = tuple(
            slice(start, start + n)
            for start, n in zip(np.subtract(entry.start, low).tolist(), entry.shape, strict=True)
        )
        data[where] = _decoded(entry)
        known[where] = True
    return data, known


def _decoded(entry: Any) -> np.ndarray:
    """The values of a tile, colours as RGB."""
    import imagecodecs

    raw = entry.data_segment().data(raw=True)
    way, dtype = entry.compression, np.dtype(entry.dtype).base
    if way in (_JPEG, _JPEG_XR):
        decode = imagecodecs.jpegxr_decode if way == _JPEG_XR else imagecodecs.jpeg_decode
        return np.asarray(decode(raw)).reshape(entry.shape)
    if way == _LZW:
        raw = imagecodecs.lzw_decode(raw)
    elif way == _ZSTD:
        raw = imagecodecs.zstd_decode(raw)
    elif way == _ZSTD_PACKED:
        size = raw[0]  # of a header, whose last byte says whether low and high bytes are apart
        apart = size >= 3 and raw[1] == 1 and raw[2] & 1
        raw = imagecodecs.zstd_decode(raw[size:])
        raw = np.frombuffer(raw, np.uint8).reshape(2, -1).T.tobytes() if apart else raw
    elif way != 0:
        raise HushError(
            f"is compressed in a way that hush does not know (number {way}); in ZEN, save it "
            "without compression, or as OME-TIFF"
        )
    count = int(np.prod(entry.shape))
    data = np.frombuffer(raw, dtype, count).reshape(entry.shape)
    if entry.shape[-1] in (3, 4):
        data = data[..., [2, 1, 0, 3][: entry.shape[-1]]]
    return data


def _parsed(text: str | None) -> ET.Element:
    """The XML of the whole file; an empty element if it is missing or damaged."""
    try:
        return ET.fromstring(text or "<ImageDocument/>")
    except ET.ParseError:
        return ET.Element("ImageDocument")


def _described(root: ET.Element, count: int) -> dict[str, Any]:
    """Sizes of voxels, time steps, and names and colours of `count` channels."""
    sides = {}
    for item in root.iterfind("./Metadata/Scaling/Items/Distance"):
        with suppress(ValueError):
            sides[item.get("Id", "")] = float(item.findtext("Value", ""))
    meta = microscopes.sizes(*(sides.get(a, 0.0) for a in "XYZ"))
    image = "./Metadata/Information/Image/Dimensions"
    with suppress(ValueError):
        step = float(root.findtext(f"{image}/T/Positions/Interval/Increment", ""))
        if 0 < step < np.inf:
            meta["interval"] = step
    described = root.findall(f"{image}/Channels/Channel")
    shown = root.findall("./Metadata/DisplaySetting/Channels/Channel")
    if len(described) == count:
        colours = [c.findtext("Color", "")[3:] for c in shown]  # of #AARRGGBB
        meta |= microscopes.channels(
            [c.get("Name", "") for c in described], colours if len(colours) == count else ()
        )
    return meta


def _bits(root: ET.Element) -> int:
    """Bits that values have; 0 if the file does not say it."""
    image = "./Metadata/Information/Image"
    said = [root.findtext(f"{image}/ComponentBitCount", "")]
    channels = f"{image}/Dimensions/Channels/Channel/ComponentBitCount"
    said += [c.text or "" for c in root.iterfind(channels)]
    return max((int(s) for s in said if s.isdecimal()), default=0)
