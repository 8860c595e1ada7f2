"""What a second run removes of its own results: python benchmarks/again.py --data DIR.

Central parts of 256 × 256 pixels of the development pictures, photographs with noise added by rule
(fixed seeds) and results of other methods. The figure is the rms of what the second run changes,
relative to that of the first; the goal is 0.1 at most.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, median_filter

import hush

SIDE = 256
SETS = {
    "fmd": "fmd/raw",
    "w2s": "w2s/images_avg1_8bit",
    "nam25": "nam25/Nam_patches",
    "oct_duke": "oct_duke",
    "cxr_nih": "cxr_nih",
}


def middle(path: Path, gray: bool = False) -> np.ndarray:
    picture = Image.open(path)
    x = np.asarray(picture.convert("L") if gray else picture)
    top, left = ((n - min(n, SIDE)) // 2 for n in x.shape[:2])
    return x[top : top + SIDE, left : left + SIDE]


def stored(x: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)


def noisy(data: Path, most: int) -> Iterator[tuple[str, np.ndarray]]:
    """Names and pictures, 8 bits."""
    rng = np.random.default_rng(0)
    photos = sorted((data / "images/bsds500_train").iterdir())
    for path in photos[5 :: len(photos) // most]:
        x = middle(path, gray=True).astype(float)
        for sigma in (5, 15, 50):
            yield f"photograph, Gaussian {sigma}", stored(x + sigma * rng.standard_normal(x.shape))
        yield "photograph, Poisson", stored(4.0 * rng.poisson(x / 4))
        blurred = gaussian_filter(rng.standard_normal(x.shape), 1)
        yield "photograph, correlated 15", stored(x + 15 * blurred / blurred.std())
        rgb = middle(path).astype(float)
        yield "photograph, RGB 15", stored(rgb + 15 * rng.standard_normal(rgb.shape))
    for name, folder in SETS.items():
        files = sorted(p for p in (data / "images" / folder).rglob("*") if p.is_file())
        files = [p for p in files if "average" not in p.name]
        for path in files[:: -(-len(files) // most)]:
            yield name, middle(path, gray=name == "cxr_nih")


def others(data: Path, most: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Names, noisy pictures and what other smoothing made of them."""
    rng = np.random.default_rng(1)
    photos = sorted((data / "images/bsds500_train").iterdir())
    for path in photos[12 :: len(photos) // most]:
        x = middle(path, gray=True).astype(float)
        given = stored(x + 25 * rng.standard_normal(x.shape))
        yield "non-local means", given, hush.run(given, method="nlm").data
        yield "Gaussian blur 1", given, stored(gaussian_filter(given.astype(float), 1))
        yield "Gaussian blur 2", given, stored(gaussian_filter(given.astype(float), 2))
        yield "median 5 × 5", given, median_filter(given, 5)
        try:
            yield "BM3D", given, hush.run(given, method="bm3d").data
        except hush.HushError as error:  # an extra that is not installed
            print(f"BM3D: {error}")


def rms(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.mean((a.astype(float) - b.astype(float)) ** 2)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("HUSH_DATA"), required=False)
    parser.add_argument("--most", type=int, default=6, help="pictures of each set")
    given = parser.parse_args()
    shares: dict[str, list[float]] = {}
    print("| input | first removes | second removes | share | says |\n|---|---|---|---|---|")

    def row(name: str, before: np.ndarray, first: np.ndarray) -> None:
        second = hush.run(first)
        one, two = rms(first, before), rms(second.data, first)
        shares.setdefault(name, []).append(two / max(one, 1e-9))
        words = next((w for w in second.warnings if "noise" in w), second.verdict)
        print(f"| {name} | {one:.2f} | {two:.2f} | {shares[name][-1]:.3f} | {words[:45]} |")

    for name, x in noisy(given.data, given.most):
        row(name, x, hush.run(x).data)
    for name, x, smoothed in others(given.data, given.most):
        row(name, x, smoothed)
    print("\n| input | pictures | median share | largest |\n|---|---|---|---|")
    for name, every in shares.items():
        print(f"| {name} | {len(every)} | {np.median(every):.3f} | {max(every):.3f} |")


if __name__ == "__main__":
    main()
