"""The report: what it says of a residual with known properties, and the page it writes."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import convolve1d, gaussian_filter

from hush.api import entry, write_report
from hush.kinds import Kind, to_batch
from hush.kinds.image.inspection import inspected
from hush.kinds.image.page import section
from hush.kinds.image.pictures import busiest, choose_plane, display_window, shrink
from hush.kinds.image.residual import (
    LAGS,
    SIDE,
    WINDOWS,
    judged,
    residual_statistics,
    warnings,
)
from hush.noise.processes import (
    Gamma,
    Gaussian,
    Poisson,
    PoissonGaussian,
    Process,
    Rician,
    parse,
)
from hush.record import Record
from hush.report import describe, frame
from hush.report.pictures import HEAT, to_pixels
from hush.report.plots import number, ticks
from hush.results import Denoised, Estimate, Inspection, Item

SIGMA = 0.1


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def ramp(h: int = 192, w: int = 192) -> np.ndarray:
    """Smooth, away from both ends of the range at noise SIGMA."""
    return np.linspace(0.3, 0.7, h * w, dtype=np.float32).reshape(h, w)


def shapes(h: int = 192, w: int = 192) -> np.ndarray:
    """Edges everywhere: bright squares on a dark ground, far from the ends of the range."""
    y, x = np.mgrid[:h, :w]
    return np.where((y // 12 + x // 12) % 2, 0.7, 0.3).astype(np.float32)


def white(shape: tuple[int, ...], seed: int = 0, sigma: float = SIGMA) -> np.ndarray:
    return rng(seed).normal(0, sigma, shape).astype(np.float32)


# What was removed


@pytest.mark.parametrize(
    "process", [Gaussian(SIGMA), Poisson(60.0), PoissonGaussian(0.01, 0.03, 0.1)], ids=str
)
def test_true_noise_raises_no_warning(process: Process) -> None:
    x = ramp()
    noise = rng().normal(0, np.sqrt(process.variance(x))).astype(np.float32)
    found = residual_statistics(x + noise, x, process)
    assert found["white"]
    assert found["ratio"] == pytest.approx(1, abs=0.02)
    assert found["expected_rms"] == pytest.approx(math.sqrt(process.variance(x).mean()), rel=1e-4)
    assert found["tilt"] == pytest.approx(1, abs=0.06)
    assert abs(found["structure"]) < 0.2
    assert warnings(found, process) == []
    for level in found["levels"]:
        assert level["measured"] == pytest.approx(level["expected"], rel=0.12)
        model = math.sqrt(process.variance(level["signal"]))
        assert level["expected"] == pytest.approx(model, rel=0.02)


def test_white_noise_stays_in_its_band_19_times_in_20() -> None:
    inside = total = 0
    for seed in range(12):
        x = ramp(96, 96)
        found = residual_statistics(x + white(x.shape, seed), x, Gaussian(SIGMA))
        lags = [a for v in found["autocorrelation"].values() for a in v]
        inside += sum(abs(a) <= found["band"] for a in lags)
        total += len(lags)
    assert inside / total == pytest.approx(0.95, abs=0.04)


def test_autocorrelation_of_a_known_filter() -> None:
    # A sum of k neighbours has correlation 1 - lag/k across, and none down.
    noise = convolve1d(white((256, 256)), np.ones(4) / 2, axis=1)
    found = residual_statistics(ramp(256, 256) + noise, ramp(256, 256), Gaussian(SIGMA))
    lags = found["autocorrelation"]
    assert lags["x"] == pytest.approx([0.75, 0.5, 0.25, 0, 0, 0, 0, 0], abs=0.04)
    assert lags["y"] == pytest.approx([0] * LAGS, abs=0.04)
    assert not found["white"]


def test_the_best_denoiser_removes_less_than_the_noise() -> None:
    # x ~ N(0.5, t²), the posterior mean: residual variance is σ² minus the remaining error.
    t = 0.05
    x = 0.5 + white((256, 256), 1, t)
    y = x + white((256, 256))
    best = 0.5 + t**2 / (t**2 + SIGMA**2) * (y - 0.5)
    found = residual_statistics(y, best, Gaussian(SIGMA))
    error = float(np.mean((best - x) ** 2))
    assert found["rms"] ** 2 == pytest.approx(SIGMA**2 - error, rel=0.02)
    assert warnings(found, Gaussian(SIGMA)) == []


def test_correlated_noise_is_named() -> None:
    noise = gaussian_filter(white((192, 192)), 0.8)
    noise *= SIGMA / noise.std()
    found = residual_statistics(ramp() + noise, ramp(), Gaussian(SIGMA))
    (sentence,) = warnings(found, Gaussian(SIGMA))
    assert sentence.startswith("The residual contains structure: neighbours are alike")
    lag = found["autocorrelation"]["y"][0]
    assert 0.5 < lag < 0.8
    assert f"lag-1 {max(found['autocorrelation'][a][0] for a in 'yx'):.2f}" in sentence


def wiener(noise: np.ndarray, assumed: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Noisy and filtered values of a smooth Gaussian signal, and the residual's lag-1 correlation
    down as the spectra say.

    noise, assumed : power spectra, the true one and the one that the Wiener filter goes by.
    """
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(n) for n in noise.shape], indexing="ij"))
    power = 2.0 * np.exp(-((frequency / 0.05) ** 2)) + 0.02
    signal, grain = (
        np.fft.ifft2(np.sqrt(p) * np.fft.fft2(white(noise.shape, seed, 1.0))).real
        for seed, p in enumerate((power, noise))
    )
    y = 0.5 + SIGMA * (signal + grain)
    removed = assumed / (power + assumed)
    left = removed**2 * (power + noise)
    cosine = np.cos(2 * np.pi * np.fft.fftfreq(len(noise)))[:, None]
    residual = SIGMA * np.fft.ifft2(removed * np.fft.fft2(signal + grain)).real
    return (
        y.astype(np.float32),
        (y - residual).astype(np.float32),
        float((left * cosine).sum() / left.sum()),
    )


