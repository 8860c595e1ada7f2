"""Interference over a whole image: offsets of rows and columns, and hum; see `hush.noise.lines`."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from hush.kinds.image.measure.hum import hum_in
from hush.kinds.image.measure.offsets import column_offsets
from hush.kinds.values import HARDLY, contrast
from hush.noise.lines import Lines
from hush.noise.processes import Hum, Process, Stripes
from hush.noise.units import fixed

LEAST = 2 * HARDLY  #: of an offset or wave relative to contrast; rounding to 8 bits has 0.0011
ONLY = 0.4  #: offsets of a greater σ, relative to the contrast of all else, may be the picture
CLIPPED = 0.002  #: least share of pixels at the lowest or the highest value of a clipped channel


def lines_in(x: np.ndarray, given: Process | None = None) -> Lines | None:
    """Rows, columns and hum of an image ``(C, H, W)``, NaN for unknown pixels; None without any.

    Those below `LEAST` of the image's contrast do not count.

    given : noise that the user states; offsets of rows or columns, or hum, are then certain.
    """
    limits = tuple(_limits(plane) for plane in x)
    seen = np.stack(
        [
            np.where((plane > low) & (plane < high), plane, np.nan)
            for plane, (low, high) in zip(x, limits, strict=True)
        ]
    )
    known = seen[np.isfinite(seen)]
    least = LEAST * contrast(known[:: 1 + known.size // 2**18])
    waves, doubtful = hum_in(seen, least, told=isinstance(given, Hum))
    for wave in (*waves, *doubtful):  # lines of a grating are no offsets
        seen = seen - wave.map(seen.shape[1:])
    rows = _offsets(seen.swapaxes(1, 2), least, _told(given, "rows"))
    columns = _offsets(seen, least, _told(given, "columns"))
    unsure = {}
    rest = seen - rows[:, :, None] - columns[:, None]
    span = contrast(rest[np.isfinite(rest)][:: 1 + rest.size // 2**18])
    for along, found in (("rows", rows), ("columns", columns)):
        sigma = float(found.std())
        if sigma > ONLY * span and _told(given, along) is None:
            unsure[along] = sigma
            found[:] = 0
    there = {"rows": bool(rows.any()), "columns": bool(columns.any()), "hum": bool(waves)}
    lines = Lines(rows, columns, waves, doubtful, unsure, limits, absent=_absent(given, there))
    return lines if lines or doubtful or unsure or lines.absent else None


def without_lines(x: np.ndarray, found: Lines | None) -> np.ndarray:
    """An image ``(C, H, W)`` without the interference that was found in it."""
    return x - found.seen(x) if found else x


def _offsets(x: np.ndarray, least: float, sigma: float | None) -> np.ndarray:
    """The offsets of the columns of ``(C, H, W)``, 0 for channels without any."""
    out = np.zeros((len(x), x.shape[2]))
    for plane, own in zip(x, out, strict=True):
        found = column_offsets(plane, sigma)
        # Of lines that have an offset at all, as of a few stuck ones:
        if found is not None and (sigma is not None or _typical(found) > least):
            own[:] = found
    return out


def _typical(offsets: np.ndarray) -> float:
    """The standard deviation of normal offsets; of a few among zeros about that of the few."""
    return float(np.sqrt(np.mean(offsets**4) / max(3 * np.mean(offsets**2), 1e-30)))


def _absent(given: Process | None, found: Mapping[str, bool]) -> str:
    """What the user states of ``rows``, ``columns`` and ``hum``, if it was not found."""
    if isinstance(given, Hum):
        return "" if found["hum"] else "hum"
    if isinstance(given, Stripes) and not found[given.along]:
        return f"offsets of {given.along}"
    return ""


def _told(given: Process | None, along: str) -> float | None:
    """The level of the offsets that the user states of ``rows`` or ``columns``."""
    if isinstance(given, Stripes) and given.along == along:
        return fixed(given.sigma) or None
    return None


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
