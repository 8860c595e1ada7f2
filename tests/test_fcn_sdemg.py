"""FCN and SDEMG: rates, windows, sampling, and that they learn to take beats out of EMG.

That they save, load and resume is in the contracts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from scipy import signal

import hush
from hush import io
from hush.bases.interference import Subtracting
from hush.cli import main
from hush.errors import HushError
from hush.kinds.signal import SIGNAL, Signal
from hush.kinds.signal.resample import back, multiple, ratio, reach, to_rate
from hush.methods import make
from hush.nets import Tiled
from hush.nets.fcn import FCN as Autoencoder
from hush.nets.sdemg import TwoStreams
from hush.record import Record
from hush.recording import Channel
from hush.sampling import ancestral, cosine_signal
from hush.schedule import Schedule

Make = Callable[..., Subtracting]
NAMES = ["fcn", "sdemg"]
RATES = [1000.0, 2148.0, 512.0, 1259.259]

pytestmark = pytest.mark.usefixtures("one_thread_throughout")


def beats(count: int, rng: np.random.Generator) -> np.ndarray:
    """An ECG at 1000 Hz: narrow spikes with a wide wave after each, unit rms."""
    x, at = np.zeros(count), rng.uniform(0, 800)
    t = np.arange(count)
    while at < count:
        x += np.exp(-0.5 * ((t - at) / 8) ** 2) - 0.3 * np.exp(-0.5 * ((t - at - 22) / 10) ** 2)
        x += 0.2 * np.exp(-0.5 * ((t - at - 260) / 45) ** 2)
        at += rng.uniform(700, 1000)
    x -= x.mean()
    return x / x.std()


def pair(count: int, snr: float, seed: int) -> np.ndarray:
    """EMG at 1000 Hz with an ECG, and without, float32 ``(2, count)``."""
    rng = np.random.default_rng(seed)
    band = signal.butter(4, [20, 400], "bandpass", fs=1000, output="sos")
    emg = signal.sosfiltfilt(band, rng.standard_normal(count))
    emg /= emg.std()
    ecg = beats(count, rng) * rng.choice([-1, 1]) * 10 ** (-snr / 20)
    return np.stack([emg + ecg, emg]).astype(np.float32)


def snr(clean: np.ndarray, made: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(clean**2) / np.mean((made - clean) ** 2)))


# -- rates ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", RATES)
def test_resampled_samples_lie_where_they_were(rate: float) -> None:
    up, down = ratio(rate, 1000)
    assert rate * up / down == pytest.approx(1000, rel=1e-3)
    tone = lambda t: np.sin(2 * np.pi * 31 * t + 1)  # noqa: E731
    x = tone(np.arange(5001) / rate).astype(np.float32)
    y = to_rate(x, rate, 1000)
    assert (y.dtype, len(y)) == (np.float32, math.ceil(len(x) * up / down))
    away = slice(30, -30)
    np.testing.assert_allclose(y[away], tone(np.arange(len(y)) * down / up / rate)[away], atol=5e-3)
    again = back(y, rate, 1000, len(x))
    assert again.shape == x.shape
    np.testing.assert_allclose(again[away], x[away], atol=1e-2)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("unit", [1, 8])
def test_parts_are_resampled_like_the_whole(rate: float, unit: int) -> None:
    x = np.random.default_rng(0).standard_normal(20001)
    up, down = ratio(rate, 1000)
    step, far = multiple(rate, 1000, unit), reach(rate, 1000)
    assert step * up % (down * unit) == 0  # where a part begins, a unit begins
    start, stop = 3 * step, 20001 - 1000
    y = to_rate(x, rate, 1000)
    whole = back(y, rate, 1000, len(x))[start + far : stop - far]
    part = back(to_rate(x[start:stop], rate, 1000), rate, 1000, stop - start)
    np.testing.assert_allclose(part[far : len(part) - far], whole, atol=1e-12)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_few_samples_are_resampled_too(count: int) -> None:
    x = np.full(count, 2.0, np.float32)
    np.testing.assert_allclose(back(to_rate(x, 2148, 1000), 2148, 1000, count), x, rtol=1e-2)


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan, math.inf, 1e9, 1e-3])
def test_impossible_rates_get_a_sentence(rate: float) -> None:
    with pytest.raises(HushError, match="rate"):
        to_rate(np.zeros(8), rate, 1000)


# -- networks ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "network",
    [
        Autoencoder(),
        Autoencoder((8,)),
        Autoencoder((8, 8, 8, 8)),
        TwoStreams(8, 1, (1, 2)),
        TwoStreams(8, 4, (1, 2, 1)),
    ],
    ids=["fcn", "fcn-1", "fcn-4", "sdemg-1", "sdemg-4"],
)
def test_the_radius_holds(network: Tiled, randomise: Callable[..., Any]) -> None:
    """No output depends on an input farther away, and some on one nearly as far."""
    randomise(network)
    unit, far = network.multiple, network.radius
    middle = far + 4 * unit
    streams = isinstance(network, TwoStreams)
    x = torch.randn(1, 2 if streams else 1, 2 * middle, requires_grad=True)
    y = network(x, torch.full((1,), 0.5)) if streams else network(x)
    assert y.shape == (1, 1, 2 * middle)
    most = 0
    for at in range(middle, middle + unit):
        (slope,) = torch.autograd.grad(y[0, 0, at], x, retain_graph=True)
        seen = slope[0].abs().sum(0).nonzero()
        most = max(most, at - int(seen.min()), int(seen.max()) - at)
    assert far - 2 * unit - 8 <= most <= far


def test_the_default_networks_have_the_sizes_of_the_papers_or_less() -> None:
    sizes = [sum(w.numel() for w in n.parameters()) for n in (Autoencoder(), TwoStreams())]
    assert sizes[0] == pytest.approx(0.138e6, rel=0.01)  # the paper's
    assert sizes[1] < 1.5e6


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("fcn", {"widths": ()}, "one to eight widths"),
        ("fcn", {"widths": (8, 0)}, "one to eight widths"),
        ("sdemg", {"width": 10}, "multiple of 4"),
        ("sdemg", {"fold": 0}, "fold"),
        ("sdemg", {"dilations": ()}, "dilations"),
        ("sdemg", {"steps": 51}, "steps must be 1 to 50"),
        ("sdemg", {"steps": 0}, "steps must be 1 to 50"),
        ("fcn", {"channels": 2}, "one by one"),
        ("fcn", {"rate": -5.0}, "rate"),
        ("fcn", {"model_rate": 0.0}, "rate"),
    ],
)
def test_bad_settings_get_a_sentence(name: str, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(HushError, match=sentence):
        make(name, "signal", **settings)


# -- windows and scales -----------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rate", [1000, 2148, 500])
def test_pieces_do_not_show(
    name: str, rate: int, random_learned: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = random_learned(name)
    window = model.window({"rate": rate})
    assert window is not None
    count = int(2.7 * window.multiple) + 5 * window.reach + 7777
    x = 5 + np.cumsum(np.random.default_rng(0).standard_normal((1, count)), 1) / 30
    x += np.random.default_rng(1).standard_normal(x.shape)
    record = Record(x.astype(np.float32), "CT", kind="signal", context={"rate": rate})
    whole = hush.run(record, model=model).record.data
    pieces: list[int] = []
    seen = model.restore_item
    count_item = lambda batch, *a: pieces.append(batch.data[0].shape[-1]) or seen(batch, *a)  # noqa: E731
    monkeypatch.setattr(model, "restore_item", count_item)
    monkeypatch.setattr(Signal, "piece", max(window.multiple, 3000))
    parts = hush.run(record, model=model).record.data
    assert len(pieces) > 2
    removed = float(np.abs(whole - record.data).max())
    assert removed > 0.1
    # The first step of sampling divides rounding errors by the last level, 0.001; where weights
    # have been trained, what follows shrinks them again.
    close = {"fcn": 2e-5, "sdemg": 1e-3}[name]
    np.testing.assert_allclose(parts, whole, atol=close * removed)


@pytest.mark.parametrize("name", NAMES)
def test_a_piece_is_scaled_like_the_whole(name: str, random_learned: Make) -> None:
    """A burst in one place changes the scale everywhere, and so it does for every piece."""
    model = random_learned(name)
    x = np.random.default_rng(0).standard_normal((1, 9000)).astype(np.float32)
    x[:, :500] *= 30
    found = SIGNAL.measure([x])
    assert found.amplitude == pytest.approx(x.std(), rel=1e-4)
    whole = model.restore(x).data
    np.testing.assert_allclose(model.restore(x, found=found).data, whole, atol=1e-4)
    part = model.restore(x[:, 4000:], found=found).data[:, 3000:]
    alone = model.restore(x[:, 4000:]).data[:, 3000:]
    np.testing.assert_allclose(part, whole[:, 7000:], atol=1e-4)
    assert np.abs(alone - whole[:, 7000:]).max() > 0.01


def test_the_amplitude_is_of_known_values() -> None:
    x = np.array([[3.0, 5.0, np.nan, 3.0, 5.0]], np.float32)
    assert SIGNAL.measure([x]).amplitude == pytest.approx(1.0)


@pytest.mark.parametrize("name", NAMES)
def test_gain_offset_and_drift_do_not_matter(name: str, random_learned: Make) -> None:
    model = random_learned(name)
    x = np.random.default_rng(0).standard_normal((1, 6000)).astype(np.float32)
    removed = x - model.restore(x).data
    scaled = 0.03 * x - 7
    np.testing.assert_allclose(
        scaled - model.restore(scaled).data,
        0.03 * removed,
        atol=1e-3 * 0.03 * np.abs(removed).max(),
    )


@pytest.mark.parametrize("name", NAMES)
def test_what_is_removed_lies_in_the_models_band(name: str, random_learned: Make) -> None:
    """At 8 kHz, all above the model's 500 Hz stays as it is."""
    model = random_learned(name)
    x = np.random.default_rng(0).standard_normal((1, 32000)).astype(np.float32)
    context = {"rate": 8000.0}
    removed = x - model.denoise(x, axes="CT", context=context)
    frequencies, power = signal.periodogram(removed[0], 8000, "hann")
    above = frequencies > 600
    assert power[above].sum() < 1e-4 * power.sum()
    assert power[~above].sum() > 1e-3 * power.size / 32000
    told = model.replace(rate=8000.0)
    np.testing.assert_allclose(x - told.denoise(x, axes="CT"), removed, atol=1e-6)
    assert np.abs(x - model.denoise(x, axes="CT") - removed).max() > 0.1  # 1000 Hz by default


