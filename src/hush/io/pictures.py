"""Pictures that are only read, through Pillow: BMP, WebP, and the first frame of a GIF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hush.errors import HushError
from hush.record import Record

BMP = b"BM"
_INCH = 0.0254
LOSSY = (
    "This {name} picture was compressed with loss, which removes a part of the noise and adds "
    "errors of its own. Give the picture before compression if there is one."
)


def is_bmp(head: bytes, path: Path) -> bool:
    """Whether the file begins as a BMP file does, and not as text with these two letters."""
    sizes = (12, 16, 40, 52, 56, 64, 108, 124)  # of the second header, by version
    return head.startswith(BMP) and int.from_bytes(head[14:18], "little") in sizes


def read_bmp(path: Path) -> Record:
    """A BMP picture: uint8, gray or RGB, with or without alpha."""
    with _opened(path, "BMP") as file:
        if file.mode == "1":
            raise HushError("is a 1-bit image; convert it to gray first")
        if file.mode not in ("L", "RGB", "RGBA"):
            raise HushError("is a palette image; convert it to gray or RGB first")
        return _record(np.array(file), file.info)


def read_webp(path: Path) -> Record:
    """A WebP picture: uint8, RGB, with or without alpha; the first frame of an animation."""
    with _opened(path, "WEBP") as file:
        record = _record(np.array(file), file.info, _frames(file))
    if b"VP8 " not in _chunks(path.read_bytes()):
        return record
    notes = [*record.meta.get("notes", ()), LOSSY.format(name="WebP")]
    return Record(record.data, record.axes, meta={**record.meta, "notes": notes})


def read_gif(path: Path) -> Record:
    """The first frame of a GIF: uint8, gray if all its colours are, otherwise RGB."""
    with _opened(path, "GIF") as file:
        notes = _frames(file)
        clear = "transparency" in file.info
        data = np.array(file.convert("RGBA" if clear else "RGB"))
    if clear and (data[..., 3] == 255).all():
        data = data[..., :3]
    if (data[..., :3] == data[..., :1]).all():
        data = data[..., [0, *range(3, data.shape[2])]]
    return _record(data[..., 0] if data.shape[2] == 1 else data, {}, notes)


def _opened(path: Path, name: str) -> Any:
    try:
        file = Image.open(path, formats=(name,))
        file.load()
    except Image.DecompressionBombError as error:
        raise HushError("has too many pixels for a picture; convert it to TIFF first") from error
    return file


def _frames(file: Any) -> list[str]:
    count = getattr(file, "n_frames", 1)
    file.seek(0)
    said = f"This is the first of {count} frames; save the others as a TIFF stack to denoise them."
    return [said] if count > 1 else []


def _record(data: np.ndarray, info: dict[Any, Any], notes: list[str] | None = None) -> Record:
    meta: dict[str, Any] = {"icc": info.get("icc_profile"), "exif": info.get("exif")}
    meta |= {"notes": notes, "alpha_samples": int(data.ndim == 3 and data.shape[2] in (2, 4))}
    if "dpi" in info and min(info["dpi"]) > 0:
        meta["resolution"] = tuple(float(d) / _INCH for d in info["dpi"])
    axes = "YX" if data.ndim == 2 else "YXS"
    return Record(data, axes, meta={key: value for key, value in meta.items() if value})


def _chunks(content: bytes) -> list[bytes]:
    """The names of the chunks of a RIFF file."""
    names, start = [], 12
    while start + 8 <= len(content):
        names.append(content[start : start + 4])
        size = int.from_bytes(content[start + 4 : start + 8], "little")
        start += 8 + size + size % 2
    return names
