"""TIFF, OME-TIFF and ImageJ TIFF, through tifffile.

What tifffile's own writer would lose is lost by most tools: look-up tables, display ranges,
overlays, acquisition times, geographic keys, a vendor's notes. So nothing that is neither samples
nor their layout is interpreted here: every other tag of every page is copied byte for byte. Only
two things hold places in the file and are written anew: OME-XML, where it says which page is which
plane, and the EXIF and GPS directories.
"""

from __future__ import annotations

import logging
import operator
import struct
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from tifffile import COMPRESSION, PHOTOMETRIC

from hush.errors import HushError
from hush.io.array import UNKNOWN
from hush.record import Record

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
OME_SUFFIXES = (".ome.tif", ".ome.tiff")

#: A tag as tifffile takes it: code, type, count, bytes.
Tag = tuple[int, int, int, bytes]

#: Tags that say where and how samples are stored, which is the writer's business, and Photoshop's
#: copy of the layers (37724), which are the noisy ones.
_STRUCTURE = tifffile.TIFF.TAG_FILTERED | {282, 283, 288, 289, 296, 347, *range(512, 533), 37724}

#: Directories that EXIF consists of, by tag code.
_EXIF_IFDS = {34665: "ExifTag", 34853: "GPSTag"}

#: Strings and the orientation that EXIF keeps beside its directories.
_EXIF_TAGS = (271, 272, 274, 306, 315, 33432)

#: Compressions that an output keeps; what was compressed with loss is deflated.
_LOSSLESS = {"LZW", "DEFLATE", "ADOBE_DEFLATE", "PACKBITS", "ZSTD", "LZMA"}
_GRAY_OR_RGB = {"MINISBLACK", "MINISWHITE", "RGB", "LINEAR_RAW"}

_UNITS = {"inch": 0.0254, "cm": 1e-2, "mm": 1e-3, "micron": 1e-6, "um": 1e-6, "nm": 1e-9}
_UNITS |= {"\\u00B5m": 1e-6, "µm": 1e-6, "μm": 1e-6}  # micro sign, escaped and not; Greek mu

#: Above this many bytes offsets do not fit in 32 bits, with room for what is not samples.
_CLASSIC_LIMIT = 2**32 - 2**25


@dataclass(frozen=True)
class Layout:
    """What a TIFF file held beside its samples; enough to write its like.

    Parameters
    ----------
    shape, dtype, axes : of the series, as tifffile names them.
    kind : tifffile's name for the dialect ("ome", "imagej", "shaped", "uniform", ...).
    header : keyword arguments of TiffWriter.
    options : keyword arguments of TiffWriter.write.
    page : shape of one page.
    tags : for each page, or for the first alone, the tags to copy.
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
        """Parts of `data` that share tags, and these: one contiguous block if possible."""
        first, *others = self.tags
        rest = others[0] if others else ()
        if all(tags == rest for tags in others) and set(rest) <= set(first):
            yield data, [(*tag, tag not in rest) for tag in first]
        else:
            for page, tags in zip(data.reshape(-1, *self.page), self.tags, strict=True):
                yield page, [(*tag, True) for tag in tags]


def read(path: Path) -> Record:
    """The one series of images in a TIFF file, memory-mapped if stored plainly.

    Axes are those that the file names, else ``I`` or ``Q`` for a stack of pages. Of a pyramid
    the full resolution is read; thumbnails are left out.

    Raises
    ------
    HushError
        For several series, camera raw files, and colours other than gray and RGB.
    """
    with _complaints() as complaints, tifffile.TiffFile(path) as tif:
        all_tags = [_tags(page) for page in tif.pages]
        if not all_tags:
            raise HushError("holds no images")
        series, *more = tif.series
        parts: list[Any] = [part for part in series if part is not None]
        page = series.keyframe
        if page.is_reduced or page.photometric == PHOTOMETRIC.CFA or 50706 in page.tags:
            raise HushError("is a camera's raw file; develop it to a 16-bit TIFF first")
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
                raise HushError("is truncated")
        if series.dataoffset is None:
            data = series.asarray()
        else:
            dtype = np.dtype(tif.byteorder + page.dtype.char)
            data = np.memmap(path, dtype, "r", series.dataoffset, series.shape)
        if complaints:
            raise ValueError(complaints[0])
        planes = data.size // max(page.size, 1)
        paged = len(all_tags) == len(parts) == planes
        tags = tuple(all_tags[p.index] for p in parts) if paged else (all_tags[0],)
        layout = Layout(
            shape=data.shape,
            dtype=data.dtype,
            axes=series.axes,
            kind=series.kind,
            header={"bigtiff": tif.is_bigtiff, "byteorder": tif.byteorder},
            options=_options(page),
            page=page.shape,
            tags=(_rewrite_ome(tags[0], planes), *tags[1:]) if series.kind == "ome" else tags,
        )
        meta = {"tiff": layout, "alpha_samples": _alpha_samples(page), **_common(tif, page)}
    return Record(data, _distinct(layout.axes), meta=meta)


def write(record: Record, path: Path) -> None:
    """Write a TIFF like the one the record was read from, otherwise a new one.

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
        ):
            _write_like(layout, record, path)
            with tifffile.TiffFile(path) as tif:
                if (tif.series[0].axes, tif.series[0].shape) == (layout.axes, layout.shape):
                    return
            # the tags promise a structure that only their vendor's software writes: go without
        _write_new(record, path, ome)


