"""The bank of ECG recordings: what is drawn from it, what it is read from, and its cache."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import skew

from hush import io
from hush.errors import HushError
from hush.kinds.signal.beats import beats
from hush.noise import bank
from hush.noise.bank import Bank, load
from hush.noise.processes import ECG, parse
from hush.record import Record
from hush.recording import Channel

RATE = 500


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Banks that were loaded are forgotten."""
    load.cache_clear()
    yield
    load.cache_clear()


def pulses(seconds: float = 20, pace: float = 60, rate: float = RATE) -> np.ndarray:
    """Upright beats ``(T,)`` at a steady pace, a minute."""
    phase = (np.arange(round(seconds * rate)) / rate * pace / 60 + 0.5) % 1 - 0.5
    made: np.ndarray = np.exp(-0.5 * (phase * 60 / pace / 0.012) ** 2)
    return made


def share_of_power(x: np.ndarray, rate: float, low: float, high: float) -> float:
    power = np.square(np.abs(np.fft.rfft(x.astype(np.float64) * np.hanning(len(x)))))
    frequency = np.fft.rfftfreq(len(x), 1 / rate)
    return float(power[(frequency >= low) & (frequency < high)].sum() / power.sum())


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


# -- draws -------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 2, 100, 4096, 30_000])  # the last is longer than the bank
@pytest.mark.parametrize("rate", [250.0, 1000.0, 2048.0])
def test_draws_have_rms_1_at_any_length_and_rate(ecg_bank: Bank, length: int, rate: float) -> None:
    for seed in range(5):
        x = ecg_bank.draw(np.random.default_rng(seed), length, rate)
        assert (x.shape, x.dtype) == ((length,), np.float32)
        assert rms(x) == pytest.approx(1, rel=1e-5)


