r"""The identity that lets MID learn from noisy samples alone, where the answers are known.

:math:`E[s_t - x \mid s_t] = \tfrac{a}{a-1} E[s_t - s_0 \mid s_t]`, with :math:`v_t = a\,v_0`.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fields import REACH, WINDOW, stationary, wiener
from torch import Tensor, nn

import hush.methods.mid.loss as mid
from hush.methods.mid.image import MID
from hush.methods.mid.judging import loss_on
from hush.noise.processes import Gaussian, Poisson, PoissonGaussian, Process

# On one thread: arrays this small gain nothing from two.
pytestmark = pytest.mark.usefixtures("one_thread")

N = 1_000_000
ratios = pytest.mark.parametrize("a", [1.1, 2.0, 5.0])


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def climb(process: Process, x: Tensor, a: float) -> tuple[Tensor, Tensor]:
    """The collected sample s_0 of a clean signal, and the state s_t with `a` times its noise."""
    s_0 = process.sample(x, rng(1))
    return s_0, process.accumulate(s_0, a, rng(2))[0]


def binned(s: Tensor, *others: Tensor, bins: int = 12) -> list[Tensor]:
    """Means of `s` and of each other variable within quantiles of `s`: regressions on it."""
    order = s.argsort().reshape(bins, -1)
    return [v[order].mean(1) for v in (s, *others)]


# -- increments in pairs --------------------------------------------------------------------


@pytest.mark.parametrize("process", [Gaussian(0.1), PoissonGaussian(0.02, 0.05), Poisson(20.0)])
def test_both_states_of_a_pair_have_the_ladder_s_moments(process: Process) -> None:
    x = torch.full((N,), 0.5, dtype=torch.float64)
    s_0 = process.sample(x, rng(1))
    for s_t in process.accumulate_twice(s_0, 1.5, rng(2)):
        assert float(s_t.mean()) == pytest.approx(0.5, abs=1e-3)
        assert float(s_t.var()) == pytest.approx(1.5 * float(process.variance(x[0])), rel=0.01)
        share = float((s_t * (s_t - s_0)).mean() - s_t.mean() * (s_t - s_0).mean())
        assert share == pytest.approx(0.5 * float(process.variance(x[0])), rel=0.02)


@pytest.mark.parametrize("counts", [0.05, 0.3, 1.0, 5.0, 50.0])
def test_few_counts_have_targets_of_the_noise_that_they_have(counts: float) -> None:
    """After the transform, zeros have no noise. Cov(target, state) is the state's variance, as it
    is for the whole noise; on flat images, so that the level's place is known exactly."""
    peak = 100.0
    x = torch.full((8, 1, 128, 128), counts / peak)
    s_0 = Poisson(peak).sample(x, rng(1))
    ladder = mid.Ladder(Gaussian(0.1), 1.0, 0.0)
    states = mid.further(s_0, [Poisson(peak)] * 8, ladder, 1, rng(2))
    for i in range(0, 16, 2):  # one strength each; both states of a pair together
        s, target = states.noisy[i : i + 2].flatten(), states.targets[i : i + 2].flatten()
        share = float(torch.cov(torch.stack([s, target]))[0, 1] / s.var())
        assert share == pytest.approx(1.0, abs=0.08)


@pytest.mark.parametrize("a", [1.05, 1.5])
def test_pairs_take_noise_off_the_training(a: float) -> None:
    """Regressing the whole noise on the state: same answer, less scatter between batches."""
    tau, sigma, count, batch = 0.3, 0.1, 400, 256
    x = tau * torch.randn(count, batch, generator=rng(), dtype=torch.float64)
    s_0 = x + sigma * torch.randn(x.shape, generator=rng(1), dtype=torch.float64)

    def slopes(states: tuple[Tensor, ...]) -> Tensor:
        up = sum((a / (a - 1) * (s - s_0) * s).mean(1) for s in states)
        return up / sum((s * s).mean(1) for s in states)

    pair = slopes(Gaussian(sigma).accumulate_twice(s_0, a, rng(2)))
    other = Gaussian(sigma).accumulate
    two = slopes((other(s_0, a, rng(3))[0], other(s_0, a, rng(4))[0]))
    v_t = a * sigma**2
    assert float(pair.mean()) == pytest.approx(v_t / (tau**2 + v_t), abs=0.01)
    assert float(pair.std()) < 0.7 * float(two.std())


