"""What single families state beyond the common contract, and processes over other things."""

from __future__ import annotations

import dataclasses
import io
import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import ive, polygamma
from scipy.stats import ks_2samp, kstest, loggamma, skew

from hush.errors import HushError
from hush.noise.process import Process
from hush.noise.processes import (
    FAMILIES,
    JPEG,
    Correlated,
    Gamma,
    Gaussian,
    Impulse,
    LogSpeckle,
    NonCentralChi,
    OneOf,
    Poisson,
    PoissonGaussian,
    Quantisation,
    Rician,
    Speckle,
    parse,
)
from hush.noise.units import number

# On one thread: arrays this small gain nothing from two.
pytestmark = pytest.mark.usefixtures("one_thread")

N = 40_000  # draws per law: 1 % is two standard errors of a variance


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def flat(x: float, n: int = N) -> torch.Tensor:
    return torch.full((n,), x, dtype=torch.float64)


# -- what the variance is made of ------------------------------------------------------------


@pytest.mark.parametrize(
    "family", [f for f in FAMILIES.values() if "of_terms" in vars(f)], ids=lambda f: f.family
)
def test_a_process_is_built_from_what_its_variance_is_made_of(family: type[Process]) -> None:
    coefficients = np.where(np.isin(np.arange(3), family.terms), (0.01, 0.04, 0.02), 0)
    process, x = family.of_terms(*coefficients), np.array([0.0, 0.3, 1.0])
    x = x + 1e3 * process.biased  # a magnitude's variance is its parts' far above them
    expected = coefficients @ x ** np.arange(3)[:, None]
    np.testing.assert_allclose(process.variance(x), expected, rtol=1e-6)


def test_a_line_through_zero_variance_at_a_signal_has_its_offset_there() -> None:
    process = PoissonGaussian.of_terms(-0.02, 0.25, 0.0)
    assert process == PoissonGaussian(0.25, 0.0, offset=0.08)


def test_only_what_says_how_it_is_written_is_a_family() -> None:
    assert {Outliers.family, Interference.family, OneOf.family}.isdisjoint(FAMILIES)


# -- counts -------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 3])
def test_poisson_counts_stay_whole_and_unbiased(steps: int) -> None:
    process, ratio, x = Poisson(30.0), 3.0, 0.5
    s = process.sample(flat(x).float(), rng(1))  # float32, as in training
    now: Process = process
    for i in range(steps):
        s, _ = now.accumulate(s, ratio ** (1 / steps), rng(2 + i))
        now = now.scaled(ratio ** (1 / steps))
    counts = s * process.scaled(ratio).peak
    torch.testing.assert_close(counts, counts.round(), rtol=0, atol=1e-4)
    assert float(counts.min()) >= 0
    assert float(s.mean()) == pytest.approx(x, abs=4 * math.sqrt(ratio * x / 30 / N))


def test_poisson_of_nothing_is_nothing() -> None:
    dark = torch.zeros(10)
    assert torch.equal(Poisson(5.0).sample(dark, rng()), dark)
    assert torch.equal(Poisson(5.0).accumulate(dark, 2.0, rng())[0], dark)


def test_poisson_gaussian_is_rightly_not_called_closed() -> None:
    """Mean and variance are those of the law, the third cumulant is the documented other one."""
    process, x, ratio = PoissonGaussian(0.05, 0.02), 0.6, 3.0
    big = flat(x, 400_000)
    s_t, _ = process.accumulate(process.sample(big, rng(1)), ratio, rng(2))
    fresh = process.scaled(ratio).sample(big, rng(3))
    third_s, third_fresh = (float((s - x).pow(3).mean()) for s in (s_t, fresh))
    g, v = process.gain, process.variance(x)
    assert third_fresh == pytest.approx(ratio**2 * g**2 * x, rel=0.05)
    assert third_s == pytest.approx(g**2 * x + 3 * (ratio - 1) * g * v, rel=0.05)


def test_read_noise_below_zero_light_costs_little() -> None:
    """In the dark a state's own variance may come out negative and is cut at zero."""
    process = PoissonGaussian(0.01, 0.02)  # cut at two standard deviations
    s_0 = process.sample(flat(0), rng(1))
    s_t, _ = process.accumulate(s_0, 2.0, rng(2))
    assert float(s_t.var()) == pytest.approx(2 * process.variance(0.0), rel=0.03)


