"""Methods that learn from noisy images alone, trained for the same time on the same images.

    python benchmarks/rivals.py CLEAN_FOLDER TEST_FOLDER [--methods mid,r2r] [--seconds 180]
                                [--every 20] [--noise gaussian:25/255] [--json FILE]

The images of CLEAN_FOLDER get one frozen draw of noise (`hush.studies.frozen.frozen_noise`), and so
does every n-th one of TEST_FOLDER, in gray. The time is CPU time: of each method some steps are
timed first, and the training takes as many steps as fit, so that a busy machine does not matter. No
method is told the noise. Prints the mean PSNR and its standard error over the pictures.
METHOD@NAME=VALUE changes a setting, such as r2r@draws=50. The name of a shipped model, such as
mid-gray, is a row, too.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hush.denoiser import Denoiser
from hush.methods import get
from hush.metrics import psnr
from hush.models import cards, load
from hush.schedule import Schedule
from hush.studies.folders import image_files, read_images
from hush.studies.frozen import frozen_noise

METHODS = "noise2void,neighbor2neighbor,blind2unblind,noisier2noise,r2r,mid"
TIMED = 20  #: steps


def noisy(files: list[Path], spec: str, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Clean and noisy gray images ``(H, W)`` of the files."""
    pairs = []
    for file in files:
        for x in read_images(file):
            gray = x if len(x) == 1 else x.mean(0, keepdims=True, dtype=np.float32)
            pairs.append((gray[0], frozen_noise(gray, spec, file.name, seed)[0][0]))
    return pairs


def made(text: str) -> Denoiser:
    """A method with settings, from ``METHOD@NAME=VALUE``."""
    name, *settings = text.split("@")
    changes = {k: json.loads(v) for k, v in (s.split("=") for s in settings)}
    return get(name, "image").for_kind("image", channels=1, **changes)


def trained(text: str, images: list[np.ndarray], seconds: float, seed: int) -> tuple[Any, int]:
    """A method trained for so many seconds of CPU time, and its number of steps; a shipped model as
    it is."""
    if text in {card["name"] for card in cards()}:
        return load(text), 0
    spent = []
    for steps in (1, 1 + TIMED):  # what comes before the first step does not count
        begun = time.process_time()
        made(text).fit(images[:4], schedule=Schedule(max_steps=steps, seed=seed), progress=False)
        spent.append(time.process_time() - begun)
    steps = max(1, round(seconds * TIMED / (spent[1] - spent[0])))
    schedule = Schedule(max_steps=steps, seed=seed, validate_every=10**9)
    return made(text).fit(images, schedule=schedule, progress=False), steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("clean", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--every", type=int, default=20)
    parser.add_argument("--noise", default="gaussian:25/255")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    images = [y for _, y in noisy(image_files(args.clean), args.noise, args.seed)]
    tests = noisy(image_files(args.test)[:: args.every], args.noise, args.seed)
    print(f"{'method':24} {'steps':>6} {'PSNR':>6} {'error':>6} {'seconds':>8}")
    rows = {"none": (0, [psnr(y, x, 1.0, clip=False) for x, y in tests], 0.0)}
    for text in ["none", *args.methods.split(",")]:
        if text != "none":
            model, steps = trained(text, images, args.seconds, args.seed)
            begun = time.process_time()
            scores = [psnr(model.denoise(y), x, 1.0, clip=False) for x, y in tests]
            rows[text] = steps, scores, (time.process_time() - begun) / len(tests)
        steps, scores, each = rows[text]
        error = np.std(scores, ddof=1) / len(scores) ** 0.5
        print(f"{text:24} {steps:6d} {np.mean(scores):6.2f} {error:6.2f} {each:8.2f}", flush=True)
        if args.json:
            args.json.write_text(json.dumps(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
