"""Odd volumes through the command line: what is said is true, and nothing contradicts itself."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from scipy.ndimage import gaussian_filter

import hush
from hush.cli import main
from hush.kinds.volume import VOLUME, places
from hush.kinds.volume.judgement import judged
from hush.noise.field import Grid
from hush.noise.processes import Gaussian, Rician
from hush.record import Record
from hush.report import describe, plots
from hush.results import Estimate

nibabel = pytest.importorskip("nibabel")

SHAPE = (6, 24, 24)
SIGMA = 12.0
SMALL = Gaussian(0.001)


def magnitudes(count: int, seed: int = 0) -> np.ndarray:
    """A disc of tissue on air, Rician noise of deviation `SIGMA`, ``(C, Z, Y, X)`` float32."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    disc = (y - 11.5) ** 2 + (x - 11.5) ** 2 < 81
    clean = disc * (200 + 30 * gaussian_filter(rng.standard_normal(SHAPE), 2) / 0.06)
    decay = np.linspace(1, 0.6, count)[:, None, None, None]
    parts = SIGMA * rng.standard_normal((2, count, *SHAPE))
    noisy: np.ndarray = np.hypot(clean * decay + parts[0], parts[1]).astype(np.float32)
    return noisy


def saved(path: Path, x: np.ndarray) -> Path:
    """A NIfTI file of ``(C, Z, Y, X)``."""
    data = np.moveaxis(x, 0, -1).transpose(2, 1, 0, 3)
    data = data[..., 0] if len(x) == 1 else data
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(data), np.eye(4)), path)
    return path


def series(x: np.ndarray, **context: Any) -> Record:
    return Record(x, "CZYX", "volume", context=context)


