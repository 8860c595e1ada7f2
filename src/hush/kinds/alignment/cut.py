"""Training data: families, and draws from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hush.errors import HushError
from hush.kinds.alignment.alphabet import DNA, RNA
from hush.kinds.alignment.family import Family
from hush.record import Record

if TYPE_CHECKING:
    from torch import Tensor

    from hush.kinds.alignment import Alignment

FEWEST = 16  #: different rows below which nothing is learned from an alignment


@dataclass
class Families:
    """Draws families (as `hush.kinds.cut.Patches`): their indices alone, as their sizes differ.

    size : the most rows of a family that are used at once.
    """

    items: Sequence[Family]
    size: int

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Tensor, list[int]]:
        """Seeds ``(count,)`` for what is drawn in each family, and the families' indices."""
        import torch

        seeds = torch.from_numpy(rng.integers(2**53, size=count).astype(np.float64))
        return seeds, rng.integers(len(self.items), size=count).tolist()


def families(data: Any, kind: Alignment) -> list[Family]:
    """Families with enough rows, of tokens ``(N, L)``, or of a list of these, Records or families.

    `HushError` if no alignment has enough of them.
    """
    if isinstance(data, Record | Family) or (isinstance(data, np.ndarray) and data.ndim == 2):
        data = [data]
    found: list[Family] = []
    for one in data:
        if isinstance(one, Family):
            found.append(one)
            continue
        if not isinstance(one, Record):
            x = np.asarray(one)
            one = Record(x, kind.axes(x.shape), kind=kind.name, full=1.0)
        found.append(kind.family(one))
    usable = [one for one in found if enough(one)]
    if not usable:
        raise HushError(
            f"there is no {kind.nouns[0]} with at least {FEWEST} different {kind.element}s of "
            "proteins to train on"
        )
    return usable


def enough(family: Family) -> bool:
    """Whether there is something to learn from a family: different rows, and no nucleotides."""
    return len(family) >= FEWEST and family.alphabet.name not in (RNA.name, DNA.name)


def part(family: Family, most: int, rng: np.random.Generator) -> Family:
    """The query and at most ``most - 1`` other rows of a family, at random."""
    if len(family) <= most:
        return family
    others = 1 + rng.choice(len(family) - 1, max(most, 1) - 1, replace=False)
    return family.part(np.r_[0, np.sort(others)])
