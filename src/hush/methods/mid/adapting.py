r"""Test-time adaptation of MID: noisy-only training on the items to denoise, in rounds.

The items are divided into two observations with independent noise (`hush.noise.halves`):

.. math:: s' = s_0 + \Delta, \quad s'' = s_0 - \Delta/\epsilon, \quad
          \operatorname{Var} \Delta = \epsilon\,v_0.

The network learns from s' alone, which is little noisier than s_0. It does not know the noise in
s'', so the expectation of |result for s' − s''|² is the error beside the truth plus a constant,
even if the network has learned the noise of s' by heart.

Every round has twice the steps of the one before, and a learning rate that falls to 0. After each,
the network is taken over if it is surely better than the best so far. The time decides only how
many rounds there are: a longer one goes on from where a shorter one ends. That makes it an anytime
algorithm (S. Zilberstein, "Using anytime algorithms in intelligent systems", AI Magazine 17, 1996).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter as now
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hush.denoiser import Advance
from hush.kinds.cut import rms_level, splits, to_compare
from hush.methods.mid.loss import FLOOR, States, joint_loss
from hush.noise.halves import divisible, thinned
from hush.noise.process import Process
from hush.noise.stabilise import stabilised
from hush.schedule import Schedule

EPSILON = 0.25  #: variance that s' has beyond that of the item, relative to it
FIRST = 4  #: steps of the first round
JUDGED = 2**20  #: samples of s' and s'' that are judged, at most about
CELLS = 64  #: that the errors of an item are compared in
CHANCE = 0.05  #: of taking over a network that is no better, each time


def adapted(
    model: Any,
    items: Sequence[np.ndarray],
    seconds: float,
    *,
    noise: Process | None,
    seed: int,
    advance: Advance | None,
) -> Any:
    """See `hush.methods.mid.core.ValueMID.adapt`; `model` is a `ValueMID`."""
    begun = now()
    if model.networks_ is None:
        raise model.untrained()
    pairs = [Thinned.of(x, law, seed) for x, law in _collected(model, items, noise)]
    judged = [part for pair in pairs for part in pair.judged(len(pairs))]
    if not judged:
        return model
    other = copy.copy(model)
    other.networks_ = copy.deepcopy(model.networks_)
    networks, size = other.networks_, model.kind.patch
    patches = model.kind.patches([pair.seen for pair in pairs], size)
    lessons = model.states(networks, patches, [pair.law for pair in pairs])
    del pairs  # and with them s'', of which a part is judged

    def loss(
        states: States, _: list[int], generator: torch.Generator, done: float
    ) -> Mapping[str, Tensor]:
        more = {"below": model.below, "power": model.power}
        parts = joint_loss(networks, states, model.jitter, model.cell, generator, **more)
        return {"noise_loss": parts["noise_loss"]}

    def tell(_: float) -> None:
        if advance:
            advance(min(1.0, (now() - begun) / seconds))

    from hush.training import train

    best, least = model, errors(model, judged)
    for index, steps in enumerate(_rounds(begun, seconds)):
        schedule = Schedule(
            max_steps=steps,
            batch=8,
            patch=size,
            learning_rate=2e-4,
            ema=0.99,
            seed=seed + (index << 32),
        )
        train(
            networks["noise"],
            lessons,
            loss,
            schedule,
            device=model.device_,
            progress=False,
            advance=tell,
        )
        found = errors(other.to(model.device_), judged)
        if better(least - found):
            best, least = copy.copy(other), found
            best.networks_ = copy.deepcopy(networks)
        elif better(found - least):
            break  # it has begun to learn the noise
    return best


def better(gains: np.ndarray) -> bool:
    """Whether gains, one for each cell, are above 0 in the mean: Student's t-test, one-sided."""
    from scipy.stats import t

    if len(gains) < 2:
        return False
    error = gains.std(ddof=1) / math.sqrt(len(gains))
    return bool(gains.mean() > t.ppf(1 - CHANCE, len(gains) - 1) * error)


def _rounds(begun: float, seconds: float) -> Iterator[int]:
    """Steps of each round that ends in time, as far as the one before tells; of the first, too."""
    steps, pace = FIRST, 0.0
    while (start := now()) + pace * steps <= begun + seconds:
        yield steps
        pace = (now() - start) / steps
        steps *= 2


def _collected(
    model: Any, items: Sequence[np.ndarray], noise: Process | None
) -> list[tuple[np.ndarray, Process]]:
    """Items with their noise, if that can be divided; those without noise are left out."""
    items = [model.prepared(x) for x in items]
    items = [x for x in items if splits(x)]
    # Added noise has one level for an image: the identity fails for noise that was measured to vary
    # from place to place.
    every = [(x, model.reviewed(x, model.measured(x))) for x in items]
    seen = [(x, f.uniform) for x, f in every if noise is not None or f.field is None]
    cleaned = [(model.cleaned(x, found), found) for x, found in seen]
    pairs = [(x, model.estimate(x, noise, found)[0]) for x, found in cleaned]
    return [(x, law) for x, law in pairs if rms_level(law, x) > FLOOR and divisible(law)]


@dataclass(frozen=True)
class Thinned:
    """Two observations of an item ``(C, *S)``: s', which is learned from, and s''.

    law : of the noise of s'.
    """

    seen: np.ndarray
    unseen: np.ndarray
    law: Process

    @classmethod
    def of(cls, x: np.ndarray, law: Process, seed: int) -> Thinned:
        """Those of an item with noise of this law."""
        seen, unseen = thinned(x, law, 1 + EPSILON, seed)
        return cls(seen, unseen, law.scaled(1 + EPSILON))

    def judged(self, count: int) -> Sequence[Thinned]:
        """The part that is judged, if there are so many items; nothing of items too small."""
        parts = to_compare([np.concatenate([self.seen, self.unseen])], JUDGED // count)
        return [Thinned(part[: len(self.seen)], part[len(self.seen) :], self.law) for part in parts]


def errors(model: Any, pairs: Sequence[Thinned]) -> np.ndarray:
    """Squared errors of results for s' beside s'', in cells, relative to the variance of s'."""
    found = []
    for pair in pairs:
        form, law, x = stabilised(pair.law), pair.law, pair.seen
        if form is not None:
            x, law = form[0](x).astype(np.float32), form[1]
        made = x - model.predicted(x, law, False)
        made = made if form is None else form[0].inverse(made)
        level = rms_level(pair.law, pair.seen)
        found.append(_cells((made - pair.unseen) ** 2) / level**2)
    return np.concatenate(found)


def _cells(values: np.ndarray) -> np.ndarray:
    """Means of values ``(C, *S)`` in up to `CELLS` cells."""
    parts, ndim = [values.mean(0)], values.ndim - 1
    most = round(CELLS ** (1 / ndim))
    for axis in range(ndim):
        parts = [cell for part in parts for cell in np.array_split(part, most, axis)]
    return np.array([part.mean() for part in parts if part.size])
