"""Samplers as functions: down a noise ladder, DDIM and its symmetric pair."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from hush.errors import HushError

if TYPE_CHECKING:
    from torch import Tensor

#: (state, level as a share of the initial standard deviation) → estimate of the whole noise,
#: in a new array
NoiseEstimate = Callable[[np.ndarray, float], np.ndarray]

#: (state X_t, time t) → estimate of the standard normal noise in it
NoisePredictor = Callable[["Tensor", int], "Tensor"]


def walk_down(
    noise: NoiseEstimate, s: np.ndarray, steps: int, power: float = 1.0
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    r"""Algorithm 2 of MID: from the estimated step down to zero in `steps` equal increments.

    With t increments left, one increment is 1/t of the whole noise that the network predicts,
    :math:`s \leftarrow s - \tfrac1t\hat n(s)`. The *standard deviation* of the rest is smaller by
    the factor (1 − 1/t), because the removed part is a multiple of the noise itself, not
    an independent part of it. ``steps=1`` is the one-shot ablation of §IV-F.

    That holds for a right estimate. What an estimate misses, :math:`n - \hat n`, stays whole, so
    that more is left; then the level is the share of increments left to a `power` below 1.

    Returns the last state and, for each step, the level before it and the rms removed.
    """
    trace, left = [], 1.0
    for t in range(steps, 0, -1):
        level = left**power
        removed = noise(s, level)
        removed /= t  # in place, here and below, because images may fill much of the memory
        rms = math.sqrt(float(np.vdot(removed, removed)) / removed.size)
        trace.append({"step": t, "level": level, "removed_rms": rms})
        s = np.subtract(s, removed, out=removed)
        left *= 1 - 1 / t
    return s, trace


def cosine_signal(total: int = 1000) -> np.ndarray:
    r"""The share of signal left, :math:`\bar\alpha_1 \dots \bar\alpha_T`, in the cosine schedule.

    Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic Models", ICML 2021, eq. 17.
    """
    at = np.cos((np.arange(total + 1) / total + 0.008) / 1.008 * np.pi / 2) ** 2
    beta = np.minimum(1 - at[1:] / at[:-1], 0.999)
    return np.cumprod(1 - beta)


def ddim(predict: NoisePredictor, x: Tensor, signal: np.ndarray, steps: int) -> Tensor:
    r"""Deterministic DDIM from :math:`X_T = x` to X_0 in `steps` evenly spaced steps.

    .. math:: X_{t'} = \sqrt{\bar\alpha_{t'}} \,
              \frac{X_t - \sqrt{1 - \bar\alpha_t}\, \epsilon}{\sqrt{\bar\alpha_t}}
              + \sqrt{1 - \bar\alpha_{t'}}\, \epsilon, \quad \epsilon = f(X_t, t)

    Song, Meng and Ermon, "Denoising Diffusion Implicit Models", ICLR 2021, eq. 12 with σ = 0
    (DiffDenoise, eq. 1). `signal` is :math:`\bar\alpha`; times are counted from 0.
    """
    if not 1 <= steps <= len(signal):
        raise HushError(f"DDIM needs 1 to {len(signal)} steps, not {steps}")
    times = np.round(len(signal) * (1 - np.arange(steps) / steps)).astype(int) - 1
    for t, before in zip(times, [*times[1:], None], strict=True):
        now, then = float(signal[t]), 1.0 if before is None else float(signal[before])
        noise = predict(x, int(t))
        x_0 = (x - math.sqrt(1 - now) * noise) / math.sqrt(now)
        x = math.sqrt(then) * x_0 + math.sqrt(1 - then) * noise
    return x


def ancestral(
    predict: Callable[[np.ndarray, int], np.ndarray],
    fresh: Callable[[int], np.ndarray],
    signal: np.ndarray,
    steps: int,
    limit: float,
) -> np.ndarray:
    r"""A sample X_0 in `steps` evenly spaced steps from noise, each with noise added anew.

    .. math:: X_{t'} = \sqrt{\bar\alpha_{t'}}\, \hat X_0
              + \sqrt{1 - \bar\alpha_{t'} - \sigma^2}\, \hat\epsilon + \sigma z, \quad
              \sigma^2 = \frac{1 - \bar\alpha_{t'}}{1 - \bar\alpha_t}
              \Big(1 - \frac{\bar\alpha_t}{\bar\alpha_{t'}}\Big)

    Ho, Jain and Abbeel, "Denoising Diffusion Probabilistic Models", NeurIPS 2020, in the form of
    DDIM's eq. 12 and 16 with η = 1. predict : (X_t, t) → the noise in X_t; fresh : step → standard
    normal noise, for step 0 the initial X_T. The estimate of X_0 is clipped to ±`limit`.
    """
    if not 1 <= steps <= len(signal):
        raise HushError(f"sampling needs 1 to {len(signal)} steps, not {steps}")
    times = np.round(len(signal) * (1 - np.arange(steps) / steps)).astype(int) - 1
    x = fresh(0)
    for step, (t, before) in enumerate(zip(times, [*times[1:], None], strict=True), start=1):
        now = float(signal[t])
        x_0 = (x - math.sqrt(1 - now) * predict(x, int(t))) / math.sqrt(now)
        x_0 = x_0.clip(-limit, limit)
        if before is None:
            x = x_0
            break
        then = float(signal[before])
        noise = (x - math.sqrt(now) * x_0) / math.sqrt(1 - now)  # what is left beside the clipped
        variance = (1 - then) / (1 - now) * (1 - now / then)
        x = math.sqrt(then) * x_0 + math.sqrt(max(0.0, 1 - then - variance)) * noise
        x += math.sqrt(variance) * fresh(step)
    return x


def symmetric_pair(
    predict: NoisePredictor, noise: Tensor, signal: np.ndarray, steps: int
) -> tuple[Tensor, Tensor]:
    """The samples that start from ε and −ε; their mean is the stabilised sample (DiffDenoise,
    eqs. 3–4). The odd part of the map from ε to the sample cancels in the mean."""
    return ddim(predict, noise, signal, steps), ddim(predict, -noise, signal, steps)
