"""Everything shared by methods that train one network on sets; a method adds its loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from hush.denoiser import Learns
from hush.errors import HushError
from hush.kinds.points.cut import FEWEST
from hush.kinds.points.elements import Elements
from hush.kinds.points.graph import Graph
from hush.schedule import Schedule
from hush.selecting import Selecting

HELD_OUT = 8  #: one set of so many is held out, at most 16

S = TypeVar("S", bound="LearnedSets")
#: a set and the random numbers for what is drawn in it
Drawn = tuple[Elements, np.random.Generator]


@dataclass
class LearnedSets(Selecting):
    """A network for the elements of sets; a method adds `build` and `loss`."""

    learns_from: ClassVar[Learns] = "noisy"
    #: defaults for the schedule's `batch` and `learning_rate`
    pace: ClassVar[Mapping[str, Any]] = {"batch": 2, "learning_rate": 2e-3}

    network_: nn.Module | None = field(default=None, init=False, repr=False)
    device_: str = field(default="cpu", init=False, repr=False)

    def build(self) -> nn.Module:
        """The untrained network for the kind's graphs."""
        raise NotImplementedError

    def loss(self, network: Any, drawn: Sequence[Drawn]) -> Mapping[str, Tensor]:
        """The loss on sets."""
        raise NotImplementedError

    @property
    def sizes(self) -> tuple[int, int]:
        """The numbers of features of an element and of an edge in the kind's graphs."""
        grid = np.random.default_rng(0).random((FEWEST, self.set_kind.least))
        graph = self.set_kind.graph(Elements(grid, np.ones(len(grid), bool)))
        return graph.nodes.shape[-1], graph.edges.shape[-1]

    @property
    def network(self) -> Any:
        """The trained network; `HushError` if there is none."""
        if self.network_ is None:
            raise self.untrained()
        return self.network_

    @property
    def is_trained(self) -> bool:
        """See `Denoiser.is_trained`."""
        return self.network_ is not None

    def fit(
        self: S,
        data: Any,
        *,
        schedule: Schedule | None = None,
        folder: Path | None = None,
        resume: bool = False,
        device: str = "auto",
        progress: bool | None = None,
        **options: Any,
    ) -> S:
        """Train on sets with outliers: arrays ``(N, D)``, Records or `Elements`."""
        if given := [name for name, value in options.items() if value]:
            raise HushError(
                f"{self.name} learns from {self.set_kind.nouns[1]} only; leave {given[0]} out"
            )
        sets = self.set_kind.sets(data)
        sets = [one for one in sets if self.set_kind.judgeable(one)]
        if not sets:
            raise HushError("all elements of each set lie on one line: there is nothing to learn")
        held_out = sets[::HELD_OUT][:16] if len(sets) > 1 else sets
        training = [x for i, x in enumerate(sets) if i % HELD_OUT or i >= 16 * HELD_OUT] or sets
        patch = self.set_kind.patch
        schedule = (schedule or Schedule(budget=600.0, patch=patch)).settled(**self.pace)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(schedule.seed)
            network = self.network_ or self.build()
        self.network_ = network

        def loss(
            seeds: Tensor, indices: list[int], _: torch.Generator, done: float
        ) -> Mapping[str, Tensor]:
            drawn = [np.random.default_rng(int(seed)) for seed in seeds.cpu().numpy()]
            sets = [
                part(training[i], schedule.patch, r) for i, r in zip(indices, drawn, strict=True)
            ]
            return self.loss(network, list(zip(sets, drawn, strict=True)))

        def validate() -> Mapping[str, float]:
            losses = []
            with torch.inference_mode():
                for i, elements in enumerate(held_out):
                    rng = np.random.default_rng(i)
                    parts = self.loss(network, [(part(elements, schedule.patch, rng), rng)])
                    losses.append(sum(float(value) for value in parts.values()))
            return {"val_loss": float(np.mean(losses))}

        from hush.training import train

        self.figures_ = train(
            network,
            self.set_kind.patches(training, schedule.patch),  # type: ignore[arg-type]
            loss,
            schedule,
            folder=folder,
            resume=resume,
            validate=validate,
            preview=lambda path: self._preview(held_out, path),
            device=device,
            progress=progress,
        )
        return self

    def _preview(self, held_out: Sequence[Elements], path: Path) -> None:
        """Write up to four held-out sets before and after denoising."""
        some = held_out[:4]
        after = [e.x[self.verdict(e, None).kept] for e in some]
        self.kind.preview([e.x for e in some], after, path)

    def to(self: S, device: str) -> S:
        """Run on `device` from now on, ``cpu`` or ``cuda``."""
        self.device_ = device
        if self.network_ is not None:
            self.network_.to(device)
        return self

    # -- files -----------------------------------------------------------------------------------

    def weights(self) -> Mapping[str, Tensor]:
        return {k: v.half() for k, v in self.network.state_dict().items()}

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        self.network_ = self.build()
        self.network_.load_state_dict({k: v.float() for k, v in tensors.items()})
        self.network_.eval()


def part(elements: Elements, most: int, rng: np.random.Generator) -> Elements:
    """At most so many elements of a set, at random."""
    if len(elements) <= most:
        return elements
    return elements.part(np.sort(rng.permutation(len(elements))[:most]))


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
