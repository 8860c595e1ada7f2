"""HDF5: one dataset of a file, and MR scans in the layout of fastMRI and M4Raw.

The dataset is the only image, the one that NeXus calls the default, or ``file.h5:/path``. A result
is a copy of the file in which that dataset has other values (`hush.io.hdf5_write`); values equal to
its ``_FillValue`` are missing.

If a scan has ``reconstruction_rss`` ``(slices, H, W)``, hush reads that. Otherwise it converts
``kspace`` ``(slices, coils, H, W)``, or ``(slices, H, W)`` of a single coil, to magnitudes as
fastMRI's code does: the centred, orthonormal inverse Fourier transform, then the root of the sum of
squares over the coils, then the centre of that, because the readout is oversampled. The centre is
the header's reconstructed matrix, or the square as wide as the image if that is narrower. Without a
header it is a square of 320 pixels, or of the shorter side if that is less.

A scan of two or more slices is a volume; with ``--kind image`` every slice is an image. A result
that was computed from k-space is a new file with ``reconstruction_rss`` and the header.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hush.errors import HushError, missing_package
from hush.io.array import array_axes, split_key
from hush.io.origin import Origin
from hush.missing import of_attributes
from hush.record import Record

if TYPE_CHECKING:
    import h5py

ENDINGS = (".hdf5", ".hdf", ".he5", ".nxs", ".nc", ".h5")
MAGIC = (b"\x89HDF\r\n\x1a\n",)
_MATLAB = b"MATLAB 7.3 MAT-file"  #: begins HDF5 files of MATLAB, whose own magic is at byte 512

#: Names of a scan's datasets; the first that exists is read.
_SCAN = ("reconstruction_rss", "kspace")
_SIDE = 320  #: the usual side in fastMRI
_SMALLEST = 8  #: datasets with a shorter side are tables, not images
_SHOWN = 8  #: names in a sentence


@dataclass(frozen=True)
class Layout:
    """Where the values are from: a dataset by its path, or a scan that was rebuilt from k-space.

    header : of a scan, as XML. offset : in the file, of values that are stored in one piece.
    """

    origin: Origin
    key: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    rebuilt: bool
    header: bytes | None
    offset: int | None

    def like(self, record: Record) -> bool:
        """Whether a record's values can take the place of those of the file."""
        same = record.data.dtype.newbyteorder("=") == self.dtype.newbyteorder("=")
        return same and record.data.shape == self.shape and not self.rebuilt


def sniff(head: bytes, path: Path) -> bool:
    """Whether the file begins as HDF5 does, or as MATLAB's files that are HDF5."""
    return head.startswith((*MAGIC, _MATLAB))


def library() -> Any:
    """h5py; `HushError` if it is missing."""
    try:
        import h5py
    except ImportError:
        raise missing_package("h5py", "medical", what="is an HDF5 file, which") from None
    return h5py


def read(path: Path, kind: str | None = None) -> Record:
    """A scan's magnitudes, float, axes ZYX; otherwise the only image, or ``file.h5:dataset``.

    Values that are stored in one piece are memory-mapped.

    kind : of data, if the user stated it.

    Raises
    ------
    HushError
        If h5py is missing, the file is damaged, or several datasets could be meant.
    """
    h5py = library()
    path, key = split_key(path)
    origin = Origin.of(path)
    try:
        with h5py.File(path, "r") as file:
            if "DataSetInfo" in file and "DataSet" in file:
                raise HushError("is an Imaris file; export it as OME-TIFF in Imaris (File, Export)")
            scan_key = next((name for name in _SCAN if name in file), None)
            key = key or scan_key or _default(file) or _only(file, path)
            dataset = file.get(key)
            if not isinstance(dataset, h5py.Dataset):
                raise HushError(f"has no dataset '{key}', only {_listed(_names(file))}")
            scan = key.strip("/") in _SCAN and dataset.ndim >= 3
            header = _header(file) if scan else None
            rebuilt = scan and dataset.dtype.kind == "c"
            offset = None if rebuilt else _offset(file, dataset)
            data: np.ndarray
            if offset is not None:
                data = np.memmap(path, dataset.dtype, "r", offset, dataset.shape)
            else:
                data = _magnitude(dataset, header) if rebuilt else dataset[()]
            missing = () if rebuilt else of_attributes(dataset.attrs, data.dtype)
            layout = Layout(origin, key, data.dtype, data.shape, rebuilt, header, offset)
    except OSError as error:  # h5py raises it for every file it cannot read
        raise HushError("is cut short or damaged; copy it again, or save it again") from error
    meta = {"hdf5": layout}
    if not scan or data.ndim != 3:
        return Record(data, array_axes(data.shape), meta=meta, missing=missing)
    if kind not in (None, "volume") or len(data) < 2:
        return Record(data, "ZYX", meta=meta, missing=missing)
    return Record(data, "ZYX", "volume", meta=meta, missing=missing, context=_spacing(header))


