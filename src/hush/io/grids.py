"""What the formats of volumes share: the order of axes in a file, and samples in pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np

from hush.errors import HushError
from hush.record import UNKNOWN, Record
from hush.recording import empty, let_go

PIECE = 2**24  #: bytes that are read, written or copied at once
SQUEEZED = 1100  #: deflate packs at most about a thousand bytes into one


def letters(spatial: Sequence[bool]) -> str:
    """Axes of a file: X, Y and Z for the dimensions in space, C for the first of the others.

    Further ones get letters of unknown meaning. `HushError` for other than three in space.
    """
    if sum(spatial) != 3:
        raise HushError(f"has {sum(spatial)} dimensions in space, not 3")
    space, others = iter("XYZ"), iter("C" + UNKNOWN)
    return "".join(next(space) if s else next(others) for s in spatial)


def file_order(axes: str) -> tuple[str, list[int | None]]:
    """The axes X, Y, Z, C and others, in which volumes are written, and where a record has them.

    Without Z, the last of the other axes is the slices; without any there is one slice, None.
    """
    others = [a for a in axes if a not in "XYZCS"]
    slices = "Z" if "Z" in axes else others.pop() if others else None
    channels = [a for a in "CS" if a in axes]
    order = ["X", "Y", slices, *channels, *reversed(others)]
    names = "XYZ" + "C" * len(channels) + "".join(reversed(others))
    return names, [None if a is None else axes.index(a) for a in order]


def in_order(data: np.ndarray, order: Sequence[int | None]) -> np.ndarray:
    """A view of a record's data with its axes in `order`; None is an axis of length 1."""
    x = data.transpose([i for i in order if i is not None])
    return np.expand_dims(x, [k for k, i in enumerate(order) if i is None])


def as_record(data: np.ndarray, order: Sequence[int | None]) -> np.ndarray:
    """The reverse of `in_order`: a view of an array of a file with the axes of the record."""
    x = data[tuple(0 if i is None else slice(None) for i in order)]
    return x.transpose(np.argsort([i for i in order if i is not None]))


def check_gray(record: Record, name: str, dtypes: str) -> None:
    """Raise `HushError` for a record that is no volume of gray values of one of these types.

    name : of the format; dtypes : as NumPy writes them, such as ``"u1 i2 f4"``.
    """
    if "N" in record.axes or "X" not in record.axes or "Y" not in record.axes:
        raise HushError(f"{name} files hold volumes, with axes X and Y; use another ending")
    if "S" in record.axes and record.channels > 1:
        raise HushError(f"hush writes no colours to {name} files; write a .npy file")
    if record.data.dtype.str[1:] not in dtypes.split():
        raise HushError(f"{name} files hold no {record.data.dtype} values; convert them to float32")


def scaling(record: Record) -> tuple[float, float]:
    """The slope and intercept from a record's stored values to those in its unit."""
    slope = float(record.context.get("slope", 1.0))
    zero = float(record.context.get("zero") or 0.0)
    return slope, float(record.context.get("intercept", -slope * zero + 0.0))


def blocks(x: np.ndarray) -> Iterator[np.ndarray]:
    """Contiguous parts of an array, first to last, none of them large."""
    step = max(1, PIECE // max(1, x[:1].nbytes))
    for start in range(0, len(x), step):
        part = x[start : start + step]
        if part.nbytes > PIECE and part.ndim > 1:
            for row in part:
                yield from blocks(row)
        else:
            yield np.ascontiguousarray(part)


def pour(data: np.ndarray, dtype: np.dtype[Any], stream: IO[bytes]) -> None:
    """Write samples as `dtype`, the first axis fastest."""
    for part in blocks(data.T):
        stream.write(part.astype(dtype, copy=False).reshape(-1).view(np.uint8).data)
        let_go(data)


def drawn(stream: IO[bytes], shape: Sequence[int], dtype: np.dtype[Any], most: int) -> np.ndarray:
    """Read samples, the first axis fastest, and the rest of the stream, which ends in a checksum.

    A large array lies in a temporary file. most : the bytes that there can be.
    """
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if size > most:
        raise short(0, size)
    whole = empty(shape[::-1], dtype)
    flat = whole.reshape(-1).view(np.uint8)
    for start in range(0, size, PIECE):
        part = stream.read(min(PIECE, size - start))
        flat[start : start + len(part)] = np.frombuffer(part, np.uint8)
        if len(part) < min(PIECE, size - start):
            raise short(start + len(part), size)
        let_go(whole)
    while stream.read(PIECE):
        pass
    return whole.T


def short(there: int, size: int) -> HushError:
    """The error for a file that ends before its samples do."""
    found = f": it holds {there} of {size} bytes of samples" if there else ""
    return HushError(f"is cut short or damaged{found}; copy it again")
