"""Noise levels of images too small, or too full of gaps, for the estimator proper."""

from __future__ import annotations

import numpy as np
import pytest

from hush.kinds.image.measure.estimation import estimate, estimate_any


def ramp_with_noise(*shape: int) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 0.1, shape)
    return (np.linspace(0, 3, shape[-1]) + noise).astype(np.float32)


@pytest.mark.parametrize("shape", [(1, 1, 400), (1, 400, 1), (3, 5, 60)], ids=str)
def test_a_row_a_column_and_a_strip(shape: tuple[int, int, int]) -> None:
    found = estimate_any(ramp_with_noise(*shape))
    assert found.sigma == pytest.approx(0.1, rel=0.15)
    assert found.process.family == "gaussian"
    assert found.undecided
    assert len(found.channels) == shape[0]


def test_gaps_in_every_block() -> None:
    x = ramp_with_noise(1, 64, 64)
    x[..., ::5], x[0, 3, 3] = np.nan, np.inf
    assert estimate_any(x).sigma == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize("x", [np.full((1, 9, 9), np.nan), np.full((2, 1, 1), 0.5)])
def test_nothing_known_is_no_noise(x: np.ndarray) -> None:
    assert estimate_any(x.astype(np.float32)).sigma == 0


def test_enough_is_left_to_the_estimator() -> None:
    x = ramp_with_noise(1, 64, 64)
    assert repr(estimate_any([x, x])) == repr(estimate([x, x]))
