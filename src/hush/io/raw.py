"""Camera raw files, through LibRaw (rawpy); written as DNG.

hush reads the mosaic: what the sensor measured, one colour a pixel, before demosaicing, which
makes noise correlated. Its four colour planes are denoised apart (`hush.kinds.image.mosaic`). The
result is a DNG that raw converters develop as they do the camera's file: with its colour matrix,
white balance, black and white levels, orientation and EXIF.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from hush.errors import HushError, missing_package
from hush.io import tiff_exif
from hush.io.exif import Exif
from hush.io.tiff_chain import complaints
from hush.record import Record

DNG = (".dng",)
ENDINGS: tuple[str, ...] = (
    ".nef",
    ".nrw",
    ".cr2",
    ".cr3",
    ".crw",
    ".arw",
    ".sr2",
    ".orf",
    ".rw2",
    ".raf",
    ".pef",
)
ENDINGS += (".srw", ".rwl", ".3fr", ".iiq", ".erf", ".mef", ".mrw", ".kdc", ".dcr", ".x3f", ".gpr")
_MODEL = b"camera raw file"
_LINEAR = (
    "This file holds colours, not a mosaic: the camera or a program demosaiced it, which makes "
    "noise correlated."
)
_TURNS = {0: 1, 3: 3, 5: 8, 6: 6}  #: TIFF's orientation, by LibRaw's
#: DNG tags that stay valid in a copy: camera profiles, corrections, crops
_KEPT = {50719, 50720, 50721, 50722, 50723, 50724, 50725, 50726, 50730, 50731, 50732, 50734}
_KEPT |= {50736, 50778, 50779, 50780, 50879, 50931, 50932, 50934, 50936, 50964, 50965, 51008, 51009}
_KEPT |= {51022, 51109, 51110, 51125, 271, 272, 50708}


@dataclass(frozen=True)
class Layout:
    """What a DNG says beside the mosaic.

    colours : 0, 1 or 2 for red, green or blue, of 2 × 2 pixels, row by row; black : their levels.
    white : the level at which the sensor saturates. matrix : from XYZ to the camera's colours.
    neutral : the camera's colours of white. turn : TIFF's orientation. tags : further ones.
    """

    shape: tuple[int, int]
    colours: tuple[int, ...]
    black: tuple[int, ...]
    white: int
    matrix: tuple[float, ...]
    neutral: tuple[float, ...]
    turn: int
    tags: tuple[tuple[int, int, int, Any], ...]


def read(path: Path) -> Record:
    """The mosaic: uint16, axes YX, its pattern in the context; or colours where there is none.

    The full range is that of the sensor, the white level.

    Raises
    ------
    HushError
        If rawpy is missing, or LibRaw does not know the file.
    """
    try:
        import rawpy
    except ImportError:
        raise missing_package("rawpy", "camera", what="is a camera raw file, which") from None
    with rawpy.imread(str(path)) as raw:
        pattern = raw.raw_pattern if raw.raw_type == rawpy.RawType.Flat else None
        if pattern is None:
            return _developed(raw, path)
        data: np.ndarray = raw.raw_image_visible.copy()
        full = max(int(raw.white_level), int(data.max(initial=0)))
        if pattern.shape != (2, 2):
            return Record(data, "YX", full=full, context={"mosaic": "xtrans"})
        layout = _layout(raw, path, data.shape)
    names = "".join("rgb"[c] for c in layout.colours)
    meta: dict[str, Any] = {"raw": layout, "exif": _exif(path)}
    return Record(data, "YX", meta=_given(meta), full=full, context={"mosaic": names})


def _developed(raw: Any, path: Path) -> Record:
    """The colours of a file without a mosaic, linear, as LibRaw converts them to sRGB's."""
    data = raw.postprocess(
        output_bps=16, user_flip=0, gamma=(1, 1), no_auto_bright=True, use_camera_wb=True
    )
    meta: dict[str, Any] = {"notes": [_LINEAR], "exif": _exif(path)}
    return Record(data, "YXS", meta=_given(meta))


def _given(meta: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in meta.items() if value}


