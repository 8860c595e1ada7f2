"""Tiles: every pixel once, and the whole image's result whatever the tiles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hush.methods.mid.image import MID
from hush.nets.step import StepNet
from hush.tiling import tiled, tiles

# On one thread: arrays this small gain nothing from two.
pytestmark = pytest.mark.usefixtures("one_thread")

RandomMID = Callable[..., MID]

SHAPES = [(8, 8), (1, 70), (70, 1), (1, 1), (9, 65), (64, 64), (61, 83), (129, 40)]


def image(height: int, width: int, channels: int = 1) -> np.ndarray:
    rng = np.random.default_rng(height * 1000 + width)
    return rng.random((channels, height, width), dtype=np.float32)


# -- the tiles themselves -----------------------------------------------------------------


@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    size=st.integers(1, 64),
    radius=st.integers(0, 40),
    multiple=st.sampled_from([1, 2, 4, 8, 16]),
)
def test_tiles_cover_every_pixel_once(
    height: int, width: int, size: int, radius: int, multiple: int
) -> None:
    """And each reads what it says, on the grid of strides, with its margin up to the border."""
    covered = np.zeros((height, width), int)
    border = -(-8 // multiple) * multiple
    for tile in tiles((height, width), size, radius, multiple):
        covered[tile.inner] += 1
        for n, inner, read, crop in zip(
            (height, width), tile.inner, tile.reads, tile.crop, strict=True
        ):
            assert read.min() >= 0
            assert read.max() < n
            assert np.array_equal(read[crop], np.arange(inner.start, inner.stop))
            assert len(read) % multiple == inner.start % multiple == crop.start % multiple == 0
            assert 0 < inner.stop - inner.start <= -(-size // multiple) * multiple
            # What is missing of the margin lies beyond the border, where no tile looks.
            assert crop.start >= min(radius, inner.start + border)
            assert len(read) - crop.stop >= min(radius, n - inner.stop + border)
    assert (covered == 1).all()


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_without_a_border_tiles_end_where_the_image_does(height: int, width: int) -> None:
    """No pixel is read twice, and none of the margin is missing within the image."""
    for tile in tiles((height, width), 16, 6, 6, border=None):
        for n, inner, read in zip((height, width), tile.inner, tile.reads, strict=True):
            first, last = max(inner.start - 6, 0), min(-(-inner.stop // 6) * 6 + 6, n)
            assert np.array_equal(read, np.arange(first, last))


def test_what_lies_beyond_the_edge_does_not_depend_on_the_tiles() -> None:
    """Near an edge every tiling reads the same reflection."""
    whole = next(tiles((20, 1), 64, 8, 4)).reads[0]
    first, *_, last = (t.reads[0] for t in tiles((20, 1), 4, 8, 4))
    assert np.array_equal(first, whole[: len(first)])
    assert np.array_equal(last, whole[-len(last) :])
    assert list(whole[:10]) == [8, 7, 6, 5, 4, 3, 2, 1, 0, 1]


@pytest.mark.parametrize("size", [4, 16, 100])
def test_a_local_function_is_computed_exactly(size: int) -> None:
    """A box sum of radius 2 over tiles; and the shares of the work add up to one."""

    def box(x: np.ndarray) -> np.ndarray:
        padded = np.pad(x, [(0, 0), (2, 2), (2, 2)])
        windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), (1, 2))
        total: np.ndarray = windows.sum((-1, -2))
        return total

    x = image(37, 22, channels=2)
    shares: list[float] = []
    out = tiled(box, x, size=size, radius=2, multiple=4, advance=shares.append)
    mirrored = box(np.pad(x, [(0, 0), (8, 8), (8, 8)], mode="reflect"))[:, 8:-8, 8:-8]
    np.testing.assert_allclose(out, mirrored, rtol=1e-6)
    assert sum(shares) == pytest.approx(1)


# -- MID over tiles -----------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("steps", "noise"), [(1, "gaussian:0.1"), (3, "poisson-gaussian:0.02,0.05"), (1, None)]
)
def test_the_result_does_not_depend_on_the_tile_size(
    shape: tuple[int, int], steps: int, noise: str | None, random_mid: RandomMID
) -> None:
    """Within 1e-5 of the whole image's in float32, level given or estimated."""
    x = image(*shape)[0]
    model = random_mid(steps=steps)
    whole = model.replace(tile=4096).denoise(x, noise)
    assert np.abs(whole - x).max() > 1e-3 or x.size == 1
    for tile in (8, 20, 64):
        part = model.replace(tile=tile).denoise(x, noise)
        np.testing.assert_allclose(part, whole, rtol=0, atol=1e-5)


def test_colour_does_not_depend_on_the_tile_size(random_mid: RandomMID) -> None:
    x = image(45, 50, channels=3).transpose(1, 2, 0)
    model = random_mid(channels=3)
    whole = model.replace(tile=4096).denoise(x, "poisson:30")
    part = model.replace(tile=16).denoise(x, "poisson:30")
    np.testing.assert_allclose(part, whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_estimated_step_does_not_depend_on_the_tile_size(
    shape: tuple[int, int], random_mid: RandomMID
) -> None:
    x = image(*shape)
    estimates = [random_mid(tile=tile, level="step").estimate(x) for tile in (8, 4096)]
    assert estimates[0] == estimates[1]


def test_windows_show_the_step_net_what_the_whole_image_would(
    random_mid: RandomMID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ψ looks at an image larger than its window in pieces: cell by cell the same answers."""
    import hush.methods.mid.core as core
    import hush.methods.mid.step as mid

    seen: list[np.ndarray] = []
    law = core.law_of_cells

    def record(means: np.ndarray, levels: np.ndarray, ndim: int) -> object:
        order = np.argsort(means.ravel())
        seen.append(np.stack([means.ravel()[order], levels[0, 0][order]]))
        return law(means, levels, ndim)

    monkeypatch.setattr(core, "law_of_cells", record)
    x, model = image(70, 301), random_mid(level="step")
    windows = mid.windows
    for size in (4096, 256, 48):
        monkeypatch.setattr(mid, "windows", lambda *a, size=size: windows(*a, size))
        model.estimate(x)
    cells = -(-70 // StepNet.cell) * -(-301 // StepNet.cell)
    assert seen[0].shape == (2, cells)
    for piecewise in seen[1:]:
        np.testing.assert_allclose(piecewise, seen[0], rtol=1e-4)
