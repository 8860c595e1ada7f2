"""Offsets of rows and columns, hum, and noise along one axis: found, removed, and told apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.ndimage import gaussian_filter
from scipy.signal import lfilter
from skimage import data

import hush
from hush.cli import main
from hush.kinds.image.measure.blocks import gather
from hush.kinds.image.measure.estimation import estimate
from hush.kinds.image.measure.lines import lines_in, without_lines
from hush.kinds.image.measure.regression import (
    coloured,
    law_of_image,
    law_of_white,
    regression_of,
    whitened,
)
from hush.kinds.image.structures import plane_waves
from hush.metrics import psnr
from hush.noise.lines import Lines, Wave
from hush.noise.processes import Gamma, Gaussian, Hum, Poisson, PoissonGaussian, Process, Stripes
from hush.record import Record

ROWS, COLUMNS = np.indices((256, 256))


def photo() -> np.ndarray:
    """A photograph ``(1, 256, 256)`` in [0, 1] without noise of its own."""
    x: np.ndarray = gaussian_filter(data.camera().astype(np.float32), 1)[None, ::2, ::2] / 255
    return x


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def noisy(added: np.ndarray | float, sigma: float = 0.02, clean: np.ndarray | None = None):
    clean = photo() if clean is None else clean
    return (clean + added + sigma * normal(*clean.shape, seed=1)).astype(np.float32)


def wave(period: float, angle: float, amplitude: float, side: int = 256) -> np.ndarray:
    one = plane_waves(side, np.array([period]), np.array([angle]), np.array([0.7]))
    return amplitude * one.astype(np.float32)


def left(x: np.ndarray, added: np.ndarray, given: Process | None = None) -> float:
    """The share of what was added that is left, in standard deviations."""
    found = lines_in(x, given)
    assert found is not None
    rest = added - found.map()
    return float((rest - rest.mean()).std() / added.std())


# -- offsets -----------------------------------------------------------------------------------


@pytest.mark.parametrize("along", ["rows", "columns"])
@pytest.mark.parametrize("sigma", [0.01, 0.05])
def test_offsets_are_found_along_their_axis_with_their_level(along: str, sigma: float) -> None:
    shape = (256, 1) if along == "rows" else (1, 256)
    added = sigma * normal(*shape) + np.zeros((1, 256, 256))
    found = lines_in(noisy(added))
    assert found
    assert list(found.along) == [along]
    assert found.along[along] == pytest.approx(sigma, rel=0.3)
    assert left(noisy(added), added) < (0.3 if sigma == 0.05 else 0.6)


def test_offsets_do_not_depend_on_a_constant_or_on_units() -> None:
    x = noisy(0.05 * normal(256))
    one, other = lines_in(x), lines_in(3 * x + 7)
    assert one
    assert other
    np.testing.assert_allclose(other.columns, 3 * one.columns, atol=2e-4)


@pytest.mark.parametrize("sigma", [0.0, 0.05])
@pytest.mark.parametrize("name", ["camera", "brick", "coins", "page", "text"])
def test_pictures_have_none(name: str, sigma: float) -> None:
    clean = getattr(data, name)().astype(np.float32)[None] / 255
    assert not lines_in(noisy(0.0, sigma, clean))


@pytest.mark.parametrize("period", [2, 3, 4, 8])
def test_gratings_are_pictures(period: int) -> None:
    bars = 0.3 + 0.2 * (COLUMNS % period < period / 2)[None]
    assert not lines_in(bars.astype(np.float32))
    found = lines_in(noisy(0.0, clean=bars))
    assert found is not None
    assert not found
    assert found.doubtful


def test_random_bars_alone_are_doubtful_until_they_are_stated() -> None:
    bars = 0.3 + 0.3 * (normal(256) > 0) + np.zeros((1, 256, 256))
    found = lines_in(noisy(0.0, clean=bars))
    assert found is not None
    assert not found
    assert found.unsure["columns"] == pytest.approx(0.15, rel=0.2)
    told = lines_in(noisy(0.0, clean=bars), Stripes(0.15, "columns"))
    assert told
    assert not told.unsure


def test_a_few_stuck_lines() -> None:
    added = np.zeros((1, 256, 256))
    added[:, :, [20, 90, 200]] = [0.1, -0.1, 0.08]
    assert left(noisy(added), added) < 0.1


def test_offsets_that_drift() -> None:
    added = lfilter([0.03], [1, -0.9], normal(256)) + np.zeros((1, 256, 256))
    assert left(noisy(added), added) < 0.7


def test_unknown_and_clipped_pixels() -> None:
    added = 0.05 * normal(256) + np.zeros((1, 256, 256))
    x = noisy(added)
    x[:, 100:180, 40:90] = np.nan
    assert left(x, added) < 0.4
    clipped = np.clip(noisy(added + 0.3 * photo()), 0, 1)
    at_limit = (clipped == 0) | (clipped == 1)
    assert at_limit.mean() > 0.1
    cleaned = without_lines(clipped, lines_in(clipped))
    np.testing.assert_array_equal(cleaned[at_limit], clipped[at_limit])
    assert np.abs(cleaned - clipped)[~at_limit].max() > 0.02


def test_small_images_have_none_that_could_be_seen() -> None:
    for shape in ((1, 1, 300), (1, 300, 1), (1, 20, 20), (1, 8, 300)):
        assert lines_in(normal(*shape).astype(np.float32)) is None


def test_each_channel_has_its_own() -> None:
    added = np.zeros((3, 256, 256))
    added[1] = 0.05 * normal(256)
    found = lines_in(noisy(added, clean=np.repeat(photo(), 3, axis=0)))
    assert found
    assert not found.rows.any()
    assert list(found.columns.any(axis=1)) == [False, True, False]


# -- hum ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("period", "angle"), [(3.3, 0.0), (7.1, 0.4), (13.0, 1.5708), (5.0, 2.5)])
def test_hum_is_found_with_its_period_and_leaves(period: float, angle: float) -> None:
    added = wave(period, angle, 0.06)
    found = lines_in(noisy(added))
    assert found
    assert found.waves[0].period == pytest.approx(period, rel=0.01)
    assert found.hum == pytest.approx(0.06 / np.sqrt(2), rel=0.1)
    assert left(noisy(added), added[None]) < 0.1


def test_hum_is_found_where_half_of_a_dark_corner_is_clipped() -> None:
    added = wave(7.0, 0.0, 12 / 255)[:192, :192]
    stored = np.clip(noisy(added, 10 / 255, photo()[:, :192, :192]), 0, 1)
    found = lines_in(stored)
    assert found
    assert found.waves[0].period == pytest.approx(7.0, rel=0.01)


def test_harmonics_of_hum() -> None:
    phase = 2 * np.pi * (COLUMNS / 17.3 + ROWS / 51)
    added = 0.08 * np.cos(phase) + 0.02 * np.cos(2 * phase + 1) + 0.015 * np.cos(3 * phase)
    found = lines_in(noisy(added))
    assert found
    assert len(found.waves) == 3
    assert left(noisy(added), added[None]) < 0.1


def test_hum_of_all_channels() -> None:
    strength = np.array([1, 0.5, 1.5])[:, None, None]
    added = wave(9.0, 0.3, 0.05) * strength
    x = noisy(added, clean=np.repeat(photo(), 3, axis=0))
    assert left(x, added) < 0.15


def test_waves_that_follow_brightness_or_end_are_no_hum() -> None:
    woven = photo() * (1 + wave(6.0, 0.5, 0.3))
    assert not lines_in(noisy(0.0, clean=woven))
    part = photo() + wave(6.0, 0.5, 0.06) * (COLUMNS < 100)
    assert not lines_in(noisy(0.0, clean=part))


def test_a_crystal_is_doubtful_and_kept() -> None:
    lattice = sum(wave(5.0, 0.2 + k * np.pi / 3, 0.05) for k in range(3))
    found = lines_in(noisy(lattice))
    assert found is not None
    assert not found
    assert len(found.doubtful) == 3


def test_waves_without_a_picture_are_doubtful_until_they_are_stated() -> None:
    x = noisy(wave(7.1, 0.4, 0.06), clean=np.full((1, 256, 256), 0.5))
    found = lines_in(x)
    assert found is not None
    assert not found
    assert found.doubtful
    (message,) = [w for w in hush.run(Record(x[0], "YX")).warnings if "crystal" in w]
    option = message.split("--noise ")[1].rstrip(".")
    made = hush.run(Record(x[0], "YX"), noise=option)
    assert psnr(made.record.data, np.full((256, 256), 0.5)) > 50


def test_hum_that_noise_hides_in_half_of_the_tiles_leaves_if_it_is_stated() -> None:
    x = noisy(wave(6.2, 1.4, 0.015), sigma=0.08)
    assert lines_in(x) is None
    assert left(x, wave(6.2, 1.4, 0.015), Hum(0.01)) < 0.5


def test_hum_that_is_stated_and_not_found_is_said() -> None:
    for added, times in ((0.0, 1), (wave(6.2, 1.4, 0.05), 0)):
        made = hush.run(Record(noisy(added)[0], "YX"), noise="hum:0.05", method="wiener")
        assert sum("states hum, but" in message for message in made.warnings) == times


def test_a_wave_on_another_grid_is_the_same_picture() -> None:
    two = Lines(
        np.zeros((1, 64)), np.zeros((1, 96)), (Wave(1 / 16, 1 / 12, (0.1 + 0.2j,)),), (), {}, ()
    )
    np.testing.assert_allclose(two.on((128, 192)).map()[:, ::2, ::2], two.map(), atol=1e-6)


# -- noise along one axis ----------------------------------------------------------------------


def filtered(r: float, axis: int, sigma: float = 0.1) -> np.ndarray:
    made: np.ndarray = sigma * lfilter([1], [1, -r], normal(1, 256, 256), axis=axis)
    return made


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("r", [-0.5, 0.7])
def test_the_filter_of_noise_is_found(r: float, axis: int) -> None:
    found = estimate(noisy(filtered(r, axis), 0.0))
    assert found.regression[axis - 1] == pytest.approx(r, abs=0.06)
    assert found.regression[2 - axis] == 0
    assert found.sigma == pytest.approx(filtered(r, axis).std(), rel=0.1)
    lags = found.lags(2)
    assert lags[2, 2] == 1
    assert lags[(2, 3) if axis == 2 else (3, 2)] == found.regression[axis - 1]


@pytest.mark.parametrize("width", [0.0, 0.6, 1.0])
def test_noise_that_is_the_same_along_both_axes_has_none(width: float) -> None:
    blurred = gaussian_filter(normal(256, 256), width)
    assert regression_of(gather([noisy(0.1 * blurred / blurred.std(), 0.0)])[0]) == ()


@pytest.mark.parametrize("regression", [(0.0, 0.7), (0.5, 0.0), (-0.4, 0.0)])
def test_the_inverse_filter_can_be_undone(regression: tuple[float, float]) -> None:
    x = photo()
    np.testing.assert_allclose(coloured(whitened(x, regression), regression), x, atol=1e-5)
    white = whitened(filtered(sum(regression), 1 if regression[0] else 2), regression)[0, 1:, 1:]
    assert abs(np.mean(white[1:] * white[:-1])) + abs(np.mean(white[:, 1:] * white[:, :-1])) < 2e-4


@pytest.mark.parametrize(
    "law", [Gaussian(0.1), Poisson(30.0), PoissonGaussian(0.02, 0.05, 0.1), Gamma(7.0)], ids=str
)
def test_the_law_before_the_filter(law: Process) -> None:
    r = 0.6
    white = law_of_white(law, (0.0, r))
    x = np.linspace(0.2, 1, 5)
    np.testing.assert_allclose(white.variance((1 - r) * x), (1 - r**2) * law.variance(x))
    assert law_of_image(white, (0.0, r)).variance(0.5) == pytest.approx(law.variance(0.5))


# -- through hush ------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [None, "stripes:0.05,columns"])
def test_columns_leave(noise: str | None) -> None:
    x = noisy(0.05 * normal(256), 0.01)[0]
    made = hush.run(Record(x, "YX"), noise=noise)
    assert psnr(made.record.data, photo()[0]) > 36
    assert any("offsets of columns" in w for w in made.warnings)
    assert not any("structure" in w for w in made.warnings)
    assert not made.given
    assert made.process.family == "gaussian"


def test_columns_leave_at_any_strength_beside_gaps() -> None:
    x = noisy(0.05 * normal(256), 0.02)[0]
    x[100:120, 40:80] = np.nan
    half = hush.run(Record(x, "YX"), strength=0.5).record.data
    known = np.isfinite(x)
    np.testing.assert_array_equal(np.isnan(half), ~known)
    assert np.std((half - photo()[0])[known]) < 0.02


def test_noise_along_rows_leaves_and_is_judged_by_its_filter() -> None:
    x = noisy(filtered(0.7, 2), 0.0)[0]
    made = hush.run(Record(x, "YX"))
    assert psnr(made.record.data, photo()[0]) > psnr(x, photo()[0]) + 10
    assert [w for w in made.warnings if "along rows only" in w]
    assert not any("structure" in w for w in made.warnings)
    assert made.residual["ratio"] == pytest.approx(1, abs=0.15)
    told = hush.run(Record(x, "YX"), noise="gaussian:0.14")
    assert psnr(told.record.data, made.record.data) > 35


def test_the_command_line_says_what_was_found(tmp_path: Path) -> None:
    path, out = tmp_path / "x.npy", tmp_path / "y.npy"
    np.save(path, noisy(0.05 * normal(256) + wave(9.0, 0.4, 0.05))[0])
    done = CliRunner().invoke(main, ["denoise", str(path), "-o", str(out)])
    assert "offsets of columns, σ 0.0" in done.output
    assert "hum of a period of 9" in done.output
    done = CliRunner().invoke(main, ["inspect", "--json", str(path)])
    row = json.loads(done.stdout)["lines"]
    assert row["rows"] == 0
    assert row["columns"] == pytest.approx(0.05, rel=0.2)
    assert row["hum"] == pytest.approx(0.05 / np.sqrt(2), rel=0.1)
    assert row["periods"] == [pytest.approx(9.0, rel=0.02)]


def test_hum_as_a_family_has_its_period_and_angle() -> None:
    import torch

    x = torch.zeros(1, 60, 60)
    made = Hum(0.1, 12.0, 90.0).sample(x, torch.Generator().manual_seed(0))[0].numpy()
    assert np.ptp(made, axis=1).max() < 1e-6
    np.testing.assert_allclose(made[12:], made[:-12], atol=1e-6)