# -- the order of the linearisation (eq. 3) -----------------------------------------------


def slopes(sizes: list[float], errors: list[float]) -> np.ndarray:
    """The order of an error: its slope over the noise's size, both logarithmic."""
    return np.diff(np.log(errors)) / np.diff(np.log(sizes))


def test_order_of_poisson_gaussian() -> None:
    """Eq. 3 for noise n that is additive after variance stabilisation.

    F(s, n) = f⁻¹(f(s) + n) with f = 2√v/gain. The ladder's step must be F's linear part for n of
    variance a − 1: an error that falls as n to the power of the declared order plus one.
    """
    process = PoissonGaussian(0.02, 0.05, offset=0.03)
    s = process.sample(flat(0.5), rng(1))
    v = process.gain * (s - process.offset) + process.sigma**2

    def exact(n: torch.Tensor) -> torch.Tensor:
        root = v.sqrt() + process.gain / 2 * n
        return process.offset + (root.square() - process.sigma**2) / process.gain

    sizes, errors = [], []
    for a in (1 + 1e-1, 1 + 1e-2, 1 + 1e-3, 1 + 1e-4):
        state, increment = process.accumulate(s, a, rng(2))  # the same draws each time
        n = increment / v.sqrt()
        assert float(n.var()) == pytest.approx(a - 1, rel=0.03)
        sizes.append(float(n.std()))
        errors.append(float((exact(n) - state).abs().mean()))
    assert slopes(sizes, errors) == pytest.approx(process.taylor_order + 1, abs=0.02)


@pytest.mark.parametrize("process", [Speckle(1.0), Rician(1.0)], ids=str)
def test_order_of_what_is_exact_but_not_additive(process: Process) -> None:
    """s·exp(n) ≈ s + s·n and |s + n₁ + i·n₂| ≈ s + n₁ leave out n²."""
    s, sizes, errors = flat(0.5), [1e-2, 1e-3, 1e-4], []
    n = torch.randn(s.shape, dtype=s.dtype, generator=rng())  # the process's own first draw
    for size in sizes:
        state = dataclasses.replace(process, sigma=size).sample(s, rng())
        linear = s + size * n * (s if process.family == "speckle" else 1)
        errors.append(float((state - linear).abs().mean()))
    assert slopes(sizes, errors) == pytest.approx(process.taylor_order + 1, abs=0.02)


def test_order_of_impulses() -> None:
    """An increment onto the state is that onto the clean signal but for pixels hit twice: p²."""
    x, sizes, errors = flat(0.3, 400_000), [0.2, 0.1, 0.05], []
    for p in sizes:
        process = Impulse(p)
        s = process.sample(x, rng(1))
        onto_state, onto_clean = (process.accumulate(y, 2.0, rng(2))[1] for y in (s, x))
        errors.append(float((onto_state - onto_clean).abs().mean()))
    sizes = [p / math.sqrt(1 - p) for p in sizes]  # p and p/(1 − p) are hit, one after the other
    assert slopes(sizes, errors) == pytest.approx(Impulse(0.1).taylor_order + 1, abs=0.1)


def test_order_of_rounding_is_zero() -> None:
    """JPEG and quantisation are not smooth: Taylor's remainder is as large as the noise itself.

    F of a finely rounded signal and F of the clean signal, F a coarse rounding: the increments
    differ by the first power of the fine step, where a derivative would leave the second.
    """
    x = torch.rand((400, 400), generator=rng(), dtype=torch.float64)
    coarse, sizes, errors = Quantisation(0.2), [0.02, 0.01, 0.005], []
    for step in sizes:
        s = Quantisation(step).sample(x, rng())
        errors.append(
            float((coarse.sample(s, rng()) - s - coarse.sample(x, rng()) + x).abs().mean())
        )
    assert slopes(sizes, errors) == pytest.approx(coarse.taylor_order + 1, abs=0.05)

    steps, errors = [], []
    coarse_file, images = JPEG(15.0), 0.1 + 0.8 * x
    for quality in (60.0, 80.0, 90.0):
        fine = JPEG(quality)
        s = fine.sample(images, rng())
        of_s, of_x = (coarse_file.sample(y, rng()) - y for y in (s, images))
        steps.append(math.sqrt(fine.variance(0.5)))
        errors.append(float((of_s - of_x).abs().mean()))
    assert slopes(steps, errors).max() < 1.25  # far from 2; its own pixels' rounding flattens it


