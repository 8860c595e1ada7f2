"""The README's commands and its Python, run as they stand; only the training is made short."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pydicom
import pytest
from click.testing import CliRunner
from families import write_family

from hush import Record, io
from hush.cli import main
from hush.recording import Channel
from hush.tasks.geometry.scenes import line_scene, two_views

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SMALL = "--set widths=8,8 --set blocks=1,1 --set batch=2"
SHORTER = {
    "--adapt 60s": "--adapt 1s",
    "seconds=120": "seconds=1",
    "--budget 20m": f"--budget 2s {SMALL}",
    "--budget 1h": "--max-steps 6 --set patch=16 --set batch=2 --set steps=1",
}
PYTHON_SHORTER = {
    "hush.MID()": "hush.MID(widths=(8, 8), blocks=(1, 1))",
    ".fit(noisy_images)": ".fit(noisy_images, schedule=hush.Schedule(max_steps=2, batch=2))",
}


def shorter(text: str, replacements: dict[str, str]) -> str:
    for long, short in replacements.items():
        text = text.replace(long, short)
    return text


def commands() -> list[str]:
    """Lines such as ``$ hush denoise noisy.tif   # comment``; those on a DIR need study data."""
    lines = re.findall(r"^\$ (hush .*)$", README, re.MULTILINE)
    return [line.split(" #")[0].strip() for line in lines if " DIR" not in line]


@pytest.fixture
def folder(noisy: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds the files the README talks of."""
    for name in ("noisy.tif", "noisy.png", "new.tif", "result.tif", "reference.tif"):
        io.write(Record(noisy, "YX"), tmp_path / name)
    for name in ("cells/a.tif", "cells/b.tif", "noisy_folder/a.tif", "noisy_folder/b.tif"):
        io.write(Record(noisy, "YX"), tmp_path / name)
    x = np.random.default_rng(0).normal(0, 50, (4, 6000)).round(1)
    names = ",".join(f"EMG{i + 1}" for i in range(4))
    np.savetxt(tmp_path / "emg.csv", x.T, "%.1f", ",", header=names, comments="")
    layout = tuple(Channel(f"EMG{i + 1}", "uV", 1000.0, 6000 * i, 6000) for i in range(4))
    io.write(Record(x, "CT", kind="signal", context={"layout": layout}), tmp_path / "trunk.edf")
    points = line_scene(np.random.default_rng(0), 2).points
    np.save(tmp_path / "points.npy", points)
    scan = np.column_stack([points, np.zeros(len(points))])
    io.write(Record(scan, "NC", kind="points", full=1.0), tmp_path / "scan.ply")
    np.savez(tmp_path / "matches.npz", matches=np.column_stack([points, points + 3]) * 500)
    photo = np.full((200, 300), 40, np.uint8)
    for k in range(5):
        photo[20 + 30 * k : 40 + 30 * k, 30:270] = 200
    iio.imwrite(tmp_path / "photo.png", photo)
    scans(tmp_path)
    write_family(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def scans(folder: Path) -> None:
    """A diffusion series with its table, a volume, a Zarr store and a DICOM series, all small."""
    rng = np.random.default_rng(0)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (4, 48, 40)), indexing="ij")
    head = 300 * (y**2 + x**2 < 0.7) * (1 + 0.4 * np.sin(5 * x) * z)
    about = {"affine": np.diag([2.0, 2, 3, 1]), "spacing": (3.0, 2.0, 2.0)}
    directions = rng.normal(size=(7, 3)) * (np.arange(7) > 0)[:, None]
    bvals = np.where(np.arange(7) > 0, 1000, 0)
    clean = np.stack([head * (1 - 0.08 * i) for i in range(7)])
    noisy = np.hypot(clean + 15 * rng.normal(size=clean.shape), 15 * rng.normal(size=clean.shape))
    series = np.ascontiguousarray(noisy.astype(np.int16).T)
    table = {"bvals": bvals, "bvecs": directions}
    io.write(
        Record(series, "XYZC", kind="volume", context={**about, **table}), folder / "dwi.nii.gz"
    )
    volume = Record(noisy[0].astype(np.int16), "ZYX", kind="volume", context=about)
    io.write(volume, folder / "t1.nii.gz")
    io.write(volume, folder / "big.zarr")
    (folder / "scan_dicom").mkdir()
    for i, plane in enumerate(noisy[0].astype(np.uint16)):
        ds = pydicom.Dataset()
        ds.file_meta = pydicom.dataset.FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        ds.SOPClassUID, ds.SOPInstanceUID = pydicom.uid.MRImageStorage, f"1.2.{i + 1}"
        ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.Modality = "1.2", "1", "MR"
        ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, 3 * i], [1, 0, 0, 0, 1, 0]
        ds.Rows, ds.Columns = plane.shape
        ds.PixelSpacing, ds.InstanceNumber = [2, 2], i + 1
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit, ds.PixelRepresentation = 15, 0
        ds.PixelData = plane.tobytes()
        ds.save_as(folder / "scan_dicom" / f"{i}.dcm", enforce_file_format=True)


@pytest.mark.slow
def test_the_commands_run(folder: Path) -> None:
    assert len(commands()) >= 7
    for line in commands():
        words = shlex.split(shorter(line, SHORTER))[1:]
        words = [str(f) for w in words for f in (sorted(folder.glob(w)) if "*" in w else [w])]
        if words[0] == "denoise":
            words.append("--overwrite")  # the README shows one file several times
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, f"{line}\n{result.output}"
    assert (folder / "noisy.denoised.tif").exists()
    assert (folder / "out" / "report.html").exists()
    assert (folder / "mine.safetensors").exists()
    assert (folder / "dwi_clean.bvec").read_bytes() == (folder / "dwi.bvec").read_bytes()
    assert len(list((folder / "clean_dicom").iterdir())) == 4


def test_the_python_runs(folder: Path, noisy: np.ndarray) -> None:
    images, signals, sets = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, object] = {"noisy": noisy, "noisy_images": [noisy, noisy]}
    exec(shorter(images, PYTHON_SHORTER), names)
    clean = names["clean"]
    assert isinstance(clean, np.ndarray)
    assert (clean.shape, clean.dtype) == (noisy.shape, noisy.dtype)
    names["x"] = x = np.loadtxt("emg.csv", delimiter=",", skiprows=1)
    exec(signals, names)
    assert np.shape(names["clean"]) == x.shape
    one, other, *_, right = two_views(np.random.default_rng(0), 300, 0.4, 0.3)
    names |= {"x1": one, "x2": other}
    exec(sets, names)
    assert np.shape(names["p"]) == right.shape
    assert np.shape(names["F"]) == (3, 3)


def test_the_picture_is_what_the_code_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No picture outlives the code that made it; and what is removed leaves no star behind."""
    drawn = tmp_path / "hubble.png"
    monkeypatch.setattr("sys.argv", ["picture.py", str(drawn)])
    runpy.run_path(str(ROOT / "benchmarks" / "picture.py"), run_name="__main__")
    shown = iio.imread(ROOT / "docs" / "images" / "hubble.png").astype(float)
    difference = np.abs(iio.imread(drawn) - shown)
    assert difference.mean() < 0.5  # other machines round otherwise
    assert np.quantile(difference, 0.999) <= 12  # one step of 8 bits, amplified
    assert int(capsys.readouterr().out.split()[0]) < 40
