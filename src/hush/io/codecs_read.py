"""Formats of cameras and microscopes, most of which are only read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hush.io import codestreams, czi, exr, lif, nd2, netpbm, pictures, raw
from hush.io.format import Format
from hush.record import Record


def _read_only(
    name: str,
    suffixes: tuple[str, ...],
    read: Callable[[Path], Record],
    magic: tuple[bytes, ...],
    instead: str = ".tif",
    **options: Any,
) -> Format:
    why = f"hush reads {name} files but does not write them"
    return Format(name, suffixes, read, magic=magic, instead=instead, why=why, **options)


#: JPEG-LS among them has to be tried before JPEG
PICTURES: tuple[Format, ...] = (
    _read_only("BMP", (".bmp", ".dib"), pictures.read_bmp, (), ".png", sniff=pictures.is_bmp),
    _read_only("GIF", (".gif",), pictures.read_gif, (b"GIF87a", b"GIF89a"), ".png"),
    _read_only("WebP", (".webp",), pictures.read_webp, (b"WEBP",), ".png", offset=8),
    _read_only("PNM", netpbm.ENDINGS, netpbm.read, (), sniff=netpbm.sniff),
    _read_only(
        "JPEG 2000",
        (".jp2", ".j2k", ".jpx", ".j2c", ".jpf"),
        codestreams.read_jpeg2000,
        codestreams.JPEG_2000,
    ),
    _read_only("JPEG XL", (".jxl",), codestreams.read_jpegxl, codestreams.JPEG_XL),
    _read_only("JPEG-LS", (".jls",), codestreams.read_jpegls, codestreams.JPEG_LS),
    _read_only("OpenEXR", (".exr",), exr.read, exr.MAGIC),
)


def _microscope(
    name: str,
    suffixes: tuple[str, ...],
    read: Callable[[Path], Record],
    magic: tuple[bytes, ...],
    **options: Any,
) -> Format:
    why = f"hush does not write {name} files"
    return Format(
        name, suffixes, read, magic=magic, instead=".ome.tif", why=why, also=("volume",), **options
    )


#: built as TIFF is, many of them, so they are tried before it
RAWS: tuple[Format, ...] = (
    Format("DNG", raw.DNG, raw.read, raw.write, check=raw.check),
    _read_only("camera raw", raw.ENDINGS, raw.read, (), ".dng"),
)

#: old ND2 files are JPEG 2000 inside, so they are tried before pictures
MICROSCOPES: tuple[Format, ...] = (
    _microscope("CZI", czi.ENDINGS, czi.read, czi.MAGIC),
    _microscope("ND2", nd2.ENDINGS, nd2.read, nd2.MAGIC, sniff=nd2.sniff),
    _microscope("LIF", lif.ENDINGS, lif.read, lif.MAGIC, sniff=lif.sniff),
)
