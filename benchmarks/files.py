"""Values as files have them: mosaics, pedestals, 12 bits in 16, arrays of other packages.

    python benchmarks/files.py

A picture of scikit-image with noise, stored in every such way, is denoised as it is. Printed are
the PSNR before and after, in dB of the clean picture's range of 1, and what is wrong with the
result, if anything: values outside of the input's range, another type, changed masked values.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage import data

import hush

RNG = np.random.default_rng(1)
BAYER = (
    (0, 0, 0, 0.6),
    (0, 1, 1, 1.0),
    (1, 0, 1, 1.0),
    (1, 1, 2, 0.5),
)  # row, column, colour, gain


@dataclass(frozen=True)
class Case:
    """A noisy array as it is given, and how its values are those of the clean one.

    clean : in [0, 1]; back : stored values to that; faults : what is wrong with a result.
    """

    name: str
    clean: np.ndarray
    noisy: np.ndarray
    back: Callable[[np.ndarray], np.ndarray]
    faults: Callable[[np.ndarray], str] = lambda made: ""


def cases() -> Iterator[Case]:
    photo = gaussian_filter(data.camera().astype(float), 1)[::2, ::2] / 255
    rgb = gaussian_filter(data.astronaut().astype(float), (1, 1, 0))[::2, ::2] / 255
    mosaic = np.zeros(photo.shape)
    for row, column, colour, gain in BAYER:
        mosaic[row::2, column::2] = gain * rgb[row::2, column::2, colour]
    noise = RNG.standard_normal(photo.shape)
    noisy = mosaic + 0.03 * noise
    yield Case("mosaic, float32", mosaic, noisy.astype("f4"), real)
    stored = np.clip(np.rint(4095 * noisy), 0, 4095).astype("u2")
    yield Case("mosaic, 12 bits in 16", mosaic, stored, lambda y: y / 4095, within(0, 4095))
    for pedestal in (0.0, 1e4, 1e6, 1e7):
        high = photo + 0.098 * noise + pedestal
        yield Case(f"pedestal {pedestal:g}, float64", photo, high, partial(less, pedestal))
    counts = np.rint(2**30 + 1000 * (photo + 0.098 * noise)).astype("i4")
    yield Case("pedestal 2³⁰, int32", photo, counts, lambda y: (y.astype(float) - 2**30) / 1000)
    noisy = photo + 0.05 * noise
    twelve = np.clip(np.rint(4095 * noisy), 0, 4095).astype("u2")
    yield Case("12 bits in 16", photo, twelve, lambda y: y / 4095, within(0, 4095))
    yield Case("12 bits, shifted to 16", photo, 16 * twelve, lambda y: y / 65520, within(0, 65520))
    four = np.clip(np.rint(15 * noisy), 0, 15).astype("u1")
    yield Case("4 bits in 8", photo, four, lambda y: y / 15, within(0, 15))
    unit = np.clip(noisy, 0, 1).astype("f4")
    yield Case("floats of [0, 1]", photo, unit, real, within(0, 1))
    events = RNG.poisson(40 * photo)
    yield Case("counts, int64", photo, events, lambda y: y / 40, within(0, np.inf))
    masked = np.ma.MaskedArray(noisy, np.hypot(*(np.indices(photo.shape) - 128.0)) > 120)
    masked.data[masked.mask] = -7
    yield Case("masked array", photo, masked, lambda y: y, keeps(masked))
    large = np.kron(unit[::2, ::2], np.ones((2, 2), "f4"))
    yield Case("every pixel repeated 2 × 2", np.kron(photo[::2, ::2], np.ones((2, 2))), large, real)


def real(y: np.ndarray) -> np.ndarray:
    return y.astype(np.float64)


def less(pedestal: float, y: np.ndarray) -> np.ndarray:
    return y - pedestal


def within(low: float, high: float) -> Callable[[np.ndarray], str]:
    """A check of a result's range."""
    return lambda y: "" if low <= y.min() and y.max() <= high else "leaves the range"


def keeps(noisy: np.ma.MaskedArray) -> Callable[[np.ndarray], str]:
    """A check that a result has the mask, and the values under it."""

    def faults(made: np.ndarray) -> str:
        same = np.ma.isMA(made) and (np.ma.getmaskarray(made) == noisy.mask).all()
        kept = same and (np.ma.getdata(made)[noisy.mask] == -7).all()
        return "" if kept else "masked values changed"

    return faults


def psnr(x: np.ndarray, clean: np.ndarray) -> np.floating:
    return 10 * np.log10(1 / np.ma.mean((x - clean) ** 2))


def main() -> None:
    argparse.ArgumentParser(description=__doc__.split("\n\n")[0]).parse_args()
    print("| stored as | noisy | hush | fault |\n|---|--:|--:|---|")
    for case in cases():
        made = hush.denoise(case.noisy, device="cpu")
        before, after = (psnr(case.back(y), case.clean) for y in (case.noisy, made))
        said = case.faults(made) or ("" if made.dtype == case.noisy.dtype else "another type")
        print(f"| {case.name} | {before:.2f} | {after:.2f} | {said or 'none'} |", flush=True)


if __name__ == "__main__":
    main()
