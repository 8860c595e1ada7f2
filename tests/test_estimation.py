"""Noise of known law, added to known pictures, must be recognised; no data leaves no answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import scipy.fft
import torch
from scipy.ndimage import gaussian_filter, uniform_filter
from scipy.optimize import nnls
from skimage import data

from hush.errors import HushError
from hush.kinds.image.measure import photons, spectrum, transfer
from hush.kinds.image.measure.estimation import estimate, estimate_any
from hush.kinds.image.measure.impulses import without_many
from hush.noise.correlated import Correlated
from hush.noise.process import Process
from hush.noise.processes import Gamma, Gaussian, Poisson, PoissonGaussian, Rician
from hush.noise.spectrum import OCTAVES, areas, levels
from hush.results import Estimate

PICTURES = {"camera": data.camera, "coins": data.coins, "page": data.page, "moon": data.moon}


def picture(name: str) -> np.ndarray:
    """A photograph, float32 (1, H, W) in [0, 1], its own grain smoothed away."""
    return (gaussian_filter(PICTURES[name]().astype(np.float32), 0.7) / 255)[None]


def white(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def correlated(shape: tuple[int, int], width: float, seed: int = 0) -> np.ndarray:
    """Half the power white, half blurred by a Gaussian kernel: DiffDenoise, section 4.1."""
    blurred = gaussian_filter(white(shape, seed), width, mode="wrap")
    return (blurred / blurred.std() + white(shape, seed + 1)) / np.sqrt(2)


def poisson(x: np.ndarray, peak: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(x * peak) / peak


def stored(x: np.ndarray) -> np.ndarray:
    """As an 8-bit file would hold it: clipped and rounded."""
    return (np.round(x.clip(0, 1) * 255) / 255).astype(np.float32)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("level", [5, 25, 50])
def test_gaussian_level(name: str, level: int) -> None:
    x = picture(name)
    found = estimate((x + level / 255 * white(x.shape)).astype(np.float32))
    assert found.sigma == pytest.approx(level / 255, rel=0.04)
    assert found.family == "gaussian"
    assert not found.correlated
    assert found.correlation == 0
    assert np.isnan(found.kernel_width)
    assert found.process == Gaussian(found.sigma)


def test_few_textured_cells_tell_that_noise_grows() -> None:
    """Most of the picture is background, and nothing bright is flat, as in fluorescence."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:384, :384]
    cells = np.zeros(x.shape)
    for cy, cx in rng.uniform(0, 384, (40, 2)):
        cells = np.maximum(cells, rng.uniform(0.2, 1) * (np.hypot(y - cy, x - cx) < 11))
    grain = gaussian_filter(rng.standard_normal(x.shape), 3)
    light = gaussian_filter(cells * (1 + 0.25 * grain / grain.std()), 1.5).clip(0)
    counts = rng.poisson(120 * light) + 1.6 * rng.standard_normal(x.shape)
    found = estimate(((100 + 2 * counts) / 65535).astype(np.float32)[None])
    assert found.family == "poisson-gaussian"
    assert found.gain * 65535 == pytest.approx(2, rel=0.35)


