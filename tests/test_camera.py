"""A camera's noise: known answers of its steps, its first order, and its two kinds of pairs."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from hush.errors import HushError
from hush.metrics import psnr
from hush.noise import camera
from hush.noise.processes import JPEG, Camera, parse

# On one thread: arrays this small gain nothing from two.
pytestmark = pytest.mark.usefixtures("one_thread")

#: skin, sky, leaves and a gray, all mid-tones
COLOURS = [(0.6, 0.45, 0.35), (0.3, 0.4, 0.6), (0.35, 0.5, 0.3), (0.5, 0.5, 0.5)]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def flat(colour: tuple[float, ...], pictures: int = 40, side: int = 48) -> torch.Tensor:
    x = torch.tensor(colour, dtype=torch.float64)[:, None, None]
    return x.expand(pictures, len(colour), side, side)


def smooth(side: int = 64) -> torch.Tensor:
    """A colour picture ``(3, side, side)`` of one or two waves along each axis."""
    phase = torch.linspace(0, 2 * math.pi, side, dtype=torch.float64)
    down, across = phase[:, None], phase[None]
    return 0.5 + 0.3 * torch.stack(
        [down.sin() * across.cos(), (down + across).cos(), (2 * across - down).sin()]
    )


def luma(x: torch.Tensor) -> torch.Tensor:
    return torch.einsum("...chw,c->...hw", x, torch.tensor([0.299, 0.587, 0.114]).to(x))


def lag(noise: torch.Tensor) -> float:
    """Correlation of neighbours in rows."""
    return float((noise[..., 1:] * noise[..., :-1]).mean() / noise.square().mean())


# -- the steps ----------------------------------------------------------------------------


def grid(side: int) -> camera._Mosaic:
    even = torch.arange(side) % 2 == 0
    return camera._Mosaic(even[:, None], even[None])


def test_demosaicing_has_the_gains_of_the_paper() -> None:
    """α = 1/2, β = 5/8, γ = 3/4: what a pixel gives to a colour it has no filter for.

    And bilinear interpolation for its own colour: 1/2 beside it, 1/4 at the diagonals.
    """
    raw = torch.zeros((3, 13, 13), dtype=torch.float64)
    sites = [(6, 6), (6, 7), (7, 7)]  # red, green in a row with red, blue
    for picture, site in zip(raw, sites, strict=True):
        picture[site] = 1
    found = camera._demosaiced(raw, grid(13))
    at_red, at_green, at_blue = (found[:, i, y - 2, x - 2] for i, (y, x) in enumerate(sites))
    assert at_red.tolist() == [1, 1 / 2, 3 / 4]
    assert at_green.tolist() == [5 / 8, 1, 5 / 8]
    assert at_blue.tolist() == [3 / 4, 1 / 2, 1]
    red = found[0, 0]
    assert red[3:6, 3:6].tolist() == [
        [1 / 4, 1 / 2, 1 / 4],
        [1 / 2, 1, 1 / 2],
        [1 / 4, 1 / 2, 1 / 4],
    ]
    # Red at a green pixel of its row, from the greens two pixels away: −1/8 along, 1/16 across.
    assert found[0, 1, 4, 7] == found[0, 1, 4, 3] == -1 / 8
    assert found[0, 1, 6, 5] == found[0, 1, 2, 5] == 1 / 16


def test_demosaicing_keeps_gray_slopes_and_flat_colours() -> None:
    mosaic, line = grid(16), torch.arange(16, dtype=torch.float64)
    slope = 0.1 + 0.02 * line[:, None] - 0.003 * line[None]
    kept = camera._demosaiced(slope, mosaic)
    torch.testing.assert_close(kept, slope[2:-2, 2:-2].expand(3, -1, -1))
    colour = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)[:, None, None].expand(3, 16, 16)
    kept = camera._demosaiced(mosaic.pick(*colour), mosaic)
    torch.testing.assert_close(kept, colour[:, 2:-2, 2:-2])


def test_the_tone_curve_and_its_inverse_and_slope() -> None:
    y = torch.linspace(0, 1, 101, dtype=torch.float64)
    light = camera._untoned(y)
    torch.testing.assert_close(camera._toned(light), y, rtol=0, atol=1e-12)
    assert (light.diff() > 0).all()
    inside = light[10:-1].requires_grad_()
    (slope,) = torch.autograd.grad(camera._toned(inside).sum(), inside)
    torch.testing.assert_close(camera._tone_slope(inside), slope)


@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_without_noise_a_smooth_picture_stays_as_it_is(smoothing: float) -> None:
    x = smooth()
    noisy, clean = Camera(0.0, 0.0, smoothing).pair(x, rng())
    assert torch.equal(noisy, clean)
    assert psnr(clean.numpy(), x.numpy()) > 40
    torch.testing.assert_close(Camera(0.0, 0.0, smoothing).sample(x, rng()), x)


# -- first order --------------------------------------------------------------------------


@pytest.mark.parametrize("colour", COLOURS, ids=str)
@pytest.mark.parametrize("smoothing", [0.0, 0.7])
def test_the_variance_of_every_colour(colour: tuple[float, ...], smoothing: float) -> None:
    process, x = Camera(0.002, 0.003, smoothing), flat(colour)
    found = (process.sample(x, rng()) - x).square().mean((0, 2, 3))
    torch.testing.assert_close(found, process.variance(x)[0, :, 0, 0], rtol=0.08, atol=0)


def test_noise_of_a_colour_depends_on_the_light_of_the_others() -> None:
    """The filters overlap: a picture's red is what blue and green pixels leave of red pixels."""
    process = Camera(0.002, 0.0)
    dark, bright = (process.variance(flat((0.5, g, 0.5), 1, 1)) for g in (0.4, 0.6))
    assert (bright[0, 0] > 1.02 * dark[0, 0]).all()
    assert process.variance(flat((1.0, 1.0, 1.0), 1, 1)).max() == 0  # the tone curve ends flat


