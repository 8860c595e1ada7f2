"""Colour at full resolution, white noise of a told level: PSNR of the RGB model, of the gray model
channel by channel, and of CBM3D.

    python benchmarks/colour.py [--data DIR] [--rgb MODEL] [--gray MODEL] [--every N]

Most colour JPEG files have colour at half the resolution. These pictures do not: those of
scikit-image that are no JPEG files, and every fifth of the 100 test pictures of BSDS300
(DIR/images/bsds300_test) at half their size. One frozen draw of noise for each picture and level.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

import hush
from hush.methods import make
from hush.metrics import psnr
from hush.models import path_of
from hush.noise.processes import Gaussian
from hush.studies.folders import image_files

ROOT = Path(__file__).parents[1]


def pictures(folder: Path, every: int) -> Iterator[tuple[str, np.ndarray]]:
    for name in ("astronaut", "chelsea", "coffee", "immunohistochemistry", "colorwheel"):
        yield name, getattr(data, name)()[..., :3]
    for path in image_files(folder)[::every]:
        with Image.open(path) as image:
            yield path.stem, np.asarray(image.convert("RGB").reduce(2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("HUSH_DATA") or ROOT.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--rgb", default="mid-rgb")
    parser.add_argument("--gray", default="mid-gray")
    parser.add_argument("--every", type=int, default=5, help="every Nth picture of BSDS300")
    args = parser.parse_args()
    rgb, gray = (hush.load(path_of(name)) for name in (args.rgb, args.gray))
    cbm3d = make("bm3d", stabilise=False)
    print("picture, σ: RGB model, gray model channel by channel, CBM3D")
    every: dict[int, list[list[float]]] = {15: [], 25: [], 50: []}
    for name, picture in pictures(args.data / "images" / "bsds300_test", args.every):
        clean = (np.moveaxis(picture, -1, 0) / 255).astype(np.float32)
        for level, rows in every.items():
            noise = np.random.default_rng(level).standard_normal(clean.shape, np.float32)
            law = Gaussian(level / 255)
            y = clean + np.float32(level / 255) * noise
            results = (
                rgb.restore(y, law).data,
                np.concatenate([gray.restore(plane[None], law).data for plane in y]),
                cbm3d.restore(y, law).data,
            )
            rows.append([psnr(result, clean) for result in results])
            print(f"{name:22} {level:2} ", *(f"{v:6.2f}" for v in rows[-1]), flush=True)
    for level, rows in every.items():
        table = np.array(rows)
        mean, worst = table.mean(0), (table[:, 0] - table[:, 1:].max(1)).min()
        print(f"mean of {len(rows)}, σ {level}: ", *(f"{v:6.2f}" for v in mean), end="")
        print(f"; least lead {worst:.2f}")


if __name__ == "__main__":
    main()
