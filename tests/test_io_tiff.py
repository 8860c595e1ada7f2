"""TIFF files in parts: pyramids, masks, several series, sets of files, loops; and their metadata.

Beside `test_io.py`, which has the round trips of every format.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from hush import io
from hush.errors import HushError
from hush.io.levels import reduced
from hush.missing import Missing
from hush.record import Record


def samples(*shape: int, dtype: str = "u2") -> np.ndarray:
    x = np.random.default_rng(0).random(shape)
    return (x * 4000).astype(dtype)


def halved(record: Record) -> Record:
    """A result: other values of the same shape and type."""
    return record.with_data(np.asarray(record.data) // 2)


# -- lower resolutions, masks and labels ---------------------------------------------------------


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4"])
@pytest.mark.parametrize(("height", "factor"), [(8, 2), (12, 4), (9, 2), (11, 3)])
def test_levels_are_means_of_blocks(height: int, factor: int, dtype: str) -> None:
    """Compared with the definition; what is left over at the end counts or not, by the size."""
    x = samples(3, height, 12, dtype=dtype)
    for rows in {height // factor, -(-height // factor)}:
        made = reduced(x, (3, rows, 12 // factor))
        assert made.dtype == x.dtype
        for i, j in np.ndindex(rows, 12 // factor):
            block = x[:, i * factor : (i + 1) * factor, j * factor : (j + 1) * factor]
            wanted = block.mean((1, 2), np.float64)
            wanted = wanted if dtype == "f4" else np.rint(wanted)
            np.testing.assert_allclose(made[:, i, j], wanted, rtol=1e-6)


def test_missing_values_are_no_part_of_a_mean() -> None:
    """By a value that the file states, by not being finite, and by a mask."""
    x = np.array([[1, -9, 5, 6, -9, -9], [3, -9, 7, 8, -9, -9]], "f4")
    mark = Missing(-9.0, -9.0, stated=True)
    np.testing.assert_array_equal(reduced(x, (1, 3), [mark]), [[2, 6.5, -9]])
    nan = np.where(x == -9, np.nan, x)
    np.testing.assert_array_equal(reduced(nan, (1, 3)), [[2, 6.5, np.nan]])
    np.testing.assert_array_equal(reduced(x.astype("i2"), (1, 3), mask=x != -9), [[2, 6, -9]])


def test_levels_of_odd_sizes_cover_everything() -> None:
    x = np.full((10, 10), 7, "u1")
    assert (reduced(x, (7, 3)) == 7).all()
    assert reduced(x, (10, 10)) is x
    ramp = np.arange(1000.0)[:, None] + np.zeros((1, 4))
    assert (np.diff(reduced(ramp, (370, 2))[:, 0]) > 0).all()


def ome_pyramid(path: Path) -> None:
    x = samples(2, 64, 48)
    tiles: dict[str, Any] = {"tile": (16, 16), "compression": "zlib", "predictor": True}
    names = {"axes": "CYX", "Channel": {"Name": ["a", "b"]}}
    with tifffile.TiffWriter(path, ome=True) as out:
        out.write(x, subifds=2, metadata=names, resolution=(1e4, 1e4), resolutionunit=3, **tiles)
        out.write(x[:, ::2, ::2], subfiletype=1, resolution=(5e3, 5e3), resolutionunit=3, **tiles)
        out.write(x[:, ::4, ::4], subfiletype=1, **tiles)


def pages_of_notes(path: Path) -> None:
    """Every page has a tag and lower resolutions of its own."""
    with tifffile.TiffWriter(path) as out:
        for i, page in enumerate(samples(3, 32, 32)):
            tags = [(65000, 2, 0, f"at {i} s", False)]
            out.write(page, subifds=1, metadata=None, extratags=tags)
            out.write(page[::2, ::2], subfiletype=1, metadata=None)


MASK = np.zeros((64, 48), bool)
MASK[5:60, 3:40] = True


def geotiff(path: Path) -> None:
    x, scale = samples(64, 48), (33550, 12, 3, (10.0, 10.0, 0.0), True)
    more: dict[str, Any] = {"metadata": None, "tile": (16, 16)}
    with tifffile.TiffWriter(path) as out:
        out.write(x, extratags=[scale], compression="lzw", **more)
        out.write(MASK, photometric=4, subfiletype=4, metadata=None, compression="packbits")
        out.write(x[::2, ::2], subfiletype=1, compression="lzw", **more)
        out.write(MASK[::2, ::2], photometric=4, subfiletype=5, metadata=None)
        out.write(x[::4, ::4], subfiletype=1, compression="lzw", **more)


def slide(path: Path) -> None:
    x = samples(96, 80, 3, dtype="u1")
    about = "Aperio Image Library v1\n96x80 (16x16) |AppMag = 20|MPP = 0.5"
    tiles: dict[str, Any] = {"metadata": None, "photometric": "rgb", "tile": (16, 16)}
    plain: dict[str, Any] = {"metadata": None, "photometric": "rgb"}
    with tifffile.TiffWriter(path) as out:
        out.write(x, description=about, **tiles)
        out.write(x[::8, ::8], description=about, **plain)
        out.write(x[::4, ::4], description=about, **tiles)
        out.write(x[:9, :9], description="Aperio label 9x9", subfiletype=1, **plain)
        out.write(x[:9, :30], description="Aperio macro 30x9", subfiletype=9, **plain)


def described(path: Path) -> list[Any]:
    """The layout of every series of a file and of its levels, but not the samples of the image."""
    with tifffile.TiffFile(path) as tif:
        return [
            [
                (
                    *(x.axes, x.shape, x.dtype, x.keyframe.tile, x.keyframe.compression),
                    *(x.keyframe.subfiletype, x.keyframe.is_subifd, x.keyframe.predictor),
                )
                for x in series.levels
            ]
            for series in tif.series
        ]


@pytest.mark.parametrize(
    ("make", "axes", "levels"),
    [
        (ome_pyramid, "CYX", [(2, 32, 24), (2, 16, 12)]),
        (pages_of_notes, "IYX", [(3, 16, 16)]),
        (geotiff, "YX", [(32, 24), (16, 12)]),
        (slide, "YXS", [(24, 20, 3)]),
    ],
)
def test_a_pyramid_stays_one(
    make: Callable[[Path], None], axes: str, levels: list[tuple[int, ...]], tmp_path: Path
) -> None:
    """Tiles, compression, tags and pages beside it as they were; the levels are the result's."""
    source = tmp_path / ("a.ome.tif" if make is ome_pyramid else "a.tif")
    make(source)
    record = io.read(source)
    assert record.axes == axes
    result = io.output_path(source)
    io.write(halved(record), result)
    again = io.read(result)
    np.testing.assert_array_equal(again.data, np.asarray(record.data) // 2)
    assert described(result) == described(source)
    with tifffile.TiffFile(source) as before, tifffile.TiffFile(result) as after:
        full, *lower = after.series[0].levels
        assert [x.shape for x in lower] == levels
        for level in lower:
            wanted = reduced(full.asarray(), level.shape, mask=record.mask)
            np.testing.assert_array_equal(level.asarray(), wanted)
        assert len(before.pages) == len(after.pages)
        for pages in zip(before.pages, after.pages, strict=True):
            own = [
                {t.name: t.value for t in page.tags if t.code in (65000, 33550, 282)}
                for page in (page.aspage() for page in pages)
            ]
            assert own[0] == own[1]
        for old, new in zip(before.series[1:], after.series[1:], strict=True):
            np.testing.assert_array_equal(old.asarray(), new.asarray())


def test_a_mask_of_a_geotiff_says_what_is_known(tmp_path: Path) -> None:
    geotiff(tmp_path / "a.tif")
    record = io.read(tmp_path / "a.tif")
    assert record.mask is not None
    np.testing.assert_array_equal(record.mask, MASK)

    colours = samples(64, 48, 3, dtype="u1")
    with tifffile.TiffWriter(tmp_path / "b.tif") as out:
        out.write(colours, photometric="rgb", metadata=None)
        out.write(MASK, photometric=4, subfiletype=4, metadata=None)
    record = io.read(tmp_path / "b.tif")
    assert record.mask is not None
    np.testing.assert_array_equal(np.broadcast_to(record.mask, record.data.shape)[..., 2], MASK)


def test_what_a_cloud_optimised_layout_loses_is_said(tmp_path: Path) -> None:
    geotiff(tmp_path / "a.tif")
    text = b"GDAL_STRUCTURAL_METADATA_SIZE=000140 bytes\nLAYOUT=IFDS_BEFORE_DATA\n"
    content = (tmp_path / "a.tif").read_bytes()
    (first,) = struct.unpack_from("<I", content, 4)
    assert not any("Cloud" in note for note in io.read(tmp_path / "a.tif").meta.get("notes", ()))
    # after the header, where nothing else is, because the first page is moved to the end
    tags = 2 + 12 * struct.unpack_from("<H", content, first)[0] + 4
    moved = bytearray(content) + content[first : first + tags]
    struct.pack_into("<I", moved, 4, len(content))
    moved[8 : 8 + len(text)] = text
    (tmp_path / "b.tif").write_bytes(moved)
    try:
        said = io.read(tmp_path / "b.tif").meta.get("notes", [])
    except HushError:  # samples lie where the text was put
        pytest.fail("the file is not what the test means")
    assert any("Cloud Optimized" in note for note in said)


# -- several series ------------------------------------------------------------------------------


def several(path: Path, ome: bool) -> list[np.ndarray]:
    every = [samples(20, 30), samples(3, 12, 14), samples(20, 30, dtype="f4")]
    with tifffile.TiffWriter(path, ome=ome) as out:
        for name, x in zip(("overview", "cells", "ratio"), every, strict=True):
            axes = "ZYX"[-x.ndim :]
            about = {"axes": axes, "Name": name} if ome else None
            out.write(x, metadata=about, photometric="minisblack")
    return every


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
def test_one_of_several_series_is_chosen(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    every = several(path, name != "a.tif")
    with pytest.raises(HushError) as error:
        io.read(path)
    for words in ("3 series", "2: ", "3 × 12 × 14 uint16", f"{name}:1"):
        assert words in str(error.value)
    for number, x in enumerate(every, 1):
        record = io.read(f"{path}:{number}")
        np.testing.assert_array_equal(record.data, x)
        result = io.output_path(f"{path}:{number}")
        assert result.name.startswith(f"a.{number}.denoised")
        io.write(record, result)
        again = io.read(result)
        np.testing.assert_array_equal(again.data, x)
        assert again.axes == record.axes
    with pytest.raises(HushError, match="no image '4'"):
        io.read(f"{path}:4")
    if name == "a.ome.tif":
        np.testing.assert_array_equal(io.read(f"{path}:cells").data, every[1])
        xml = tifffile.TiffFile(tmp_path / "a.2.denoised.ome.tif").ome_metadata
        assert xml
        assert re.findall('Image ID="([^"]*)" Name="([^"]*)"', xml) == [("Image:1", "cells")]


# -- sets of files -------------------------------------------------------------------------------

OME = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def uid(i: int) -> str:
    return f"urn:uuid:0000000{i}-0000-0000-0000-000000000000"


def in_parts(folder: Path, count: int = 3, companion: bool = False) -> list[np.ndarray]:
    """An OME-TIFF of a file for each time point; with one file for its XML, if that is wanted."""
    planes = [samples(12, 16) + np.uint16(100 * i) for i in range(count)]
    places = "".join(
        f'<TiffData IFD="0" FirstT="{i}" PlaneCount="1"><UUID FileName="t{i}.ome.tif">{uid(i)}'
        "</UUID></TiffData>"
        for i in range(count)
    )
    for i, plane in enumerate(planes):
        body = (
            '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" '
            'SizeX="16" SizeY="12" SizeZ="1" SizeC="1" '
            f'SizeT="{count}" PhysicalSizeX="0.5" PhysicalSizeY="0.5"><Channel ID="Channel:0:0" '
            f'SamplesPerPixel="1" Name="DAPI"/>{places}</Pixels></Image>'
        )
        if companion:
            xml = f'<OME xmlns="{OME}" UUID="{uid(9)}">{body}</OME>'
            (folder / "t.companion.ome").write_text(f'<?xml version="1.0"?>{xml}')
            body = f'<BinaryOnly MetadataFile="t.companion.ome" UUID="{uid(9)}"/>'
        xml = f'<?xml version="1.0"?><OME xmlns="{OME}" UUID="{uid(i)}">{body}</OME>'
        tifffile.imwrite(folder / f"t{i}.ome.tif", plane, description=xml, metadata=None)
    return planes


@pytest.mark.parametrize("companion", [False, True])
def test_a_set_is_one_image(companion: bool, tmp_path: Path) -> None:
    """From any of its files; the result is one file that names no other."""
    planes = in_parts(tmp_path, companion=companion)
    names = [f"t{i}.ome.tif" for i in range(3)] + ["t.companion.ome"] * companion
    for name in names:
        record = io.read(tmp_path / name)
        assert record.axes == "TYX"
        np.testing.assert_array_equal(record.data, planes)
        result = io.output_path(tmp_path / name, tmp_path / "out", many=True)
        assert result.name.endswith(".ome.tif")
        io.write(record, result)
        for moved in (result, result.rename(tmp_path / f"moved_{result.name}")):
            if moved.exists():
                again = io.read(moved)
                np.testing.assert_array_equal(again.data, planes)
                assert again.meta["channels"] == ("DAPI",)
                xml = tifffile.TiffFile(moved).ome_metadata or ""
                assert "FileName" not in xml
                assert "BinaryOnly" not in xml
    made = io.once([str(tmp_path / name) for name in names])
    assert made.paths == [str(tmp_path / "t0.ome.tif")]
    assert "t1.ome.tif" in made.notes[0]


@pytest.mark.parametrize(
    ("companion", "lost", "asked"),
    [
        (False, "t1.ome.tif", "t0.ome.tif"),
        (True, "t2.ome.tif", "t0.ome.tif"),
        (True, "t1.ome.tif", "t.companion.ome"),
        (True, "t.companion.ome", "t1.ome.tif"),
    ],
)
def test_a_missing_file_is_named(companion: bool, lost: str, asked: str, tmp_path: Path) -> None:
    in_parts(tmp_path, companion=companion)
    (tmp_path / lost).unlink()
    with pytest.raises(HushError, match=re.escape(lost)) as error:
        io.read(tmp_path / asked)
    assert "missing" in str(error.value)


def test_a_file_may_have_been_renamed(tmp_path: Path) -> None:
    """It is known by its identifier; planes that its metadata promise and nobody has are missed."""
    in_parts(tmp_path, count=1)
    (tmp_path / "t0.ome.tif").rename(tmp_path / "new.ome.tif")
    assert io.read(tmp_path / "new.ome.tif").data.shape == (12, 16)
    tifffile.imwrite(tmp_path / "b.ome.tif", samples(3, 12, 16), ome=True, metadata={"axes": "TYX"})
    xml = tifffile.TiffFile(tmp_path / "b.ome.tif").ome_metadata or ""
    xml = xml.replace('SizeT="3"', 'SizeT="5"')
    tifffile.tiffcomment(tmp_path / "b.ome.tif", xml.encode())
    with pytest.raises(HushError, match="lacks 2 of its 5 planes"):
        io.read(tmp_path / "b.ome.tif")


def test_files_that_describe_each_other_come_to_an_end(tmp_path: Path) -> None:
    for own, other in (("a.ome.tif", "b.ome.tif"), ("b.ome.tif", "a.ome.tif")):
        xml = f'<OME xmlns="{OME}"><BinaryOnly MetadataFile="{other}" UUID="{uid(1)}"/></OME>'
        tifffile.imwrite(tmp_path / own, samples(9, 9), description=xml, metadata=None)
    with pytest.raises(HushError, match=r"names another file"):
        io.read(tmp_path / "a.ome.tif")
    both = [str(tmp_path / name) for name in ("a.ome.tif", "b.ome.tif")]
    assert io.once(both).paths == both


def plain_tiff(
    x: np.ndarray, after: bytes, tags: Sequence[tuple[int, int, int, int]] = ()
) -> bytes:
    """A TIFF of one page with some bytes after its header."""
    start = 8 + len(after)
    size = start + x.nbytes
    every = [
        *((256, 4, 1, x.shape[1]), (257, 4, 1, x.shape[0]), (258, 3, 1, 8 * x.itemsize)),
        *((259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, start), (277, 3, 1, 1)),
        *((278, 4, 1, x.shape[0]), (279, 4, 1, x.nbytes), *tags),
    ]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(every))
    head = b"II*\0" + struct.pack("<I", size)
    body = struct.pack("<H", len(every)) + entries + bytes(4)
    return head + after + x.astype("<u2").tobytes() + body


def test_a_stack_of_micro_manager_is_one_image(tmp_path: Path) -> None:
    """NDTiff: an index says which frame is where."""
    frames, index = samples(3, 12, 16), b""
    summary = json.dumps({"PixelSize_um": 0.1}).encode()
    head = struct.pack("<IIIII", 483729, 3, 3, 2355492, len(summary)) + summary
    head += b" " * (len(head) % 2)
    for i, frame in enumerate(frames):
        name = f"NDTiffStack_{i}.tif".encode()
        content = plain_tiff(frame, head, [(51123, 2, len(summary), 28)])
        (tmp_path / name.decode()).write_bytes(content)
        axes = json.dumps({"time": i}).encode()
        index += struct.pack("<I", len(axes)) + axes + struct.pack("<I", len(name)) + name
        index += struct.pack("<IiiiiIii", 8 + len(head), 16, 12, 1, 0, 0, 0, 0)
    (tmp_path / "NDTiff.index").write_bytes(index)
    names = [str(tmp_path / f"NDTiffStack_{i}.tif") for i in range(3)]
    for name in names:
        record = io.read(name)
        assert record.axes == "TYX"
        np.testing.assert_array_equal(record.data, frames)
    assert io.once(names).paths == names[:1]
    io.write(record, tmp_path / "out.tif")
    np.testing.assert_array_equal(io.read(tmp_path / "out.tif").data, frames)
    Path(names[1]).unlink()
    with pytest.raises(HushError, match=r"NDTiffStack_1\.tif is missing"):
        io.read(names[0])


# -- damage --------------------------------------------------------------------------------------


def chain(path: Path, pages: int, back: int) -> None:
    """Pages of which the last is followed by an earlier one."""
    with tifffile.TiffWriter(path) as out:
        for _ in range(pages):
            out.write(np.zeros((4, 4), "u1"), metadata=None, software=False)
    content = bytearray(path.read_bytes())
    (offset,) = struct.unpack_from("<I", content, 4)
    places = []
    while offset:
        places.append(offset)
        end = offset + 2 + 12 * struct.unpack_from("<H", content, offset)[0]
        (offset,) = struct.unpack_from("<I", content, end)
    struct.pack_into("<I", content, end, places[back])
    path.write_bytes(content)


@pytest.mark.parametrize(("pages", "back"), [(1, 0), (5, 3), (130, 120)])
def test_pages_in_a_circle(pages: int, back: int, tmp_path: Path) -> None:
    """tifffile looks for a circle only after 100 pages, and goes round later ones for ever."""
    chain(tmp_path / "a.tif", pages, back)
    with pytest.raises(HushError, match=f"after page {pages} it goes back to page {back + 1}"):
        io.read(tmp_path / "a.tif")
    other = tmp_path / "b.tif"
    tifffile.imwrite(other, np.zeros((4, 4), "u1"))
    assert len(io.once([str(tmp_path / "a.tif"), str(other)]).paths) == 2


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("side", [10**9, 60000, 2**32 - 1])
def test_sizes_that_no_file_has(side: int, compressed: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((16, 16), "u1"), compression="zlib" if compressed else None)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tif:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            place = tif.pages.first.tags[name].offset
            struct.pack_into("<HI", content, place + 2, 4, 1)
            struct.pack_into("<I", content, place + 8, side)
    path.write_bytes(content)
    with pytest.raises(HushError) as error:
        io.read(path)
    assert "\n" not in str(error.value)


# -- metadata ------------------------------------------------------------------------------------

#: what OME-TIFF, ImageJ and OME-Zarr all hold
ABOUT = {
    "resolution": (4e6, 2e6),
    "depth": 2.5e-6,
    "interval": 0.5,
    "channels": ("DAPI", "GFP"),
    "colours": ("0000FF", "00FF00"),
}
#: names of files by the axes that they can hold, and what of the metadata
TARGETS = {
    "a.ome.tif": ("TZCYX", set(ABOUT)),
    "a.tif": ("TZCYX", {"resolution", "depth", "interval", "colours"}),
    "b.tif": ("TCZYX", set(ABOUT)),  # in an order that ImageJ does not know
    "a.ome.zarr": ("TCZYX", set(ABOUT)),
}


@pytest.mark.parametrize("via", TARGETS)
@pytest.mark.parametrize("name", TARGETS)
def test_metadata_travel_between_formats(name: str, via: str, tmp_path: Path) -> None:
    """From one format to another and back: sizes, time step, names and colours of channels."""
    axes, kept = TARGETS[via]
    shape = [{"T": 2, "Z": 3, "C": 2, "Y": 12, "X": 16}[a] for a in axes]
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    io.write(Record(samples(*shape), axes, meta=ABOUT), first / via)
    record = io.read(first / via)
    for key in kept:
        assert (
            record.meta[key] == pytest.approx(ABOUT[key])
            if key != "channels" and key != "colours"
            else record.meta[key] == ABOUT[key]
        )
    second.mkdir()
    wanted = "".join(a for a in TARGETS[name][0])
    order = [record.axes.index(a) for a in wanted]
    moved = Record(
        np.asarray(record.data).transpose(order), wanted, meta={k: record.meta[k] for k in kept}
    )
    io.write(moved, second / name)
    again = io.read(second / name)
    for key in kept & TARGETS[name][1]:
        assert again.meta[key] == (
            pytest.approx(ABOUT[key]) if key not in ("channels", "colours") else ABOUT[key]
        )
    np.testing.assert_array_equal(np.asarray(again.data).reshape(moved.data.shape), moved.data)


def test_others_read_the_metadata(tmp_path: Path) -> None:
    """Not only hush: tifffile, and zarr as the specification has it."""
    import zarr

    record = Record(samples(2, 3, 2, 12, 16), "TZCYX", meta=ABOUT)
    for name in ("a.ome.tif", "a.tif", "a.ome.zarr"):
        data = record if name != "a.ome.zarr" else Record(record.data, "TZCYX", meta=ABOUT)
        io.write(data, tmp_path / name)
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tif:
        pixels = tifffile.xml2dict(tif.ome_metadata or "")["OME"]["Image"]["Pixels"]
        assert (pixels["PhysicalSizeX"], pixels["PhysicalSizeY"]) == (0.25, 0.5)
        assert (pixels["PhysicalSizeZ"], pixels["TimeIncrement"]) == (2.5, 0.5)
        assert [c["Name"] for c in pixels["Channel"]] == ["DAPI", "GFP"]
        assert [c["Color"] & 0xFFFFFFFF for c in pixels["Channel"]] == [0x0000FFFF, 0x00FF00FF]
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        about = tif.imagej_metadata
        assert about is not None
        assert (about["unit"], about["spacing"], about["finterval"]) == ("um", 2.5, 0.5)
        assert tif.series[0].axes == "TZCYX"
        assert [tuple(lut[:, -1]) for lut in about["LUTs"]] == [(0, 0, 255), (0, 255, 0)]
        assert tif.pages.first.tags["XResolution"].value == (4, 1)
    store: Any = zarr.open_group(tmp_path / "a.ome.zarr", mode="r").attrs["ome"]
    (image,) = store["multiscales"]
    units = {a["name"]: a.get("unit") for a in image["axes"]}
    assert units == {
        "t": "second",
        "c": None,
        "z": "micrometer",
        "y": "micrometer",
        "x": "micrometer",
    }
    (step,) = image["datasets"][0]["coordinateTransformations"]
    assert step["scale"] == pytest.approx([0.5, 1.0, 2.5, 0.5, 0.25])
    assert [c["label"] for c in store["omero"]["channels"]] == ["DAPI", "GFP"]
    assert [c["color"] for c in store["omero"]["channels"]] == ["0000FF", "00FF00"]


def test_a_volume_keeps_its_voxels_in_tiff(tmp_path: Path) -> None:
    volume = Record(samples(4, 12, 16), "ZYX", "volume", context={"spacing": (3.0, 0.5, 0.25)})
    for name in ("a.ome.tif", "a.tif"):
        io.write(volume, tmp_path / name)
        meta = io.read(tmp_path / name).meta
        assert meta["depth"] == pytest.approx(3e-3)
        assert meta["resolution"] == pytest.approx((4e3, 2e3))


@pytest.mark.parametrize("order", ["<", ">"])
def test_fractions_in_tags_are_copied(order: str, tmp_path: Path) -> None:
    """One, and several; tifffile counts the bytes of fractions twice."""
    tags: list[Any] = [(318, 5, 2, (1, 3, 2, 5), True), (37386, 5, 1, (7, 2), True)]
    tags.append((50730, 10, 1, (-1, 3), True))
    with tifffile.TiffWriter(tmp_path / "a.tif", byteorder=order) as out:
        out.write(np.zeros((8, 8), np.uint8), extratags=tags, metadata=None)
    io.write(io.read(tmp_path / "a.tif"), tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        for code, _, count, value, _ in tags:
            tag = tif.pages.first.tags[code]
            assert (tag.count, tag.value) == (count, value)
