"""Studies as data: cases × methods × metrics × seeds, and the loop that runs them.

A `Study` has cases; a `Case` provides samples and published figures to compare with. A run fills a
`Ledger` cell by cell and skips the cells that are already in it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hush.errors import HushError
from hush.methods import METHODS
from hush.metrics import psnr, ssim
from hush.studies.ledger import Cell, Key, Ledger
from hush.studies.sample import Sample
from hush.studies.trained import Training

#: (noisy, noise it has or None) → result
Method = Callable[[np.ndarray, Any], np.ndarray]
#: a row of one study alone: sample → result
Row = Callable[[Sample], np.ndarray]
#: (row name, case, seed) → method, or None if the case does not apply to it
Find = Callable[[str, "Case", int], Method | None]
#: called with (current work, number of finished samples, total number)
Progress = Callable[[str, int, int], None]
#: called with a sentence on what is left out
Note = Callable[[str], None]


def ignore(text: str) -> None:
    """A `Note` that discards its text."""


@dataclass(frozen=True)
class Metric:
    """A score of a result against its reference.

    score : of the two; with `by_sample`, of the result and its `Sample`, for scores that depend on
        more than the reference.
    variant : ``key=value``, added to the case's settings, for another evaluation of the same
        results (such as PSNR after a fit of gain and offset).
    judge : whether it is a goal of denoising; False for diagnostics such as time, and for metrics
        that reward smoothing.
    """

    name: str
    score: Callable[[np.ndarray, Any], float]
    higher_is_better: bool = True
    digits: int = 2
    variant: str = ""
    judge: bool = True
    by_sample: bool = False

    def of(self, result: np.ndarray, sample: Sample) -> float:
        """The score of a sample's result."""
        return self.score(result, sample if self.by_sample else sample.reference)


PSNR = Metric("psnr", psnr)
SSIM = Metric("ssim", ssim, digits=4)


@dataclass(frozen=True)
class Case:
    """One setting of a study.

    settings : the contents of a cell's ``case``, in order; count : number of samples.
    samples : the samples for a seed, always the same ones.
    options : fields of the method that this case sets (methods without them are left out), and
        its ``model``.
    paper : (method, metric) → published figure.
    training : the data that methods are trained on for this case, and the recipes of its rows; None
        without training.
    kind : of data.
    told : whether methods are given the noise of the samples. For methods trained in the case,
        their recipe decides.
    metrics : names of those that make sense here; None for all of the study.
    """

    settings: Mapping[str, str]
    samples: Callable[[int], Iterable[Sample]]
    count: int
    options: Mapping[str, Any] = field(default_factory=dict)
    paper: Mapping[tuple[str, str], float] = field(default_factory=dict)
    training: Training | None = None
    kind: str = "image"
    told: bool = True
    metrics: Collection[str] | None = None

    def key(self, variant: str = "") -> str:
        """The cell's ``case``, ``key=value;…``."""
        parts = [f"{k}={v}" for k, v in self.settings.items()]
        return ";".join([*parts, variant] if variant else parts)

    def matches(self, where: Mapping[str, str]) -> bool:
        """Whether every setting in `where` matches its pattern; missing ones count as empty."""
        return all(fnmatch(self.settings.get(k, ""), pattern) for k, pattern in where.items())

    def using(self, model: Path) -> Case:
        """This case with the weights in the file `model`."""
        settings = {**self.settings, "model": model.stem}
        options = {**self.options, "model": model}
        return dataclasses.replace(self, settings=settings, options=options)

    def trained(self, folder: Path, budget: float | None = None) -> Case:
        """This case with its models kept in `folder`, each trained for `budget` seconds."""
        if self.training is None:
            return self
        budget = budget or self.training.budget
        training = dataclasses.replace(self.training, folder=folder, budget=budget)
        settings = {**self.settings, "budget": f"{budget:g}s"}
        return dataclasses.replace(self, settings=settings, training=training)


class FindCases(Protocol):
    """Finds the cases that are possible with the data in a folder.

    only : pattern for folder names. data : the folder with test data. train : a folder with
    training data; then all of `data` is tested, otherwise it is split. Missing data sets are
    skipped and reported to `note`; `HushError` if none is left.
    """

    def __call__(
        self,
        data: Path,
        *,
        quick: bool,
        only: str | None,
        train: Path | None = None,
        note: Note = ignore,
    ) -> Sequence[Case]: ...


class Picture(Protocol):
    """Draws a figure from cases and their methods, into files with the name of `path`."""

    def __call__(self, cases: Sequence[Case], find: Find, path: Path, *, quick: bool) -> None: ...


