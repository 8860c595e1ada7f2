"""DICOM series, enhanced DICOM and folders of slices: what is one volume, and what comes back."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pydicom
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import hush
from hush import io
from hush.cli import main
from hush.errors import HushError
from hush.reading import read

AXIAL = (1, 0, 0, 0, 1, 0)
CORONAL = (1, 0, 0, 0, 0, -1)
SAGITTAL = (0, 1, 0, 0, 0, -1)
TILTED = (*np.round([np.cos(0.3), np.sin(0.3), 0], 9).tolist(), 0, 0, -1)


def run(*arguments: str | Path) -> Result:
    """A command line in this process."""
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result


def image(values: np.ndarray, **header: Any) -> pydicom.Dataset:
    """A DICOM image as a scanner makes it."""
    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    ds.SOPClassUID = pydicom.uid.MRImageStorage
    ds.SeriesInstanceUID, ds.StudyInstanceUID = "1.2", "1"
    ds.SeriesNumber, ds.SeriesDescription = 5, "t1 tse"
    ds.PatientName, ds.Modality, ds.PixelSpacing = "Doe^Jane", "MR", [0.5, 0.25]
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    ds.private_block(0x11, "HUSH TEST", create=True).add_new(1, "LO", "a vendor's note")
    ds.Rows, ds.Columns = values.shape[-2:]
    if values.ndim == 3:
        ds.NumberOfFrames = len(values)
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.PixelRepresentation = 16, int(values.dtype.kind == "i")
    ds.BitsStored, ds.HighBit = 12, 11
    ds.PixelData = values.tobytes()
    ds["PixelData"].VR = "OW"
    for keyword, value in header.items():
        setattr(ds, keyword, value)
    return ds


def place(along: Sequence[float], height: float) -> list[float]:
    """The corner of a slice at some height along its normal, away from the origin."""
    normal = np.cross(along[:3], along[3:])
    corner = np.array([-3.0, 4.0, 7.0])
    return np.round(corner + (height - corner @ normal) * normal, 9).tolist()


def slices(
    folder: Path,
    heights: Sequence[float],
    along: Sequence[float] = AXIAL,
    series: str = "1.2",
    each: Callable[[int], dict[str, Any]] = lambda i: {},
    **header: Any,
) -> np.ndarray:
    """Write a slice at each height, named so that no order of names is that of the heights."""
    folder.mkdir(exist_ok=True, parents=True)
    start = len(list(folder.iterdir()))
    x = np.random.default_rng(start).integers(0, 4096, (len(heights), 6, 8)).astype(np.uint16)
    for i, (values, height) in enumerate(zip(x, heights, strict=True)):
        ds = image(
            values,
            ImagePositionPatient=place(along, height),
            ImageOrientationPatient=list(along),
            **{
                "InstanceNumber": i + 1,
                "SOPInstanceUID": f"{series}.{start + i + 1}",
                "SeriesInstanceUID": series,
                **header,
                **each(i),
            },
        )
        ds.save_as(folder / f"IM{(start + i) * 7 % 23}", enforce_file_format=True)
    return x


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# -- order and place ---------------------------------------------------------------------------


@pytest.mark.parametrize("along", [AXIAL, CORONAL, SAGITTAL, TILTED])
def test_slices_are_ordered_by_their_place(along: Sequence[float], tmp_path: Path) -> None:
    """Along the normal; names and instance numbers say nothing. The affine finds every slice."""
    heights = [9.0, -3.0, 0.0, 6.0, 3.0]
    x = slices(tmp_path / "scan", heights, along)
    record = read(tmp_path / "scan")
    assert (record.axes, record.kind, record.full) == ("ZYX", "volume", 4095)
    order = np.argsort(heights)
    np.testing.assert_array_equal(record.data, x[order])
    assert record.context["spacing"] == pytest.approx((3, 0.5, 0.25))
    assert "adjacent" not in record.context
    for z, i in enumerate(order):
        row, column = np.array(along[:3]), np.array(along[3:])
        lps = np.array(place(along, heights[i])) + 2 * 0.25 * row + 3 * 0.5 * column
        found = record.context["affine"] @ [2, 3, z, 1]
        np.testing.assert_allclose(found[:3], lps * [-1, -1, 1], atol=1e-6)


def test_a_folder_is_a_series_only_if_its_own_files_are_one(tmp_path: Path) -> None:
    slices(tmp_path / "study" / "scan", [0, 1])
    (tmp_path / "study" / "scan" / "notes.txt").write_text("hello")
    slices(tmp_path / "single", [0])
    slices(tmp_path / "others", [0], series="1.3")
    slices(tmp_path / "others", [1], series="1.4")
    whole = [p.name for p in (tmp_path / "study", *tmp_path.iterdir()) if io.folder_format(p)]
    assert whole == []
    assert io.folder_format(tmp_path / "study" / "scan").name == "DICOM series"  # type: ignore[union-attr]
    assert io.folder_format(tmp_path / "study" / "scan", "image") is None
    assert read(tmp_path / "single", kind="volume").data.shape == (1, 6, 8)
    with pytest.raises(HushError, match="is a folder; give the files in it"):
        io.read(tmp_path / "single")


def test_a_copy_of_a_file_counts_once(tmp_path: Path) -> None:
    x = slices(tmp_path / "scan", [0, 1, 2])
    (tmp_path / "scan" / "copy").write_bytes((tmp_path / "scan" / "IM7").read_bytes())
    record = read(tmp_path / "scan")
    np.testing.assert_array_equal(record.data, x)
    assert record.meta["notes"] == ["1 file is a copy of another one of this series and left out."]


def test_reused_identifiers_make_no_copies(tmp_path: Path) -> None:
    """Tools that remove names often give every file the same identifier."""
    x = slices(tmp_path / "scan", [0, 1, 2], each=lambda i: {"SOPInstanceUID": "1.2.3"})
    np.testing.assert_array_equal(read(tmp_path / "scan").data, x)


def test_missing_slices_are_said_and_far_ones_are_no_neighbours(tmp_path: Path) -> None:
    slices(tmp_path / "gap", [0, 2, 4, 8, 10])
    record = read(tmp_path / "gap")
    assert record.meta["notes"] == [
        "The slices are uneven, 2 to 4 mm apart; 1 seems to be missing."
    ]
    assert record.context["adjacent"] is False
    slices(tmp_path / "bent", [0, 2, 4, 6.5])
    record = read(tmp_path / "bent")
    assert record.meta["notes"] == ["The slices are uneven, 2 to 2.5 mm apart."]
    assert "adjacent" not in record.context


# -- series of volumes -------------------------------------------------------------------------


def weighted(i: int) -> dict[str, Any]:
    """Three weightings of each of two slices; the directions have no order of their own."""
    direction = ([0.0, 0.0, 0.0], [0.0, 0.6, 0.8], [1.0, 0.0, 0.0])[i % 3]
    about = {"DiffusionBValue": float((0, 1000, 995)[i % 3])}
    return {**about, **({"DiffusionGradientOrientation": direction} if i % 3 else {})}


def test_diffusion_weightings_are_volumes(tmp_path: Path) -> None:
    heights = [0, 0, 0, 2, 2, 2]
    x = slices(tmp_path / "dwi", heights, each=weighted)
    record = read(tmp_path / "dwi")
    assert record.axes == "CZYX"
    np.testing.assert_array_equal(record.data, x.reshape(2, 3, 6, 8).transpose(1, 0, 2, 3))
    assert record.context["bvals"].tolist() == [0, 1000, 995]
    # in the frame of .bvec files: along the axes of the image, the first one against X
    expected = np.array([[0, 0, 0], [0, 0.6, 0.8], [-1, 0, 0]])
    np.testing.assert_allclose(record.context["bvecs"], expected, atol=1e-9)


def test_weightings_in_another_order_at_every_slice_are_sorted(tmp_path: Path) -> None:
    """As of scanners that change the order from slice to slice; repeats keep theirs."""
    b = [0, 1000, 1000, 1000, 0, 1000]
    x = slices(
        tmp_path / "dwi", [0, 0, 0, 2, 2, 2], each=lambda i: {"DiffusionBValue": float(b[i])}
    )
    record = read(tmp_path / "dwi")
    assert record.context["bvals"].tolist() == [0, 1000, 1000]
    np.testing.assert_array_equal(record.data[:, 0], x[:3])
    np.testing.assert_array_equal(record.data[:, 1], x[[4, 3, 5]])


@pytest.mark.parametrize("vendor", ["SIEMENS MR HEADER", "Philips Imaging DD 001"])
def test_weightings_in_vendors_elements(vendor: str, tmp_path: Path) -> None:
    slices(tmp_path / "dwi", [0, 0, 2, 2])
    for path in (tmp_path / "dwi").iterdir():
        ds = pydicom.dcmread(path)
        b = (0, 800)[(ds.InstanceNumber - 1) % 2]
        if vendor.startswith("S"):
            block = ds.private_block(0x19, vendor, create=True)
            block.add_new(0x0C, "IS", b)
            block.add_new(0x0E, "FD", [0.0, 1.0, 0.0])
        else:
            ds.private_block(0x2001, vendor, create=True).add_new(3, "FL", float(b))
            block = ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
            for k, value in zip((0xB0, 0xB1, 0xB2), (0.0, 1.0, 0.0), strict=True):
                block.add_new(k, "FL", value)
        ds.save_as(path)
    context = read(tmp_path / "dwi").context
    assert context["bvals"].tolist() == [0, 800]
    np.testing.assert_allclose(context["bvecs"][1], [0, 1, 0])


def test_time_points_are_volumes_in_their_order(tmp_path: Path) -> None:
    x = slices(
        tmp_path / "fmri",
        [0, 2, 0, 2, 0, 2],
        each=lambda i: {"TemporalPositionIdentifier": 3 - i // 2},
    )
    record = read(tmp_path / "fmri")
    np.testing.assert_array_equal(record.data, x.reshape(3, 2, 6, 8)[::-1])
    assert "bvals" not in record.context


def test_a_volume_with_a_missing_slice_is_refused(tmp_path: Path) -> None:
    slices(tmp_path / "dwi", [0, 0, 2, 2, 4])
    with pytest.raises(HushError, match=r"holds 1 to 2 slices at each of 3 positions, .* image$"):
        read(tmp_path / "dwi")


# -- several series ----------------------------------------------------------------------------


def test_unlike_slices_are_never_stacked(tmp_path: Path) -> None:
    """A localiser of three orientations under one series, and another series beside it."""
    scan, parts = tmp_path / "scan", {}
    parts["axial"] = slices(scan, [0, 5], AXIAL)
    parts["coronal"] = slices(scan, [0, 5, 10], CORONAL)
    with pytest.raises(HushError) as refused:
        read(scan)
    assert str(refused.value) == (
        f"{scan}: holds one series of unlike slices (5/axial t1 tse: 2 axial slices, 5/coronal t1 "
        "tse: 3 coronal slices); choose one with --series, or --kind image denoises every file by "
        "itself"
    )
    for name, expected in parts.items():
        record = read(scan, context={"series": f"5/{name}"})
        np.testing.assert_array_equal(record.data, expected)
    slices(scan, [0, 1], series="1.7.9", SeriesNumber=6, SeriesDescription="flair")
    with pytest.raises(HushError, match=r"holds 2 series .*; 6 flair: 2 axial slices"):
        read(scan)
    for name in ("6", "1.7.9", "Flair"):
        record = read(scan, context={"series": name})
        assert len(record.data) == 2
        assert record.meta["notes"] == [
            "5 slices are of another series or orientation and not in the result."
        ]
    with pytest.raises(HushError, match="no series '7'; choose from 5/axial, 5/coronal, 6"):
        read(scan, context={"series": "7"})


@pytest.mark.parametrize(
    "header",
    [
        {"PixelSpacing": [0.5, 0.5]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "P"]},
        {"ImageType": ["DERIVED", "PRIMARY", "M"]},
    ],
)
def test_slices_of_another_sort_are_apart(header: dict[str, Any], tmp_path: Path) -> None:
    """Phase beside magnitude, or maps that the scanner derived, are no volumes of a series."""
    slices(tmp_path / "scan", [0, 1, 2])
    slices(tmp_path / "scan", [0, 1, 2], **header)
    with pytest.raises(HushError, match="5/axial/1 t1 tse: 3 axial slices, 5/axial/2 t1 tse: 3"):
        read(tmp_path / "scan")
    assert read(tmp_path / "scan", context={"series": "5/axial/2"}).data.shape == (3, 6, 8)


def test_rotating_projections_are_no_volume(tmp_path: Path) -> None:
    for k in range(3):
        slices(tmp_path / "mip", [0], (np.cos(k), np.sin(k), 0, 0, 0, -1), SeriesNumber=700)
    with pytest.raises(HushError, match=r"700 t1 tse: 3 slices of unlike orientation .* none with"):
        read(tmp_path / "mip")
    with pytest.raises(HushError, match="series 700 is no volume, because its slices are not par"):
        read(tmp_path / "mip", context={"series": "700"})
    result = run("denoise", tmp_path / "mip", "-o", tmp_path / "out", "--method", "none")
    assert (result.exit_code, (tmp_path / "out").exists()) == (1, False)


def test_series_of_one_number_are_named_by_their_identifiers(tmp_path: Path) -> None:
    slices(tmp_path / "scan", [0, 1], series="1.2.30")
    x = slices(tmp_path / "scan", [0, 1], series="1.2.31")
    with pytest.raises(HushError, match=r"\(30 t1 tse: 2 axial slices; 31 t1 tse: 2"):
        read(tmp_path / "scan", context={"series": "5"})
    np.testing.assert_array_equal(read(tmp_path / "scan", context={"series": "2.31"}).data, x)


def test_the_option_is_refused_where_nothing_takes_it(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 6, 8), np.float32))
    with pytest.raises(HushError, match="this format takes no --series; leave it out"):
        read(tmp_path / "a.npy", context={"series": "5"})


# -- writing -----------------------------------------------------------------------------------


def test_what_is_written_is_the_series_again(tmp_path: Path) -> None:
    """Same names, pixels and elements; derived images of one new series."""
    scan, out = tmp_path / "scan", tmp_path / "deep" / "clean"
    slices(scan, [4, 0, 2])
    before = tree(scan)
    result = run("denoise", scan, "-o", f"{out}/", "--method", "none")
    assert (result.exit_code, tree(scan)) == (0, before)
    assert sorted(p.name for p in out.iterdir()) == sorted(p.name for p in scan.iterdir())
    fresh = set()
    for path in scan.iterdir():
        old, new = pydicom.dcmread(path), pydicom.dcmread(out / path.name)
        np.testing.assert_array_equal(new.pixel_array, old.pixel_array)
        assert new.ImageType == ["DERIVED", "SECONDARY", "M"]
        assert new.SourceImageSequence[0].ReferencedSOPInstanceUID == old.SOPInstanceUID
        changed = {"ImageType", "SOPInstanceUID", "SeriesInstanceUID", "PixelData"}
        added = {"SourceImageSequence", "DerivationDescription"}
        assert [e for e in old if e.keyword not in changed] == [
            e for e in new if e.keyword not in changed | added
        ]
        assert new.SOPInstanceUID != old.SOPInstanceUID
        fresh |= {("series", new.SeriesInstanceUID), ("image", new.SOPInstanceUID)}
    assert sum(what == "series" for what, _ in fresh) == 1
    assert sum(what == "image" for what, _ in fresh) == 3
    assert ("series", "1.2") not in fresh
    again = read(out)
    np.testing.assert_array_equal(again.data, read(scan).data)
    assert again.context["spacing"] == read(scan).context["spacing"]


def test_the_result_of_a_folder_is_beside_it_or_another_file(tmp_path: Path) -> None:
    slices(tmp_path / "scan", [0, 1, 2])
    assert run("denoise", tmp_path / "scan", "--method", "none").exit_code == 0
    assert len(list((tmp_path / "scan.denoised").iterdir())) == 3
    run("denoise", tmp_path / "scan", "-o", tmp_path / "a.npy", "--method", "none")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), read(tmp_path / "scan").data)
    held = run("denoise", tmp_path / "scan", "-o", tmp_path / "a.dcm", "--method", "none")
    assert "written into a folder; give its name" in held.stderr
    result = run(
        "denoise", tmp_path, "-o", tmp_path / "all", "--method", "none", "--kind", "volume"
    )
    assert result.exit_code == 0  # every series in a folder, but no earlier result
    assert {p.name for p in (tmp_path / "all").iterdir()} == {"scan", "a.npy"}


def test_a_folder_is_replaced_only_if_asked_and_if_it_is_a_result(tmp_path: Path) -> None:
    scan, out = tmp_path / "scan", tmp_path / "out"
    slices(scan, [0, 1, 2])
    out.mkdir()  # empty: nothing is lost
    arguments = ("denoise", scan, "-o", out, "--method", "none")
    assert run(*arguments).exit_code == 0
    made = tree(out)
    again = run(*arguments)
    assert (again.exit_code, tree(out)) == (1, made)
    assert "already exists; --overwrite replaces it" in again.stderr
    assert "skipped" in run(*arguments, "--skip-existing").stdout
    next(out.iterdir()).write_bytes(b"old")
    assert run(*arguments, "--overwrite").exit_code == 0
    assert tree(out) == made
    (out / "letter.txt").write_text("precious")
    refused = run(*arguments, "--overwrite")
    assert "holds other files; choose a new or empty folder" in refused.stderr
    assert tree(out) == {**made, "letter.txt": b"precious"}
    for place_, words in ((scan, "would replace the input"), (tmp_path, "holds the input")):
        refused = run("denoise", scan, "-o", place_, "--method", "none", "--overwrite")
        assert (refused.exit_code, words in refused.stderr) == (1, True)
    assert len(tree(scan)) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "scan"]


def test_a_failed_write_leaves_the_folder_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slices(tmp_path / "scan", [0, 1, 2])
    record = read(tmp_path / "scan")
    io.write(record, tmp_path / "out")
    made, save, calls = tree(tmp_path), io.dicom.save, []

    def full(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        save(*arguments)

    monkeypatch.setattr("hush.io.dicom.save", full)
    for name in ("out", "new"):
        calls.clear()
        with pytest.raises(HushError, match="the disk is full"):
            io.write(record, tmp_path / name)
        assert tree(tmp_path) == made
        assert not (tmp_path / "new").exists()
    monkeypatch.undo()
    replaced, calls = os.replace, []

    def broken(source: Path, target: Path) -> None:
        calls.append(1)
        if len(calls) == 2:  # the old folder is already moved away
            raise OSError(13, "Permission denied")
        replaced(source, target)

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(HushError, match="permission denied"):
        io.write(record, tmp_path / "out")
    assert tree(tmp_path) == made
    assert {p.name for p in tmp_path.iterdir()} == {"scan", "out"}


def test_an_empty_folder_is_filled_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is mounted cannot be renamed; a failure leaves it empty."""
    slices(tmp_path / "scan", [0, 1, 2])
    record, out = read(tmp_path / "scan"), tmp_path / "out"
    out.mkdir()
    moved, calls = os.replace, []

    def broken(source: Path, target: Path) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        moved(source, target)

    inode = out.stat().st_ino
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", broken)
        with pytest.raises(HushError, match="the disk is full"):
            io.write(record, out)
    assert list(out.iterdir()) == []
    io.write(record, out)
    assert len(list(out.iterdir())) == 3
    assert out.stat().st_ino == inode


