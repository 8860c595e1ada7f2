"""Files of volumes: NIfTI, NRRD, and the tables of gradients beside them.

Stored values and headers come back byte for byte, and what is damaged is said.
"""

from __future__ import annotations

import bz2
import gzip
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import nrrd
import numpy as np
import pytest
from click.testing import CliRunner

from hush import api, io, kinds
from hush.cli import main
from hush.denoiser import Advance, Denoiser
from hush.errors import HushError
from hush.io import gradients, grids
from hush.noise.processes import Process
from hush.reading import read
from hush.record import Record
from hush.results import Estimate, Restoration

SHAPE = (7, 6, 5, 4)  # X, Y, Z, volumes: no two alike
AFFINE = np.array([[0, 0, 2.5, -9], [-2, 0.3, 0, 8], [0.3, 2, 0, 7], [0, 0, 0, 1]])
BVALS = np.array([0, 1000, 993, 2001.0])
BVECS = np.array([[np.nan] * 3, [1, 0, 0], [0, 0.6, -0.8], [0.6, 0, 0.8]])


def values(shape: Sequence[int] = SHAPE, dtype: str = "<i2") -> np.ndarray:
    """Random values, of integers over their whole range."""
    rng, kind = np.random.default_rng(0), np.dtype(dtype)
    if kind.kind == "f":
        return rng.normal(100, 9, shape).astype(dtype)
    info = np.iinfo(kind)
    x = rng.integers(info.min, info.max, shape, kind.newbyteorder("="), endpoint=True)
    return x.astype(dtype)


def nifti(
    path: Path,
    x: np.ndarray,
    *,
    affine: np.ndarray = AFFINE,
    version: int = 1,
    order: str = "<",
    fields: Mapping[str, Any] | None = None,
    extension: bytes = b"",
) -> Path:
    """Write a file by its bytes alone, with a header that no program tidies."""
    made = (nib.Nifti1Header if version == 1 else nib.Nifti2Header)(endianness=order)
    made.set_data_shape(x.shape)
    made.set_data_dtype(x.dtype)
    made.set_sform(affine, 1)
    made.set_qform(affine, 2)
    made["descrip"], made["cal_max"], made["toffset"] = b"made by hand \xff", 77.5, -3
    made["magic"] = b"n+1\0" if version == 1 else b"n+2\0\r\n\x1a\n"
    made["scl_slope"], made["scl_inter"] = 1, 0
    size = len(made.binaryblock)
    made["vox_offset"] = size + 4 + len(extension)
    for name, value in (fields or {}).items():
        made[name] = value
    top = made.binaryblock + (b"\1\0\0\0" if extension else bytes(4)) + extension
    raw = top + x.astype(x.dtype.newbyteorder(order)).tobytes("F")
    path.write_bytes(gzip.compress(raw) if path.name.endswith(".gz") else raw)
    return path


def content(path: Path) -> bytes:
    raw = path.read_bytes()
    return gzip.decompress(raw) if path.name.endswith(".gz") else raw


def written_again(source: Path, target: Path, **options: Any) -> bytes:
    """The bytes of the result of a method, uncompressed."""
    api.run(source, into=target, **(options or {"method": "none"}))
    return content(target)


# -- NIfTI: round trips ------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8"])
def test_a_file_comes_back_byte_for_byte(
    ending: str, version: int, order: str, dtype: str, tmp_path: Path
) -> None:
    """With every field of its header and its extensions, in its byte order."""
    extension = (32).to_bytes(4, "little" if order == "<" else "big") + b"\0\0\0\6" + b"x" * 24
    x = values(dtype=dtype)
    source = nifti(tmp_path / f"a{ending}", x, version=version, order=order, extension=extension)
    record = io.read(source)
    assert (record.axes, record.kind) == ("XYZC", "volume")
    np.testing.assert_array_equal(record.data, x)
    assert written_again(source, tmp_path / f"b{ending}") == content(source)
    io.write(replace(record, data=np.ascontiguousarray(x)), tmp_path / "c.nii")
    assert content(tmp_path / "c.nii") == content(source)


