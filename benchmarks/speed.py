"""Whole processes by the clock: `hush` against BM3D, large files, and the command line alone.

    python benchmarks/speed.py [--repeats 5] [--sides 2048 4096 8192]
    python benchmarks/speed.py --only imports stages         where the seconds go
    python benchmarks/speed.py --only against --src OLD/src  pairs with another version of hush

Every measurement is a fresh process, its imports included; alternating runs share what else the
machine does. Python's compiled files are written and read as in an installed package: without them
(PYTHONDONTWRITEBYTECODE), every run of a checkout compiles hush anew, for a fifth of a second.
Memory is the process's peak above that of one that only imports the same modules.
This process stays small on purpose: a child's peak counts what it was forked from.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

HUSH = [sys.executable, "-m", "hush"]
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

MAKE_IMAGE = """
import sys
import numpy as np
import tifffile
from skimage.data import astronaut, camera
path, (side, top, channels, padding) = sys.argv[1], map(int, sys.argv[2:])
repeats = -(-side // 512)
dtype = "uint8" if top == 255 else "uint16"
rng = np.random.default_rng(0)
shape = (side, side) if channels == 1 else (side, side, channels)
colours = "minisblack" if channels == 1 else "rgb"
image = tifffile.memmap(path, shape=shape, dtype=dtype, photometric=colours)
scene = camera() if channels == 1 else astronaut()
for row in range(0, side, 512):
    strip = np.concatenate([scene] * repeats, 1)[: side - row, :side] / 255
    noisy = strip + rng.normal(0, 25 / 255, strip.shape)
    image[row : row + 512] = np.clip(np.rint(noisy * top), 0, top)
image[:, :padding] = 0
image[side - padding :] = 0
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


#: pictures of `against`: side, highest value, channels, rows and columns of black padding
PICTURES = {
    "512×512 gray, 8 bits": (512, 255, 1, 0),
    "512×512 gray, 16 bits": (512, 65535, 1, 0),
    "512×512 RGB, 8 bits": (512, 255, 3, 0),
    "512×512 gray, 16 bits, padded": (512, 65535, 1, 50),
    "2048×2048 gray, 16 bits": (2048, 65535, 1, 0),
}

PARTS = ["help", "imports", "stages", "bm3d", "large"]
WHAT = ("least wall clock", "median wall clock", "least processor", "median processor")
IMPORTTIME = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")


class Run(NamedTuple):
    """Wall-clock seconds, processor seconds and peak resident memory, in MiB, of a process."""

    seconds: float
    cpu: float
    peak: float


def process(*command: str | os.PathLike[str], source: str = "") -> Run:
    """Run a command to its end; SystemExit where it fails. source : a folder to import hush from"""
    start = perf_counter()
    path = {"PYTHONPATH": source} if source else {}
    child = subprocess.Popen(
        [str(c) for c in command], stdout=subprocess.DEVNULL, env={**os.environ, **path}
    )
    _, status, usage = os.wait4(child.pid, 0)
    seconds = perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"failed with {child.returncode}: {' '.join(map(str, command))[:200]}")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit)


