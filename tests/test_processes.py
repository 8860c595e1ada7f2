"""Noise ladders as mathematics: closure, moments, the order of a linearisation, and the specs."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from hush.errors import HushError
from hush.noise.processes import (
    FAMILIES,
    Gaussian,
    OneOf,
    Poisson,
    PoissonGaussian,
    Process,
    parse,
)

# On one thread: arrays this small gain nothing from two.
pytestmark = pytest.mark.usefixtures("one_thread")

N = 40_000  # draws per law: 1 % is two standard errors of a variance

PROCESSES = [
    Gaussian(0.1),
    Poisson(30.0),
    PoissonGaussian(0.02, 0.05),
    PoissonGaussian(0.02, 0.0, offset=0.05),
    PoissonGaussian(0.0, 0.05),
]
CLOSED = [p for p in PROCESSES if p.closed]
IDS = [p.spec() for p in PROCESSES]
every_process = pytest.mark.parametrize("process", PROCESSES, ids=IDS)
every_closed = pytest.mark.parametrize("process", CLOSED, ids=IDS[: len(CLOSED)])
at_a_signal = pytest.mark.parametrize("x", [0.2, 0.7])


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def flat(x: float) -> torch.Tensor:
    return torch.full((N,), x, dtype=torch.float64)


def climb(
    process: Process, s: torch.Tensor, ratio: float, steps: int, generator: torch.Generator
) -> torch.Tensor:
    """From `s` to `ratio` times its variance in `steps` accumulations of equal ratio."""
    each = ratio ** (1 / steps)
    for _ in range(steps):
        s, _ = process.accumulate(s, each, generator)
        process = process.scaled(each)
    return s


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


def test_the_families_are_those_tested() -> None:
    assert {type(p) for p in PROCESSES} == set(FAMILIES.values())


# -- moments ------------------------------------------------------------------------------


@every_process
@at_a_signal
def test_variance_is_the_formula(process: Process, x: float) -> None:
    """The stated formulas; a sample has that variance and the clean signal as its mean."""
    formula = {
        "gaussian": lambda p: p.sigma**2,
        "poisson": lambda p: x / p.peak,
        "poisson-gaussian": lambda p: p.gain * (x - p.offset) + p.sigma**2,
    }[process.family](process)
    sample = process.sample(flat(x), rng())
    assert process.variance(x) == pytest.approx(formula)
    assert float(sample.var()) == pytest.approx(formula, rel=0.03)
    assert float(sample.mean()) == pytest.approx(x, abs=4 * math.sqrt(formula / N))


@every_process
def test_variance_takes_arrays_and_tensors_alike(process: Process) -> None:
    x = torch.linspace(-0.1, 1, 12, dtype=torch.float64).reshape(3, 4)
    expected = torch.tensor([[process.variance(float(v)) for v in row] for row in x]).double()
    torch.testing.assert_close(process.variance(x), expected)
    torch.testing.assert_close(torch.from_numpy(process.variance(x.numpy())), expected)


@every_process
@pytest.mark.parametrize("ratio", [1.0, 1.5, 4.0])
def test_scaled_multiplies_the_variance(process: Process, ratio: float) -> None:
    assert process.scaled(ratio).variance(0.6) == pytest.approx(ratio * process.variance(0.6))


@every_process
@at_a_signal
@pytest.mark.parametrize("ratio", [1.3, 3.0])
def test_accumulating_keeps_the_mean_and_scales_the_variance(
    process: Process, x: float, ratio: float
) -> None:
    """And the part of a state that is kept says nothing about the part taken away.

    A state s_t is, times 1/a, the part of the collected sample s_0 that is kept; s_0 − s_t/a is
    the rest. Uncorrelated they are by construction for two moments; independent where closed.
    """
    s_0 = process.sample(flat(x), rng(1))
    s_t, increment = process.accumulate(s_0, ratio, rng(2))
    v_t = ratio * process.variance(x)
    assert float(s_t.mean()) == pytest.approx(x, abs=4 * math.sqrt(v_t / N))
    assert float(s_t.var()) == pytest.approx(v_t, rel=0.03)
    assert float(increment.mean()) == pytest.approx(0, abs=4 * math.sqrt(v_t / N))
    kept = s_t / ratio
    assert abs(correlation(kept, s_0 - kept)) < 4 / math.sqrt(N)
    if process.closed:
        a, b = (torch.square(y - y.mean()) for y in (kept, s_0 - kept))
        assert abs(correlation(a, b)) < 4 / math.sqrt(N)


@every_process
def test_accumulating_nothing_changes_nothing(process: Process) -> None:
    s_0 = process.sample(flat(0.4)[:100], rng())
    s_t, increment = process.accumulate(s_0, 1.0, rng(1))
    torch.testing.assert_close(s_t, s_0, rtol=0, atol=1e-12)
    assert float(increment.abs().max()) < 1e-12


@every_process
def test_removing_the_increment_goes_back(process: Process) -> None:
    s_0 = process.sample(flat(0.4)[:100], rng())
    s_t, increment = process.accumulate(s_0, 2.0, rng(1))
    torch.testing.assert_close(process.remove(s_t, increment), s_0, rtol=0, atol=1e-12)


# -- closure ------------------------------------------------------------------------------


@every_closed
@at_a_signal
@pytest.mark.parametrize("steps", [2, 5])
def test_many_steps_have_the_law_of_one_jump(process: Process, x: float, steps: int) -> None:
    """And both have the law of noise collected at that level in the first place."""
    ratio = 2.5
    many = climb(process, process.sample(flat(x), rng(1)), ratio, steps, rng(2))
    jump, _ = process.accumulate(process.sample(flat(x), rng(3)), ratio, rng(4))
    fresh = process.scaled(ratio).sample(flat(x), rng(5))
    for other in (jump, fresh):
        assert abs(float(many.mean() - other.mean())) < 0.03 * float(many.std())
        assert float(many.var()) == pytest.approx(float(other.var()), rel=0.03)
        # Lattices in different orders of rounding must tie: compare to nine digits.
        assert ks_2samp(many.numpy().round(9), other.numpy().round(9)).pvalue > 0.01


@every_closed
def test_many_steps_have_the_law_of_one_jump_from_one_sample(process: Process) -> None:
    """The joint law with the collected sample agrees too: start all from the same state."""
    s_0 = torch.full_like(flat(0), 12 / 30)  # twelve counts, for the Poisson
    many = climb(process, s_0, 2.0, 4, rng(1))
    jump, _ = process.accumulate(s_0, 2.0, rng(2))
    assert float(many.var()) == pytest.approx(float(jump.var()), rel=0.04)
    assert ks_2samp(many.numpy().round(9), jump.numpy().round(9)).pvalue > 0.01


def test_a_wrong_law_would_be_noticed() -> None:
    """The two-sample test has the power it is used for: 5 % in the deviation is enough."""
    a, b = (Gaussian(s).sample(flat(0), rng(i)).numpy() for i, s in enumerate((0.1, 0.105)))
    assert ks_2samp(a, b).pvalue < 0.01


@pytest.mark.parametrize("steps", [1, 3])
def test_poisson_counts_stay_whole_and_unbiased(steps: int) -> None:
    process, ratio, x = Poisson(30.0), 3.0, 0.5
    s_0 = process.sample(flat(x).float(), rng(1))  # float32, as in training
    s_t = climb(process, s_0, ratio, steps, rng(2))
    counts = s_t * (process.scaled(ratio).peak)
    torch.testing.assert_close(counts, counts.round(), rtol=0, atol=1e-4)
    assert float(counts.min()) >= 0
    assert float(s_t.mean()) == pytest.approx(x, abs=4 * math.sqrt(ratio * x / 30 / N))


def test_poisson_of_nothing_is_nothing() -> None:
    dark = torch.zeros(10)
    assert torch.equal(Poisson(5.0).sample(dark, rng()), dark)
    assert torch.equal(Poisson(5.0).accumulate(dark, 2.0, rng())[0], dark)


def test_poisson_gaussian_is_rightly_not_called_closed() -> None:
    """Mean and variance are those of the law, the third cumulant is the documented other one."""
    process, x, ratio = PoissonGaussian(0.05, 0.02), 0.6, 3.0
    big = torch.full((400_000,), x, dtype=torch.float64)
    s_t, _ = process.accumulate(process.sample(big, rng(1)), ratio, rng(2))
    fresh = process.scaled(ratio).sample(big, rng(3))
    third_s, third_fresh = (float((s - x).pow(3).mean()) for s in (s_t, fresh))
    g, v = process.gain, process.variance(x)
    assert third_fresh == pytest.approx(ratio**2 * g**2 * x, rel=0.05)
    assert third_s == pytest.approx(g**2 * x + 3 * (ratio - 1) * g * v, rel=0.05)
    assert not process.closed


def test_read_noise_below_zero_light_costs_little() -> None:
    """In the dark a state's own variance may come out negative and is cut at zero."""
    process = PoissonGaussian(0.01, 0.02)  # cut at two standard deviations
    s_0 = process.sample(flat(0), rng(1))
    s_t, _ = process.accumulate(s_0, 2.0, rng(2))
    assert float(s_t.var()) == pytest.approx(2 * process.variance(0.0), rel=0.03)


