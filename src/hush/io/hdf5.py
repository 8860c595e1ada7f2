"""HDF5, read only: MR scans as fastMRI and M4Raw keep them, and files that hold one image.

A scan's ``reconstruction_rss`` ``(slices, H, W)`` is taken where it is there. Otherwise its
``kspace`` ``(slices, coils, H, W)``, or ``(slices, H, W)`` of a single coil, becomes magnitudes
as fastMRI's own code does it: the centred, orthonormal inverse Fourier transform, the root of the
sum of squares over the coils, and the centre of that, for the readout is oversampled. The centre
is the header's reconstructed matrix, or the square as wide as the image where that is narrower;
without a header it is a square of 320 pixels, or of the shorter side if that is less.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hush.errors import HushError
from hush.io.array import array_axes, split_key
from hush.record import Record

if TYPE_CHECKING:
    import h5py

MAGIC = (b"\x89HDF\r\n\x1a\n",)

#: What a scan's datasets are called, the first that is there being read.
_SCAN = ("reconstruction_rss", "kspace")
_SIDE = 320  #: fastMRI's usual side
_SMALLEST = 8  #: shorter sides are a table's rather than an image's


def read(path: Path) -> Record:
    """A scan's magnitudes, float, axes ZYX; otherwise the only image, or ``file.h5:dataset``.

    Raises
    ------
    HushError
        Without h5py, for damaged files, and where it is open which dataset is meant.
    """
    try:
        import h5py
    except ImportError:
        raise HushError(
            "is an HDF5 file, which needs h5py: pip install 'hush-denoise[medical]'"
        ) from None

    path, key = split_key(path)
    try:
        with h5py.File(path, "r") as file:
            key = key or next((name for name in _SCAN if name in file), None) or _only(file, path)
            dataset = file.get(key)
            if not isinstance(dataset, h5py.Dataset):
                raise HushError(f"has no dataset '{key}', only {', '.join(_names(file))}")
            scan = key.strip("/") in _SCAN and dataset.ndim >= 3
            if scan and dataset.dtype.kind == "c":
                return Record(_magnitude(dataset, _header(file)), "ZYX")
            data = dataset[()]
    except OSError as error:  # all that h5py says of a file it cannot read
        raise HushError("is cut short or damaged; copy it again, or save it anew") from error
    return Record(data, "ZYX" if scan and data.ndim == 3 else array_axes(data.shape))


def magnitude(kspace: np.ndarray) -> np.ndarray:
    """Root sum of squares ``(H, W)`` of the images of `kspace` ``(coils, H, W)``, complex.

    The transform is orthonormal and zero frequency in the middle, before and after. Values have
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
    """Rows and columns of the middle part that is the image, at most `shape`."""
    if header is None:
        side = min(*shape, _SIDE)
        return side, side
    # the header's x runs along the readout, which fastMRI keeps as rows
    size = ET.fromstring(header).find("{*}encoding/{*}reconSpace/{*}matrixSize")
    if size is None:
        raise HushError("has a header that does not say how large the image is")
    rows, columns = (int(size.findtext(f"{{*}}{axis}", "0")) for axis in "xy")
    if columns > shape[1]:
        rows = columns = shape[1]
    return min(rows, shape[0]), columns


def _header(file: h5py.File) -> bytes | None:
    """The scan's ISMRMRD header, XML, if there is one."""
    return file["ismrmrd_header"][()] if "ismrmrd_header" in file else None


def _only(file: h5py.File, path: Path) -> str:
    """The name of the one dataset that can be an image."""
    names = [name for name in _names(file) if _is_image(file[name])]
    if len(names) == 1:
        return names[0]
    if not names:
        raise HushError(
            f"holds no image; its datasets are {', '.join(_names(file))}"
            if _names(file)
            else "is an HDF5 file without datasets"
        )
    raise HushError(
        f"holds {len(names)} images ({', '.join(names)}); choose one as {path.name}:{names[0]}"
    )


def _names(file: h5py.File) -> list[str]:
    """The names of all datasets, in groups too."""
    names: list[str] = []

    def note(name: str, item: Any) -> None:
        if hasattr(item, "dtype"):
            names.append(name)

    file.visititems(note)
    return names


def _is_image(dataset: h5py.Dataset) -> bool:
    if dataset.dtype.kind not in "iuf" or dataset.ndim < 2:
        return False
    axes = array_axes(dataset.shape)
    return min(dataset.shape[axes.index(a)] for a in "YX") >= _SMALLEST
