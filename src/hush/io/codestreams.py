"""JPEG 2000, JPEG XL and JPEG-LS, through imagecodecs; only read."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from hush.errors import HushError
from hush.io.pictures import LOSSY
from hush.record import Record

JPEG_2000 = (b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")
JPEG_XL = (b"\x00\x00\x00\x0cJXL \r\n\x87\n", b"\xff\x0a")
JPEG_LS = (b"\xff\xd8\xff\xf7", b"\xff\xd8\xff\xe8\x00\x20SPIFF")
_SIZE = b"\xff\x4f\xff\x51"  #: begins the code stream of JPEG 2000
_DEPTH = 42  #: bytes from there to the depth of the first component
_STYLE = b"\xff\x52"  #: begins the coding style
_FRAME = b"\xff\xf7"  #: begins the frame of JPEG-LS
LARGE = 2**22  #: samples of a picture, of which
SPARSEST = 1000  #: are not expected in a byte


def read_jpeg2000(path: Path) -> Record:
    """A JPEG 2000 picture: integers, axes YX or YXS; of 12 bits, 4095 is the full range."""
    import imagecodecs

    content = path.read_bytes()
    data = imagecodecs.jpeg2k_decode(content)
    start = content.find(_SIZE)
    bits = (content[start + _DEPTH] & 0x7F) + 1
    style = content.find(_STYLE, start)
    reversible = style > 0 and content[style + 13] == 1
    notes = [] if reversible else [LOSSY.format(name="JPEG 2000")]
    return _record(data, bits, _opacity(content), notes)


def _opacity(content: bytes) -> bool:
    """Whether the file's box of channel definitions says that one is opacity."""
    at = content.find(b"cdef")
    if at < 0:
        return False
    count = int.from_bytes(content[at + 4 : at + 6], "big")
    kinds = (content[at + 8 + 6 * i : at + 10 + 6 * i] for i in range(min(count, 8)))
    return b"\x00\x01" in kinds


def read_jpegxl(path: Path) -> Record:
    """A JPEG XL picture: uint8, uint16 or float32, axes YX or YXS."""
    import imagecodecs

    data = imagecodecs.jpegxl_decode(path.read_bytes())
    return _record(data, None, data.ndim == 3 and data.shape[2] in (2, 4))


def read_jpegls(path: Path) -> Record:
    """A JPEG-LS picture: uint8 or uint16, axes YX or YXS; of 12 bits, 4095 is the full range."""
    import imagecodecs

    content = path.read_bytes()
    frame = content[content.find(_FRAME) + 4 :][:6]
    depth, rows, columns, samples = struct.unpack(">BHHB", frame)
    if rows * columns * samples > max(LARGE, SPARSEST * len(content)):
        raise HushError(
            f"is probably damaged: it states {columns} × {rows} pixels, and has {len(content):,} "
            "bytes; copy it again"
        )
    return _record(imagecodecs.jpegls_decode(content), depth, False)


def _record(data: Any, bits: int | None, alpha: bool, notes: list[str] | None = None) -> Record:
    axes = "QYXS"[-data.ndim :] if data.ndim >= 3 else "YX"
    whole = bits is None or data.dtype.kind != "u" or bits == 8 * data.dtype.itemsize
    meta = {"alpha_samples": int(alpha), **({"notes": notes} if notes else {})}
    full = None if whole or bits is None else 2.0**bits - 1
    return Record(np.asarray(data), axes, meta=meta, full=full)
