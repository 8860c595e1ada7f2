"""``hush denoise``: clean files, one by one, and say what became of each."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hush.cli import words
from hush.cli.console import Bar, explain, fail, preload, print_json, say
from hush.cli.options import (
    METHOD,
    Duration,
    Running,
    as_json,
    check_report,
    fixed_noise,
    layout,
    named,
    read,
    running,
    use_threads,
)
from hush.errors import HushError

if TYPE_CHECKING:
    from hush.api import Planes
    from hush.denoiser import Denoiser
    from hush.kinds.image.page import Section
    from hush.noise.processes import Process
    from hush.record import Record
    from hush.results import Result

#: What ``--json`` prints of a file. family to correlated are what was measured and process is
#: what was removed; levels in the data's own units. seconds has the file's share of the time
#: that adapting to all files took. error is null where all went well, and all
#: else may be null where it is not, or where the file was skipped.
KEYS = (
    *("input", "output", "uncertainty", "skipped", "error", "method", "model"),
    *("family", "sigma", "gain"),
    *("correlated", "process", "step", "steps", "strength", "seed", "adapted", "removed_rms"),
    *("seconds", "timings", "warnings"),
)


@dataclass(frozen=True)
class Options(Running):
    """The command line's options, by the names that click gives them."""

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
    kind: str
    axes: str | None

    @property
    def many(self) -> bool:
        return len(self.files) > 1


@dataclass(frozen=True)
class Job:
    """An input, where its result and its spread go, and why it is not to be denoised, if so."""

    source: str
    target: Path | None = None
    uncertainty: Path | None = None
    error: HushError | None = None
    skipped: bool = False

    @property
    def due(self) -> bool:
        return self.error is None and not self.skipped


@dataclass(frozen=True)
class Adapted:
    """Models adapted to the files, by what they are for: a model's name and the noise.

    seconds : what that took, an equal share for each file.
    """

    denoisers: Mapping[tuple[str, Process | None], Denoiser]
    better: frozenset[tuple[str, Process | None]] = frozenset()
    seconds: float = 0.0


@dataclass
class Group:
    """Files that one model is adapted to together."""

    denoiser: Denoiser
    planes: Planes
    files: int = 0


@click.command(short_help="Remove the noise from files.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "-o",
    "--output",
    "out",
    metavar="PATH",
    help="The result, or a folder for it; with several inputs a folder, where names are kept. "
    "By default noisy.tif becomes noisy.denoised.tif.",
)
@click.option(
    "--uncertainty",
    metavar="PATH",
    help="Also write how much samples differ at each pixel, float32 .tif or .npy, or a folder as "
    "for -o; from diffdenoise models trained with --set keep=true.",
)
@click.option(
    "--noise",
    metavar="SPEC",
    help="Such as gaussian:25/255, poisson:30 or poisson-gaussian:GAIN,SIGMA; a bare number is in "
    "the data's own units. Measured by default.",
)
@click.option(
    "--steps", type=click.IntRange(min=1), help="Increments to remove; the model's own by default."
)
@click.option(
    "--adapt",
    type=Duration(),
    default=0.0,
    help="Time to go on training on these very files first, such as 60s.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="For --adapt.")
@click.option(
    "--strength",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="Share of the noise to remove.",
)
@click.option("--model", metavar="NAME|FILE", help="A shipped model, or one of your own.")
@click.option("--method", type=METHOD, help="See hush methods; mid by default.")
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    help="Also write an HTML page with before, after, and what was removed.",
)
@as_json
@layout
@running
def denoise(**options: Any) -> None:
    """Remove the noise from files; nothing but the noise changes.

    JPEG files are written as PNG. Files that exist already are only replaced with --overwrite. A
    file that cannot be denoised is reported and the others go on; the exit code is then 1.

    With --json, one object a line for each file, its "error" null where all went well.
    """
    o = Options(**options)
    use_threads(o.threads)
    _check(o)
    jobs = _plan(o)
    failed, warned = 0, False
    sections: list[Section] = []
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
                    row["output"] = row["uncertainty"] = None
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
    if failed and o.many:
        say(f"{failed} of {len(jobs)} files failed")
    if failed:
        raise click.exceptions.Exit(1)


def _check(o: Options) -> None:
    """Refuse once what would be wrong with every file."""
    preload("hush.api", *(["hush.training"] if o.adapt else []))
    import numpy as np

    from hush import api
    from hush.io import supported
    from hush.record import Record

    for option, path in (("--output", o.out or ""), ("--uncertainty", o.uncertainty or "")):
        if o.many and (Path(path).is_file() or path.lower().endswith(supported())):
            raise click.BadParameter("with several inputs this is a folder", param_hint=option)
    if o.noise:
        fixed_noise(o.noise, 1.0)
    check_report(o.report, o.files, o.existing)
    any_image = Record(np.zeros((8, 8), np.uint8), "YX")
    denoiser = api.choose(any_image, o.model, o.method or "mid", o.steps, o.device)
    if o.method and denoiser.name != o.method:
        raise HushError(f"{o.model} is a model of {denoiser.name}, not of {o.method}")
    if o.uncertainty:
        denoiser.with_spread()