# -- conjugate priors: posterior means in closed form ---------------------------------------


@ratios
def test_gaussian_prior_and_noise(a: float) -> None:
    """x ~ N(μ, τ²): the posterior mean is linear in the state, both sides of the identity too."""
    mu, tau, sigma = 0.5, 0.2, 0.1
    x = mu + tau * torch.randn(N // 10 // 12 * 12, generator=rng(), dtype=torch.float64)
    s_0, s_t = climb(Gaussian(sigma), x, a)
    s, whole, added = binned(s_t, s_t - x, s_t - s_0)
    v_t = a * sigma**2
    error = 5 * math.sqrt(v_t) / math.sqrt(len(x) / 12)
    torch.testing.assert_close(whole, v_t / (tau**2 + v_t) * (s - mu), rtol=0, atol=error)
    torch.testing.assert_close(added, (a - 1) / a * whole, rtol=0, atol=error)


@ratios
def test_gamma_prior_and_counts(a: float) -> None:
    """x ~ Gamma(α, rate β): E[x | k counts left] = (α + k)/(β + λ/a), for every k.

    The identity is compared count by count; and its two sides are equal in closed form.
    """
    alpha, beta, peak = 3.0, 6.0, 20.0
    x = torch.from_numpy(np.random.default_rng(0).gamma(alpha, 1 / beta, N))
    s_0, s_t = climb(Poisson(peak), x, a)
    counts = (s_t * peak / a).round().long()
    seen = counts.bincount()
    ks = (seen > 2000).nonzero()[:, 0]
    assert len(ks) > 5
    for k in ks.tolist():
        chosen = counts == k
        posterior = (alpha + k) / (beta + peak / a)
        whole = k * a / peak - posterior
        # Of the counts taken away, λ(1 − 1/a)·E[x | k] are expected: E[s_0 | k] is known.
        added = k * a / peak - (k / peak + (1 - 1 / a) * posterior)
        assert added == pytest.approx((a - 1) / a * whole)
        for difference, expected in (((s_t - x)[chosen], whole), ((s_t - s_0)[chosen], added)):
            error = 5 * float(difference.std()) / math.sqrt(len(difference))
            assert float(difference.mean()) == pytest.approx(expected, abs=error)


@ratios
def test_poisson_gaussian_keeps_the_identity_for_linear_estimates(a: float) -> None:
    """Two matched moments give the identity for the best *linear* estimate, and no more."""
    process = PoissonGaussian(0.03, 0.05)
    x = torch.from_numpy(np.random.default_rng(0).gamma(4.0, 0.1, N))
    s_0, s_t = climb(process, x, a)
    centred = s_t - s_t.mean()
    whole, added = (float((centred * d).mean()) for d in (s_t - x, s_t - s_0))
    mean_v = float(process.variance(x).mean())
    assert whole == pytest.approx(a * mean_v, rel=0.02)
    assert added == pytest.approx((a - 1) * mean_v, rel=0.02)
    assert added * a / (a - 1) == pytest.approx(whole, rel=0.02)


def test_without_exchangeable_increments_there_is_no_identity() -> None:
    """The ladder must have the law of the noise: Gaussian increments on counts mislead."""
    peak, a = 3.0, 2.0
    x = torch.from_numpy(np.random.default_rng(0).gamma(3.0, 1 / 6, N // 12 * 12))
    s_0 = Poisson(peak).sample(x, rng(1))
    right = Poisson(peak).accumulate(s_0, a, rng(2))[0]
    wrong = Gaussian(math.sqrt(0.5 / peak)).accumulate(s_0, a, rng(2))[0]
    errors = []
    for s_t in (right, wrong):
        _, whole, added = binned(s_t, s_t - x, s_t - s_0)
        errors.append(float((added * a / (a - 1) - whole).abs().max()))
    assert errors[0] < 0.02 < 0.1 < errors[1]


# -- MID's own loss -----------------------------------------------------------------------


class Linear(nn.Module):
    """Φ as one circular convolution, so that the loss is quadratic in its kernel."""

    def __init__(self, kernel: Tensor) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, x: Tensor, level: Tensor, shares: Tensor | None = None) -> Tensor:
        kernel = self.kernel.reshape(1, 1, WINDOW, WINDOW)
        return F.conv2d(F.pad(x, [REACH] * 4, mode="circular"), kernel)


class NoStep(nn.Module):
    """Ψ left out."""

    octaves = 1

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 16)[:, None]


def minimiser(x: Tensor, given: Process | None, model: MID) -> Tensor:
    """The kernel at which MID's noise loss on `x` is least; a quadratic's Newton step finds it."""

    def loss(kernel: Tensor) -> Tensor:
        networks = nn.ModuleDict({"noise": Linear(kernel), "step": NoStep()})
        return loss_on(model, networks, x, [given] * len(x), rng(3))["noise_loss"]

    start = torch.zeros(WINDOW**2, dtype=torch.float32)
    gradient = torch.autograd.functional.jacobian(loss, start)
    hessian = torch.autograd.functional.hessian(loss, start)
    return -torch.linalg.solve(hessian.double(), gradient.double())


@pytest.mark.long
def test_the_noisy_only_loss_is_least_at_the_wiener_filter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """MID's loss, which sees s_0 and what it added itself, finds the clean-target answer.

    Its minimiser over linear Φ is the Wiener filter of the *whole* noise, as is that of the
    corpus loss on the clean fields; on fresh fields it restores as well as the Wiener filter.
    """
    sigma, a = 0.15, 2.0
    monkeypatch.setattr(mid, "_uniform", lambda generator: 1.0)  # always the full added level
    clean, covariance = stationary(24, seed=0)
    noisy = Gaussian(sigma).sample(clean, rng(1)).float()
    exact = wiener(covariance, a * sigma**2)

    learned = minimiser(noisy, Gaussian(sigma), MID(added=math.sqrt(a - 1)))
    ladder = Gaussian(sigma * math.sqrt(a)).spec()
    supervised = minimiser(clean.float(), None, MID(ladder=ladder, stored=0.0))
    assert float(exact[WINDOW**2 // 2]) > 0.5
    torch.testing.assert_close(supervised, exact, rtol=0, atol=0.02)
    torch.testing.assert_close(learned, exact, rtol=0, atol=0.04)

    fresh, _ = stationary(24, seed=5)
    state = Gaussian(sigma * math.sqrt(a)).sample(fresh, rng(6))
    errors = [
        float((state - Linear(kernel)(state, state) - fresh).square().mean())
        for kernel in (exact, learned)
    ]
    assert errors[1] == pytest.approx(errors[0], rel=0.01)
    assert errors[0] < 0.25 * a * sigma**2


def test_without_the_share_half_of_the_noise_would_stay() -> None:
    """The factor a/(a − 1) is what makes the answer whole: the added part alone is half of it."""
    sigma, a = 0.15, 2.0
    clean, covariance = stationary(8, seed=0)
    s_0 = Gaussian(sigma).sample(clean, rng(1))
    s_t, added = Gaussian(sigma).accumulate(s_0, a, rng(2))
    exact = wiener(covariance, a * sigma**2)
    predicted = Linear(exact)(s_t, s_t)
    slope = float((predicted * added).sum() / predicted.square().sum())
    assert slope == pytest.approx((a - 1) / a, abs=0.02)
