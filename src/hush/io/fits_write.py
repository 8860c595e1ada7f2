"""Writing FITS: a copy of the file that was read with other values, or a new file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from hush.errors import HushError
from hush.io import grids, gz
from hush.io.array import take_room
from hush.io.fits import Layout, astropy_fits, flip, other_sign
from hush.io.origin import copy
from hush.record import Record

HISTORY = "the values of this image were written by hush"
_BLOCK = 2880  #: bytes, of which every part of a file is a multiple
_CARD = 80
_DTYPES = "u1 i1 u2 i2 u4 i4 u8 i8 f4 f8"
_FLIPPED = ("i1", "u2", "u4", "u8")  #: types that FITS stores with the other sign
_CHECKSUMS = (b"CHECKSUM", b"DATASUM ")
_OF_VALUES = ("BSCALE", "BZERO", "BLANK", "CHECKSUM", "DATASUM", "DATAMIN", "DATAMAX")


@dataclass(frozen=True)
class _Frame:
    """A file without the values of its image.

    head : all before them. dtype : as they are stored. flipped : whether with the other sign.
    layout : of the file whose further HDUs follow, if any. summed : whether there are checksums.
    """

    head: bytes
    dtype: np.dtype[Any]
    flipped: bool
    layout: Layout | None = None
    summed: bool = False

    def tail(self, size: int, stream: IO[bytes]) -> None:
        """Write all behind `size` bytes of values."""
        stream.write(bytes(-size % _BLOCK))
        if self.layout is not None:
            with self.layout.origin.opened() as source:
                source.seek(self.layout.end)
                copy(source, stream)


def check(record: Record) -> None:
    """Raise HushError if no FITS file can hold the record."""
    astropy_fits()
    if not {"X", "Y"} <= set(record.axes):
        raise HushError("FITS files hold images, with axes X and Y; use another ending")
    if record.data.dtype.str[1:] not in _DTYPES.split():
        raise HushError(f"FITS files hold no {record.data.dtype} values; convert them to float32")


def write(record: Record, path: Path) -> None:
    """Write a copy of the file that was read with the record's values, or else a new file.

    A name that ends in .fz makes a new file a compressed one, without loss.
    """
    fits, layout = astropy_fits(), _layout(record)
    squeezed = path.name.lower().endswith(".fz")
    if layout is not None and layout.compressed:
        layout.origin.check()
        with fits.open(layout.origin.path, do_not_scale_image_data=True) as hdus:
            hdus[layout.index] = _squeezed(hdus[layout.index], record, layout)
            hdus.writeto(path, overwrite=True, output_verify="ignore")
    elif layout is None and squeezed:
        made = fits.CompImageHDU(_arranged(record), _header(record), **_way(record.data.dtype))
        fits.HDUList([fits.PrimaryHDU(), made]).writeto(path, overwrite=True)
    else:
        zipped = path.name.lower().endswith(".gz")
        frame = _frame(record, checksums=not zipped)
        data = _arranged(record)
        data = flip(data) if frame.flipped else data
        with gz.packed(path) as stream:
            stream.write(frame.head)
            grids.pour(data.T, frame.dtype, stream)
            frame.tail(data.size * frame.dtype.itemsize, stream)
        if frame.summed and layout is not None:
            with fits.open(path, mode="update", do_not_scale_image_data=True) as hdus:
                hdus[layout.index].add_checksum()


def open_plain(record: Record, path: Path) -> np.ndarray | None:
    """The values in a file that is being written; None if they are not stored as they are."""
    layout = _layout(record)
    if path.name.lower().endswith((".gz", ".fz")) or (layout is not None and layout.compressed):
        return None
    frame, shape = _frame(record, checksums=True), _arranged(record).shape
    if frame.flipped or frame.summed or shape != record.data.shape:
        return None  # checksums are known at the end only
    size = record.data.size * frame.dtype.itemsize
    with path.open("wb") as stream:
        stream.write(frame.head)
        stream.truncate(len(frame.head) + size)
        stream.seek(0, 2)
        frame.tail(size, stream)
    take_room(path)
    return np.memmap(path, frame.dtype, "r+", len(frame.head), shape)


def _layout(record: Record) -> Layout | None:
    """Where the values belong in the file that was read, if they fit there."""
    layout: Layout | None = record.meta.get("fits")
    return layout if layout is not None and layout.like(record) else None


def _arranged(record: Record) -> np.ndarray:
    """The values with the axes of a file: stacks, channels, Y and X; those read are as they are."""
    if "fits" in record.meta:
        return record.data
    channels = [a for a in "SC" if a in record.axes]
    order = [a for a in record.axes if a not in "SCYX"] + [*channels, "Y", "X"]
    return record.data.transpose([record.axes.index(a) for a in order])


def _frame(record: Record, checksums: bool) -> _Frame:
    """The file around a record's values. checksums : whether it may have some."""
    layout = _layout(record)
    if layout is None:
        dtype = record.data.dtype.newbyteorder("=")
        flipped = dtype.str[1:] in _FLIPPED
        stored = other_sign(dtype) if flipped else dtype
        return _Frame(_new(record), stored.newbyteorder(">"), flipped)
    with layout.origin.opened() as source:
        head = source.read(layout.data)
    cards = []
    for start in range(layout.header, len(head), _CARD):
        card = head[start : start + _CARD]
        if card[:8].rstrip() == b"END":  # anything may follow it in a damaged file
            break
        if checksums or not card.startswith(_CHECKSUMS):
            cards.append(card)
    summed = any(card.startswith(_CHECKSUMS) for card in cards)
    ends = [f"HISTORY {HISTORY}".ljust(_CARD).encode(), b"END".ljust(_CARD)]
    made = b"".join([*cards, *ends])
    head = head[: layout.header] + made + b" " * (-len(made) % _BLOCK)
    return _Frame(head, layout.dtype, layout.flipped, layout, summed)