def _plan(o: Options) -> list[Job]:
    """What is to be done, and what cannot or need not be, before anything is."""
    jobs: list[Job] = []
    inputs = {Path(source).resolve() for source in o.files}
    taken: dict[Path, str] = {}
    for source in o.files:
        try:
            target, spread = _outputs(o, source)
            outputs = [target, *([spread] if spread else [])]
            for path in outputs:
                place = path.resolve()
                if place in taken:
                    raise HushError(f"would be written to {path}, as {taken[place]} is; rename one")
                if place in inputs:
                    raise HushError(f"would be written to {path}, which is an input, too")
                if o.report and place == o.report.resolve():
                    raise HushError(f"would be written to {path}, which is to be the report")
                if path.exists() and o.existing is None:
                    raise HushError(
                        f"{path} exists already; --overwrite replaces it, --skip-existing leaves it"
                    )
            taken |= {path.resolve(): source for path in outputs}
            skipped = all(_is_kept(o, path) for path in outputs)
            jobs.append(Job(source, target, spread, skipped=skipped))
        except HushError as error:
            jobs.append(Job(source, error=error))
    return jobs


def _outputs(o: Options, source: str) -> tuple[Path, Path | None]:
    """Where the result for `source` goes, and where its spread."""
    import numpy as np

    from hush import io
    from hush.record import Record

    target = io.output_path(source, o.out, o.many)
    if o.uncertainty is None:
        return target, None
    spread = io.output_path(source, o.uncertainty, o.many, io.REAL_SUFFIX_MAP)
    if spread.resolve() == target.resolve():
        raise HushError(f"{target} is to be the result; choose another place for the uncertainty")
    io.check(Record(np.zeros((8, 8), np.float32), "YX"), spread)
    return target, spread


def _is_kept(o: Options, path: Path) -> bool:
    """Whether there is such a file, to be left alone."""
    return o.existing == "skip" and path.exists()


def _adapt(o: Options, jobs: Sequence[Job], bar: Bar) -> Adapted:
    """Models adapted to all files together; each kind of file gets its share of the time."""
    if o.adapt == 0:
        return Adapted({})
    from hush import api

    start = time.perf_counter()
    groups: dict[tuple[str, Process | None], Group] = {}
    for job in jobs:
        if not job.due:
            continue
        try:
            record = read(job.source, o.axes, o.kind)
            api.check_dtype(record.data)
            api.estimate_record(record)
            key = _key(o, record)
            if key not in groups:
                before = api.choose(record, o.model, o.method or "mid", o.steps, o.device)
                groups[key] = Group(before, api.Planes())
            groups[key].files += 1
            if getattr(groups[key].denoiser, "channels", 1) in (1, record.channels):
                groups[key].planes.add(record)
        except Exception:
            continue  # what is wrong with this file is told when its turn comes
    files = sum(group.files for group in groups.values())
    bar.restart("adapting", files)
    denoisers, better = {}, set()
    for key, group in groups.items():
        if group.planes.kept:
            denoisers[key] = api.adapted(
                group.denoiser,
                group.planes,
                o.adapt * group.files / files,
                noise=key[1],
                seed=o.seed,
                progress=bar.times(group.files),
            )
            better |= {key} if denoisers[key] is not group.denoiser else set()
        bar.part += group.files
    return Adapted(denoisers, frozenset(better), (time.perf_counter() - start) / max(1, files))


def _key(o: Options, record: Record) -> tuple[str, Process | None]:
    """What files must share to be adapted to together."""
    from hush import api

    process = fixed_noise(o.noise, record.to_batch().scale) if o.noise else None
    return api.model_name(o.model, record, o.method or "mid"), process


def _row(job: Job) -> dict[str, Any]:
    return dict.fromkeys(KEYS) | {
        "input": job.source,
        "output": str(job.target) if job.target else None,
        "uncertainty": str(job.uncertainty) if job.uncertainty else None,
        "skipped": job.skipped,
    }


