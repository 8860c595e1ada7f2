"""Files of every format, whole and damaged by rule, through reading, `hush.run` and writing.

``benchmarks/fuzz.py`` does the same with many more, in processes with limits.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from click.testing import CliRunner
from corpus import Sample, corpus
from mutations import mutated
from trial import FINE, lay, tried

import hush
from hush import io
from hush.cli import main
from hush.errors import HushError
from hush.io import place
from hush.kinds.image.measure.offsets import _sort
from hush.record import Record
from hush.recording import Channel

DAMAGED = 120  #: files

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    return corpus(tmp_path_factory.mktemp("corpus"))


def test_the_corpus_has_every_format_that_is_written(samples: list[Sample]) -> None:
    assert {f.name for f in io.FORMATS if f.write} <= {s.format for s in samples}


def test_whole_files_are_read_and_written(samples: list[Sample], tmp_path: Path) -> None:
    """Or refused with the reason that is known; and the values are the same."""
    refused = {"palette.png": "palette image", "bits.png": "1-bit image"}
    for sample in samples:
        made = tried(sample.path.name, sample.kind, sample.files, tmp_path / "a", run=False)
        if known := refused.get(sample.path.name):
            assert made.name == "refused"
            assert known in made.said
        else:
            assert made.name == "read", f"{sample}: {made}"


def test_damaged_files_are_read_or_refused(samples: list[Sample], tmp_path: Path) -> None:
    """In one sentence, and nothing is left beside them."""
    found = []
    for number in range(DAMAGED):
        sample = samples[number % len(samples)]
        files = mutated(sample.files, number)
        made = tried(sample.path.name, sample.kind, files, tmp_path / "a")
        found += [f"{sample.path.name} {number}: {made}"] * (made.name not in FINE)
    assert found == []


def test_damage_is_the_same_for_the_same_seed(samples: list[Sample]) -> None:
    files = samples[0].files
    every = [mutated(files, seed) for seed in range(20)]
    assert every == [mutated(files, seed) for seed in range(20)]
    assert sum(made != files for made in every) > 15


@pytest.mark.parametrize("name", ["a.npz", "scan.h5", "gap.edf", "a.ply", "a.zarr"])
def test_the_command_line_says_one_sentence(
    name: str, samples: list[Sample], tmp_path: Path
) -> None:
    sample = next(s for s in samples if s.path.name == name)
    half = {file: raw[: len(raw) // 2] for file, raw in sample.files.items()}
    lay(half, tmp_path / "in")
    path = tmp_path / "in" / name
    result = CliRunner().invoke(main, ["denoise", str(path), "-o", f"{tmp_path / 'out'}/"])
    assert result.exit_code == 1, result.output
    assert result.output.startswith(f"hush: {path}: ")
    assert result.output.count("\n") == 1
    assert not (tmp_path / "out").exists()


# -- kinds of faults that damaged files have shown ---------------------------------------------


def test_content_is_quoted_on_one_line_that_can_be_printed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"x,y\n1,2\n3\x07\x1b[31m4,5\n")
    with pytest.raises(HushError) as refused:
        hush.read(tmp_path / "a.csv")
    said = str(refused.value)
    assert said.isprintable()
    assert r"\x07\x1b[31m" in said


@pytest.mark.parametrize(
    "text", ["a,b,c\n1\n4,5,6\n", "1;2\n3,5,6;4\n", "1\t2\n3,5\t4\n3,5,6\t4\n"]
)
def test_commas_in_cells_of_another_separator_are_no_separators(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(HushError, match=r"line \d has"):
        hush.read(tmp_path / "a.csv")


def test_lines_that_are_mostly_alike_have_no_offsets() -> None:
    """Most neighbouring columns of a drawing are the same, and so are the differences' medians."""
    differences = np.tile(np.arange(30) % 5 == 0, (4, 1)) * np.linspace(1, 2, 30)
    assert _sort(differences) == "none"


@pytest.mark.parametrize("rate", [0.0, -1.0, 1e-150, 1e12, float("inf")])
def test_rates_that_no_recording_has_are_refused(rate: float, tmp_path: Path) -> None:
    layout = (Channel("EMG", "uV", rate, 0, 60),)
    record = Record(np.zeros((1, 60), np.float32), "CT", "signal", context={"layout": layout})
    with pytest.raises(HushError, match="which no recording has"):
        hush.run(record, method="none")


@pytest.mark.parametrize("rate", [1e-8, 1e-3, 60.0, 1e8])
def test_slow_and_fast_recordings_are_denoised(rate: float) -> None:
    x = np.random.default_rng(0).normal(size=300).astype(np.float32)
    made = hush.denoise(x, kind="signal", context={"rate": rate}, method="none")
    np.testing.assert_array_equal(made, x)


