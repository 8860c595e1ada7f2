"""MID on interference: what networks see, where training takes its targets, and what is removed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hush
from hush.kinds.signal import SIGNAL, Signal
from hush.kinds.values import root_mean_square
from hush.methods.mid import interference
from hush.methods.mid.signal import SignalMID
from hush.nets.wave import InterferenceLevel, LocalAttention, WaveUNet
from hush.noise.process import Process
from hush.noise.processes import Gaussian
from hush.record import Record
from hush.schedule import Schedule

RATE = 1000.0
NETS = {
    "unet": lambda: WaveUNet((8, 12, 16), (1, 1, 1)),
    "attention": lambda: WaveUNet((8, 12, 16), (1, 1, 1), attention=1),
    "level": lambda: InterferenceLevel(8),
}
every_net = pytest.mark.parametrize("name", NETS)


def shaken(network: torch.nn.Module) -> Any:
    """A network with random weights where it begins with zeros."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        if not parameter.abs().sum():
            torch.nn.init.normal_(parameter, std=0.2)
    return network.eval()


def heart(seconds: float, rate: float = RATE, pulse: float = 70, seed: int = 0) -> np.ndarray:
    """Narrow beats at an uneven pulse, of rms 1."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    at = np.cumsum(60 / pulse * (1 + 0.05 * rng.standard_normal(int(seconds * pulse / 50) + 2)))
    x = np.zeros_like(t)
    for beat in at - 0.5:
        x += np.exp(-0.5 * ((t - beat) / 0.01) ** 2) - 0.4 * np.exp(
            -0.5 * ((t - beat - 0.03) / 0.012) ** 2
        )
    x -= x.mean()
    return x / x.std()


def muscle(seconds: float, rate: float = RATE, seed: int = 0) -> np.ndarray:
    """Noise of 20 to 400 Hz in bursts, of rms 1."""
    from scipy import signal

    rng = np.random.default_rng(seed)
    count = round(seconds * rate)
    sos = signal.butter(4, (20, min(400, 0.45 * rate)), "bandpass", fs=rate, output="sos")
    x = signal.sosfiltfilt(sos, rng.standard_normal(count))
    x = x * (0.5 + (np.sin(2 * np.pi * 0.3 * np.arange(count) / rate) > 0))
    return x / x.std()


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("bank") / "ecg.npz"
    np.savez(path, ecg=np.stack([heart(20, 500, 55 + 9 * i, i) for i in range(5)]), fs=500.0)
    return str(path)


@pytest.fixture(scope="module")
def model(bank: str) -> SignalMID:
    """An untrained model with a Ψ that sees interference everywhere."""
    made = SignalMID(ladder="ecg", bank=bank, channels=1, rate=RATE)
    torch.manual_seed(0)
    made.networks_ = made.build(1)
    shaken(made.networks_)
    torch.nn.init.constant_(made.networks_["step"].answer[-1].bias, 20.0)
    return made


# -- networks ----------------------------------------------------------------------------------


@every_net
def test_what_is_far_away_has_no_effect(name: str) -> None:
    """Exactly none beyond `radius`, and some within it."""
    network = shaken(NETS[name]())
    cell = getattr(network, "cell", 1)
    skip = 8 * network.multiple
    x = torch.randn(1, 1, network.multiple * (2 * network.radius // network.multiple + 24))
    x[..., : len(x[0, 0]) // 3] *= 10
    with torch.inference_mode():
        whole, part = network(x)[..., skip // cell :], network(x[..., skip:])
    far = network.radius // cell
    scale = float(whole.abs().max())
    assert float((whole - part)[..., far:].abs().max()) <= 1e-5 * scale
    assert float((whole - part).abs().max()) > 1e-4 * scale


@every_net
def test_gain_offset_and_drift_do_not_matter(name: str) -> None:
    network = shaken(NETS[name]())
    x = torch.randn(1, 1, 8192)
    drift = 3 * torch.sin(torch.arange(8192) / 3000)
    with torch.inference_mode():
        y, moved = network(x), network(3e-5 * (x + 7 + drift))
    gain = 1.0 if name == "level" else 3e-5
    inner = slice(None) if name == "level" else slice(1000, -1000)
    torch.testing.assert_close(moved[..., inner] / gain, y[..., inner], rtol=0.05, atol=0.02)


def test_attention_in_blocks_is_attention_within_reach() -> None:
    """The same as attention over all frames with everything beyond `reach` masked."""
    layer = shaken(LocalAttention(8, heads=2))
    h = torch.randn(1, 300, 8)
    q, k, v = layer.asked(h).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4)
    apart = torch.arange(300)[None] - torch.arange(300)[:, None]
    bias = layer.distance[:, apart.clamp(-layer.reach, layer.reach) + layer.reach]
    bias = bias.masked_fill(apart.abs() > layer.reach, -torch.inf)
    expected = torch.softmax(q @ k.mT / 2 + bias, -1) @ v
    with torch.inference_mode():
        seen = layer._attended(h)
    torch.testing.assert_close(seen, expected.transpose(1, 2).flatten(2), rtol=1e-4, atol=1e-5)


# -- targets -----------------------------------------------------------------------------------


def test_beats_are_found_and_leave_a_part_of_a_signal() -> None:
    x, ecg = muscle(20), 4 * heart(20)
    free = interference.beatless(x + ecg, RATE)
    peaks = np.flatnonzero(ecg > 0.8 * ecg.max())
    assert free[peaks].mean() < 0.02
    assert free.mean() > 0.05
    assert np.mean(np.square(ecg[free])) < 0.05 * np.mean(np.square(ecg))


def test_below_is_what_is_under_a_frequency_and_over_the_drift() -> None:
    t = np.arange(20_000) / RATE
    gains = {}
    for frequency in (0.2, 12.0, 60.0):
        tone = np.sin(2 * np.pi * frequency * t)
        part = interference.below(tone, RATE, 20.0)[2000:-2000]
        gains[frequency] = float(np.dot(part, tone[2000:-2000]) / np.sum(tone[2000:-2000] ** 2))
    assert gains[0.2] == pytest.approx(0, abs=0.01)
    assert gains[12.0] == pytest.approx(1, abs=0.1)
    assert gains[60.0] == pytest.approx(0, abs=0.01)
    assert not interference.below(t, RATE, 0).any()


def test_the_share_is_that_of_the_amplitude() -> None:
    x, ecg = torch.randn(1, 1, 32768), 3 * torch.randn(1, 1, 32768)
    share = interference.amplitude_share(ecg, x + ecg, 256)
    assert share.shape == (1, 128)
    torch.testing.assert_close(share, torch.full_like(share, 0.9**0.5), atol=0.02, rtol=0)
    nothing = interference.amplitude_share(0 * ecg, x, 256)
    assert float(nothing.abs().max()) == 0


class Told(torch.nn.Module):
    """Stands for a trained Φ: it answers with what it was given."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.answer(x)


