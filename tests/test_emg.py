"""Features of EMG with known answers, and scores of results."""

from __future__ import annotations

import numpy as np
import pytest

from hush.errors import HushError
from hush.tasks import emg

RATE = 1000.0
T = np.arange(10_000) / RATE


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(len(T))


@pytest.mark.parametrize("frequency", [40, 100, 250.5])
@pytest.mark.parametrize("rate", [1000.0, 2048.0])
def test_a_sine_has_its_frequency(frequency: float, rate: float) -> None:
    x = np.sin(2 * np.pi * frequency * np.arange(8192) / rate)
    np.testing.assert_allclose(emg.mean_frequency(x, rate), frequency, atol=0.6)


def test_two_sines_have_the_mean_of_their_powers() -> None:
    x = np.sqrt(3) * np.sin(2 * np.pi * 60 * T) + np.sin(2 * np.pi * 200 * T)
    assert emg.mean_frequency(x, RATE).mean() == pytest.approx((3 * 60 + 200) / 4, abs=1)


def test_white_noise_has_the_middle_of_the_band() -> None:
    assert emg.mean_frequency(noise(), RATE).mean() == pytest.approx((10 + 500) / 2, abs=5)


def test_frames_at_1_khz_are_sdemgs() -> None:
    """128 samples every 32, in an FFT of 256."""
    x = noise()
    part = np.abs(np.fft.rfft(x[320:448] * np.hamming(128), 256)) ** 2
    f = np.arange(129) * 1000 / 256
    part[f < 10] = 0
    assert emg.mean_frequency(x, RATE)[10] == pytest.approx(part @ f / part.sum())
    assert len(emg.mean_frequency(x, RATE)) == 1 + (10_000 - 128) // 32


def test_the_average_of_a_constant_and_of_a_sine() -> None:
    np.testing.assert_allclose(emg.arv(np.full(3500, -2.0), RATE), [2, 2, 2])
    np.testing.assert_allclose(emg.arv(np.sin(2 * np.pi * 53.7 * T), RATE), 2 / np.pi, rtol=1e-2)
    assert emg.arv(np.ones(300), RATE) == pytest.approx([1])  # shorter than a window


def test_scaling_scales_arv_and_leaves_mf() -> None:
    one, seven = emg.features(noise(), RATE), emg.features(-7 * noise(), RATE)
    np.testing.assert_allclose(seven["arv"], 7 * np.asarray(one["arv"]))
    np.testing.assert_allclose(seven["mf"], one["mf"])
    np.testing.assert_array_equal(seven["active"], one["active"])
    assert seven["mean_mf"] == pytest.approx(one["mean_mf"])


def test_activity_is_that_of_the_label_or_the_envelope() -> None:
    burst = (T > 3) & (T < 5)
    x = (0.02 + burst) * noise()
    frames = emg.features(x, RATE)["active"]
    middles = (np.arange(len(frames)) * 32 + 64) / RATE
    inside, outside = (middles > 3.2) & (middles < 4.8), (middles < 2.8) | (middles > 5.2)
    assert frames[inside].all()
    assert not frames[outside].any()
    told = emg.features(x, RATE, T < 1)["active"]
    np.testing.assert_array_equal(told, middles < 1)
    # Bursts are slow sines and rest is white: their mean frequency is that of the burst.
    y = 0.02 * noise() + burst * np.sin(2 * np.pi * 80 * T)
    assert emg.features(y, RATE)["mean_mf"] == pytest.approx(80, abs=8)


def test_silence_has_no_frequency() -> None:
    found = emg.features(np.zeros(3000), RATE)
    assert np.isnan(np.asarray(found["mf"])).all()
    assert np.isnan(found["mean_mf"])
    np.testing.assert_array_equal(found["arv"], 0)


@pytest.mark.parametrize("snr", [-12, 0, 7.5])
def test_scores_of_known_noise(snr: float) -> None:
    x, n = noise(0), noise(1)
    n *= np.sqrt(np.sum(x**2) / np.sum(n**2)) * 10 ** (-snr / 20)
    assert emg.snr(x + n, x) == pytest.approx(snr)
    assert emg.prd(x + n, x) == pytest.approx(100 * 10 ** (-snr / 20))
    assert emg.rmse(x + n, x) == pytest.approx(np.sqrt(np.mean(n**2)))
    assert emg.snr_improvement(x + 0.1 * n, x, x + n) == pytest.approx(20)
    assert emg.snr(x, x) == np.inf


def test_errors_of_features() -> None:
    x = np.sin(2 * np.pi * 101.3 * T)
    y = 1.5 * np.sin(2 * np.pi * 131.3 * T)
    assert emg.arv_rmse(y, x, RATE) == pytest.approx(0.5 * 2 / np.pi, rel=2e-2)
    assert emg.mf_rmse(y, x, RATE) == pytest.approx(30, abs=1)
    assert emg.mf_rmse(y, x, RATE, T < 2) == pytest.approx(30, abs=1)
    assert np.isnan(emg.mf_rmse(y, x, RATE, T < 0))
    assert emg.arv_rmse(x, x, RATE) == emg.mf_rmse(x, x, RATE) == 0


@pytest.mark.parametrize("x", [np.zeros((2, 500)), np.zeros(0)])
def test_what_is_no_channel_gets_a_sentence(x: np.ndarray) -> None:
    with pytest.raises(HushError, match="one channel"):
        emg.features(x, RATE)


def test_bad_rates_labels_and_pairs_get_a_sentence() -> None:
    with pytest.raises(HushError, match="sampling rate above 20 Hz"):
        emg.features(noise(), 0)
    with pytest.raises(HushError, match="does not fit"):
        emg.features(noise(), RATE, np.ones(5, bool))
    with pytest.raises(HushError, match="one shape"):
        emg.snr(noise(), noise()[1:])
