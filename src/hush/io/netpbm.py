"""Netpbm pictures, PGM, PPM, PAM, and PFM with floats; only read.

Values above 255 are stored in two bytes, the larger one first; the largest value that is meant,
such as 4095, is the record's full range.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from hush.errors import HushError
from hush.record import Record

ENDINGS = (".pgm", ".ppm", ".pnm", ".pam", ".pfm", ".pbm")
_GAP = rb"(?:\s|#[^\n]*\n)+"
_NUMBER = rb"(\d+)"
_HEAD = re.compile(rb"P([2356])" + (_GAP + _NUMBER) * 3 + rb"\s")
_BITS = re.compile(rb"P[14]" + (_GAP + _NUMBER) * 2 + rb"\s")
_FLOATS = re.compile(rb"P([fF])\s+(\d+)\s+(\d+)\s+(-?[\d.]+(?:[eE][-+]?\d+)?)\s")
_PAM = re.compile(rb"P7\n(.*?)ENDHDR\n", re.DOTALL)
_MOST = 65535


def sniff(head: bytes, path: Path) -> bool:
    """Whether the file begins as one of these formats does."""
    return any(
        re.match(start, head) for start in (rb"P[1-6]" + _GAP + rb"\d", rb"P[fF]\s+\d", rb"P7\n")
    )


def read(path: Path) -> Record:
    """The first picture in the file: uint8, uint16 or float32, axes YX or YXS."""
    content = path.read_bytes()
    if found := _FLOATS.match(content):
        return _floats(content, found)
    if _BITS.match(content):
        raise HushError("is a 1-bit image; convert it to gray first")
    if found := _PAM.match(content):
        return _pam(content, found)
    found = _HEAD.match(content)
    if found is None:
        raise HushError("is damaged: its header is not complete")
    kind, (columns, rows, most) = int(found[1]), map(int, found.groups()[1:])
    shape = (rows, columns, 3) if kind in (3, 6) else (rows, columns)
    rest = content[found.end() :]
    if kind in (2, 3):
        text = re.sub(rb"#[^\n]*", b"", rest).split()
        data = _checked(np.array(text[: int(np.prod(shape))], np.int64), shape, most)
    else:
        data = _samples(rest, shape, most)
    extra = len(rest) - data.nbytes if kind in (5, 6) else 0
    said = ["This is the first picture of several in the file."] if extra > 8 else []
    return _record(data, most, 0, said)


def _pam(content: bytes, found: re.Match[bytes]) -> Record:
    """A PAM picture, whose header names its fields."""
    lines = [line.split(None, 1) for line in found[1].splitlines() if line.split()]
    fields = {line[0].decode("ascii"): line[-1] for line in lines}
    rows, columns, depth, most = (int(fields[k]) for k in ("HEIGHT", "WIDTH", "DEPTH", "MAXVAL"))
    data = _samples(content[found.end() :], (rows, columns, depth), most)
    alpha = int(fields.get("TUPLTYPE", b"").strip().endswith(b"_ALPHA"))
    return _record(data[..., 0] if depth == 1 else data, most, alpha)


def _samples(content: bytes, shape: tuple[int, ...], most: int) -> np.ndarray:
    """Samples of one or two bytes."""
    dtype = np.dtype(">u2" if most > 255 else "u1")
    count = int(np.prod(shape, dtype=object))
    data = np.frombuffer(content[: count * dtype.itemsize], np.uint8)
    return _checked(data[: len(data) - len(data) % dtype.itemsize].view(dtype), shape, most)


def _checked(data: np.ndarray, shape: tuple[int, ...], most: int) -> np.ndarray:
    if not 0 < most <= _MOST or min(shape) < 1:
        raise HushError(f"is damaged: its header states the size {shape} and the maximum {most}")
    if data.size < np.prod(shape, dtype=object):
        raise HushError("is cut short; copy it again, or save it again")
    return data.reshape(shape).astype(np.uint16 if most > 255 else np.uint8)


def _floats(content: bytes, found: re.Match[bytes]) -> Record:
    """A PFM picture, from the lowest row to the uppermost."""
    columns, rows, scale = int(found[2]), int(found[3]), float(found[4])
    shape = (rows, columns, 3) if found[1] == b"F" else (rows, columns)
    dtype = np.dtype("<f4" if scale < 0 else ">f4")
    count = int(np.prod(shape, dtype=object))
    rest = content[found.end() : found.end() + count * dtype.itemsize]
    if len(rest) < count * dtype.itemsize:
        raise HushError("is cut short; copy it again, or save it again")
    data = np.frombuffer(rest, dtype).reshape(shape)[::-1].astype(np.float32)
    return Record(data, "YXS" if len(shape) == 3 else "YX")


def _record(data: np.ndarray, most: int, alpha: int, notes: list[str] | None = None) -> Record:
    full = None if most in (255, _MOST) else float(most)
    meta = {"alpha_samples": alpha, **({"notes": notes} if notes else {})}
    return Record(data, "YX" if data.ndim == 2 else "YXS", meta=meta, full=full)
