"""One sample to test or train on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Sample:
    """A noisy array and its reference, ``(C, H, W)``, float32, full range 1.

    noise : its process, if methods may be given it; None if they must estimate it.
    """

    name: str
    noisy: np.ndarray
    reference: np.ndarray
    noise: Any = None
