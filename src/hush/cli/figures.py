"""``hush compare`` and ``hush study``: measure how good a result is."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from hush.cli import words
from hush.cli.console import Bar, print_json, say
from hush.cli.options import (
    STUDY,
    Duration,
    WithKinds,
    as_json,
    device,
    layout,
    read,
    talk,
    threads,
    use_threads,
)
from hush.errors import HushError


@click.command(cls=WithKinds, short_help="Compare a result with a clean reference.")
@click.argument("result")
@click.argument("reference")
@click.option(
    "--fit", is_flag=True, help="Fit the result's gain and offset to the reference first."
)
@click.option(
    "--range",
    "full",
    type=click.FloatRange(min=0, min_open=True),
    help="The value of full range; by default the integer type's maximum, 1 for floats, and the "
    "reference's highest value for volumes.",
)
@as_json
@layout
@talk
def compare(
    result: str,
    reference: str,
    fit: bool,
    full: float | None,
    as_json: bool,
    kind: str | None,
    axes: str | None,
    verbose: bool,
    quiet: bool,
) -> None:
    """Compare a RESULT with a clean REFERENCE: PSNR, SSIM and mean absolute error.

    PSNR and SSIM clip values to the full range. Signals get SNR, RMSE and PRD instead. Errors and
    the fitted offset are in the reference's units. With --json, one object: "psnr" and "snr" are
    null if both are equal, "ssim" if the images are smaller than its window.
    """
    from dataclasses import replace
    from math import isfinite, isnan

    import numpy as np

    from hush import kinds
    from hush.metrics import fit_gain_offset, mean_score

    ours, theirs = read(result, axes, kind), read(reference, axes, kind)
    if ours.data.shape != theirs.data.shape and not kinds.get(theirs.kind).selected:
        first, second = (" × ".join(str(n) for n in r.data.shape) for r in (ours, theirs))
        raise HushError(
            f"only data of one shape can be compared; {result} is {first}, {reference} is {second}"
        )
    chosen = kinds.get(theirs.kind)
    ours = replace(ours, axes=theirs.axes, kind=theirs.kind)
    full = full or chosen.peak(theirs)
    scale = full or theirs.scale
    # A format may not keep what full range is, and units do not depend on the type.
    same = ours.data.dtype == theirs.data.dtype or bool(chosen.levels)
    own = full or (theirs.scale if same else ours.scale)
    a = [np.asarray(x, np.float64) / own for x in chosen.batch(ours).data]
    b = [np.asarray(x, np.float64) / scale for x in chosen.batch(theirs).data]
    highest = max(float(np.max(x, initial=0.0, where=np.isfinite(x))) for x in b)
    gain, offset = 1.0, 0.0
    if fit:
        gain, offset = fit_gain_offset(*(np.concatenate([x.ravel() for x in y]) for y in (a, b)))
        a = [gain * x + offset for x in a]
    scores = [chosen.scores(x, y) for x, y in zip(a, b, strict=True)]
    if full is None and highest > 2 and "psnr" in scores[0]:
        say(
            f"{reference}: values reach {highest:.4g}, but were clipped to 1, the full range of "
            "floats; give the full range with --range"
        )
    means = {name: mean_score([s[name] for s in scores]) for name in scores[0]}
    mae = None
    if not chosen.selected:
        errors = np.concatenate([np.abs(x - y).ravel() for x, y in zip(a, b, strict=True)])
        mae = float(np.mean(errors, where=np.isfinite(errors))) * scale
    row: dict[str, Any] = {
        "result": result,
        "reference": reference,
        **{name: v * scale if name in chosen.levels else v for name, v in means.items()},
        "mae": mae,
        "fit": fit,
        "gain": gain,
        "offset": offset * scale,
    }
    small = [name.upper() for name in scores[0] if isnan(row[name])]
    for name in small:
        say(f"{name} cannot be measured on {chosen.nouns[1]} this small")
    if as_json:
        print_json(row)
    elif not quiet:
        from hush.report import describe

        lines = []
        for name in scores[0]:
            value = f"{row[name]:.2f} dB" if name in ("psnr", "snr") else f"{row[name]:.4f}"
            if name in chosen.levels:
                value = describe.number(row[name]) + describe.units(scale)
            equal = name in ("psnr", "snr") and not isfinite(row[name])
            lines.append((name.upper(), "infinite: both are equal" if equal else value))
        if mae is not None:
            lines.append(("mean absolute error", describe.number(mae) + describe.units(scale)))
        if fit:
            lines.append(("fitted", f"{gain:.4f} · result + {describe.number(row['offset'])}"))
        words.print_block(f"{result} against {reference}", lines)


class _Study(click.Command):
    """A command whose help ends with the studies there are."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from hush.studies import STUDIES

        with formatter.section("Studies"):
            formatter.write_dl([(study.name, study.title) for study in STUDIES.values()])


