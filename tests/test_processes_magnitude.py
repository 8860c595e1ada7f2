"""What is exchangeable in magnitudes: the complex noise, not the differences of magnitudes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp, kstest, pearsonr, rice

from hush.noise.correlated import Correlated
from hush.noise.magnitude import level_of
from hush.noise.process import normal
from hush.noise.processes import NonCentralChi, Rician
from hush.noise.spectrum import Octaves

pytestmark = pytest.mark.usefixtures("one_thread")

COUNT = 200_000


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Seen:
    """A magnitude of amplitude `snr` and σ = 1 whose complex noise is known, with noise added."""

    def __init__(self, snr: float, ratio: float) -> None:
        parts = torch.randn((2, COUNT), generator=rng(1), dtype=torch.float64)
        self.before = torch.hypot(snr + parts[0], parts[1])
        self.state, self.projection = Rician(1.0).projected(self.before, ratio, rng(2))
        # The same draws, now as complex noise in the frame in which the signal is real.
        again = rng(2)
        drawn = [normal(self.before, again) for _ in range(2)]
        added = (ratio - 1) ** 0.5 * torch.complex(*drawn)
        collected = torch.complex(snr + parts[0], parts[1])
        turned = added * collected / self.before
        self.final = collected + turned
        self.collected = ((collected - snr) * self.final.conj()).real / self.state

    def errors(self, difference: torch.Tensor) -> list[float]:
        """How far means of `difference`, given the state, are from 0 in standard errors."""
        edges = torch.quantile(self.state, torch.linspace(0, 1, 9, dtype=torch.float64))
        place = torch.bucketize(self.state, edges[1:-1])
        parts = [difference[place == k] for k in range(8)]
        return [abs(float(d.mean() / d.std())) * len(d) ** 0.5 for d in parts]


@pytest.mark.parametrize("snr", [0.0, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("ratio", [1.5, 2.0])
def test_the_projections_of_collected_and_added_noise_are_exchangeable(
    snr: float, ratio: float
) -> None:
    seen = Seen(snr, ratio)
    assert torch.allclose(seen.final.abs(), seen.state)
    variances = 1 / (ratio - 1)  # of collected noise, relative to that of added noise
    assert max(seen.errors(seen.collected - variances * seen.projection)) < 4


@pytest.mark.parametrize("snr", [0.0, 1.0])
def test_the_differences_of_magnitudes_are_not(snr: float) -> None:
    seen = Seen(snr, 2.0)
    assert max(seen.errors(seen.before - snr - (seen.state - seen.before))) > 50


def test_the_projections_of_all_noise_leave_the_projected_signal() -> None:
    seen = Seen(1.0, 2.0)
    left = seen.state - 2 * seen.projection
    cosine = seen.final.real / seen.state
    for low, high in ((0.5, 1.0), (1.5, 2.0), (2.5, 3.0)):
        inside = (seen.state > low) & (seen.state < high)
        error = float((left - cosine)[inside].std() / inside.sum() ** 0.5)
        assert abs(float((left - cosine)[inside].mean())) < 4 * error


@pytest.mark.parametrize("snr", [0.0, 1.0, 3.0])
def test_the_law_stays_rician_with_the_sum_of_variances(snr: float) -> None:
    process = Rician(0.2)
    x = torch.full((50_000,), 0.2 * snr, dtype=torch.float64)
    before = process.sample(x, rng(3))
    law = rice(snr / 3**0.5, scale=0.2 * 3**0.5)
    state, _ = process.projected(before, 3.0, rng(4))
    assert kstest(state.numpy(), law.cdf).pvalue > 0.01
    ladder, pairs = process.exchanged(before, 3.0, rng(5))
    assert ladder == process.scaled(2)
    law = rice(snr / 2**0.5, scale=0.2 * 2**0.5)
    for state, _ in pairs:
        assert kstest(state.numpy(), law.cdf).pvalue > 0.01


@pytest.mark.parametrize("process", [Rician(1.0), NonCentralChi(1.0, 4)], ids=str)
@pytest.mark.parametrize("snr", [0.0, 1.0, 2.0])
def test_exchanged_states_are_independent(process: Rician, snr: float) -> None:
    x = torch.full((COUNT,), snr, dtype=torch.float64)
    _, ((one, target), (other, _)) = process.exchanged(process.sample(x, rng(6)), 2.0, rng(7))
    assert torch.allclose(one - target, other)
    for power in (1, 2):
        assert abs(pearsonr(one**power, other**power).statistic) < 4 / COUNT**0.5
    # Where one of them is dark, the other has the same law as where it is bright.
    dark = one < one.median()
    assert ks_2samp(other[dark][:50_000], other[~dark][:50_000]).pvalue > 0.01


def test_exchanged_states_leave_the_mean_of_magnitudes() -> None:
    process = Rician(1.0)
    x = torch.full((COUNT,), 1.0, dtype=torch.float64)
    ladder, ((state, target), _) = process.exchanged(process.sample(x, rng(8)), 2.0, rng(9))
    mean = 1.0 + ladder.bias(1.0)
    bright = state > 2
    left = (state - target)[bright]
    assert float(left.mean()) == pytest.approx(mean, abs=4 * float(left.std()) / len(left) ** 0.5)


def test_complex_noise_has_the_spectrum_behind_magnitudes() -> None:
    spectrum = Octaves((0.1, 0.5, 1.0, 1.0, 1.0, 1.0))
    process = Correlated(Rician(0.1), spectrum, 2)
    bright = torch.full((1, 128, 128), 50.0, dtype=torch.float64)  # magnitudes are linear there
    ladder, ((state, target), _) = process.exchanged(bright, 2.0, rng(10))
    assert isinstance(ladder, Correlated)
    assert ladder.noise == Rician(0.1 * 2**0.5)
    half = target[0] / 2  # the noise that was added
    assert float(half.std()) == pytest.approx(0.1, rel=0.1)
    near = float((half[:, 1:] * half[:, :-1]).mean() / half.var())
    assert near == pytest.approx(process.autocorrelation(1)[1, 2], abs=0.06)
    assert state.shape == bright.shape


def test_the_variance_near_a_mean_is_that_at_its_amplitude() -> None:
    process, x = Rician(0.3), np.array([0.0, 0.2, 0.6, 2.0])
    mean = x + process.bias(x)
    np.testing.assert_allclose(process.variance_near(mean), process.variance(x), rtol=1e-3)


@pytest.mark.parametrize("snr", [1.0, 2.0, 5.0])
def test_a_level_is_found_from_the_deviation_of_magnitudes(snr: float) -> None:
    law, x = Rician(0.2), np.array([0.2 * snr, 0.1 * snr + 0.2])
    deviation = np.sqrt(law.variance(x).mean())
    assert float(level_of(deviation, x + law.bias(x))) == pytest.approx(0.2, rel=0.01)
    assert float(level_of(np.array(0.0), x)) == 0