def _new(record: Record) -> bytes:
    """The header of a new file."""
    fits, like = astropy_fits(), _arranged(record)
    empty = np.empty(like.shape, like.dtype.newbyteorder("="))  # takes no memory before it is used
    text: str = fits.PrimaryHDU(empty, _header(record)).header.tostring()
    return text.encode("ascii")


def _header(record: Record) -> Any:
    """Cards of the image that was read that are true of other values, such as its coordinates."""
    fits, layout = astropy_fits(), record.meta.get("fits")
    header = fits.Header()
    if layout is not None:
        layout.origin.check()
        with fits.open(layout.origin.path, do_not_scale_image_data=True) as hdus:
            header = hdus[layout.index].header.copy(strip=True)
        for name in _OF_VALUES:
            header.remove(name, ignore_missing=True)
    header.add_history(HISTORY)
    return header


def _squeezed(old: Any, record: Record, layout: Layout) -> Any:
    """A compressed image like another one, with other values, without loss."""
    fits, header = astropy_fits(), old.header.copy()
    scaling = {name: header[name] for name in ("BSCALE", "BZERO") if name in header}
    data = flip(record.data) if layout.flipped else record.data
    way = _way(data.dtype, old.compression_type)
    made = fits.CompImageHDU(
        data.astype(data.dtype.newbyteorder("=")), header, tile_shape=old.tile_shape, **way
    )
    for name, value in scaling.items():
        made.header[name] = value
    made.header.add_history(HISTORY)
    return made


def _way(dtype: np.dtype[Any], kind: str = "RICE_1") -> dict[str, Any]:
    """How values are compressed: as `kind`, if that loses nothing."""
    if dtype.kind == "f" or dtype.itemsize > 4:
        return {"compression_type": "GZIP_2", "quantize_level": 0}
    return {"compression_type": "RICE_1" if kind == "HCOMPRESS_1" else kind}