def python(code: str, *arguments: str | os.PathLike[str]) -> Run:
    """Run a piece of Python in a fresh process."""
    return process(sys.executable, "-c", code, *arguments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sides", type=int, nargs="*", default=[2048, 4096, 8192])
    parser.add_argument("--only", nargs="*", choices=[*PARTS, "against"], default=PARTS)
    parser.add_argument("--pictures", default="", help="of stages and pairs: part of their names")
    parser.add_argument("--src", help="a folder with another version of hush, for 'against'")
    args = parser.parse_args()
    parts = {
        "help": lambda folder: command_line(args.repeats),
        "imports": lambda folder: imports(folder, args.repeats),
        "stages": lambda folder: stages(folder, args.repeats, args.pictures),
        "bm3d": lambda folder: against_bm3d(folder, args.repeats),
        "large": lambda folder: large_files(folder, args.sides),
    }
    if "against" in args.only:
        if not args.src:
            parser.error("'against' needs --src")
        parts["against"] = lambda folder: against(folder, args.repeats, args.pictures, args.src)
    with tempfile.TemporaryDirectory() as folder:
        for name in args.only:
            parts[name](Path(folder))


def picture(path: Path, side: int, top: int, channels: int = 1, padding: int = 0) -> list[Any]:
    """Write a noisy picture; return the command that denoises it."""
    python(MAKE_IMAGE, path, str(side), str(top), str(channels), str(padding))
    return [*HUSH, "denoise", path, "-o", path.with_name("result.tif"), "--overwrite", "-q"]


def imports(folder: Path, repeats: int) -> None:
    """What a plain run imports, and how long each package takes, without those that it imports."""
    command = picture(folder / "image.tif", 512, 255)
    process(*command)  # compiles
    runs = []
    for _ in range(repeats):
        found = subprocess.run(
            [sys.executable, "-X", "importtime", *map(str, command[1:])],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        )
        seen: Counter[str] = Counter()
        for microseconds, module in IMPORTTIME.findall(found.stderr):
            seen[module.partition(".")[0]] += int(microseconds)
        runs.append(seen)
    best = {name: min(run[name] for run in runs) for name in runs[0]}
    print(f"imports of a plain run: {sum(best.values()) / 1e6:.2f} s, the least of {repeats} runs")
    for name, microseconds in sorted(best.items(), key=lambda pair: -pair[1]):
        if microseconds >= 5000:
            print(f"  {name:20} {microseconds / 1e6:6.3f} s")
    rest = sum(t for t in best.values() if t < 5000)
    print(f"  {'others':20} {rest / 1e6:6.3f} s")


def pictures(folder: Path, part: str) -> Iterator[tuple[str, list[Any]]]:
    """The pictures with `part` in their names, each with the command that denoises it."""
    for name, settings in PICTURES.items():
        if part in name:
            yield name, picture(folder / "image.tif", *settings)


def stages(folder: Path, repeats: int, part: str) -> None:
    """The seconds of one picture by stage: what `--json` tells, and what is left of the process."""
    for name, command in pictures(folder, part):
        process(*command)
        whole = min(process(*command).seconds for _ in range(repeats))
        runs = [
            json.loads(subprocess.check_output([*map(str, command), "--json"], text=True))
            for _ in range(repeats)
        ]
        told = {stage: min(run["timings"][stage] for run in runs) for stage in runs[0]["timings"]}
        rest = whole - sum(told.values())
        each = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in told.items())
        print(f"{name}: {whole:.2f} s: {each}, imports and the rest {rest:.2f}")


def against(folder: Path, repeats: int, part: str, source: str) -> None:
    """This version and another one in turn; least and median of wall clock and processor."""
    ours = str(Path(__file__).parent.parent / "src")
    for name, command in pictures(folder, part):
        runs: dict[str, list[Run]] = {source: [], ours: []}
        for each in runs:
            process(*command, source=each)
        for _ in range(repeats):
            for each, made in runs.items():
                made.append(process(*command, source=each))
        told = []
        for made in runs.values():
            seconds, cpu = [r.seconds for r in made], [r.cpu for r in made]
            told.append((min(seconds), median(seconds), min(cpu), median(cpu)))
        for what, a, b in zip(WHAT, *told, strict=True):
            print(f"{name}, {what}: {a:.2f} s before, {b:.2f} s now ({100 * (b / a - 1):+.0f} %)")


def command_line(repeats: int) -> None:
    """`hush --help`: its time, and the slow packages it imports."""
    seconds = median(process(*HUSH, "--help").seconds for _ in range(repeats))
    loaded = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True).stdout
    print(f"hush --help: {seconds:.2f} s (bar 1 s), slow imports: {loaded.strip() or 'none'}")


def against_bm3d(folder: Path, repeats: int) -> None:
    """One 512×512 image of σ = 25/255, each denoiser a whole process, in turn."""
    image, result = folder / "image.tif", folder / "result.tif"
    denoise = picture(image, 512, 255)
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
        image = folder / f"{side}.tif"
        run = process(*picture(image, side, 65535))
        rate = (run.seconds - baseline.seconds) / side**2 * 1e6
        print(
            f"{side}×{side}: {run.seconds:.1f} s, {rate:.2f} s per megapixel beyond the imports, "
            f"{run.peak - baseline.peak:.0f} MiB above them (bar 1024)"
        )
        image.unlink()


if __name__ == "__main__":
    main()
