"""``hush compare`` and ``hush study``: measure how good a result is."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal

import click

from hush.cli import words
from hush.cli.console import Bar, print_json, say
from hush.cli.options import (
    STUDY,
    Duration,
    ValueRange,
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
    "stated",
    type=ValueRange(),
    help="The range of values that PSNR and SSIM take: a number, or dtype for that of the type. By "
    "default 255 for 8 bits, 1 for floats within [0, 1], the highest value of volumes, and for "
    "others what the reference spans.",
)
@as_json
@layout
@talk
def compare(
    result: str,
    reference: str,
    fit: bool,
    stated: float | Literal["dtype"] | None,
    as_json: bool,
    kind: str | None,
    axes: str | None,
    verbose: bool,
    quiet: bool,
) -> None:
    """Compare a RESULT with a clean REFERENCE: PSNR, SSIM and mean absolute error.

    PSNR and SSIM are relative to a range of values, which is printed with them; values are clipped
    to the range of a type, and not to what the reference spans. Signals get SNR, RMSE and PRD
    instead. Errors and the fitted offset are in the reference's units. With --json, one object:
    "psnr" and "snr" are null if both are equal, "ssim" if the images are smaller than its window,
    and "range" has what PSNR and SSIM took.
    """
    from math import isfinite, isnan

    from hush import kinds
    from hush.scoring import scored

    ours, theirs = read(result, axes, kind), read(reference, axes, kind)
    chosen = kinds.get(theirs.kind)
    if ours.data.shape != theirs.data.shape and not chosen.selected:
        first, second = (" × ".join(str(n) for n in r.data.shape) for r in (ours, theirs))
        raise HushError(
            f"only data of one shape can be compared; {result} is {first}, {reference} is {second}"
        )
    found = scored(ours, theirs, stated, fit)
    row: dict[str, Any] = {
        "result": result,
        "reference": reference,
        **found.values,
        "range": None if found.span is None else found.span.width,
        "mae": found.error,
        "fit": fit,
        "gain": found.gain,
        "offset": found.offset,
    }
    small = [name.upper() for name, value in found.values.items() if isnan(value)]
    for name in small:
        say(f"{name} cannot be measured on {chosen.nouns[1]} this small")
    if as_json:
        print_json(row)
    elif not quiet:
        from hush.report import describe

        lines, units = [], describe.units(theirs.scale)
        for name, score in found.values.items():
            value = f"{score:.2f} dB" if name in ("psnr", "snr") else f"{score:.4f}"
            if name in chosen.levels:
                value = describe.number(score) + units
            equal = name in ("psnr", "snr") and not isfinite(score)
            lines.append((name.upper(), "infinite: both are equal" if equal else value))
        if found.span is not None:
            lines.append(("range", f"{describe.number(found.span.width)}, {found.span.of}"))
        if found.error is not None:
            lines.append(("mean absolute error", describe.number(found.error) + units))
        if fit:
            lines.append(("fitted", f"{found.gain:.4f} · result + {describe.number(found.offset)}"))
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
