"""Where statistics of blocks end, the step network judges the noise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hush.kinds.cut import rms_level
from hush.methods.mid.step import CLEARLY, LOW, MORE, law_of_cells, review
from hush.noise.processes import Correlated, Gaussian, PoissonGaussian, Process
from hush.noise.spectrum import Octaves, areas
from hush.results import Estimate

COARSE = Octaves((0.1, 0.5, 2.0, 4.0))
X = np.random.default_rng(0).random((1, 32, 32)).astype(np.float32)


def blocks(sigma: float, spectrum: Octaves | None = None) -> Estimate:
    """What the statistics found."""
    return Estimate(Gaussian(sigma), sigma, correlated=spectrum is not None, spectrum=spectrum)


def level(found: Estimate) -> float:
    return rms_level(found.law(), X)


@pytest.mark.parametrize(
    ("found", "seen"),
    [
        (blocks(0.1), Gaussian(0.2)),  # Ψ is less exact on white noise
        (blocks(0.1), Correlated(Gaussian(0.12), COARSE)),  # not clearly more
        (blocks(0.0), Correlated(Gaussian(0.001), COARSE)),  # below half a step of 8 bits
        (Estimate(Gaussian(0.1), 0.1, impulses=0.1), Correlated(Gaussian(0.5), COARSE)),
        (Estimate(Gaussian(0.1), 0.1, counted=True), Correlated(Gaussian(0.5), COARSE)),
    ],
)
def test_statistics_stand_where_they_measure_well(found: Estimate, seen: Process) -> None:
    assert review(found, seen, X) is found


def test_noise_that_statistics_cannot_see_is_that_of_the_network() -> None:
    """Smoothed noise that measures as almost none."""
    seen = Correlated(PoissonGaussian(0.01, 0.02), COARSE)
    found = review(blocks(0.004), seen, X)
    assert found.network
    assert found.correlated
    assert level(found) == pytest.approx(found.sigma)
    assert found.sigma == pytest.approx(LOW * rms_level(seen, X), rel=0.05)
    assert found.process.family == "poisson-gaussian"
    np.testing.assert_allclose(found.law().octaves(), seen.octaves(), rtol=0.1)
    assert found.correlation > 0.3
    assert math.isnan(found.kernel_width)
    assert found.lags(3)[3, 4] == pytest.approx(found.correlation)


def test_noise_is_not_stronger_than_the_picture() -> None:
    found = review(blocks(0.001), Correlated(Gaussian(5.0), COARSE), X)
    assert found.sigma == pytest.approx(LOW * float(X.std()), rel=0.05)


def test_of_two_levels_in_an_octave_the_greater_counts() -> None:
    """Each can miss noise where the picture has structure."""
    fine, coarse = Octaves((1.0, 1.0, 0.2, 0.2)), Octaves((0.3, 0.3, 3.0, 9.0))
    found = review(blocks(0.1, fine), Correlated(Gaussian(0.09), coarse), X)
    power = found.sigma**2 * np.square(found.law().octaves()[0])
    single = [
        s**2 * np.square(Correlated(Gaussian(s), o).octaves()[0])
        for s, o in ((0.1, fine), (0.09, coarse))
    ]
    np.testing.assert_allclose(power, np.maximum(*single) * power.sum() / np.maximum(
        *single).sum(), rtol=0.3)  # fmt: skip
    assert found.sigma >= 0.1


def test_where_both_agree_the_level_is_not_raised() -> None:
    found = review(blocks(0.1, COARSE), Correlated(Gaussian(0.1), COARSE), X)
    assert not found.network
    assert found.sigma == pytest.approx(0.1, rel=0.05)
    assert 1 < CLEARLY < MORE


def test_cells_give_law_and_spectrum() -> None:
    """Three channels whose noise is mostly shared, growing with the signal."""
    means = np.linspace(0.1, 0.9, 200) * np.ones((3, 1))
    variance = 0.001 + 0.01 * means[0]
    bright, colour = np.array([0.2, 1.0, 4.0, 9.0]), np.array([0.1, 0.2, 0.4, 0.8])
    mean = areas(2, 4) @ (bright + 2 * colour) / 3
    bright, colour = bright / mean, colour / mean
    each = (bright + 2 * colour) / 3
    groups = np.stack([each, each, each, bright], axis=1)
    law = law_of_cells(means, np.sqrt(groups[..., None] * variance), 2)
    assert isinstance(law, Correlated)
    np.testing.assert_allclose(law.variance(means[0]), variance, rtol=0.05)
    assert isinstance(law.spectrum, Octaves)
    np.testing.assert_allclose(law.spectrum.brightness, bright, rtol=1e-3)
    np.testing.assert_allclose(law.spectrum.colour, colour, rtol=1e-3)
    white = law_of_cells(means, np.sqrt(np.ones((4, 4, 1)) * variance), 2)
    assert white.white