def test_a_small_file_that_asks_for_much_memory_is_said_to_be_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a machine with less memory says it; with more, the file ends before its samples do."""
    np.save(tmp_path / "a.npy", np.zeros((4, 4)))

    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(np, "load", full)
    with pytest.raises(HushError, match="probably damaged: it asks for more memory than there is"):
        hush.read(tmp_path / "a.npy")


def test_an_array_without_dimensions_is_refused(tmp_path: Path) -> None:
    for suffix in (".npy", ".npz"):
        path = tmp_path / f"a{suffix}"
        (np.save if suffix == ".npy" else np.savez)(path, np.float32(3))
        with pytest.raises(HushError, match="holds a single number, not an array"):
            hush.read(path)


def test_an_archive_is_damaged_in_its_list_or_a_header(tmp_path: Path) -> None:
    """Of a kind that is told by the names of its arrays, too."""
    path = tmp_path / "a.npz"
    np.savez(path, points=np.zeros((9, 3)))
    raw = path.read_bytes()
    for old in (b"PK\x01\x02", b"\x93NUMPY"):
        path.write_bytes(raw.replace(old, b"\0" * len(old)))
        with pytest.raises(HushError, match=r"a\.npz: is cut short or damaged"):
            hush.read(path)


def test_a_store_that_states_chunks_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    io.write(Record(np.zeros((4, 6, 5), np.uint8), "ZYX", kind="volume"), path)
    for document in path.rglob("zarr.json"):
        text = document.read_text()
        text = re.sub(r'("shape": \[\s*)4,\s*6,', r"\g<1>4000000000, 6000000,", text)
        document.write_text(text)
    with pytest.raises(HushError, match=r"probably damaged: it states .* chunks"):
        hush.read(path)


def test_a_jpeg_ls_file_that_states_far_more_pixels_than_it_has_is_refused(tmp_path: Path) -> None:
    """It would be decoded for minutes."""
    x = np.random.default_rng(0).integers(0, 200, (24, 32)).astype(np.uint8)
    raw = bytearray(imagecodecs.jpegls_encode(x))
    at = raw.find(b"\xff\xf7") + 5
    raw[at : at + 4] = b"\xff\xff\xff\xff"
    (tmp_path / "a.jls").write_bytes(raw)
    with pytest.raises(HushError, match="it states 65535 × 65535 pixels"):
        hush.read(tmp_path / "a.jls")


def test_junk_after_the_end_of_a_fits_header_is_not_written(tmp_path: Path) -> None:
    pytest.importorskip("astropy")
    x = np.random.default_rng(0).random((6, 8)).astype(np.float32)
    io.write(Record(x, "YX"), tmp_path / "a.fits")
    raw = (tmp_path / "a.fits").read_bytes()
    end = raw.find(b"END     ")
    (tmp_path / "a.fits").write_bytes(raw[: end + 40] + b"junk" + raw[end + 44 :])
    io.write(hush.read(tmp_path / "a.fits"), tmp_path / "b.fits")
    np.testing.assert_array_equal(hush.read(tmp_path / "b.fits").data, x)


@pytest.mark.parametrize("at", range(13))
def test_png_headers_are_checked_before_libpng_prints(at: int, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    io.write(Record(np.zeros((9, 7), np.uint8), "YX"), path)
    raw = path.read_bytes()
    header = bytearray(raw[12:29])
    header[4 + at] = 0x77
    path.write_bytes(raw[:12] + header + struct.pack(">I", zlib.crc32(header)) + raw[33:])
    with pytest.raises(HushError):
        hush.read(path)


def test_rows_beyond_the_height_of_a_png_are_left_out(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    x = np.random.default_rng(0).integers(0, 255, (9, 7, 3)).astype(np.uint8)
    path = tmp_path / "a.png"
    io.write(Record(x, "YXS"), path)
    raw = path.read_bytes()
    header = raw[12:20] + struct.pack(">I", 5) + raw[24:29]
    path.write_bytes(raw[:12] + header + struct.pack(">I", zlib.crc32(header)) + raw[33:])
    np.testing.assert_array_equal(hush.read(path).data, x[:5])
    assert capfd.readouterr().err == ""


# -- killed processes --------------------------------------------------------------------------


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_stays(tmp_path: Path) -> None:
    record = Record(np.zeros((9, 7), np.uint8), "YX")
    (tmp_path / ".hush-0123456789ab.tif").write_bytes(b"half")
    (tmp_path / ".hush-0123456789ac").mkdir()
    (tmp_path / ".hush-notes.txt").write_text("a user's own")
    with io.atomic(tmp_path / "b.txt") as part:
        io.write(record, tmp_path / "a.tif")
        assert part.exists()
        part.write_text("whole")
    assert {p.name for p in tmp_path.iterdir()} == {"a.tif", "b.txt", ".hush-notes.txt"}
    assert (tmp_path / "b.txt").read_text() == "whole"


def test_an_earlier_result_that_was_moved_away_is_put_back_or_removed(tmp_path: Path) -> None:
    """A process was killed while it replaced one folder by another."""
    out, moved = tmp_path / "a.zarr", list[Path]()

    def written(text: str) -> None:
        with place.folder(out, lambda old: True) as part:
            (part / "values").write_text(text)

    def killed(source: Path, target: Path) -> None:
        moved.append(Path(target))
        raise SystemError

    written("first")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "replace", killed)
        with pytest.raises(SystemError):
            written("second")
    out.rename(moved[0])
    with pytest.raises(ZeroDivisionError), place.folder(out, lambda old: True):
        _ = 1 / 0
    assert (out / "values").read_text() == "first"
    shutil.copytree(out, moved[0])
    written("second")
    assert (out / "values").read_text() == "second"
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def test_a_folder_with_leftovers_alone_is_empty(tmp_path: Path) -> None:
    out = tmp_path / "a.zarr"
    (out / ".hush-0123456789ab").mkdir(parents=True)
    assert not io.taken(out)
    io.write(Record(np.zeros((4, 6, 5), np.uint8), "ZYX", kind="volume"), out)
    assert not any(p.name.startswith(".hush") for p in out.rglob("*"))
