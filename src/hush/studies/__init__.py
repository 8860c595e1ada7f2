"""The papers' tables, run on one's own machine: ours beside the published figure.

`run` is the one way figures are made. A study is data (`hush.studies.core.Study`); its results
are one JSON line per cell, and a run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import environ
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hush.errors import HushError
from hush.methods import get
from hush.studies.core import Case, Find, Progress, Study, fill, find_method
from hush.studies.diffdenoise import DIFFDENOISE
from hush.studies.images import ABLATION, IMAGES
from hush.studies.ledger import Cell, Key, Ledger
from hush.studies.pairs import PAIRS
from hush.studies.table import tables

if TYPE_CHECKING:
    from rich.console import RenderableType

STUDIES = {study.name: study for study in (IMAGES, ABLATION, PAIRS, *DIFFDENOISE)}


@dataclass(frozen=True)
class Results:
    """What a run left: the ledger with all finished cells, and what had to be left out."""

    study: Study
    cases: Sequence[Case]
    ledger: Ledger
    notes: list[str] = field(default_factory=list)

    @property
    def cells(self) -> list[Cell]:
        """The cells of this run's cases, in the order they were finished."""
        keys = {case.key(m.variant) for case in self.cases for m in self.study.metrics}
        cells = self.ledger.cells.values()
        return [c for c in cells if c.study == self.study.name and c.case in keys]

    def tables(self) -> list[RenderableType]:
        """For a rich console: one table per setting, and a legend."""
        return list(tables(self.study, self.ledger, self.cases))


def run(
    name: str,
    data_dir: Path | str | None = None,
    *,
    quick: bool = False,
    json_path: Path | str | None = None,
    seeds: Sequence[int] = (0,),
    methods: Sequence[str] | None = None,
    only: str | None = None,
    where: Mapping[str, str] | None = None,
    model: Path | str | None = None,
    budget: float | None = None,
    progress: Progress = lambda what, done, count: None,
    find: Find = find_method,
) -> Results:
    """Run a study, or what is missing of it in the file at `json_path`.

    Parameters
    ----------
    name : one of `STUDIES`.
    data_dir : folder with the data; by default the one that HUSH_DATA names.
    quick : a few small crops instead of everything, as cases of their own.
    json_path : file to append a line per finished cell to; ``NAME.samples.jsonl`` beside it
        takes the per-sample values, the folder ``NAME.models`` what the study trains.
    methods : by their command-line names; by default the study's own, without those that
        cannot run here (`Results.notes` says why).
    only : pattern for the names of folders, such as ``"kodak*"``.
    where : settings that a case must have, such as ``{"noise": "gaussian", "level": "5-*"}``.
    model : weights for the methods that have to be trained, instead of those shipped.
    budget : seconds of training for each method, in studies that train theirs.
    progress : told what is computed, how many samples are done, and of how many.
    find : where methods come from.

    Raises `HushError` for unknown studies and methods, and for data without a usable layout.
    """
    if name not in STUDIES:
        raise HushError(f"there is no study '{name}'; there are {', '.join(STUDIES)}")
    study = STUDIES[name]
    ledger = Ledger(Path(json_path) if json_path else None)
    cases = study.cases(_data(data_dir), quick=quick, only=only)
    trains = any(case.training for case in cases)
    if trains and model:
        raise HushError(f"{name} trains its methods itself; leave the model out")
    if budget and not trains:
        raise HushError(f"{name} trains nothing; leave the budget out")
    with _models(ledger.path) as folder:
        cases = [case.trained(folder, budget) for case in cases if case.matches(where or {})]
        own = [case.using(Path(model)) for case in cases] if model else []
        results = Results(study, [*cases, *own], ledger)
        for method in methods or study.methods:
            try:
                theirs = own if own and get(method).learns_from != "nothing" else cases
                fill(ledger, study, theirs, method, seeds, find, progress)
            except HushError as e:
                if methods:
                    raise
                results.notes.append(f"{method} is left out: {e}")
        if study.picture and ledger.path and not methods:
            try:
                study.picture(cases, find, ledger.path, quick=quick)
            except HushError as e:
                results.notes.append(f"no picture was drawn: {e}")
        if not results.cells and results.notes:
            raise HushError(results.notes[0])
        return results


@contextmanager
def _models(path: Path | None) -> Iterator[Path]:
    """Where models are kept: beside the ledger's file, else for this run alone."""
    if path is not None:
        yield path.with_suffix(".models")
        return
    with TemporaryDirectory() as folder:
        yield Path(folder)


def _data(folder: Path | str | None) -> Path:
    folder = folder or environ.get("HUSH_DATA")
    if not folder:
        raise HushError("no data: give the folder with --data, or name it in HUSH_DATA")
    return Path(folder)


__all__ = ["STUDIES", "Case", "Cell", "Key", "Ledger", "Results", "Study", "run"]
