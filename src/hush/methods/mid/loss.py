"""MID's training step (algorithm 1): a state with more noise, and the joint loss on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hush.metrics import psnr
from hush.nets import channels_last
from hush.nets.values import average
from hush.noise.processes import Gaussian, OneOf, Process

FLOOR = 0.5 / 255  #: levels below half an 8-bit step are not distinguished
BLUR = 9  #: side of the window with the mean that serves as the signal for a level
_LEAST = 0.5  #: least noise added in noisy-only training, relative to the most


@dataclass(frozen=True)
class Ladder:
    """How much noise training adds; the fields are those of `ValueMID`.

    corpus : the noise added to clean patches.
    """

    corpus: Process
    added: float
    stored: float
    jitter: float


def joint_loss(
    networks: nn.ModuleDict,
    x: Tensor,
    given: Sequence[Process | None],
    ladder: Ladder,
    cell: int,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Eq. 9 on patches ``(B, C, *s)``: clean ones where `given` is None, otherwise collected.

    cell : side of the cells in which Ψ estimates the level.
    """
    collected, states, deviations, shares = [], [], [], []
    for s_0, process in zip(x, given, strict=True):
        if process is None:  # corpus: v_0 = 0, one jump to a random level
            now = ladder.corpus.draw(generator)
            s_t, share = now.sample(s_0, generator), 1.0
            if _uniform(generator) < ladder.stored:
                s_t = (s_t * 255).round().clamp(0, 255) / 255
            reached: tuple[Tensor, ...] = (s_t,)
        else:  # noisy-only: v_t = a·v_0 (eq. 1)
            a = 1 + (ladder.added * (_LEAST + (1 - _LEAST) * _uniform(generator))) ** 2
            now, share = process.scaled(a), 1 - 1 / a
            reached = process.accumulate_twice(s_0, a, generator)
        for s_t in reached:
            collected.append(s_0)
            states.append(s_t)
            shares.append(share)
            deviations.append(now.variance(local_mean(s_t[None]))[0].sqrt())
    s_t = channels_last(torch.stack(states))
    deviation = torch.stack(deviations)
    shared = torch.tensor(shares, device=x.device).view(-1, *[1] * (x.ndim - 1))
    every = tuple(range(1, x.ndim))
    added = s_t - torch.stack(collected)  # Δ accumulated since s_0 (eq. 3)

    # Φ (eq. 7), both sides divided by the added share: the estimate of the whole noise. Squared
    # errors grow roughly in proportion to the level; dividing by it weights all levels equally.
    told = deviation * torch.exp(ladder.jitter * _normal_like(shared, generator))
    whole = networks["noise"](s_t, told).float()
    level = deviation.square().mean(every).sqrt() + FLOOR
    noise = ((whole - added / shared).square().mean(every) / level).mean()

    # Ψ (eq. 5): the level in each cell, on a logarithmic scale.
    before = (1 - shared) * deviation.square()
    level = average(before + added.square(), cell).sqrt()
    told_by_step = networks["step"](s_t).float()
    step = ((told_by_step + FLOOR) / (level + FLOOR)).log().square().mean()
    return {"noise_loss": noise, "step_loss": 0.1 * step}


def local_mean(s: Tensor) -> Tensor:
    """Mean over 9 values along every axis, the signal that determines the level; same shape."""
    around = F.pad(s, [BLUR // 2] * 2 * (s.ndim - 2), mode="replicate")
    return average(around, BLUR, stride=1)


def restored_psnr(noise: nn.Module, held_out: Sequence[np.ndarray]) -> float:
    """Mean PSNR on clean items ``(C, *S)`` with Gaussian noise of σ = 25/255, known to Φ."""
    device = next(noise.parameters()).device
    generator = torch.Generator(device).manual_seed(0)
    scores = []
    for x in held_out:
        noisy = Gaussian(25 / 255).sample(torch.from_numpy(x)[None].to(device), generator)
        with torch.inference_mode():
            found = noise(noisy, torch.full_like(noisy, 25 / 255)).float()
        scores.append(psnr((noisy - found)[0].cpu().numpy(), x))
    return float(np.mean(scores))


def top_level(ladder: Process) -> float:
    """The highest Gaussian level of a training ladder, or 0.5 if it has none."""
    choices = ladder.choices if isinstance(ladder, OneOf) else (ladder,)
    gaussian = [p.sigma for p in choices if isinstance(p, Gaussian)]
    return max(float(s[1] if isinstance(s, tuple) else s) for s in gaussian) if gaussian else 0.5


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator, device=generator.device))


def _normal_like(x: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(x.shape, generator=generator, device=x.device)
