"""Impulses: pixels with a replaced value, detected from their neighbours.

Rare ones are found one by one, and only those are called impulses that nothing else explains
(`hush.kinds.image.measure.rare`). If there are many, weak ones and groups of them are found, too:
the expected value of a pixel is the median of its eight neighbours, and their scatter is the sixth
smallest deviation from it, so up to two of them may be impulses, too. A pixel that deviates several
times more is an impulse. Small real objects (stars, beads) extend into their neighbours and are not
detected. Detection by rank-ordered deviations: Garnett, Huegerich, Chui and He, "A universal
noise removal algorithm with an impulse detector", IEEE Trans. Image Processing 14(11), 2005.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hush.kinds.image.measure.pixels import replaced
from hush.kinds.image.measure.rare import ALARMS, rare_impulses, weibull
from hush.kinds.image.measure.salt import extremes
from hush.kinds.image.measure.tracks import Variance
from hush.memo import memoised
from hush.noise.processes import Gamma, Poisson, Process
from hush.results import MANY, Estimate

ROUNDS = 2  #: the second pass, with found impulses replaced, finds adjacent ones
LOCAL = 6.0  #: least deviation of an impulse, relative to the scatter of its neighbours
KNOWN = 2.5  #: the same if the image is known to have impulses
GLOBAL = 4.0  #: least deviation relative to the typical scatter in the image
ANY = 0.2  #: least typical deviation of impulses, relative to the span of all values
TAIL = (0.5, 0.1)  #: shares of other pixels above the deviations that show the tail of their noise
UNEXPECTED = 10.0  #: least ratio of the share of impulses to what that tail explains
IN_LINE = 1.0  #: neighbours of each in a line, beyond those met by chance; two, but some are missed
WINDOWS, WINDOW = 8, 128  #: number and side of the windows in which impulses are counted
ROWS = 256  #: cleaned at a time, to save memory
_AROUND = [(i, j) for i in (0, 1, 2) for j in (0, 1, 2) if (i, j) != (1, 1)]


def without_impulses(x: np.ndarray, found: Estimate, alarms: float = ALARMS) -> np.ndarray:
    """An image ``(C, H, W)``, in which `found` was measured, with every impulse replaced by the
    median of its neighbours; the image itself if there are none.

    Pixels that are not finite are kept. alarms : the expected number of false impulses.
    """
    if found.impulses >= MANY:
        return without_many(x)
    return replaced(x, impulses_in(x, found, alarms)) if found.impulses else x


def impulses_in(x: np.ndarray, found: Estimate | None = None, alarms: float = ALARMS) -> np.ndarray:
    """Where an image ``(C, H, W)`` has rare impulses beside the noise `found`, bool; without it,
    where they could be."""
    law = None if found is None else (found.process, found.alternatives, found.curve)
    return _impulses(x, law, alarms).copy()


#: the law of the noise, others that fit as well, and what was measured (`Estimate.curve`)
_Law = tuple[Process, Sequence[str], Sequence[tuple[float, ...]]]


@memoised
def _impulses(x: np.ndarray, law: _Law | None, alarms: float) -> np.ndarray:
    return rare_impulses(x, np.zeros_like if law is None else _most(*law), alarms)


def _most(
    process: Process, alternatives: Sequence[str], curve: Sequence[tuple[float, ...]]
) -> Variance:
    """The law of the noise; the largest one where others fit as well."""
    possible = {process.family, *alternatives}
    powers = [k for k, law in ((1, Poisson), (2, Gamma)) if law.family in possible]
    if not powers or not curve:
        return process.variance
    signal, variance, _ = np.array(curve).T
    if not (signal > 0).all():
        return process.variance
    factors = [float(np.median(variance / signal**k)) for k in powers]
    return lambda x: np.max(
        [process.variance(x)]
        + [f * np.maximum(x, 0) ** k for k, f in zip(powers, factors, strict=True)],
        axis=0,
    )


def without_many(x: np.ndarray) -> np.ndarray:
    """The image with weaker impulses and groups of them replaced, too; of salt and pepper, all."""
    out = np.empty_like(x)
    for plane, cleaned in zip(x, out, strict=True):
        hit = extremes(plane)
        if hit is not None:
            cleaned[...] = replaced(plane[None], hit[None])[0]
            continue
        padded = np.pad(plane, 1, mode="symmetric")
        for top in range(0, plane.shape[0], ROWS):
            _clean(padded[top : top + ROWS + 2], KNOWN)
        cleaned[...] = padded[1:-1, 1:-1]
    return out


def salted(images: Sequence[np.ndarray]) -> float:
    """The share of salt and pepper in images ``(C, H, W)``; 0 unless most planes have it."""
    hits = [extremes(plane) for x in images for plane in x]
    shares = [float(hit.mean()) for hit in hits if hit is not None]
    return sum(shares) / len(shares) if 2 * len(shares) > len(hits) else 0.0


def many_impulses(images: Sequence[np.ndarray]) -> float:
    """Share of impulses in images ``(C, H, W)``, measured in `WINDOWS` windows.

    Salt and pepper is counted in whole planes, at any share (`…measure.salt`). Other impulses are
    counted in calm areas, because some are missed in structure, and may take any value. If the
    deviations are small relative to the span of all values, they are rare single counts in dark
    recordings, and the share is 0. It is, too, if they are the tail of other noise, or touch each
    other as lines do.
    """
    every = [plane for x in images for plane in x if min(plane.shape) >= 3]
    if share := salted(images):
        return share
    deviations, spans, all_relative, pairs = [np.zeros(0)], [0.0], [np.zeros(0)], 0
    for which, row, column in _corners([plane.shape for plane in every]):
        window = every[which][row : row + WINDOW, column : column + WINDOW]
        cleaned = window.copy()
        far, calm, relative = _clean(cleaned, LOCAL)
        before, after = window[1:-1, 1:-1], cleaned[1:-1, 1:-1]
        # Where most values are clipped, the others stand out but are not impulses.
        at = far & calm & (after != np.max(after)) & (after != np.min(after))
        deviations.append(np.abs(before[at] - after[at]))
        all_relative.append(relative[calm])
        touching = at[1:] & at[:-1], at[:, 1:] & at[:, :-1], at[1:, 1:] & at[:-1, :-1]
        pairs += sum(map(np.count_nonzero, (*touching, at[1:, :-1] & at[:-1, 1:])))
        spans.append(_span(window))
    found = np.concatenate(deviations)
    if not found.size or np.median(found) < ANY * max(spans):
        return 0.0
    seen = np.concatenate(all_relative)
    share, others = len(found) / len(seen), seen[(seen > 0) & (seen <= 1)]
    scale, exponent = weibull(others, TAIL) if len(others) else (math.inf, 1.0)
    explained = len(others) / len(seen) * math.exp(-((1 / scale) ** exponent))
    lines = 2 * pairs / len(found) > 8 * share + IN_LINE
    return share if share > UNEXPECTED * explained and not lines else 0.0


def _corners(shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, int, int]]:
    """Windows of planes, each as the plane's number, row and column; in small planes fewer."""
    found = []
    for i in range(WINDOWS if shapes else 0):
        which = i * len(shapes) // WINDOWS
        row, column = (
            (n - WINDOW) * ((i * step) % WINDOWS) // (WINDOWS - 1) if n > WINDOW else 0
            for n, step in zip(shapes[which], (1, 3), strict=True)
        )
        found.append((which, row, column))
    return list(dict.fromkeys(found))


