"""The generalised Anscombe transform with its exact unbiased inverse."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hush.noise.processes import Correlated, Gaussian, Poisson, PoissonGaussian, parse
from hush.noise.spectrum import Octaves
from hush.noise.stabilise import Stabiliser, stabilised

LAWS = [
    Stabiliser(1 / 30),
    Stabiliser(1 / 2.0),
    Stabiliser(0.02, 0.05, 0.1),
    Stabiliser(0.001, 0.03),
    Stabiliser(3.0, 0.5, -0.2),
]
every_law = pytest.mark.parametrize("law", LAWS, ids=str)


def draws(law: Stabiliser, x: float, n: int = 400_000) -> np.ndarray:
    rng = np.random.default_rng(0)
    light = max(x - law.offset, 0) / law.gain
    return law.gain * rng.poisson(light, n) + law.offset + law.sigma * rng.standard_normal(n)


@every_law
@pytest.mark.parametrize("x", [0.0, 0.03, 0.3, 0.9, 4.0])
def test_the_mean_is_the_expectation_and_the_inverse_undoes_it(law: Stabiliser, x: float) -> None:
    """Of the values transformed after the noise was put on, down to less than one count."""
    z = law(draws(law, x))
    error = z.std() / np.sqrt(z.size)
    expected = float(law.mean(np.array(x)))
    assert abs(z.mean() - expected) < 4 * error + 1e-4 * law.level
    dark = max(x, law.offset)  # no light is darker than the offset
    back = float(law.inverse(np.array(expected)))
    assert back == pytest.approx(dark, abs=2e-3 * law.gain + 1e-6, rel=1e-3)


@every_law
@pytest.mark.parametrize("x", [0.0, 0.03, 0.3, 0.9, 4.0])
def test_the_variance_is_that_of_the_transformed_values(law: Stabiliser, x: float) -> None:
    z = law(draws(law, x))
    assert z.var() / law.level**2 == pytest.approx(float(law.variance(np.array(x))), abs=0.02)


@every_law
def test_the_noise_has_one_level(law: Stabiliser) -> None:
    """From a few counts on."""
    for counts in (4, 10, 100):
        z = law(draws(law, law.offset + counts * law.gain))
        assert z.std() == pytest.approx(law.level, rel=0.06)


def test_taking_back_the_transform_itself_would_be_too_dark() -> None:
    law = Stabiliser(1.0)
    z = law(draws(law, 2.0)).mean()
    naive = (z / law.level / 2) ** 2 - 3 / 8
    assert float(law.inverse(np.array(z))) == pytest.approx(2.0, abs=0.02)
    assert naive < 1.9


@every_law
def test_the_inverse_is_one_function_over_any_size(law: Stabiliser) -> None:
    """Increasing, without a step where the table ends, and the same in pieces."""
    x = np.linspace(law.offset, law.offset + 130 * law.gain, 4000)
    z = law.mean(x)
    assert (np.diff(z) > 0).all()
    np.testing.assert_allclose(law.inverse(z), x, rtol=2e-3, atol=2e-3 * law.gain)
    many = np.tile(z.astype(np.float32), 600).reshape(2, 3, -1)
    assert law.inverse(many).shape == many.shape
    np.testing.assert_array_equal(law.inverse(many).ravel()[:4000], law.inverse(many[0, 0, :4000]))


def test_signals_from_zero_to_one_span_one() -> None:
    """So the level is that of the noise relative to the picture's range."""
    for law in LAWS[:4]:
        assert float(law(np.array(1.0)) - law(np.array(max(0.0, law.offset)))) == pytest.approx(
            1, rel=0.1
        )
    y = torch.rand(2, 3)
    np.testing.assert_allclose(LAWS[0](y), LAWS[0](y.numpy()), rtol=1e-5)


def test_counting_noise_is_stabilised_and_no_other() -> None:
    form = stabilised(Poisson(30.0))
    assert form is not None
    assert isinstance(form[1], Gaussian)
    assert form[1].sigma == form[0].level
    spectrum = Octaves((0.1, 1.0, 2.0))
    correlated = stabilised(Correlated(PoissonGaussian(0.02, 0.05, 0.1), spectrum))
    assert correlated is not None
    assert correlated[1].octaves()[0][0] < 1
    for other in ("gaussian:0.1", "gamma:100", "rician:0.1", "poisson-gaussian:0.00001,0.1"):
        assert stabilised(parse(other)) is None
    assert stabilised(Poisson(np.full((1, 2, 2), 30.0))) is None