def _offset(file: h5py.File, dataset: h5py.Dataset) -> int | None:
    """The byte of the file at which the values begin, if they are in it in one piece."""
    if dataset.chunks is not None or dataset.external or dataset.is_virtual or not dataset.size:
        return None
    if dataset.dtype.kind not in "iuf" or dataset.file.id != file.id:
        return None
    offset: int | None = dataset.id.get_offset()
    return offset


def _default(file: h5py.File) -> str | None:
    """The path of the dataset that a NeXus file names as what to plot."""
    group: Any = file
    while "default" in group.attrs and group.attrs["default"] in group:
        group = group[group.attrs["default"]]
    name = group.attrs.get("signal")
    found = isinstance(name, str) and name in group and _has_rows(group[name])
    return str(group[name].name) if found else None


def magnitude(kspace: np.ndarray) -> np.ndarray:
    """Root sum of squares ``(H, W)`` of the images of `kspace` ``(coils, H, W)``, complex.

    The transform is orthonormal, with the origin in the middle before and after. Values have
    k-space's unit and precision: float32 for complex64.
    """
    axes = (-2, -1)
    x = np.fft.ifft2(np.fft.ifftshift(kspace, axes), norm="ortho")
    power = (x.real**2 + x.imag**2).sum(0)
    return np.sqrt(np.fft.fftshift(power, axes)).astype(kspace.real.dtype)


def _magnitude(dataset: h5py.Dataset, header: bytes | None) -> np.ndarray:
    """The slices' magnitudes ``(Z, Y, X)``, cropped; one slice is in memory at a time."""
    if dataset.ndim > 4:
        raise HushError(f"holds k-space of shape {dataset.shape}, not (slices, coils, H, W)")
    height, width = _centre(dataset.shape[-2:], header)
    top, left = ((n - m) // 2 for n, m in zip(dataset.shape[-2:], (height, width), strict=True))
    coils = (-1, *dataset.shape[-2:])
    slices = (magnitude(dataset[i].reshape(coils)) for i in range(len(dataset)))
    return np.stack([x[top : top + height, left : left + width] for x in slices])


def _centre(shape: tuple[int, int], header: bytes | None) -> tuple[int, int]:
    """Rows and columns of the central part that is the image, at most `shape`."""
    if header is None:
        side = min(*shape, _SIDE)
        return side, side
    # x in the header runs along the readout, which fastMRI stores as rows
    size = ET.fromstring(header).find("{*}encoding/{*}reconSpace/{*}matrixSize")
    if size is None:
        raise HushError("has a header without the image's size; save the image as a dataset")
    rows, columns = (int(size.findtext(f"{{*}}{axis}", "0")) for axis in "xy")
    if columns > shape[1]:
        rows = columns = shape[1]
    return min(rows, shape[0]), columns


def _spacing(header: bytes | None) -> dict[str, tuple[float, float, float]]:
    """The size of a voxel along Z, Y and X in mm, if the header says it."""
    try:
        space = ET.fromstring(header or b"").find("{*}encoding/{*}reconSpace")
        if space is None:
            return {}
        z, y, x = (
            float(space.findtext(f"{{*}}fieldOfView_mm/{{*}}{a}", ""))
            / float(space.findtext(f"{{*}}matrixSize/{{*}}{a}", ""))
            for a in "zxy"  # x in the header runs along rows, as in `_centre`
        )
    except (ET.ParseError, ValueError, ZeroDivisionError):
        return {}
    return {"spacing": (z, y, x)} if min(z, y, x) > 0 else {}


def _header(file: h5py.File) -> bytes | None:
    """The scan's ISMRMRD header, as XML, or None."""
    return file["ismrmrd_header"][()] if "ismrmrd_header" in file else None


def _only(file: h5py.File, path: Path) -> str:
    """The name of the only dataset that can be an image."""
    names = [name for name in _names(file) if _is_image(file[name])]
    if len(names) == 1:
        return names[0]
    if not names:
        raise HushError(
            f"holds no image; its datasets are {_listed(_names(file))}"
            if _names(file)
            else "is an HDF5 file without datasets"
        )
    raise HushError(
        f"holds {len(names)} images ({_listed(names)}); choose one as {path.name}:{names[0]}"
    )


def _names(file: h5py.File) -> list[str]:
    """The names of all datasets, including those in groups."""
    names: list[str] = []

    def note(name: str, item: Any) -> None:
        if hasattr(item, "dtype"):
            names.append(name)

    file.visititems(note)
    return names


def _listed(names: list[str]) -> str:
    return ", ".join([*names[:_SHOWN], *["…"] * (len(names) > _SHOWN)])


def _has_rows(dataset: Any) -> bool:
    return hasattr(dataset, "dtype") and dataset.dtype.kind in "iuf" and dataset.ndim >= 2


def _is_image(dataset: h5py.Dataset) -> bool:
    if not _has_rows(dataset):
        return False
    axes = array_axes(dataset.shape)
    return min(dataset.shape[axes.index(a)] for a in "YX") >= _SMALLEST
