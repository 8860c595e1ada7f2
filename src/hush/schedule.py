"""How long to train; separate from `hush.training`, which takes seconds to import."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from hush.errors import HushError

TRAINED = "trained.safetensors"  #: in a training's folder, what was trained but is no better


@dataclass(frozen=True)
class Schedule:
    """How long and how to train.

    Set `max_steps` for a repeatable run, or `budget` in seconds of training time.
    `learning_rate` is the peak: after a warm-up over the first 2 %, it falls to 0 along a cosine.
    Gradients longer than `clip` are scaled to this length; 0 leaves all as they are.
    If `learning_rate`, `batch` or `clip` is None, the method uses its own value.
    """

    max_steps: int | None = None
    budget: float | None = None
    batch: int | None = None
    patch: int = 64
    learning_rate: float | None = None
    weight_decay: float = 0.01
    clip: float | None = None
    ema: float = 0.999
    validate_every: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.max_steps is None) == (self.budget is None):
            raise HushError("training needs either a number of steps or a time budget; give one")
        if (self.max_steps or self.budget or 0) <= 0:
            raise HushError("training needs more than 0 steps or seconds")
        if (self.batch is not None and self.batch < 1) or self.patch < 1:
            raise HushError("training needs a batch and patches of at least 1")
        rate = 1.0 if self.learning_rate is None else self.learning_rate
        if not (0 <= self.ema < 1 and 0 < rate < math.inf):
            raise HushError("training needs 0 ≤ ema < 1 and a learning rate above 0")
        if not (0 <= self.weight_decay < math.inf and 0 <= (self.clip or 0) < math.inf):
            raise HushError("training needs a weight decay from 0, and clip from 0")

    def settled(self, batch: int = 16, learning_rate: float = 1e-3, clip: float = 0.0) -> Schedule:
        """This schedule with its unset fields filled in."""
        return replace(
            self,
            batch=batch if self.batch is None else self.batch,
            learning_rate=learning_rate if self.learning_rate is None else self.learning_rate,
            clip=clip if self.clip is None else self.clip,
        )

    def rate(self, progress: float) -> float:
        """Learning rate at `progress` in [0, 1]."""
        peak = self.settled().learning_rate
        assert peak is not None
        warm = min(1.0, progress / 0.02 + 0.01)
        return peak * warm * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