class Halved(Denoiser):
    """A method that changes every value."""

    name = "halved"
    kinds = ("volume",)

    def restore(
        self,
        x: np.ndarray,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        return Restoration(x / 2, process=noise)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_integers_are_not_scaled(order: str, ending: str, tmp_path: Path) -> None:
    """Slope and intercept stay as they are, to the bit; the value without signal is known."""
    x = values()
    fields = {"scl_slope": 0.1, "scl_inter": 3100.76}
    source = nifti(tmp_path / f"a{ending}", x, fields=fields, order=order)
    record, target = io.read(source), tmp_path / f"b{ending}"
    np.testing.assert_array_equal(record.data, x)
    assert record.context["zero"] == pytest.approx(-31007.6, rel=1e-6)
    same: list[dict[str, Any]] = [{"method": "none"}, {"model": Halved(), "strength": 0}]
    for options in same:
        assert written_again(source, target, **options) == content(source)
    made = written_again(source, target, model=Halved())
    assert made[:352] == content(source)[:352]
    assert abs(io.read(target).data - x / 2).max() <= 1


@pytest.mark.parametrize("slope", [0, np.nan, np.inf])
@pytest.mark.parametrize("inter", [5, np.nan, np.inf])
def test_slopes_that_mean_nothing_are_kept(slope: float, inter: float, tmp_path: Path) -> None:
    fields = {"scl_slope": slope, "scl_inter": inter}
    source = nifti(tmp_path / "a.nii", values((4, 5, 6)), fields=fields)
    assert "zero" not in io.read(source).context
    assert written_again(source, tmp_path / "b.nii") == content(source)


@pytest.mark.parametrize("inter", [np.nan, np.inf])
def test_an_intercept_that_is_not_finite_is_kept(inter: float, tmp_path: Path) -> None:
    source = nifti(tmp_path / "a.nii", values((4, 5, 6)), fields={"scl_inter": inter})
    assert "zero" not in io.read(source).context
    assert written_again(source, tmp_path / "b.nii") == content(source)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PLS", "SAR", "IRP"])
def test_voxels_are_never_reordered(codes: str, tmp_path: Path) -> None:
    """Whatever the orientation, X, Y and Z are the axes of the file."""
    turned = nib.orientations.inv_ornt_aff(
        nib.orientations.axcodes2ornt(tuple(codes)), SHAPE[:3]
    ) @ np.diag([2, 3, 4, 1])
    x = values((7, 6, 5))
    record = io.read(nifti(tmp_path / "a.nii", x, affine=turned))
    np.testing.assert_array_equal(record.data, x)
    np.testing.assert_allclose(record.context["affine"], turned, atol=1e-5)
    assert "".join(nib.aff2axcodes(record.context["affine"])) == "".join(nib.aff2axcodes(turned))
    np.testing.assert_array_equal(kinds.to_batch(record).data[0, 0], x.T)


def test_sizes_of_voxels_are_in_mm(tmp_path: Path) -> None:
    zooms = {"pixdim": [1, 0.002, 0.003, 0.004, 1, 1, 1, 1], "xyzt_units": 1}
    fields = {**zooms, "sform_code": 0, "qform_code": 0}
    record = io.read(nifti(tmp_path / "a.nii", values((4, 5, 6)), fields=fields))
    assert record.context["spacing"] == pytest.approx((4, 3, 2))
    columns = np.linalg.norm(record.context["affine"][:3, :3], axis=0)
    assert columns == pytest.approx((2, 3, 4), rel=1e-5)


def test_a_header_with_a_broken_rotation_is_read(tmp_path: Path) -> None:
    fields = {"sform_code": 0, "quatern_b": 5, "pixdim": [1, 2, 3, 4, 1, 1, 1, 1]}
    source = nifti(tmp_path / "a.nii", values((4, 5, 6)), fields=fields)
    record = io.read(source)
    assert "affine" not in record.context
    assert record.context["spacing"] == (4, 3, 2)
    assert written_again(source, tmp_path / "b.nii") == content(source)


@pytest.mark.parametrize(
    ("shape", "axes", "full"),
    [
        ((40, 30), "XYZ", (40, 30, 1)),
        ((20, 15, 1, 3), "XYZC", (20, 15, 1, 3)),
        ((7, 6, 5, 1, 3), "XYZCQ", (7, 6, 5, 1, 3)),
    ],
)
def test_axes_beside_three(
    shape: tuple[int, ...], axes: str, full: tuple[int, ...], tmp_path: Path
) -> None:
    source = nifti(tmp_path / "a.nii.gz", values(shape))
    record = io.read(source)
    assert (record.axes, record.data.shape) == (axes, full)
    assert written_again(source, tmp_path / "b.nii.gz") == content(source)


def test_the_name_says_whether_it_is_compressed(tmp_path: Path) -> None:
    """Of a result; an input is recognised by its content, whatever its name."""
    source = nifti(tmp_path / "a.nii", values())
    packed = tmp_path / "b.nii.gz"
    written_again(source, packed)
    assert packed.read_bytes()[:2] == b"\x1f\x8b"
    wrong = tmp_path / "c.nii"
    wrong.write_bytes(packed.read_bytes())
    np.testing.assert_array_equal(io.read(wrong).data, values())
    written_again(wrong, tmp_path / "d.nii")
    assert (tmp_path / "d.nii").read_bytes() == source.read_bytes()
    written_again(source, tmp_path / "e.nii.gz")  # the time is not in it
    assert (tmp_path / "e.nii.gz").read_bytes() == packed.read_bytes()


def test_a_large_file_lies_in_a_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hush.recording.LARGE", 1000)
    monkeypatch.setattr(grids, "PIECE", 512)
    x = values()
    record = io.read(nifti(tmp_path / "a.nii.gz", x))
    assert isinstance(record.data, np.memmap)
    np.testing.assert_array_equal(record.data, x)
    io.write(record, tmp_path / "b.nii.gz")
    assert content(tmp_path / "b.nii.gz") == content(tmp_path / "a.nii.gz")
    mapped = io.read(nifti(tmp_path / "c.nii", x)).data
    assert isinstance(mapped, np.memmap)
    assert not mapped.flags.writeable


def test_maps_of_another_type_or_shape_have_the_header(tmp_path: Path) -> None:
    source = nifti(tmp_path / "a.nii", values(), order=">", extension=b"\0\0\0\x10\0\0\0\6comment.")
    record = io.read(source)
    made = record.with_data(np.ones(SHAPE[:3], np.float32), axes="XYZ")
    io.write(made, tmp_path / "b.nii")
    back = nib.load(tmp_path / "b.nii")
    assert (back.shape, back.get_data_dtype()) == (SHAPE[:3], np.dtype(">f4"))
    np.testing.assert_array_equal(back.affine, nib.load(source).affine)
    assert (np.asarray(back.dataobj) == 1).all()
    assert back.header.extensions[0].get_content()[:8] == b"comment."


# -- NIfTI: pairs ------------------------------------------------------------------------------


def pair(folder: Path, x: np.ndarray) -> Path:
    nib.Nifti1Pair(x, AFFINE).to_filename(folder / "p.hdr")
    return folder / "p.hdr"


def test_a_pair_becomes_one_file(tmp_path: Path) -> None:
    """With the same header, but for where the voxels are."""
    header = pair(tmp_path, values())
    for given in (header, header.with_suffix(".img")):
        record = io.read(given)
        np.testing.assert_array_equal(record.data, values())
    assert io.recognised(header)
    assert not io.recognised(header.with_suffix(".img"))
    target = io.output_path(header)
    assert target == tmp_path / "p.denoised.nii.gz"
    made = written_again(header, target)
    old, new = header.read_bytes()[:348], made[:348]
    differs = {i for i in range(348) if old[i] != new[i]}
    assert differs <= {*range(108, 112), 345}  # vox_offset, and "n+1" for "ni1"
    np.testing.assert_array_equal(nib.load(target).get_fdata(), nib.load(header).get_fdata())


def test_a_header_without_its_image(tmp_path: Path) -> None:
    header = pair(tmp_path, values())
    header.with_suffix(".img").unlink()
    with pytest.raises(HushError, match=r"p\.hdr: is the header of a pair and needs p\.img"):
        io.read(header)


def test_headers_of_other_formats_are_not_claimed(tmp_path: Path) -> None:
    (tmp_path / "a.hdr").write_text("ENVI\nsamples = 4\n")
    (tmp_path / "a.img").write_bytes(bytes(999))
    packed = tmp_path / "b.gz"
    packed.write_bytes(gzip.compress(bytes(999)))
    for path in (tmp_path / "a.hdr", tmp_path / "a.img", packed):
        assert not io.recognised(path)
        with pytest.raises(HushError, match=r"is not a file hush can read|is an archive"):
            io.read(path)


# -- NIfTI: what is refused --------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_file_that_is_cut_short(ending: str, share: float, tmp_path: Path) -> None:
    """One sentence, and no output."""
    source = nifti(tmp_path / f"a{ending}", values((20, 20, 10, 4)))
    raw = source.read_bytes()
    source.write_bytes(raw[: int(share * len(raw))])
    with pytest.raises(HushError, match=r"cut short|not a file hush can read") as refused:
        api.run(source, method="none", into=tmp_path / f"b{ending}")
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == [source]


def test_a_damaged_file_is_not_unpacked(tmp_path: Path) -> None:
    """A header that promises far more than the file can hold; a wrong checksum."""
    fields = {"dim": [4, 30000, 30000, 300, 9, 1, 1, 1]}
    with pytest.raises(HushError, match="cut short or damaged"):
        io.read(nifti(tmp_path / "a.nii.gz", values(), fields=fields))
    with pytest.raises(HushError, match="holds 1680 of"):
        io.read(nifti(tmp_path / "b.nii", values(), fields=fields))
    source = nifti(tmp_path / "c.nii.gz", values())
    raw = bytearray(source.read_bytes())
    raw[-6] ^= 1
    source.write_bytes(raw)
    with pytest.raises(HushError, match="cut short or damaged"):
        io.read(source)


@pytest.mark.parametrize(
    ("dtype", "says"),
    [
        ("c8", "split them into magnitude and phase"),
        (np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]), "holds colours"),
    ],
)
def test_other_values_are_refused(dtype: Any, says: str, tmp_path: Path) -> None:
    nib.Nifti1Image(np.zeros((4, 4, 4), dtype), np.eye(4)).to_filename(tmp_path / "a.nii")
    with pytest.raises(HushError, match=says):
        io.read(tmp_path / "a.nii")


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (Record(np.zeros((4, 5, 3), "u1"), "YXS"), "no colours"),
        (Record(np.zeros((4, 5), "f2"), "YX"), "hold no float16 values"),
        (Record(np.zeros((4, 5), "f4"), "NC", kind="points"), "hold volumes"),
    ],
)
@pytest.mark.parametrize("ending", [".nii", ".nrrd"])
def test_what_a_file_cannot_hold(record: Record, says: str, ending: str, tmp_path: Path) -> None:
    with pytest.raises(HushError, match=says):
        io.write(record, tmp_path / f"a{ending}")
    assert not list(tmp_path.iterdir())


