"""How well noise is recognised, from the noisy image alone: the table of the project's bars.

    python benchmarks/estimation.py [--data DIR] [--quick]

DIR (HUSH_DATA, or ../shared/data beside the repository) holds images/bsd68, images/kodak24, the
real pairs and the images of DiffDenoise's studies; what is absent is left out. Noise is drawn with
fixed seeds, neither clipped nor rounded unless said. scikit-image's `estimate_sigma` stands beside
ours. Real pairs: the level measured is that of noisy minus reference, gain and offset between the
two fitted.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

import imageio.v3 as iio
import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.restoration import estimate_sigma

from hush.kinds.image.measure.estimation import estimate
from hush.kinds.image.measure.transfer import BINS
from hush.results import Estimate
from hush.studies import diffdenoise
from hush.studies.medical import find_images, noisy_planes

ROOT = Path(__file__).parents[1]
PAIRS = (("raw", "gt"), ("images_avg1_8bit", "images_avg400_8bit"), ("Nam_patches", "Nam_patch_GT"))


def read(path: Path) -> np.ndarray:
    x = np.atleast_3d(iio.imread(path)).astype(np.float32) / 255
    return np.ascontiguousarray(x.transpose(2, 0, 1))


def images(folder: Path, every: int) -> list[np.ndarray]:
    return [read(p) for p in sorted(folder.glob("*.png"))[::every]]


def white(x: np.ndarray, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(x.shape)


def blurred(x: np.ndarray, width: float, seed: int) -> np.ndarray:
    """Power-preserving half white, half blurred noise: DiffDenoise, section 4.1."""
    noise = gaussian_filter(white(x, seed), (0, width, width), mode="wrap")
    return (noise / noise.std() + white(x, seed + 10**6)) / np.sqrt(2)


def poisson(x: np.ndarray, peak: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).poisson(x * peak) / peak


def stored(x: np.ndarray) -> np.ndarray:
    return np.round(x.clip(0, 1) * 255) / 255


def percent(errors: list[float]) -> str:
    a = np.abs(errors)
    return f"{100 * np.median(a):5.1f} {100 * np.quantile(a, 0.9):6.1f}"


def called(found: Estimate) -> str:
    return "undecided" if found.undecided else found.family


def levels(clean: list[np.ndarray]) -> None:
    print("\nGaussian σ: |error| in %, median and 90th percentile | estimate_sigma")
    for level in (2, 5, 15, 25, 50):
        families: Counter[str] = Counter()
        ours, theirs, flagged = [], [], 0
        for seed, x in enumerate(clean):
            y = (x + level / 255 * white(x, seed)).astype(np.float32)
            found = estimate(y)
            ours.append(found.sigma * 255 / level - 1)
            theirs.append(estimate_sigma(y[0]) * 255 / level - 1)
            families[called(found)] += 1
            flagged += found.correlated
        print(
            f"  σ {level:2}  {percent(ours)} | {percent(theirs)}   "
            f"called correlated {flagged}/{len(clean)}   {dict(families)}",
            flush=True,
        )


def correlations(clean: list[np.ndarray]) -> None:
    print("\nCorrelated noise: flagged; lag-1 and kernel width (medians); |error| of σ in %")
    for width in (0.5, 1.2):
        for level in (15, 25, 50):
            found = [
                estimate((x + level / 255 * blurred(x, width, seed)).astype(np.float32))
                for seed, x in enumerate(clean)
            ]
            hits = [f for f in found if f.correlated]
            lag, kernel = np.median([(f.correlation, f.kernel_width) for f in hits], axis=0)
            print(
                f"  kernel {width}  σ {level}  {len(hits)}/{len(found)}  {lag:.2f}  {kernel:.2f}  "
                f"{percent([f.sigma * 255 / level - 1 for f in found])}",
                flush=True,
            )


def gains(clean: list[np.ndarray]) -> None:
    print("\nPoisson gain: |error| in %, median and 90th percentile; σ; families")
    for peak in (5, 30, 50):
        for store in (False, True):
            families: Counter[str] = Counter()
            gain, sigma = [], []
            for seed, x in enumerate(clean):
                y = poisson(x, peak, seed)
                found = estimate((stored(y) if store else y).astype(np.float32))
                gain.append(found.gain * peak - 1)
                sigma.append(found.sigma / np.sqrt(x.mean() / peak) - 1)
                families[called(found)] += 1
            kind = "8-bit" if store else "float"
            print(f"  λ {peak:2} {kind}  {percent(gain)}   {percent(sigma)}   {dict(families)}")


def varied(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Levels from place to place, with rms 1."""
    y, x = (np.linspace(-1, 1, n) for n in shape)
    square = y[:, None] ** 2 + x**2
    maps = {
        "even": np.ones(shape),
        "seam": np.where(x < 0.1, 1.0, 2.0) + 0 * square,
        "corners": 1 + 2 * square,
        "peak": 1 + 2 * np.exp(-square / 0.2),
    }
    return {name: m / np.sqrt((m**2).mean()) for name, m in maps.items()}


