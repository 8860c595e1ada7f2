"""The study mid/semg: data found and split by rule, SNRs as stated, rows trained and scored."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from rich.console import Console
from scipy.io import savemat

from hush.denoiser import Denoiser
from hush.errors import HushError
from hush.methods import METHODS, VARIANTS
from hush.noise.bank import Bank
from hush.results import Restoration
from hush.studies import STUDIES, run, semg
from hush.studies.emgdata import Heart, Recording, find_ecg, find_emg, natural, read_emg, usable
from hush.studies.semg import (
    CLEAN,
    LEVELS,
    RECIPES,
    SIZE,
    WIDE,
    mixed,
    segments,
    semg_cases,
    split,
    split_hearts,
    subject_of,
    thinned,
    write_bank,
)
from hush.studies.table import groups
from hush.tasks import emg

SECONDS = 21


def emg_like(count: int, seed: int, channels: int = 3) -> np.ndarray:
    """Bursts of noise, int16 ``(T, C)``."""
    rng = np.random.default_rng(seed)
    bursts = 20 + 300 * (np.sin(2 * np.pi * np.arange(count) / count * 4) > 0)
    return (bursts[:, None] * rng.standard_normal((count, channels))).astype(np.int16)


def ecg_like(seconds: int, rate: float, pulse: float) -> np.ndarray:
    t = np.arange(int(seconds * rate)) / rate
    x = np.zeros_like(t)
    for peak in np.arange(0.4, seconds, 60 / pulse):
        for at, width, height in ((0, 0.015, 1.0), (0.035, 0.015, -0.4), (0.25, 0.05, 0.2)):
            x += height * np.exp(-0.5 * ((t - peak - at) / width) ** 2)
    return x


def write_emg(path: Path, seed: int, names: Sequence[str], rate: int = 1000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {"fs": rate}
    for i, name in enumerate(names):
        x = emg_like(SECONDS * rate, 10 * seed + i)
        arrays |= {name: x, f"{name}_label": (np.abs(x[:, 0]) > 100).astype(np.int8)}
    np.savez(path, **arrays)


def write_ecg(path: Path, count: int = 5, first: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    ecg = np.stack([ecg_like(15, 128, 60 + 10 * i) for i in range(first, first + count)])
    np.savez(
        path,
        ids=[f"h{i}" for i in range(first, first + count)],
        adu=(200 * ecg).astype(np.int16),
        fs=128,
        gain_adu_per_mV=200,
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four subjects, three recordings each, and five hearts."""
    folder = tmp_path_factory.mktemp("semg")
    for i in range(4):
        path = folder / f"signals/arms/s{i + 8}.npz"
        write_emg(path, i, ("train0", "train1", "test0"), 500 if i == 3 else 1000)
    write_ecg(folder / "signals/nsrdb_tiny.npz")
    return folder


def recordings(subjects: int, names: Sequence[str], channels: int) -> list[Recording]:
    return [
        Recording(Path(f"{i}"), f"S{i}", name, name, 1000.0, 25_000, tuple(range(channels)))
        for i in range(1, subjects + 1)
        for name in names
    ]


# -- what is found ---------------------------------------------------------------------------


def test_recordings_are_found_by_layout(data: Path) -> None:
    for folder in (data, data / "signals"):
        ((name, found),) = find_emg(folder)
        assert name == "arms"
        assert [r.subject for r in found[::3]] == ["s8", "s9", "s10", "s11"]  # not "s10" first
        assert {r.length for r in found} == {SECONDS * 1000}
        assert [h.subject for h in find_ecg(folder)] == [f"h{i}" for i in range(5)]
    assert find_emg(data, "legs*") == []
    x, stored, active = read_emg(found[-1])
    assert x.shape == stored.shape == (SECONDS * 1000, 3)
    assert active is not None
    assert 0.1 < active.mean() < 0.9