# -- the order of the linearisation (eq. 3) -----------------------------------------------


def test_only_expanded_noise_declares_an_order() -> None:
    assert {p.family for p in PROCESSES if p.taylor_order} == {"poisson-gaussian"}


def test_order_of_the_linearisation() -> None:
    """Eq. 3 for noise n that is additive after variance stabilisation.

    F(s, n) = f⁻¹(f(s) + n) with f = 2√v/gain. The ladder's step must be F's linear part for n of
    variance a − 1: an error that falls as n to the power of the declared order plus one.
    """
    process = PoissonGaussian(0.02, 0.05, offset=0.03)
    s = process.sample(flat(0.5), rng(1))
    v = process.gain * (s - process.offset) + process.sigma**2

    def exact(n: torch.Tensor) -> torch.Tensor:
        stabilised = 2 / process.gain * v.sqrt() + n
        root = process.gain / 2 * stabilised
        return process.offset + (root.square() - process.sigma**2) / process.gain

    spreads, errors = [], []
    for a in (1 + 1e-1, 1 + 1e-2, 1 + 1e-3, 1 + 1e-4):
        state, increment = process.accumulate(s, a, rng(2))  # the same draws each time
        n = increment / v.sqrt()
        assert float(n.var()) == pytest.approx(a - 1, rel=0.03)
        spreads.append(math.log(n.std()))
        errors.append(math.log((exact(n) - state).abs().mean()))
    for i in range(3):
        slope = (errors[i + 1] - errors[i]) / (spreads[i + 1] - spreads[i])
        assert slope == pytest.approx(process.taylor_order + 1, abs=0.02)


