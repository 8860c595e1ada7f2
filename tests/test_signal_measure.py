"""What is measured in signals, and what is said about them before denoising."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hush
from hush import api
from hush.kinds.signal import SIGNAL
from hush.kinds.signal.advice import clipped_share, findings, flat_samples, implausible, power_lines
from hush.kinds.signal.heart import heart_in, locked_power
from hush.kinds.signal.measure import DOUBTFUL, ITSELF, floor, measured
from hush.metrics import mean_score, prd, rmse, snr
from hush.noise.processes import Gaussian
from hush.record import Record
from hush.recording import Channel
from hush.results import Estimate, Judgement
from hush.titles import by_title, listed

RATE = 1000.0


def beat_places(
    seconds: float, rate: float = RATE, pace: float = 72.0, seed: int = 0
) -> np.ndarray:
    """Places of beats in samples, their intervals even within a few percent."""
    rng = np.random.default_rng(seed)
    steps = 60 / pace * (1 + 0.03 * rng.standard_normal(int(seconds * pace / 60) + 2))
    places = (np.cumsum(steps) * rate).astype(int)
    return places[places < seconds * rate - 1]


def ecg(seconds: float, rate: float = RATE, pace: float = 72.0, seed: int = 0) -> np.ndarray:
    """Beats of height about 1: a Q, an R and an S wave, and a slow T wave."""
    time = np.arange(int(seconds * rate)) / rate
    x = np.zeros(len(time))
    for place in beat_places(seconds, rate, pace, seed) / rate:
        near = slice(*np.searchsorted(time, (place - 0.2, place + 0.6)))
        t = time[near] - place
        for at, width, height in ((-0.025, 0.01, -0.15), (0, 0.01, 1), (0.025, 0.01, -0.25)):
            x[near] += height * np.exp(-0.5 * ((t - at) / width) ** 2)
        x[near] += 0.2 * np.exp(-0.5 * ((t - 0.25) / 0.04) ** 2)
    return x


def emg(seconds: float, rate: float = RATE, seed: int = 0, rest: float = 0.02) -> np.ndarray:
    """Noise of 40 to 350 Hz, of rms 1 for two seconds in four, and of rms `rest` between."""
    from scipy.signal import butter, sosfiltfilt

    rng = np.random.default_rng(seed)
    n = int(seconds * rate)
    band = butter(2, (40, min(350, 0.45 * rate)), "bandpass", fs=rate, output="sos")
    x = sosfiltfilt(band, rng.standard_normal(n))
    active = (np.arange(n) / rate) % 4 >= 2
    return np.where(active, 1.0, rest) * x / x.std()


def recording(
    channels: Sequence[np.ndarray],
    names: Sequence[str] = (),
    units: Sequence[str] = (),
    rates: Sequence[float | None] = (),
    breaks: Sequence[tuple[int, ...]] = (),
) -> Record:
    """A record of channels of any length."""
    layout, start = [], 0
    for i, x in enumerate(channels):
        layout.append(
            Channel(
                names[i] if names else f"EMG{i + 1}",
                units[i] if units else "uV",
                rates[i] if rates else RATE,
                start,
                len(x),
                breaks[i] if breaks else (),
            )
        )
        start += len(x)
    data = np.concatenate(channels).astype(np.float64)
    return Record(data, "T", "signal", context={"layout": tuple(layout)})


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def white(n: int, sigma: float = 1.0, seed: int = 0) -> np.ndarray:
    return rng(seed).normal(0, sigma, n).astype(np.float32)


# The noise


@pytest.mark.parametrize(("n", "within"), [(64, 0.3), (300, 0.12), (1000, 0.08), (20000, 0.03)])
def test_white_noise_has_its_own_level(n: int, within: float) -> None:
    found = [floor(white(n, 2.0, seed)) for seed in range(20)]
    assert np.mean([f.sigma for f in found]) == pytest.approx(2.0, rel=within / 2)
    assert np.sqrt(np.mean([(f.sigma / 2 - 1) ** 2 for f in found])) < 1.5 * within
    errors = np.mean([f.error for f in found])
    assert errors == pytest.approx(np.std([f.sigma / 2 for f in found]), rel=1.5)


@pytest.mark.parametrize("frequency", [0.5, 5, 50, 200])
def test_a_sine_is_no_noise(frequency: float) -> None:
    t = np.arange(30000) / RATE
    x = 10 * np.sin(2 * np.pi * frequency * t).astype(np.float32) + white(30000, 0.05)
    assert floor(x).sigma == pytest.approx(0.05, rel=0.06)


def test_noise_is_measured_where_muscles_rest() -> None:
    """By second differences, all of an EMG is noise."""
    x = (emg(60, rest=0.0) + white(60000, 0.1)).astype(np.float32)
    found = measured([x[None]])
    assert found.sigma == pytest.approx(0.1, rel=0.06)
    assert found.alternatives == ()
    assert found.amplitude == pytest.approx(np.std(x), rel=1e-3)
    assert found.prominence == pytest.approx(found.sigma / np.std(x), rel=1e-3)
    assert super(type(SIGNAL), SIGNAL).measure([x[None]]).sigma > 0.2


def test_a_steady_signal_that_fills_the_band_is_doubted() -> None:
    from scipy.signal import lfilter

    x = lfilter([1], [1, -0.8], rng().standard_normal(60000)).astype(np.float32)[None]
    found = measured([x])
    assert found.uncertainty > DOUBTFUL
    assert found.alternatives == (ITSELF,)
    assert "it could also be signal" in hush.report.describe.noise(found, 1.0)


def test_gaps_flat_stretches_and_the_power_line_do_not_matter() -> None:
    x = white(40000, 3.0)
    alone = floor(x).sigma
    x[5000:9000] = np.nan
    x[::4001] = np.nan
    x[20000:30000] = 7.0
    assert floor(x).sigma == pytest.approx(alone, rel=0.05)
    hum = 100 * np.sin(2 * np.pi * 0.05 * np.arange(40000)).astype(np.float32)
    hum[20000:30000] = 0
    assert floor(x + hum).sigma == pytest.approx(alone, rel=0.05)


def test_levels_have_the_units_of_the_data() -> None:
    x = (emg(20) + white(20000, 0.2)).astype(np.float32)
    one = floor(x)
    assert floor(250 * x + 2048).sigma == pytest.approx(250 * one.sigma, rel=1e-3)
    assert floor(x[::-1].copy()).sigma == pytest.approx(one.sigma, rel=0.08)


@pytest.mark.parametrize(
    "x", [np.full(5000, 3.0), np.full(5000, np.nan), np.zeros(3), np.zeros(1)], ids=str
)
def test_nothing_is_measured_where_nothing_is(x: np.ndarray) -> None:
    found = measured([x.astype(np.float32)[None]])
    assert (found.sigma, found.amplitude, found.alternatives) == (0.0, 0.0, ())


def test_several_items_have_their_common_level() -> None:
    found = measured([white(20000, 1.0)[None], white(30000, 2.0, 1)[None]])
    assert found.sigma == pytest.approx(np.sqrt((1 + 4) / 2), rel=0.04)


def test_noise_added_to_real_recordings_is_found(hush_data: Path) -> None:
    files = sorted((hush_data / "signals" / "emg_3dc").glob("p0[135].npz"))
    if not files:
        pytest.skip("no EMG recordings")
    for path in files:
        x = np.load(path)["test0"][:, 3].astype(np.float32)
        own = measured([x[None]])
        assert own.sigma < 0.15 * own.amplitude
        level = 0.3 * own.amplitude
        more = measured([(x + white(len(x), level)).astype(np.float32)[None]])
        assert more.sigma == pytest.approx(np.hypot(level, own.sigma), rel=0.1)


def test_the_noisiest_channel_is_not_that_of_the_smallest_unit() -> None:
    volts = Estimate(Gaussian(1e-6), 1e-6, amplitude=2e-6)
    counts = Estimate(Gaussian(5.0), 5.0, amplitude=500.0)
    assert volts.prominence > counts.prominence
    assert Estimate(Gaussian(0.1), 0.1).prominence == 0.1


# The scores


def test_scores_of_known_errors() -> None:
    b = np.tile([1.0, -1.0], 500)[None]
    a = b + 0.1
    assert snr(a, b) == pytest.approx(20)
    assert rmse(a, b) == pytest.approx(0.1)
    assert prd(a, b) == pytest.approx(10)
    assert snr(a + 5, b + 5) == pytest.approx(20)
    assert SIGNAL.scores(b, b)["snr"] == np.inf
    assert np.isnan(snr(a, np.ones_like(b)))
    assert np.isnan(prd(a, np.ones_like(b)))


def test_missing_values_have_no_score() -> None:
    b = np.tile([1.0, -1.0], 500)
    a = b + 0.1
    a[::7], b[3::7] = np.nan, np.nan
    assert rmse(a, b) == pytest.approx(0.1)
    assert np.isnan(snr(a, np.full_like(b, np.nan)))
    assert mean_score([np.nan, 2.0, 4.0]) == 3
    assert np.isnan(mean_score([np.nan]))


def test_compare_speaks_in_the_units_of_the_data() -> None:
    b = (1000 * np.tile([1.0, -1.0], (2, 500))).astype(np.int16)
    found = api.compare(b + np.int16(10), b, kind="signal")
    assert list(found) == ["snr", "rmse", "prd"]
    assert found["rmse"] == pytest.approx(10, rel=1e-4)
    floats = api.compare(b.astype(np.float64) + 10, b, kind="signal")
    assert floats == pytest.approx(found, rel=1e-3)


# An ECG


@pytest.mark.parametrize("sign", [1, -1])
def test_an_ecg_is_found_with_its_pace_and_strength(sign: int) -> None:
    beats, muscle = 5 * sign * ecg(60), emg(60)
    found = heart_in(beats + muscle, RATE)
    assert found is not None
    assert found.pace == pytest.approx(72, rel=0.03)
    assert not found.pure
    from hush.kinds.signal.heart import QRS, above

    power = np.mean(above(beats, RATE, QRS) ** 2)
    assert found.power == pytest.approx(power, rel=0.15)
    assert found.snr == pytest.approx(10 * np.log10(np.mean(muscle**2) / power), abs=1.5)


def test_an_ecg_without_muscles_is_called_one() -> None:
    found = heart_in(ecg(60) + 0.003 * white(60000), RATE)
    assert found is not None
    assert found.pure
    slow = heart_in(ecg(60, 128.0), 128.0)
    assert slow is not None
    assert slow.pure


def test_muscles_without_an_ecg_have_none() -> None:
    assert heart_in(emg(60), RATE) is None
    assert heart_in(np.full(60000, 2.0), RATE) is None
    assert heart_in(np.full(60000, np.nan), RATE) is None


def test_a_pulse_wave_is_no_ecg() -> None:
    from scipy.ndimage import gaussian_filter1d

    pulse = gaussian_filter1d(ecg(60), 60)
    assert heart_in(pulse + 0.001 * white(60000), RATE) is None
    square = np.sign(np.sin(2 * np.pi * 1.5 * np.arange(60000) / RATE))
    assert heart_in(gaussian_filter1d(square, 40), RATE) is None


def test_a_few_beats_are_not_enough() -> None:
    assert heart_in(ecg(3), RATE) is None
    assert heart_in(ecg(10), RATE) is not None


def test_a_long_recording_is_like_its_parts() -> None:
    x = 5 * ecg(200) + emg(200)
    short, whole = heart_in(x[:60000], RATE), heart_in(x, RATE)
    assert short is not None
    assert whole is not None
    assert whole.pace == pytest.approx(short.pace, rel=0.05)
    assert whole.snr == pytest.approx(short.snr, abs=1.5)
    muscles_late = 3 * ecg(200) + np.where(np.arange(200000) < 150000, 0.0, emg(200))
    found = heart_in(muscles_late, RATE)
    assert found is not None
    assert not found.pure


def test_power_alike_at_every_beat_has_no_share_of_noise() -> None:
    places = np.arange(500, 99500, 800)
    assert abs(locked_power(rng().standard_normal(100000), places, RATE)) < 0.01
    x = np.zeros(100000)
    x[places] = 1
    assert locked_power(x, places, RATE) == pytest.approx(len(places) / 100000)


# The power line, and what is broken


@pytest.mark.parametrize("mains", [50.0, 60.0])
@pytest.mark.parametrize("rate", [1000.0, 250.0, 2148.1])
def test_a_power_line_has_its_frequency_and_level(mains: float, rate: float) -> None:
    t = np.arange(int(30 * rate)) / rate
    x = 4 * np.sin(2 * np.pi * (mains + 0.05) * t) + white(len(t), 2.0)
    found = power_lines(x, rate)
    assert min(found) == mains
    assert found[mains] == pytest.approx(4 / np.sqrt(2), rel=0.1)
    assert set(found) == {mains}


def test_without_a_power_line_there_is_none() -> None:
    assert power_lines(white(30000), RATE) == {}
    assert power_lines(5 * ecg(60) + emg(60), RATE) == {}
    assert power_lines(white(300), RATE) == {}


def test_harmonics_belong_to_the_line() -> None:
    t = np.arange(30000) / RATE
    x = sum(a * np.sin(2 * np.pi * f * t) for a, f in ((3, 50), (1, 100), (2, 150)))
    found = power_lines(x + white(30000, 0.3), RATE)
    assert found == pytest.approx({50: 3 / 2**0.5, 100: 1 / 2**0.5, 150: 2 / 2**0.5}, rel=0.1)


def test_clipped_values_are_told_from_slow_peaks() -> None:
    x = 100 * emg(10)
    assert clipped_share(x) == 0
    cut = np.clip(x, -80, 80)
    assert clipped_share(cut) == pytest.approx(np.mean(np.abs(cut) == 80))
    assert clipped_share(np.clip(x, -1e9, 80)) > 0
    counts = np.rint(20 * np.sin(2 * np.pi * np.arange(20000) / 2000))
    assert clipped_share(counts) == 0
    with_gap = cut.copy()
    with_gap[100:200] = np.nan
    assert clipped_share(with_gap) == pytest.approx(clipped_share(cut), rel=0.1)


def test_flat_lines_are_counted() -> None:
    x = white(10000)
    assert flat_samples(x, 50) == 0
    x[2000:2500], x[7000:7040] = 1.0, 2.0
    assert flat_samples(x, 50) == 500
    x[5000:6000] = np.nan  # missing, which is another thing
    assert flat_samples(x, 50) == 500
    assert findings(white(10000).astype(float), 1000.0).flat == 0


@pytest.mark.parametrize(
    ("level", "unit", "said"),
    [
        (3.0, "V", "too large"),
        (200.0, "uV", ""),
        (200.0, "µV", ""),
        (0.5, "mV", ""),
        (5e-4, "V", ""),
        (5e-5, "uV", "too small"),
        (3e9, "", ""),
        (3e9, "mmHg", ""),
    ],
)
def test_implausible_amplitudes_are_said(level: float, unit: str, said: str) -> None:
    notes = implausible(level, unit)
    assert bool(notes) == bool(said)
    assert all(said in note for note in notes)


# What is said


def advice(x: np.ndarray, noise: str | None = None, **about: object) -> list[str]:
    item = x.astype(np.float32)[None]
    own = Record(item, "CT", "signal", context={"rate": RATE, **about})
    given = None if noise is None else hush.noise.processes.parse(noise)
    return SIGNAL.advice(own, item, given, SIGNAL.measure([item]))


def test_hum_is_not_judged_as_white_noise() -> None:
    """A tone is correlated by its nature, and its level is no level of white noise."""
    hum = np.sqrt(2) * 0.2 * np.sin(0.1 * np.pi * np.arange(9000))
    noisy, process = emg(9) + hum, hush.noise.processes.parse(f"powerline:0.2,50,{RATE}")
    assert advice(noisy, f"powerline:0.5,50,{RATE}") == []

    def judge(clean: np.ndarray) -> Judgement:
        pair = (noisy[None], clean[None])
        return SIGNAL.judge(*pair, process, strength=1, scale=1, about={"rate": RATE})

    right = judge(noisy - 0.5 * hum)
    assert right.warnings == ()
    assert right.verdict == "100 % of it lies at 50 Hz and its multiples."
    assert judge(noisy).verdict.startswith("No hum was found")
    wrong = judge(noisy - 0.5 * hum - white(9000, 0.5))
    assert "what was removed lies at 50 Hz and its multiples" in wrong.warnings[0]


TRIGGERS = {
    "pulses": (np.arange(9000) % 900 < 20).astype(float),
    "square wave": np.sign(np.sin(np.arange(9000) / 300)),
    "counter": np.arange(9000) % 700.0,
    "sawtooth": np.arange(9000) * 0.0037 % 1,
}


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("name", TRIGGERS)
def test_triggers_and_counters_hold_no_noise_and_no_ecg(name: str) -> None:
    """They come back to the last digit, beside a channel that is denoised."""
    x = TRIGGERS[name]
    assert not any("ECG" in note for note in advice(x))
    assert SIGNAL.measure([x.astype(np.float32)[None]]).sigma == 0
    assert SIGNAL.measure([(x + white(9000, 0.1)).astype(np.float32)[None]]).sigma > 0
    both = np.stack([emg(9) + white(9000, 0.1), x])
    made = hush.run(both, kind="signal", context={"rate": RATE}).record.data
    np.testing.assert_array_equal(made[1], x)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (5 * ecg(30) + emg(30), "An ECG was found in the signal; --noise ecg removes it"),
        (ecg(30), "This is an ECG, not another signal with an ECG in it"),
        (ecg(30) + white(30000, 0.05), "Besides noise, the signal is an ECG; if that is"),
        (np.clip(emg(30), -1, 1), "cut off at the ends of the range"),
        (np.full(9000, 2.0), "All values are the same"),
        (np.full(9000, np.nan), "All values are missing"),
        (np.where(np.arange(30000) // 5000 == 2, 0, emg(30)), "The line is flat in places"),
        (np.where(np.arange(30000) == 7, np.nan, emg(30)), "1 sample is missing"),
        (emg(30) + np.sin(0.1 * np.pi * np.arange(30000)), "power line was picked up (50 Hz)"),
    ],
    ids=["ecg", "pure", "noisy", "clipped", "constant", "empty", "flat", "gap", "line"],
)
def test_one_sentence_says_each(x: np.ndarray, said: str) -> None:
    assert any(said in note for note in advice(x))
    clean = advice(emg(30) + white(30000, 0.05))
    assert not any(said in note for note in clean)


@pytest.mark.parametrize("name", ["ECG I [mV]", "ecg_1", "MLII", "V5", "aVR", "lead II"])
def test_a_channel_that_is_called_an_ecg_is_one(name: str) -> None:
    x = ecg(20) + white(20000, 0.05)
    assert any("--noise ecg would remove it" in note for note in advice(x, name=name))
    assert not any("This is an ECG" in note for note in advice(x, name="biceps"))
    assert not any("This is an ECG" in note for note in advice(x, name="EMG with ECG"))
    assert advice(white(9000), name=name) == advice(white(9000))


def test_an_ecg_that_is_asked_to_be_removed_is_called_one() -> None:
    """Nobody wants the lead that was recorded beside the EMG to come back empty without a word."""
    assert any("To keep it, leave the channel out" in note for note in advice(ecg(30), "ecg"))
    assert not any("an ECG" in note for note in advice(5 * ecg(30) + emg(30), "ecg"))


def test_a_short_recording_is_not_said_to_lose_signal() -> None:
    """A beat or two do not repeat."""
    noisy, process = 5 * ecg(3) + emg(3), hush.noise.processes.parse("ecg")

    def said(samples: int) -> tuple[str, ...]:
        pair = (noisy[None, :samples], emg(3)[None, :samples])
        return SIGNAL.judge(*pair, process, strength=1, scale=1, about={"rate": RATE}).warnings

    assert said(1000)[0].startswith("1 s is too short to tell whether what was removed is an ECG")


def test_what_was_added_between_beats_is_said_in_figures_to_be_read() -> None:
    noisy, process = ecg(20), hush.noise.processes.parse("ecg")
    pair = (noisy[None], 0.1 * white(20000)[None])
    found = SIGNAL.judge(*pair, process, strength=1, scale=1, about={"rate": RATE})
    assert any("between beats became" in note for note in found.warnings)
    assert not any("% of the power above" in note for note in found.warnings)


def test_a_missing_rate_is_asked_for() -> None:
    assert any("--rate" in note for note in advice(emg(10), rate=None))
    assert not any("--rate" in note for note in advice(emg(10)))


def test_a_strange_unit_is_said() -> None:
    assert any("too large" in note for note in advice(emg(10), unit="V"))
    assert not any("check" in note for note in advice(100 * emg(10), unit="uV"))


def test_warnings_name_their_channels_once() -> None:
    said = [("A", ["x", "y"]), ("B", ["y"]), ("C", ["y", "z"]), ("B", ["y"])]
    assert by_title(said) == ["channel A: x", "y", "channel C: z"]
    assert by_title([("A", ["x"]), ("A", ["x"])]) == ["x"]
    assert listed(["A", "B", "C"]) == "channels A, B and C"
    assert listed(list("ABCDEFGHIJ")) == "channels A, B, C, D, E, F, G and 3 more"


def situation() -> Record:
    """Five channels: EMG with an ECG, with a gap; clean EMG; constant; empty; slow."""
    n = 30000
    channels = [
        100 * ecg(30) + 20 * emg(30),
        20 * emg(30, seed=1),
        np.full(n, 3.0),
        np.full(n, np.nan),
        200 * np.sin(2 * np.pi * 0.25 * np.arange(1500) / 50) + rng(1).normal(0, 2, 1500),
    ]
    return recording(
        channels,
        ["EMG1", "EMG2", "Ref", "Aux", "Resp"],
        ["uV", "uV", "uV", "mV", ""],
        [RATE, RATE, RATE, RATE, 50.0],
        [(10000,), (), (), (), ()],
    )


def test_a_survey_says_what_a_recording_holds() -> None:
    seen = api.inspected(situation())
    assert seen.survey is not None
    facts = dict(seen.survey.facts)
    assert facts["recording"].startswith("5 channels: EMG1 1000 Hz, uV, 30 s, 1 gap; EMG2 and Ref")
    assert "Resp 50 Hz, unit unknown, 30 s" in facts["recording"]
    assert facts["constant"] == "Ref"
    assert facts["empty"] == "Aux"
    assert "72 beats a minute; SNR" in facts["ECG"].replace("71", "72").replace("73", "72")
    assert "EMG2" not in facts["ECG"]
    assert "power line" not in facts
    assert any(w.startswith("channel EMG1: An ECG was found") for w in seen.warnings)
    assert any(w.startswith("channel Ref: All values are the same") for w in seen.warnings)
    assert [row["name"] for row in seen.survey.items] == ["EMG1", "EMG2", "Ref", "Aux", "Resp"]
    assert seen.survey.items[0]["gaps"] == 1
    assert seen.survey.items[4]["sigma"] == pytest.approx(2, rel=0.1)
    assert api.rows.inspection(seen)["items"] == list(seen.survey.items)


def test_images_have_no_survey(noisy: np.ndarray) -> None:
    assert api.inspected(noisy).survey is None
    assert api.inspect(noisy)["items"] is None


def test_every_channel_is_surveyed() -> None:
    """Of a stack of images only a few are measured."""
    x = np.stack([emg(3, seed=i) for i in range(12)])
    x[9] = 4.0
    seen = api.inspected(Record(x, "CT", "signal", context={"rate": RATE}))
    assert any("channel 10: All values are the same" in w for w in seen.warnings)


def test_results_name_the_channels_of_their_warnings() -> None:
    result = api.run(situation(), method="none", noise="gaussian:1")
    assert [item.title for item in result.items] == ["EMG1", "EMG1", "EMG2", "Ref", "Aux", "Resp"]
    assert result.items[0].unit == "uV"
    assert any(w.startswith("channel Aux: All values are missing") for w in result.warnings)
    assert sum("All values are the same" in w for w in result.warnings) == 1
    np.testing.assert_allclose(result.data, situation().data, rtol=1e-6)


def test_long_recordings_are_judged_by_the_same_parts() -> None:
    """A method that sees a signal as a whole, and a signal longer than what is judged of it."""
    x = np.tile(white(2**20), 2)[None]
    result = api.run(replace(Record(x, "CT", "signal"), context={"rate": RATE}), method="none")
    assert result.items[0].judgement.stats["rms"] == 0
    assert result.items[0].judgement.stats["n"] == 2**20
