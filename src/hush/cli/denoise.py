"""``hush denoise``: denoise files one by one and report on each."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hush.cli import words
from hush.cli.console import Bar, explain, fail, preload, print_json, say, state_memory
from hush.cli.options import (
    METHOD,
    Duration,
    Running,
    WithKinds,
    as_json,
    check_report,
    expanded,
    fixed_noise,
    layout,
    read,
    running,
    use_threads,
)
from hush.cli.summary import summary
from hush.errors import HushError

if TYPE_CHECKING:
    from hush.api import Result
    from hush.denoiser import Denoiser
    from hush.kinds.cut import Sampled
    from hush.record import Record
    from hush.report.frame import Entry

#: What ``--json`` prints for a file. `family` to `correlated` were measured and `process` was
#: removed, both for the noisiest item; `items` lists them for every plane, or for every channel if
#: channels are denoised separately. Levels are in the data's own units. `seconds` includes the
#: file's share of the time for ``--adapt``. `error` is null on success; on failure or skip every
#: other key may be null.
KEYS = (
    *("input", "output", "picture", "uncertainty", "skipped", "error", "kind", "method", "model"),
    *("family", "sigma", "sigma_range", "gain"),
    *("correlated", "process", "step", "steps", "strength", "seed", "adapted", "removed_rms"),
    *("seconds", "timings", "warnings", "items"),
)


@dataclass(frozen=True)
class Options(Running):
    """The command line's options, named as click names them."""

    files: tuple[str, ...]
    out: str | None
    uncertainty: str | None
    noise: str | None
    steps: int | None
    adapt: float
    seed: int
    strength: float
    model: str | None
    method: str | None
    report: Path | None
    as_json: bool
    kind: str | None
    axes: str | None

    @property
    def many(self) -> bool:
        return len(self.files) > 1


#: what files must share to be adapted to together: kind of data, model, noise
Key = tuple[str, str, Any]


@dataclass(frozen=True)
class Job:
    """An input, the paths of its result, and the reason not to denoise it, if any.

    uncertainty, picture : further files that are written, if any.
    """

    source: str
    target: Path | None = None
    uncertainty: Path | None = None
    picture: Path | None = None
    error: HushError | None = None
    skipped: bool = False

    @property
    def due(self) -> bool:
        return self.error is None and not self.skipped


@dataclass(frozen=True)
class Adapted:
    """Models adapted to the files, by model name and noise.

    better : those that adapting improved; seconds : the time it took, divided equally among files.
    """

    denoisers: Mapping[Key, Denoiser]
    better: frozenset[Key] = frozenset()
    seconds: float = 0.0


@dataclass
class Group:
    """Files that one model is adapted to together."""

    denoiser: Denoiser
    sample: Sampled
    files: int = 0


@click.command(cls=WithKinds, short_help="Remove the noise from files.")
@click.argument("files", nargs=-1, required=True, metavar="FILE|FOLDER...")
@click.option(
    "-o",
    "--output",
    "out",
    metavar="PATH",
    help="Where to write the result: a file, or a folder, in which files keep their names. By "
    "default noisy.tif becomes noisy.denoised.tif.",
)
@click.option(
    "--uncertainty",
    metavar="PATH",
    help="Also write how much the model's samples differ at each value, as a float32 .tif or .npy, "
    "or to a folder. Needs a diffdenoise model trained with --set keep=true.",
)
@click.option(
    "--noise",
    metavar="SPEC",
    help="The noise, such as gaussian:25/255, poisson:30 or poisson-gaussian:GAIN,SIGMA; a number "
    "without a scale is in the data's own units. Measured by default.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    help="Remove the noise in this many steps; by default as the model says.",
)
@click.option(
    "--adapt",
    type=Duration(),
    default=0.0,
    help="Fine-tune the model on these files first, for this long, such as 60s.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of --adapt.")