# -- gradients ---------------------------------------------------------------------------------


def series(folder: Path, name: str = "dwi.nii.gz") -> Path:
    return nifti(folder / name, values())


def row(numbers: Sequence[float] | np.ndarray, between: str = " ") -> str:
    return between.join(f"{x:g}" for x in numbers)


def table(x: np.ndarray, between: str = " ", end: str = "\n") -> str:
    return "".join(row(line, between) + end for line in x)


@pytest.mark.parametrize(
    "bval", [row(BVALS), row(BVALS) + "\n\n", row(BVALS, "\n"), row(BVALS, ", "), row(BVALS, "\t")]
)
@pytest.mark.parametrize(
    "bvec",
    [
        table(BVECS),
        table(BVECS.T),
        table(BVECS.T, "  ", " \r\n"),
        table(BVECS, ","),
        "\ufeff" + table(BVECS.T, "\t"),
    ],
)
def test_rows_and_columns_of_gradients(bval: str, bvec: str, tmp_path: Path) -> None:
    """However they are laid out, they are read, and copied byte for byte."""
    source, out = series(tmp_path), tmp_path / "out"
    (tmp_path / "dwi.bval").write_text(bval, newline="")
    (tmp_path / "dwi.bvec").write_text(bvec, newline="", encoding="utf-8")
    record = io.read(source)
    np.testing.assert_array_equal(record.context["bvals"], BVALS)
    np.testing.assert_array_equal(record.context["bvecs"], BVECS)
    written_again(source, out / "clean.nii.gz")
    assert {p.name for p in out.iterdir()} == {"clean.bval", "clean.bvec", "clean.nii.gz"}
    for ending in ("bval", "bvec"):
        copied = (out / f"clean.{ending}").read_bytes()
        assert copied == (tmp_path / f"dwi.{ending}").read_bytes()


