"""What the defaults rest on, measured on training images: steps, turns, bfloat16, spectra.

    python benchmarks/settings.py FOLDER [--every 16] [--model mid-gray]        steps and turns
    python benchmarks/settings.py FOLDER --correlated [--every 28]              correlated noise
    python benchmarks/settings.py FOLDER --power [--every 17] [--side 128]       levels on the way

FOLDER holds clean images that no figure is reported on; they are taken in gray.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from hush.kinds.image.measure.estimation import estimate_any
from hush.metrics import psnr, ssim
from hush.models import load, path_of
from hush.noise.processes import parse
from hush.studies.folders import image_files
from hush.studies.frozen import centre_crop

Scores = dict[str, list[tuple[float, float]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=16)
    parser.add_argument("--model", default="mid-gray")
    parser.add_argument("--side", type=int, help="only the middle of every image, this many pixels")
    parser.add_argument("--correlated", action="store_true")
    parser.add_argument("--power", action="store_true")
    args = parser.parse_args()
    model = load(path_of(args.model))
    images = [
        np.asarray(Image.open(f).convert("L"), np.float32)[None] / 255
        for f in image_files(args.folder)[:: args.every]
    ]
    if args.side:
        images = [centre_crop(x, args.side) for x in images]
    table = correlated if args.correlated else levels if args.power else settings
    tables = table(model, images)
    for title, scores in tables:
        for name, values in scores.items():
            mean = np.mean(values, 0)
            error = np.std(values, 0, ddof=1)[0] / len(values) ** 0.5 if args.power else None
            more = "" if error is None else f"  {error:.3f}"
            print(f"{title:20} {name:12} {mean[0]:.3f} dB  {mean[1]:.4f}{more}", flush=True)


def settings(model: Any, images: list[np.ndarray]) -> Iterator[tuple[str, Scores]]:
    """The level given; one thing changed at a time from one step and one turn."""
    base = model.replace(steps=1, turns=1)
    variants = {f"{n} steps": base.replace(steps=n) for n in (1, 2, 4, 8)}
    variants |= {f"{n} turns": base.replace(turns=n) for n in (2, 4, 6)}
    variants["bfloat16"] = base.replace(precision="bfloat16")
    for spec in ("gaussian:25/255", "poisson:30"):
        process, scores = parse(spec), Scores()
        for seed, clean in enumerate(images):
            generator = torch.Generator().manual_seed(seed)
            noisy = process.sample(torch.from_numpy(clean), generator).numpy()
            for name, variant in variants.items():
                keep(scores, name, variant.restore(noisy, process).data, clean)
        yield spec, scores


def levels(model: Any, images: list[np.ndarray]) -> Iterator[tuple[str, Scores]]:
    """The level told on the way: the share of increments left, to a power (`walk_down`).

    Differences to one step; the third number is the standard error of the first.
    """
    cls, base = type(model), model.replace(steps=1, turns=1)
    for sigma in (15, 25, 50):
        process, scores = parse(f"gaussian:{sigma}/255"), Scores()
        for seed, clean in enumerate(images):
            generator = torch.Generator().manual_seed(seed)
            noisy = process.sample(torch.from_numpy(clean), generator).numpy()
            one = measured(base.restore(noisy, process).data, clean)
            for power, steps in product((1.0, 0.9, 0.8, 0.7), (2, 4, 8)):
                with mock.patch.object(cls, "power", power):
                    made = base.replace(steps=steps).restore(noisy, process).data
                apart = np.subtract(measured(made, clean), one)
                scores.setdefault(f"{power} {steps} steps", []).append(tuple(apart))
        yield f"σ {sigma}", scores


def correlated(model: Any, images: list[np.ndarray]) -> Iterator[tuple[str, Scores]]:
    """White and blurred noise half and half, nothing given."""
    for width in (0.5, 1.2):
        for sigma in (6, 15, 25):
            scores = Scores()
            for seed, clean in enumerate(images):
                rng = np.random.default_rng(seed)
                blurred = gaussian_filter(rng.normal(size=clean.shape[1:]), width)
                noise = blurred / blurred.std() + rng.normal(size=blurred.shape)
                noisy = (clean + noise / 2**0.5 * sigma / 255).astype(np.float32)
                white = replace(estimate_any(noisy), correlated=False, spectrum=None)
                keep(scores, "noisy", noisy, clean)
                taken = model.restore(noisy, white.process, None, white).data
                keep(scores, "taken as white", taken, clean)
                keep(scores, "default", model.restore(noisy).data, clean)
            yield f"kernel {width} σ {sigma}", scores


def keep(scores: Scores, name: str, result: np.ndarray, clean: np.ndarray) -> None:
    scores.setdefault(name, []).append(measured(result, clean))


def measured(result: np.ndarray, clean: np.ndarray) -> tuple[float, float]:
    return psnr(result, clean), ssim(result, clean)


if __name__ == "__main__":
    main()
