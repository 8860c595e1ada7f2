"""Data bars that a program has drawn into a picture stay as they are."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

import hush
from hush.kinds.bars import bars_in
from hush.missing import Bars, ByValue, Missing

RNG = np.random.default_rng(0)
HEIGHT, WIDTH, BAR = 192, 256, 24


def picture(sigma: float = 12.0) -> np.ndarray:
    """A smooth texture in [0, 255] with noise ``(H, W)``."""
    x = gaussian_filter(RNG.standard_normal((HEIGHT, WIDTH)), 4)
    noisy = 120 + 400 * x + sigma * RNG.standard_normal(x.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def with_bar(x: np.ndarray, ground: int, ink: int, top: bool = False) -> np.ndarray:
    image = Image.fromarray(x)
    draw = ImageDraw.Draw(image)
    first = 0 if top else HEIGHT - BAR
    draw.rectangle((0, first, WIDTH, first + BAR - 1), fill=ground)
    draw.text((4, first + 5), "HV 10.00 kV  x 5 000", fill=ink, font=ImageFont.load_default(12))
    draw.line((WIDTH - 70, first + 12, WIDTH - 10, first + 12), fill=ink, width=2)
    return np.array(image)


@pytest.mark.parametrize("top", [False, True])
@pytest.mark.parametrize(("ground", "ink"), [(0, 255), (255, 0), (30, 220)])
def test_a_bar_is_found(ground: int, ink: int, top: bool) -> None:
    x = with_bar(picture(), ground, ink, top)[None]
    place = (0, BAR) if top else (HEIGHT - BAR, HEIGHT)
    assert bars_in(x) == (place,)
    assert bars_in(x.astype(np.uint16) * 16) == (place,)
    assert bars_in(np.repeat(x, 3, axis=0)) == (place,)


def test_it_comes_back_and_the_picture_is_denoised() -> None:
    x = with_bar(picture(), 0, 255)
    result = hush.run(x)
    np.testing.assert_array_equal(result.data[-BAR:], x[-BAR:])
    assert (result.data[:-BAR] != x[:-BAR]).mean() > 0.5
    assert f"The last {BAR} rows are a data bar" in " ".join(result.warnings)
    assert result.estimate.sigma * 255 == pytest.approx(12, rel=0.15)


def test_colours_and_stacks() -> None:
    x = np.stack([with_bar(picture(), 0, 255) for _ in range(3)])
    stack = hush.run(x, axes="TYX", method="tv").data
    np.testing.assert_array_equal(stack[:, -BAR:], x[:, -BAR:])
    colour = np.moveaxis(x, 0, -1)
    np.testing.assert_array_equal(hush.run(colour, method="tv").data[-BAR:], colour[-BAR:])


@pytest.mark.parametrize(
    "x",
    [
        np.clip(picture() + np.where(np.indices((HEIGHT, WIDTH))[0] < 40, 150.0, 0), 0, 255),
        RNG.poisson(np.where(np.indices((HEIGHT, WIDTH))[0] < 40, 0.05, 8.0)),
        np.where(np.indices((HEIGHT, WIDTH))[0] < 40, 0, picture()),
        np.zeros((HEIGHT, WIDTH)),
        picture(),
    ],
    ids=["bright sky", "dark border", "nothing but padding", "constant", "noise"],
)
def test_what_is_no_bar(x: np.ndarray) -> None:
    assert bars_in(np.asarray(x, np.float32)[None]) == ()


def test_parts_have_the_marks_of_the_whole() -> None:
    x = RNG.integers(0, 3, (1, 40, 30)).astype(np.float32)
    marks = Bars(((0, 5), (33, 40)), values=ByValue(((Missing(0, 0),),)))
    whole = marks.where(x)
    assert whole[0, :5].all()
    np.testing.assert_array_equal(whole[0, 5:33], x[0, 5:33] == 0)
    part = marks.cut(slice(3, 36), 1).cut(slice(4, 20), 2)
    np.testing.assert_array_equal(part.where(x[:, 3:36, 4:20]), whole[:, 3:36, 4:20])
    again = part.cut(slice(2, 30), 1)
    np.testing.assert_array_equal(again.where(x[:, 5:33, 4:20]), whole[:, 5:33, 4:20])
    for first in (0, 1):
        second = x[:, first::2]
        np.testing.assert_array_equal(marks.every_second(first).where(second), whole[:, first::2])


def test_the_bar_of_an_enlarged_picture_comes_back() -> None:
    x = with_bar(picture(), 0, 255).repeat(2, axis=0).repeat(2, axis=1)
    result = hush.run(x, method="tv")
    np.testing.assert_array_equal(result.data[-2 * BAR :], x[-2 * BAR :])
    assert (result.data != x).mean() > 0.3
