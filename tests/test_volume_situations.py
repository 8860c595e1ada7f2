"""What users of volumes meet: each through the command line, on small files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scans import (
    SHAPE,
    SIGMA,
    call,
    denoise,
    diffusion,
    head,
    magnitude,
    nibabel,
    refused,
    save,
    stored,
)

LARGER = (6, 64, 60)  # a single volume is measured in slices, which takes some voxels


# -- nothing to remove ---------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize(
    ("x", "dtype"),
    [
        (np.zeros((3, 8, 8)), np.int16),
        (np.full((3, 8, 8), 7.3), np.float32),
        (np.full((5, 3, 8, 8), 7.3), np.float64),
        (np.full((1, 1, 1), 3.7), np.float32),
        (np.arange(20).reshape(20, 1, 1, 1), np.float32),
        (257 * (head((8, 30, 30)) > 600), np.int16),
        (np.random.default_rng(0).integers(0, 2, (6, 16, 16)), np.uint8),
    ],
    ids=["zeros", "constant", "constant series", "voxel", "voxel series", "ball", "two levels"],
)
def test_without_noise_the_file_comes_back(
    x: np.ndarray, dtype: Any, ending: str, tmp_path: Path
) -> None:
    source = save(tmp_path / f"a{ending}", x, dtype)
    made, said = denoise(source)
    np.testing.assert_array_equal(made, stored(source))
    assert "No noise was found, so denoising returns the" in said
    assert "unchanged" in said


@pytest.mark.parametrize("shape", [(2, 4, 4), (1, 8, 8), (20, 1, 8, 8), (1, 1, 64), (7, 2, 3, 3)])
def test_very_small_volumes(shape: tuple[int, ...], tmp_path: Path) -> None:
    x = 500 + 50 * np.random.default_rng(0).normal(size=shape)
    source = save(tmp_path / "a.nii", x, np.float32)
    made, _ = denoise(source)
    assert np.isfinite(made).all()
    assert abs(made.mean() - x.mean()) < 50


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_without_any_value_there_is_a_sentence(value: float, tmp_path: Path) -> None:
    source = save(tmp_path / "a.nii", np.full((3, 8, 8), value), np.float32)
    assert "every value is missing; there is nothing to denoise" in refused(source)


def test_values_that_are_not_finite_stay(tmp_path: Path) -> None:
    x = magnitude(head())
    x[1, 5, 5], x[2, 20, 20], x[3, 7] = np.inf, -np.inf, np.nan
    source = save(tmp_path / "a.nii", x, np.float32)
    made, said = denoise(source)
    np.testing.assert_array_equal(np.isfinite(made), np.isfinite(x))
    assert made[1, 5, 5] == np.inf
    assert "NaN or infinite" in said


def test_a_slice_without_values_stays(tmp_path: Path) -> None:
    x = magnitude(head())
    x[0] = np.nan
    made, _ = denoise(save(tmp_path / "a.nii", x, np.float32))
    assert np.isnan(made[0]).all()
    assert np.isfinite(made[1:]).all()


def test_negative_values_are_said(tmp_path: Path) -> None:
    made, said = denoise(save(tmp_path / "a.nii", magnitude(head()) - 40))
    assert "negative" in said
    assert made.min() < 0


# -- series --------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [6, 30])
def test_regions_keep_their_means(count: int, tmp_path: Path) -> None:
    noisy, _, bvals, bvecs = diffusion(1, count)
    made, _ = denoise(save(tmp_path / "a.nii", noisy, np.float32, (bvals, bvecs)))
    base = head()
    shifts = []
    for low, high in ((400, 550), (550, 650), (650, 801)):
        region = (base > low) & (base < high)
        assert region.sum() > 400
        shifts += [made[c][region].mean() / noisy[c][region].mean() - 1 for c in range(count + 1)]
    assert np.median(np.abs(shifts)) < 0.005
    assert np.sqrt(np.mean(np.square(shifts))) < 0.01
    inside = base > 0
    assert made[:, inside].mean() == pytest.approx(noisy[:, inside].mean(), rel=0.005)


def test_two_volumes_at_b_0_alone(tmp_path: Path) -> None:
    x = np.stack([magnitude(head(), seed=s) for s in (0, 1)])
    source = save(tmp_path / "a.nii", x, np.int16, (np.zeros(2), np.zeros((2, 3))))
    made, said = denoise(source)
    inside = head() > 0
    before = np.std((x[0] - x[1])[inside])
    assert np.std((made[0].astype(float) - made[1])[inside]) < 0.7 * before
    assert "repeats of one image, and there are no directions that could help" in said


@pytest.mark.parametrize(("args", "weak"), [((), 2), (("--b0", "10"), 1), (("--b0", "2000"), 6)])
def test_small_b_values_count_as_0(args: tuple[str, ...], weak: int, tmp_path: Path) -> None:
    noisy, _, bvals, bvecs = diffusion(2, 4)
    bvals[:2] = 0, 40
    source = save(tmp_path / "a.nii", noisy, np.int16, (bvals, bvecs))
    code, said = call("denoise", source, "-o", tmp_path / "o.nii", *args)
    assert code == 0
    assert f"volumes {weak} at b = 0" in said


def test_a_threshold_is_a_b_value(tmp_path: Path) -> None:
    source = save(tmp_path / "a.nii", np.stack([magnitude(head())] * 2))
    assert "b-value" in refused(source, "--b0", "-3")


@pytest.mark.parametrize("method", ["mid", "mppca", "patch2self", "nlmeans"])
@pytest.mark.parametrize("masked", [False, True])
def test_volumes_without_excitation_stay(method: str, masked: bool, tmp_path: Path) -> None:
    if method != "mid":
        pytest.importorskip("dipy")
    noisy, clean, bvals, bvecs = diffusion(1, 15, sigma=60, b=2000)
    noisy[-2:] = magnitude(np.zeros((2, *SHAPE)), 60, seed=5)
    noisy = noisy * (clean[0] > 0) if masked else noisy
    source = save(tmp_path / "a.nii", noisy, np.float32, (bvals, bvecs))
    made, said = denoise(source, "--method", method)
    np.testing.assert_array_equal(made[-2:], stored(source)[-2:])
    changed = [bool((made[c] != stored(source)[c]).any()) for c in range(14)]
    assert all(changed[1:])
    if not masked:
        assert "Volumes 15 and 16 hold noise only" in said
        assert "unchanged; no other volume is denoised with them" in said


@pytest.mark.parametrize("value", [0.0, np.nan])
@pytest.mark.parametrize("method", ["mid", "mppca", "patch2self"])
def test_empty_volumes_in_a_series_stay(value: float, method: str, tmp_path: Path) -> None:
    if method != "mid":
        pytest.importorskip("dipy")
    noisy, _, bvals, bvecs = diffusion(1, 15)
    noisy[[3, 9]] = value
    source = save(tmp_path / "a.nii", noisy, np.float32, (bvals, bvecs))
    made, said = denoise(source, "--method", method)
    np.testing.assert_array_equal(made[[3, 9]], stored(source)[[3, 9]])
    assert np.isfinite(made[[0, 1, 2]]).all()
    assert (made[1] != stored(source)[1]).any()
    what = "no finite value" if np.isnan(value) else "one value only"
    assert f"Volumes 4 and 10 hold {what}, and are returned unchanged" in said


def test_a_dim_volume_of_another_contrast_is_denoised(tmp_path: Path) -> None:
    noisy, clean, bvals, bvecs = diffusion(1, 15, sigma=10)
    noisy[-1] = magnitude(0.12 * clean[0], 10, seed=7) * (clean[0] > 0)
    noisy[:-1] *= clean[0] > 0
    source = save(tmp_path / "a.nii", noisy, np.float32, (bvals, bvecs))
    made, said = denoise(source)
    assert (made[-1] != stored(source)[-1]).any()
    assert "hold noise only" not in said


def test_no_b_values_and_wrong_counts_are_said(tmp_path: Path) -> None:
    noisy, _, bvals, bvecs = diffusion(1, 12)
    plain, said = denoise(save(tmp_path / "a.nii", noisy))
    assert "b-values and directions of the 13 volumes are unknown" in said
    source = save(tmp_path / "b.nii", noisy, np.int16, (bvals[:-2], bvecs[:-2]))
    made, _ = denoise(source)
    _, said = call("denoise", source, "-o", tmp_path / "c.nii", "-v")
    assert "b.bval holds 11 b-values for 13 volumes; it is not used" in said
    np.testing.assert_array_equal(made, plain)


def test_one_slice_and_two(tmp_path: Path) -> None:
    noisy, clean, bvals, bvecs = diffusion(1, 15)
    for count, words in ((1, "only one slice"), (2, "two slices are not treated as neighbours")):
        source = save(tmp_path / "a.nii", noisy[:, :count], np.float32, (bvals, bvecs))
        made, said = denoise(source)
        inside = np.broadcast_to(head()[:count] > 0, made.shape)
        error = [np.std((x - clean[:, :count])[inside]) for x in (noisy[:, :count], made)]
        assert error[1] < 0.6 * error[0]
        assert words in said


def test_long_voxels_are_said(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(
        magnitude(head()).transpose().astype(np.int16), np.diag([1, 1, 6, 1])
    )
    nibabel.save(image, tmp_path / "a.nii")
    assert "1 × 1 × 6 mm" in denoise(tmp_path / "a.nii")[1]


# -- what may not change -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "scaling"),
    [
        (np.int16, None),
        (np.int16, (0.0754, 3100.76)),
        (np.uint16, (2.5, 0.0)),
        (np.int32, (0.0754, 3100.76)),
        (np.float32, None),
        (np.float64, (2.5, 0.0)),
    ],
)
def test_a_strength_of_0_gives_the_same_file(
    dtype: Any, scaling: tuple[float, float] | None, tmp_path: Path
) -> None:
    noisy, _, bvals, bvecs = diffusion(1, 4)
    source = save(tmp_path / "a.nii", noisy, dtype, (bvals, bvecs), scaling)
    denoise(source, "--strength", "0", out=tmp_path / "o.nii")
    assert (tmp_path / "o.nii").read_bytes() == source.read_bytes()


def test_type_header_and_tables_stay(tmp_path: Path) -> None:
    noisy, _, bvals, bvecs = diffusion(1, 15)
    source = save(tmp_path / "a.nii.gz", noisy, np.int16, (bvals, bvecs), None)
    (tmp_path / "a.bval").write_bytes(b"0 " + b"\t1000.5 " * 15 + b"\r\n")
    out = tmp_path / "o.nii.gz"
    denoise(source, out=out)
    before, after = nibabel.load(source), nibabel.load(out)
    assert before.header.binaryblock == after.header.binaryblock
    assert after.header.get_qform(coded=True)[1] == 2
    assert after.header.get_sform(coded=True)[1] == 1
    for ending in (".bval", ".bvec"):
        assert (tmp_path / f"o{ending}").read_bytes() == (tmp_path / f"a{ending}").read_bytes()


def test_slope_and_intercept_stay_and_no_signal_is_where_they_say(tmp_path: Path) -> None:
    slope, inter = 0.05, -200.0
    noisy, clean, bvals, bvecs = diffusion(1, 15)
    whole = np.rint((noisy * (clean[0] > 0) - inter) / slope)
    source = save(tmp_path / "a.nii", whole, np.int16, (bvals, bvecs), (slope, inter))
    out = tmp_path / "o.nii"
    made, said = denoise(source, out=out)
    assert out.read_bytes()[:352] == source.read_bytes()[:352]
    assert made.dtype == np.int16
    assert (made[:, clean[0] == 0] == round(-inter / slope)).all()
    error = [np.std((x * slope + inter - clean)[:, clean[0] > 0]) for x in (whole, made)]
    assert error[1] < 0.6 * error[0]
    assert "set the background to zero" in said


def test_directions_have_no_sign(tmp_path: Path) -> None:
    noisy, _, bvals, bvecs = diffusion(1, 15)
    plain, _ = denoise(save(tmp_path / "a.nii", noisy, np.float32, (bvals, bvecs)))
    bvecs[::2] *= -1
    turned, _ = denoise(save(tmp_path / "b.nii", noisy, np.float32, (bvals, bvecs)))
    np.testing.assert_array_equal(plain, turned)


@pytest.mark.parametrize("count", [0, 15])
def test_masking_changes_neither_zeros_nor_the_level(count: int, tmp_path: Path) -> None:
    noisy, clean, bvals, bvecs = diffusion(1, count)
    if not count:
        clean = head(LARGER)[None]
        noisy = magnitude(clean[0])
    b = (bvals, bvecs) if count else None
    rows = {}
    for name, x in (("all", noisy), ("masked", noisy * (clean[0] > 0))):
        source = save(tmp_path / f"{name}.nii", x, np.int16, b)
        code, said = call("denoise", source, "-o", tmp_path / f"o_{name}.nii", "--json")
        assert code == 0
        rows[name] = json.loads(said)
    assert rows["masked"]["sigma"] == pytest.approx(rows["all"]["sigma"], rel=0.05)
    made = stored(tmp_path / "o_masked.nii")
    assert not made[..., clean[0] == 0].any()
    assert "do not count as low noise" in " ".join(rows["masked"]["warnings"])


def test_a_crop_has_its_level_from_the_data(tmp_path: Path) -> None:
    noisy, _, bvals, bvecs = diffusion(1, 30)
    part = noisy[:, :, 10:30, 10:26]
    code, said = call("inspect", save(tmp_path / "a.nii", part, np.int16, (bvals, bvecs)), "--json")
    assert code == 0
    assert json.loads(said)["sigma"] == pytest.approx(SIGMA, rel=0.15)
    assert "no background with noise only" in denoise(tmp_path / "a.nii")[1]


def test_the_floor_of_magnitudes_is_not_removed(tmp_path: Path) -> None:
    """Where the signal is weak, magnitudes are brighter; results keep that mean and say no more."""
    noisy, clean, bvals, bvecs = diffusion(1, 30, sigma=60, b=3000)
    made, said = denoise(save(tmp_path / "a.nii", noisy, np.float32, (bvals, bvecs)))
    inside = clean[0] > 0
    assert made[1:, inside].mean() == pytest.approx(noisy[1:, inside].mean(), rel=0.005)
    assert "changed the mean" not in said


@pytest.mark.parametrize("count", [0, 24])
def test_denoised_twice(count: int, tmp_path: Path) -> None:
    noisy, clean, bvals, bvecs = diffusion(2, count)
    if not count:
        clean = head(LARGER)[None]
        noisy = magnitude(clean[0])
    b = (bvals, bvecs) if count else None
    source = save(tmp_path / "a.nii", noisy, np.float32, b)
    once, _ = denoise(source, out=tmp_path / "b.nii")
    twice, said = denoise(tmp_path / "b.nii", out=tmp_path / "c.nii")
    inside = clean[0] > 0
    changed = [np.std((y - x)[..., inside]) for x, y in ((noisy, once), (once, twice))]
    assert changed[1] <= 0.1 * changed[0]
    assert "ittle noise is left" in said or "noise was found, so denoising returns" in said
