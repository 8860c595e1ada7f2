"""How well MID's networks do on what is held out of a training."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.ndimage import convolve
from torch import Tensor, nn

from hush.kinds.cut import rms_level
from hush.methods.mid.loss import FLOOR, further, joint_loss
from hush.metrics import psnr
from hush.noise.processes import Gaussian, Process
from hush.noise.stabilise import stabilised
from hush.starting import DECIBELS, NOISE, Losses, Score, put_aside, settled

SIGMA = 25 / 255  #: level of the noise added to clean items
RATIO = 2.0  #: variance of a state, relative to that of the collected sample
SEGMENTS = 4  #: of a part in which errors are compared one by one
LATTICE = 4  #: every so many-th place along every axis is hidden


def validated(
    model: Any,
    networks: nn.ModuleDict,
    held_out: Sequence[np.ndarray],
    processes: Sequence[Process | None],
) -> Mapping[str, float]:
    """Held-out PSNR at σ = 25/255 (corpus), or the loss with frozen noise (noisy-only)."""
    if None in processes:
        pairs = zip(_restored(networks, held_out), held_out, strict=True)
        return {"psnr": float(np.mean([psnr(made, x, 1.0) for made, x in pairs]))}
    device = next(networks.parameters()).device
    generator = torch.Generator(device).manual_seed(0)
    with torch.inference_mode():
        losses = [
            loss_on(model, networks, torch.from_numpy(x)[None].to(device), [process], generator)
            for x, process in zip(held_out, processes, strict=True)
            for _ in range(4)
        ]
    return {"val_loss": float(np.mean([float(part["noise_loss"]) for part in losses]))}


def loss_on(
    model: Any,
    networks: nn.ModuleDict,
    x: Tensor,
    given: Sequence[Process | None],
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Eq. 9 on patches ``(B, C, *s)``, clean ones where `given` is None, otherwise collected."""
    octaves: Any = networks["step"].octaves
    states = further(x, given, model.added_noise(x.ndim - 2), octaves, generator)
    return joint_loss(networks, states, model.jitter, model.cell, generator)


def losses(
    model: Any,
    networks: nn.ModuleDict,
    parts: Sequence[np.ndarray],
    processes: Sequence[Process | None],
) -> Losses:
    """Squared errors of networks in `SEGMENTS` of parts ``(C, *S)``, the same for every model.

    Clean parts get noise of σ = 25/255. Of collected parts, errors are relative to the variance of
    their noise, see `_blind` and `_halved`.
    """
    if None in processes:
        pairs = zip(_restored(networks, parts), parts, strict=True)
        return Losses(np.array([_segments((made - x) ** 2) for made, x in pairs]), DECIBELS)
    model = copy.copy(model)
    model.networks_ = networks
    found = []
    for x, process in zip(parts, processes, strict=True):
        assert process is not None
        form = stabilised(process)
        values, law = (x, process) if form is None else (form[0](x).astype(np.float32), form[1])
        errors = (_blind if law.white else _halved)(model, values, law)
        found.append(_segments(errors) / (rms_level(law, values) ** 2 + FLOOR**2))
    return Losses(np.array(found), NOISE)


def ended(
    model: Any,
    against: Any,
    score: Score,
    begun: Mapping[str, Tensor] | None,
    held_out: bool,
    folder: Path | None,
) -> None:
    """Compare with another model at the end of a training, which may go back to its start."""
    if against.networks_ is None:
        raise against.untrained()
    networks, others = model.networks_, against.networks_
    model.compared_ = settled(
        networks, others, score, begun, held_out, lambda: put_aside(model, folder)
    )
    if model.compared_.kept:
        model.top_ = against.top_


def _blind(model: Any, x: np.ndarray, law: Process) -> np.ndarray:
    """Squared errors at places ``(C, *S)`` that the network does not see, NaN elsewhere.

    Their neighbours' mean is put there. Where noise is independent from place to place, the
    expectation is the error beside the truth plus the noise's variance, whatever that is: a wrong
    level, which noisy-only training inherits, does not matter. J. Batson, L. Royer, "Noise2Self",
    ICML 2019, §3.1.
    """
    around = np.ones([1] + [3] * (x.ndim - 1), np.float32)
    around.flat[around.size // 2] = 0
    mean = convolve(x, around / around.sum(), mode="reflect")
    errors = np.full_like(x, np.nan)
    for first in (0, LATTICE // 2):
        there = (slice(None), *[slice(first, None, LATTICE)] * (x.ndim - 1))
        state = x.copy()
        state[there] = mean[there]
        made = state - model.predicted(state, law, False)
        errors[there] = (made - x)[there] ** 2
    return errors


def _halved(model: Any, x: np.ndarray, law: Process) -> np.ndarray:
    """Squared errors ``(C, *S)`` of results for s_0 ± Δ beside s_0 ∓ Δ, for the same Δ every time.

    If the law is right, the noise of both is uncorrelated, and the expectation is the error beside
    the truth plus the other's noise. T. Pang et al., "Recorrupted-to-Recorrupted", CVPR 2021.
    """
    generator = torch.Generator().manual_seed(0)
    now, states = law.exchanged(torch.from_numpy(x), RATIO, generator)
    errors = np.zeros_like(x)
    for state, target in states:
        found = model.predicted(state.numpy(), now, False)
        errors += (found - target.numpy()) ** 2 / len(states)
    return errors


def _segments(errors: np.ndarray) -> np.ndarray:
    """Mean errors in `SEGMENTS` along the longest axis of ``(C, *S)``."""
    axis = 1 + int(np.argmax(errors.shape[1:]))
    cut = np.array_split(errors, min(SEGMENTS, errors.shape[axis] // LATTICE), axis=axis)
    return np.array([np.nanmean(part) for part in cut])


def preview(model: Any, held_out: Sequence[np.ndarray], corpus: bool, path: Path) -> None:
    """Write up to four held-out crops before and after denoising."""
    before = list(held_out[:4])
    if corpus:
        generator = torch.Generator().manual_seed(0)
        noise = Gaussian(SIGMA)
        before = [noise.sample(torch.from_numpy(x), generator).numpy() for x in before]
    model.kind.preview(before, [model.restore(x).data for x in before], path)


def _restored(networks: nn.ModuleDict, clean: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Items ``(C, *S)`` with Gaussian noise of σ = 25/255, denoised at this level."""
    noise: Any = networks["noise"]
    device = next(noise.parameters()).device
    generator = torch.Generator(device).manual_seed(0)
    made = []
    for x in clean:
        noisy = Gaussian(SIGMA).sample(torch.from_numpy(x)[None].to(device), generator)
        with torch.inference_mode():
            found = noise(noisy, torch.full_like(noisy, SIGMA)).float()
        made.append((noisy - found)[0].cpu().numpy())
    return made
