"""Processes killed at random moments of writing and of training, and what the next one finds.

    python benchmarks/kills.py                   # 200 kills of writing, 200 of training
    python benchmarks/kills.py --count 20 --seed 1 --only training

Every command runs in a fork of this process, so that starting Python takes no time, and gets
SIGKILL at a moment drawn uniformly over its usual duration. Then: what has the result's name is the
whole result or not there, the inputs are as they were, and the same command (of trainings with
``--resume`` if there is a checkpoint) succeeds, with the bytes or weights of an undisturbed run and
nothing left beside them. Exits 1 if anything differs.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import corpus  # noqa: E402
from foreign import dataset  # noqa: E402

import hush  # noqa: E402
import hush.training  # noqa: E402
from hush import io  # noqa: E402
from hush.cli import main as command_line  # noqa: E402
from hush.record import Record  # noqa: E402

CONTEXT = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Case:
    """A command. make : writes its input into a folder; result : the name of what it writes."""

    name: str
    make: Callable[[Path], object]
    command: tuple[str, ...]
    result: str


def pictures(*names: str, shape: tuple[int, ...] = (96, 120)) -> Callable[[Path], None]:
    """Files with one noisy picture each, or recordings."""

    def make(folder: Path) -> None:
        rng = np.random.default_rng(0)
        axes = {2: "YX", 3: "ZYX"}[len(shape)]
        for name in names:
            x = rng.integers(0, 200, shape).astype(np.uint8)
            io.write(Record(x, axes, kind="volume" if "Z" in axes else "image"), folder / name)

    return make


def recording(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        record = next(r for what, r in corpus.records() if what == "recording")
        io.write(record, folder / name)

    return make


def scan(folder: Path) -> None:
    """A DICOM series of many slices."""
    (folder / "a").mkdir()
    for z in range(20):
        dataset(
            ImagePositionPatient=[0, 0, float(z)],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            InstanceNumber=z + 1,
            SOPInstanceUID=f"1.2.{z + 1}",
        ).save_as(folder / "a" / f"{z}.dcm", enforce_file_format=True)


def zarr_store(folder: Path) -> None:
    pictures("a.zarr", shape=(6, 96, 96))(folder)


_OUT = ("train", "in", "-o", "out/m.safetensors", "-q", "--max-steps", "40")
_TRAIN = (*_OUT, "--set", "batch=2", "--set", "patch=16", "--threads", "1", "--start", "none")
_SMALL = ("--set", "widths=8", "--set", "blocks=1")


def written(name: str, make: Callable[[Path], object], *more: str, source: str = "") -> Case:
    command = ["denoise", f"in/{source or name}", "-o", f"out/{name}", "--method", "none", "-q"]
    return Case(name, make, (*command, *more), name)


WRITING = (
    written("a.tif", pictures("a.tif")),
    written("a.png", pictures("a.png")),
    written("a.npy", pictures("a.npy")),
    written("a.npz", pictures("a.npz")),
    written("a.nii.gz", pictures("a.nii.gz", shape=(6, 64, 70))),
    written("a.hea", recording("a.hea")),
    written("a.edf", recording("a.edf")),
    written("a.zarr", zarr_store),
    written("a", scan),
    written("a.tif", pictures("a.tif"), "--overwrite"),
    written("a.zarr", zarr_store, "--overwrite"),
)
TRAINING = (
    Case("mid", pictures("a.png", "b.png", shape=(64, 64)), (*_TRAIN, *_SMALL), "m.safetensors"),
    Case(
        "noise2void",
        pictures("a.png", "b.png", shape=(64, 64)),
        (*_TRAIN, "--method", "noise2void"),
        "m.safetensors",
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="of each sort")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("writing", "training"))
    args = parser.parse_args()
    hush.training.CHECKPOINT_EVERY = 0.05  # seconds; trainings here are short
    faults = 0
    for sort, cases in (("writing", WRITING), ("training", TRAINING)):
        if args.only in (None, sort):
            faults += sum(
                killed(
                    sort, case, args.count // len(cases) + (i < args.count % len(cases)), args.seed
                )
                for i, case in enumerate(cases)
            )
    print(f"{faults} faults")
    sys.exit(bool(faults))


def killed(sort: str, case: Case, count: int, seed: int) -> int:
    """Kill a command so often; prints a line and returns the number of faults."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory(prefix="kills-") as scratch:
        place = Path(scratch)
        (place / "in").mkdir()
        case.make(place / "in")
        inputs = contents(place / "in")
        overwrites = "--overwrite" in case.command
        warm(place, case.command)
        begun = time.perf_counter()
        _, code = run(place, case.command)
        duration = time.perf_counter() - begun
        if code:
            print(f"{case.name}: the command fails: {(place / 'log').read_text()}")
            return 1
        whole = result(place / "out", case)
        found: Counter[str] = Counter()
        while found["killed"] < count:  # one that ends before its moment is not counted
            if not overwrites:
                shutil.rmtree(place / "out", ignore_errors=True)
            (place / "out").mkdir(exist_ok=True)
            ended, _ = run(place, case.command, rng.uniform(0, duration))
            found["killed" if not ended else "ended before"] += 1
            there = (place / "out" / case.result).exists()
            if there and result(place / "out", case) != whole:
                found["FAULT half a result"] += 1
            if overwrites and not there:
                found["FAULT earlier result lost"] += 1
            found["result there"] += there
            if contents(place / "in") != inputs:
                found["FAULT input changed"] += 1
            left = bool(leftovers(place / "out"))
            found["leftovers"] += left
            again = case.command
            if sort == "training":
                saved = list((place / "out").rglob("*.training/*.safetensors"))
                begun_ = list((place / "out").rglob("*.training/training.json"))
                finished = there and not saved
                if saved or (begun_ and not finished):
                    again = (*again, "--resume")
                    found["resumed"] += bool(saved)
            else:
                finished = there and not overwrites
            if not finished:
                _, code = run(place, again)
                if code:
                    found["FAULT " + (place / "log").read_text()[-200:]] += 1
                elif result(place / "out", case) != whole:
                    found["FAULT another result"] += 1
                elif leftovers(place / "out"):
                    found[f"FAULT left: {leftovers(place / 'out')}"] += 1
        told = ", ".join(f"{n} {what}" for what, n in found.items() if n)
        print(f"{sort} {' '.join(case.command[1:])} ({duration:.2f} s): {told}", flush=True)
        return sum(n for what, n in found.items() if what.startswith("FAULT"))