def _clean(plane: np.ndarray, local: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Replace impulses in place. Inside the border, return where they were, calm areas, and the
    deviations relative to those of impulses."""
    hits, calm = np.zeros((2, *(n - 2 for n in plane.shape)), bool)
    relative = np.zeros(hits.shape)
    inner = plane[1:-1, 1:-1]
    for i in range(ROUNDS):
        median, scatter = _surroundings(plane)
        known = np.isfinite(scatter)
        if not known.any():
            break
        typical = float(np.median(scatter[known])) + 1e-3 * float(np.ptp(median[known]))
        with np.errstate(divide="ignore", invalid="ignore"):  # infinite pixels, constant areas
            ratio = np.abs(inner - median) / np.maximum(local * scatter, GLOBAL * typical)
        far = ratio > 1
        relative = relative if i else ratio
        inner[far] = median[far]
        hits |= far
        calm = scatter <= typical
    return hits, calm, relative


def _surroundings(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and scatter of the eight neighbours of every pixel inside the border."""
    height, width = plane.shape
    neighbours = np.stack([plane[i : i + height - 2, j : j + width - 2] for i, j in _AROUND])
    neighbours.sort(axis=0)
    median = (neighbours[3] + neighbours[4]) / 2
    with np.errstate(invalid="ignore"):
        deviations = np.abs(neighbours - median)
    deviations.partition(5, axis=0)
    return median, deviations[5]


def _span(x: np.ndarray) -> float:
    """Of all values but a few absurd ones."""
    known = x[np.isfinite(x)]
    return float(np.ptp(np.quantile(known, (0.001, 0.999)))) if known.size else 0.0