def test_rounding_again_needs_dither() -> None:
    """Plain rounding in steps to 2.5 times the variance: 0.38 of that in two, 1.73 in three."""
    x = torch.randn(N, generator=rng(), dtype=torch.float64)
    for steps, plain in ((2, 0.38), (3, 1.73)):
        process: Process = Quantisation(1.0)
        again = dithered = process.sample(x, rng())
        each, generator = 2.5 ** (1 / steps), rng(1)
        for _ in range(steps):
            again = process.scaled(each - 1).sample(again, generator)
            dithered, _ = process.accumulate(dithered, each, generator)
            process = process.scaled(each)
        for state, share in ((again, plain), (dithered, 1.0)):
            power = float((state - x).square().mean())
            assert power == pytest.approx(share * process.variance(0.0), rel=0.04)


# -- speckle under a logarithm ------------------------------------------------------------------


def test_log_speckle_of_one_look_has_known_moments() -> None:
    """Gumbel's: the variance is c²·π²/6 and the skewness −12√6·ζ(3)/π³."""
    noise = LogSpeckle(0.1).sample(flat(0.5, 1_000_000), rng()).numpy() - 0.5
    assert LogSpeckle(0.1).variance(0.5) == pytest.approx(0.01 * math.pi**2 / 6)
    apery = 1.2020569031595942
    assert skew(noise) == pytest.approx(-12 * math.sqrt(6) * apery / math.pi**3, abs=0.03)


@pytest.mark.parametrize("looks", [0.002, 0.3, 1.0, 4.0, 1000.0])
def test_log_speckle_is_centred_log_gamma(looks: float) -> None:
    """Where most Gamma draws are 0 in double precision (0.002 looks) too, and so its states."""
    process = LogSpeckle(0.1, looks)
    s_t, _ = process.accumulate(process.sample(flat(0.5), rng(1)), 2.0, rng(2))
    for state, shape in ((process.sample(flat(0.5), rng()), looks), (s_t, looks / 2)):
        law = loggamma(shape, loc=-polygamma(0, shape))
        assert torch.isfinite(state).all()
        assert kstest((state - 0.5) / 0.1, law.cdf).pvalue > 0.001
        np.testing.assert_allclose(process.variance(0.5), 0.01 * polygamma(1, looks))
        assert float(state.mean()) == pytest.approx(0.5, abs=4 * float(state.std()) / math.sqrt(N))


def test_log_speckle_is_gamma_noise_shown_as_a_logarithm() -> None:
    """Of the same looks, and climbing the same ladder from the same state."""
    contrast, looks, ratio, x = 0.1, 2.0, 3.0, 0.4
    intensity = flat(math.exp(x / contrast))
    of_log, of_intensity = LogSpeckle(contrast, looks), Gamma(looks)
    s_0 = of_intensity.sample(intensity, rng(1))
    shown = contrast * of_intensity.accumulate(s_0, ratio, rng(2))[0].log()
    s_t, _ = of_log.accumulate(contrast * s_0.log(), ratio, rng(3))
    shift = contrast * (
        float(polygamma(0, looks / ratio)) - math.log(looks / ratio)
        - float(polygamma(0, looks)) + math.log(looks)
    )  # fmt: skip
    assert ks_2samp((s_t + shift).numpy(), shown.numpy()).pvalue > 0.001
    joint = [float(((s - s.mean()) * s_0.log()).mean()) for s in (s_t, shown)]
    assert joint[0] == pytest.approx(joint[1], rel=0.05)


def test_order_of_log_speckle() -> None:
    """The identity is off by the square of the noise relative to the contrast, n² of n ~ L^−½."""
    a, x, sizes, errors = 2.0, flat(0.0, 1_000_000), [], []
    for looks in (4.0, 8.0, 16.0):
        process = LogSpeckle(1.0, looks)
        s_0 = process.sample(x, rng(1))
        s_t, increment = process.accumulate(s_0, a, rng(2))
        square = s_t**2 - (s_t**2).mean()  # the error's component along s_t is of higher order
        wrong = s_t - a / (a - 1) * increment
        sizes.append(float(s_t.std()))
        errors.append(float((wrong * square).mean().abs() / square.std()))
    assert slopes(sizes, errors) == pytest.approx(process.taylor_order + 1, abs=0.25)


# -- correlation ----------------------------------------------------------------------------


