"""OME-XML in TIFF files: which file holds which plane, and what it says about channels and pixels.

An OME-TIFF image may be spread over several files. Each one then describes the whole, or names a
file that does: another TIFF, or a ``.companion.ome`` file, which is the XML alone.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tifffile

from hush.errors import HushError
from hush.io.exif import Tag

COMPANION = (".companion.ome",)  #: endings of the XML alone
_DESCRIPTION = 270


def is_companion(head: bytes, path: Path) -> bool:
    """Whether a file is OME-XML that describes TIFF files beside it."""
    return path.name.lower().endswith(".ome") and head.lstrip(b"\xef\xbb\xbf").startswith(b"<")


def parsed(text: str | bytes) -> ET.Element:
    """The root of OME-XML; `HushError` if it is damaged, or declares entities of its own."""
    start = text if isinstance(text, bytes) else text.encode()
    if b"<!ENTITY" in start:
        raise HushError("has OME-XML with entities of its own, which hush does not expand")
    try:
        return ET.fromstring(text)
    except (ET.ParseError, ValueError) as error:
        raise HushError(f"has damaged OME-XML ({error}); save it again") from error


def master(path: Path, text: str) -> Path | None:
    """The file that describes the whole set of which the file at `path` with this XML is a part.

    None if `text` does. `HushError` if that file is missing.
    """
    root = parsed(text)
    only = root.find("{*}BinaryOnly")
    if only is None:
        return None
    file = path.with_name(Path(only.get("MetadataFile", "")).name)
    if not file.is_file():
        raise HushError(
            f"is a part of an OME-TIFF set described in {file.name}, which is missing; put that "
            "file beside it"
        )
    return file


def files_in(text: str, folder: Path) -> list[Path]:
    """The TIFF files that OME-XML names, in its order, whether they are there or not."""
    uuids = parsed(text).iterfind("{*}Image/{*}Pixels/{*}TiffData/{*}UUID")
    return list(dict.fromkeys(folder / x.get("FileName", "") for x in uuids if x.get("FileName")))


def check_files(text: str, path: Path) -> None:
    """Raise HushError if files of the set that this XML describes are missing.

    path : of the file it is from, which may have been renamed.
    """
    root, lost = parsed(text), {}
    for uuid in root.iterfind("{*}Image/{*}Pixels/{*}TiffData/{*}UUID"):
        name = uuid.get("FileName", "")
        own = (root.get("UUID") or uuid.text) == uuid.text and path.suffix.lower() != ".ome"
        if name and not own and not path.with_name(name).is_file():
            lost[name] = True
    if lost:
        first, *more = lost
        others = f" and {len(more)} other{'s' * (len(more) > 1)}" if more else ""
        verb = "are" if more else "is"
        it = "them" if more else "it"
        raise HushError(
            f"is part of an OME-TIFF set of which {first}{others} {verb} missing; put {it} beside "
            "this file, or save the part that is there as a file of its own"
        )


def image_of(root: ET.Element, series: Sequence[tifffile.TiffPageSeries], index: int) -> int:
    """The place among the images in OME-XML of a series of the file, by `index`.

    tifffile leaves out images without planes.
    """
    images = root.findall("{*}Image")
    if len(images) == len(series):
        return index
    names = [image.get("Name") for image in images]
    name = series[index].name
    return names.index(name) if names.count(name) == 1 else min(index, len(images) - 1)


def rewritten(root: ET.Element, planes: int, image: int) -> bytes:
    """OME-XML of one image, the pages of whose file are its planes in order, as a tag holds it."""
    namespace = root.tag.partition("}")[0] + "}"
    root.attrib.pop("UUID", None)
    ET.register_namespace("", namespace[1:-1])
    for i, one in enumerate(root.findall(f"{namespace}Image")):
        if i != image:
            root.remove(one)
    for pixels in root.iterfind(f"{namespace}Image/{namespace}Pixels"):
        for name in ("BinData", "TiffData", "MetadataOnly"):
            for element in pixels.findall(namespace + name):
                pixels.remove(element)
        where = len(pixels.findall(f"{namespace}Channel"))  # the schema requires this position
        places = ET.Element(f"{namespace}TiffData", IFD="0", PlaneCount=str(planes))
        pixels.insert(where, places)
    made: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return made + b"\0"


def with_description(tags: Sequence[Tag], text: bytes) -> tuple[Tag, ...]:
    """`tags` with this description instead of theirs, if they have one."""
    own: Tag = (_DESCRIPTION, 2, len(text), text)
    kept = [own if tag[0] == _DESCRIPTION else tag for tag in tags]
    return tuple(kept) if own in kept else (own, *kept)


def described(root: ET.Element, image: int) -> dict[str, Any]:
    """What one image's XML says that other formats hold, too (`hush.io`)."""
    pixels = root.findall("{*}Image")[image].find("{*}Pixels")
    if pixels is None:
        return {}
    meta: dict[str, Any] = {}
    sizes = {a: _length(pixels, f"PhysicalSize{a}") for a in "XYZ"}
    if sizes["X"] and sizes["Y"]:
        meta["resolution"] = (1 / sizes["X"], 1 / sizes["Y"])
    if sizes["Z"]:
        meta["depth"] = sizes["Z"]
    if interval := _number(pixels, "TimeIncrement") * _SECONDS.get(
        pixels.get("TimeIncrementUnit", "s"), 0.0
    ):
        meta["interval"] = interval
    channels = pixels.findall("{*}Channel")
    names = [c.get("Name", "") for c in channels]
    if any(names):
        meta["channels"] = tuple(names)
    colours = [c.get("Color") for c in channels]
    if any(colours):
        meta["colours"] = tuple(_colour(c) for c in colours)
    return meta


#: metres and seconds in the units that OME names
_METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "µm": 1e-6, "μm": 1e-6, "um": 1e-6, "nm": 1e-9}
_METRES |= {"pm": 1e-12, "Å": 1e-10, "in": 0.0254}
_SECONDS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "μs": 1e-6, "min": 60.0, "h": 3600.0}


def _number(element: ET.Element, name: str) -> float:
    """A positive number in an attribute; 0 if there is none."""
    try:
        value = float(element.get(name, "0"))
    except ValueError:
        return 0.0
    return value if 0 < value < float("inf") else 0.0


def _length(pixels: ET.Element, name: str) -> float:
    return _number(pixels, name) * _METRES.get(pixels.get(f"{name}Unit", "µm"), 0.0)


def _colour(text: str | None) -> str:
    """RGB as six hexadecimal digits, from OME's signed RGBA; white if it is not stated."""
    try:
        value = int(text or "-1") & 0xFFFFFFFF
    except ValueError:
        value = 0xFFFFFFFF
    return f"{value >> 8:06X}"
