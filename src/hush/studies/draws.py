"""DiffDenoise's figure 4: scatter of single samples, means of two random ones, and pairs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hush.errors import HushError
from hush.io import atomic
from hush.metrics import psnr
from hush.studies.core import Case, Find

COUNT, QUICK_COUNT = 50, 5
STUDENT = "diffdenoise"
KINDS = {
    "diffdenoise:single": "one sample",
    "diffdenoise:two-random": "mean of two",
    "diffdenoise:pair": "symmetric pair",
}


def draw_samples(cases: Sequence[Case], find: Find, path: Path, *, quick: bool) -> None:
    """Write ``NAME.draws.png``, and its figures to ``NAME.draws.json``, for the first case with
    a training.

    Existing figures for the same case and number of draws are kept.
    """
    case = next((case for case in cases if case.training), None)
    if case is None:
        return
    count = QUICK_COUNT if quick else COUNT
    values = path.with_suffix(".draws.json")
    if values.exists():
        known = json.loads(values.read_text(encoding="utf-8"))
        if (known["case"], known["count"]) == (case.key(), count):
            return
    drawn = draws(case, find, count)
    record = {"case": case.key(), "count": count, "psnr": drawn}
    plot(drawn, path.with_suffix(".draws.png"))
    values.write_text(json.dumps(record) + "\n", encoding="utf-8")


def draws(case: Case, find: Find, count: int) -> dict[str, list[float]]:
    """PSNR in dB on a case's first image, for `count` draws of each kind and for the student."""
    sample = next(iter(case.samples(0)))

    def score(row: str, **reading: Any) -> float:
        method = find(row, _read(case, row, reading), 0)
        if method is None:
            raise HushError(f"the case {case.key()} has no row '{row}' for figure 4")
        return psnr(method(sample.noisy, sample.noise), sample.reference, 1.0, clip=False)

    drawn = {row: [score(row, seed=k) for k in range(count)] for row in KINDS}
    return {**drawn, STUDENT: [score(STUDENT)]}


def _read(case: Case, row: str, reading: Mapping[str, Any]) -> Case:
    """The case with one row, read from its model with these additional settings."""
    assert case.training is not None
    recipes = {row: case.training.recipes[row].read(**reading)}
    return replace(case, training=replace(case.training, recipes=recipes))


def plot(drawn: Mapping[str, Sequence[float]], path: Path) -> None:
    """Plot a line through the draws of each kind, and a horizontal one for the student."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for row, label in KINDS.items():
        axes.plot(range(1, len(drawn[row]) + 1), drawn[row], ".-", linewidth=1, label=label)
    axes.axhline(drawn[STUDENT][0], color="tab:red", label="student")
    axes.set(xlabel="draw", ylabel="PSNR, dB")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=2)
    with atomic(path) as partial:
        figure.savefig(partial, dpi=150, format="png")
