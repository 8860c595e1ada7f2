"""``hush inspect``, ``models`` and ``methods``: what is in a file, and what there is to use."""

from __future__ import annotations

from typing import Any

import click

from hush.cli import words
from hush.cli.console import fail, print_json, say
from hush.cli.options import as_json, device, layout, read, talk, threads, use_threads

#: what ``hush inspect --json`` prints of a file; levels in the data's own units
INSPECT_KEYS = (
    *("input", "family", "sigma", "gain", "read_sigma", "correlated", "correlation"),
    *("kernel_width", "clipped", "undecided", "uncertainty", "channels", "step", "spec"),
    *("method", "model", "steps", "shape", "axes", "dtype", "nonfinite", "warnings", "error"),
)


@click.command(short_help="Tell which noise is in a file, and how much.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@as_json
@layout
@device
@threads
@talk
def inspect(
    files: tuple[str, ...],
    as_json: bool,
    kind: str,
    axes: str | None,
    device: str,
    threads: int | None,
    verbose: bool,
    quiet: bool,
) -> None:
    """Tell which noise is in a file, how much, and what denoise would do.

    Levels are in the data's own units. The line --noise can be given to denoise and train as it
    stands. With --json, one object a line for each file; its "error" is null where all went well.
    """
    from hush import api

    use_threads(threads)
    failed = 0
    for number, file in enumerate(files):
        row: dict[str, Any] = dict.fromkeys(INSPECT_KEYS) | {"input": file}
        try:
            row |= api.inspect(read(file, axes, kind), device=device)
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
            _print(row)
    if failed and len(files) > 1:
        say(f"{failed} of {len(files)} files failed")
    if failed:
        raise click.exceptions.Exit(1)


def _print(row: dict[str, Any]) -> None:
    import numpy as np

    from hush.record import full_range

    scale = full_range(np.dtype(row["dtype"]))
    level = words.noise(
        *(row["family"], row["sigma"], row["gain"], row["read_sigma"], scale, row["uncertainty"])
    )
    if row["undecided"] and row["sigma"]:
        level += "; the picture does not tell whether it grows with brightness"
    lines = [
        ("image", words.size(row["shape"], row["dtype"], row["axes"])),
        ("noise", level),
    ]
    if len(row["channels"]) > 1:
        lines.append(("channels", "σ " + ", ".join(words.number(s) for s in row["channels"])))
    steps = f"{row['steps']} step{'s' * (row['steps'] != 1)}"
    lines += [
        ("pixels", words.correlation(row["correlated"], row["correlation"], row["kernel_width"])),
        ("clipping", f"{100 * row['clipped']:.2g} % of the pixels are at a limit of the range"),
        ("step", f"{row['step']:.2f} of the way up the noise ladder"),
        ("denoise", f"{row['method']} with the model {row['model']}, {steps}"),
        ("--noise", row["spec"]),
    ]
    words.print_block(row["input"], lines, row["warnings"])


@click.command()
@as_json
@talk
def models(as_json: bool, verbose: bool, quiet: bool) -> None:
    """List the models that are shipped.

    With --json, a list of the cards.
    """
    from hush import api

    cards = api.models()
    if as_json:
        print_json(cards)
    elif not cards:
        say("no models are shipped with this copy; hush train makes one")
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
    """List the methods there are.

    With -v also the settings that hush train --set changes. With --json, a list of objects with
    name, summary, citation, trained and settings.
    """
    from dataclasses import fields

    from hush.methods import METHODS, get

    rows: list[dict[str, Any]] = []
    for name in METHODS:
        cls = get(name)
        rows.append(
            {
                "name": name,
                "summary": cls.summary,
                "citation": cls.citation,
                "trained": cls.trained,
                "settings": {f.name: f.default for f in fields(cls) if f.init},
            }
        )
    if as_json:
        print_json(rows)
        return
    for row in rows:
        lines = [("what", row["summary"])]
        lines += [("paper", row["citation"])] if row["citation"] else []
        lines += [("trained", "yes: hush train, or a shipped model")] if row["trained"] else []
        if verbose:
            lines += [(f"--set {key}", _setting(value)) for key, value in row["settings"].items()]
        words.print_block(row["name"], lines)


def _setting(value: Any) -> str:
    """A default as ``--set`` takes it."""
    if value is None:
        return "as the data asks for"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