@click.command(cls=_Study, short_help="Run a study and print its table beside published figures.")
@click.argument("name", type=STUDY, metavar="NAME")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Folder with the data to test on; by default that in HUSH_DATA.",
)
@click.option(
    "--train",
    type=click.Path(path_type=Path),
    help="Folder to train on, in studies that train; by default a part of the data.",
)
@click.option("--quick", is_flag=True, help="Use only a few small crops, to check that it works.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    help="File that gets a line for each finished cell; cells already in it are not repeated.",
)
@click.option(
    "--seed",
    "seeds",
    type=int,
    multiple=True,
    help="Seed of all random numbers; repeatable. By default 0; in studies of five runs, 0 to 4.",
)
@click.option("--only", metavar="PATTERN", help="Use only folders with such names, as 'kodak*'.")
@click.option("--methods", metavar="A,B", help="Use only these methods.")
@click.option(
    "--where",
    multiple=True,
    metavar="KEY=PATTERN",
    help="Use only cases with this setting, as noise=gaussian, or without KEY (KEY=); repeatable.",
)
@click.option(
    "--set",
    "sizes",
    multiple=True,
    metavar="NAME=VALUE",
    help="A size of the study, as scenes=2000 of mid/lines; repeatable.",
)
@click.option("--model", type=click.Path(path_type=Path), help="Use this model, not a shipped one.")
@click.option(
    "--budget",
    type=Duration(),
    help="Training time for each method, all its stages together, in studies that train methods; "
    "10m by default.",
)
@device
@threads
@talk
def study(
    name: str,
    data: Path | None,
    train: Path | None,
    quick: bool,
    json_file: Path | None,
    seeds: tuple[int, ...],
    only: str | None,
    methods: str | None,
    where: tuple[str, ...],
    sizes: tuple[str, ...],
    model: Path | None,
    budget: float | None,
    device: str,
    threads: int | None,
    verbose: bool,
    quiet: bool,
) -> None:
    """Run a study, such as mid/images or diffdenoise/iid, and print its table.

    The table has published figures for comparison. The diffdenoise studies train every method for
    --budget, either on --train, and then test all of --data, or on a part of the data. With --json,
    the models are kept beside that file, and the same command continues an interrupted run. Data
    that are missing are named and left out.
    """
    from rich.console import Console

    from hush.devices import device_for
    from hush.studies import run
    from hush.studies.core import find_method

    use_threads(threads)
    settings = dict(w.partition("=")[::2] for w in where)
    if not all(w.find("=") > 0 for w in where):
        raise click.BadParameter("write KEY=PATTERN, such as noise=gaussian", param_hint="--where")
    if not all(size.find("=") > 0 for size in sizes):
        raise click.BadParameter("write NAME=VALUE, such as scenes=2000", param_hint="--set")
    if budget == 0:
        raise click.BadParameter("must be more than 0", param_hint="--budget")
    with Bar(1, quiet) as bar:

        def tell(what: str, done: int, count: int) -> None:
            if done == 0:
                bar.restart(what, count)
            bar(what, float(done))

        results = run(
            name,
            data,
            quick=quick,
            json_path=json_file,
            seeds=seeds or None,
            methods=[m.strip() for m in methods.split(",")] if methods else None,
            only=only,
            where=settings,
            model=model,
            budget=budget,
            train_dir=train,
            options=dict(size.partition("=")[::2] for size in sizes),
            progress=tell,
            find=partial(find_method, device=device_for(device)),
        )
    for note in results.notes:
        say(note)
    if not quiet:
        console = Console()
        for table in results.tables():
            console.print(table)