@pytest.mark.parametrize("width", [0.5, 1.2])
def test_lags_have_a_closed_form(width: float) -> None:
    """½δ + ½·A_i·A_j, A_d = exp(−d²/4w²); at odd d times the sampled kernel's half-way sum."""
    d, i = np.arange(-4, 5), np.arange(-20, 21)
    odd = np.exp(-(((i + 0.5) / width) ** 2)).sum() / np.exp(-((i / width) ** 2)).sum()
    one_way = np.exp(-(d**2) / (4 * width**2)) * np.where(d % 2, odd, 1)
    expected = 0.5 * np.outer(one_way, one_way)
    expected[4, 4] = 1
    lags = Correlated(Gaussian(1.0), width).autocorrelation(4)
    np.testing.assert_allclose(lags, expected, atol=1e-4)
    assert odd == pytest.approx(0.71 if width < 1 else 1, abs=0.001)


@pytest.mark.parametrize("spec", ["6/255", "poisson:200", "gamma:100"])
@pytest.mark.parametrize("width", [0.5, 1.2])
def test_diffdenoise_noise_keeps_its_power(spec: str, width: float) -> None:
    """§4.1: the combined noise has the power of the white one; over an edge, on the average."""
    process = parse(f"correlated:{spec},{width}")
    x = torch.full((300, 16, 16), 0.2, dtype=torch.float64)
    x[..., 8:] = 0.8
    power = (process.sample(x, rng()) - x).square().mean((1, 2))
    expected = float(process.noise.variance(x).mean())
    error = float(power.std()) / math.sqrt(len(power))
    # The kernel averages variances over what lies beyond the border too.
    assert float(power.mean()) == pytest.approx(expected, abs=4 * error)


def test_noise_of_correlated_alternatives_is_refused() -> None:
    with pytest.raises(HushError, match="give white noise"):
        Correlated(parse("gaussian:1|poisson:2"), 1.2)


# -- magnitudes -----------------------------------------------------------------------------


def test_rician_moments_are_laguerre_polynomials() -> None:
    """E[M] = σ√(π/2)·L_½(−x²/2σ²), in Bessel functions; E[M²] = x² + 2σ²."""
    sigma = 0.1
    x = np.linspace(0, 3, 301)
    z = x**2 / 4 / sigma**2
    mean = sigma * math.sqrt(math.pi / 2) * ((1 + 2 * z) * ive(0, z) + 2 * z * ive(1, z))
    process = Rician(sigma)
    np.testing.assert_allclose(x + process.bias(x), mean, atol=1e-6 * sigma)
    np.testing.assert_allclose(
        process.variance(x), x**2 + 2 * sigma**2 - mean**2, atol=1e-5 * sigma**2
    )
    assert process.variance(0.0) == pytest.approx((2 - math.pi / 2) * sigma**2)


@pytest.mark.parametrize("process", [Rician(0.1), NonCentralChi(0.1, 8)], ids=str)
def test_a_mean_without_its_bias_is_the_amplitude(process: Rician | NonCentralChi) -> None:
    x = torch.tensor([0.0, 0.02, 0.1, 0.5, 3.0, 500.0], dtype=torch.float64)
    torch.testing.assert_close(process.unbias(x + process.bias(x)), x, rtol=1e-5, atol=1e-5)
    assert process.unbias(0.0) == 0  # no magnitude's mean is below the noise floor
    assert process.unbias((x + process.bias(x)).numpy()).dtype == np.float64


def test_one_coil_of_noncentral_chi_is_rician() -> None:
    x = np.linspace(0, 1, 11)
    one, rician = NonCentralChi(0.1, 1), Rician(0.1)
    np.testing.assert_array_equal(one.variance(x), rician.variance(x))
    signal = flat(0.2, 100)
    assert torch.equal(one.sample(signal, rng()), rician.sample(signal, rng()))


# -- JPEG -------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", [10, 50, 75, 95])
@pytest.mark.parametrize("colour", [False, True])
def test_jpeg_is_that_of_the_library(quality: int, colour: bool) -> None:
    stored = (torch.rand((3, 24, 30) if colour else (24, 30), generator=rng()) * 255).round()
    picture = (stored.movedim(0, -1) if colour else stored).to(torch.uint8)
    file = io.BytesIO()
    Image.fromarray(picture.numpy()).save(file, "JPEG", quality=quality)
    ours = JPEG(float(quality), colour).sample(stored / 255, rng())
    found = (ours.movedim(0, -1) if colour else ours) * 255
    np.testing.assert_array_equal(found.round().numpy(), np.asarray(Image.open(file)))