@every_closed
def test_an_increment_is_the_difference_of_two_states(process: Process) -> None:
    """Where nothing is expanded, Δ is what was accumulated, exactly (order 0)."""
    s_0 = process.sample(flat(0.5), rng(1))
    s_t, increment = process.accumulate(s_0, 1.7, rng(2))
    torch.testing.assert_close(increment, s_t - s_0, rtol=0, atol=1e-15)


# -- randomness, dtype and shape ----------------------------------------------------------


@every_process
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_shape_and_generator(process: Process, dtype: torch.dtype) -> None:
    """What comes out has the input's dtype and shape and is fixed by the generator alone."""
    x = torch.rand((2, 3, 5), generator=rng(), dtype=dtype)
    before = x.clone()
    results = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        generator = rng(7)
        sample = process.sample(x, generator)
        results.append((sample, *process.accumulate(sample, 1.5, generator)))
    for first, second in zip(*results, strict=True):
        assert first.dtype == dtype
        assert first.shape == x.shape
        assert torch.equal(first, second)
    assert torch.equal(x, before)
    assert not torch.equal(process.sample(x, rng(8)), results[0][0])


def test_drawing_fixes_every_range_within_its_bounds() -> None:
    process = PoissonGaussian((0.01, 0.1), (0.0, 0.2), offset=0.05)
    drawn = [process.draw(g) for g in [rng()] for _ in range(500)]
    for name, low, high in (("gain", 0.01, 0.1), ("sigma", 0.0, 0.2)):
        levels = torch.tensor([getattr(p, name) for p in drawn])
        assert low <= float(levels.min()) < float(levels.max()) <= high
        assert float(levels.mean()) == pytest.approx((low + high) / 2, rel=0.06)
    assert {p.offset for p in drawn} == {0.05}
    assert process.draw(rng(3)) == process.draw(rng(3))
    assert Gaussian(0.1).draw(rng()) == Gaussian(0.1)


def test_alternatives_are_drawn_with_equal_chance() -> None:
    ladder = parse("gaussian:0-55/255|gaussian:0-55/255|poisson:5-60")
    generator = rng()
    drawn = [ladder.draw(generator).family for _ in range(900)]
    assert drawn.count("poisson") == pytest.approx(300, abs=60)
    assert set(drawn) == {"gaussian", "poisson"}