@dataclass(frozen=True)
class Study:
    """A table of a paper.

    methods : its rows. ``mid`` and ``diffdenoise`` are the defaults that users get, ``mid:NAME``
        are variants; ``none`` does nothing.
    rows : those that only this study has, as functions of a sample. They may use its reference.
    references : rows that use information users do not have, besides those marked by recipes.
    variants : settings compared within one table, such as ``steps``; all others get separate
        tables.
    picture : draws a figure into files beside the ledger's.
    group : the subject of a sample, from its name. Samples of one subject are not independent, so
        tables then show 95 % confidence intervals over subjects.
    """

    name: str
    title: str
    cases: FindCases
    methods: Sequence[str]
    metrics: Sequence[Metric] = (PSNR, SSIM)
    variants: Sequence[str] = ()
    picture: Picture | None = None
    references: Collection[str] = ()
    rows: Mapping[str, Row] = field(default_factory=dict)
    group: Callable[[str], str] | None = None

    def is_reference(self, row: str, case: Case) -> bool:
        """Whether a row uses information users do not have, such as clean targets or the noise."""
        recipe = case.training and case.training.recipes.get(row)
        return row in self.references or bool(recipe and recipe.is_reference)


def find_method(name: str, case: Case, seed: int, device: str = "cpu") -> Method | None:
    """The method of a row as a function, or None if it lacks a field of the case's options.

    If the case has a training with a recipe for the row, the method is trained there. Other trained
    methods use the weights in ``options["model"]`` or shipped ones. Raises `HushError` if there are
    none.
    """
    from hush.denoiser import Denoiser
    from hush.methods import get, make
    from hush.models import load, shipped

    untrained = f"there is nothing to train {name} on and no model of it is shipped; give --train"

    if case.training:
        if recipe := case.training.recipes.get(name):
            return case.training.method(recipe, seed, device)
        if name not in METHODS:
            return None
    elif ":" in name and name not in METHODS:  # a variant without weights
        raise HushError(untrained)
    cls, options = get(name, case.kind), case.options
    fields = {option: value for option, value in options.items() if option != "model"}
    if not fields.keys() <= {f.name for f in dataclasses.fields(cls)}:
        return None
    ready: dict[int, Denoiser] = {}  # by number of channels

    def prepare(channels: int) -> Denoiser:
        if cls.learns_from == "nothing":
            return make(name, case.kind, **fields)
        model = options.get("model") or shipped(name, channels, case.kind)
        if model is None:
            raise HushError(untrained)
        denoiser = load(model)
        if denoiser.name != name:
            raise HushError(f"{model} is a {denoiser.name} model, not a {name} model")
        return denoiser.replace(**fields).to(device)

    def method(noisy: np.ndarray, noise: Any) -> np.ndarray:
        channels = noisy.shape[0]
        if channels not in ready:
            ready[channels] = prepare(channels)
        return ready[channels].restored(noisy, noise if case.told else None)

    return method


def _row(study: Study, name: str, case: Case, seed: int, find: Find) -> Row | None:
    """A row as a function of a sample; None if it does not apply to the case."""
    if case.options and name not in METHODS:  # they have no fields to set
        return None
    if name in study.rows:
        return study.rows[name]
    method = find(name, case, seed)
    return method and (lambda sample: method(sample.noisy, sample.noise))


def fill(
    ledger: Ledger,
    study: Study,
    cases: Sequence[Case],
    method_name: str,
    seeds: Sequence[int],
    find: Find,
    progress: Progress,
) -> None:
    """Compute the cells of one method that are not in `ledger` yet."""
    for case in cases:
        for seed in seeds:
            keys = {
                m: Key(study.name, case.key(m.variant), method_name, m.name, seed)
                for m in study.metrics
                if case.metrics is None or m.name in case.metrics
            }
            missing = {m: key for m, key in keys.items() if key not in ledger}
            if not missing:
                continue
            scores: dict[Metric, dict[str, float]] = {m: {} for m in missing}
            label = f"{method_name} · {case.key()} · seed {seed}"
            progress(label, 0, case.count)
            row = _row(study, method_name, case, seed, find)
            if row is None:
                continue
            for done, sample in enumerate(case.samples(seed), 1):
                result = row(sample)
                for metric in missing:
                    scores[metric][sample.name] = metric.of(result, sample)
                progress(label, done, case.count)
            for metric, key in missing.items():
                paper = case.paper.get((method_name, metric.name))
                cell = Cell.of(
                    key,
                    metric.higher_is_better,
                    scores[metric],
                    paper,
                    reference=study.is_reference(method_name, case),
                    judge=metric.judge,
                )
                ledger.add(cell, scores[metric])
