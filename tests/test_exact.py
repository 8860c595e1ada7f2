"""Masks, labels and drawings: left alone, unless the user insists; noise is never taken for one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import distance_transform_edt, gaussian_filter, label, median_filter
from scipy.spatial import cKDTree
from skimage import data

import hush
from hush import io, kinds
from hush.cli import main
from hush.errors import Unfit
from hush.kinds import exact
from hush.record import Record


def blobs(seed: int = 0, side: int = 96) -> np.ndarray:
    """Smooth bumps ``(side, side)`` about 0."""
    x = gaussian_filter(np.random.default_rng(seed).standard_normal((side, side)), 4)
    return x / x.std()


def cells(count: int = 60, side: int = 96) -> np.ndarray:
    """Numbered cells that fill a picture, the nearest to random points."""
    points = np.random.default_rng(3).random((count, 2)) * side
    places = np.stack(np.mgrid[:side, :side], -1).reshape(-1, 2)
    return cKDTree(points).query(places)[1].reshape(side, side)


DRAWN = {
    "mask 0/255": lambda: np.uint8(255 * (blobs() > 0.5)),
    "mask 0/1": lambda: (blobs() > 0.5).astype("f4"),
    "labels": lambda: label(blobs() > 0.3)[0].astype("u2"),
    "cells": lambda: cells(),
    "classes": lambda: np.digitize(blobs(), [-1, 0, 1]).astype("u1"),
    "parcels of any value": lambda: np.random.default_rng(0).random(60)[cells()],
    "colours": lambda: np.random.default_rng(0).integers(0, 255, (60, 3), "u1")[cells()],
    "stack of masks": lambda: np.stack([blobs(i) > 0.5 for i in range(3)]).astype("u1"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_what_was_drawn_is_left_alone(name: str) -> None:
    x = DRAWN[name]()
    with pytest.raises(Unfit, match=r"areas of \d+ different values, without any noise; --force"):
        hush.run(x, method="none")


def test_the_user_may_insist_and_inspect_says_what_it_is() -> None:
    x = DRAWN["labels"]()
    np.testing.assert_array_equal(hush.run(x, method="none", force=True).data, x)
    seen = hush.inspect(x)["warnings"]
    assert len(seen) == 1
    assert seen[0].startswith("This looks like labels or a drawing: areas of ")


RNG = np.random.default_rng(7)
MEASURED = {
    "rare photons": lambda: RNG.poisson(0.01, (96, 96)),
    "photons of a scene": lambda: RNG.poisson(0.3 * (blobs() > 0.5)),
    "single photons": lambda: (RNG.poisson(1.0 * (blobs() > 0.5), (96, 96)) > 0).astype("u1"),
    "clipped photograph": lambda: np.clip(data.camera()[:96, :96] * 3.0, 0, 255).astype("u1"),
    "less than rounding": lambda: np.rint(40 * blobs() + 0.3 * RNG.standard_normal((96, 96))),
    "smooth, rounded": lambda: np.rint(12 * gaussian_filter(blobs(), 4)),
    "ramp": lambda: np.repeat(np.arange(96) // 4, 96).reshape(96, 96),
    "median": lambda: median_filter(data.camera()[:96, :96], 5),
    "enlarged noise": lambda: np.kron(RNG.integers(0, 2, (24, 24)), np.ones((4, 4))),
    "constant": lambda: np.full((96, 96), 7),
    "one bright pixel": lambda: np.pad(np.ones((1, 1)), 47),
    "photograph": lambda: data.camera()[:96, :96],
    "colour": lambda: data.astronaut()[:96, :96],
    "zero around noise": lambda: np.where(blobs() > 0, 100 + RNG.standard_normal((96, 96)), 0),
    "floats": lambda: distance_transform_edt(blobs() > 0) + 1e-3 * RNG.standard_normal((96, 96)),
}


@pytest.mark.parametrize("name", MEASURED)
def test_what_was_measured_is_not_taken_for_a_drawing(name: str) -> None:
    x = np.asarray(MEASURED[name]())
    record = Record(x, "YXS" if x.ndim == 3 else "YX")
    assert exact.unfit(record, "YX") == ""


@given(st.floats(0.004, 0.996), st.integers(0, 2**31))
@settings(max_examples=30)
def test_independent_noise_of_two_values_is_never_a_mask(share: float, seed: int) -> None:
    x = (np.random.default_rng(seed).random((96, 96)) < share).astype("u1")
    assert exact.unfit(Record(x, "YX"), "YX") == ""


def ordered(x: np.ndarray) -> np.ndarray:
    """Thresholds on a grid of 4 × 4 pixels (Bayer, 1973)."""
    order = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]])
    return x / 255 > np.tile((order + 0.5) / 16, (len(x) // 4, x.shape[1] // 4))


def floyd_steinberg(x: np.ndarray) -> np.ndarray:
    return np.array(Image.fromarray(x).convert("1"))


@pytest.mark.parametrize("dither", [floyd_steinberg, ordered])
@pytest.mark.parametrize("name", ["camera", "moon", "coins", "gravel"])
def test_dithered_pictures_are_left_alone(name: str, dither: Callable) -> None:
    x = getattr(data, name)()
    x = x[: len(x) // 4 * 4, : x.shape[1] // 4 * 4]
    with pytest.raises(Unfit, match="a dithered picture"):
        hush.run(np.where(dither(x), 255, 0).astype("u1"), method="none")


def test_colours_may_be_dithered() -> None:
    x = np.moveaxis([ordered(data.astronaut()[..., i]) for i in range(3)], 0, -1)
    assert "dithered" in exact.unfit(Record(np.where(x, 255, 0).astype("u1"), "YXS"), "YX")


@given(st.floats(0.01, 1.5), st.integers(0, 2**31))
@settings(max_examples=30)
def test_single_photons_are_not_dithered(most: float, seed: int) -> None:
    photons = np.random.default_rng(seed).poisson(most * data.camera()[::3, ::3] / 255)
    assert not exact.dithered(np.minimum(photons, 1)[None])


def test_volumes_of_labels_are_left_alone() -> None:
    x = np.stack([cells(), cells()[::-1], cells().T]).astype("i2")
    record = Record(x, "ZYX", kind="volume")
    assert "labels" in kinds.get("volume").unfit(record)
    noisy = x + np.rint(2 * np.random.default_rng(0).standard_normal(x.shape)).astype("i2")
    assert kinds.get("volume").unfit(Record(noisy, "ZYX", kind="volume")) == ""


def test_a_batch_goes_on_without_them(tmp_path: Path) -> None:
    noisy = np.clip(np.random.default_rng(0).normal(99, 9, (64, 64)), 0, 255).astype("u1")
    io.write(Record(noisy, "YX"), tmp_path / "a.png")
    io.write(Record(DRAWN["mask 0/255"](), "YX"), tmp_path / "b.png")
    Image.fromarray(noisy).convert("P").save(tmp_path / "c.png")
    np.save(tmp_path / "d.npy", blobs() > 0)
    run = CliRunner().invoke(main, ["denoise", str(tmp_path), "--method", "none", "--json"])
    rows = [json.loads(line) for line in run.output.splitlines() if line.startswith("{")]
    assert run.exit_code == 0
    assert [row["skipped"] for row in rows] == [False, True, True, True]
    for row, why in zip(rows[1:], ("looks like a mask", "palette", "boolean"), strict=True):
        assert why in row["reason"]
        assert row["output"] is row["error"] is None
    assert [p.name for p in tmp_path.glob("*.denoised*")] == ["a.denoised.png"]

    alone = CliRunner().invoke(main, ["denoise", str(tmp_path / "b.png"), "--method", "none"])
    assert alone.exit_code == 1
    assert "looks like a mask" in alone.output
    forced = ["denoise", str(tmp_path / "b.png"), "--method", "none", "--force"]
    assert CliRunner().invoke(main, forced).exit_code == 0
    assert (tmp_path / "b.denoised.png").exists()
