"""PNG and JPEG.

PNG samples go through imagecodecs, because Pillow does not keep 16-bit colour; the chunks around
the samples are copied unchanged. JPEG is only read.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import get_sampling

from hush.errors import HushError
from hush.record import Record

#: Chunks that stay valid when samples change; others (``tRNS``, ``sBIT``, ``tIME``, ...) are
#: dropped.
_KEPT = b"iCCP gAMA cHRM sRGB cICP mDCV cLLI pHYs eXIf tEXt zTXt iTXt".split()

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_INCH = 0.0254
_LONGEST = 1_000_000  #: pixels of a side; libpng reads no more
_PART = 2**20  #: bytes that are unpacked at once
#: samples of a pixel, and its bit depths, by colour type; methods of compression, filters, order
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_METHODS = ((0, 0, 0), (0, 0, 1))


def read_png(path: Path) -> Record:
    """A PNG image: uint8 or uint16, axes YX or YXS."""
    import imagecodecs  # imported here, so that other formats do not load it

    chunks = list(_chunks(path.read_bytes()))
    depth, colour = _checked(*chunks[0][:2])
    if colour == 3:
        raise HushError("is a palette image; convert it to gray or RGB first")
    if depth == 1:
        raise HushError("is a 1-bit image; convert it to gray first")
    if any(kind == b"acTL" for kind, *_ in chunks):
        raise HushError("is an animation; save its frames as a TIFF stack first")
    # leave out chunks about which libpng would print warnings to the terminal
    pixels = [raw for kind, _, raw in chunks if kind[:1].isupper() or kind == b"tRNS"]
    data = imagecodecs.png_decode(_SIGNATURE + b"".join(_fitting(pixels, chunks)))
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


def _checked(kind: bytes, header: bytes) -> tuple[int, int]:
    """Bit depth and colour type; `HushError` for a header about which libpng would print."""
    if kind == b"IHDR" and len(header) == 13:
        width, height, depth, colour, *methods = struct.unpack(">IIBBBBB", header)
        if max(width, height) > _LONGEST:
            raise HushError(f"is {width} × {height} pixels, too large for a PNG; save it as TIFF")
        if min(width, height) and depth in _DEPTHS.get(colour, ()) and tuple(methods) in _METHODS:
            return depth, colour
    raise HushError("has a damaged header; copy it again, or save it again")


def _fitting(pixels: list[bytes], chunks: list[tuple[bytes, bytes, bytes]]) -> list[bytes]:
    """Chunks without rows beyond the image's height, about which libpng would print."""
    width, height, depth, colour, *_, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    size = height * (1 + -(-width * depth * _SAMPLES[colour] // 8))
    packed = b"".join(body for kind, body, _ in chunks if kind == b"IDAT")
    unpacking, held = zlib.decompressobj(), 0
    if interlaced:
        return pixels
    with suppress(zlib.error):  # which libpng reports
        while held <= size and not unpacking.eof:
            part = unpacking.decompress(packed, _PART)
            packed, held = unpacking.unconsumed_tail, held + len(part)
            if not part:
                break
    if held <= size:
        return pixels
    whole = zlib.decompressobj().decompress(
        b"".join(body for kind, body, _ in chunks if kind == b"IDAT"), size
    )
    first = next(i for i, raw in enumerate(pixels) if raw[4:8] == b"IDAT")
    others = [raw for raw in pixels if raw[4:8] != b"IDAT"]
    return [*others[:first], _chunk(b"IDAT", zlib.compress(whole, 1)), *others[first:]]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


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
    extra = b"".join(_chunk(kind, body) for kind, body in chunks)
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
    if bits := record.meta.get("bits"):  # white is the highest value that the type has
        x = np.rint(x * (np.iinfo(x.dtype).max / (2**bits - 1)))
    return np.ascontiguousarray(x, dtype=data.dtype.newbyteorder("="))


def png_note(record: Record) -> list[str]:
    """What a PNG file does not hold of a record that fits: samples of 10 or 12 bits."""
    bits, whole = record.meta.get("bits"), 8 * record.data.dtype.itemsize
    if not bits:
        return []
    return [f"PNG has no samples of {bits} bits: values were scaled to the range of {whole} bits."]


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