def test_a_few_bright_cells_among_all_the_background_count() -> None:
    """They were in one group of blocks with their edges, and did not tell how noise grows."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:224, :320]
    cells = np.zeros(x.shape)
    for cy, cx in rng.uniform(20, 200, (9, 2)) * (1, 1.4):
        cells = np.maximum(cells, rng.uniform(0.3, 1) * (np.hypot(y - cy, x - cx) < 11))
    counts = rng.poisson(30 * gaussian_filter(cells, 1.5)) + 1.6 * rng.standard_normal(x.shape)
    found = estimate((np.rint(100 + 2.2 * counts) / 65535).astype(np.float32)[None])
    assert found.family == "poisson-gaussian"
    assert found.gain * 65535 == pytest.approx(2.2, rel=0.35)


def spots(background: float) -> np.ndarray:
    """Expected counts of small bright spots ``(1, H, W)`` on an even background."""
    light = np.zeros((144, 144))
    light[tuple(np.random.default_rng(0).integers(5, 139, (2, 17)))] = 1
    light = gaussian_filter(light, 2)
    return (background + 200 * light / light.max())[None]


def test_counts_whose_variance_is_their_mean_are_poisson() -> None:
    """An even background tells no law; but whole numbers with the variance of counts are counts."""
    counts = np.random.default_rng(1).poisson(spots(3.0))
    assert estimate(counts.astype(np.float32)).family == "poisson"
    other = np.rint(spots(9.0) + 2 * white(counts.shape)).clip(0)
    assert estimate(other.astype(np.float32)).family == "gaussian"


@pytest.mark.parametrize("name", ["camera", "coins"])
@pytest.mark.parametrize("peak", [5, 30, 200])
def test_poisson_gain(name: str, peak: float) -> None:
    x = picture(name)
    found = estimate(poisson(x, peak).astype(np.float32))
    assert found.family == "poisson"
    assert found.gain == pytest.approx(1 / peak, rel=0.05)
    assert found.sigma == pytest.approx(np.sqrt(x.mean() / peak), rel=0.04)
    assert isinstance(found.process, Poisson)
    assert found.gain == 1 / found.process.peak


def test_poisson_gaussian() -> None:
    x = picture("camera")
    y = poisson(x, 50) + 0.06 * white(x.shape)
    found = estimate(y.astype(np.float32))
    assert found.family == "poisson-gaussian"
    assert found.gain == pytest.approx(1 / 50, rel=0.1)
    assert found.read_sigma == pytest.approx(0.06, rel=0.1)
    assert found.process == PoissonGaussian(found.gain, found.read_sigma)


def test_a_pedestal_under_counts_is_an_offset() -> None:
    x = picture("camera")
    found = estimate((poisson(x, 50) + 0.1).astype(np.float32))
    assert found.family == "poisson-gaussian"
    assert found.gain == pytest.approx(1 / 50, rel=0.06)
    assert found.read_sigma == 0
    assert found.offset == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("shape", [10, 100])
def test_multiplicative(shape: float) -> None:
    x = picture("camera")
    y = x * np.random.default_rng(0).gamma(shape, 1 / shape, x.shape)
    found = estimate(y.astype(np.float32))
    assert found.family == "gamma"
    assert found.shape == pytest.approx(shape, rel=0.1)
    assert found.sigma == pytest.approx(np.sqrt((x**2).mean() / shape), rel=0.06)
    assert found.process == Gamma(found.shape)


def rician(x: np.ndarray, sigma: float) -> np.ndarray:
    parts = x + sigma * white(x.shape), sigma * white(x.shape, 1)
    return np.hypot(*parts).astype(np.float32)


def test_magnitudes_with_a_dark_background() -> None:
    x = np.maximum(1.2 * picture("camera") - 0.2, 0)
    found = estimate(rician(x, 0.1))
    assert found.family == "rician"
    assert found.sigma == pytest.approx(0.1, rel=0.03)
    assert found.process == Rician(found.sigma)


def test_magnitudes_of_strong_signals_are_gaussian() -> None:
    found = estimate(rician(picture("camera") + 0.5, 0.05))
    assert found.family == "gaussian"
    assert found.sigma == pytest.approx(0.05, rel=0.03)


def impulses(x: np.ndarray, share: float, values: np.ndarray) -> np.ndarray:
    hit = np.random.default_rng(9).random(x.shape) < share
    return np.where(hit, values, x).astype(np.float32)


@pytest.mark.parametrize("salt", [True, False])
def test_impulses(salt: bool) -> None:
    """Their share, and the level of the noise between them."""
    x = picture("camera") + 0.02 * white((512, 512), 5)
    rng = np.random.default_rng(3)
    values = rng.integers(0, 2, x.shape) if salt else rng.random(x.shape)
    found = estimate(impulses(x, 0.05, values))
    assert found.family == "impulse"
    assert found.impulses == pytest.approx(0.05, rel=0.25 if salt else 0.4)
    assert found.sigma == pytest.approx(0.02, rel=0.15)
    assert not found.correlated


def test_points_of_a_picture_are_no_impulses() -> None:
    """Stars reach into their neighbours, and counts of few photons are noise of their own."""
    stars = impulses(np.zeros((1, 256, 256)), 0.003, np.full((1, 256, 256), 30.0))
    stars = gaussian_filter(stars, (0, 0.8, 0.8)) + 0.02 * white(stars.shape)
    assert estimate(stars.astype(np.float32)).impulses == 0
    counts = poisson(picture("camera"), 5).astype(np.float32)
    assert estimate(counts).impulses == 0


def test_replacing_impulses_leaves_the_rest() -> None:
    x = picture("camera").astype(np.float32)
    y = impulses(x, 0.1, np.random.default_rng(3).integers(0, 2, x.shape))
    cleaned, hit = without_many(y), y != x
    assert (cleaned != y)[~hit].mean() < 0.01
    assert np.abs(cleaned - x)[hit].mean() < 0.1 * np.abs(y - x)[hit].mean()


def test_clipping_is_reported_and_undone() -> None:
    x = 1.3 * picture("camera") - 0.15
    y = stored(x + 30 / 255 * white(x.shape))
    found = estimate(y)
    assert found.sigma == pytest.approx(30 / 255, rel=0.05)
    assert found.clipped == pytest.approx(((y == 0) | (y == 1)).mean(), abs=0.01)


@pytest.mark.parametrize("slope", [0.0, 0.02])
def test_moments_of_clipped_noise(slope: float) -> None:
    x = np.array([-0.1, 0.02, 0.3, 0.7, 0.95, 1.1])
    variance = np.maximum(slope * x + 0.02, 1e-3)
    mean, seen = transfer.clipping(0.0, 1.0)(x, variance)
    for i in range(len(x)):
        y = (x[i] + np.sqrt(variance[i]) * white((400_000,), i)).clip(0, 1)
        assert y.mean() == pytest.approx(mean[i], abs=1e-3)
        assert y.var() == pytest.approx(seen[i], rel=0.02)


def test_moments_of_a_magnitude() -> None:
    x = np.array([0.0, 0.1, 0.3, 1.0])
    mean, seen = transfer.magnitude(x, np.full(4, 0.04))
    for i in range(len(x)):
        y = np.hypot(x[i] + 0.2 * white((400_000,), i), 0.2 * white((400_000,), i + 9))
        assert y.mean() == pytest.approx(mean[i], abs=1e-3)
        assert y.var() == pytest.approx(seen[i], rel=0.02)


def test_nonnegative_least_squares() -> None:
    rng = np.random.default_rng(0)
    columns, target = rng.normal(size=(200, 20, 4)), rng.normal(size=20)
    ours, squared = spectrum._nonnegative(columns, target)
    for own, left, among in zip(ours, squared, columns, strict=True):
        theirs, residual = nnls(among, target)
        np.testing.assert_allclose(own, theirs, atol=1e-9)
        assert left == pytest.approx(residual**2)


def test_kernel_spectra_keep_the_power() -> None:
    for kernel in (*spectrum._kernels(), *spectrum._steeper()):
        assert kernel.shape.mean() == pytest.approx(1)
        assert areas(2, OCTAVES) @ kernel.means == pytest.approx(1)
    for kernel in spectrum._kernels():
        assert (np.diff(kernel.lags) <= 1e-12).all()
        assert -1e-12 <= kernel.lags[-1] < kernel.lags[0] < 1


def test_blocks_see_noise_of_a_kernel_as_it_was_computed() -> None:
    """The spectrum of blocks, their lags and octaves, beside noise drawn with that kernel."""
    n = 2048
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(n), np.fft.fftfreq(n)))
    white = np.fft.fft2(np.random.default_rng(0).standard_normal((n, n)))
    kernel = spectrum._steeper()[-7]
    cut = [c for _ in spectrum._POWERS for c in spectrum._CUTS][-7]
    power = np.exp(-((radius / cut) ** spectrum._POWERS[-1]))
    noise = np.fft.ifft2(white * np.sqrt(power)).real
    noise /= noise.std()
    parts = noise.reshape(n // 8, 8, n // 8, 8).transpose(0, 2, 1, 3).reshape(-1, 8, 8)
    seen = np.square(scipy.fft.dctn(parts, axes=(1, 2), norm="ortho")).mean(0).ravel()
    assert np.abs(seen / kernel.shape - 1).max() < 0.1
    assert np.mean(noise[:, 1:] * noise[:, :-1]) == pytest.approx(kernel.lags[0], abs=0.01)
    own = np.square(levels(power, power, OCTAVES)[0]) / power.mean()
    np.testing.assert_allclose(own, kernel.means, rtol=0.05)


@pytest.mark.parametrize("blur", [lambda n: gaussian_filter(n, 1), lambda n: uniform_filter(n, 2)])
def test_octaves_of_blurred_noise_are_its_own(blur) -> None:
    """Not what blocks see of them, the windows of which let coarse noise leak into fine octaves."""
    x = picture("camera")
    noise = blur(np.random.default_rng(1).standard_normal(x.shape[1:]))
    noise *= 15 / 255 / noise.std()
    power = np.square(np.abs(np.fft.fft2(noise)))
    true = levels(power / power.mean(), power / power.mean(), OCTAVES)[0]
    found = estimate((x + noise).astype(np.float32))
    told = found.law().octaves(OCTAVES)[0] * found.sigma / (15 / 255)
    np.testing.assert_allclose(told, true, rtol=0.25)


@pytest.mark.parametrize("width", [0.5, 1.2])
@pytest.mark.parametrize("level", [15, 40])
def test_correlated_noise(width: float, level: int) -> None:
    x = picture("camera")
    noise = correlated(x.shape[1:], width)
    found = estimate((x + level / 255 * noise).astype(np.float32))
    lag = np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]
    assert found.correlated
    assert found.correlation == pytest.approx(lag, abs=0.05)
    assert found.kernel_width == pytest.approx(width, rel=0.25)
    assert found.sigma == pytest.approx(level / 255, rel=0.1)


@pytest.mark.parametrize("width", [0.5, 1.2])
@pytest.mark.parametrize(
    ("white_noise", "family"), [(Poisson(200), "poisson"), (Gamma(100), "gamma")]
)
def test_correlated_noise_that_follows_the_signal(
    white_noise: Process, family: str, width: float
) -> None:
    """Half of the image is nearly dark, and has no noise to tell a correlation by."""
    x = picture("camera")
    x[..., :256] *= 0.01
    process = Correlated(white_noise, width)
    y = process.sample(torch.from_numpy(x), torch.Generator().manual_seed(0)).numpy()
    found = estimate(y)
    assert found.correlated
    assert found.family == family
    assert found.kernel_width == pytest.approx(width, rel=0.25)
    assert found.sigma == pytest.approx((y - x).std(), rel=0.1)


def test_a_mask_with_soft_edges_is_no_photons() -> None:
    """Its edges vary as bright photons do, but its areas have one value."""
    mask = gaussian_filter(white((160, 160)), 8) > 0.02
    soft = np.rint(255 * gaussian_filter(mask.astype(float), 0.7))
    assert photons.resolved([(soft / 255).astype(np.float32)[None]]) is None
    counts = np.random.default_rng(0).poisson(9 * gaussian_filter(mask.astype(float), 2))
    assert photons.resolved([counts.astype(np.float32)[None]]) is not None


def test_compressed_photons_are_still_photons() -> None:
    """JPEG took high frequencies off the demo's galaxies, so that noise seems to fall there."""
    picture = Path(__file__).parents[1] / "examples" / "hubble.png"
    found = estimate(iio.imread(picture)[None].astype(np.float32) / 255)
    assert found.correlated
    assert found.family == "poisson"


