"""Noise in JPEG files, measured by what the file says of its compression."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from scipy.ndimage import gaussian_filter
from skimage.data import astronaut

import hush
from hush.kinds.image import IMAGE, jpeg
from hush.metrics import psnr


def noisy(clean: np.ndarray, sigma: float) -> np.ndarray:
    """A picture with Gaussian noise, rounded and clipped, uint8."""
    noise = np.random.default_rng(0).normal(0, sigma, clean.shape)
    return np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)


def saved(picture: np.ndarray, path: Path, quality: int, sampling: int = 0) -> hush.Record:
    Picture.fromarray(picture).save(path, "JPEG", quality=quality, subsampling=sampling)
    return hush.read(path)


def item(record: hush.Record) -> np.ndarray:
    """The only item ``(C, H, W)``, full range 1."""
    return IMAGE.batch(record).floats(0)


@pytest.fixture
def slope() -> np.ndarray:
    """Smooth shades of gray, uint8 (192, 192)."""
    y, x = np.mgrid[:192, :192]
    shade: np.ndarray = (60 + 0.4 * x + 0.2 * y).astype(np.uint8)
    return shade


@pytest.mark.parametrize("quality", [30, 50, 75, 90, 95, 100])
def test_a_file_tells_its_quality_and_chroma(
    quality: int, tmp_path: Path, slope: np.ndarray
) -> None:
    colour = np.stack([slope, slope.T, slope[::-1]], -1)
    for sampling in (0, 1, 2):
        file = jpeg.Compression.of(saved(colour, tmp_path / "a.jpg", quality, sampling).context)
        assert file is not None
        assert file.quality == quality
        assert file.sampling == sampling
        assert ("chroma at half resolution" in file.words) == (sampling > 0)
    gray = jpeg.Compression.of(saved(slope, tmp_path / "a.jpg", quality).context)
    assert gray is not None
    assert gray.words == f"JPEG, quality {quality}"
    assert jpeg.Compression.of({}) is None


@pytest.mark.parametrize("sigma", [0.02, 0.1, 1.0])
def test_the_energy_of_rounded_coefficients_tells_their_level(sigma: float) -> None:
    steps = np.array([0.01, 0.03, 0.05, 0.06])
    drawn = np.random.default_rng(0).normal(0, sigma, (100_000, 4))
    seen = np.square(np.rint(drawn / steps) * steps).mean(0)
    assert jpeg._energies(sigma, steps) == pytest.approx(seen, rel=0.05)
    assert jpeg._level(seen, steps) == pytest.approx(sigma, rel=0.02)


@pytest.mark.parametrize("quality", [75, 90, 95])
@pytest.mark.parametrize("sampling", [None, 0, 2])
def test_the_level_before_compression_is_found(
    quality: int, sampling: int | None, tmp_path: Path, slope: np.ndarray
) -> None:
    clean = slope if sampling is None else np.stack([slope] * 3, -1)
    record = saved(noisy(clean, 12), tmp_path / "a.jpg", quality, sampling or 0)
    x = item(record)
    luma = np.tensordot(jpeg.LUMA, x, 1) if sampling is not None else x[0]
    file = jpeg.Compression.of(record.context)
    assert file is not None
    law = jpeg._law_before(luma, np.array(file.luma) / 255)
    assert law is not None
    expected = 12 / 255 * (1 if sampling is None else np.sqrt(jpeg.LUMA @ jpeg.LUMA))
    assert jpeg._rms(law, luma) == pytest.approx(expected, rel=0.1)


def test_the_noise_after_compression_is_what_is_in_the_file(
    tmp_path: Path, slope: np.ndarray
) -> None:
    clean = np.stack([slope] * 3, -1)
    record = saved(noisy(clean, 12), tmp_path / "a.jpg", 90, 2)
    found = IMAGE.stated(item(record), None, record.context)[1]
    left = record.data - clean.astype(float)
    assert found.compressed
    assert 255 * found.sigma == pytest.approx(left.std(), rel=0.1)
    assert found.spectrum is not None
    assert found.spectrum.colour[0] < 0.1 < 1 < found.spectrum.colour[-1]  # chroma is coarse


@pytest.mark.parametrize("made", ["clean", "smoothed before"])
def test_other_files_are_measured_as_ever(made: str, tmp_path: Path, slope: np.ndarray) -> None:
    picture = slope
    if made == "smoothed before":
        noise = gaussian_filter(np.random.default_rng(0).normal(0, 30, slope.shape), 1.0)
        picture = np.clip(np.rint(slope + noise), 0, 255).astype(np.uint8)
    record = saved(picture, tmp_path / "a.jpg", 90)
    assert IMAGE.stated(item(record), None, record.context)[1] == IMAGE.measure([item(record)])


def test_results_are_better_for_it_and_the_user_is_told(tmp_path: Path) -> None:
    clean = astronaut()[:128, 160:288]
    record = saved(noisy(clean, 10), tmp_path / "a.jpg", 90, 2)
    told = hush.run(record)
    untold = hush.run(hush.Record(record.data, record.axes))
    gain = psnr(told.data / 255, clean / 255) - psnr(untold.data / 255, clean / 255)
    assert gain > 1
    assert any("JPEG, quality 90, chroma at half" in text for text in told.warnings)
    assert ("file", "JPEG, quality 90, chroma at half resolution") in IMAGE.facts(told, False)
