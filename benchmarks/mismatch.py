"""What a wrong idea of the noise costs: PSNR on a folder of clean images with known noise added.

    python benchmarks/mismatch.py FOLDER [--every N] [--model MODEL]

One frozen draw per image. ``known`` is the level that was added, ``blind`` what `hush.denoise`
does when it is told nothing; the others are told 0.7 and 1.4 times the level. Of the noise
spanning pixels (DiffDenoise, section 4.1) ``known, white`` treats it as independent.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import hush
from hush.metrics import psnr
from hush.models import path_of
from hush.noise.processes import Gaussian, parse
from hush.results import Estimate
from hush.studies.folders import image_files

WRONG = (0.7, 1.4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=1, help="every Nth image")
    parser.add_argument("--model", default="mid-gray")
    args = parser.parse_args()
    model = hush.load(path_of(args.model))
    images = [
        np.asarray(Image.open(f).convert("L"), np.float32)[None] / 255
        for f in image_files(args.folder)[:: args.every]
    ]
    for level in (15, 25, 50):
        row(model, images, f"gaussian:{level}/255", Gaussian(level / 255))
    for width in (0.5, 1.2):
        row(model, images, f"correlated:25/255,{width}", Gaussian(25 / 255))


def row(model: hush.MID, images: list[np.ndarray], spec: str, known: Gaussian) -> None:
    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "known": lambda y: model.restore(y, known).data,
        "blind": lambda y: model.restore(y).data,
    }
    for factor in WRONG:
        told = known.scaled(factor**2)
        ways[f"× {factor}"] = lambda y, told=told: model.restore(y, told).data  # type: ignore[misc]
    if spec.startswith("correlated"):
        white = Estimate(known, known.variance(0.0) ** 0.5)
        ways["known, white"] = lambda y: model.restore(y, known, None, white).data
    process = parse(spec)
    scores: dict[str, list[float]] = {name: [] for name in ways}
    for seed, clean in enumerate(images):
        noisy = process.sample(torch.from_numpy(clean), torch.Generator().manual_seed(seed)).numpy()
        for name, way in ways.items():
            scores[name].append(psnr(way(noisy), clean))
    figures = "   ".join(f"{name} {np.mean(values):.2f}" for name, values in scores.items())
    print(f"{spec:24} {figures}   dB", flush=True)


if __name__ == "__main__":
    main()