def test_the_loss_counts_only_where_the_signal_is_free(
    bank: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that is wrong at beats alone costs nothing; elsewhere it does."""
    from hush.noise.bank import load

    drawn = np.ones(4096, np.float32)
    monkeypatch.setattr("hush.noise.bank.Bank.draw", lambda *_: drawn)
    ladder = interference.Superposition(load(bank), (-10.0, -10.0), RATE)
    free = torch.zeros(2, 1, 4096)
    free[..., :2048] = 1
    s_0 = torch.ones(2, 1, 4096)
    x = torch.cat([s_0, free, torch.zeros_like(free)], 1)

    def loss(answer: Any) -> float:
        networks = torch.nn.ModuleDict({"noise": Told(answer), "step": InterferenceLevel(8)})
        generator = torch.Generator().manual_seed(0)
        parts = interference.interference_loss(networks, x, ladder, False, generator, 0.0)
        return float(parts["noise_loss"])

    exact = loss(lambda s: s - s_0)
    assert exact == pytest.approx(np.log(interference.FLOOR), abs=1e-3)
    assert loss(lambda s: s - s_0 + 5 * (1 - free)) == pytest.approx(exact, abs=1e-3)
    assert loss(lambda s: s - s_0 + 5 * free) > exact + 3


# -- denoising ---------------------------------------------------------------------------------


def test_pieces_give_the_result_of_the_whole(
    model: SignalMID, monkeypatch: pytest.MonkeyPatch
) -> None:
    drift = np.linspace(20, 2000, int(60 * RATE))
    x = (muscle(60) + 3 * heart(60) + drift).astype(np.float32)[None]
    whole = hush.run(x, kind="signal", context={"rate": RATE}, model=model).data
    monkeypatch.setattr(Signal, "piece", 2**14)
    pieces = hush.run(x, kind="signal", context={"rate": RATE}, model=model).data
    assert np.abs(whole - x).max() > 0.1
    np.testing.assert_allclose(pieces, whole, rtol=0, atol=1e-7 * float(np.abs(x).max()))


@pytest.mark.parametrize("rate", [256.0, 2148.0])
def test_the_rate_is_restored(model: SignalMID, rate: float) -> None:
    x = (muscle(8, rate) + heart(8, rate)).astype(np.float32)
    y = model.denoise(x, "ecg", context={"rate": rate})
    assert y.shape == x.shape
    assert np.abs(y - x).max() > 0


def test_gain_goes_through(model: SignalMID) -> None:
    x = (muscle(8) + heart(8)).astype(np.float32)
    y, small = model.denoise(x, "ecg"), model.denoise(np.float32(1e-5) * x, "ecg")
    np.testing.assert_allclose(small / np.float32(1e-5), y, atol=1e-3 * np.abs(x).max())


@pytest.mark.parametrize("rate", [RATE, 2148.0])
def test_an_offset_does_not_matter(rate: float) -> None:
    """Counts of converters lie around half their range: no waves at ends, none from other rates."""
    x = (muscle(4.321, rate) + 3 * heart(4.321, rate)).astype(np.float32)
    small, large = (
        hush.run(x + offset, kind="signal", context={"rate": rate}, noise="ecg").data - offset
        for offset in (np.float32(0), np.float32(2048))
    )
    assert np.abs(small - x).max() > 1
    np.testing.assert_allclose(large, small, atol=0.01)


@pytest.mark.parametrize("length", [1, 7, 2000])
def test_a_constant_comes_back_to_the_last_digit(length: int) -> None:
    x = np.full(length, -0.82)
    y = hush.run(x, kind="signal", context={"rate": RATE}, noise="ecg").data
    np.testing.assert_array_equal(y, x)


def test_nothing_is_removed_where_nothing_is_seen(model: SignalMID) -> None:
    """Ψ closes the gate, and the samples come back as they are."""
    blind = model.replace()
    blind.networks_ = blind.build(1)
    assert model.networks_ is not None
    blind.networks_.load_state_dict(model.networks_.state_dict())
    torch.nn.init.constant_(blind.networks_["step"].answer[-1].bias, -30.0)
    x = muscle(8).astype(np.float32)
    result = blind.restore(x[None])
    np.testing.assert_array_equal(result.data[0], x)
    assert result.step == pytest.approx(0, abs=1e-3)


def test_sentences(model: SignalMID, bank: str) -> None:
    x = np.zeros((1, 4000), np.float32)
    with pytest.raises(hush.HushError, match="state --rate"):
        model.replace(rate=None).restore(x + 1)
    with pytest.raises(hush.HushError, match="learns to remove ECG, not gaussian"):
        SignalMID(ladder="ecg", bank=bank, rate=RATE).fit([x], noise="gaussian:0.1")
    with pytest.raises(hush.HushError, match="below, distil and naive are not for ECG"):
        SignalMID(ladder="ecg", bank=bank, rate=RATE, below=0.5).fit([x])
    with pytest.raises(hush.HushError, match="constant"):
        SignalMID(ladder="ecg", bank=bank, rate=RATE).fit([x[0]], corpus=True)
    white = SignalMID(channels=1)
    white.kind_ = "signal"
    white.networks_ = white.build(1)
    with pytest.raises(hush.HushError, match="does not remove ecg interference"):
        hush.run(x + 1, kind="signal", context={"rate": RATE}, model=white, noise="ecg")
    with pytest.raises(hush.HushError, match="net must be"):
        SignalMID(net="lstm")
    with pytest.raises(hush.HushError, match="snr must be"):
        SignalMID(snr=(3.0, -3.0))


def test_white_noise_in_any_unit() -> None:
    """A ladder has levels, but the units of a signal mean nothing."""
    torch.manual_seed(0)
    white = SignalMID(channels=1, widths=(8, 12), blocks=(1, 1))
    white.kind_ = "signal"
    white.networks_ = white.build(1)
    rng = np.random.default_rng(0)
    x = (np.sin(np.arange(4000) / 40) + 0.2 * rng.standard_normal(4000)).astype(np.float32)
    y = white.denoise(x, "gaussian:0.2")
    for unit in (1e-5, 1e3):
        z = white.denoise(np.float32(unit) * x, f"gaussian:{0.2 * unit:g}")
        np.testing.assert_allclose(z / unit, y, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("corpus", [True, False])
@pytest.mark.long
def test_it_learns_to_remove_beats(bank: str, corpus: bool, tmp_path: Path) -> None:
    """From clean signals, or from noisy ones alone; saved and loaded."""
    clean = [muscle(20, seed=i) for i in range(6)]
    noisy = [x + 4 * heart(20, seed=20 + i) for i, x in enumerate(clean)]
    made = SignalMID(ladder="ecg", bank=bank, rate=RATE, net="unet")
    made.kind_ = SIGNAL.name
    made.fit(clean if corpus else noisy, corpus=corpus, schedule=Schedule(max_steps=40, batch=4))
    made.save(tmp_path / "m.safetensors")
    loaded = hush.load(tmp_path / "m.safetensors")
    x = muscle(20, seed=50)
    y = (x + 4 * heart(20, seed=51)).astype(np.float32)
    out = loaded.denoise(y)
    before, after = (float(np.mean(np.square(z - x))) for z in (y, out))
    assert after < before / 10
    np.testing.assert_allclose(out, made.denoise(y), atol=0.05)  # weights are stored in half


@pytest.mark.parametrize("seconds", [20.0, 21.7, 23.31])
def test_recordings_of_any_length_are_compared_at_the_end(seconds: float, bank: str) -> None:
    """What is held out of them is no multiple of what the networks take."""
    made = SignalMID(ladder="ecg", bank=bank, rate=RATE, widths=(8, 12), blocks=(1, 1))
    made.kind_ = SIGNAL.name
    other = made.replace()
    other.channels, other.networks_ = 1, made.build(1)
    made.fit(
        [muscle(seconds, seed=i) for i in range(2)],
        corpus=True,
        start=other,
        against=other,
        schedule=Schedule(max_steps=1, batch=1),
    )
    assert made.compared_ is not None


def test_a_process_is_not_needed(model: SignalMID) -> None:
    """A model for interference removes it without --noise, and says what it removed."""
    x = (muscle(8) + heart(8)).astype(np.float32)
    record = Record(x, "T", kind="signal", context={"rate": RATE})
    result = hush.run(record, model=model)
    process: Process = result.process
    assert process.family == "ecg"
    level = float(np.sqrt(np.mean(np.square(result.data - x))))
    assert process.level == pytest.approx(level, rel=1e-3)  # type: ignore[attr-defined]


def test_signals_are_adapted_to_in_any_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ladders have levels, and units of signals mean nothing."""
    seen: list[tuple[float, Any]] = []

    def adapted(model: SignalMID, items: Sequence[np.ndarray], *_: Any, **given: Any) -> SignalMID:
        noise = given["noise"]
        seen.append((root_mean_square(items[0]), noise and float(noise.variance(0.0))))
        return model

    monkeypatch.setattr("hush.methods.mid.adapting.adapted", adapted)
    x = np.random.default_rng(0).standard_normal((1, 400)).astype(np.float32)
    for unit in (1.0, 1e-6):
        for noise in (None, Gaussian(0.5 * unit)):
            SignalMID().adapt([unit * x], 1.0, noise=noise)
    assert [level for level, _ in seen] == pytest.approx([0.2] * 4, rel=0.01)
    assert seen[1][1] == pytest.approx(seen[3][1]) == pytest.approx(0.1**2, rel=0.1)
