"""Small files as microscopes' software writes them: CZI, ND2 and LIF, from their descriptions."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

# -- LIF: XML in UTF-16, and blocks of memory ----------------------------------------------------

_LIF_AXES = {"X": 1, "Y": 2, "Z": 3, "T": 4, "S": 10}


def _lif_block(name: str, content: bytes, mark: int = 0x70) -> bytes:
    text = name.encode("utf-16-le")
    head = b"\x2a" + struct.pack("<Q", len(content)) + b"\x2a" + struct.pack("<I", len(name)) + text
    return struct.pack("<II", mark, len(head)) + head + content


def _lif_element(name: str, index: int, x: np.ndarray, axes: str, bits: int) -> str:
    """Axes as stored, such as TCYX; every step is 0.25 µm, or 2 s."""
    strides = dict(zip(axes, x.strides, strict=True))
    sizes = dict(zip(axes, x.shape, strict=True))
    names = ("Green", "Red", "Blue")
    channels = "".join(
        f'<ChannelDescription DataType="0" ChannelTag="0" Resolution="{bits}" '
        f'NameOfMeasuredQuantity="" Min="0" Max="1" Unit="" LUTName="{names[c]}" '
        f'IsLUTInverted="0" BytesInc="{c * strides.get("C", 0)}" BitInc="0">'
        f"<ChannelProperty><Key>DyeName</Key><Value>dye {c}</Value></ChannelProperty>"
        "</ChannelDescription>"
        for c in range(sizes.get("C", 1))
    )
    dimensions = "".join(
        f'<DimensionDescription DimID="{_LIF_AXES[a]}" NumberOfElements="{sizes[a]}" Origin="0" '
        f'Length="{(sizes[a] - 1) * (2 if a == "T" else 2.5e-7)}" '
        f'Unit="{"s" if a == "T" else "m"}" BytesInc="{strides[a]}" BitInc="0"/>'
        for a in reversed(axes)
        if a != "C"
    )
    return (
        f'<Element Name="{name}" UniqueID="{index}"><Data><Image><ImageDescription>'
        f"<Channels>{channels}</Channels><Dimensions>{dimensions}</Dimensions></ImageDescription>"
        f'</Image></Data><Memory Size="{x.nbytes}" MemoryBlockID="MemBlock_{index}"/></Element>'
    )


def lif(path: Path, images: Mapping[str, tuple[np.ndarray, str]], bits: int = 16) -> Path:
    """A LIF file with images by their names, and their axes."""
    elements = [_lif_element(n, i, x, a, bits) for i, (n, (x, a)) in enumerate(images.items())]
    xml = (
        '<LMSDataContainerHeader Version="2"><Element Name="a.lif" UniqueID="x"><Children>'
        f"{''.join(elements)}</Children></Element></LMSDataContainerHeader>"
    )
    head = b"\x2a" + struct.pack("<I", len(xml)) + xml.encode("utf-16-le")
    content = struct.pack("<II", 0x70, len(head)) + head
    for i, (x, _) in enumerate(images.values()):
        content += _lif_block(f"MemBlock_{i}", x.tobytes())
    path.write_bytes(content)
    return path


# -- CZI: segments, each with a name and sizes ---------------------------------------------------


def _segment(name: bytes, content: bytes) -> bytes:
    content += bytes(-len(content) % 32)
    return struct.pack("<16sqq", name, len(content), len(content)) + content


_PIXELS = {"<u1": 0, "<u2": 1, "<f4": 2, "rgb": 3}


def _entry(
    axes: str, start: Sequence[int], x: np.ndarray, where: int, way: int, rgb: bool
) -> bytes:
    kind = 3 if rgb else _PIXELS[x.dtype.str.replace("|", "<")]
    parts = struct.pack("<2siqiiBB4si", b"DV", kind, where, 0, way, 0, 0, b"", len(axes))
    shape = (*x.shape, *[1] * (len(axes) - x.ndim))
    for axis, first, size in reversed(list(zip(axes, start, shape, strict=False))):
        parts += struct.pack("<4siifi", axis.encode(), first, size, 0.0, size)
    return parts


def czi(
    path: Path,
    axes: str,
    tiles: Sequence[tuple[Sequence[int], np.ndarray]],
    xml: str = "<ImageDocument/>",
    encode: Mapping[int, object] | None = None,
    rgb: bool = False,
) -> Path:
    """A CZI file of tiles; each has its start along `axes`, and its values along them.

    encode : the number of a way of compression, and the function that does it. Of RGB tiles, the
    last axis of values is the colours, as BGR.
    """
    way, pack = next(iter((encode or {0: bytes}).items()))
    content = bytearray(_segment(b"ZISRAWFILE", bytes(512)))
    entries = []
    for start, x in tiles:
        raw = pack(x.tobytes())  # type: ignore[operator]
        where = len(content)
        values = x[..., 0] if rgb else x
        entry = _entry(axes, start, values, where, way, rgb)
        block = struct.pack("<iiq", 0, 0, len(raw)) + entry
        content += _segment(b"ZISRAWSUBBLOCK", block.ljust(16 + 240, b"\0") + raw)
        entries.append(entry)
    directory = len(content)
    content += _segment(
        b"ZISRAWDIRECTORY", struct.pack("<i", len(entries)) + bytes(124) + b"".join(entries)
    )
    about = len(content)
    text = xml.encode()
    content += _segment(b"ZISRAWMETADATA", struct.pack("<ii", len(text), 0) + bytes(248) + text)
    head = struct.pack("<iii4s16s16siqqi", 1, 0, 0, b"", b"", b"", 0, directory, about, 0)
    content[32 : 32 + len(head)] = head
    path.write_bytes(content)
    return path


# -- ND2: chunks, and a map of them at the end ---------------------------------------------------

_MAGIC = 0x0ABECEDA


def _chunk(name: bytes, content: bytes, room: int = 0) -> bytes:
    name = name.ljust(room, b"\0")
    return struct.pack("<IIQ", _MAGIC, len(name), len(content)) + name + content


def _variant(values: Mapping[str, object]) -> bytes:
    """A tree of values as XML, as version 2 of the format has it."""

    def lines(tree: Mapping[str, object]) -> str:
        made = ""
        for name, value in tree.items():
            if isinstance(value, Mapping):
                made += f'<{name} runtype="CLxListVariant">{lines(value)}</{name}>'
            else:
                kind = {bool: "bool", int: "lx_uint32", float: "double"}.get(
                    type(value), "CLxStringW"
                )
                text = str(value).lower() if isinstance(value, bool) else value
                made += f'<{name} runtype="{kind}" value="{text}"/>'
        return made

    text = f'<no_name runtype="CLxListVariant">{lines(values)}</no_name>'
    return f'<?xml version="1.0"?><variant version="1.0">{text}</variant>'.encode()


def nd2(path: Path, frames: np.ndarray, chunks: Mapping[str, Mapping[str, object]]) -> Path:
    """An ND2 file, version 2.1, of uint16 frames ``(N, Y, X, C)`` and chunks of XML."""
    count, rows, columns, channels = frames.shape
    attributes = {
        "uiWidth": columns,
        "uiHeight": rows,
        "uiComp": channels,
        "uiSequenceCount": count,
        "uiWidthBytes": 2 * columns * channels,
        "uiBpcInMemory": 16,
        "uiBpcSignificant": 12,
        "eCompression": 2,
    }
    content = struct.pack("<IIQ", _MAGIC, 32, 64) + b"ND2 FILE SIGNATURE CHUNK NAME01!"
    content += b"Ver2.1".ljust(64, b"\0")
    table = b""
    texts = {"ImageAttributes!": attributes, **chunks}
    parts = [(name.encode(), _chunk(name.encode(), _variant(v))) for name, v in texts.items()]
    for i, frame in enumerate(frames):
        name = f"ImageDataSeq|{i}!".encode()
        parts.append((name, _chunk(name, bytes(8) + frame.tobytes(), 4072)))
    for name, part in parts:
        table += name + struct.pack("<QQ", len(content), len(part))
        content += part
    where = len(content)
    signature = b"ND2 CHUNK MAP SIGNATURE 0000001!"
    table += signature + struct.pack("<Q", where)
    content += _chunk(b"ND2 FILEMAP SIGNATURE NAME 0001!", table)
    path.write_bytes(content)
    return path
