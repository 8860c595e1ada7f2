"""Everything shared by methods that train one network on alignments; a method adds its loss."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from hush.bases.draws import LearnedDraws
from hush.bases.selecting_rows import RowSelection
from hush.denoiser import Advance
from hush.errors import HushError
from hush.kinds.alignment import Alignment
from hush.kinds.alignment.cut import FEWEST, part
from hush.kinds.alignment.family import Family, different
from hush.noise.process import Process
from hush.schedule import Schedule

DRAWS = 16  #: by which a model is judged before and after it adapts
SHOWN = 256  #: rows of an alignment that a preview shows

R = TypeVar("R", bound="LearnedRows")
#: a family and the random numbers for what is drawn in it
Drawn = tuple[Family, np.random.Generator]


@dataclass
class LearnedRows(LearnedDraws, RowSelection):
    """A network for the rows of alignments; a method adds `build` and `loss`."""

    adapts: ClassVar[bool] = True
    pace: ClassVar[Mapping[str, Any]] = {"batch": 1, "learning_rate": 2e-3}

    def drawn(self, item: Family, most: int, rng: np.random.Generator) -> Family:
        """At most so many rows, the query first."""
        return part(item, most, rng)

    @property
    def alignment(self) -> Alignment:
        """The kind of data."""
        kind = self.kind
        assert isinstance(kind, Alignment)
        return kind

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
        start: R | None = None,
        against: R | None = None,
        **options: Any,
    ) -> R:
        """Train on alignments: tokens ``(N, L)``, Records or `Family`, or a list of them."""
        if given := [name for name, value in options.items() if value]:
            raise HushError(f"{self.name} learns from alignments only; leave {given[0]} out")
        return self.trained(
            self.alignment.families(data),
            schedule=schedule,
            folder=folder,
            resume=resume,
            device=device,
            progress=progress,
            advance=advance,
            start=start,
            against=against,
        )

    def shown(self, items: Sequence[Family], path: Path) -> None:
        """See `LearnedDraws.shown`: half of the rows kept."""
        some = [part(one, SHOWN, np.random.default_rng(0)) for one in items]
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
        before = self.errors(every, patch, DRAWS)
        other.fit(every, schedule=schedule, device=self.device_, progress=False, advance=advance)
        gain = before - other.errors(every, patch, DRAWS)
        return other if gain.mean() > gain.std() / np.sqrt(len(gain)) else self
