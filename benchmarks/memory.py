"""Peak memory of ``hush denoise`` as files grow: it must not.

    python benchmarks/memory.py [METHOD] [--planes 40 160] [--format .tif]

Makes stacks of float32 planes of 1024 × 1024, denoises each in a process of its own, on one
thread, and prints the file's size and the peak resident memory.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tifffile

SIDE = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("method", nargs="?", default="none")
    parser.add_argument("--planes", type=int, nargs="+", default=[40, 160])
    parser.add_argument("--format", choices=[".tif", ".npy"], default=".tif")
    args = parser.parse_args()
    with TemporaryDirectory() as folder:
        for planes in args.planes:
            path = Path(folder) / f"{planes}{args.format}"
            made(path, planes)
            size, peak = path.stat().st_size / 2**20, peak_of(path, args.method)
            print(
                f"{args.method} {path.suffix} {planes} planes: {size:.0f} MiB, peak {peak:.0f} MiB"
            )
            path.unlink()


def made(path: Path, planes: int) -> None:
    """A stack of noise, written plane by plane."""
    rng = np.random.default_rng(0)
    shape = (planes, SIDE, SIDE)
    every = (rng.random(shape[1:], np.float32) for _ in range(planes))
    if path.suffix == ".npy":
        # Not mapped: a child process starts with its parent's peak.
        layout = {"descr": "<f4", "fortran_order": False, "shape": shape}
        with path.open("wb") as stream:
            np.lib.format.write_array_header_1_0(stream, layout)
            for plane in every:
                stream.write(plane.tobytes())
    else:
        with tifffile.TiffWriter(path) as out:
            out.write(every, shape=shape, dtype=np.float32, photometric="minisblack")


def peak_of(path: Path, method: str) -> float:
    """Peak resident memory in MiB of denoising a file."""
    out = path.with_name(f"out{path.suffix}")
    options = ["--method", method, "-o", str(out), "--threads", "1", "--device", "cpu", "-q"]
    code = (
        "import resource, sys; from hush.cli import main; "
        "main(sys.argv[1:], standalone_mode=False); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    command = [sys.executable, "-c", code, "denoise", str(path), *options]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    out.unlink()
    return int(done.stdout.split()[-1]) / 2**10


if __name__ == "__main__":
    main()
