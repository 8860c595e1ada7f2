"""Pictures that are only read: BMP, GIF, WebP, Netpbm, JPEG 2000, JPEG XL, JPEG-LS and OpenEXR."""

from __future__ import annotations

import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from hush import io
from hush.cli import main
from hush.errors import HushError


def numbers(shape: tuple[int, ...], dtype: str = "uint8", most: int = 255) -> np.ndarray:
    return np.random.default_rng(0).integers(0, most + 1, shape).astype(dtype)


GRAY, RGB, DEEP = numbers((6, 9)), numbers((6, 9, 3)), numbers((6, 9), "uint16", 4095)


@pytest.mark.parametrize("ending", ["bmp", "webp", "ppm", "jp2", "j2k", "jxl", "jls"])
def test_colours_are_read_as_they_are(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{ending}"
    encode = {
        "jp2": lambda: imagecodecs.jpeg2k_encode(RGB, reversible=True, codecformat="JP2"),
        "j2k": lambda: imagecodecs.jpeg2k_encode(RGB, reversible=True, codecformat="J2K"),
        "jxl": lambda: imagecodecs.jpegxl_encode(RGB, lossless=True),
        "jls": lambda: imagecodecs.jpegls_encode(RGB),
    }
    if ending in encode:
        path.write_bytes(encode[ending]())
    else:
        Image.fromarray(RGB).save(path, lossless=True)
    record = io.read(path)
    np.testing.assert_array_equal(record.data, RGB)
    assert (record.axes, record.data.dtype, record.full) == ("YXS", np.uint8, None)
    assert "notes" not in record.meta
    renamed = path.rename(tmp_path / "b.dat")
    assert io.read(renamed).meta["format"] == record.meta["format"]
    io.write(record, tmp_path / "c.png")
    np.testing.assert_array_equal(io.read(tmp_path / "c.png").data, RGB)


@pytest.mark.parametrize("ending", ["jp2", "jls", "pgm"])
def test_twelve_bits_are_the_range(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_bytes(
        {
            "jp2": lambda: imagecodecs.jpeg2k_encode(DEEP, bitspersample=12, reversible=True),
            "jls": lambda: imagecodecs.jpegls_encode(DEEP),
            "pgm": lambda: b"P5\n# from a camera\n9 6\n4095\n" + DEEP.astype(">u2").tobytes(),
        }[ending]()
    )
    record = io.read(path)
    np.testing.assert_array_equal(record.data, DEEP)
    assert (record.full, record.data.dtype) == (None if ending == "jls" else 4095, np.uint16)


def test_netpbm_of_every_kind(tmp_path: Path) -> None:
    deep = np.stack([DEEP] * 3, -1) * 16
    floats = numbers((6, 9, 3)).astype("f4") / 7
    text = " ".join(map(str, GRAY.ravel()))
    pam = "P7\nWIDTH 9\nHEIGHT 6\nDEPTH 4\nMAXVAL 255\n# x\nTUPLTYPE RGB_ALPHA\nENDHDR\n"
    opaque = np.concatenate([RGB, GRAY[..., None]], -1)
    cases = {
        "a.pgm": (f"P2\n9 6\n255\n{text}\n".encode(), GRAY),
        "b.ppm": (b"P6 9 6 65535\n" + deep.astype(">u2").tobytes(), deep),
        "c.pfm": (b"PF\n9 6\n-1.0\n" + floats[::-1].astype("<f4").tobytes(), floats),
        "d.pfm": (b"Pf\n9 6\n1.0\n" + floats[::-1, :, 0].astype(">f4").tobytes(), floats[..., 0]),
        "e.pam": (pam.encode() + opaque.tobytes(), RGB),
    }
    for name, (content, data) in cases.items():
        (tmp_path / name).write_bytes(content)
        record = io.read(tmp_path / name)
        np.testing.assert_array_equal(record.data, data, name)
        for share in (0.2, 0.95):
            (tmp_path / name).write_bytes(content[: int(share * len(content))])
            with pytest.raises(HushError):
                io.read(tmp_path / name)
    io.write(record, tmp_path / "e.tif")
    np.testing.assert_array_equal(io.read(tmp_path / "e.tif").meta["alpha"][..., 0], GRAY)
    (tmp_path / "f.pbm").write_bytes(b"P4\n9 6\n" + bytes(12))
    with pytest.raises(HushError, match="1-bit"):
        io.read(tmp_path / "f.pbm")
    (tmp_path / "g.csv").write_text("P5,P6\n" + "1,2\n" * 9)
    assert io.read(tmp_path / "g.csv").kind == "signal"
    (tmp_path / "h.csv").write_text("BM,EMG\n" + "1,2\n" * 9)
    assert io.read(tmp_path / "h.csv").kind == "signal"


def test_the_first_frame_of_a_gif(tmp_path: Path) -> None:
    frames = [Image.fromarray(GRAY), Image.fromarray(255 - GRAY)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    record = io.read(tmp_path / "a.gif")
    np.testing.assert_array_equal(record.data, GRAY)
    assert record.axes == "YX"
    assert "first of 2 frames" in record.meta["notes"][0]
    colour = Image.fromarray(RGB).quantize(8)
    colour.save(tmp_path / "b.gif", transparency=3)
    record = io.read(tmp_path / "b.gif")
    np.testing.assert_array_equal(record.data, np.array(colour.convert("RGB")))
    np.testing.assert_array_equal(record.meta["alpha"][..., 0], 255 * (np.array(colour) != 3))
    assert io.output_path(tmp_path / "b.gif").name == "b.denoised.png"


def test_palettes_and_bits_of_bmp_are_refused(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "a.bmp")
    np.testing.assert_array_equal(io.read(tmp_path / "a.bmp").data, GRAY)
    Image.fromarray(RGB).quantize(8).save(tmp_path / "b.bmp")
    with pytest.raises(HushError, match="palette"):
        io.read(tmp_path / "b.bmp")
    Image.fromarray(GRAY > 100).save(tmp_path / "c.bmp")
    with pytest.raises(HushError, match="1-bit"):
        io.read(tmp_path / "c.bmp")


def test_loss_is_told(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.webp", quality=80, icc_profile=b"profile")
    (tmp_path / "a.jp2").write_bytes(imagecodecs.jpeg2k_encode(RGB, level=30, reversible=False))
    for name in ("a.webp", "a.jp2"):
        assert "compressed with loss" in io.read(tmp_path / name).meta["notes"][0]
    assert io.read(tmp_path / "a.webp").meta["icc"] == b"profile"


def test_opacity_is_set_aside(tmp_path: Path) -> None:
    both = np.concatenate([RGB, GRAY[..., None]], -1)
    Image.fromarray(both).save(tmp_path / "a.jp2", irreversible=False)
    Image.fromarray(both).save(tmp_path / "a.webp", lossless=True, exact=True)
    (tmp_path / "a.jxl").write_bytes(imagecodecs.jpegxl_encode(both, lossless=True))
    for name in ("a.jp2", "a.webp", "a.jxl"):
        record = io.read(tmp_path / name)
        np.testing.assert_array_equal(record.data, RGB, name)
        np.testing.assert_array_equal(record.meta["alpha"][..., 0], GRAY, name)


def test_openexr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exr = pytest.importorskip("OpenEXR")
    x, z = numbers((6, 9, 3)).astype("f2") / 64, numbers((6, 9)).astype("f4")
    header = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage}
    path = tmp_path / "a.exr"
    exr.File(header, {"RGB": x, "depth": z}).write(str(path))
    record = io.read(path)
    np.testing.assert_array_equal(record.data, x)
    assert (record.data.dtype, record.axes) == (np.float32, "YXS")
    assert record.meta["notes"] == ["Of this file's channels, only RGB are read."]
    np.testing.assert_array_equal(io.read(Path(f"{path}:depth")).data, z)
    with pytest.raises(HushError, match="has no channels 'v' of floats, only RGB, depth"):
        io.read(Path(f"{path}:v"))
    exr.File(header, {"u": z, "v": z}).write(str(path))
    with pytest.raises(HushError, match=r"several channels \(u, v\); choose one as a.exr:u"):
        io.read(path)
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    with pytest.raises(HushError, match=r"pip install .*\[camera\]'"):
        io.read(path)


def test_from_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "a.pgm"
    path.write_bytes(b"P5 64 64 4095\n" + numbers((64, 64), ">u2", 4095).tobytes())
    argv = ["denoise", str(path), "--noise", "gaussian:500", "--method", "nlm", "-q"]
    assert CliRunner().invoke(main, argv).exit_code == 0
    assert io.read(tmp_path / "a.denoised.tif").data.max() <= 4095
