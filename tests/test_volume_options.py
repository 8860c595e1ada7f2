"""Options, methods and damaged files of volumes, through the command line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from hush.cli import main
from hush.methods import METHODS

nibabel = pytest.importorskip("nibabel")


SHAPE = (4, 40, 36)
SIGMA = 30.0


def head(shape: Sequence[int] = SHAPE) -> np.ndarray:
    """A bright ellipse with smooth parts, up to 1000, and nothing around."""
    _, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    inside = (y / 0.8) ** 2 + (x / 0.75) ** 2 < 1
    return inside * (600 + 200 * np.sin(4 * x) * np.cos(3 * y))


def magnitude(clean: np.ndarray, sigma: float = SIGMA, seed: int = 0) -> np.ndarray:
    """The magnitudes of complex noise on a signal."""
    rng = np.random.default_rng(seed)
    return np.hypot(
        clean + sigma * rng.normal(size=clean.shape), sigma * rng.normal(size=clean.shape)
    )


def gradients(weak: int, count: int, b: float = 1000.0) -> tuple[np.ndarray, np.ndarray]:
    """b-values, and directions spread over the half sphere."""
    k = np.arange(count) + 0.5
    z, angle = k / count, 2.399963 * k
    r = np.sqrt(1 - z * z)
    bvecs = np.stack([r * np.cos(angle), r * np.sin(angle), z], 1)
    return np.r_[np.zeros(weak), np.full(count, b)], np.concatenate([np.zeros((weak, 3)), bvecs])


def diffusion(
    weak: int, count: int, sigma: float = SIGMA, b: float = 1000.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A noisy series ``(C, Z, Y, X)``, its signals, b-values and directions; fibres go in rings."""
    bvals, bvecs = gradients(weak, count, b)
    base = head()
    _, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    angle = np.arctan2(y, x)
    across = np.cos(angle)[..., None] * bvecs[:, 0] + np.sin(angle)[..., None] * bvecs[:, 1]
    decay = np.exp(-bvals * (0.4e-3 + 0.6e-3 * across**2))
    clean = np.moveaxis(base[..., None] * decay, -1, 0)
    return magnitude(clean, sigma), clean, bvals, bvecs


def save(
    path: Path,
    x: np.ndarray,
    dtype: Any = np.int16,
    b: tuple[np.ndarray, np.ndarray] | None = None,
    scaling: tuple[float, float] | None = None,
) -> Path:
    """Write ``(C, Z, Y, X)`` or ``(Z, Y, X)`` as NIfTI with an oblique affine, b-values beside."""
    stored = np.asarray(x).transpose()
    stored = (np.rint(stored) if np.dtype(dtype).kind in "iu" else stored).astype(dtype)
    affine = np.array([[-2, 0.1, 0, 90], [0.1, 2, 0.2, -120], [0, -0.2, 2.5, -70], [0, 0, 0, 1]])
    image = nibabel.Nifti1Image(stored, affine)
    image.header.set_sform(affine, 1)
    image.header.set_qform(affine, 2)
    image.header["descrip"] = b"as it was"
    nibabel.save(image, path)
    if scaling:  # nibabel sets these itself when it writes
        raw = bytearray(path.read_bytes())
        raw[112:120] = np.array(scaling, "<f4").tobytes()
        path.write_bytes(raw)
    if b is not None:
        stem = path.name.split(".")[0]
        np.savetxt(path.with_name(f"{stem}.bval"), b[0][None], fmt="%g")
        np.savetxt(path.with_name(f"{stem}.bvec"), b[1].T, fmt="%.8f")
    return path


def stored(path: Path) -> np.ndarray:
    """The stored values of a file, ``(C, Z, Y, X)`` or ``(Z, Y, X)``."""
    found: np.ndarray = nibabel.load(path).dataobj.get_unscaled().transpose()
    return found


def call(*args: object) -> tuple[int, str]:
    """Exit code and output of a command; nothing may end in a traceback."""
    done = CliRunner().invoke(main, [str(a) for a in args])
    said = " ".join(done.output.split())
    assert "Traceback" not in said, said
    assert "internal error" not in said, said
    return done.exit_code, said


def denoise(source: Path, *args: object, out: Path | None = None) -> tuple[np.ndarray, str]:
    """The result's stored values, and all that was said."""
    made = out or source.with_name(f"out_{source.name}")
    code, said = call("denoise", source, "-o", made, "--overwrite", "--json", *args)
    assert code == 0, said
    row = json.loads(said)
    return stored(made), " ".join(row["warnings"])


def refused(source: Path, *args: object) -> str:
    """The sentence with which a file is refused; nothing is written."""
    made = source.with_name(f"out_{source.name}")
    code, said = call("denoise", source, "-o", made, *args)
    assert code != 0
    assert not made.exists()
    return said


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """A series of one volume at b = 0 and 15 directions."""
    noisy, _, bvals, bvecs = diffusion(1, 15)
    return save(tmp_path / "dwi.nii", noisy, np.float32, (bvals, bvecs))


