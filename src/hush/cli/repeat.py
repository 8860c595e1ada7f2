"""The command that repeats a training, for its model's card."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hush.cli.options import context, nodata

DEFAULT_BUDGET = 600.0  #: seconds of training, if neither a time nor a number of steps is given
MOST_NAMED = 8  #: most files that the card's command lists one by one


def folder_name(file: Path) -> str:
    """The name of the folder that a file lies in."""
    return file.resolve().parent.name


def command_of(o: Any, steps: int | None, *, paths: bool = False) -> str:
    """The command that repeats the training, with the same number of steps.

    paths : with files and folders as they were given, for the terminal; a card names no paths.
    """
    files = [s for s in o.sources if not s.is_dir()]
    folders = [s.resolve().name for s in o.sources if s.is_dir()]
    named = [f"{folder_name(f)}/{f.name}" for f in files]
    if len(named) > MOST_NAMED:
        named = list(dict.fromkeys(f"{folder_name(f)}/*{f.suffix}" for f in files))
    sources = o.sources if paths else (*folders, *named)
    parts: Sequence[Any] = ["hush", "train", *sources, "-o", o.out if paths else o.out.name]
    long: tuple[str, Any] = ("--max-steps", o.max_steps or steps)
    if not long[1]:  # stages have separate numbers of steps
        long = ("--budget", f"{o.budget or DEFAULT_BUDGET:g}s")
    parts = [*parts, "--method", o.method, *long, "--seed", o.seed]
    parts += ["--corpus"] * o.corpus
    parts += ["--clean", o.clean if paths else o.clean.resolve().name] if o.clean else []
    for option in ("noise", "start", "channels", "steps", "kind", "axes"):
        if (value := getattr(o, option)) is not None:
            parts += [f"--{option}", value]
    if (values := nodata()) is not None:
        parts += ["--nodata", ",".join(f"{value:g}" for value in values) or "none"]
    for option, value in context().items():
        parts += [f"--{option}"] if value is True else [f"--{option}", value]
    for setting in o.set:
        parts += ["--set", setting]
    return " ".join(p if "*" in str(p) else shlex.quote(str(p)) for p in parts)
