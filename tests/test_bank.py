"""The bank of ECG recordings: sources, the band, draws, and the cache of synthetic ones."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from hush.errors import HushError
from hush.kinds.signal import synthetic
from hush.kinds.signal.bank import HIGH_PASS, LOW_PASS, PACE, Bank
from hush.record import Record

RATE = 1000.0


def beats(count: int, rate: float, pulse: float = 72, seed: int = 0) -> np.ndarray:
    """Upright spikes of 10 ms at an even pulse on a slow drift."""
    t = np.arange(count) / rate
    at = (t * pulse / 60 + 0.3) % 1 - 0.5
    noise = np.random.default_rng(seed).standard_normal(count)
    spikes = np.exp(-0.5 * (at * 60 / pulse / 0.01) ** 2)
    return (spikes + 3 * np.sin(0.8 * t) + 0.01 * noise).astype(np.float32)


def power(x: np.ndarray, rate: float, low: float, high: float) -> float:
    """The share of the power between two frequencies."""
    frequencies, density = signal.periodogram(x, rate, "hann")
    inside = (frequencies >= low) & (frequencies < high)
    return float(density[inside].sum() / density.sum())


@pytest.fixture(scope="module")
def bank() -> Bank:
    return Bank([beats(30_000, 500, 60), beats(12_800, 128, 80)], [500.0, 128.0])


# -- at one rate ------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [1000.0, 2148.0, 360.0])
def test_recordings_come_at_one_rate_in_the_band(bank: Bank, rate: float) -> None:
    first, second = bank.at(rate)
    assert len(first) == pytest.approx(60 * rate, rel=0.01)
    assert len(second) == pytest.approx(100 * rate, rel=0.01)
    for x in (first, second):
        assert x.dtype == np.float32
        assert np.sqrt(np.mean(x**2)) == pytest.approx(1, rel=1e-4)
        assert power(x, rate, 0, HIGH_PASS / 2) < 1e-3
        assert power(x, rate, 2 * LOW_PASS, rate) < 1e-3
    peaks, _ = signal.find_peaks(first, height=0.5 * first.max(), distance=round(rate / 2))
    np.testing.assert_allclose(np.diff(peaks) / rate, 1.0, atol=0.01)  # 60 beats a minute


def test_tones_pass_as_by_filters_that_run_both_ways() -> None:
    """In the band as they are; at its edges with half their amplitude, far away not at all."""
    t = np.arange(20_000) / RATE
    for frequency, gain in ((3, 0.0), (10, 0.5), (45, 1.0), (200, 0.5), (450, 0.0)):
        tone = np.sin(2 * np.pi * frequency * t)
        known = np.sin(2 * np.pi * 40 * t)
        (x,) = Bank([tone + known], [RATE]).at(RATE)
        seen = [2 * np.mean(x * np.exp(2j * np.pi * f * t[: len(x)])) for f in (frequency, 40)]
        assert abs(seen[0]) / abs(seen[1]) == pytest.approx(gain, abs=0.02)


# -- draws ------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1000, 4097, 90_000])
def test_draws_have_unit_rms_and_lie_in_the_band(bank: Bank, length: int) -> None:
    """Windows longer than a recording too: it begins again, without a step."""
    rng = np.random.default_rng(0)
    for _ in range(8):
        x = bank.draw(rng, length, RATE)
        assert (x.shape, x.dtype) == ((length,), np.float32)
        assert np.sqrt(np.mean(x**2, dtype=np.float64)) == pytest.approx(1, rel=1e-4)
        assert power(x, RATE, 2 * LOW_PASS, RATE) < 2e-3
        if length > 1000:
            assert power(x, RATE, 0, HIGH_PASS / 3) < 2e-3


def test_draws_are_repeatable_and_differ(bank: Bank) -> None:
    first, again, other = (bank.draw(np.random.default_rng(s), 3000, RATE) for s in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert abs(np.mean(first * other)) < 0.9


def test_draws_have_either_polarity_and_varied_pace() -> None:
    bank = Bank([beats(60_000, RATE, 60)], [RATE])
    rng = np.random.default_rng(0)
    upright, pulses = [], []
    for _ in range(60):
        x = bank.draw(rng, 8000, RATE)
        upright.append(x.max() > -x.min())
        peaks, _ = signal.find_peaks(np.abs(x), height=0.6 * np.abs(x).max(), distance=400)
        pulses.append(60 * RATE / np.median(np.diff(peaks)))
    assert 15 < sum(upright) < 45
    slow, fast = np.array(PACE) * 60
    assert slow * 0.97 < min(pulses) < 0.85 * 60
    assert 1.2 * 60 < max(pulses) < fast * 1.03


def test_a_second_lead_of_the_same_heart_is_mixed_in() -> None:
    """Never that of another heart: without one, draws of a tone contain nothing else."""
    t = np.arange(20_000) / RATE
    tones = [np.sin(2 * np.pi * f * t) for f in (30, 90)]

    def both(bank: Bank) -> int:
        """How many of 30 draws hold both tones, wherever the pace has put them."""
        rng, count = np.random.default_rng(0), 0
        for _ in range(30):
            x = bank.draw(rng, 5000, RATE)
            count += min(power(x, RATE, 15, 50), power(x, RATE, 60, 150)) > 1e-4
        return count

    assert both(Bank(tones, [RATE, RATE])) == 0
    assert 5 < both(Bank(tones, [RATE, RATE], [0, 0])) < 25


# -- sources ----------------------------------------------------------------------------------


def test_rows_of_an_npz_are_hearts_of_their_own(tmp_path: Path) -> None:
    rows = np.stack([beats(2000, 128, p) for p in (60, 90)])
    for name, arrays in {
        "ecg": {"ecg": rows, "fs": 128, "other": np.ones(5)},
        "nsrdb": {"adu": (rows * 200).astype(np.int16), "fs": 128, "ids": np.array(["a", "b"])},
        "apart": {"one": rows[0], "two": rows[1], "rate": 128.0},
        "stated": {"ecg": rows},
    }.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        bank = Bank.of(tmp_path / f"{name}.npz", rate=128 if name == "stated" else None)
        assert (len(bank), list(bank.rates), list(bank.hearts)) == (2, [128.0] * 2, [0, 1]), name
        expected = Bank([rows[1]], [128.0]).at(128.0)[0]
        np.testing.assert_allclose(bank.at(128.0)[1], expected, atol=0.15)  # some are rounded


def test_channels_of_a_recording_are_leads_of_one_heart(tmp_path: Path) -> None:
    x = np.stack([beats(4000, 250), np.ones(4000), -2 * beats(4000, 250)])
    x[0, 100:120] = np.nan
    record = Record(x.astype(np.float32), "CT", "signal", context={"rate": 250.0})
    bank = Bank.from_record(record)
    assert (len(bank), list(bank.hearts), list(bank.rates)) == (2, [0, 0], [250.0, 250.0])
    np.save(tmp_path / "a.npy", x[0].astype(np.float32))
    assert len(Bank.of(tmp_path / "a.npy", rate=250)) == 1
    with pytest.raises(HushError, match=r"a.npy: does not state its rate"):
        Bank.of(tmp_path / "a.npy")
    flat = Record(np.ones((1, 4000)), "CT", "signal", context={"rate": 250.0})
    with pytest.raises(HushError, match="no channel that varies"):
        Bank.from_record(flat)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"ecg": np.ones((1, 900))}, "'fs'"),
        ({"ecg": beats(900, 300), "fs": np.array([1, 2])}, "'fs'"),
        ({"fs": 250}, "no ECG"),
        ({"ecg": np.ones(900), "fs": 250}, "vary"),
        ({"ecg": np.full(900, np.nan), "fs": 250}, "vary"),
        ({"ecg": beats(300, 250), "fs": 250}, "too short"),
    ],
)
def test_a_bad_npz_gets_a_sentence(
    arrays: dict[str, np.ndarray], sentence: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(HushError, match=sentence):
        Bank.of(tmp_path / "a.npz")


def test_a_damaged_or_missing_file_gets_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK not really")
    for name in ("a.npz", "missing.npz", "missing.csv"):
        with pytest.raises(HushError, match=name):
            Bank.of(tmp_path / name)


@pytest.mark.parametrize(
    ("recordings", "rates", "hearts", "sentence"),
    [
        ([], [], [], "at least one"),
        ([beats(900, 300)], [], [], "a rate and a heart"),
        ([beats(900, 300)], [300.0], [0, 1], "a rate and a heart"),
        ([beats(900, 300)[None]], [300.0], [], "one row"),
    ],
)
def test_what_is_no_bank_gets_a_sentence(
    recordings: list[np.ndarray], rates: list[float], hearts: list[int], sentence: str
) -> None:
    with pytest.raises(HushError, match=sentence):
        Bank(recordings, rates, hearts)


# -- synthetic recordings ---------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache's file, for two subjects that take no time."""

    def subject(index: int) -> np.ndarray:
        count = round(synthetic.SECONDS * synthetic.RATE)
        return np.stack([beats(count, synthetic.RATE, 60 + 20 * index, seed) for seed in (0, 1)])

    monkeypatch.setenv("HUSH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(synthetic, "SUBJECTS", 2)
    monkeypatch.setattr(synthetic, "subject", subject)
    return tmp_path / "cache" / f"ecg-{synthetic.VERSION}.npz"


def test_synthetic_recordings_are_kept_and_a_damaged_file_is_made_again(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    subject = synthetic.subject
    monkeypatch.setattr(synthetic, "subject", lambda i: made.append(i) or subject(i))
    first = Bank.of()
    assert made == [0, 1]
    assert [p.name for p in small.parent.iterdir()] == [small.name]
    again = Bank.of("synthetic")
    assert made == [0, 1]
    assert (len(again), list(again.hearts)) == (4, [0, 0, 1, 1])
    np.testing.assert_array_equal(again.recordings, first.recordings)
    whole = small.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    for damaged in (b"", b"nothing of the kind", whole[: len(whole) // 2], bytes(flipped)):
        small.write_bytes(damaged)
        made.clear()
        np.testing.assert_array_equal(Bank.of().recordings, first.recordings)
        assert made == [0, 1]
        assert small.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_no_obstacle(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.parent.write_bytes(b"a file where the folder should be")
    with pytest.warns(UserWarning, match="not kept"):
        assert len(Bank.of()) == 4


def test_without_neurokit2_a_sentence_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUSH_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "neurokit2", None)
    with pytest.raises(HushError, match=r"pip install 'hush-denoise\[signals\]'"):
        Bank.of()


def test_synthetic_subjects_are_hearts() -> None:
    """Beats at a human pace, the same in both leads."""
    pytest.importorskip("neurokit2")
    for index in (0, 3):
        leads = synthetic.subject(index)
        assert leads.shape == (synthetic.LEADS, round(synthetic.SECONDS * synthetic.RATE))
        assert np.isfinite(leads).all()
        np.testing.assert_allclose(leads.std(1), 1, rtol=0.05)
        bank = Bank(list(leads), [synthetic.RATE] * 2, [0, 0])
        places = []
        for x in bank.at(synthetic.RATE):
            height = 0.4 * np.quantile(np.abs(x), 0.999)
            peaks, _ = signal.find_peaks(
                np.abs(x), height=height, distance=int(0.3 * synthetic.RATE)
            )
            places.append(peaks)
            pulse = 60 * synthetic.RATE / np.median(np.diff(peaks))
            assert 0.8 * synthetic.SLOWEST < pulse < 1.2 * synthetic.FASTEST
        near = np.abs(places[0][:, None] - places[1]).min(1) < 0.06 * synthetic.RATE
        assert near.mean() > 0.9