def test_three_directions_are_rows_as_fsl_writes_them() -> None:
    x = np.arange(9.0).reshape(3, 3)
    np.testing.assert_array_equal(gradients.directions(table(x).encode(), 3), x.T)


@pytest.mark.parametrize(
    ("image", "bval", "bvec"),
    [
        ("dwi.nii.gz", "dwi.bval", "dwi.bvec"),
        ("dwi.nii.gz", "dwi.bvals", "dwi.bvecs"),
        ("b1k_slices_24_38.nii.gz", "b1k.bval", "b1k.bvec"),
        ("dwi.clean.nii", "dwi.bval", "dwi.bvec"),
        ("data.nii.gz", "bvals", "bvecs"),
        ("data.nii.gz", "other.bval", "other.bvec"),
    ],
)
def test_where_gradients_are_found(image: str, bval: str, bvec: str, tmp_path: Path) -> None:
    source = series(tmp_path, image)
    (tmp_path / bval).write_text(row(BVALS))
    (tmp_path / bvec).write_text(table(BVECS.T))
    record = io.read(source)
    np.testing.assert_array_equal(record.context["bvals"], BVALS)
    np.testing.assert_array_equal(record.context["bvecs"], BVECS)
    assert record.meta["notes"] == []


def test_gradients_of_other_images_are_not_used(tmp_path: Path) -> None:
    """Those of another count, several other pairs, and any beside a single volume."""
    source = series(tmp_path)
    (tmp_path / "other.bval").write_text(row(BVALS[:3]))
    assert io.read(source).context.keys() == {"affine", "spacing"}
    for name in ("other", "another"):
        (tmp_path / f"{name}.bval").write_text(row(BVALS))
    record = io.read(source)
    assert "bvals" not in record.context
    assert record.meta["notes"] == []
    (tmp_path / "bvals").write_text(row(BVALS))
    assert "bvals" in io.read(source).context
    assert "bvals" not in io.read(nifti(tmp_path / "t1.nii", values((4, 5, 6)))).context


@pytest.mark.parametrize(
    ("bval", "bvec", "has", "says"),
    [
        (row(BVALS[:3]), table(BVECS.T), set(), "dwi.bval holds 3 b-values for 4 volumes"),
        ("none", table(BVECS.T), set(), "dwi.bval is not a table of numbers"),
        (row(-BVALS), table(BVECS.T), set(), "negative or not finite"),
        (row(BVALS), table(BVECS[:3].T), {"bvals"}, "dwi.bvec holds 3 × 3 numbers, and not 3"),
        (row(BVALS), "1 2\n3\n4", {"bvals"}, "uneven rows"),
    ],
)
def test_gradients_that_do_not_fit_are_said(
    bval: str, bvec: str, has: set[str], says: str, tmp_path: Path
) -> None:
    """The image is read without them."""
    source = series(tmp_path)
    (tmp_path / "dwi.bval").write_text(bval)
    (tmp_path / "dwi.bvec").write_text(bvec)
    record = io.read(source)
    assert record.context.keys() & {"bvals", "bvecs"} == has
    (note,) = record.meta["notes"]
    assert says in note
    assert note in api.run(source, method="none").notes