def run(place: Path, command: Sequence[str], until: float | None = None) -> tuple[bool, int]:
    """Run a command in a fork; whether it ended before `until` seconds, and its exit code."""
    child = CONTEXT.Process(target=work, args=(place, command))
    child.start()
    child.join(until)
    ended = not child.is_alive()
    if not ended and child.pid:
        os.kill(child.pid, signal.SIGKILL)
        child.join()
    return ended, child.exitcode or 0


def warm(place: Path, command: Sequence[str]) -> None:
    """Import here what a run of a command imports, so that forks need not.

    It runs in a fork itself: threads of torch that had begun here would be missing there.
    """
    child = CONTEXT.Process(target=work, args=(place, command, True))
    child.start()
    child.join()
    for name in (place / "modules").read_text().split():
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    shutil.rmtree(place / "out")


def work(place: Path, command: Sequence[str], listed: bool = False) -> None:
    os.chdir(place)
    log = os.open(place / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(log, stream)
    try:
        command_line(list(command), standalone_mode=True)
    finally:
        if listed:
            (place / "modules").write_text("\n".join(sys.modules))


def contents(folder: Path) -> dict[str, str]:
    """Digests of all files in a folder, by their paths in it."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def result(folder: Path, case: Case) -> dict[str, object]:
    """What is compared: digests of the result's files, or the weights of a model."""
    if case.result.endswith(".safetensors"):
        weights = hush.load(folder / case.result).weights()
        return {name: np.asarray(values).tobytes() for name, values in weights.items()}
    stem = case.result.partition(".")[0]
    every = contents(folder)
    return {
        name: digest
        for name, digest in every.items()
        if name.split("/")[0].partition(".")[0] == stem
    }


def leftovers(folder: Path) -> list[str]:
    """Names that neither the input nor a result has."""
    return [p.name for p in folder.rglob("*") if p.name.startswith(".hush") or ".partial" in p.name]


if __name__ == "__main__":
    main()
