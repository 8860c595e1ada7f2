"""Noise along one, two or three axes of space: signals, images and volumes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hush.errors import HushError
from hush.noise.processes import (
    JPEG,
    Correlated,
    Gaussian,
    Hum,
    OneOf,
    Poisson,
    Process,
    Stripes,
    parse,
)
from hush.results import Estimate

# On one thread: arrays this small gain nothing from two.
pytestmark = pytest.mark.usefixtures("one_thread")

WIDTH = 0.9


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def excess(values: torch.Tensor) -> float:
    """The mean over replicates beyond four of its standard errors; at most 0 if it may be 0."""
    means = values.reshape(len(values), -1).mean(1)
    return float(means.mean().abs() - 4 * means.std() / math.sqrt(len(means)))


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
@pytest.mark.parametrize("process", [Gaussian(0.1), Correlated(Gaussian(0.1), WIDTH)], ids=str)
def test_lags_in_any_number_of_axes(process: Process, ndim: int) -> None:
    """Every lag has the same correlation along an axis as it has in one dimension."""
    line, lags = process.autocorrelation(3, 1), process.autocorrelation(3, ndim)
    assert lags.shape == (7,) * ndim
    for axis in range(ndim):
        others = tuple(slice(None) if i == axis else 3 for i in range(ndim))
        np.testing.assert_allclose(lags[others], line, rtol=1e-12)
    assert lags[(3,) * ndim] == pytest.approx(1)


@pytest.mark.parametrize(("ndim", "shape"), [(1, (3, 30)), (2, (2, 8, 9)), (3, (2, 5, 6, 7))])
@pytest.mark.parametrize("white", [Gaussian(0.1), Poisson(50.0)], ids=lambda p: p.family)
def test_noise_is_correlated_along_space_alone(
    white: Process, ndim: int, shape: tuple[int, ...]
) -> None:
    """Leads, channels and samples know nothing of each other; the lags are the formula's."""
    process = Correlated(white, WIDTH).over(ndim)
    x = torch.full((1500, *shape), 0.5, dtype=torch.float64)
    noise = process.sample(x, rng()) - x
    state, _ = process.accumulate(x, 2.0, rng(1))
    lags, variance = process.autocorrelation(1, ndim), process.variance(0.5)
    assert excess(noise**2 - variance) <= 0
    assert excess((state - x) ** 2 - variance) <= 0
    for axis in range(-ndim, 0):
        at = tuple(2 if i == axis else 1 for i in range(-ndim, 0))
        for y in (noise, state - x):
            next_ones = y.narrow(axis, 1, y.shape[axis] - 1) * y.narrow(axis, 0, y.shape[axis] - 1)
            assert excess(next_ones - variance * lags[at]) <= 0
    assert excess(noise[:, 1:] * noise[:, :-1]) <= 0
    assert excess(noise[1:] * noise[:-1]) <= 0


def test_an_images_noise_is_that_of_its_planes() -> None:
    """Two axes are space unless something else is said; what leads them is only repeated."""
    process = parse("correlated:poisson:200,1.2")
    x = torch.rand((2, 3, 8, 9), generator=rng())
    y = process.sample(x, rng(1))
    assert torch.equal(y, process.over(2).sample(x, rng(1)))
    assert torch.equal(y.reshape(6, 8, 9), process.sample(x.reshape(6, 8, 9), rng(1)))
    assert not torch.equal(y, process.over(1).sample(x, rng(1)))


def test_space_stays_with_the_process() -> None:
    process = parse("correlated:5-50/255,1.2").over(1)
    assert process != parse("correlated:5-50/255,1.2")
    assert process.spec(255.0) == "correlated:5-50/255,1.2"  # what it is laid over is the sample's
    drawn = process.draw(rng())
    assert drawn.scaled(2.0) == drawn.scaled(2.0).over(1) != drawn.scaled(2.0).over(2)
    either = parse("gaussian:0.1|correlated:0.1,1.2").over(1)
    assert either == OneOf((Gaussian(0.1), Correlated(Gaussian(0.1), 1.2, ndim=1)))
    assert Gaussian(0.1).over(1) == Gaussian(0.1)


@pytest.mark.parametrize("process", [Stripes(0.1), Hum(0.1), JPEG(50.0)], ids=lambda p: p.family)
def test_what_only_images_have_is_refused_elsewhere(process: Process) -> None:
    said = f"{process.family} noise needs samples with 2 axes of space, but this one has 1"
    line = torch.full((7,), 0.5)
    for call in (
        lambda: process.over(1),
        lambda: OneOf((Gaussian(0.1), process)).over(1),
        lambda: process.sample(line, rng()),
        lambda: process.accumulate(line, 2.0, rng()),
    ):
        with pytest.raises(HushError, match=said):
            call()
    assert process.over(2) == process.over(3) == process


def test_correlated_noise_needs_the_axes_it_is_over() -> None:
    process, line = Correlated(Gaussian(0.1), 1.2), torch.full((7,), 0.5)
    for call in (process.sample, lambda x, g: process.accumulate(x, 2.0, g)):
        with pytest.raises(HushError, match="2 axes of space"):
            call(line, rng())
    assert process.over(1).sample(line, rng()).shape == (7,)


def test_stripes_of_volumes_are_those_of_their_planes() -> None:
    for along in ("rows", "columns"):
        process = Stripes(0.1, along)
        x = torch.zeros((500, 4, 5, 6), dtype=torch.float64)
        noise, lags = process.sample(x, rng()), process.autocorrelation(1, 3)
        assert lags.shape == (3, 3, 3)
        for axis in range(3):
            at = tuple(2 if i == axis else 1 for i in range(3))
            size = x.shape[1 + axis] - 1
            products = noise.narrow(1 + axis, 1, size) * noise.narrow(1 + axis, 0, size)
            assert excess(products - 0.01 * lags[at]) <= 0
        np.testing.assert_array_equal(lags[1], process.autocorrelation(1))
    with pytest.raises(HushError, match="2 axes"):
        Stripes(0.1).autocorrelation(1, 1)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_lags_of_an_estimate(ndim: int) -> None:
    white = Estimate(Gaussian(0.1), 0.1)
    np.testing.assert_array_equal(white.lags(2, ndim), Gaussian(0.1).autocorrelation(2, ndim))
    blurred = Estimate(
        Gaussian(0.1), 0.1, correlated=True, autocorrelation=(0.3, 0.05), kernel_width=WIDTH
    )
    lags = blurred.lags(2, ndim)
    assert lags.shape == (5,) * ndim
    centre = (2,) * ndim
    assert lags[centre] == 1
    assert lags[(*centre[1:], 3)] == pytest.approx(0.3)
    np.testing.assert_allclose(lags[centre[1:]], blurred.lags(2, 1))