@click.option(
    "--strength",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="Share of the noise to remove, 0 to 1.",
)
@click.option("--model", metavar="NAME|FILE", help="A shipped model by name, or a model file.")
@click.option("--method", type=METHOD, help="One that hush methods lists; mid by default.")
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    help="Also write an HTML page that shows before, after and what was removed.",
)
@as_json
@layout
@running
def denoise(**options: Any) -> None:
    """Remove the noise from files, and change nothing else.

    JPEG files are written as PNG. Existing files are only replaced with --overwrite. If a file
    cannot be denoised, hush prints the reason and continues with the others; the exit code is
    then 1.

    With --json, prints one line with an object for each file; its "error" is null on success.
    """
    o = Options(**{**options, "files": expanded(options["files"], options["kind"])})
    use_threads(o.threads)
    _check(o)
    jobs = _plan(o)
    failed, warned, start = 0, False, time.perf_counter()
    sections: list[Entry] = []
    with Bar(1, o.quiet) as bar:
        adapted = _adapt(o, jobs, bar)
        bar.restart("", len(jobs))
        for bar.part, job in enumerate(jobs):
            row = _row(job)
            result = None
            try:
                if job.error:
                    raise job.error
                if not job.skipped:
                    result = _denoise(o, job, adapted, bar, row)
                    sections += _section(o, result)
            except Exception as error:
                failed += 1
                with bar.paused():
                    row["error"] = fail(job.source, error)
                if result is None:
                    row["output"] = row["picture"] = row["uncertainty"] = None
            warned |= bool(row["warnings"])
            with bar.paused():
                _print(o, row, result)
    if warned and o.many and not (o.as_json or o.quiet or o.verbose):
        say("there are warnings; -v, --json and --report show them")
    try:
        _write_report(o, sections)
    except HushError as error:
        failed += 1
        say(explain(error))
    if o.many and not o.quiet:
        say(_totals(jobs, failed, time.perf_counter() - start))
    if failed:
        raise click.exceptions.Exit(1)


def _totals(jobs: Sequence[Job], failed: int, seconds: float) -> str:
    """One line of totals for a batch of files."""
    from hush.report import describe

    skipped = sum(job.skipped for job in jobs)
    parts = [f"{len(jobs) - failed - skipped} of {len(jobs)} files denoised"]
    parts += [f"{failed} failed"] * bool(failed) + [f"{skipped} skipped"] * bool(skipped)
    return f"{', '.join(parts)}, {describe.duration(seconds)}"


def _check(o: Options) -> None:
    """Refuse options that would fail for every file."""
    preload("hush.api", *(["hush.training"] if o.adapt else []))
    from hush.io import supported

    for option, path in (("--output", o.out or ""), ("--uncertainty", o.uncertainty or "")):
        if o.many and (Path(path).is_file() or path.lower().endswith(supported())):
            raise click.BadParameter("with several inputs this must be a folder", param_hint=option)
    if o.noise:
        fixed_noise(o.noise, 1.0)
    check_report(o.report, o.files, o.existing)
    from hush import models
    from hush.methods import get

    if o.model and not (o.method and get(o.method).learns_from == "nothing"):
        denoiser = models.load(models.path_of(o.model))
        if o.method and denoiser.name != o.method:
            raise HushError(f"{o.model} is a {denoiser.name} model, not a {o.method} model")
    else:
        name = o.method or "mid"
        if o.model:
            raise HushError(f"{name} is not trained and takes no model; leave --model out")
        denoiser = get(name)()
        if denoiser.learns_from != "nothing" and models.shipped(name, 1) is None:
            raise HushError(
                f"no model is shipped for {name}; train one with hush train --method {name} "
                "and pass it with --model"
            )
    models.device_for(o.device)
    if o.steps and not denoiser.iterates:
        raise HushError(f"{denoiser.name} does not remove noise in steps; leave --steps out")
    if o.adapt and not denoiser.adapts:
        raise HushError(f"{denoiser.name} cannot adapt to a file; leave --adapt out")
    if o.uncertainty:
        denoiser.with_spread()


