"""Studies as data: cases × methods × metrics × seeds, and the loop that runs them.

A `Study` has cases; a `Case` provides samples and published figures to compare with. A run fills a
`Ledger` cell by cell and skips the cells that are already in it.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hush.errors import HushError
from hush.methods import METHODS
from hush.metrics import psnr, ssim
from hush.record import Record
from hush.studies.ledger import Cell, Key, Ledger
from hush.studies.resampling import Resampling
from hush.studies.sample import Sample
from hush.studies.trained import Apply, Method, Training, restored

if TYPE_CHECKING:
    from hush.denoiser import Denoiser

#: a row of one study alone: sample → result, or None to leave the sample out
Row = Callable[[Sample], Any]
#: (row name, case, seed) → method, or None if the case does not apply to it
Find = Callable[[str, "Case", int], Method | None]
#: called with (current work, number of finished samples, total number)
Progress = Callable[[str, int, int], None]
#: called with a sentence on what is left out
Note = Callable[[str], None]


LONG = 5.0  #: seconds that a sample takes, from which on its values are kept at once


def ignore(text: str) -> None:
    """A `Note` that discards its text."""


def left_out(reasons: Sequence[str], rest: Sequence[Any], note: Note) -> None:
    """Give `note` the reasons why data are left out; a `HushError` has them if there is no rest."""
    if reasons and not rest:
        raise HushError("; ".join(reasons))
    for reason in reasons:
        note(reason)


@dataclass(frozen=True)
class Metric:
    """A score of a result against its reference.

    score : of the two; with `by_sample`, of the result and its `Sample`, for scores that depend on
        more than the reference. It may return a score for each part of a sample, by name; a sample
        without any is left out.
    variant : ``key=value``, or several joined by ``;``, added to the case's settings, for another
        evaluation of the same results (such as PSNR after a fit of gain and offset).
    judge : whether it is a goal of denoising; False for diagnostics such as time, and for metrics
        that reward smoothing.
    helper : of the case's training, that the score needs; where there is none, the metric is left
        out.
    """

    name: str
    score: Callable[[Any, Any], float | Mapping[str, float]]
    higher_is_better: bool = True
    digits: int = 2
    variant: str = ""
    judge: bool = True
    by_sample: bool = False
    helper: str = ""

    def of(self, result: Any, sample: Sample) -> dict[str, float]:
        """The scores of a sample's result, by name: the sample's, or those of its parts."""
        score = self.score(result, sample if self.by_sample else sample.reference)
        if isinstance(score, Mapping):
            return {f"{sample.name}/{part}": value for part, value in score.items()}
        return {sample.name: score}

    @property
    def full(self) -> str:
        """Its name, and its variant if there is one, as in `Case.paper`."""
        return ";".join(filter(None, (self.name, self.variant)))

    @property
    def settings(self) -> dict[str, str]:
        """Those of its variant."""
        return dict(v.partition("=")[::2] for v in self.variant.split(";"))

    def matches(self, where: Mapping[str, str]) -> bool:
        """Whether every setting of its variant matches its pattern; missing ones count as empty."""
        return matching(self.settings, where)


def matching(settings: Mapping[str, str], where: Mapping[str, str]) -> bool:
    """Whether every setting in `where` matches its pattern; missing ones count as empty."""
    return all(fnmatch(settings.get(k, ""), pattern) for k, pattern in where.items())


PSNR = Metric("psnr", partial(psnr, data_range=1.0))
SSIM = Metric("ssim", partial(ssim, data_range=1.0), digits=4)


@dataclass(frozen=True)
class Case:
    """One setting of a study.

    settings : the contents of a cell's ``case``, in order; count : number of samples.
    samples : the samples for a seed, always the same ones.
    options : fields of the method that this case sets (methods without them are left out), and
        its ``model``.
    paper : (method, metric) → published figure; of a metric with a variant, its `Metric.full`.
    training : the data that methods are trained on for this case, and the recipes of its rows; None
        without training.
    kind : of data.
    told : whether methods are given the noise of the samples. For methods trained in the case,
        their recipe decides.
    metrics : names of those that make sense here; None for all of the study.
    without : rows that are left out here.
    apply : how a method is applied to a sample's noisy data, if the result is not an array.
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
    without: Collection[str] = ()
    apply: Apply = restored

    def key(self, variant: str = "") -> str:
        """The cell's ``case``, ``key=value;…``."""
        parts = [f"{k}={v}" for k, v in self.settings.items()]
        return ";".join([*parts, variant] if variant else parts)

    def matches(self, where: Mapping[str, str]) -> bool:
        """Whether every setting in `where` matches its pattern; missing ones count as empty."""
        return matching(self.settings, where)

    def helper(self, name: str, seed: int) -> Denoiser | None:
        """A helper of its training, or None."""
        if not (name and self.training and name in self.training.helpers):
            return None
        return self.training.helper(name, seed)

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
    skipped and reported to `note`; `HushError` if none is left. Options of the study are further
    arguments, with a default.
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


class Derived(Protocol):
    """Adds the cells that follow from others to a ledger, where they are new or have changed."""

    def __call__(self, study: Study, cases: Sequence[Case], ledger: Ledger) -> None: ...


