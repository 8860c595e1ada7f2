"""How much noise to add in noisy-only training: PSNR on images that were held out.

    python benchmarks/frozen.py DIR/images/bsd400_180 out/bsd400_sigma25
    python benchmarks/increments.py out/bsd400_sigma25 DIR/images/bsd400_180 [0.5-1 0.6-1.1 …]

The first folder holds frozen draws of σ = 25/255, the second the clean images of the same names,
which only judge. Every tenth is held out. Ranges are of the added deviation, relative to the
collected one's; each is a training of its own.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import hush.methods.mid.loss as mid
from hush.methods.mid.image import MID
from hush.metrics import psnr
from hush.noise.processes import Gaussian
from hush.schedule import Schedule
from hush.studies.folders import image_files, read_images

NOISE = Gaussian(25 / 255)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("noisy", type=Path)
    parser.add_argument("clean", type=Path)
    parser.add_argument("ranges", nargs="*", default=["0.1-0.5", "0.3-1", "0.5-1", "0.6-1.1"])
    parser.add_argument("--max-steps", type=int, default=2500)
    args = parser.parse_args()
    noisy, clean = (
        [next(read_images(file)) for file in image_files(folder)]
        for folder in (args.noisy, args.clean)
    )
    training = [x[0] for i, x in enumerate(noisy) if i % 10]
    for text in args.ranges:
        least, most = map(float, text.split("-"))
        mid._LEAST = least / most
        model = MID(added=most)
        schedule = Schedule(max_steps=args.max_steps, validate_every=10**6)
        model.fit(training, noise=NOISE, schedule=schedule, progress=True)
        pairs = zip(noisy[::10], clean[::10], strict=True)
        scores = [psnr(model.restore(x, NOISE).data, y) for x, y in pairs]
        print(f"{text:8} {np.mean(scores):.2f} dB on {len(scores)} images", flush=True)


if __name__ == "__main__":
    main()
