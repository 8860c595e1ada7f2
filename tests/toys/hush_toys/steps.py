"""A toy study: steps under white noise, wherever the data are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hush.metrics import psnr
from hush.studies.core import Case, Metric, Study
from hush.studies.sample import Sample


def samples(count: int, seed: int) -> Iterator[Sample]:
    for i in range(count):
        rng = np.random.default_rng((seed, i))
        clean = np.repeat(rng.random(8, np.float32), 32)[None]
        yield Sample(f"{i}", clean + rng.normal(0, 0.1, clean.shape).astype(np.float32), clean)


def cases(data: Path, *, quick: bool, only: str | None, **_: Any) -> Sequence[Case]:
    count = 2 if quick else 8
    return [Case({"data": "steps"}, partial(samples, count), count, kind="trace")]


STEPS = Study(
    "toys/steps", "Steps under white noise", cases, ("none", "median"), (Metric("psnr", psnr),)
)
