"""Several given files that are one input: read once, and said."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pydicom
import pytest
import tifffile
from click.testing import CliRunner, Result
from test_io import dcm, samples, scan
from test_io_series import slices

from hush import io
from hush.cli import main
from hush.cli.earlier import results_in
from hush.errors import HushError


def folder_of(folder: Path, count: int) -> Path:
    """A DICOM series, and the folder that it is in."""
    slices(folder, range(count))
    return folder


def pair(folder: Path) -> None:
    nibabel.save(nibabel.Nifti1Pair(samples(4, 5, 6).astype("i2"), np.eye(4)), folder / "a.img")
    (folder / "a.bval").write_text("0 1000\n")
    (folder / "a.bvec").write_text("0 1\n0 0\n0 0\n")


def detached(folder: Path) -> None:
    nrrd.write(
        str(folder / "a.nhdr"), samples(4, 5, 6).astype("i2"), {"encoding": "raw"},
        detached_header=True,
    )  # fmt: skip


def waveform(folder: Path) -> None:
    (folder / "a.hea").write_text("a 1 360 8\na.dat 16 200 16 0 0 0 0 I\n")
    (folder / "a.dat").write_bytes(samples(8).astype("<i2").tobytes())
    (folder / "a.atr").write_bytes(bytes(4))


def segments(folder: Path) -> None:
    (folder / "a.hea").write_text("a/2 1 360 16\na_1 8\na_2 8\n")
    for name in ("a_1", "a_2"):
        (folder / f"{name}.hea").write_text(f"{name} 1 360 8\n{name}.dat 16 200 16 0 0 0 0 I\n")
        (folder / f"{name}.dat").write_bytes(samples(8).astype("<i2").tobytes())


def brain_vision(folder: Path) -> None:
    text = "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\n"
    (folder / "my run.vhdr").write_text(f"{text}DataFile=my run.eeg\nMarkerFile=my run.vmrk\n")
    (folder / "my run.eeg").write_bytes(bytes(64))
    (folder / "my run.vmrk").write_text("Brain Vision Data Exchange Marker File, Version 1.0\n")


def unrelated(folder: Path) -> None:
    for name in ("a.tif", "b.tif", "a.npy", "a.txt"):
        tifffile.imwrite(folder / name, samples(9, 9))


@pytest.mark.parametrize(
    ("make", "kept"),
    [
        (pair, ["a.hdr"]),
        (detached, ["a.nhdr"]),
        (waveform, ["a.hea"]),
        (segments, ["a.hea"]),
        (brain_vision, ["my run.vhdr"]),
        (unrelated, ["a.npy", "a.tif", "a.txt", "b.tif"]),
    ],
)
def test_a_header_stands_for_its_files(
    make: Callable[[Path], None], kept: list[str], tmp_path: Path
) -> None:
    make(tmp_path)
    files = sorted(str(p) for p in tmp_path.iterdir())
    for given in (files, files[::-1]):
        made = io.once(given)
        assert sorted(made.paths) == [str(tmp_path / name) for name in kept]
        assert len(made.notes) == (len(files) > len(kept))


def test_data_without_their_header_stay(tmp_path: Path) -> None:
    """Reading them says what is missing."""
    waveform(tmp_path)
    (tmp_path / "a.hea").unlink()
    files = sorted(str(p) for p in tmp_path.iterdir())
    assert io.once(files).paths == files


def run(*args: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in args])


def test_all_slices_of_a_series_are_the_series(tmp_path: Path) -> None:
    """As the folder is; some of them, or files of no series, stay as they are."""
    folder = folder_of(tmp_path / "scan", 4)
    files = sorted(str(p) for p in folder.iterdir())
    made = io.once(files)
    assert made.paths == [str(folder)]
    assert "4 files are slices of one series" in made.notes[0]
    some = io.once(files[:3])
    assert some.paths == files[:3]
    assert "give the folder" in some.notes[0]
    assert io.once(files, "image").paths == files
    assert io.once(files[:1]).paths == files[:1]


def test_the_command_line_reads_each_input_once(tmp_path: Path) -> None:
    detached(tmp_path)
    shown = run("inspect", "--json", tmp_path / "a*", "--kind", "volume")
    assert shown.exit_code == 0
    assert shown.stdout.count('"input"') == 1
    assert "read together with a.raw" in shown.stderr
    assert "together" not in run("inspect", "-q", tmp_path / "a*").stderr


def test_the_result_of_one_of_several_images_is_a_result(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "set.tif") as out:
        for side in (40, 48):
            out.write(np.zeros((side, side), "u1"), metadata=None)
    result = io.output_path(f"{tmp_path / 'set.tif'}:2")
    io.write(io.read(f"{tmp_path / 'set.tif'}:2"), result)
    tifffile.imwrite(tmp_path / "other.tif", np.zeros((40, 40), "u1"))
    found = results_in([result, tmp_path / "other.tif"], [])
    assert found == [result]


def test_links_in_a_circle_are_not_followed(tmp_path: Path) -> None:
    """Two links in each folder would double the paths with every step."""
    inner = tmp_path / "in" / "side"
    inner.mkdir(parents=True)
    tifffile.imwrite(inner / "a.tif", np.zeros((40, 40), "u1"))
    (tmp_path / "in" / ".b.tif").write_bytes(b"")
    for name in ("one", "two", "three"):
        (inner / name).symlink_to(tmp_path, target_is_directory=True)
    shown = run("inspect", "--json", tmp_path / "**" / "*.tif")
    assert shown.stdout.count('"input"') == 1


# -- DICOM without a preamble, and the index of a disc -------------------------------------------


@pytest.mark.parametrize(
    "syntax", ["ImplicitVRLittleEndian", "ExplicitVRLittleEndian", "ExplicitVRBigEndian"]
)
@pytest.mark.parametrize("before", [b"", b" ", b"\0\0DICM"])
@pytest.mark.parametrize("headed", [True, False])
def test_dicom_without_its_preamble(
    headed: bool, before: bytes, syntax: str, tmp_path: Path
) -> None:
    """From group 0002 or 0008 on, after a rest of the preamble; what is written has all that the
    standard wants."""
    if before.endswith(b"M") and not headed:
        pytest.skip("the magic comes before group 0002")
    x = samples(9, 12)
    whole = tmp_path / "whole.dcm"
    dcm(x.byteswap() if "Big" in syntax else x, syntax=syntax)(whole)
    dataset = pydicom.dcmread(whole)
    start = 132 if headed else 144 + dataset.file_meta.FileMetaInformationGroupLength
    (tmp_path / "bare").write_bytes(before + whole.read_bytes()[start:])
    assert io.recognised(tmp_path / "bare")
    record = io.read(tmp_path / "bare")
    np.testing.assert_array_equal(record.data, x)
    result = io.output_path(tmp_path / "bare")
    assert result.name == "bare.denoised.dcm"
    io.write(record, result)
    again = pydicom.dcmread(result)  # not forced
    np.testing.assert_array_equal(again.pixel_array, x)
    assert (again.PatientName, again.SOPClassUID) == (dataset.PatientName, dataset.SOPClassUID)
    for keyword in ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID"):
        assert keyword in again.file_meta


@pytest.mark.parametrize(
    "head",
    [
        b"\x08\x00\x05\x00XX" + bytes(99),
        b"\x08\x00\x05\x00" + b"\xff" * 99,
        b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100\x04\x00\x08\x00" + bytes(99),  # not ascending
        b"\x08\x00",
        b"\x00\x08\x00\x05\x00\x00\x00\x02ab\x00\x08\x00\x08" + bytes(99),  # implicit, big-endian
        b"text with DICM\x02\x00 in it" + bytes(99),
        bytes(99),
    ],
)
def test_what_only_begins_alike_is_not_dicom(head: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(head)
    assert not io.recognised(tmp_path / "a")
    with pytest.raises(HushError, match="not a file hush can read"):
        io.read(tmp_path / "a")


def test_pixels_without_a_description_are_told(tmp_path: Path) -> None:
    dataset = scan(samples(9, 9))
    del dataset.Rows, dataset.HighBit
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(HushError, match="does not state Rows, HighBit; export it again"):
        io.read(tmp_path / "a.dcm")


def test_the_index_of_a_disc_names_a_folder(tmp_path: Path) -> None:
    record = pydicom.Dataset()
    record.DirectoryRecordType = "IMAGE"
    record.ReferencedFileID = ["DICOM", "S1", "I1"]
    index = scan(samples(9, 9))
    index.file_meta.MediaStorageSOPClassUID = pydicom.uid.MediaStorageDirectoryStorage
    del index.PixelData
    index.DirectoryRecordSequence = [record]
    index.save_as(tmp_path / "DICOMDIR", enforce_file_format=True)
    with pytest.raises(HushError, match=r"index of a disc, not an image; give .*DICOM/S1"):
        io.read(tmp_path / "DICOMDIR")
    folder = folder_of(tmp_path / "scan", 3)
    shutil.copy(tmp_path / "DICOMDIR", folder)
    assert io.read(folder).data.shape[0] == 3
