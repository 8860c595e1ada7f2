"""Lattices weaker than the noise are found in the spectrum, and kept."""

from __future__ import annotations

import numpy as np
import pytest

import hush
from hush.kinds.image.structures import plane_waves
from hush.methods.mid.waves import SIDE, TILE, waves
from hush.noise.processes import Correlated, Gaussian, Poisson, Process
from hush.noise.spectrum import Octaves

WHITE = Gaussian(0.1)


def crystal(side: int, period: float, angle: float = 0.2) -> np.ndarray:
    """Three waves of one period, amplitude 1 in all, ``(side, side)``."""
    angles = angle + np.pi / 3 * np.arange(3)
    return plane_waves(side, np.full(3, period), angles, np.zeros(3)) / 3


def noisy(clean: np.ndarray, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(clean.shape)
    return (clean + 0.1 * noise).astype(np.float32)[None]


def found(x: np.ndarray, noise: Process = WHITE) -> np.ndarray | None:
    return waves(x, noise)


@pytest.mark.parametrize("period", [2.2, 3, 4, 6, 10])
@pytest.mark.parametrize("angle", [0.0, 0.2])
def test_a_lattice_below_the_noise_is_found_whole(period: float, angle: float) -> None:
    lattice = 0.15 * crystal(256, period, angle)
    seen = found(noisy(0.5 + lattice))
    assert seen is not None
    assert np.vdot(seen[0], lattice) / np.vdot(lattice, lattice) == pytest.approx(1, abs=0.06)
    assert (seen[0] - lattice).std() < 0.03  # a small part of the noise of 0.1


def test_a_stronger_lattice_in_a_part_of_the_image() -> None:
    lattice = 0.3 * crystal(320, 5)
    lattice[:, :128] = 0
    seen = found(noisy(0.5 + lattice))
    assert seen is not None
    assert np.vdot(seen[0], lattice) / np.vdot(lattice, lattice) > 0.9
    assert np.abs(seen[0, :, :64]).max() < 0.03


@pytest.mark.parametrize("shape", [(64, 64), (100, 333), (700, 65)])
def test_noise_has_none(shape: tuple[int, ...]) -> None:
    assert found(noisy(np.full(shape, 0.5))) is None


def test_nor_has_correlated_noise_of_the_spectrum_told() -> None:
    coarse = Correlated(WHITE, Octaves((0.02, 0.3, 2.0, 6.0)), 2)
    import torch

    x = coarse.sample(torch.zeros(1, 256, 256), torch.Generator().manual_seed(0)).numpy()
    assert found(x, coarse) is None
    lattice = 0.15 * crystal(256, 3)
    seen = found((x + lattice).astype(np.float32), coarse)
    assert seen is not None
    assert np.vdot(seen[0], lattice) / np.vdot(lattice, lattice) > 0.9


def test_nor_have_edges_textures_and_small_images() -> None:
    y, x = np.mgrid[:256, :256]
    assert found(noisy((np.hypot(y - 100, x - 90) < 60) * 0.8)) is None
    assert found(noisy((3 * x + y < 400) * 0.8)) is None
    grain = np.random.default_rng(1).standard_normal((256, 256))
    assert found(noisy(0.5 + 0.2 * grain)) is None
    assert found(noisy(0.5 + 0.3 * crystal(SIDE - 1, 4))) is None


def test_tiles_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    x = noisy(0.5 + 0.15 * crystal(300, 4))
    whole = found(x)
    monkeypatch.setattr("hush.methods.mid.waves.TILE", SIDE)
    tiled = found(x)
    assert whole is not None
    assert tiled is not None
    assert x.shape[1] < TILE
    np.testing.assert_allclose(tiled, whole, atol=1e-6)


def test_the_shipped_model_keeps_a_lattice() -> None:
    lattice = 0.15 * crystal(192, 3)
    made = hush.denoise(noisy(0.5 + lattice)[0])
    assert np.vdot(made - made.mean(), lattice) / np.vdot(lattice, lattice) > 0.8


def test_single_photons_draw_a_lattice() -> None:
    """Counting noise is stabilised before."""
    clean = 3 + 1.5 * crystal(192, 4)
    x = np.random.default_rng(0).poisson(clean).astype(np.float32)
    made = hush.denoise(x, noise=Poisson(1.0))
    shape = clean - 3
    assert np.vdot(made - made.mean(), shape) / np.vdot(shape, shape) > 0.8
