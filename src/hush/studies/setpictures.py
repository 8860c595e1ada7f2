"""Pictures of studies of sets: scores of every estimator, and a sample before and after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hush.errors import HushError
from hush.io import atomic
from hush.studies.core import Case, Find, Study
from hush.studies.ledger import Ledger
from hush.studies.sample import Sample
from hush.studies.table import Row, groups

#: (axes, sample, which elements are kept): draws them and the models fitted to them
Panel = Callable[[Any, Sample, np.ndarray], None]
SHOWN = "mid"  #: the row of a sample after denoising


def draw_curves(study: Study, cases: Sequence[Case], path: Path, setting: str, metric: str) -> None:
    """A panel for every estimator: a metric against a setting of the cases, a line for each row.

    Bars are standard deviations over runs.
    """
    ledger = Ledger(path.with_suffix("").with_suffix(".json"))
    panels: dict[str, dict[str, list[tuple[float, float, float]]]] = {}
    for name, case, row in _rows(study, ledger, cases):
        value = row.mean(metric)
        if np.isfinite(value):
            point = (float(case.settings[setting]), value, row.error(metric))
            panels.setdefault(name, {}).setdefault(row.label, []).append(point)
    if not panels:
        raise HushError(f"there is no {metric} to draw")
    figure, all_axes = _panels(len(panels))
    for axes, (name, of) in zip(all_axes, panels.items(), strict=True):
        for label, points in of.items():
            x, y, error = np.transpose(sorted(points))
            axes.errorbar(x, y, np.nan_to_num(error), label=label, marker=".", capsize=2)
        axes.set(title=name, xlabel=setting, ylabel=metric)
    all_axes[-1].legend(frameon=False, fontsize="small")
    _write(figure, path)


def draw_bars(study: Study, cases: Sequence[Case], path: Path, metric: str) -> None:
    """A panel for every case: a metric of every row, a colour for each estimator.

    Bars at the ends are standard deviations over runs.
    """
    ledger = Ledger(path.with_suffix("").with_suffix(".json"))
    panels: dict[str, dict[str, dict[str, tuple[float, float]]]] = {}
    for name, case, row in _rows(study, ledger, cases):
        value = row.mean(metric)
        if np.isfinite(value):
            of = panels.setdefault(case.key(), {}).setdefault(name, {})
            of[row.label] = (value, row.error(metric))
    if not panels:
        raise HushError(f"there is no {metric} to draw")
    figure, all_axes = _panels(len(panels), width=7.0)
    for axes, (title, estimators) in zip(all_axes, panels.items(), strict=True):
        labels = list(dict.fromkeys(label for of in estimators.values() for label in of))
        for k, (name, of) in enumerate(estimators.items()):
            shift = (k - (len(estimators) - 1) / 2) * 0.8 / len(estimators)
            at = [i + shift for i, label in enumerate(labels) if label in of]
            values, errors = np.transpose([of[label] for label in labels if label in of])
            axes.bar(at, values, 0.8 / len(estimators), yerr=np.nan_to_num(errors), label=name)
        axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
        axes.set(title=title.replace(";", "  "), ylabel=metric)
    all_axes[-1].legend(frameon=False, fontsize="small")
    _write(figure, path)


def draw_sample(case: Case, find: Find, path: Path, panel: Panel) -> None:
    """A case's first sample: all elements, and those that `SHOWN` keeps, with fitted models."""
    sample = next(iter(case.samples(0)))
    method = find(SHOWN, case, 0)
    if method is None:
        raise HushError(f"the case {case.key()} has no row '{SHOWN}'")
    kept = method(sample.noisy, None).kept
    figure, (before, after) = _panels(2, width=5.0, height=5.0)
    panel(before, sample, np.ones_like(kept))
    panel(after, sample, kept)
    before.set_title(f"before: {len(kept)} elements")
    after.set_title(f"after: {int(kept.sum())} elements")
    _write(figure, path)


def _rows(study: Study, ledger: Ledger, cases: Sequence[Case]) -> Sequence[tuple[str, Case, Row]]:
    """(estimator, case, row) of everything that has an estimator."""
    found = []
    for case in cases:
        for common, rows in groups(study, ledger, [case]).items():
            variant = common.removeprefix(case.key()).strip(";")
            found += [(variant.replace("estimator=", ""), case, r) for r in rows if variant]
    return found


def _panels(count: int, width: float = 4.6, height: float = 4.2) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * count, height), layout="constrained")
    panels = figure.subplots(1, count, squeeze=False)[0]
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _write(figure: Any, path: Path) -> None:
    with atomic(path) as partial:
        figure.savefig(partial, dpi=150, format="png")
