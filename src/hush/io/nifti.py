"""NIfTI-1 and NIfTI-2, ``.nii``, ``.nii.gz`` and pairs of ``.hdr`` and ``.img``, through nibabel.

As everywhere, hush denoises the stored values, and the order of voxels never changes. Only with a
negative slope, which makes the brightest voxels the lowest values, are they read in real units and
written back by slope and intercept. A result has
the header that was read, extensions included, byte for byte; only of a pair, which becomes one
file, the magic and the offset of the voxels change. Tables of gradients beside the image are read
with it and copied beside the result.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from hush.errors import HushError, missing_package
from hush.io import gradients, grids
from hush.io.array import take_room
from hush.io.gz import DAMAGED, packed, unpacked
from hush.record import Record, full_range
from hush.recording import empty, let_go

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header

ENDINGS = (".nii.gz", ".nii")
PAIRS = (".hdr", ".img", ".hdr.gz", ".img.gz")
MAGIC = (b"n+1\0", b"n+2\0")
PAIR_MAGIC = (b"ni1\0", b"ni2\0")
OFFSET = 344  #: of the magic of NIfTI-1; that of NIfTI-2 is at 4
_SECOND = 4
_SIZES = {348: 344, 540: 4}  #: bytes of a header, and where its magic is
_DTYPES = "i1 u1 i2 u2 i4 u4 i8 u8 f4 f8"
_UNITS = {"meter": 1e3, "mm": 1.0, "micron": 1e-3}  #: in mm
_LONGEST = 2**15 - 1  #: of an axis of NIfTI-1
_PHASE = r"(^|[_.-])(part-)?(ph|phase)([_.]|$)"  #: in the name of a phase image
_FARTHEST = 2**30  #: byte at which the voxels begin, after all extensions
SINGLE = 2.0**21  #: steps from zero up to which single precision keeps stored values apart
_ALIGNED = 16  #: bytes, of which the offset of the voxels is a multiple


@dataclass(frozen=True)
class Layout:
    """What a file is besides its voxels.

    raw : everything before the voxels, header and extensions, as read.
    shape : of the file, which may have fewer or more axes than the record.
    pair : whether the voxels are in another file.
    turned : a negative slope, and the intercept, by which voxels were read in real units; or None.
    """

    raw: bytes
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    pair: bool
    turned: tuple[float, float] | None = None


# -- recognising -------------------------------------------------------------------------------


def single(head: bytes, path: Path) -> bool:
    """Whether the file is a NIfTI file, compressed or not, that holds its voxels itself."""
    return _begins(path, MAGIC, ENDINGS)


def paired(head: bytes, path: Path) -> bool:
    """Whether the file is the header of a NIfTI pair, or the image that has such a header."""
    if path.name.lower().endswith((".img", ".img.gz")):
        return _header_of(path).is_file() and _begins(_header_of(path), PAIR_MAGIC)
    return _begins(path, PAIR_MAGIC)


def _begins(path: Path, magic: tuple[bytes, ...], endings: tuple[str, ...] = ()) -> bool:
    """Whether a file has a magic; one that cannot be unpacked that far, by its name."""
    try:
        with unpacked(path) as stream:
            head = stream.read(OFFSET + 4)
    except DAMAGED:
        return path.name.lower().endswith(endings)
    return head.startswith(magic, OFFSET) or head.startswith(magic, _SECOND)


def probable(path: Path) -> bool:
    """Whether a file in a folder is an image to denoise, and neither a mask nor a phase."""
    name = path.name.lower()
    masked = re.search(r"(^|[_.-])mask([_.-]|$)|_mask(?!ed)", name)
    return masked is None and re.search(_PHASE, name) is None


def _phase_of(path: Path) -> str:
    """The name of the phase image beside a magnitude image, as BIDS or dcm2niix name it; or ""."""
    stem, name = _stem(path), path.name
    ending = name[len(stem) :]
    names = [f"{stem}_ph{ending}", f"{stem}_phase{ending}"]
    names += [re.sub(r"part-mag", "part-phase", name), re.sub(r"_mag(?=[_.])", "_phase", name)]
    return next((n for n in names if n != name and path.with_name(n).is_file()), "")


def probable_pair(path: Path) -> bool:
    """Whether a file in a folder is the header of a pair; other formats have its endings too."""
    try:
        return ".hdr" in path.name.lower() and _begins(path, PAIR_MAGIC) and probable(path)
    except OSError:
        return True  # reading it raises the error


def _stem(path: Path) -> str:
    """A file's name without the ending of the format."""
    name = path.name
    ending = next((e for e in (*ENDINGS, *PAIRS) if name.lower().endswith(e)), path.suffix)
    return name[: len(name) - len(ending)]


