"""Results of denoising are not taken for noise, and denoised pictures say that they are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from hush.kinds.image.measure.photons import resolved


@pytest.mark.parametrize("smooth", [False, True])
def test_what_neighbours_share_below_the_offset_is_no_read_noise(smooth: bool) -> None:
    rng = np.random.default_rng(0)
    read = rng.standard_normal((128, 128))
    read = gaussian_filter(read, 4) if smooth else read
    photons = rng.poisson(0.5, (128, 128)) + 0.08 * read / read.std()
    found = resolved([(0.5 + photons / 20)[None].astype(np.float32)])
    assert (found is None) == smooth
