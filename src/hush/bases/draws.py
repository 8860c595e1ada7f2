"""Everything shared by methods that train one network on parts drawn from items of unlike sizes.

Items are sets of elements (`hush.bases.sets`) or alignments (`hush.bases.rows`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from hush.denoiser import Advance, Denoiser, Learns
from hush.nets import placed
from hush.schedule import Schedule
from hush.starting import Comparison, Losses, begin, gently, put_aside, settled

COMPARED = 32  #: draws on which two models are compared, at least
HELD_OUT = 8  #: one item of so many is held out, at most 16

L = TypeVar("L", bound="LearnedDraws")


@dataclass
class LearnedDraws(Denoiser):
    """A network; a base adds `drawn` and `fit`, a method `build` and `loss`."""

    learns_from: ClassVar[Learns] = "noisy"
    #: defaults for the schedule's `batch` and `learning_rate`
    pace: ClassVar[Mapping[str, Any]] = {}

    network_: nn.Module | None = field(default=None, init=False, repr=False)
    device_: str = field(default="cpu", init=False, repr=False)
    compared_: Comparison | None = field(default=None, init=False, repr=False)

    def build(self) -> nn.Module:
        """The untrained network."""
        raise NotImplementedError

    def drawn(self, item: Any, most: int, rng: np.random.Generator) -> Any:
        """The part of an item that a loss sees, at most so many elements of it."""
        raise NotImplementedError

    def loss(self, network: Any, drawn: Sequence[Any]) -> Mapping[str, Tensor]:
        """The loss on parts, each with the random numbers for what is drawn in it."""
        raise NotImplementedError

    def error(self, network: Any, drawn: Any) -> float:
        """How badly the network does on a held-out part; the loss, if nothing tells more."""
        return sum(float(value) for value in self.loss(network, [drawn]).values())

    def shown(self, items: Sequence[Any], path: Path) -> None:
        """Write a PNG of items before and after denoising."""
        raise NotImplementedError

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

    # -- training ----------------------------------------------------------------------------------

    def trained(
        self: L,
        items: Sequence[Any],
        *,
        schedule: Schedule | None = None,
        folder: Path | None = None,
        resume: bool = False,
        device: str = "auto",
        progress: bool | None = None,
        advance: Advance | None = None,
        start: L | None = None,
        against: L | None = None,
    ) -> L:
        """This method after training on some of the items; the others are held out.

        start : a trained model to take the initial weights from. against : one to compare with on
        what is held out (`compared_`); if the training started from it and is not better in the
        end, its weights are kept.
        """
        held_out = items[::HELD_OUT][:16] if len(items) > 1 else items
        training = [x for i, x in enumerate(items) if i % HELD_OUT or i >= 16 * HELD_OUT] or items
        schedule = schedule or Schedule(budget=600.0, patch=self.kind.patch)
        if start is not None:
            schedule = gently(schedule, folder if resume else None, **self.pace)
        schedule = schedule.settled(**self.pace)
        most = schedule.patch
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(schedule.seed)
            network = self.network_ or self.build()
        if start is not None:
            begin(network, start.network.state_dict())
        self.network_ = network
        begun = copy.deepcopy(network.state_dict()) if start and start is against else None

        def loss(
            seeds: Tensor, indices: list[int], _: torch.Generator, done: float
        ) -> Mapping[str, Tensor]:
            rngs = [np.random.default_rng(int(seed)) for seed in seeds.cpu().numpy()]
            seen = [
                self.drawn(training[i], most, rng) for i, rng in zip(indices, rngs, strict=True)
            ]
            return self.loss(network, list(zip(seen, rngs, strict=True)))

        def validate() -> Mapping[str, float]:
            return {"val_loss": float(self.errors(held_out, most, len(held_out)).mean())}

        from hush.training import train

        self.figures_ = train(
            network,
            self.kind.patches(training, most),
            loss,
            schedule,
            folder=folder,
            resume=resume,
            validate=validate,
            preview=lambda path: self.shown(held_out[:4], path),
            device=device,
            progress=progress,
            advance=advance,
        )
        network.to(self.device_)
        if against is not None:
            other = against.network.to(self.device_)
            self.compared_ = settled(
                network,
                other,
                lambda n: self._losses(n, held_out, most),
                begun,
                len(items) > 1,
                lambda: put_aside(self, folder),
            )
        return self

    def _losses(self, network: Any, items: Sequence[Any], most: int) -> Losses:
        """Of repeatable draws from every item, with one network."""
        other = copy.copy(self)
        other.network_ = network
        each = other.errors(items, most, len(items) * max(2, -(-COMPARED // len(items))))
        return Losses(each.reshape(-1, len(items)).T)

    def errors(self, items: Sequence[Any], most: int, draws: int) -> np.ndarray:
        """`error` for so many repeatable draws from the items, in turn ``(draws,)``."""
        found = []
        with torch.inference_mode():
            for i in range(draws):
                rng = np.random.default_rng(i)
                seen = self.drawn(items[i % len(items)], most, rng)
                found.append(self.error(self.network, (seen, rng)))
        return np.array(found)

    def to(self: L, device: str) -> L:
        """Run on `device` from now on, ``cpu``, ``cuda`` or ``mps``."""
        self.device_ = device
        if self.network_ is not None:
            placed(self.network_, device)
        return self

    # -- files -----------------------------------------------------------------------------------

    def weights(self) -> Mapping[str, Tensor]:
        return {k: v.half() for k, v in self.network.state_dict().items()}

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        self.network_ = self.build()
        self.network_.load_state_dict({k: v.float() for k, v in tensors.items()})
        self.network_.eval()
