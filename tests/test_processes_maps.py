"""Levels that vary from place to place: every place is as if it had its level alone."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch

from hush.errors import HushError
from hush.noise.processes import (
    JPEG,
    Camera,
    Correlated,
    Gamma,
    Gaussian,
    Impulse,
    LogSpeckle,
    NonCentralChi,
    Poisson,
    PoissonGaussian,
    Process,
    Quantisation,
    Rician,
    Speckle,
    Stripes,
)
from hush.results import Estimate

# On one thread: arrays this small gain nothing from two.
pytestmark = pytest.mark.usefixtures("one_thread")

PLACES = (2, 3, 4)
SHARE = np.linspace(0, 1, math.prod(PLACES)).reshape(PLACES)  # what levels vary by

MAPS: list[Process] = [
    Gaussian(0.2 * SHARE),
    Gaussian(0.1 + 0.1 * SHARE[0]),
    Gaussian(0.1 + SHARE[:, :1, :1]),
    Poisson(5 + 50 * SHARE),
    PoissonGaussian(0.1 * SHARE, 0.05 + 0.1 * SHARE[..., ::-1], 0.1 * SHARE),
    PoissonGaussian(0.1 * SHARE, 0.05),
    Gamma(4 + 50 * SHARE),
    Speckle(0.3 * SHARE),
    LogSpeckle(0.2 * SHARE),
    LogSpeckle(0.1, 1 + 4 * SHARE[:, :1, :1]),
    LogSpeckle(0.2 * SHARE, 1 + 4 * SHARE[..., ::-1]),
    Rician(0.2 * SHARE),
    NonCentralChi(0.2 * SHARE, 4),
    Correlated(Gaussian(0.1 + SHARE[:, :1, :1]), 1.2),
]


def over_some(processes: list[Process]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("process", processes, ids=lambda p: p.family)


over = over_some(MAPS)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def only(process: Any, place: tuple[int, ...]) -> Any:
    """The process with the levels that it has in one place."""
    here: dict[str, Any] = {}
    for f in dataclasses.fields(process):
        value = getattr(process, f.name)
        if isinstance(value, np.ndarray):
            here[f.name] = float(np.broadcast_to(value, PLACES)[place])
        elif isinstance(value, Process):
            here[f.name] = only(value, place)
    return dataclasses.replace(process, **here)


def excess(values: torch.Tensor) -> float:
    """The mean over replicates beyond four of its standard errors, in the worst place."""
    error = values.std(0) / math.sqrt(len(values))
    return float((values.mean(0).abs() - 4 * error).max())


# -- formulas and laws --------------------------------------------------------------------


@over
@pytest.mark.parametrize("name", ["variance", "bias"])
def test_formulas_are_those_of_each_place(process: Process, name: str) -> None:
    x = np.random.default_rng(0).uniform(0.2, 1, (5, *PLACES))
    formula = getattr(process, name)
    expected = np.empty_like(x)
    for place in np.ndindex(PLACES):
        at = (slice(None), *place)
        expected[at] = getattr(only(process, place), name)(x[at])
    np.testing.assert_allclose(formula(x), expected, rtol=1e-12)
    np.testing.assert_allclose(formula(torch.from_numpy(x)).numpy(), expected, rtol=1e-12)
    single = formula(x.astype(np.float32)), formula(torch.from_numpy(x).float()).numpy()
    for found in single:
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert (formula(0.5) >= 0).all() if name == "variance" else True  # a map of a number


@over
@pytest.mark.parametrize("ratio", [1.0, 2.5])
def test_samples_and_states_have_the_moments_of_each_place(process: Process, ratio: float) -> None:
    x = torch.rand(PLACES, generator=rng(9), dtype=torch.float64).expand(6000, *PLACES) + 0.1
    there = process.scaled(ratio)
    state, increment = process.accumulate(process.sample(x, rng(1)), ratio, rng(2))
    noise, variance = state - x - there.bias(x), there.variance(x)
    assert increment.shape == state.shape == x.shape
    assert excess(noise) <= 0
    # Of what is matched by two moments alone, as where states are below zero light, not quite.
    assert excess(noise**2 - variance) <= (0 if process.closed else 0.02 * float(variance.max()))


OTHERWISE = ("speckle", "log-speckle", "rician", "noncentral-chi")


@over_some([p for p in MAPS if p.family not in OTHERWISE])
def test_the_ladder_multiplies_the_variance_of_every_place(process: Process) -> None:
    """But for those whose ratio is that of the logarithm's, the intensity's or the parts'."""
    x = np.full(PLACES, 0.4)
    np.testing.assert_allclose(process.scaled(2.5).variance(x), 2.5 * process.variance(x))


