"""Every setting of every method that needs no training: a wrong value gets a sentence, or works."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

import hush
from hush.errors import HushError
from hush.methods import METHODS, get
from hush.settings import settings_of

RNG = np.random.default_rng(0)
DATA: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "image": (RNG.normal(100, 10, (40, 44)).astype("f4"), {}),
    "signal": (RNG.normal(0, 1, (1, 3000)), {"rate": 500.0}),
    "points": (np.r_[np.repeat(np.linspace(0, 1, 60), 2).reshape(-1, 2), RNG.random((40, 2))], {}),
}
WRONG: dict[type, tuple[Any, ...]] = {
    int: (-1, 0),
    float: (-1.0, 0.0, math.nan),
    str: ("nonsense",),
}


def cases() -> list[Any]:
    found = []
    for kind in DATA:
        for name in METHODS:
            cls = get(name)
            if cls.learns_from != "nothing" or (kind not in get(name, None).kinds):
                continue
            try:
                own = settings_of(get(name, kind))
            except HushError:
                continue
            found += [
                pytest.param(kind, name, setting, wrong, id=f"{kind}-{name}-{setting}={wrong}")
                for setting, value in own.items()
                if setting != "seconds"
                for wrong in WRONG.get(type(value), ())
            ]
    return found


@pytest.mark.parametrize(("kind", "name", "setting", "wrong"), cases())
def test_a_wrong_value_gets_a_sentence(kind: str, name: str, setting: str, wrong: Any) -> None:
    x, context = DATA[kind]
    settings = {setting: wrong}
    if "seconds" in settings_of(get(name, kind)):
        settings["seconds"] = 0.2
    with suppress(HushError):
        hush.run(x, kind=kind, context=context, method=name, settings=settings)
