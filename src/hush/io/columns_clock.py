"""What a column of times or sample numbers says: rate and gaps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hush.io.channels import pieces
from hush.recording import let_go

_LATE = 1.5  #: steps after which the next sample is late: a gap
_MOST = 10_000  #: gaps; a column with more is no clock
_NICE = 7  #: decimals of a rate, at most


@dataclass(frozen=True)
class Clock:
    """Samples per unit of the column; None if unknown.

    breaks : rows at which times go on after a gap; step : the usual step.
    even : rising with even steps throughout, up to rounding; steady : even without any rounding.
    wraps : a counter that begins again and again. error : relative, of the rate.
    """

    rate: float | None = None
    breaks: tuple[int, ...] = ()
    step: float = 0.0
    even: bool = False
    wraps: bool = False
    steady: bool = False
    error: float = 0.0

    def rate_in(self, unit: float) -> float | None:
        """The simplest rate, in samples a second, that agrees with steps of so many seconds."""
        return self.rate and _simplest(self.rate / unit, self.error)


def clock_of(x: np.ndarray, digits: int) -> Clock:
    """What a column ``(T,)`` says; digits : decimals to which its numbers are rounded.

    `Clock.rate_in` is the simplest number that agrees with the times as they are rounded.
    """
    if len(x) < 2:
        return Clock()
    steps = np.diff(x[: min(len(x), 2**16)])
    exact = float(np.spacing(np.nanmax(np.abs(x[[0, -1]]))))  # 256 of nanoseconds since 1970
    rounding = max(10.0**-digits, exact)
    step = float(np.median(steps))
    if step <= 2 * rounding and np.mean(np.abs(steps - step) > 0.5 * rounding) > 0.1:
        step = float(np.mean(steps))  # times so rounded that neighbours may have the same
    if not np.isfinite(step) or step <= 0:
        return Clock(step=step if np.isfinite(step) else 0.0)
    span, count, breaks, uneven, unsteady, back = 0.0, 0, list[int](), 0, 0, 0
    last = None
    for part in pieces(len(x)):
        values = x[part]
        moves = np.diff(values) if last is None else np.diff(values, prepend=last)
        offset = part.start + (1 if last is None else 0)
        last = values[-1]
        let_go(x)
        if not np.isfinite(moves).all():
            return Clock(step=step)
        late = moves > _LATE * step + rounding
        backwards = moves < -rounding
        breaks += (np.flatnonzero(late) + offset).tolist()
        uneven += int(np.count_nonzero(np.abs(moves - step) > 0.01 * step + 1.01 * rounding))
        unsteady += int(np.count_nonzero(np.abs(moves - step) > 1e-6 * step + 2.1 * exact))
        back += int(np.count_nonzero(backwards))
        on = ~(late | backwards)
        span, count = span + float(moves[on].sum()), count + int(on.sum())
        if len(breaks) > _MOST:
            return Clock(step=step)
    if back or span <= 0:
        return Clock(step=step, wraps=step == 1 and uneven == back)
    steady, error = not unsteady, rounding / span
    return Clock(count / span, tuple(breaks), step, not uneven, steady=steady, error=error)


def _simplest(rate: float, error: float) -> float:
    """The number with the fewest digits within a relative error of a rate."""
    for digits in range(_NICE):
        if abs(round(rate, digits) - rate) <= max(error, 1e-9) * rate:
            return round(rate, digits)
    return rate