def test_residuals_of_white_noise_are_correlated_negatively() -> None:
    one = np.ones((512, 512))
    y, x, lag = wiener(one, one)
    found = residual_statistics(y, x, Gaussian(SIGMA))
    assert lag < -0.005
    assert found["autocorrelation"]["y"][0] == pytest.approx(lag, abs=0.006)
    assert warnings(found, Gaussian(SIGMA)) == []


def test_coarse_noise_left_by_a_white_model_shows_in_the_neighbours() -> None:
    """A lag-1 correlation of 0.08, of which the residual shows 0.06 and the rest is left."""
    cosine = np.cos(2 * np.pi * np.fft.fftfreq(512))[:, None]
    spectrum = np.broadcast_to(1 + 2 * 0.08 * cosine, (512, 512))
    y, x, lag = wiener(spectrum, np.ones((512, 512)))
    found = residual_statistics(y, x, Gaussian(SIGMA))
    assert 0.02 < lag < 0.08
    assert found["autocorrelation"]["y"][0] == pytest.approx(lag, abs=0.006)
    assert found["white"]
    (said,) = warnings(found, Gaussian(SIGMA), 255)
    assert f"lag-1 {lag:.2f}" in said
    (spec,) = re.findall(r"Try --noise (\S+)\.$", said)
    law = parse(spec)
    assert not law.white
    assert law.variance(0.5) == pytest.approx(SIGMA**2, rel=1e-3)
    assert warnings(found, Gaussian(SIGMA), known=True) == []
    assert warnings(found, law) == []
    y, x, _ = wiener(spectrum, spectrum)
    assert warnings(residual_statistics(y, x, law), law) == []


def test_correlation_known_beforehand_is_left_to_whoever_knew() -> None:
    noise = gaussian_filter(white((192, 192)), 0.8)
    noise *= SIGMA / noise.std()
    found = residual_statistics(ramp() + noise, ramp(), Gaussian(SIGMA))
    assert warnings(found, Gaussian(SIGMA)) != []
    assert warnings(found, Gaussian(SIGMA), known=True) == []


def test_adapting_is_advised_only_where_it_could_help() -> None:
    noise, y = white((192, 192)), shapes() + white((192, 192))
    fine = 1.1 * (noise - gaussian_filter(noise, 0.9))
    for before, after, process in (
        (ramp() + fine, ramp(), Gaussian(SIGMA)),
        (y, gaussian_filter(y, 1.5), Gaussian(SIGMA)),
        (ramp() + noise, ramp(), Gaussian(1.6 * SIGMA)),
    ):
        found = residual_statistics(before, after, process)
        assert "--adapt" in " ".join(warnings(found, process))
        assert "--adapt" not in " ".join(said := warnings(found, process, adaptable=False))
        assert len(said) == len(warnings(found, process))


def test_noise_of_which_only_the_fine_part_was_removed() -> None:
    noise = white((192, 192))
    fine = 1.1 * (noise - gaussian_filter(noise, 0.9))
    found = residual_statistics(ramp() + fine, ramp(), Gaussian(SIGMA))
    assert "coarse part remains" in warnings(found, Gaussian(SIGMA))[0]


def test_stripes_are_named() -> None:
    stripes = 0.06 * np.sqrt(2) * np.sin(2 * np.pi * np.arange(192) / 4, dtype=np.float32)
    noise = white((192, 192), sigma=0.08) + stripes
    found = residual_statistics(ramp() + noise, ramp(), Gaussian(SIGMA))
    (sentence,) = warnings(found, Gaussian(SIGMA))
    assert "stripes" in sentence
    assert re.search(r"correlated over \d pixels (down|across) \(0\.3", sentence)


def test_detail_that_was_removed_is_named() -> None:
    y = shapes() + white((192, 192))
    found = residual_statistics(y, gaussian_filter(y, 1.5), Gaussian(SIGMA))
    assert any("detail was lost" in w for w in warnings(found, Gaussian(SIGMA)))
    found = residual_statistics(y, shapes(), Gaussian(SIGMA))
    assert warnings(found, Gaussian(SIGMA)) == []


@pytest.mark.parametrize(("level", "words"), [(1.6, "Less was removed"), (0.6, "More was removed")])
def test_wrong_level(level: float, words: str) -> None:
    process = Gaussian(level * SIGMA)
    found = residual_statistics(ramp() + white((192, 192)), ramp(), process)
    assert found["ratio"] == pytest.approx(1 / level, rel=0.02)
    (sentence,) = warnings(found, process)
    assert sentence.startswith(words)


def test_the_advice_states_the_level_that_was_removed_in_the_files_units() -> None:
    process = Gaussian(1.6 * SIGMA)
    found = residual_statistics(ramp() + white((192, 192)), ramp(), process)
    for scale, end in ((1.0, ""), (255.0, "/255")):
        (sentence,) = warnings(found, process, scale)
        (level,) = re.findall(rf"--noise gaussian:([\d.]+){end}[; .]", sentence)
        assert float(level) == pytest.approx(scale * SIGMA, rel=0.02)


def test_half_strength_is_judged_by_half_the_noise() -> None:
    y = ramp() + white((192, 192))
    half = (y + ramp()) / 2
    assert judged(y, half, Gaussian(SIGMA), strength=0.5).warnings == ()
    assert judged(y, half, Gaussian(SIGMA)).warnings != ()


