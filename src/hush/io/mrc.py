"""MRC and CCP4 maps, as cryo-EM and tomography use them, through mrcfile's description of them.

Images, stacks of images and volumes of modes 0 (int8; uint8 if IMOD says so), 1 (int16), 2
(float32), 6 (uint16) and 12 (float16). The header says whether planes are images (space group 0) or
slices of a volume. A result has the header and the extended header that were read; only the
statistics of the values are new, and one label more says who wrote it.
"""

from __future__ import annotations

import bz2
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from hush.errors import HushError, missing_package
from hush.io import grids, gz
from hush.io.array import take_room
from hush.record import Record
from hush.recording import let_go

_PLAIN = (".mrcs", ".map", ".ccp4", ".rec", ".st", ".ali", ".mrc")
ENDINGS = tuple(f"{ending}{packed}" for packed in (".gz", ".bz2", "") for ending in _PLAIN)
MAGIC = (b"MAP ", b"MAP\0")
OFFSET = 208  #: of the magic
LABEL = b"Values written by hush"
_HEADER = 1024  #: bytes
_STAMPS = {b"\x44\x44": "<", b"\x44\x41": "<", b"\x11\x11": ">"}
_MODES = {"i1": 0, "i2": 1, "f4": 2, "u2": 6, "f2": 12}
_REFUSED = {3: "complex values", 4: "complex values", 16: "colours", 101: "4-bit values"}
_LABELS = 10
_LONGEST = 2**24  #: of an axis, by which damaged headers are recognised
_IMOD, _IMOD_AT = 1146047817, 40  #: IMOD's stamp, and where it is in ``extra2``; flags follow it
_ANGSTROM = 1e-7  #: in mm
_BZIP = b"BZh"


@dataclass(frozen=True)
class Layout:
    """What a file is besides its values: all bytes before them (`raw`), their type and shape."""

    raw: bytes
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


def sniff(head: bytes, path: Path) -> bool:
    """Whether the file is an MRC file, compressed or not; one without the magic, by its name."""
    if head.startswith((gz.MAGIC, _BZIP)):
        if not path.name.lower().endswith(ENDINGS):
            return False
        try:
            with _unpacked(path) as stream:
                head = stream.read(_HEADER)
        except (*gz.DAMAGED, OSError):
            return True  # reading it raises the error
    old = path.name.lower().endswith(ENDINGS) and _order(head) is not None
    return head.startswith(MAGIC, OFFSET) or old


def probable(path: Path) -> bool:
    """Whether a file in a folder is an MRC file; other files have its endings, too."""
    try:
        with path.open("rb") as stream:
            return sniff(stream.read(256), path)
    except OSError:
        return True  # reading it raises the error


def _order(head: bytes) -> str | None:
    """The byte order in which a header makes sense: its sizes and mode are possible."""
    stated = _STAMPS.get(head[212:214], "<")
    for order in dict.fromkeys((stated, "<", ">")):
        *sides, mode = np.frombuffer(head[:16].ljust(16, b"\0"), f"{order}i4").tolist()
        known = mode in (*_MODES.values(), *_REFUSED)
        if known and min(sides) > 0 and max(sides) < _LONGEST:
            return order
    return None


@contextmanager
def _unpacked(path: Path) -> Iterator[IO[bytes]]:
    """The content of a file, decompressed if it is in gzip or bzip2."""
    with path.open("rb") as file:
        zipped = file.read(len(_BZIP)) == _BZIP
    if not zipped:
        with gz.unpacked(path) as stream:
            yield stream
        return
    with bz2.open(path) as stream:
        yield stream


# -- reading -----------------------------------------------------------------------------------


