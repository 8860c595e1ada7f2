"""What ``hush denoise`` writes for every input, planned before any work begins."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import click

from hush.cli.options import Running
from hush.errors import HushError

#: maps beside a result by their names in ``--json``, and what they are called in sentences
MAPS = {"uncertainty": "the uncertainty", "residual": "the residual", "sigma_map": "the map of σ"}


@dataclass(frozen=True)
class Options(Running):
    """The command line's options, named as click names them."""

    files: tuple[str, ...]
    out: str | None
    uncertainty: str | None
    residual: str | None
    sigma_map: str | None
    scores: str | None
    force: bool
    noise: str | None
    steps: int | None
    adapt: float
    seed: int
    strength: float
    model: str | None
    method: str | None
    set: tuple[str, ...]
    check: bool
    report: Path | None
    as_json: bool
    kind: str | None
    axes: str | None
    workers: int | None = None
    scheduler: str | None = None

    @property
    def many(self) -> bool:
        return len(self.files) > 1

    @property
    def settings(self) -> dict[str, str]:
        """What ``--set`` states, by name."""
        return dict(text.partition("=")[::2] for text in self.set)


@dataclass(frozen=True)
class Job:
    """An input, the paths of its result, and why it is not denoised, if so.

    reason : to skip it; error : that it cannot be denoised. maps, scores, picture : further files
    that are written, if any; maps by their names in `MAPS`. contested : another input comes first
    that would be written to the same place, so this one is only denoised if that one fails or is
    skipped.
    """

    source: str
    target: Path | None = None
    maps: Mapping[str, Path] = field(default_factory=dict)
    scores: Path | None = None
    picture: Path | None = None
    error: HushError | None = None
    reason: str = ""
    contested: bool = False

    @property
    def skipped(self) -> bool:
        return bool(self.reason)

    @property
    def due(self) -> bool:
        return self.error is None and not self.skipped

    @property
    def outputs(self) -> list[Path]:
        """Every file that is written."""
        every = (self.target, *self.maps.values(), self.scores, self.picture)
        return [path for path in every if path]


def check_folders(o: Options) -> None:
    """Refuse names of files where several results need folders."""
    from hush.io import supported

    for option in ("out", *MAPS, "scores"):
        path = getattr(o, option) or ""
        if o.many and (Path(path).is_file() or path.lower().endswith(supported())):
            name = "--output" if option == "out" else f"--{option.replace('_', '-')}"
            raise click.BadParameter("with several inputs this must be a folder", param_hint=name)


def plan(o: Options) -> list[Job]:
    """A job for each file, with conflicts found before any work begins.

    An input that is the output of another one is the result of an earlier run, and is skipped.
    """
    planned = [_planned(o, source) for source in o.files]
    inputs = {Path(source).resolve() for source in o.files}
    earlier = set() if o.existing == "overwrite" or o.force else _made(planned) & inputs
    inputs -= earlier
    taken: set[Path] = set()
    jobs: list[Job] = []
    for job in planned:
        try:
            if Path(job.source).resolve() in earlier:
                jobs.append(replace(job, error=None, reason="the result of an earlier run"))
                continue
            for path in job.outputs:
                _check(o, path, inputs)
            kept = bool(job.outputs) and all(is_kept(o, path) for path in job.outputs)
            reason = f"{job.target} already exists" if kept else ""
            places = {path.resolve() for path in job.outputs}
            jobs.append(replace(job, reason=reason, contested=bool(places & taken)))
            taken |= places
        except HushError as error:
            jobs.append(Job(job.source, error=error))
    return jobs


def _planned(o: Options, source: str) -> Job:
    """The job of one file, without a look at the others."""
    try:
        return _outputs(o, source)
    except HushError as error:
        return Job(source, error=error)


def _made(jobs: Sequence[Job]) -> set[Path]:
    """The outputs of inputs that are not outputs themselves, resolved."""
    every = {path.resolve() for job in jobs for path in job.outputs}
    first = (job for job in jobs if Path(job.source).resolve() not in every)
    return {path.resolve() for job in first for path in job.outputs}


def settled(o: Options, job: Job, written: Mapping[Path, str]) -> Job:
    """The same job, or an error if the input that it contests a path with has its result there.

    written : the inputs of the results so far, by their resolved paths. Inputs that were refused
        have none.
    """
    if not (job.due and job.contested):
        return job
    try:
        for path in job.outputs:
            if other := written.get(path.resolve()):
                raise HushError(f"would be written to {path}, like {other}; rename one of them")
            _check(o, path, set())
    except HushError as error:
        return Job(job.source, error=error)
    return job


def _check(o: Options, path: Path, inputs: set[Path]) -> None:
    """Refuse a path that is an input or an existing file."""
    from hush.io import taken as exists

    place = path.resolve()
    if place in inputs:
        raise HushError(f"would be written to {path}, which is also an input; choose another path")
    if o.report and place == o.report.resolve():
        raise HushError(f"would be written to {path}, which is also the report; rename one of them")
    if exists(path) and o.existing is None:
        raise HushError(f"{path} already exists; --overwrite replaces it, --skip-existing keeps it")


def _outputs(o: Options, source: str) -> Job:
    """The paths of the result for `source`, and of all that is written beside it."""
    from hush import io, kinds

    target = io.output_path(source, o.out, o.many, kind=o.kind)
    picture = None
    if o.kind and kinds.get(o.kind).pictured and not io.holds(source, o.kind):
        picture = target.with_suffix(".png")
    maps: dict[str, Path] = {}
    names = {target.resolve(): "the result"}
    for name, words in MAPS.items():
        given: str | None = getattr(o, name)
        if given is None:
            continue
        path = io.output_path(source, given, o.many, real=True)
        if other := names.get(path.resolve()):
            raise HushError(f"{path} is {other}; choose another path for {words}")
        fmt = io.codecs.named(path)
        if fmt is not None and not fmt.real:
            raise HushError(
                f"{path}: {fmt.name} files do not hold float32 maps; write .tif, .npy or .nii.gz"
            )
        names[path.resolve()], maps[name] = words, path
    table = None if o.scores is None else _table(o, source, o.scores)
    if table is not None and (other := names.get(table.resolve())):
        raise HushError(f"{table} is {other}; choose another path for the scores")
    return Job(source, target, maps, table, picture)


def _table(o: Options, source: str, given: str) -> Path:
    """The path of the table of scores for `source`: `given`, or its name in that folder."""
    from hush import io
    from hush.kinds import scores

    path = Path(given)
    if o.many or given.endswith(("/", os.sep)) or path.is_dir():
        name = Path(source).name
        ending = next((s for s in io.supported() if name.lower().endswith(s)), Path(source).suffix)
        path = path / f"{name[: len(name) - len(ending)]}.tsv"
    scores.separator(path)
    io.check_target(path)
    return path


def is_kept(o: Options, path: Path) -> bool:
    """Whether the file exists and ``--skip-existing`` keeps it."""
    from hush.io import taken

    return o.existing == "skip" and taken(path)


def paths(job: Job) -> dict[str, str | None]:
    """The paths of a job as text, by their keys in ``--json``."""
    every: Sequence[tuple[str, Path | None]] = (
        ("output", job.target),
        ("picture", job.picture),
        *((name, job.maps.get(name)) for name in MAPS),
        ("scores", job.scores),
    )
    return {name: str(path) if path else None for name, path in every}
