"""What hush says about files of every sort: how many sentences, and which.

    python benchmarks/sentences.py         # the table
    python benchmarks/sentences.py -v      # and every sentence

Pictures of scikit-image, with noise or changed as files often are, go through the command lines
``hush denoise FOLDER --json`` and ``hush inspect FOLDER --json``. Printed are the numbers of
warnings of either, or why a file was left alone. Two warnings about one file must not contradict
each other or say one thing twice; `docs/honesty.md` has the table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, uniform_filter
from skimage import color, data
from tifffile import imwrite

SIDE = 192
RNG = np.random.default_rng(0)
Writer = Callable[[Path], Any]


def photo(name: str = "camera") -> np.ndarray:
    """A photograph in [0, 255] with next to no noise of its own, ``(H, W)`` or ``(H, W, 3)``."""
    x = getattr(data, name)().astype(float)
    return gaussian_filter(x, (1, 1, 0)[: x.ndim])[::2, ::2][:SIDE, :SIDE]


def white(shape: tuple[int, ...]) -> np.ndarray:
    return RNG.standard_normal(shape)


def tiff(x: np.ndarray, dtype: str = "u1", **about: Any) -> tuple[str, Writer]:
    """A writer of a TIFF file; integers are rounded and clipped."""
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        ends = np.iinfo(kind)
        x = np.clip(np.rint(x), ends.min, ends.max)
    about = {"photometric": "rgb" if x.shape[-1] == 3 else "minisblack", **about}
    return ".tif", lambda path: imwrite(path, x.astype(kind), **about)


def jpeg(x: np.ndarray, quality: int) -> tuple[str, Writer]:
    whole = Image.fromarray(np.clip(np.rint(x), 0, 255).astype("u1"))
    return ".jpg", lambda path: whole.save(path, quality=quality)


def shrunk(x: np.ndarray) -> np.ndarray:
    """What a picture of a microscope looks like: dark, with a few bright spots."""
    return 5 + 0.15 * x


def situations() -> Iterator[tuple[str, tuple[str, Writer]]]:
    """Names and writers of files."""
    yield from _noises()
    yield from _files()


def _noises() -> Iterator[tuple[str, tuple[str, Writer]]]:
    x, rgb = photo(), photo("astronaut")
    n = white(x.shape)
    yield "σ 1 of 255", tiff(x + n)
    yield "σ 5", tiff(x + 5 * n)
    yield "σ 25", tiff(x + 25 * n)
    yield "σ 80, clipped", tiff(x + 80 * n)
    yield "σ 200 in float", tiff(x + 200 * n, "f4")
    yield "colour, σ 25", tiff(rgb + 25 * white(rgb.shape))
    yield "colours differ, σ 5, 10, 40", tiff(rgb + white(rgb.shape) * [5, 10, 40])
    yield "gray in colour, σ 25", tiff(np.repeat((x + 25 * n)[..., None], 3, axis=-1))
    yield "Poisson, peak 100", tiff(RNG.poisson(x / 2.55), "u2")
    yield "Poisson, peak 5", tiff(RNG.poisson(x / 51), "u2")
    yield "Poisson, peak 0.2", tiff(RNG.poisson(x / 1275), "u2")
    yield "camera, offset 100", tiff(100 + 2 * RNG.poisson(x / 4) + 3 * n, "u2")
    yield "speckle, 4 looks", tiff(x * RNG.gamma(4, 1 / 4, x.shape))
    yield "blurred noise, width 0.5", tiff(x + 15 * n + 8 * gaussian_filter(white(x.shape), 0.6))
    yield "blurred noise, width 1.5", tiff(x + 60 * gaussian_filter(n, 1.5))
    yield "a 3 × 3 mean", tiff(uniform_filter(x + 25 * n, 3))
    yield "a median 5 × 5", tiff(_median(x + 25 * n))
    yield "sharpened", tiff(x + 15 * n + 1.5 * (15 * n - gaussian_filter(15 * n, 1)))
    yield "columns of unlike offset", tiff(x + 10 * n + 10 * white((1, SIDE)))
    yield "hum, period 7", tiff(x + 10 * n + 12 * np.sin(2 * np.pi * np.arange(SIDE) / 7))
    yield "correlated along rows", tiff(x + 20 * _along(n))
    yield "impulses, 5 %", tiff(np.where(RNG.random(x.shape) < 0.05, 255, x))
    yield "impulses and σ 10", tiff(np.where(RNG.random(x.shape) < 0.02, 255, x + 10 * n))
    yield "hot pixels", tiff(np.where(RNG.random(x.shape) < 1e-3, 4000, 5 * x + 20 * n), "u2")
    yield "noise that grows to the right", tiff(x + n * np.linspace(2, 40, SIDE))
    yield "JPEG, quality 90, σ 10", jpeg(x + 10 * n, 90)
    yield "JPEG, quality 30, σ 10", jpeg(x + 10 * n, 30)
    yield "JPEG of a clean picture", jpeg(rgb, 75)
    yield "PNG of a JPEG, quality 60", _png(_decoded(x + 15 * n, 60))


def _files() -> Iterator[tuple[str, tuple[str, Writer]]]:
    x, rgb = photo(), photo("astronaut")
    n = white(x.shape)
    noisy = x + 15 * n
    round_ = np.hypot(*(np.indices(x.shape) - SIDE / 2)) < SIDE / 2 - 4
    yield "clean photograph", tiff(data.camera()[:SIDE, :SIDE])
    yield "already denoised", tiff(_denoised(noisy), "f4")
    yield "clipped on both sides, σ 15", tiff(2 * (x - 90) + 15 * n)
    yield "zeros outside a circle", tiff(np.where(round_, noisy, 0))
    yield "-9999 outside, float", tiff(np.where(round_, noisy, -9999), "f4")
    yield "NaN outside", tiff(np.where(round_, noisy, np.nan), "f4")
    yield "NaN everywhere", tiff(np.full_like(x, np.nan), "f4")
    yield "6 × 6 pixels", tiff(noisy[:6, :6])
    yield "24 × 24 pixels", tiff(noisy[:24, :24])
    yield "one row", tiff(noisy[:1])
    yield "constant", tiff(np.full_like(x, 7))
    yield "flat field, σ 15", tiff(100 + 15 * n)
    yield "12 bits in 16", tiff(np.clip(16 * x + 200 * n, 0, 4095), "u2")
    yield "4 bits in 8", tiff(np.clip(np.rint((x + 20 * n) / 17), 0, 15))
    yield "float of [0, 1]", tiff(np.clip(noisy / 255, 0, 1), "f4")
    yield "float with an offset of 1e6", tiff(1e6 + noisy, "f8")
    yield "float of 1e-12", tiff(1e-12 * noisy, "f4")
    yield "counts in int32", tiff(RNG.poisson(shrunk(x)), "i4")
    yield "negative values", tiff(noisy - 100, "i2")
    yield "mosaic RGGB", tiff(_mosaic(rgb) + 10 * n)
    yield "enlarged twice", tiff(np.kron(noisy[::2, ::2], np.ones((2, 2))))
    yield "enlarged by interpolation", tiff(_zoomed(noisy[::2, ::2]))
    yield "mask", tiff(255 * (x > 120))
    yield "labels", tiff(np.floor(x / 40), "u2")
    yield "depth map", tiff(_depth(), "u2")
    yield "halftone", tiff(255 * (x > 255 * RNG.random(x.shape)))
    yield "text", tiff(data.page()[:SIDE, :SIDE])
    yield "data bar below", tiff(_with_bar(noisy))
    stack = np.stack([x + 15 * white(x.shape) for _ in range(3)])
    yield "stack of 3 frames", tiff(stack, metadata={"axes": "TYX"})
    fading = [x * f + 15 * white(x.shape) for f in (1, 0.5, 0.25)]
    yield "bleaching stack", tiff(np.stack(fading), metadata={"axes": "TYX"})
    yield "gray in colour, clean", tiff(color.gray2rgb(x))
    yield "black frame, read noise 3", tiff(np.maximum(100 + 3 * n, 0), "u2")
    yield "stars", tiff(_stars() + 5 * n + 50, "f4")


def _median(x: np.ndarray) -> np.ndarray:
    from scipy.ndimage import median_filter

    made: np.ndarray = median_filter(x, 5)
    return made


def _along(n: np.ndarray) -> np.ndarray:
    """Noise of variance 1, correlated along rows."""
    from scipy.signal import lfilter

    made: np.ndarray = np.sqrt(1 - 0.36) * lfilter([1], [1, -0.6], n, axis=1)
    return made


def _decoded(x: np.ndarray, quality: int) -> np.ndarray:
    """A picture after JPEG."""
    stream = BytesIO()
    whole = Image.fromarray(np.clip(np.rint(x), 0, 255).astype("u1"))
    whole.save(stream, "jpeg", quality=quality)
    return np.asarray(Image.open(stream))


def _png(x: np.ndarray) -> tuple[str, Writer]:
    return ".png", Image.fromarray(x).save


def _denoised(x: np.ndarray) -> np.ndarray:
    import hush

    return np.asarray(hush.denoise(x.astype("f4")))


def _mosaic(rgb: np.ndarray) -> np.ndarray:
    made = rgb[..., 1].copy()
    made[::2, ::2], made[1::2, 1::2] = rgb[::2, ::2, 0], rgb[1::2, 1::2, 2]
    return made


def _zoomed(x: np.ndarray) -> np.ndarray:
    from scipy.ndimage import zoom

    made: np.ndarray = zoom(x, 2, order=3)
    return made


def _depth() -> np.ndarray:
    """Smooth surfaces with sharp edges, in millimetres; 0 where nothing was seen."""
    y, x = np.indices((SIDE, SIDE))
    made = 1200 + 3.1 * y + 0.7 * x
    ball = np.hypot(y - 90, x - 100) < 50
    made[ball] = 900 - np.sqrt(2500 - np.hypot(y - 90, x - 100)[ball] ** 2)
    made[:, :9] = 0
    return made


def _with_bar(x: np.ndarray) -> np.ndarray:
    """With a scanning microscope's bar of text below."""
    bar = np.zeros((24, SIDE))
    bar[4:20, 8:120] = np.where(data.page()[30:46, 20:132] < 120, 255, 0)
    return np.concatenate([x, bar])


