"""NRRD, with the data in the same file or in another, through pynrrd.

http://teem.sourceforge.net/nrrd/format.html. A result has the lines of the header that was read;
only where the data lie may change. A file in the layout of diffusion series
(https://www.na-mic.org/wiki/NAMIC_Wiki:DTI:Nrrd_format) has a table of gradients.
"""

from __future__ import annotations

import bz2
import gzip
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from hush.errors import HushError, missing_package
from hush.io import gradients, grids
from hush.record import Record

ENDINGS = (".nrrd", ".nhdr")
MAGIC = (b"NRRD0",)
#: how headers name them; hush writes the first name
_NAMES = {
    "i1": ("int8", "int8_t", "signed char"),
    "u1": ("uint8", "uint8_t", "unsigned char", "uchar"),
    "i2": ("int16", "int16_t", "short", "short int", "signed short", "signed short int"),
    "u2": ("uint16", "uint16_t", "ushort", "unsigned short", "unsigned short int"),
    "i4": ("int32", "int32_t", "int", "signed int"),
    "u4": ("uint32", "uint32_t", "uint", "unsigned int"),
    "i8": (
        *("int64", "int64_t", "longlong", "long long", "long long int"),
        *("signed long long", "signed long long int"),
    ),
    "u8": ("uint64", "uint64_t", "ulonglong", "unsigned long long", "unsigned long long int"),
    "f4": ("float",),
    "f8": ("double",),
}
_LEVEL = 3  #: of compression with gzip
_MOST = 2**26  #: bytes of a header
_PACKED = {"gzip": "gzip", "gz": "gzip", "bzip2": "bzip2", "bz2": "bzip2", "raw": "raw"}
_TEXT = ("ascii", "text", "txt")
_ENDING = {"raw": ".raw", "gzip": ".raw.gz", "bzip2": ".raw.bz2", "text": ".txt"}
_SPATIAL = ("domain", "space")
#: signs from the first letters of a space to right, anterior, superior
_SPACES = {
    "right-anterior-superior": (1, 1, 1),
    "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1),
    "las": (-1, 1, 1),
    "left-posterior-superior": (-1, -1, 1),
    "lps": (-1, -1, 1),
}
_WHERE = ("data file", "datafile", "byte skip", "byteskip", "line skip", "lineskip")


