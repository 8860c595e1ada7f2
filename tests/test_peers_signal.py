"""Simple methods for signals: what they remove, what they keep, and in pieces the same."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

import hush
from hush.denoiser import Denoiser
from hush.errors import HushError
from hush.kinds.signal import Signal
from hush.methods import make
from hush.noise.processes import parse
from hush.record import Record

RATE = 500.0
T = np.arange(int(20 * RATE)) / RATE

METHODS = [
    ("highpass", {}),
    ("template", {}),
    ("wavelet", {"remove": "noise"}),
    ("wavelet", {"remove": "interference"}),
]
IDS = ["highpass", "template", "wavelet", "wavelet-interference"]


def heart(t: np.ndarray = T, first: float = 0.3) -> np.ndarray:
    """A QRS complex of height 1 and a T wave, about once a second."""
    rng = np.random.default_rng(0)
    peaks = first + np.cumsum(0.9 + 0.05 * rng.standard_normal(int(t[-1]) + 20))
    x = np.zeros_like(t)
    for peak in peaks[peaks < t[-1] + 0.5]:
        for at, width, height in ((0, 0.012, 1.0), (0.03, 0.012, -0.4), (0.25, 0.05, 0.2)):
            x += height * np.exp(-0.5 * ((t - peak - at) / width) ** 2)
    return x


def muscle(count: int = len(T), seed: int = 1) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal(count)
    return sosfiltfilt(butter(4, 20, "highpass", fs=RATE, output="sos"), x)


def db(part: np.ndarray, whole: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(part**2) / np.sum(whole**2)))


def restored(method: Denoiser, x: np.ndarray, noise: str | None = None) -> np.ndarray:
    process = parse(noise) if noise else None
    return method.restore(x[None].astype(np.float32), process).data[0].astype(np.float64)


# -- all of them -----------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize(("name", "settings"), METHODS, ids=IDS)
def test_pieces_give_what_the_whole_gives(
    name: str, settings: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    t = np.arange(0, 240, 0.005)
    x = np.stack([heart(t) + 0.2 * muscle(len(t)), 100 - 3 * heart(t, 0.6)])
    x[1, 16000:26000] = 97.0  # a flat line
    x = x.astype(np.float32)
    record = Record(x, "CT", kind="signal", context={"rate": 200.0})
    denoiser = make(name, "signal", **settings)
    monkeypatch.setattr(Signal, "piece", None)
    whole = hush.denoise(record, model=denoiser, noise="gaussian:0.1/1")
    monkeypatch.setattr(Signal, "piece", 3001)
    pieces = hush.denoise(record, model=denoiser, noise="gaussian:0.1/1")
    np.testing.assert_allclose(pieces, whole, rtol=1e-6, atol=1e-5)
    assert np.abs(whole - x).max() > 0.01


@pytest.mark.parametrize(("name", "settings"), METHODS, ids=IDS)
@pytest.mark.parametrize("count", [1, 2, 7, 300])
def test_short_and_constant_signals(name: str, settings: dict, count: int) -> None:
    method = make(name, "signal", rate=RATE, **settings)
    y = method.denoise(np.full(count, 7.0), "gaussian:0.1/1")
    np.testing.assert_allclose(y, 7.0, rtol=1e-6)
    y = method.denoise(muscle(max(count, 40))[:count], "gaussian:0.1/1")
    assert y.shape == (count,)
    assert np.isfinite(y).all()


@pytest.mark.parametrize(("name", "settings"), METHODS, ids=IDS)
def test_upside_down_and_in_other_units(name: str, settings: dict) -> None:
    x = heart() + 0.1 * muscle()
    method = make(name, "signal", rate=RATE, **settings)
    y = restored(method, x, "gaussian:0.1")
    np.testing.assert_allclose(restored(method, -x, "gaussian:0.1"), -y, atol=1e-5)
    np.testing.assert_allclose(restored(method, 8 * x, "gaussian:0.8") / 8, y, atol=1e-5)


@pytest.mark.parametrize("name", ["highpass", "template"])
def test_without_a_rate_there_is_a_sentence(name: str) -> None:
    with pytest.raises(HushError, match=r"needs the sampling rate.*--rate"):
        make(name, "signal").denoise(muscle())
    with pytest.raises(HushError, match=r"needs the sampling rate.*--rate"):
        make("wavelet", "signal", remove="interference").denoise(muscle())
    with pytest.raises(HushError, match=f"{name} denoises signals, not images"):
        make(name, "image")


def test_the_items_own_rate_comes_first() -> None:
    x = heart() + 0.1 * muscle()
    context = {"rate": RATE}
    for name in ("highpass", "template"):
        told = make(name, "signal", rate=RATE).denoise(x)
        np.testing.assert_array_equal(
            make(name, "signal", rate=3 * RATE).denoise(x, context=context), told
        )


# -- high-pass -------------------------------------------------------------------------------


def test_a_high_pass_filter_keeps_what_is_fast_and_shifts_nothing() -> None:
    method = make("highpass", "signal", cutoff=60, rate=RATE)
    slow, fast = np.sin(2 * np.pi * 20 * T), np.sin(2 * np.pi * 150 * T)
    middle = slice(500, -500)
    y = restored(method, slow + fast + 5)
    assert np.abs(y - fast)[middle].max() < 1e-3
    # At the cut-off each of the two runs halves the power.
    edge = np.sin(2 * np.pi * 60 * T)
    np.testing.assert_allclose(restored(method, edge)[middle], 0.5 * edge[middle], atol=1e-3)


@pytest.mark.parametrize("cutoff", [0, -5])
def test_a_cutoff_is_positive(cutoff: float) -> None:
    with pytest.raises(HushError, match="above 0 Hz"):
        make("highpass", "signal", cutoff=cutoff)


def test_a_cutoff_is_below_half_the_rate() -> None:
    with pytest.raises(HushError, match="choose a cut-off below that"):
        make("highpass", "signal", cutoff=60, rate=100).denoise(muscle())


# -- template --------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1, -1])
def test_every_beat_is_removed_the_first_and_last_too(sign: int) -> None:
    x = sign * heart()
    y = restored(make("template", "signal", rate=RATE), x)
    for part in (slice(0, 1000), slice(4000, 6000), slice(-1000, None)):
        assert db(y[part], x[part]) < -22


def test_emg_keeps_its_power() -> None:
    emg = 0.3 * muscle()
    y = restored(make("template", "signal", rate=RATE), heart() + emg)
    assert db(y - emg, emg) < -5
    assert abs(db(y, emg)) < 0.7


def test_where_there_is_no_heart_nothing_changes() -> None:
    x = muscle().astype(np.float32)
    np.testing.assert_array_equal(restored(make("template", "signal", rate=RATE), x), x)


def test_beats_of_varied_height_are_scaled() -> None:
    x = heart() * (1 + 0.3 * np.sin(2 * np.pi * 0.2 * T))
    assert db(restored(make("template", "signal", rate=RATE), x), x) < -20


# -- wavelets --------------------------------------------------------------------------------


def test_white_noise_is_shrunk() -> None:
    x, noise = heart(), 0.1 * np.random.default_rng(0).standard_normal(len(T))
    method = make("wavelet", "signal")
    assert db(restored(method, x + noise, "gaussian:0.1") - x, noise) < -7
    assert db(restored(method, x + noise) - x, noise) < -5  # the level is measured
    np.testing.assert_allclose(restored(method, x, "gaussian:1e-6"), x, atol=1e-5)


def test_large_slow_coefficients_are_the_heart() -> None:
    """It is removed, and what is fast stays: EMG above 100 Hz."""
    emg = 0.1 * muscle()
    x = heart() + emg
    y = restored(make("wavelet", "signal", remove="interference", rate=RATE), x)
    sections = butter(4, 10, "highpass", fs=RATE, output="sos")  # below are no muscles
    left, heard = (sosfiltfilt(sections, z) for z in (y - emg, x - emg))
    assert db(left, heard) < -12
    sections = butter(8, 130, "highpass", fs=RATE, output="sos")
    fast, kept = (sosfiltfilt(sections, z) for z in (emg, y))
    assert db(kept - fast, fast) < -20


def test_bad_settings_get_a_sentence() -> None:
    with pytest.raises(HushError, match="remove is"):
        make("wavelet", "signal", remove="everything")
    with pytest.raises(HushError, match="1 to 16 levels"):
        make("wavelet", "signal", levels=0)
    with pytest.raises(HushError, match="at least 1 beat"):
        make("template", "signal", count=0)
