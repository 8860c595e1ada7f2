"""Test-time adaptation of MID: a short noisy-only training on the items to denoise."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hush.denoiser import Advance
from hush.kinds.cut import rms_level, split, splits
from hush.methods.mid.judging import loss_on
from hush.methods.mid.loss import FLOOR, States, loss_of
from hush.noise.process import Process
from hush.schedule import Schedule

#: How far the weights go from those before towards the trained ones: so much of the change in the
#: results has most of its gain, and a small part of what was learned from one item's own noise.
#: M. Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022.
SHARE = 0.25
FAR = (
    0.02  #: a model whose loss falls by more than this did not know such data, and goes all the way
)
#: root mean square of what is removed, relative to the noise. The best estimate of the noise has
#: less power than the noise itself; a model that removes more has learned to smooth, which the
#: held-out loss, with further noise, can take for a gain.
MOST = 1.01


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
    if model.networks_ is None:
        raise model.untrained()
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
    levels = [rms_level(p, x) for p, x in zip(processes, items, strict=True)]
    # Nor correlated noise: what `--adapt` gains by its spectrum was worse beside references.
    pairs = zip(processes, levels, strict=True)
    kept = [i for i, (law, level) in enumerate(pairs) if law.white and level > FLOOR]
    if not kept:
        return model
    schedule = Schedule(
        budget=seconds,
        batch=8,
        patch=model.kind.patch,
        learning_rate=2e-4,
        ema=0.99,
        seed=seed,
    )
    training, held_out = zip(*(split(items[i]) for i in kept), strict=True)
    processes = [processes[i] for i in kept]
    other = copy.copy(model)
    other.networks_ = copy.deepcopy(model.networks_)
    networks = other.networks_

    joint = loss_of(model, networks)

    def loss(
        states: States, indices: list[int], generator: torch.Generator, done: float
    ) -> Mapping[str, Tensor]:
        return {"noise_loss": joint(states, indices, generator, done)["noise_loss"]}

    from hush.training import train

    before = scores(model, held_out, processes)
    taken = _removed(model, held_out, processes)
    train(
        networks["noise"],
        model.states(networks, model.kind.patches(training, schedule.patch), processes),
        loss,
        schedule,
        device=model.device_,
        progress=False,
        advance=advance,
    )
    other.to(model.device_)
    gain = before - scores(other, held_out, processes)
    if gain.mean() <= FAR * before.mean():
        start, end = model.networks_["noise"].state_dict(), networks["noise"].state_dict()
        nearer = {k: torch.lerp(weight, end[k], SHARE) for k, weight in start.items()}
        networks["noise"].load_state_dict(nearer)
        gain = before - scores(other, held_out, processes)
    error = gain.std() / math.sqrt(len(gain))
    if gain.mean() <= error or _removed(other, held_out, processes) > max(MOST, taken):
        return model
    return other


def _removed(model: Any, items: Sequence[np.ndarray], processes: Sequence[Process]) -> float:
    """Root mean square of what a model removes from items, relative to their noise."""
    shares = [
        float(np.square(x - model.restore(x, process).data).mean()) / rms_level(process, x) ** 2
        for x, process in zip(items, processes, strict=True)
    ]
    return math.sqrt(float(np.mean(shares)))


def scores(
    model: Any, items: Sequence[np.ndarray], processes: Sequence[Process], draws: int = 8
) -> np.ndarray:
    """Φ's noisy-only loss on each item for each of `draws` frozen draws, relative to the level."""
    losses = []
    for x, process in zip(items, processes, strict=True):
        for draw in range(draws):
            generator = torch.Generator(model.device_).manual_seed(draw)
            with torch.inference_mode():
                parts = loss_on(model, model.networks_, model._tensor(x), [process], generator)
            losses.append(float(parts["noise_loss"]) / (rms_level(process, x) + FLOOR))
    return np.array(losses)
