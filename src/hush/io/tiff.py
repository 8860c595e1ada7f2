"""TIFF, OME-TIFF and ImageJ TIFF, through tifffile.

Most tools, tifffile's own writer included, lose look-up tables, display ranges, overlays,
acquisition times, geographic keys and vendors' notes. So this module interprets only samples and
their layout, and copies every other tag of every page byte for byte. Two things contain file
positions and are rewritten: OME-XML, where it maps pages to planes, and the EXIF and GPS
directories.
"""

from __future__ import annotations

import itertools
import logging
import operator
import os
import re
import struct
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from tifffile import COMPRESSION, PHOTOMETRIC

from hush.errors import HushError
from hush.io import exif
from hush.io.array import take_room
from hush.io.exif import Exif, Tag
from hush.missing import Missing, exactly
from hush.record import UNKNOWN, Record

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
OME_SUFFIXES = (".ome.tif", ".ome.tiff")

#: Tags on where and how samples are stored, which the writer sets anew, and Photoshop's copy of the
#: layers (37724), which are the noisy ones.
_STRUCTURE = tifffile.TIFF.TAG_FILTERED | {282, 283, 288, 289, 296, 347, *range(512, 533), 37724}

#: Compressions that an output keeps; lossy ones are replaced by deflate.
_LOSSLESS = {"LZW", "DEFLATE", "ADOBE_DEFLATE", "PACKBITS", "ZSTD", "LZMA"}
_GRAY_OR_RGB = {"MINISBLACK", "MINISWHITE", "RGB", "LINEAR_RAW"}

_UNITS = {"inch": 0.0254, "cm": 1e-2, "mm": 1e-3, "micron": 1e-6, "um": 1e-6, "nm": 1e-9}
_UNITS |= {"\\u00B5m": 1e-6, "µm": 1e-6, "μm": 1e-6}  # micro sign, escaped and not; Greek mu

#: Above this many bytes of samples, offsets may not fit in 32 bits; leaves room for the tags.
_CLASSIC_LIMIT = 2**32 - 2**25

LARGE = 2**27  #: bytes of samples, from which on a file is written item by item


