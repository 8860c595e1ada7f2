"""Values that mean "nothing here": how many are kept, and how good the rest is.

    python benchmarks/missing.py

Photographs of scikit-image with noise, without padding and with it: a round field of view, a
rotated frame, holes. Printed are the share of the padding that is kept to the bit, the share of the
rest that is taken for padding, and the rms error over σ: inside, in the last 3 pixels, and there
without padding. The last rows hold nothing but data, and nothing in them may count as missing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter, rotate
from skimage import data

import hush
from hush import Record
from hush.kinds import get
from hush.reading import record_of

SIDE = 256


def scene(name: str) -> np.ndarray:
    """A photograph in [0, 1] with next to no noise of its own."""
    x = getattr(data, name)().astype(float)
    x = gaussian_filter(x.mean(-1) if x.ndim == 3 else x, 1)[::2, ::2]
    return x[:SIDE, :SIDE] / 255


def padded(rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray, float, np.ndarray, float]]:
    """Names, clean pictures, σ, where they are, and the value outside."""
    y, x = np.mgrid[:SIDE, :SIDE]
    field = np.hypot(y - 128, x - 128) < 120
    frame = rotate(np.ones((SIDE, SIDE)), 17, reshape=False, order=0) > 0
    holes = gaussian_filter(rng.standard_normal((SIDE, SIDE)), 4) > -0.12
    yield "CT, -3024 outside", 1500 * scene("camera") - 1000, 40, field, -3024
    yield "CT, -2000 outside", 1500 * scene("moon") - 1000, 40, field, -2000
    yield "round field, 0 outside", 1000 + 1000 * scene("camera"), 50, field, 0
    yield "rotated frame, 0 outside", 1000 + 1000 * scene("astronaut"), 50, frame, 0
    yield "holes, -9999", 300 + 500 * scene("moon"), 20, holes, -9999
    yield "round field, 8 bits", 60 + 150 * scene("astronaut"), 10, field, 0


def data_only(rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Pictures with areas of one value that are data."""
    photo = scene("camera")
    noise = rng.standard_normal(photo.shape)
    yield "highlights cut off", np.clip(300 * photo + 8 * noise, 0, 255).astype("u1")
    yield "shadows cut off", np.clip(255 * photo - 60 + 4 * noise, 0, 255).astype("u1")
    yield "0.03 photons a pixel", rng.poisson(0.06 * photo).astype("u2")
    yield "5 photons a pixel", rng.poisson(10 * photo).astype("u2")
    yield "a page of text", data.page()


def main() -> None:
    argparse.ArgumentParser(description=__doc__.split("\n\n")[0]).parse_args()
    rng = np.random.default_rng(0)
    print("| picture | kept | taken too | inside | last 3 px | without padding |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, clean, sigma, inside, value in padded(rng):
        dtype = "u1" if "8 bits" in name else "u2" if value == 0 else "i2"
        low = np.iinfo(dtype).min
        full = np.clip(np.rint(clean + sigma * rng.standard_normal(clean.shape)), low, None)
        full = full.astype(dtype)
        noisy = np.where(inside, full, value).astype(dtype)
        made, whole = (hush.run(Record(x, "YX"), device="cpu") for x in (noisy, full))
        batch = get("image").batch(made.noisy)
        edge = inside & (distance_transform_edt(inside) <= 3)
        kept = np.mean(made.data[~inside] == value)
        taken = np.mean(~batch.known(0)[0][inside])
        errors = [
            np.sqrt(np.mean((z.data - clean)[where] ** 2)) / sigma
            for z, where in ((made, inside), (made, edge), (whole, edge))
        ]
        figures = " | ".join(f"{e:.2f}" for e in errors)
        print(f"| {name} | {kept:.3f} | {taken:.4f} | {figures} |", flush=True)
    for name, x in data_only(rng):
        taken = np.mean(~get("image").batch(record_of(Record(x, "YX"))).known(0))
        print(f"| {name} | | {taken:.4f} | | | |")


if __name__ == "__main__":
    main()
