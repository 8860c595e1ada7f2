"""What `--adapt` gains on real pairs, file by file.

    python benchmarks/adaptation.py --data DIR [--only fmd] [--seconds 60] [--every 1] [--threads 2]

Each noisy file is denoised by the shipped model before and after it adapted to that file alone.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import torch

from hush.metrics import psnr, ssim
from hush.models import WEIGHTS, load, shipped
from hush.studies.folders import find_paired_sets, find_pairs, read_images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("HUSH_DATA"))
    parser.add_argument("--only", default="fmd")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    gains = []
    for folder in find_paired_sets(args.data, args.only):
        for pair in find_pairs(folder)[:: args.every]:
            for noisy, clean in zip(read_images(pair.noisy), read_images(pair.clean), strict=True):
                model = load(WEIGHTS / f"{shipped('mid', len(noisy))}.safetensors")
                before = model.restore(noisy).data
                adapted = model.adapt([noisy], args.seconds)
                after = adapted.restore(noisy).data
                scores = [f(x, clean) for x in (before, after) for f in (psnr, ssim)]
                gains.append(scores[2] - scores[0])
                kept = "adapted" if adapted is not model else "kept as it was"
                print(
                    f"{pair.name}: {scores[0]:.2f} dB, {scores[1]:.4f} → "
                    f"{scores[2]:.2f} dB, {scores[3]:.4f} ({gains[-1]:+.2f}, {kept})",
                    flush=True,
                )
    print(f"{len(gains)} files, mean {np.mean(gains):+.2f} dB, worst {min(gains):+.2f} dB")


if __name__ == "__main__":
    main()