def test_foreign_files_are_never_replaced(tmp_path: Path) -> None:
    source, out = series(tmp_path), tmp_path / "out"
    (tmp_path / "dwi.bval").write_text(row(BVALS))
    out.mkdir()
    (out / "dwi.bval").write_text("another series")
    with pytest.raises(HushError, match=r"dwi\.bval already exists"):
        written_again(source, out / "dwi.nii.gz")
    assert [p.name for p in out.iterdir()] == ["dwi.bval"]
    (out / "dwi.bval").write_text(row(BVALS))  # the same table
    before = (out / "dwi.bval").stat().st_ino
    written_again(source, out / "dwi.nii.gz")
    assert (out / "dwi.bval").stat().st_ino == before
    assert (tmp_path / "dwi.bval").read_text() == row(BVALS)


def test_other_numbers_are_written_as_text(tmp_path: Path) -> None:
    source = series(tmp_path)
    (tmp_path / "dwi.bval").write_text(row(BVALS))
    record = read(source, context={"bvals": BVALS * 2, "bvecs": BVECS})
    io.write(record, tmp_path / "b.nii")
    back = io.read(tmp_path / "b.nii")
    np.testing.assert_array_equal(back.context["bvals"], BVALS * 2)
    np.testing.assert_array_equal(back.context["bvecs"], BVECS)


def test_directions_in_space_and_back() -> None:
    """FSL's first axis is reversed where the determinant is positive, whatever the rotation."""
    straight, along = np.diag([2.0, 3, 4, 1]), np.eye(3)
    np.testing.assert_allclose(gradients.from_space(along, straight), np.diag([-1, 1, 1]))
    mirrored = straight * [[-1], [1], [1], [1]]
    np.testing.assert_allclose(gradients.from_space(along, mirrored), np.diag([-1, 1, 1]))
    for affine in (AFFINE, AFFINE * [[-1], [1], [1], [1]]):
        back = gradients.to_space(gradients.from_space(BVECS[1:], affine), affine)
        np.testing.assert_allclose(back, BVECS[1:], atol=1e-12)


# -- folders -----------------------------------------------------------------------------------


def test_masks_in_a_folder_are_not_denoised(tmp_path: Path) -> None:
    for name in ("dwi.nii.gz", "t1.nii", "masked_brain.nii", "dwi_masked.nii.gz"):
        assert io.recognised(nifti(tmp_path / name, values()))
    for name in ("dwi_mask.nii.gz", "nodif_brain_mask.nii.gz", "a_mask_2.nii", "Mask.nii"):
        assert not io.recognised(nifti(tmp_path / name, values()))
    assert not io.recognised(tmp_path / "a.seg.nrrd")
    assert not io.recognised(tmp_path / "dwi.bval")


def test_names_of_results(tmp_path: Path) -> None:
    for name, made in [
        ("dwi.nii.gz", "dwi.denoised.nii.gz"),
        ("dwi.NII.GZ", "dwi.denoised.NII.GZ"),
        ("a.b.nii", "a.b.denoised.nii"),
        ("x.nrrd", "x.denoised.nrrd"),
        ("x.nhdr", "x.denoised.nhdr"),
    ]:
        assert io.output_path(tmp_path / name, kind="volume").name == made
    assert io.output_path(tmp_path / "x.tif", kind="volume").name == "x.denoised.tif"


# -- NRRD --------------------------------------------------------------------------------------

HEAD = (
    "NRRD0004\n# a comment\ntype: {type}\ndimension: 4\nspace: left-posterior-superior\n"
    "sizes: {sizes}\nspace directions: {directions}\nkinds: {kinds}\nendian: {endian}\n"
    'encoding: {encoding}\nspace origin: (1,2,3)\nspace units: "mm" "mm" "mm"\n'
    "measurement frame: (1,0,0) (0,1,0) (0,0,1)\n{more}custom:=kept : as it is\n"
)
PACK = {"raw": bytes, "gzip": gzip.compress, "bzip2": bz2.compress}


def nrrd_file(path: Path, x: np.ndarray, axes: str, encoding: str = "gzip", more: str = "") -> Path:
    """Write a file by its bytes alone, with the data beside a header."""
    directions = {"X": "(2,0,0)", "Y": "(0,0,3)", "Z": "(0,4,0)", "C": "none"}
    detached = path.suffix == ".nhdr"
    text = HEAD.format(
        type={"i2": "short", "f4": "float", "u1": "uchar"}[x.dtype.str[1:]],
        sizes=row(x.shape),
        directions=" ".join(directions[a] for a in axes),
        kinds=" ".join("list" if a == "C" else "domain" for a in axes),
        endian="big" if x.dtype.byteorder == ">" else "little",
        encoding=encoding,
        more=more + f"data file: {path.stem}.data\n" * detached,
    )
    raw = PACK[encoding](x.tobytes("F"))
    if detached:
        path.with_suffix(".data").write_bytes(raw)
    path.write_bytes(text.encode() + (b"" if detached else b"\n" + raw))
    return path


