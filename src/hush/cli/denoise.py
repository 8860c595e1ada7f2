"""``hush denoise``: denoise files one by one and report on each."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hush.cli import workers as several
from hush.cli.adapt import Adapted, adapt, key_of
from hush.cli.console import Bar, explain, importing, preload, print_json, say, state_memory
from hush.cli.options import (
    METHOD,
    Duration,
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
from hush.cli.outputs import Job, Options, check_folders, is_kept, paths, plan, settled
from hush.cli.summary import shown, totals
from hush.devices import device_for
from hush.errors import HushError, Unfit

if TYPE_CHECKING:
    from hush.api import Result
    from hush.denoiser import Denoiser
    from hush.record import Record
    from hush.report.frame import Entry
    from hush.workers import Workers

#: What ``--json`` prints for a file. `family` to `correlated` were measured and `process` was
#: removed, both for the noisiest item; `items` lists them for every plane, or for every channel if
#: channels are denoised separately. Levels are in the data's own units. `seconds` includes the
#: file's share of the time for ``--adapt``; `settings` are those of ``--set``. `reason` is why a
#: file was skipped. `error` is null on success; on failure or skip every other key may be null.
KEYS = (
    *("input", "output", "picture", "uncertainty", "residual", "sigma_map", "scores"),
    *("skipped", "reason", "error"),
    *("kind", "method", "model", "settings"),
    *("family", "sigma", "sigma_range", "lines", "gain"),
    *("correlated", "process", "step", "steps", "strength", "seed", "adapted", "removed_rms"),
    *("seconds", "timings", "warnings", "items"),
)


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
    help="Also write the standard deviation of the error at each value, in float32: a file such as "
    ".tif or .npy, or a folder. Of diffdenoise models with keep=true, how much samples differ.",
)
@click.option(
    "--residual",
    metavar="PATH",
    help="Also write what was removed from every value, noisy minus denoised, in float32: a file "
    "such as .tif, .npy or .nii.gz, or a folder.",
)
@click.option(
    "--sigma-map",
    metavar="PATH",
    help="Also write the standard deviation of the noise in every place, in float32: a file such "
    "as .tif, .npy or .nii.gz, or a folder.",
)
@click.option(
    "--scores",
    metavar="PATH",
    help="Also write a table of the rows of a set or an alignment: number, name, whether it was "
    "kept, score. A .tsv or .csv file, or a folder.",
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
    "--set",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another setting of the method (hush methods -v lists them), such as seconds=10 of dip or "
    "turns=8 of mid. May be repeated.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Compare two independent halves of all of each file: was detail invented, is BM3D (if it "
    "is installed) nearer? Without it, hush compares a few windows, and never with BM3D.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Also denoise masks, label images, drawings and other files that are not meant for it.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    help="Also write an HTML page that shows before, after and what was removed.",
)
@as_json
@layout
@several.parallel
@running
def denoise(**options: Any) -> None:
    """Remove the noise from files, and change nothing else.

    JPEG files are written as PNG. Existing files are only replaced with --overwrite. If a file
    cannot be denoised, hush prints the reason and continues with the others; the exit code is
    then 1.

    With --json, prints one line with an object for each file; its "error" is null on success.
    """
    files = expanded(options["files"], options["kind"], again=options["force"])
    o = Options(**{**options, "files": files})
    use_threads(o.threads)
    _check(o)
    jobs = plan(o)
    failed, skipped, warned, start = 0, 0, False, time.perf_counter()
    sections: list[Entry] = []
    written: dict[Path, str] = {}
    with several.started(o) as workers, Bar(1, o.quiet) as bar:
        adapted = adapt(o, jobs, bar)
        bar.restart("", len(jobs))
        apart = several.shared(workers, o, jobs, one, adapted)
        for bar.part, job in enumerate(jobs):
            if job.source in apart:
                done = _waited(job, apart, bar)
            else:
                done = one(o, settled(o, job, written), adapted, bar, workers)
            if done.written:
                written |= {path.resolve(): job.source for path in job.outputs}
            failed += bool(done.row["error"])
            skipped += bool(done.row["skipped"])
            warned |= bool(done.row["warnings"])
            sections += done.sections
            with bar.paused():
                _print(o, done)
    if warned and o.many and not (o.as_json or o.quiet or o.verbose):
        say("there are warnings; -v, --json and --report show them")
    try:
        _write_report(o, sections)
    except HushError as error:
        failed += 1
        say(explain(error))
    if o.many and not o.quiet:
        say(totals(len(jobs), failed, skipped, time.perf_counter() - start))
    if failed:
        raise click.exceptions.Exit(1)


@dataclass
class Done:
    """What became of a file: its row for ``--json``, the text to print, its part of the report, and
    where an error occurred, if one did."""

    row: dict[str, Any]
    shown: str = ""
    sections: list[Entry] = field(default_factory=list)
    trace: str = ""

    @property
    def written(self) -> bool:
        """Whether there is a result."""
        return not (self.row["error"] or self.row["skipped"])

    def fail(self, error: Exception) -> Done:
        """The same, with an error."""
        self.row["error"] = explain(error).removeprefix(f"{self.row['input']}: ")
        self.trace = "".join(traceback.format_exception(error))
        return self


def one(o: Options, job: Job, adapted: Adapted, bar: Bar, workers: Workers | None = None) -> Done:
    """Denoise one file; what goes wrong is in the result."""
    done = Done(_row(job))
    try:
        if job.error:
            raise job.error
        if not job.skipped:
            result = _denoise(o, job, adapted, bar, done.row, workers)
            done.shown = shown(o, done.row, result)
            done.sections = _section(o, result)
    except Exception as error:
        if not done.shown:
            done.row |= dict.fromkeys(paths(job))
        if isinstance(error, Unfit) and o.many:
            why = explain(error).removeprefix(f"{job.source}: ")
            done.row |= {"skipped": True, "reason": why}
            return done
        return done.fail(error)
    return done


def _waited(job: Job, futures: Mapping[str, Any], bar: Bar) -> Done:
    """What a worker made of a file."""
    try:
        done: Done = several.waited(futures[job.source], futures, bar)
        return done
    except Exception as error:
        return Done(_row(job) | dict.fromkeys(paths(job))).fail(error)


def _check(o: Options) -> None:
    """Refuse options that would fail for every file."""
    from hush.noise.process import law_of

    preload("hush.api", *(["hush.training"] if o.adapt else []))
    check_folders(o)
    if o.noise and not law_of(o.noise):
        fixed_noise(o.noise, 1.0)
    check_report(o.report, o.files, o.existing)
    from hush import models
    from hush.methods import get

    with importing():  # torch, most of all
        method = get(o.method or "mid")
    loaded = o.model and not (o.method and method.learns_from == "nothing")
    if loaded:
        denoiser = models.load(models.path_of(str(o.model)))
        if o.method and denoiser.name != o.method:
            raise HushError(f"{o.model} is a {denoiser.name} model, not a {o.method} model")
    else:
        name = o.method or "mid"
        if o.model:
            raise HushError(f"{name} is not trained and takes no model; leave --model out")
        denoiser = method()
        if not (models.shipped(name, 1) or any(c.learns_from == "nothing" for c in _classes(o))):
            raise HushError(
                f"no model is shipped for {name}; train one with hush train --method {name} "
                "and pass it with --model"
            )
    if o.set:
        _check_settings(o, [denoiser] if loaded else [made() for made in _classes(o)])
    device_for(o.device)
    if o.steps and not denoiser.iterates:
        raise HushError(f"{denoiser.name} does not remove noise in steps; leave --steps out")
    if o.adapt and not denoiser.adapts:
        raise HushError(f"{denoiser.name} cannot adapt to a file; leave --adapt out")


def _check_settings(o: Options, methods: Sequence[Denoiser]) -> None:
    """Refuse settings that none of the methods for the kinds of data has."""
    from hush.settings import adjusted

    refused: list[HushError] = []
    for text in o.set:
        if text.find("=") < 1:
            raise click.BadParameter("write NAME=VALUE, such as seconds=10", param_hint="--set")
    for method in methods:
        try:
            adjusted(method, o.settings)
            return
        except HushError as error:
            refused.append(error)
    raise refused[0]


def _classes(o: Options) -> list[type[Denoiser]]:
    """The method for the stated kind of data, or for every kind."""
    from hush import kinds
    from hush.methods import get

    return [get(o.method or "mid", kind) for kind in ([o.kind] if o.kind else kinds.KINDS)]


def _row(job: Job) -> dict[str, Any]:
    own = {"input": job.source, "skipped": job.skipped, "reason": job.reason or None}
    return dict.fromkeys(KEYS) | own | paths(job)


def _denoise(
    o: Options,
    job: Job,
    adapted: Adapted,
    bar: Bar,
    row: dict[str, Any],
    workers: Workers | None,
) -> Result:
    """Read, denoise and write one file, and fill in its row."""
    from hush import api, io, kinds
    from hush.kinds import maps, scores
    from hush.report import rows

    assert job.target is not None
    start = time.perf_counter()
    record = read(job.source, o.axes, o.kind)
    io.check(record, job.target)
    _check_beside(record, job)
    key = key_of(o, record)
    name = Path(job.source).name
    keeps = is_kept(o, job.target)
    model = adapted.denoisers.get(key, o.model)
    if not o.quiet:
        several.state_begun(job, bar)
        state_memory(bar, name, record, model, o.method, o.steps, o.device, key[2], o.settings)
    result = api.run(
        record,
        noise=o.noise if key[2] is None else key[2],
        model=model,
        method=o.method,
        settings=o.settings,
        steps=o.steps,
        strength=o.strength,
        seed=o.seed,
        device=o.device,
        progress=lambda what, share: bar(f"{name}: {what}", share),
        was_adapted=key in adapted.denoisers,
        uncertainty="uncertainty" in job.maps,
        check="peers" if o.check else "whole" if o.report else None,
        into=None if keeps else job.target,
        workers=workers,
        anew=o.existing == "overwrite",
        force=o.force,
    )
    for map_, path in job.maps.items():
        if not is_kept(o, path):
            maps.write(result, map_, path)
    if job.scores and not is_kept(o, job.scores):
        scores.write(result, job.scores)
    if job.picture and not is_kept(o, job.picture):
        drawn = kinds.get(record.kind).picture(result)
        if drawn is not None:
            io.write(drawn, job.picture)
    seconds = time.perf_counter() - start
    if key in adapted.denoisers:
        result.model = key[1]
        result.timings = {"adapt": adapted.seconds, **result.timings}
        seconds += adapted.seconds
    scale = result.noisy.scale
    row |= {
        "kind": record.kind,
        "method": result.method,
        "model": result.model or None,
        "settings": o.settings or None,
        "family": result.estimate.family,
        "sigma": result.estimate.sigma * scale,
        "gain": result.estimate.gain * scale,
        "correlated": result.estimate.correlated,
        "sigma_range": rows.sigma_range(result.estimate, scale),
        "lines": rows.lines(result.estimate, scale),
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


def _check_beside(record: Record, job: Job) -> None:
    """Refuse maps and a table that this record cannot have, before any work."""
    from hush import io
    from hush.kinds import maps, scores

    if job.scores:
        scores.check(record)
    for name, path in job.maps.items():
        if name != "uncertainty":
            maps.check(record)
            io.check(maps.blank(record, name), path)


def _section(o: Options, result: Result) -> list[Entry]:
    """The result's part of the report, if one is written; it keeps none of the arrays."""
    if o.report is None or is_kept(o, o.report):
        return []
    from hush.api import entry

    return [entry(result, len(o.files))]


def _write_report(o: Options, sections: Sequence[Entry]) -> None:
    from hush.api import write_report

    if o.report and sections:
        write_report(sections, o.report)
        if not o.quiet and not o.as_json:
            click.echo(f"report → {o.report}")


def _print(o: Options, done: Done) -> None:
    row = done.row
    if row["error"]:
        if o.verbose:
            click.echo(done.trace, err=True)
        say(f"{row['input']}: {row['error']}")
    if o.as_json:
        print_json(row)
    elif o.quiet or row["error"]:
        return
    elif row["skipped"]:
        click.echo(f"{row['input']}: skipped, {row['reason']}")
    else:
        click.echo(done.shown)
