"""FITS images and cubes, through astropy.

hush denoises the stored values; those of 16 bits without sign, which FITS stores with
``BZERO = 32768``, are read as such. Where the header has ``BLANK``, values equal to it are missing.
A result is a copy of the file: all header cards, the world coordinates among them, and all other
HDUs are as they were, except that the image has a HISTORY card more, and new checksums if it had
any. Of a file with several images, one is chosen as ``file.fits:SCI``, ``:SCI,2`` or ``:1``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from hush.errors import HushError, missing_package
from hush.io import fits_choice, grids, gz
from hush.io.array import split_key
from hush.io.origin import Origin
from hush.record import UNKNOWN, Record

ENDINGS = (".fit", ".fts", ".fits.fz", ".fits.gz", ".fit.gz", ".fts.gz", ".fits")
MAGIC = (b"SIMPLE  =",)
_BITS = {"u1": 8, "i2": 16, "i4": 32, "i8": 64, "f4": -32, "f8": -64}
#: what is added to stored integers, by convention, to give those of the other sign
_ZEROS = {"u1": -(2**7), "i2": 2**15, "i4": 2**31, "i8": 2**63}


@dataclass(frozen=True)
class Layout:
    """Where the image is in its file, and how it is stored.

    index : of the HDU; header, data, end : the bytes at which its parts begin and end.
    dtype, shape : of the values as stored. flipped : whether they have the other sign (`_ZEROS`).
    compressed : whether the HDU holds them in compressed tiles.
    """

    origin: Origin
    index: int
    header: int
    data: int
    end: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    flipped: bool
    compressed: bool

    def like(self, record: Record) -> bool:
        """Whether a record's values can take the place of those of the file."""
        dtype = other_sign(self.dtype) if self.flipped else self.dtype
        same = record.data.dtype.newbyteorder("=") == dtype.newbyteorder("=")
        return same and record.data.shape == self.shape


def astropy_fits() -> ModuleType:
    """The module that reads and writes FITS; `HushError` if it is missing."""
    try:
        from astropy.io import fits
    except ImportError:
        raise missing_package("astropy", "astronomy", what="is a FITS file, which") from None
    return fits


def sniff(head: bytes, path: Path) -> bool:
    """Whether the file is a FITS file, compressed or not; one that is damaged, by its name."""
    if not head.startswith(gz.MAGIC):
        return head.startswith(MAGIC)
    try:
        with gz.unpacked(path) as stream:
            return stream.read(len(MAGIC[0])).startswith(MAGIC)
    except gz.DAMAGED:
        return path.name.lower().endswith(ENDINGS)


def other_sign(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The integers of the same size with a sign, or without."""
    return np.dtype(f"{'i' if dtype.kind == 'u' else 'u'}{dtype.itemsize}")


def flip(x: np.ndarray) -> np.ndarray:
    """Integers as those of the other sign, shifted by half their range; the same both ways."""
    native = x.astype(x.dtype.newbyteorder("="))
    other = native.view(other_sign(native.dtype))
    bits = np.array(1 << (8 * native.dtype.itemsize - 1), np.uint64)
    unsigned = other if other.dtype.kind == "u" else native
    unsigned ^= bits.astype(unsigned.dtype)
    return other


# -- reading -----------------------------------------------------------------------------------


def read(path: Path) -> Record:
    """The stored values of the only image, or ``file.fits:NAME``; axes YX, or QYX of a cube.

    An image that is stored plainly is memory-mapped, with the byte order of FITS.

    Raises
    ------
    HushError
        If astropy is missing, the file is cut short, or holds no image or several.
    """
    fits = astropy_fits()
    file, key = split_key(path)
    origin = Origin.of(file)
    with fits.open(file, do_not_scale_image_data=True) as hdus:
        index, notes = fits_choice.chosen(hdus, key, file.name)
        hdu = hdus[index]
        place = hdu.fileinfo()
        layout = Layout(
            origin,
            index,
            int(place["hdrLoc"]),
            int(place["datLoc"]),
            int(place["datLoc"] + place["datSpan"]),
            dtype := _dtype(hdu.header),
            tuple(map(int, hdu.shape)),
            flipped := _is_flipped(hdu.header, dtype),
            isinstance(hdu, fits.CompImageHDU),
        )
        blank = None if dtype.kind == "f" else hdu.header.get("BLANK")
        data = _values(hdu, layout)
    mask = None if blank is None else data != np.array(int(blank)).astype(dtype)
    if mask is not None and mask.all():
        mask = None
    axes = UNKNOWN[: data.ndim - 2][::-1] + "YX"
    meta: dict[str, Any] = {"fits": layout, **({"notes": notes} if notes else {})}
    return Record(flip(data) if flipped else data, axes, meta=meta, mask=mask)


def _dtype(header: Any) -> np.dtype[Any]:
    bits = {n: t for t, n in _BITS.items()}.get(header["BITPIX"])
    if bits is None:
        raise HushError(f"is damaged: its header states BITPIX = {header['BITPIX']}")
    return np.dtype(f">{bits}")


def _is_flipped(header: Any, dtype: np.dtype[Any]) -> bool:
    zero = _ZEROS.get(dtype.str[1:])
    return zero is not None and header.get("BSCALE", 1) == 1 and header.get("BZERO") == zero


def _values(hdu: Any, layout: Layout) -> np.ndarray:
    size = int(np.prod(layout.shape, dtype=object)) * layout.dtype.itemsize
    with layout.origin.path.open("rb") as stream:
        plain = stream.read(2) != gz.MAGIC and not layout.compressed
    if plain:
        if layout.origin.size < layout.data + size:
            raise grids.short(max(0, layout.origin.size - layout.data), size)
        return np.memmap(layout.origin.path, layout.dtype, "r", layout.data, layout.shape)
    try:
        return np.asarray(hdu.data).astype(layout.dtype, copy=False)
    except (*gz.DAMAGED, TypeError) as error:  # astropy reshapes what there is
        raise grids.short(0, size) from error