def _plan(o: Options) -> list[Job]:
    """A job for each file, with conflicts found before any work begins."""
    from hush.io import taken as exists

    jobs: list[Job] = []
    inputs = {Path(source).resolve() for source in o.files}
    taken: dict[Path, str] = {}
    for source in o.files:
        try:
            target, spread, picture = _outputs(o, source)
            outputs = [path for path in (target, spread, picture) if path]
            for path in outputs:
                place = path.resolve()
                if place in taken:
                    raise HushError(
                        f"would be written to {path}, like {taken[place]}; rename one of them"
                    )
                if place in inputs:
                    raise HushError(
                        f"would be written to {path}, which is also an input; choose another path"
                    )
                if o.report and place == o.report.resolve():
                    raise HushError(
                        f"would be written to {path}, which is also the report; rename one of them"
                    )
                if exists(path) and o.existing is None:
                    raise HushError(
                        f"{path} already exists; --overwrite replaces it, --skip-existing keeps it"
                    )
            taken |= {path.resolve(): source for path in outputs}
            skipped = all(_is_kept(o, path) for path in outputs)
            jobs.append(Job(source, target, spread, picture, skipped=skipped))
        except HushError as error:
            jobs.append(Job(source, error=error))
    return jobs


def _outputs(o: Options, source: str) -> tuple[Path, Path | None, Path | None]:
    """The paths of the result for `source`, of its spread and of its picture."""
    import numpy as np

    from hush import io, kinds
    from hush.record import Record

    target = io.output_path(source, o.out, o.many, kind=o.kind)
    picture = None
    if o.kind and kinds.get(o.kind).pictured and not io.holds(source, o.kind):
        picture = target.with_suffix(".png")
    if o.uncertainty is None:
        return target, None, picture
    spread = io.output_path(source, o.uncertainty, o.many, real=True)
    if spread.resolve() == target.resolve():
        raise HushError(f"{target} is the result; choose another path for the uncertainty")
    io.check(Record(np.zeros((8, 8), np.float32), "YX"), spread)
    return target, spread, picture


def _is_kept(o: Options, path: Path) -> bool:
    """Whether the file exists and ``--skip-existing`` keeps it."""
    from hush.io import taken

    return o.existing == "skip" and taken(path)


def _adapt(o: Options, jobs: Sequence[Job], bar: Bar) -> Adapted:
    """Models adapted to all files together; each group of files gets its share of the time."""
    if o.adapt == 0:
        return Adapted({})
    from hush import api, kinds, models
    from hush.kinds.cut import Sampled

    start = time.perf_counter()
    groups: dict[Key, Group] = {}
    for job in jobs:
        if not job.due:
            continue
        try:
            record = read(job.source, o.axes, o.kind)
            key = _key(o, record)
            if key not in groups:
                before = models.choose(record, o.model, o.method, o.steps, o.device, key[2])
                groups[key] = Group(before, Sampled())
            batch = groups[key].denoiser.seen(kinds.to_batch(record))
            groups[key].files += 1
            groups[key].sample.add(batch)
        except Exception:
            continue  # reported when this file is denoised
    files = sum(group.files for group in groups.values())
    bar.restart("adapting", files)
    denoisers, better = {}, set()
    for key, group in groups.items():
        if group.sample.kept:
            denoisers[key] = api.adapted(
                group.denoiser,
                group.sample,
                o.adapt * group.files / files,
                noise=key[2],
                seed=o.seed,
                progress=bar.times(group.files),
            )
            better |= {key} if denoisers[key] is not group.denoiser else set()
        bar.part += group.files
    return Adapted(denoisers, frozenset(better), (time.perf_counter() - start) / max(1, files))


def _key(o: Options, record: Record) -> Key:
    """Files with the same key are adapted to together: the model's name and the given noise."""
    from hush import models
    from hush.methods import get

    process = fixed_noise(o.noise, record.scale) if o.noise else None
    name = o.method or "mid"
    if o.model is not None or get(name, record.kind).learns_from != "nothing":
        name = models.name_for(o.model, record, name, process)
    return record.kind, name, process