def test_only_what_fits_is_written_as_a_series(tmp_path: Path) -> None:
    slices(tmp_path / "scan", [0, 1, 2])
    record = read(tmp_path / "scan")
    for change, words in (
        ({"data": record.data[:2]}, r"shape \(3, 6, 8\), not uint16 of \(2, 6, 8\)"),
        ({"data": record.data.astype("f4")}, "not float32"),
        ({"meta": {**record.meta, "slices": ()}}, "hold a volume"),
    ):
        with pytest.raises(HushError):
            io.check(replace(record, **{"data": record.data[:1], **change}), tmp_path / "out")
        if "data" in change:
            with pytest.raises(HushError, match=words):
                io.check(replace(record, **change), tmp_path / "out")
    with pytest.raises(HushError, match="hush does not know this kind of file"):
        io.write(hush.Record(record.data, "ZYX", kind="volume"), tmp_path / "out")


def test_each_file_stays_an_image_if_that_is_stated(tmp_path: Path) -> None:
    slices(tmp_path / "scan", [0, 1, 2])
    out = tmp_path / "out"
    result = run("denoise", tmp_path / "scan", "-o", out, "--method", "none", "--kind", "image")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 3
    assert {p.name for p in out.iterdir()} == {f"{p.name}.dcm" for p in tmp_path.glob("scan/*")}