def test_a_range_is_no_level() -> None:
    for process in (Gaussian((0.1, 0.2)), Poisson((5.0, 50.0)), parse("gaussian:1|poisson:2")):
        with pytest.raises(HushError, match="needed here, not"):
            process.variance(0.5)


# -- specs --------------------------------------------------------------------------------

FULL_RANGES = [1.0, 255.0, 65535.0]


@pytest.mark.parametrize(
    ("spec", "full_range", "expected"),
    [
        ("gaussian:25/255", 1.0, Gaussian(25 / 255)),
        ("gaussian:25/255", 65535.0, Gaussian(25 / 255)),
        ("gaussian:25", 255.0, Gaussian(25 / 255)),
        ("gaussian:0.1", 1.0, Gaussian(0.1)),
        ("gaussian:.1", 1.0, Gaussian(0.1)),
        ("gaussian:1e-2/1", 255.0, Gaussian(0.01)),
        (" gaussian: 5-50/255 ", 1.0, Gaussian((5 / 255, 50 / 255))),
        ("gaussian:5-50", 255.0, Gaussian((5 / 255, 50 / 255))),
        ("poisson:30", 65535.0, Poisson(30.0)),
        ("poisson:5-50", 255.0, Poisson((5.0, 50.0))),
        ("poisson-gaussian:0.01/1,2/255", 65535.0, PoissonGaussian(0.01, 2 / 255)),
        ("poisson-gaussian:51,25.5", 255.0, PoissonGaussian(0.2, 0.1)),
        ("poisson-gaussian:0.1,0,-0.05", 1.0, PoissonGaussian(0.1, 0.0, -0.05)),
        ("gaussian:1|poisson:5-60", 1.0, OneOf((Gaussian(1.0), Poisson((5.0, 60.0))))),
    ],
)
def test_a_spec_is_read_as_written(spec: str, full_range: float, expected: Process) -> None:
    assert parse(spec, full_range) == expected


levels = st.floats(1e-5, 1.0)
ranges = st.tuples(levels, levels).map(lambda pair: (min(pair), max(pair)))
counts = st.floats(0.1, 1e5)
processes = st.one_of(
    st.builds(Gaussian, st.one_of(levels, ranges)),
    st.builds(Poisson, counts),
    st.builds(PoissonGaussian, st.one_of(levels, ranges), levels, st.floats(-0.5, 0.5)),
)


@given(st.one_of(processes, st.tuples(processes, processes).map(OneOf)), st.data())
def test_specs_round_trip(process: Process, data: st.DataObject) -> None:
    """To five digits as numbers, and exactly as text: what is printed can be pasted."""
    full_range = data.draw(st.sampled_from(FULL_RANGES))
    text = process.spec(full_range)
    again = parse(text, full_range)
    assert again.spec(full_range) == text
    # A level with its scale means the same on data of any other type.
    if full_range != 1:
        assert parse(text, 4095.0) == again
    pairs = zip(
        getattr(process, "choices", (process,)), getattr(again, "choices", (again,)), strict=True
    )
    for p, q in pairs:
        assert type(p) is type(q)
        for name, value in vars(p).items():
            assert vars(q)[name] == pytest.approx(value, rel=1e-4, abs=1e-9)


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "gaussian",
        "gaussian:",
        "gaussian:x",
        "gaussian:nan",
        "gaussian:1,2",
        "gaussian:-1",
        "gaussian:50-5",
        "gaussian:1-2-3",
        "gaussian:1/0",
        "gaussian:1/-255",
        "gaussian:1e999",
        "gaussian:1|",
        "uniform:3",
        "poisson:0",
        "poisson:-5",
        "poisson:30/255",
        "poisson-gaussian:0.1",
        "poisson-gaussian:-0.1,0.1",
        "poisson-gaussian:0.1,-0.1",
        "poisson-gaussian:0.1,0.1,0-0.1",
        "poisson-gaussian:0.1,0.1,1e999",
    ],
)
def test_a_bad_spec_gets_one_sentence(spec: str) -> None:
    with pytest.raises(HushError) as raised:
        parse(spec, 255.0)
    sentence = str(raised.value)
    assert "\n" not in sentence
    assert len(sentence) > 20
