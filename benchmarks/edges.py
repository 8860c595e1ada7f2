"""Pictures with edges that no lens has: phantoms, drawings, charts, print.

    python benchmarks/edges.py [--gray MODEL] [--rgb MODEL] [--volume MODEL] [--sigma 10,25,50]
        [--only WORD]

PSNR in dB of what hush makes of them and of what BM3D does (of volumes, non-local means), both told
the noise. White noise of a fixed seed; of volumes, Rician. Photographs have none of these edges, so
a network learns them only from structures made by rule (`hush.kinds.image.structures`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont
from skimage.data import shepp_logan_phantom

import hush
from hush.metrics import psnr

SIDE = 256
TINTS = np.array([[0.1, 0.1, 0.2], [0.9, 0.3, 0.2], [0.2, 0.7, 0.3], [0.95, 0.9, 0.6]])


def regions() -> np.ndarray:
    """Flat areas, each nearest to one of some random points, as maps and segmentations have."""
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:SIDE, :SIDE]
    places, levels = rng.uniform(0, SIDE, (24, 2)), rng.random(24)
    away = (y[..., None] - places[:, 0]) ** 2 + (x[..., None] - places[:, 1]) ** 2
    return np.asarray(levels[away.argmin(-1)])


def page() -> np.ndarray:
    """Black letters on white paper."""
    paper = Image.new("L", (SIDE, SIDE), 255)
    draw, font = ImageDraw.Draw(paper), ImageFont.load_default(14)
    for i, line in enumerate(
        ("The quick brown fox", "jumps over 13 lazy", "dogs; E = mc², and") * 5
    ):
        draw.text((8, 4 + 17 * i), line, fill=0, font=font)
    return np.asarray(paper) / 255


def chart() -> np.ndarray:
    """A plot in colour, with bars, lines and words."""
    figure = Figure((SIDE / 72, SIDE / 72), dpi=72)
    canvas, axes = FigureCanvasAgg(figure), figure.subplots()
    axes.bar(range(5), [3, 5, 2, 6, 4], color=["C0", "C1", "C2", "C3", "C4"])
    axes.plot([0, 1, 2, 3, 4], [1, 4, 3, 5, 2], "k-o")
    axes.set_title("a chart")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3] / 255


def solids() -> np.ndarray:
    """A volume ``(Z, Y, X)`` of balls and a block one over the other, as large as 1."""
    z, y, x = np.mgrid[-12:12, -48:48, -48:48] * np.array([2, 1, 1]).reshape(3, 1, 1, 1)
    out = np.where(x**2 + (1.3 * y) ** 2 + (1.5 * z) ** 2 < 44**2, 0.5, 0.0)
    out[(np.abs(x + 0.6 * y + 0.4 * z) < 14) & (out > 0) & (np.abs(y - 0.5 * x) < 20)] = 0.8
    out[(x - 15) ** 2 + (y + 10) ** 2 + z**2 < 12**2] = 1.0
    out[(x + 18) ** 2 + (y - 8) ** 2 + (2 * z) ** 2 < 10**2] = 0.2
    return out


def pictures() -> Iterator[tuple[str, np.ndarray]]:
    phantom = shepp_logan_phantom()
    yield "Shepp and Logan's phantom", phantom
    yield "regions", regions()
    yield "page", page()
    yield "chart, gray", chart().mean(-1)
    shares = np.linspace(0, 1, len(TINTS))
    yield (
        "phantom, colour",
        np.stack([np.interp(phantom, shares, t) for t in TINTS.T], -1),
    )
    yield "regions, colour", np.stack([np.interp(regions(), shares, t) for t in TINTS.T], -1)
    yield "chart, colour", chart()


def scores(clean: np.ndarray, sigma: float, model: str | None, volume: bool) -> tuple[float, ...]:
    """PSNR of the noisy data, of hush's result and of the peer's."""
    rng = np.random.default_rng(round(255 * sigma))
    noisy = clean + sigma * rng.standard_normal(clean.shape)
    kind, peer, law = "image", "bm3d", "gaussian"
    if volume:
        noisy = np.abs(noisy + 1j * sigma * rng.standard_normal(clean.shape))
        kind, peer, law = "volume", "nlmeans", "rician"
    noisy = noisy.astype(np.float32)
    told = {"kind": kind, "noise": f"{law}:{sigma}/1"}
    made = hush.denoise(noisy, model=model, **told)
    other = hush.denoise(noisy, method=peer, **told)
    near = clean if not volume else np.hypot(clean, sigma)  # what magnitudes are on average, nearly
    return tuple(psnr(x, near, 1.0, clip=False) for x in (noisy, made, other))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for kind in ("gray", "rgb", "volume"):
        parser.add_argument(f"--{kind}", help="the model for these, instead of the shipped one")
    parser.add_argument("--sigma", default="10,25,50", help="levels of noise, of 255")
    parser.add_argument("--only", default="", help="cases with this word in their name")
    args = parser.parse_args()
    cases = [(n, x, args.gray if x.ndim == 2 else args.rgb, False) for n, x in pictures()]
    cases.append(("solids, a volume", solids(), args.volume, True))
    print(f"{'':<28} {'σ':>3} {'noisy':>7} {'hush':>7} {'peer':>7}")
    for name, clean, model, volume in (case for case in cases if args.only in case[0]):
        for level in args.sigma.split(","):
            row = scores(clean, float(level) / 255, model, volume)
            print(f"{name:<28} {level:>3} {' '.join(f'{s:7.2f}' for s in row)}", flush=True)


if __name__ == "__main__":
    main()