def test_wrong_family_shows_in_the_tilt() -> None:
    x = np.linspace(0.05, 0.95, 192 * 192, dtype=np.float32).reshape(192, 192)
    noise = (rng().normal(0, np.sqrt(x / 60))).astype(np.float32)
    level = float(np.sqrt((x / 60).mean()))
    found = residual_statistics(x + noise, x, Gaussian(level))
    assert found["tilt"] > 2
    (said,) = [w for w in warnings(found, Gaussian(level)) if "grows more with brightness" in w]
    assert said not in warnings(found, Gaussian(level), missed=True)
    (gain, read) = re.findall(r"Try --noise poisson-gaussian:([\d.e-]+),([\d.e-]+),", said)[0]
    assert float(gain) == pytest.approx(1 / 60, rel=0.05)
    assert float(read) < 0.02


def test_places_where_nothing_was_removed_do_not_decide_on_the_law() -> None:
    x = np.linspace(0.05, 0.95, 192 * 192, dtype=np.float32).reshape(192, 192)
    noise = SIGMA * np.where(x > 0.5, 1, 1e-4) * white(x.shape)
    law = Gaussian(SIGMA / 2)
    said = " ".join(warnings(residual_statistics(x + noise, x, law), law))
    assert "grows more with brightness" in said
    assert "Neither a constant level" in said
    assert "--noise" not in said


def test_a_warning_does_not_contradict_another() -> None:
    """A law that is stated has the level; of correlated noise, no level is; and rounding decides
    where there is less than a step of noise."""
    x = np.linspace(0.05, 0.95, 192 * 192, dtype=np.float32).reshape(192, 192)
    noise = rng().normal(0, np.sqrt(x / 400)).astype(np.float32)
    found = residual_statistics(x + noise, x, Gaussian(SIGMA))
    (said,) = warnings(found, Gaussian(SIGMA))
    assert "grows more with brightness" in said
    found = residual_statistics(ramp() + 0.5 * white((192, 192)), ramp(), Gaussian(SIGMA))
    assert "state its level: --noise" in warnings(found, Gaussian(SIGMA))[0]
    (said,) = warnings(found, Gaussian(SIGMA), known=True)
    assert "Less was removed" in said
    assert "--noise" not in said
    assert warnings(found, Gaussian(SIGMA), step=2 * SIGMA) == []
    same = residual_statistics(ramp(), ramp(), Gaussian(SIGMA))
    assert "Nothing was removed" in warnings(same, Gaussian(SIGMA))[0]
    assert warnings(same, Gaussian(SIGMA), step=3 * SIGMA) == []


def test_shifted_brightness_is_named() -> None:
    y = ramp() + white((192, 192))
    found = residual_statistics(y, ramp() + 0.05, Gaussian(SIGMA))
    assert found["mean"] == pytest.approx(-0.05, abs=2e-3)
    assert any("changed the mean by" in w for w in warnings(found, Gaussian(SIGMA)))


def test_noise_cut_off_by_the_range_is_left_out_of_the_ratio() -> None:
    x = np.linspace(0, 1, 256 * 256, dtype=np.float32).reshape(256, 256)
    y = np.clip(x + white(x.shape), 0, 1)
    found = residual_statistics(y, x, Gaussian(SIGMA))
    assert found["rms"] < 0.97 * SIGMA
    assert found["ratio"] == pytest.approx(1, abs=0.02)
    assert found["clipped"] == pytest.approx(4 * SIGMA, abs=0.02)  # 2 sigma at either end


def test_pixels_that_are_not_finite_are_left_out() -> None:
    x = ramp()
    y = x + white(x.shape)
    plain = residual_statistics(y, x, Gaussian(SIGMA))
    y[::7, ::5] = np.nan
    y[3] = np.inf
    x[::7, ::5], x[3] = y[::7, ::5], y[3]  # kept in place, as in a result
    holed = residual_statistics(y, x, Gaussian(SIGMA))
    assert holed["n"] == int(np.isfinite(y).sum())
    assert holed["rms"] == pytest.approx(plain["rms"], rel=0.01)
    assert warnings(holed, Gaussian(SIGMA)) == []
    empty = residual_statistics(np.full((9, 9), np.nan), np.full((9, 9), np.nan), Gaussian(SIGMA))
    assert "no finite values" in warnings(empty, Gaussian(SIGMA))[0]


def test_integers_are_in_units_of_their_range() -> None:
    y, x = ((a * 65535).astype(np.uint16) for a in (ramp() + white((192, 192)), ramp()))
    exact = residual_statistics(y / np.float32(65535), x / np.float32(65535), Gaussian(SIGMA))
    found = residual_statistics(y, x, Gaussian(SIGMA))
    assert found["rms"] == pytest.approx(exact["rms"], rel=1e-5)


def test_nothing_removed() -> None:
    y = ramp() + white((192, 192))
    assert "Nothing was removed" in judged(y, y, Gaussian(SIGMA)).warnings[0]
    silent = judged(y, y, Gaussian(0.0))
    assert silent.stats["ratio"] is None
    assert silent.warnings == ()
    assert silent.verdict == "No noise was found, and nothing was removed."


def test_a_judgement_is_the_statistics_their_warnings_and_a_verdict() -> None:
    y = (ramp() + white((192, 192)))[None]
    found = judged(y, ramp()[None], Gaussian(SIGMA))
    assert found.stats == residual_statistics(y, ramp()[None], Gaussian(SIGMA))
    assert found.warnings == ()
    assert found.verdict.startswith("Its pixels are uncorrelated (at most 0.0")
    assert "as strong as the noise model predicts (100 %)" in found.verdict
    assert "does not follow the picture's edges" in found.verdict
    lax = judged(y, gaussian_filter(y, (0, 1.5, 1.5)), Gaussian(2 * SIGMA), adaptable=True)
    assert list(lax.warnings) == warnings(dict(lax.stats), Gaussian(2 * SIGMA))
    assert "--adapt" in " ".join(lax.warnings)


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 50), (50, 1), (8, 8), (3, 9, 7), (2, 3, 16, 16), (513, 20)], ids=str
)
def test_any_shape_gives_plain_json(shape: tuple[int, ...]) -> None:
    x = np.full(shape, 0.5, np.float32)
    found = residual_statistics(x + white(shape), x, Gaussian(SIGMA))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["n"] == x.size
    lags = {"y": min(LAGS, shape[-2] - 1), "x": min(LAGS, shape[-1] - 1)}
    assert {k: len(v) for k, v in found["autocorrelation"].items()} == lags
    warnings(found, Gaussian(SIGMA))