def places(clean: list[np.ndarray]) -> None:
    print("\nLevels that vary: found; where found |error| of σ in each place in %")
    for level in (5, 10, 25):
        for name in ("even", "seam", "corners", "peak"):
            for noise in ("gaussian", "poisson"):
                errors, number = [], 0
                for seed, x in enumerate(clean):
                    sigma = level / 255 * varied(x.shape[1:])[name]
                    gain = sigma**2 / x.mean()
                    counts = np.random.default_rng(seed).poisson(x / gain) * gain
                    y = counts if noise == "poisson" else x + sigma * white(x, seed)
                    found = estimate(y.astype(np.float32))
                    number += found.field is not None
                    true = gain * x if noise == "poisson" else sigma**2 + 0 * x
                    off = np.sqrt(found.local.variance(x) / np.maximum(true, 1e-9)) - 1
                    errors += [float(np.median(np.abs(off)))] * (found.field is not None)
                figures = percent(errors) if errors else ""
                print(
                    f"  σ {level:2} {name:8} {noise:9} {number}/{len(clean)}  {figures}",
                    flush=True,
                )


def impulses(x: np.ndarray, share: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(x.shape) < share, rng.integers(0, 2, x.shape), x)


def magnitude(x: np.ndarray, sigma: float, seed: int) -> np.ndarray:
    return np.hypot(x + sigma * white(x, seed), sigma * white(x, seed + 10**6))


#: spec → (image, seed) → what is observed
CORRUPTIONS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "gaussian:25/255": lambda x, seed: x + 25 / 255 * white(x, seed),
    "poisson:30": lambda x, seed: poisson(x, 30, seed),
    "poisson-gaussian:0.01/1,20/255": lambda x, seed: (
        poisson(x, 100, seed) + 20 / 255 * white(x, seed + 10**6)
    ),
    "gamma:20": lambda x, seed: x * np.random.default_rng(seed).gamma(20, 1 / 20, x.shape),
    "rician:25/255": lambda x, seed: magnitude(x, 25 / 255, seed),
    "impulse:0.05": lambda x, seed: impulses(x, 0.05, seed),
}


def crops(clean: list[np.ndarray], number: int) -> None:
    print("\nFamily of 128² crops: right, undecided, alike, wrong, called correlated")
    print("  (alike: called Gaussian, and Rician noise of a crop without dark pixels)")
    rng = np.random.default_rng(0)
    for spec, corrupted in CORRUPTIONS.items():
        family = spec.partition(":")[0]
        answers: Counter[str] = Counter()
        flagged = 0
        for seed in range(number):
            x = clean[seed % len(clean)]
            i, j = (int(rng.integers(0, n - 127)) for n in x.shape[1:])
            x = x[:, i : i + 128, j : j + 128]
            found = estimate(corrupted(x, seed).astype(np.float32))
            undecided = family in (found.family, *found.alternatives) and found.undecided
            # Rician noise differs from Gaussian below 3σ: not if no point of the curve is there.
            bright = family == "rician" and (x < 3 * 25 / 255).mean() < 1 / BINS
            alike = bright and found.family == "gaussian"
            answers["undecided" if undecided else "alike" if alike else found.family] += 1
            flagged += found.correlated
        right, open_, alike = (answers.pop(k, 0) for k in (family, "undecided", "alike"))
        figures = f"{right}/{number}  {open_}  {alike}  {dict(answers)}  {flagged}"
        print(f"  {spec:32} {figures}", flush=True)


