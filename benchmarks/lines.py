"""Offsets of lines, hum and noise along one axis: what leaves, and what is found in clean pictures.

    python benchmarks/lines.py [--data DIR] [--quick]

DIR (HUSH_DATA, or ../shared/data beside the repository) holds folders of pictures; what is absent
is left out. Interference of fixed seeds is added to pictures of scikit-image, smoothed and halved.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.signal import lfilter
from skimage import data

import hush
from hush.kinds.image.measure.blocks import gather
from hush.kinds.image.measure.lines import lines_in
from hush.kinds.image.measure.regression import regression_of
from hush.metrics import psnr

ROOT = Path(__file__).parents[1]
PICTURES = (data.camera, data.moon, data.coins, data.brick)
FOLDERS = (
    *("bsd400_180", "bsds500_train", "cxr_nih", "fmd/raw", "fmd/gt", "w2s/images_avg1_8bit"),
    *("w2s/images_avg400_8bit", "nam25/Nam_patches", "nam25/Nam_patch_GT", "convallaria_noref"),
)


def added(shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """Interference of each sort, and noise beside it."""
    rng = np.random.default_rng(1)
    white = rng.standard_normal(shape)
    rows, columns = rng.standard_normal((shape[0], 1)), rng.standard_normal((1, shape[1]))
    y, x = np.indices(shape)
    few = 0.1 * (rng.random((1, shape[1])) < 0.02)
    return {
        "columns σ 0.05, noise 0.01": 0.05 * columns + 0.01 * white,
        "columns σ 0.05, noise 0.05": 0.05 * columns + 0.05 * white,
        "columns σ 0.01, noise 0.02": 0.01 * columns + 0.02 * white,
        "rows σ 0.03 and columns σ 0.03, noise 0.02": 0.03 * (rows + columns) + 0.02 * white,
        "columns that drift (0.9), noise 0.02": lfilter([0.03], [1, -0.9], columns) + 0.02 * white,
        "every 50th column 0.1 brighter, noise 0.02": few + 0.02 * white,
        "hum 0.06, noise 0.02": 0.06 * np.sin(2 * np.pi * (x / 7.3 + y / 31)) + 0.02 * white,
        "hum 0.06, noise 0.1": 0.06 * np.sin(2 * np.pi * (x / 7.3 + y / 31)) + 0.1 * white,
        "noise along rows 0.7, σ 0.14": 0.1 * lfilter([1], [1, -0.7], white, axis=1),
        "white noise σ 0.14": 0.14 * white,
    }


def removed() -> None:
    print("PSNR in dB, mean of four pictures: noisy, denoised")
    scores: dict[str, list[tuple[float, float]]] = {}
    for picture in PICTURES:
        clean = gaussian_filter(picture().astype(float), 1)[::2, ::2] / 255
        for name, noise in added(clean.shape).items():
            noisy = (clean + noise).astype(np.float32)
            pair = psnr(noisy, clean), psnr(hush.denoise(noisy, device="cpu"), clean)
            scores.setdefault(name, []).append(pair)
    for name, pairs in scores.items():
        before, after = np.mean(pairs, axis=0)
        worst = min(b for _, b in pairs)
        print(f"  {name:44} {before:.2f}  {after:.2f}  (lowest {worst:.2f})", flush=True)


def taken(folder: Path, every: int) -> None:
    print("\nPictures, as they are and with noise σ 0.03: files, with lines, doubtful, one axis")
    for name in FOLDERS:
        files = sorted(p for p in (folder / name).glob("*") if p.suffix in (".png", ".jpg", ".tif"))
        for sigma in (0.0, 0.03):
            found = doubtful = filtered = 0
            for k, path in enumerate(chosen := files[:: every * (4 if sigma else 1)]):
                x = np.atleast_3d(iio.imread(path)).astype(np.float32).transpose(2, 0, 1) / 255
                x += sigma * np.random.default_rng(k).standard_normal(x.shape, np.float32)
                lines = lines_in(x)
                found += bool(lines)
                doubtful += lines is not None and bool(lines.doubtful or lines.unsure)
                filtered += bool(regression_of(gather([x])[0]))
            if chosen:
                print(f"  {name:24} {len(chosen)}  {found}  {doubtful}  {filtered}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("HUSH_DATA") or ROOT.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--quick", action="store_true", help="every sixth picture")
    options = parser.parse_args()
    removed()
    taken(options.data / "images", 6 if options.quick else 1)


if __name__ == "__main__":
    main()
