"""A study's results on screen: our figures beside the published ones, significant bests marked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from hush.metrics import paired_p_value
from hush.studies.core import Case, Metric, Study
from hush.studies.ledger import Cell, Ledger
from hush.studies.resampling import Resampling

if TYPE_CHECKING:
    from rich.console import RenderableType

SIGNIFICANT = 0.05
ENOUGH = 20  #: samples for a bootstrap, which takes too few of them for all there are
MISSING = "–"


@dataclass(frozen=True, eq=False)
class Row:
    """One line of a table, a method with its variant: by metric, its cells and per-sample values
    for each seed, and the published figure. reference : it uses information users do not have;
    group : the subject of a sample, from its name; runs : whether errors are those over runs."""

    label: str
    reference: bool = False
    group: Callable[[str], str] | None = None
    runs: bool = False
    cells: dict[str, list[Cell]] = field(default_factory=dict)
    samples: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    paper: dict[str, float] = field(default_factory=dict)

    def mean(self, metric: str) -> float:
        """Mean over seeds; NaN without finite values."""
        values = [c.value for c in self.cells.get(metric, []) if c.value is not None]
        return float(np.mean(values)) if values else float("nan")

    def error(self, metric: str) -> float:
        """Standard error of the mean over samples, half the 95 % interval over subjects, or the
        standard deviation over runs; NaN for fewer than two."""
        if self.runs:
            means = [c.value for c in self.cells.get(metric, []) if c.value is not None]
            return float(np.std(means, ddof=1)) if len(means) > 1 else np.nan
        samples = self.per_sample(metric)
        values = list(samples.values())
        if self.group is not None:
            subjects: dict[str, list[float]] = {}
            for name, value in samples.items():
                subjects.setdefault(self.group(name), []).append(value)
            values = [float(np.mean(of)) for of in subjects.values()]
        if len(values) < 2:
            return np.nan
        error = float(np.std(values, ddof=1) / len(values) ** 0.5)
        return error if self.group is None else error * _quantile(len(values) - 1)

    def per_sample(self, metric: str) -> dict[str, float]:
        """Each sample's mean over seeds, because seeds of one sample are not independent."""
        seeds = [values for values in self.samples.get(metric, []) if values]
        names = set(seeds[0]).intersection(*seeds[1:]) if seeds else set()
        return {name: float(np.mean([values[name] for values in seeds])) for name in names}


def groups(study: Study, ledger: Ledger, cases: Sequence[Case]) -> dict[str, list[Row]]:
    """The rows to compare with each other, by the common settings of their cases.

    Methods with published figures only are rows without cells.
    """
    tables: dict[str, dict[str, Row]] = {}
    for case, fit in product(cases, dict.fromkeys(m.variant for m in study.metrics)):
        settings = case.key(fit).split(";")
        varied = [s for s in settings if s.partition("=")[0] in (*study.variants, "model")]
        rows = tables.setdefault(";".join(s for s in settings if s not in varied), {})
        for key, cell in ledger.cells.items():
            if (key.study, key.case) == (study.name, case.key(fit)):
                label = " ".join([key.method, *varied])
                reference = cell.reference or study.is_reference(key.method, case)
                made = Row(label, reference, study.group, study.runs > 1)
                row = rows.setdefault(label, made)
                row.cells.setdefault(key.metric, []).append(cell)
                row.samples.setdefault(key.metric, []).append(ledger.values.get(key, {}))
        published = [s for s in varied if not s.startswith("model=")]
        for (method, full), figure in case.paper.items():
            metric, _, variant = full.partition(";")
            if variant not in ("", fit):
                continue
            label = " ".join([method, *published])
            reference = study.is_reference(method, case)
            rows.setdefault(label, Row(label, reference)).paper[metric] = figure
    return {common: list(rows.values()) for common, rows in tables.items() if rows}


def best(rows: Sequence[Row], metric: Metric, resampling: Resampling | None = None) -> Row | None:
    """The best row, if its paired difference to the next is significant; otherwise None.

    References are excluded, and metrics that are not a goal of denoising have no best row.
    """
    if not metric.judge:
        return None
    ranked = [r for r in rows if not r.reference and np.isfinite(r.mean(metric.name))]
    ranked.sort(key=lambda r: r.mean(metric.name), reverse=metric.higher_is_better)
    if len(ranked) < 2:
        return None
    first, second = (r.per_sample(metric.name) for r in ranked[:2])
    shared = sorted(first.keys() & second.keys())
    if resampling is not None and len(shared) >= ENOUGH:
        return ranked[0] if resampling.difference(first, second).p < SIGNIFICANT else None
    p = paired_p_value([first[n] for n in shared], [second[n] for n in shared])
    return ranked[0] if p < SIGNIFICANT else None


