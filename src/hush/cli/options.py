"""Options that commands share, and the values they take."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hush.cli.console import set_verbose
from hush.errors import HushError

if TYPE_CHECKING:
    from hush.noise.processes import Process
    from hush.record import Record

F = TypeVar("F", bound=Callable[..., Any])

_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


class Duration(click.ParamType):
    """A length of time, as seconds: ``90``, ``60s``, ``20m``, ``2h``."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, int | float):
            return float(value)
        match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+) *(s|m|min|h)?", value.strip().lower())
        if match is None:
            self.fail(f"'{value}' is no length of time; write 90, 60s, 20m or 2h", param, ctx)
        return float(match[1]) * _SECONDS[match[2] or ""]


class Named(click.ParamType):
    """One of some names that are looked up, and what knows them imported, only when needed."""

    def __init__(self, name: str, names: Callable[[], Mapping[str, Any]]) -> None:
        self.name = name
        self._names = names

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        names = self._names()
        if value not in names:
            self.fail(
                f"there is no {self.name} '{value}'; there are {', '.join(names)}", param, ctx
            )
        return str(value)


def _methods() -> Mapping[str, Any]:
    from hush.methods import METHODS

    return METHODS


def _studies() -> Mapping[str, Any]:
    from hush.studies import STUDIES

    return STUDIES


METHOD = Named("method", _methods)
STUDY = Named("study", _studies)


def talk(command: F) -> F:
    """``-v`` and ``-q``."""
    verbose = click.option(
        "-v",
        "--verbose",
        is_flag=True,
        callback=set_verbose,
        help="Say more; show where errors are.",
    )
    quiet = click.option("-q", "--quiet", is_flag=True, help="Say nothing but what went wrong.")
    return verbose(quiet(command))


def threads(command: F) -> F:
    return click.option(
        "--threads",
        type=click.IntRange(min=1),
        help="Processor threads to use; all cores by default.",
    )(command)


def device(command: F) -> F:
    return click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        default="auto",
        show_default=True,
        help="Where networks run; auto takes a GPU if there is one.",
    )(command)


def existing(command: F) -> F:
    """``--overwrite`` and ``--skip-existing``; with both the last one counts."""
    overwrite = click.option(
        "--overwrite", "existing", flag_value="overwrite", help="Replace files that exist already."
    )
    skip = click.option(
        "--skip-existing", "existing", flag_value="skip", help="Leave them alone, and go on."
    )
    return overwrite(skip(command))


@dataclass(frozen=True, kw_only=True)
class Running:
    """What `running` gives a command."""

    existing: str | None
    device: str
    threads: int | None
    verbose: bool
    quiet: bool


def running(command: F) -> F:
    """How a long command runs: files that exist, the device, threads, and what it says."""
    return existing(device(threads(talk(command))))


def layout(command: F) -> F:
    """``--kind`` and ``--axes``."""
    kind = click.option(
        "--kind",
        type=click.Choice(["image"]),
        default="image",
        show_default=True,
        help="What the files hold.",
    )
    axes = click.option(
        "--axes",
        metavar="LETTERS",
        help="A letter for each dimension, such as TZCYX or YXS; read from the file by default.",
    )
    return kind(axes(command))


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")


def use_threads(number: int | None) -> None:
    """Have torch use that many threads."""
    if number is not None:
        import torch

        torch.set_num_threads(number)


def check_report(report: Path | None, inputs: Sequence[str], existing: str | None) -> None:
    """Refuse a report that cannot be written, before the work that it is to be about."""
    if report is None:
        return
    from hush.io import check_target

    if report.resolve() in {Path(source).resolve() for source in inputs}:
        raise HushError(f"{report}: is an input; choose another name for the report")
    check_target(report)
    if report.exists() and existing is None:
        raise HushError(f"{report}: exists already; --overwrite replaces it")


def read(path: str, axes: str | None, kind: str) -> Record:
    """The record in a file, with its dimensions named as the user says."""
    from hush import io

    return named(io.read(path), axes, kind)


def named(record: Record, axes: str | None, kind: str) -> Record:
    """The record as what the user says it is."""
    letters = record.axes if axes is None else axes.upper()
    if not letters.isalpha() or len(set(letters)) < len(letters):
        raise HushError(f"--axes takes a different letter for each dimension, which {axes} is not")
    return replace(record, kind=kind, axes=letters)


def fixed_noise(spec: str, full_range: float) -> Process:
    """The noise that files are said to have: one kind, at one level."""
    from hush.noise.processes import OneOf, parse

    process = parse(spec, full_range)
    if isinstance(process, OneOf):
        raise HushError(
            f"--noise takes one kind of noise, not '{spec}'; leave it out to measure it"
        )
    process.variance(0.5)  # raises for a range of levels
    return process
