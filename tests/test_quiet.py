"""Drawings and rendered pictures have no noise; noise that spans many pixels is still noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import hush
from hush.kinds.image.measure.estimation import estimate
from hush.kinds.image.measure.quiet import bounded
from hush.kinds.image.structures import drawing, smooth
from hush.metrics import psnr
from hush.noise.processes import Gaussian
from hush.results import Estimate


def shaded(seed: int, side: int = 128) -> np.ndarray:
    """A drawing in uneven light, in which hardly a block is flat."""
    rng = np.random.default_rng(seed)
    return (drawing(side, rng) * (1 - rng.uniform(0, 0.5) * smooth(side, rng))).astype(np.float32)


@pytest.mark.parametrize("seed", [35, 36])
@pytest.mark.parametrize("integers", [False, True])
def test_a_shaded_drawing_comes_back(seed: int, integers: bool) -> None:
    x = shaded(seed)
    if integers:
        x = np.round(255 * x).astype(np.uint8)
    assert psnr(hush.denoise(x, force=True), x, 255 if integers else 1) > 50


@pytest.mark.parametrize("width", [0, 1, 4])
def test_noise_however_coarse_is_everywhere(width: float) -> None:
    noise = np.random.default_rng(width).standard_normal((1, 256, 256))
    noise = gaussian_filter(noise, (0, width, width))
    x = shaded(35, 256) + 0.02 * noise / noise.std()
    found = Estimate(Gaussian(0.02), 0.02)
    assert bounded(found, [x]) is found
    assert bounded(Estimate(Gaussian(0.02), 0.02), [x - 0.02 * noise / noise.std()]).sigma < 1e-3


def test_half_a_picture_may_be_dark() -> None:
    """Counts have next to no noise where nothing is."""
    rng = np.random.default_rng(0)
    light = np.where(np.arange(256) < 128, 0.0, 40.0) * np.ones((256, 1))
    x = (rng.poisson(light) / 100)[None].astype(np.float32)
    assert estimate(x).sigma > 0.9 * np.sqrt(40 / 2) / 100


def test_a_drawn_grid_is_no_interference_but_offsets_in_noise_are() -> None:
    x = shaded(45)[None]
    assert not estimate(x).lines
    rng = np.random.default_rng(1)
    noise = 0.01 * rng.standard_normal(x.shape) + 0.02 * rng.standard_normal((1, 1, 128))
    found = estimate((0.3 + noise).astype(np.float32))
    assert found.lines
    assert found.sigma == pytest.approx(0.01, rel=0.15)


def test_a_grid_that_is_drawn_is_none_in_a_stack_either() -> None:
    x = shaded(45)
    made = hush.run(np.stack([x] * 3)[:, None], axes="TCYX", method="none", force=True)
    assert not any(item.found.lines for item in made.items)


@pytest.mark.parametrize("looks", [4, 16])
def test_dark_places_of_speckle_have_as_little_noise_as_its_law_says(looks: int) -> None:
    light = np.where(np.arange(256) < 110, 0.002, 1.0) * np.ones((256, 1))
    speckle = np.random.default_rng(0).gamma(looks, 1 / looks, light.shape)
    found = estimate((light * speckle)[None].astype(np.float32))
    assert found.sigma == pytest.approx(np.sqrt(np.mean(light**2) / looks), rel=0.2)
