"""Everything shared by methods that train one network on alignments; a method adds its loss."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from hush.denoiser import Advance, Learns
from hush.errors import HushError
from hush.kinds.alignment import Alignment
from hush.kinds.alignment.cut import FEWEST, part
from hush.kinds.alignment.family import Family, different
from hush.noise.process import Process
from hush.schedule import Schedule
from hush.selecting_rows import RowSelection

HELD_OUT = 8  #: one family of so many is held out, at most 16
DRAWS = 16  #: by which a model is judged before and after it adapts

R = TypeVar("R", bound="LearnedRows")
#: a family and the random numbers for what is drawn in it
Drawn = tuple[Family, np.random.Generator]


@dataclass
class LearnedRows(RowSelection):
    """A network for the rows of alignments; a method adds `build` and `loss`."""

    learns_from: ClassVar[Learns] = "noisy"
    adapts: ClassVar[bool] = True
    #: defaults for the schedule's `batch` and `learning_rate`
    pace: ClassVar[Mapping[str, Any]] = {"batch": 1, "learning_rate": 2e-3}

    network_: nn.Module | None = field(default=None, init=False, repr=False)
    device_: str = field(default="cpu", init=False, repr=False)

    def build(self) -> nn.Module:
        """The untrained network."""
        raise NotImplementedError

    def loss(self, network: Any, drawn: Sequence[Drawn]) -> Mapping[str, Tensor]:
        """The loss on families."""
        raise NotImplementedError

    def drawn(self, family: Family, most: int, rng: np.random.Generator) -> Family:
        """The part of a family that a loss sees: at most so many rows, the query first."""
        return part(family, most, rng)

    def error(self, network: Any, drawn: Drawn) -> float:
        """How badly the network does on a held-out family; the loss, if nothing tells more."""
        return sum(float(value) for value in self.loss(network, [drawn]).values())

    @property
    def alignment(self) -> Alignment:
        """The kind of data."""
        kind = self.kind
        assert isinstance(kind, Alignment)
        return kind

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

    def fit(
        self: R,
        data: Any,
        *,
        schedule: Schedule | None = None,
        folder: Path | None = None,
        resume: bool = False,
        device: str = "auto",
        progress: bool | None = None,
        advance: Advance | None = None,
        **options: Any,
    ) -> R:
        """Train on alignments: tokens ``(N, L)``, Records or `Family`, or a list of them."""
        if given := [name for name, value in options.items() if value]:
            raise HushError(f"{self.name} learns from alignments only; leave {given[0]} out")
        every = self.alignment.families(data)
        held_out = every[::HELD_OUT][:16] if len(every) > 1 else every
        training = [x for i, x in enumerate(every) if i % HELD_OUT or i >= 16 * HELD_OUT] or every
        patch = self.alignment.patch
        schedule = (schedule or Schedule(budget=600.0, patch=patch)).settled(**self.pace)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(schedule.seed)
            network = self.network_ or self.build()
        self.network_ = network

        def loss(
            seeds: Tensor, indices: list[int], _: torch.Generator, done: float
        ) -> Mapping[str, Tensor]:
            rngs = [np.random.default_rng(int(seed)) for seed in seeds.cpu().numpy()]
            seen = [
                self.drawn(training[i], schedule.patch, rng)
                for i, rng in zip(indices, rngs, strict=True)
            ]
            return self.loss(network, list(zip(seen, rngs, strict=True)))

        def validate() -> Mapping[str, float]:
            losses = self._errors(network, held_out, schedule.patch, len(held_out))
            return {"val_loss": float(np.mean(losses))}

        from hush.training import train

        self.figures_ = train(
            network,
            self.alignment.patches(training, schedule.patch),  # type: ignore[arg-type]
            loss,
            schedule,
            folder=folder,
            resume=resume,
            validate=validate,
            preview=lambda path: self._preview(held_out, path),
            device=device,
            progress=progress,
            advance=advance,
        )
        self.network_.to(self.device_)
        return self

    def _errors(self, network: Any, every: Sequence[Family], patch: int, draws: int) -> np.ndarray:
        """`error` for so many repeatable draws from families, in turn ``(draws,)``."""
        losses = []
        with torch.inference_mode():
            for i in range(draws):
                rng = np.random.default_rng(i)
                seen = self.drawn(every[i % len(every)], patch, rng)
                losses.append(self.error(network, (seen, rng)))
        return np.array(losses)

    def _preview(self, held_out: Sequence[Family], path: Path) -> None:
        """Write up to four held-out families, half of the rows kept."""
        some = [part(one, 256, np.random.default_rng(0)) for one in held_out[:4]]
        after = [one.tokens[self.choose(one, -(-len(one) // 2)).kept] for one in some]
        self.kind.preview([one.tokens for one in some], after, path)

    def adapt(
        self: R,
        items: Sequence[np.ndarray],
        seconds: float,
        *,
        noise: Process | None = None,
        seed: int = 0,
        advance: Advance | None = None,
        about: Sequence[Mapping[str, Any]] = (),
    ) -> R:
        """See `Denoiser.adapt`; items are tokens ``(L, N)``."""
        network = self.network
        every = []
        for i, item in enumerate(items):
            rows, told = item.T.astype(np.uint8), about[i] if about else {}
            whole = len(told.get("names", rows)) == len(rows)  # else cut, maybe without the query
            query = self.alignment.query(told, len(rows)) if whole else 0
            every.append(different(rows, query)[0])
        every = [one for one in every if len(one) >= FEWEST]
        if not every:
            return self
        other = copy.copy(self)
        other.network_ = copy.deepcopy(network)
        patch = self.alignment.patch
        schedule = Schedule(budget=seconds, patch=patch, ema=0.99, seed=seed)
        before = self._errors(network, every, patch, DRAWS)
        other.fit(every, schedule=schedule, device=self.device_, progress=False, advance=advance)
        gain = before - self._errors(other.network, every, patch, DRAWS)
        return other if gain.mean() > gain.std() / np.sqrt(len(gain)) else self

    def to(self: R, device: str) -> R:
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