def head_of(path: Path) -> list[bytes]:
    """The lines of a header, without that on where the data are."""
    lines = path.read_bytes().split(b"\n\n")[0].splitlines()
    return [line for line in lines if not line.startswith(b"data file")]


@pytest.mark.parametrize("ending", [".nrrd", ".nhdr"])
@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2"])
@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<f4", "u1"])
@pytest.mark.parametrize("axes", ["XYZC", "CXYZ"])
def test_nrrd_files_come_back(
    ending: str, encoding: str, dtype: str, axes: str, tmp_path: Path
) -> None:
    """All lines of the header and all values, with the axes of the file."""
    x = values([SHAPE["XYZC".index(a)] for a in axes], dtype)
    source, target = nrrd_file(tmp_path / f"a{ending}", x, axes, encoding), tmp_path / f"b{ending}"
    record = io.read(source)
    assert (record.axes, record.kind, record.data.dtype) == (axes, "volume", x.dtype)
    np.testing.assert_array_equal(record.data, x)
    expected = np.array([[-2, 0, 0, -1], [0, 0, -4, -2], [0, 3, 0, 3], [0, 0, 0, 1]])
    np.testing.assert_array_equal(record.context["affine"], expected)
    assert record.context["spacing"] == (4, 3, 2)
    api.run(source, method="none", into=target)
    assert head_of(target) == head_of(source)
    back, _ = nrrd.read(str(target))
    np.testing.assert_array_equal(back, x)
    assert len(list(tmp_path.iterdir())) == (2 if ending == ".nrrd" else 4)
    other = tmp_path / ("c.nhdr" if ending == ".nrrd" else "c.nrrd")
    api.run(source, method="none", into=other)
    assert head_of(other) == head_of(source)
    np.testing.assert_array_equal(nrrd.read(str(other))[0], x)


def test_nrrd_text_and_maps(tmp_path: Path) -> None:
    x = values((3, 4, 5), "<i2")
    nrrd.write(str(tmp_path / "a.nrrd"), x, {"encoding": "text"})
    record = io.read(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(record.data, x)
    io.write(record, tmp_path / "b.nrrd")
    np.testing.assert_array_equal(nrrd.read(str(tmp_path / "b.nrrd"))[0], x)
    source = nrrd_file(tmp_path / "c.nrrd", values(), "XYZC")
    made = io.read(source)
    io.write(made.with_data(made.data.astype(np.float32)), tmp_path / "d.nrrd")
    back, header = nrrd.read(str(tmp_path / "d.nrrd"))
    np.testing.assert_array_equal(back, values().astype(np.float32))
    assert (header["type"], header["custom"]) == ("float", "kept : as it is")


@pytest.mark.parametrize(
    ("shape", "header", "axes"),
    [
        ((9, 8), {}, "XYZ"),
        ((9, 8, 7), {}, "XYZ"),
        ((9, 8, 7, 6), {}, "XYZC"),
        ((6, 9, 8, 7), {"kinds": ["vector", "domain", "domain", "domain"]}, "CXYZ"),
        ((6, 9, 8, 7), {"kinds": ["list", "space", "space", "space"]}, "CXYZ"),
        ((6, 9, 8, 7), {"spacings": [np.nan, 1, 2, 3]}, "CXYZ"),
        ((9, 8, 7, 6), {"kinds": ["domain", "domain", "domain", "time"]}, "XYZC"),
        ((6, 9, 8), {"kinds": ["list", "domain", "domain"]}, "CXYZ"),
    ],
)
def test_nrrd_axes(
    shape: tuple[int, ...], header: dict[str, Any], axes: str, tmp_path: Path
) -> None:
    x = values(shape)
    nrrd.write(str(tmp_path / "a.nrrd"), x, dict(header))
    record = io.read(tmp_path / "a.nrrd")
    assert record.axes == axes
    np.testing.assert_array_equal(record.data.squeeze(), x)
    io.write(record, tmp_path / "b.nrrd")
    np.testing.assert_array_equal(nrrd.read(str(tmp_path / "b.nrrd"))[0], x)


@pytest.mark.parametrize(
    ("kind", "says"),
    [("RGB-color", "colours"), ("complex", "magnitude"), ("3D-symmetric-matrix", "tensors")],
)
def test_nrrd_of_other_values(kind: str, says: str, tmp_path: Path) -> None:
    kinds_ = [kind, "domain", "domain", "domain"]
    nrrd.write(str(tmp_path / "a.nrrd"), values((3, 4, 5, 6)), {"kinds": kinds_})
    with pytest.raises(HushError, match=says):
        io.read(tmp_path / "a.nrrd")


def test_nrrd_gradients(tmp_path: Path) -> None:
    """A direction's length is the root of its share of the highest b-value."""
    vectors = [(0, 0, 0), (np.sqrt(0.5), 0, 0), (0, 1, 0), (0, 0.6, -0.8)]
    lines = [f"DWMRI_gradient_{i:04d}:={row(v)}\n" for i, v in enumerate(vectors)]
    more = "modality:=DWMRI\nDWMRI_b-value:=2000\n" + "".join(lines)
    record = io.read(nrrd_file(tmp_path / "a.nrrd", values(), "XYZC", more=more))
    np.testing.assert_allclose(record.context["bvals"], [0, 1000, 2000, 2000], rtol=1e-5)
    # X, Y and Z of the file lie along left, superior and posterior, which is left-handed
    expected = [[0, 0, 0], [1, 0, 0], [0, 0, 1], [0, -0.8, 0.6]]
    np.testing.assert_allclose(record.context["bvecs"], expected, atol=1e-12)
    less = "DWMRI_b-value:=2000\n" + lines[0] + lines[1] + lines[2] + "DWMRI_NEX_0002:=2\n"
    repeated = io.read(nrrd_file(tmp_path / "b.nrrd", values(), "XYZC", more=less))
    np.testing.assert_allclose(repeated.context["bvals"], [0, 1000, 2000, 2000], rtol=1e-5)
    short = io.read(
        nrrd_file(tmp_path / "c.nrrd", values(), "XYZC", more=less.partition("DWMRI_NEX")[0])
    )
    assert "bvals" not in short.context


def test_nrrd_that_is_cut_short_or_alone(tmp_path: Path) -> None:
    source = nrrd_file(tmp_path / "a.nhdr", values(), "XYZC")
    data = source.with_suffix(".data")
    raw = data.read_bytes()
    data.unlink()
    with pytest.raises(HushError, match=r"is a header and needs a\.data beside it"):
        io.read(source)
    data.write_bytes(raw[:-9])
    with pytest.raises(HushError, match="is cut short"):
        io.read(source)
    for encoding in PACK:
        path = nrrd_file(tmp_path / "b.nrrd", values(), "XYZC", encoding)
        whole = path.read_bytes()
        for left in (40, 300, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:left])
            with pytest.raises(HushError) as refused:
                io.read(path)
            assert "\n" not in str(refused.value)