def tables(study: Study, ledger: Ledger, cases: Sequence[Case]) -> Iterator[RenderableType]:
    """One table per setting of the cases, then a legend, for a rich console."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    every = {m.name: m for m in study.metrics}
    spread = "standard error over samples"
    if study.group is not None:
        spread = "95 % confidence interval over subjects"
    if study.runs > 1:
        spread = "standard deviation over runs"
    for common, rows in groups(study, ledger, cases).items():
        shown = {name for row in rows for name in (*row.cells, *row.paper)}
        metrics = {name: metric for name, metric in every.items() if name in shown}
        counts = [c.n for row in rows for cells in row.cells.values() for c in cells]
        if not counts:
            continue
        published = {name for row in rows for name in row.paper}
        table = Table("method")
        bases = [row for label in study.against for row in rows if row.label == label]
        for name in metrics:
            table.add_column(
                name.upper(), justify="right", style="" if metrics[name].judge else "dim"
            )
            if name in published:
                table.add_column("published", justify="right", style="dim")
            for base in _compared(bases, metrics[name]):
                table.add_column(f"− {base.label}", justify="right", overflow="fold")
        winners = {name: best(rows, m, study.resampling) for name, m in metrics.items()}
        for row in rows:
            line = [row.label]
            for name, metric in metrics.items():
                mark = "[bold green]{} ★[/]" if winners[name] is row else "{}  "
                error = _figure(row.error(name), metric)
                figure = _figure(row.mean(name), metric)
                line.append(mark.format(figure if error == MISSING else f"{figure} ± {error}"))
                if name in published:
                    line.append(_figure(row.paper.get(name, np.nan), metric))
                for base in _compared(bases, metric):
                    line.append(MISSING if row is base else _difference(study, row, base, metric))
            table.add_row(*line, style="dim" if row.reference else "")
        yield Group(Text(f"{common.replace(';', '  ')}  n={max(counts)}", style="bold"), table)
    yield Text(
        f"★ best, if its paired difference to the next is significant (p < {SIGNIFICANT}); "
        f"± {spread}; "
        "dim, never marked: rows that use information users do not have, and metrics that are not "
        "a goal of denoising; published figures are for whole sets"
        + (f"; −: difference to that row, {_uncertainty(study)}" if study.against else ""),
        style="dim",
    )


def _compared(bases: Sequence[Row], metric: Metric) -> Sequence[Row]:
    """The rows to which a metric's differences are stated."""
    return [base for base in bases if metric.judge and base.per_sample(metric.name)]


def _difference(study: Study, row: Row, base: Row, metric: Metric) -> str:
    ours, theirs = row.per_sample(metric.name), base.per_sample(metric.name)
    if study.paired:
        apart = [ours[name] - theirs[name] for name in ours.keys() & theirs.keys()]
        error = float(np.std(apart, ddof=1) / len(apart) ** 0.5) if len(apart) > 1 else np.nan
        value = float(np.mean(apart)) if apart else np.nan
        return f"{value:+.{metric.digits}f} ± {_figure(error, metric)}"
    resampling = study.resampling or Resampling()
    value, low, high, _ = resampling.difference(ours, theirs)
    if not np.isfinite(value):
        return MISSING
    text = f"{value:+.{metric.digits}f} [{low:+.{metric.digits}f}, {high:+.{metric.digits}f}]"
    if not study.relative:
        return text
    ratio = resampling.relative(ours, theirs).value
    return f"{text} {100 * ratio:+.1f} %" if np.isfinite(ratio) else text


def _uncertainty(study: Study) -> str:
    """What differences are stated with."""
    return "its standard error over samples" if study.paired else "95 % interval by bootstrap"


def _quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's distribution."""
    from scipy.stats import t

    return float(t.ppf(0.975, freedom))


def _figure(value: float, metric: Metric) -> str:
    return f"{value:.{metric.digits}f}" if np.isfinite(value) else MISSING
