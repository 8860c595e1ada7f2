"""Files: one contract for every format, and a sentence for everything that is not readable."""

from __future__ import annotations

import errno
import io as stdio
import json
import os
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image

import hush
from hush import io
from hush.errors import HushError
from hush.io import array
from hush.io.exif import Exif
from hush.io.place import together
from hush.kinds import get as get_kind
from hush.kinds import to_batch
from hush.kinds.layout import to_stored
from hush.record import Record
from hush.studies.folders import image_files

ICC = bytes(range(132))
LUT = np.stack([np.arange(256), np.zeros(256), np.zeros(256)])  # black to red
GPS = ((1, 2, 2, b"N\0"), (2, 5, 3, struct.pack("<6I", 48, 1, 8, 1, 3141, 100)))
CAMERA = (
    (33434, 5, 1, struct.pack("<2I", 1, 250)),  # exposure time, a rational
    (36867, 2, 20, b"2024:02:29 12:00:00\0"),
    (37500, 7, 9, b"makernote"),  # of odd length and no known type
)
EXIF = Exif("<", ((271, 2, 5, b"Hush\0"), (274, 3, 1, b"\6\0")), {34665: CAMERA, 34853: GPS})


def samples(*shape: int, dtype: Any = np.uint16) -> np.ndarray:
    """Noise that fills the range of the type; floats include what must survive as it is."""
    rng = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        x = rng.normal(size=shape).astype(dtype)
        x.flat[:3] = np.nan, np.inf, -1e4
        return x
    info = np.iinfo(dtype)
    return rng.integers(
        info.min, info.max, shape, dtype=np.dtype(dtype).newbyteorder("="), endpoint=True
    )


def tif(data: np.ndarray, **options: Any) -> Callable[[Path], None]:
    return lambda path: tifffile.imwrite(path, data, **options)


def png(data: np.ndarray, **options: Any) -> Callable[[Path], None]:
    """A PNG of any depth and colour type, which Pillow cannot write, with Pillow's metadata."""

    def write(path: Path) -> None:
        height, width, count = *data.shape[:2], data[0, 0].size
        small = stdio.BytesIO()
        Image.new("L", (1, 1)).save(small, "png", **options)
        signature, rest = small.getvalue()[:8], small.getvalue()[33:]
        colour = {1: 0, 2: 4, 3: 2, 4: 6}[count]
        head = struct.pack(">IIBBBBB", width, height, 8 * data.itemsize, colour, 0, 0, 0)
        rows = b"".join(b"\0" + row.astype(data.dtype.newbyteorder(">")).tobytes() for row in data)
        path.write_bytes(
            signature
            + chunk(b"IHDR", head)
            + rest[: rest.index(b"IDAT") - 4]
            + chunk(b"IDAT", zlib.compress(rows))
            + chunk(b"IEND", b"")
        )

    return write


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def npy(data: np.ndarray) -> Callable[[Path], None]:
    return lambda path: np.save(path, data)


def npz(*arrays: np.ndarray, compressed: bool = False) -> Callable[[Path], None]:
    save = np.savez_compressed if compressed else np.savez
    return lambda path: save(path, **dict(zip("xyz", arrays, strict=False)))


def scan(data: np.ndarray, bits: int = 0, syntax: str = "", **header: Any) -> pydicom.Dataset:
    """A DICOM image as a scanner makes it, and whatever else its `header` says."""
    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = getattr(pydicom.uid, syntax or "ExplicitVRLittleEndian")
    ds.SOPClassUID = pydicom.uid.MRImageStorage
    ds.SOPInstanceUID, ds.SeriesInstanceUID, ds.StudyInstanceUID = "1.2.3", "1.2", "1"
    ds.PatientName, ds.Modality, ds.PixelSpacing = "Doe^Jane", "MR", [0.5, 0.25]
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.private_block(0x11, "HUSH TEST", create=True).add_new(1, "LO", "a vendor's note")
    ds.Rows, ds.Columns = data.shape[-2:]
    if data.ndim == 3:
        ds.NumberOfFrames = len(data)
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.PixelRepresentation = 8 * data.itemsize, int(data.dtype.kind == "i")
    ds.BitsStored = bits or ds.BitsAllocated
    ds.HighBit = ds.BitsStored - 1
    ds.PixelData = data.tobytes() + b"\0" * (data.nbytes % 2)
    ds["PixelData"].VR = "OW" if data.itemsize > 1 else "OB"
    for keyword, value in header.items():
        setattr(ds, keyword, value)
    return ds