def test_emg_and_ecg_are_in_their_bands() -> None:
    """Slow drift is gone from both, and so is what is fast in an ECG."""
    from hush.studies.emgdata import ECG_BAND, at_rate, band_passed

    t = np.arange(10_000) / 1000
    slow, middle, fast = (np.sin(2 * np.pi * f * t) for f in (2, 60, 400))
    inside = slice(1000, -1000)
    np.testing.assert_allclose(
        band_passed(slow + middle + fast + 9, 20, 500)[inside], (middle + fast)[inside], atol=0.02
    )
    np.testing.assert_allclose(
        band_passed(slow + middle + fast, *ECG_BAND)[inside], middle[inside], atol=0.02
    )
    x = np.sin(2 * np.pi * 10 * np.arange(1280) / 128)
    np.testing.assert_allclose(
        at_rate(x, 128)[inside], np.sin(2 * np.pi * 10 * t)[inside], atol=0.02
    )


def test_ninapro_and_wfdb_are_read(tmp_path: Path) -> None:
    wfdb = pytest.importorskip("wfdb")
    for subject in (1, 2, 10):
        for exercise in (1, 2):
            folder = tmp_path / f"DB2_s{subject}"
            folder.mkdir(exist_ok=True)
            x = emg_like(2000 * SECONDS, subject, 12).astype(np.float32)
            label = (np.arange(len(x)) < 4000)[:, None]
            savemat(folder / f"S{subject}_E{exercise}_A1.mat", {"emg": x, "restimulus": 3 * label})
    (tmp_path / "nsrdb").mkdir()
    for i in range(3):
        channels = np.stack([ecg_like(20, 128, 70 + i), np.zeros(20 * 128)], axis=1)
        wfdb.wrsamp(
            f"162{i}",
            fs=128,
            units=["mV", "mV"],
            sig_name=["ECG1", "ECG2"],
            p_signal=channels,
            fmt=["212", "212"],
            write_dir=str(tmp_path / "nsrdb"),
        )
    ((name, found),) = find_emg(tmp_path)
    assert name == tmp_path.name
    assert [(r.subject, r.name) for r in found[2:5]] == [("S2", "E1"), ("S2", "E2"), ("S10", "E1")]
    x, _, active = read_emg(found[0])
    assert x.shape == (1000 * SECONDS, 12)
    assert active is not None
    assert active.sum() == 2000
    hearts = find_ecg(tmp_path)
    assert [h.subject for h in hearts] == ["1620", "1621", "1622"]
    assert all(len(h.starts) == 11 for h in hearts)
    train, test = split(found)
    assert {(s.recording.subject, s.recording.name) for s in test} == {("S10", "E2")}
    assert {s.column for s in test} == {9, 10, 11}
    assert {s.recording.subject for s in train} == {"S1", "S2"}
    assert len(semg_cases(tmp_path, quick=True, only=None)) == len(LEVELS) + 1


def test_columns_that_are_no_emg_are_left_out(tmp_path: Path) -> None:
    for i in range(2):
        np.savez(
            tmp_path / f"p{i}.npz",
            fs=2000.0,
            columns=["ECG lead II", "EMG biceps", "angle_deg"],
            rep1=emg_like(44_000, i),
        )
    ((_, found),) = find_emg(tmp_path)
    assert {r.columns for r in found} == {(1,)}
    x, _, active = read_emg(found[0])
    assert x.shape == (22_000, 1)
    assert active is None
    assert segments(found)[0].name == "p0/rep1/channel 2/0 s"


