"""Plots and tables of a recording: by frequency, at beats, and with the signal's activity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hush.kinds.signal.heart import QRS, SHOWN, above, bridged, cut
from hush.kinds.signal.residual import HIGH, LOW, coherence, slow_mean, spectrum
from hush.kinds.signal.tracks import Track
from hush.report import plots
from hush.report.describe import number
from hush.report.frame import WHITE, Chart

if TYPE_CHECKING:
    from hush.results import Inspection, Item

MOST = 12  #: rows of a table


@dataclass(frozen=True)
class Table:
    """Figures of every channel: headings, and rows of cells."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def lost_charts(
    track: Track, item: Item, y: np.ndarray, x: np.ndarray, positions: np.ndarray, ecg: bool
) -> list[Chart]:
    """What was lost: by frequency, at beats, and together with the signal's activity."""
    rate = track.rate
    dirty, clean = bridged(y), bridged(x)
    charts = []
    if dirty is not None and clean is not None and len(dirty) >= 16:
        gone = np.where(np.isfinite(y - x), y - x, 0.0)
        charts.append(spectrum_chart(track, {"before": dirty, "after": clean, "removed": gone}))
        if rate and ecg and len(positions) > 2:
            charts += beat_charts(track, {"before": dirty, "after": clean}, positions)
            charts += _coherence_chart(dirty, gone, rate, positions)
    if not ecg:
        lags = item.judgement.stats["autocorrelation"]
        title = "Autocorrelation of what was removed"
        svg = plots.autocorrelation(
            {"x": next(iter(lags.values()), [])}, title, 0.0, WHITE, "sample"
        )
        charts.append(Chart("Does it look like noise?", svg, f"{title}; white noise has none."))
    return charts


def spectrum_chart(track: Track, lines: dict[str, np.ndarray]) -> Chart:
    classes = {"before": "one", "after": "two", "removed": "three", "data": "one"}
    rate = track.rate or 1.0
    found = {name: spectrum(x, rate) for name, x in lines.items()}
    top = max(float(p[1:].max(initial=0.0)) for _, p in found.values())
    series = {}
    for name, (f, p) in found.items():
        seen = p[1:] > 1e-7 * top  # what is below only stretches the axis
        series[name] = (classes[name], f[1:], np.where(seen, p[1:], np.nan))
    unit = f"{track.unit}²/Hz" if track.unit else "power density"
    svg = plots.curves(
        series, "Spectrum", "frequency, Hz" if track.rate else "cycles a sample", unit, log=True
    )
    caption = (
        "Power by frequency (Welch). Where the orange line leaves the blue one, something was "
        "removed."
        if len(lines) > 1
        else "Power by frequency (Welch). Noise is flat; a narrow peak at 50 or 60 Hz is the power "
        "line."
    )
    key = tuple((classes[name], name) for name in lines) if len(lines) > 1 else ()
    return Chart("By frequency", svg, caption, key)


