"""DDIM and its symmetric pair: parity with diffusers, closed forms, and what the pair cancels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from hush.errors import HushError
from hush.sampling import cosine_signal, ddim, symmetric_pair

SIGNAL = cosine_signal()


def noise(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def of_gaussian(mean: Tensor, deviation: float):
    """E[ε | X_t, t], where the clean signal is N(mean, deviation²) in every pixel."""

    def predict(x: Tensor, t: int) -> Tensor:
        a = float(SIGNAL[t])
        scatter = a * deviation**2 + 1 - a
        return math.sqrt(1 - a) / scatter * (x - math.sqrt(a) * mean)

    return predict


def test_the_schedule_falls_from_signal_to_noise() -> None:
    assert (np.diff(SIGNAL) < 0).all()
    assert SIGNAL[0] > 0.999
    assert SIGNAL[-1] < 1e-4


@pytest.mark.parametrize("steps", [1, 5, 20, 100])
def test_the_same_as_diffusers(steps: int) -> None:
    scheduling = pytest.importorskip("diffusers.schedulers.scheduling_ddim")
    theirs = scheduling.DDIMScheduler(
        beta_schedule="squaredcos_cap_v2", clip_sample=False, timestep_spacing="trailing"
    )
    theirs.set_timesteps(steps)
    np.testing.assert_allclose(theirs.alphas_cumprod.numpy(), SIGNAL, rtol=1e-3)

    def predict(x: Tensor, t: int) -> Tensor:  # anything that is not linear
        return torch.tanh(x) * (1 - t / 2000) + 0.1 * x.roll(1, -1)

    start = noise(2, 1, 8, 8)
    x = start.clone()
    for t in theirs.timesteps:
        x = theirs.step(predict(x, int(t)), t, x).prev_sample
    ours = ddim(predict, start, theirs.alphas_cumprod.double().numpy(), steps)
    torch.testing.assert_close(ours, x, rtol=1e-5, atol=1e-5)


def test_many_steps_reach_the_law_of_the_data() -> None:
    """With the exact predictor of a Gaussian the map is affine, and its samples are the data's."""
    mean, deviation = torch.full((50_000,), 0.3, dtype=torch.float64), 0.2
    x = ddim(of_gaussian(mean, deviation), noise(50_000), SIGNAL, 1000)
    assert float(x.mean()) == pytest.approx(0.3, abs=0.005)
    assert float(x.std()) == pytest.approx(deviation, rel=0.02)


@pytest.mark.parametrize("steps", [1, 3, 20])
def test_the_pair_of_an_odd_map_is_its_centre(steps: int) -> None:
    """For a Gaussian the mean of the pair is the conditional mean, whatever ε was."""
    mean = noise(64, seed=1)
    plus, minus = symmetric_pair(of_gaussian(mean, 0.2), noise(64), SIGNAL, steps)
    torch.testing.assert_close((plus + minus) / 2, mean, rtol=0, atol=2e-2 if steps == 1 else 1e-3)
    assert float((plus - mean).abs().mean()) > 1e-3 or steps == 1


def test_steps_are_checked() -> None:
    for steps in (0, 1001):
        with pytest.raises(HushError, match="1 to 1000 steps"):
            ddim(of_gaussian(noise(4), 0.2), noise(4), SIGNAL, steps)
