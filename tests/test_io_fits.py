"""FITS: what astropy writes is read, and astropy reads what hush writes."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from hush import io
from hush.cli import main
from hush.errors import HushError
from hush.io.fits_write import HISTORY
from hush.record import Record

fits = pytest.importorskip("astropy.io.fits")

WCS = {
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CRPIX1": 3.5,
    "CRPIX2": 2.0,
    "CRVAL1": 150.1,
    "CRVAL2": 2.2,
    "CD1_1": -1e-5,
    "CD1_2": 2e-7,
    "CD2_1": 0,
    "CD2_2": 1e-5,
}


def numbers(shape: tuple[int, ...] = (6, 8), dtype: str = "int16") -> np.ndarray:
    return np.random.default_rng(0).integers(0, 100, shape).astype(dtype)


def saved(path: Path, *hdus: Any, **options: Any) -> Path:
    fits.HDUList(list(hdus)).writeto(path, **options)
    return path


def cards(hdu: Any) -> list[str]:
    """Its header as the file has it, without the card that hush adds."""
    return [str(c) for c in hdu.header.cards if c.value != HISTORY]


def doubled(path: Path, out: Path) -> Record:
    """Read a file, and write it with other values."""
    record = io.read(path)
    io.write(record.with_data(record.data * 2), out)
    return record


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
@pytest.mark.parametrize("ending", ["fits", "fits.gz"])
def test_values_of_every_type(dtype: str, ending: str, tmp_path: Path) -> None:
    """As astropy gives them, those that are stored with the other sign among them."""
    low, high = (0, 1) if dtype[0] == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    x = np.array([[low, high, 1], [0, 7, 9]], dtype)
    record = io.read(saved(tmp_path / f"a.{ending}", fits.PrimaryHDU(x)))
    assert (record.axes, record.data.dtype.newbyteorder("="), record.mask) == ("YX", x.dtype, None)
    np.testing.assert_array_equal(record.data, x)
    for where in ("b.fits", "c.fits.gz"):
        io.write(record.with_data(record.data[:, ::-1].copy()), tmp_path / where)
        back = fits.getdata(tmp_path / where)
        assert back.dtype.newbyteorder("=") == x.dtype
        np.testing.assert_array_equal(back, x[:, ::-1])
    io.write(Record(x, "YX"), tmp_path / "new.fits")
    np.testing.assert_array_equal(fits.getdata(tmp_path / "new.fits"), x)


def test_all_cards_and_other_hdus_are_as_they_were(tmp_path: Path) -> None:
    from astropy.wcs import WCS as Sky

    image = fits.ImageHDU(numbers(), name="SCI")
    image.header.update(WCS)
    image.header["HIERARCH ESO DET CHIP1 ID"] = ("CCD-44", "a comment of its own")
    image.header["LONG"] = "words " * 30  # continued on several cards
    image.header.add_history("bias subtracted")
    image.header.add_comment("observed in the rain")
    table = fits.BinTableHDU.from_columns([fits.Column("T", "D", array=np.arange(5.0))], name="LOG")
    flags = fits.ImageHDU(numbers(dtype="uint16"), name="DQ")
    path = saved(tmp_path / "a.fits", fits.PrimaryHDU(), table, image, flags)
    record = doubled(path, tmp_path / "b.fits")
    assert record.meta["notes"] == ["Of this file's images, SCI is denoised; DQ is not."]
    with fits.open(path) as old, fits.open(tmp_path / "b.fits") as new:
        new.verify("exception")
        assert [cards(hdu) for hdu in new] == [cards(hdu) for hdu in old]
        assert new["SCI"].header["HISTORY"][-1] == HISTORY
        np.testing.assert_array_equal(new["SCI"].data, 2 * old["SCI"].data)
        np.testing.assert_array_equal(new["DQ"].data, old["DQ"].data)
        np.testing.assert_array_equal(new["LOG"].data, old["LOG"].data)
        sky = [Sky(hdus["SCI"].header).all_pix2world([[1, 2], [7, 5]], 0) for hdus in (old, new)]
        np.testing.assert_array_equal(*sky)
    raw, made = path.read_bytes(), (tmp_path / "b.fits").read_bytes()
    assert made[: raw.index(b"XTENSION= 'IMAGE")] == raw[: raw.index(b"XTENSION= 'IMAGE")]
    assert made.endswith(raw[raw.rindex(b"XTENSION= 'IMAGE") :])


def test_scaled_integers_stay_as_they_are_stored(tmp_path: Path) -> None:
    hdu = fits.PrimaryHDU(numbers())
    hdu.header.update(BSCALE=0.25, BZERO=1000.0)
    path = tmp_path / "a.fits"
    with path.open("wb") as stream:
        stream.write(hdu.header.tostring().encode())
        stream.write(numbers().astype(">i2").tobytes().ljust(2880, b"\0"))
    record = doubled(path, tmp_path / "b.fits")
    np.testing.assert_array_equal(record.data, numbers())
    np.testing.assert_array_equal(fits.getdata(tmp_path / "b.fits"), numbers() * 0.5 + 1000)


@pytest.mark.parametrize("unsigned", [False, True])
def test_blank_values_are_missing_and_stay(unsigned: bool, tmp_path: Path) -> None:
    x = numbers((64, 64))
    x[10:14, 20:30] = -999
    hdu = fits.PrimaryHDU(x)
    hdu.header["BLANK"] = -999
    if unsigned:
        hdu.header["BZERO"] = 32768
    path = tmp_path / "a.fits"
    path.write_bytes(hdu.header.tostring().encode() + x.astype(">i2").tobytes().ljust(8640, b"\0"))
    record = io.read(path)
    assert record.mask is not None
    np.testing.assert_array_equal(record.mask, x != -999)
    argv = ["denoise", str(path), "-o", str(tmp_path / "b.fits"), "--noise", "gaussian:20", "-q"]
    done = CliRunner().invoke(main, [*argv, "--method", "nlm"])
    assert done.exit_code == 0, done.output
    with fits.open(tmp_path / "b.fits", do_not_scale_image_data=True) as hdus:
        made = hdus[0].data
        assert (made[10:14, 20:30] == -999).all()
        assert (made[~(x == -999)] != x[~(x == -999)]).mean() > 0.5


@pytest.mark.parametrize("dtype", ["uint16", "int16", "int32", "float32"])
def test_compressed_images_stay_compressed(dtype: str, tmp_path: Path) -> None:
    x = numbers((40, 30), dtype)
    options: dict[str, Any] = {"quantize_level": 16} if dtype == "float32" else {}
    made = fits.CompImageHDU(x, name="SCI", tile_shape=(10, 30), **options)
    made.header.update(WCS)
    path = saved(tmp_path / "a.fits.fz", fits.PrimaryHDU(), made)
    record = io.read(path)
    assert record.data.dtype.newbyteorder("=") == dtype
    np.testing.assert_allclose(record.data, x, atol=5 if dtype == "float32" else 0)
    io.write(record.with_data(record.data[::-1].copy()), tmp_path / "b.fits.fz")
    with fits.open(path) as old, fits.open(tmp_path / "b.fits.fz") as new:
        assert isinstance(new[1], fits.CompImageHDU)
        assert tuple(new[1].tile_shape) == (10, 30)
        np.testing.assert_array_equal(new[1].data, record.data[::-1])
        assert {**new[1].header} | {"HISTORY": 0} == {**old[1].header} | {"HISTORY": 0}


def test_compressed_scaled_integers_keep_their_scale(tmp_path: Path) -> None:
    made = fits.CompImageHDU(numbers((20, 20)))
    made.header.update(BSCALE=0.5, BZERO=10.0)
    doubled(saved(tmp_path / "a.fits", fits.PrimaryHDU(), made), tmp_path / "b.fits")
    np.testing.assert_array_equal(fits.getdata(tmp_path / "b.fits", 1), numbers((20, 20)) + 10.0)


def test_one_of_several_images_is_chosen(tmp_path: Path) -> None:
    chips = [fits.ImageHDU(numbers((4 + i, 5)), name="SCI", ver=i) for i in (1, 2)]
    path = saved(tmp_path / "a.fits", fits.PrimaryHDU(), *chips, fits.ImageHDU(numbers(), name="B"))
    for key, rows in (("SCI,2", 6), ("sci", 5), ("2", 6), ("B", 6)):
        assert io.read(Path(f"{path}:{key}")).data.shape[0] == rows
    with pytest.raises(HushError, match=r"holds 3 images \(SCI,1, SCI,2, B\); choose one as a.fi"):
        io.read(path)
    with pytest.raises(HushError, match="has no image '7', only SCI,1"):
        io.read(Path(f"{path}:7"))
    doubled(Path(f"{path}:SCI,2"), out := tmp_path / "b.fits")
    with fits.open(out) as hdus:
        np.testing.assert_array_equal(hdus[2].data, 2 * chips[1].data)
        np.testing.assert_array_equal(hdus[1].data, chips[0].data)


def test_a_cube_is_a_stack_or_a_volume(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.fits", fits.PrimaryHDU(numbers((3, 6, 8))))
    assert (io.read(path).axes, io.read(path).kind) == ("QYX", "image")
    shown = CliRunner().invoke(main, ["inspect", str(path), "--kind", "volume"])
    assert "(ZYX)" in shown.output


def test_a_plain_image_is_mapped_and_written_in_place(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.fits", fits.PrimaryHDU(), fits.ImageHDU(numbers((3, 6, 8))))
    record = io.read(path)
    assert isinstance(record.data, np.memmap)
    with io.opened(record, tmp_path / "b.fits") as file:
        assert file is not None
        file[...] = record.data[::-1]
    io.write(record.with_data(record.data[::-1].copy()), tmp_path / "c.fits")
    assert (tmp_path / "b.fits").read_bytes() == (tmp_path / "c.fits").read_bytes()


def test_checksums_are_made_again(tmp_path: Path) -> None:
    hdus = fits.PrimaryHDU(numbers()), fits.ImageHDU(numbers(dtype="uint16"), name="SCI")
    path = saved(tmp_path / "a.fits", *hdus, checksum=True)
    doubled(Path(f"{path}:SCI"), tmp_path / "b.fits")
    with fits.open(tmp_path / "b.fits", checksum=True) as new:  # pytest makes warnings errors
        assert new["SCI"].verify_checksum() == new["SCI"].verify_datasum() == 1
        assert new[0].verify_checksum() == 1
        np.testing.assert_array_equal(new["SCI"].data, 2 * numbers())


def test_other_values_keep_the_coordinates(tmp_path: Path) -> None:
    """A map of another type, such as the uncertainty of integers."""
    hdu = fits.PrimaryHDU(numbers(dtype="uint16"))
    hdu.header.update(WCS)
    record = io.read(saved(tmp_path / "a.fits", hdu))
    io.write(record.with_data(record.data / np.float32(7)), tmp_path / "b.fits")
    with fits.open(tmp_path / "b.fits") as new:
        assert (new[0].header["BITPIX"], "BZERO" in new[0].header) == (-32, False)
        assert {k: new[0].header[k] for k in WCS} == WCS


def test_what_is_no_image_gets_a_sentence(tmp_path: Path) -> None:
    table = fits.BinTableHDU.from_columns([fits.Column("T", "D", array=np.arange(5.0))])
    with pytest.raises(HushError, match="holds no image, only tables"):
        io.read(saved(tmp_path / "a.fits", fits.PrimaryHDU(), table))
    with pytest.raises(HushError, match="holds a spectrum, not an image; save it as CSV"):
        io.read(saved(tmp_path / "b.fits", fits.PrimaryHDU(np.arange(9.0))))
    path = saved(tmp_path / "c.fits", fits.PrimaryHDU(numbers((60, 80))))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(HushError, match="cut short"):
        io.read(path)
    record = Record(numbers().astype("float16"), "YX")
    with pytest.raises(HushError, match="hold no float16 values; convert them to float32"):
        io.check(record, tmp_path / "d.fits")


def test_a_changed_or_missing_input_is_not_copied(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.fits", fits.PrimaryHDU(numbers()))
    record = replace(io.read(path), source=None)
    saved(path, fits.PrimaryHDU(numbers((90, 90))), overwrite=True)
    with pytest.raises(HushError, match="has changed since it was read"):
        io.write(record, tmp_path / "b.fits")
    path.unlink()
    with pytest.raises(HushError, match="is missing"):
        io.write(record, tmp_path / "b.fits")
    assert list(tmp_path.iterdir()) == []


def test_without_astropy_a_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "a.fits", fits.PrimaryHDU(numbers()))
    monkeypatch.setitem(sys.modules, "astropy.io", None)
    with pytest.raises(HushError, match=r"pip install .*\[astronomy\]'"):
        io.read(path)
    with pytest.raises(HushError, match=r"pip install .*\[astronomy\]'"):
        io.check(Record(numbers(), "YX"), tmp_path / "b.fits")
