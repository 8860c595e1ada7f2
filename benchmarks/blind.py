"""What not knowing the noise costs, in scenes as users have them; and what BM3D makes of them.

    python benchmarks/blind.py

Scenes are made by rule or from scikit-image's camera, with fixed seeds. ``blind`` is what
`hush.denoise` does when it is told nothing, ``told`` the same with the true noise. PSNR relative to
the scene's brightest value.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage import data

import hush
from hush.kinds.image.structures import STRUCTURES, plane_waves
from hush.metrics import psnr
from hush.noise.processes import Gaussian, Poisson, PoissonGaussian, Process

FULL = 65535


@dataclass(frozen=True)
class Scene:
    """A noisy picture, its clean one, and the true noise; levels of stored integers are relative to
    their full range. where : the pixels that are judged."""

    name: str
    noisy: np.ndarray
    clean: np.ndarray
    noise: Process
    where: np.ndarray | bool = True


def photo() -> np.ndarray:
    return gaussian_filter(data.camera().astype(float), 1)[::2, ::2] / 255


def cells(side: int, seed: int) -> np.ndarray:
    """Textured ellipses on black, up to 1."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    out = np.zeros((side, side))
    for _ in range(side // 6):
        (cy, cx), (a, b), t = rng.uniform(0, side, 2), rng.uniform(8, 16, 2), rng.uniform(0, np.pi)
        u = (x - cx) * np.cos(t) + (y - cy) * np.sin(t)
        v = (y - cy) * np.cos(t) - (x - cx) * np.sin(t)
        out = np.maximum(out, rng.uniform(0.3, 1) * (np.hypot(u / a, v / b) < 1))
    grain = gaussian_filter(rng.standard_normal(out.shape), 3)
    return gaussian_filter(np.clip(out * (1 + 0.2 * grain / grain.std()), 0, None), 1.5)


def scenes() -> Iterator[Scene]:
    rng = np.random.default_rng(0)
    k, gain = cells(512, 3), 2.17
    counts = rng.poisson(100 * k) + 1.6 * rng.standard_normal(k.shape)
    stored = np.rint(100 + gain * counts).clip(0).astype(np.uint16)
    law = PoissonGaussian(gain / FULL, 1.6 * gain / FULL, 100 / FULL)
    yield Scene("cells on a camera's offset", stored, 100 + 100 * gain * k, law)

    clean = photo()
    gray = np.rint(255 * (clean + 0.1 * rng.standard_normal(clean.shape))).clip(0, 255)
    rgb = np.repeat(gray[..., None], 3, -1).astype(np.uint8)
    yield Scene("gray saved as RGB", rgb, np.repeat(255 * clean[..., None], 3, -1), Gaussian(0.1))

    flat = 500 + 300 * gaussian_filter(rng.standard_normal((384, 384)), 10)
    y, hit = flat + 8 * rng.standard_normal(flat.shape), np.zeros(flat.shape, bool)
    for _ in range(25):
        row, column = rng.integers(10, 370, 2)
        hit[row, column : column + rng.integers(1, 9)] = True
    y = np.where(hit, y + rng.uniform(500, 20000, flat.shape), y)
    y = np.rint(y).clip(0, FULL).astype(np.uint16)
    yield Scene("tracks of cosmic rays", y, flat, Gaussian(8 / FULL), ~hit)

    v, u = np.mgrid[-1:1:256j, -1:1:256j]
    for name, level in (
        ("stitched, σ .02 and .12", np.where(u < 0, 0.02, 0.12)),
        ("σ .02, rising to the corners", 0.02 * (1 + 2 * (u**2 + v**2))),
    ):
        y = clean + level * rng.standard_normal(clean.shape)
        yield Scene(name, y.astype(np.float32), clean, Gaussian(level[None].astype(np.float32)))

    k = cells(256, 7)
    for mean in (0.5, 0.1, 0.03, 0.01):
        clean = mean * k / k.mean()
        y = rng.poisson(clean).astype(np.float32)
        yield Scene(f"counts, {mean} a pixel", y, clean, Poisson(1.0))

    part = 1 / (1 + np.exp((100 - np.arange(256)) / 6))
    for period in (2.5, 3, 4, 6, 10):
        angles = 0.2 + np.pi / 3 * np.arange(3)
        clean = 0.5 + 0.05 * part * plane_waves(256, np.full(3, period), angles, np.zeros(3))
        y = clean + 0.1 * rng.standard_normal(clean.shape)
        yield Scene(f"lattice of {period} pixels", y.astype(np.float32), clean, Gaussian(0.1))


def spotless() -> None:
    """Pictures without noise: how near they come back, as floats and as 8 bits."""
    print("\nPictures without noise: PSNR of the result, dB")
    for name, draw in STRUCTURES.items():
        row = []
        for seed in range(3):
            x = draw(256, np.random.default_rng(seed))
            for y in (x, np.rint(255 * x).astype(np.uint8)):
                scale = 1 if y is x else 255
                row.append(min(120.0, psnr(hush.denoise(y) / scale, y / scale)))
        print(f"{name:12}", *(f"{v:7.1f}" for v in row), flush=True)


def main() -> None:
    print(f"{'':30}{'noisy':>8}{'blind':>8}{'told':>8}{'BM3D':>8}   lattice kept by hush, BM3D")
    for scene in scenes():
        made = {
            "noisy": scene.noisy,
            "blind": hush.denoise(scene.noisy),
            "told": hush.denoise(scene.noisy, noise=scene.noise),
            "bm3d": hush.denoise(scene.noisy, method="bm3d"),
        }
        where = np.broadcast_to(scene.where, scene.clean.shape)
        best = [
            psnr(np.asarray(y, float)[where], scene.clean[where], float(scene.clean.max()))
            for y in made.values()
        ]
        kept = ""
        if "lattice" in scene.name:
            wave = scene.clean - 0.5
            shares = [np.vdot(wave, made[m] - made[m].mean()) for m in ("blind", "bm3d")]
            kept = ", ".join(
                f"{s / np.vdot(wave, scene.clean - scene.clean.mean()):.2f}" for s in shares
            )
        figures = "".join("       –" if math.isnan(v) else f"{v:8.2f}" for v in best)
        print(f"{scene.name:30}{figures}   {kept}", flush=True)
    spotless()


if __name__ == "__main__":
    main()
