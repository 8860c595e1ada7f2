"""The progress bar on standard error: what is being done, the share of it, the time left."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress


def progress_bar(note: str = "", transient: bool = False) -> Progress:
    """A bar that is not yet started.

    note : one more column in rich's terms, such as ``"{task.fields[rate]}"``; transient : whether
    the bar goes from the screen at the end.
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
        redirect_stdout=False,  # results go to standard output, never through this console
        redirect_stderr=False,
    )
