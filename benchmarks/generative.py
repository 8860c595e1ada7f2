"""Where the picture is nearly gone: DiffDenoise's diffusion as MID's last step, and without it.

    python benchmarks/generative.py TRAIN TEST [--noise gaussian:100/255] [--steps 4000] [--every 8]

TRAIN and TEST hold clean images, taken in gray; TEST ones that no figure is reported on. The
condition is MID's result, and what is learned is the rest, clean less condition, in units of its
own deviation: by the diffusion (v-prediction, as in `hush.methods.diffdenoise`), and for comparison
by regression with the same network. Prints PSNR, SSIM and the power of fine detail (the upper half
of the frequencies) as a share of the clean picture's, with standard errors of the differences to
MID over the pictures.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hush.kinds.cut import Patches, moments
from hush.methods.diffdenoise.losses import SIGNAL, never
from hush.metrics import psnr, ssim
from hush.models import load, path_of
from hush.nets.diffusion import DiffusionUNet
from hush.sampling import symmetric_pair
from hush.schedule import Schedule
from hush.studies.folders import image_files
from hush.studies.frozen import centre_crop, frozen_noise
from hush.training import train

DRAWS = 1  #: of noise for every picture to train on
PAIRS = 8  #: whose mean is the last row
DDIM_STEPS = 20

Scores = dict[str, list[tuple[float, float, float]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--noise", default="gaussian:100/255")
    parser.add_argument("--model", default="mid-gray")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--every", type=int, default=8)
    parser.add_argument("--side", type=int, default=256, help="of the middle that is scored")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model: Any = load(path_of(args.model))
    seen = [
        np.concatenate([clean, condition])
        for seed in range(DRAWS)
        for clean, _, condition in restored(model, image_files(args.train), args.noise, seed)
    ]
    scale = float(np.sqrt(np.mean([np.mean((x[:1] - x[1:]) ** 2) for x in seen])))
    print(f"{len(seen)} to train on; MID leaves {255 * scale:.1f} of 255", flush=True)
    diffusion, regression = (learned(seen, scale, loss, args.steps) for loss in (denoised, guessed))

    scores = Scores()
    tested = image_files(args.test)[:: args.every]
    for clean, noisy, condition in restored(model, tested, args.noise, DRAWS, args.side):
        c = standard(condition)
        pairs = [sample(diffusion, c, seed) for seed in range(PAIRS)]
        rests = {
            "MID": 0.0,
            "MID, then regression": guess(regression, c),
            "MID, then one sample": pairs[0][0],
            "MID, then the pair": np.mean(pairs[0], 0),
            f"MID, then {PAIRS} pairs' mean": np.mean(pairs, (0, 1)),
        }
        keep(scores, "noisy", noisy, clean)
        for name, rest in rests.items():
            keep(scores, name, condition + scale * rest, clean)
    for name, values in scores.items():
        off = np.array(values) - np.array(scores["MID"])
        mean, error = np.mean(values, 0), np.std(off, 0, ddof=1) / math.sqrt(len(values))
        print(
            f"{name:26} {mean[0]:6.2f} ± {error[0]:.2f} dB  {mean[1]:.4f} ± {error[1]:.4f}  "
            f"{mean[2]:5.2f} ± {error[2]:.2f}",
            flush=True,
        )


def restored(
    model: Any, files: Sequence[Path], noise: str, seed: int, side: int = 256
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Clean, noisy, and what MID makes of it when told the noise; ``(1, H, W)``."""
    for path in files:
        clean = np.asarray(Image.open(path).convert("L"), np.float32)[None] / 255
        clean = centre_crop(clean, side)
        noisy, process = frozen_noise(clean, noise, path.name, seed)
        yield clean, noisy, model.restore(noisy, process).data


def standard(condition: np.ndarray) -> np.ndarray:
    """A condition of mean 0 and deviation 1."""
    mean, deviation = moments(condition)
    return ((condition - mean) / (deviation or 1.0)).astype(np.float32)


# -- what is learned -------------------------------------------------------------------------

Loss = Callable[[DiffusionUNet, Tensor, Tensor, torch.Generator], Tensor]


def denoised(network: DiffusionUNet, r: Tensor, c: Tensor, generator: torch.Generator) -> Tensor:
    """Eq. 2 of DiffDenoise, for v."""
    time = torch.randint(len(SIGNAL), (len(r),), generator=generator)
    signal = torch.from_numpy(SIGNAL).to(r)[time][:, None, None, None]
    noise = torch.randn(r.shape, generator=generator)
    state = signal.sqrt() * r + (1 - signal).sqrt() * noise
    v = signal.sqrt() * noise - (1 - signal).sqrt() * r
    return (network(state, c, time).float() - v).square().mean()


def guessed(network: DiffusionUNet, r: Tensor, c: Tensor, generator: torch.Generator) -> Tensor:
    """E[r | c]."""
    return (network(torch.zeros_like(c), c, never(c)).float() - r).square().mean()


def learned(seen: Sequence[np.ndarray], scale: float, loss: Loss, steps: int) -> DiffusionUNet:
    """A network trained on clean images with their conditions ``(2, H, W)``."""
    torch.manual_seed(0)
    network = DiffusionUNet(1)
    items = [np.concatenate([(x[:1] - x[1:]) / scale, standard(x[1:])]) for x in seen]

    def of(
        x: Tensor, _: list[int], generator: torch.Generator, done: float
    ) -> Mapping[str, Tensor]:
        r, c = x.chunk(2, 1)
        return {"loss": loss(network, r, c, generator)}

    schedule = Schedule(max_steps=steps, batch=16, patch=64)
    train(network, Patches(items, schedule.patch), of, schedule, device="cpu")
    return network.eval()


# -- what it makes of a condition ------------------------------------------------------------


def sample(network: DiffusionUNet, c: np.ndarray, seed: int) -> list[np.ndarray]:
    """Eqs. 3 and 4 of DiffDenoise: the samples of the rest from ε and −ε."""
    noise = np.random.default_rng(seed).standard_normal(c.shape).astype(np.float32)
    with torch.inference_mode():
        given = torch.from_numpy(c)[None]
        start = torch.from_numpy(noise)[None]
        pair = symmetric_pair(partial(predicted, network, given), start, SIGNAL, DDIM_STEPS)
        return [x[0].numpy() for x in pair]


def predicted(network: DiffusionUNet, c: Tensor, state: Tensor, t: int) -> Tensor:
    """ε̂."""
    v = network(state, c, torch.full((1,), t)).float()
    return math.sqrt(1 - SIGNAL[t]) * state + math.sqrt(SIGNAL[t]) * v


def guess(network: DiffusionUNet, c: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        given = torch.from_numpy(c)[None]
        return network(torch.zeros_like(given), given, never(given)).float()[0].numpy()


# -- scores ----------------------------------------------------------------------------------


def keep(scores: Scores, name: str, x: np.ndarray, clean: np.ndarray) -> None:
    found = psnr(x, clean, 1.0), ssim(x, clean, 1.0), fine(x) / fine(clean)
    scores.setdefault(name, []).append(found)


def fine(x: np.ndarray) -> float:
    """Power above half of the highest frequency."""
    power = np.abs(np.fft.rfft2(x[0] - x.mean())) ** 2
    high = np.hypot(np.fft.fftfreq(x.shape[1])[:, None], np.fft.rfftfreq(x.shape[2])) > 0.25
    return float(power[high].sum())


if __name__ == "__main__":
    main()
