"""Methods that learn from noisy images alone, trained for the same time on the same images.

    python benchmarks/rivals.py CLEAN_FOLDER TEST_FOLDER [--methods mid,r2r] [--seconds 180] [--rgb]
                                [--every 20] [--noise gaussian:25/255] [--side 256] [--json FILE]

The images of CLEAN_FOLDER get one frozen draw of noise (`hush.studies.frozen.frozen_noise`), and so
does every n-th one of TEST_FOLDER, in gray or with --rgb in colour; of these --side takes the
middle. If both are the same folder, the images tested are left out of the training. The time is CPU
time: of each method some steps are timed first, and the training takes as many steps as fit, so
that a busy machine does not matter. No method is told the noise; pairs get the clean images. Prints
the mean PSNR, its standard error over the pictures, and the mean SSIM. METHOD@NAME=VALUE changes a
setting of the method or of the training, such as mid@net=gated@widths=32+64+128@batch=4.
The name of a shipped model, such as mid-gray, is a row, too.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hush.cli.train import TRAINING
from hush.denoiser import Denoiser
from hush.methods import get
from hush.metrics import psnr, ssim
from hush.models import cards, load
from hush.schedule import Schedule
from hush.settings import settings_of, value_of
from hush.studies.folders import image_files, read_images
from hush.studies.frozen import centre_crop, frozen_noise

METHODS = "noise2void,neighbor2neighbor,blind2unblind,noisier2noise,r2r,mid"
TIMED = 20  #: steps


Pair = tuple[np.ndarray, np.ndarray]


def noisy(files: list[Path], args: argparse.Namespace, side: int | None) -> list[Pair]:
    """Clean and noisy images ``(C, H, W)`` of the files."""
    pairs = []
    for file in files:
        for x in read_images(file):
            y = x if args.rgb or len(x) == 1 else x.mean(0, keepdims=True, dtype=np.float32)
            y = centre_crop(y, side) if side else y
            pairs.append((y, frozen_noise(y, args.noise, file.name, args.seed)[0]))
    return pairs


def laid(x: np.ndarray) -> np.ndarray:
    """``(C, H, W)`` as methods take it: ``(H, W)`` or ``(H, W, 3)``."""
    return x[0] if len(x) == 1 else np.moveaxis(x, 0, -1)


def made(text: str, channels: int) -> tuple[Denoiser, dict[str, Any]]:
    """A method with settings, and those of its training, from ``METHOD@NAME=VALUE``."""
    name, *settings = text.split("@")
    cls, usual = get(name, "image"), Schedule(max_steps=1).settled()
    training = {k: getattr(usual, k) for k in TRAINING}
    known = settings_of(cls) | training
    texts = dict(s.split("=") for s in settings)
    given = {k: value_of(k, text.replace("+", ","), known[k]) for k, text in texts.items()}
    pace = {k: given.pop(k) for k in training if k in given}
    return cls.for_kind("image", channels=channels, **given), pace


def trained(text: str, pairs: list[Pair], args: argparse.Namespace) -> tuple[Any, int]:
    """A method trained for so many seconds of CPU time, and its number of steps; a shipped model as
    it is."""
    if text in {card["name"] for card in cards()}:
        return load(text), 0
    channels = len(pairs[0][0])
    supervised = made(text, channels)[0].learns_from == "pairs"
    images = [np.stack([laid(y), laid(x)]) if supervised else laid(y) for x, y in pairs]
    spent = []
    for steps in (1, 1 + TIMED):  # what comes before the first step does not count
        begun = time.process_time()
        model, pace = made(text, channels)
        model.fit(images[:4], schedule=Schedule(steps, seed=args.seed, **pace), progress=False)
        spent.append(time.process_time() - begun)
    steps = max(1, round(args.seconds * TIMED / (spent[1] - spent[0])))
    model, pace = made(text, channels)
    schedule = Schedule(steps, seed=args.seed, **{"validate_every": 10**9, **pace})
    return model.fit(images, schedule=schedule, progress=False), steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("clean", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--every", type=int, default=20)
    parser.add_argument("--rgb", action="store_true")
    parser.add_argument("--side", type=int)
    parser.add_argument("--noise", default="gaussian:25/255")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    tested = image_files(args.test)[:: args.every]
    pairs = noisy([f for f in image_files(args.clean) if f not in tested], args, None)
    tests = noisy(tested, args, args.side)
    print(f"{'method':24} {'steps':>6} {'PSNR':>6} {'error':>6} {'SSIM':>6} {'seconds':>8}")
    rows: dict[str, Any] = {}
    for text in ["none", *args.methods.split(",")]:
        model, steps, begun = None, 0, time.process_time()
        if text != "none":
            model, steps = trained(text, pairs, args)
            begun = time.process_time()
        results = [y if model is None else model.restore(y).data for _, y in tests]
        each = (time.process_time() - begun) / len(tests)
        scores = [psnr(z, x, 1.0, clip=False) for z, (x, _) in zip(results, tests, strict=True)]
        alike = float(np.mean([ssim(z, x) for z, (x, _) in zip(results, tests, strict=True)]))
        rows[text] = steps, scores, each, alike
        error = np.std(scores, ddof=1) / len(scores) ** 0.5
        print(
            f"{text:24} {steps:6d} {np.mean(scores):6.2f} {error:6.2f} {alike:6.4f} {each:8.2f}",
            flush=True,
        )
        if args.json:
            args.json.write_text(json.dumps(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
