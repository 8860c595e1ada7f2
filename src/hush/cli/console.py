"""Output of the commands: results on standard output, everything else on standard error."""

from __future__ import annotations

import gc
import importlib
import json
import math
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from hush.errors import HushError
from hush.progress import progress_bar

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress

    from hush.record import Record

#: torch's messages, on the processor and on a GPU
_OUT_OF_MEMORY = re.compile(r"can't allocate memory|not enough memory|out of memory", re.IGNORECASE)

_VERBOSE = "hush.verbose"


def say(message: str) -> None:
    """Print one line for the user on standard error."""
    click.echo(f"hush: {message}", err=True)


@contextmanager
def importing() -> Iterator[None]:
    """Around imports: a Ctrl-C takes effect only after them, and no garbage is collected.

    Raised in the C++ code of a library during its import, a KeyboardInterrupt would abort the
    process. Where Ctrl-C is ignored, it still is. Imports leave no garbage, and looking for it
    takes a tenth of torch's; what they made stays to the end, so that it is not looked through
    again, not even there.
    """
    waiting = []
    handler = signal.signal(signal.SIGINT, lambda *_: waiting.append(True))
    collects, before = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > before:
            gc.freeze()
        if collects:
            gc.enable()
        signal.signal(signal.SIGINT, handler)
    if waiting and callable(handler):  # a job in the background may ignore Ctrl-C
        handler(signal.SIGINT, None)


def preload(*modules: str) -> None:
    """Import `modules` as `importing` does."""
    with importing():
        for name in modules:
            importlib.import_module(name)


def state_memory(bar: Bar, name: str, record: Record, *choice: Any) -> None:
    """Say how much memory the work on a large record takes; choice : as `hush.models.choose`."""
    from hush import kinds, models, pipeline

    if not pipeline.is_large(record):
        return
    needed = pipeline.memory_for(record, kinds.to_batch(record), models.choose(record, *choice))
    size, needs = (f"{n / 2**30:.1f} GiB" for n in (record.data.nbytes, needed))
    with bar.paused():
        say(f"{name}: {size} of data; denoising takes about {needs} of memory")


def print_json(value: Any) -> None:
    """Print one line of strict JSON; numbers that are not finite become null."""
    click.echo(json.dumps(_finite(value), ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def explain(error: Exception) -> str:
    """One sentence for the user about any exception."""
    text = " ".join(str(error).split())
    if isinstance(error, HushError):
        return text
    if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(text):
        return "there is not enough memory; close other programs, or cut the image into parts"
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror.lower()}"
    return f"internal error, please report it with the output of -v: {type(error).__name__}: {text}"


def fail(source: str, error: Exception) -> str:
    """Report that one file of several failed; return the sentence without the file's name."""
    if is_verbose(click.get_current_context()):
        show_traceback()
    sentence = explain(error).removeprefix(f"{source}: ")
    say(f"{source}: {sentence}")
    return sentence


def is_verbose(ctx: click.Context) -> bool:
    return bool(ctx.meta.get(_VERBOSE))


def set_verbose(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    """Callback of ``-v``."""
    ctx.meta[_VERBOSE] = value
    return value


def show_traceback() -> None:
    """Print the traceback of the current exception."""
    click.echo(traceback.format_exc(), err=True)


class Bar:
    """A progress bar with the time left, on standard error, if that is a terminal.

    The whole is `parts` equal parts. Call it with the current task and the share done of the
    current part.
    """

    def __init__(self, parts: int, quiet: bool) -> None:
        self.parts, self.part = parts, 0
        self._bar: Progress | None = None
        if not quiet and sys.stderr.isatty():
            self._bar = progress_bar(transient=True)
            self._task = self._bar.add_task("", total=float(parts))

    def __enter__(self) -> Bar:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: Any, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def __call__(self, what: str, share: float) -> None:
        if self._bar:
            self._bar.update(self._task, description=what, completed=self.part + share)

    def times(self, parts: int) -> Callable[[str, float], None]:
        """This bar for a task that counts as so many parts."""
        return lambda what, share: self(what, parts * share)

    def restart(self, what: str, parts: int) -> None:
        """Start a new whole, with its own time left."""
        self.parts, self.part = parts, 0
        if self._bar:
            self._bar.reset(self._task, total=float(parts), description=what)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Remove the bar from the screen while something is printed."""
        if self._bar:
            self._bar.stop()
        yield
        if self._bar:
            self._bar.start()