# -- real units --------------------------------------------------------------------------------


def scaled(i: int) -> dict[str, Any]:
    return {"RescaleSlope": (0.5, 1.75, 3e-4)[i], "RescaleIntercept": (0, -12.5, 0.125)[i]}


def test_slices_of_unlike_scales_are_read_in_real_units(tmp_path: Path) -> None:
    """By each one's own slope and intercept; unchanged values keep their stored integers."""
    x = slices(tmp_path / "pet", [0, 1, 2], each=scaled)
    record = read(tmp_path / "pet")
    expected = [x[i] * scaled(i)["RescaleSlope"] + scaled(i)["RescaleIntercept"] for i in range(3)]
    np.testing.assert_allclose(record.data, expected, rtol=1e-6)
    assert record.data.dtype == np.float32
    assert record.full == pytest.approx(4095 * 1.75 + 12.5)
    assert "zero" not in record.context
    options = ("--method", "none", "--strength", "0")
    result = run("denoise", tmp_path / "pet", "-o", tmp_path / "out", *options)
    assert result.exit_code == 0
    for path in (tmp_path / "pet").iterdir():
        old, new = pydicom.dcmread(path), pydicom.dcmread(tmp_path / "out" / path.name)
        np.testing.assert_array_equal(new.pixel_array, old.pixel_array)
        assert (new.RescaleSlope, new.RescaleIntercept) == (old.RescaleSlope, old.RescaleIntercept)