def test_the_mosaic_and_the_border_leave_no_trace() -> None:
    """The variance is the same at every pixel: the mosaic begins anywhere, scenes go on."""
    process = Camera(0.0002, 0.0005, 0.3)
    x = torch.full((2_000, 5, 6), 0.5, dtype=torch.float64)
    squares = (process.sample(x, rng()) - x).square()
    error = squares.std(0) / math.sqrt(len(x))
    off = squares.mean(0) - process.variance(0.5)
    assert (off.abs() < 4 * error).all()


def orders(spec: str, sizes: list[float]) -> np.ndarray:
    """The order of the part of the noise that is not in proportion to the read noise."""
    base, x, errors = parse(spec), smooth(), []

    def noise(size: float) -> torch.Tensor:
        return dataclasses.replace(base, sigma=size).sample(x, rng()) - x  # the same draws

    linear = noise(1e-7) / 1e-7 if base.taylor_order else noise(sizes[0]) / sizes[0]
    errors = [float((noise(size) - size * linear).abs().mean()) for size in sizes[-3:]]
    return np.diff(np.log(errors)) / np.diff(np.log(sizes[-3:]))


def test_the_order_is_that_declared() -> None:
    """Only the second order of read noise is left out; JPEG's steps leave out more than that."""
    sizes = [4e-3, 2e-3, 1e-3, 5e-4]
    smooth_one, stored = "camera:0,0.001,0.5", "camera:0,0.001,0.5,70"
    assert orders(smooth_one, sizes) == pytest.approx(parse(smooth_one).taylor_order + 1, abs=0.05)
    assert parse(stored).taylor_order == parse("camera:0,0.001,0,60-100").taylor_order == 0
    assert orders(stored, sizes).max() < 1


def test_an_increment_onto_the_state_is_that_onto_the_clean_signal_to_first_order() -> None:
    x, sizes, errors = smooth(), [4e-3, 2e-3, 1e-3], []
    for size in sizes:
        process = Camera(0.0, size)
        s = process.sample(x, rng(1))
        onto_state, onto_clean = (process.accumulate(y, 2.0, rng(2))[1] for y in (s, x))
        errors.append(float((onto_state - onto_clean).abs().mean()))
    slopes = np.diff(np.log(errors)) / np.diff(np.log(sizes))
    assert slopes == pytest.approx(Camera(0.0, 0.1).taylor_order + 1, abs=0.1)


# -- correlation and colour ---------------------------------------------------------------


