"""The elements of a set that can be judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Elements:
    """Elements with finite coordinates.

    x : coordinates ``(n, d)``, float64; known : which rows of the input these are, bool ``(N,)``.
    rows : further values of each, ``(n,)``, by name; about : the context of the set.
    """

    x: np.ndarray
    known: np.ndarray
    rows: Mapping[str, np.ndarray] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.x)

    def spread(self, values: np.ndarray, empty: Any) -> np.ndarray:
        """Values ``(n,)`` as values of all rows ``(N,)``; `empty` for those not judged."""
        out = np.full(len(self.known), empty, np.result_type(values, type(empty)))
        out[self.known] = values
        return out

    def part(self, where: np.ndarray) -> Elements:
        """The elements at `where`, bool or indices, as a set of their own."""
        rows = {k: v[where] for k, v in self.rows.items()}
        x = self.x[where]
        return Elements(x, np.ones(len(x), bool), rows, self.about)
