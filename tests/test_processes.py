"""Noise ladders as mathematics: what every registered family states, checked on samples.

A family is tested by being in `FAMILIES`, on its own `examples`. Moments are compared as means over
independent replicates, and lie within four standard errors; laws by two-sample tests. All from
stated seeds.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp

from hush.errors import HushError
from hush.noise.processes import ECG, FAMILIES, Gaussian, Process, Speckle, parse

# On one thread: arrays this small gain nothing from two.
pytestmark = pytest.mark.usefixtures("one_thread", "ecg_bank")


def rng(seed: int = 0, device: str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def is_fixed(process: Process) -> bool:
    return process.draw(rng()) == process


def levelled(process: Any) -> Process:
    """An example with a level: of some families the spec has none, because it is found."""
    return process if process.stated else dataclasses.replace(process, level=0.1)


VALUES = [family for family in FAMILIES.values() if not family.superposed]  # change values
EXAMPLES = [levelled(parse(e)) for family in VALUES for e in family.examples]
PROCESSES = [p for p in EXAMPLES if is_fixed(p)]


def over(processes: list[Process]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("process", processes, ids=[p.spec() for p in processes])


every_process = over(PROCESSES)
every_closed = over([p for p in PROCESSES if p.closed])
every_exchangeable = over([p for p in PROCESSES if math.isinf(p.taylor_order)])
every_unbiased = over([p for p in PROCESSES if p.bias(0.3) == 0])

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def clean(process: Process, replicates: int = 300) -> torch.Tensor:
    """Signals that vary from pixel to pixel, far more than any process here quantises.

    A camera's from replicate to replicate only: there the noise depends on the signals around.
    """
    shape = (replicates, 1, 16, 16)
    drawn = shape if process.family != "camera" else (replicates, 1, 1, 1)
    x = torch.rand(drawn, generator=rng(99), dtype=torch.float64)
    return (0.1 + 0.8 * x).expand(shape)


def flat(process: Process, x: float) -> torch.Tensor:
    """Replicates at one clean signal: single pixels where they are independent."""
    shape = (20_000, 1, 1) if process.white else (3_000, 5, 5)
    return torch.full(shape, x, dtype=torch.float64)


def middle(s: torch.Tensor) -> torch.Tensor:
    """One pixel of each replicate, to nine digits: lattices rounded otherwise must tie."""
    return s[:, s.shape[1] // 2, s.shape[2] // 2].numpy().round(9)


def climb(
    process: Process, s: torch.Tensor, ratio: float, steps: int, generator: torch.Generator
) -> torch.Tensor:
    """From `s` to `ratio` times its variance in `steps` accumulations of equal ratio."""
    each = ratio ** (1 / steps)
    for _ in range(steps):
        s, _ = process.accumulate(s, each, generator)
        process = process.scaled(each)
    return s


def excess(values: torch.Tensor) -> float:
    """The mean over replicates beyond four of its standard errors; at most 0 if it may be 0."""
    means = values.reshape(len(values), -1).mean(1)
    return float(means.mean().abs() - 4 * means.std() / math.sqrt(len(means)))


def tolerance(process: Process, ratio: float = 1.0) -> float:
    """Relative error of a variance that the family's own words allow.

    Rounding a signal is uniform noise only nearly, and JPEG's steps are whole numbers. A Gamma
    variance, not linear in the signal, is matched by the correlated ladder up to v/x² = 1/L. A
    camera's formulas leave out the second order, here up to a twentieth of the first.
    A mean may be off by that share of a standard deviation.
    """
    if process.family == "camera":
        return 0.05
    if process.taylor_order == 0:
        return 0.06 if process.family == "jpeg" else 0.02
    return 0.0 if process.closed or ratio == 1 else 0.01 * (ratio - 1)


# -- moments ------------------------------------------------------------------------------


@every_process
def test_mean_and_variance_are_the_formulas(process: Process) -> None:
    x = clean(process)
    noise = process.sample(x, rng(1)) - x - process.bias(x)
    variance = process.variance(x)
    assert excess(noise) <= tolerance(process) * float(variance.mean().sqrt())
    assert excess(noise**2 - variance) <= tolerance(process) * float(variance.mean())


@every_process
def test_formulas_take_numbers_arrays_and_tensors_alike(process: Process) -> None:
    x = torch.linspace(-0.1, 1, 12, dtype=torch.float64).reshape(3, 4)
    for formula in (process.variance, process.bias):
        expected = torch.tensor([[formula(float(v)) for v in row] for row in x]).double()
        torch.testing.assert_close(formula(x), expected)
        torch.testing.assert_close(torch.from_numpy(formula(x.numpy())), expected)
        assert formula(x.float()).dtype == torch.float32
        assert isinstance(formula(0.5), float)


@over([p for p in PROCESSES if p.terms])
def test_the_variance_is_made_of_the_powers_stated(process: Process) -> None:
    """For magnitudes, where they are far above the noise: there it is one part's."""
    x = np.linspace(0.2, 1, 9) + (1e4 if process.family in ("rician", "noncentral-chi") else 0)
    powers = x[:, None] ** np.array(process.terms)
    fitted = powers @ np.linalg.lstsq(powers, process.variance(x))[0]
    np.testing.assert_allclose(fitted, process.variance(x), rtol=1e-6)