@dataclass(frozen=True)
class Layout:
    """What a file is besides its values.

    lines : of the header, as read, without the empty one at the end.
    shape, dtype, encoding : of the values.
    """

    lines: tuple[bytes, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    encoding: str


def probable(path: Path) -> bool:
    """Whether a file in a folder is an image to denoise, and not a mask or a segmentation."""
    return re.search(r"(^|[_.-])(mask|seg)([_.-]|$)|_mask(?!ed)", path.name.lower()) is None


# -- reading -----------------------------------------------------------------------------------


def read(path: Path) -> Record:
    """The stored values along the file's axes, such as ``XYZ`` or ``CXYZ``.

    Raises
    ------
    HushError
        If pynrrd or the data file is missing, the data are cut short, or no gray values.
    """
    try:
        import nrrd
    except ImportError:
        raise missing_package("pynrrd", "medical", what="is an NRRD file, which") from None
    with path.open("rb") as stream:
        lines = _lines(stream)
        header = nrrd.read_header(list(lines))
        start = stream.tell()
    shape, dtype, encoding = _checked(header)
    name = header.get("data file", header.get("datafile"))
    file = path
    if name is not None:
        file, start = _beside(path, name), 0
    if encoding == "text":
        data = _typed(file, start, header, shape, dtype)
    else:
        data = _values(file, start, header, encoding, shape, dtype)
    spatial = _spatial(header)
    affine, context = _places(header, spatial)
    axes = _axes(spatial)
    if missing := 3 - sum(spatial):
        data = data.reshape(*data.shape, *[1] * missing, order="F")
    meta: dict[str, Any] = {"nrrd": Layout(lines, shape, dtype, encoding)}
    if file is not path:
        meta["files"] = (file.name,)
    if "C" in axes:
        context |= _gradients(header, data.shape[axes.index("C")], affine)
    return Record(data, axes, kind="volume", meta=meta, context=context)


def _lines(stream: IO[bytes]) -> tuple[bytes, ...]:
    """The lines of a header, up to an empty one or the end of the file."""
    lines, size = [], 0
    while (line := stream.readline(_MOST)).strip(b"\r\n"):
        lines.append(line)
        size += len(line)
        if size > _MOST:
            raise HushError("is damaged: its header does not end")
    return tuple(lines)


def _checked(header: Mapping[str, Any]) -> tuple[tuple[int, ...], np.dtype[Any], str]:
    """Shape, type and encoding of the values; `HushError` unless they are gray."""
    if missing := [k for k in ("type", "dimension", "sizes", "encoding") if k not in header]:
        raise HushError(f"is damaged: its header does not state '{missing[0]}'")
    shape = tuple(int(n) for n in header["sizes"])
    if len(shape) != header["dimension"] or len(shape) < 2 or min(shape) < 1:
        raise HushError(f"holds no volume: its sizes are {', '.join(map(str, shape))}")
    encoding = str(header["encoding"]).lower()
    if encoding not in _PACKED and encoding not in _TEXT:
        raise HushError(f"is encoded as '{header['encoding']}'; save it as raw or gzip")
    dtype = _dtype(header)
    for kind in header.get("kinds", ()):
        if "color" in kind.lower():
            raise HushError("holds colours, not measured values; save one channel per file")
        if kind.lower() == "complex":
            raise HushError(
                "holds complex values; split them into magnitude and phase, and denoise the "
                "magnitude"
            )
        if "matrix" in kind.lower():
            raise HushError("holds tensors; denoise the images they were fitted to")
    return shape, dtype, _PACKED.get(encoding, "text")


def _dtype(header: Mapping[str, Any]) -> np.dtype[Any]:
    """The type of the values in the file; text has no byte order."""
    name = str(header["type"]).lower()
    code = next((code for code, names in _NAMES.items() if name in names), None)
    if code is None:
        raise HushError(f"holds '{header['type']}' values, which are no numbers")
    order = str(header.get("endian", "little")).lower()
    return np.dtype(code).newbyteorder(">" if order == "big" else "<")


def _beside(path: Path, name: str) -> Path:
    """The file with the data, which a header names."""
    if name.split()[0].upper() == "LIST" or "%" in name:
        raise HushError("has its data in several files; save it as one .nrrd file first")
    file = path.parent / name
    if not file.is_file():
        raise HushError(f"is a header and needs {name} beside it, which is missing")
    return file


def _skips(header: Mapping[str, Any]) -> tuple[int, int]:
    """Lines and bytes before the values."""
    lines = int(header.get("line skip", header.get("lineskip", 0)))
    count = int(header.get("byte skip", header.get("byteskip", 0)))
    if lines < 0 or count < -1:
        raise HushError("is damaged: it skips a negative number of lines or bytes")
    return lines, count


def _values(
    path: Path,
    start: int,
    header: Mapping[str, Any],
    encoding: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
) -> np.ndarray:
    """The values in a file, memory-mapped if they are not compressed."""
    lines, skipped = _skips(header)
    needed, size = math.prod(shape) * dtype.itemsize, path.stat().st_size
    with path.open("rb") as file, ExitStack() as stack:
        file.seek(start)
        for _ in range(lines):
            file.readline()
        if encoding == "raw":
            offset = size - needed if skipped == -1 else file.tell() + skipped
            if offset < 0 or size < offset + needed:
                raise grids.short(max(0, size - offset), needed)
            return np.memmap(path, dtype, "r", offset, shape, order="F")
        if skipped < 0:
            raise HushError("is compressed and says that its values are at the end; save it again")
        packed: Any = gzip.GzipFile(fileobj=file) if encoding == "gzip" else bz2.BZ2File(file)
        stream = stack.enter_context(packed)
        most = grids.SQUEEZED * size if encoding == "gzip" else 2**62
        try:
            stream.read(skipped)
            return grids.drawn(stream, shape, dtype, most)
        except (EOFError, zlib.error, gzip.BadGzipFile, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise grids.short(0, 0) from None


def _typed(
    path: Path,
    start: int,
    header: Mapping[str, Any],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
) -> np.ndarray:
    """The values in a file of text."""
    lines, skipped = _skips(header)
    text = path.read_bytes()[start:].split(b"\n", lines)[-1][max(0, skipped) :]
    words = text.replace(b",", b" ").split()
    if len(words) < math.prod(shape):
        raise HushError(f"is cut short: it holds {len(words)} of {math.prod(shape)} values")
    whole = np.array(words[: math.prod(shape)]).astype(dtype.newbyteorder("="))
    return whole.reshape(shape, order="F")


def _spatial(header: Mapping[str, Any]) -> list[bool]:
    """Which axes are in space: those that have a direction, or are of such a kind.

    If that is unknown, or true of more than three, the first three are.
    """
    count = int(header["dimension"])
    found = [True] * count
    for key in ("space directions", "spacings"):
        if key in header and len(header[key]) == count:
            known = np.isfinite(np.asarray([np.sum(x) for x in header[key]], np.float64))
            found = [a and bool(b) for a, b in zip(found, known, strict=True)]
    kinds = [k.lower() for k in header.get("kinds", ())]
    if len(kinds) == count:
        found = [
            a and (k in _SPATIAL or k in ("???", "none")) for a, k in zip(found, kinds, strict=True)
        ]
    if not 2 <= sum(found) <= 3:
        found = [i < 3 for i in range(count)]
    return found


def _axes(spatial: Sequence[bool]) -> str:
    """Axes of the record, to which axes of length 1 are added up to three in space."""
    return grids.letters([*spatial, *[True] * (3 - sum(spatial))])


def _places(
    header: Mapping[str, Any], spatial: Sequence[bool]
) -> tuple[np.ndarray | None, dict[str, Any]]:
    """The affine, if there is one, and what the header says of voxels in space, in mm."""
    directions = header.get("space directions")
    if directions is None or len(directions) != len(spatial):
        sizes = header.get("spacings")
        if sizes is None or len(sizes) != len(spatial) or sum(spatial) != 3:
            return None, {}
        kept = np.abs(np.asarray(sizes, np.float64)[list(spatial)])
        return None, {"spacing": tuple(kept[::-1].tolist())} if kept.all() else {}
    columns = [np.asarray(d, np.float64) for d, s in zip(directions, spatial, strict=True) if s]
    if len(columns) != 3 or any(c.shape != (3,) for c in columns):
        return None, {}
    affine = np.eye(4)
    affine[:3, :3] = np.stack(columns, axis=1)
    origin = np.asarray(header.get("space origin", np.zeros(3)), np.float64)
    affine[:3, 3] = np.nan_to_num(origin) if origin.shape == (3,) else 0
    affine[:3] *= np.array(_signs(header))[:, None]
    if not np.isfinite(affine).all() or not np.linalg.det(affine[:3, :3]):
        return None, {}
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    return affine, {"affine": affine, "spacing": tuple(sizes[::-1].tolist())}


def _signs(header: Mapping[str, Any]) -> tuple[int, int, int]:
    """From the header's space to right, anterior and superior."""
    space = str(header.get("space", "")).lower().removesuffix("-time")
    return _SPACES.get(space, (1, 1, 1))


def _gradients(
    header: Mapping[str, Any], count: int, affine: np.ndarray | None
) -> dict[str, np.ndarray]:
    """The table of gradients in a header, if it has one for every volume.

    A direction's length tells the share of the highest b-value: its square.
    """
    vectors: list[list[float]] = []
    try:
        most = float(header["DWMRI_b-value"])
        while len(vectors) < count:
            number = f"{len(vectors):04d}"
            vector = [float(x) for x in header[f"DWMRI_gradient_{number}"].split()]
            vectors += [vector] * max(1, int(header.get(f"DWMRI_NEX_{number}", 1)))
    except (KeyError, ValueError):
        return {}
    if len(vectors) != count or {len(v) for v in vectors} != {3}:
        return {}
    table = np.array(vectors)
    square = (table**2).sum(axis=1)
    longest = float(square.max())
    bvals = most * square / longest if longest else np.zeros(count)
    length = np.sqrt(square)[:, None]
    table = np.divide(table, length, out=np.zeros_like(table), where=length > 0)
    frame = np.asarray(header.get("measurement frame", np.eye(3)), np.float64)
    if affine is not None:
        if frame.shape == (3, 3) and np.isfinite(frame).all():
            table = table @ frame
        table = gradients.from_space(table * _signs(header), affine)
    return {"bvals": bvals, "bvecs": table}


# -- writing -----------------------------------------------------------------------------------


def check(record: Record) -> None:
    """Raise HushError if no NRRD file can hold the record."""
    grids.check_gray(record, "NRRD", " ".join(_NAMES))


def notes(record: Record) -> list[str]:
    """What an NRRD file, which knows no slope and no intercept, does not hold of a record."""
    slope, intercept = grids.scaling(record)
    if "nrrd" in record.meta or (slope, intercept) == (1.0, 0.0):
        return []
    source = f"the {record.meta['format']} input" if "format" in record.meta else "the input"
    return [
        f"NRRD has no slope and no intercept, so this file holds the values as they are stored; "
        f"times {slope:.6g}{f' plus {intercept:.6g}' * bool(intercept)}, they are those of "
        f"{source}. Write .nii.gz to keep them."
    ]


def files(record: Record, path: Path) -> list[Path]:
    """The file with the data, if the name is that of a header, and the file at `path`."""
    if not path.name.lower().endswith(".nhdr"):
        return [path]
    layout: Layout | None = record.meta.get("nrrd")
    return [path.with_name(_data_name(path, layout.encoding if layout else "gzip")), path]


def _data_name(path: Path, encoding: str) -> str:
    return f"{path.name[: -len('.nhdr')]}{_ENDING[encoding]}"


def write(record: Record, path: Path) -> None:
    """Write the file at `path`; if it is a header, also the data beside it."""
    layout: Layout | None = record.meta.get("nrrd")
    like = layout is not None and _fits(record, layout)
    if layout is not None and like:
        data = record.data.reshape(layout.shape, order="A")
        lines = [x for x in layout.lines if _field(x) not in _WHERE]
        encoding, dtype = layout.encoding, record.data.dtype.newbyteorder(layout.dtype.byteorder)
        if dtype.newbyteorder("=") != layout.dtype.newbyteorder("="):
            lines = _retyped(lines, dtype)
    else:
        _, order = grids.file_order(record.axes)
        data, encoding = grids.in_order(record.data, order), "gzip"
        dtype = record.data.dtype.newbyteorder("<")
        lines = _new(record, data.shape, dtype)
    detached = path.name.lower().endswith(".nhdr")
    if detached:
        lines = [*_ended(lines), f"data file: {_data_name(path, encoding)}\n".encode()]
    with path.open("wb") as stream:
        stream.writelines(_ended(lines))
        if not detached:
            stream.write(b"\n")
            _pack(data, dtype, encoding, stream)
    if detached:
        with path.with_name(_data_name(path, encoding)).open("wb") as stream:
            _pack(data, dtype, encoding, stream)


def _fits(record: Record, layout: Layout) -> bool:
    """Whether a record has the axes of the file that was read."""
    shape = record.data.shape
    return shape == layout.shape + (1,) * (len(shape) - len(layout.shape))


def _field(line: bytes) -> str:
    """The field that a line of a header states; empty for comments and for keys with values."""
    match = re.match(rb"([^:#]+):(?!=)", line)
    return match[1].decode("ascii", "replace").strip().lower() if match else ""


def _ended(lines: Sequence[bytes]) -> list[bytes]:
    """Lines, of which also the last one ends in a newline."""
    return [x if x.endswith(b"\n") else x + b"\n" for x in lines]


def _retyped(lines: Sequence[bytes], dtype: np.dtype[Any]) -> list[bytes]:
    """Lines of a header that state another type of values."""
    made = [x for x in lines if _field(x) not in ("type", "endian")]
    return [made[0], *_types(dtype), *made[1:]]


def _types(dtype: np.dtype[Any]) -> list[bytes]:
    order = "big" if dtype.byteorder == ">" else "little"
    return [f"type: {_NAMES[dtype.str[1:]][0]}\n".encode(), f"endian: {order}\n".encode()]


def _new(record: Record, shape: tuple[int, ...], dtype: np.dtype[Any]) -> list[bytes]:
    """The lines of a header for a record from another format."""
    others = len(shape) - 3
    made = ["NRRD0005", f"dimension: {len(shape)}", f"sizes: {_spaced(shape)}"]
    made.append("kinds: " + " ".join(["domain"] * 3 + ["list"] * others))
    made.append("encoding: gzip")
    sizes, affine = record.context.get("spacing"), record.context.get("affine")
    if affine is not None:
        lps = np.asarray(affine, np.float64)[:3] * [[-1], [-1], [1]] + 0.0
        made.append("space: left-posterior-superior")
        vectors = [_vector(lps[:, i]) for i in range(3)]
        made.append("space directions: " + " ".join(vectors + ["none"] * others))
        made.append(f"space origin: {_vector(lps[:, 3])}")
    elif sizes is not None:
        made.append("spacings: " + " ".join([_spaced(sizes[::-1])] + ["nan"] * others))
    bvals, bvecs = (record.context.get(k) for k in ("bvals", "bvecs"))
    count = shape[3] if others == 1 else 1
    if bvals is None or bvecs is None or np.shape(bvecs) != (count, 3):
        bvals = ()
    if np.size(bvals) == count > 1:
        values, table = np.ravel(bvals), np.nan_to_num(np.asarray(bvecs, np.float64))
        if affine is not None:
            made.append("measurement frame: (1,0,0) (0,1,0) (0,0,1)")
            table = gradients.to_space(table, affine) * [-1, -1, 1] + 0.0
        most = float(values.max())
        length = np.linalg.norm(table, axis=1)
        share = np.sqrt(values / most) if most else np.zeros(count)
        share = np.divide(share, length, out=np.zeros(count), where=length > 0)
        made += ["modality:=DWMRI", f"DWMRI_b-value:={most:.17g}"]
        rows = (table * share[:, None]).tolist()
        made += [f"DWMRI_gradient_{i:04d}:={_spaced(row)}" for i, row in enumerate(rows)]
    lines = [f"{line}\n".encode() for line in made]
    return [lines[0], *_types(dtype), *lines[1:]]


def _spaced(numbers: Sequence[float]) -> str:
    return " ".join(f"{float(x):.17g}" for x in numbers)


def _vector(numbers: np.ndarray) -> str:
    return "(" + ",".join(f"{x:.17g}" for x in numbers.tolist()) + ")"


def _pack(data: np.ndarray, dtype: np.dtype[Any], encoding: str, stream: IO[bytes]) -> None:
    """Write values, the first axis fastest."""
    if encoding == "raw":
        grids.pour(data, dtype, stream)
    elif encoding == "gzip":
        with gzip.GzipFile("", "wb", _LEVEL, stream, mtime=0) as packed:
            grids.pour(data, dtype, packed)  # type: ignore[arg-type]
    elif encoding == "bzip2":
        with bz2.BZ2File(stream, "wb") as packed:
            grids.pour(data, dtype, packed)
    else:
        for part in grids.blocks(data.T):
            np.savetxt(stream, part.reshape(-1), "%d" if dtype.kind in "iu" else "%.17g")