def changed(a: np.ndarray, b: np.ndarray) -> float:
    """The deviation of a difference."""
    return float(np.std(a.astype(np.float64) - b))


# -- options -------------------------------------------------------------------------------------


def test_strength_and_steps_act(scan: Path) -> None:
    x = stored(scan)
    full, half = denoise(scan)[0], denoise(scan, "--strength", "0.5")[0]
    assert changed(half, x) == pytest.approx(0.5 * changed(full, x), rel=0.01)
    assert changed(denoise(scan, "--steps", "3")[0], full) > 0


@pytest.mark.parametrize("law", ["gaussian", "rician"])
def test_stated_noise_acts(law: str, scan: Path) -> None:
    x = stored(scan)
    less, plain, more = (
        changed(denoise(scan, *args)[0], x)
        for args in (("--noise", f"{law}:10"), ("--noise", law), ("--noise", f"{law}:60"))
    )
    assert 0 < less < 0.8 * plain
    assert plain < more
    np.testing.assert_array_equal(denoise(scan, "--noise", f"{law}:0")[0], x)


@pytest.mark.parametrize("args", [("--noise", "none-such:3"), ("--noise", "outliers:0.3")])
def test_noise_that_volumes_cannot_have_is_refused(args: tuple[str, ...], scan: Path) -> None:
    assert refused(scan, *args)


def test_maps_are_written_and_add_up(scan: Path, tmp_path: Path) -> None:
    sigma, residual = tmp_path / "sigma.nii.gz", tmp_path / "res.nii.gz"
    made, _ = denoise(scan, "--sigma-map", sigma, "--residual", residual)
    level = np.asarray(nibabel.load(sigma).dataobj)
    assert level.shape == nibabel.load(scan).shape[:3]
    assert np.median(level) > 0
    removed = np.asarray(nibabel.load(residual).dataobj).transpose()
    np.testing.assert_allclose(removed, stored(scan) - made, atol=1e-3)
    np.testing.assert_array_equal(nibabel.load(residual).affine, nibabel.load(scan).affine)


def test_options_that_cannot_act_are_refused(scan: Path, tmp_path: Path) -> None:
    assert "no samples" in refused(scan, "--uncertainty", tmp_path / "u.nii")
    assert "in steps" in refused(scan, "--method", "nlmeans", "--steps", "3")
    assert "cannot adapt" in refused(scan, "--method", "nlmeans", "--adapt", "5s")
    assert "--series" in refused(scan, "--series", "2")
    assert "no --rate" in refused(scan, "--rate", "100")
    assert "not trained" in refused(scan, "--method", "nlmeans", "--model", "mid-slices")


def test_axes_are_those_of_the_file_or_as_stated(tmp_path: Path) -> None:
    x = magnitude(head())
    np.save(tmp_path / "a.npy", x.astype(np.float32))
    code, said = call(
        "denoise", tmp_path / "a.npy", "-o", tmp_path / "o.npy", "--kind", "volume", "--axes", "ZYX"
    )
    assert code == 0, said
    code, said = call(
        "denoise",
        tmp_path / "a.npy",
        "-o",
        tmp_path / "p.npy",
        "--kind",
        "volume",
        "--axes",
        "ZYXC",
    )
    assert code != 0