def read(path: Path) -> Record:
    """The values as stored: axes YX, QYX of a stack of images, ZYX of a volume, QZYX of several.

    An uncompressed file is memory-mapped. Voxel sizes are in ``context["spacing"]``, in mm.

    Raises
    ------
    HushError
        If mrcfile is missing, the file is cut short, or holds complex values, colours or 4 bits.
    """
    size, packed = path.stat().st_size, _is_packed(path)
    try:
        with _unpacked(path) as stream:
            raw = stream.read(_HEADER)
            header = _header(raw)
            extended = int(header.nsymbt)
            if not 0 <= extended <= 2**30:
                raise HushError(f"is damaged: its extended header has {extended} bytes")
            raw += stream.read(extended)
            layout = Layout(raw, _dtype(header), _shape(header))
            if packed:
                data = grids.drawn(stream, layout.shape[::-1], layout.dtype, 2**62).T
    except (*gz.DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise grids.short(0, 0) from None
    if not packed:
        needed = int(np.prod(layout.shape, dtype=object)) * layout.dtype.itemsize
        if size < len(raw) + needed:
            raise grids.short(max(0, size - len(raw)), needed)
        data = np.memmap(path, layout.dtype, "r", len(raw), layout.shape)
    volume = int(header.ispg) != 0
    axes = {2: "YX", 3: "ZYX" if volume else "QYX", 4: "QZYX"}[data.ndim]
    meta: dict[str, Any] = {"mrc": layout}
    cell, count = header.cella, (header.mx, header.my, header.mz)
    sides = [float(cell[a]) / max(int(n), 1) for a, n in zip("xyz", count, strict=True)]
    context = {}
    if all(np.isfinite(sides)) and min(sides[:2]) > 0:
        meta["resolution"] = tuple(1e3 / (s * _ANGSTROM) for s in sides[:2])
        if volume and sides[2] > 0:
            context["spacing"] = tuple(s * _ANGSTROM for s in reversed(sides))
    return Record(data, axes, meta=meta, context=context)


def _is_packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(3).startswith((gz.MAGIC, _BZIP))


def _mrcfile() -> Any:
    try:
        import mrcfile.dtypes
        import mrcfile.utils
    except ImportError:
        raise missing_package("mrcfile", "microscopy", what="is an MRC file, which") from None
    return mrcfile


def _header(raw: bytes) -> Any:
    """The header with names for its fields, as mrcfile has them."""
    mrcfile = _mrcfile()
    order = _order(raw)
    if len(raw) < _HEADER:
        raise grids.short(0, 0)
    if order is None:
        raise HushError("is damaged: its header states impossible sizes, or a mode there is not")
    dtype = mrcfile.dtypes.HEADER_DTYPE.newbyteorder(order)
    return np.frombuffer(bytearray(raw[:_HEADER]), dtype).reshape(()).view(np.recarray)


def _dtype(header: Any) -> np.dtype[Any]:
    mode = int(header.mode)
    if mode in _REFUSED:
        raise HushError(f"holds {_REFUSED[mode]} (mode {mode}); convert it to mode 2, float32")
    dtype: np.dtype[Any] = _mrcfile().utils.data_dtype_from_header(header)
    stamp, flags = np.frombuffer(bytes(header.extra2), header.mode.dtype, 2, _IMOD_AT)
    return np.dtype("u1") if mode == 0 and stamp == _IMOD and not flags & 1 else dtype


def _shape(header: Any) -> tuple[int, ...]:
    shape: tuple[int, ...] = _mrcfile().utils.data_shape_from_header(header)
    return shape


# -- writing -----------------------------------------------------------------------------------


def check(record: Record) -> None:
    """Raise HushError if no MRC file can hold the record."""
    _mrcfile()
    layout: Layout | None = record.meta.get("mrc")
    dtypes = " ".join(_MODES)
    own = layout is not None and record.data.dtype.newbyteorder("=") == layout.dtype
    grids.check_gray(record, "MRC", f"{dtypes} u1" if own else dtypes)
    if len(_sides(record)) > 3 and (layout is None or layout.shape != record.data.shape):
        raise HushError("an MRC file holds one stack or volume; write a .tif or .npy file")


def write(record: Record, path: Path) -> None:
    """Write the file that was read with other values, or else a new one."""
    head, dtype, data = _parts(record)
    low, high, total, squares = np.inf, -np.inf, 0.0, 0.0
    for part in grids.blocks(data):
        values = part.astype(np.float64)
        low, high = min(low, np.nanmin(values)), max(high, np.nanmax(values))
        total, squares = total + np.nansum(values), squares + np.nansum(values**2)
        let_go(data)
    mean = total / data.size
    spread = max(squares / data.size - mean**2, 0.0) ** 0.5
    head = _stated(head, (low, high, mean, spread))
    name = path.name.lower()
    with bz2.open(path, "wb") if name.endswith(".bz2") else gz.packed(path) as stream:
        stream.write(head)
        grids.pour(data.T, dtype, stream)


def open_plain(record: Record, path: Path) -> np.ndarray | None:
    """The values in an uncompressed file that is being written; its statistics stay unknown."""
    head, dtype, data = _parts(record)
    if data.shape != record.data.shape or path.name.lower().endswith((".gz", ".bz2")):
        return None
    with path.open("wb") as stream:
        stream.write(_stated(head, (0, -1, -2, -1)))  # what MRC2014 calls not determined
        stream.truncate(len(head) + data.size * dtype.itemsize)
    take_room(path)
    return np.memmap(path, dtype, "r+", len(head), data.shape)


def _parts(record: Record) -> tuple[bytes, np.dtype[Any], np.ndarray]:
    """All before the values, how they are stored, and the values with the axes of the file."""
    layout: Layout | None = record.meta.get("mrc")
    if layout is not None and record.data.shape == layout.shape:
        same = record.data.dtype.newbyteorder("=") == layout.dtype.newbyteorder("=")
        head = _header(layout.raw)
        dtype = layout.dtype if same else record.data.dtype.newbyteorder(head.mode.dtype.byteorder)
        if not same:
            head.mode = _MODES[dtype.str[1:]]
        return _labelled(head) + layout.raw[_HEADER:], dtype, record.data
    sides = _sides(record)
    data = record.data.transpose([record.axes.index(a) for a in [*sides, *_ones(record, sides)]])
    data = data.reshape([record.data.shape[record.axes.index(a)] for a in sides])
    dtype = data.dtype.newbyteorder("<")
    return _labelled(_new(record, data)), dtype, data


def _sides(record: Record) -> list[str]:
    """Axes of a new file, Y and X last; without others of length 1."""
    return [
        a for a, n in zip(record.axes, record.data.shape, strict=True) if a not in "YX" and n > 1
    ] + ["Y", "X"]


def _ones(record: Record, sides: list[str]) -> list[str]:
    return [a for a in record.axes if a not in sides]


def _stated(head: bytes, numbers: tuple[float, ...]) -> bytes:
    """A header with the least and largest value, the mean and the deviation."""
    header = _header(head)
    header.dmin, header.dmax, header.dmean, header.rms = numbers
    return header.tobytes() + head[_HEADER:]


def _labelled(header: Any) -> bytes:
    """A header with one label more, if there is room."""
    if 0 <= header.nlabl < _LABELS:
        header.label[int(header.nlabl)] = LABEL
        header.nlabl += 1
    return bytes(header.tobytes())


def _new(record: Record, data: np.ndarray) -> Any:
    """The header of a new file."""
    header = np.zeros((), _mrcfile().dtypes.HEADER_DTYPE).view(np.recarray)
    volume = record.kind == "volume" or "Z" in record.axes
    planes, rows, columns = data.shape if data.ndim == 3 else (1, *data.shape)
    header.nx, header.ny, header.nz = columns, rows, planes
    header.mx, header.my, header.mz = columns, rows, planes if volume else 1
    header.mode = _MODES[data.dtype.str[1:]]
    header.ispg = int(volume)
    z, y, x = record.context.get("spacing") or _pixel(record)
    header.cella = tuple(
        side / _ANGSTROM * int(n) for side, n in ((x, columns), (y, rows), (z, header.mz))
    )
    header.cellb = (90, 90, 90)
    header.mapc, header.mapr, header.maps = 1, 2, 3
    header.nversion, header.map, header.machst = 20141, b"MAP ", (0x44, 0x44, 0, 0)
    return header


def _pixel(record: Record) -> tuple[float, float, float]:
    """The sides of a pixel along Z, Y and X in mm; 0 if they are unknown."""
    x, y = (1e3 / n for n in record.meta["resolution"]) if "resolution" in record.meta else (0, 0)
    return 0.0, y, x
