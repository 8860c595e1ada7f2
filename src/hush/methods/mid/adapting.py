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
from hush.methods.mid.loss import FLOOR
from hush.noise.process import Process
from hush.schedule import Schedule


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
    seen = [(x, model.reviewed(x, model.measured(x))) for x in items]
    items = [model.cleaned(x, found) for x, found in seen]
    processes = [
        model.estimate(x, noise, found)[0] for x, (_, found) in zip(items, seen, strict=True)
    ]
    levels = [rms_level(p, x) for p, x in zip(processes, items, strict=True)]
    kept = [i for i, level in enumerate(levels) if level > FLOOR]
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

    def loss(
        x: Tensor, indices: list[int], generator: torch.Generator, _: float
    ) -> Mapping[str, Tensor]:
        parts = model._loss(networks, x, [processes[i] for i in indices], generator)
        return {"noise_loss": parts["noise_loss"]}

    from hush.training import train

    before = model._scores(held_out, processes)
    train(
        networks["noise"],
        model.kind.patches(training, schedule.patch),
        loss,
        schedule,
        device=model.device_,
        progress=False,
        advance=advance,
    )
    gain = before - other.to(model.device_)._scores(held_out, processes)
    error = gain.std() / math.sqrt(len(gain))
    return other if gain.mean() > error else model