def _denoise(o: Options, job: Job, adapted: Adapted, bar: Bar, row: dict[str, Any]) -> Result:
    """Read, denoise and write one file; its row is filled in."""
    from hush import api, io

    assert job.target is not None
    start = time.perf_counter()
    stored = io.read(job.source)
    record = named(stored, o.axes, o.kind)
    io.check(stored, job.target)
    scale = record.to_batch().scale
    key = _key(o, record)
    name = Path(job.source).name
    result = api.denoise_record(
        record,
        noise=key[1],
        model=adapted.denoisers.get(key, o.model),
        method=o.method or "mid",
        steps=o.steps,
        strength=o.strength,
        seed=o.seed,
        device=o.device,
        progress=lambda what, share: bar(f"{name}: {what}", share),
        was_adapted=key in adapted.denoisers,
        uncertainty=job.uncertainty is not None,
    )
    written = time.perf_counter()
    for made, path in ((result.spread, job.uncertainty), (result.record, job.target)):
        if made is not None and path is not None and not _is_kept(o, path):
            io.write(replace(made, axes=stored.axes), path)
    result.timings["write"] = time.perf_counter() - written
    seconds = time.perf_counter() - start
    if key in adapted.denoisers:
        result.model = key[0]
        result.timings = {"adapt": adapted.seconds, **result.timings}
        seconds += adapted.seconds
    row |= {
        "method": result.method,
        "model": result.model or None,
        "family": result.estimate.family,
        "sigma": result.estimate.sigma * scale,
        "gain": result.estimate.gain * scale,
        "correlated": result.estimate.correlated,
        "process": result.process.spec(scale),
        "step": result.step,
        "steps": result.steps,
        "strength": o.strength,
        "seed": o.seed,
        "adapted": key in adapted.better,
        "removed_rms": result.residual["rms"] * scale,
        "seconds": round(seconds, 3),
        "timings": {k: round(v, 3) for k, v in result.timings.items()},
        "warnings": result.warnings,
    }
    return result


def _section(o: Options, result: Result) -> list[Section]:
    """The result's part of the report, if there will be one; it holds none of the arrays."""
    if o.report is None or _is_kept(o, o.report):
        return []
    from hush.kinds.image.page import section
    from hush.report.frame import picture_budget

    return [section(result, budget=picture_budget(len(o.files)))]


def _write_report(o: Options, sections: Sequence[Section]) -> None:
    from hush.kinds.image.page import write_report

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
        click.echo(f"{row['input']}: skipped, {row['output']} exists already")
    elif o.many and not o.verbose:
        from hush.report import describe

        found, scale = result.estimate, result.noisy.to_batch().scale
        removed, count = describe.number(row["removed_rms"]), len(row["warnings"])
        click.echo(
            f"{row['input']} → {row['output']}: {describe.family(found.family)}, σ "
            f"{describe.number(row['sigma'])}{describe.units(scale)}, removed {removed}, "
            f"{describe.duration(row['seconds'])}"
            + (f", {count} warning{'s' * (count != 1)}" if count else "")
        )
    else:
        lines = _summary(o, row, result)
        words.print_block(f"{row['input']} → {row['output']}", lines, row["warnings"])


def _summary(o: Options, row: Mapping[str, Any], result: Result) -> list[tuple[str, str]]:
    """The one-screen summary, as labels and values."""
    from hush.report import describe

    found, noisy = result.estimate, result.noisy
    scale = noisy.to_batch().scale
    method = [result.method]
    method += [f"model {result.model}"] if result.model else []
    method += [describe.steps(result.steps)]
    if result.step is not None:
        method[-1] += f" from {result.step:.2f} of the noise ladder"
    if o.adapt:
        helped = "adapted to the file" if row["adapted"] else "as it was: adapting did not help"
        method.append(helped + "s" * (row["adapted"] and o.many))
    if o.strength != 1:
        method.append(f"strength {o.strength:g}")
    lines = [
        ("image", describe.size(noisy)),
        ("noise", describe.noise(found, scale)),
        ("pixels", describe.pixels(found)),
        ("taken as", row["process"] + (", as given" if o.noise else "")),
        ("removed", f"σ {describe.number(row['removed_rms'])}{describe.units(scale)}"),
        ("method", ", ".join(method)),
    ]
    if result.spread is not None and row["uncertainty"]:
        import numpy as np

        mean = describe.number(float(np.nanmean(result.spread.data)))
        of_range = describe.units(scale)
        lines.append(("uncertainty", f"{mean}{of_range} on average → {row['uncertainty']}"))
    lines.append(("time", describe.duration(row["seconds"])))
    if o.verbose:
        spent = ", ".join(f"{k} {describe.duration(v)}" for k, v in row["timings"].items())
        lines[-1] = ("time", f"{describe.duration(row['seconds'])} ({spent})")
        for entry in result.trace:
            before, removed = (describe.number(entry[k] * scale) for k in ("level", "removed_rms"))
            lines.append((f"step {entry['step']}", f"σ {before} before, {removed} removed"))
    return lines
