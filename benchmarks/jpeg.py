"""Noise in JPEG files: PSNR by quality and chroma, with and without what the file says.

    python benchmarks/jpeg.py DIR [--sigma 10] [--images 4]

DIR is a folder of data as for `hush study`. Gray: a crop of scikit-image's camera, and bsd400.
Colour: crops of its astronaut, chelsea and coffee, and bsds500_train at half size.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

import hush
from hush.studies.folders import image_files

QUALITIES = (50, 75, 90, 95)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--sigma", type=float, default=10)
    parser.add_argument("--images", type=int, default=4)
    args = parser.parse_args()
    print("| | quality | file | unaware | by its tables |")
    for name, sampling in (("gray", 0), ("4:4:4", 0), ("4:2:0", 2)):
        pictures = (gray if name == "gray" else colour)(args.data / "images")[: args.images]
        for quality in QUALITIES:
            scores = [scored(x, i, args.sigma, quality, sampling) for i, x in enumerate(pictures)]
            print(f"| {name} | {quality} | {' | '.join(f'{s:.2f}' for s in np.mean(scores, 0))} |")


def scored(clean: np.ndarray, seed: int, sigma: float, quality: int, sampling: int) -> list[float]:
    """PSNR of a noisy file, and of its result as an array and as the file."""
    noise = np.random.default_rng(seed).normal(0, sigma, clean.shape)
    noisy = np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "noisy.jpg"
        Image.fromarray(noisy).save(path, quality=quality, subsampling=sampling)
        record = hush.read(path)
    results = [record.data, hush.denoise(record.data), hush.run(record).data]
    return [hush.psnr(y, clean) for y in results]


def gray(folder: Path) -> list[np.ndarray]:
    files = [sorted(image_files(folder / "bsd400_180"))[i] for i in (5, 77, 200, 310)]
    others = [np.asarray(Image.open(f))[:176, :176] for f in files]
    return [data.camera()[100:356, 150:406], *others]


def colour(folder: Path) -> list[np.ndarray]:
    files = [sorted(image_files(folder / "bsds500_train"))[i] for i in (3, 50)]
    others = [Image.fromarray(np.asarray(Image.open(f))[:320, :320]) for f in files]
    return [
        data.astronaut()[:256, 100:356],
        data.chelsea()[20:276, 80:336],
        data.coffee()[60:316, 150:406],
        *(np.asarray(x.resize((160, 160), Image.Resampling.BOX)) for x in others),
    ]


if __name__ == "__main__":
    main()