@every_process
def test_a_bias_is_declared(process: Process) -> None:
    assert process.biased == (process.bias(0.3) != 0)


@every_process
@pytest.mark.parametrize("ratio", [0.5, 1.0, 1.5, 4.0])
def test_scaled_multiplies_what_accumulates(process: Process, ratio: float) -> None:
    """The noise's power about x; of logarithms and magnitudes, the variance behind them."""

    def power(p: Process) -> float:
        if p.family == "speckle":
            return math.log1p(p.variance(1.0))
        if p.family == "log-speckle":
            return 1 / p.looks
        if p.family in ("rician", "noncentral-chi"):
            return p.sigma**2
        return p.variance(0.6) + p.bias(0.6) ** 2

    rel = 0.05 if process.family == "jpeg" else 1e-9
    assert power(process.scaled(ratio)) == pytest.approx(ratio * power(process), rel=rel)
    there_and_back = process.scaled(ratio).scaled(1 / ratio)
    assert there_and_back.variance(0.6) == pytest.approx(process.variance(0.6))


@every_process
def test_nothing_is_left_at_ratio_zero(process: Process) -> None:
    x, none = clean(process, 2), process.scaled(0.0)
    rounding = 2 / 255 if process.family == "jpeg" else 1e-12  # files of 8 bits
    torch.testing.assert_close(none.sample(x, rng()), x, rtol=0, atol=rounding)
    assert float(none.variance(0.5)) <= rounding**2
    assert none.bias(0.5) == 0


@every_process
@pytest.mark.parametrize("ratio", [1.3, 3.0])
def test_accumulating_leads_to_the_scaled_moments(process: Process, ratio: float) -> None:
    x, there = clean(process), process.scaled(ratio)
    s_t, _ = process.accumulate(process.sample(x, rng(1)), ratio, rng(2))
    noise, variance = s_t - x - there.bias(x), there.variance(x)
    assert excess(noise) <= tolerance(process, ratio) * float(variance.mean().sqrt())
    assert excess(noise**2 - variance) <= tolerance(process, ratio) * float(variance.mean())


@every_unbiased
@pytest.mark.parametrize("ratio", [1.3, 3.0])
def test_what_is_kept_says_nothing_about_what_is_taken(process: Process, ratio: float) -> None:
    """A state s_t is, times v_0/v_t, the part of s_0 that is kept; uncorrelated with the rest.

    That is: the noise of s_t has the covariance v_0 with the noise of s_0.
    """
    x = clean(process)
    s_0 = process.sample(x, rng(1))
    s_t, _ = process.accumulate(s_0, ratio, rng(2))
    covariance, variance = (s_t - x) * (s_0 - x), process.variance(x)
    assert excess(covariance - variance) <= tolerance(process) * float(variance.mean())


# -- closure and exchangeability ----------------------------------------------------------


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    """How far beyond a sample noise of any spectrum is drawn has no part in its law, but takes
    nearly all of the time."""
    monkeypatch.setattr("hush.noise.correlated._REACH", 8)