@pytest.mark.parametrize(("width", "mild"), [(0.42, True), (0.2, False)])
def test_mildly_correlated_noise_is_seen_on_a_picture(width: float, mild: bool) -> None:
    """As speckle is that an instrument samples a little finely; a width of 0.2 pixels is none."""
    noise = correlated((256, 256), width, seed=3)
    y, x = np.mgrid[:256, :256] / 256
    scene = 0.4 + 0.2 * (np.hypot(y - 0.5, x - 0.4) < 0.3) + 0.1 * np.sin(12 * x * y)
    found = estimate((scene + 0.1 * noise)[None].astype(np.float32))
    assert found.correlated == mild
    if found.spectrum is not None:
        assert found.autocorrelation[0] < 0.15
        assert found.spectrum.brightness[2] > found.spectrum.brightness[0]


def test_texture_where_it_is_bright_is_no_correlated_noise() -> None:
    x = np.tile(np.linspace(0, 1, 512, dtype=np.float32), (1, 512, 1))
    texture = gaussian_filter(white(x.shape, 5), (0, 1.5, 1.5))
    x = x + 0.02 * x * texture / texture.std()
    noise = 6 / 255 * correlated(x.shape[1:], 0.5)
    found = estimate((x + noise).astype(np.float32))
    assert found.correlated
    assert found.family == "gaussian"
    assert found.sigma == pytest.approx(noise.std(), rel=0.05)