def test_large_data_is_sampled() -> None:
    plane = (1000 * rng().random((SIDE, SIDE))).astype(np.uint16)
    stack = np.broadcast_to(plane, (5000, SIDE, SIDE))  # a record of 2.6 GB, without the memory
    found = residual_statistics(stack, stack, Gaussian(SIGMA))
    assert found["n"] == WINDOWS * SIDE * SIDE


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="one shape"):
        residual_statistics(np.zeros((4, 4)), np.zeros((4, 5)), Gaussian(SIGMA))


# Pictures and plots


def test_shrink_is_the_mean_of_blocks() -> None:
    x = rng().integers(0, 65535, (2, 130, 67), dtype=np.uint16)
    expected = x[:, :129, :66].reshape(2, 43, 3, 22, 3).mean((2, 4)) / 65535
    np.testing.assert_allclose(shrink(x, 3), expected, rtol=1e-5)
    holed = np.ones((1, 4, 4), np.float32)
    holed[0, 0, 0], holed[0, 2:, 2:] = np.nan, np.inf
    np.testing.assert_array_equal(shrink(holed, 2)[0], [[1, 1], [1, np.nan]])
    assert shrink(np.ones((1, 1, 90), np.float32), 4).shape == (1, 1, 22)


def test_full_range_is_shown_unchanged_and_dim_pictures_are_stretched() -> None:
    x = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    assert display_window(shrink(x, 1)) == (0, 1)
    np.testing.assert_array_equal(to_pixels(shrink(x, 1), 0, 1), x)
    dim = 0.01 + 0.02 * rng().random((1, 64, 64), np.float32)
    low, high = display_window(dim)
    assert low < dim.min() < dim.max() < high
    assert np.ptp(to_pixels(dim, low, high)) > 200
    for odd in (np.full((1, 4, 4), np.nan), np.zeros((1, 4, 4)), np.full((1, 4, 4), -3.0)):
        low, high = display_window(odd)
        assert high > low


@pytest.mark.parametrize(
    ("shape", "axes", "item", "channels", "words"),
    [
        ((8, 9), "YX", (0, None), slice(0, 1), []),
        ((8, 9, 3), "YXS", (0, None), slice(0, 3), []),
        ((8, 9, 4), "YXS", (0, None), slice(0, 3), []),
        ((8, 9, 2), "YXS", (0, None), slice(0, 1), ["channel 1 of 2"]),
        ((3, 8, 9), "CYX", (0, None), slice(0, 1), ["channel 1 of 3"]),
        ((3, 8, 9), "CYX", (0, 2), slice(2, 3), ["channel 3 of 3"]),
        ((5, 2, 8, 9), "TCYX", (2, 1), slice(1, 2), ["plane 3 of 5", "channel 2 of 2"]),
        ((5, 8, 9, 3), "TYXS", (4, None), slice(0, 3), ["plane 5 of 5"]),
    ],
)
def test_the_item_that_is_spoken_of_is_shown(
    shape: tuple[int, ...],
    axes: str,
    item: tuple[int, int | None],
    channels: slice,
    words: list[str],
) -> None:
    plane = choose_plane(Record(np.zeros(shape, np.uint8), axes), *item)
    assert (plane.index, plane.channels) == (item[0], channels)
    assert len(plane.notes) == len(words)
    assert all(w in note for w, note in zip(words, plane.notes, strict=True))


def test_the_detail_is_where_the_texture_is() -> None:
    x = np.zeros((1, 100, 100), np.float32)
    x[0, :, 10:] += 1  # one strong border
    x[0, 60:, 60:] += 0.1 * rng().random((40, 40), np.float32)
    top, left = busiest(x, (0.4, 0.4))
    assert top >= 0.5
    assert left >= 0.5


def test_numbers_read_well() -> None:
    given = [0, 0.0123456, 25.0, 25.09, 12345.6, -0.5, 1.2e-7, math.inf]
    assert [number(v) for v in given] == [
        "0", "0.0123", "25", "25.1", "12,346", "−0.5", "1.2e-07", "inf",
    ]  # fmt: skip
    assert ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert ticks(3, 3) == [3]
    for low, high in [(0, 0.013), (-7.3, 2), (1e4, 1.7e4), (0, 65535)]:
        marks = ticks(low, high)
        assert 2 <= len(marks) <= 6
        assert low - 1e-9 <= marks[0] < marks[-1] <= high + 1e-9


# The page


def a_result(
    noisy: np.ndarray,
    clean: np.ndarray,
    axes: str = "YX",
    *,
    process: Process | None = None,
    name: str | None = "in/cells.tif",
    index: int = 0,
    channel: int | None = None,
    known: bool = False,
    advice: Sequence[str] = (),
    step: float | None = 0.4,
    trace: Sequence[dict[str, Any]] | None = None,
    **changes: Any,
) -> Denoised:
    """What `hush.run` returns, without the denoising; of a stack the item `index` is told of."""
    process = process or Gaussian(SIGMA)
    before = Record(noisy, axes, source=Path(name) if name else None)
    after = before.with_data(clean)
    part = slice(None) if channel is None else slice(channel, channel + 1)
    y, x = (to_batch(record).data[index][part] for record in (before, after))
    if trace is None:
        trace = [{"step": k, "level": SIGMA / k, "removed_rms": SIGMA / (k + 1)} for k in (1, 2, 3)]
    estimate = Estimate(
        Gaussian(SIGMA), SIGMA, curve=((0.3, SIGMA**2, SIGMA**2), (0.7, 0.009, 0.01))
    )
    judgement = judged(y, x, process, scale=before.scale, known=known)
    item = Item(index, channel, estimate, process, judgement, step, tuple(trace), tuple(advice))
    fields: dict[str, Any] = {
        "method": "mid",
        "model": "mid-gray",
        "steps": 3,
        "timings": {"measure": 0.1, "denoise": 1.5},
    }
    return Denoised(after, before, [item], **{**fields, **changes})


