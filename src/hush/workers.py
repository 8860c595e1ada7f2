"""Processes that work on parts of files, on this machine or on a cluster: Dask's workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from hush.errors import HushError, missing_package

T = TypeVar("T")
R = TypeVar("R")

ENVIRON = "distributed.nanny.pre-spawn-environ"  #: environment of Dask's workers
WAIT = 60  #: seconds for the first worker of a cluster to answer


@dataclass
class Workers:
    """The workers of a Dask client.

    threads : of each worker, for its networks; None: as many as Dask gives it.
    """

    client: Any
    threads: int | None = None

    def each(
        self, function: Callable[..., R], tasks: Sequence[T], *shared: Any
    ) -> Iterator[tuple[T, R]]:
        """``function(task, *shared)`` of every task, as they are finished.

        A task whose worker is lost is done again by another. What is `shared` is sent once.

        Raises
        ------
        HushError
            If a task was lost with several workers. What a task raises is raised here.
        """
        from distributed import as_completed
        from distributed.scheduler import KilledWorker

        sent = [self.client.submit(_same, value, pure=False) for value in shared]
        futures = {
            self.client.submit(_run, function, task, self.threads, *sent, pure=False): task
            for task in tasks
        }
        try:
            for future in as_completed(list(futures)):
                yield futures[future], future.result()
        except KilledWorker:
            raise HushError(
                "several workers ended during one block, as when memory is short; start fewer, or "
                "give each more memory"
            ) from None
        finally:
            self.client.cancel(list(futures))

    def submit(self, function: Callable[..., R], *arguments: Any) -> Any:
        """A future of ``function(*arguments)``."""
        return self.client.submit(_alone, function, arguments, self.threads, pure=False)


def _same(value: T) -> T:
    return value  # as the result of a task, which is made again if its worker is lost


def _run(function: Callable[..., R], task: Any, threads: int | None, *shared: Any) -> R:
    _use(threads)
    return function(task, *shared)


def _alone(function: Callable[..., R], arguments: Sequence[Any], threads: int | None) -> R:
    _use(threads)
    return function(*arguments)


def _use(threads: int | None) -> None:
    """Set the threads of this worker's networks."""
    import torch
    from distributed import get_worker

    number = threads or get_worker().state.nthreads
    if torch.get_num_threads() != number:
        torch.set_num_threads(number)


@contextmanager
def started(
    count: int | None, scheduler: str | None = None, threads: int | None = None
) -> Iterator[Workers]:
    """`count` worker processes on this machine, or those of the `scheduler` at an address.

    threads : of all workers on this machine together, by default one per core; with a scheduler, of
        each of its workers, by default as many as Dask gives it.

    Raises
    ------
    HushError
        If Dask is not installed, or the scheduler does not answer.
    """
    try:
        import dask
        import distributed
    except ImportError:
        what = "the option --workers or --scheduler"
        raise missing_package("Dask", "parallel", what=what) from None
    quiet = {"distributed.comm.timeouts.connect": "10s", "distributed.logging.distributed": "error"}
    # Memory that is given back at once is cleared anew for every array: twice the time of a filter.
    environ = dict(dask.config.get(ENVIRON))
    environ.pop("MALLOC_TRIM_THRESHOLD_", None)
    with ExitStack() as stack:
        stack.enter_context(dask.config.set({**quiet, ENVIRON: environ}))
        if scheduler is not None:
            client = stack.enter_context(_connected(distributed, scheduler))
            yield Workers(client, threads)
            return
        assert count is not None
        each = max(1, (threads or os.cpu_count() or 1) // count)
        cluster = distributed.LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            memory_limit=0,
            silence_logs=50,
        )
        stack.enter_context(cluster)
        yield Workers(stack.enter_context(distributed.Client(cluster)), each)


@contextmanager
def _connected(distributed: Any, address: str) -> Iterator[Any]:
    """A client of a cluster that is there."""
    try:
        client = distributed.Client(address)
    except (OSError, ValueError) as error:
        raise HushError(
            f"no Dask scheduler answers at {address}; give its address, such as tcp://HOST:8786"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=WAIT)
        except TimeoutError:
            raise HushError(
                f"the scheduler at {address} has no workers; start some, as with dask worker "
                f"{address}"
            ) from None
        yield client
