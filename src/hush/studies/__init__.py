"""Reproduce the papers' tables: our figures beside the published ones.

All figures are made by `run`. A study is data (`hush.studies.core.Study`); its results are one JSON
line per cell, and an interrupted run can be continued.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import product
from os import environ
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hush.errors import HushError
from hush.methods import METHODS, get
from hush.studies.ablation import ABLATION
from hush.studies.anytime import ANYTIME
from hush.studies.core import Case, Find, Progress, Study, fill, find_method
from hush.studies.correspondences import CORRESPONDENCES, LEAVE_ONE_OUT
from hush.studies.diffdenoise import DIFFDENOISE
from hush.studies.images import IMAGES
from hush.studies.ledger import Cell, Key, Ledger
from hush.studies.lines import LINES
from hush.studies.mri import MRI
from hush.studies.msa import MSA
from hush.studies.pairs import PAIRS
from hush.studies.semg import SEMG
from hush.studies.sensitivity import SENSITIVITY
from hush.studies.table import tables
from hush.studies.vanishing import VANISHING
from hush.table import Table

if TYPE_CHECKING:
    from rich.console import RenderableType

SETS = (LINES, CORRESPONDENCES, LEAVE_ONE_OUT, VANISHING)
#: studies by name: those of hush, and those of packages with entry points ``hush.studies``
STUDIES: Mapping[str, Study] = ChainMap(
    {
        study.name: study
        for study in (
            IMAGES,
            ABLATION,
            SENSITIVITY,
            ANYTIME,
            *SETS,
            SEMG,
            MRI,
            MSA,
            PAIRS,
            *DIFFDENOISE,
        )
    },
    Table("hush.studies", {}),  # type: ignore[arg-type]  # never written to
)


QUICK_RUNS = 2  #: of studies with several


@dataclass(frozen=True)
class Results:
    """The results of a run: the ledger with all finished cells, and notes on what was left out."""

    study: Study
    cases: Sequence[Case]
    ledger: Ledger
    notes: list[str] = field(default_factory=list)

    @property
    def cells(self) -> list[Cell]:
        """The cells of this run's cases, in the order in which they were finished."""
        keys = {case.key(m.variant) for case in self.cases for m in self.study.metrics}
        cells = self.ledger.cells.values()
        return [c for c in cells if c.study == self.study.name and c.case in keys]

    def tables(self) -> list[RenderableType]:
        """One table per setting and a legend, for a rich console."""
        return list(tables(self.study, self.ledger, self.cases))


