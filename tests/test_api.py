"""The Python API: what it refuses, and what it keeps in memory."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import hush
from hush.errors import HushError
from hush.kinds import get as kind_of
from hush.kinds import to_batch
from hush.kinds.cut import Sampled
from hush.kinds.image import advice
from hush.methods import get
from hush.noise.processes import Gaussian, parse
from hush.results import Estimate


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"noise": 5}, "noise must be a text such as 'gaussian:25/255' or a Process, not 5"),
        ({"steps": 1.5}, "steps must be a whole number from 1, not 1.5"),
        ({"steps": 0}, "steps must be a whole number from 1, not 0"),
        ({"adapt": -3}, "adapt, the seconds of training on the data, is 0 or more, not -3"),
        ({"adapt": "60s"}, "adapt, the seconds of training on the data, is 0 or more, not '60s'"),
        ({"adapt": float("nan")}, "not nan"),
        ({"strength": "half"}, "0 to 1, not 'half'"),
        ({"strength": 1.5}, "0 to 1, not 1.5"),
    ],
    ids=str,
)
def test_what_an_option_cannot_be_gets_a_sentence(options: dict[str, Any], said: str) -> None:
    with pytest.raises(hush.HushError) as refused:
        hush.denoise(np.zeros((16, 16), np.uint8), **options)
    assert str(refused.value).endswith(said)


def test_a_method_refuses_a_number_as_noise_too() -> None:
    with pytest.raises(hush.HushError, match="or a Process, not 5"):
        get("none")().denoise(np.zeros((16, 16)), 5)  # type: ignore[arg-type]


def test_all_planes_are_adapted_to_while_there_is_room() -> None:
    x = np.random.default_rng(0).random((5, 2, 8, 8), np.float32)
    planes = Sampled(most=x.size)
    planes.add(to_batch(hush.Record(x[:3], "TCYX")))
    planes.add(to_batch(hush.Record(x[3:], "TCYX")))
    np.testing.assert_array_equal(planes.kept, x)


def test_many_planes_are_thinned_evenly_in_a_bounded_memory() -> None:
    planes = Sampled(most=10 * 64)
    for i in range(100):
        planes.add(to_batch(hush.Record(np.full((2, 8, 8), i, np.float32), "ZYX")))
        assert sum(x.size for x in planes.kept) <= planes.most
    numbers = [int(x[0, 0, 0]) for x in planes.kept]
    assert len(numbers) >= 5
    assert len(set(np.diff(numbers))) == 1
    assert numbers[-1] >= 100 - 2 * np.diff(numbers)[0]


def test_of_a_huge_plane_the_middle_is_adapted_to() -> None:
    x = np.arange(40 * 60, dtype=np.float32).reshape(40, 60)
    planes = Sampled(most=600)
    planes.add(to_batch(hush.Record(x, "YX")))
    np.testing.assert_array_equal(planes.kept[0][0], x[10:30, 15:45])


# -- what the user should know of the input ----------------------------------------------------


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """A smooth picture from dark to bright, (192, 192) in [0.05, 0.95]."""
    y, x = np.mgrid[:192, :192] / 192
    return 0.5 + 0.45 * np.sin(5 * x) * np.cos(4 * y)


def noted(x: np.ndarray, noise: str | None = None) -> str:
    """The warnings about an array, from a method that removes nothing."""
    record = hush.Record(x, "YX")
    return "\n".join(hush.run(record, method="none", noise=noise).warnings)


def with_noise(picture: np.ndarray, spec: str) -> np.ndarray:
    generator = torch.Generator().manual_seed(0)
    return parse(spec).sample(torch.as_tensor(picture), generator).numpy()


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("gaussian:0.05", None),
        ("gamma:20", "noise is multiplicative"),
        ("rician:0.05", "noise is Rician"),
        ("correlated:0.05,1.2", "spatially correlated"),
    ],
)
def test_noise_the_models_do_not_know_is_named(
    picture: np.ndarray, spec: str, said: str | None
) -> None:
    noisy = with_noise(picture, spec)
    every = ("multiplicative", "Rician", "spatially correlated", "impulses")
    if said is None:
        assert not any(word in noted(noisy) for word in every)
    else:
        assert said in noted(noisy)


def test_a_gray_picture_saved_as_rgb_is_denoised_as_gray(picture: np.ndarray) -> None:
    """Also if a JPEG file made its channels differ by a step, or it is tinted."""
    picture = picture[:128, :128]
    noisy = np.rint(255 * with_noise(picture, "gaussian:0.1")).clip(0, 255).astype(np.uint8)
    gray = hush.denoise(noisy)
    record = hush.Record(np.repeat(noisy[..., None], 3, -1), "YXS")
    result = hush.run(record)
    assert result.model == "mid-gray"
    np.testing.assert_array_equal(result.record.data, np.repeat(gray[..., None], 3, -1))
    near = record.data.copy()
    near[::2, ::3, 1] ^= 1
    assert hush.run(record.with_data(near)).model == "mid-gray"
    coloured = (record.data * [1.0, 0.8, 0.6]).astype(np.uint8)  # of one noise, too
    assert hush.run(record.with_data(coloured)).model == "mid-gray"
    unlike = np.stack([noisy, noisy[::-1], noisy[:, ::-1]], axis=-1)
    assert hush.run(record.with_data(unlike)).model == "mid-rgb"


def test_a_coloured_label_leaves_a_picture_gray_and_empty_channels_have_no_noise() -> None:
    joint = kind_of("image").joint
    noisy = np.random.default_rng(0).normal(120, 20, (96, 96)).astype(np.uint8)
    record = hush.Record(np.repeat(noisy[..., None], 3, -1), "YXS")
    label, green = record.data.copy(), record.data.copy()
    label[80:90, 10:40] = 255, 220, 0
    green[..., [0, 2]] = 0
    assert joint(record.with_data(label)) == joint(record.with_data(green)) == 1
    cells = np.zeros_like(record.data)  # black is of no colour
    cells[10:20, 10:20] = np.random.default_rng(1).integers(0, 255, (10, 10, 3))
    assert joint(record.with_data(cells)) == 3


def test_rounding_to_whole_counts_is_named(picture: np.ndarray) -> None:
    counts = np.random.default_rng(0).poisson(3 * picture)
    said = "is rounded to whole steps of uint16"
    assert said in noted(counts.astype(np.uint16))
    assert said not in noted(counts.astype(np.float32))
    assert said not in noted(np.rint(255 * picture).astype(np.uint8))


def test_replaced_pixels_are_counted(picture: np.ndarray) -> None:
    noisy = with_noise(picture, "gaussian:0.02")
    noisy[np.random.default_rng(0).random(noisy.shape) < 0.05] = 1
    assert re.search(r"[3-6](\.\d)? % of the pixels hold replaced values", noted(noisy))


def test_hot_pixels_are_counted_and_are_no_part_of_the_residual(picture: np.ndarray) -> None:
    noisy = with_noise(picture, "gaussian:0.05")
    hot = noisy.copy()
    hot[20, 30:33] = hot[100, 40] = 50
    plain, made = (hush.run(hush.Record(x, "YX")) for x in (noisy, hot))
    assert not plain.warnings
    assert [note.split(" (")[0] for note in made.warnings] == ["4 pixels hold replaced values"]
    assert made.estimate.hits == 4
    assert made.residual["n"] == plain.residual["n"] - 4
    assert made.residual["rms"] == pytest.approx(plain.residual["rms"], rel=0.01)
    np.testing.assert_allclose(made.data, plain.data, atol=0.1)


@pytest.mark.parametrize("spec", ["gaussian:0.05", "poisson:30", "gamma:4", "rician:0.05"])
def test_noise_given_is_compared_with_what_is_seen(picture: np.ndarray, spec: str) -> None:
    noisy = with_noise(picture, spec)
    assert "The given noise has" not in noted(noisy, spec)
    assert "The given noise has σ 0.4" in noted(noisy, "gaussian:0.4")


def test_independent_noise_is_none_that_spans_pixels(picture: np.ndarray) -> None:
    noisy = with_noise(picture, "gaussian:0.08")
    assert "The given noise has" in noted(noisy, "camera:0.002,0.003,0.6")


def test_colours_of_unlike_noise_are_named(picture: np.ndarray) -> None:
    levels = np.array([0.02, 0.02, 0.06])
    noise = np.random.default_rng(0).normal(size=(*picture.shape, 3))
    for axes, sigma, said in (("YXS", levels, 1), ("YXS", levels[:1], 0), ("YXC", levels, 0)):
        record = hush.Record(picture[..., None] + sigma * noise, axes)
        notes = hush.run(record, method="none").warnings
        assert sum("channels differ in noise" in note for note in notes) == said


def test_white_noise_given_for_correlated_noise(picture: np.ndarray) -> None:
    noisy, word = with_noise(picture, "correlated:0.05,1.2"), "independent from pixel to pixel"
    assert word in noted(noisy, "gaussian:0.05")
    assert word not in noted(noisy, "correlated:0.05,1.2")
    assert word not in noted(with_noise(picture, "gaussian:0.05"), "gaussian:0.05")


def test_noise_of_no_law_is_named(picture: np.ndarray) -> None:
    """Also if a law is given, unless that changes with brightness in another way."""
    noise = np.random.default_rng(0).normal(size=picture.shape)
    noisy, said = picture + 0.05 * (1.3 - 0.6 * picture) * noise, "follows no law that hush knows"
    assert said in noted(noisy)
    assert said in noted(noisy, "gaussian:0.05")
    assert said not in noted(noisy, "poisson:200")
    assert said not in noted(with_noise(picture, "gaussian:0.05"))


def test_families_not_told_apart_matter_where_brightness_varies() -> None:
    torn = Estimate(Gaussian(0.1), 0.1, alternatives=("poisson",))
    flat, steep = (((x, 0.01, 0.01), (0.5, 0.01, 0.01)) for x in (0.4, 0.05))
    assert advice._telling(replace(torn, curve=flat)) == []
    assert advice._telling(replace(torn, curve=steep)) == ["poisson"]


def test_a_method_without_a_shipped_model_says_so() -> None:
    with pytest.raises(HushError, match="no model is shipped for noise2void; train one with"):
        hush.denoise(np.zeros((16, 16), np.float32), method="noise2void")