def test_the_report_and_json(scan: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    code, said = call("denoise", scan, "-o", tmp_path / "o.nii", "--json", "--report", page)
    row = json.loads(said)
    assert code == 0
    assert row["kind"] == "volume"
    assert row["model"]
    assert row["sigma"] == pytest.approx(30, rel=0.15)
    assert "<html" in page.read_text()


def test_a_model_for_single_slices_acts(scan: Path) -> None:
    slabs, slices = denoise(scan)[0], denoise(scan, "--model", "mid-slices")[0]
    assert changed(slabs, slices) > 0
    assert changed(slices, stored(scan)) > 0


def test_adapting_acts_or_says_that_it_did_not(scan: Path) -> None:
    code, said = call("denoise", scan, "-o", scan.with_name("o.nii"), "--json", "--adapt", "2s")
    assert code == 0, said
    assert json.loads(said)["adapted"] in (True, False)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_acts_or_is_refused(name: str, tmp_path: Path) -> None:
    noisy, _, bvals, bvecs = diffusion(1, 7)
    source = save(tmp_path / "a.nii", noisy[:, :3], np.float32, (bvals, bvecs))
    if name in ("dip", "ddm2", "noise2noise", "bm4d"):
        pytest.skip("takes its time; see test_peers_volume.py")
    code, said = call("denoise", source, "-o", tmp_path / "o.nii", "--method", name)
    if code:
        assert said.startswith(("hush: ", "Error: ")), said
        assert not (tmp_path / "o.nii").exists()
    else:
        made = stored(tmp_path / "o.nii")
        assert made.shape == (8, 3, *SHAPE[1:])
        assert np.isfinite(made).all()


# -- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.2, 0.6, 0.98])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_file_that_is_cut_short(share: float, ending: str, tmp_path: Path) -> None:
    source = save(tmp_path / f"a{ending}", magnitude(head()))
    raw = source.read_bytes()
    source.write_bytes(raw[: int(share * len(raw))])
    assert "cut short" in refused(source)
    assert sorted(p.name for p in tmp_path.iterdir()) == [source.name]


def test_a_wrong_byte_in_a_compressed_file(tmp_path: Path) -> None:
    source = save(tmp_path / "a.nii.gz", magnitude(head()))
    raw = bytearray(gzip.compress(gzip.decompress(source.read_bytes()), mtime=0))
    raw[len(raw) // 2] ^= 255
    source.write_bytes(bytes(raw))
    assert refused(source)


def test_a_header_without_its_image(tmp_path: Path) -> None:
    image = nibabel.Nifti1Pair(np.zeros((4, 4, 4), np.int16), np.eye(4))
    nibabel.save(image, tmp_path / "a.hdr")
    (tmp_path / "a.img").unlink()
    code, said = call("denoise", tmp_path / "a.hdr", "-o", tmp_path / "o.nii")
    assert code != 0
    assert "needs a.img beside it" in said


def test_a_phase_image_is_said_to_be_unused(tmp_path: Path) -> None:
    x = magnitude(head())
    for name, phase in (("s.nii", "s_ph.nii"), ("a_part-mag_x.nii", "a_part-phase_x.nii")):
        source = save(tmp_path / name, x)
        save(tmp_path / phase, np.zeros(SHAPE))
        code, said = call("denoise", source, "-o", tmp_path / "o.nii", "--overwrite", "-v")
        assert code == 0
        assert f"{phase}, the phase image beside this one, is not used" in said
    code, said = call("denoise", tmp_path, "-o", tmp_path / "out")
    assert not (tmp_path / "out" / "s_ph.nii").exists()


def test_too_little_memory_is_said(scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hush import pipeline

    monkeypatch.setattr(pipeline, "STATED", 1)
    monkeypatch.setattr(pipeline, "available", lambda: 2**20)
    said = refused(scan)
    assert "GiB of memory for this data" in said


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_pieces_give_the_same_file(
    dtype: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hush.kinds.volume import Volume

    noisy, _, bvals, bvecs = diffusion(1, 15)
    noisy = np.concatenate([noisy, noisy[:, ::-1], noisy], 1)
    source = save(tmp_path / "a.nii", noisy, dtype, (bvals, bvecs))
    whole, _ = denoise(source)
    whole = np.array(whole)
    monkeypatch.setattr(Volume, "piece", noisy[:, :5].size)
    parts, _ = denoise(source)
    assert changed(whole, stored(source)) > 0
    np.testing.assert_allclose(parts, whole, atol=1 if dtype is np.int16 else 0.05)


def test_mixed_series_are_asked_for(tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

    folder = tmp_path / "scan"
    folder.mkdir()
    for number in (1, 2):
        uid = generate_uid()
        for k in range(4):
            meta = FileMetaDataset()
            meta.TransferSyntaxUID = ExplicitVRLittleEndian
            meta.MediaStorageSOPClassUID = MRImageStorage
            meta.MediaStorageSOPInstanceUID = generate_uid()
            ds = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
            ds.SOPClassUID, ds.SOPInstanceUID = MRImageStorage, meta.MediaStorageSOPInstanceUID
            ds.Modality, ds.SeriesInstanceUID, ds.SeriesNumber = "MR", uid, number
            ds.StudyInstanceUID, ds.PatientID = "1.2.3", "x"
            ds.Rows, ds.Columns, ds.SamplesPerPixel = SHAPE[1], SHAPE[2], 1
            ds.PhotometricInterpretation, ds.PixelRepresentation = "MONOCHROME2", 0
            ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
            ds.PixelSpacing, ds.SliceThickness = [2, 2], 2
            ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
            ds.ImagePositionPatient, ds.InstanceNumber = [0, 0, 2 * k], k + 1
            ds.PixelData = np.rint(magnitude(head(), seed=number)[k]).astype("<u2").tobytes()
            ds.save_as(folder / f"{number}_{k}.dcm", enforce_file_format=True)
    code, said = call("denoise", folder, "-o", tmp_path / "out")
    assert code != 0
    assert "--series" in said
    assert not (tmp_path / "out").exists()
    code, said = call("denoise", folder, "-o", tmp_path / "out", "--series", "2")
    assert code == 0, said
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 4
    assert pydicom
