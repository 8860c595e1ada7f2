"""What was tried on the last stage of a DiffDenoise model, and on its pairs' oracle.

    hush study diffdenoise/iid --data DIR --json iid.jsonl --where data=chest --where noise=gaussian
    python benchmarks/trials.py further iid.models/CASE/diffdenoise_… --data DIR
    python benchmarks/trials.py oracle iid.models/CASE/diffdenoise_… --data DIR

``further`` goes on with the taught student by x' + a z → x' − z/a, for several a; ``oracle`` learns
E[x' | x_c] anew, for longer. Scored on some of the study's *training* images, which these trainings
do not see (the model's own stages did, noisy): every eleventh X-ray, the knees' slices beside those
to test. The study's test images are not touched; the tables are in docs/diffdenoise.md.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import hush
from hush.bases.stages import Stages
from hush.kinds.cut import Patches
from hush.methods import diffdenoise
from hush.methods.diffdenoise.losses import hidden, never, oracle_loss
from hush.methods.diffdenoise.noisy import Noisy, deviation_of, standard
from hush.metrics import psnr, ssim
from hush.nets.diffusion import DiffusionUNet
from hush.schedule import Schedule
from hush.studies.diffdenoise import SIDE, spec
from hush.studies.frozen import centre_crop
from hush.studies.medical import find_images, noisy_planes
from hush.training import train

BESIDE = ("0006.", "0007.", "0018.", "0019.", "0020.")  #: knees' slices next to those to test
#: a as the stage begins and as it ends; None, no such stage
ARMS = (None, (1.0, 1.0), (0.7, 0.7), (0.5, 0.5), (1.0, 0.4), (1.0, 0.25))

Denoise = Callable[[np.ndarray], np.ndarray]  #: of arrays of mean 0 and deviation 1
Score = Callable[[str, Denoise], None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("further", "oracle"))
    parser.add_argument("folder", type=Path, help="of the study's model and its stages")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--kind", choices=("chest", "knee"), default="chest")
    parser.add_argument("--kernel", default="", help="width of the noise's kernel: 0.5 or 1.2")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    images = next(s for s in find_images(args.data) if s.kind == args.kind)
    noise = spec("gaussian", args.kind, args.kernel)
    samples = list(noisy_planes(images.train, noise, 2 * SIDE, 0))
    beside = [any(n in s.name for n in BESIDE) for s in samples]
    kept_out = beside if args.kind == "knee" else [i % 11 == 3 for i in range(len(samples))]
    held = [s for s, out in zip(samples, kept_out, strict=True) if out]
    rest = [s.noisy for s, out in zip(samples, kept_out, strict=True) if not out]
    if not held:
        raise SystemExit(f"none of the {args.kind} images is one that is kept out here")
    if args.what == "oracle" and args.kernel:
        raise SystemExit("the oracle hides single pixels, which tell of blurred noise around them")
    model: Any = hush.load(args.folder / "model.safetensors")

    def score(name: str, denoise: Denoise) -> None:
        both = []
        for s in held:
            noisy, clean = (centre_crop(x, SIDE) for x in (s.noisy, s.reference))
            x, mean, scale = standard(noisy)
            y = mean + scale * denoise(x)
            both.append([f(y, clean, clip=False) for f in (psnr, ssim)])
        print(f"{name:40} {np.mean(both, 0)[0]:.2f} dB  {np.mean(both, 0)[1]:.5f}", flush=True)

    if args.what == "further":
        further(model, args.folder, rest, args.steps, score)
    else:
        oracle(model, rest, args.steps, score)


def further(
    model: Any, folder: Path, images: Sequence[np.ndarray], steps: int, score: Score
) -> None:
    """The taught student, by further noise: the method's own last stage."""
    student = model.networks_["student-1"]
    score("the model's student", model._student)
    taught = load_file(folder / "student-1.safetensors")
    noisy = Noisy.of(images)
    whole = Schedule(max_steps=round(steps / diffdenoise._REFINED))
    for a in ARMS:
        student.load_state_dict(taught)
        if a is not None:
            diffdenoise.FURTHER = a
            stages = Stages(whole, None, False, "cpu", False, {}, model.kind)
            model._refine(1, stages, student, noisy)
        score("taught alone" if a is None else f"a from {a[0]} to {a[1]}", model._student)


def oracle(model: Any, images: Sequence[np.ndarray], steps: int, score: Score) -> None:
    """E[x' | x_c] by regression, and E[x' | x_c and all pixels of x' but the one asked for]."""
    guide = model.networks_["blind-spot"].eval()
    scaled = []
    for x in images:
        seen = standard(x)[0]
        crop = seen[:, :192, :192]
        scale = deviation_of(crop - model._condition(crop))
        scaled.append(np.concatenate([seen, np.full_like(seen[:1], scale)]))

    def learned(seeing: bool) -> nn.Module:
        torch.manual_seed(0)
        network = DiffusionUNet(model.channels)

        def loss(x: Tensor, _: list[int], g: torch.Generator, done: float) -> Mapping[str, Tensor]:
            if not seeing:
                return oracle_loss(network, guide, 1, False, x, g, done)
            row, column = torch.randint(4, (2,), generator=g).tolist()
            x, scale = x[:, :-1], x[:, -1:]
            scored, filled = hidden(x, 1, row, column)
            with torch.no_grad():
                condition = guide(filled)
            answer = network(filled, condition, never(condition)).float()
            off = (answer - (x - condition) / scale).square() * scored
            return {"loss": off.sum() / scored.sum()}

        schedule = Schedule(max_steps=steps).settled()
        train(network, Patches(scaled, schedule.patch), loss, schedule, device="cpu")
        return network.eval()

    def each_in_turn(x: np.ndarray) -> np.ndarray:
        """Every pixel asked for once, the others seen."""
        condition, out = model._condition(x), np.empty_like(x)
        scale = deviation_of(x - condition)

        def answer(part: Tensor) -> Tensor:
            filled, c = part.chunk(2, 1)
            result: Tensor = network(filled, c, never(c))
            return result

        for row, column in itertools.product(range(4), repeat=2):
            scored, filled = hidden(torch.from_numpy(x)[None], 1, row, column)
            given = np.concatenate([filled[0].numpy(), condition])
            at = scored[0, 0].numpy() > 0
            out[:, at] = (condition + scale * model._over(given, network, answer))[:, at]
        return out

    score("condition", model._condition)
    score("the model's own oracle", model._oracle)
    model.networks_["oracle-1"] = learned(seeing=False)
    score(f"{steps} steps", model._oracle)
    network: Any = learned(seeing=True)
    score(f"{steps} steps, all other pixels seen", each_in_turn)


if __name__ == "__main__":
    main()