def _layout(raw: Any, path: Path, shape: tuple[int, int]) -> Layout:
    places = raw.raw_colors_visible[:2, :2].ravel().tolist()
    letters = raw.color_desc.decode("ascii")
    matrix = np.asarray(raw.rgb_xyz_matrix, float)[:3]
    balance = np.array(raw.camera_whitebalance[:3], float)
    if not (balance > 0).all():
        balance = np.array(raw.daylight_whitebalance[:3], float)
    return Layout(
        shape,
        tuple("RGB".index(letters[c]) for c in places),
        tuple(int(raw.black_level_per_channel[c]) for c in places),
        int(raw.white_level),
        tuple(matrix.ravel().tolist()) if matrix.any() else (),
        tuple((balance[1] / balance).tolist()) if (balance > 0).all() else (),
        _TURNS.get(int(raw.sizes.flip), 1),
        _tags(path),
    )


def _tags(path: Path) -> tuple[tuple[int, int, int, Any], ...]:
    """Tags of a file that is built as TIFF is, which a DNG may have, too."""
    try:
        with complaints(), tifffile.TiffFile(path) as tif:
            pages = [tif.pages.first, *(tif.pages.first.pages or ())]
            found = {tag.code: tag for page in pages for tag in page.tags if tag.code in _KEPT}
            codes = found if path.suffix.lower() == ".dng" else {271, 272} & found.keys()
            return tuple(_plain(found[code]) for code in codes)
    except tifffile.TiffFileError:
        return ()  # a camera's own format


def _plain(tag: tifffile.TiffTag) -> tuple[int, int, int, Any]:
    """A tag as tifffile writes it in any byte order; it would count fractions as bytes twice."""
    value = tag.value
    if isinstance(value, str):
        value = value.encode("utf-8") + b"\0"
    count = len(value) if isinstance(value, bytes) else tag.count
    return tag.code, int(tag.dtype), count, value


def _exif(path: Path) -> bytes:
    """EXIF of a file that is built as TIFF is; none of others."""
    try:
        with complaints(), tifffile.TiffFile(path) as tif:
            return tiff_exif.of_file(path, tif, tif.pages.first).to_bytes()
    except tifffile.TiffFileError:
        return b""


# -- writing -----------------------------------------------------------------------------------


def check(record: Record) -> None:
    """Raise HushError for records that are no mosaic of a camera raw file."""
    layout: Layout | None = record.meta.get("raw")
    if layout is None or record.data.shape != layout.shape or record.data.dtype != np.uint16:
        raise HushError("hush writes DNG for mosaics read from camera raw files; write a .tif file")


def write(record: Record, path: Path) -> None:
    """Write a DNG with the record's mosaic."""
    layout: Layout = record.meta["raw"]
    made: dict[int, tuple[int, int, int, Any]] = {
        33421: (33421, 3, 2, (2, 2)),
        33422: (33422, 1, 4, bytes(layout.colours)),
        50706: (50706, 1, 4, bytes((1, 4, 0, 0))),
        50707: (50707, 1, 4, bytes((1, 1, 0, 0))),
        50708: (50708, 2, len(_MODEL) + 1, _MODEL),
        50713: (50713, 3, 2, (2, 2)),
        50714: (50714, 4, 4, layout.black),
        50717: (50717, 4, 1, layout.white),
        274: (274, 3, 1, layout.turn),
    }
    if layout.neutral:
        made[50728] = (50728, 5, 3, _ratios(layout.neutral))
    if layout.matrix:
        made[50721] = (50721, 10, 9, _ratios(layout.matrix))
        made[50778] = (50778, 3, 1, 21)  # D65, the light of LibRaw's matrices
    made |= {tag[0]: tag for tag in layout.tags}
    camera = Exif.from_bytes(record.meta.get("exif", b""))
    directories = camera.directories if camera.order == "<" else {}
    with tifffile.TiffWriter(path, byteorder="<") as out:
        out.write(
            record.data,
            photometric="cfa",
            metadata=None,
            software=False,
            rowsperstrip=256,
            extratags=[(*tag, True) for tag in made.values()] + tiff_exif.pointers(directories),
        )
    tiff_exif.append(path, directories)


def _ratios(values: tuple[float, ...]) -> tuple[int, ...]:
    """Numbers as fractions, numerator and denominator in turn."""
    return tuple(n for v in values for n in (round(v * 10**6), 10**6))