@pytest.mark.usefixtures("near")
@every_closed
@pytest.mark.parametrize("x", [0.2, 0.7])
@pytest.mark.parametrize("steps", [2, 5])
def test_many_steps_have_the_law_of_one_jump(process: Process, x: float, steps: int) -> None:
    """And both have the law of noise collected at that level in the first place."""
    ratio, signal = 2.5, flat(process, x)
    many = middle(climb(process, process.sample(signal, rng(1)), ratio, steps, rng(2)))
    jump = middle(process.accumulate(process.sample(signal, rng(3)), ratio, rng(4))[0])
    fresh = middle(process.scaled(ratio).sample(signal, rng(5)))
    for other in (jump, fresh):
        spread = math.sqrt(2 / len(many))  # of a mean's difference, in standard deviations
        assert abs(many.mean() - other.mean()) < 4 * spread * many.std()
        squares = [(v - v.mean()) ** 2 for v in (many, other)]
        error = math.sqrt(sum(v.var() for v in squares) / len(many))
        assert abs(squares[0].mean() - squares[1].mean()) < 4 * error
        assert ks_2samp(many, other).pvalue > 0.001


@pytest.mark.usefixtures("near")
@every_closed
def test_many_steps_have_the_law_of_one_jump_from_one_sample(process: Process) -> None:
    """The joint law with the collected sample agrees too: start all from the same state."""
    s_0 = flat(process, 12 / 30)  # twelve counts, for the Poisson
    many = middle(climb(process, s_0, 2.0, 4, rng(1)))
    jump = middle(process.accumulate(s_0, 2.0, rng(2))[0])
    assert ks_2samp(many, jump).pvalue > 0.001


@over([p for p in PROCESSES if not p.closed])
@pytest.mark.parametrize("steps", [pytest.param(2, marks=pytest.mark.long), 5])
def test_many_steps_of_an_open_family_keep_two_moments(process: Process, steps: int) -> None:
    x, ratio = clean(process), 2.5
    noise = climb(process, process.sample(x, rng(1)), ratio, steps, rng(2)) - x
    variance = process.scaled(ratio).variance(x)
    allowed = tolerance(process, ratio)
    assert excess(noise) <= allowed * float(variance.mean().sqrt())
    assert excess(noise**2 - variance) <= allowed * float(variance.mean())


def test_a_wrong_law_would_be_noticed() -> None:
    """The two-sample test has the power it is used for: 10 % in the deviation is enough."""
    signal = flat(Gaussian(0.1), 0.0)
    a, b = (middle(Gaussian(s).sample(signal, rng(i))) for i, s in enumerate((0.1, 0.11)))
    assert ks_2samp(a, b).pvalue < 0.001


def identity_errors(whole: torch.Tensor, added: torch.Tensor, s: torch.Tensor, a: float) -> float:
    """Excess of E[(whole − a/(a − 1)·added)·f(s)] over f = 1, s, s², s³: 0 where they exchange."""
    wrong = whole - a / (a - 1) * added
    return max(excess(wrong * s**k) for k in range(4))


def two_states(process: Process, a: float, n: int) -> tuple[torch.Tensor, ...]:
    x = clean(process, n)
    s_0 = process.sample(x, rng(1))
    return x, s_0, process.accumulate(s_0, a, rng(2))[0]


@every_exchangeable
@pytest.mark.parametrize("a", [1.2, 3.0])
def test_increments_are_exchangeable(process: Process, a: float) -> None:
    """E[s_t − x | s_t] = a/(a − 1)·E[s_t − s_0 | s_t], for signals of any distribution.

    Gaussian noise of any covariance; counts and Gamma factors because what is kept of s_0 and
    what is taken from it are independent.
    """
    x, s_0, s_t = two_states(process, a, 400)
    assert identity_errors(s_t - x, s_t - s_0, s_t, a) <= 0


FIRST_ORDER = ("speckle:0.4", "log-speckle:0.2", "rician:0.2", "impulse:0.2", "impulse:0.2,random")


