"""Flat gaps in a line of values, as of an electrode that was off or of packets that were lost.

A run of equal samples counts as a gap, if noise has such runs once in a million recordings, by how
often neighbours are equal just beside it; and if the line is as lively there as where it is calm
anywhere. So pauses in which a clean line comes to rest, and slow ones in whole numbers, do not fit.
"""

from __future__ import annotations

import math

import numpy as np

from hush.missing import Mask
from hush.recording import let_go

LEAST = 16  #: samples of the shortest gap
RAIL = 50  #: and at the ends of the range, where a strong signal is cut off
CHANCE = 1e-6
EQUAL = 0.5  #: share of equal neighbours beside a gap, up to which the line is noisy
SIDE = 64  #: samples beside a gap that are looked at
CALM = 0.1  #: share of the line that is calm
LIVELY = 0.4  #: of the activity in calm parts, and farther from the gap: beside it there is as much
FLAT = 0.5  #: share of a line up to which it is flat; beyond, it is paused and not dropped out
MOST = 4096  #: gaps of a line
CHUNK = 2**22  #: samples that are looked at together
WINDOWS = 512  #: in which the line's activity is measured


def gaps(x: np.ndarray, known: Mask | None = None) -> list[tuple[int, int]]:
    """Flat gaps in a line ``(T,)``, as start and stop; known : others are not looked at."""
    count = len(x)
    if count < 4 * SIDE:
        return []
    found, low, high = _runs(x)
    found = [(a, b) for a, b in found if (known is None or known[a:b].all()) and np.isfinite(x[a])]
    found = sorted(sorted(found, key=lambda run: run[0] - run[1])[:MOST])
    if not found or sum(b - a for a, b in found) > FLAT * count:
        return []
    calm = _calm(x)
    out = []
    for start, stop in found:
        at_rail = x[start] in (low, high)
        if stop - start >= (RAIL if at_rail else LEAST) and _dropped(x, start, stop, calm):
            out.append((start, stop))
    return out


def _dropped(x: np.ndarray, start: int, stop: int, calm: float) -> bool:
    """Whether the line is noisy on both sides of a run, and too noisy for it."""
    sides = [x[max(0, start - SIDE) : start], x[stop : stop + SIDE]]
    seen = [side.astype(np.float64) for side in sides if len(side) >= LEAST]
    if not seen:
        return False
    equal = max(float(np.mean(side[1:] == side[:-1])) for side in seen)
    if equal > EQUAL:
        return False
    most = math.log(len(x) / CHANCE) / -math.log(max(equal, 1 / SIDE))
    if stop - start <= most:
        return False
    nearest = [x[max(0, start - LEAST) : start], x[stop : stop + LEAST]]
    for side, near in zip(sides, nearest, strict=True):
        if len(side) >= LEAST:
            lively = _activity(side)
            if lively < LIVELY * calm or _activity(near) < LIVELY * lively:
                return False
    return True


def _activity(x: np.ndarray) -> float:
    """The mean size of second differences, which cancel slopes; of finite values."""
    second = np.abs(np.diff(x.astype(np.float64), 2))
    second = second[np.isfinite(second)]
    return float(second.mean()) if second.size else 0.0


def _calm(x: np.ndarray) -> float:
    """The activity of the calm parts of a line, flat ones aside."""
    starts = np.unique(np.linspace(0, len(x) - SIDE, WINDOWS).astype(int))
    parts = [x[s : s + SIDE].astype(np.float64) for s in starts]
    active = [_activity(part) for part in parts if np.mean(part[1:] == part[:-1]) <= EQUAL]
    return float(np.quantile(active, CALM)) if active else 0.0


def _runs(x: np.ndarray) -> tuple[list[tuple[int, int]], float, float]:
    """Runs of at least `LEAST` equal values, and the lowest and the highest value."""
    found: list[tuple[int, int]] = []
    low, high = np.inf, -np.inf
    begun = 0  # of the run that reaches into the next chunk
    for first in range(0, len(x), CHUNK):
        part = x[first : first + CHUNK + 1]  # with the first one of the next
        with np.errstate(invalid="ignore"):
            low, high = min(low, np.fmin.reduce(part)), max(high, np.fmax.reduce(part))
            ends = np.flatnonzero(part[1:] != part[:-1]) + first + 1
        edges = np.concatenate([[begun], ends])
        for k in np.flatnonzero(np.diff(edges) >= LEAST):
            found.append((int(edges[k]), int(edges[k + 1])))
        begun = int(edges[-1])
        let_go(x)
    if len(x) - begun >= LEAST:
        found.append((begun, len(x)))
    return found, float(low), float(high)
