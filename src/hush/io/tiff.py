"""TIFF, OME-TIFF and ImageJ TIFF, through tifffile.

Most tools, tifffile's own writer included, lose look-up tables, display ranges, overlays,
acquisition times, geographic keys and vendors' notes. So this module interprets only samples and
their layout, and copies every other tag of every page byte for byte. Two things contain file
positions and are rewritten: OME-XML, where it maps pages to planes, and the EXIF and GPS
directories. Lower resolutions are computed again from the result; masks, thumbnails and labels
beside the image are copied. A set of files becomes one file.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from tifffile import PHOTOMETRIC

from hush.errors import HushError
from hush.io import tiff_exif, tiff_new, tiff_ome, tiff_series, tiff_sets
from hush.io.array import split_key, take_room
from hush.io.exif import Exif
from hush.io.tiff_chain import check_chain, complaints, opened
from hush.io.tiff_layout import Beside, Layout, Level, bits_of, name_of, options_of, tags_of
from hush.missing import Missing, exactly
from hush.record import UNKNOWN, Record

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
OME_SUFFIXES = (".ome.tif", ".ome.tiff")

_GRAY_OR_RGB = {"MINISBLACK", "MINISWHITE", "RGB", "LINEAR_RAW"}

_UNITS = {"inch": 0.0254, "cm": 1e-2, "mm": 1e-3, "micron": 1e-6, "um": 1e-6, "nm": 1e-9}
_UNITS |= {"\\u00B5m": 1e-6, "µm": 1e-6, "μm": 1e-6}  # micro sign, escaped and not; Greek mu

_GHOST = 600  #: bytes at the beginning in which GDAL says how a file is laid out
LARGE = 2**27  #: bytes of samples, from which on a file is written item by item


def read(path: Path) -> Record:
    """A series of images in a TIFF file, memory-mapped if stored uncompressed.

    It is the only one, or that of ``file.tif:2``, by its number or name. Axes are those named in
    the file, or else ``I`` or ``Q`` for a stack of pages. Of a pyramid, only the full resolution is
    read. A transparency mask, as GeoTIFFs have, says which values are known. An image in several
    files (OME-TIFF, Micro-Manager) is read as a whole from any of them, or from its
    ``.companion.ome``.

    Raises
    ------
    HushError
        For several series without a choice, files of a set that are missing, camera raw files, and
        colour spaces other than gray and RGB.
    """
    path, key = split_key(path)
    path, xml, _ = tiff_sets.whole(path)
    with complaints() as errors, opened(path, xml) as tif:
        if not tif.pages:
            raise HushError("holds no images")
        all_tags = [tags_of(page) for page in tif.pages]
        tiff_sets.check(tif, path)
        series, single = tiff_series.select(tif, key, path.name)
        page = series.keyframe
        if page.is_reduced or page.photometric == PHOTOMETRIC.CFA or 50706 in page.tags:
            raise HushError("is a camera raw file; convert it to a 16-bit TIFF first")
        _check_colours(page)
        if page.dtype is None or page.dtype.kind == "b" or page.bitspersample == 1:
            raise HushError("is a 1-bit image; convert it to gray first")
        tiff_series.check_samples(series)
        if series.dataoffset is None or page.parent is not tif:
            data = series.asarray()
        else:
            dtype = np.dtype(tif.byteorder + page.dtype.char)
            data = np.memmap(path, dtype, "r", series.dataoffset, series.shape)
        if errors:
            raise ValueError(errors[0])
        layout, lost = _layout(tif, series, data, all_tags, single)
        axes = _axes(series)
        alpha = _alpha_samples(page) if "S" in axes else 0
        pages = [x for x in layout.after if isinstance(x, Beside)]
        meta = {"tiff": layout, "alpha_samples": alpha, **_common(path, tif, series)}
    if notes := _notes(path, lost):
        meta["notes"] = notes
    if bits := bits_of(page):
        meta["bits"] = bits
    return Record(
        data,
        axes,
        meta=meta,
        full=2.0**bits - 1 if bits else None,
        mask=tiff_series.mask_of(pages, axes, data.shape),
        missing=_nodata(page, data.dtype),
        context=_highest(page),
    )


def _highest(page: tifffile.TiffPage) -> dict[str, Any]:
    """The highest value that a sensor gives, from the tag MaxSampleValue."""
    if 281 not in page.tags or page.dtype is None or page.dtype.kind not in "iu":
        return {}
    value = float(np.max(page.tags[281].value))
    return {"highest": value} if 0 < value < np.iinfo(page.dtype).max else {}


def _layout(
    tif: tifffile.TiffFile,
    series: tifffile.TiffPageSeries,
    data: np.ndarray,
    all_tags: list[Any],
    single: bool,
) -> tuple[Layout, int]:
    """All but the samples of a series; and how many pages beside it cannot be kept.

    single : it is the only series in the file.
    """
    page = series.keyframe
    places = [part.index if part.parent is tif else None for part in series if part is not None]
    planes = data.size // max(page.size, 1)
    own = [all_tags[i] for i in places if i is not None and 0 <= i < len(all_tags)]
    in_file = len(own) == len(places)
    tags = tuple(own) if in_file else (all_tags[0],)
    if series.kind == "ome" and tif.ome_metadata is not None:
        root = tiff_ome.parsed(tif.ome_metadata)
        image = tiff_ome.image_of(root, tif.series, tif.series.index(series))
        if places != list(range(len(all_tags))):
            tags = (tags[0],)
        tags = (
            tiff_ome.with_description(tags[0], tiff_ome.rewritten(root, planes, image)),
            *tags[1:],
        )
    levels = tiff_series.lower(series)
    within = tuple(level for level, first in levels if first.is_subifd)
    after: list[tuple[Level | Beside, int]] = [
        (level, first.index) for level, first in levels if not first.is_subifd
    ]
    lost = 0
    offsets = check_chain(Path(tif.filehandle.path))
    if series.kind == "lsm":  # a thumbnail after every plane
        lost = len(offsets) - len(places)
    elif single and in_file and not tif.is_imagej:
        others, lost = tiff_series.beside(tif, series, offsets)
        after += others
    layout = Layout(
        shape=data.shape,
        dtype=data.dtype,
        axes=series.axes,
        kind=series.kind,
        header={
            "bigtiff": tif.is_bigtiff or data.nbytes > tiff_new.CLASSIC_LIMIT,
            # tifffile packs samples of 10 or 12 bits in this order alone
            "byteorder": "<" if bits_of(page) else tif.byteorder,
        },
        options=options_of(page),
        page=page.shape,
        tags=tags,
        within=within,
        after=tuple(one for one, _ in sorted(after, key=lambda pair: pair[1])),
    )
    return layout, lost


def _notes(path: Path, lost: int) -> list[str]:
    """What the result of a file does not have; lost : pages beside the image."""
    notes = []
    if lost:
        pages = f"{lost} other pages" if lost > 1 else "1 other page"
        notes.append(f"The result does not have {pages} of the file, such as thumbnails.")
    with path.open("rb") as stream:
        optimised = b"LAYOUT=IFDS_BEFORE_DATA" in stream.read(_GHOST)
    if optimised:
        notes.append(
            "The result has the same overviews, but it is not laid out as a Cloud Optimized "
            "GeoTIFF; gdal_translate -of COG makes it one."
        )
    return notes


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
    layout: Layout | None = record.meta.get("tiff")
    ome = path.name.lower().endswith(OME_SUFFIXES)
    with complaints():
        if (
            layout is not None
            and (layout.shape, layout.dtype) == (record.data.shape, record.data.dtype)
            and (layout.kind == "ome" or not ome)
            and _write_like(layout, record, path)
        ):
            return
        tiff_new.write(record, path, ome)


def open_large(record: Record, path: Path) -> np.ndarray | None:
    """The samples in a TIFF file that is being written, memory-mapped; None for small files.

    The file is written with empty samples first, which are filled in afterwards: so it is like
    that of `write`. Compressed samples have no place before they are known, and lower resolutions
    no values: None.
    """
    layout: Layout | None = record.meta.get("tiff")
    if record.data.nbytes < LARGE or (layout is not None and layout.levels):
        return None
    zeros = np.zeros(
        record.data.shape, record.data.dtype
    )  # pages that nobody writes take no memory
    write(record.with_data(zeros), path)
    del zeros
    with tifffile.TiffFile(path) as tif:
        series = tif.series[0]
        page: Any = series.keyframe
        if series.dataoffset is None or page.dtype is None or series.size != record.data.size:
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
    try:
        layout.write(record, path, tiff_exif.pointers(directories))
        tiff_exif.append(path, directories)
        with tifffile.TiffFile(path) as tif:
            made = tif.series[0]
            levels = [tuple(level.shape) for level in made.levels[1:]]
            return (made.axes, made.shape) == (layout.axes, layout.shape) and levels == [
                level.shape for level in layout.levels
            ]
    except OSError:  # another way would fail too
        raise
    except Exception:
        return False


def _check_colours(page: tifffile.TiffPage) -> None:
    """Raise HushError unless samples are intensities of gray, red, green or blue."""
    kind = page.photometric
    if kind == PHOTOMETRIC.PALETTE:
        # false colours from a microscope: samples are intensities if the ramp never falls
        ramp = page.colormap
        if ramp is not None and ramp.any() and (np.diff(ramp.astype(int)) >= 0).all():
            return
        raise HushError("is a palette image; convert it to gray or RGB first")
    if kind == PHOTOMETRIC.YCBCR and "JPEG" in name_of(page.compression):
        return  # decoded to RGB
    if name_of(kind) not in _GRAY_OR_RGB:
        name = "CMYK" if kind == PHOTOMETRIC.SEPARATED else name_of(kind)
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


def _common(path: Path, tif: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> dict[str, Any]:
    """Metadata that other formats also have (`hush.io`)."""
    meta: dict[str, Any] = {}
    page = series.keyframe
    if 34675 in page.tags:
        meta["icc"] = bytes(page.tags[34675].value)
    if page.parent is tif and (block := tiff_exif.of_file(path, tif, page).to_bytes()):
        meta["exif"] = block
    resolution = options_of(page).get("resolution")
    unit = {2: "inch", 3: "cm"}.get(options_of(page).get("resolutionunit") or 0)
    unit = unit or (tif.imagej_metadata or {}).get("unit")
    if resolution and unit in _UNITS:
        meta["resolution"] = tuple(n / d / _UNITS[unit] for n, d in resolution)
    if series.kind == "ome" and tif.ome_metadata is not None:
        root = tiff_ome.parsed(tif.ome_metadata)
        image = tiff_ome.image_of(root, tif.series, tif.series.index(series))
        meta |= tiff_ome.described(root, image)
    elif series.kind == "shaped" and tif.shaped_metadata:
        meta |= tiff_new.from_plain(tif.shaped_metadata[0])
    elif tif.imagej_metadata is not None:
        meta |= tiff_new.from_imagej(
            tif.imagej_metadata, series.axes, series.shape, _UNITS.get(str(unit), 0.0)
        )
    return meta