def _row(job: Job) -> dict[str, Any]:
    return dict.fromkeys(KEYS) | {
        "input": job.source,
        "output": str(job.target) if job.target else None,
        "picture": str(job.picture) if job.picture else None,
        "uncertainty": str(job.uncertainty) if job.uncertainty else None,
        "skipped": job.skipped,
    }


def _denoise(o: Options, job: Job, adapted: Adapted, bar: Bar, row: dict[str, Any]) -> Result:
    """Read, denoise and write one file, and fill in its row."""
    from hush import api, io, kinds
    from hush.report import rows

    assert job.target is not None
    start = time.perf_counter()
    record = read(job.source, o.axes, o.kind)
    io.check(record, job.target)
    key = _key(o, record)
    name = Path(job.source).name
    keeps = _is_kept(o, job.target)
    model = adapted.denoisers.get(key, o.model)
    if not o.quiet:
        state_memory(bar, name, record, model, o.method, o.steps, o.device, key[2])
    result = api.run(
        record,
        noise=key[2],
        model=model,
        method=o.method,
        steps=o.steps,
        strength=o.strength,
        seed=o.seed,
        device=o.device,
        progress=lambda what, share: bar(f"{name}: {what}", share),
        was_adapted=key in adapted.denoisers,
        uncertainty=job.uncertainty is not None,
        into=None if keeps else job.target,
    )
    if result.spread is not None and job.uncertainty and not _is_kept(o, job.uncertainty):
        io.write(result.spread, job.uncertainty)
    if job.picture and not _is_kept(o, job.picture):
        drawn = kinds.get(record.kind).picture(result)
        if drawn is not None:
            io.write(drawn, job.picture)
    seconds = time.perf_counter() - start
    if key in adapted.denoisers:
        result.model = key[1]
        result.timings = {"adapt": adapted.seconds, **result.timings}
        seconds += adapted.seconds
    scale = record.scale
    row |= {
        "kind": record.kind,
        "method": result.method,
        "model": result.model or None,
        "family": result.estimate.family,
        "sigma": result.estimate.sigma * scale,
        "gain": result.estimate.gain * scale,
        "correlated": result.estimate.correlated,
        "sigma_range": rows.sigma_range(result.estimate, scale),
        "process": rows.process(result.noisiest, scale),
        "step": result.step,
        "steps": result.steps,
        "strength": o.strength,
        "seed": o.seed,
        "adapted": key in adapted.better,
        "removed_rms": result.residual["rms"] * scale,
        "seconds": round(seconds, 3),
        "timings": {k: round(v, 3) for k, v in result.timings.items()},
        "warnings": result.warnings,
        "items": [rows.item(item, scale) for item in result.items],
    }
    return result


def _section(o: Options, result: Result) -> list[Entry]:
    """The result's part of the report, if one is written; it keeps none of the arrays."""
    if o.report is None or _is_kept(o, o.report):
        return []
    from hush.api import entry

    return [entry(result, len(o.files))]


def _write_report(o: Options, sections: Sequence[Entry]) -> None:
    from hush.api import write_report

    if o.report and sections:
        write_report(sections, o.report)
        if not o.quiet and not o.as_json:
            click.echo(f"report → {o.report}")


def _print(o: Options, row: Mapping[str, Any], result: Result | None) -> None:
    if o.as_json:
        print_json(row)
    elif o.quiet or row["error"]:
        return
    elif result is None:
        click.echo(f"{row['input']}: skipped, {row['output']} already exists")
    elif o.many and not o.verbose:
        from hush import kinds
        from hush.report import describe

        count = len(row["warnings"])
        click.echo(
            f"{row['input']} → {row['output']}: {kinds.get(row['kind']).brief(result)}, "
            f"{describe.duration(row['seconds'])}"
            + (f", {count} warning{'s' * (count != 1)}" if count else "")
        )
    else:
        lines = summary(o, row, result)
        said = words.most_important(row["warnings"], o.verbose)
        words.print_block(f"{row['input']} → {row['output']}", lines, said)
