"""Options, methods and damaged files of volumes, through the command line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scans import SHAPE, call, denoise, diffusion, head, magnitude, nibabel, refused, save, stored

from hush.methods import METHODS


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
    assert "no uncertainty" in refused(scan, "--uncertainty", tmp_path / "u.nii")
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