def test_neighbours_and_colours_are_correlated() -> None:
    process = Camera(0.002, 0.003)
    noise = process.sample(flat((0.5, 0.5, 0.5)), rng()) - 0.5
    red, green, blue = noise.unbind(1)
    assert min(map(lag, (red, green, blue, luma(noise)))) > 0.2
    assert lag(luma(noise)) == pytest.approx(process.autocorrelation(1)[1, 2], abs=0.02)
    colours = torch.corrcoef(torch.stack([c.flatten() for c in (red, green, blue)]))
    assert colours.min() > 0.1
    assert lag(Camera(0.002, 0.003, 0.7).sample(flat((0.5,)), rng()) - 0.5) > 0.5


def test_chroma_has_more_noise_and_is_smoothed_more() -> None:
    def deviations(smoothing: float) -> tuple[float, float]:
        noise = Camera(0.002, 0.003, smoothing).sample(flat((0.5, 0.5, 0.5)), rng()) - 0.5
        chroma = noise - luma(noise)[:, None]
        return float(luma(noise).std()), float(chroma[:, [0, 2]].std())

    (y, c), (smooth_y, smooth_c) = deviations(0.0), deviations(0.7)
    assert c > 1.3 * y
    assert smooth_c / c < 0.8 * smooth_y / y


def test_gray_is_the_luma_of_a_gray_scene() -> None:
    for process in (Camera(0.002, 0.003), Camera(0.002, 0.003, 0.8)):
        x = smooth()[:1]
        gray = process.sample(x, rng(1)) - x
        colour = process.sample(x.expand(3, -1, -1), rng(1)) - x
        torch.testing.assert_close(gray[0], luma(colour))
        variance = process.variance(x)
        assert variance.shape == x.shape
        assert (variance < process.variance(x.expand(3, -1, -1))).all()  # colours average out


# -- pictures and files -------------------------------------------------------------------


def test_a_file_is_that_of_the_noisy_picture() -> None:
    x, raw, stored = smooth(), Camera(0.001, 0.002, 0.5), Camera(0.001, 0.002, 0.5, 80.0)
    for picture in (x, x[:1]):
        file = JPEG(80.0, colour=len(picture) == 3)
        expected = file.sample(raw.sample(picture, rng(1)), rng())
        assert torch.equal(stored.sample(picture, rng(1)), expected)
    noisy, clean = raw.pair(x, rng(1))
    noisy_file, clean_too = stored.pair(x, rng(1))
    assert torch.equal(clean, clean_too)
    assert torch.equal(noisy_file, JPEG(80.0, colour=True).sample(noisy, rng()))


@pytest.mark.parametrize("ratio", [1.5, 3.0])
def test_a_file_gets_noisier_by_the_ratio(ratio: float) -> None:
    """Not exactly: what is compressed again is smoother or rougher than what was compressed."""
    x, process = smooth(128), Camera(0.002, 0.003, 0.6, 85.0)
    s_0 = process.sample(x, rng(1))
    s_t, increment = process.accumulate(s_0, ratio, rng(2))
    assert torch.equal(increment, s_t - s_0)
    power = (s_t - x).square().mean() / (s_0 - x).square().mean()
    assert float(power) == pytest.approx(ratio, rel=0.2)


def test_a_pair_lacks_the_details_and_a_sample_keeps_them() -> None:
    x = 0.3 + 0.4 * torch.rand((3, 48, 48), generator=rng(5), dtype=torch.float64)
    process = Camera(0.0005, 0.001, 0.8)
    noisy, clean = process.pair(x, rng(1))
    assert float((clean - x).std()) > 0.5 * float(x.std())
    assert float((noisy - clean).std()) < 0.2 * float((clean - x).std())
    torch.testing.assert_close(process.sample(x, rng(1)) - x, noisy - clean)


def test_a_camera_needs_pictures() -> None:
    process = Camera(0.001, 0.001)
    for ndim in (1, 3):
        with pytest.raises(HushError, match=f"2 axes of space, not {ndim}"):
            process.over(ndim)
    assert process.over(2) == process
    with pytest.raises(HushError, match="2 axes of space, but this one has 1"):
        process.sample(torch.zeros(9), rng())
    assert process.sample(torch.full((3, 1, 1), 0.5), rng()).shape == (3, 1, 1)