def dcm(data: np.ndarray, encode: Any = None, **options: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        ds = scan(data, **options)
        if encode:
            frames = [encode(frame) for frame in data.reshape(-1, *data.shape[-2:])]
            ds.PixelData = pydicom.encaps.encapsulate(frames)
            ds["PixelData"].is_undefined_length = True
        ds.save_as(path, enforce_file_format=True)

    return write


def h5(**datasets: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:
            for name, value in datasets.items():
                file[name] = value

    return write


def jpeg2k(x: np.ndarray) -> bytes:
    return imagecodecs.jpeg2k_encode(
        x, level=0, reversible=True, codecformat="j2k", bitspersample=12
    )


def lossless(x: np.ndarray) -> bytes:
    return imagecodecs.ljpeg_encode(x, bitspersample=12)


def rle(path: Path) -> None:
    ds = scan(B12, bits=12)
    ds.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
    ds.save_as(path, enforce_file_format=True)


def pages(*descriptions: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with tifffile.TiffWriter(path) as out:
            for i, text in enumerate(descriptions):
                frame = samples(9, 12) + np.uint16(i)
                tags = [(65000, 2, 0, f"at {i} s", False)]
                out.write(frame, metadata=None, description=text, extratags=tags)

    return write


def pyramid(path: Path) -> None:
    with tifffile.TiffWriter(path, ome=True) as out:
        out.write(samples(32, 32), subifds=1, metadata={"axes": "YX", "PhysicalSizeX": 0.5})
        out.write(samples(16, 16), subfiletype=1)


IMAGEJ = {
    "unit": "micron", "spacing": 2.5, "finterval": 0.1, "Info": "by hand",
    "Ranges": (0.0, 255.0, 5.0, 99.0), "LUTs": [LUT.astype(np.uint8)] * 2, "Labels": list("abcdef"),
}  # fmt: skip
OME = {"PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "PhysicalSizeZ": 2.0, "TimeIncrement": 0.1}
GRAY = {"photometric": "minisblack"}
GRAY_ALPHA = {**GRAY, "planarconfig": 1, "extrasamples": [1]}
ALPHA = {"photometric": "rgb", "extrasamples": [2]}
PLANES = {**ALPHA, "planarconfig": 2}

Case = tuple[str, Callable[[Path], None], str, str, tuple[int, ...]]

U1, U2, F4 = samples(9, 12, dtype="u1"), samples(9, 12), samples(9, 12, dtype="f4")
RGB1, RGBA1, RGBA2 = samples(9, 12, 3, dtype="u1"), samples(9, 12, 4, dtype="u1"), samples(9, 12, 4)
B12 = samples(9, 12) >> np.uint16(4)
STACK, HYPER = samples(4, 9, 12), samples(3, 2, 9, 12)
T, C = {"metadata": {"axes": "TYX"}}, {"metadata": {"axes": "CZYX", **OME}, "ome": True}
VOLUME = {"volumetric": True, "tile": (16, 16, 16), "metadata": None, **GRAY}
TILES = {"tile": (16, 16), "compression": "zlib", "predictor": True}
RED = {"photometric": "palette", "colormap": (LUT * 257).astype(np.uint16)}
HAND = {"imagej": True, "resolution": (4, 4), "metadata": {"axes": "TCYX", **IMAGEJ}}

# What a file is called, how it is made, and the dtype, axes and shape that are read from it.
CASES: dict[str, Case] = {
    "png gray 8": ("a.png", png(U1), "u1", "YX", (9, 12)),
    "png gray 16": ("a.png", png(U2), "u2", "YX", (9, 12)),
    "png gray alpha 16": ("a.png", png(samples(9, 12, 2)), "u2", "YXS", (9, 12, 1)),
    "png rgb 8": ("a.png", png(RGB1, dpi=(300, 150)), "u1", "YXS", (9, 12, 3)),
    "png rgb 16": ("a.png", png(samples(9, 12, 3), icc_profile=ICC), "u2", "YXS", (9, 12, 3)),
    "png rgba 8": ("a.png", png(RGBA1, exif=EXIF.to_bytes()), "u1", "YXS", (9, 12, 3)),
    "png rgba 16": ("a.png", png(RGBA2), "u2", "YXS", (9, 12, 3)),
    "page": ("a.tif", tif(U2, metadata=None, description="cells"), "u2", "YX", (9, 12)),
    "resolution": ("a.tif", tif(U2, resolution=(72.5, 300), resolutionunit=3), "u2", "YX", (9, 12)),
    "uint8": ("a.TIF", tif(U1), "u1", "YX", (9, 12)),
    "int16": ("a.tif", tif(samples(9, 12, dtype="i2")), "i2", "YX", (9, 12)),
    "uint32": ("a.tif", tif(samples(9, 12, dtype="u4")), "u4", "YX", (9, 12)),
    "float16": ("a.tif", tif(samples(9, 12, dtype="f2")), "f2", "YX", (9, 12)),
    "float32": ("a.tif", tif(F4), "f4", "YX", (9, 12)),
    "float64": ("a.tiff", tif(samples(9, 12, dtype="f8")), "f8", "YX", (9, 12)),
    "big endian": ("a.tif", tif(U2, byteorder=">"), ">u2", "YX", (9, 12)),
    "white is zero": ("a.tif", tif(U2, photometric="miniswhite"), "u2", "YX", (9, 12)),
    "bigtiff": ("a.tif", tif(STACK, bigtiff=True, **T, **GRAY), "u2", "TYX", (4, 9, 12)),
    "rgb": (
        "a.tif",
        tif(RGB1, photometric="rgb", extratags=[(34675, 7, 132, ICC, True)]),
        "u1",
        "YXS",
        (9, 12, 3),
    ),
    "rgba": ("a.tif", tif(RGBA2, **ALPHA), "u2", "YXS", (9, 12, 3)),
    "rgba planes": ("a.tif", tif(STACK, metadata=None, **PLANES), "u2", "SYX", (3, 9, 12)),
    "gray alpha": ("a.tif", tif(samples(9, 12, 2), **GRAY_ALPHA), "u2", "YXS", (9, 12, 1)),
    "5 samples": ("a.tif", tif(samples(9, 12, 5), **GRAY, planarconfig=1), "u2", "YXS", (9, 12, 5)),
    "lzw": ("a.tif", tif(U2, compression="lzw", predictor=True), "u2", "YX", (9, 12)),
    "deflate": ("a.tif", tif(STACK, compression="deflate", **T, **GRAY), "u2", "TYX", (4, 9, 12)),
    "tiles": ("a.tif", tif(samples(40, 50, dtype="f4"), **TILES), "f4", "YX", (40, 50)),
    "jpeg": ("a.tif", tif(RGB1, compression="jpeg", photometric="rgb"), "u1", "YXS", (9, 12, 3)),
    "pages": ("a.tif", tif(STACK, metadata=None, **GRAY), "u2", "IYX", (4, 9, 12)),
    "pages with notes": ("a.tif", pages("first", "second", "third"), "u2", "IYX", (3, 9, 12)),
    "unknown axes": ("a.tif", tif(HYPER, **GRAY), "u2", "QIYX", (3, 2, 9, 12)),
    "stack stored as planes": ("a.tif", tif(STACK, **PLANES), "u2", "QYX", (4, 9, 12)),
    "one page": ("a.tif", tif(samples(1, 9, 12)), "u2", "QYX", (1, 9, 12)),
    "volume": ("a.tif", tif(samples(4, 16, 16), **VOLUME), "u2", "ZYX", (4, 16, 16)),
    "false colours": ("a.tif", tif(U1, **RED), "u1", "YX", (9, 12)),
    "imagej": ("a.tif", tif(HYPER, **HAND), "u2", "TCYX", (3, 2, 9, 12)),
    "imagej big endian": ("a.tif", tif(HYPER, byteorder=">", **HAND), ">u2", "TCYX", (3, 2, 9, 12)),
    "imagej rgb": ("a.tif", tif(RGB1[None], imagej=True), "u1", "YXS", (9, 12, 3)),
    "ome": ("a.ome.tif", tif(HYPER, **C), "u2", "CZYX", (3, 2, 9, 12)),
    "ome named tif": ("a.tif", tif(HYPER, **C), "u2", "CZYX", (3, 2, 9, 12)),
    "ome rgb": ("a.ome.tif", tif(RGB1, ome=True, photometric="rgb"), "u1", "YXS", (9, 12, 3)),
    "ome pyramid": ("a.ome.tif", pyramid, "u2", "YX", (32, 32)),
    "npy": ("a.npy", npy(U2), "u2", "YX", (9, 12)),
    "npy rgb": ("a.npy", npy(RGB1), "u1", "YXS", (9, 12, 3)),
    "npy stack": ("a.npy", npy(HYPER.astype(">f4")), ">f4", "IQYX", (3, 2, 9, 12)),
    "npy by columns": ("a.npy", npy(np.asfortranarray(U2)), "u2", "YX", (9, 12)),
    "npz": ("a.npz", npz(samples(5, 9, 12, dtype="f8")), "f8", "QYX", (5, 9, 12)),
    "npz compressed": ("a.npz", npz(U2, compressed=True), "u2", "YX", (9, 12)),
    "dicom": ("a.dcm", dcm(B12, bits=12), "u2", "YX", (9, 12)),
    "dicom 8": ("a.DCM", dcm(samples(9, 11, dtype="u1")), "u1", "YX", (9, 11)),
    "dicom 32": ("a.dcm", dcm(samples(9, 12, dtype="u4")), "u4", "YX", (9, 12)),
    "dicom signed": (
        "a.ima",
        dcm(samples(9, 12, dtype="i2"), RescaleSlope=2, RescaleIntercept=-1024),
        "i2",
        "YX",
        (9, 12),
    ),
    "dicom frames": ("a.dcm", dcm(STACK), "u2", "IYX", (4, 9, 12)),
    "dicom one frame": ("a.dcm", dcm(STACK[:1]), "u2", "YX", (9, 12)),
    "dicom white is zero": (
        "a.dcm",
        dcm(B12, bits=12, PhotometricInterpretation="MONOCHROME1"),
        "u2",
        "YX",
        (9, 12),
    ),
    "dicom implicit": (
        "a.dcm",
        dcm(B12, bits=12, syntax="ImplicitVRLittleEndian"),
        "u2",
        "YX",
        (9, 12),
    ),
    "dicom deflated": (
        "a.dcm",
        dcm(U2, syntax="DeflatedExplicitVRLittleEndian"),
        "u2",
        "YX",
        (9, 12),
    ),
    "dicom rle": ("a.dcm", rle, "u2", "YX", (9, 12)),
    "dicom jpeg lossless": (
        "a.dcm",
        dcm(B12, lossless, bits=12, syntax="JPEGLosslessSV1"),
        "u2",
        "YX",
        (9, 12),
    ),
    "dicom jpeg-ls": (
        "a.dcm",
        dcm(U2, imagecodecs.jpegls_encode, syntax="JPEGLSLossless"),
        "u2",
        "YX",
        (9, 12),
    ),
    "dicom jpeg 2000": (
        "a.dcm",
        dcm(B12[None].repeat(3, 0), jpeg2k, bits=12, syntax="JPEG2000Lossless"),
        "u2",
        "IYX",
        (3, 9, 12),
    ),
}


def tags(path: Path) -> list[dict[str, Any]]:
    """Everything in each page of a TIFF that is neither samples nor their place."""
    place = {"StripOffsets", "StripByteCounts", "TileOffsets", "TileByteCounts", "RowsPerStrip"}
    place |= {
        "PlanarConfiguration",
        "SubIFDs",
        "ImageDepth",
        "TileDepth",
    }  # of pyramids and volumes, which become plain
    found = []
    with tifffile.TiffFile(path) as file:
        for page in file.pages:
            values = {tag.name: tag.value for tag in page.tags if tag.name not in place}
            for name in values.keys() & {"XResolution", "YResolution"}:
                values[name] = Fraction(*values[name])
            if page.is_ome:  # XML may be spelt in more than one way
                xml = re.sub(' UUID="[^"]*"', "", page.description)  # of the file itself
                values["ImageDescription"] = tifffile.xml2dict(xml)
            found.append({name: str(value) for name, value in values.items()})
    return found


@pytest.mark.parametrize("case", CASES)
def test_round_trip(case: str, tmp_path: Path) -> None:
    """Denoising that changes nothing gives the same file: samples, dtype, axes, metadata."""
    name, make, dtype, axes, shape = CASES[case]
    source = tmp_path / name
    make(source)
    record = io.read(source)
    assert (record.axes, record.data.shape, record.data.dtype) == (axes, shape, np.dtype(dtype))
    assert record.source == source

    result = io.output_path(source)
    io.write(get_kind(record.kind).record(record, np.array(to_batch(record).data)), result)
    again = io.read(result)
    assert (again.axes, again.data.dtype) == (record.axes, record.data.dtype)
    np.testing.assert_array_equal(again.data, record.data)
    assert again.scale == record.scale
    assert again.meta.keys() == record.meta.keys()
    for key in record.meta.keys() - {"tiff", "dicom"}:
        np.testing.assert_array_equal(again.meta[key], record.meta[key])
    if record.meta["format"] == "TIFF" and case not in ("volume", "jpeg"):
        assert tags(result) == tags(source)
    assert {p.name for p in tmp_path.iterdir()} == {source.name, result.name}


def test_other_readers_see_the_same(tmp_path: Path) -> None:
    """What is written is read by the libraries that others use, not only by hush."""
    for case in ("imagej", "ome", "rgba", "png rgba 8", "png gray 16", "npz"):
        name, make, *_ = CASES[case]
        source, result = tmp_path / name, tmp_path / f"out-{name}"
        make(source)
        io.write(io.read(source), result)
        if name.endswith(".npz"):
            np.testing.assert_array_equal(np.load(result)["x"], np.load(source)["x"])
        elif name.endswith(".png"):
            with Image.open(source) as a, Image.open(result) as b:
                np.testing.assert_array_equal(np.array(b), np.array(a))
                assert (b.mode, b.getexif()) == (a.mode, a.getexif())
        else:
            with tifffile.TiffFile(source) as a, tifffile.TiffFile(result) as b:
                np.testing.assert_array_equal(b.asarray(), a.asarray())
                assert (b.is_imagej, b.is_ome) == (a.is_imagej, a.is_ome)
                assert str(b.imagej_metadata) == str(a.imagej_metadata)
        source.unlink()


def test_ome_says_where_planes_are(tmp_path: Path) -> None:
    """Planes stored in another order than their axes', and a UUID of the file that was read."""
    source, result = tmp_path / "a.ome.tif", tmp_path / "b.ome.tif"
    tifffile.imwrite(source, samples(3, 9, 12), ome=True, metadata={"axes": "TYX", **OME})
    xml = tifffile.TiffFile(source).ome_metadata
    assert xml
    (uuid,) = re.findall('<OME[^>]* UUID="([^"]*)"', xml)
    places = "".join(
        f'<TiffData IFD="{i}" FirstT="{t}" PlaneCount="1">'
        f'<UUID FileName="{source.name}">{uuid}</UUID></TiffData>'
        for i, t in enumerate((2, 0, 1))
    )
    xml = xml.replace('<TiffData IFD="0" PlaneCount="3"/>', places)
    tifffile.tiffcomment(source, xml.encode())
    record = io.read(source)
    np.testing.assert_array_equal(record.data, samples(3, 9, 12)[[1, 2, 0]])
    io.write(record, result)
    np.testing.assert_array_equal(io.read(result).data, record.data)
    written = tifffile.TiffFile(result).ome_metadata
    assert written
    assert "uuid" not in written.lower()
    assert 'PhysicalSizeX="0.25" PhysicalSizeXUnit="µm"' in written
    assert 'PhysicalSizeZ="2.0"' in written


def test_exif_is_kept_byte_by_byte(tmp_path: Path) -> None:
    block = EXIF.to_bytes()
    assert Exif.from_bytes(block) == replace(
        EXIF, directories={k: list(v) for k, v in EXIF.directories.items()}
    )
    assert Exif().to_bytes() == b""
    image = Image.fromarray(samples(9, 12, 3, dtype="u1"))
    image.save(tmp_path / "a.jpg", exif=block, icc_profile=ICC, dpi=(300, 300))
    record = io.read(tmp_path / "a.jpg")
    assert (record.axes, record.data.shape) == ("YXS", (9, 12, 3))  # not rotated
    for steps in (["b.png"], ["c.tif"], ["d.png", "e.tif", "f.png", "g.tif", "h.tif"]):
        here = record
        for name in steps:
            io.write(here, tmp_path / name)
            here = io.read(tmp_path / name)
            assert (here.meta["exif"], here.meta["icc"]) == (block, ICC)
            np.testing.assert_allclose(here.meta["resolution"], 300 / 0.0254, rtol=1e-4)
    with Image.open(tmp_path / "h.tif") as file:
        assert file.getexif()[274] == 6
        assert file.getexif().get_ifd(34665)[36867] == "2024:02:29 12:00:00"
        assert file.getexif().get_ifd(34853)[2] == pytest.approx((48, 8, 31.41))


@pytest.mark.parametrize("block", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\0\0", b"x" * 40])
def test_damaged_exif_is_left_alone(block: bytes, tmp_path: Path) -> None:
    record = Record(samples(9, 12), "YX", meta={"exif": block})
    io.write(record, tmp_path / "a.tif")
    np.testing.assert_array_equal(io.read(tmp_path / "a.tif").data, record.data)
    with pytest.raises((struct.error, KeyError, IndexError)):
        io.exif.read_directory(struct.pack("<HHHI4s", 1, 270, 2, 99, b"\x10\0\0\0"), 0, "<")


@pytest.mark.parametrize(
    ("axes", "shape", "dtype", "name"),
    [
        ("YX", (9, 12), "u2", "a.png"),
        ("YXS", (9, 12, 3), "u1", "a.png"),
        ("QYX", (3, 9, 12), "u1", "a.tif"),
        ("IQYX", (2, 3, 9, 12), "f4", "a.tif"),
        ("YXS", (9, 12, 4), "f4", "a.tif"),
        ("SYX", (3, 9, 12), "u2", "a.tif"),
        ("CYX", (3, 9, 12), "u1", "a.tif"),
        ("TCYX", (2, 3, 9, 12), "u2", "a.ome.tif"),
        ("QYX", (5, 9, 12), "f4", "a.npy"),
    ],
)
def test_new_files(
    axes: str, shape: tuple[int, ...], dtype: str, name: str, tmp_path: Path
) -> None:
    """An array of one's own, with axes of one's own."""
    record = Record(samples(*shape, dtype=dtype), axes, meta={"resolution": (1e6, 2e6)})
    io.write(record, tmp_path / name)
    again = io.read(tmp_path / name)
    assert again.axes == axes
    np.testing.assert_array_equal(again.data, record.data)
    if name != "a.npy":
        assert again.meta["resolution"] == record.meta["resolution"]


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((9, 12), "YX"),
        ((9, 12, 3), "YXS"),
        ((9, 12, 4), "YXS"),
        ((9, 12, 1), "YXS"),
        ((3, 9, 12), "QYX"),  # channels first: a stack
        ((9, 3, 3), "QYX"),  # a stack of 3 × 3 images
        ((9, 12, 2), "YXC"),
        ((9, 12, 5), "QYX"),
        ((7, 9, 12, 3), "QYXS"),
        ((6, 7, 9, 12), "IQYX"),
    ],
)
def test_axes_of_arrays(shape: tuple[int, ...], axes: str) -> None:
    assert array.array_axes(shape) == axes


def test_alpha_is_never_seen_by_methods_and_comes_back(tmp_path: Path) -> None:
    for name, data in {"a.png": samples(9, 12, 4), "b.png": samples(9, 12, 2)}.items():
        png(data)(tmp_path / name)
        record = io.read(tmp_path / name)
        assert record.channels == data.shape[2] - 1
        batch = np.asarray(to_batch(record).data)
        result = get_kind(record.kind).record(record, np.zeros_like(batch))
        for out in (f"out-{name}", f"{name}.tif"):
            io.write(result, tmp_path / out)
            again = io.read(tmp_path / out)
            assert not again.data.any()
            np.testing.assert_array_equal(again.meta["alpha"], data[..., -1:])
        io.write(result, tmp_path / "all.npy")
        np.testing.assert_array_equal(np.load(tmp_path / "all.npy")[..., -1:], data[..., -1:])
        small = replace(result, data=result.data[:4])
        with pytest.raises(HushError, match="alpha"):
            io.write(small, tmp_path / "small.png")


def test_transparent_colour_becomes_alpha(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[7, 8]], np.uint8))
    image.save(tmp_path / "a.png", transparency=7)
    record = io.read(tmp_path / "a.png")
    assert record.data.tolist() == [[[7], [8]]]
    assert record.meta["alpha"].tolist() == [[[0], [255]]]


def test_large_files_are_mapped_not_loaded(tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif", "c.npy"):
        data = samples(5, 9, 12)
        if name == "c.npy":
            np.save(tmp_path / name, data)
        else:
            tifffile.imwrite(tmp_path / name, data, imagej=name == "b.tif")
        record = io.read(tmp_path / name)
        assert isinstance(record.data, np.memmap)
        assert not record.data.flags.writeable
        io.write(record, tmp_path / f"out-{name}")
        assert isinstance(io.read(tmp_path / f"out-{name}").data, np.memmap)


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    tif(samples(9, 12))(tmp_path / "a.png")
    png(samples(9, 12))(tmp_path / "b.jpg")
    npy(samples(9, 12))(tmp_path / "c.npy")
    (tmp_path / "c.npy").rename(tmp_path / "c")
    for name, fmt in {"a.png": "TIFF", "b.jpg": "PNG", "c": "NumPy array"}.items():
        record = io.read(tmp_path / name)
        assert record.meta["format"] == fmt
        np.testing.assert_array_equal(record.data, samples(9, 12))


def test_one_array_of_several_by_its_key(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    npz(samples(9, 12), samples(5, 6))(path)
    record = io.read(f"{path}:y")
    np.testing.assert_array_equal(record.data, samples(5, 6))
    assert io.output_path(f"{path}:y") == tmp_path / "a.denoised.npz"
    with pytest.raises(HushError, match=r"2 arrays \(x, y\); choose one as a\.npz:x"):
        io.read(path)
    with pytest.raises(HushError, match="no array 'w', only x, y"):
        io.read(f"{path}:w")


def two_series(path: Path) -> None:
    with tifffile.TiffWriter(path) as out:
        out.write(samples(9, 12), metadata=None)
        out.write(samples(5, 7), metadata=None)


def still_and_moving(path: Path) -> None:
    first, second = (Image.new("L", (9, 9), gray) for gray in (0, 9))
    first.save(path, save_all=True, append_images=[second])


def picture(mode: str, **options: Any) -> Callable[[Path], None]:
    return lambda path: Image.new(mode, (9, 9)).save(path, **options)


def cut(make: Callable[[Path], None], keep: float) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        make(path)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * keep)])

    return write


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


