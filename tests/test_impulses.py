"""Hot and dead pixels and tracks are found among noise; stars, lines and photons are not taken."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter, label
from scipy.special import ndtr
from skimage import data
from skimage.draw import line

from hush.kinds.image import IMAGE
from hush.kinds.image.measure.estimation import estimate
from hush.kinds.image.measure.impulses import impulses_in, without_impulses
from hush.kinds.image.measure.photons import resolved
from hush.kinds.image.measure.pixels import median, replaced, windows
from hush.kinds.image.measure.rare import rare_impulses, weibull
from hush.kinds.image.measure.salt import extremes
from hush.kinds.image.measure.tracks import groups
from hush.noise.processes import Gaussian, Impulse, Poisson
from hush.report import describe
from hush.results import MANY, Estimate

SIDE = 256


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def scene(side: int = SIDE) -> np.ndarray:
    """Smooth hills between 0.2 and 0.8."""
    hills = gaussian_filter(generator(7).standard_normal((side, side)), 12, mode="wrap")
    return 0.5 + 0.3 * hills / np.abs(hills).max()


def noisy(clean: np.ndarray, sigma: float = 0.02, seed: int = 0) -> np.ndarray:
    return clean + sigma * generator(seed).standard_normal(clean.shape)


def item(x: np.ndarray) -> np.ndarray:
    return np.asarray(x, np.float32)[None]


def found(x: np.ndarray, seen: Estimate | None = None) -> np.ndarray:
    """Where a plane has impulses beside the noise that is measured in it."""
    return impulses_in(item(x), seen or estimate(item(x)))[0]


# -- found ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["hot", "dead", "both"])
@pytest.mark.parametrize(
    "share", [1e-4, *(pytest.param(s, marks=pytest.mark.long) for s in (1e-3, 1e-2)), 1e-1]
)
def test_a_known_share_is_found_and_replaced(share: float, kind: str) -> None:
    clean, rng = scene(), generator(1)
    hit = rng.random(clean.shape) < share
    values = {
        "hot": clean + rng.uniform(0.4, 3, clean.shape),
        "dead": 0 * clean,
        "both": rng.integers(0, 2, clean.shape),
    }[kind]
    y = np.where(hit, values, noisy(clean))
    seen = estimate(item(y))
    assert seen.impulses == pytest.approx(hit.mean(), rel=0.15, abs=1 / hit.size)
    assert seen.family == ("impulse" if share >= MANY else "gaussian")
    assert seen.sigma == pytest.approx(0.02, rel=0.1)
    without = without_impulses(item(y), seen)[0]
    # A median of eight is about as noisy as a pixel is; of the hot ones at 10 %, some touch.
    error = np.sqrt(np.mean((without - clean)[hit] ** 2))
    assert error < 0.03 if share < MANY else error < 0.1 * np.abs(y - clean)[hit].mean()
    assert (without != np.float32(y))[~hit].mean() < (1e-4 if share < MANY else 2e-3)
    if share < MANY:
        assert seen.hits == np.count_nonzero(found(y, seen))


def track(shape: tuple[int, int], seed: int) -> np.ndarray:
    """Tracks of one to nine pixels in all directions."""
    rng, hit = generator(seed), np.zeros(shape, bool)
    for _ in range(25):
        start, angle = rng.integers(12, SIDE - 12, 2), rng.uniform(0, 2 * math.pi)
        step = np.array([math.sin(angle), math.cos(angle)])
        step /= np.abs(step).max()
        for i in range(rng.integers(1, 10)):
            hit[tuple(np.rint(start + i * step).astype(int))] = True
    return hit


@pytest.mark.parametrize("seed", range(3))
def test_tracks_in_all_directions(seed: int) -> None:
    clean, hit = scene(), track((SIDE, SIDE), seed)
    y = np.where(hit, noisy(clean) + generator(seed).uniform(0.8, 40, clean.shape), noisy(clean))
    seen = estimate(item(y))
    np.testing.assert_array_equal(found(y, seen), hit)
    assert seen.sigma == pytest.approx(0.02, rel=0.05)
    assert seen.process == Gaussian(seen.sigma)


def test_an_absurd_value_counts_whatever_the_noise_is() -> None:
    """The noise of speckle explains any single value but for one beyond all others."""
    y = generator().exponential(size=(SIDE, SIDE))
    y[50, 60], y[100, 100:103] = 500, 400
    hit = found(y)
    assert np.argwhere(hit).tolist() == [[50, 60], [100, 100], [100, 101], [100, 102]]


def test_rare_impulses_leave_the_measurement_alone() -> None:
    clean = scene()
    y = generator().poisson(200 * clean) / 200
    blurred = gaussian_filter(generator(1).standard_normal(clean.shape), 1.2)
    correlated = clean + 0.05 * blurred / blurred.std() + 0.05 * noisy(0 * clean, 1.0)
    for x in (y, correlated):
        hit = generator(2).random(x.shape) < 1e-3
        a, b = estimate(item(x)), estimate(item(np.where(hit, 5.0, x)))
        assert b.hits == np.count_nonzero(hit)
        assert (a.family, a.correlated) == (b.family, b.correlated)
        assert b.sigma == pytest.approx(a.sigma, rel=0.02)


@pytest.mark.parametrize("channels", [1, 3])
def test_hits_are_pixels_in_any_channel(channels: int) -> None:
    x = np.stack([noisy(scene(), seed=i) for i in range(channels)]).astype(np.float32)
    x[:, 30, 40] = 9
    x[0, 100, 40] = 9
    seen = estimate(x)
    assert (seen.hits, seen.impulses) == (2, (channels + 1) / x.size)


# -- not taken -----------------------------------------------------------------------------------

NOISE: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "normal": lambda rng: rng.standard_normal((1024, 1024)),
    "uniform": lambda rng: rng.random((1024, 1024)),
    "poisson 0.3": lambda rng: rng.poisson(0.3, (1024, 1024)),
    "poisson 3": lambda rng: rng.poisson(3, (1024, 1024)),
    "poisson 100": lambda rng: rng.poisson(100, (1024, 1024)),
    "gumbel": lambda rng: rng.gumbel(size=(1024, 1024)),
    "exponential": lambda rng: rng.exponential(size=(1024, 1024)),
    "lognormal": lambda rng: np.exp(rng.standard_normal((1024, 1024))),
}


@pytest.mark.long
@pytest.mark.parametrize("law", NOISE)
def test_noise_alone_has_none(law: str) -> None:
    """Of any law: 0.1 are expected in an image."""
    assert estimate(item(NOISE[law](generator()))).impulses == 0


def stars(sigma: float, number: int = 400) -> np.ndarray:
    """Points under a Gaussian point spread function, integrated over pixels; peaks 2 to 2000."""
    rng, out = generator(4), np.zeros((SIDE, SIDE))
    near = np.arange(-7, 8)
    for y, x in rng.uniform(8, SIDE - 8, (number, 2)):
        i, j = int(y), int(x)
        rows, columns = (
            ndtr((near + 0.5 - a) / sigma) - ndtr((near - 0.5 - a) / sigma) for a in (y - i, x - j)
        )
        peak = 2000 * rng.uniform() ** 4 + 2
        out[i - 7 : i + 8, j - 7 : j + 8] += 2 * math.pi * sigma**2 * peak * np.outer(rows, columns)
    return out


@pytest.mark.parametrize("ground", [0.1, 20.0])
@pytest.mark.parametrize("sigma", [0.8, 1.0, 1.5])
def test_stars_stay(sigma: float, ground: float) -> None:
    y = generator().poisson(stars(sigma) + ground)
    assert estimate(item(y)).impulses == 0
    hot = generator(1).random(y.shape) < 2e-4
    hit = found(np.where(hot, y + 3000, y))
    assert not hit[~hot].any()
    assert hit[hot].mean() > 0.7  # the others are close to stars


def test_lines_stay() -> None:
    y = noisy(scene())
    for ends in generator(3).integers(0, SIDE, (12, 4)):
        y[line(*ends)] += 0.6
    y[40, 10:200] += 0.6
    y[10:200, 30] -= 0.6
    assert estimate(item(y)).impulses == 0


def test_letters_stay() -> None:
    picture = Image.new("L", (SIDE, SIDE))
    for row in range(3):
        text = "The quick brown fox: 0.5 mm, i.e. fine"
        ImageDraw.Draw(picture).text((5, 20 + 60 * row), text, 255, ImageFont.load_default(size=10))
    drawn = np.asarray(picture) > 127
    hit = found(np.where(drawn, 1.0, noisy(0.3 * scene())))
    assert hit.sum() <= 0.005 * drawn.sum()


@pytest.mark.parametrize("name", ["moon", "page", "brick", "grass", "gravel", "cell", "clock"])
def test_photographs_have_none(name: str) -> None:
    assert estimate(item(getattr(data, name)() / 255)).impulses == 0


def test_events_that_draw_a_picture_are_none() -> None:
    """Photons behind a multiplier have any amplitude, but they are where the light is."""
    rng, hills = generator(5), gaussian_filter(generator(6).standard_normal((SIDE, SIDE)), 6)
    light = np.where(hills > hills.std(), 1.0, 0.0)
    events = rng.poisson(0.06 * light)
    amplitudes = rng.gamma(np.maximum(events, 1e-9)) * 100
    y = 500 + 4 * rng.standard_normal(light.shape) + np.where(events > 0, amplitudes, 0)
    assert estimate(item(y)).impulses == 0
    anywhere = rng.permuted(y.ravel()).reshape(y.shape)
    assert estimate(item(anywhere)).impulses > 0.3 * (events > 0).mean()


# -- photons -------------------------------------------------------------------------------------


def cells(mean: float) -> np.ndarray:
    hills = gaussian_filter(generator(6).standard_normal((SIDE, SIDE)), 6)
    light = gaussian_filter(np.maximum(hills - hills.std(), 0), 1)
    return mean * light / light.mean()


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize(("gain", "offset"), [(1, 0), (37, 100), (1 / 65535, 0)])
@pytest.mark.parametrize("mean", [0.01, 0.1, 0.5])
def test_photons_on_black_are_noise(mean: float, gain: float, offset: float, flat: bool) -> None:
    clean = np.full((SIDE, SIDE), mean) if flat else cells(mean)
    y = generator().poisson(clean)
    seen = estimate(item(offset + gain * y))
    assert seen.impulses == 0
    assert seen.gain == pytest.approx(gain, rel=1e-3)
    assert (seen.read_sigma, seen.offset) == (0, offset)
    assert seen.sigma == pytest.approx(gain * np.sqrt(y.mean()), rel=1e-3)
    assert seen.uncertainty == pytest.approx(0.5 / np.sqrt(y.sum()), rel=1e-3)


@pytest.mark.parametrize("read", [0.05, 0.15, 0.2])
@pytest.mark.parametrize("mean", [0.03, 0.3])
def test_photons_with_read_noise(mean: float, read: float) -> None:
    y = generator().poisson(cells(mean)) + read * generator(1).standard_normal((SIDE, SIDE))
    seen = estimate(item(50 + 20 * y))
    assert seen.impulses == 0
    assert seen.gain == pytest.approx(20, rel=0.06)
    assert seen.read_sigma == pytest.approx(20 * read, rel=0.05)
    assert seen.offset == pytest.approx(50, abs=0.1)


def test_hot_pixels_among_photons() -> None:
    y = generator().poisson(cells(0.1))
    hot = np.zeros(y.shape, bool)
    hot[20, 30] = hot[100, 101:104] = hot[0, 0] = True
    y[hot] = 200
    np.testing.assert_array_equal(found(y), hot)
    assert estimate(item(y)).process == Poisson(1)


@pytest.mark.parametrize("sigma", [2.0, 5.0])
def test_clipped_noise_has_no_photons(sigma: float) -> None:
    for level in (-sigma, 0.0, sigma):
        y = np.rint(np.maximum(level + sigma * generator().standard_normal((SIDE, SIDE)), 0))
        assert resolved([item(y)]) is None


def test_a_drawing_has_no_photons() -> None:
    y = np.zeros((SIDE, SIDE))
    for ends in generator(3).integers(0, SIDE, (40, 4)):
        y[line(*ends)] = 1
    assert resolved([item(y)]) is None
    assert estimate(item(y)).impulses == 0


# -- equivariance --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hot() -> np.ndarray:
    hit = track((SIDE, SIDE), 9) | (generator(9).random((SIDE, SIDE)) < 1e-3)
    hit[0, 5] = hit[-1, -1] = hit[100, 0] = True
    return np.where(hit, generator(8).uniform(-8, 8, hit.shape), noisy(scene()))


@pytest.mark.parametrize(("gain", "offset"), [(1e-3, 0), (255, -30), (-1, 0.5)])
def test_units_do_not_matter(hot: np.ndarray, gain: float, offset: float) -> None:
    a = rare_impulses(item(hot), Gaussian(0.02).variance)
    b = rare_impulses(item(offset + gain * hot), Gaussian(abs(gain) * 0.02).variance)
    assert a.sum() > 100
    np.testing.assert_array_equal(a, b)


def test_the_point_of_view_does_not_matter(hot: np.ndarray) -> None:
    law = Gaussian(0.02).variance
    here = rare_impulses(item(hot), law)[0]
    there = rare_impulses(item(hot.T), law)[0].T
    assert np.mean(here != there) < 1e-4  # tiles and samples differ


def test_unknown_pixels(hot: np.ndarray) -> None:
    y = noisy(scene())
    y[20, 20] = y[100, 60] = y[0, 200] = 5
    there = found(y)
    y[20, 21] = y[19, 20] = y[101:140, 30:90] = np.nan
    y[200, 200] = np.inf
    np.testing.assert_array_equal(found(y), there)
    assert there.sum() == 3
    without = without_impulses(item(y), estimate(item(y)))[0]
    np.testing.assert_array_equal(np.isfinite(without), np.isfinite(y))
    assert np.abs(without - scene())[there].max() < 0.1


@pytest.mark.parametrize("shape", [(1, 9), (6, 6), (3, 200), (8, 31)])
def test_small_and_empty_images(shape: tuple[int, int]) -> None:
    law = Gaussian(1.0).variance
    for x in (generator().standard_normal(shape), np.zeros(shape), np.full(shape, np.nan)):
        assert not rare_impulses(item(x), law).any()


# -- the parts -----------------------------------------------------------------------------------


def test_replaced_by_the_median_of_those_not_hit() -> None:
    x = generator().random((1, 30, 30)).astype(np.float32)
    hit = np.zeros(x.shape, bool)
    hit[0, 10, 10:13] = hit[0, 0, 0] = True
    y = replaced(x, hit)
    np.testing.assert_array_equal(y[~hit], x[~hit])
    around = np.delete(x[0, 9:12, 10:13].ravel(), [3, 4, 5])
    assert y[0, 10, 11] == pytest.approx(np.median(around))
    hit[0, :5, :5] = True  # a whole corner is filled from its border
    assert np.isfinite(replaced(np.where(hit, np.nan, x), hit)).all()


def test_windows_are_those_of_a_reflected_plane() -> None:
    plane = generator().random((12, 15))
    at = np.argwhere(np.ones(plane.shape, bool))
    expected = np.lib.stride_tricks.sliding_window_view(np.pad(plane, 4, mode="reflect"), (9, 9))
    np.testing.assert_array_equal(windows(plane, at, 4), expected.reshape(-1, 9, 9))


def test_medians_of_some() -> None:
    rows, ok = generator().random((50, 9)), generator(1).random((50, 9)) < 0.5
    ok[0], ok[1] = False, True
    with np.errstate(all="ignore"):
        expected = [np.median(r[o]) if o.any() else np.nan for r, o in zip(rows, ok, strict=True)]
    np.testing.assert_allclose(median(rows, ok), expected)


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_groups_of_touching_pixels(share: float) -> None:
    mask = generator().random((60, 40)) < share
    at = np.argwhere(mask)
    ours, theirs = groups(at, 40), label(mask, np.ones((3, 3)))[0][tuple(at.T)]
    pairs = set(zip(ours.tolist(), theirs.tolist(), strict=True))
    assert len(pairs) == len(set(ours)) == len(set(theirs))


@pytest.mark.parametrize("exponent", [0.7, 1.0, 1.4])
def test_the_law_of_a_tail(exponent: float) -> None:
    x = 3 * (-np.log(generator().random(200_000))) ** (1 / exponent)
    assert weibull(x, (0.1, 0.03)) == pytest.approx((3, exponent), rel=0.03)


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        (Estimate(Gaussian(0.1), 0.1, impulses=1e-4, hits=25), "25 pixels replaced (impulses)"),
        (Estimate(Gaussian(0.1), 0.1, impulses=1e-6, hits=1), "1 pixel replaced (impulses)"),
        (Estimate(Gaussian(0.0), 0.0, impulses=1e-4, hits=25), "25 pixels replaced (impulses)"),
        (Estimate(Gaussian(0.1), 0.1, impulses=0.05, hits=999), "5 % of the pixels replaced"),
    ],
)
def test_few_impulses_are_counted_in_words(seen: Estimate, text: str) -> None:
    assert text in describe.noise(seen, 1.0)
    assert ("Gaussian" in describe.noise(seen, 1.0)) == (seen.sigma > 0)


# -- salt and pepper -----------------------------------------------------------------------------


def salted(share: float, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """A noisy scene with salt and pepper, and where it is."""
    rng = generator(1)
    values, hit = rng.integers(0, 2, (SIDE, SIDE)), rng.random((SIDE, SIDE)) < share
    return np.where(hit, values, noisy(scene(), sigma)), hit


@pytest.mark.parametrize("share", [0.1, 0.4, pytest.param(0.7, marks=pytest.mark.long)])
def test_salt_and_pepper_at_any_share(share: float) -> None:
    """All of it is replaced and nothing else, and the noise between is measured."""
    y, hit = salted(share, 0.05)
    seen = estimate(item(y))
    assert seen.family == "impulse"
    assert seen.impulses == pytest.approx(hit.mean(), abs=1e-6)
    assert seen.sigma == pytest.approx(0.05, rel=0.25)
    without = without_impulses(item(y), seen)[0]
    assert np.array_equal(without != np.float32(y), hit)
    assert np.abs(without - scene())[hit].mean() < 0.05


@pytest.mark.parametrize(
    "made",
    [
        lambda rng: np.clip(0.5 + 0.6 * rng.standard_normal((SIDE, SIDE)), 0, 1),
        lambda rng: np.clip(scene() + 0.3 * rng.standard_normal((SIDE, SIDE)), 0, 1),
        lambda rng: np.clip(4 * (noisy(scene()) - 0.5) + 0.5, 0, 1),
        lambda rng: np.clip(0.2 * rng.exponential(size=(SIDE, SIDE)), 0, 1),
        lambda rng: rng.poisson(2 * scene()).clip(0, 5),
        lambda rng: scene() > rng.random((SIDE, SIDE)),
        lambda rng: np.floor(4 * scene() + rng.random((SIDE, SIDE))),
    ],
    ids=["clipped", "clipped-scene", "contrast", "speckle", "photons", "dithered", "four-levels"],
)
def test_noise_that_is_cut_off_is_no_salt_and_pepper(
    made: Callable[[np.random.Generator], np.ndarray],
) -> None:
    assert extremes(np.float32(made(generator()))) is None


def test_the_noise_beside_stated_impulses_is_measured() -> None:
    y, hit = salted(0.1, 0.02)
    given, seen = IMAGE.stated(item(y), Impulse(0.1))
    assert given is None
    assert seen.impulses == pytest.approx(hit.mean(), abs=1e-6)
    assert seen.sigma == pytest.approx(0.02, rel=0.1)
