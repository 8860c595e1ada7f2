"""What measuring the frames of a series together brings: python benchmarks/series.py.

Ten frames of 256 × 256 counts on an offset, made by rule with fixed seeds; the light falls to 10 %.
``together`` is the stack, ``alone`` its frames one by one. Gains are in dB of PSNR, a frame each;
*step* is the largest difference between neighbours, and the law's error is that of its deviation,
rms over the pixels, mean and worst frame.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, shift
from skimage import data

import hush
from hush.record import Record
from hush.report import describe
from hush.results import Item

SIDE, FRAMES, LAST, OFFSET = 256, 10, 0.1, 100.0


@dataclass(frozen=True)
class Series:
    """A series: its scene, photons where it is 1, counts per photon, read noise, pixels that it
    moves per frame, the width of a blur of the noise, and how much higher the gain is later."""

    scene: str
    photons: float = 100.0
    gain: float = 4.0
    read: float = 3.0
    move: float = 0.0
    blur: float = 0.0
    later: float = 1.0

    def frames(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Noisy and clean frames, and the noise's deviation."""
        rng, clean, noisy, level = np.random.default_rng(0), [], [], []
        for i in range(FRAMES):
            gain = self.gain * (self.later if i >= FRAMES // 2 else 1)
            moved = shift(SCENES[self.scene](), (self.move * i, 0.7 * self.move * i), order=1)
            mean = self.photons * np.maximum(moved, 0) * LAST ** (i / (FRAMES - 1))
            noise = gain * (rng.poisson(mean) - mean)
            noise = noise + self.read * rng.standard_normal(mean.shape)
            deviation = np.sqrt(gain**2 * mean + self.read**2)
            if self.blur:
                white = rng.standard_normal(mean.shape)
                smooth = gaussian_filter(white, self.blur)
                noise = deviation * smooth / smooth.std()
            clean.append(OFFSET + gain * mean)
            noisy.append(np.rint(clean[-1] + noise))
            level.append(deviation)
        return np.clip(noisy, 0, 65535).astype(np.uint16), np.array(clean), np.array(level)


def cells() -> np.ndarray:
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:SIDE, :SIDE]
    out = np.zeros((SIDE, SIDE))
    for cy, cx, height, side in rng.uniform((0, 0, 0.3, 8), (SIDE, SIDE, 1, 16), (25, 4)):
        out = np.maximum(out, height * (np.hypot(y - cy, (x - cx) / 1.4) < side))
    grain = gaussian_filter(rng.standard_normal(out.shape), 3)
    return gaussian_filter(np.clip(out * (1 + 0.15 * grain / grain.std()), 0, None), 1.5)


def photograph() -> np.ndarray:
    return gaussian_filter(data.camera().astype(float), 1)[::2, ::2] / 255


def dots() -> np.ndarray:
    rng = np.random.default_rng(1)
    out = np.zeros((SIDE, SIDE))
    for y, x in rng.integers(8, SIDE - 8, (40, 2)):
        out[y, x] += rng.uniform(0.5, 1)
    out = gaussian_filter(out, 2)
    return out / out.max()


SCENES = {"cells": cells, "photograph": photograph, "dots": dots}


def gains(noisy: np.ndarray, clean: np.ndarray, made: np.ndarray) -> np.ndarray:
    before, after = (np.square(x - clean).mean((1, 2)) for x in (noisy.astype(float), made))
    return np.asarray(10 * np.log10(before / after))


def error(items: Sequence[Item], clean: np.ndarray, level: np.ndarray) -> np.ndarray:
    every = []
    for item, x, true in zip(items, clean, level, strict=True):
        seen = np.sqrt(np.maximum(item.found.local.variance(x[None] / 65535)[0], 0)) * 65535
        every.append(np.sqrt(np.mean((seen / true - 1) ** 2)))
    return np.array(every)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", default=",".join(SCENES))
    scenes = parser.parse_args().scenes.split(",")
    print("| series | measured | least gain | step | law's error | seconds |")
    print("|---|---|---|---|---|---|")
    for scene in scenes:
        for name, series in {
            "bleaching": Series(scene),
            "few photons, moving": Series(scene, photons=15, gain=10, read=8, move=2),
            "noise blurred by 0.8": Series(scene, blur=0.8),
            "half at twice the gain": Series(scene, later=2),
        }.items():
            noisy, clean, level = series.frames()
            stack = hush.run(Record(noisy, "TYX"))
            singles = [hush.run(x) for x in noisy]
            for how, made, items, spent in (
                ("together", stack.data, stack.items, stack.timings),
                (
                    "alone",
                    np.stack([s.data for s in singles]),
                    [s.items[0] for s in singles],
                    {
                        k: sum(s.timings[k] for s in singles)
                        for k in ("measure", "denoise", "check")
                    },
                ),
            ):
                gain, off = gains(noisy, clean, made), error(items, clean, level)
                seconds = sum(spent.values())
                figures = gain.min(), np.abs(np.diff(gain)).max(), off.mean(), off.max(), seconds
                row = "{:.2f} | {:.2f} | {:.2f}, {:.2f} | {:.1f}".format(*figures)
                print(f"| {scene}, {name} | {how} | {row} |", flush=True)
            print(f"| | {describe.series(stack.laws, 'images')} | | | | |", flush=True)


if __name__ == "__main__":
    main()
