"""The progress bar on standard error: the current task, the share done, the time left."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress


def watched() -> bool:
    """Whether somebody sees a bar: a terminal, or a notebook."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules


def progress_bar(note: str = "", transient: bool = False) -> Progress:
    """A progress bar, not yet started.

    note : another column in rich's syntax, such as ``"{task.fields[rate]}"``; transient : remove
    the bar from the screen at the end.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn(note),
        console=Console(stderr=True),
        transient=transient,
        redirect_stdout=False,  # results go to standard output, not through this console
        redirect_stderr=False,
    )
