"""ND2 files of Nikon's NIS-Elements, through nd2; only read.

Of a file with several positions, one is chosen as ``file.nd2:2``; otherwise all are read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hush.errors import HushError, missing_package
from hush.io import microscopes
from hush.io.array import split_key
from hush.record import Record

ENDINGS = (".nd2",)
MAGIC = (b"\xda\xce\xbe\x0a",)  #: files of before 2010 are JPEG 2000 inside
_OLD = b"\x00\x00\x00\x0cjP"
_POSITION = "P"


def sniff(head: bytes, path: Path) -> bool:
    """Whether the file begins as an ND2 file does; an old one also has to have the name of one."""
    return head.startswith(MAGIC) or (head.startswith(_OLD) and path.name.lower().endswith(ENDINGS))


def read(path: Path) -> Record:
    """All images, or those of one position, with the axes T, Z, C, Y, X and S.

    Raises
    ------
    HushError
        If nd2 is missing, or there is no such position.
    """
    try:
        import nd2
    except ImportError:
        raise missing_package("nd2", "microscopy", what="is an ND2 file, which") from None
    file, key = split_key(path)
    with nd2.ND2File(file) as opened:
        sizes = dict(opened.sizes)
        position = None if key is None else _position(key, sizes.get(_POSITION, 1))
        data = np.asarray(opened.asarray(position))
        axes = list(sizes)
        meta = _described(opened, sizes.get("C", 1))
        bits = int(opened.attributes.bitsPerComponentSignificant)
    return microscopes.record(data, axes, meta, bits=bits)


def _position(key: str, count: int) -> int:
    """The index of a position; they are numbered from 1."""
    if not key.isdecimal() or not 1 <= int(key) <= count:
        raise HushError(f"has no position '{key}', only 1 to {count}")
    return int(key) - 1


def _described(opened: Any, count: int) -> dict[str, Any]:
    """Sizes of voxels, time steps, and names and colours of `count` channels."""
    meta: dict[str, Any] = {}
    loops = {loop.type: loop.parameters for loop in opened.experiment}
    side, planes = _pictured(opened)
    z = abs(loops["ZStackLoop"].stepUm) if "ZStackLoop" in loops else 0.0
    meta |= microscopes.sizes(side / 1e6, side / 1e6, z / 1e6)
    if "TimeLoop" in loops and 0 < (step := loops["TimeLoop"].periodMs or 0.0) < np.inf:
        meta["interval"] = step / 1e3
    if len(planes) == count:
        names, colours = zip(*planes, strict=True)
        meta |= microscopes.channels(names, colours)
    return meta


def _pictured(opened: Any) -> tuple[float, list[tuple[str, str]]]:
    """The side of a pixel in µm, 0 if unknown, and each channel's name and colour.

    From the file's own fields: nd2 0.12 cannot describe channels without a fluorescent probe.
    """
    fields = opened.unstructured_metadata(
        strip_prefix=False, include={"ImageMetadataSeqLV|0", "ImageMetadataSeq|0"}
    )
    found: dict[str, Any] = next(iter(fields.values()), {})
    found = found.get("SLxPictureMetadata", found)
    side = float(found.get("dCalibration", 0.0)) if found.get("bCalibrated") else 0.0
    planes = found.get("sPicturePlanes", {})
    described = (planes.get("sPlaneNew") or planes.get("sPlane") or {}).values()
    named = [
        (str(p.get("sDescription", "")), int(p.get("uiColor", 0)).to_bytes(4, "little")[:3].hex())
        for p in described
    ]
    return side, named
