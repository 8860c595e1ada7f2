"""Noise whose level varies from place to place: found where it does, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from scipy.ndimage import gaussian_filter
from skimage import data
from skimage.transform import resize

import hush
from hush.api import inspected, write_report
from hush.cli import main
from hush.kinds import get
from hush.kinds.image.measure import cells, spline
from hush.kinds.image.measure.estimation import estimate
from hush.methods import get as get_method
from hush.metrics import psnr
from hush.models import WEIGHTS
from hush.noise.field import Field
from hush.noise.processes import Gaussian, PoissonGaussian, Rician
from hush.record import Record
from hush.results import Estimate

LONG = pytest.mark.long
PICTURES = {"camera": data.camera, "coins": data.coins, "moon": data.moon}


def picture(name: str, side: int = 256) -> np.ndarray:
    """A photograph ``(1, side, side)`` in [0, 1] without noise of its own."""
    x = gaussian_filter(PICTURES[name]().astype(np.float32), 1.5) / 255
    return resize(x, (side, side), anti_aliasing=True)[None].astype(np.float32)


def white(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def levels(name: str, side: int = 256) -> np.ndarray:
    """Levels from place to place, the lowest 1: smooth, or with a seam."""
    y, x = np.mgrid[:side, :side] / (side - 1) * 2 - 1
    return {
        "corners": 1 + 1.5 * (x**2 + y**2),
        "slope": 1 + (x + 1),
        "middle": 1 + 2 * np.exp(-(x**2 + y**2) / 0.4),
        "seam": np.where(x < 0.1, 1.0, 3.0),
        "row": np.where(y < 0.3, 2.0, 1.0),
    }[name]


def noisy(clean: np.ndarray, sigma: np.ndarray | float, seed: int = 0) -> np.ndarray:
    return (clean + sigma * white(clean.shape, seed)).astype(np.float32)


# -- the field itself ------------------------------------------------------------------------------


def a_field(seams: tuple[tuple[int, ...], tuple[int, ...]] = ((), (40,))) -> Field:
    edges = np.array([0, 20, 40, 60]), np.array([0, 20, 40, 60, 80])
    return Field(np.random.default_rng(0).normal(size=(3, 4)), edges, seams)


def test_a_plane_is_its_own_interpolation() -> None:
    """Up to the border, beyond the outermost centres."""
    edges = np.array([0, 30, 60, 90]), np.array([0, 25, 50])
    centres = [(e[1:] + e[:-1] - 1) / 2 for e in edges]
    field = Field(0.01 * centres[0][:, None] - 0.02 * centres[1] + 0.3, edges)
    rows, columns = np.mgrid[:90, :50]
    plane = 0.01 * rows - 0.02 * columns + 0.3
    np.testing.assert_allclose(np.log(field.map()[0]), plane, atol=1e-5)


def test_a_seam_is_sharp_and_nothing_else_is() -> None:
    jumps = np.abs(np.diff(np.log(a_field().map()[0]), axis=1)).max(axis=0)
    assert jumps.argmax() == 39
    bent = np.abs(np.diff(np.log(a_field(((), ())).map()[0]), axis=1)).max(axis=0)
    assert jumps[39] > 5 * bent.max()
    assert np.delete(jumps, 39).max() < 5 * bent.max()


def test_a_field_has_a_range_and_a_mean() -> None:
    field = a_field().normalised()
    assert field.map().mean() == pytest.approx(1, abs=1e-6)
    low, high = field.range
    assert low**2 == pytest.approx(field.map().min(), rel=1e-5)
    assert high**2 == pytest.approx(field.map().max(), rel=1e-5)


def test_a_field_fits_another_grid() -> None:
    field = a_field()
    twice = field.on((120, 160))
    assert twice.shape == (120, 160)
    assert twice.seams == ((), (80,))
    np.testing.assert_allclose(np.log(twice.map()[0, ::2, ::2]), np.log(field.map()[0]), atol=0.1)
    assert field.on((60, 80)) is field


# -- finding it ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize(
    "how", ["corners", "seam", *(pytest.param(h, marks=LONG) for h in ("slope", "middle", "row"))]
)
def test_known_levels_are_found(name: str, how: str) -> None:
    clean, sigma = picture(name), 0.03 * levels(how)
    found = estimate(noisy(clean, sigma))
    assert found.field is not None
    assert found.sigma == pytest.approx(np.sqrt((sigma**2).mean()), rel=0.1)
    ratio = np.sqrt(found.local.variance(clean)[0]) / sigma
    assert np.median(np.abs(ratio - 1)) < 0.1
    assert np.quantile(np.abs(ratio - 1), 0.9) < 0.3


@pytest.mark.parametrize(("how", "axis"), [("seam", 1), ("row", 0)])
def test_a_seam_is_found_to_a_pixel(how: str, axis: int) -> None:
    sigma = levels(how)
    jump = int(np.abs(np.diff(sigma, axis=axis)).max(axis=1 - axis).argmax()) + 1
    found = estimate(noisy(picture("camera"), 0.04 * sigma))
    assert found.field is not None
    assert len(found.field.seams[axis]) == 1
    assert found.field.seams[axis][0] == pytest.approx(jump, abs=1)
    assert not found.field.seams[1 - axis]


def test_stitched_frames_have_two_seams() -> None:
    sigma = 0.03 * np.kron([[1.0, 2.0], [2.5, 1.2]], np.ones((128, 128)))
    found = estimate(noisy(picture("moon"), sigma))
    assert found.field is not None
    for marks in found.field.seams:
        assert marks == (pytest.approx(128, abs=1),)


def test_counts_vary_too() -> None:
    """Brightness and place are told apart."""
    clean, gain = picture("camera"), 0.003 * levels("corners") ** 2
    y = np.random.default_rng(0).poisson(clean / gain) * gain
    found = estimate(y.astype(np.float32))
    assert found.field is not None
    assert 1 in found.process.terms
    ratio = found.local.variance(clean)[0] / (gain * clean[0])
    assert np.median(np.abs(np.sqrt(ratio) - 1)) < 0.1


def test_magnitudes_vary_too() -> None:
    """Parallel MR imaging: a bright object on an empty background."""
    sigma = 0.02 * levels("middle")
    body = np.hypot(*(np.mgrid[:256, :256] - 127.5)) < 100
    clean = np.where(body, 0.4 + 0.4 * picture("moon")[0], 0)
    y = np.hypot(noisy(clean, sigma), sigma * white(clean.shape, 1))[None].astype(np.float32)
    found = estimate(y)
    assert found.field is not None
    assert isinstance(found.process, Rician)
    level = np.asarray(found.local.sigma)[0] / sigma  # type: ignore[attr-defined]
    assert np.median(np.abs(level - 1)) < 0.1


def test_colours_share_a_field() -> None:
    clean = np.concatenate([picture("camera"), picture("coins"), picture("moon")])
    own = np.array([1.0, 1.5, 0.7])[:, None, None]
    found = estimate(noisy(clean, 0.03 * own * levels("seam")))
    assert found.field is not None
    assert found.field.seams[1] == (pytest.approx(141, abs=1),)
    expected = 0.03 * own.ravel() * np.sqrt((levels("seam") ** 2).mean())
    np.testing.assert_allclose(found.channels, expected, rtol=0.05)


@pytest.mark.long
@pytest.mark.parametrize("scale", [0.25, 2.0])
@pytest.mark.parametrize("offset", [0.0, -0.5])
def test_units_do_not_matter(scale: float, offset: float) -> None:
    y = noisy(picture("coins"), 0.03 * levels("corners"))
    one, other = estimate(y), estimate((scale * y + offset).astype(np.float32))
    assert one.field is not None
    assert other.field is not None
    assert other.sigma == pytest.approx(scale * one.sigma, rel=0.01)
    np.testing.assert_allclose(other.field.log, one.field.log, atol=0.02)


def test_where_nothing_is_known_the_picture_still_has_a_level() -> None:
    """A part without finite pixels."""
    y = noisy(picture("camera"), 0.03 * levels("seam"))
    y[:, 60:150, 30:110] = np.nan
    found = estimate(y)
    assert found.field is not None
    assert np.isfinite(found.field.map()).all()
    assert found.field.seams[1] == (pytest.approx(141, abs=1),)


# -- not finding it where it is not ----------------------------------------------------------------


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("level", [5, 25, 50])
def test_noise_that_is_the_same_everywhere_has_no_field(name: str, level: int) -> None:
    assert estimate(noisy(picture(name), level / 255)).field is None


@pytest.mark.parametrize("peak", [20, 200])
def test_counts_of_a_bright_and_a_dark_half_have_no_field(peak: float) -> None:
    """They differ in brightness, which explains all."""
    clean = picture("moon") * np.where(np.arange(256) < 128, 0.15, 1.0)
    y = np.random.default_rng(0).poisson(clean * peak) / peak
    assert estimate(y.astype(np.float32)).field is None


@pytest.mark.parametrize("blur", [0.7, 1.0, 2.0])
def test_texture_in_one_half_is_no_noise(blur: float) -> None:
    texture = gaussian_filter(white((256, 256), 1), blur)
    clean = 0.5 + np.where(np.arange(256) < 128, 0, 0.1) * texture / texture.std()
    assert estimate(noisy(clean[None], 0.03)).field is None


def test_correlated_noise_has_no_field() -> None:
    blurred = gaussian_filter(white((256, 256), 1), 1.2)
    y = picture("coins") + 0.05 * (blurred / blurred.std() + white((256, 256))) / np.sqrt(2)
    found = estimate(y.astype(np.float32))
    assert found.correlated
    assert found.field is None


def test_small_pictures_and_several_together_have_no_field() -> None:
    y = noisy(picture("camera"), 0.03 * levels("seam"))
    assert estimate(y).field is not None
    assert estimate(y[:, :, 80:200]).field is None  # less than 128 pixels wide
    assert estimate([y, y]).field is None


# -- the parts -------------------------------------------------------------------------------------


def some_points(log: np.ndarray, seams: cells.Seams = cells.NONE) -> cells.Points:
    """Values of every cell of a grid."""
    edges = tuple(np.linspace(0, 32 * n, n + 1).astype(int) for n in log.shape)
    number = log.size
    return cells.Points(
        cells.Grid((edges[0], edges[1]), seams),
        np.arange(number),
        log.ravel(),
        np.full(number, 100.0),
        np.eye(cells.KNOTS)[np.arange(number) % cells.KNOTS],
        np.full(number, 10.0),
    )


def test_the_spline_keeps_a_plane_and_leaves_out_chance() -> None:
    rows, columns = np.mgrid[:8, :8]
    plane = 0.1 * rows - 0.05 * columns
    chance = 0.1 * white((8, 8))
    fit = spline.smooth(some_points(plane + chance))
    off = fit.field - plane.ravel()
    assert np.std(off) < 0.5 * np.std(chance)


def test_the_spline_does_not_cross_a_seam() -> None:
    step = np.where(np.arange(8) < 4, 0.0, 1.0) + 0.01 * white((8, 8))
    cut = spline.smooth(some_points(step, ((), (128,))))
    whole = spline.smooth(some_points(step))
    np.testing.assert_allclose(cut.field, np.round(step).ravel(), atol=0.03)
    assert cut.error < whole.error


def test_one_wrong_cell_does_not_matter() -> None:
    rows, _ = np.mgrid[:8, :8]
    log = 0.1 * rows + 0.02 * white((8, 8))
    wrong = log.copy()
    wrong[3, 3] += 2
    right, other = (spline.smooth(some_points(z)).field for z in (log, wrong))
    assert np.abs(other - right).max() < 0.1


# -- using it --------------------------------------------------------------------------------------


def told_and_found(clean: np.ndarray, sigma: np.ndarray) -> tuple[float, float]:
    """PSNR of the result with the true levels given, and with those measured."""
    y = noisy(clean, sigma)
    given = hush.denoise(y, noise=Gaussian(sigma[None].astype(np.float32)))
    return psnr(given, clean), psnr(hush.denoise(y), clean)


@pytest.mark.parametrize("how", ["seam", pytest.param("corners", marks=LONG)])
def test_what_is_measured_is_as_good_as_what_is_told(how: str) -> None:
    told, found = told_and_found(picture("camera")[0], 0.03 * levels(how))
    assert found > told - 0.5


@pytest.mark.long
def test_a_stack_keeps_no_maps() -> None:
    clean = picture("camera")[0]
    y = np.stack([noisy(clean, 0.03 * levels("seam")), noisy(clean, 0.05, 1)])
    made = hush.run(y, axes="TYX")
    first, second = made.items
    assert first.found.field is not None
    assert second.found.field is None
    assert not first.process.varies
    assert first.judgement.stats["ratio"] == pytest.approx(1, abs=0.1)
    alone = hush.denoise(y[0])
    np.testing.assert_array_equal(made.data[0], alone)


def test_the_mean_level_is_that_of_all_places() -> None:
    found = Estimate(PoissonGaussian(0.01, 0.02, 0.1), 0.1, field=a_field().normalised())
    x = np.full((1, 60, 80), 0.5)
    assert found.local.variance(x).mean() == pytest.approx(found.process.variance(0.5), rel=1e-5)
    assert found.uniform.local == found.process
    np.testing.assert_allclose(found.variance(x), found.local.variance(x))


def test_zero_filled_images_have_a_map_on_their_own_grid() -> None:
    size, full = (256, 384), (512, 512)
    rows, columns = (np.linspace(-1, 1, n) for n in size)
    body = 0.6 + 0.1 * np.sin(9 * rows[:, None]) * np.cos(7 * columns)
    sigma = 0.04 * (1 + 2 * (columns + 1) / 2)
    k = np.fft.fftshift(np.fft.fft2(body + sigma * (white(size) + 1j * white(size, 1))))
    pad = [((m - n) // 2,) * 2 for n, m in zip(size, full, strict=True)]
    filled = np.abs(np.fft.ifft2(np.fft.ifftshift(np.pad(k, pad)))) * np.prod(full) / k.size
    made = hush.run(filled.astype(np.float32))
    assert made.estimate.field is not None
    assert made.estimate.field.shape == full
    level = np.sqrt(made.estimate.field.map()[0])
    assert level[:, -64:].mean() > 2 * level[:, :64].mean()
    assert made.residual["ratio"] == pytest.approx(1, abs=0.2)


@pytest.mark.long
def test_bm3d_sees_even_noise() -> None:
    pytest.importorskip("bm3d")
    clean, sigma = picture("camera"), 0.03 * levels("seam")
    y = noisy(clean, sigma)
    even = get_method("bm3d")().restore(y, Gaussian(float(np.sqrt((sigma**2).mean())))).data
    assert psnr(get_method("bm3d")().restore(y).data, clean) > psnr(even, clean) + 2


def test_adapting_leaves_it_out() -> None:
    """Training adds noise of one level."""
    model = hush.load(WEIGHTS / "mid-gray.safetensors")
    y = noisy(picture("camera"), 0.03 * levels("seam"))
    assert model.adapt([y], 1.0) is model


# -- telling of it ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("places") / "stitched.tif"
    y = noisy(picture("camera")[0], 0.03 * levels("seam"))
    tifffile.imwrite(path, np.clip(255 * y, 0, 255).round().astype(np.uint8))
    return path


@pytest.mark.parametrize("command", ["inspect", "denoise"])
def test_json_has_the_range_of_levels(command: str, file: Path, tmp_path: Path) -> None:
    extra = ["-o", str(tmp_path / "out.tif")] if command == "denoise" else []
    result = CliRunner().invoke(main, [command, str(file), "--json", *extra])
    assert result.exit_code == 0
    row = json.loads(result.stdout)
    low, high = row["sigma_range"]
    assert 5 < low < 9
    assert 20 < high < 27
    assert low < row["sigma"] < high
    if command == "inspect":
        assert row["spec"] is None  # a text has one level
    else:
        assert row["process"].startswith("Gaussian, σ ")
        assert row["process"] == row["items"][0]["process"]
        assert row["process"].endswith("(map)")


@pytest.mark.parametrize("command", ["inspect", "denoise"])
def test_summaries_say_so(command: str, file: Path, tmp_path: Path) -> None:
    extra = ["-o", str(tmp_path / "out.tif")] if command == "denoise" else []
    result = CliRunner().invoke(main, [command, str(file), *extra])
    assert result.exit_code == 0
    assert "over the image" in " ".join(result.stdout.split())
    assert "--noise" not in result.stdout


@pytest.mark.long
def test_reports_show_the_map(file: Path, tmp_path: Path) -> None:
    made, seen, path = hush.run(file), inspected(file), tmp_path / "report.html"
    made.report(path)
    assert "Noise level" in path.read_text()
    (view,) = get("image").section(made, 1e6).views  # type: ignore[attr-defined]
    assert view.level is not None
    assert (view.level.picture.width, view.level.picture.height) == (256, 256)
    low, high = made.estimate.sigma_range or (0, 0)
    assert view.level.lowest == pytest.approx(255 * low, rel=0.01)
    assert view.level.highest == pytest.approx(255 * high, rel=0.01)
    write_report(seen, path)
    assert "The level of the noise" in path.read_text()
    # a smaller picture has a smaller map, and even noise has none
    whole, _ = get("image").section(made, 5000).views  # type: ignore[attr-defined]
    assert whole.level.picture.width == whole.before.width < 256
    even = hush.run(Record(noisy(picture("camera")[0], 0.05), "YX"))
    assert get("image").section(even, 1e6).views[0].level is None  # type: ignore[attr-defined]
