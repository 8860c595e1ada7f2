"""Where statistics of blocks end, the step network judges the noise."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

import hush
from hush.kinds.cut import rms_level
from hush.kinds.image.structures import STRUCTURES
from hush.methods.mid.review import CLEARLY, LOW, MORE, review, reviewed
from hush.methods.mid.step import law_of_cells
from hush.metrics import psnr
from hush.noise.processes import Correlated, Gaussian, PoissonGaussian, Process
from hush.noise.spectrum import Octaves, areas
from hush.results import Estimate, Restoration

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
    told = np.square(law.octaves(4, 2, 3))
    np.testing.assert_allclose(told, [bright, colour], rtol=0.05)
    white = law_of_cells(means, np.sqrt(np.ones((4, 4, 1)) * variance), 2)
    assert white.white


def witness(level: float, honest: bool = True) -> Callable[[np.ndarray], tuple[np.ndarray, ...]]:
    """A Ψ that sees white noise of this level in `X`; if honest, also what is added."""

    def cells(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        added = float((x - X).std()) if honest else 0.0
        return np.full((1, 4), 0.5), np.full((4, 2, 4), math.hypot(level, added))

    return cells


def restored(share: float) -> Callable[..., Restoration]:
    """A Φ that removes this share of the level."""

    def restore(x: np.ndarray, noise: Process, advance: None, found: Estimate) -> Restoration:
        rng = np.random.default_rng(0)
        return Restoration(x - share * rms_level(noise, x) * rng.standard_normal(x.shape), noise)

    return restore


@pytest.mark.parametrize(
    "found",
    [
        Estimate(Gaussian(0.1), 0.1, impulses=0.1),
        Estimate(Gaussian(0.1), 0.1, counted=True),
    ],
)
def test_what_is_certain_is_not_reviewed(found: Estimate) -> None:
    assert reviewed(X, found, witness(0.001), restored(1)) is found


def test_texture_measured_as_noise_is_overruled() -> None:
    """Where statistics see several times what Ψ sees, and Ψ would see that much."""
    texture = blocks(0.2, COARSE)
    found = reviewed(X, texture, witness(0.01), restored(0.7))
    assert found.sigma == pytest.approx(0.01)
    assert not found.correlated
    assert found.network
    assert reviewed(X, texture, witness(0.01, honest=False), restored(0.7)).sigma >= 0.2
    assert reviewed(X, texture, witness(0.1), restored(0.7)).sigma >= 0.2


def test_noise_that_the_network_does_not_remove_is_none() -> None:
    texture = blocks(0.2)
    lower = reviewed(X, texture, witness(0.01), restored(0.2))
    assert lower.sigma == pytest.approx(0.002, rel=0.05)
    assert level(lower) == pytest.approx(lower.sigma, rel=0.05)


@pytest.mark.parametrize("name", list(STRUCTURES))
def test_a_picture_without_noise_comes_back(name: str) -> None:
    x = STRUCTURES[name](128, np.random.default_rng(1))
    result = hush.run(x, force=True)  # some look like labels
    assert psnr(result.record.data, x) > 40
