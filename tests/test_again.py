"""Results of denoising are not taken for noise, and denoised pictures say that they are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import hush
from hush.kinds.image.measure.photons import resolved
from hush.methods.mid.review import EMPTY, LITTLE, review
from hush.noise.processes import Correlated, Gaussian
from hush.noise.spectrum import Octaves
from hush.results import Estimate

COARSE = Octaves((0.1, 0.5, 2.0, 4.0))
X = np.random.default_rng(0).random((1, 64, 64)).astype(np.float32)


@pytest.mark.parametrize("smooth", [False, True])
def test_what_neighbours_share_below_the_offset_is_no_read_noise(smooth: bool) -> None:
    rng = np.random.default_rng(0)
    read = rng.standard_normal((128, 128))
    read = gaussian_filter(read, 4) if smooth else read
    photons = rng.poisson(0.5, (128, 128)) + 0.08 * read / read.std()
    found = resolved([(0.5 + photons / 20)[None].astype(np.float32)])
    assert (found is None) == smooth


@pytest.mark.parametrize(
    ("level", "fine", "left"),
    [
        (0.8 * LITTLE, 0.5 * EMPTY, True),
        (0.8 * LITTLE, 0.65, False),  # as much fine noise as cameras leave
        (2.0 * LITTLE, 0.5 * EMPTY, False),  # noise that shows
    ],
)
def test_little_coarse_noise_without_fine_noise_is_left_in(
    level: float, fine: float, left: bool
) -> None:
    white = Gaussian(fine * level)
    found = review(Estimate(white, white.sigma), Correlated(Gaussian(level), COARSE), X)
    assert found.network != left
    assert (found.left > 0) == left
    if left:
        assert found.process is white
        assert found.left == pytest.approx(level, rel=0.05)


def test_rounding_leaves_more_fine_noise_than_a_smoothed_picture_has() -> None:
    """Steps of 1/50: what is finer than their rounding is no noise of a camera."""
    x = np.rint(50 * X) / 50
    level, rounding = 0.8 * LITTLE, 1 / 50 / np.sqrt(12)
    for fine, left in ((0.9 * rounding, True), (1.1 * rounding, False)):
        found = review(Estimate(Gaussian(fine), fine), Correlated(Gaussian(level), COARSE), x)
        assert (found.left > 0) == left


@pytest.mark.parametrize("seed", [2, 4, pytest.param(5, marks=pytest.mark.long)])
def test_a_second_run_changes_little_of_what_the_first_did(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:96, :96]
    clean = 90 + 60 * (np.hypot(y - 40, x - 50) < 25) + 20 * np.sin(x / 9)
    noisy = np.clip(np.rint(clean + 20 * rng.standard_normal(clean.shape)), 0, 255)
    first = hush.run(noisy.astype(np.uint8))
    second = hush.run(first.data)
    removed = [
        float(np.sqrt(np.mean(np.square(a.astype(float) - b))))
        for a, b in ((first.data, noisy), (second.data, first.data))
    ]
    assert removed[1] < 0.1 * removed[0]
    # Seed 2 leaves two pixels that stand out, of which another warning tells.
    said = [w for w in second.warnings if w.startswith(("Little noise", "Next to no", "No noise"))]
    assert len(said) == 1
