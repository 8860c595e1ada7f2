"""A method on one noisy image, in a process of its own that has so many seconds from its start."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from hush.errors import HushError
from hush.studies.sample import Sample

LEAST = 0.1  #: seconds of training, where the start of the process has left none


@dataclass(frozen=True)
class Timed:
    """A result ``(C, H, W)``, and the seconds from the start of its process to its end."""

    data: np.ndarray
    seconds: float


def command(sample: Sample) -> Timed:
    """What ``hush denoise`` gives users."""
    return _command(sample.noisy, ())


def adapted(sample: Sample) -> Timed:
    """What ``hush denoise --adapt`` gives, if adapting has what the same command without it leaves
    of the time; without any left, the plain result."""
    plain = command(sample)
    left = sample.about["seconds"] - plain.seconds
    return _command(sample.noisy, ("--adapt", f"{left:.3f}s")) if left > 0 else plain


def timed(row: str, sample: Sample) -> Timed:
    """What another method gives, after the sample's time."""
    import torch

    begun = time.time()
    end = begun + sample.about["seconds"]
    data = alone(made, row, sample.noisy, end, torch.get_num_threads())
    return Timed(data, time.time() - begun)


def alone(function: Callable[..., Any], *given: Any) -> Any:
    """What a function returns in a new process, which imports everything again."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *given).result()


def made(row: str, noisy: np.ndarray, end: float, threads: int) -> np.ndarray:
    """The result of a method for an image ``(C, H, W)`` of unknown noise, at `end` (`time.time`).

    Its settings are those that users get. Methods that learn are trained on this image alone.
    """
    import torch

    from hush.methods import get, make

    torch.set_num_threads(threads)
    cls = get(row, "image")
    if "seconds" in {field.name for field in dataclasses.fields(cls)}:
        return make(row, "image", seconds=max(end - time.time(), LEAST)).restored(noisy)
    method = make(row, "image")
    if cls.learns_from == "noisy":
        from hush import training  # noqa: F401  # its import takes from the time
        from hush.schedule import Schedule

        schedule = Schedule(budget=max(end - time.time(), LEAST))
        method.fit([_shown(noisy)], schedule=schedule, device="cpu", progress=False)
    elif cls.learns_from != "nothing":
        raise HushError(f"{row} learns from more than one noisy image")
    return method.restored(noisy)


def _command(noisy: np.ndarray, options: Sequence[str]) -> Timed:
    import torch

    with TemporaryDirectory() as folder:
        source, target = Path(folder, "noisy.npy"), Path(folder, "clean.npy")
        np.save(source, _shown(noisy))
        words = ["denoise", str(source), "-o", str(target), "--kind", "image", "--quiet", *options]
        words += ["--device", "cpu", "--threads", str(torch.get_num_threads())]
        begun = time.time()
        done = subprocess.run(
            [sys.executable, "-m", "hush", *words], capture_output=True, text=True, check=False
        )
        seconds = time.time() - begun
        if done.returncode:
            raise HushError(f"hush denoise failed: {done.stderr.strip()}")
        data: np.ndarray = np.load(target)
    return Timed(data[None] if noisy.shape[0] == 1 else np.moveaxis(data, -1, 0), seconds)


def _shown(noisy: np.ndarray) -> np.ndarray:
    """An image ``(C, H, W)`` as users give it."""
    return noisy[0] if len(noisy) == 1 else np.moveaxis(noisy, 0, -1)
