"""From a recording's rate to a model's and back, so that every sample lies where it was.

Rates are converted by the nearest ratio of small integers up/down with a polyphase low-pass filter
(`scipy.signal.resample_poly`). Sample k of the result lies at sample k·down/up of the input. A part
of a recording gives the same samples as the whole, if it begins at a multiple of `multiple` and
extends `reach` samples beyond what is used.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from hush.errors import HushError

#: limit for the larger of the two integers; the target is met within 0.1 %
FINEST = 128
#: half the low-pass filter, in samples of the lower of the two rates (scipy's default)
TAPS = 10


def ratio(rate: float, target: float) -> tuple[int, int]:
    """The integers (up, down), without a common factor, with up/down ≈ target/rate."""
    if not (0 < rate < math.inf and 0 < target < math.inf):
        raise HushError(f"rates are above 0 samples a second, not {rate:g} and {target:g}")
    slower = target < rate
    near = Fraction(min(rate, target) / max(rate, target)).limit_denominator(FINEST)
    if not near:
        raise HushError(
            f"a rate of {rate:g} samples a second is too far from {target:g}; resample the "
            "recording first"
        )
    return near.as_integer_ratio() if slower else near.as_integer_ratio()[::-1]


def to_rate(x: np.ndarray, rate: float, target: float) -> np.ndarray:
    """Samples ``(..., T)`` at `rate` as ``(..., ceil(T·up/down))`` at `target`, of one dtype."""
    return _resampled(x, *ratio(rate, target))


def back(y: np.ndarray, rate: float, target: float, length: int) -> np.ndarray:
    """What `to_rate` made of `length` samples, ``(..., length)`` at `rate` again."""
    up, down = ratio(rate, target)
    return _resampled(y, down, up)[..., :length]


def multiple(rate: float, target: float, unit: int = 1) -> int:
    """Parts that begin at a multiple of this many samples at `rate` begin, at `target`, at a
    multiple of `unit`."""
    up, down = ratio(rate, target)
    return down * unit // math.gcd(up, unit)


def reach(rate: float, target: float, radius: int = 0) -> int:
    """How many samples at `rate`, to either side, a result depends on: there, back, and in between
    `radius` samples at `target`."""
    up, down = ratio(rate, target)
    filters = 0 if up == down else 2 * TAPS * max(up, down) / up
    return math.ceil(radius * down / up + filters) + (up != down)


def _resampled(x: np.ndarray, up: int, down: int) -> np.ndarray:
    if up == down:
        return x
    from scipy.signal import resample_poly

    # Beyond its ends a recording goes on as its mirror image: beats there keep their height.
    made: np.ndarray = resample_poly(x, up, down, axis=-1, padtype="symmetric")
    return made.astype(x.dtype, copy=False)