def run(
    name: str,
    data_dir: Path | str | None = None,
    *,
    quick: bool = False,
    json_path: Path | str | None = None,
    seeds: Sequence[int] | None = None,
    methods: Sequence[str] | None = None,
    only: str | None = None,
    where: Mapping[str, str] | None = None,
    model: Path | str | None = None,
    budget: float | None = None,
    train_dir: Path | str | None = None,
    options: Mapping[str, str] | None = None,
    progress: Progress = lambda what, done, count: None,
    find: Find = find_method,
) -> Results:
    """Run a study; cells that are already in the file at `json_path` are skipped.

    Parameters
    ----------
    name : one of `STUDIES`.
    data_dir : folder with the test data; by default the environment variable HUSH_DATA. Missing
        data sets are skipped (listed in `Results.notes`).
    quick : use a few small crops, as separate cases.
    json_path : file to append a line to for each finished cell. ``NAME.samples.jsonl`` beside it
        gets the per-sample values, the folder ``NAME.models`` the trained models.
    seeds : one for each run; by default as many as the study has runs, from 0.
    methods : command-line names; by default those of the study, without those that cannot run here
        (`Results.notes` has the reasons).
    only : pattern for folder names, such as ``"kodak*"``.
    where : settings that a case or a variant of a metric must have, such as ``{"noise": "gaussian",
        "level": "5-*"}``.
    model : weights for trained methods, instead of the shipped ones.
    budget : seconds of training for each method, in studies that train methods.
    train_dir : folder with the training data; then all of `data_dir` is tested. By default the data
        in `data_dir` are split.
    options : sizes of the study, as texts (`Study.options`), such as ``{"scenes": "2000"}``.
    progress : called with the current work, the number of finished samples and their total number.
    find : function that returns methods by name.

    Raises `HushError` for unknown studies and rows, for data without a known layout and for a
    `where` that matches nothing.
    """
    if name not in STUDIES:
        raise HushError(f"there is no study '{name}'; choose from {', '.join(STUDIES)}")
    study = STUDIES[name]
    if seeds is None:
        seeds = range(min(study.runs, QUICK_RUNS) if quick else study.runs)
    ledger = Ledger(Path(json_path) if json_path else None)
    notes: list[str] = []
    if study.synthetic and (data_dir or train_dir):
        notes.append(f"{name} makes its samples and reads no data")
    data = Path() if study.synthetic else _data(data_dir)
    train = None if study.synthetic else _folder(train_dir)
    sizes = _sizes(study, options or {})
    found: Callable[..., Sequence[Case]] = study.cases
    cases = found(data, quick=quick, only=only, train=train, note=notes.append, **sizes)
    study, where = _restricted(study, cases, where or {})
    trains = any(case.training for case in cases)
    if trains and study.rows_trained:
        study = replace(study, methods=study.rows_trained())
    if model and all(_all_trained(study, case) for case in cases):
        raise HushError(f"{name} trains its own models; leave --model out")
    if budget and not trains:
        raise HushError(f"{name} trains nothing; leave --budget out")
    if train and not trains:
        raise HushError(f"{name} trains nothing; leave --train out")
    _check_rows(study, cases, methods or ())
    with _models(ledger.path) as folder:
        cases = [case.trained(folder, budget) for case in _chosen(study, cases, where, notes)]
        own = [case.using(Path(model)) for case in cases] if model else []
        results = Results(study, [*cases, *own], ledger, notes)
        left_out: list[str] = []
        for method in methods or study.methods:
            errors: dict[str, list[str]] = {}
            first: HushError | None = None
            trained = method in METHODS and get(method).learns_from != "nothing"
            theirs = own if own and trained else cases
            for case in theirs:
                try:
                    fill(ledger, study, [case], method, seeds, find, progress)
                except HushError as e:
                    first = first or e
                    errors.setdefault(str(e), []).append(case.key())
            if first and methods and sum(map(len, errors.values())) == len(theirs):
                raise first  # asked for, and possible nowhere
            for error, of in errors.items():
                some = "" if len(of) == len(theirs) else f" of {', '.join(of)}"
                left_out.append(f"{method} is left out{some}: {error}")
        notes += [
            *left_out,
            *_unfound(study, cases),
            *_choices(cases, methods or study.methods, seeds),
        ]
        if study.derived:
            study.derived(study, results.cases, ledger)
        if study.picture and ledger.path and not methods:
            try:
                study.picture(results.cases, find, ledger.path, quick=quick)
            except HushError as e:
                results.notes.append(f"no picture was drawn: {e}")
        if not results.cells and notes:
            raise HushError("; ".join(left_out or notes))
        return results


def _sizes(study: Study, options: Mapping[str, str]) -> dict[str, Any]:
    """The study's options as values; `HushError` for others, and for texts that are none."""
    sizes = {}
    for key, text in options.items():
        if key not in study.options:
            known = f"choose from {', '.join(study.options)}" if study.options else "it has none"
            raise HushError(f"{study.name} has no option '{key}'; {known}")
        try:
            sizes[key] = study.options[key](text)
        except ValueError as e:
            raise HushError(f"{key}={text} is not valid for {study.name}: {e}") from e
    return sizes