def _write_like(layout: Layout, record: Record, path: Path) -> None:
    """Write the record with the layout and all tags of the file that it was read from."""
    directories = {} if layout.header["bigtiff"] else _exif_directories(record)
    with tifffile.TiffWriter(path, **layout.header) as out:
        pointers = _pointers(directories)
        for block, tags in layout.blocks(record.data):
            out.write(
                block, metadata=None, software=False, extratags=tags + pointers, **layout.options
            )
            pointers = []
    _append_exif(path, directories)


def _write_new(record: Record, path: Path, ome: bool) -> None:
    """Write the record with the metadata that all formats share."""
    data, axes, meta = record.data, record.axes, record.meta
    samples = data.shape[axes.index("S")] if "S" in axes else 1
    alpha = meta.get("alpha_samples", 0)
    rgb = samples - alpha == 3
    options: dict[str, Any] = {"photometric": "rgb" if rgb else "minisblack"}
    if "S" in axes:
        options["planarconfig"] = "contig" if axes.endswith("S") else "separate"
        extra = samples - alpha - (3 if rgb else 1)
        options["extrasamples"] = [0] * extra + [2] * alpha or None
    description: dict[str, Any] = {"axes": axes}
    if "resolution" in meta:
        x, y = meta["resolution"]
        options |= {"resolution": (x / 100, y / 100), "resolutionunit": "centimeter"}
        if ome:
            description |= {"PhysicalSizeX": 1e6 / x, "PhysicalSizeY": 1e6 / y}
            description |= {"PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
    big = data.nbytes > _CLASSIC_LIMIT
    directories = {} if big else _exif_directories(record)
    tags = [(c, 2, 0, v, True) for c, v in _exif(record).items() if isinstance(v, str)]
    if orientation := _exif(record).get(274):
        tags.append((274, 3, 1, orientation, True))
    try:
        with tifffile.TiffWriter(path, bigtiff=big, ome=ome) as out:
            out.write(
                data,
                metadata=description,
                software=False,
                iccprofile=meta.get("icc"),
                extratags=[t for t in tags if t[0] in _EXIF_TAGS] + _pointers(directories),
                **options,
            )
    except tifffile.OmeXmlError as error:
        raise HushError(f"an OME-TIFF cannot hold axes {axes}; end the name in .tif") from error
    _append_exif(path, directories)


def _options(page: tifffile.TiffPage) -> dict[str, Any]:
    """Arguments of TiffWriter.write for samples stored as this page's are."""
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
    if x and y and min(*x.value, *y.value) > 0:
        options["resolution"] = (x.value, y.value)
        options["resolutionunit"] = unit.value if unit else None
    return options


def _tags(page: Any) -> tuple[Tag, ...]:
    """The tags of a page that do not say where or how samples are stored."""
    offsets = (13, 18)  # types of tags that point to another directory
    return tuple(
        tag.astuple()[:4]
        for tag in page.tags
        if tag.code not in _STRUCTURE and tag.dtype not in offsets
    )


def _name(code: int) -> str:
    """Name of a compression or colour space, also of one that tifffile does not know."""
    return str(getattr(code, "name", f"type {code}"))


def _check_colours(page: tifffile.TiffPage) -> None:
    """Raise HushError for samples that are not amounts of gray, red, green or blue."""
    kind = page.photometric
    if kind == PHOTOMETRIC.PALETTE:
        # a microscope's false colours: the samples are intensities if the ramp only rises
        ramp = page.colormap
        if ramp is not None and ramp.any() and (np.diff(ramp.astype(int)) >= 0).all():
            return
        raise HushError("is a palette image; convert it to gray or RGB first")
    if kind == PHOTOMETRIC.YCBCR and "JPEG" in _name(page.compression):
        return  # decoded to RGB
    if _name(kind) not in _GRAY_OR_RGB:
        name = "CMYK" if kind == PHOTOMETRIC.SEPARATED else _name(kind)
        raise HushError(f"is a {name} image; convert it to gray or RGB first")


def _alpha_samples(page: tifffile.TiffPage) -> int:
    """How many of the last samples are opacity, by the ExtraSamples tag."""
    opaque = [int(kind) in (1, 2) for kind in page.extrasamples or ()]
    return next((i for i, is_alpha in enumerate(reversed(opaque)) if not is_alpha), len(opaque))


def _common(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> dict[str, Any]:
    """Metadata that other formats hold as well: ICC profile, EXIF and resolution."""
    meta: dict[str, Any] = {}
    if 34675 in page.tags:
        meta["icc"] = bytes(page.tags[34675].value)
    exif = Image.Exif()
    for code in _EXIF_TAGS:
        if code in page.tags:
            exif[code] = page.tags[code].value
    for code in () if tif.is_bigtiff else _EXIF_IFDS:
        if code in page.tags:
            with suppress(Exception):  # damaged EXIF is no reason to refuse the image
                exif.get_ifd(code).update(_read_directory(tif, page.tags[code]))
    if len(exif) or any(exif.get_ifd(code) for code in _EXIF_IFDS):
        meta["exif"] = exif.tobytes()
    resolution = _options(page).get("resolution")
    unit = {2: "inch", 3: "cm"}.get(_options(page).get("resolutionunit") or 0)
    unit = unit or (tif.imagej_metadata or {}).get("unit")
    if resolution and unit in _UNITS:
        meta["resolution"] = tuple(n / d / _UNITS[unit] for n, d in resolution)
    return meta


def _rewrite_ome(tags: tuple[Tag, ...], planes: int) -> tuple[Tag, ...]:
    """`tags` with an OME-XML description saying that this file's pages are the planes in order."""
    (text,) = (bytes_ for code, *_, bytes_ in tags if code == 270)
    root = ET.fromstring(text.rstrip(b"\0"))
    root.attrib.pop("UUID", None)
    namespace = root.tag.partition("}")[0] + "}"
    ET.register_namespace("", namespace[1:-1])
    for pixels in root.iterfind(f"{namespace}Image/{namespace}Pixels"):
        for name in ("BinData", "TiffData", "MetadataOnly"):
            for element in pixels.findall(namespace + name):
                pixels.remove(element)
        where = len(pixels.findall(f"{namespace}Channel"))  # the schema wants it after these
        places = ET.Element(f"{namespace}TiffData", IFD="0", PlaneCount=str(planes))
        pixels.insert(where, places)
    text = ET.tostring(root, encoding="UTF-8", xml_declaration=True) + b"\0"
    return tuple((270, 2, len(text), text) if tag[0] == 270 else tag for tag in tags)


def _read_directory(tif: tifffile.TiffFile, tag: tifffile.TiffTag) -> dict[int, Any]:
    """The tags of the directory that `tag` points to, as Pillow decodes them."""
    stream: Any = tif.filehandle
    stream.seek(0)
    directory = ImageFileDirectory_v2(stream.read(8), group=tag.code)
    stream.seek(struct.unpack(tif.byteorder + "I", tag.astuple()[3])[0])
    directory.load(stream)
    return dict(directory)


def _exif(record: Record) -> Image.Exif:
    """The record's EXIF block, decoded; empty without one."""
    exif = Image.Exif()
    with suppress(Exception):  # damaged EXIF is no reason to lose the image
        exif.load(record.meta.get("exif", b""))
    return exif


def _exif_directories(record: Record) -> dict[int, dict[int, Any]]:
    """The EXIF and GPS directories that the record has, by tag code."""
    exif = _exif(record)
    return {code: ifd for code in _EXIF_IFDS if (ifd := exif.get_ifd(code))}


def _pointers(directories: dict[int, Any]) -> list[Any]:
    """Tags that will point to the directories; given by name, as tifffile refuses the codes."""
    return [(_EXIF_IFDS[code], 4, 1, 0, True) for code in directories]


def _append_exif(path: Path, directories: dict[int, dict[int, Any]]) -> None:
    """Put the directories at the end of a TIFF file and make its tags point to them."""
    if not directories:
        return
    with tifffile.TiffFile(path) as tif:
        order = tif.byteorder
        places = {code: tif.pages.first.tags[code].valueoffset for code in directories}
    with path.open("r+b") as stream:
        header = stream.read(8)
        for code, values in directories.items():
            directory = ImageFileDirectory_v2(header, group=code)
            for key, value in values.items():
                with suppress(Exception):  # a value that does not suit its tag
                    directory[key] = value
            end = stream.seek(0, 2)
            offset = stream.seek(end + end % 2)  # directories begin on a word
            stream.write(directory.tobytes(offset))
            stream.seek(places[code])
            stream.write(struct.pack(order + "I", offset))


def _distinct(axes: str) -> str:
    """`axes` with repeated letters replaced by free ones for axes of unknown meaning."""
    free = (a for a in UNKNOWN if a not in axes)
    result = ""
    for letter in axes:
        result += next(free) if letter in result else letter
    return result


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """The errors that tifffile logs about files and pages meanwhile; nothing is printed."""
    errors: list[str] = []
    serious = ("<tifffile.TiffFile", "<tifffile.TiffPages")

    class Collect(logging.Handler):
        def emit(self, entry: logging.LogRecord) -> None:
            about, _, message = entry.getMessage().partition("> ")
            # an odd tag is no harm, as the samples are checked on their own; lost pages are
            if entry.levelno >= logging.ERROR and about.startswith(serious):
                errors.append(message)

    log, handler = logging.getLogger("tifffile"), Collect()
    propagate, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        yield errors
    finally:
        log.removeHandler(handler)
        log.propagate = propagate