@over_some([Gaussian(0.2), Poisson(20.0), PoissonGaussian(0.1, 0.05), Gamma(9.0)])
def test_a_level_times_a_map_is_a_map(process: Process) -> None:
    x = np.full(PLACES, 0.4)
    there = process.scaled(0.5 + SHARE)
    assert there.varies
    np.testing.assert_allclose(there.variance(x), (0.5 + SHARE) * process.variance(0.4))


@over_some([Impulse(0.1), Quantisation(0.1), Stripes(0.1)])
def test_other_levels_are_no_maps(process: Process) -> None:
    with pytest.raises(HushError, match="must be one number, not an array"):
        process.scaled(0.5 + SHARE)


@pytest.mark.parametrize("plane", [1, np.int64(1)])
def test_a_plane_has_its_part_of_a_map(plane: int) -> None:
    index = plane, slice(1, 3), slice(None)
    for level in (SHARE, SHARE[:1], SHARE[0], SHARE[:, :1, :1]):
        part = Gaussian(level).part(index)
        expected = np.broadcast_to(level, PLACES)[index]
        np.testing.assert_array_equal(np.broadcast_to(part.sigma, expected.shape), expected)
        np.testing.assert_allclose(part.variance(np.zeros(expected.shape)), expected**2)


def test_correlated_noise_in_a_place_is_partly_that_of_the_places_around() -> None:
    """Half of the variance is the place's own, half the kernel's average: Σ k_i²·k_j²·σ²."""
    sigma = np.where(np.indices((6, 7))[1] < 3, 0.1, 0.4)
    process = Correlated(Gaussian(sigma), 0.8)
    x = torch.full((20_000, 6, 7), 0.5, dtype=torch.float64)
    kernel = process._kernel()
    around = np.pad(sigma**2, len(kernel) // 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(around, (len(kernel),) * 2)
    averaged = np.einsum("ijkl,k,l->ij", windows, kernel**2, kernel**2)
    noise = process.sample(x, rng()) - x
    assert excess(noise**2 - torch.from_numpy((sigma**2 + averaged) / 2)) <= 0
    s_t, _ = process.accumulate(x, 3.0, rng(1))
    assert excess((s_t - x) ** 2 - torch.from_numpy(sigma**2 + averaged)) <= 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
@over
def test_a_map_keeps_dtype_and_shape(process: Process, dtype: torch.dtype) -> None:
    x = torch.full((3, *PLACES), 0.5, dtype=dtype)
    for result in (process.sample(x, rng()), *process.accumulate(x, 1.5, rng())):
        assert (result.dtype, result.shape) == (dtype, x.shape)


def test_places_without_noise_stay_as_they_are() -> None:
    x = torch.rand(PLACES, generator=rng(), dtype=torch.float64)
    silent = SHARE == 0
    for process in (
        Gaussian(SHARE), PoissonGaussian(SHARE, SHARE), Rician(SHARE), Speckle(SHARE),
        LogSpeckle(SHARE),
    ):  # fmt: skip
        y = process.sample(x, rng(1))
        assert torch.equal((y == x), torch.from_numpy(silent))
    mean = SHARE + 0.5
    assert Rician(SHARE).unbias(mean)[0, 0, 0] == mean[0, 0, 0]


# -- what a map is not --------------------------------------------------------------------


@over
def test_a_map_has_no_text(process: Process) -> None:
    with pytest.raises(HushError, match="varies from place to place"):
        process.spec(255.0)


@over
def test_processes_of_maps_compare(process: Any) -> None:
    again, other = only(process, (0, 0, 0)), process.scaled(2.0)
    assert process == process.draw(rng())
    assert len({process, process.draw(rng()), other}) == 2
    assert process not in (again, other, None)
    assert again == only(process, (0, 0, 0))


def test_a_map_of_one_level_is_not_the_level() -> None:
    assert Gaussian(np.full(3, 0.1)) != Gaussian(0.1)
    assert Gaussian(np.full(3, 0.1)) != Gaussian(np.full((3, 1), 0.1))
    assert Gaussian(0.0) != Rician(0.0)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Gaussian(np.array([0.1, -0.1])), "at least 0, not -0.1"),
        (lambda: Gaussian(np.array([0.1, np.nan])), "cannot be nan-nan"),
        (lambda: Gaussian(np.array([0.1, np.inf])), "cannot be 0.1-inf"),
        (lambda: Gaussian(np.zeros(0)), "cannot be nan"),
        (lambda: Poisson(np.array([3.0, 0.0])), "above 0, not 0"),
        (lambda: Impulse(np.array([0.1, 0.2])), "must be one number, not an array"),
        (lambda: Stripes(np.array([0.1, 0.2])), "must be one number"),
        (lambda: Quantisation(np.array([0.1, 0.2])), "must be one number"),
        (lambda: JPEG(np.array([10.0, 20.0])), "must be one number"),
        (lambda: NonCentralChi(0.1, np.array([1, 2])), "must be one number"),
        (lambda: Camera(np.array([0.1, 0.2]), 0.1), "must be one number"),
        (lambda: Correlated(Gaussian(0.1), np.array([1.0, 2.0])), "must be one number"),
    ],
)
def test_every_place_of_a_map_is_checked(make: Any, said: str) -> None:
    with pytest.raises(HushError, match=said):
        make()


