"""Options shared by several commands, and their value types."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from hush.cli.console import say, set_verbose
from hush.cli.earlier import without
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
            self.fail(f"'{value}' is not a duration; write 90, 60s, 20m or 2h", param, ctx)
        return float(match[1]) * _SECONDS[match[2] or ""]


class ValueRange(click.ParamType):
    """A range of values: a number, or ``dtype`` for that of the type."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | Literal["dtype"]:
        if value == "dtype":
            return "dtype"
        try:
            number = float(value)
        except ValueError:
            number = 0.0
        if not 0 < number < float("inf"):
            self.fail(f"'{value}' is not a range; write a number above 0, or dtype", param, ctx)
        return number


class Named(click.ParamType):
    """One of several names; their table is only imported when needed."""

    def __init__(self, name: str, names: Callable[[], Mapping[str, Any]]) -> None:
        self.name = name
        self._names = names

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        names = self._names()
        if value not in names:
            self.fail(
                f"there is no {self.name} '{value}'; choose from {', '.join(names)}", param, ctx
            )
        return str(value)


def _methods() -> Mapping[str, Any]:
    from hush.methods import METHODS

    return METHODS


def _studies() -> Mapping[str, Any]:
    from hush.studies import STUDIES

    return STUDIES


def _kinds() -> Mapping[str, Any]:
    from hush import kinds

    return dict.fromkeys(kinds.KINDS)


KIND = Named("kind", _kinds)
METHOD = Named("method", _methods)
STUDY = Named("study", _studies)


def talk(command: F) -> F:
    """``-v`` and ``-q``."""
    verbose = click.option(
        "-v",
        "--verbose",
        is_flag=True,
        callback=set_verbose,
        help="Print more: all warnings, and where errors occurred.",
    )
    quiet = click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
    return verbose(quiet(command))


def threads(command: F) -> F:
    return click.option(
        "--threads",
        type=click.IntRange(min=1),
        help="Number of processor threads; one per core by default.",
    )(command)


def device(command: F) -> F:
    return click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda", "mps"]),
        default="auto",
        show_default=True,
        help="Where networks run: auto uses CUDA if there is a GPU for it; mps is a Mac's GPU.",
    )(command)


def existing(command: F) -> F:
    """``--overwrite`` and ``--skip-existing``; if both are given, the last one counts."""
    overwrite = click.option(
        "--overwrite", "existing", flag_value="overwrite", help="Replace existing files."
    )
    skip = click.option(
        "--skip-existing",
        "existing",
        flag_value="skip",
        help="Keep existing files and skip their inputs.",
    )
    return overwrite(skip(command))


@dataclass(frozen=True, kw_only=True)
class Running:
    """The values of the options that `running` adds."""

    existing: str | None
    device: str
    threads: int | None
    verbose: bool
    quiet: bool


def running(command: F) -> F:
    """Options of long commands: existing files, device, threads, verbosity."""
    return existing(device(threads(talk(command))))


class WithKinds(click.Command):
    """A command that also has the options of all kinds of data, looked up when it runs."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        from hush import kinds

        own = super().get_params(ctx)
        taken = {parameter.name for parameter in own}
        added: dict[str, click.Parameter] = {}
        for name in kinds.KINDS:
            for option, what in kinds.get(name).options.items():
                if option in taken:  # the command has its own option for it
                    continue
                added[option] = click.Option(
                    [*([f"-{what.short}"] if what.short else []), f"--{option}"],
                    type=click.BOOL if what.setting else click.UNPROCESSED,
                    is_flag=what.setting,
                    default=None,
                    metavar=None if what.setting else what.metavar,
                    help=what.help,
                    expose_value=False,
                    callback=_keep(option, what.type),
                )
        return [*own[:-1], *added.values(), own[-1]]


_CONTEXT = "hush.context"


def _keep(option: str, convert: Callable[[str], Any]) -> Callable[..., None]:
    """A callback that stores a kind's option for `context`."""

    def kept(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if value is None:
            return
        try:
            ctx.meta.setdefault(_CONTEXT, {})[option] = convert(value)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, param) from None

    return kept


def context() -> dict[str, Any]:
    """The values given for the options of kinds."""
    return dict(click.get_current_context().meta.get(_CONTEXT, {}))


_NODATA = "hush.nodata"


