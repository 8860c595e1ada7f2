"""How the removal of interference is judged, and what the pages about recordings show."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from hush import api
from hush.denoiser import Advance, Denoiser
from hush.kinds.signal import SIGNAL
from hush.kinds.signal.residual import coherence, loss, slow_mean, spectrum
from hush.kinds.signal.strips import Envelope, bounds, outline, trace, x_ticks
from hush.kinds.signal.tracks import overview, span, tracks
from hush.noise.process import Process
from hush.noise.processes import ECG
from hush.record import Batch, Record
from hush.recording import Channel
from hush.report import frame
from hush.results import Denoised, Estimate, Judgement, Restoration

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


@dataclass
class Known(Denoiser):
    """Removes what it is told, item after item: a method whose errors are known."""

    removed: Sequence[np.ndarray] = field(default_factory=tuple)

    name: ClassVar[str] = "known"
    summary: ClassVar[str] = "subtracts what it was told"
    kinds: ClassVar[tuple[str, ...]] = ("signal",)

    def restore(
        self,
        x: np.ndarray,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        raise NotImplementedError

    def restore_item(
        self,
        batch: Batch,
        index: int,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        x = np.nan_to_num(batch.floats(index))
        return Restoration((x - self.removed[index]).astype(np.float32), noise)


def high_passed(x: np.ndarray, frequency: float) -> np.ndarray:
    from scipy.signal import butter, sosfiltfilt

    out: np.ndarray = sosfiltfilt(butter(4, frequency, "highpass", fs=RATE, output="sos"), x)
    return out


BEATS, MUSCLE = 5 * ecg(30), emg(30)
PLACES = beat_places(30)


def judged(y: np.ndarray, x: np.ndarray, rate: float | None = RATE, **options: Any) -> Judgement:
    strength = options.pop("strength", 1.0)
    items = (a.astype(np.float32)[None] for a in (y, x))
    return SIGNAL.judge(*items, ECG(), strength=strength, scale=1.0, about={"rate": rate})


# Judging


@pytest.mark.parametrize("sign", [1, -1])
def test_an_ecg_that_was_removed_raises_no_warning(sign: int) -> None:
    found = judged(MUSCLE + sign * BEATS, MUSCLE)
    assert found.warnings == ()
    assert re.search(r"repeats with the heartbeat \(7[123] a minute\)", found.verdict)
    assert found.stats["ratio"] is None
    assert found.stats["high"] == pytest.approx(0, abs=1e-3)
    assert found.stats["confined"] > 0.95
    assert found.stats["beat"] == pytest.approx(high_passed(BEATS, 10).max(), rel=0.15)
    assert found.stats["gone"]
    assert found.stats["left"] < 0.12


@pytest.mark.parametrize(
    ("y", "x", "said"),
    [
        (MUSCLE + BEATS, 0.8 * MUSCLE, "36 % of the power above 100 Hz between beats was removed"),
        (MUSCLE + BEATS, 1.2 * MUSCLE, "44 % of the power above 100 Hz between beats was added"),
        (MUSCLE + BEATS, MUSCLE + 0.6 * BEATS, r"Beats are left, (59|60|61) % as high as before"),
        (MUSCLE, MUSCLE - 0.3 * BEATS, "the method may have invented them"),
        (MUSCLE + BEATS, 0.01 * MUSCLE, "between beats was removed"),
        (MUSCLE, 0.5 * MUSCLE, "does not repeat like heartbeats"),
        (MUSCLE + BEATS, MUSCLE + BEATS, "Nothing was removed, although there are beats"),
    ],
    ids=["emg", "gain", "left", "invented", "all", "no beats", "nothing"],
)
def test_each_failure_has_its_sentence(y: np.ndarray, x: np.ndarray, said: str) -> None:
    warnings = judged(y, x).warnings
    assert any(re.search(said, w) for w in warnings)
    assert sum("--strength 0.7" in w for w in warnings) <= 3


def test_beats_that_were_to_stay_may_stay() -> None:
    half = MUSCLE + 0.5 * BEATS
    assert not judged(MUSCLE + BEATS, half, strength=0.5).warnings
    assert judged(MUSCLE + BEATS, half).warnings


def test_nothing_removed_from_nothing_is_right() -> None:
    assert judged(MUSCLE, MUSCLE).warnings == ()
    assert judged(MUSCLE, MUSCLE).verdict == "No ECG was found, and nothing was removed."
    little = judged(MUSCLE, 0.99 * MUSCLE)
    assert little.verdict.startswith("Next to no ECG was found")
    empty = judged(np.full(5000, np.nan), np.full(5000, np.nan))
    assert empty.warnings == ()


def test_gaps_are_no_loss() -> None:
    y, x = MUSCLE + BEATS, MUSCLE.copy()
    y[5000:5400] = x[5000:5400] = np.nan
    assert judged(y, x).warnings == ()


def test_without_a_rate_nothing_can_be_said() -> None:
    assert "--rate" in judged(MUSCLE + BEATS, MUSCLE, None).warnings[0]


def test_figures_of_a_known_loss() -> None:
    r = BEATS + 0.1 * MUSCLE
    found = loss(MUSCLE + BEATS, MUSCLE + BEATS - r, RATE, PLACES)
    assert found.high == pytest.approx(1 - 0.9**2, abs=1e-3)
    assert found.removed_power == pytest.approx(found.before_power, rel=0.05)
    alone = loss(MUSCLE + BEATS, MUSCLE, RATE, PLACES)
    assert alone.small < 0.01
    assert alone.gone
    assert alone.chance < 0.1
    kept = loss(MUSCLE + BEATS, MUSCLE + 0.4 * BEATS, RATE, PLACES)
    assert kept.left == pytest.approx(0.4, rel=0.05)
    assert not kept.gone
    assert found.small > 2 * alone.small
    assert loss(BEATS, 0 * BEATS, 200.0, PLACES).high is None


def test_coherence_tells_whether_the_signal_went_along() -> None:
    y = np.tile(MUSCLE, 3) + np.tile(BEATS, 3)
    places = np.concatenate([PLACES + 30000 * k for k in range(3)])
    found = coherence(y, np.tile(BEATS, 3), RATE, places)
    along = coherence(y, np.tile(BEATS + 0.3 * MUSCLE, 3), RATE, places)
    assert found is not None
    assert along is not None
    assert slow_mean(*found[:2]) < found[2] < 0.3
    assert slow_mean(*along[:2]) > 0.6
    assert coherence(y[:3000], y[:3000], RATE, PLACES[:3]) is None
    assert coherence(y, y, 150.0, places) is None


def test_a_spectrum_sums_to_the_power() -> None:
    x = np.random.default_rng(0).normal(0, 3, 60000)
    frequency, density = spectrum(x, 500.0)
    assert frequency[-1] == 250
    assert np.mean(density[1:-1]) * 250 == pytest.approx(9, rel=0.02)


# Drawing


@pytest.mark.parametrize("columns", [7, 100, 5000])
def test_an_envelope_holds_every_extreme(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hush.kinds.signal.strips.PIECE", 97)  # pieces that fit no column
    x = np.random.default_rng(0).normal(size=2003)
    x[300:420] = np.nan
    batch = Batch([x[None, :800], x[None, 800:]])
    found = Envelope.of(batch, ((0, 0), (1, 800)), columns)
    width = found.width
    assert len(found.low) == -(-2003 // width) <= columns
    parts = [x[i : i + width] for i in range(0, 2003, width)]
    for part, low, high, power in zip(parts, found.low, found.high, found.power, strict=True):
        known = part[np.isfinite(part)]
        if not len(known):
            assert np.isnan(low)
            continue
        assert (low, high) == (known.min(), known.max())
        assert power == pytest.approx(known.var(), abs=1e-9)


def test_a_trace_keeps_its_extremes_and_its_gaps() -> None:
    x = np.random.default_rng(0).normal(size=9000)
    x[4000] = 50
    x[6000:6200] = np.nan
    limits = bounds(x)
    svg = trace(x, "one", limits, most=500)
    assert svg.count("<polyline") == 2
    points = [p.split(",") for p in re.sub("<[^>]*points=.|./>", " ", svg).split()]
    heights = np.array([float(p[1]) for p in points])
    assert len(points) <= 1000
    low, high = limits
    assert heights.min() == pytest.approx(100 * (high - 50) / (high - low), abs=0.1)
    assert heights.max() == pytest.approx(100 * (high - np.nanmin(x)) / (high - low), abs=0.1)
    across = np.array([float(p[0]) for p in points])
    assert (np.diff(across) >= 0).all()


def test_an_outline_is_drawn_around_gaps() -> None:
    x = np.ones((1, 100))
    x[0, 40:60] = np.nan
    found = Envelope.of(Batch([x]), ((0, 0),), 100)
    assert outline(found, "one", (0.0, 2.0)).count("<polygon") == 2
    assert outline(Envelope.of(Batch([x * np.nan]), ((0, 0),), 10), "one", (0.0, 1.0)) == ""
    assert x_ticks(0.0, 0.0, str) == []


@pytest.mark.parametrize(
    ("samples", "rate", "text"),
    [
        (2500, 1000.0, "2.5 s"),
        (200_000, 1000.0, "3 min 20 s"),
        (7_500_000, 1000.0, "2 h 5 min"),
        (7_200_000, 1000.0, "2 h"),
        (1500, None, "1,500 samples"),
    ],
)
def test_lengths_in_words(samples: int, rate: float | None, text: str) -> None:
    assert span(samples, rate) == text


def test_channels_alike_are_listed_together() -> None:
    x = np.zeros(1000)
    record = recording([x, x, x[:500]], units=["uV", "uV", ""], rates=[1000.0, 1000.0, None])
    assert overview(tracks(SIGNAL, record)) == (
        "3 channels: EMG1 and EMG2 1000 Hz, uV, 1 s; EMG3 rate unknown, unit unknown, 500 samples"
    )
    broken = recording([x], breaks=[(300, 500)])
    (track,) = tracks(SIGNAL, broken)
    assert track.parts == ((0, 0), (1, 300), (2, 500))
    assert track.breaks == (300, 500)
    assert overview([track]) == "1 channel, 1000 Hz, uV, 1 s, 2 gaps"


# The page


def situation() -> tuple[Record, Sequence[np.ndarray]]:
    """A recording of unlike channels, and what is to be removed from each of its items."""
    removed = [BEATS[:10000], BEATS[10000:], 0.3 * BEATS, 0.0, 0.0, 0.0]
    channels = [
        100 * (MUSCLE + BEATS),
        0.2 * (emg(30, seed=1) + 0.3 * BEATS),
        np.full(30000, 3.0),
        np.full(30000, np.nan),
        np.sin(np.arange(1500) / 20),
    ]
    factors = [100, 100, 0.2, 1, 1, 1]
    record = recording(
        channels,
        ["EMG1", "Diaphragm", "Ref", "Aux", "Resp"],
        ["uV", "mV", "uV", "uV", ""],
        [RATE, RATE, RATE, RATE, 50.0],
        [(10000,), (), (), (), ()],
    )
    return record, [np.float32(f * r) for f, r in zip(factors, removed, strict=True)]


@pytest.fixture(scope="module")
def cleaned() -> Denoised:
    record, removed = situation()
    return api.run(record, noise=ECG(), model=Known(removed=removed))


def page_of(results: Any) -> str:
    return frame.render([api.entry(results)])


def test_a_page_says_what_was_lost(cleaned: Denoised) -> None:
    entry: Any = api.entry(cleaned)
    assert entry.badge == "like an ECG"
    cards = {card.label: card for card in entry.cards}
    assert cards["Interference"].value == "ECG"
    assert cards["Interference"].code == "--noise ecg"
    assert cards["Removed"].value.endswith("uV")
    assert cards["Above 100 Hz"].value == "100.0 % kept"
    before, after = re.findall(r"[\d.]+", cards["Mean beat"].value)
    assert " → under " in cards["Mean beat"].value
    assert float(before) == pytest.approx(100 * high_passed(BEATS, 10).max(), rel=0.15)
    assert float(after) < 0.2 * float(before)  # of twelve beats
    assert [c.heading for c in entry.charts] == ["By frequency", "At every beat"]
    assert [s.label for s in entry.detail] == ["Before", "After", "Removed"]
    assert [s.label for s in entry.whole] == [
        "EMG1, uV",
        "Diaphragm, mV",
        "Ref, uV",
        "Aux, uV",
        "Resp",
    ]
    assert len(entry.whole[0].gaps) == 1
    assert entry.table is not None
    assert [row[0] for row in entry.table.rows] == ["EMG1", "Diaphragm", "Ref", "Aux", "Resp"]
    assert entry.table.rows[1][1].endswith(" mV")
    assert any(w.startswith("channel Aux: All values are missing") for w in entry.warnings)


def test_a_long_enough_recording_shows_what_went_along() -> None:
    y = np.tile(MUSCLE + BEATS, 2)
    result = api.run(recording([y]), noise=ECG(), model=Known(removed=[np.tile(BEATS, 2)]))
    entry: Any = api.entry(result)
    assert entry.charts[-1].heading == "Did the signal go along?"
    assert "the signal did not go along" in entry.charts[-1].caption


def test_pages_keep_no_arrays_and_stay_small(cleaned: Denoised) -> None:
    assert len(page_of(cleaned)) < 400_000
    entry = frame.picture_budget(100)
    assert len(frame.render([SIGNAL.section(cleaned, entry)])) < 300_000


def test_a_page_of_white_noise_judges_that() -> None:
    noise = np.random.default_rng(0).normal(0, 0.3, 30000).astype(np.float32)
    x = np.sin(np.arange(30000) / 30) + noise
    result = api.run(
        Record(x, "T", "signal", context={"rate": 500.0}), model=Known(removed=[noise])
    )
    entry: Any = api.entry(result)
    assert not [w for w in entry.warnings if "two halves" not in w]  # of which this knows nothing
    assert entry.badge == "like noise"
    assert [c.heading for c in entry.charts] == ["By frequency", "Does it look like noise?"]
    assert "brightness" not in page_of(result)


@pytest.mark.parametrize("rate", [RATE, None])
@pytest.mark.parametrize("n", [1, 3, 20, 5000])
def test_any_length_has_a_page(n: int, rate: float | None) -> None:
    x = np.random.default_rng(0).normal(size=(2, n))
    record = Record(x, "CT", "signal", context={"rate": rate})
    for process in (None, ECG()):
        result = api.run(record, noise=process, model=Known(removed=[0.1 * x[:1], 0.1 * x[1:]]))
        assert "Denoising report" in page_of(result)
    assert "Noise report" in page_of(api.inspected(record))


def test_of_many_channels_the_first_are_drawn() -> None:
    x = np.random.default_rng(0).normal(size=(40, 3000)).astype(np.float32)
    x[33] *= 4
    record = Record(x, "CT", "signal", context={"rate": RATE})
    removed = [np.float32(0.1 * (i == 33)) * x[i : i + 1] for i in range(40)]
    entry: Any = api.entry(api.run(record, model=Known(removed=removed)))
    assert len(entry.whole) == 12
    assert entry.whole[0].label == "channel 34"  # the one that is shown in detail
    assert "28 more channels are not drawn" in entry.notes


def test_an_inspection_shows_the_beats_and_every_channel() -> None:
    record, _ = situation()
    entry: Any = api.entry(api.inspected(record))
    assert entry.heading == "Noise report"
    assert [c.label for c in entry.cards][:2] == ["Noise", "ECG"]
    assert entry.table.rows[0][2] == "uV"
    assert entry.table.rows[4][2] == "unknown"
    assert any("An ECG was found" in w for w in entry.warnings)
    json.dumps(api.rows.inspection(api.inspected(record)), allow_nan=False)


def test_summary_levels_have_units(cleaned: Denoised) -> None:
    from types import SimpleNamespace

    from hush.cli.summary import summary

    options: Any = SimpleNamespace(
        adapt=0, strength=1, many=False, noise="ecg", verbose=False, check=False
    )
    row = {"process": "ecg", "removed_rms": 1.0, "uncertainty": None, "seconds": 1.0, "timings": {}}
    lines = dict(summary(options, row, cleaned))  # type: ignore[arg-type]
    assert lines["removed"].endswith((" uV", " mV"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no browser: 'chromium' is not on the PATH")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.browser
@pytest.mark.parametrize("width", [1200, 390])
@pytest.mark.parametrize("inspects", [False, True])
def test_the_page_fits_the_window(
    browser: Any, cleaned: Denoised, tmp_path: Path, width: int, inspects: bool
) -> None:
    results = api.inspected(situation()[0]) if inspects else cleaned
    api.write_report(results, tmp_path / "page.html")
    page = browser.new_page(viewport={"width": width, "height": 900})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((tmp_path / "page.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    strips = page.locator(".strip")
    assert strips.count() == 5 + (1 if inspects else 3)
    box = strips.first.bounding_box()
    assert box["width"] > 0.6 * width
    sizes = page.locator(".strip i.y, .strip i.x").evaluate_all(
        "es => es.map(e => [getComputedStyle(e).fontSize, e.getBoundingClientRect().left])"
    )
    assert {size for size, _ in sizes} == {"12px"}
    assert min(left for _, left in sizes) >= 0
    assert errors == []
    page.close()
