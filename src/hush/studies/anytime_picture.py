"""The picture of the study `anytime`: PSNR against the seconds of the whole process."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hush.errors import HushError
from hush.io import atomic
from hush.studies.core import Case, Find
from hush.studies.ledger import Ledger

STUDY = "anytime"


def by_series(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """The cases that differ in their time only, the shortest first, by what they share."""
    series: dict[str, list[Case]] = {}
    for case in cases:
        shared = " ".join(v for k, v in case.settings.items() if k != "time")
        series.setdefault(shared, []).append(case)
    return {k: sorted(of, key=lambda c: float(c.settings["time"][:-1])) for k, of in series.items()}


def draw(cases: Sequence[Case], find: Find, path: Path, *, quick: bool) -> None:
    """A panel for every set and noise, a line for every method, into a PNG beside the ledger.

    The line of a method goes on, dashed, where more time changes nothing.
    """
    from matplotlib.figure import Figure

    ledger = Ledger(path)
    lines = {title: _lines(of, ledger) for title, of in by_series(cases).items()}
    lines = {title: of for title, of in lines.items() if of}
    if not lines:
        raise HushError("there is no result to draw")
    columns = min(3, len(lines))
    rows = -(-len(lines) // columns)
    figure = Figure(figsize=(4.4 * columns + 1.6, 3.6 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True).flat
    methods = list(dict.fromkeys(method for of in lines.values() for method in of))
    handles: dict[str, Any] = {}
    times = sorted({float(case.settings["time"][:-1]) for case in cases})
    last = max(seconds for of in lines.values() for line in of.values() for seconds, _ in line)
    for (title, of), panel in zip(lines.items(), panels, strict=False):
        for method, line in of.items():
            colour = f"C{methods.index(method)}"
            handles[method], *_ = panel.plot(*zip(*line, strict=True), "o-", ms=4, color=colour)
            panel.plot([line[-1][0], last], [line[-1][1]] * 2, "--", lw=0.8, color=colour)
        panel.set(title=title, xscale="log", xlabel="seconds, whole process", ylabel="PSNR, dB")
        panel.set_xticks(times, [f"{t:g}" for t in times])
        panel.tick_params(axis="x", which="both", labelbottom=True)
        panel.xaxis.set_minor_formatter("")
        panel.title.set_fontsize("medium")
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(True, axis="y", lw=0.3)
    for panel in panels:  # those left over
        panel.set_visible(False)
    figure.legend(
        handles.values(), handles, loc="outside right upper", frameon=False, fontsize="small"
    )
    with atomic(path.with_suffix(".png")) as partial:
        figure.savefig(partial, dpi=150, format="png")


def _lines(cases: Sequence[Case], ledger: Ledger) -> dict[str, list[tuple[float, float]]]:
    """The mean (seconds, PSNR) of each method in every time."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for case in cases:
        of: dict[str, dict[str, list[float]]] = {}
        for key, cell in ledger.cells.items():
            value = cell.value
            if key.study == STUDY and key.case == case.key() and value is not None:
                of.setdefault(key.method, {}).setdefault(key.metric, []).append(value)
        for method, values in of.items():
            if values.keys() >= {"seconds", "psnr"}:
                point = (_mean(values["seconds"]), _mean(values["psnr"]))
                lines.setdefault(method, []).append(point)
    return lines


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
