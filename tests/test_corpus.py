"""Patches of clean pictures in more variety than the pictures have."""

from __future__ import annotations

import numpy as np
import pytest

from hush.kinds.image.corpus import Varied, recoloured


@pytest.fixture
def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.uniform(0.3, 1, (3, 200, 220)).astype(np.float32) for _ in range(3)]


@pytest.mark.parametrize("channels", [1, 3])
def test_patches_stay_within_range_and_repeat(pictures: list[np.ndarray], channels: int) -> None:
    source = Varied([x[:channels] for x in pictures], 48)
    first, indices = source.draw(64, np.random.default_rng(1))
    again, _ = source.draw(64, np.random.default_rng(1))
    assert first.shape == (64, channels, 48, 48)
    assert float(first.min()) >= 0
    assert float(first.max()) <= 1 + 1e-6
    assert set(indices) <= {0, 1, 2}
    np.testing.assert_array_equal(first, again)


def test_a_share_is_as_it_is_and_the_rest_differs(pictures: list[np.ndarray]) -> None:
    """The pictures are white noise from 0.3 on: what is blurred, reduced or dark shows."""
    patches, _ = Varied(pictures, 48).draw(300, np.random.default_rng(0))
    spread = patches.std((1, 2, 3)).numpy()
    same = np.abs(spread - 0.7 / 12**0.5) < 0.02
    assert 0.35 < same.mean() < 0.75
    dark = patches.mean((1, 2, 3)).numpy() < 0.3
    assert 0.05 < dark.mean() < 0.5
    assert np.sum(spread < 0.1) > 20
    plain, _ = Varied(pictures, 48, plain=1.0).draw(50, np.random.default_rng(0))
    assert abs(float(plain.std()) - 0.7 / 12**0.5) < 0.01


def test_colours_change_and_stay_colours() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((3, 40, 40)).astype(np.float32)
    made = [recoloured(x, rng) for _ in range(20)]
    assert all(m.shape == x.shape and m.min() >= 0 and m.max() <= 1 for m in made)
    assert np.std([np.ptp(m.mean((1, 2))) for m in made]) > 0.01
    gray = recoloured(np.repeat(x[:1], 3, 0), rng)
    assert np.ptp(gray, axis=0).max() < 1e-4  # what has no colour gets none
