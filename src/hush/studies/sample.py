"""One sample to test or train on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hush.record import Record


@dataclass(frozen=True)
class Sample:
    """Noisy data and their reference.

    noisy, reference : arrays ``(C, *S)``, float32, full range 1; for sets, a `Record` with the
        context that methods need, and for each element whether it is an inlier, bool ``(N,)``.
    noise : its process, if methods may be given it; None if they must estimate it.
    about : further data that metrics need, such as where a muscle works.
    seed : of the run, for scores that draw random numbers.
    """

    name: str
    noisy: Any
    reference: Any
    noise: Any = None
    about: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0


def part(record: Record, where: np.ndarray) -> Record:
    """The rows of a set at `where`, bool ``(N,)``, with what the context says of each row."""
    context = {
        key: value[where] if np.shape(value)[:1] == where.shape else value
        for key, value in record.context.items()
    }
    return replace(record, data=record.data[where], context=context)
