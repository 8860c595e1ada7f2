"""Methods that learn the one image they denoise, for the same time, on scikit-image's pictures.

    python benchmarks/zero_shot.py [--methods zs-n2n,self2self,dip,bm3d] [--seconds 60] [--side 512]
                                   [--pictures camera,coffee,gravel]

The middle of every picture, `side` pixels wide, gets Gaussian noise of σ = 25/255, which no method
is told. The time is CPU time of one thread, so that a busy machine does not matter. Prints a line
with PSNR and seconds for each picture, when it is done.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hush.bases import zero_shot
from hush.bases.zero_shot import ZeroShot
from hush.methods import get
from hush.metrics import psnr
from hush.studies.frozen import centre_crop, frozen_noise

METHODS = "zs-n2n,self2self,dip,bm3d"
PICTURES = "camera,coffee,gravel"


@dataclass(frozen=True)
class CPU:
    """The clock of the process instead of the room's."""

    perf_counter: Any = time.process_time


def picture(name: str, side: int) -> np.ndarray:
    """The middle of a picture of `skimage.data`, float32 ``(C, H, W)`` up to 1."""
    from skimage import data

    x = getattr(data, name)().astype(np.float32) / 255
    return centre_crop(x[None] if x.ndim == 2 else x.transpose(2, 0, 1), side)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--pictures", default=PICTURES)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--side", type=int, default=512)
    options = parser.parse_args()
    torch.set_num_threads(1)
    zero_shot.time = CPU()  # type: ignore[assignment, attr-defined]
    for method in options.methods.split(","):
        cls = get(method, "image")
        settings = {"seconds": options.seconds} if issubclass(cls, ZeroShot) else {}
        for name in options.pictures.split(","):
            clean = picture(name, options.side)
            noisy = frozen_noise(clean, "gaussian:25/255", name, 0)[0]
            begun = time.process_time()
            made = cls.for_kind("image", **settings).restore(noisy).data
            spent = time.process_time() - begun
            score = float(psnr(made, clean, data_range=1.0))
            print(f"{method:12} {name:12} {score:6.2f} dB  {spent:6.1f} s", flush=True)


if __name__ == "__main__":
    main()