def test_results_stay_in_the_bits_of_each_slice(tmp_path: Path) -> None:
    x = slices(tmp_path / "pet", [0, 1, 2], each=scaled)
    record = read(tmp_path / "pet")
    io.write(replace(record, data=record.data + np.float32(1)), tmp_path / "out")
    for path in (tmp_path / "pet").iterdir():
        new = pydicom.dcmread(tmp_path / "out" / path.name)
        i = new.InstanceNumber - 1
        expected = np.clip(np.rint(x[i] + 1 / scaled(i)["RescaleSlope"]), 0, 4095)
        np.testing.assert_array_equal(new.pixel_array, expected)


def test_fine_scales_are_read_with_double_precision(tmp_path: Path) -> None:
    x = slices(
        tmp_path / "scan",
        [0, 1],
        each=lambda i: {"RescaleSlope": 1, "RescaleIntercept": 1e9 + i},
    )
    record = read(tmp_path / "scan")
    assert record.data.dtype == np.float64
    io.write(record, tmp_path / "out")
    np.testing.assert_array_equal(read(tmp_path / "out").data, record.data)
    np.testing.assert_array_equal(record.data[1] - 1e9 - 1, x[1])


def test_one_scale_of_all_slices_keeps_stored_values(tmp_path: Path) -> None:
    """In MR the intercept says which of them means no signal; in CT 0 is water."""
    for modality, zero in (("MR", 1024), ("CT", None)):
        folder = tmp_path / modality
        x = slices(folder, [0, 1], Modality=modality, RescaleSlope=2, RescaleIntercept=-2048)
        record = read(folder)
        np.testing.assert_array_equal(record.data, x)
        assert record.context.get("zero") == zero
        io.write(record, out := tmp_path / f"{modality}.nii")
        real = nibabel.load(out).get_fdata()
        np.testing.assert_array_equal(np.moveaxis(real, (0, 1, 2), (2, 1, 0)), 2.0 * x - 2048)


