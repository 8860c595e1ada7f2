"""The Python API: what it refuses, and what it keeps in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hush
from hush.api import Planes
from hush.methods import get


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"noise": 5}, "noise is a text such as 'gaussian:25/255', or a Process, not 5"),
        ({"steps": 1.5}, "steps is a whole number, 1 or more, not 1.5"),
        ({"steps": 0}, "steps is a whole number, 1 or more, not 0"),
        ({"adapt": -3}, "adapt is the seconds to train on the image first, from 0, not -3"),
        ({"adapt": "60s"}, "adapt is the seconds to train on the image first, from 0, not '60s'"),
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
    planes = Planes(most=x.size)
    planes.add(hush.Record(x[:3], "TCYX"))
    planes.add(hush.Record(x[3:], "TCYX"))
    np.testing.assert_array_equal(planes.kept, x)


def test_many_planes_are_thinned_evenly_in_a_bounded_memory() -> None:
    planes = Planes(most=10 * 64)
    for i in range(100):
        planes.add(hush.Record(np.full((2, 8, 8), i, np.float32), "ZYX"))
        assert sum(x.size for x in planes.kept) <= planes.most
    numbers = [int(x[0, 0, 0]) for x in planes.kept]
    assert len(numbers) >= 5
    assert len(set(np.diff(numbers))) == 1
    assert numbers[-1] >= 100 - 2 * np.diff(numbers)[0]


def test_of_a_huge_plane_the_middle_is_adapted_to() -> None:
    x = np.arange(40 * 60, dtype=np.float32).reshape(40, 60)
    planes = Planes(most=600)
    planes.add(hush.Record(x, "YX"))
    np.testing.assert_array_equal(planes.kept[0][0], x[10:30, 15:45])