def test_a_header_is_not_written_over_foreign_data(tmp_path: Path) -> None:
    source = nrrd_file(tmp_path / "a.nhdr", values(), "XYZC")
    (tmp_path / "b.raw.gz").write_bytes(b"not ours")
    with pytest.raises(HushError, match="already exists"):
        api.run(source, method="none", into=tmp_path / "b.nhdr")
    assert (tmp_path / "b.raw.gz").read_bytes() == b"not ours"


@pytest.mark.parametrize(("module", "name"), [("nibabel", "a.nii"), ("nrrd", "a.nrrd")])
def test_a_missing_package_is_named(
    module: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Record(values((5, 6, 7)), "ZYX", kind="volume")
    io.write(record, tmp_path / name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(HushError, match=r"pip install .*\[medical\]'"):
        io.read(tmp_path / name)


# -- from one format to another ----------------------------------------------------------------


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".nhdr"])
@pytest.mark.parametrize("axes", ["ZYX", "CZYX", "XYZ", "YXZC", "IYX", "QZYX"])
def test_records_of_other_formats(ending: str, axes: str, tmp_path: Path) -> None:
    """Values and places, in the usual order of the format."""
    lengths = dict(zip("XYZC", SHAPE, strict=True)) | {"I": 5, "Q": 3}
    x = values([lengths[a] for a in axes])
    context = {"affine": AFFINE, "spacing": (2.5, 2.02, 2.02)}
    record = Record(x, axes, kind="volume", context=context)
    io.write(record, tmp_path / f"a{ending}")
    back = io.read(tmp_path / f"a{ending}")
    named = axes.replace("I", "Z").replace("Q", "C")
    np.testing.assert_array_equal(
        kinds.to_batch(back).data, kinds.to_batch(replace(record, axes=named)).data
    )
    np.testing.assert_allclose(back.context["affine"], AFFINE, atol=1e-6)


def test_gradients_from_one_format_to_another(tmp_path: Path) -> None:
    source = series(tmp_path)
    (tmp_path / "dwi.bval").write_text(row(BVALS))
    (tmp_path / "dwi.bvec").write_text(table(BVECS.T))
    record = io.read(source)
    io.write(record, tmp_path / "a.nrrd")
    back = io.read(tmp_path / "a.nrrd")
    np.testing.assert_allclose(back.context["bvals"], BVALS)
    np.testing.assert_allclose(back.context["bvecs"], np.nan_to_num(BVECS), atol=1e-6)
    np.testing.assert_allclose(back.context["affine"], record.context["affine"], atol=1e-6)
    io.write(back, tmp_path / "b.nii.gz")
    again = io.read(tmp_path / "b.nii.gz")
    np.testing.assert_array_equal(again.data, record.data)
    np.testing.assert_allclose(again.context["bvals"], BVALS)
    np.testing.assert_allclose(again.context["bvecs"], np.nan_to_num(BVECS), atol=1e-6)