def _header_of(image: Path) -> Path:
    return image.with_name(re.sub(r"(?i)\.img(?=(\.gz)?$)", ".hdr", image.name))


def _image_of(header: Path) -> Path:
    """The image of a pair, compressed or not; `HushError` if there is none."""
    stem = _stem(header)
    names = [f"{stem}{e}" for e in (".img", ".img.gz", ".IMG")]
    found = next((n for n in names if header.with_name(n).is_file()), None)
    if found is None:
        raise HushError(f"is the header of a pair and needs {names[0]} beside it, which is missing")
    return header.with_name(found)


# -- reading -----------------------------------------------------------------------------------


def read(path: Path) -> Record:
    """The stored values along the file's axes, ``XYZ`` or ``XYZC``; further axes are stacks.

    An uncompressed file is memory-mapped; a large compressed one is unpacked into a temporary file.

    Raises
    ------
    HushError
        If nibabel is missing, the file is cut short, or its values are colours or complex.
    """
    if path.name.lower().endswith((".img", ".img.gz")):
        path = _header_of(path)
    with _explained(), unpacked(path) as stream:
        raw, header = _header(stream)
        offset = int(header.get_data_offset())
        if not 0 <= offset <= _FARTHEST:
            raise HushError(f"is damaged: its header puts the voxels at byte {offset}")
        pair = raw[_SIZES[len(raw)] :].startswith(PAIR_MAGIC)
        if pair:
            rest = stream.read()
        else:
            offset = max(offset, len(raw) + 4)
            rest = stream.read(offset - len(raw))
    shape, dtype = _checked(header)
    slope, inter = _scaling(header)
    turned = (slope, inter) if slope < 0 else None
    layout = Layout(raw + rest, shape, dtype, pair, turned)
    image = _image_of(path) if pair else path
    with _explained():
        data = _voxels(image, shape, dtype, offset)
    data = _real(data, *turned) if turned else data
    data = data.reshape(*shape, *[1] * (3 - len(shape)), order="F")
    meta: dict[str, Any] = {"nifti": layout}
    context = _places(header)
    if data.ndim > 3:
        table = gradients.find(path, _stem(path), data.shape[3])
        context |= table.context
        meta |= {"gradients": table, "files": table.names, "notes": list(table.notes)}
    if phase := _phase_of(path):
        said = f"{phase}, the phase image beside this one, is not used."
        meta["notes"] = [*meta.get("notes", ()), said]
    if pair:
        meta["files"] = (*meta.get("files", ()), path.name, image.name)
    return Record(data, _letters(data.shape), kind="volume", meta=meta, context=context)


def _letters(shape: tuple[int, ...]) -> str:
    """Axes of a file: those after X, Y and Z are channels, then stacks."""
    return grids.letters([i < 3 for i in range(len(shape))])


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what gzip raises for files that are cut short into a sentence."""
    try:
        yield
    except DAMAGED:
        raise grids.short(0, 0) from None


def _header(stream: IO[bytes]) -> tuple[bytes, Nifti1Header]:
    """The header of either version, as bytes and as nibabel sees it."""
    versions = _versions()
    begun = stream.read(4)
    size = next((n for n in _SIZES for e in ("little", "big") if n.to_bytes(4, e) == begun), 0)
    if not size:
        raise HushError("is damaged: its header does not state its size as a NIfTI header does")
    raw = begun + stream.read(size - 4)
    if len(raw) < size:
        raise grids.short(0, 0)
    return raw, versions[size](raw, check=False)


def _versions() -> dict[int, type[Nifti1Header]]:
    """nibabel's classes for headers by their size in bytes."""
    try:
        from nibabel import Nifti1Header, Nifti2Header
    except ImportError:
        raise missing_package("nibabel", "medical", what="a NIfTI file") from None
    return {348: Nifti1Header, 540: Nifti2Header}