def _stars() -> np.ndarray:
    made = np.zeros((SIDE, SIDE))
    where = RNG.integers(0, SIDE, (2, 60))
    made[tuple(where)] = RNG.pareto(1.5, 60) * 2000
    return gaussian_filter(made, 1.2)


def run(command: str, folder: Path, *rest: str) -> dict[str, dict[str, Any]]:
    """The objects that a command prints about the files of a folder, by name."""
    words = [sys.executable, "-m", "hush", command, str(folder), "--json", "--quiet", *rest]
    made = subprocess.run(words, capture_output=True, text=True, check=False)
    rows = [json.loads(line) for line in made.stdout.splitlines()]
    return {Path(row["input"]).stem: row for row in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("-v", "--verbose", action="store_true", help="print every sentence")
    parser.add_argument("-k", dest="part", default="", help="only situations with this in the name")
    o = parser.parse_args()
    chosen = [(name, made) for name, made in situations() if o.part in name]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "in"
        folder.mkdir()
        for number, (_, (suffix, write)) in enumerate(chosen):
            write(folder / f"{number:02d}{suffix}")
        made = run("denoise", folder, "-o", f"{place}/out/")
        looked = run("inspect", folder)
    print("| file | denoise | inspect |\n|---|--:|--:|")
    for number, (name, _) in enumerate(chosen):
        rows = made[f"{number:02d}"], looked[f"{number:02d}"]
        print(f"| {name} | {' | '.join(map(_told, rows))} |", flush=True)
        if o.verbose:
            for verb, row in zip(("denoise", "inspect"), rows, strict=True):
                for said in [*(row["warnings"] or ()), row["error"], row.get("reason")]:
                    if said:
                        print(f"    {verb}: {said}")


def _told(row: dict[str, Any]) -> str:
    if row["error"]:
        return "**failed**" if "internal error" in row["error"] else "refused"
    return "skipped" if row.get("skipped") else str(len(row["warnings"]))


if __name__ == "__main__":
    main()