def test_an_axis_too_long_for_the_first_version(tmp_path: Path) -> None:
    x = values((1, 1, 40_000))
    io.write(Record(x, "ZYX", kind="volume"), tmp_path / "a.nii.gz")
    assert isinstance(nib.load(tmp_path / "a.nii.gz"), nib.Nifti2Image)
    np.testing.assert_array_equal(io.read(tmp_path / "a.nii.gz").data, x.T)


def test_sizes_of_voxels_without_an_orientation(tmp_path: Path) -> None:
    record = Record(values((5, 6, 7)), "ZYX", kind="volume", context={"spacing": (4, 3, 2)})
    for ending in (".nii", ".nrrd"):
        io.write(record, tmp_path / f"a{ending}")
        assert io.read(tmp_path / f"a{ending}").context["spacing"] == (4, 3, 2)
    header = nib.load(tmp_path / "a.nii").header
    assert (int(header["qform_code"]), int(header["sform_code"])) == (0, 0)


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.tif"])
def test_stacks_are_volumes_if_the_user_says_so(name: str, tmp_path: Path) -> None:
    x = values((6, 20, 24), "<u2")
    io.write(Record(x, "QYX"), tmp_path / name)
    record = read(tmp_path / name, kind="volume")
    assert (record.kind, record.axes) == ("volume", "ZYX")
    api.run(record, method="none", into=tmp_path / "y.nii.gz")
    np.testing.assert_array_equal(np.asarray(nib.load(tmp_path / "y.nii.gz").dataobj), x.T)
    target = io.output_path(tmp_path / name, kind="volume")
    assert target.suffix == Path(name).suffix
    api.run(record, method="none", into=target)
    np.testing.assert_array_equal(io.read(target).data, x)


def test_stacks_of_stacks(tmp_path: Path) -> None:
    x = values((4, 6, 20, 24), "<u2")
    io.write(Record(x, "IQYX"), tmp_path / "x.tif")
    assert read(tmp_path / "x.tif", kind="volume").axes == "CZYX"
    io.write(Record(x[0, 0], "YX"), tmp_path / "flat.tif")
    with pytest.raises(HushError, match="'YX' lacks Z"):
        read(tmp_path / "flat.tif", kind="volume")


@pytest.mark.parametrize(("scale", "says"), [((0.5, 100), "times 0.5 plus 100"), ((1, 0), "")])
def test_nrrd_says_what_its_values_mean(
    scale: tuple[float, float], says: str, tmp_path: Path
) -> None:
    """NRRD knows no slope and no intercept, which another file may have."""
    image = nib.Nifti1Image(values((4, 5, 6)), np.eye(4))
    image.header.set_slope_inter(*scale)
    nib.save(image, tmp_path / "a.nii.gz")
    notes = io.notes(io.read(tmp_path / "a.nii.gz"), tmp_path / "b.nrrd")
    assert says in notes[0] if says else not notes


@pytest.mark.parametrize("dtype", ["<i2", ">u1", "<i4", "<f4"])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_negative_slope(dtype: str, ending: str, tmp_path: Path) -> None:
    """The brightest voxels have the lowest stored values: they are read in real units, in which no
    magnitude is negative, and written back as they were."""
    x = np.abs(values(dtype=dtype).astype(np.float64)).clip(0, 2000).astype(dtype)
    image = nib.Nifti1Image(x, AFFINE)
    image.header.set_slope_inter(-0.5, 1000)
    nib.save(image, tmp_path / f"a{ending}")
    record = io.read(tmp_path / f"a{ending}")
    assert record.data.min() >= 0
    assert not record.context.keys() & {"zero", "slope"}
    np.testing.assert_allclose(record.data, nib.load(tmp_path / f"a{ending}").get_fdata())
    io.write(record, tmp_path / f"b{ending}")
    back = nib.load(tmp_path / f"b{ending}")
    assert back.header.binaryblock == nib.load(tmp_path / f"a{ending}").header.binaryblock
    np.testing.assert_array_equal(back.dataobj.get_unscaled(), x)
    with io.opened(record, tmp_path / f"c{ending}") as file:  # not in place
        assert file is None


def test_maps_of_scaled_values_are_in_the_files_unit(tmp_path: Path) -> None:
    """A map of stored values gets the slope, and no intercept: it is a difference or a level."""
    rng = np.random.default_rng(0)
    image = nib.Nifti1Image(rng.integers(100, 400, (24, 20, 3)).astype(np.int16), np.eye(4))
    image.header.set_slope_inter(0.25, 10)
    nib.save(image, tmp_path / "a.nii.gz")
    words = ["denoise", "a.nii.gz", "-o", "b.nii.gz", "--residual", "r.nii.gz"]
    result = CliRunner().invoke(main, [str(tmp_path / w) if "." in w else w for w in words])
    assert result.exit_code == 0, result.output
    assert "each is 0.25 in the file's unit" in " ".join(result.output.split())
    before, after, removed = (nib.load(tmp_path / f"{n}.nii.gz") for n in "abr")
    assert (removed.dataobj.slope, removed.dataobj.inter) == (0.25, 0)
    np.testing.assert_allclose(
        removed.get_fdata(), before.get_fdata() - after.get_fdata(), atol=1e-4
    )
