"""MID's training step (algorithm 1): a state with more noise, and the joint loss on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hush.nets import channels_last
from hush.nets.values import average
from hush.noise.processes import Correlated, Gaussian, OneOf, Process
from hush.noise.spectrum import levels
from hush.noise.stabilise import stabilised
from hush.noise.units import fixed

FLOOR = 0.5 / 255  #: levels below half an 8-bit step are not distinguished
BLUR = 9  #: side of the window with the mean that serves as the signal for a level
_UNEVEN = 0.1  #: share of Gaussian corpus noise with a level that differs from place to place
_STABLE = 0.8  #: share of counting corpus noise that is stabilised, as in denoising
_LINEAR = ("linear", "bilinear", "trilinear")  #: interpolation over 1, 2 and 3 axes
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
    states, targets, deviations, spectra = [], [], [], []
    octaves: Any = networks["step"].octaves
    for s_0, process in zip(x, given, strict=True):
        if process is None:  # corpus: v_0 = 0, one jump to a random level
            now = ladder.corpus.draw(generator)
            if isinstance(now, Gaussian) and _uniform(generator) < _UNEVEN:
                now = Gaussian(fixed(now.sigma) * field(x.shape[2:], generator))
            s_t = now.sample(s_0, generator)
            if _uniform(generator) < ladder.stored:
                s_t = (s_t * 255).round().clamp(0, 255) / 255
            if _uniform(generator) < _STABLE and (form := stabilised(now)):
                stable, now = form
                s_0 = torch.from_numpy(stable.mean(s_0.cpu().numpy())).to(s_0)
                s_t = stable(s_t)
            reached: tuple[tuple[Tensor, Tensor], ...] = ((s_t, s_t - s_0),)
        else:  # noisy-only: v_t = a·v_0 (eq. 1)
            if form := stabilised(process):
                stable, process = form
                s_0 = stable(s_0)
            a = 1 + (ladder.added * (_LEAST + (1 - _LEAST) * _uniform(generator))) ** 2
            now, reached = process.exchanged(s_0, a, generator)
        for s_t, target in reached:
            deviation = now.variance_near(local_mean(s_t[None]))[0].clamp(min=0).sqrt()
            if now.white or isinstance(now, Correlated):
                spectrum = torch.from_numpy(spread(now, x.shape[1], octaves, x.ndim - 2)).to(x)
            else:  # the law is known to first order, and the spectrum not at all
                deviation, spectrum = realised(s_t - s_0, deviation, octaves)
            states.append(s_t)
            targets.append(target)
            spectra.append(spectrum)
            deviations.append(deviation)
    s_t = channels_last(torch.stack(states))
    deviation, spectrum = torch.stack(deviations), torch.stack(spectra)
    each = torch.zeros((len(states), *[1] * (x.ndim - 1)), device=x.device)
    every = tuple(range(1, x.ndim))

    # Φ (eq. 7), both sides divided by the added share: the estimate of the whole noise. Squared
    # errors grow roughly in proportion to the level; dividing by it weights all levels equally.
    told = deviation * torch.exp(ladder.jitter * _normal_like(each, generator))
    # White noise is known to be white; other spectra are told less surely than a level.
    doubt = 2 * ladder.jitter * ((spectrum - 1).abs() > 1e-3)
    heard = spectrum * torch.exp(doubt * _normal_like(spectrum, generator))
    whole = networks["noise"](s_t, told, heard).float()
    level = deviation.square().mean(every).sqrt() + FLOOR
    noise = ((whole - torch.stack(targets)).square().mean(every) / level).mean()

    # Ψ (eq. 5): the level in each cell and octave, on a logarithmic scale.
    variance = average(deviation.square(), cell)
    if variance.shape[1] > 1:
        variance = torch.cat([variance, variance.mean(1, keepdim=True)], 1)
    level = variance.sqrt()[:, None] * spectrum[..., *[None] * (x.ndim - 2)]
    told_by_step = networks["step"](s_t).float()
    step = ((told_by_step + FLOOR) / (level + FLOOR)).log().square().mean()
    return {"noise_loss": noise, "step_loss": 0.1 * step}


def spread(process: Process, channels: int, octaves: int, ndim: int) -> np.ndarray:
    """The shares of a noise's deviation that `hush.nets.values.Told` takes, 1 for white noise.

    ``(octaves, groups)``, float32: of each channel and, if there are several, of their mean.
    """
    brightness, colour = process.octaves(octaves, ndim, channels)
    each = np.sqrt((brightness**2 + (channels - 1) * colour**2) / channels)
    columns = [each] * channels + [brightness] * (channels > 1)
    return np.stack(columns, axis=1).astype(np.float32)


def realised(noise: Tensor, deviation: Tensor, octaves: int) -> tuple[Tensor, Tensor]:
    """The deviation ``(C, *S)`` and spectrum of noise that was drawn, given its law's deviation."""
    floor = 0.1 * deviation.mean() + 1e-6
    z = (noise / deviation.clamp(min=floor)).cpu().double().numpy()
    axes = tuple(range(1, z.ndim))
    z = z - z.mean(axes, keepdims=True)
    scale = math.sqrt(float(np.mean(z * z))) or 1.0
    size = math.sqrt(z[0].size) * scale
    power = np.square(np.abs(np.fft.fftn(z, axes=axes) / size)).mean(0)
    mean = np.square(np.abs(np.fft.fftn(z.mean(0)) / size)) * len(z)
    each, brightness = levels(power, mean, octaves)
    columns = [each] * len(z) + [brightness] * (len(z) > 1)
    return scale * deviation.clamp(min=floor), torch.from_numpy(np.stack(columns, 1)).to(noise)


def field(shape: Sequence[int], generator: torch.Generator) -> np.ndarray:
    """A map ``(1, *S)`` of mean 1 with a slow change from place to place, or a seam."""
    coarse = torch.randn((1, 1, *[3] * len(shape)), generator=generator, device=generator.device)
    fine = F.interpolate(coarse, size=tuple(shape), mode=_LINEAR[len(shape) - 1])[0]
    if _uniform(generator) < 0.3:
        fine = 2 * (fine > 0).float()
    grown = torch.exp(0.7 * (fine - fine.mean())).cpu().numpy()
    result: np.ndarray = grown / grown.mean()
    return result


def local_mean(s: Tensor) -> Tensor:
    """Mean over 9 values along every axis, the signal that determines the level; same shape."""
    around = F.pad(s, [BLUR // 2] * 2 * (s.ndim - 2), mode="replicate")
    return average(around, BLUR, stride=1)


def top_level(ladder: Process) -> float:
    """The highest Gaussian level of a training ladder, or 0.5 if it has none."""
    choices = ladder.choices if isinstance(ladder, OneOf) else (ladder,)
    gaussian = [p.sigma for p in choices if isinstance(p, Gaussian)]
    return max(float(s[1] if isinstance(s, tuple) else s) for s in gaussian) if gaussian else 0.5


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator, device=generator.device))


def _normal_like(x: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(x.shape, generator=generator, device=x.device)