# -- damaged and compressed files --------------------------------------------------------------


def test_a_slice_cut_short_gets_a_sentence_and_no_output(tmp_path: Path) -> None:
    slices(tmp_path / "scan", [0, 1, 2])
    path = tmp_path / "scan" / "IM7"
    path.write_bytes(path.read_bytes()[:-10])
    result = run("denoise", tmp_path / "scan", "-o", tmp_path / "out", "--method", "none")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "its file IM7 is" in result.stderr
    assert not (tmp_path / "out").exists()
    with pytest.raises(
        HushError, match="cut short or damaged: its pixels take 96 bytes, and it ho"
    ):
        io.read(path)


@pytest.mark.parametrize(
    ("syntax", "remedy"),
    [
        ("JPEG2000Lossless", "JPEG 2000 .*whose decoder is missing: .*pip install imagecodecs"),
        ("MPEG2MPML", "MPEG2 .*which neither pydicom nor imagecodecs decodes; convert it"),
    ],
)
def test_a_missing_decoder_is_named(
    syntax: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import imagecodecs

    monkeypatch.setattr(imagecodecs.JPEG2K, "available", False)
    slices(tmp_path / "scan", [0, 1])
    for path in (tmp_path / "scan").iterdir():
        ds = pydicom.dcmread(path)
        ds.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f\xff\x51" + bytes(60)])
        ds["PixelData"].is_undefined_length = True
        ds.file_meta.TransferSyntaxUID = getattr(pydicom.uid, syntax)
        ds.save_as(path)
    result = run("denoise", tmp_path / "scan", "-o", tmp_path / "out", "--method", "none")
    assert result.exit_code == 1
    assert not (tmp_path / "out").exists()
    with pytest.raises(HushError, match=f"its file IM0 is compressed as {remedy}"):
        read(tmp_path / "scan")


def test_big_endian_files_become_little_endian_ones(tmp_path: Path) -> None:
    values = np.arange(48, dtype=np.int16).reshape(6, 8) - 9
    ds = image(values, SOPInstanceUID="1.2.3")
    ds.private_block(0x13, "HUSH WORDS", create=True).add_new(1, "OW", b"\x12\x34\x56\x78")
    ds.BitsStored, ds.HighBit = 16, 15
    ds.PixelData = values.astype(">i2").tobytes()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
    ds.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    record = io.read(tmp_path / "a.dcm")
    np.testing.assert_array_equal(record.data, values)
    io.write(record, tmp_path / "b.dcm")
    old, new = pydicom.dcmread(tmp_path / "a.dcm"), pydicom.dcmread(tmp_path / "b.dcm")
    assert new.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
    np.testing.assert_array_equal(new.pixel_array, values)
    assert new[0x13, 0x1001].value == b"\x34\x12\x78\x56"
    assert (new.Rows, new.PixelSpacing) == (old.Rows, old.PixelSpacing)


def test_a_file_that_also_begins_as_tiff_is_dicom(tmp_path: Path) -> None:
    """The standard leaves the first 128 bytes to other formats (PS3.10 7.1)."""
    slices(tmp_path / "scan", [0])
    path = tmp_path / "scan" / "IM0"
    path.write_bytes(b"II*\0" + path.read_bytes()[4:])
    assert io.read(path).meta["format"] == "DICOM"


# -- enhanced files ----------------------------------------------------------------------------


def item(**elements: Any) -> pydicom.Dataset:
    ds = pydicom.Dataset()
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return ds


def enhanced(
    path: Path,
    heights: Sequence[float],
    alongs: Sequence[Sequence[float]] = (AXIAL,),
    pairs: Sequence[tuple[float, float]] = ((1, 0),),
    b: Sequence[float] | None = None,
) -> np.ndarray:
    """Write an enhanced MR file; `alongs` and `pairs` are repeated over the frames."""
    x = np.random.default_rng(1).integers(0, 4096, (len(heights), 6, 8)).astype(np.uint16)
    frames = []
    for i, height in enumerate(heights):
        along, (slope, intercept) = alongs[i % len(alongs)], pairs[i % len(pairs)]
        frame = item(
            PlanePositionSequence=[item(ImagePositionPatient=place(along, height))],
            PlaneOrientationSequence=[item(ImageOrientationPatient=list(along))],
            PixelValueTransformationSequence=[
                item(RescaleSlope=slope, RescaleIntercept=intercept, RescaleType="US")
            ],
        )
        if b is not None:
            towards = item(DiffusionGradientOrientation=[0.0, 0.0, 1.0])
            frame.MRDiffusionSequence = [
                item(DiffusionBValue=b[i], DiffusionGradientDirectionSequence=[towards])
            ]
        frames.append(frame)
    shared = item(PixelMeasuresSequence=[item(PixelSpacing=[0.5, 0.25], SliceThickness=2)])
    ds = image(
        x,
        SOPClassUID=pydicom.uid.EnhancedMRImageStorage,
        SOPInstanceUID="1.2.3",
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=frames,
    )
    del ds.PixelSpacing
    ds.save_as(path, enforce_file_format=True)
    return x


def test_frames_of_an_enhanced_file_are_slices(tmp_path: Path) -> None:
    """Each has its own scale and place; in the file that is written, all is where it was."""
    heights, pairs = [4.0, 0.0, 2.0], [(0.5, 0.0), (2.0, -3.0), (0.25, 1.0)]
    x = enhanced(tmp_path / "a.dcm", heights, pairs=pairs)
    record = read(tmp_path / "a.dcm")
    assert (record.axes, record.kind) == ("ZYX", "volume")
    real = [values * slope + intercept for values, (slope, intercept) in zip(x, pairs, strict=True)]
    np.testing.assert_allclose(record.data, np.array(real)[[1, 2, 0]], rtol=1e-6)
    assert record.context["spacing"] == pytest.approx((2, 0.5, 0.25))
    result = run("denoise", tmp_path / "a.dcm", "-o", tmp_path / "b.dcm", "--method", "none")
    assert result.exit_code == 0
    old, new = pydicom.dcmread(tmp_path / "a.dcm"), pydicom.dcmread(tmp_path / "b.dcm")
    np.testing.assert_array_equal(new.pixel_array, x)
    groups = "PerFrameFunctionalGroupsSequence"
    assert (new[groups], new.BitsStored) == (old[groups], 12)
    stack = read(tmp_path / "a.dcm", kind="image")
    assert (stack.axes, stack.kind) == ("IYX", "image")
    np.testing.assert_array_equal(stack.data, x)


def test_weighted_frames_are_volumes_of_a_series(tmp_path: Path) -> None:
    x = enhanced(tmp_path / "a.dcm", [0, 0, 2, 2], b=[0.0, 700.0, 0.0, 700.0])
    record = read(tmp_path / "a.dcm")
    assert (record.axes, record.data.dtype) == ("CZYX", np.uint16)
    np.testing.assert_array_equal(record.data, x.reshape(2, 2, 6, 8).transpose(1, 0, 2, 3))
    assert record.context["bvals"].tolist() == [0, 700]
    np.testing.assert_allclose(record.context["bvecs"], [[0, 0, 1]] * 2)
    io.write(record, tmp_path / "b.dcm")
    np.testing.assert_array_equal(pydicom.dcmread(tmp_path / "b.dcm").pixel_array, x)


def test_frames_of_unlike_orientation_stay_images(tmp_path: Path) -> None:
    x = enhanced(tmp_path / "a.dcm", [0, 0, 2, 2], alongs=[AXIAL, CORONAL])
    record = read(tmp_path / "a.dcm")
    assert (record.axes, record.kind) == ("IYX", "image")
    np.testing.assert_array_equal(record.data, x)
    assert record.meta["notes"] == [
        "This file holds 2 kinds of slices (2 axial, 2 coronal), which are no volume; each frame "
        "is taken as an image."
    ]
    with pytest.raises(HushError, match="holds 2 kinds of slices"):
        read(tmp_path / "a.dcm", kind="volume")


def test_one_slice_as_a_volume_gets_a_sentence(tmp_path: Path) -> None:
    slices(tmp_path / "scan", [0, 1])
    with pytest.raises(HushError, match="holds a single slice; give the folder of its series"):
        read(tmp_path / "scan" / "IM0", kind="volume")


def test_frames_without_places_are_images_unless_stated(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 4096, (3, 6, 8)).astype(np.uint16)
    image(x, SOPInstanceUID="1.2.3").save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert read(tmp_path / "a.dcm").axes == "IYX"
    record = read(tmp_path / "a.dcm", kind="volume")
    assert (record.axes, record.kind) == ("ZYX", "volume")
    io.write(record, tmp_path / "b.dcm")
    np.testing.assert_array_equal(pydicom.dcmread(tmp_path / "b.dcm").pixel_array, x)
    ds = image(x, SOPInstanceUID="1.2.3", SOPClassUID=pydicom.uid.EnhancedMRImageStorage)
    ds.VolumetricProperties = "VOLUME"  # its functional groups were removed with the names
    ds.save_as(tmp_path / "c.dcm", enforce_file_format=True)
    assert read(tmp_path / "c.dcm").axes == "ZYX"


# -- folders of PNG files, and HDF5 ------------------------------------------------------------


def pngs(folder: Path, count: int = 11) -> np.ndarray:
    folder.mkdir()
    x = np.random.default_rng(0).integers(0, 256, (count, 9, 7)).astype(np.uint8)
    for i, values in enumerate(x):
        Image.fromarray(values).save(folder / f"slice_{i}.png", dpi=(100, 100))
    return x


def test_png_slices_are_a_volume_if_that_is_stated(tmp_path: Path) -> None:
    x = pngs(tmp_path / "T101")
    record = read(tmp_path / "T101", kind="volume")
    assert (record.axes, record.kind) == ("ZYX", "volume")
    np.testing.assert_array_equal(record.data, x)  # 2 before 10
    out = tmp_path / "out"
    options = ("--kind", "volume", "--method", "none")
    assert run("denoise", tmp_path / "T101", "-o", out, *options).exit_code == 0
    assert {p.name for p in out.iterdir()} == {f"slice_{i}.png" for i in range(11)}
    np.testing.assert_array_equal(read(out, kind="volume").data, x)
    assert Image.open(out / "slice_3.png").info["dpi"] == pytest.approx((100, 100), abs=0.01)
    apart = run("denoise", tmp_path / "T101", "-o", tmp_path / "each", "--method", "none")
    assert len(apart.stdout.splitlines()) == 11


def test_unlike_png_slices_are_refused(tmp_path: Path) -> None:
    pngs(tmp_path / "scan", 2)
    Image.fromarray(np.zeros((9, 8), np.uint8)).save(tmp_path / "scan" / "slice_5.png")
    with pytest.raises(HushError, match=r"slice_0\.png of 9 × 7 uint8 and slice_5\.png of 9 × 8 u"):
        read(tmp_path / "scan", kind="volume")
    Image.fromarray(np.zeros((9, 7, 3), np.uint8)).save(tmp_path / "scan" / "slice_5.png")
    with pytest.raises(HushError, match=r"its file slice_5\.png has several samples a pixel"):
        read(tmp_path / "scan", kind="volume")


def test_a_scan_in_hdf5_is_a_volume(tmp_path: Path) -> None:
    """Of two slices or more; its header says how large voxels are."""
    x = np.random.default_rng(0).random((3, 12, 10)).astype(np.float32)
    header = (
        '<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding><reconSpace><matrixSize>'
        "<x>12</x><y>10</y><z>1</z></matrixSize><fieldOfView_mm><x>24</x><y>10</y><z>5</z>"
        "</fieldOfView_mm></reconSpace></encoding></ismrmrdHeader>"
    )
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["reconstruction_rss"], file["ismrmrd_header"] = x, header
    record = read(tmp_path / "a.h5")
    assert (record.axes, record.kind) == ("ZYX", "volume")
    assert record.context["spacing"] == (5, 2, 1)
    np.testing.assert_array_equal(record.data, x)
    assert read(tmp_path / "a.h5", kind="image").kind == "image"
    assert io.output_path(tmp_path / "a.h5", kind="volume").name == "a.denoised.h5"
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["reconstruction_rss"] = x[:1]
    assert read(tmp_path / "b.h5").kind == "image"


# -- real files --------------------------------------------------------------------------------


@pytest.mark.data
@pytest.mark.parametrize("series", ["knee_dicom/T1", "brain_dicom/Flair"])
def test_real_series_come_back(series: str, hush_data: Path, tmp_path: Path) -> None:
    folder = hush_data / "volumes" / series
    if not folder.is_dir():
        pytest.skip(f"no study data: {folder} is not a folder")
    record = read(folder)
    assert (record.axes, record.full) == ("ZYX", 4095)
    assert len(record.data) == len(list(folder.iterdir()))
    assert "adjacent" not in record.context
    io.write(record, tmp_path / "out")
    np.testing.assert_array_equal(read(tmp_path / "out").data, record.data)
