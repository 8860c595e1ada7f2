"""Time and memory of whole commands on a diffusion series, and the same voxels through Zarr.

    python -m benchmarks.volumes --data DIR            # 128 × 128 × 78 × 65 voxels, all methods
    python -m benchmarks.volumes --data DIR --methods mid

Every row is one `hush denoise` in its own process. Memory is the largest resident set, with the
pages of mapped files that lie in it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from hush.io import read

SERIES = "volumes/dwi_nlsam_1_8mm/dwi_1_8.nii.gz"
METHODS = ("mid", "patch2self", "mppca")


def run(*words: str | Path) -> tuple[float, float]:
    """Seconds and GiB that a hush command takes."""
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "hush", *map(str, words)])
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"hush {' '.join(map(str, words))} failed")
    return time.perf_counter() - start, usage.ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("HUSH_DATA", "data")))
    parser.add_argument("--methods", default=",".join(METHODS))
    args = parser.parse_args()
    series = args.data / SERIES
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        print(f"{'command':<28} {'seconds':>8} {'GiB':>6}")
        for method in args.methods.split(","):
            target = out / f"{method}.nii.gz"
            seconds, memory = run("denoise", series, "-o", target, "--method", method, "-q")
            print(f"{method + ', NIfTI':<28} {seconds:8.1f} {memory:6.2f}", flush=True)
        if (first := out / "mid.nii.gz").exists():
            run("denoise", series, "-o", out / "noisy.zarr", "--method", "none", "-q")
            seconds, memory = run("denoise", out / "noisy.zarr", "-o", out / "clean.zarr", "-q")
            print(f"{'mid, Zarr':<28} {seconds:8.1f} {memory:6.2f}", flush=True)
            a, b = (read(path) for path in (first, out / "clean.zarr"))
            x = np.transpose(a.data, [a.axes.index(letter) for letter in b.axes])
            print(f"voxels that differ: {np.count_nonzero(x != b.data)} of {x.size}")


if __name__ == "__main__":
    main()