@pytest.fixture(scope="module")
def noisy() -> np.ndarray:
    x = picture("camera")[:, 100:356, 100:356]
    return (x + 0.08 * white(x.shape)).astype(np.float32)


@pytest.mark.parametrize("scale", [1e-3, 0.5, 37.0])
def test_gain_equivariance(noisy: np.ndarray, scale: float) -> None:
    a, b = estimate(noisy), estimate(noisy * np.float32(scale))
    assert b.sigma == pytest.approx(scale * a.sigma, rel=1e-4)
    assert (b.family, b.correlated) == (a.family, a.correlated)


@pytest.mark.parametrize("offset", [-0.5, 0.25, 3.0])
def test_offset_equivariance(noisy: np.ndarray, offset: float) -> None:
    a, b = estimate(noisy), estimate(noisy + np.float32(offset))
    assert b.sigma == pytest.approx(a.sigma, rel=1e-3)
    assert b.family == a.family == "gaussian"


def test_pixels_that_are_not_finite_are_left_out(noisy: np.ndarray) -> None:
    holed = noisy.copy()
    holed[:, 40:90, 60:100] = np.nan
    holed[:, 200, 200] = np.inf
    found = estimate(holed)
    assert found.sigma == pytest.approx(estimate(noisy).sigma, rel=0.02)


