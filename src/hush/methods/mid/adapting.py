"""Test-time adaptation of MID: noisy-only training on the items to denoise, in rounds.

Every round has twice the steps of the one before, and a learning rate that falls to 0. After each,
the network is judged on blocks that no round learns from, and taken over if it is surely better
there than the best so far. The time decides only how many rounds there are: a longer one goes on
from where a shorter one ends, so its result has a held-out loss that is at least as good. This is
what is needed for an anytime algorithm (S. Zilberstein, "Using anytime algorithms in intelligent
systems", AI Magazine 17, 1996).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter as now
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hush.denoiser import Advance
from hush.kinds.blocks import withheld
from hush.kinds.cut import Patches, rms_level, splits
from hush.methods.mid.loss import FLOOR, Lessons, States, further, noise_losses
from hush.noise.process import Process
from hush.schedule import Schedule

FIRST = 4  #: steps of the first round
DRAWS = (4, 16)  #: of further noise, in which a block is judged: the more, the smaller it is
VALUES = 2**17  #: judged in all draws, about
FEWEST, MOST = 3, 64  #: blocks that are judged
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
    items, processes = _collected(model, items, noise)
    if not items:
        return model
    masks, held = _held_out(items, processes)
    if sum(len(one.blocks) for one in held) < FEWEST:
        return model
    other = copy.copy(model)
    other.networks_ = copy.deepcopy(model.networks_)
    network, size = other.networks_["noise"], model.kind.patch
    lessons = model.states(other.networks_, model.kind.patches(items, size), processes)
    source = Freely(lessons, model.kind.patches(masks, size))

    def loss(
        drawn: tuple[States, Tensor], _: list[int], generator: torch.Generator, done: float
    ) -> dict[str, Tensor]:
        states, free = drawn
        return {"noise_loss": noise_losses(network, states, model.jitter, generator, free).mean()}

    def tell(_: float) -> None:
        if advance:
            advance(min(1.0, (now() - begun) / seconds))

    from hush.training import train

    best, least = model, scores(model, held)
    for index, steps in enumerate(_rounds(begun, seconds)):
        schedule = Schedule(
            max_steps=steps,
            batch=8,
            patch=size,
            learning_rate=2e-4,
            ema=0.99,
            seed=seed + (index << 32),
        )
        train(network, source, loss, schedule, device=model.device_, progress=False, advance=tell)
        found = scores(other.to(model.device_), held)
        if better(least - found):
            best, least = copy.copy(other), found
            best.networks_ = copy.deepcopy(other.networks_)
        elif better(found - least):
            break  # it has begun to learn the noise
    return best


def better(gains: np.ndarray) -> bool:
    """Whether gains, one for each block, are above 0 in the mean: Student's t-test, one-sided."""
    from scipy.stats import t

    error = gains.std(ddof=1) / math.sqrt(len(gains))
    return bool(gains.mean() > t.ppf(1 - CHANCE, len(gains) - 1) * error)


def _rounds(begun: float, seconds: float) -> Iterator[int]:
    """Steps of each round that ends in time, as far as the one before tells; of the first, too."""
    steps, pace = FIRST, 0.0
    while (start := now()) + pace * steps <= begun + seconds:
        yield steps
        pace = (now() - start) / steps
        steps *= 2


# -- what is learned from, and what is not ---------------------------------------------------------


def _collected(
    model: Any, items: Sequence[np.ndarray], noise: Process | None
) -> tuple[list[np.ndarray], list[Process]]:
    """Items as they are trained on, with their noise; those without noise or too small left out."""
    items = [model.prepared(x) for x in items]
    items = [x for x in items if splits(x)]  # the score needs a held-out part
    # Added noise has one level for an image: the identity fails for noise that was measured to vary
    # from place to place, and with it the held-out score.
    every = [(x, model.reviewed(x, model.measured(x))) for x in items]
    seen = [(x, f.uniform) for x, f in every if noise is not None or f.field is None]
    items = [model.cleaned(x, found) for x, found in seen]
    processes = [
        model.estimate(x, noise, found)[0] for x, (_, found) in zip(items, seen, strict=True)
    ]
    pairs = [(x, p) for x, p in zip(items, processes, strict=True) if rms_level(p, x) > FLOOR]
    return [x for x, _ in pairs], [p for _, p in pairs]


@dataclass(frozen=True)
class HeldOut:
    """Blocks of an item, see `hush.kinds.blocks.withheld`, and its noise."""

    blocks: np.ndarray
    judged: np.ndarray
    process: Process


@dataclass(frozen=True)
class Freely:
    """Lessons, and where they may be learned from ``(B, 1, *s)``: nowhere in what is held out."""

    lessons: Lessons
    masks: Patches

    def draw(self, count: int, rng: np.random.Generator) -> tuple[tuple[States, Tensor], list[int]]:
        """See `hush.methods.mid.loss.Lessons.draw`."""
        same = copy.deepcopy(rng)  # so that both are cut and turned alike
        states, indices = self.lessons.draw(count, rng)
        free, _ = self.masks.draw(count, same)
        return (states, free.repeat_interleave(len(states.noisy) // count, 0)), indices


def _held_out(
    items: Sequence[np.ndarray], processes: Sequence[Process]
) -> tuple[list[np.ndarray], list[HeldOut]]:
    """The masks of all items, and blocks of some, at most about `MOST`."""
    every = [withheld(x) for x in items]
    held = [HeldOut(b, judged, p) for (_, b, judged), p in zip(every, processes, strict=True)]
    most = max(1, MOST // max(len(one.blocks) for one in held))
    return [free for free, _, _ in every], held[:: -(-len(held) // most)]


def scores(model: Any, held: Sequence[HeldOut]) -> np.ndarray:
    """Φ's noisy-only loss on every block, relative to the level; the noise added is frozen."""
    network, octaves = model.networks_["noise"], model.networks_["step"].octaves
    found = []
    for one in held:
        x = torch.cat([model._tensor(block) for block in one.blocks])
        judged = torch.from_numpy(one.judged)[None].to(x.device)
        ladder, losses = model.added_noise(x.ndim - 2), torch.zeros(len(x))
        draws = min(max(VALUES // x[:, 0].numel(), DRAWS[0]), DRAWS[1])
        for draw in range(draws):
            generator = torch.Generator(x.device).manual_seed(draw)
            with torch.inference_mode():
                states = further(x, [one.process] * len(x), ladder, octaves, generator)
                each = noise_losses(network, states, 0.0, generator, judged)
            losses += each.unflatten(0, (len(x), -1)).mean(1).cpu() / draws
        level = rms_level(one.process, one.blocks.swapaxes(0, 1)) + FLOOR
        found.append(losses.numpy() / level)
    return np.concatenate(found)
