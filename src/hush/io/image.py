"""PNG and JPEG.

PNG samples go through imagecodecs, because Pillow does not keep 16-bit colour; the chunks around
the samples are copied unchanged. JPEG is only read.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import get_sampling

from hush.errors import HushError, Unfit
from hush.record import Record

#: Chunks that stay valid when samples change; others (``tRNS``, ``sBIT``, ``tIME``, ...) are
#: dropped.
_KEPT = b"iCCP gAMA cHRM sRGB cICP mDCV cLLI pHYs eXIf tEXt zTXt iTXt".split()

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_INCH = 0.0254


def read_png(path: Path) -> Record:
    """A PNG image: uint8 or uint16, axes YX or YXS."""
    import imagecodecs  # imported here, so that other formats do not load it

    chunks = list(_chunks(path.read_bytes()))
    depth, colour = chunks[0][1][8:10]
    if colour == 3:
        raise Unfit("is a palette image; convert it to gray or RGB first")
    if depth == 1:
        raise Unfit("is a 1-bit image; convert it to gray first")
    if any(kind == b"acTL" for kind, *_ in chunks):
        raise HushError("is an animation; save its frames as a TIFF stack first")
    # leave out chunks about which libpng would print warnings to the terminal
    pixels = (raw for kind, _, raw in chunks if kind[:1].isupper() or kind == b"tRNS")
    data = imagecodecs.png_decode(_SIGNATURE + b"".join(pixels))
    axes = "YX" if data.ndim == 2 else "YXS"
    kept = tuple((kind, body) for kind, body, _ in chunks if kind in _KEPT)
    alpha = int(data.ndim == 3 and data.shape[2] in (2, 4))
    meta: dict[str, Any] = {"png": kept, "alpha_samples": alpha}
    for kind, body in kept:
        if kind == b"iCCP":
            meta["icc"] = zlib.decompress(body[body.index(b"\0") + 2 :])
        elif kind == b"eXIf":
            meta["exif"] = b"Exif\0\0" + body
        elif kind == b"pHYs" and body[8] == 1:
            meta["resolution"] = tuple(map(float, struct.unpack(">II", body[:8])))
    return Record(data, axes, meta=meta)


def write_png(record: Record, path: Path) -> None:
    """Write a PNG image with the chunks that were read, or with metadata from another format."""
    import imagecodecs

    content = imagecodecs.png_encode(png_array(record))
    meta = record.meta
    chunks = list(meta.get("png", ()))
    if "png" not in meta:
        if "icc" in meta:
            chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(meta["icc"])))
        if "exif" in meta:
            chunks.append((b"eXIf", meta["exif"].removeprefix(b"Exif\0\0")))
        if "resolution" in meta:
            x, y = (min(round(r), 2**31 - 1) for r in meta["resolution"])
            chunks.append((b"pHYs", struct.pack(">IIB", x, y, 1)))
    header = len(_SIGNATURE) + 12 + 13  # and the first chunk, IHDR
    extra = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    path.write_bytes(content[:header] + extra + content[header:])


def instead(record: Record) -> str:
    """A file that holds such a record."""
    return "a .nii.gz file" if record.kind == "volume" else "a .tif file"


def png_array(record: Record) -> np.ndarray:
    """The record's samples in PNG's layout: ``(Y, X)`` or ``(Y, X, S)``, alpha last.

    Raises
    ------
    HushError
        Unless it is one uint8 or uint16 image, gray or RGB, with or without alpha.
    """
    data, axes = record.data, record.axes
    layout = [a for a in "YXS" if a in axes]
    rest = [a for a in axes if a not in layout]
    samples = data.shape[axes.index("S")] if "S" in axes else 1
    if (
        data.dtype.newbyteorder("=") not in (np.uint8, np.uint16)
        or any(data.shape[axes.index(a)] != 1 for a in rest)
        or samples - record.meta.get("alpha_samples", 0) not in (1, 3)
    ):
        raise HushError(
            "a PNG file holds one gray or RGB image of 8 or 16 bits, not "
            f"{data.dtype.newbyteorder('=')} samples of shape {data.shape} (axes {axes}); "
            f"write {instead(record)}"
        )
    x = data.transpose([axes.index(a) for a in [*rest, *layout]])
    x = x.reshape(x.shape[len(rest) :] if samples > 1 else x.shape[len(rest) :][:2])
    return np.ascontiguousarray(x, dtype=x.dtype.newbyteorder("="))


def read_jpeg(path: Path) -> Record:
    """A JPEG image: uint8, axes YX or YXS; its EXIF orientation is not applied."""
    try:
        with Image.open(path, formats=("JPEG",)) as file:
            if file.mode not in ("L", "RGB"):
                raise HushError(f"is a {file.mode} JPEG; convert it to gray or RGB first")
            data, info, said = np.array(file), file.info, _compression(file)
    except Image.DecompressionBombError as error:
        raise HushError("has too many pixels for a JPEG; convert it to TIFF first") from error
    meta: dict[str, Any] = {"icc": info.get("icc_profile"), "exif": info.get("exif")}
    if "dpi" in info and min(info["dpi"]) > 0:
        meta["resolution"] = tuple(float(d) / _INCH for d in info["dpi"])
    return Record(
        data,
        "YX" if data.ndim == 2 else "YXS",
        meta={key: value for key, value in meta.items() if value},
        context={"jpeg": said},
    )


def _compression(file: Any) -> dict[str, Any]:
    """The tables of steps, row by row, and the number of Pillow's sampling."""
    tables = [tuple(map(int, file.quantization[k])) for k in sorted(file.quantization)]
    gray = file.mode == "L"
    return {
        "luma": tables[0],
        "chroma": () if gray else tables[-1],
        "sampling": 0 if gray else max(get_sampling(file), 0),
    }


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Type, body and all bytes (including the checksum) of each chunk of a PNG file."""
    start, kind = len(_SIGNATURE), b""
    while kind != b"IEND":
        if start + 12 > len(content):
            raise HushError("is cut short; copy it again, or save it again")
        length, kind = struct.unpack_from(">I4s", content, start)
        raw = content[start : start + 12 + length]
        if len(raw) < 12 + length:
            raise HushError("is cut short; copy it again, or save it again")
        yield kind, raw[8:-4], raw
        start += len(raw)