def test_a_draw_is_the_generators(ecg_bank: Bank) -> None:
    a, b, c = (ecg_bank.draw(np.random.default_rng(s), 2000, 1000.0) for s in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_beats_come_in_both_polarities_and_at_many_paces() -> None:
    """At 0.65 to 1.5 times the recording's pace, whatever the rate that is asked for."""
    one = Bank([(pulses() - pulses().mean()).astype(np.float32)], [RATE])
    for rate in (500.0, 1000.0):
        signs, paces = [], []
        for seed in range(40):
            x = one.draw(np.random.default_rng(seed), round(12 * rate), rate)
            signs.append(np.sign(skew(x)))
            paces.append(60 * rate / np.median(np.diff(beats(x.astype(np.float64), rate))))
        assert 10 <= signs.count(1) <= 30
        assert 10 <= signs.count(-1) <= 30
        assert np.isfinite(paces).all()
        assert 38 < min(paces) < 46
        assert 78 < max(paces) < 91


def test_recordings_are_drawn_from_any_place() -> None:
    marked = np.zeros(10 * RATE, np.float32)
    marked[5 * RATE] = 1
    one, found = Bank([marked], [RATE]), set()
    for seed in range(60):
        x = one.draw(np.random.default_rng(seed), 2 * RATE, RATE)
        found |= {int(np.argmax(np.abs(x))) // RATE} if np.abs(x).max() > 10 else set()
    assert found == {0, 1}


# -- files -------------------------------------------------------------------------------------


def recording(rate: float) -> Record:
    """Two channels of ECG, 60 and 80 beats a minute."""
    x = np.stack([pulses(10, pace, rate) for pace in (60, 80)]).astype(np.float32)
    size = x.shape[1]
    layout = (Channel("I", "mV", rate, 0, size), Channel("II", "mV", rate, size, size))
    return Record(x, "CT", kind="signal", context={"layout": layout, "events": ()})


@pytest.mark.parametrize("key", ["ecg", "adu"])
@pytest.mark.parametrize("rows", [1, 3])
def test_archives_hold_recordings_and_their_rate(key: str, rows: int, tmp_path: Path) -> None:
    x = np.stack([pulses(10, 60 + 10 * i, 360) for i in range(rows)])
    arrays: dict[str, Any] = {key: x if rows > 1 else x[0], "fs": 360, "subject": np.arange(rows)}
    np.savez(tmp_path / "a.npz", **arrays)
    found = load(str(tmp_path / "a.npz"))
    assert found.rates == (360.0,) * rows
    assert [len(r) for r in found.recordings] == [3600] * rows
    assert all(rms(r) == pytest.approx(1, rel=1e-5) for r in found.recordings)


@pytest.mark.parametrize("ending", [".csv", ".edf", ".hea"])
def test_any_recording_that_hush_reads_is_a_bank(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"mine{ending}"
    io.write(recording(250.0), path)
    found = load(str(path))
    assert found.rates == (250.0, 250.0)
    for i, pace in enumerate((60, 80)):
        x = found.recordings[i].astype(np.float64)
        measured = 60 * 250 / np.median(np.diff(beats(x, 250.0)))
        assert measured == pytest.approx(pace, rel=0.02)


def test_recordings_are_cut_to_the_band_of_an_ecg(tmp_path: Path) -> None:
    """An offset, breathing, and what is above 200 Hz are no interference to learn."""
    t = np.arange(20_000) / 1000
    x = pulses(20, 70, 1000) + 5 + 3 * np.sin(2 * np.pi * 0.3 * t)
    x += 0.5 * np.sin(2 * np.pi * 400 * t)
    np.savez(tmp_path / "a.npz", ecg=x, fs=1000)
    (found,) = load(str(tmp_path / "a.npz")).recordings
    assert abs(found.mean()) < 1e-3
    assert share_of_power(found, 1000, 10, 200) > 0.9
    assert share_of_power(found, 1000, 0, 3) < 1e-3
    assert share_of_power(found, 1000, 390, 410) < 1e-3


def test_gaps_are_cut_out_and_empty_rows_left_out(tmp_path: Path) -> None:
    x = np.stack([pulses(10), pulses(10), np.ones(10 * RATE), np.full(10 * RATE, np.nan)])
    x[0, 1000:1500] = np.nan
    np.savez(tmp_path / "a.npz", ecg=x, fs=RATE)
    found = load(str(tmp_path / "a.npz"))
    assert [len(r) for r in found.recordings] == [4500, 5000]
    assert all(np.isfinite(r).all() for r in found.recordings)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"ecg": pulses(1.9), "fs": RATE}, "2 s or more"),
        ({"ecg": np.ones(5000), "fs": RATE}, "holds no ECG"),
        ({"ecg": pulses(10)}, "does not say its samples a second; add a column time"),
        ({"ecg": pulses(10), "fs": 0.0}, "100 or more samples a second"),
        ({"ecg": pulses(10), "fs": np.nan}, "100 or more samples a second"),
        ({"ecg": pulses(100, 60, 15), "fs": 15}, "100 or more samples a second"),
    ],
    ids=["short", "constant", "no rate", "rate 0", "rate NaN", "too slow"],
)
def test_what_is_no_bank_gets_a_sentence(
    arrays: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(HushError, match=sentence):
        load(str(tmp_path / "a.npz"))


@pytest.mark.parametrize("name", ["none.npz", "none.csv"])
def test_a_file_that_is_not_there_gets_a_sentence(name: str, tmp_path: Path) -> None:
    with pytest.raises(HushError, match=name):
        load(str(tmp_path / name))


def test_the_spec_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "my ecg, lead II.npz"
    np.savez(path, ecg=pulses(10), fs=RATE)
    process = parse(f"ecg:{path}")
    assert process == ECG(str(path)) == parse(process.spec())
    assert ECG().spec() == "ecg"
    assert parse("ecg") == ECG()
    assert len(ECG(str(path)).recordings().recordings) == 1
    louder = ECG(str(path), level=0.2).scaled(4.0)
    assert isinstance(louder, ECG)
    noise = louder.sample(torch.zeros(3, 1, 4000), torch.Generator().manual_seed(0))
    np.testing.assert_allclose(noise.square().mean(-1).sqrt(), 0.4, rtol=1e-4)


# -- synthetic recordings ----------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache's file, for a bank of two short recordings made at once; it is not there yet."""
    monkeypatch.setenv("HUSH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(bank, "COUNT", 2)
    monkeypatch.setattr(bank, "SECONDS", 8)
    monkeypatch.setattr(bank, "synthetic", lambda seed, seconds: pulses(seconds, 60 + 10 * seed))
    return bank.cache_folder() / f"ecg-{bank.VERSION}.npz"


def never(*arguments: Any, **options: Any) -> None:
    raise AssertionError("made again")


def test_synthetic_recordings_beat_and_differ() -> None:
    pytest.importorskip("neurokit2")
    made = [bank.synthetic(seed, 8) for seed in (0, 0, 1, 2)]
    np.testing.assert_array_equal(made[0], made[1])
    assert all(x.shape == (8 * bank.RATE,) and np.isfinite(x).all() for x in made)
    paces = [60 * bank.RATE / np.median(np.diff(beats(x, bank.RATE))) for x in made[1:]]
    assert all(40 < pace < 150 for pace in paces)
    assert len({round(pace) for pace in paces}) == 3


def test_the_cache_is_used(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is read from it is what was returned when it was made."""
    first = load("")
    assert small.is_file()
    assert [p.name for p in small.parent.iterdir()] == [small.name]
    assert [len(r) for r in first.recordings] == [8 * bank.RATE] * 2
    assert all(r.dtype == np.float32 for r in first.recordings)
    assert all(rms(r) == pytest.approx(1, rel=1e-3) for r in first.recordings)
    load.cache_clear()
    monkeypatch.setattr(bank, "synthetic", never)
    again = load("")
    for a, b in zip(first.recordings, again.recordings, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("damage", ["empty", "cut short", "a bit", "no archive", "another size"])
def test_a_damaged_cache_is_made_again(small: Path, damage: str) -> None:
    first = load("")
    raw = small.read_bytes()
    if damage == "another size":
        np.savez(small, ecg=np.zeros((2, 7), np.float16))
    else:
        middle = len(raw) // 2
        flipped = raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1 :]
        small.write_bytes(
            {"empty": b"", "cut short": raw[:middle], "a bit": flipped, "no archive": b"ecg"}[
                damage
            ]
        )
    load.cache_clear()
    again = load("")
    for a, b in zip(first.recordings, again.recordings, strict=True):
        np.testing.assert_array_equal(a, b)
    with np.load(small) as archive:
        assert archive["ecg"].shape == (2, 8 * bank.RATE)


def test_without_a_folder_to_write_to_it_is_made_each_time(
    small: Path,
) -> None:
    small.parent.write_text("a file where the folder should be")
    assert len(load("").recordings) == 2


def test_without_neurokit2_a_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUSH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "neurokit2.ecg", None)
    with pytest.raises(HushError, match=r"pip install .*\[signals\]'.*ecg:FILE"):
        load("")
    assert not (tmp_path / "cache").exists()
