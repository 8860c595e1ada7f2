"""Pictures enlarged by repeating pixels: seen exactly, denoised at their own size, put back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hush
from hush.kinds import get
from hush.kinds.image import repeated
from hush.record import Record

IMAGE = get("image")
RNG = np.random.default_rng(0)


def enlarged(x: np.ndarray, rows: int, columns: int) -> np.ndarray:
    return x.repeat(rows, axis=-2).repeat(columns, axis=-1)


@given(st.integers(2, 8), st.integers(2, 8), st.integers(0, 1), st.integers(0, 1))
@settings(max_examples=20, deadline=None)
def test_the_factors_are_found_whatever_is_cut_off(r: int, c: int, down: int, across: int) -> None:
    x = np.random.default_rng(r).integers(0, 99, (2, 18, 17)).astype("u1")
    whole = enlarged(x, r, c)[:, : 18 * r - down, : 17 * c - across]
    record = IMAGE.recognised(Record(whole, "QYX"))
    assert repeated.factors_of(record) == (r, c)
    batch = IMAGE.batch(record)
    np.testing.assert_array_equal(np.stack(batch.data)[:, 0], x)
    np.testing.assert_array_equal(IMAGE.record(record, batch.data).data, whole)


@pytest.mark.parametrize(
    "x",
    [
        np.ones((64, 64)),  # blank
        np.tile(RNG.standard_normal(64), (64, 1)),  # columns
        RNG.standard_normal((64, 64)).round(),
        enlarged(RNG.standard_normal((8, 8)), 8, 8),  # labels of squares, or a test chart
        np.where(np.arange(64)[:, None] == 63, 1.0, enlarged(RNG.standard_normal((32, 32)), 2, 2)),
    ],
)
def test_other_pictures_are_not_taken_for_enlarged(x: np.ndarray) -> None:
    x = x.copy()
    x[-1, -1] += x.any() and not (x == x[0, 0]).all()
    assert repeated.factors_of(IMAGE.recognised(Record(x, "YX"))) == (1, 1)


def test_the_result_is_that_of_the_picture_itself() -> None:
    small = np.clip(RNG.normal(99, 9, (3, 40, 40)), 0, 255).astype("u1")
    large = enlarged(small, 2, 3)
    large[:, :8, :9], small[:, :4, :3] = 0, 0
    made = hush.run(Record(large, "QYX"), method="wiener", noise="gaussian:9/255")
    alone = hush.run(Record(small, "QYX"), method="wiener", noise="gaussian:9/255")
    np.testing.assert_array_equal(made.data, enlarged(alone.data, 2, 3))
    assert "repeating every pixel 3 × 2 times" in made.warnings[0]
    colour = np.moveaxis(large, 0, -1)
    record = IMAGE.recognised(Record(colour, "YXS"))
    assert repeated.factors_of(record) == (2, 3)
    np.testing.assert_array_equal(IMAGE.record(record, IMAGE.batch(record).data).data, colour)
