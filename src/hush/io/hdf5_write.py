"""Writing HDF5: a copy of the file that was read with other values in a dataset, or a new file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from hush.errors import HushError
from hush.io.array import take_room
from hush.io.hdf5 import Layout, library
from hush.record import Record

_KEY = "data"  #: of a new file
_REBUILT = "reconstruction_rss"  #: where fastMRI has magnitudes
#: filters that lose nothing, by their numbers: deflate, shuffle, Fletcher's checksum, N-bit, LZF,
#: Blosc, LZ4, bitshuffle, Zstandard, Blosc 2
_LOSSLESS = {1, 2, 3, 5, 32000, 32001, 32004, 32008, 32015, 32026}


def check(record: Record) -> None:
    """Raise HushError if no HDF5 file can hold the record."""
    library()
    if not {"X", "Y"} <= set(record.axes):
        raise HushError("hush writes images and volumes to HDF5 files; use another ending")


def write(record: Record, path: Path) -> None:
    """Write a copy of the file that was read, or else a new file with one dataset."""
    h5py, layout = library(), _layout(record)
    if layout is None:
        with h5py.File(path, "w") as file:
            file[_key(record)] = record.data
            _described(file, record)
        return
    _copied(layout, path)
    with h5py.File(path, "r+") as file:
        elsewhere = isinstance(file.get(layout.key, getlink=True), h5py.ExternalLink)
        if not elsewhere and _in_place(file[layout.key], file):
            file[layout.key][...] = record.data
            return
        with h5py.File(layout.origin.path, "r") as source:  # links are relative to its folder
            attributes = dict(source[layout.key].attrs)
        del file[layout.key]
        made = file.create_dataset(
            layout.key, data=record.data, compression="gzip", shuffle=True, chunks=True
        )
        for name, value in attributes.items():
            made.attrs[name] = value


def open_plain(record: Record, path: Path) -> np.ndarray | None:
    """The values in a file that is being written; None if they are not stored in one piece."""
    h5py, layout = library(), _layout(record)
    shape, dtype = record.data.shape, record.data.dtype
    if layout is not None:
        if layout.offset is None:
            return None
        _copied(layout, path)
        return np.memmap(path, layout.dtype, "r+", layout.offset, shape)
    early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset(_key(record), shape, dtype, dcpl=early)
        offset = dataset.id.get_offset()
        _described(file, record)
    if offset is None:
        return None
    take_room(path)
    return np.memmap(path, dtype, "r+", offset, shape)


def _layout(record: Record) -> Layout | None:
    """Where the values belong in the file that was read, if they fit there."""
    layout: Layout | None = record.meta.get("hdf5")
    return layout if layout is not None and layout.like(record) else None


def _key(record: Record) -> str:
    """The dataset of a new file: that which was read, if any."""
    layout: Layout | None = record.meta.get("hdf5")
    return _KEY if layout is None else _REBUILT if layout.rebuilt else layout.key


def _described(file: Any, record: Record) -> None:
    """Say in a new file what the image is, as NeXus does, and how large voxels of a scan are."""
    layout: Layout | None = record.meta.get("hdf5")
    file.attrs["signal"] = _key(record)
    if layout is not None and layout.header is not None:
        file["ismrmrd_header"] = layout.header


def _copied(layout: Layout, path: Path) -> None:
    layout.origin.check()
    shutil.copyfile(layout.origin.path, path)


def _sound(dataset: Any) -> bool:
    """Whether no two chunks are at one place, as in a damaged index, in which values get lost."""
    places: list[tuple[int, ...]] = []
    dataset.id.chunk_iter(lambda chunk: places.append(chunk.chunk_offset))
    return len(set(places)) == len(places)


def _in_place(dataset: Any, file: Any) -> bool:
    """Whether values can be replaced in the dataset: exactly, and in this file alone."""
    if dataset.is_virtual or dataset.external or dataset.file.id != file.id:
        return False
    if dataset.chunks and not _sound(dataset):
        return False
    made = dataset.id.get_create_plist()
    filters = {made.get_filter(i)[0] for i in range(made.get_nfilters())}
    return filters <= _LOSSLESS
