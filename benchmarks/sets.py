"""Time and memory of large sets.

    python benchmarks/sets.py [--count 100000] [--threads 2]

One process for each kind, so that memory peaks are its own. Half of the elements are outliers.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

import numpy as np

KINDS = ("points", "correspondences", "segments")


def example(kind: str, count: int) -> np.ndarray:
    """Lines with outliers; matches of one epipolar geometry; segments that meet in two points."""
    rng = np.random.default_rng(0)
    half = count // 2
    if kind == "points":
        ends = rng.random((100, 2, 2))
        which, along = rng.integers(100, size=half), rng.random(half)[:, None]
        line = ends[which, 0] + along * (ends[which, 1] - ends[which, 0])
        x = np.concatenate([line + rng.normal(0, 0.0005, line.shape), rng.random((half, 2))])
    elif kind == "correspondences":
        first = rng.random((count, 2)) * 1000
        second = first + [40.0, 0] * rng.uniform(0.5, 1, (count, 1))
        second[half:] = second[half + rng.permutation(count - half)]
        x = np.concatenate([first, second], 1)
    else:
        centre = rng.random((count, 2)) * 1000
        to = np.where(rng.random((count, 1)) < 0.5, [[2000.0, 300]], [[500.0, 9000]]) - centre
        angle = np.arctan2(*to.T[::-1])
        angle[half:] = rng.uniform(0, np.pi, count - half)
        step = rng.uniform(5, 40, (count, 1)) * np.stack([np.cos(angle), np.sin(angle)], 1)
        x = np.concatenate([centre - step, centre + step], 1)
    return x[rng.permutation(len(x))]


def measured(kind: str, count: int, threads: int) -> None:
    import torch

    import hush

    torch.set_num_threads(threads)
    x = example(kind, count)
    hush.run(x[:1000], kind=kind)  # imports and weights
    start = time.perf_counter()
    made = hush.run(x, kind=kind)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{kind}: {count} elements, {len(made.data)} kept, {seconds:.1f} s, peak {peak:.2f} GiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--kind", choices=KINDS)
    given = parser.parse_args()
    if given.kind:
        measured(given.kind, given.count, given.threads)
        return
    for kind in KINDS:
        options = ["--count", str(given.count), "--threads", str(given.threads), "--kind", kind]
        subprocess.run([sys.executable, __file__, *options], check=True)


if __name__ == "__main__":
    main()
