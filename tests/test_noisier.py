"""Noisier2Noise and Recorrupted-to-Recorrupted: further noise of the noise's own law."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fields import REACH, WINDOW, stationary, wiener
from torch import Tensor, nn

from hush.bases.noisier import Noisier
from hush.errors import HushError
from hush.methods import get
from hush.methods.noisier2noise import Noisier2Noise, uncorrected
from hush.methods.r2r import R2R, partner
from hush.noise.processes import Correlated, Gaussian, Poisson, PoissonGaussian, Process
from hush.schedule import Schedule

# On one thread: arrays this small gain nothing from two.
pytestmark = pytest.mark.usefixtures("one_thread")

both = pytest.mark.parametrize("name", ["noisier2noise", "r2r"])
alphas = pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
N = 300_000


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Linear(nn.Module):
    """A network that is one circular convolution, so that losses are quadratic in its kernel."""

    def __init__(self, kernel: Tensor) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.kernel.reshape(1, 1, WINDOW, WINDOW)
        return F.conv2d(F.pad(x, [REACH] * 4, mode="circular"), kernel)


# -- the targets --------------------------------------------------------------------------------


@alphas
def test_the_corrected_estimate_of_a_gaussian_prior(alpha: float) -> None:
    """x ~ N(0, τ²): E[y | z] and E[x | z] are known, and one follows from the other."""
    tau, sigma = 0.3, 0.2
    z = torch.linspace(-1, 1, 9, dtype=torch.float64)
    total = tau**2 + (1 + alpha**2) * sigma**2
    estimate, noisy = tau**2 / total * z, (tau**2 + sigma**2) / total * z
    torch.testing.assert_close(uncorrected(estimate, z, alpha), noisy)
    torch.testing.assert_close(((1 + alpha**2) * noisy - z) / alpha**2, estimate)


@alphas
@pytest.mark.parametrize(
    "law", [Gaussian(0.1), Poisson(20.0), PoissonGaussian(0.02, 0.05)], ids=lambda p: p.family
)
def test_the_noise_of_a_recorrupted_pair_is_uncorrelated(law: Process, alpha: float) -> None:
    """Both are unbiased, with (1 + α²) and (1 + 1/α²) times the variance, and share nothing."""
    x = torch.full((1, 1, N), 0.5, dtype=torch.float64)
    y = law.sample(x, rng(1))
    more = R2R(alpha=alpha).noisier(y, law, rng(2))
    other = partner(y, more, alpha)
    v = float(law.variance(x).mean())
    for image, ratio in ((more, 1 + alpha**2), (other, 1 + 1 / alpha**2)):
        assert float(image.mean()) == pytest.approx(0.5, abs=5 * (ratio * v / N) ** 0.5)
        assert float(image.var()) == pytest.approx(ratio * v, rel=0.02)
    product = (more - x) * (other - x)
    assert abs(float(product.mean())) < 5 * float(product.std()) / N**0.5


def test_photons_of_a_recorrupted_pair_are_shared_out() -> None:
    """Whole numbers of photons in both, which add up to those there were."""
    law, alpha = Poisson(50.0), 0.5
    y = law.sample(torch.full((1, 1, 2000), 0.3, dtype=torch.float64), rng())
    more = R2R(alpha=alpha).noisier(y, law, rng(1))
    kept, taken = more * 50 / 1.25, partner(y, more, alpha) * 50 / 5
    for counts in (kept, taken):
        torch.testing.assert_close(counts, counts.round(), rtol=0, atol=1e-9)
        assert counts.min() > -1e-9
    torch.testing.assert_close(kept + taken, y * 50)


@both
def test_the_loss_is_least_at_the_wiener_filter(name: str) -> None:
    """A loss that never sees a clean image finds the best linear estimate of it, that from z."""
    sigma, alpha = 0.15, 1.0
    clean, covariance = stationary(24, seed=0)
    noisy = Gaussian(sigma).sample(clean, rng(1)).float()
    model: Any = get(name)(alpha=alpha)
    model.stated_ = Gaussian(sigma)
    images = [x.numpy() for x in noisy]
    pairs = model.lessons(images)(noisy, list(range(len(noisy))), rng(3))

    def loss(kernel: Tensor) -> Tensor:
        return model.loss(Linear(kernel), pairs, rng(), 1.0)["loss"]

    start = torch.zeros(WINDOW**2)
    gradient = torch.autograd.functional.jacobian(loss, start)
    hessian = torch.autograd.functional.hessian(loss, start)
    learned = -torch.linalg.solve(hessian.double(), gradient.double())
    exact = -wiener(covariance, (1 + alpha**2) * sigma**2)
    exact[WINDOW**2 // 2] += 1  # what is left of z without its noise
    torch.testing.assert_close(learned, exact, rtol=0, atol=0.04)


# -- the law ------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("stated", [None, Gaussian(0.1)], ids=["measured", "stated"])
def test_every_image_gets_further_noise_of_its_own_law(name: str, stated: Process | None) -> None:
    model: Any = get(name)(alpha=0.5)
    model.stated_ = stated
    levels = (0.02, 0.08)
    images = [0.5 + s * torch.randn(1, 96, 96, generator=rng(i)) for i, s in enumerate(levels)]
    pairs = model.lessons([x.numpy() for x in images])(torch.stack(images), [0, 1], rng(3))
    for image, (z, y), level in zip(images, pairs, levels, strict=True):
        expected = 0.5 * (0.1 if stated else level)
        assert float((z - y).std() * image.std()) == pytest.approx(expected, rel=0.1)
        torch.testing.assert_close(y.std(correction=0), torch.tensor(1.0))


def test_further_noise_of_correlated_noise_is_correlated() -> None:
    law = Correlated(Gaussian(0.1), 1.2)
    y = torch.zeros(1, 256, 256)
    added = (R2R(alpha=1.0).noisier(y, law, rng()) - y)[0]
    beside = float((added[:, 1:] * added[:, :-1]).mean() / added.square().mean())
    assert beside == pytest.approx(float(law.autocorrelation(1)[1, 2]), abs=0.05)


def passing(name: str, **settings: Any) -> Noisier:
    """A model whose network returns its input."""
    model: Any = get(name)(channels=1, widths=(8, 8), **settings)
    network = Noisier2Noise(channels=1, widths=(8, 8)).build(1)
    for weight in network.parameters():
        nn.init.zeros_(weight)
    model.network_ = network.eval()
    return model


@both
def test_results_are_means_over_draws(name: str) -> None:
    x = np.full((1, 64, 64), 0.5, np.float32)
    x[:, ::2] += 0.1  # a deviation to scale by
    for draws in (1, 16):
        model = passing(name, alpha=0.5, draws=draws)
        shares: list[float] = []
        made = model.restore(x, Gaussian(0.1), shares.append)
        assert float((made.data - x).std()) == pytest.approx(0.5 * 0.1 / draws**0.5, rel=0.05)
        assert made.process == Gaussian(0.1)
        assert sum(shares) == pytest.approx(1)
    np.testing.assert_array_equal(made.data, model.restore(x, Gaussian(0.1)).data)


@both
def test_without_noise_nothing_is_drawn(name: str) -> None:
    x = np.linspace(0, 1, 32 * 32, dtype=np.float32).reshape(1, 32, 32)
    np.testing.assert_array_equal(passing(name).restore(x, Gaussian(0.0)).data, x)


# -- refusals -----------------------------------------------------------------------------------


@both
def test_what_cannot_be_learned_gets_a_sentence(
    name: str, tiny: Callable[[str], dict[str, Any]]
) -> None:
    ramps = [np.linspace(0, 1 + i, 32 * 32, dtype=np.float32).reshape(32, 32) for i in range(4)]
    schedule = Schedule(max_steps=1, batch=1, patch=16)
    for noise, sentence in (
        ("gaussian:0", "contain no noise to learn from"),
        ("rician:0.1", "cannot add further noise to rician noise"),
        (Gaussian(np.full((32, 32), 0.1)), "one level for an image"),
    ):
        with pytest.raises(HushError, match=sentence):
            get(name)(**tiny(name)).fit(ramps, noise=noise, schedule=schedule, device="cpu")
    for wrong in ({"alpha": 0.0}, {"draws": 0}):
        with pytest.raises(HushError, match="an alpha above 0 and at least one draw"):
            get(name)(**wrong)