def _values(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Store the numbers of ``--nodata`` for `read`."""
    if value is None:
        return
    words = [] if value.strip().lower() == "none" else value.split(",")
    try:
        ctx.meta[_NODATA] = tuple(_number(word.strip()) for word in words)
    except ValueError:
        raise click.BadParameter(
            f"'{value}' is not a number; write one, or several as -9999,0, or none", ctx, param
        ) from None


def _number(word: str) -> float:
    """An integer with all its digits, or a float."""
    return int(word) if re.fullmatch(r"[-+]?\d+", word) else float(word)


def nodata() -> tuple[float, ...] | None:
    """The values given for ``--nodata``; None without it."""
    given: tuple[float, ...] | None = click.get_current_context().meta.get(_NODATA)
    return given


def layout(command: F) -> F:
    """``--kind``, ``--axes`` and ``--nodata``."""
    kind = click.option(
        "--kind", type=KIND, help="Kind of data, such as image; by default detected from the file."
    )
    axes = click.option(
        "--axes",
        metavar="LETTERS",
        help="One letter per dimension, such as TZCYX or YXS; by default read from the file.",
    )
    missing = click.option(
        "--nodata",
        metavar="VALUE",
        expose_value=False,
        callback=_values,
        help="The stored value that marks missing ones, or several, such as -9999,0; they are left "
        "as they are. none: no value does. By default as the file says, or found.",
    )
    return kind(axes(missing(command)))


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")


def use_threads(number: int | None) -> None:
    """Set the number of threads of torch and of the linear algebra under NumPy."""
    if number is not None:
        import threadpoolctl
        import torch

        threadpoolctl.threadpool_limits(number)
        torch.set_num_threads(number)


def check_report(report: Path | None, inputs: Sequence[str], existing: str | None) -> None:
    """Refuse a report that cannot be written, before any work begins."""
    if report is None:
        return
    from hush.io import check_target

    if report.resolve() in {Path(source).resolve() for source in inputs}:
        raise HushError(f"{report} is an input; choose another name for the report")
    check_target(report)
    if report.exists() and existing is None:
        raise HushError(f"{report} already exists; --overwrite replaces it")


def expanded(
    sources: Sequence[str], kind: str | None = None, *, again: bool = False, named: bool = False
) -> tuple[str, ...]:
    """The files given, those in folders, and those that match a pattern such as ``'*.tif'``.

    kind : of data, as the user stated it. Results of earlier runs are left out and told, except
    for the only file; again : none is left out; named : none that is given by its name.

    A folder that is one input, such as a DICOM series, is kept, given or in another folder; so are
    a folder without readable files and a pattern without matches, so that reading them raises the
    error.
    """
    from glob import has_magic

    from hush.io import folder_format, once, recognised

    files: list[str] = []
    own: set[str] = set()
    for source in sources:
        found = [source]
        if not Path(source).exists() and has_magic(source):
            found = sorted(_matching(source)) or [source]
        elif Path(source).is_dir() and folder_format(Path(source), kind) is None:
            inside = (p for p in Path(source).iterdir() if not p.name.startswith("."))
            held = sorted(
                str(p)
                for p in inside
                if (folder_format(p, kind) if p.is_dir() else p.is_file() and recognised(p, kind))
            )
            found = held or [source]
        files += found
        own |= {source} if named and found == [source] else set()
    every = list({Path(f).resolve(): f for f in reversed(files)}.values())[::-1]
    if not again and len(every) > 1:
        kept = own | set(without([f for f in every if f not in own], every))
        every = [f for f in every if f in kept]
    made = once(every, kind)
    if not click.get_current_context().params.get("quiet"):
        for note in made.notes:
            say(note)
    return tuple(made.paths)


def _matching(pattern: str) -> list[str]:
    """The paths that match a pattern; ``**`` enters no links, which may lead in a circle."""
    from glob import glob, has_magic

    if "**" not in pattern:
        return glob(pattern)
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if has_magic(part))
    start = Path(*parts[:fixed])
    found = (p for p in start.glob(str(Path(*parts[fixed:]))) if p != start)
    shown = (p for p in found if not any(x[0] == "." for x in p.relative_to(start).parts))
    return [str(p) for p in shown]


def read(path: str, axes: str | None, kind: str | None) -> Record:
    """The record in a file, with the kind, axes and marks of missing values that the user gave."""
    from hush import api

    return api.read(path, kind=kind, axes=axes, context=context(), nodata=nodata())


def fixed_noise(spec: str, full_range: float) -> Process:
    """The noise that ``--noise`` states: one kind, at one level."""
    from hush.noise.processes import OneOf, parse

    process = parse(spec, full_range)
    if isinstance(process, OneOf):
        raise HushError(
            f"--noise takes one kind of noise, not '{spec}'; leave it out to measure the noise"
        )
    process.variance(0.5)  # raises for a range of levels
    return process
