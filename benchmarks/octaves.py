"""How well the octaves of noise that spans pixels are measured, from the noisy picture alone.

    python -m benchmarks.octaves FOLDER [--every 8] [--sigma 15] [--seed 0]

White noise is filtered in several ways and added to the clean pictures of FOLDER, as gray. Printed
are the measured levels relative to the true ones, from the finest octave on: the median over the
pictures, the spread of the logarithms, and that of all octaves together.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

from hush.kinds.image.measure.estimation import estimate_any
from hush.noise.spectrum import OCTAVES, levels

Filter = Callable[[np.ndarray], np.ndarray]
FILTERS: dict[str, Filter] = {
    "Gaussian, 0.6 pixels": lambda n: gaussian_filter(n, 0.6),
    "Gaussian, 1 pixel": lambda n: gaussian_filter(n, 1.0),
    "Gaussian, 1.8 pixels": lambda n: gaussian_filter(n, 1.8),
    "mean of 2×2": lambda n: uniform_filter(n, 2),
    "the same twice": lambda n: uniform_filter(uniform_filter(n, 2), 2),
    "half white": lambda n: 2.5 * gaussian_filter(n, 1.2) + 0.5 * n,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=8)
    parser.add_argument("--sigma", type=float, default=15.0, help="level, of 255")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    files = sorted(p for p in args.folder.iterdir() if p.suffix in (".jpg", ".png"))[:: args.every]
    rng = np.random.default_rng(args.seed)
    print(f"{len(files)} pictures, σ {args.sigma:g}")
    for name, kernel in FILTERS.items():
        found = [measured(iio.imread(p, mode="L") / 255, kernel, args.sigma, rng) for p in files]
        seen = np.array([f for f in found if f is not None])
        median, spread = np.median(seen, axis=0), np.log(seen).std(axis=0)
        octaves = ", ".join(f"{m:.2f} (±{s:.2f})" for m, s in zip(median, spread, strict=True))
        print(f"{name}: {octaves}; {len(files) - len(seen)} called white")


def measured(
    x: np.ndarray, kernel: Filter, sigma: float, rng: np.random.Generator
) -> np.ndarray | None:
    """The measured level of each octave and of all, over the true ones; None if called white."""
    noise = kernel(rng.standard_normal(x.shape))
    noise *= sigma / 255 / noise.std()
    power = np.square(np.abs(np.fft.fft2(noise)))
    true = levels(power / power.mean(), power / power.mean(), OCTAVES)[0]
    found = estimate_any((x + noise)[None].astype(np.float32))
    if found.spectrum is None:
        return None
    level = found.sigma / (sigma / 255)
    return np.append(level * found.law().octaves(OCTAVES)[0] / true, level)


if __name__ == "__main__":
    main()
