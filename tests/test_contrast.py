"""Steps and bright places far above the noise: kept, and never a halo around them."""

from __future__ import annotations

import numpy as np
import pytest

import hush
from hush.methods.mid.contrast import beyond, steps
from hush.noise.processes import Gamma, Gaussian

RNG = np.random.default_rng(4)


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


@pytest.mark.parametrize("height", [10.0, 100.0, 1e4])
def test_a_step_of_a_signal_is_kept(height: float) -> None:
    clean = np.sin(np.arange(3000) / 40)
    clean[1500:] += height
    x = clean + 0.3 * RNG.standard_normal(3000)
    made = hush.run(x, kind="signal", context={"rate": 1000.0}).data
    assert rms(made - clean) < 0.6 * rms(x - clean)
    assert np.abs(made - clean).max() < 2


def test_a_single_sample_harms_none_around_it() -> None:
    clean = np.sin(np.arange(3000) / 40)
    x = clean + 0.3 * RNG.standard_normal(3000)
    x[1500] += 1e4
    made = hush.run(x, kind="signal", context={"rate": 1000.0}).data
    others = np.arange(3000) != 1500
    assert rms((made - clean)[others]) < 0.6 * rms((x - clean)[others])
    assert made[1500] == pytest.approx(1e4, rel=0.01)


@pytest.mark.parametrize("kind", ["image", "volume"])
@pytest.mark.parametrize("height", [1e5, 1e6])
def test_a_bright_place_harms_none_around_it(height: float, kind: str) -> None:
    shape = (128, 128) if kind == "image" else (5, 64, 64)
    clean = 500 + 100 * np.sin(np.arange(shape[-1]) / 9) * np.ones(shape)
    bright = np.zeros(shape, bool)
    bright[..., 30:34, 20:24] = True
    clean[bright] += height
    x = (clean + 15 * RNG.standard_normal(shape)).astype(np.float32)
    made = hush.run(x, kind=kind, noise="gaussian:15", context={}).data
    assert rms((made - clean)[~bright]) < 0.7 * 15
    assert rms((made - clean)[bright]) < 30


def test_what_noise_may_be_is_not_kept_from_the_network() -> None:
    x = RNG.standard_normal((1, 64, 64)).astype(np.float32)
    assert beyond(x, np.zeros_like(x), Gaussian(1.0)) is None
    assert steps(x[0, :1], np.zeros_like(x[0, :1]), Gaussian(1.0)) is None


def test_steps_are_those_at_which_too_much_was_removed() -> None:
    x = np.zeros((1, 40), np.float32)
    x[0, 10:] = 50
    x[0, 30:] = 90
    state = x.copy()
    state[0, 8:12] = 25  # the first is smoothed, the other is not
    kept = steps(x, state, Gaussian(1.0))
    assert kept is not None
    np.testing.assert_array_equal(np.diff(kept[0]).nonzero()[0], [9])
    assert kept[0, -1] == 50


@pytest.mark.parametrize("scales", [(1, 0.1, 1), (1, 0.001, 1), (1, 0.1, 10)])
def test_channels_of_unlike_scale_are_denoised_as_those_of_one(scales: tuple[float, ...]) -> None:
    scene = 100 + 40 * np.sin(np.add.outer(np.arange(96) / 7, np.arange(112) / 11))
    clean = np.stack([scene, scene[::-1], scene[:, ::-1]], -1)
    noise = 15 * RNG.standard_normal(clean.shape)
    alike = hush.run((clean + noise).astype(np.float32))
    made = hush.run(((clean + noise) * scales).astype(np.float32))
    assert made.estimate.family == "gaussian"
    assert made.method == "mid"
    for c, scale in enumerate(scales):
        error = rms(made.data[..., c] / scale - clean[..., c])
        assert error < 1.3 * rms(alike.data[..., c] - clean[..., c])


def test_speckle_near_0_is_no_more_than_noise() -> None:
    """Its deviation is that of the light, not of a value that happens to be dark."""
    x = np.full((1, 64, 64), 1.0, np.float32)
    x[0, ::8, ::8] = 1e-4
    x[0, 30:34, 30:34] = 400
    state = np.where(x < 1, np.float32(1), x)
    assert beyond(x, state, Gamma(1.0)) is None


def test_a_channel_without_noise_stays_and_others_have_their_own_levels() -> None:
    clean = np.ones((64, 64, 3)) * [0.3, 0.6, 0.0]
    noise = RNG.standard_normal(clean.shape) * [0.01, 0.1, 0]
    made = hush.run((clean + noise).astype(np.float32))
    assert made.estimate.family == "gaussian"
    np.testing.assert_array_equal(made.data[..., 2], 0)
    for c, level in enumerate((0.01, 0.1)):
        assert rms(made.data[..., c] - clean[..., c]) < 0.2 * level


def test_channels_of_unlike_noise_are_judged_by_their_own_levels() -> None:
    wave = 0.5 + 0.3 * np.outer(np.sin(np.arange(128) / 7), np.cos(np.arange(128) / 9))
    clean = np.stack([wave, 0.1 * wave[::-1], wave[:, ::-1]], -1)
    noise = 0.08 * RNG.standard_normal(clean.shape) * [1, 0.1, 1]
    made = hush.run((clean + noise).astype(np.float32))
    assert ["channels differ" in said for said in made.warnings] == [True]
    np.testing.assert_allclose(made.sigma_map.data[0, 0], [0.08, 0.008, 0.08], rtol=0.1)
