"""Metrics against their definitions, and the paired test's limits."""

from __future__ import annotations

import numpy as np
import pytest

from hush.errors import HushError
from hush.metrics import fit_gain_offset, paired_p_value, psnr, ssim


@pytest.fixture
def image() -> np.ndarray:
    rows, columns = np.mgrid[:24, :32] / 32
    return np.stack([rows, columns, (rows + columns) / 2]).astype(np.float32)


def test_integers_have_the_range_of_their_type(clean: np.ndarray, noisy: np.ndarray) -> None:
    """Two uint8 arrays are out of 255, not out of 1."""
    expected = psnr(noisy / 255, clean / 255)
    assert 19 < expected < 22
    assert psnr(noisy, clean) == pytest.approx(expected)
    wide = [x.astype(np.uint16) * 257 for x in (noisy, clean)]
    assert psnr(*wide, 65535) == pytest.approx(expected)
    similar = [ssim(noisy, clean, channel_axis=None), ssim(*wide, 65535, channel_axis=None)]
    assert similar == pytest.approx([ssim(noisy / 255, clean / 255, channel_axis=None)] * 2)


def test_psnr_of_a_known_error() -> None:
    reference = np.full((1, 8, 8), 0.5)
    assert psnr(reference + 0.1, reference) == pytest.approx(20)
    assert psnr(reference * 255 + 25.5, reference * 255, data_range=255) == pytest.approx(20)
    assert psnr(reference, reference) == np.inf


def test_lists_and_tensors_are_compared_like_arrays(image: np.ndarray) -> None:
    import torch

    noisy = image + 0.1
    for made in (np.ndarray.tolist, torch.tensor):
        assert psnr(made(noisy), made(image)) == pytest.approx(psnr(noisy, image))
        assert ssim(made(noisy), made(image)) == pytest.approx(ssim(noisy, image))


def test_values_are_clipped_but_not_rounded() -> None:
    white = np.ones((1, 16, 16))
    assert psnr(white + 3, white) == np.inf
    assert psnr(white + 0.1, white, clip=False) == pytest.approx(20)
    assert psnr(white - 0.001, white) == pytest.approx(60)  # a quarter of an 8-bit step


def test_missing_values_are_left_out(image: np.ndarray) -> None:
    noisy = image + 0.1
    noisy[0, 3, 4], image[1, 5, 6] = np.nan, np.inf
    assert psnr(noisy, image, clip=False) == pytest.approx(20, abs=1e-4)
    assert fit_gain_offset(noisy, image) == pytest.approx((1, -0.1), abs=1e-5)
    assert np.isfinite(ssim(noisy, image))


def test_ssim_is_the_windowed_formula(image: np.ndarray) -> None:
    """With an 11×11 image the window fits once: compare with its weighted moments."""
    rng = np.random.default_rng(0)
    a = image[0, :11, :11].astype(np.float64)
    b = np.clip(a + 0.1 * rng.normal(size=a.shape), 0, 1)
    g = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    w = np.outer(g, g) / g.sum() ** 2
    mean_a, mean_b = (w * a).sum(), (w * b).sum()
    var_a, var_b = (w * a**2).sum() - mean_a**2, (w * b**2).sum() - mean_b**2
    cov = (w * a * b).sum() - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    expected = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
    expected /= (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    assert ssim(b[None], a[None]) == pytest.approx(expected, abs=1e-6)
    assert ssim(b, a, channel_axis=None) == pytest.approx(expected, abs=1e-6)


def test_ssim_is_the_mean_over_channels(image: np.ndarray) -> None:
    noisy = image + 0.1 * np.random.default_rng(1).normal(size=image.shape)
    channels = [ssim(n, r, channel_axis=None) for n, r in zip(noisy, image, strict=True)]
    assert ssim(noisy, image) == pytest.approx(np.mean(channels))


def test_bad_shapes_get_a_sentence(image: np.ndarray) -> None:
    with pytest.raises(HushError, match="one shape"):
        psnr(image, image[:1])
    with pytest.raises(HushError, match=r"11×11.*24×10"):
        ssim(image[..., :10], image[..., :10])


def test_fit_recovers_gain_and_offset(image: np.ndarray) -> None:
    assert fit_gain_offset(image, 0.7 * image + 0.2) == pytest.approx((0.7, 0.2), abs=1e-5)
    assert fit_gain_offset(np.full(5, 2.0), np.full(5, 3.0)) == (1.0, 1.0)


def test_fit_minimises_the_squared_error(image: np.ndarray) -> None:
    b = image + 0.1 * np.random.default_rng(2).normal(size=image.shape)
    gain, offset = fit_gain_offset(image, b)

    def error(gain: float, offset: float) -> float:
        return float(np.sum((gain * image + offset - b) ** 2))

    moved = [error(gain + dg, offset + do) for dg in (-0.01, 0.01) for do in (-0.01, 0.01)]
    assert error(gain, offset) < min(moved)


@pytest.mark.parametrize("n", [3, 30])
def test_paired_differences_show_where_unpaired_would_not(n: int) -> None:
    rng = np.random.default_rng(3)
    difficulty = rng.normal(28, 3, n)  # samples differ by far more than the methods do
    better = difficulty + 0.1 + 0.01 * rng.normal(size=n)
    assert paired_p_value(better, difficulty) < 0.05
    assert paired_p_value(better, difficulty) == paired_p_value(difficulty, better)


def test_without_evidence_nothing_is_significant() -> None:
    assert paired_p_value([30.0], [20.0]) == 1
    assert paired_p_value([1.0, 2.0], [1.0, 2.0]) == 1
    assert paired_p_value([1.0, np.nan], [2.0, 2.0]) == 1
    x = np.arange(20.0)
    assert paired_p_value(x + np.tile([0.5, -0.5], 10), x) > 0.5


def test_false_alarms_are_as_rare_as_stated() -> None:
    rng = np.random.default_rng(4)
    for n in (4, 12):
        alarms = [paired_p_value(rng.normal(size=n), rng.normal(size=n)) < 0.05 for _ in range(400)]
        assert np.mean(alarms) < 0.08