# -- training data ----------------------------------------------------------------------------


def test_pairs_are_brought_to_the_models_rate() -> None:
    """Arrays and records, one channel or several, each at its own rate."""
    model = make("fcn", "signal", rate=2000.0)
    assert isinstance(model, Subtracting)
    t = np.arange(4000) / 2000
    noisy, clean = (np.sin(2 * np.pi * f * t).astype(np.float32) for f in (40, 25))
    expected = [np.sin(2 * np.pi * f * np.arange(2000) / 1000) for f in (40, 25)]
    record = lambda x, rate: Record(x, "CT", kind="signal", context={"rate": rate})  # noqa: E731
    both = np.stack([noisy, clean])
    several = [np.stack([noisy, clean]), np.stack([clean, noisy])]
    for scene in (both, [noisy, clean], record(both, 2000.0), record(both, None)):
        (made,) = model.scenes([scene])
        assert made.shape == (1, 2, 2000)
        np.testing.assert_allclose(made[0, :, 100:-100], np.array(expected)[:, 100:-100], atol=0.05)
    for scene in (several, np.stack(several), [record(x, 2000.0) for x in several]):
        first, second = model.scenes([scene])
        np.testing.assert_allclose(first, made, atol=1e-6)
        np.testing.assert_allclose(second, made[:, ::-1], atol=1e-6)
    (slower,) = model.scenes([record(both, 500.0)])
    assert slower.shape == (1, 2, 8000)


