"""What studies test and train on: one sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Sample:
    """One thing to denoise: arrays ``(C, H, W)``, float32, full range 1.

    noise : the process that the noise is of, where it may be told; None leaves it to the method.
    """

    name: str
    noisy: np.ndarray
    reference: np.ndarray
    noise: Any = None