def test_compressing_again_has_no_seam() -> None:
    """Blocks are moved over what the border continues as, not over the opposite border."""
    line = torch.linspace(0.1, 0.9, 64, dtype=torch.float64)
    x = (line[:, None] + line[None]) / 2
    _, increment = JPEG(50.0).accumulate(x, 2.0, rng())
    assert float(increment[-4:].std()) < 2 * float(increment[16:-16, 16:-16].std())
    assert float(increment[:, -4:].std()) < 2 * float(increment[16:-16, 16:-16].std())


def test_compressing_again_keeps_the_resolution_of_colours() -> None:
    """A little more compression is a little more loss, of 8 bits and of their colours' 8 bits."""
    x = torch.rand((3, 32, 32), generator=rng(), dtype=torch.float64)
    process = JPEG(90.0, colour=True)
    assert float(process.accumulate(x, 1.0001, rng())[1].abs().max()) < 4 / 255
    assert float((process.sample(x, rng()) - x).abs().max()) > 40 / 255


# -- the same signature over other things -----------------------------------------------------


@dataclass(frozen=True)
class Outliers(Process):
    """Uniform outliers in a set of points ``(n, d)``: a state accumulates by gaining rows.

    The level is their number, so `ratio` multiplies it; the increment is the added rows.
    """

    count: float = field(metadata=number("the number of outliers"))
    family: ClassVar[str] = "strays"

    def scaled(self, ratio: float) -> Outliers:
        return Outliers(self.count * ratio)

    def sample(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        rows = torch.rand((round(self.count), x.shape[1]), generator=generator, dtype=x.dtype)
        return torch.cat([x, rows])

    def accumulate(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        added = round(self.count * ratio) - round(self.count)
        state = Outliers(float(added)).sample(s, generator)
        return state, state[len(s) :]


@dataclass(frozen=True)
class Interference(Process):
    """Recordings from a bank, superposed on a signal ``(…, L)`` at a power of their own."""

    power: float = field(metadata=number("the interference's power"))
    bank: torch.Tensor | None = field(default=None, compare=False)
    family: ClassVar[str] = "interference"
    white: ClassVar[bool] = False

    def variance(self, x: torch.Tensor) -> torch.Tensor:
        return 0 * x + self.power

    def scaled(self, ratio: float) -> Interference:
        return dataclasses.replace(self, power=self.power * ratio)

    def sample(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        pick = int(torch.randint(len(self.bank), (), generator=generator))
        recording = self.bank[pick, : x.shape[-1]]
        return x + math.sqrt(self.power) * recording / recording.square().mean().sqrt()

    def accumulate(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        state = self.scaled(ratio - 1).sample(s, generator)
        return state, state - s


BANK = torch.sin(torch.outer(torch.arange(1, 9), torch.linspace(0, 2 * math.pi, 501)[:-1]))


@pytest.mark.parametrize(
    ("process", "x"),
    [
        (Gaussian(0.1), torch.zeros(500)),
        (Outliers(20.0), torch.rand((30, 2), generator=rng())),
        (Interference(0.2, BANK), torch.zeros(500)),
    ],
    ids=lambda v: getattr(v, "family", ""),
)
def test_sets_and_recordings_climb_the_same_ladder(process: Process, x: torch.Tensor) -> None:
    """One loop for images, point sets and signals: nobody asks what the process is."""
    generator, state, increments = rng(), process.sample(x, rng(1)), []
    for _ in range(3):
        state, increment = process.accumulate(state, 1.5, generator)
        process = process.draw(generator).scaled(1.5)
        increments.append(increment)
    if process.family == "strays":
        assert len(state) == 30 + round(20 * 1.5**3)
        assert torch.equal(state[-len(increments[-1]) :], increments[-1])
    else:
        assert state.shape == x.shape
    assert process.spec().startswith(process.family)
    assert torch.isfinite(state).all()


def test_interference_keeps_its_power_per_step() -> None:
    process = Interference(0.2, BANK)
    s_t, added = process.accumulate(process.sample(torch.zeros(500), rng(1)), 3.0, rng(2))
    assert float(added.square().mean()) == pytest.approx(0.4, rel=1e-3)
    assert process.scaled(3.0).variance(s_t)[0] == pytest.approx(0.6)
