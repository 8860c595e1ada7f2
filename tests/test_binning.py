"""Few photons are summed in squares of pixels."""

from __future__ import annotations

import numpy as np
import pytest

import hush
from hush.kinds.image.binning import FEW, binned, enlarged, side_of_bins
from hush.metrics import psnr
from hush.noise.processes import Gaussian, Poisson, PoissonGaussian


def photons(mean: float, side: int = 256, gain: float = 1.0) -> np.ndarray:
    counts = np.random.default_rng(0).poisson(mean, (1, side, side))
    return (gain * counts).astype(np.float32)


@pytest.mark.parametrize(("mean", "side"), [(2.0, 1), (0.7, 1), (0.3, 2), (0.05, 4), (0.015, 8)])
def test_squares_have_enough_photons(mean: float, side: int) -> None:
    assert side_of_bins(photons(mean), Poisson(1.0)) == side
    assert mean * side**2 >= 0.9 * FEW
    read = 0.3 * np.random.default_rng(1).standard_normal((1, 256, 256))
    offset = 100 + photons(mean, gain=3.0) + read
    assert side_of_bins(offset, PoissonGaussian(3.0, 0.3, 100.0)) == side


def test_light_in_few_places_is_not_summed() -> None:
    x = photons(0.0)
    x[:, :50, :50] = photons(3.0, 50)
    assert x.mean() < FEW / 4
    assert side_of_bins(x, Poisson(1.0)) == 1


def test_other_noise_and_small_images_are_left_alone() -> None:
    assert side_of_bins(photons(0.01), Gaussian(0.1)) == 1
    assert side_of_bins(photons(0.01, 40), Poisson(1.0)) == 1
    assert side_of_bins(np.zeros((1, 256, 256), np.float32), Poisson(1.0)) == 1


@pytest.mark.parametrize("shift", [(0, 0), (0, 2), (2, 2)])
def test_squares_and_back(shift: tuple[int, int]) -> None:
    """A ramp survives, inside, and sizes need not fit."""
    ramp = np.add.outer(np.arange(61.0), 2 * np.arange(90.0))[None]
    back = enlarged(binned(ramp, 4, shift), 4, shift, ramp.shape[1:])
    assert back.shape == ramp.shape
    inner = (slice(None), slice(16, -16), slice(16, -16))
    np.testing.assert_allclose(back[inner], ramp[inner], atol=0.3)


def test_a_dim_picture_is_better_than_its_pixels() -> None:
    y, x = np.mgrid[:128, :128] / 128
    clean = 0.08 * (1 + np.sin(5 * x) * np.sin(4 * y))
    noisy = np.random.default_rng(0).poisson(clean).astype(np.float32)
    result = hush.run(noisy)
    assert psnr(np.asarray(result.record.data), clean, 0.16) > 20
    assert float(result.record.data.mean()) == pytest.approx(clean.mean(), rel=0.1)
    assert any("squares of 4 × 4 pixels" in w or "squares of 2 × 2" in w for w in result.warnings)


def test_a_result_that_is_rounded_away_is_told() -> None:
    """All of it becomes 0, where counting noise has no variance to compare with."""
    x = np.random.default_rng(0).poisson(0.1, (64, 64)).astype(np.uint8)
    result = hush.run(x, noise="poisson:255")
    assert not result.data.any()
    assert "hardly anything of it is left" in " ".join(result.warnings)