@over([parse(s) for s in FIRST_ORDER])
def test_increments_of_first_order_are_not(process: Process) -> None:
    """Closed, yet the values' increments are no share of the noise: the order says so."""
    x, s_0, s_t = two_states(process, 3.0, 400)
    assert process.closed
    assert process.taylor_order == 1
    assert identity_errors(s_t - x, s_t - s_0, s_t, 3.0) > 0


def test_speckle_is_exchangeable_in_the_logarithm() -> None:
    a, process = 3.0, Speckle(0.4)
    shift = process.sigma**2 / 2
    x, s_0, s_t = (s.log() for s in two_states(process, a, 400))
    s_0, s_t = s_0 + shift, s_t + a * shift  # the known means of the logarithms
    assert identity_errors(s_t - x, s_t - s_0, s_t, a) <= 0


@every_process
def test_an_increment_is_the_difference_of_two_states(process: Process) -> None:
    s_0 = process.sample(clean(process, 2), rng(1))
    s_t, increment = process.accumulate(s_0, 1.7, rng(2))
    torch.testing.assert_close(increment, s_t - s_0, rtol=0, atol=1e-15)


@every_process
def test_accumulating_nothing_changes_nothing(process: Process) -> None:
    s_0 = process.sample(clean(process, 2), rng())
    s_t, increment = process.accumulate(s_0, 1.0, rng(1))
    torch.testing.assert_close(s_t, s_0, rtol=0, atol=1e-12)
    assert float(increment.abs().max()) < 1e-12


# -- dependence between pixels --------------------------------------------------------------


# Rounding a flat signal is no noise; an ECG's autocorrelation is its recordings', no formula.
@over([p for p in PROCESSES if p.taylor_order > 0 and p.family != "ecg"])
def test_autocorrelation_is_the_formula(process: Process) -> None:
    """Over flat signal, where noise that depends on the signal is stationary too."""
    radius = 3
    lags = process.autocorrelation(radius)
    x = torch.full((400, 12, 12), 0.5, dtype=torch.float64)
    noise = process.sample(x, rng(1)) - x - process.bias(x)
    variance = process.variance(0.5)
    for i in range(radius + 1):
        for j in range(-radius, radius + 1):
            here = noise[:, : 12 - i, max(0, -j) : 12 - max(0, j)]
            there = noise[:, i:, max(0, j) : 12 - max(0, -j)]
            expected = variance * lags[radius + i, radius + j]
            assert excess(here * there - expected) <= 0
            opposite = lags[radius - i, radius - j]
            assert lags[radius + i, radius + j] == pytest.approx(opposite, abs=1e-12)


def test_an_ecg_has_no_formula_for_its_autocorrelation() -> None:
    with pytest.raises(HushError, match="no formula for the spectrum of ecg noise"):
        ECG(level=0.1).autocorrelation(3, 1)


# -- randomness, dtype, shape and device --------------------------------------------------


@every_process
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str
)
def test_dtype_shape_and_generator(process: Process, dtype: torch.dtype, device: str) -> None:
    """What comes out has the input's dtype, shape and device, fixed by the generator alone."""
    spatial = process.family in ("correlated", "stripes", "hum", "jpeg", "camera")
    for shape in ((), (7,), (4, 6), (2, 3, 4, 5))[2 * spatial :]:
        x = torch.rand(shape, generator=rng()).to(device, dtype)
        before = x.clone()
        results = []
        for global_seed in (1, 2):
            torch.manual_seed(global_seed)
            generator = rng(7, device)
            sample = process.sample(x, generator)
            results.append((sample, *process.accumulate(sample, 1.5, generator)))
        for first, second in zip(*results, strict=True):
            assert (first.dtype, first.shape, first.device) == (dtype, x.shape, x.device)
            assert torch.equal(first, second)
        assert torch.equal(x, before)
    if process.taylor_order > 0:  # rounding draws nothing
        assert not torch.equal(process.sample(x, rng(8, device)), results[0][0])


@over([p for p in EXAMPLES if not is_fixed(p)])
def test_a_range_is_no_level_but_draws_one(process: Process) -> None:
    drawn = process.draw(rng(3))
    assert drawn == process.draw(rng(3))
    assert drawn != process.draw(rng(4))
    assert drawn.draw(rng()) == drawn
    drawn.variance(0.5)