def ran(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


# -- levels -----------------------------------------------------------------------------------


def test_the_level_is_the_rms_of_its_map_over_tissue() -> None:
    x = magnitudes(16)
    found = VOLUME.measure([x])
    assert found.sigma_range is not None
    low, high = found.sigma_range
    assert low <= found.sigma <= high
    tissue = x.mean(0) > 100
    level = found.sigma * np.sqrt(found.unevenness[0] ** 2)[tissue]
    assert np.sqrt(np.mean(level**2)) == pytest.approx(found.sigma, rel=0.05)
    assert found.sigma == pytest.approx(SIGMA, rel=0.1)


def test_the_range_is_that_of_the_map_beyond_the_cells_centres_too() -> None:
    log = np.random.default_rng(0).standard_normal((3, 4, 5))
    grid = Grid(log, (3, 14, 20), 4)
    seen = np.sqrt(grid.map())
    assert grid.range == pytest.approx((seen.min(), seen.max()), rel=1e-6)


def test_a_map_that_is_even_to_the_digits_shown_is_no_range() -> None:
    grid = Grid(np.full((1, 1, 1), 1e-5), (1, 4, 4), 4)
    found = Estimate(Gaussian(3.0), 3.0, field=grid)
    assert describe.noise(found, 1.0, "", "voxel") == "Gaussian, σ 3"
    assert describe.spec(found.process, 1.0, found) == "gaussian:3"


def test_a_volume_is_no_image(tmp_path: Path) -> None:
    path = saved(tmp_path / "s.nii", magnitudes(16))
    said = ran("denoise", path, "--model", "mid-volume", "-o", tmp_path / "o.nii")
    assert said.exit_code == 0
    assert "over the volume" in said.output
    assert "over the image" not in said.output


def test_rician_noise_of_a_few_volumes_has_one_level(tmp_path: Path) -> None:
    path = saved(tmp_path / "v.nii", magnitudes(1))
    result = hush.run(path, noise="rician")
    found = result.estimate
    assert isinstance(found.process, Rician)
    assert found.sigma_range is None
    assert np.ptp(result.sigma_map.data) == 0
    assert hush.run(path).estimate.sigma_range is not None  # that of the magnitudes


# -- values that are missing ------------------------------------------------------------------


def test_a_series_with_a_volume_of_nan_can_be_inspected_as_well(tmp_path: Path) -> None:
    x = magnitudes(14)
    x[3] = np.nan
    path = saved(tmp_path / "s.nii", x)
    said = ran("inspect", path, "-v")
    assert said.exit_code == 0
    text = " ".join(said.output.split())
    assert "Volume 4 holds no finite value, and is returned unchanged" in text
    assert "holds one value only" not in text
    assert "signal to noise" in text
    assert "nan" not in text.replace("NaN", "")


def test_where_the_object_is_does_not_depend_on_a_volume_of_nan() -> None:
    x = magnitudes(4)
    gone = np.concatenate([x[:2], np.full_like(x[:1], np.nan), x[2:]])
    a, b = places.find(x, {}), places.find(gone, {})
    for name in ("zeroed", "inside", "outside"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    nothing = places.find(np.full_like(x, np.nan), {})
    assert not nothing.zeroed.any()
    assert not nothing.inside.any()


def test_nothing_is_promised_of_a_volume_without_values(tmp_path: Path) -> None:
    path = saved(tmp_path / "v.nii", np.full((1, *SHAPE), np.nan, np.float32))
    said = ran("inspect", path)
    assert "nothing to denoise" in said.output
    assert "unchanged" not in said.output


def test_one_value_that_is_not_finite_is_one(tmp_path: Path) -> None:
    x = magnitudes(1)
    x[0, 2, 3, 4] = np.inf
    said = ran("inspect", saved(tmp_path / "v.nii", x))
    assert "1 value that is not finite" in " ".join(said.output.split())


# -- results ----------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 14])
def test_magnitudes_stay_magnitudes(count: int, tmp_path: Path) -> None:
    x = magnitudes(count)
    made = hush.denoise(saved(tmp_path / "v.nii", x))
    assert made.min() >= 0
    assert made.mean() == pytest.approx(x.mean(), rel=0.005)


def test_no_warning_that_nothing_was_removed_if_nothing_was_to_be() -> None:
    x = magnitudes(1)
    for strength, warned in ((0.0, False), (1.0, True)):
        said = judged(
            VOLUME,
            x,
            x,
            Gaussian(SIGMA),
            strength=strength,
            scale=1.0,
            adaptable=False,
            about={},
            how=None,
        )
        assert any("Nothing was removed" in w for w in said.warnings) == warned


# -- what is lost, and what does not fit ------------------------------------------------------


@pytest.mark.parametrize("ending", [".tif", ".npy", ".npz"])
def test_what_a_file_of_values_does_not_hold_of_a_volume_is_said(
    ending: str, tmp_path: Path
) -> None:
    path = saved(tmp_path / "v.nii", magnitudes(1))
    said = ran("denoise", path, "-v", "-o", tmp_path / f"o{ending}")
    assert said.exit_code == 0
    assert "no voxel size, orientation" in " ".join(said.output.split())
    again = ran("denoise", tmp_path / f"o{ending}", "--kind", "volume", "-v")
    assert "no voxel size" not in again.output


def test_a_background_with_more_noise_than_the_object_is_said() -> None:
    x = magnitudes(1) / 1000
    record, where = series(x), places.find(x, {})
    assert where.has_background
    for sigma, said in ((SIGMA, False), (SIGMA / 10, True)):
        found = Estimate(Gaussian(sigma / 1000), sigma / 1000)
        notes = [w for w in VOLUME.advice(record, x, None, found) if "The background has a σ" in w]
        assert bool(notes) == said
        if said:
            stated = re.search(r"rician:([\d.]+)\.$", notes[0])
            assert stated is not None
            assert float(stated[1]) == pytest.approx(SIGMA / 1000, rel=0.1)
        assert not any("The background has" in w for w in VOLUME.advice(record, x, SMALL, found))


def test_lost_chunks_are_counted(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    x = magnitudes(2).astype(np.int16)
    store = tmp_path / "s.zarr"
    names = ["c", "z", "y", "x"]
    made = zarr.create_array(
        store, shape=x.shape, chunks=(1, 3, 24, 24), dtype="i2", dimension_names=names
    )
    made[:] = x
    assert not any("chunks" in n for n in hush.read(store).meta["notes"])
    (store / "c" / "1" / "0" / "0" / "0").unlink()
    assert any(n.startswith("1 of the 4 chunks of s.zarr") for n in hush.read(store).meta["notes"])


# -- the command line -------------------------------------------------------------------------


def test_a_method_that_is_trained_on_the_series_needs_no_model(tmp_path: Path) -> None:
    path = saved(tmp_path / "v.nii", magnitudes(1))
    said = ran("denoise", path, "--method", "noise2noise", "-o", tmp_path / "o.nii")
    assert said.exit_code == 1
    assert "no model is shipped" not in said.output
    assert "needs at least 2 volumes" in said.output


def test_scores_of_volumes_do_not_depend_on_the_type(tmp_path: Path) -> None:
    x = np.round(magnitudes(1))
    y = np.round(magnitudes(1, seed=1))
    rows = []
    for dtype in (np.int16, np.uint32, np.float32):
        a, b = (
            saved(tmp_path / f"{n}_{np.dtype(dtype)}.nii", v.astype(dtype))
            for n, v in (("a", x), ("b", y))
        )
        row = json.loads(ran("compare", a, b, "--json").output)
        assert hush.compare(a, b)["psnr"] == pytest.approx(row["psnr"], abs=1e-3)
        rows.append(row)
    for row in rows:
        assert row["psnr"] == pytest.approx(rows[0]["psnr"], abs=1e-3)
        assert row["mae"] == pytest.approx(np.abs(x - y).mean(), rel=1e-4)
    clipped = np.minimum(x, y.max())
    expected = 10 * np.log10(y.max() ** 2 / np.mean((clipped - y) ** 2))
    assert rows[0]["psnr"] == pytest.approx(expected, abs=1e-3)


def test_the_noises_own_correlation_ends_where_the_axis_ends() -> None:
    svg = plots.autocorrelation({"x": [0.1] * 3}, "t", element="voxel", own={"x": [0.2] * 8})
    assert len(re.findall(r"noise, \d", svg)) == 3
    assert "1 voxel" in svg
    assert "px" not in svg


def test_no_model_is_written_by_a_method_that_learns_from_what_it_denoises(tmp_path: Path) -> None:
    path, model = saved(tmp_path / "s.nii", magnitudes(4)), tmp_path / "m.safetensors"
    said = ran("train", path, "--method", "noise2noise", "--max-steps", 1, "-o", model)
    assert said.exit_code == 1
    assert "use hush denoise --method noise2noise" in said.output
    assert not model.exists()


def test_volumes_without_noise_are_not_said_to_be_thin(tmp_path: Path) -> None:
    flat = saved(tmp_path / "v.nii", np.zeros((1, *SHAPE), np.float32))
    thin = saved(tmp_path / "w.nii", magnitudes(1)[:, :2])
    for path, why in ((flat, "no noise was found"), (thin, "fewer than 3 slices")):
        said = ran("train", path, "--max-steps", 1, "-o", tmp_path / "m.safetensors", "--overwrite")
        assert said.exit_code == 1
        assert why in said.output
        assert "1 noisy volume (1 file)" in said.output


def test_a_volume_is_not_to_be_written_as_tiff(tmp_path: Path) -> None:
    path = saved(tmp_path / "v.nii", magnitudes(1))
    for name in ("o.png", "o.dcm"):
        said = ran("denoise", path, "-o", tmp_path / name)
        assert said.exit_code == 1
        assert "write a .nii.gz file" in said.output


def test_a_series_of_few_directions_is_mri(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    saved(tmp_path / "one" / "s.nii", magnitudes(4))
    np.savetxt(tmp_path / "one" / "s.bval", [[0, 1000, 1000, 1000]], "%d")
    np.savetxt(tmp_path / "one" / "s.bvec", np.eye(3, 4, 1))
    said = ran("study", "mid/mri", "--data", tmp_path)
    assert said.exit_code == 1
    assert "directions" in said.output
    assert "contains no MRI" not in said.output