@dataclass(frozen=True)
class Layout:
    """Everything in a TIFF file except its samples, enough to write a similar one.

    Parameters
    ----------
    shape, dtype, axes : of the series, as tifffile names them.
    kind : tifffile's name for the dialect ("ome", "imagej", "shaped", "uniform", ...).
    header : keyword arguments of TiffWriter.
    options : keyword arguments of TiffWriter.write.
    page : shape of one page.
    tags : the tags to copy, for each page or only for the first.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    axes: str
    kind: str
    header: dict[str, Any]
    options: dict[str, Any]
    page: tuple[int, ...]
    tags: tuple[tuple[Tag, ...], ...]

    def blocks(self, data: np.ndarray) -> Iterator[tuple[np.ndarray, list[Any]]]:
        """Parts of `data` with the same tags, and these tags: one contiguous block if possible."""
        pages = data.reshape(-1, *self.page)
        first, *others = self.tags
        rest = others[0] if others else ()
        if all(tags == rest for tags in others) and set(rest) <= set(first):
            yield pages, [(*tag, tag not in rest) for tag in first]
        else:
            for page, tags in zip(pages, self.tags, strict=True):
                yield page, [(*tag, True) for tag in tags]


def read(path: Path) -> Record:
    """The only series of images in a TIFF file, memory-mapped if stored uncompressed.

    Axes are those named in the file, or else ``I`` or ``Q`` for a stack of pages. Of a pyramid,
    only the full resolution is read; thumbnails are skipped.

    Raises
    ------
    HushError
        For several series, camera raw files, and colour spaces other than gray and RGB.
    """
    with _complaints() as complaints, tifffile.TiffFile(path) as tif:
        all_tags = [_tags(page) for page in tif.pages]
        if not all_tags:
            raise HushError("holds no images")
        series, *more = tif.series
        parts: list[Any] = [part for part in series if part is not None]
        page = series.keyframe
        if page.is_reduced or page.photometric == PHOTOMETRIC.CFA or 50706 in page.tags:
            raise HushError("is a camera raw file; convert it to a 16-bit TIFF first")
        if more := [s for s in more if not s.keyframe.is_reduced]:
            raise HushError(
                f"holds {1 + len(more)} series of images that differ in shape or kind; "
                "save one per file"
            )
        _check_colours(page)
        if page.dtype is None or page.dtype.kind == "b" or page.bitspersample == 1:
            raise HushError("is a 1-bit image; convert it to gray first")
        for part in parts:
            ends = map(operator.add, part.dataoffsets, part.databytecounts)
            if max(ends, default=0) > part.parent.filehandle.size:
                raise HushError("is cut short; copy it again, or save it again")
        if series.dataoffset is None:
            data = series.asarray()
        else:
            dtype = np.dtype(tif.byteorder + page.dtype.char)
            data = np.memmap(path, dtype, "r", series.dataoffset, series.shape)
        if complaints:
            raise ValueError(complaints[0])
        big = tif.is_bigtiff or data.nbytes > _CLASSIC_LIMIT
        planes = data.size // max(page.size, 1)
        in_order = [part.index for part in parts] == list(range(len(all_tags)))
        tags = tuple(all_tags) if in_order else (all_tags[0],)
        layout = Layout(
            shape=data.shape,
            dtype=data.dtype,
            axes=series.axes,
            kind=series.kind,
            header={"bigtiff": big, "byteorder": tif.byteorder},
            options=_options(page),
            page=page.shape,
            tags=(_rewrite_ome(tags[0], planes), *tags[1:]) if series.kind == "ome" else tags,
        )
        missing = _nodata(page, data.dtype)
        axes = _axes(series)
        alpha = _alpha_samples(page) if "S" in axes else 0
        meta = {"tiff": layout, "alpha_samples": alpha, **_common(path, tif, page)}
    return Record(data, axes, meta=meta, missing=missing)


def _nodata(page: Any, dtype: np.dtype[Any]) -> tuple[Missing, ...]:
    """The value that marks missing ones, which GDAL writes as text."""
    tag = page.tags.get(42113)
    if tag is None:
        return ()
    try:
        mark = exactly(float(str(tag.value).strip("\0 ").replace(",", ".")), dtype)
    except ValueError:
        return ()
    return () if mark is None else (mark,)


def write(record: Record, path: Path) -> None:
    """Write a TIFF like the one the record was read from, or else a new one.

    A name that ends in .ome.tif makes a new file an OME-TIFF.
    """
    data = record.data
    layout: Layout | None = record.meta.get("tiff")
    ome = path.name.lower().endswith(OME_SUFFIXES)
    with _complaints():
        if (
            layout is not None
            and (layout.shape, layout.dtype) == (data.shape, data.dtype)
            and (layout.kind == "ome" or not ome)
            and _write_like(layout, record, path)
        ):
            return
        _write_new(record, path, ome)


def open_large(record: Record, path: Path) -> np.ndarray | None:
    """The samples in a TIFF file that is being written, memory-mapped; None for small files.

    The file is written with empty samples first, which are filled in afterwards: so it is like
    that of `write`. Compressed samples have no place before they are known: None.
    """
    if record.data.nbytes < LARGE:
        return None
    zeros = np.zeros(
        record.data.shape, record.data.dtype
    )  # pages that nobody writes take no memory
    write(record.with_data(zeros), path)
    del zeros
    with tifffile.TiffFile(path) as tif:
        series, *more = tif.series
        page: Any = series.keyframe
        if more or series.dataoffset is None or page.dtype is None:
            return None
        dtype = np.dtype(tif.byteorder + page.dtype.char)
        offset = series.dataoffset
    take_room(path)
    return np.memmap(path, dtype, "r+", offset, record.data.shape)


def _write_like(layout: Layout, record: Record, path: Path) -> bool:
    """Write the record with the layout and all tags of the file that it was read from.

    Return False if this failed: some tags promise a structure that only the vendor's software
    writes, and some tags are damaged.
    """
    camera = Exif.from_bytes(record.meta.get("exif", b""))
    fits = not layout.header["bigtiff"] and camera.order == layout.header["byteorder"]
    directories = camera.directories if fits else {}
    options = {"metadata": None, "software": False, **layout.options}
    try:
        with tifffile.TiffWriter(path, ome=False, **layout.header) as out:
            pointers = _pointers(directories)
            for block, tags in layout.blocks(record.data):
                out.write(block, extratags=tags + pointers, **options)
                pointers = []
        _append(path, directories)
        with tifffile.TiffFile(path) as tif:
            return (tif.series[0].axes, tif.series[0].shape) == (layout.axes, layout.shape)
    except OSError:  # another way would fail too
        raise
    except Exception:
        return False


def _write_new(record: Record, path: Path, ome: bool) -> None:
    """Write the record with the metadata that all formats share."""
    data, axes, meta = record.data, record.axes, record.meta
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
    description: dict[str, Any] = {"axes": axes}
    if "resolution" in meta:
        x, y = meta["resolution"]
        options |= {"resolution": (x / 100, y / 100), "resolutionunit": "centimeter"}
        if ome:
            description |= {"PhysicalSizeX": 1e6 / x, "PhysicalSizeY": 1e6 / y}
            description |= {"PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
    big = data.nbytes > _CLASSIC_LIMIT
    camera = Exif.from_bytes(meta.get("exif", b""))
    directories = {} if big else camera.directories
    tags = list(camera.first)
    if "icc" in meta:
        tags.append((34675, 7, len(meta["icc"]), meta["icc"]))
    try:
        with tifffile.TiffWriter(path, bigtiff=big, byteorder=camera.order, ome=ome) as out:
            out.write(
                data,
                metadata=description,
                software=False,
                extratags=[(*tag, True) for tag in tags] + _pointers(directories),
                **options,
            )
    except tifffile.OmeXmlError as error:
        raise HushError(f"OME-TIFF cannot hold axes {axes}; use a name ending in .tif") from error
    _append(path, directories)


def _options(page: tifffile.TiffPage) -> dict[str, Any]:
    """Arguments of TiffWriter.write to store samples as in this page."""
    options: dict[str, Any] = {"photometric": page.photometric}
    if page.photometric == PHOTOMETRIC.YCBCR:
        options["photometric"] = PHOTOMETRIC.RGB
    if page.samplesperpixel > 1:
        options |= {"planarconfig": page.planarconfig, "extrasamples": page.extrasamples or None}
    if page.compression != COMPRESSION.NONE:
        kept = _name(page.compression) in _LOSSLESS
        options["compression"] = page.compression if kept else COMPRESSION.ADOBE_DEFLATE
        options["predictor"] = not kept or page.predictor != 1
    if page.is_tiled:
        options["tile"] = page.tile
    x, y, unit = (page.tags.get(code) for code in (282, 283, 296))
    if x and y and len(x.value) == len(y.value) == 2 and min(*x.value, *y.value) > 0:
        options["resolution"] = (x.value, y.value)
        options["resolutionunit"] = unit.value if unit else None
    return options


def _tags(page: Any) -> tuple[Tag, ...]:
    """The tags of a page, except those on where or how samples are stored."""
    offsets = (13, 18)  # types of tags that point to another directory
    kept = (t for t in page.tags if t.code not in _STRUCTURE and t.dtype not in offsets)
    return tuple(tag.astuple()[:4] for tag in kept)


def _name(code: int) -> str:
    """Name of a compression or colour space, even if tifffile does not know it."""
    return str(getattr(code, "name", f"type {code}"))


def _check_colours(page: tifffile.TiffPage) -> None:
    """Raise HushError unless samples are intensities of gray, red, green or blue."""
    kind = page.photometric
    if kind == PHOTOMETRIC.PALETTE:
        # false colours from a microscope: samples are intensities if the ramp never falls
        ramp = page.colormap
        if ramp is not None and ramp.any() and (np.diff(ramp.astype(int)) >= 0).all():
            return
        raise HushError("is a palette image; convert it to gray or RGB first")
    if kind == PHOTOMETRIC.YCBCR and "JPEG" in _name(page.compression):
        return  # decoded to RGB
    if _name(kind) not in _GRAY_OR_RGB:
        name = "CMYK" if kind == PHOTOMETRIC.SEPARATED else _name(kind)
        raise HushError(f"is a {name} image; convert it to gray or RGB first")


def _axes(series: tifffile.TiffPageSeries) -> str:
    """Axes for a Record, which has no letter twice."""
    axes, page = series.axes, series.keyframe
    if page.planarconfig == 2 and series.kind == "shaped" and '"axes"' not in page.description:
        # without given axes, tifffile stores every stack of 3 or 4 images like this; read as
        # one colour image, their contents would mix
        axes = axes.replace("S", "Q")
    free = (a for a in UNKNOWN if a not in axes)
    result = ""
    for letter in axes:
        result += next(free) if letter in result else letter
    return result


def _alpha_samples(page: tifffile.TiffPage) -> int:
    """The number of opacity samples at the end, from the ExtraSamples tag."""
    extra = reversed(page.extrasamples or ())
    return len(list(itertools.takewhile(lambda kind: int(kind) in (1, 2), extra)))


def _common(path: Path, tif: tifffile.TiffFile, page: tifffile.TiffPage) -> dict[str, Any]:
    """Metadata that other formats also have: ICC profile, EXIF and resolution."""
    meta: dict[str, Any] = {}
    if 34675 in page.tags:
        meta["icc"] = bytes(page.tags[34675].value)
    if block := _exif(path, tif, page).to_bytes():
        meta["exif"] = block
    resolution = _options(page).get("resolution")
    unit = {2: "inch", 3: "cm"}.get(_options(page).get("resolutionunit") or 0)
    unit = unit or (tif.imagej_metadata or {}).get("unit")
    if resolution and unit in _UNITS:
        meta["resolution"] = tuple(n / d / _UNITS[unit] for n, d in resolution)
    return meta


def _rewrite_ome(tags: tuple[Tag, ...], planes: int) -> tuple[Tag, ...]:
    """`tags` with an OME-XML description in which the pages are the planes in order."""
    (text,) = (bytes_ for code, *_, bytes_ in tags if code == 270)
    root = ET.fromstring(text.rstrip(b"\0"))
    root.attrib.pop("UUID", None)
    namespace = root.tag.partition("}")[0] + "}"
    ET.register_namespace("", namespace[1:-1])
    for pixels in root.iterfind(f"{namespace}Image/{namespace}Pixels"):
        for name in ("BinData", "TiffData", "MetadataOnly"):
            for element in pixels.findall(namespace + name):
                pixels.remove(element)
        where = len(pixels.findall(f"{namespace}Channel"))  # the schema requires this position
        places = ET.Element(f"{namespace}TiffData", IFD="0", PlaneCount=str(planes))
        pixels.insert(where, places)
    text = ET.tostring(root, encoding="UTF-8", xml_declaration=True) + b"\0"
    return tuple((270, 2, len(text), text) if tag[0] == 270 else tag for tag in tags)


def _exif(path: Path, tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Exif:
    """EXIF of the first page: some of its tags and the directories it points to."""
    first = tuple(tag for tag in _tags(page) if tag[0] in exif.FIRST)
    pointers = [page.tags[code] for code in exif.DIRECTORIES if code in page.tags]
    directories = {}
    if pointers and not tif.is_bigtiff:
        content = np.memmap(path, np.uint8, "r").data
        for tag in pointers:
            with suppress(struct.error, KeyError, IndexError):  # must not prevent reading the image
                (offset,) = struct.unpack_from(tif.byteorder + "I", content, tag.offset + 8)
                directories[tag.code] = exif.read_directory(content, offset, tif.byteorder)
    return Exif(tif.byteorder, first, directories)


def _pointers(directories: Iterable[int]) -> list[Any]:
    """Tags that will point to the directories; by name, because tifffile rejects their codes."""
    return [(exif.DIRECTORIES[code], 4, 1, 0, True) for code in directories]


def _append(path: Path, directories: Mapping[int, Sequence[Tag]]) -> None:
    """Append the directories to a TIFF file and make its `_pointers` point to them."""
    if not directories:
        return
    with tifffile.TiffFile(path) as tif:
        order, start = tif.byteorder, tif.pages.first.offset
    with path.open("r+b") as stream:
        stream.seek(start)
        (count,) = struct.unpack(order + "H", stream.read(2))
        codes = [struct.unpack(order + "H10x", stream.read(12))[0] for _ in range(count)]
        for code, tags in directories.items():
            end = stream.seek(0, os.SEEK_END)
            offset = stream.seek(end + end % 2)  # directories begin at even offsets
            stream.write(exif.write_directory(tags, offset, order))
            stream.seek(start + 2 + 12 * codes.index(code) + 8)
            stream.write(struct.pack(order + "I", offset))


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect the errors that tifffile logs about files and pages; print nothing."""
    errors: list[str] = []
    serious = ("<tifffile.TiffFile", "<tifffile.TiffPages")

    class Collect(logging.Handler):
        def emit(self, entry: logging.LogRecord) -> None:
            about, _, message = entry.getMessage().partition("> ")
            # an unusual tag does no harm, because samples are checked separately; lost pages do,
            # and so does anything beyond the end of the file
            place = re.search(r"invalid value offset (\d+)", message)
            if (place and int(place[1]) >= 8) or (
                entry.levelno >= logging.ERROR and about.startswith(serious)
            ):
                errors.append(message)

    log, handler = logging.getLogger("tifffile"), Collect()
    propagate, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        yield errors
    finally:
        log.removeHandler(handler)
        log.propagate = propagate
