"""Arrays in .npz files: one that is damaged is named in a sentence."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hush.errors import HushError

_DAMAGED = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)


def load(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a file; `HushError` if it cannot be read."""
    try:
        # `np.load` itself would take a file of a single array too.
        with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except _DAMAGED as error:
        raise _unreadable(path, error) from error


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The arrays' shapes. The file is read through, so that damage shows here, not in a study."""
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            if broken := archive.testzip():
                raise ValueError(f"{broken} is damaged")
            for name in archive.namelist():
                with archive.open(name) as file:
                    version = np.lib.format.read_magic(file)
                    read = (
                        np.lib.format.read_array_header_1_0
                        if version == (1, 0)
                        else np.lib.format.read_array_header_2_0
                    )
                    found[name.removesuffix(".npy")] = read(file)[0]
    except _DAMAGED as error:
        raise _unreadable(path, error) from error
    return found


def number(path: Path, arrays: Mapping[str, np.ndarray], name: str) -> float:
    """A positive number that may be stored as an array of one; `HushError` if it is none."""
    stored = np.ravel(arrays[name])
    if stored.size != 1 or stored.dtype.kind not in "iuf" or not 0 < stored[0] < np.inf:
        raise HushError(f"{path} has no positive number as '{name}'; store it as one")
    return float(stored[0])


def _unreadable(path: Path, error: Exception) -> HushError:
    return HushError(f"{path} cannot be read as an .npz file; it may be cut short: {error}")
