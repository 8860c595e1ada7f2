"""Pixels that are not noise: what is found, what is taken by mistake, and single photons.

    python benchmarks/impulses.py [--data DIR] [--quick]

DIR (HUSH_DATA, or ../shared/data beside the repository) holds folders of pictures; what is absent
is left out. Pictures of scikit-image, smoothed, get noise and impulses with fixed seeds.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from scipy.ndimage import gaussian_filter
from skimage import data

from hush.kinds.image.measure.estimation import estimate
from hush.kinds.image.measure.impulses import without_impulses

ROOT = Path(__file__).parents[1]
FOLDERS = (
    *("bsd400_180", "bsds500_train", "cxr_nih", "fmd/raw", "fmd/gt", "w2s/images_avg1_8bit"),
    *("w2s/images_avg400_8bit", "nam25/Nam_patches", "nam25/Nam_patch_GT", "convallaria_noref"),
)
SHARES = (1e-4, 1e-3, 1e-2, 1e-1)


def item(x: np.ndarray) -> np.ndarray:
    return np.asarray(x, np.float32)[None]


def found(level: float) -> None:
    """Share of the impulses that was replaced, and how many other pixels were, in a million."""
    print(f"\nNoise σ {level}: found in %, by the share of impulses; others replaced in a million")
    kinds: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
        "hot, 10 σ to 50 σ above": lambda y, rng: y + level * rng.uniform(10, 50, y.shape),
        "salt and pepper": lambda y, rng: rng.integers(0, 2, y.shape),
        "any value from 0 to 1": lambda y, rng: rng.random(y.shape),
    }
    for name, values in kinds.items():
        row = []
        for share in SHARES:
            hits, wrong, total = 0.0, 0, 0
            for seed, picture in enumerate((data.camera, data.moon, data.coins)):
                rng = np.random.default_rng(seed)
                clean = gaussian_filter(picture().astype(float), 0.7) / 255
                y = clean + level * rng.standard_normal(clean.shape)
                hit = rng.random(y.shape) < share
                x = item(np.where(hit, values(y, rng), y))
                changed = (without_impulses(x, estimate(x)) != x)[0]
                hits += int((changed & hit).sum()) / max(1, int(hit.sum())) / 3
                wrong += int((changed & ~hit).sum())
                total += y.size
            row.append(f"{100 * hits:5.1f} ({1e6 * wrong / total:.0f})")
        print(f"  {name:24} {'   '.join(row)}", flush=True)


def taken(folder: Path, every: int) -> None:
    print("\nCalled impulses in pictures: images with any, pixels, megapixels")
    for name in FOLDERS:
        files = sorted(p for p in (folder / name).glob("*") if p.suffix in (".png", ".jpg", ".tif"))
        counts, size = [], 0
        for path in files[::every]:
            x = np.atleast_3d(iio.imread(path)).astype(np.float32).transpose(2, 0, 1)
            counts.append(estimate(x / 255).hits)
            size += x[0].size
        if counts:
            some = np.count_nonzero(counts)
            print(
                f"  {name:24} {some} of {len(counts)}  {sum(counts)}  {size / 1e6:.1f}", flush=True
            )


def photons() -> None:
    print("\nSingle photons on black: σ over its own, pixels called impulses, law")
    hills = gaussian_filter(np.random.default_rng(6).standard_normal((256, 256)), 6)
    light = gaussian_filter(np.maximum(hills - hills.std(), 0), 1)
    for mean in (0.01, 0.03, 0.1, 0.5):
        for read in (0.0, 0.2):
            rng = np.random.default_rng(0)
            clean = mean * light / light.mean()
            y = rng.poisson(clean) + read * rng.standard_normal(clean.shape)
            seen, own = estimate(item(y)), np.sqrt(mean + read**2)
            print(
                f"  mean {mean}, read noise {read}:  {seen.sigma / own:.2f}  {seen.hits}  "
                f"{seen.process.spec()}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("HUSH_DATA") or ROOT.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--quick", action="store_true", help="every sixth image")
    options = parser.parse_args()
    for level in (0.01, 0.05):
        found(level)
    photons()
    taken(options.data / "images", 6 if options.quick else 1)


if __name__ == "__main__":
    main()