def real_pairs(folder: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Every pair below `folder`, by the names of the folders: group, noisy, reference."""
    for noisy_name, reference_name in PAIRS:
        for noisy in sorted(folder.glob(f"*/{noisy_name}")):
            references = sorted((noisy.parent / reference_name).iterdir())
            for a, b in zip(sorted(noisy.iterdir()), references, strict=True):
                group = a.stem.split("_")[0] if noisy_name == "raw" else ""
                yield f"{noisy.parent.name} {group}", read(a), read(b)


def real(folder: Path, every: int) -> None:
    print("\nReal pairs: |error| of σ in %, signed median; lag-1 measured; called correlated")
    rows: dict[str, list[tuple[float, float, bool]]] = {}
    for i, (group, y, reference) in enumerate(real_pairs(folder)):
        if i % every:
            continue
        y, reference = y.astype(np.float64), reference.astype(np.float64)
        noise = np.stack(
            [
                a - np.polyval(np.polyfit(b.ravel(), a.ravel(), 1), b)
                for a, b in zip(y, reference, strict=True)
            ]
        )
        found = estimate(y.astype(np.float32))
        lag = (noise[..., 1:] * noise[..., :-1]).mean() / noise.var()
        rows.setdefault(group, []).append((found.sigma / noise.std() - 1, lag, found.correlated))
    for group, values in rows.items():
        error, lag, flagged = zip(*values, strict=True)
        print(
            f"  {group:18} {percent(list(error))}  {100 * np.median(error):+5.1f}   "
            f"{np.median(lag):.2f}   {sum(flagged)}/{len(values)}"
        )
    errors = [error for values in rows.values() for error, _, _ in values]
    if errors:
        print(f"  {'all':18} {percent(errors)}", flush=True)


def medical(data: Path) -> None:
    """All training images of a kind together, under the noise of DiffDenoise's tables."""
    print("\nMedical images: σ over the noise's own; white noise, kernel 0.5, kernel 1.2")
    for kind in find_images(data):
        for family in ("gaussian", "poisson", "gamma"):
            row = []
            for width in ("", "0.5", "1.2"):
                noise = diffdenoise.spec(family, kind.kind, width)
                samples = list(noisy_planes(kind.train[:64], noise, 600, 0))
                found = estimate([s.noisy for s in samples])
                own = np.concatenate([(s.noisy - s.reference).ravel() for s in samples]).std()
                flag = "correlated" if found.correlated else "white"
                row.append(f"{found.sigma / own:.2f} {found.family} {flag}")
            print(f"  {kind.kind:6} {family:9} {', '.join(row)}", flush=True)


def clock(side: int = 2048) -> None:
    rng = np.random.default_rng(0)
    y = rng.random((1, side, side), dtype=np.float32)
    start = perf_counter()
    estimate(y)
    print(f"\n{side}² gray: {perf_counter() - start:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("HUSH_DATA") or ROOT.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--quick", action="store_true", help="every sixth image")
    options = parser.parse_args()
    every = 6 if options.quick else 1
    folder = options.data / "images"
    bsd68, kodak = (images(folder / name, every) for name in ("bsd68", "kodak24"))
    if bsd68:
        levels(bsd68)
        correlations(bsd68)
        places(bsd68)
    if kodak:
        gains(kodak)
        crops(kodak, 50 // every)
    real(folder, every)
    medical(options.data)
    clock()


if __name__ == "__main__":
    main()