def _checked(header: Nifti1Header) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """The shape and type of the voxels; `HushError` unless they are gray values of volumes."""
    from nibabel.spatialimages import HeaderDataError

    try:
        shape, dtype = tuple(map(int, header.get_data_shape())), header.get_data_dtype()
    except (KeyError, HeaderDataError):
        raise HushError("stores values of a type that hush does not know") from None
    if dtype.kind == "c":
        raise HushError(
            "holds complex values; split them into magnitude and phase, and denoise the magnitude"
        )
    if dtype.names:
        raise HushError("holds colours, not measured values; denoise the image they were made of")
    if dtype.str[1:] not in _DTYPES.split():
        raise HushError(f"holds {dtype} values; convert them to float32 first")
    if len(shape) < 2:
        raise HushError(f"holds {len(shape)} dimension, not an image")
    if min(shape) < 1:
        raise HushError(f"holds no voxels: its shape is {shape}")
    return shape, dtype


def _voxels(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], offset: int) -> np.ndarray:
    """The stored values in a file, the first axis fastest."""
    size = path.stat().st_size
    with unpacked(path) as stream:
        if isinstance(stream, gzip.GzipFile):
            stream.read(offset)
            return grids.drawn(stream, shape, dtype, grids.SQUEEZED * size)
    needed = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if size < offset + needed:
        raise grids.short(max(0, size - offset), needed)
    return np.memmap(path, dtype, "r", offset, shape, order="F")


def _places(header: Nifti1Header) -> dict[str, Any]:
    """What the header says of voxels in space, in mm, and of the value that means no signal."""
    from nibabel.spatialimages import HeaderDataError

    context: dict[str, Any] = {}
    unit = 1.0
    with suppress(KeyError):  # a unit that no version defines
        unit = _UNITS.get(header.get_xyzt_units()[0], 1.0)
    sizes = np.abs(np.asarray(header["pixdim"][1:4], np.float64)) * unit
    with suppress(ValueError, HeaderDataError, np.linalg.LinAlgError):  # no valid rotation
        affine = np.asarray(header.get_best_affine(), np.float64)
        affine[:3] *= unit
        if np.isfinite(affine).all() and np.linalg.det(affine[:3, :3]):
            context["affine"] = affine
            measured = np.linalg.norm(affine[:3, :3], axis=0)
            sizes = np.where(np.isfinite(sizes) & (sizes > 0), sizes, measured)
    if (np.isfinite(sizes) & (sizes > 0)).all():
        context["spacing"] = tuple(sizes[::-1].tolist())
    slope, inter = _scaling(header)
    if slope > 0 and inter:
        context["zero"] = -inter / slope
    if slope > 0 and slope != 1:
        context["slope"] = slope
    return context


def _scaling(header: Nifti1Header) -> tuple[float, float]:
    """Slope and intercept to real values; 1 and 0 if they mean nothing."""
    from nibabel.spatialimages import HeaderDataError

    try:
        slope, inter = header.get_slope_inter()
    except HeaderDataError:  # an intercept that is not finite
        return 1.0, 0.0
    return (float(slope), float(inter or 0.0)) if slope else (1.0, 0.0)


def _real(stored: np.ndarray, slope: float, inter: float) -> np.ndarray:
    """Stored values in real units, in single precision if that keeps them apart."""
    dtype = stored.dtype
    short = dtype.kind in "iu" and dtype.itemsize < 4
    steps = full_range(dtype) + abs(inter / slope)
    whole = empty(stored.shape[::-1], np.float32 if short and steps < SINGLE else np.float64)
    for plane, values in zip(whole, stored.T, strict=True):
        plane[...] = values * np.float64(slope) + inter
        let_go(whole)
    return whole.T


def _stored(record: Record) -> Record:
    """A record as its file stores it: not in real units, in which `read` may have it."""
    layout: Layout | None = record.meta.get("nifti")
    if layout is None or layout.turned is None:
        return record
    slope, inter = layout.turned
    dtype = layout.dtype.newbyteorder("=")
    out = empty(record.data.shape[::-1], dtype)
    for plane, real in zip(out, record.data.T, strict=True):
        values = (real.astype(np.float64) - inter) / slope
        if dtype.kind in "iu":
            info = np.iinfo(dtype)
            values = np.clip(np.rint(values), info.min, info.max)
        plane[...] = values
        let_go(out)
    return replace(record, data=out.T)


# -- writing -----------------------------------------------------------------------------------


def check(record: Record) -> None:
    """Raise HushError if no NIfTI file can hold the record."""
    _versions()
    grids.check_gray(record, "NIfTI", _DTYPES)
    if len(record.axes) > 7:
        raise HushError(f"NIfTI files hold up to 7 axes, not {len(record.axes)}")


def files(record: Record, path: Path) -> list[Path]:
    """The tables of gradients that are written beside the image, and the image.

    Tables that are there already, and the same, are none of them.
    """
    made = []
    for ending, text in _tables(record).items():
        file = path.with_name(f"{_stem(path)}{ending}")
        if not (file.is_file() and file.read_bytes() == text):
            made.append(file)
    return [*made, path]


