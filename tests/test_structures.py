"""Pictures made by rule: what each kind must be to stand for its structure."""

from __future__ import annotations

import numpy as np
import pytest

from hush.errors import HushError
from hush.kinds.image import structures
from hush.kinds.image.structures import STRUCTURES, plane_waves, structure


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 64, 97])
def test_pictures_are_float32_in_the_unit_range(size: int, channels: int) -> None:
    for seed in range(30):
        picture = structure(size, channels, np.random.default_rng(seed))
        assert picture.shape == (channels, size, size)
        assert picture.dtype == np.float32
        assert picture.min() >= 0
        assert picture.max() <= 1


def test_a_seed_is_a_picture() -> None:
    first, again, other = (structure(32, 3, np.random.default_rng(s)) for s in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_three_channels_are_coloured() -> None:
    pictures = [structure(32, 3, np.random.default_rng(s)) for s in range(20)]
    assert np.mean([np.ptp(p, axis=0).max() > 0.1 for p in pictures]) > 0.5


def test_bad_sizes_are_refused() -> None:
    with pytest.raises(HushError, match="cannot be drawn"):
        structure(4, 1, np.random.default_rng(0))
    with pytest.raises(HushError, match="cannot be drawn"):
        structure(64, 0, np.random.default_rng(0))


@pytest.mark.parametrize("kind", STRUCTURES)
def test_every_kind_is_a_gray_picture_with_contrast(kind: str) -> None:
    pictures = [STRUCTURES[kind](64, np.random.default_rng(seed)) for seed in range(50)]
    for picture in pictures:
        assert picture.shape == (64, 64)
        assert picture.dtype == np.float32
        assert picture.min() >= 0
        assert picture.max() <= 1
    spans = np.array([np.ptp(picture) for picture in pictures])
    assert np.median(spans) > 0.05
    assert np.mean(spans > 0.01) > 0.9


def spectral_peak(picture: np.ndarray) -> float:
    """The frequency of the largest Fourier peak above the ground's, in cycles per pixel."""
    size = len(picture)
    window = np.hanning(size)
    spectrum = np.abs(np.fft.fft2((picture - picture.mean()) * np.outer(window, window)))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size)))
    spectrum[frequency < 1 / 16] = 0
    return float(frequency.flat[spectrum.argmax()])


@pytest.mark.parametrize("period", [2.5, 4.0, 7.3, 12.0])
def test_a_plane_wave_has_its_period(period: float) -> None:
    for angle in (0.0, 0.7, 2.0):
        wave = plane_waves(128, np.array([period]), np.array([angle]), np.array([0.4]))
        assert spectral_peak(wave) == pytest.approx(1 / period, abs=1 / 128)


def test_a_lattice_has_its_fourier_peak_at_a_drawn_period(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[np.ndarray] = []

    def recorded(size: int, periods: np.ndarray, *rest: np.ndarray) -> np.ndarray:
        drawn.append(periods)
        return plane_waves(size, periods, *rest)

    monkeypatch.setattr(structures, "plane_waves", recorded)
    for seed in range(30):
        peak = spectral_peak(STRUCTURES["lattices"](128, np.random.default_rng(seed)))
        assert np.all((drawn[-1] >= 2.5) & (drawn[-1] <= 12))
        assert np.abs(1 / drawn[-1] - peak).min() < 2 / 128


@pytest.mark.parametrize("kind", ["stars", "puncta"])
def test_a_point_is_as_wide_as_its_psf(kind: str) -> None:
    for seed in range(50):
        picture = STRUCTURES[kind](64, np.random.default_rng(seed))
        above = np.pad(picture - np.median(picture), 1, mode="edge")
        y, x = np.unravel_index(above[1:-1, 1:-1].argmax(), picture.shape)
        beside = above[[y, y + 2, y + 1, y + 1], [x + 1, x + 1, x, x + 2]]
        assert beside.mean() > 0.2 * above[y + 1, x + 1]


def steepest(picture: np.ndarray) -> float:
    """The largest step between neighbours, as a share of the picture's range."""
    steps = (np.abs(np.diff(picture, axis=axis)).max() for axis in (0, 1))
    return float(max(steps) / max(np.ptp(picture), 1e-6))


@pytest.mark.parametrize("kind", ["text", "drawings"])
def test_drawn_pictures_have_sharp_edges(kind: str) -> None:
    rng = np.random.default_rng(0)
    pictures = [STRUCTURES[kind](64, rng) for _ in range(50)]
    steps = np.array([steepest(picture) for picture in pictures if np.ptp(picture) > 0])
    assert np.mean(steps > 0.6) > 0.9


@pytest.mark.parametrize("kind", ["filaments", "nuclei", "layers"])
def test_what_a_lens_images_has_no_sharp_edges(kind: str) -> None:
    rng = np.random.default_rng(0)
    limit = (
        0.6  # a Gaussian PSF of 0.7 pixel, the sharpest, turns an ideal edge into a step of 0.52
    )
    assert max(steepest(STRUCTURES[kind](64, rng)) for _ in range(200)) < limit
