"""One pass distilled from several: Φ learns what a trained model removes step by step.

A student of the iterated model needs one pass of one network, as DiffDenoise's (§3.6). Its target
is what the teacher removes in all its steps, averaged over the symmetries of the data: a function
of the state alone, without the noise that remains in a clean or further noisy target.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch

from hush.errors import HushError
from hush.methods.mid.below import taken

if TYPE_CHECKING:
    from hush.methods.mid.loss import States, Teach


def taught_by(start: Any, steps: int) -> Teach:
    """States with what a trained MID removes in `steps` as their targets."""
    if start is None:
        raise HushError("distil needs a model to learn from; give --start, or fit(start=...)")
    teacher = copy.copy(start.thorough())
    teacher.networks_ = copy.deepcopy(start.networks_).eval().requires_grad_(False)

    def teach(states: States) -> States:
        teacher.networks_.to(states.noisy.device)

        def whole(s: torch.Tensor, share: float) -> torch.Tensor:
            level = share * states.deviations
            noise: torch.Tensor = teacher.whole_noise(s, level, states.spectra, False)
            return noise

        with torch.no_grad():
            return states._replace(targets=taken(whole, states.noisy, steps, steps, teacher.power))

    return teach
