"""Volumes as folders of PNG files, a slice each, as M4Raw's magnitudes are handed out.

Only ``--kind volume`` makes one of them: images in a folder are usually images of their own. Slices
come in the natural order of their names, ``2.png`` before ``10.png``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hush.errors import HushError
from hush.io import image
from hush.record import Record


def is_stack(folder: Path, kind: str | None) -> bool:
    """Whether the user states that a folder of PNG files is a volume."""
    return kind == "volume" and bool(_files(folder))


def read(folder: Path) -> Record:
    """The volume, axes ZYX, uint8 or uint16.

    Raises
    ------
    HushError
        If slices differ in size or type, or are not gray.
    """
    files = _files(folder)
    planes: list[np.ndarray] = []
    metas: list[tuple[str, Mapping[str, Any]]] = []
    for path in files:
        try:
            record = image.read_png(path)
        except HushError as error:
            raise HushError(f"its file {path.name} {error}") from error
        if record.axes != "YX":
            raise HushError(f"its file {path.name} has several samples a pixel; slices are gray")
        if planes and (record.data.shape, record.data.dtype) != (planes[0].shape, planes[0].dtype):
            sizes = [f"{' × '.join(map(str, x.shape))} {x.dtype}" for x in (planes[0], record.data)]
            raise HushError(
                f"holds slices of unlike size or type, {files[0].name} of {sizes[0]} and "
                f"{path.name} of {sizes[1]}; put each volume into a folder of its own"
            )
        planes.append(record.data)
        metas.append((path.name, record.meta))
    return Record(np.stack(planes), "ZYX", "volume", {"pngs": metas})


def files(record: Record, path: Path) -> Sequence[Path]:
    """The files of a result in the folder `path`, named as those that were read."""
    return [path / name for name, _ in record.meta.get("pngs", ())]


def check(record: Record) -> None:
    """Raise HushError unless the record is a volume from such a folder and has its shape."""
    metas = record.meta.get("pngs")
    if metas is None:
        raise HushError("only volumes read from a folder of PNG files can be written as one")
    if record.axes != "ZYX" or len(record.data) != len(metas):
        raise HushError(
            f"the folder that was read holds {len(metas)} slices, which a volume of axes "
            f"'{record.axes}' and shape {record.data.shape} does not fit; write .npy"
        )
    image.png_array(Record(record.data[0], "YX"))


def write(record: Record, path: Path) -> None:
    """Write a PNG file a slice into the folder `path`, with the names and chunks that were read."""
    for plane, (name, meta) in zip(record.data, record.meta["pngs"], strict=True):
        image.write_png(Record(plane, "YX", meta=meta), path / name)


def _files(folder: Path) -> list[Path]:
    """The PNG files of a folder by their ending, in natural order."""
    found = [p for p in folder.iterdir() if p.suffix.lower() == ".png" and p.is_file()]
    return sorted((p for p in found if not p.name.startswith(".")), key=_natural)


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """A key that sorts numbers in names by their value."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(int(x), "") if i % 2 else (-1, x) for i, x in enumerate(parts)], path.name
