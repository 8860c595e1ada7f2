"""LIF files of Leica's LAS X, through liffile; only read.

Most hold several images; one is chosen as ``file.lif:2`` or by its name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hush.errors import HushError, missing_package
from hush.io import microscopes
from hush.io.array import split_key
from hush.io.several import Held, chosen
from hush.record import Record

ENDINGS = (".lif",)
MAGIC = (b"\x70\x00\x00\x00",)
#: RRGGBB of the look-up tables that have a name
_COLOURS = {"red": "FF0000", "green": "00FF00", "blue": "0000FF", "gray": "FFFFFF"}
_COLOURS |= {"grey": "FFFFFF", "cyan": "00FFFF", "magenta": "FF00FF", "yellow": "FFFF00"}


def sniff(head: bytes, path: Path) -> bool:
    """Whether the file begins as a LIF file does: with the size of its XML, in UTF-16."""
    return head.startswith(MAGIC) and head[8:9] == b"\x2a" and head[13:15] == b"<\0"


def read(path: Path) -> Record:
    """The only image, or the chosen one, with the axes T, Z, C, Y, X and S.

    Raises
    ------
    HushError
        If liffile is missing, there are no or several images, or they are lifetimes (FLIM).
    """
    try:
        import liffile
    except ImportError:
        raise missing_package("liffile", "microscopy", what="is a LIF file, which") from None
    file, key = split_key(path)
    with liffile.LifFile(file) as opened:
        images = [image for image in opened.images if {"X", "Y"} <= set(image.dims)]
        held = [Held(i.shape, "".join(i.dims), i.dtype, i.path) for i in images]
        if not held:
            raise HushError("holds no images, only lines, points or lifetimes")
        image = images[chosen(held, key, file.name)]
        data = image.asarray()
        return microscopes.record(data, image.dims, _described(image), bits=_bits(image))


def _described(image: Any) -> dict[str, Any]:
    """Sizes of voxels, time steps, and names and colours of channels."""
    about = image.xml_element.find("./Data/Image/ImageDescription")
    if about is None:
        return {}
    sides = {"X": 0.0, "Y": 0.0, "Z": 0.0, "T": 0.0}
    for axis, values in image.coords.items():
        if axis in sides and len(values) > 1:
            sides[axis] = abs(float(values[-1] - values[0])) / (len(values) - 1)
    meta = microscopes.sizes(sides["X"], sides["Y"], sides["Z"])
    if sides["T"] > 0:
        meta["interval"] = sides["T"]
    described = about.findall("./Channels/ChannelDescription")
    tables = [c.get("LUTName", "") for c in described]
    names = [
        next((v for p in c.iter("ChannelProperty") if (v := _dye(p))), table)
        for c, table in zip(described, tables, strict=True)
    ]
    return meta | microscopes.channels(names, [_COLOURS.get(t.lower(), "") for t in tables])


def _dye(element: Any) -> str:
    """The name of a dye, if this property of a channel is that."""
    value: str = element.findtext("Value", "") if element.findtext("Key") == "DyeName" else ""
    return value


def _bits(image: Any) -> int:
    found = image.xml_element.iterfind("./Data/Image/ImageDescription/Channels/ChannelDescription")
    return max((int(c.get("Resolution", "0")) for c in found), default=0)
