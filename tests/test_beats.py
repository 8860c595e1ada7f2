"""Heart beats: found in any recording that has them, of either polarity, and in no other."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from hush.kinds.signal.beats import BLOCK, SURE, beats, calibrates, find_beats

RATE = 500.0
PEAK = 0.7  # seconds of the first R peak


def ecg(seconds: float, pulse: float = 70.0, rate: float = RATE, jitter: float = 0.03) -> tuple:
    """A QRS complex and a T wave at every beat, and where the R peaks are."""
    rng = np.random.default_rng(0)
    gaps = 60 / pulse * (1 + jitter * rng.standard_normal(int(seconds * pulse / 30) + 10))
    peaks = PEAK + np.concatenate([[0], np.cumsum(gaps)])
    peaks = peaks[peaks < seconds - 0.1]
    t = np.arange(int(seconds * rate)) / rate
    x = np.zeros_like(t)
    for peak in peaks:
        for at, width, height in ((0, 0.012, 1.0), (0.03, 0.012, -0.3), (0.25, 0.05, 0.2)):
            x += height * np.exp(-0.5 * ((t - peak - at) / width) ** 2)
    return x, np.round(peaks * rate).astype(int)


def emg(seconds: float, rate: float = RATE, seed: int = 1) -> np.ndarray:
    """Noise of 20 Hz and more, of power 1."""
    x = np.random.default_rng(seed).standard_normal(int(seconds * rate))
    x = sosfiltfilt(butter(4, 20, "highpass", fs=rate, output="sos"), x)
    return x / x.std()


@pytest.mark.parametrize("pulse", [35, 70, 120, 180])
@pytest.mark.parametrize("rate", [128.0, 1000.0])
def test_every_beat_is_found_once(pulse: float, rate: float) -> None:
    x, peaks = ecg(30, pulse, rate)
    found = beats(x, rate)
    assert len(found) == len(peaks)
    assert np.abs(found - peaks).max() <= 0.015 * rate


@pytest.mark.parametrize("snr", [0, -6, -12])
def test_beats_are_found_in_emg(snr: float) -> None:
    x, peaks = ecg(30)
    x = emg(30) * x.std() * 10 ** (snr / 20) + x
    found, quality = find_beats(x, RATE)
    assert quality > SURE
    assert len(found) == len(peaks)
    assert np.abs(found - peaks).max() <= 0.02 * RATE


def test_polarity_offset_and_units_do_not_matter() -> None:
    x, _ = ecg(20)
    x = x + 0.1 * emg(20)
    found = beats(x, RATE)
    np.testing.assert_array_equal(beats(-x, RATE), found)
    np.testing.assert_array_equal(beats(1e4 + 500 * x, RATE), found)


def test_uneven_beats_are_beats() -> None:
    """Atrial fibrillation: no two intervals are alike."""
    x, peaks = ecg(40, 80, jitter=0.25)
    assert np.diff(peaks).min() > 0.3 * RATE
    found, quality = find_beats(x + 0.2 * emg(40), RATE)
    assert quality > SURE
    assert len(found) == len(peaks)


@pytest.mark.parametrize("seed", range(4))
def test_emg_has_no_beats(seed: int) -> None:
    found, quality = find_beats(emg(20, seed=seed), RATE)
    assert not len(found)
    assert quality < SURE


@pytest.mark.parametrize("every", [0.7, 1.0, 2.0, 4.0])
def test_bursts_of_breathing_muscles_are_no_beats(every: float) -> None:
    t = np.arange(int(40 * RATE)) / RATE
    bursts = np.maximum(np.sin(2 * np.pi * t / every), 0) ** 2
    x = (0.05 + bursts) * emg(40)
    assert not len(beats(x, RATE))


@pytest.mark.parametrize("frequency", [5, 8, 12])
def test_a_motor_unit_is_no_heart(frequency: float) -> None:
    """Its potentials are all alike, and regular, but there are too many."""
    rng = np.random.default_rng(0)
    t = np.arange(int(30 * RATE)) / RATE
    x = 0.05 * rng.standard_normal(len(t))
    at = 0.0
    while at < 30:
        x -= (t - at) / 0.004 * np.exp(-0.5 * ((t - at) / 0.004) ** 2)
        at += (1 + 0.1 * rng.standard_normal()) / frequency
    assert not len(beats(x, RATE))


@pytest.mark.parametrize("x", [np.zeros(5000), np.full(3, 2.0), np.arange(100.0), np.empty(0)])
def test_where_there_is_nothing_there_are_no_beats(x: np.ndarray) -> None:
    assert not len(beats(x, RATE))


def test_a_calibration_is_no_ecg() -> None:
    t = np.arange(int(10 * RATE)) / RATE
    square = np.sign(np.sin(2 * np.pi * t + 0.3))
    assert calibrates(square + 0.01 * emg(10), RATE)
    assert calibrates(7 - 200 * square, RATE)
    assert not calibrates(ecg(10)[0], RATE)
    assert not calibrates(emg(10), RATE)
    assert not calibrates(np.zeros(100), RATE)


def test_parts_give_the_same_beats() -> None:
    """A part that begins at a block has the whole's beats, a block within its ends."""
    x, _ = ecg(6 * BLOCK)
    x = x + 0.3 * emg(6 * BLOCK)
    block = int(BLOCK * RATE)
    whole = beats(x, RATE)
    part = beats(x[block : 5 * block], RATE) + block
    inside = (whole >= 2 * block) & (whole < 4 * block)
    np.testing.assert_array_equal(part[(part >= 2 * block) & (part < 4 * block)], whole[inside])
