"""Whole processes by the clock: `hush` against BM3D, large files, and the command line alone.

    python benchmarks/speed.py [--repeats 5] [--sides 2048 4096 8192]

Every measurement is a fresh process, its imports included; alternating runs share what else the
machine does. Memory is the process's peak above that of one that only imports the same modules.
This process stays small on purpose: a child's peak counts what it was forked from.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

HUSH = [sys.executable, "-m", "hush"]

MAKE_IMAGE = """
import sys
import numpy as np
import tifffile
from skimage.data import camera
path, side, top = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
repeats = -(-side // 512)
dtype = "uint8" if top == 255 else "uint16"
rng = np.random.default_rng(0)
image = tifffile.memmap(path, shape=(side, side), dtype=dtype)
for row in range(0, side, 512):
    strip = np.tile(camera(), (1, repeats))[: side - row, :side] / 255
    noisy = strip + rng.normal(0, 25 / 255, strip.shape)
    image[row : row + 512] = np.clip(np.rint(noisy * top), 0, top)
image.flush()
"""

BM3D = """
import sys
import tifffile
from bm3d import bm3d
noisy = tifffile.imread(sys.argv[1]) / 255
tifffile.imwrite(sys.argv[2], bm3d(noisy, 25 / 255).clip(0, 1).astype("float32"))
"""

IMPORTS = "import torch, hush, hush.cli, hush.io; from hush.methods import get; get('mid')"

HELP = """
import sys
import hush.cli
print(*sorted({"torch", "lightning", "matplotlib", "scipy"} & set(sys.modules)))
"""


class Run(NamedTuple):
    """Wall-clock seconds and peak resident memory, in MiB, of a process."""

    seconds: float
    peak: float


def process(*command: str | os.PathLike[str]) -> Run:
    """Run a command to its end; SystemExit where it fails."""
    start = perf_counter()
    child = subprocess.Popen([str(c) for c in command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"failed with {child.returncode}: {' '.join(map(str, command))[:200]}")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return Run(seconds, usage.ru_maxrss / unit)


def python(code: str, *arguments: str | os.PathLike[str]) -> Run:
    """Run a piece of Python in a fresh process."""
    return process(sys.executable, "-c", code, *arguments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sides", type=int, nargs="*", default=[2048, 4096, 8192])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command_line(args.repeats)
        against_bm3d(Path(folder), args.repeats)
        large_files(Path(folder), args.sides)


def command_line(repeats: int) -> None:
    """`hush --help`: its time, and the slow packages it imports."""
    seconds = median(process(*HUSH, "--help").seconds for _ in range(repeats))
    loaded = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True).stdout
    print(f"hush --help: {seconds:.2f} s (bar 1 s), slow imports: {loaded.strip() or 'none'}")


def against_bm3d(folder: Path, repeats: int) -> None:
    """One 512×512 image of σ = 25/255, each denoiser a whole process, in turn."""
    image, result = folder / "image.tif", folder / "result.tif"
    python(MAKE_IMAGE, image, "512", "255")
    denoise = [*HUSH, "denoise", image, "-o", result, "--overwrite", "-q"]
    ours, theirs = [], []
    for _ in range(repeats):
        ours.append(process(*denoise).seconds)
        theirs.append(python(BM3D, image, result).seconds)
    a, b = median(ours), median(theirs)
    print(f"512×512: hush {a:.2f} s, bm3d {b:.2f} s, {b / a:.2f} times faster (bar 1, goal 3)")


def large_files(folder: Path, sides: list[int]) -> None:
    """16-bit TIFFs: peak memory above the imports', and time per pixel as the side grows."""
    baseline = python(IMPORTS)
    print(f"imports alone: {baseline.seconds:.2f} s, {baseline.peak:.0f} MiB")
    for side in sides:
        image, result = folder / f"{side}.tif", folder / "result.tif"
        python(MAKE_IMAGE, image, str(side), "65535")
        run = process(*HUSH, "denoise", image, "-o", result, "--overwrite", "-q")
        rate = (run.seconds - baseline.seconds) / side**2 * 1e6
        print(
            f"{side}×{side}: {run.seconds:.1f} s, {rate:.2f} s per megapixel beyond the imports, "
            f"{run.peak - baseline.peak:.0f} MiB above them (bar 1024)"
        )
        image.unlink()


if __name__ == "__main__":
    main()