def beat_charts(track: Track, lines: dict[str, np.ndarray], positions: np.ndarray) -> list[Chart]:
    """The mean beat with its standard deviation."""
    assert track.rate is not None
    series, areas = {}, []
    for (name, x), cls in zip(lines.items(), ("one", "two"), strict=False):
        parts = cut(above(x, track.rate, QRS), positions, track.rate, SHOWN)
        if len(parts) < 2:
            return []
        mean, spread = parts.mean(axis=0), parts.std(axis=0)
        time = np.linspace(-SHOWN, SHOWN, len(mean))
        keep = slice(None, None, max(1, len(mean) // 300))
        areas.append((f"spread {cls}", time[keep], (mean - spread)[keep], (mean + spread)[keep]))
        series[name] = (cls, time[keep], mean[keep])
    svg = plots.curves(
        series, "The mean beat", "time from the beat, s", track.unit or "value", areas=areas
    )
    caption = f"Mean and standard deviation around {len(positions)} beats, above {QRS:g} Hz." + (
        " A flat line after denoising means that the ECG is gone." if len(lines) > 1 else ""
    )
    key = tuple((cls, name) for name, (cls, *_) in series.items()) if len(lines) > 1 else ()
    return [Chart("At every beat", svg, caption, key)]


def _coherence_chart(
    y: np.ndarray, gone: np.ndarray, rate: float, positions: np.ndarray
) -> list[Chart]:
    found = coherence(y, gone, rate, positions)
    if found is None:
        return []
    frequency, squared, limit = found
    edge = np.full(len(frequency), limit)
    svg = plots.curves(
        {"": ("one", frequency, squared)},
        "Coherence of what was removed with the signal's activity",
        "speed of changes, Hz",
        "coherence",
        areas=[("chance", frequency, 0 * edge, edge)],
        y_range=(0.0, 1.0),
    )
    mean = slow_mean(frequency, squared)
    caption = (
        f"Coherence of the strength of what was removed with activity above {HIGH:g} Hz, beats "
        f"left out; {mean:.2f} on average. "
        + (
            "It is near chance: the signal did not go along."
            if mean <= limit
            else "It is above chance: some of the signal went along."
        )
    )
    key = (("one", "coherence"), ("area strong", f"chance (below {limit:.2f})"))
    return [Chart("Did the signal go along?", svg, caption, key)]


def lost_table(every: Sequence[Track], items: dict[int, Item], scale: float) -> Table:
    """What was removed from each channel, of its longest stretch."""
    rows = []
    for track in every[:MOST]:
        item = max((items[i] for i, _ in track.parts), key=lambda i: i.judgement.stats["n"])
        stats = item.judgement.stats
        unit = f" {track.unit}".rstrip()
        cells = [track.name, f"{number(scale * stats['rms'])}{unit}"]
        if "beat" in stats:
            high = stats["high"]
            cells += [
                f"{stats['heart_rate']:.0f}",
                heights(stats, scale, unit),
                change(stats),
                "" if high is None else f"{100 * (1 - high):.1f} %",
                f"{100 * stats['confined']:.0f} %",
            ]
        rows.append([*cells, *[""] * (7 - len(cells))])
    headings = ("channel", "removed, rms", "beats a minute", "mean beat", "beats weaker by")
    return Table((*headings, f"kept above {HIGH:g} Hz", f"removed below {LOW:g} Hz"), rows)


def found_table(seen: Inspection, every: Sequence[Track]) -> Table | None:
    if seen.survey is None:
        return None
    rows = []
    for track, found in list(zip(every, seen.survey.items, strict=True))[:MOST]:
        unit = f" {track.unit}".rstrip()
        snr, lines = found["ecg_snr"], found["lines"]
        heart = (
            "only ECG"
            if found["only_ecg"]
            else f"SNR {number(round(snr))} dB"
            if snr is not None
            else ""
        )
        rows.append(
            [
                track.name,
                "unknown" if track.rate is None else f"{track.rate:g} Hz",
                track.unit or "unknown",
                f"{number(found['amplitude'])}{unit}",
                f"{number(found['sigma'])}{unit}",
                heart,
                f"{number(math.hypot(*lines.values()))}{unit}" if lines else "",
            ]
        )
    headings = (
        "channel",
        "rate",
        "unit",
        "signal, rms",
        "noise floor, σ",
        "ECG",
        "power line, rms",
    )
    return Table(headings, rows)


def heights(stats: Mapping[str, Any], scale: float, unit: str) -> str:
    """The height of the mean beat before and after; of one that is gone, what it is at most."""
    after = number(float(f"{scale * stats['beat'] * stats['left']:.2g}"))
    return f"{number(scale * stats['beat'])} → {'under ' * stats['gone']}{after}{unit}"


def change(stats: Mapping[str, Any]) -> str:
    """How much weaker beats are, in decibels."""
    decibels = number(round(-20 * math.log10(max(stats["left"], 1e-6))))
    return f"{'over ' * stats['gone']}{decibels} dB"
