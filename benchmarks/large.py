"""A large OME-Zarr alone and through Dask workers: bytes, peak memory, seconds a megapixel.

    python benchmarks/large.py [METHOD] [--side 20000] [--workers 2] [--kill] [--chunk 1024]

Makes a 16-bit image of SIDE × SIDE pixels, denoises it in one process on one thread, and with so
many workers of one thread each, and prints whether all files of the two stores are the same, the
peak resident memory of every process over that of importing hush, and the time. The time of the
workers counts from when they are there to when the result is written. With --kill, one worker is
killed in the middle, too.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

STRIP = 512  #: rows that are made at once
OME: Any = {
    "version": "0.5",
    "multiscales": [
        {
            "axes": [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}],
            "datasets": [
                {
                    "path": "0",
                    "coordinateTransformations": [{"type": "scale", "scale": [0.5, 0.5]}],
                }
            ],
        }
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("method", nargs="?", default="mid")
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--chunk", type=int, default=1024)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kill", action="store_true", help="kill a worker in the middle")
    parser.add_argument("--large", type=int, help="pixels above which an image is in blocks")
    parser.add_argument("--folder", type=Path, help="where to write; by default temporary")
    args = parser.parse_args()
    if args.large:
        os.environ["HUSH_LARGE"] = str(args.large)
    with TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        path, pixels = folder / "a.zarr", args.side**2 / 1e6
        apart(make, path, args.side, args.chunk)
        alone = apart(denoised, path, folder / "alone.zarr", args.method, None, False)
        shown("1 process", pixels, **alone)
        if args.workers:
            several = apart(denoised, path, folder / "b.zarr", args.method, args.workers, args.kill)
            shown(f"{args.workers} workers", pixels, **several)
            same = contents(folder / "alone.zarr") == contents(folder / "b.zarr")
            share = several["seconds"] * args.workers / alone["seconds"]
            print(f"bytes equal: {same}; {share:.2f} of 1/{args.workers} of the time")
            sys.exit(not same)


def shown(what: str, pixels: float, seconds: float, peaks: list[float], base: float) -> None:
    over = ", ".join(f"{p / 1024:.2f} GiB ({(p - base) / 1024:.2f} over import)" for p in peaks)
    print(f"{what}: {seconds:.1f} s, {seconds / pixels:.3f} s/megapixel, peak {over}", flush=True)


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a function in a process of its own, whose peak of memory is its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def make(path: Path, side: int, chunk: int) -> None:
    """Smooth structure with Poisson–Gaussian noise, like a stained slide in fluorescence."""
    import zarr

    rng = np.random.default_rng(0)
    group = zarr.open_group(path, mode="w", attributes={"ome": OME})
    made = group.create_array("0", shape=(side, side), chunks=(chunk, chunk), dtype="uint16")
    x = np.arange(side, dtype=np.float32)
    for start in range(0, side, chunk):
        rows = np.empty((min(chunk, side - start), side), np.uint16)
        for first in range(0, len(rows), STRIP):
            y = np.arange(first, min(first + STRIP, len(rows)), dtype=np.float32) + start
            signal_ = 3000 + 2000 * np.sin(x / 37) * np.cos(y / 51)[:, None]
            noise = rng.standard_normal(signal_.shape, np.float32)
            rows[first : first + STRIP] = signal_ + np.sqrt(10 * signal_ + 50**2) * noise
        made[start : start + len(rows)] = rows


def denoised(path: Path, out: Path, method: str, workers: int | None, kill: bool) -> dict[str, Any]:
    """Seconds, and peaks of memory in MiB: of this process, or of the workers."""
    import torch

    import hush
    from hush import workers as processes

    torch.set_num_threads(1)
    base = peak()
    options: dict[str, Any] = {"into": out, "method": method, "device": "cpu"}
    prepare()
    if workers is None:
        start = time.perf_counter()
        hush.run(path, **options)
        return {"seconds": time.perf_counter() - start, "peaks": [peak()], "base": base}
    with processes.started(workers, threads=workers) as these:
        client = these.client
        client.run(prepare)
        ids = client.run(os.getpid)
        start = time.perf_counter()
        if kill:
            killer = threading.Thread(
                target=ended, args=(next(iter(ids.values())), out), daemon=True
            )
            killer.start()
        hush.run(path, workers=these, **options)
        seconds = time.perf_counter() - start
        if kill and killer.is_alive():
            raise RuntimeError("nothing was killed: the image has too few blocks; raise --side")
        return {"seconds": seconds, "peaks": [*client.run(peak).values(), peak()], "base": base}


def ended(process: int, out: Path) -> None:
    """Kill a worker when a fifth block is done."""
    while len(list(out.with_name(f"{out.name}.partial").glob("done/*"))) < 5:
        time.sleep(0.2)
    os.kill(process, signal.SIGKILL)


def prepare() -> None:
    """For trials with small images: fewer pixels make a large one."""
    from hush.kinds.image import large

    if pixels := os.environ.get("HUSH_LARGE"):
        large.LARGE = int(pixels)


def peak() -> float:
    """The peak of resident memory of this process, in MiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 2**10


def contents(folder: Path) -> dict[str, bytes]:
    """All files in a folder."""
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


if __name__ == "__main__":
    main()
