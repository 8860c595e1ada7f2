"""Camera raw files: DNG files made here, read by LibRaw, and developed by it as the result is.

No file of a camera is among them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from hush import io
from hush.cli import main
from hush.errors import HushError
from hush.record import Record

rawpy = pytest.importorskip("rawpy")

MATRIX = [(round(v * 1e4), 10000) for v in (0.8, -0.2, -0.1, -0.4, 1.2, 0.2, -0.1, 0.2, 0.6)]


def mosaic(shape: tuple[int, int] = (64, 96)) -> np.ndarray:
    """Smooth colours under noise, between the black level and the white one."""
    y, x = np.indices(shape)
    scene = 4000 + 2500 * np.sin(x / 17) + 1500 * np.cos(y / 11)
    scene *= np.where(x % 2 == y % 2, 1.0, 0.6)
    return np.random.default_rng(0).normal(scene, 150).clip(512, 15000).astype(np.uint16)


def dng(path: Path, x: np.ndarray, pattern: bytes = b"\0\1\1\2", **options: Any) -> Path:
    side = 2 if len(pattern) == 4 else 6
    tags: list[Any] = [
        (33421, 3, 2, (side, side), True),
        (33422, 1, len(pattern), pattern, True),
        (50706, 1, 4, bytes((1, 4, 0, 0)), True),
        (50708, 2, 8, b"Acme X1\0", True),
        (271, 2, 5, b"Acme\0", True),
        (272, 2, 3, b"X1\0", True),
        (50713, 3, 2, (2, 2), True),
        (50714, 4, 4, (512, 500, 501, 520), True),
        (50717, 4, 1, 16000, True),
        (50721, 10, 9, tuple(n for pair in MATRIX for n in pair), True),
        (50728, 5, 3, (5, 10, 1, 1, 6, 10), True),
        (274, 3, 1, 6, True),
    ]
    with tifffile.TiffWriter(path, byteorder=options.get("order", "<")) as out:
        out.write(x, photometric="cfa", metadata=None, software=False, extratags=tags)
    return path


def developed(path: Path) -> np.ndarray:
    with rawpy.imread(str(path)) as raw:
        made: np.ndarray = raw.postprocess(output_bps=16, gamma=(1, 1), no_auto_bright=True)
    return made


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_mosaic_is_read_and_the_result_is_developed_alike(order: str, tmp_path: Path) -> None:
    x = mosaic()
    path = dng(tmp_path / "a.dng", x, order=order)
    record = io.read(path)
    np.testing.assert_array_equal(record.data, x)
    assert (record.axes, record.full, record.context["mosaic"]) == ("YX", 16000, "rggb")
    io.write(record, tmp_path / "b.dng")
    with rawpy.imread(str(path)) as old, rawpy.imread(str(tmp_path / "b.dng")) as new:
        np.testing.assert_array_equal(new.raw_image_visible, x)
        for name in ("white_level", "black_level_per_channel", "camera_whitebalance"):
            assert getattr(old, name) == getattr(new, name)
        assert old.sizes == new.sizes
    np.testing.assert_array_equal(developed(path), developed(tmp_path / "b.dng"))
    back = io.read(tmp_path / "b.dng")
    assert back.context == record.context


@pytest.mark.parametrize(
    ("pattern", "name"), [(b"\2\1\1\0", "bggr"), (b"\1\0\2\1", "grbg"), (b"\1\2\0\1", "gbrg")]
)
def test_patterns(pattern: bytes, name: str, tmp_path: Path) -> None:
    path = dng(tmp_path / "a.dng", mosaic(), pattern)
    record = io.read(path)
    assert record.context["mosaic"] == name
    io.write(record, tmp_path / "b.dng")
    np.testing.assert_array_equal(developed(path), developed(tmp_path / "b.dng"))


def test_colours_that_are_no_mosaic(tmp_path: Path) -> None:
    x = np.stack([mosaic()] * 3, -1)
    tags: list[Any] = [(50706, 1, 4, bytes((1, 4, 0, 0)), True), (50708, 2, 3, b"X1\0", True)]
    with tifffile.TiffWriter(tmp_path / "a.dng") as out:
        out.write(x, photometric="linear_raw", metadata=None, extratags=tags)
    record = io.read(tmp_path / "a.dng")
    assert (record.axes, record.data.dtype) == ("YXS", np.uint16)
    assert "demosaiced" in record.meta["notes"][0]
    with pytest.raises(HushError, match="writes DNG for mosaics read from camera raw files"):
        io.check(record, tmp_path / "b.dng")
    io.check(record, tmp_path / "b.tif")


def test_names_of_results(tmp_path: Path) -> None:
    for name in ("a.NEF", "a.cr3", "a.dng"):
        assert io.output_path(tmp_path / name).name == "a.denoised.dng"
    with pytest.raises(HushError, match=r"write a \.tif file"):
        io.check(Record(mosaic(), "YX"), tmp_path / "b.dng")


def test_from_the_command_line(tmp_path: Path) -> None:
    path = dng(tmp_path / "a.dng", mosaic((128, 128)))
    argv = ["denoise", str(path), "--noise", "gaussian:150", "--method", "nlm", "-q"]
    done = CliRunner().invoke(main, argv)
    assert done.exit_code == 0, done.output
    assert developed(tmp_path / "a.denoised.dng").shape == (128, 128, 3)


def test_what_is_damaged_or_missing_gets_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dng(tmp_path / "a.dng", mosaic())
    raw = path.read_bytes()
    for share in (0.01, 0.5):
        path.write_bytes(raw[: int(share * len(raw))])
        with pytest.raises(HushError) as refused:
            io.read(path)
        assert "\n" not in str(refused.value)
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with pytest.raises(HushError, match=r"needs rawpy: .*\[camera\]"):
        io.read(path)
