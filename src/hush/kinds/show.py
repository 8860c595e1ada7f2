"""Report entries of kinds without pages of their own: line plots and statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hush.kinds.layout import stored_with_gaps
from hush.record import Record
from hush.report import describe, plots
from hush.report.describe import number
from hush.report.frame import (
    WHITE,
    Card,
    Chart,
    Charts,
    InspectedCharts,
    between_card,
    names,
    noise_card,
    noise_plots,
)
from hush.results import Denoised, Inspection, Item

if TYPE_CHECKING:
    from hush.kinds import Kind

MOST_POINTS = 1500  #: of a line; only the middle of longer ones is drawn


def section(kind: Kind, result: Denoised) -> Charts:
    """What a page shows about a result, without keeping its arrays."""
    item = result.noisiest
    stats, scale = item.judgement.stats, result.noisy.scale
    units, ratio = describe.units(scale), stats["ratio"]
    before, after = (_line(kind, record, item) for record in (result.noisy, result.record))
    if item.kept is not None and len(before) == len(item.kept):
        before = before[item.kept]
    lines = {"before": ("one", before), "after": ("two", after)}
    seconds = sum(result.timings.values())
    of_model = "" if ratio is None else f"{100 * ratio:.0f} % of what the noise model predicts"
    name, parent = names(result.noisy)
    noise = noise_card(item.found, scale)
    return Charts(
        name=name,
        parent=parent,
        facts=describe.size(result.noisy),
        cards=(
            noise,
            between_card(item.found, kind.element),
            Card("Removed", f"{number(scale * stats['rms'])}{units}", of_model),
            Card("Method", result.method, describe.steps(result.steps)),
            Card("Time", describe.duration(seconds)),
        ),
        warnings=tuple(result.warnings),
        verdict=item.judgement.verdict,
        icon=None,
        notes=_notes(kind, result.noisy, item),
        noise=noise_plots(item.found, scale, units),
        row={
            "noise": ", ".join(filter(None, (noise.value, noise.detail))),
            "removed / model": "" if ratio is None else f"{100 * ratio:.0f} %",
            "time": describe.duration(seconds),
        },
        charts=(
            Chart(
                "Before and after",
                plots.lines(lines, "Before and after", kind.element, "value"),
                "The middle of the data, noisy and denoised.",
                (("one", "before"), ("two", "after")),
            ),
            *_removed(kind, before, after),
            Chart(
                "Does it look like noise?",
                plots.autocorrelation(
                    _by_axis(stats["autocorrelation"]),
                    "Autocorrelation",
                    0.0,
                    WHITE,
                    kind.element,
                ),
                "Autocorrelation of what was removed.",
            ),
        ),
    )


def _removed(kind: Kind, before: np.ndarray, after: np.ndarray) -> list[Chart]:
    """Noisy minus denoised, unless the method left elements out."""
    if before.shape != after.shape:
        return []
    line = {"removed": ("one", before - after)}
    return [
        Chart(
            "What was removed",
            plots.lines(line, "Removed", kind.element, "value"),
            "Noisy minus denoised. No signal should be visible here.",
        )
    ]


def inspected(kind: Kind, seen: Inspection) -> InspectedCharts:
    """What a page shows about an inspection, without keeping arrays."""
    record, found, scale = seen.record, seen.estimate, seen.record.scale
    name, parent = names(record)
    line = {"data": ("one", _line(kind, record, seen))}
    return InspectedCharts(
        name=name,
        parent=parent,
        facts=describe.size(record),
        cards=(noise_card(found, scale), between_card(found, kind.element)),
        warnings=tuple(seen.warnings),
        verdict="The estimate of the noise raised no warnings.",
        icon=None,
        notes=_notes(kind, record, seen),
        noise=noise_plots(found, scale, describe.units(scale)),
        row={"noise": describe.noise(found, scale)},
        charts=(
            Chart(
                "The data", plots.lines(line, "The data", kind.element, "value"), "Its middle part."
            ),
        ),
    )


def draw_lines(before: Sequence[np.ndarray], after: Sequence[np.ndarray], path: Path) -> None:
    """Write a PNG of up to four items before and after, each along its last axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 2 * len(before[:4])), layout="constrained")
    panels = figure.subplots(len(before[:4]), squeeze=False)[:, 0]
    for panel, noisy, clean in zip(panels, before, after, strict=False):
        for x, width in ((noisy, 0.5), (clean, 1.2)):
            panel.plot(x.reshape(-1, x.shape[-1])[0][:MOST_POINTS], linewidth=width)
    figure.savefig(path, dpi=100)


def _line(kind: Kind, record: Record, place: Item | Inspection) -> np.ndarray:
    """The middle of an item along its last axis, in the data's own units."""
    batch = kind.batch(record)
    x = stored_with_gaps(batch, batch.data[place.index], place.index)
    line = x[place.channel or 0].reshape(-1, x.shape[-1])[0].astype(np.float64)
    start = max(0, (len(line) - MOST_POINTS) // 2)
    return line[start : start + MOST_POINTS]


def _notes(kind: Kind, record: Record, place: Item | Inspection) -> tuple[str, ...]:
    count = len(kind.batch(record))
    notes = [f"{kind.nouns[0]} {place.index + 1} of {count} is shown"] if count > 1 else []
    if place.channel is not None and record.channels > 1:
        notes.append(f"channel {place.channel + 1} of {record.channels} is shown")
    return tuple(notes)


def _by_axis(lags: Mapping[str, Sequence[float]]) -> dict[str, Sequence[float]]:
    """Autocorrelation of the last axis as "x" and of the one before it as "y"."""
    return dict(zip("xy", reversed(list(lags.values())), strict=False))
