"""How far the level that `hush denoise` uses is off, where noise spans pixels.

    python benchmarks/levels.py [--data DIR] [--every N]

Blurred noise and simulated cameras on BSD68 and Kodak, and the real pairs, whose true level is the
RMS difference from the reference after a fit of its gain and offset. Nothing is told; statistics
of blocks and the step network of the shipped model decide. Printed is |error| of the level in %,
median and worst, and how many were called correlated.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import hush
from hush.kinds.cut import rms_level
from hush.metrics import fit_gain_offset
from hush.models import path_of
from hush.noise.processes import parse
from hush.studies.folders import find_paired_sets, find_pairs, image_files, read_images

ROOT = Path(__file__).parents[1]


def clean(folder: Path, mode: str, every: int) -> list[np.ndarray]:
    out = []
    for path in image_files(folder)[::every]:
        with Image.open(path) as image:
            x = np.atleast_3d(np.asarray(image.convert(mode), np.float32) / 255)
        out.append(np.ascontiguousarray(np.moveaxis(x, -1, 0)))
    return out


def row(name: str, models: dict[int, hush.MID], items: Iterable[tuple[np.ndarray, float]]) -> None:
    errors, called = [], 0
    for noisy, true in items:
        model = models[len(noisy)]
        found = model.reviewed(noisy, model.measured(noisy))
        errors.append(100 * (rms_level(found.law(), noisy) / true - 1))
        called += found.correlated
    off = np.abs(errors)
    print(
        f"{name:36} {np.median(off):5.1f} {off.max():6.1f}   signed {np.median(errors):+5.1f}   "
        f"correlated {called}/{len(errors)}",
        flush=True,
    )


def sampled(spec: str, images: list[np.ndarray]) -> Iterable[tuple[np.ndarray, float]]:
    noise = parse(spec)
    for seed, x in enumerate(images):
        scene, generator = torch.from_numpy(x)[None], torch.Generator().manual_seed(seed)
        if hasattr(noise, "pair"):  # a camera: the picture, and the same without noise
            noisy, still = (v[0].numpy() for v in noise.pair(scene, generator))
        else:
            noisy, still = noise.sample(scene, generator)[0].numpy(), x
        yield noisy, float(np.sqrt(np.mean((noisy - still) ** 2)))


def real(folder: Path, word: str) -> Iterable[tuple[np.ndarray, float]]:
    for pair in find_pairs(folder):
        if word not in pair.name:
            continue
        for noisy, still in zip(read_images(pair.noisy), read_images(pair.clean), strict=True):
            fits = [fit_gain_offset(c, n) for c, n in zip(still, noisy, strict=True)]
            same = np.stack([gain * c + b for (gain, b), c in zip(fits, still, strict=True)])
            yield noisy.astype(np.float32), float(np.sqrt(np.mean((noisy - same) ** 2)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("HUSH_DATA") or ROOT.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--every", type=int, default=4, help="every Nth picture of BSD68 and Kodak")
    args = parser.parse_args()
    models = {1: hush.load(path_of("mid-gray")), 3: hush.load(path_of("mid-rgb"))}
    folder = args.data / "images"
    gray, rgb = (
        clean(folder / "bsd68", "L", args.every),
        clean(folder / "kodak24", "RGB", args.every),
    )
    print("|error| of the level in %: median, worst")
    for width in (0.5, 1.0, 1.5, 2.0, 2.5):
        for level in (10, 25):
            spec = f"correlated:{level}/255,{width}"
            row(f"kernel {width}, σ {level}", models, sampled(spec, gray))
    for spec in ("0.001,0.002", "0.003,0.005,1", "0.006,0.01,1.5", "0.003,0.005,1,90"):
        row(f"camera:{spec}", models, sampled(f"camera:{spec}", rgb))
    for pairs in find_paired_sets(folder, None):
        words = ("confocal", "twophoton", "widefield") if pairs.name == "fmd" else ("",)
        for word in words:
            row(f"{pairs.name} {word}", models, real(pairs, word))


if __name__ == "__main__":
    main()
