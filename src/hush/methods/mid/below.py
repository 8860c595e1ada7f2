r"""States below the collected level, and what several steps remove, for training.

On the way down (algorithm 2) Φ meets states from which a part of the noise was already taken, by
itself. They are not clean data with less noise: the rest contains what Φ could not tell from noise,
fine structure that it removed and coarse noise that it did not, and neither is independent of the
data. No state of algorithm 1 is like that, and noisy-only training has none below v_0 at all.

So Φ learns on its own walk. If :math:`s_t' = s_t - r(s_t)` with any function r of the state, then

.. math:: E[s_t' - x \mid s_t] = E[s_t - x \mid s_t] - r(s_t),

and a target whose expectation is the whole noise of s_t becomes one for s_t' when r is subtracted.
The identity of exchangeable increments therefore holds below v_0, too: no clean data is needed, and
no estimate serves as a target.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: lengths of the walks, one of which is drawn for each batch
LENGTHS = (2, 4)

#: (states, their level as a share of the initial one) → estimate of the whole noise
Whole = Callable[[Tensor, float], Tensor]


def walked(
    whole: Whole,
    s: Tensor,
    targets: Tensor,
    share: float,
    generator: torch.Generator,
    power: float = 1.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """A `share` of the states ``(B, C, *s)`` a random number of steps further down.

    whole : Φ on the first states, which are those that walk; power : see `walk_down`. Returns
    states, targets, and each one's level as a share of the initial one, ``(B, 1, …)``.
    """
    left = torch.ones((len(s), *[1] * (s.ndim - 1)), device=s.device)
    count = 2 * round(share * len(s) / 2)  # states come in pairs
    if not count:
        return s, targets, left
    length = LENGTHS[_below(len(LENGTHS), generator)]
    steps = 1 + _below(length - 1, generator)
    with torch.no_grad():
        removed = taken(whole, s[:count], length, steps, power)
    left[:count] = (1 - steps / length) ** power
    rest = torch.zeros_like(s[count:])
    removed = torch.cat([removed, rest])
    return s - removed, targets - removed, left


def taken(whole: Whole, s: Tensor, length: int, steps: int, power: float = 1.0) -> Tensor:
    """What the first `steps` of `length` remove from states (`hush.sampling.walk_down`)."""
    start = s
    for t in range(length, length - steps, -1):
        s = s - whole(s, (t / length) ** power) / t
    return start - s


def _below(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator, device=generator.device))