def test_each_channel_has_its_level() -> None:
    levels = np.array([0.02, 0.05, 0.1])
    x = np.concatenate([picture("camera")] * 3)
    y = x + levels[:, None, None] * white(x.shape)
    found = estimate(y.astype(np.float32))
    assert found.channels == pytest.approx(tuple(levels), rel=0.05)
    assert found.sigma == pytest.approx(np.sqrt((levels**2).mean()), rel=0.05)


def test_images_are_pooled() -> None:
    images = [
        (x + 0.05 * white(x.shape, seed)).astype(np.float32)
        for seed, x in enumerate(map(picture, ("camera", "coins", "moon")))
    ]
    assert estimate(images).sigma == pytest.approx(0.05, rel=0.03)


def test_uncertainty_shrinks_with_the_data(noisy: np.ndarray) -> None:
    assert 0 < estimate(noisy).uncertainty < estimate(noisy[:, :32, :32]).uncertainty


def test_one_signal_level_does_not_decide_the_family() -> None:
    found = estimate((0.5 + 0.05 * white((1, 64, 64))).astype(np.float32))
    assert found.undecided
    assert found.sigma == pytest.approx(0.05, rel=0.05)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_constant_image_has_no_noise(channels: int) -> None:
    found = estimate(np.full((channels, 40, 50), 0.3, np.float32))
    assert (found.family, found.sigma) == ("gaussian", 0)
    assert found.channels == (0.0,) * channels
    assert found.process == Gaussian(0.0)


def test_a_drawing_has_no_noise() -> None:
    shades = np.kron(np.linspace(0, 1, 16).reshape(4, 4), np.ones((40, 40)))
    assert estimate(shades[None].astype(np.float32)).sigma == 0


def test_black_surroundings_are_not_mistaken_for_silence(noisy: np.ndarray) -> None:
    y = np.zeros((1, 400, 400), np.float32)
    y[:, :256, :256] = noisy.clip(0.01)
    assert estimate(y).channels[0] == pytest.approx(0.08, rel=0.1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.zeros((1, 7, 30), np.float32),
        lambda: np.full((1, 40, 40), np.nan, np.float32),
        lambda: np.where(np.indices((1, 64, 64))[2] % 5, 0.5, np.nan).astype(np.float32),
    ],
    ids=["narrow", "nan", "striped"],
)
def test_too_little_to_estimate_from(make: Callable[[], np.ndarray]) -> None:
    with pytest.raises(HushError, match="too few pixels"):
        estimate(make())


def test_the_level_is_that_of_the_nearest_values_known() -> None:
    """Between every second pixel, as of interleaved recordings, no neighbours are known."""
    noise = 0.05 * white((1, 90, 90))
    noise[:, np.indices((90, 90)).sum(0) % 2 == 0] = np.nan
    assert estimate_any(noise.astype(np.float32)).sigma == pytest.approx(0.05, rel=0.05)


