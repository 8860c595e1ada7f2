"""Spectra of noise in octaves: densities, drawn noise, and what networks are told of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hush.errors import HushError
from hush.methods.mid.loss import realised, spread
from hush.noise.processes import Correlated, Gaussian, Poisson, parse
from hush.noise.spectrum import (
    AnySpectrum,
    Octaves,
    areas,
    levels,
    levels_of_lags,
    octave_of,
)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def density(noise: np.ndarray) -> np.ndarray:
    """Levels per octave ``(2, 4)`` of a draw ``(C, H, W)`` with variance 1."""
    size = noise[0].size
    power = (np.abs(np.fft.fft2(noise)) ** 2 / size).mean(0)
    mean = np.abs(np.fft.fft2(noise.mean(0))) ** 2 / size * len(noise)
    colour = (len(noise) * power - mean) / max(len(noise) - 1, 1)
    return levels(mean, colour, 4)


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_spectrum_has_mean_one(ndim: int, channels: int) -> None:
    """So that filtering white noise keeps its variance, in colour too."""
    bright, tint = Octaves((0.1, 0.5, 2, 4), (0.2, 1, 5, 9)).power((32,) * ndim, channels)
    assert (bright.mean() + (channels - 1) * tint.mean()) / channels == pytest.approx(1)
    assert areas(ndim, 4).sum() == pytest.approx(1)


def test_octaves_halve_the_frequency() -> None:
    """Diagonals have the frequency of their length."""
    octave = octave_of((64, 64), 4)
    assert octave[0, 32] == octave[20, 20] == octave[16, 0] == 0  # from 1/4 on
    assert octave[0, 15] == octave[0, 10] == octave[8, 0] == 1  # from 1/8 on
    assert octave[7, 0] == octave[0, 4] == 2  # from 1/16 on
    assert octave[0, 3] == octave[0, 0] == 3  # and all that is coarser


@pytest.mark.parametrize("colour", [(), (0.3, 1.0, 4.0, 12.0)])
def test_drawn_noise_has_the_spectrum_it_is_told_by(colour: tuple[float, ...]) -> None:
    """In brightness and in colour; and the level is that of the white noise."""
    process = Correlated(Gaussian(0.2), Octaves((0.1, 0.5, 2.0, 4.0), colour))
    x = torch.zeros(3, 384, 384, dtype=torch.float64)
    noise = process.sample(x, rng()).numpy()
    assert noise.std() == pytest.approx(0.2, rel=0.02)
    np.testing.assert_allclose(density(noise / 0.2), process.octaves(4, 2, 3), rtol=0.08)


def test_its_increments_have_it_too() -> None:
    """Noise of one spectrum is closed: what is added has the spectrum of what is there."""
    process = Correlated(Gaussian(0.2), Octaves((0.1, 0.5, 2.0, 4.0)))
    x = torch.zeros(1, 384, 384, dtype=torch.float64)
    state, increment = process.accumulate(process.sample(x, rng()), 3.0, rng(1))
    assert float(state.var()) == pytest.approx(3 * 0.04, rel=0.05)
    np.testing.assert_allclose(density(increment.numpy() / 0.2 / 2**0.5), density(
        state.numpy() / 0.2 / 3**0.5), rtol=0.15)  # fmt: skip


def test_the_lags_and_the_octaves_of_a_spectrum_agree() -> None:
    process = Correlated(Gaussian(1.0), Octaves((0.1, 0.5, 2.0, 4.0)))
    np.testing.assert_allclose(
        levels_of_lags(process.autocorrelation(24), 4), process.octaves(), rtol=0.1
    )
    blurred = parse("correlated:0.1,1.2")
    fine, *_, coarse = blurred.octaves()[0]
    assert fine < 1 < coarse  # half of its power is in the kernel's low frequencies


def test_white_noise_is_the_same_in_all_octaves() -> None:
    assert (Poisson(3.0).octaves(5) == 1).all()
    assert (spread(Gaussian(1.0), 3, 4, 2) == 1).all()


def test_channels_are_told_their_own_and_their_means_level() -> None:
    """Noise that channels share is all in their mean: √3 times that of independent noise."""
    shared = Correlated(Gaussian(1.0), Octaves((1.0, 1.0), (0.0, 0.0)))
    told = spread(shared, 3, 4, 2)
    assert told.shape == (4, 4)
    np.testing.assert_allclose(told[:, :3], 1, rtol=1e-3)
    np.testing.assert_allclose(told[:, 3], 3**0.5, rtol=1e-3)
    x = shared.sample(torch.zeros(3, 8, 8), rng())
    assert float((x[0] - x[1]).abs().max()) < 0.1 * float(x.std())


def test_noise_without_a_formula_is_told_as_it_came_out() -> None:
    process = Correlated(Gaussian(0.2), Octaves((0.1, 0.5, 2.0, 4.0), (1.0, 2.0, 3.0, 4.0)))
    noise = process.sample(torch.zeros(3, 256, 256), rng())
    deviation, told = realised(noise, torch.full_like(noise, 0.1), 4)
    assert float(deviation.mean()) == pytest.approx(0.2, rel=0.02)
    np.testing.assert_allclose(told, spread(process, 3, 4, 2), rtol=0.1)


@pytest.mark.parametrize("text", ["0.1:0.5:2:4", "1:2:3/4:5:6", "1:1"])
def test_a_spectrum_is_read_as_it_is_written(text: str) -> None:
    process = parse(f"correlated:6/255,{text}")
    assert process.spec(255.0) == f"correlated:6/255,{text}"
    assert parse(process.spec(255.0), 255.0) == process


@pytest.mark.parametrize("text", ["1:2/3:4/5:6", "0:0", "-1:2", "1:x", "1:nan"])
def test_what_is_no_spectrum_is_refused(text: str) -> None:
    with pytest.raises(HushError):
        parse(f"correlated:6/255,{text}")


def test_any_spectrum_is_drawn_for_each_sample() -> None:
    ladder = parse("correlated:poisson-gaussian:0.01-0.1/1,0.05,any")
    assert ladder.spec() == "correlated:poisson-gaussian:0.01-0.1,0.05,any"
    first, second = (ladder.draw(rng(seed)) for seed in (0, 1))
    assert isinstance(first, Correlated)
    assert isinstance(first.spectrum, Octaves)
    assert first != second
    with pytest.raises(HushError, match="draw a spectrum first"):
        ladder.autocorrelation(3)
    drawn = [AnySpectrum().draw(rng(seed)) for seed in range(300)]
    steep = [min(s.brightness) / max(s.brightness) for s in drawn]
    assert min(steep) < 0.02
    assert max(steep) > 0.9
    assert any(s.brightness[0] > s.brightness[-1] for s in drawn)  # and sharpened
