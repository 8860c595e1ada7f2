"""The Wiener filter: its gain is that of the theory, and windows leave no trace."""

from __future__ import annotations

import numpy as np
import pytest

from hush.methods import make
from hush.methods.wiener import TILE, filtered
from hush.noise.processes import Correlated, Gaussian, Poisson, Process
from hush.noise.wiener import SIDES, wiener, window_power

Array = np.ndarray


def noise(shape: tuple[int, ...], seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def error(a: Array, b: Array) -> float:
    return float(np.mean((a - b) ** 2))


@pytest.mark.parametrize("shape", [(300,), (40, 37), (9, 12, 11)])
def test_without_noise_windows_sum_to_the_values(shape: tuple[int, ...]) -> None:
    x = noise(shape)
    power = np.zeros((SIDES[len(shape)],) * len(shape))
    np.testing.assert_allclose(wiener(x, power), x, atol=1e-5)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_a_window_of_white_noise_has_equal_power(ndim: int) -> None:
    lags = Gaussian(1.0).autocorrelation(3, ndim)
    power = window_power(lags)
    assert power.shape == (SIDES[ndim],) * ndim
    np.testing.assert_allclose(power, (SIDES[ndim] / 2) ** ndim, rtol=1e-6)


def test_the_gain_on_a_stationary_signal_is_that_of_the_theory() -> None:
    """Signal and noise of the same power in every frequency: half of either is left."""
    signal, grain = noise((256, 256), 1), noise((256, 256), 2)
    white = window_power(Gaussian(1.0).autocorrelation(1, 2))
    assert error(wiener(signal + grain, white), signal) == pytest.approx(0.5, rel=0.12)


@pytest.mark.parametrize(
    "law",
    [Gaussian(0.1), Poisson(30.0), Correlated(Gaussian(0.1), 1.5)],
    ids=["gaussian", "poisson", "correlated"],
)
def test_noise_of_every_law_is_removed_from_a_smooth_picture(law: Process) -> None:
    import torch

    y, x = np.mgrid[:128, :128] / 128
    clean = (0.5 + 0.3 * np.sin(5 * x + 3 * y)).astype(np.float32)[None]
    noisy = law.sample(torch.from_numpy(clean), torch.Generator().manual_seed(0)).numpy()
    ratio = error(filtered(noisy, law), clean) / error(noisy, clean)
    assert ratio < (0.6 if isinstance(law, Correlated) else 0.2)


def test_larger_images_do_not_show_the_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    x = (np.mgrid[:150, :150].sum(0) / 300 + 0.1 * noise((150, 150)))[None].astype(np.float32)
    whole = filtered(x, Gaussian(0.1))
    monkeypatch.setitem(TILE, 2, 48)
    np.testing.assert_allclose(filtered(x, Gaussian(0.1)), whole, atol=2e-3)


def test_a_signal_is_filtered_at_its_measured_level() -> None:
    t = np.arange(4000) / 500
    clean = np.sin(2 * np.pi * 1.3 * t)[None].astype(np.float32)
    noisy = clean + 0.2 * noise(clean.shape)
    result = make("wiener", "signal").restore(noisy).data
    assert error(result, clean) < 0.15 * error(noisy, clean)
