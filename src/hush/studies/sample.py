"""One sample to test or train on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Sample:
    """A noisy array and its reference, ``(C, *S)``, float32, full range 1.

    noise : its process, if methods may be given it; None if they must estimate it.
    about : further data that metrics need, such as where a muscle works.
    """

    name: str
    noisy: np.ndarray
    reference: np.ndarray
    noise: Any = None
    about: Mapping[str, Any] = field(default_factory=dict)
