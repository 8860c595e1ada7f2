"""Training data: sets of elements, and draws from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hush.errors import HushError
from hush.kinds.layout import check_dtype
from hush.kinds.points.elements import Elements
from hush.record import Record

if TYPE_CHECKING:
    from torch import Tensor

    from hush.kinds.points import Points

FEWEST = 25  #: elements below which nothing is learned from a set, and none of it is judged


@dataclass
class Sets:
    """Draws sets: their indices alone, because their sizes differ (as `hush.kinds.cut.Patches`).

    size : the most elements of a set that are used at once.
    """

    items: Sequence[Elements]
    size: int

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Tensor, list[int]]:
        """Seeds ``(count,)`` for what is drawn in each set, and the sets' indices."""
        import torch

        seeds = torch.from_numpy(rng.integers(2**53, size=count).astype(np.float64))
        return seeds, rng.integers(len(self.items), size=count).tolist()


def sets(data: Any, kind: Points) -> list[Elements]:
    """Sets with enough elements, of an array, or of a list of arrays, Records or sets."""
    if isinstance(data, Record | Elements) or (isinstance(data, np.ndarray) and data.ndim == 2):
        data = [data]
    found: list[Elements] = []
    for one in data:
        if isinstance(one, Elements):
            found.append(one)
            continue
        if not isinstance(one, Record):
            x = np.asarray(one)
            check_dtype(x)
            one = Record(x, kind.axes(x.shape), kind=kind.name, full=1.0)
        batch = kind.batch(one)
        found += [kind.elements(batch, i) for i in range(len(batch))]
    enough = [one for one in found if len(one) >= FEWEST]
    if not enough:
        raise HushError(
            f"there is no {kind.nouns[0]} with at least {FEWEST} {kind.element}s to train on"
        )
    return enough
