"""MID's training step (algorithm 1): states with more noise, and the joint loss on them.

Drawing the states takes as long as learning from them, and needs no network. So they are drawn on
their own (`Lessons`), next to a GPU in other processes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hush.methods.mid.below import walked
from hush.nets import channels_last
from hush.nets.values import average
from hush.noise.processes import Correlated, Gaussian, OneOf, Process
from hush.noise.spectrum import levels
from hush.noise.stabilise import stabilised
from hush.noise.units import fixed

if TYPE_CHECKING:
    from hush.kinds.cut import Patches
    from hush.training import Loss

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
    naive: bool = False


class States(NamedTuple):
    """States with more noise, and what is known about it.

    noisy : the states ``(B, C, *s)``; targets : what Φ learns, in expectation their whole noise;
    deviations : the law's deviation at each value; spectra : shares ``(B, octaves, groups)``, see
    `spread`.
    """

    noisy: Tensor
    targets: Tensor
    deviations: Tensor
    spectra: Tensor


Teach = Callable[[States], States]


@dataclass(frozen=True)
class Lessons:
    """Patches with further noise, in the form that `hush.training.train` draws from.

    given : the collected noise of each item, None for clean ones; octaves : of the spectra.
    """

    patches: Patches
    given: Sequence[Process | None]
    ladder: Ladder
    octaves: int

    def draw(self, count: int, rng: np.random.Generator) -> tuple[States, list[int]]:
        """States from `count` patches, and the indices of their items."""
        x, indices = self.patches.draw(count, rng)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        given = [self.given[i] for i in indices]
        return further(x, given, self.ladder, self.octaves, generator), indices


def further(
    x: Tensor,
    given: Sequence[Process | None],
    ladder: Ladder,
    octaves: int,
    generator: torch.Generator,
) -> States:
    """States from patches ``(B, C, *s)``: clean ones where `given` is None, otherwise collected."""
    drawn: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
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
            share = None
            if form := stabilised(process):
                stable, process = form
                near = local_mean(s_0[None])[0].cpu().numpy()
                share = torch.from_numpy(stable.variance(near)).to(s_0)
                s_0 = stable(s_0)
            least = 0.0 if ladder.naive else _LEAST
            a = 1 + (ladder.added * (least + (1 - least) * _uniform(generator))) ** 2
            now, reached = process.exchanged(s_0, a, generator)
            if share is not None:  # few counts have less than v_0, of which a target supposes all
                reached = tuple((s, (share + a - 1) / a * target) for s, target in reached)
            if ladder.naive:  # t counts from the collected sample, and Φ learns the increment
                now, reached = process.scaled(a - 1), tuple((s, s - s_0) for s, _ in reached)
        for s_t, target in reached:
            deviation = now.variance_near(local_mean(s_t[None]))[0].clamp(min=0).sqrt()
            if now.white or isinstance(now, Correlated):
                spectrum = torch.from_numpy(spread(now, x.shape[1], octaves, x.ndim - 2)).to(x)
            else:  # the law is known to first order, and the spectrum not at all
                deviation, spectrum = realised(s_t - s_0, deviation, octaves)
            drawn.append((s_t, target, deviation, spectrum))
    return States(*(torch.stack(part) for part in zip(*drawn, strict=True)))


def loss_of(model: Any, networks: nn.ModuleDict, teach: Teach | None = None) -> Loss:
    """Eq. 9 with the settings of a `ValueMID`, on states with other targets if there is `teach`."""

    def loss(
        states: States, _: list[int], generator: torch.Generator, done: float
    ) -> Mapping[str, Tensor]:
        states = teach(states) if teach else states
        more = (model.step_weight, model.below, model.power)
        return joint_loss(networks, states, model.jitter, model.cell, generator, *more)

    return loss


def joint_loss(
    networks: nn.ModuleDict,
    states: States,
    jitter: float,
    cell: int,
    generator: torch.Generator,
    step_weight: float = 0.1,
    below: float = 0.0,
    power: float = 1.0,
) -> dict[str, Tensor]:
    """Eq. 9 on states.

    cell : side of the cells in which Ψ estimates the level; step_weight : λ; below : share of the
    states from which Φ first takes a part of the noise (`hush.methods.mid.below`); power : that
    in `hush.sampling.walk_down`.
    """
    s_t, deviation, spectrum = channels_last(states.noisy), states.deviations, states.spectra
    every = tuple(range(1, s_t.ndim))
    each = torch.zeros((len(s_t), *[1] * len(every)), device=s_t.device)

    # Φ (eq. 7), both sides divided by the added share: the estimate of the whole noise. Squared
    # errors grow roughly in proportion to the level; dividing by it weights all levels equally.
    def whole_noise(s: Tensor, share: float) -> Tensor:
        first = slice(len(s))
        estimate: Tensor = networks["noise"](s, share * deviation[first], spectrum[first])
        return estimate.float()

    s, targets, left = walked(whole_noise, s_t, states.targets, below, generator, power)
    told = left * deviation * torch.exp(jitter * _normal_like(each, generator))
    # White noise is known to be white; other spectra are told less surely than a level.
    doubt = 2 * jitter * ((spectrum - 1).abs() > 1e-3)
    heard = spectrum * torch.exp(doubt * _normal_like(spectrum, generator))
    whole = networks["noise"](s, told, heard).float()
    level = deviation.square().mean(every).sqrt() + FLOOR
    noise = ((whole - targets).square().mean(every) / level).mean()

    # Ψ (eq. 5): the level in each cell and octave, on a logarithmic scale.
    variance = average(deviation.square(), cell)
    if variance.shape[1] > 1:
        variance = torch.cat([variance, variance.mean(1, keepdim=True)], 1)
    level = variance.sqrt()[:, None] * spectrum[..., *[None] * (s_t.ndim - 2)]
    told_by_step = networks["step"](s_t).float()
    step = ((told_by_step + FLOOR) / (level + FLOOR)).log().square().mean()
    return {"noise_loss": noise, "step_loss": step_weight * step}


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
