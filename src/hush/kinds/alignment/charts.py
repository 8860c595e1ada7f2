"""Plots about the rows of an alignment: coverage, identity, fit, scores and steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hush.kinds.alignment.profile import MISFIT
from hush.report import plots
from hush.report.frame import Chart

BINS = 25
KEY = (("one", "kept"), ("two", "removed"))


def coverage(before: np.ndarray, after: np.ndarray | None) -> Chart:
    """The share of rows that have a residue in each column, of bool rows ``(N, L)``."""
    columns = np.arange(before.shape[1]) + 1
    every = {"before": ("two", columns, 100 * before.mean(0))}
    if after is not None:
        every["after"] = ("one", columns, 100 * after.mean(0))
    else:
        every = {"all rows": ("one", columns, 100 * before.mean(0))}
    key = (("two", "before"), ("one", "after")) if after is not None else ()
    svg = plots.curves(
        every, "Rows with a residue in each column", "column", "rows, %", y_range=(0.0, 103.0)
    )
    return Chart("How full are the columns?", svg, "Share of the rows that have a residue.", key)


def likeness(identity: np.ndarray, kept: np.ndarray | None) -> list[Chart]:
    """How many rows have which identity to the query, ``(N,)``, NaN if unknown."""
    known = np.isfinite(identity)
    if known.sum() < 2:
        return []
    edges = np.linspace(0, 100, BINS + 1)
    svg = _histogram(100 * identity, kept, edges, "identity to the query, %")
    caption = "Share of equal residues in columns where the row and the query both have one."
    return [Chart("How similar are rows to the query?", svg, caption, _key(kept))]


def fits(z: np.ndarray, kept: np.ndarray | None) -> list[Chart]:
    """How many rows fit the family how well (`profile.fit`), ``(N,)``."""
    known = np.isfinite(z)
    if known.sum() < 2:
        return []
    ends = min(-3.0, float(np.nanquantile(z, 0.001))), max(6.0, float(np.nanquantile(z, 0.999)))
    edges = np.linspace(*ends, BINS + 1)
    svg = _histogram(
        np.clip(z, *ends), kept, edges, "standard deviations above shuffled rows", MISFIT
    )
    few = int((~known).sum())
    left = f" {few:,} rows with too few residues are left out." if few else ""
    return [
        Chart(
            "Which rows are misaligned?",
            svg,
            "The residues of a row in the family's profile, compared with the same residues in "
            f"random order. Rows left of the line look misaligned.{left}",
            _key(kept),
        )
    ]


def scores(score: np.ndarray | None, kept: np.ndarray | None) -> list[Chart]:
    """How many rows have which score of the method, ``(N,)``, NaN if unknown."""
    if score is None or kept is None or not np.isfinite(score).any():
        return []
    judged = np.isfinite(score)
    lowest = float(score[judged & kept].min()) if (judged & kept).any() else None
    gone = score[judged & ~kept]
    cut = lowest is not None and (not gone.size or gone.max() < lowest)
    said = "The score alone did not decide."
    if cut and lowest is not None:
        said = f"All rows with a score of at least {plots.number(round(lowest, 3))} were kept."
    edges = np.linspace(0, 1, BINS + 1)
    svg = _histogram(
        np.clip(score, 0, 1),
        kept,
        edges,
        "how much a row is worth keeping",
        lowest if cut else None,
    )
    return [Chart("How does the method score them?", svg, said, KEY)]


def steps(trace: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """The share of noise before each step, and of the rows that it removed."""
    if len(trace) < 2:
        return []
    rows = [(t["step"], 100 * t["level"], 100 * t["removed_rms"]) for t in trace]
    svg = plots.steps(rows, "Share of noise seen in each step, and share of rows removed", "%")
    key = (("one", "noise seen"), ("bars", "removed"))
    return [Chart("Step by step", svg, "In percent of all rows.", key)]


def _key(kept: np.ndarray | None) -> tuple[tuple[str, str], ...]:
    return () if kept is None else KEY


def _histogram(
    values: np.ndarray,
    kept: np.ndarray | None,
    edges: np.ndarray,
    name: str,
    mark: float | None = None,
) -> str:
    """Bars of the finite values ``(N,)``, those of kept rows below those of removed ones."""
    known = np.isfinite(values)
    left = np.ones(len(values), bool) if kept is None else kept
    counts = [np.histogram(values[known & some], edges)[0] for some in (left, ~left)]
    series = {"kept" if kept is not None else "rows": ("kept", counts[0])}
    if kept is not None:
        series["removed"] = ("gone", counts[1])
    return plots.stacked(edges, series, f"Rows by {name}", name, "rows", mark=mark)
