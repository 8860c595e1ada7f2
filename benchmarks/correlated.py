"""Correlated noise, and methods that learn from it alone: PSNR and SSIM after the same time.

    OMP_NUM_THREADS=1 python benchmarks/correlated.py OUT [--data DIR] [--gray] [--seconds 180]
        [--noise camera:0.01,0.01,0.6] [--methods apbsn,mmbsn,cbsn,puca,lgbpn]

Every method is trained on the noisy pictures of DIR/images/bsds500_train without the ten that are
tested, evenly spaced; the noise of every picture is drawn once. All get the same time on a core,
whatever else runs: it is the process's own time. Beside them stands the shipped MID, which has not
learned from these pictures. Models that are in OUT are not trained again.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import hush
from hush import training
from hush.methods import make
from hush.metrics import psnr, ssim
from hush.models import path_of
from hush.schedule import Schedule
from hush.studies.folders import image_files, read_images
from hush.studies.images import centre_crop, frozen_noise

ROOT = Path(__file__).parents[1]
METHODS: dict[str, dict[str, Any]] = {
    "apbsn": {}, "mmbsn": {}, "cbsn": {}, "puca": {}, "lgbpn": {"blind": 5},
}  # fmt: skip
TESTED, SIDE = 10, 192  # pictures, and the side of their middles, here and in training


def pairs(folder: Path, spec: str, gray: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Noisy and clean ``(C, H, W)``."""
    made = []
    for path in image_files(folder):
        x = centre_crop(next(read_images(path)), SIDE)
        x = x.mean(0, keepdims=True) if gray else x
        made.append((frozen_noise(x, spec, path.name, 0)[0], x))
    return made


def trained(name: str, images: list[np.ndarray], seconds: float, path: Path) -> Any:
    """The method's model; trained for the time on a core, unless it is there."""
    if path.exists():
        return hush.load(path)

    schedule = Schedule(budget=seconds, validate_every=10**9)
    model: Any = make(name, **METHODS[name])
    model.fit(images, schedule=schedule, device="cpu", progress=False)
    print(f"{name}: {model.figures_['steps']} steps", flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path)
    return hush.load(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("HUSH_DATA") or ROOT.parent / "shared" / "data"
    parser.add_argument("out", type=Path, help="folder for the models")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--noise", default="camera:0.01,0.01,0.6")
    parser.add_argument("--gray", action="store_true")
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--methods", default=",".join(METHODS))
    args = parser.parse_args()
    training.time = SimpleNamespace(perf_counter=time.process_time)  # type: ignore[assignment]
    every = pairs(args.data / "images" / "bsds500_train", args.noise, args.gray)
    step = len(every) // TESTED
    tests = every[::step]
    images = [x for i, (x, _) in enumerate(every) if i % step]
    images = [x[0] if args.gray else np.moveaxis(x, 0, -1) for x in images]
    colour = "gray" if args.gray else "rgb"

    def row(name: str, model: Any) -> None:
        results = [(y if model is None else model.restored(y), x) for y, x in tests]
        scores = [(psnr(y, x, 1.0), ssim(y, x, 1.0)) for y, x in results]
        mean, error = np.mean(scores, 0), np.std(scores, 0, ddof=1) / len(scores) ** 0.5
        print(f"{name}: {mean[0]:.2f} ± {error[0]:.2f} dB, {mean[1]:.4f}", flush=True)

    row("none", None)
    row(f"mid-{colour}, shipped", hush.load(path_of(f"mid-{colour}")))
    for name in args.methods.split(","):
        spec = args.noise.replace(":", "_").replace("/", "_")
        path = args.out / f"{name}-{colour}-{spec}-{args.seconds:g}s.safetensors"
        row(name, trained(name, images, args.seconds, path))


if __name__ == "__main__":
    main()
