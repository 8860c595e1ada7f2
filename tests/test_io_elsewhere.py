"""Files that hush does not read: one sentence says what they are, and the way out."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from hush import io
from hush.errors import HushError
from hush.io import elsewhere
from hush.record import Record

FILES = {
    "walk.c3d": (b"\x02P" + bytes(600), "save its analogue channels, such as EMG, as CSV or EDF"),
    "scan.las": (b"LASF" + bytes(600), "pdal translate scan.las scan.ply"),
    "unnamed": (b"LASF" + bytes(600), "pdal translate"),
    "points3D.bin": (bytes(64), "colmap model_converter --output_type PLY"),
    "points3D.txt": (
        b"# 3D point list with one line of data per point:\n1 2 3\n",
        "model_converter",
    ),
    "cams.txt": (b"# Camera list with one line of data per camera:\n1 2 3\n", "model_converter"),
    "database.db": (b"SQLite format 3\0" + bytes(600), "pycolmap"),
    "eeg.vhdr": (
        b"Brain Vision Data Exchange Header File Version 1.0\n",
        "read_raw_brainvision('eeg.vhdr')",
    ),
    "eeg.eeg": (bytes(600), "read_raw_brainvision"),
    "a.oib": (b"\xd0\xcf\x11\xe0" + bytes(600), "Bio-Formats"),
    "a.dm4": (b"\0\0\0\4" + bytes(600), "save it as MRC or TIFF"),
    "a.mat": (b"MATLAB 5.0 MAT-file" + bytes(600), "-v7.3"),
    "scores.mat": (b"   A  R  N\nA  4 -1 -2\n" * 30, "ending .csv"),
    "notes.dat": (b"no numbers here\r\n" * 30, "ending .csv"),
    "a.mp4": (b"\0\0\0 ftypisom" + bytes(600), "frames as a TIFF stack"),
    "a.heic": (b"\0\0\0 ftypheic" + bytes(600), "raw file"),
    "a.tar.gz": (b"\x1f\x8b" + bytes(600), "unpack it"),
    "a.raw": (b"\7" * 600, "numpy.fromfile"),
    "a.nc": (b"CDF\x01" + bytes(600), "nccopy"),
}


@pytest.mark.parametrize("name", FILES)
def test_the_way_out(name: str, tmp_path: Path) -> None:
    content, words = FILES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HushError) as refused:
        io.read(tmp_path / name)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_zip_files_are_no_arrays(tmp_path: Path) -> None:
    for name, words in (("a.xlsx", "save the sheet as CSV"), ("a.zip", "unpack it")):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("x.xml", "<x/>")
        with pytest.raises(HushError, match=words):
            io.read(tmp_path / name)


def test_what_hush_reads_is_read_whatever_its_name(tmp_path: Path) -> None:
    x = np.arange(12, dtype="u1").reshape(3, 4)
    for name in ("a.raw", "a.mat", "a.dm3"):
        io.write(Record(x, "YX"), tmp_path / "a.png")
        (tmp_path / "a.png").rename(tmp_path / name)
        np.testing.assert_array_equal(io.read(tmp_path / name).data, x)


def test_no_format_has_an_ending_of_the_table() -> None:
    """Whose sentence nobody would see; MATLAB's files are HDF5 or not."""
    endings = [ending for group in elsewhere._ENDINGS for ending in group]
    assert len(set(endings)) == len(endings)
    assert not set(endings) & set(io.supported())
    assert all(not text.endswith(".") for text in elsewhere._ENDINGS.values())