class Picture(Protocol):
    """Draws a figure from cases and their methods, into files with the name of `path`."""

    def __call__(self, cases: Sequence[Case], find: Find, path: Path, *, quick: bool) -> None: ...


@dataclass(frozen=True)
class Study:
    """A table of a paper.

    methods : its rows. ``mid`` and ``diffdenoise`` are the defaults that users get, ``mid:NAME``
        are variants; ``none`` does nothing. rows_trained : makes the rows where methods are
        trained, if they are others.
    rows : those that only this study has, as functions of a sample. They may use its reference.
    references : rows that use information users do not have, besides those marked by recipes.
    variants : settings compared within one table, such as ``steps``; all others get separate
        tables.
    picture : draws a figure into files beside the ledger's.
    derived : adds what follows from finished cells, such as a difference between two cases.
    group : the subject of a sample, from its name. Samples of one subject are not independent, so
        tables then show 95 % confidence intervals over subjects.
    runs : how often samples are scored, with a seed each, where no seeds are given; twice in quick
        runs. With more than one, samples and methods do not depend on the seed, and a sample is
        denoised once.
    resampling : how samples are weighed, and resampled for intervals of differences.
    against : rows to which tables state the others' differences; relative : also in percent;
        paired : with their standard error over samples, instead of an interval.
    options : sizes that users may set, further arguments of `cases`, by name: a function that reads
        the option's text.
    synthetic : whether samples are made and no data are read.
    """

    name: str
    title: str
    cases: FindCases
    methods: Sequence[str]
    metrics: Sequence[Metric] = (PSNR, SSIM)
    variants: Sequence[str] = ()
    picture: Picture | None = None
    derived: Derived | None = None
    references: Collection[str] = ()
    rows: Mapping[str, Row] = field(default_factory=dict)
    group: Callable[[str], str] | None = None
    runs: int = 1
    resampling: Resampling | None = None
    against: Sequence[str] = ()
    relative: bool = False
    paired: bool = False
    options: Mapping[str, Callable[[str], Any]] = field(default_factory=dict)
    synthetic: bool = False
    rows_trained: Callable[[], Sequence[str]] | None = None

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
    from hush.kinds import get as kind_of
    from hush.methods import get, make
    from hush.models import load, shipped

    untrained = f"there is nothing to train {name} on and no model of it is shipped; give --train"

    if case.training:
        if recipe := case.training.recipes.get(name):
            return case.training.method(recipe, seed, device, case.apply)
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

    def method(noisy: Any, noise: Any) -> Any:
        channels = kind_of(case.kind).joint(noisy) if isinstance(noisy, Record) else len(noisy)
        if channels not in ready:
            ready[channels] = prepare(channels)
        return case.apply(ready[channels], noisy, noise if case.told else None)

    return method


def _row(study: Study, name: str, case: Case, seed: int, find: Find) -> Row | None:
    """A row as a function of a sample; None if it does not apply to the case."""
    if name in case.without:
        return None
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
        if study.runs > 1:
            _fill(ledger, study, case, method_name, 0, seeds, find, progress)
            continue
        for seed in seeds:
            _fill(ledger, study, case, method_name, seed, [seed], find, progress)


def _fill(
    ledger: Ledger,
    study: Study,
    case: Case,
    method_name: str,
    seed: int,
    runs: Sequence[int],
    find: Find,
    progress: Progress,
) -> None:
    """The missing cells of a case: samples and method have a seed, and the scores one each run."""
    keys = [
        (metric, Key(study.name, case.key(metric.variant), method_name, metric.name, run))
        for metric in study.metrics
        if case.metrics is None or metric.name in case.metrics
        for run in runs
    ]
    missing = [(metric, key) for metric, key in keys if key not in ledger]
    helpers = {name: case.helper(name, seed) for name in {m.helper for m, _ in missing}}
    missing = [(m, key) for m, key in missing if not m.helper or helpers[m.helper]]
    if not missing:
        return
    scores: dict[Key, dict[str, float]] = {key: {} for _, key in missing}
    label = f"{method_name} · {case.key()} · seed {', '.join(map(str, runs))}"
    progress(label, 0, case.count)
    row = _row(study, method_name, case, seed, find)
    if row is None:
        return
    for done, sample in enumerate(case.samples(seed), 1):
        made = ledger.noted(sample.name, scores)
        if made is None:
            made, began = {}, time.monotonic()
            result = row(sample)
            for metric, key in missing if result is not None else ():
                run = dataclasses.replace(sample, seed=key.seed, helper=helpers[metric.helper])
                made[key] = metric.of(result, run)
            if time.monotonic() - began > LONG:
                ledger.note(sample.name, made)
        for key, values in made.items():
            scores[key].update(values)
        progress(label, done, case.count)
    mean = study.resampling.mean if study.resampling else None
    for metric, key in missing:
        paper = case.paper.get((method_name, metric.full))
        cell = Cell.of(
            key,
            metric.higher_is_better,
            scores[key],
            paper,
            reference=study.is_reference(method_name, case),
            judge=metric.judge,
            mean=mean,
        )
        ledger.add(cell, scores[key])
