"""Whether more time for `--adapt` ever makes a result worse, round by round.

    python benchmarks/anytime.py --data DIR [--seconds 60] [--side 256] [--only camera]

For every development image and noise: PSNR after each round beside the clean image, the score by
which hush decides, in percent and with its standard error, and what is kept. Seconds are those of
the processor, so that other work on the machine does not matter. X-rays have noise of their own, so
a cleaner result can be farther from them.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skimage import data as pictures

import hush.methods.mid.adapting as adapting
from hush.metrics import psnr
from hush.models import load, shipped
from hush.studies.folders import image_files, read_images
from hush.studies.images import centre_crop, frozen_noise

NOISE = ("gaussian:25/255", "gaussian:10/255", "poisson:30", "correlated:15/255,0.7")
OWN = ("camera", "astronaut", "coins", "page")
TOLERANCE = 0.05  #: dB


def clean_images(data: Path, side: int) -> dict[str, np.ndarray]:
    """Development images ``(C, H, W)`` by name: scikit-image, BSDS500's training part, X-rays."""
    found = {}
    for name in OWN:
        x = getattr(pictures, name)().astype(np.float32) / 255
        found[name] = x[None] if x.ndim == 2 else np.moveaxis(x, -1, 0)
    for folder, every in (("bsds500_train", 60), ("cxr_nih", 30)):
        for path in image_files(data / "images" / folder)[::every]:
            found[f"{folder}/{path.stem}"] = next(read_images(path))
    return {name: centre_crop(x, side) for name, x in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("HUSH_DATA"))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--noise", nargs="+", default=NOISE)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    adapting.now = time.process_time  # type: ignore[attr-defined]
    steps = []
    for name, x in clean_images(args.data, args.side).items():
        for spec in args.noise if args.only in name else ():
            print(f"{name}, {spec}", flush=True)
            steps += down(x, frozen_noise(x, spec, name, 0)[0], args.seconds)
    worse = sum(step < -TOLERANCE for step in steps)
    print(f"{len(steps)} runs, worst step {min(steps):+.3f} dB, {worse} below −{TOLERANCE} dB")


def down(x: np.ndarray, noisy: np.ndarray, seconds: float) -> list[float]:
    """The worst step down of what was kept, below the best so far."""
    model = load(shipped("mid", len(x), "image"))
    errors = adapting.errors
    kept: list[tuple[float, np.ndarray]] = []
    rounds: list[tuple[float, np.ndarray]] = []

    def watched(other: Any, pairs: Any) -> np.ndarray:
        now = psnr(other.restored(noisy), x, 1.0), errors(other, pairs)
        rounds.append(now)
        better = not kept or adapting.better(kept[-1][1] - now[1])
        kept.extend([now] * better)
        gain = 100 * (rounds[0][1] - now[1]) / rounds[0][1].mean()
        print(
            f"  round {len(rounds) - 1}: {now[0]:.3f} dB ({now[0] - rounds[0][0]:+.3f}), gain "
            f"{gain.mean():+.3f} ± {gain.std() / math.sqrt(len(gain)):.3f} %{', kept' * better}",
            flush=True,
        )
        return now[1]

    adapting.errors = watched
    try:
        model.adapt([noisy], seconds)
    finally:
        adapting.errors = errors
    values = [value for value, _ in kept]
    return [min((b - max(values[: i + 1]) for i, b in enumerate(values[1:])), default=0.0)]


if __name__ == "__main__":
    main()
