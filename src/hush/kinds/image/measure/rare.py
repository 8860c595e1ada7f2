"""Rare impulses: hot and dead pixels, and tracks of cosmic rays.

The *sharpness* of a pixel is how far it is beyond both neighbours along a row or along a column,
whichever is more. A pixel is an impulse if

- its sharpness, relative to that of the pixels around it, is more than the image's own distribution
  explains: the tail, extrapolated as a Weibull law, must give less than `ALARMS` such pixels;
- it stands alone: nothing around it comes near;
- it is sharper than any point that a lens draws: even with the noise at that brightness, its
  neighbours are too dark for a point spread function of σ ≥ 0.8 pixels. Single photons are not;
- it is no part of a line or a drawing (`hush.kinds.image.measure.tracks`);
- impulses are anywhere: single events that draw a picture are none (`…measure.events`).

Sharpness finds tracks as well as points: along one of the two axes the neighbours are not hit.
L.A.Cosmic (van Dokkum, "Cosmic-Ray Rejection by Laplacian Edge Detection", PASP 113, 2001) judges
by sharpness, too; the thresholds here need no settings of the camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hush.kinds.image.measure.events import draw_a_picture
from hush.kinds.image.measure.pixels import (
    median,
    reflected,
    replaced,
    sharpness,
    touching,
    windows,
)
from hush.kinds.image.measure.tracks import Variance, without_drawings

ALARMS = 0.1  #: expected number of false alarms in an image of noise alone
QUANTILES = ((0.5, 0.1), (0.1, 0.03))  #: shares of the pixels above the values that show the tail
STEEPEST = 1.5  #: the largest exponent of the Weibull law; normal tails have 1.2 to 2
TYPICAL = 0.8  #: quantile of the sharpness around a pixel that is its scale
ALONE = ((3.0, 1), (4.0, 4))  #: ratios to the sharpness around, which fewer pixels than this miss
OFTEN = 10  #: number of impulses from which on weaker ones are looked for
FALSE = 0.01  #: false alarms among these, relative to the number of impulses
APART = ((1.5, 1), (2.0, 4))  #: like `ALONE`, for these
SHARP = 0.7  #: least sharpness, relative to the distance from the background
POINT = 0.3  #: least share of a point that is in its neighbours: 0.46 for σ = 0.8
SURE = 3.5  #: standard deviations by which the neighbours must be darker
ABSURD = 10.0  #: a value this many times as far out as all others span needs no further evidence

REACH = 4  #: from a pixel to the border of the window that is its surroundings
_SIDE = 2 * REACH + 1
_CENTRE = _SIDE**2 // 2
_OUTER = (np.maximum(*np.abs(np.mgrid[-REACH : REACH + 1, -REACH : REACH + 1])) > 1).ravel()
_RANK = int(TYPICAL * _OUTER.sum())
_ROWS, _TILE, _SAMPLE, _BATCH = 64, 16, 8192, 4096


def rare_impulses(x: np.ndarray, noise: Variance, alarms: float = ALARMS) -> np.ndarray:
    """Where an image ``(C, H, W)`` has impulses, bool of the same shape.

    noise : the variance of the rest of the noise. alarms : the expected number of false ones.
    Pixels that are not finite are left out.
    """
    hits = np.zeros(x.shape, bool)
    for plane, hit in zip(x, hits, strict=True):
        known = np.isfinite(plane)
        if min(plane.shape) > REACH + 1 and known.any():
            _mark(plane if known.all() else np.where(known, plane, np.nan), noise, hit, alarms)
    return hits


@dataclass(frozen=True)
class _Limits:
    """Of the relative sharpness of bright and of dark impulses; `floor` of its scale; `absurd` of
    the sharpness itself."""

    bright: float
    dark: float
    floor: float
    absurd: float


def _mark(plane: np.ndarray, noise: Variance, hit: np.ndarray, alarms: float) -> None:
    """Set `hit` where a plane ``(H, W)`` has impulses; NaN is unknown."""
    limits = _limits(plane, alarms)
    if limits is None:
        return
    found = _found(plane, _scan(plane, limits), limits, noise)
    if not len(found):
        return
    hit[tuple(found.T)] = True
    clean = replaced(plane[None], hit[None])[0]
    # What is between impulses may be sharp only without them.
    more = _found(clean, _around(found, hit), limits, noise)
    if len(found) >= OFTEN and (limits := _limits(clean, max(alarms, FALSE * len(found)))):
        weaker = _found(clean, _scan(clean, limits), limits, noise, APART)
        if len(weaker) <= len(found):  # otherwise they are the details of a picture
            more = np.concatenate([more, weaker])
    if len(more):
        hit[tuple(more.T)] = True
        clean = replaced(plane[None], hit[None])[0]
    if draw_a_picture(plane, clean, hit):
        hit[...] = False


def _found(
    plane: np.ndarray,
    at: np.ndarray,
    limits: _Limits,
    noise: Variance,
    alone: tuple[tuple[float, int], ...] = ALONE,
) -> np.ndarray:
    """The impulses ``(n, 2)`` among some pixels."""
    seen = _judged(plane, at, limits, noise, alone)
    kept = seen.found | seen.absurd
    if not kept.any():
        return np.zeros((0, 2), int)
    return without_drawings(
        plane, seen.at[kept], seen.distance[kept], seen.absurd[kept], seen.at[~kept], noise
    )


def _around(at: np.ndarray, hit: np.ndarray) -> np.ndarray:
    """The pixels ``(m, 2)`` that touch some others and are not hit."""
    near = np.unique(touching(at, hit.shape)[0], axis=0)
    return np.asarray(near[~hit[tuple(near.T)]])


def _limits(plane: np.ndarray, alarms: float) -> _Limits | None:
    """From a sample of the plane; None if the plane is constant."""
    known = np.isfinite(plane)
    every = max(1, math.isqrt(plane.size // _SAMPLE)) | 1
    at = np.argwhere(known[::every, ::every]) * every
    values = plane[tuple(at.T)]
    levels = np.unique(values)
    if len(levels) < 2:  # nearly constant: the sample may have missed the rest
        levels = np.unique(plane[known])
    if len(levels) < 2:
        return None
    floor = max(float(np.diff(levels).min()), 1e-6 * float(np.ptp(levels)))
    low, high = np.quantile(values, (0.01, 0.99)) if len(values) else (0.0, 0.0)
    look = _look(plane, at)
    near = look.around[:, _OUTER]
    near.partition(_RANK, axis=1)
    relative = look.sharpness / np.hypot(near[:, _RANK], np.float32(floor))

    def limit(side: np.ndarray) -> float:
        own, number = relative[side], plane.size / alarms * np.mean(side)
        # Both hold. Structure raises one, many impulses the other.
        sharp = np.where(look.sharp[side], own, 0)
        return min(_limit(own, number), _limit(sharp, number))

    bright, dark = limit(look.distance > 0), limit(look.distance < 0)
    return _Limits(bright, dark, floor, ABSURD * max(float(high - low), floor))


def _limit(relative: np.ndarray, number: float) -> float:
    """The value that less than one of this number of pixels exceeds, by a Weibull law."""
    tail = relative[relative > 0]
    if len(tail) < 50:
        return math.inf
    number = math.log(number * len(tail) / len(relative))

    def beyond(shares: tuple[float, float]) -> float:
        scale, exponent = weibull(tail, shares)
        return scale * number ** (1 / exponent)

    tail = tail[tail <= beyond(QUANTILES[0])]  # without impulses
    return max(map(beyond, QUANTILES))


def weibull(values: np.ndarray, shares: tuple[float, float]) -> tuple[float, float]:
    """Scale and exponent of the law exp(−(x/scale)^exponent) of the share above x, if these two
    shares are those of the values."""
    inner, outer = np.quantile(values, [1 - share for share in shares])
    a, b = (-math.log(share) for share in shares)
    exponent = min(STEEPEST, math.log(b / a) / math.log(max(outer / inner, 1.01)))
    return float(inner) / a ** (1 / exponent), exponent


def _scan(plane: np.ndarray, limits: _Limits) -> np.ndarray:
    """Pixels ``(n, 2)`` that may be beyond the limits, judged by the median of their tile."""
    half, found = _TILE // 2, []
    for top in range(0, len(plane), _ROWS):
        rows = reflected(np.arange(top - 1, min(top + _ROWS, len(plane)) + 1), len(plane))
        bright, dark = sharpness(np.pad(plane[rows], ((0, 0), (1, 1)), mode="reflect"))
        some = np.fmax(bright[::2, ::2], dark[::2, ::2])
        some = np.pad(some, [(0, -n % half) for n in some.shape], mode="symmetric")
        tiles = some.reshape(len(some) // half, half, -1, half).swapaxes(1, 2)
        typical = tiles.reshape(*tiles.shape[:2], half**2).copy()
        typical.partition(half**2 // 2, axis=-1)
        scale = np.hypot(np.nan_to_num(typical[..., half**2 // 2]), np.float32(limits.floor))
        scale = scale.repeat(_TILE, 0).repeat(_TILE, 1)[: bright.shape[0], : bright.shape[1]]
        beyond = bright > np.minimum(limits.bright * scale, limits.absurd)
        beyond |= dark > np.minimum(limits.dark * scale, limits.absurd)
        y, x = np.nonzero(beyond)
        found.append(np.stack([y + top, x], axis=1))
    return np.concatenate(found)


@dataclass(frozen=True)
class _Look:
    """Pixels, one value each, and what is around them.

    distance : from the background; bright, dark : sharpness; around : the sharpness of all pixels
    in the window, bright or dark, ``(n, _SIDE²)``.
    """

    distance: np.ndarray
    bright: np.ndarray
    dark: np.ndarray
    around: np.ndarray

    @property
    def sharpness(self) -> np.ndarray:
        """In the direction of the distance."""
        return np.where(self.distance > 0, self.bright, self.dark)

    @property
    def sharp(self) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = self.sharpness / np.abs(self.distance)
        return np.asarray((ratio > SHARP) & (ratio < 1 / SHARP))

    def beyond(self, relative: np.ndarray, floor: float) -> np.ndarray:
        """Whether these values are beyond the scale of the sharpness around."""
        least = np.sqrt(np.maximum(relative**2 - floor**2, 0))
        below = self.around[:, _OUTER] < least[:, None]
        return np.asarray(np.count_nonzero(below, axis=1) > _RANK)


def _look(plane: np.ndarray, at: np.ndarray, marked: np.ndarray | None = None) -> _Look:
    """Look at pixels ``(n, 2)``; marked ones are no background."""
    ground = windows(plane, at, 2).reshape(-1, 25)
    ok = np.isfinite(ground)
    if marked is not None:
        ok &= ~windows(marked, at, 2).reshape(-1, 25)
    ok[:, 12] = False
    distance = ground[:, 12] - median(ground, ok)
    if len(at) * _SIDE**2 > plane.size:  # then the whole plane has fewer pixels than the windows
        bright, dark = sharpness(np.pad(plane, 1, mode="reflect"))
        around = windows(np.nan_to_num(np.fmax(bright, dark)), at, REACH).reshape(-1, _SIDE**2)
        bright, dark = bright[tuple(at.T)], dark[tuple(at.T)]
        return _Look(distance, bright, dark, around)
    bright, dark = (s.reshape(-1, _SIDE**2) for s in sharpness(windows(plane, at, REACH + 1)))
    around = np.nan_to_num(np.fmax(bright, dark))
    return _Look(distance, bright[:, _CENTRE], dark[:, _CENTRE], around)


@dataclass(frozen=True)
class _Seen:
    """Sharp pixels `at` ``(n, 2)`` that stand out, their distance from the background, whether
    they are alone and no points, and whether they are absurd."""

    at: np.ndarray
    distance: np.ndarray
    found: np.ndarray
    absurd: np.ndarray


def _judged(
    plane: np.ndarray,
    at: np.ndarray,
    limits: _Limits,
    noise: Variance,
    alone: tuple[tuple[float, int], ...],
) -> _Seen:
    """The pixels that stand out, of some that may."""
    marked = np.zeros(plane.shape, bool)
    for i in range(0, len(at), _BATCH):
        part = at[i : i + _BATCH]
        look = _look(plane, part)
        most = np.maximum(look.bright / limits.bright, look.dark / limits.dark)
        out = look.beyond(most, limits.floor)
        out |= np.maximum(look.bright, look.dark) > limits.absurd
        marked[tuple(part[out].T)] = True
    at = at[marked[tuple(at.T)]]
    parts = [(np.zeros(0), *np.zeros((3, 0), bool))]
    for i in range(0, len(at), _BATCH):
        part = at[i : i + _BATCH]
        look = _look(plane, part, marked)
        own = look.sharpness
        relative = own / np.where(look.distance > 0, limits.bright, limits.dark)
        others = np.where(windows(marked, part, REACH).reshape(len(part), -1), 0, look.around)
        found = look.sharp & look.beyond(relative, limits.floor)
        for ratio, number in alone:
            found &= np.count_nonzero(ratio * others > own[:, None], axis=1) < number
        found &= _no_points(plane, part, look.distance, noise)
        parts.append((look.distance, look.sharp, found, look.sharp & (own > limits.absurd)))
    distance, sharp, found, absurd = (np.concatenate(p) for p in zip(*parts, strict=True))
    if absurd.any():  # so far relative to the span of most values
        rest = np.isfinite(plane)
        rest[tuple(at[absurd].T)] = False
        span = float(np.ptp(plane[rest])) if rest.any() else 0.0
        absurd &= np.abs(distance) > ABSURD * max(span, limits.floor)
    return _Seen(at[sharp], distance[sharp], found[sharp], absurd[sharp])


def _no_points(
    plane: np.ndarray, at: np.ndarray, distance: np.ndarray, noise: Variance
) -> np.ndarray:
    """Whether the neighbours along an axis are darker than a point spread function leaves them."""
    near = windows(plane, at, 1).astype(np.float64)
    value = near[:, 1, 1]
    ground = value - distance
    pairs = near[:, 1, ::2], near[:, ::2, 1]
    means = ((np.fmax(*pair.T) + np.fmin(*pair.T)) / 2 for pair in pairs)
    excess = np.fmin(*((mean - ground) * np.sign(distance) for mean in means))
    shared = POINT * np.abs(distance)
    # Of a dark point, too, as if the noise were that of the brighter background.
    variance = noise(np.maximum(ground, ground + POINT * distance)) / 2
    variance = variance + POINT**2 * noise(np.maximum(ground, value))
    return np.asarray(shared - excess > SURE * np.sqrt(np.maximum(variance, 0)))