def _restricted(
    study: Study, cases: Sequence[Case], where: Mapping[str, str]
) -> tuple[Study, Mapping[str, str]]:
    """The study with those variants of its metrics, and what `where` says of the cases."""
    variants = {v.partition("=")[0] for m in study.metrics for v in m.variant.split(";") if v}
    variants -= {key for case in cases for key in case.settings}
    own = {key: pattern for key, pattern in where.items() if key in variants}
    if not own:
        return study, where
    metrics = tuple(m for m in study.metrics if m.matches(own))
    if not metrics:
        raise _nothing(study, own, [m.settings for m in study.metrics])
    others = {key: pattern for key, pattern in where.items() if key not in own}
    return replace(study, metrics=metrics), others


def _chosen(
    study: Study, cases: Sequence[Case], where: Mapping[str, str], notes: Sequence[str]
) -> list[Case]:
    """The cases with these settings; if there are none, `HushError`, with what was left out."""
    chosen = [case for case in cases if case.matches(where)]
    if where and not chosen:
        nothing = _nothing(study, where, [case.settings for case in cases])
        raise HushError("; ".join([str(nothing), *notes]))
    return chosen


def _nothing(
    study: Study, where: Mapping[str, str], every: Sequence[Mapping[str, str]]
) -> HushError:
    """What to raise if none of these settings matches: it lists the values there are."""
    known = []
    for key in where:
        if values := dict.fromkeys(s[key] for s in every if s.get(key)):
            known.append(f"{key} is {' or '.join(values)}")
        else:
            names = dict.fromkeys(name for s in every for name, value in s.items() if value)
            known.append(f"there is no setting '{key}', but {', '.join(names)}")
    patterns = " and ".join("=".join(w) for w in where.items())
    return HushError(f"{study.name} has nothing with {patterns}; here {'; '.join(known)}")


def _unfound(study: Study, cases: Sequence[Case]) -> list[str]:
    """What was left out because a helper of it is not trained."""
    notes: dict[str, None] = {}
    for case, metric in product(cases, study.metrics):
        if metric.helper and case.helper(metric.helper, 0) is None:
            how = (
                "a run without --quick trains it" if case.training else "there is no training data"
            )
            notes[f"{metric.variant} is left out: {metric.helper} is not trained; {how}"] = None
    return list(notes)


def _choices(cases: Sequence[Case], rows: Sequence[str], seeds: Sequence[int]) -> list[str]:
    """What was chosen on the training data of each set, for rows with a choice."""
    notes: dict[str, None] = {}
    for case, row, seed in product(cases, rows, seeds):
        recipe = case.training and case.training.recipes.get(row)
        if case.training and recipe and (choice := case.training.choice(recipe, seed)):
            notes[f"{row}: {choice} was best on the training data, {case.training.name}"] = None
    return list(notes)


def _all_trained(study: Study, case: Case) -> bool:
    """Whether every row that learns is trained in this case."""
    learned = [m for m in study.methods if m in METHODS and get(m).learns_from != "nothing"]
    return case.training is not None and all(m in case.training.recipes for m in learned)


def _check_rows(study: Study, cases: Sequence[Case], rows: Sequence[str]) -> None:
    """Refuse unknown rows."""
    made = {row for case in cases if case.training for row in case.training.recipes}
    for row in rows:
        if row not in {*study.methods, *made, *METHODS}:
            raise HushError(
                f"{study.name} has no row '{row}'; choose from {', '.join(study.methods)}"
            )


@contextmanager
def _models(path: Path | None) -> Iterator[Path]:
    """The folder for models: beside the ledger's file, or temporary without one."""
    if path is not None:
        yield path.with_suffix(".models")
        return
    with TemporaryDirectory() as folder:
        yield Path(folder)


def _data(folder: Path | str | None) -> Path:
    folder = folder or environ.get("HUSH_DATA")
    if not folder:
        raise HushError("no data; give the folder with --data, or set HUSH_DATA")
    return Path(folder)


def _folder(train: Path | str | None) -> Path | None:
    if train is not None and not Path(train).is_dir():
        raise HushError(f"{train} is not a folder; give --train the folder with training data")
    return None if train is None else Path(train)


__all__ = ["STUDIES", "Case", "Cell", "Key", "Ledger", "Results", "Study", "run"]