def text(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


BAD: dict[str, tuple[str, Callable[[Path], Any], str]] = (
    {
        "missing": ("a.tif", lambda path: None, "no such file"),
        "folder": ("a.tif", Path.mkdir, "folder"),
        "zero bytes": ("a.tif", Path.touch, "empty"),
        "pipe": ("a.tif", os.mkfifo, "regular"),
        "text": ("a.png", text(b"hello"), "not a file hush can read"),
        "only magic": ("a.png", text(b"\x89PNG\r\n\x1a\n"), "cut short"),
        "no page": ("a.tif", text(b"II*\0\0\0\0\0"), "no images"),
        "not an npz": ("a.npz", text(b"PK\x03\x04 and so on"), "damaged"),
        "palette png": ("a.png", picture("P"), "palette"),
        "1-bit png": ("a.png", picture("1"), "1-bit"),
        "animated png": ("a.png", still_and_moving, "animation"),
        "cmyk jpeg": ("a.jpg", picture("CMYK"), "CMYK"),
        "1-bit tiff": ("a.tif", tif(samples(9, 12) > 9), "1-bit"),
        "palette tiff": ("a.tif", tif(U1, **{**RED, "colormap": samples(3, 256)}), "palette"),
        "cmyk tiff": ("a.tif", tif(samples(9, 12, 4, dtype="u1"), photometric="separated"), "CMYK"),
        "lab tiff": ("a.tif", tif(samples(9, 12, 3, dtype="u1"), photometric="cielab"), "CIELAB"),
        "bayer tiff": ("a.tif", tif(samples(9, 12), photometric="cfa"), "raw file"),
        "complex tiff": ("a.tif", tif(samples(9, 12).astype("c8")), "complex"),
        "two series": ("a.tif", two_series, "2 series"),
        "boolean npy": ("a.npy", npy(samples(9, 12) > 9), "boolean"),
        "complex npy": ("a.npy", npy(np.ones((9, 9), complex)), "complex"),
        "text npy": ("a.npy", npy(np.array([["a"]])), "rather than numbers"),
        "objects npy": ("a.npy", npy(np.array([[None]])), "objects"),
        "objects npz": ("a.npz", npz(np.array([[None]])), "objects"),
        "13-d npy": ("a.npy", npy(np.zeros((1,) * 13)), "13 dimensions"),
        "no samples": ("a.npy", npy(np.zeros((0, 9), "u1")), "no samples"),
        "several arrays": ("a.npz", npz(samples(9, 9), samples(9, 9)), "choose one"),
        "no arrays": ("a.npz", zipped, "without NumPy arrays"),
        "dicom without pixels": ("a.dcm", text(bytes(128) + b"DICM"), "without integer"),
        "colour dicom": ("a.dcm", dcm(U1, PhotometricInterpretation="RGB"), "colour DICOM"),
        "1-bit dicom": ("a.dcm", dcm(U1, BitsAllocated=1, BitsStored=1, HighBit=0), "1-bit"),
        "dicom of high bits": ("a.dcm", dcm(U2, bits=12, HighBit=15), "in the low bits"),
        "dicom of more rows": ("a.dcm", dcm(U2, Rows=99), "damaged"),
        "empty hdf5": ("a.h5", h5(), "without datasets"),
        "hdf5 of tables": ("a.h5", h5(x=np.zeros(9), y=np.zeros((99, 2))), "datasets are x, y"),
        "several hdf5": ("a.h5", h5(x=U2, y=U2), "2 images (x, y); choose one as a.h5:x"),
        "k-space of five axes": ("a.h5", h5(kspace=np.ones((1,) * 5, complex)), "k-space of"),
        "odd header": ("a.h5", h5(kspace=STACK + 0j, ismrmrd_header=b"<a/>"), "the image's size"),
    }
    | {
        f"{case} cut at {keep:.0%}": (CASES[case][0], cut(CASES[case][1], keep), "")
        for case in (
            *("png rgb 16", "page", "lzw", "pages", "imagej", "ome", "npy", "npz"),
            *("dicom", "dicom jpeg 2000"),
        )
        for keep in (0.1, 0.5, 0.95)
    }
    | {
        f"hdf5 cut at {keep:.0%}": ("a.h5", cut(h5(x=samples(99, 99)), keep), "cut short")
        for keep in (0.1, 0.5, 0.95)
    }
    | {
        f"jpeg cut at {keep:.0%}": ("a.jpg", cut(Image.effect_noise((99, 99), 50).save, keep), "")
        for keep in (0.1, 0.5, 0.9)
    }
)


@pytest.mark.parametrize("case", BAD)
@pytest.mark.filterwarnings("ignore")
def test_bad_input_gets_one_sentence(case: str, tmp_path: Path, capfd: Any) -> None:
    name, make, words = BAD[case]
    path = tmp_path / name
    make(path)
    with pytest.raises(HushError) as error:
        io.read(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert words in message
    assert "\n" not in message
    assert capfd.readouterr() == ("", "")  # the sentence is the command line's to print


def test_what_has_no_rows_and_columns_is_no_image(tmp_path: Path) -> None:
    """A format does not know; the kind of data does, and says what is missing of which file."""
    for name, make in {"a.npy": npy(samples(9)), "a.npz": npz(samples(9))}.items():
        path = tmp_path / name
        make(path)
        record = io.read(path)
        assert (record.axes, record.data.shape) == ("Q", (9,))
        with pytest.raises(HushError) as error:
            hush.read(path)
        assert str(error.value).startswith(f"{path}: ")
        assert "axes Y and X; 'Q' lacks Y and X" in str(error.value)
        assert "\n" not in str(error.value)
    npy(samples(9, 12))(path := tmp_path / "b.npy")
    with pytest.raises(HushError, match=r"'XT' lacks Y$"):
        hush.read(path, axes="xt")
    assert hush.read(path, axes="xy").axes == "XY"


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    npy(samples(9, 12))(tmp_path / "a.npy")
    monkeypatch.setattr(Path, "open", refuse)  # tests may run as root, whom nothing refuses
    with pytest.raises(HushError, match="cannot be read: permission denied"):
        io.read(tmp_path / "a.npy")


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif", "a.png", "a.npy", "a.npz"])
@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left"), RuntimeError("why")]
)
def test_interrupted_writes_leave_nothing(
    name: str, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed when all samples are written but not yet safe: the old file is untouched."""
    path = tmp_path / name
    path.write_bytes(b"old")

    def fail(handle: int) -> None:
        assert len(list(tmp_path.iterdir())) == 2
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    expected = HushError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected, match="the disk is full" if expected is HushError else None):
        io.write(Record(samples(9, 12), "YX"), path)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert path.read_bytes() == b"old"


def test_atomic(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.json"
    with io.atomic(target) as part:
        part.write_text(json.dumps(1))
        assert part.suffix == ".json"
        assert not target.exists()
    assert json.loads(target.read_text()) == 1
    mask = os.umask(0o022)
    os.umask(mask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~mask

    target.chmod(0o640)
    link = tmp_path / "link.json"
    link.symlink_to(target)
    with io.atomic(link) as part:
        part.write_text("2")
    assert link.is_symlink()
    assert (target.read_text(), target.stat().st_mode & 0o777) == ("2", 0o640)
    with pytest.raises(ZeroDivisionError), io.atomic(target) as part:
        part.write_text(str(1 // 0))
    assert target.read_text() == "2"
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.json", "link.json", "new"]


def test_files_written_together_keep_their_permissions(tmp_path: Path) -> None:
    for name in ("a.nii", "a.bval"):
        (tmp_path / name).write_text("old")
        (tmp_path / name).chmod(0o640)
    with together(tmp_path / "a.nii") as part:
        part.write_text("new")
        part.with_name("a.bval").write_text("new")
    for name in ("a.nii", "a.bval"):
        assert (tmp_path / name).read_text() == "new"
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o640


def test_targets_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "a.npy"
    npy(samples(9, 12, dtype="f4"))(source)
    (tmp_path / "folder.tif").mkdir()
    os.mkfifo(tmp_path / "pipe.tif")
    (tmp_path / "same.npy").hardlink_to(source)
    record = io.read(source)
    for name, words in {
        "a.npy": "input itself",
        "same.npy": "input itself",
        "folder.tif": "is a folder",
        "pipe.tif": "not a regular file",
        "a.npy/b.tif": "is a file, not a folder",
        "b.jpg": "noise",
        "b.gif": "use a name ending in .png",
        "b.bmp": "does not write them; use a name ending in .png",
        "b.dcm": "only images read from a DICOM file",
        "b": "use a name ending in .png",
        "b.png": "8 or 16 bits, not float32",
    }.items():
        for call in (io.check, io.write):
            with pytest.raises(HushError, match=words) as error:
                call(record, tmp_path / name)
            assert "\n" not in str(error.value)
    stack = replace(record, data=samples(2, 9, 12), axes="QYX")
    with pytest.raises(HushError, match="a PNG file holds one"):
        io.write(stack, tmp_path / "b.png")
    with pytest.raises(HushError, match="OME-TIFF cannot hold axes IYX"):
        io.write(replace(stack, axes="IYX"), tmp_path / "b.ome.tif")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(HushError, match="not writable"):
        io.write(record, tmp_path / "b.tif")
    assert not (tmp_path / "b.tif").exists()


def test_output_paths(tmp_path: Path) -> None:
    def named(source: str, *args: Any, **options: Any) -> str:
        return str(io.output_path(tmp_path / source, *args, **options).relative_to(tmp_path))

    assert named("noisy.tif") == "noisy.denoised.tif"
    assert named("my.noisy.OME.TIF") == "my.noisy.denoised.OME.TIF"
    assert named("noisy.JPG") == "noisy.denoised.png"
    assert named("noisy.lsm") == "noisy.denoised.tif"
    assert named("noisy.h5:kspace") == "noisy.denoised.h5"
    assert named("noisy.tif", tmp_path / "clean.png") == "clean.png"
    assert named("noisy.tif", tmp_path / "out", many=True) == "out/noisy.tif"
    assert named("noisy.jpeg", f"{tmp_path}/out/") == "out/noisy.png"
    with pytest.raises(HushError, match="give the files in it"):
        io.output_path(".")
    (tmp_path / "there").mkdir()
    assert named("noisy.tif", tmp_path / "there") == "there/noisy.tif"
    for name, real in {
        "a.png": "a.tif",
        "a.JPEG": "a.tif",
        "a.dcm": "a.tif",
        "a.OME.TIF": "a.OME.TIF",
        "a.npy": "a.npy",
        "a.npz": "a.npz",
    }.items():
        assert named(name, tmp_path / "there", many=True, real=True) == f"there/{real}", name
    (tmp_path / "noisy.tif").touch()
    for out, words in (("noisy.tif", "replace the input"), ("x.bmp", "use a name ending in")):
        with pytest.raises(HushError, match=words):
            named("noisy.tif", tmp_path / out)
    with pytest.raises(HushError, match="replace the input"):
        named("noisy.tif", tmp_path, many=True)
    with pytest.raises(HushError, match="not a folder"):
        named("other.tif", tmp_path / "noisy.tif", many=True)


def test_a_result_is_written_item_by_item(tmp_path: Path) -> None:
    """All or nothing, as when it is written at once, and to the same bytes."""
    record = Record(samples(5, 9, 12, dtype="f4"), "QYX", meta={"resolution": (1e6, 1e6)})
    path, whole = tmp_path / "new" / "a.npy", tmp_path / "b.npy"
    with io.opened(record, path) as out:
        assert isinstance(out, np.memmap)
        assert (out.shape, out.dtype) == (record.data.shape, record.data.dtype)
        for i, item in enumerate(record.data):
            out[i] = item
            assert not path.exists()
    io.write(record, whole)
    assert path.read_bytes() == whole.read_bytes()

    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), io.opened(record, path) as out:
        out[0] = record.data[0] / (1 // 0)
    assert path.read_bytes() == b"old"
    assert [p.name for p in path.parent.iterdir()] == ["a.npy"]


def test_what_cannot_be_written_item_by_item_is_written_at_once(tmp_path: Path) -> None:
    record = Record(samples(9, 12), "YX")
    for name in ("a.png", "a.tif", "a.npz", "a.unknown"):
        with io.opened(record, tmp_path / name) as out:
            assert out is None
    with io.opened(record, None) as out:
        assert out is None
    png(samples(9, 12, 4))(tmp_path / "alpha.png")
    with io.opened(io.read(tmp_path / "alpha.png"), tmp_path / "a.npy") as out:
        assert out is None  # its opacity goes into the file, too
    assert [p.name for p in tmp_path.iterdir()] == ["alpha.png"]
    npy(samples(9, 12))(tmp_path / "c.npy")
    with (
        pytest.raises(HushError, match="input itself"),
        io.opened(io.read(tmp_path / "c.npy"), tmp_path / "c.npy"),
    ):
        pass
    np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), samples(9, 12))


def test_a_format_that_is_only_read_names_another(tmp_path: Path) -> None:
    for fmt in io.formats():
        assert (fmt.write is None) == bool(fmt.instead) == bool(fmt.why), fmt.name
        for suffix in fmt.suffixes:
            path = io.output_path(tmp_path / f"a{suffix}")
            assert path.name == f"a{fmt.joint}denoised{fmt.instead or suffix}"
            if fmt.instead:
                with pytest.raises(HushError, match=fmt.why):
                    io.output_path(tmp_path / f"b{suffix}", tmp_path / f"a{suffix}")


def test_formats_are_tried_in_order_and_those_of_others_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A format of another package adds to hush's own and takes nothing from them."""

    def read(path: Path) -> Record:
        return Record(np.frombuffer(path.read_bytes()[4:], "u1")[None], "YX")

    def write(record: Record, path: Path) -> None:
        path.write_bytes(b"LINE" + record.data.tobytes())

    line = io.Format("line", (".line", ".png"), read, write, (b"LINE",), kind="image")
    assert tuple(io.formats()) == io.FORMATS
    monkeypatch.setattr("hush.io.codecs.ADDED", {"line": line})
    assert tuple(io.formats()) == (*io.FORMATS, line)
    assert ".line" in io.supported(writable=True)
    assert io.recognised(tmp_path / "a.line")
    (tmp_path / "a.line").write_bytes(b"LINE" + bytes(range(9)))
    record = io.read(tmp_path / "a.line")
    assert record.data.tolist() == [list(range(9))]
    assert io.format_of(record) is line
    io.write(record, io.output_path(tmp_path / "a.line"))
    assert (tmp_path / "a.denoised.line").read_bytes() == (tmp_path / "a.line").read_bytes()
    io.write(record, tmp_path / "b.png")
    assert io.read(tmp_path / "b.png").meta["format"] == "PNG"


def test_supported() -> None:
    assert set(io.supported()) > set(io.supported(writable=True)) >= {".png", ".tif", ".npy"}
    read_only = set(io.supported()) - set(io.supported(writable=True))
    assert read_only > {
        ".jpg",
        ".bmp",
        ".gif",
        ".webp",
        ".jp2",
        ".exr",
        ".pgm",
        ".hdr",
        ".img.gz",
        ".companion.ome",
    }
    assert not read_only & {".fits", ".mrc", ".nii.gz", ".dcm", ".edf", ".h5", ".hdf5", ".zarr"}


@pytest.mark.data
def test_real_files(hush_data: Path, tmp_path: Path) -> None:
    """Of each kind of microscopy file in the study data, the first comes back with all its tags."""
    seen = set()
    for path in sorted(hush_data.glob("images/**/*.tif")):
        if path.parent.name in seen:
            continue
        seen.add(path.parent.name)
        record = io.read(path)
        result = tmp_path / f"{len(seen)}.tif"
        io.write(record, result)
        np.testing.assert_array_equal(io.read(result).data, record.data)
        before, after = tags(path), tags(result)
        for a, b in zip(before, after, strict=True):
            assert {k: v for k, v in b.items() if k in a} == a
    assert seen


@pytest.mark.parametrize("left", [0.002, 0.02, 0.5, 0.999])
@pytest.mark.parametrize("name", ["a.npy", "a.npz", "packed.npz"])
def test_an_array_cut_short_gets_a_sentence(tmp_path: Path, name: str, left: float) -> None:
    x = np.random.default_rng(0).random((64, 64))
    save = {"a.npy": np.save, "a.npz": np.savez, "packed.npz": np.savez_compressed}[name]
    save(tmp_path / name, x)  # type: ignore[operator]
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(left * len(whole))])
    with pytest.raises(HushError, match="is cut short or damaged; copy it again"):
        io.read(tmp_path / name)


