"""Total variation and wavelet thresholds of images, by the mathematics of their papers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hush.errors import HushError
from hush.methods import get, make
from hush.methods.tv import TV
from hush.noise.processes import Gaussian, Poisson

pytestmark = pytest.mark.usefixtures("one_thread")


def normal(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_total_variation_takes_from_a_step_what_rudin_osher_and_fatemi_have_it() -> None:
    """Of a step between halves of n columns, each half moves by w/n, and stays flat."""
    n, sigma = 8, 0.1
    step = np.repeat(np.float32([0.2, 0.9]), n)[None, None].repeat(12, 1)
    method = TV(weight=2.0, tolerance=1e-12, steps_most=4000)
    y = method.filtered(step, sigma)[0]
    moved = 2.0 * sigma / n
    np.testing.assert_allclose(y[:, :n], 0.2 + moved, atol=1e-3)
    np.testing.assert_allclose(y[:, n:], 0.9 - moved, atol=1e-3)


@pytest.mark.parametrize("name", ["tv", "wavelet", "nlm"])
def test_units_do_not_matter(name: str) -> None:
    x = np.linspace(0, 1, 48 * 40, dtype=np.float32).reshape(1, 48, 40) + 0.1 * normal((1, 48, 40))
    method = make(name)
    y = method.restored(x, Gaussian(0.1))
    np.testing.assert_allclose(method.restored(8 * x, Gaussian(0.8)), 8 * y, atol=1e-4)


@pytest.mark.parametrize(("name", "left"), [("tv", 0.12), ("wavelet", 0.05)])
def test_nearly_all_of_pure_noise_is_removed(name: str, left: float) -> None:
    y = make(name).restored(normal((1, 64, 64)), Gaussian(1.0))
    assert np.mean(y**2) < left


@pytest.mark.parametrize("name", ["tv", "wavelet"])
def test_few_counts_keep_their_mean(name: str) -> None:
    """Three counts in the mean: the stabilised noise has its exact inverse, which has no bias."""
    clean = torch.full((1, 96, 96), 3 / 50)
    noisy = Poisson(50.0).sample(clean, torch.Generator().manual_seed(0)).numpy()
    y = make(name).restored(noisy, Poisson(50.0))
    assert y.mean() == pytest.approx(float(noisy.mean()), rel=0.02)
    assert y.std() < 0.25 * noisy.std()


def test_shifts_make_a_wavelet_result_less_dependent_on_where_an_image_begins() -> None:
    x = np.linspace(0, 1, 64, dtype=np.float32)[None, None].repeat(64, 1) + 0.1 * normal(
        (1, 64, 64)
    )

    def moves(shifts: int) -> float:
        method = make("wavelet", shifts=shifts)
        moved = method.restored(np.roll(x, 1, (1, 2)), Gaussian(0.1))
        return float(np.abs(np.roll(moved, -1, (1, 2)) - method.restored(x, Gaussian(0.1))).mean())

    assert moves(4) < 0.7 * moves(1)


def test_settings_without_a_meaning_are_refused() -> None:
    for name, setting in (("tv", {"weight": 0}), ("wavelet", {"shifts": 0})):
        with pytest.raises(HushError):
            make(name, **setting)
    assert get("wavelet", "signal") is not get("wavelet", "image")


def test_small_numbers_are_denoised_by_wavelets() -> None:
    x = np.linspace(0, 1, 48 * 40, dtype=np.float32).reshape(1, 48, 40) + 0.1 * normal((1, 48, 40))
    y = make("wavelet").restored(x, Gaussian(0.1))
    small = make("wavelet").restored(np.float32(1e-4) * x, Gaussian(1e-5))
    np.testing.assert_allclose(1e4 * small, y, atol=1e-4)
