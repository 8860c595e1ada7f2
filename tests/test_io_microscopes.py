"""CZI, ND2 and LIF: files made from the formats' descriptions, read through their packages.

No file of a microscope is among them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import imagecodecs
import microscope_files as made
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from hush import io
from hush.cli import main
from hush.errors import HushError

for package in ("czifile", "liffile", "nd2"):
    pytest.importorskip(package)


def numbers(*shape: int, dtype: str = "<u2", most: int = 4095) -> np.ndarray:
    return np.random.default_rng(0).integers(0, most + 1, shape).astype(dtype)


# -- LIF ---------------------------------------------------------------------------------------


def test_lif_axes_and_metadata(tmp_path: Path) -> None:
    x = numbers(2, 3, 4, 6, 8)
    record = io.read(made.lif(tmp_path / "a.lif", {"one": (x, "TCZYX")}, bits=12))
    order = [record.axes.index(a) for a in "TCZYX"]
    np.testing.assert_array_equal(record.data.transpose(order), x)
    assert (record.axes, record.full) == ("TZCYX", 4095)
    assert record.meta["resolution"] == pytest.approx((4e6, 4e6))
    assert record.meta["depth"] == pytest.approx(2.5e-7)
    assert record.meta["interval"] == 2
    assert record.meta["channels"] == ("dye 0", "dye 1", "dye 2")
    assert record.meta["colours"] == ("00FF00", "FF0000", "0000FF")


def test_one_of_several_images_of_a_lif_file(tmp_path: Path) -> None:
    images = {"a": (numbers(6, 8), "YX"), "b": (numbers(3, 9, 7), "ZYX"), "c": (numbers(4), "X")}
    path = made.lif(tmp_path / "a.lif", images)
    with pytest.raises(HushError, match="holds 2 images") as refused:
        io.read(path)
    assert "a, YX 6 × 8" in str(refused.value)
    for key in ("2", "b"):
        np.testing.assert_array_equal(io.read(Path(f"{path}:{key}")).data, images["b"][0])


def test_positions_become_points_in_time(tmp_path: Path) -> None:
    x = numbers(2, 3, 6, 8)  # S in LAS X: positions
    record = io.read(made.lif(tmp_path / "a.lif", {"one": (x, "STYX")}))
    assert record.axes == "TYX"
    np.testing.assert_array_equal(record.data, x.reshape(6, 6, 8))
    assert record.meta["notes"] == ["Images along the file's axis M are treated as points in time."]


# -- CZI ---------------------------------------------------------------------------------------

_XML = """<ImageDocument><Metadata><Information><Image><ComponentBitCount>12</ComponentBitCount>
<Dimensions><T><Positions><Interval><Increment>1.5</Increment></Interval></Positions></T>
<Channels><Channel Name="DAPI"/><Channel Name="GFP"/></Channels></Dimensions></Image></Information>
<DisplaySetting><Channels><Channel><Color>#FF0000FF</Color></Channel><Channel>
<Color>#FF00FF00</Color></Channel></Channels></DisplaySetting><Scaling><Items>
<Distance Id="X"><Value>1e-7</Value></Distance><Distance Id="Y"><Value>2e-7</Value></Distance>
<Distance Id="Z"><Value>5e-7</Value></Distance></Items></Scaling></Metadata></ImageDocument>"""


def packed(raw: bytes) -> bytes:
    """Zstandard with low and high bytes apart, as ZEN writes by default."""
    apart = np.frombuffer(raw, np.uint8).reshape(-1, 2).T.tobytes()
    return b"\x03\x01\x01" + imagecodecs.zstd_encode(apart)


WAYS: dict[int, Any] = {
    0: bytes,
    2: imagecodecs.lzw_encode,
    5: imagecodecs.zstd_encode,
    6: packed,
}


@pytest.mark.parametrize("way", WAYS)
def test_czi_axes_compressions_and_metadata(way: int, tmp_path: Path) -> None:
    x = numbers(2, 2, 3, 6, 8)  # T, C, Z, Y, X
    tiles = [
        ((t, c, z, 0, 0), x[t : t + 1, c : c + 1, z : z + 1]) for t, c, z in np.ndindex(2, 2, 3)
    ]
    path = made.czi(tmp_path / "a.czi", "TCZYX", tiles, _XML, {way: WAYS[way]})
    record = io.read(path)
    assert (record.axes, record.full, record.mask) == ("TZCYX", 4095, None)
    np.testing.assert_array_equal(record.data, x.transpose(0, 2, 1, 3, 4))
    about = record.meta
    assert about["resolution"] == pytest.approx((1e7, 5e6))
    assert (about["depth"], about["interval"]) == (5e-7, 1.5)
    assert (about["channels"], about["colours"]) == (("DAPI", "GFP"), ("0000FF", "00FF00"))


def test_places_without_a_tile_are_missing(tmp_path: Path) -> None:
    """Two tiles that overlap, beside an empty corner; a lower resolution is left out."""
    x, y = numbers(6, 8), numbers(5, 8) + 1
    path = made.czi(tmp_path / "a.czi", "YXM", [((2, 3, 0), x), ((6, 9, 1), y)])
    record = io.read(path)
    assert record.data.shape == (9, 14)
    np.testing.assert_array_equal(record.data[4:9, 6:14], y)
    np.testing.assert_array_equal(record.data[:4, :8], x[:4])
    assert record.mask is not None
    assert record.mask[:6, :8].all()
    assert not record.mask[:4, 8:].any()
    assert not record.mask[6:, :6].any()


def test_colours_of_czi_are_rgb(tmp_path: Path) -> None:
    x = numbers(6, 8, 3, dtype="u1", most=255)
    path = made.czi(tmp_path / "a.czi", "YX", [((0, 0), x)], rgb=True)
    record = io.read(path)
    assert record.axes == "YXS"
    np.testing.assert_array_equal(record.data, x[..., ::-1])


def test_one_of_several_scenes_is_chosen(tmp_path: Path) -> None:
    x, y = numbers(1, 6, 8), numbers(1, 5, 4)
    path = made.czi(tmp_path / "a.czi", "SYX", [((0, 0, 0), x), ((1, 50, 70), y)])
    with pytest.raises(HushError, match="holds 2 images"):
        io.read(path)
    np.testing.assert_array_equal(io.read(Path(f"{path}:2")).data, y[0])


def test_an_unknown_compression_gets_a_sentence(tmp_path: Path) -> None:
    path = made.czi(tmp_path / "a.czi", "YX", [((0, 0), numbers(6, 8))], encode={100: bytes})
    with pytest.raises(HushError, match="number 100"):
        io.read(path)


# -- ND2 ---------------------------------------------------------------------------------------


def picture(channels: int) -> dict[str, Any]:
    planes = {
        f"a{i}": {"sDescription": name, "uiColor": colour, "uiCompCount": 1}
        for i, (name, colour) in enumerate((("DAPI", 0xFF0000), ("GFP", 0x00FF00)))
        if i < channels
    }
    return {
        "sPicturePlanes": {"uiCount": channels, "sPlaneNew": planes},
        "bCalibrated": True,
        "dCalibration": 0.25,
        "dObjectiveMag": 20.0,
    }


def test_nd2_axes_and_metadata(tmp_path: Path) -> None:
    x = numbers(3, 6, 8, 2)
    times = {"uiCount": 3, "dStart": 0.0, "dPeriod": 2000.0, "dDuration": 0.0}
    chunks = {"ImageMetadataSeq|0!": picture(2), "ImageMetadata!": {"eType": 1, "uLoopPars": times}}
    record = io.read(made.nd2(tmp_path / "a.nd2", x, chunks))
    assert (record.axes, record.full) == ("TCYX", 4095)
    np.testing.assert_array_equal(record.data, x.transpose(0, 3, 1, 2))
    about = record.meta
    assert about["resolution"] == pytest.approx((4e6, 4e6))
    assert "depth" not in about
    assert about["interval"] == 2
    assert (about["channels"], about["colours"]) == (("DAPI", "GFP"), ("0000FF", "00FF00"))


def test_one_of_several_positions_is_chosen(tmp_path: Path) -> None:
    x = numbers(2, 6, 8, 1)
    points = {f"i{i}": {"dPosX": float(i), "dPosY": 0.0} for i in range(2)}
    where = {"eType": 2, "uLoopPars": {"Points": points}}
    chunks = {"ImageMetadataSeq|0!": picture(1), "ImageMetadata!": where}
    path = made.nd2(tmp_path / "a.nd2", x, chunks)
    both = io.read(path)
    assert both.axes == "TYX"
    assert "axis P are treated as points in time" in both.meta["notes"][0]
    np.testing.assert_array_equal(both.data, x[..., 0])
    np.testing.assert_array_equal(io.read(Path(f"{path}:2")).data, x[1, ..., 0])
    with pytest.raises(HushError, match="has no position '3', only 1 to 2"):
        io.read(Path(f"{path}:3"))


# -- all of them -------------------------------------------------------------------------------


def one_of(name: str, folder: Path) -> Path:
    x = numbers(2, 64, 64)
    if name == "czi":
        return made.czi(folder / "a.czi", "CYX", [((0, 0, 0), x)], _XML)
    if name == "lif":
        return made.lif(folder / "a.lif", {"one": (x, "CYX")})
    chunks = {"ImageMetadataSeq|0!": picture(2)}
    return made.nd2(folder / "a.nd2", x.transpose(1, 2, 0)[None].copy(), chunks)


@pytest.mark.parametrize("name", ["czi", "lif", "nd2"])
def test_the_result_is_an_ome_tiff_with_the_metadata(name: str, tmp_path: Path) -> None:
    path = one_of(name, tmp_path)
    argv = ["denoise", str(path), "--noise", "gaussian:500", "--method", "nlm", "-q"]
    done = CliRunner().invoke(main, argv)
    assert done.exit_code == 0, done.output
    read = io.read(path)
    with tifffile.TiffFile(tmp_path / "a.denoised.ome.tif") as tif:
        assert tif.ome_metadata is not None
        assert (tif.series[0].axes, tif.series[0].dtype) == ("CYX", np.uint16)
        for channel in read.meta["channels"]:
            assert f'Name="{channel}"' in tif.ome_metadata
    back = io.read(tmp_path / "a.denoised.ome.tif")
    for key in ("channels", "colours"):
        assert back.meta[key] == read.meta[key]
    assert back.meta["resolution"] == pytest.approx(read.meta["resolution"])


@pytest.mark.parametrize("name", ["czi", "lif", "nd2"])
def test_what_is_missing_or_cut_short_gets_a_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = one_of(name, tmp_path)
    raw = path.read_bytes()
    for share in (0.001, 0.1, 0.6):
        path.write_bytes(raw[: max(20, int(share * len(raw)))])
        with pytest.raises(HushError) as refused:
            io.read(path)
        assert "\n" not in str(refused.value)
    path.write_bytes(raw)
    package = {"czi": "czifile", "lif": "liffile", "nd2": "nd2"}[name]
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(HushError, match=r"needs \w+: .*pip install .*\[microscopy\]'"):
        io.read(path)