# Scanners' files


@pytest.mark.filterwarnings("error")
def test_a_denoised_dicom_image_says_what_it_is(tmp_path: Path) -> None:
    """A derived image by the standard's rules; nothing else of the header changes."""
    frame = pydicom.Dataset()
    frame.FrameType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    functions = pydicom.Dataset()
    functions.MRImageFrameTypeSequence = [frame]
    old = scan(
        B12,
        bits=12,
        SharedFunctionalGroupsSequence=[functions],
        DerivationDescription="averaged",
        LargestImagePixelValue=4095,
        WindowCenter=700,
        PatientSex="0000",  # no such thing, but not ours to mend
    )
    old.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    record = io.read(tmp_path / "a.dcm")
    io.write(replace(record, data=record.data // 2), tmp_path / "b.dcm")
    io.write(replace(record, data=record.data // 2), tmp_path / "again.dcm")
    io.write(replace(record, data=record.data // 3), tmp_path / "c.dcm")
    assert (tmp_path / "again.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()
    new, other = (pydicom.dcmread(tmp_path / name) for name in ("b.dcm", "c.dcm"))
    np.testing.assert_array_equal(new.pixel_array, B12 // 2)
    assert new.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
    assert new.ImageType == ["DERIVED", "SECONDARY", "AXIAL"]
    (shared,) = new.SharedFunctionalGroupsSequence
    assert shared.MRImageFrameTypeSequence[0].FrameType == [
        *("DERIVED", "SECONDARY", "VOLUME", "NONE")
    ]
    assert new.DerivationDescription == "averaged; denoised by hush"
    assert new.SourceImageSequence[0].ReferencedSOPInstanceUID == "1.2.3"
    assert new.SourceImageSequence[0].ReferencedSOPClassUID == old.SOPClassUID
    assert len({old.SOPInstanceUID, new.SOPInstanceUID, other.SOPInstanceUID}) == 3
    assert new.SOPInstanceUID == new.file_meta.MediaStorageSOPInstanceUID
    assert old.SeriesInstanceUID != new.SeriesInstanceUID == other.SeriesInstanceUID
    assert new.SOPInstanceUID.is_valid
    changed = {"ImageType", "SharedFunctionalGroupsSequence", "DerivationDescription", "PixelData"}
    changed |= {"SOPInstanceUID", "SeriesInstanceUID", "LargestImagePixelValue"}
    kept = [e for e in old if e.keyword not in changed]
    assert kept == [e for e in new if e.keyword not in {*changed, "SourceImageSequence"}]
    assert "LargestImagePixelValue" not in new
    assert record.meta["dicom"].SOPInstanceUID == "1.2.3"  # what was read stays as it was


@pytest.mark.parametrize(
    ("kind", "stored", "low", "high"), [("u2", 12, 0, 4095), ("i2", 12, -2048, 2047)]
)
def test_full_range_of_dicom_is_that_of_the_bits_stored(
    kind: str, stored: int, low: int, high: int, tmp_path: Path
) -> None:
    """What lies above them, such as old overlays, is no part of a value; nothing gets there."""
    values = np.linspace(low, high, 108).astype(kind).reshape(9, 12)
    junk = (values & np.array(0xFFF, kind)) | np.array(0x5000, kind)
    dcm(junk, bits=stored)(tmp_path / "a.dcm")
    record = io.read(tmp_path / "a.dcm")
    np.testing.assert_array_equal(record.data, values)
    batch = to_batch(record)
    assert batch.scale == record.scale == high
    assert batch.floats(0).max() == 1
    far = to_stored(np.array([[[-9.0, 9.0]]], np.float32), record.data.dtype, batch.scale)
    assert far.tolist() == [[[low, high]]]


def test_dicom_files_need_no_ending(tmp_path: Path) -> None:
    """Scanners name files IM0001, or by numbers with dots; no part of the name is lost."""
    for name in ("IM0001", "1.2.840.7", "1.2.840.8"):
        dcm(U2)(tmp_path / name)
    (tmp_path / "notes").write_text("hello")
    assert [p.name for p in image_files(tmp_path)] == ["1.2.840.7", "1.2.840.8", "IM0001"]
    assert io.read(tmp_path / "IM0001").meta["format"] == "DICOM"
    assert io.output_path(tmp_path / "IM0001").name == "IM0001.denoised.dcm"
    out = [io.output_path(tmp_path / f"1.2.840.{i}", tmp_path / "out", many=True) for i in (7, 8)]
    assert [p.name for p in out] == ["1.2.840.7.dcm", "1.2.840.8.dcm"]


def test_dicom_is_written_only_as_it_was_read(tmp_path: Path) -> None:
    source = tmp_path / "a.dcm"
    for make, change, words in (
        (dcm(U2), {"data": U2[:5]}, r"shape \(9, 12\), not uint16 of \(5, 12\)"),
        (dcm(U2), {"data": U2.astype("f4")}, "not float32"),
    ):
        make(source)
        record = io.read(source)
        np.testing.assert_array_equal(record.data, U2)
        for call in (io.check, io.write):
            with pytest.raises(HushError, match=words):
                call(replace(record, **change), tmp_path / "b.dcm")
        io.write(record, tmp_path / "b.tif")
    assert not (tmp_path / "b.dcm").exists()
    assert io.read(tmp_path / "b.tif").meta["resolution"] == pytest.approx((4000, 2000))


def to_kspace(images: np.ndarray) -> np.ndarray:
    """Centred, orthonormal Fourier transforms of `images`, complex64."""
    x = np.fft.fft2(np.fft.ifftshift(images, (-2, -1)), norm="ortho")
    return np.fft.fftshift(x, (-2, -1)).astype("c8")


def header(x: int, y: int) -> bytes:
    return (
        '<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding>'
        "<encodedSpace><matrixSize><x>99</x><y>99</y><z>1</z></matrixSize></encodedSpace>"
        f"<reconSpace><matrixSize><x>{x}</x><y>{y}</y><z>1</z></matrixSize></reconSpace>"
        "</encoding></ismrmrdHeader>"
    ).encode()


@pytest.mark.parametrize("sides", [(16, 12), (15, 11)])
def test_kspace_becomes_the_magnitude(sides: tuple[int, int], tmp_path: Path) -> None:
    """Of one coil, whatever its phase; of several whose sensitivities' squares sum to 1, too."""
    rng = np.random.default_rng(0)
    image = 1e-5 * (1 + rng.random((2, *sides)))
    angle = rng.normal(size=(3, *sides))
    coils = rng.random((3, *sides))
    coils = coils / np.sqrt((coils**2).sum(0)) * np.exp(1j * angle)
    crop = (slice(None), slice((sides[0] - sides[1]) // 2, (sides[0] + sides[1]) // 2))
    for k in (image * np.exp(1j * angle[0]), image[:, None] * coils):
        h5(kspace=to_kspace(k), mask=np.ones(sides[1]))(tmp_path / "a.h5")
        record = io.read(tmp_path / "a.h5")
        assert (record.axes, record.data.dtype, record.scale) == ("ZYX", np.float32, 1)
        np.testing.assert_allclose(record.data, image[crop], rtol=1e-5)


def test_the_header_says_which_part_is_the_image(tmp_path: Path) -> None:
    image = np.random.default_rng(0).random((2, 16, 12))
    for size, rows, columns in (
        ((10, 8), slice(3, 13), slice(2, 10)),
        ((16, 12), slice(0, 16), slice(0, 12)),
        ((14, 14), slice(2, 14), slice(0, 12)),  # narrower than it says: a square, as fastMRI
    ):
        h5(kspace=to_kspace(image), ismrmrd_header=header(*size))(tmp_path / "a.h5")
        found = io.read(tmp_path / "a.h5").data
        np.testing.assert_allclose(found, image[:, rows, columns], atol=1e-6)
    h5(kspace=to_kspace(np.ones((1, 400, 330))))(tmp_path / "a.h5")
    assert io.read(tmp_path / "a.h5").data.shape == (1, 320, 320)


def test_a_reconstruction_comes_first_and_others_by_name(tmp_path: Path) -> None:
    image = np.random.default_rng(0).random((2, 12, 12), np.float32)
    path = tmp_path / "a.h5"
    h5(reconstruction_rss=image, kspace=to_kspace(3 * image), mask=np.ones((12, 12)))(path)
    record = io.read(path)
    np.testing.assert_array_equal(record.data, image)
    assert record.axes == "ZYX"
    np.testing.assert_allclose(io.read(f"{path}:kspace").data, 3 * image, atol=1e-6)
    with pytest.raises(HushError, match="no dataset 'k', only kspace, mask, reconstruction_rss"):
        io.read(f"{path}:k")
    result = io.output_path(path)
    assert result.name == "a.denoised.h5"
    io.write(record, result)
    np.testing.assert_array_equal(io.read(result).data, image)
    assert io.read(result).axes == "ZYX"


def test_the_only_image_of_any_hdf5_file(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf5"
    h5(**{"run/frames": STACK, "times": np.zeros(4), "table": np.zeros((99, 2)), "c": STACK + 0j})(
        path
    )
    record = io.read(path)
    assert record.axes == "QYX"
    np.testing.assert_array_equal(record.data, STACK)
    np.testing.assert_array_equal(io.read(f"{path}:run/frames").data, STACK)
    with pytest.raises(HushError, match="complex samples"):
        io.read(f"{path}:c")
    with pytest.raises(HushError, match="no dataset 'run'"):
        io.read(f"{path}:run")


@pytest.mark.parametrize(("name", "make"), [("a.dcm", dcm(U2)), ("a.h5", h5(x=U2))])
def test_the_extra_is_named_where_it_is_missing(
    name: str, make: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / name)
    for package in ("pydicom", "h5py"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(HushError, match=r"needs \w+: .*pip install .*\[medical\]'"):
        io.read(tmp_path / name)


@pytest.mark.data
@pytest.mark.parametrize("series", ["knee_dicom/T1", "knee_dicom/T2", "brain_dicom/Flair"])
def test_real_dicom_series(series: str, hush_data: Path, tmp_path: Path) -> None:
    folder = hush_data / "volumes" / series
    if not folder.is_dir():
        pytest.skip(f"no study data: {folder} is not a folder")
    names = set()
    for file in image_files(folder)[::8]:
        record = io.read(file)
        assert (record.data.dtype, record.axes, record.scale) == (np.uint16, "YX", 4095)
        assert 100 < record.data.max() <= 4095
        io.write(record, tmp_path / "a.dcm")
        again = io.read(tmp_path / "a.dcm")
        np.testing.assert_array_equal(again.data, record.data)
        names.add(again.meta["dicom"].SeriesInstanceUID)
    assert len(names) == 1


@pytest.mark.parametrize("dtype", ["uint8", ">u2", "float32"])
@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
def test_large_tiff_files_are_written_item_by_item(
    name: str, dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is the one that `write` makes; compressed ones have to be whole."""
    data = np.random.default_rng(0).integers(0, 255, (5, 24, 32)).astype(dtype)
    io.write(Record(data, "ZYX", meta={"resolution": (1e6, 2e6)}), tmp_path / f"in_{name}")
    record = io.read(tmp_path / f"in_{name}")
    with io.opened(record, tmp_path / name) as none:
        assert none is None  # too small to be worth it
    assert not (tmp_path / name).exists()
    monkeypatch.setattr("hush.io.tiff.LARGE", 1)
    with io.opened(record, tmp_path / name) as file:
        assert file is not None
        for i, plane in enumerate(data):
            file[i] = 255 - plane
        del file
    back = io.read(tmp_path / name)
    np.testing.assert_array_equal(back.data, 255 - data)
    assert (back.axes, back.meta["resolution"]) == (record.axes, record.meta["resolution"])
    io.write(record.with_data(255 - np.asarray(record.data)), tmp_path / f"whole_{name}")
    assert (tmp_path / name).stat().st_size == (tmp_path / f"whole_{name}").stat().st_size

    tifffile.imwrite(tmp_path / "z.tif", data.astype("u1"), compression="zlib")
    with io.opened(io.read(tmp_path / "z.tif"), tmp_path / "y.tif") as none:
        assert none is None
    assert not (tmp_path / "y.tif").exists()


@pytest.mark.parametrize(
    ("name", "dtype"), [("a.npy", "int64"), ("a.npz", "uint64"), ("a.tif", "u8")]
)
def test_64_bit_integers_have_the_range_they_use(name: str, dtype: str, tmp_path: Path) -> None:
    """Counts as NumPy makes them: nobody counts to 9e18."""
    counts = np.random.default_rng(0).poisson(60, (24, 32)).astype(dtype)
    io.write(Record(counts, "YX"), tmp_path / name)
    record = hush.read(tmp_path / name)
    assert (record.data.dtype, record.scale) == (counts.dtype, 255)
    np.testing.assert_array_equal(record.data, counts)