def test_a_damaged_file_is_named_and_the_others_are_used(tmp_path: Path) -> None:
    for i in range(3):
        write_emg(tmp_path / f"arms/s{i}.npz", i, ("a",))
    write_ecg(tmp_path / "hearts.npz")
    with np.load(tmp_path / "arms/s0.npz") as arrays:
        np.savez(tmp_path / "arms/s0.npz", **{**arrays, "fs": [1000]})  # is read like a number
    cut = (tmp_path / "arms/s1.npz").read_bytes()
    (tmp_path / "arms/s1.npz").write_bytes(cut[:-500])
    inside = bytearray((tmp_path / "arms/s2.npz").read_bytes())
    inside[len(inside) // 2] ^= 255
    (tmp_path / "arms/s2.npz").write_bytes(inside)
    notes: list[str] = []
    ((_, found),) = find_emg(tmp_path, note=notes.append)
    assert [(r.subject, r.rate) for r in found] == [("s0", 1000.0)]
    assert [n.partition(" ")[0] for n in notes] == ["s1.npz", "s2.npz"]
    assert all("is left out" in n and "cannot be read as an .npz file" in n for n in notes)
    assert len(find_ecg(tmp_path)) == 5


def test_calibrations_and_gaps_of_an_ecg_are_not_used(tmp_path: Path) -> None:
    ecg = np.stack([ecg_like(40, 128, 70)] * 3)
    t = np.arange(12 * 128) / 128
    ecg[0, : len(t)] = np.sign(np.sin(2 * np.pi * (t + 0.1)))
    ecg[1, 20 * 128] = np.nan
    ecg[2, 30 * 128 :] = 0.3
    np.savez(tmp_path / "nsrdb_x.npz", ids=["a", "b", "c"], adu=ecg, fs=128)
    starts = [heart.starts / 1000 for heart in find_ecg(tmp_path)]
    assert starts[0].min() >= 11
    assert all(s + 10 <= 20.1 or s >= 20 for s in starts[1])
    assert {0, 10, 21, 30} <= set(starts[1])
    assert starts[2].max() <= 21


# -- the split -------------------------------------------------------------------------------


@pytest.mark.parametrize(("subjects", "tested"), [(2, 1), (4, 1), (8, 3), (40, 15)])
@pytest.mark.parametrize("names", [("test0", "train0", "train1"), ("E1", "E2", "E3")])
@pytest.mark.parametrize(("channels", "held"), [(2, 1), (10, 3), (12, 3)])
def test_nothing_is_in_both_parts(
    subjects: int, tested: int, names: Sequence[str], channels: int, held: int
) -> None:
    found = recordings(subjects, names, channels)
    train, test = split(found)
    for of in (
        lambda s: s.recording.subject,
        lambda s: s.recording.name,
        lambda s: s.recording.columns[s.column],
    ):
        assert not {of(s) for s in train} & {of(s) for s in test}
    last = sorted({r.subject for r in found}, key=natural)[-tested:]
    assert {s.recording.subject for s in test} == set(last)
    assert {s.column for s in test} == set(range(channels - held, channels))
    assert {s.recording.name for s in test} == {"test0" if "test0" in names else "E3"}
    assert len(train) == 2 * 2 * (subjects - tested) * (channels - held)  # two segments of 25 s


def test_what_there_is_one_of_is_in_both() -> None:
    train, test = split(recordings(3, ["only"], 1))
    assert {s.recording.subject for s in train} == {"S1", "S2"}
    assert {s.recording.subject for s in test} == {"S3"}
    with pytest.raises(HushError, match="one subject cannot be split"):
        split(recordings(1, ["a", "b"], 4))


@pytest.mark.parametrize(("count", "tested"), [(2, [1]), (3, [2]), (15, [2, 5, 8, 11, 14])])
def test_every_third_heart_is_tested(count: int, tested: list[int]) -> None:
    hearts = [Heart(f"{i}", np.zeros(1), np.zeros(1, int)) for i in range(count)]
    train, test = split_hearts(hearts)
    assert [int(h.subject) for h in test] == tested
    assert len(train) + len(test) == count
    with pytest.raises(HushError, match="one ECG subject"):
        split_hearts(hearts[:1])


def test_thinning_is_even() -> None:
    found = segments(recordings(10, ["a"], 2))
    assert thinned(found, 99) == found
    assert {s.recording.subject for s in thinned(found, 10)} == {f"S{i}" for i in range(1, 11)}


# -- the samples -----------------------------------------------------------------------------


@pytest.mark.parametrize("snr", [-14, -6, 0])
def test_snrs_are_as_stated(data: Path, snr: float) -> None:
    ((_, found),) = find_emg(data)
    hearts = find_ecg(data)
    samples = list(mixed(segments(found)[:9], hearts, snr, 0))
    assert len(samples) == 9
    for s in samples:
        assert emg.snr(s.noisy, s.reference) == pytest.approx(snr, abs=1e-4)
        assert np.abs(s.reference).max() == 1
        assert s.noisy.shape == (1, SIZE)
        assert s.about["active"].shape == (SIZE,)
    again = list(mixed(segments(found)[:9], hearts, snr, 0))
    np.testing.assert_array_equal(again[3].noisy, samples[3].noisy)
    other = list(mixed(segments(found)[:9], hearts, snr, 1))
    assert any((a.noisy != b.noisy).any() for a, b in zip(other, samples, strict=True))


def test_a_segment_has_one_heart_at_every_snr_and_training_has_its_range(data: Path) -> None:
    ((_, found),) = find_emg(data)
    hearts, some = find_ecg(data), segments(found)[:24]
    loud, soft = (list(mixed(some, hearts, snr, 0)) for snr in (-12, -6))
    for a, b in zip(loud, soft, strict=True):
        np.testing.assert_allclose(
            a.noisy - a.reference, 10**0.3 * (b.noisy - b.reference), atol=1e-5
        )
    drawn = [emg.snr(s.noisy, s.reference) for s in mixed(some, hearts, None, 0)]
    assert -15 <= min(drawn) < -12
    assert -8 < max(drawn) <= -5
    for s in mixed(some[:2], hearts, np.inf, 0):
        np.testing.assert_array_equal(s.noisy, s.reference)


def test_flat_and_clipped_segments_are_left_out(tmp_path: Path) -> None:
    for i in range(2):
        write_emg(tmp_path / f"arms/s{i}.npz", i, ("test0",))
    path = tmp_path / "arms/s1.npz"
    arrays = dict(np.load(path))
    arrays["test0"][3000:4000, 0] = 7  # flat
    arrays["test0"][:10_000, 1] = arrays["test0"][:10_000, 1].clip(-30, 30)
    np.savez(path, **arrays)
    write_ecg(tmp_path / "nsrdb.npz")
    ((_, found),) = find_emg(tmp_path)
    names = [s.name for s in mixed(segments(found[1:]), find_ecg(tmp_path), -6, 0)]
    assert names == [
        "s1/test0/channel 1/10 s",
        "s1/test0/channel 2/10 s",
        "s1/test0/channel 3/0 s",
        "s1/test0/channel 3/10 s",
    ]
    assert not usable(np.array([0.0, np.nan, 1.0]))
    assert {subject_of(name) for name in names} == {"s1"}


@pytest.fixture
def synthetic(ecg_bank: Bank, monkeypatch: pytest.MonkeyPatch) -> Bank:
    """Eight recordings in place of the synthetic hearts, which take seconds to make."""
    bank = Bank([ecg_bank.recordings[i % 3] for i in range(8)], [500.0] * 8)
    monkeypatch.setattr(semg, "synthetic_bank", lambda: bank)
    return bank


def test_the_bank_holds_the_training_hearts_and_synthetic_ones(
    data: Path, tmp_path: Path, synthetic: Bank
) -> None:
    """As many of each: four hearts twice, and eight at the study's rate; none of the test's."""
    train, _ = split_hearts(find_ecg(data))
    write_bank(train, tmp_path / "bank.npz")
    bank = np.load(tmp_path / "bank.npz")
    assert bank["fs"] == 1000
    assert len(train) == 4
    assert len(bank["ecg"]) == 16
    for row, heart in zip(bank["ecg"], train * 2, strict=False):
        part = row[np.isfinite(row)]
        np.testing.assert_array_equal(part, heart.ecg[: len(part)])
        assert len(part) >= 14_000
    for row, made in zip(bank["ecg"][8:], synthetic.recordings, strict=True):
        np.testing.assert_allclose(row[np.isfinite(row)][::2], made, atol=0.02 * np.ptp(made))


# -- the cases -------------------------------------------------------------------------------


def test_cases_are_the_snrs_and_clean_emg(data: Path) -> None:
    notes: list[str] = []
    cases = semg_cases(data, quick=False, only=None, note=notes.append)
    assert [c.settings["snr"] for c in cases] == [*map(str, (*LEVELS, *WIDE)), CLEAN]
    assert {c.settings.get("set", "") for c in cases[:4]} == {""}
    assert {c.settings.get("set", "") for c in cases[4:-1]} == {"wide"}
    assert [c.metrics is not None and "change" in c.metrics for c in cases] == [*[False] * 8, True]
    assert notes == ["arms is tested on subjects s11, recordings test0, channels 3, ECG of h2"]
    training = cases[0].training
    assert training is not None
    lessons = {s.name.split("/")[0] for s in training.samples(0)}
    assert lessons == {"s8", "s9", "s10"}
    assert cases[0].count == len(list(cases[0].samples(0))) == 2


def test_short_recordings_are_left_out_before_the_split(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "signals", tmp_path / "signals")
    (tmp_path / "signals/arms/s10.npz").unlink()
    np.savez(tmp_path / "signals/arms/z9.npz", fs=1000, test0=emg_like(6000, 1))
    notes: list[str] = []
    cases = semg_cases(tmp_path, quick=False, only=None, note=notes.append)
    assert {s.name.split("/")[0] for s in cases[0].samples(0)} == {"s11"}
    assert notes[0] == "arms: z9/test0 is left out: it is shorter than 10 s"


def test_with_a_training_folder_all_data_is_tested(data: Path, tmp_path: Path) -> None:
    write_emg(tmp_path / "signals/others/x1.npz", 77, ("a",))
    cases = semg_cases(data, quick=False, only=None, train=tmp_path)
    assert cases[0].count == 4 * 3 * 3 * 2
    assert cases[0].settings["train"] == f"6 of {tmp_path.name}"
    write_ecg(tmp_path / "nsrdb_other.npz", 1)
    with pytest.raises(HushError, match="contains no ECG"):
        semg_cases(tmp_path, quick=False, only=None, train=data / "signals" / "arms")
    write_ecg(tmp_path / "signals/nsrdb_other.npz", 1, first=5)
    own = semg_cases(data, quick=False, only=None, train=tmp_path)[0].training
    assert own is not None
    assert list(own.files) == ["bank.npz"]


def test_what_is_tested_is_not_trained_on(data: Path, tmp_path: Path) -> None:
    with pytest.raises(HushError, match=r"s10\.npz would be both trained on and tested on"):
        semg_cases(data, quick=True, only=None, train=data)
    write_emg(tmp_path / "signals/others/x1.npz", 77, ("a",))
    shutil.copy(next(data.rglob("nsrdb*.npz")), tmp_path / "signals")
    with pytest.raises(HushError, match="the ECG of h0 would be both"):
        semg_cases(data, quick=True, only=None, train=tmp_path)


def test_data_that_will_not_do_get_a_sentence(data: Path, tmp_path: Path) -> None:
    with pytest.raises(HushError, match="contains no EMG"):
        run("mid/semg", tmp_path)
    with pytest.raises(HushError, match="contains no EMG in a folder like 'legs'"):
        run("mid/semg", data, only="legs")
    write_emg(tmp_path / "arms/s1.npz", 0, ("test0",))
    with pytest.raises(HushError, match="contains no ECG"):
        run("mid/semg", tmp_path)
    write_ecg(tmp_path / "nsrdb.npz")
    notes: list[str] = []
    with pytest.raises(HushError, match=r"^arms is left out: one subject cannot be split"):
        semg_cases(tmp_path, quick=True, only=None, note=notes.append)
    assert notes == [
        "arms is left out: one subject cannot be split; give --train a folder with others"
    ]
    (tmp_path / "empty").mkdir()
    with pytest.raises(HushError, match="contains no EMG; give --train"):
        semg_cases(data, quick=True, only=None, train=tmp_path / "empty")
    with pytest.raises(HushError, match="is not a folder"):
        run("mid/semg", data / "missing")


# -- the run ---------------------------------------------------------------------------------

taught: list[tuple[str, list[np.ndarray], dict[str, Any]]] = []


@dataclass
class Toy(Denoiser):
    """Learns nothing, but keeps what it is taught; adds a hundredth."""

    rate: float | None = None
    bank: str = ""
    ladder: str = ""

    name: ClassVar[str] = "mid"
    summary: ClassVar[str] = ""
    citation: ClassVar[str] = ""
    kinds: ClassVar[tuple[str, ...]] = ("signal",)
    learns_from: ClassVar[Any] = "noisy"
    count_: int = field(default=0, init=False, repr=False)

    def fit(self, data: Any, **options: Any) -> Toy:
        taught.append((self.name, list(data), {**options, "bank": self.bank}))
        self.count_ = len(data)
        return self

    def restore(self, x: np.ndarray, *rest: Any, **more: Any) -> Restoration:
        assert self.count_
        return Restoration(x + np.float32(0.01))

    def weights(self) -> dict[str, torch.Tensor]:
        return {"count": torch.tensor(self.count_)}

    def load_weights(self, tensors: Any) -> None:
        self.count_ = int(tensors["count"])


@dataclass
class Pairs(Toy):
    name: ClassVar[str] = "fcn"
    learns_from: ClassVar[Any] = "pairs"


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    taught.clear()
    monkeypatch.setitem(sys.modules, "semg_toys", sys.modules[__name__])
    monkeypatch.setitem(METHODS._own, "fcn", "semg_toys:Pairs")  # type: ignore[index]
    monkeypatch.setitem(METHODS._own, "mid", "semg_toys:Toy")  # type: ignore[index]
    monkeypatch.setitem(VARIANTS._own, "mid/signal", "semg_toys:Toy")  # type: ignore[index]


@pytest.mark.usefixtures("toys", "synthetic")
def test_rows_are_taught_what_their_recipes_say(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    options: dict[str, Any] = {"quick": True, "json_path": path, "budget": 2.0}
    rows = ["fcn", "mid", "mid:clean"]
    results = run("mid/semg", data, methods=rows, **options)
    # One training for all SNRs.
    assert [name for name, _, _ in taught] == ["fcn", "mid", "mid"]
    (_, pairs, of_pairs), (_, noisy, of_noisy), (_, clean, of_clean) = taught
    training = semg_cases(data, quick=True, only=None)[0].training
    assert training is not None
    samples = list(training.samples(0))
    assert pairs[0].shape == (2, SIZE)
    for pair, y, x, sample in zip(pairs, noisy, clean, samples, strict=True):
        np.testing.assert_array_equal(pair, [y, x])
        np.testing.assert_array_equal(y, sample.noisy[0])
        np.testing.assert_array_equal(x, sample.reference[0])
    assert "corpus" not in of_noisy
    assert of_clean["corpus"] is True
    assert of_pairs["bank"] == ""
    assert of_noisy["bank"] == of_clean["bank"]
    assert np.load(of_noisy["bank"])["ecg"].shape[0] == 16
    assert Path(of_noisy["bank"]).is_relative_to(tmp_path)
    assert of_noisy["schedule"].budget == of_clean["schedule"].budget == 2.0
    marked = {c.method: c.reference for c in results.cells}
    assert marked == {"fcn": True, "mid": False, "mid:clean": True}
    # The same command again finds everything done.
    run("mid/semg", data, methods=rows, **options)
    assert len(taught) == 3


def test_filters_are_scored_and_their_choices_stated(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("pywt")
    path = tmp_path / "r.json"
    rows = ["none", "highpass", "template", "wavelet"]
    results = run("mid/semg", data, methods=rows, quick=True, json_path=path)
    cells = {(c.case.split("snr=")[1].split(";")[0], c.method, c.metric): c for c in results.cells}
    for snr in map(str, LEVELS):
        assert cells[snr, "none", "snrimp"].value == pytest.approx(0, abs=1e-4)
        assert cells[snr, "none", "snr"].value == pytest.approx(float(snr), abs=1e-4)
        assert cells[snr, "none", "prd"].value == pytest.approx(100 * 10 ** (-float(snr) / 20))
        for row in rows[1:]:
            assert cells[snr, row, "snrimp"].value > 5
        assert (snr, "none", "change") not in cells
    assert cells["-12", "none", "mf"].value > cells["-12", "highpass", "mf"].value > 0
    assert cells[CLEAN, "template", "change"].value is None  # nothing was changed: −∞ dB
    assert cells[CLEAN, "highpass", "change"].value < -3
    chosen = [note for note in results.notes if "was best" in note]
    assert [note.split("=")[0] for note in chosen] == ["highpass: cutoff", "wavelet: threshold"]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == len(results.cells) == len(rows) * (4 * 6 + 3)
    # Half the interval of one subject is unknown; a table shows what a case has.
    (rows_of, *_) = groups(STUDIES["mid/semg"], results.ledger, results.cases).values()
    assert all(np.isnan(row.error("snrimp")) for row in rows_of)
    console = Console(width=200, record=True)
    for table in results.tables():
        console.print(table)
    text = console.export_text()
    assert text.count("CHANGE") == 1
    assert "95 % confidence interval over subjects" in text


def test_the_chosen_cutoff_is_the_best_in_training(data: Path, tmp_path: Path) -> None:
    from hush.methods import make

    cases = semg_cases(data, quick=True, only=None)
    training = cases[0].trained(tmp_path).training
    assert training is not None
    recipe = RECIPES["highpass"]
    model = training.model(recipe, 0)
    samples = list(training.samples(0))

    def score(cutoff: float) -> float:
        method = make("highpass", "signal", cutoff=cutoff, rate=1000.0)
        made = [emg.snr(method.restored(s.noisy), s.reference) for s in samples]
        return float(np.mean(made))

    best = max(range(20, 101, 10), key=score)
    assert model.config()["cutoff"] == best
    assert training.choice(recipe, 0) == f"cutoff={best}"


def test_intervals_are_over_subjects() -> None:
    """Segments of one subject are not independent: two subjects with 1 ± 0 and 3 ± 0."""
    from hush.studies.table import Row

    values = {f"{s}/a/{i}": v for s, v in (("p1", 1.0), ("p2", 3.0)) for i in range(50)}
    row = Row("x", group=subject_of, samples={"m": [values]})
    assert row.error("m") == pytest.approx(12.706, rel=1e-3)  # t(1) · √2 / √2
    assert Row("x", samples={"m": [values]}).error("m") == pytest.approx(0.1, rel=0.01)


def test_the_figure_is_drawn_from_the_ledger(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    study = replace(STUDIES["mid/semg"], methods=("none", "highpass", "template"))
    monkeypatch.setitem(STUDIES.maps[0], "mid/semg", study)  # type: ignore[attr-defined]
    run("mid/semg", data, quick=True, json_path=tmp_path / "r.json")
    assert (tmp_path / "r.snr.png").read_bytes().startswith(b"\x89PNG")


def test_unknown_settings_of_a_recipe_get_a_sentence(data: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    training = semg_cases(data, quick=True, only=None)[0].trained(tmp_path).training
    assert training is not None
    recipe = replace(RECIPES["template"], fields={"sharpness": 3})
    with pytest.raises(HushError, match="template for signals has no setting 'sharpness'"):
        training.model(recipe, 0)
