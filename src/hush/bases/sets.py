"""Everything shared by methods that train one network on sets; a method adds its loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from hush.bases.draws import LearnedDraws
from hush.bases.selecting import Selecting
from hush.errors import HushError
from hush.kinds.points.cut import FEWEST
from hush.kinds.points.elements import Elements
from hush.kinds.points.graph import Graph
from hush.schedule import Schedule

S = TypeVar("S", bound="LearnedSets")
#: a set and the random numbers for what is drawn in it
Drawn = tuple[Elements, np.random.Generator]


@dataclass
class LearnedSets(LearnedDraws, Selecting):
    """A network for the elements of sets; a method adds `build` and `loss`."""

    pace: ClassVar[Mapping[str, Any]] = {"batch": 2, "learning_rate": 2e-3}

    def drawn(self, item: Elements, most: int, rng: np.random.Generator) -> Elements:
        """At most so many elements of a set, at random."""
        if len(item) <= most:
            return item
        return item.part(np.sort(rng.permutation(len(item))[:most]))

    @property
    def sizes(self) -> tuple[int, int]:
        """The numbers of features of an element and of an edge in the kind's graphs."""
        grid = np.random.default_rng(0).random((FEWEST, self.set_kind.least))
        graph = self.set_kind.graph(Elements(grid, np.ones(len(grid), bool)))
        return graph.nodes.shape[-1], graph.edges.shape[-1]

    def fit(
        self: S,
        data: Any,
        *,
        schedule: Schedule | None = None,
        folder: Path | None = None,
        resume: bool = False,
        device: str = "auto",
        progress: bool | None = None,
        start: S | None = None,
        against: S | None = None,
        **options: Any,
    ) -> S:
        """Train on sets with outliers: arrays ``(N, D)``, Records or `Elements`."""
        if given := [name for name, value in options.items() if value]:
            raise HushError(
                f"{self.name} learns from {self.set_kind.nouns[1]} only; leave {given[0]} out"
            )
        sets = [one for one in self.set_kind.sets(data) if self.set_kind.judgeable(one)]
        if not sets:
            raise HushError("all elements of each set lie on one line: there is nothing to learn")
        return self.trained(
            sets,
            schedule=schedule,
            folder=folder,
            resume=resume,
            device=device,
            progress=progress,
            start=start,
            against=against,
        )

    def shown(self, items: Sequence[Elements], path: Path) -> None:
        after = [one.x[self.verdict(one, None).kept] for one in items]
        self.kind.preview([one.x for one in items], after, path)


def tensors(
    graphs: Sequence[Graph], further: Sequence[np.ndarray], device: str | torch.device
) -> tuple[Tensor, Tensor, Tensor, list[int]]:
    """Graphs one after the other, as `hush.nets.sets` takes them.

    further : features of the elements of each graph, beside those of its nodes.
    """
    sizes = [len(g.nodes) for g in graphs]
    starts = np.cumsum([0, *sizes[:-1]])
    index = np.concatenate([g.index + start for g, start in zip(graphs, starts, strict=True)])
    edges = np.concatenate([g.edges for g in graphs])
    nodes = np.concatenate(
        [np.concatenate([g.nodes, f], 1) for g, f in zip(graphs, further, strict=True)]
    ).astype(np.float32)
    made = (torch.from_numpy(a).to(device) for a in (nodes, index, edges))
    return (*made, sizes)  # type: ignore[return-value]