def _tables(record: Record) -> dict[str, bytes]:
    """The tables of gradients of a record, by their endings."""
    count = record.channels if "C" in record.axes else 1
    return gradients.texts(record, count)


def write(record: Record, path: Path) -> None:
    """Write the image at `path`, and its tables of gradients beside it."""
    record = _stored(record)
    top, _, dtype = _top(record)
    _, order = _order(record)
    data = grids.in_order(record.data, order)
    with packed(path) as stream:
        stream.write(top)
        grids.pour(data, dtype, stream)
    _beside(record, path)


def open_plain(record: Record, path: Path) -> np.ndarray | None:
    """The voxels in an uncompressed file that is being written, with the record's axes."""
    layout: Layout | None = record.meta.get("nifti")
    if path.name.lower().endswith(".gz") or (layout and layout.turned):
        return None
    top, shape, dtype = _top(record)
    size = int(np.prod(shape)) * dtype.itemsize
    with path.open("wb") as file:
        file.write(top)
        file.truncate(len(top) + size)
    take_room(path)
    _beside(record, path)
    _, order = _order(record)
    whole = np.memmap(path, dtype, "r+", len(top), shape, order="F")
    return grids.as_record(whole, order)


def _beside(record: Record, path: Path) -> None:
    for ending, text in _tables(record).items():
        path.with_name(f"{_stem(path)}{ending}").write_bytes(text)


def _order(record: Record) -> tuple[str, list[int | None]]:
    """The axes of the file, and where the record has them."""
    if "nifti" in record.meta:
        return record.axes, list(range(len(record.axes)))
    return grids.file_order(record.axes)


def _top(record: Record) -> tuple[bytes, tuple[int, ...], np.dtype[Any]]:
    """Everything before the voxels, their shape along X, Y, Z and so on, and their type."""
    layout: Layout | None = record.meta.get("nifti")
    _, order = _order(record)
    shape = grids.in_order(record.data, order).shape
    dtype = record.data.dtype
    if layout is None:
        return _new(record, shape), shape, dtype.newbyteorder("=")
    same = dtype.newbyteorder("=") == layout.dtype.newbyteorder("=")
    padded = (*layout.shape, *[1] * (3 - len(layout.shape)))
    size = _size(layout.raw)
    if same and padded == shape and not layout.pair:
        return layout.raw, shape, layout.dtype
    header = _versions()[size](layout.raw[:size], check=False)
    if padded != shape:
        header.set_data_shape(shape)
    header.set_data_dtype(dtype)
    rest = layout.raw[size:] or bytes(4)
    rest += bytes(-(size + len(rest)) % _ALIGNED)
    where, version = _SIZES[size], b"n+1" if size == 348 else b"n+2"
    header["vox_offset"] = size + len(rest)
    top = header.binaryblock
    return (
        top[:where] + version + top[where + 3 :] + rest,
        shape,
        dtype.newbyteorder(header.endianness),
    )


def _size(raw: bytes) -> int:
    """Bytes of the header with which a file begins."""
    return next(n for n in _SIZES for e in ("little", "big") if n.to_bytes(4, e) == raw[:4])


def _new(record: Record, shape: tuple[int, ...]) -> bytes:
    """The header of a record from another format, of version 2 if an axis is too long for 1."""
    long = max(shape) > _LONGEST
    header = _versions()[540 if long else 348]()
    header.set_data_shape(shape)
    header.set_data_dtype(record.data.dtype.newbyteorder("="))
    sizes = record.context.get("spacing")
    affine = record.context.get("affine")
    if affine is not None:
        affine = np.asarray(affine, np.float64)
        sizes = np.linalg.norm(affine[:3, :3], axis=0)[::-1]
        header.set_qform(affine, "scanner", strip_shears=True)
        header.set_sform(affine, "scanner")
    if sizes is not None:
        header["pixdim"][1:4] = np.asarray(sizes, np.float64)[::-1]
        header.set_xyzt_units("mm")
    header["scl_slope"], header["scl_inter"] = grids.scaling(record)
    header["magic"] = b"n+2\0\r\n\x1a\n" if long else b"n+1\0"
    size = len(header.binaryblock)
    rest = bytes(4 + -(size + 4) % _ALIGNED)
    header["vox_offset"] = size + len(rest)
    return bytes(header.binaryblock) + rest
