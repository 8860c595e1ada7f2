"""What each stage of a DiffDenoise model carries of its input's noise, and how long it takes.

    hush study diffdenoise/iid --data DIR --json iid.jsonl --where data=chest --where noise=gaussian
    python benchmarks/leak.py iid.models/CASE/diffdenoise_…/model.safetensors --data DIR

On the test images of that study: PSNR, SSIM, the correlation of the high frequencies of
(result − clean) and (noisy − clean), and seconds for an image of 300×300 pixels. The model must
have been trained with ``keep=true``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

import hush
from hush.methods.diffdenoise import _high
from hush.metrics import psnr, ssim
from hush.studies.diffdenoise import SIDE, spec
from hush.studies.medical import find_images, noisy_planes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--kernel", default="", help="width of the noise's kernel: 0.5 or 1.2")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    chest = next(s for s in find_images(args.data) if s.kind == "chest")
    samples = list(noisy_planes(chest.test, spec("gaussian", "chest", args.kernel), SIDE, 0))
    model = hush.load(args.model)
    for output in ("condition", "single", "pair", "student"):
        method = model.replace(output=output)
        method.restore(samples[0].noisy)  # the first call is slower
        start = time.perf_counter()
        results = [method.restore(s.noisy).data for s in samples]
        seconds = (time.perf_counter() - start) / len(samples)
        carried = [
            np.corrcoef(_high(x - s.reference).ravel(), _high(s.noisy - s.reference).ravel())[0, 1]
            for x, s in zip(results, samples, strict=True)
        ]
        both = [
            np.mean(
                [score(x, s.reference, clip=False) for x, s in zip(results, samples, strict=True)]
            )
            for score in (psnr, ssim)
        ]
        print(
            f"{output:10} {both[0]:.2f} dB  {both[1]:.4f}  carried {np.mean(carried):+.2f}  "
            f"{seconds:.2f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
