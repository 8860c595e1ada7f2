"""Time and memory of taking the ECG out of recordings, whole processes.

    python benchmarks/signals.py                  # 60 s of 10 channels
    python benchmarks/signals.py --hours 1 2      # and hours of 8 channels: memory stays flat

The recordings are synthetic, at 1 kHz; peak memory is that of the process.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from hush.noise.bank import load

RATE, BLOCK = 1000, 60_000


def record(path: Path, channels: int, seconds: int) -> None:
    """Write white noise with beats, block by block."""
    rng, bank = np.random.default_rng(0), load("")
    shape = (channels, seconds * RATE)
    data = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    for channel in data:
        for start in range(0, len(channel), BLOCK):
            part = channel[start : start + BLOCK]
            part[:] = rng.normal(size=len(part)) + 3 * bank.draw(rng, len(part), RATE)


def denoise(path: Path) -> tuple[float, float]:
    """Seconds and peak MB of one command."""
    words = ["denoise", str(path), "--rate", str(RATE), "--noise", "ecg", "--overwrite", "-q"]
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "hush", *words])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"hush denoise {path} failed")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--hours", type=int, nargs="*", default=[])
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "recording.npy"
        record(path, 10, 60)
        runs = [denoise(path) for _ in range(given.repeats)]
        times = ", ".join(f"{seconds:.2f}" for seconds, _ in runs)
        print(f"60 s of 10 channels: {times} s, {max(peak for _, peak in runs):.0f} MB", flush=True)
        for hours in given.hours:
            record(path, 8, 3600 * hours)
            seconds, peak = denoise(path)
            print(f"{hours} h of 8 channels: {seconds:.0f} s, {peak:.0f} MB", flush=True)


if __name__ == "__main__":
    main()
