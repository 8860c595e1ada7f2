"""Interference over a whole image: offsets of rows and columns, and hum; see `hush.noise.lines`."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from hush.kinds.image.measure.hum import hum_in
from hush.kinds.image.measure.offsets import column_offsets
from hush.kinds.values import HARDLY, contrast
from hush.noise.lines import Lines, Wave
from hush.noise.processes import Hum, Process, Stripes
from hush.noise.units import fixed

CLIPPED = 0.002  #: least share of pixels at the lowest or the highest value of a clipped channel


def lines_in(x: np.ndarray, given: Process | None = None) -> Lines | None:
    """Rows, columns and hum of an image ``(C, H, W)``, NaN for unknown pixels; None without any.

    Those below `HARDLY` of the image's contrast do not count.

    given : noise that the user states; offsets of rows or columns, or hum, are then certain.
    """
    each = [_of_channel(plane, given) for plane in x]
    found = Lines(
        np.concatenate([own.rows for own in each]),
        np.concatenate([own.columns for own in each]),
        tuple(_placed(w, i, len(x)) for i, own in enumerate(each) for w in own.waves),
        tuple(_placed(w, i, len(x)) for i, own in enumerate(each) for w in own.doubtful),
        tuple(limits for own in each for limits in own.limits),
    )
    return found if found or found.doubtful else None


def without_lines(x: np.ndarray, found: Lines | None) -> np.ndarray:
    """An image ``(C, H, W)`` without the interference that was found in it."""
    return x - found.seen(x) if found else x


def _of_channel(plane: np.ndarray, given: Process | None) -> Lines:
    """The interference in one channel ``(H, W)``."""
    low, high = limits = _limits(plane)
    known = np.isfinite(plane) & (plane > low) & (plane < high)
    seen = np.where(known, plane, np.nan)
    least = HARDLY * contrast(seen[known][:: 1 + seen.size // 2**18])
    waves, doubtful = hum_in(seen, least, told=isinstance(given, Hum))
    for wave in waves:
        seen = seen - wave.map(plane.shape)[0]
    told = given if isinstance(given, Stripes) else None
    offsets = []
    for along, turned in (("rows", seen.T), ("columns", seen)):
        sigma = (fixed(told.sigma) or None) if told and told.along == along else None
        found = column_offsets(turned, sigma)
        if found is None or (sigma is None and found.std() < least):
            found = np.zeros(turned.shape[1])
        offsets.append(found)
    rows, columns = (found[None] for found in offsets)
    return Lines(rows, columns, tuple(waves), tuple(doubtful), (limits,))


def _placed(wave: Wave, channel: int, channels: int) -> Wave:
    """A wave of one channel as one of the image."""
    parts = tuple(wave.parts[0] if c == channel else 0j for c in range(channels))
    return replace(wave, parts=parts)


def _limits(plane: np.ndarray) -> tuple[float, float]:
    """The values at which a channel is clipped; ∓∞ if it is not."""
    known = plane[np.isfinite(plane)]
    if not known.size:
        return -math.inf, math.inf
    low, high = float(known.min()), float(known.max())
    return (
        low if np.mean(known == low) > CLIPPED else -math.inf,
        high if np.mean(known == high) > CLIPPED else math.inf,
    )
