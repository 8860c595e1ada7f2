"""``--workers`` and ``--scheduler``: several files, or blocks of large ones, at once."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hush.cli.console import Bar, say
from hush.cli.options import F
from hush.cli.outputs import Job, Options

if TYPE_CHECKING:
    from hush.workers import Workers

LARGE = 2**28  #: bytes of a file that workers share block by block; smaller ones are whole
WAIT = 0.1  #: seconds between two looks at what workers have finished


def parallel(command: F) -> F:
    """``--workers`` and ``--scheduler``."""
    workers = click.option(
        "--workers",
        type=click.IntRange(min=1),
        metavar="N",
        help="Share files, and blocks of large ones, among N processes; results are the same.",
    )
    scheduler = click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="Share them among the workers of a Dask cluster that is there, such as "
        "tcp://HOST:8786; they have to see the same files.",
    )
    return workers(scheduler(command))


@contextmanager
def started(o: Options) -> Iterator[Workers | None]:
    """The workers that the user asked for; None without the options."""
    if o.workers and o.scheduler:
        raise click.BadParameter("give --workers or --scheduler", param_hint="--workers")
    if not (o.workers or o.scheduler):
        yield None
        return
    from hush import workers

    with workers.started(o.workers, o.scheduler, o.threads) as these:
        yield these


def shared(
    workers: Workers | None, o: Options, jobs: Sequence[Job], one: Callable[..., Any], adapted: Any
) -> dict[str, Any]:
    """Futures of ``one(o, job, adapted, bar)`` by input, of the files that are denoised whole.

    A single file, and large ones, are not among them: workers share their blocks. Nor are those
    whose path another one may take.
    """
    due = [job for job in jobs if job.due and not job.contested]
    if workers is None or len(due) < 2:
        return {}
    meta = {k: v for k, v in click.get_current_context().meta.items() if k.startswith("hush")}
    return {
        job.source: workers.submit(_file, one, o, job, adapted, meta)
        for job in due
        if _size(Path(job.source)) < LARGE
    }


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; 0 if there is none."""
    try:
        files = path.rglob("*") if path.is_dir() else [path]
        return sum(file.stat().st_size for file in files)
    except OSError:  # reading it raises the error
        return 0


def _file(
    one: Callable[..., Any], o: Options, job: Job, adapted: Any, meta: Mapping[str, Any]
) -> Any:
    """``one(…)`` in a worker, as if it were in the command."""
    with click.Context(click.Command("denoise")) as ctx, warnings.catch_warnings():
        ctx.meta.update(meta)
        warnings.simplefilter("ignore")  # meant for programmers
        return one(o, job, adapted, Bar(1, quiet=True))


def waited(future: Any, futures: Mapping[str, Any], bar: Bar) -> Any:
    """The result of a future, while the bar shows how many of all are there.

    What the future raises, such as for a lost worker, is raised.
    """
    while not future.done():
        count = sum(f.done() for f in futures.values())
        bar(f"{count} of {len(futures)} files", count - bar.part)
        time.sleep(WAIT)
    return future.result()


def state_begun(job: Job, bar: Bar) -> None:
    """Say that there are parts of a result, which an earlier run has left."""
    from hush.io.partial import folder_for

    folder = None if job.target is None else folder_for(job.target)
    if folder is not None and any(folder.glob("done/*")):
        with bar.paused():
            say(f"{job.source}: goes on with the parts in {folder}")
