"""``hush inspect``, ``models`` and ``methods``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hush.cli import words
from hush.cli.console import fail, preload, print_json, say
from hush.cli.options import (
    WithKinds,
    as_json,
    check_report,
    device,
    existing,
    expanded,
    layout,
    read,
    talk,
    threads,
    use_threads,
)

#: what ``hush inspect --json`` prints for a file; levels are in the data's own units
INSPECT_KEYS = (
    *("input", "kind", "family", "sigma", "sigma_range", "gain", "read_sigma", "gamma_shape"),
    *("impulses", "hits", "lines", "correlated", "correlation", "autocorrelation", "kernel_width"),
    *("clipped", "undecided", "alternatives", "uncertainty", "channels", "step", "spec"),
    *(
        "method",
        "model",
        "steps",
        "shape",
        "axes",
        "dtype",
        "nonfinite",
        "items",
        "warnings",
        "error",
    ),
)


@click.command(cls=WithKinds, short_help="Identify and measure the noise in files.")
@click.argument("files", nargs=-1, required=True, metavar="FILE|FOLDER...")
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    help="Also write an HTML page: noise against brightness, and how neighbouring values are "
    "correlated.",
)
@as_json
@layout
@existing
@device
@threads
@talk
def inspect(
    files: tuple[str, ...],
    report: Path | None,
    existing: str | None,
    as_json: bool,
    kind: str | None,
    axes: str | None,
    device: str,
    threads: int | None,
    verbose: bool,
    quiet: bool,
) -> None:
    """Identify and measure the noise in files, and show what denoise would do.

    Levels are in the data's own units. The line --noise can be passed unchanged to denoise and
    train. With --json, prints one line with an object for each file; its "error" is null on
    success.
    """
    preload("hush.api")
    from hush import api, kinds
    from hush.report import rows
    from hush.report.frame import Entry

    files = expanded(files, kind, named=True)
    use_threads(threads)
    check_report(report, files, existing)
    if report and report.exists() and existing == "skip":
        report = None
    entries: list[Entry] = []
    failed = 0
    for number, file in enumerate(files):
        row: dict[str, Any] = dict.fromkeys(INSPECT_KEYS) | {"input": file}
        try:
            seen = api.inspected(read(file, axes, kind), device=device)
            row |= rows.inspection(seen)
            if report:
                entries.append(api.entry(seen, len(files)))
        except BrokenPipeError:
            raise
        except Exception as error:
            row["error"] = fail(file, error)
            failed += 1
        if as_json:
            print_json(row)
        elif row["error"] is None and not quiet:
            if number:
                click.echo()
            of = kinds.get(seen.record.kind)
            said = words.most_important(seen.warnings, verbose)
            words.print_block(file, of.looked(seen), said)
    if report and entries:
        api.write_report(entries, report)
        if not (quiet or as_json):
            click.echo(f"report → {report}")
    if failed and len(files) > 1:
        say(f"{failed} of {len(files)} files failed")
    if failed:
        raise click.exceptions.Exit(1)


@click.command()
@as_json
@talk
def models(as_json: bool, verbose: bool, quiet: bool) -> None:
    """List the shipped models.

    With --json, prints a list of their cards.
    """
    from hush import models as shipped

    cards = shipped.cards()
    if as_json:
        print_json(cards)
    elif not cards:
        say("no models are shipped with this copy; train one with hush train")
    for number, card in enumerate(() if as_json else cards):
        if number:
            click.echo()
        shown = {
            k: v for k, v in card.items() if v not in (None, "") and (verbose or k != "settings")
        }
        name = shown.pop("name")
        words.print_block(name, [(k, words.plain(v)) for k, v in shown.items()])


@click.command()
@as_json
@talk
def methods(as_json: bool, verbose: bool, quiet: bool) -> None:
    """List the available methods.

    With -v, also lists the settings that --set changes, for each kind of data if they differ.
    With --json, prints a list of objects with name, summary, citation, trained, learns_from,
    kinds, and the settings for the first of these kinds.
    """
    from dataclasses import fields

    from hush.kinds import listed
    from hush.methods import METHODS, get, kinds_of

    rows: list[dict[str, Any]] = []
    for name in METHODS:
        cls = get(name)
        rows.append(
            {
                "name": name,
                "summary": cls.summary,
                "citation": cls.citation,
                "trained": cls.learns_from != "nothing",
                "learns_from": cls.learns_from,
                "kinds": list(kinds_of(name)),
                "settings": {f.name: f.default for f in fields(cls) if f.init},
            }
        )
    if as_json:
        print_json(rows)
        return
    for row in rows:
        lines = [("what", row["summary"])]
        lines += [("for", listed(_nouns(row["kinds"])))]
        lines += [("paper", row["citation"])] if row["citation"] else []
        lines += [("trained", "with hush train")] if row["trained"] else []
        if verbose:
            lines += _settings(row["name"], row["kinds"])
        words.print_block(row["name"], lines)


def _nouns(kinds: list[str]) -> list[str]:
    """Kinds of data in words."""
    from hush.denoiser import ANY
    from hush.kinds import get

    return ["all kinds of data"] if tuple(kinds) == ANY else [get(k).nouns[1] for k in kinds]


def _settings(name: str, kinds: list[str]) -> list[tuple[str, str]]:
    """The settings of a method, each with its default, and for which kinds if not for all."""
    from dataclasses import fields

    from hush.denoiser import ANY
    from hush.kinds import KINDS, listed
    from hush.methods import get

    every = list(KINDS) if tuple(kinds) == ANY else kinds
    found: dict[str, dict[str, list[str]]] = {}
    for kind in every:
        for f in fields(get(name, kind)):
            if f.init:
                found.setdefault(f.name, {}).setdefault(_setting(f.default), []).append(kind)
    return [
        (
            f"--set {key}",
            "; ".join(
                value if len(own) == len(every) else f"{value} for {listed(_nouns(own))}"
                for value, own in values.items()
            ),
        )
        for key, values in found.items()
    ]


def _setting(value: Any) -> str:
    """A default, written as ``--set`` takes it."""
    if value is None:
        return "chosen from the data"
    if value == "":
        return "not set"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