def eight_bit(h: int = 96, w: int = 128, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x = shapes(h, w)
    noisy = np.clip(x + white(x.shape, seed), 0, 1)
    return (255 * noisy).round().astype(np.uint8), (255 * x).round().astype(np.uint8)


class Page(HTMLParser):
    """What a page refers to, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.refers: list[str] = []
        self.ids: list[str] = []
        self.images: list[np.ndarray] = []
        self.heads = False
        self.open: list[str] = []
        self.columns: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in {"src", "href", "srcset", "data", "action", "poster"}:
                self.refers.append(value or "")
            if name == "id":
                self.ids.append(value or "")
            if tag == "img" and name == "src" and value:
                png = base64.b64decode(value.removeprefix("data:image/png;base64,"))
                self.images.append(np.asarray(Image.open(io.BytesIO(png))))
        if tag not in {"meta", "link", "img", "input", "br", "hr"}:
            self.open.append(tag)
        self.heads = tag == "th" and ("scope", "col") in attrs

    def handle_endtag(self, tag: str) -> None:
        self.heads = False
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.heads and "details" not in self.open:
            self.columns.append(data)


def page_of(results: list[Any], path: Path, **options: Any) -> Page:
    write_report(results, path, **options)
    return Page(path.read_text(encoding="utf-8"))


def test_one_file_that_fetches_nothing(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    page = page_of([a_result(*eight_bit())], path)
    assert all(r.startswith(("data:", "#")) for r in page.refers)
    html = path.read_text(encoding="utf-8")
    assert not re.search(r"https?:|@import|url\(|//[a-z]", re.sub(r'"data:[^"]*"', "", html))
    assert "default-src 'none'" in html
    assert page.open == []  # every element is closed
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_the_page_says_what_was_done(tmp_path: Path) -> None:
    page = page_of([a_result(*eight_bit())], tmp_path / "r.html")
    for words in (
        "cells.tif", "96 × 128 (YX), uint8", "Gaussian", "σ 25.5 of 255",
        "--noise gaussian:25.5/255", "mid-gray", "3 steps", "1.6 s", "denoise",
        "What was removed looks like noise", "black is 0 and white 255".capitalize(),
    ):  # fmt: skip
        assert words in page.text.replace("\N{NO-BREAK SPACE}", " "), words
    assert "Look before you trust" not in page.text


def test_eight_bit_pictures_are_the_files_pixels(tmp_path: Path) -> None:
    noisy, clean = eight_bit()
    after, before, removed = page_of([a_result(noisy, clean)], tmp_path / "r.html").images
    np.testing.assert_array_equal(before, noisy)
    np.testing.assert_array_equal(after, clean)
    same = noisy == clean
    assert set(np.unique(removed[same])) <= {127, 128}
    sign = np.sign(removed.astype(int) - 127.5)
    np.testing.assert_array_equal(sign[~same], np.sign(noisy.astype(int) - clean)[~same])


def test_warnings_come_first_and_once(tmp_path: Path) -> None:
    noise = gaussian_filter(white((96, 128)), 0.8)
    noise *= SIGMA / noise.std()
    x = shapes(96, 128)
    said = ["The noise is spatially correlated (lag-1 0.61); try hush train.", "Mind the gap."]
    page = page_of([a_result(x + noise, x, advice=said, known=True)], tmp_path / "r.html")
    assert page.text.count("spatially correlated") == 1
    assert page.text.index("Look before you trust") < page.text.index("Mind the gap.")
    page = page_of([a_result(x + noise, x)], tmp_path / "r.html")
    assert "The residual contains structure: neighbours are alike" in page.text


@pytest.mark.parametrize(
    ("sentence", "code"),
    [
        ("Try a lower --strength, such as --strength 0.7.", ["--strength", "--strength 0.7"]),
        ("It may be --noise gaussian:3657.9/65535.", ["--noise gaussian:3657.9/65535"]),
        ("Try --noise poisson-gaussian:0.02,1e-05, or less.", [
            "--noise poisson-gaussian:0.02,1e-05"
        ]),
        ("Try --adapt 60s; leave --noise out.", ["--adapt 60s", "--noise"]),
    ],
)  # fmt: skip
def test_options_can_be_copied_as_they_stand(
    sentence: str, code: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "r.html"
    page = page_of([a_result(*eight_bit(), advice=[sentence])], path)
    assert sentence in page.text
    verdict = path.read_text(encoding="utf-8").partition('class="verdict')[2]
    assert re.findall("<code>(.*?)</code>", verdict.partition("</div>")[0]) == code


@pytest.mark.parametrize(
    ("dtype", "axes", "shape"),
    [
        ("uint16", "YX", (40, 30)),
        ("int16", "ZYX", (3, 40, 30)),
        ("float32", "YXS", (40, 30, 3)),
        ("float64", "CYX", (2, 40, 30)),
        ("uint8", "YXS", (40, 30, 4)),
        ("uint8", "TZCYX", (2, 2, 2, 9, 11)),
        ("uint8", "YX", (1, 8)),
        ("float32", "YX", (600, 2)),
    ],
)
def test_every_kind_of_record(
    dtype: str, axes: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    x = np.full(shape, 0.5) + white(shape, 1, 0.02)
    y = x + white(shape)
    if np.dtype(dtype).kind in "iu":
        y, x = (np.clip(a, 0, 1) * np.iinfo(dtype).max for a in (y, x))
    result = a_result(y.astype(dtype), x.astype(dtype), axes, index=int(axes == "ZYX"))
    page = page_of([result], tmp_path / "r.html")
    size = tuple(shape[axes.index(a)] for a in "YX")
    assert all(i.shape[:2] == size for i in page.images)
    assert all(i.ndim == (3 if "S" in axes else 2) for i in page.images)
    assert ("plane 2 of 3" in page.text.lower()) == (axes == "ZYX")
    assert ("channel 1 of 2" in page.text.lower()) == ("C" in axes)


def test_degenerate_records_have_a_page_too(tmp_path: Path) -> None:
    constant = np.full((20, 20), 7, np.uint8)
    bare: dict[str, Any] = {"trace": (), "timings": {}, "step": None, "model": "", "steps": 1}
    page = page_of([a_result(constant, constant, name=None, **bare)], tmp_path / "r.html")
    assert "Nothing was removed" in page.text
    holes = np.full((20, 20), np.nan, np.float32)
    page = page_of([a_result(holes, holes)], tmp_path / "r.html")
    assert "400 values that are not finite" in page.text


def test_large_images_are_shown_small_with_a_detail_at_full_size(tmp_path: Path) -> None:
    noisy, clean = eight_bit(400, 600)
    result = section(a_result(noisy, clean), budget=70_000)
    whole, detail = result.views
    assert (whole.before.width, whole.before.height) == (300, 200)
    row, column = map(int, re.findall(r"row (\d+), column (\d+)", detail.caption)[0])
    h, w = detail.before.height, detail.before.width
    page = page_of([result], tmp_path / "r.html")
    np.testing.assert_array_equal(page.images[4], noisy[row : row + h, column : column + w])
    assert whole.mark == (row / 400, column / 600, h / 400, w / 600)


def test_many_results_have_an_index_and_share_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = [a_result(*eight_bit(64, 64, seed), name=f"in/{seed}.tif") for seed in range(50)]
    page = page_of(results, tmp_path / "r.html")
    links = [r for r in page.refers if r.startswith("#")]
    assert links == [f"#r{k}" for k in range(1, 51)]
    assert [f"#{i}" for i in page.ids] == links
    assert "50 files" in page.text
    assert page.columns == ["file", "noise", "removed / model", "time", "residual"]
    assert page.text.count("Gaussian, σ 25.5 of 255") == 50
    monkeypatch.setattr("hush.report.frame.SHARED", 2e6)
    one, many = tmp_path / "one.html", tmp_path / "many.html"
    write_report([a_result(*eight_bit(512, 512))], one)
    write_report([a_result(*eight_bit(512, 512))] * 12, many)
    assert many.stat().st_size < 12 * 0.8 * one.stat().st_size


def test_an_entry_keeps_no_arrays_and_stands_for_its_result(tmp_path: Path) -> None:
    result = a_result(*eight_bit(32, 32))
    made = entry(result, count=3)
    assert entry(made) is made
    held, seen = [made], []
    while held:
        thing = held.pop()
        assert not isinstance(thing, np.ndarray)
        seen.append(thing)
        held += vars(thing).values() if hasattr(thing, "__dict__") else ()
        held += thing if isinstance(thing, tuple) else ()
        held += thing.values() if isinstance(thing, dict) else ()
    assert len(seen) > 50
    page_of([result], tmp_path / "a.html")
    page_of([made], tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_the_budget_of_pictures_is_shared() -> None:
    assert frame.picture_budget(1) == frame.picture_budget(2) == frame.BUDGET
    assert frame.picture_budget(12) * 12 == frame.SHARED
    assert frame.picture_budget(9999) == frame.SMALLEST_BUDGET


def test_namesakes_are_told_apart_and_names_are_only_text(tmp_path: Path) -> None:
    pair = eight_bit(16, 16)
    names = ["a/x.tif", "b/x.tif", "b/<script>alert(1)</script>&.tif"]
    page = page_of([a_result(*pair, name=n) for n in names[:2]], tmp_path / "r.html")
    assert "a/x.tif" in page.text
    assert "b/x.tif" in page.text
    write_report([a_result(*pair, name=names[2])], tmp_path / "r.html", title="T & <i>")
    html = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "alert(1)" in html or "script&gt;&amp;.tif" in html
    assert "<script>alert" not in html
    assert "T &amp; &lt;i&gt;" in html


def test_steps_may_bring_pictures(tmp_path: Path) -> None:
    noisy, clean = eight_bit()
    trace = [
        {"step": k, "level": 0.1, "removed_rms": 0.05, "image": image / np.float32(255)}
        for k, image in ((1, noisy), (2, clean[None]))
    ]
    page = page_of([a_result(noisy, clean, trace=trace)], tmp_path / "r.html")
    assert len(page.images) == 5
    assert "Intermediate results" in page.text


def test_the_uncertainty_has_a_panel(tmp_path: Path) -> None:
    noisy, clean = eight_bit(40, 60)
    assert "Uncertainty" not in page_of([a_result(noisy, clean)], tmp_path / "r.html").text
    spread = np.tile(np.linspace(0, 12, 60, dtype=np.float32), (40, 1))
    spread[0, 0], spread[9, 9] = np.nan, 1000
    result = a_result(noisy, clean, spread=Record(spread, "YX", full=255.0))
    page = page_of([result], tmp_path / "r.html")
    assert page.open == []
    assert "Uncertainty" in page.text
    assert "12 of 255" in page.text  # one pixel beyond it does not darken the rest
    heat = page.images[3].astype(int)
    assert heat.shape == (40, 60, 3)
    assert heat[1, 0].tolist() == list(HEAT[0]) == heat[0, 0].tolist()
    assert heat[1, -1].tolist() == list(HEAT[-1])
    assert (np.diff(heat.sum(-1)[1]) >= 0).all()

    large, _ = section(result, budget=700).views
    assert large.spread is not None
    assert large.spread.picture.width == large.before.width
    colours = a_result(
        *(np.stack([a] * 3, -1) for a in (noisy, clean)),
        "YXS",
        spread=Record(np.stack([0 * spread, spread, spread], -1), "YXS", full=255.0),
    )
    (view,) = section(colours).views
    assert view.spread is not None
    assert view.spread.most == pytest.approx(12 * math.sqrt(2 / 3))


class Rows(Kind):
    """A kind that leaves its pages to hush."""

    name = "rows"
    letters = "X"
    element = "cell"


def test_a_kind_without_pages_of_its_own_has_plain_ones(tmp_path: Path) -> None:
    kind, x = Rows(), np.tile(np.linspace(0.3, 0.7, 500, dtype=np.float32), (3, 1))
    noisy = Record(x + white(x.shape), "CX", kind="rows", source=Path("in/rows.npy"))
    found = kind.measure([kind.batch(noisy).floats(0)[2:]])
    judgement = kind.judge(noisy.data[2:], x[2:], found.process, strength=1, scale=1)
    item = Item(0, 2, found, found.process, judgement)
    result = Denoised(noisy.with_data(x), noisy, [item], "median", "", 1, timings={"denoise": 2})
    page = page_of([kind.section(result, 1)], tmp_path / "r.html")
    assert page.open == []
    assert page.images == []
    for words in (
        "Denoising report", "rows.npy", "3 × 500 (CX), float32", "Gaussian", "Between cells",
        "What was removed looks like noise", "Before and after", "Does it look like noise?",
        "Channel 3 of 3 is shown.",
    ):  # fmt: skip
        assert words in page.text, words
    seen = Inspection(noisy, 0, 2, found, "median", "", 1)
    page = page_of([kind.inspected(seen, 1)] * 2, tmp_path / "r.html")
    assert page.open == []
    assert page.columns == ["file", "noise", "status"]
    for words in ("Noise report", "Ready to denoise", "The data", "Channel 3 of 3 is shown."):
        assert words in page.text, words


def test_importing_the_report_is_cheap() -> None:
    code = (
        "import sys, hush.kinds.image.page; "
        "print(*sorted({'torch', 'jinja2', 'PIL', 'matplotlib', 'skimage'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# Inspections


LAWS = {
    "gaussian": Estimate(Gaussian(0.04), 0.04),
    "poisson": Estimate(Poisson(50.0), 0.1),
    "poisson-gaussian": Estimate(PoissonGaussian(0.01, 0.02), 0.1),
    "gamma": Estimate(Gamma(20.0), 0.1),
    "rician": Estimate(Rician(0.04), 0.04),
    "impulse": Estimate(Gaussian(0.04), 0.04, impulses=0.052),
}


@pytest.mark.parametrize(
    ("family", "words"),
    [
        ("gaussian", "Gaussian, σ 10.2 of 255, the same at every brightness"),
        ("poisson", "Poisson, σ 25.5 of 255 on average, 50 counts at full range"),
        ("poisson-gaussian", "Poisson–Gaussian, σ 25.5 of 255 on average, gain 2.55, read noise σ"),
        ("gamma", "Gamma (multiplicative), shape 20: σ is 22 % of the signal"),
        ("rician", "Rician, σ 10.2 of 255 in each part; dark areas are brightened"),
        ("impulse", "5.2 % of the pixels replaced (impulses), and Gaussian, σ 10.2 of 255 in"),
    ],
)
def test_every_estimate_has_words(family: str, words: str) -> None:
    assert describe.noise(LAWS[family], 255.0).startswith(words)


def test_what_the_data_do_not_tell_is_said() -> None:
    torn = replace(LAWS["gaussian"], alternatives=("poisson", "gamma"))
    assert "could also be Poisson or Gamma (multiplicative)" in describe.noise(torn, 1.0)
    assert "could also" not in describe.noise(LAWS["gaussian"], 1.0)


def test_channels_that_differ_are_named() -> None:
    alike, unlike = (replace(LAWS["gaussian"], channels=c) for c in ((0.1, 0.12), (0.1, 0.3)))
    assert describe.channels(alike, 1.0) == "σ 0.1, 0.12"
    assert "3 times the noise of the cleanest" in describe.channels(unlike, 1.0)


def test_correlation_is_told_lag_by_lag() -> None:
    spread = Estimate(
        Gaussian(0.1), 0.1, correlated=True, autocorrelation=(0.41, 0.1, 0.0), kernel_width=1.2
    )
    assert describe.between(spread).endswith(
        "0.41 at 1, 0.1 at 2 pixels, as if blurred by 1.2 pixels"
    )


def an_inspection(estimate: Estimate, name: str = "in/cells.tif", side: int = 200) -> Inspection:
    record = Record(eight_bit(side, side)[0], "YX", source=Path(name))
    return Inspection(record, 0, None, estimate, "mid", "mid-gray", 1, 0.4)


def test_an_inspection_has_a_page(tmp_path: Path) -> None:
    curve = ((0.2, 0.01, 0.012), (0.5, 0.02, 0.02), (0.9, 0.03, 0.03))
    found = Estimate(Poisson(25.0), 0.1, curve=curve, correlated=True, autocorrelation=(0.4, 0.1))
    page = page_of([inspected(an_inspection(found))], tmp_path / "r.html")
    assert page.open == []
    assert all(r.startswith(("data:", "#")) for r in page.refers)
    for words in (
        "Noise report", "cells.tif", "Poisson", "25 counts at full range", "--noise poisson:25",
        "Correlated", "at 51: measured 25.5, model 27.9", "1 px: 0.4", "mid-gray", "0.4",
    ):  # fmt: skip
        assert words in page.text, words
    assert [i.shape for i in page.images] == [(200, 200), (128, 128)]


def test_inspections_share_an_index_and_warnings_show(tmp_path: Path) -> None:
    one, other = (an_inspection(LAWS["gamma"], name) for name in ("a/x.tif", "b/x.tif"))
    other.warnings.append("Mind the gap.")
    page = page_of([inspected(one), inspected(other)], tmp_path / "r.html")
    assert "a/x.tif" in page.text
    assert page.text.index("b/x.tif") < page.text.index("Mind the gap.")
    assert [f"#{i}" for i in page.ids] == [r for r in page.refers if r.startswith("#")]
    assert page.columns == ["file", "noise", "between pixels", "status"]
    assert page.text.count("independent from pixel to pixel") == 2
    assert page.text.count("ready to denoise") == 1


def test_small_and_silent_files_have_a_page_too(tmp_path: Path) -> None:
    silent = an_inspection(Estimate(Gaussian(0.0), 0.0, channels=(0.0,)), side=3)
    page = page_of([inspected(silent)], tmp_path / "r.html")
    assert [i.shape for i in page.images] == [(3, 3)]
    assert "How does it grow" not in page.text


def test_the_denoised_page_shows_the_noise_of_the_input(tmp_path: Path) -> None:
    page = page_of([a_result(*eight_bit())], tmp_path / "r.html")
    assert "The noise in the input" in page.text
    assert "at 178: measured 24.2, model 25.5" in page.text


# The page in a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no browser: 'chromium' is not on the PATH")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Open a report in a window; afterwards nothing was fetched and no script failed."""
    path, asked, errors, contexts = tmp_path / "report.html", [], [], []

    def go(results: list[Any], width: int = 1280) -> Any:
        write_report(results, path)
        context = browser.new_context(viewport={"width": width, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda r: asked.append(r.url))
        page.on("pageerror", lambda e: errors.append(str(e)))
        page.on("console", lambda m: errors.append(m.text))
        page.goto(path.as_uri())
        return page

    yield go
    for context in contexts:
        context.close()
    assert errors == []
    assert {a for a in asked if not a.startswith("data:")} == {path.as_uri()}


def shown_before(page: Any) -> float:
    """Share of the picture's width, in per cent, at which the noisy layer is cut off."""
    clip = page.locator(".slider .top").first.evaluate("e => getComputedStyle(e).clipPath")
    right = re.search(r"inset\(0px (?:([\d.]+)%|([\d.]+)px|calc\(100% - ([\d.]+)%\))", clip)
    assert right is not None, clip
    hidden, none, shown = right.groups()
    if none:  # "0px" is how nothing hidden is written
        return 100 - float(none)
    return float(shown) if shown else 100 - float(hidden)


@pytest.mark.browser
def test_slider_by_keyboard_and_by_mouse(visit: Any) -> None:
    page = visit([a_result(*eight_bit())])
    slider = page.get_by_role("slider")
    assert shown_before(page) == 50
    slider.focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    assert slider.input_value() == "60"
    assert slider.get_attribute("aria-valuetext") == "60 % before"
    assert shown_before(page) == 60
    page.keyboard.press("Home")
    assert shown_before(page) == 0
    page.keyboard.press("End")
    assert shown_before(page) == 100

    box = page.locator(".slider").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.98 * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.25 * box["width"], middle, steps=4)
    page.mouse.up()
    assert shown_before(page) == pytest.approx(25, abs=0.5)
    page.mouse.move(box["x"] + 0.9 * box["width"], middle)  # the button is up: nothing moves
    assert shown_before(page) == pytest.approx(25, abs=0.5)


@pytest.mark.browser
def test_pictures_zoom_and_move_together(visit: Any) -> None:
    page = visit([a_result(*eight_bit(400, 600))])
    transforms = "es => es.map(e => e.style.transform)"
    pictures = page.locator(".group .layer img")
    page.get_by_role("button", name="4×").click()
    first = pictures.evaluate_all(transforms)
    assert len(first) == 3
    assert len(set(first)) == 1
    assert "scale(4)" in first[0]
    box = page.locator(".removed .viewer").bounding_box()
    page.mouse.move(box["x"] + 50, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 150, box["y"] + 90, steps=3)
    page.mouse.up()
    moved = pictures.evaluate_all(transforms)
    assert len(set(moved)) == 1
    shift = [[float(v) for v in re.findall(r"-?[\d.]+(?=px)", t)] for t in (first[0], moved[0])]
    np.testing.assert_allclose(np.subtract(*shift[::-1]), [100, 40], atol=1)
    page.get_by_role("button", name="Fit").click()
    assert "scale(4)" not in pictures.evaluate_all(transforms)[0]


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 360])
def test_the_index_opens_results_and_fits_the_window(visit: Any, width: int) -> None:
    names = ["in/first.tif", "in/a_rather_long_name_as_microscopes_write_them_t001_c02.ome.tif"]
    page = visit([a_result(*eight_bit(), name=n) for n in names], width)
    second = page.locator("details.result").nth(1)
    assert second.get_attribute("open") is None
    page.locator(".index a").nth(1).click()
    assert second.get_attribute("open") is not None
    handle = second.get_by_role("slider")
    handle.focus()
    page.keyboard.press("ArrowLeft")
    assert handle.input_value() == "49"
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.browser
def test_removed_noise_is_as_visible_shown_smaller(visit: Any) -> None:
    def gray() -> np.ndarray:
        picture = Image.open(io.BytesIO(viewer.screenshot())).convert("L")
        return np.asarray(picture, np.float64)[60:-10, 10:-10]  # below the word on it

    def limit() -> float:
        return float(re.findall(r"±([\d.]+) of 255", page.locator(".scale").inner_text())[0])

    page = visit([a_result(*eight_bit(900, 900))])
    viewer = page.locator(".removed .viewer")
    fit, scale = gray(), limit()
    page.get_by_role("button", name="1:1").click()
    whole = gray()
    assert fit.std() > 0.8 * whole.std() > 30
    assert abs(fit.mean() - 127.5) < 4
    width = viewer.bounding_box()["width"]
    assert scale == pytest.approx(limit() * min(width, 0.84 * 900) / 900, rel=0.02)