@pytest.mark.parametrize(
    "images", [[], [np.zeros((40, 40))], [np.zeros((1, 9, 9)), np.zeros((3, 9, 9))]]
)
def test_images_must_share_a_layout(images: list[np.ndarray]) -> None:
    with pytest.raises(HushError, match="number of channels"):
        estimate(images)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 9, 200), (4, 8, 31)])
def test_the_smallest_images(shape: tuple[int, int, int]) -> None:
    found = estimate((0.5 + 0.1 * white(shape)).astype(np.float32))
    assert isinstance(found, Estimate)
    assert found.sigma == pytest.approx(0.1, rel=0.5)


@pytest.mark.parametrize("side", [7, 64])
def test_values_below_zero_are_no_counts(side: int) -> None:
    noise = 0.1 * white((1, side, 64)).astype(np.float32)
    assert "poisson" in estimate_any(noise + 1).alternatives
    assert not {"poisson", "gamma"} & {*estimate_any(noise).alternatives}


def test_the_same_answer_twice_and_the_input_untouched(noisy: np.ndarray) -> None:
    before = noisy.copy()
    first = estimate(noisy)
    # kernel_width is nan, and nan is not itself
    assert repr(first) == repr(estimate(noisy))
    np.testing.assert_array_equal(noisy, before)


def test_variance_follows_what_the_curve_shows_where_no_law_holds() -> None:
    """Noise that is strong in the middle of the range alone, which no family has."""
    rng = np.random.default_rng(0)
    x = np.tile(np.linspace(0, 1, 512, dtype=np.float32), (512, 1))[None]
    true = 0.02 * (1 + np.exp(-(((x - 0.5) / 0.15) ** 2)))
    found = estimate(x + true * rng.standard_normal(x.shape).astype(np.float32))
    at = np.array([0.1, 0.5, 0.9])
    expected = np.interp(at, x[0, 0], true[0, 0]) ** 2
    np.testing.assert_allclose(found.variance(at), expected, rtol=0.15)
    assert not np.allclose(found.process.variance(at), expected, rtol=0.15)


def test_a_law_that_holds_is_what_the_curve_says() -> None:
    x = np.tile(np.linspace(0, 1, 512, dtype=np.float32), (512, 1))[None]
    noise = np.random.default_rng(0).standard_normal(x.shape).astype(np.float32)
    found = estimate(x + 0.05 * noise)
    np.testing.assert_allclose(found.variance(np.linspace(0, 1, 11)), 0.05**2, rtol=0.08)
    assert estimate(0 * x).variance(x).max() == 0


def falling(x: np.ndarray, slope: float, seed: int = 0) -> np.ndarray:
    """Noise whose deviation falls linearly with the signal, as under a logarithm."""
    deviation = 0.1 * (1 - slope * (x - x.mean()))
    return (x + deviation * white(x.shape, seed)).astype(np.float32)


@pytest.mark.parametrize("slope", [0.5, 1.0])
def test_noise_that_falls_with_brightness_misses_its_law(slope: float) -> None:
    """The ratio to the best constant level is the deviation's, in every quarter of the curve."""
    x = picture("camera")
    found = estimate(falling(x, slope))
    assert found.family == "gaussian"
    signal, ratio = np.array(found.missed).T
    assert (np.diff(signal) > 0).all()
    true = 0.1 * (1 - slope * (signal - x.mean())) / found.sigma
    np.testing.assert_allclose(ratio, true, rtol=0.04)
    assert found.misses(None)
    assert found.misses(Gaussian(0.1))
    assert not found.misses(Poisson(30.0))


@pytest.mark.parametrize(
    "law", [Gaussian(0.1), Poisson(30.0), PoissonGaussian(0.01, 0.05), Gamma(20.0)], ids=str
)
def test_noise_of_a_law_does_not_miss_it(law: Process) -> None:
    x = torch.from_numpy(picture("camera"))
    noisy = law.sample(x, torch.Generator().manual_seed(0)).numpy()
    found = estimate(noisy)
    assert found.curve_errors
    assert found.missed == ()
    assert not found.misses(None)


def test_less_than_a_tenth_is_not_missed_nor_is_what_may_be_chance() -> None:
    x = picture("camera")
    assert estimate(falling(x, 0.05)).missed == ()
    found = estimate(falling(x, 0.5))
    unsure = tuple(10 * e for e in found.curve_errors)
    assert dataclasses.replace(found, curve_errors=unsure).missed == ()