@over_some([p for p in MAPS if np.shape(p._values()[0]) == PLACES])
@pytest.mark.parametrize("shape", [(7,), (3, 5), (4, 3, 4), (3, 2, 3, 5)], ids=str)
def test_a_map_must_fit_the_sample(process: Process, shape: tuple[int, ...]) -> None:
    x = torch.full(shape, 0.5)
    calls = (
        lambda: process.variance(x.numpy()),
        lambda: process.variance(x),
        lambda: process.sample(x, rng()),
        lambda: process.accumulate(x, 2.0, rng()),
    )
    for call in calls:
        with pytest.raises(HushError):
            call()


# -- in words -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("process", "words"),
    [
        (Gaussian(SHARE), "σ 3, the same at every brightness"),
        (Poisson(np.array([20.0, 50.0])), "σ 3 on average, 20 to 50 counts at full range"),
        (LogSpeckle(0.1, np.array([1.0, 4.0])), "σ 3, the same at every brightness, looks 1 to 4"),
        (Gamma(np.array([4.0, 100.0])), "shape 4 to 100: σ is 10 to 50 % of the signal"),
        (
            PoissonGaussian(np.array([0.1, 0.2]), 0.1),
            "σ 3 on average, gain 1 to 2, read noise σ 1",
        ),
    ],
    ids=lambda v: getattr(v, "family", ""),
)
def test_a_map_in_words(process: Process, words: str) -> None:
    assert process.words("σ 3", 10.0, "{:g}".format) == words


def test_an_estimate_of_a_map_tells_its_mean() -> None:
    found = Estimate(PoissonGaussian(np.array([0.1, 0.3]), np.array([0.0, 0.5])), 0.1)
    assert (found.gain, found.read_sigma, found.offset) == pytest.approx((0.2, 0.25, 0.0))
    assert Estimate(Poisson(np.array([10.0, 5.0])), 0.1).gain == pytest.approx(0.15)
