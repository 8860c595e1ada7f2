"""The posterior mean: Wiener's filter where its answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hush.kinds.image.measure.estimation import estimate
from hush.kinds.image.posterior import posterior_mean
from hush.noise.processes import Correlated, Gaussian

SHAPE = (1, 256, 256)


def white(sigma: float, seed: int) -> np.ndarray:
    return sigma * np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32)


def test_white_in_white_is_a_share_of_each_pixel() -> None:
    """x = μ + a, y = x + n: the best linear use of y is known."""
    known, a, n = np.full(SHAPE, 0.5, np.float32), white(0.06, 0), white(0.03, 1)
    found = posterior_mean(known + a + n, known, np.full(SHAPE, 0.03**2), delta())
    best = known + 0.06**2 / (0.06**2 + 0.03**2) * (a + n)
    assert np.sqrt(np.mean((found - best) ** 2)) < 0.1 * 0.06
    assert np.mean((found - known - a) ** 2) < 0.85 * np.mean(n**2)


def test_where_nothing_was_missed_nothing_comes_back() -> None:
    known, n = white(1, 2), white(0.1, 1)
    found = posterior_mean(known + n, known, np.full(SHAPE, 0.01), delta())
    assert np.mean((found - known) ** 2) < 0.03 * np.mean(n**2)


def test_without_noise_the_image_is_returned() -> None:
    y = white(1, 0)
    np.testing.assert_array_equal(posterior_mean(y, 0 * y, 0 * y, delta()), y)
    np.testing.assert_allclose(posterior_mean(y, 0 * y, 0 * y + 1e-8, delta()), y, atol=1e-3)


def test_blurred_noise_is_taken_off_where_it_is() -> None:
    """What was missed is white, the noise is smooth: high frequencies are kept, low ones not."""
    process = Correlated(Gaussian(sigma=0.05), 1.2)
    zero = torch.zeros(1, *SHAPE)
    n = process.sample(zero, torch.Generator().manual_seed(0))[0].numpy()
    a = white(0.05, 3)
    told, untold = (
        posterior_mean(a + n, 0 * a, np.full(SHAPE, 0.05**2), lags)
        for lags in (process.autocorrelation(15), delta())
    )
    assert np.mean((told - a) ** 2) < 0.92 * np.mean((untold - a) ** 2)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 40), (3, 7, 300), (2, 33, 16)])
def test_any_shape(shape: tuple[int, ...]) -> None:
    y = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    found = posterior_mean(y, 0 * y, 0 * y + 0.25, delta())
    assert found.shape == shape
    assert np.isfinite(found).all()


@pytest.mark.parametrize("width", [0.5, 1.2])
def test_an_estimate_knows_the_lags(width: float) -> None:
    process = Correlated(Gaussian(sigma=0.05), width)
    x = torch.full((1, 1, 256, 256), 0.5)
    y = process.sample(x, torch.Generator().manual_seed(0))[0].numpy()
    lags = estimate(y).lags(5)
    assert lags[5, 5] == 1
    np.testing.assert_allclose(lags, process.autocorrelation(5), atol=0.06)
    np.testing.assert_array_equal(estimate(0.5 + white(0.05, 0)).lags(15), delta())


def delta() -> np.ndarray:
    lags = np.zeros((31, 31))
    lags[15, 15] = 1
    return lags