def test_empty_channels_are_left_out_and_gaps_are_gaps_in_both() -> None:
    noisy, clean = np.random.default_rng(0).standard_normal((2, 3, 4000)).astype(np.float32)
    noisy[1] = np.nan
    clean[0, 100:200] = np.nan
    found = make("fcn", "signal").scenes([np.stack([noisy, clean])])
    assert [x.shape for x in found] == [(1, 2, 4000)] * 2
    assert all(np.isfinite(x).all() for x in found)
    assert np.abs(np.diff(found[0][0, :, 110:140])).max() < 0.01  # constant, but for the drift
    with pytest.raises(HushError, match="no signals with known values"):
        make("fcn", "signal").scenes([np.stack([noisy[1], clean[1]])])


def test_recordings_in_two_folders_keep_their_rate(tmp_path: Path) -> None:
    """A channel that was chosen, at 500 Hz: the network sees it at 1000."""
    for i, folder in enumerate(("noisy", "clean")):
        for name in ("a", "b"):
            x = np.random.default_rng(i).standard_normal((2, 1500)).astype(np.float32)
            layout = tuple(Channel(f"EMG {c}", "uV", 500.0, 1500 * c, 1500) for c in range(2))
            made = Record(x, "CT", kind="signal", context={"layout": layout, "events": ()})
            (tmp_path / folder).mkdir(exist_ok=True)
            io.write(made, tmp_path / folder / f"{name}.csv")
    seen: list[Any] = []

    def fit(self: Any, data: Any, **options: Any) -> Any:
        seen.extend(self.scenes(data))
        raise HushError("seen")

    options = ["--method", "fcn", "--max-steps", "1", "--channels", "2", "-o", "m.safetensors"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        patch.setattr("hush.methods.fcn.FCN.fit", fit)
        done = CliRunner().invoke(main, ["train", "noisy", "--clean", "clean", *options])
    assert "seen" in done.stderr
    assert "on 2 pairs of noisy and clean signals (2 files)" in done.stderr
    assert [x.shape for x in seen] == [(1, 2, 3000)] * 2


@pytest.mark.parametrize(
    ("scene", "sentence"),
    [
        (np.zeros(50), "learns from pairs"),
        (np.zeros((3, 50)), "learns from pairs"),
        (np.zeros((4, 50)), "learns from pairs"),
        ([np.zeros(50), np.zeros(49)], "same length and rate"),
        ([np.zeros((2, 50)), np.zeros(50)], "learns from pairs"),
        (
            [Record(np.zeros(50), "T", "signal", context={"rate": r}) for r in (1e3, 2e3)],
            "same length and rate",
        ),
    ],
)
def test_what_is_no_pair_gets_a_sentence(scene: Any, sentence: str) -> None:
    model = make("fcn", "signal")
    with pytest.raises(HushError, match=sentence):
        model.fit([scene], schedule=Schedule(max_steps=1, patch=16), device="cpu")


# -- sampling ---------------------------------------------------------------------------------


def test_ancestral_sampling_of_a_known_law() -> None:
    """With the exact prediction for N(2, 0.7²), samples have this mean and deviation."""
    share = cosine_signal(50)

    def predict(x: np.ndarray, t: int) -> np.ndarray:
        a = share[t]
        return math.sqrt(1 - a) * (x - math.sqrt(a) * 2) / (a * 0.49 + 1 - a)

    rng = np.random.default_rng(0)
    sample = ancestral(predict, lambda _: rng.standard_normal(100_000), share, 50, math.inf)
    assert sample.mean() == pytest.approx(2, abs=0.02)
    assert sample.std() == pytest.approx(0.7, rel=0.06)  # of 50 steps; none is lost with more
    clipped = ancestral(predict, lambda _: rng.standard_normal(1000), share, 10, 2.5)
    assert clipped.max() == 2.5


@pytest.mark.parametrize("steps", [1, 7, 50])
def test_ancestral_sampling_of_a_known_signal(steps: int) -> None:
    share, truth = cosine_signal(50), np.array([0.3, -2.0, 5.0])

    def predict(x: np.ndarray, t: int) -> np.ndarray:
        found: np.ndarray = (x - math.sqrt(share[t]) * truth) / math.sqrt(1 - share[t])
        return found

    rng = np.random.default_rng(0)
    drawn: list[int] = []
    fresh = lambda step: drawn.append(step) or rng.standard_normal(3)  # noqa: E731
    np.testing.assert_allclose(ancestral(predict, fresh, share, steps, 9.0), truth, atol=1e-6)
    assert drawn == list(range(steps))


def test_steps_and_seed_change_the_sample(random_learned: Make) -> None:
    model = random_learned("sdemg")
    x = np.random.default_rng(0).standard_normal((1, 4096)).astype(np.float32)
    first = model.restore(x).data
    np.testing.assert_array_equal(model.restore(x).data, first)
    for changed in (model.replace(steps=3), model.replace(seed=1)):
        assert np.abs(changed.restore(x).data - first).max() > 0.01
    done: list[float] = []
    model.replace(tile=1024).restore(x, advance=done.append)
    assert sum(done) == pytest.approx(1)


# -- learning ---------------------------------------------------------------------------------


def improved(model: Any, level: float, sign: int = 1) -> float:
    """By how many dB the model raises the signal-to-noise ratio of unseen EMG."""
    noisy, clean = sign * pair(8000, level, seed=99)
    return snr(clean, model.denoise(noisy)) - level


@pytest.mark.long
def test_fcn_learns_to_remove_beats() -> None:
    pairs = [pair(8000, level, seed) for seed, level in enumerate(np.linspace(-12, -4, 12))]
    model = make("fcn", "signal", widths=(32, 16, 8))
    schedule = Schedule(max_steps=150, patch=1024, batch=8, learning_rate=1e-2, ema=0.98)
    model.fit(pairs, schedule=schedule, device="cpu")
    assert improved(model, -8) > 5
    assert improved(model, -8, sign=-1) > 5  # upside down


@pytest.mark.long
def test_sdemg_learns_to_remove_beats() -> None:
    pairs = [pair(8000, level, seed) for seed, level in enumerate(np.linspace(-12, -4, 12))]
    model = make("sdemg", "signal", width=16, dilations=(1, 2), steps=10)
    schedule = Schedule(max_steps=200, patch=1024, batch=8, learning_rate=4e-3, ema=0.98)
    model.fit(pairs, schedule=schedule, device="cpu")
    assert improved(model, -8) > 6
