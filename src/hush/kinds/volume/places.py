"""Where a volume holds the object, where only noise, and where nothing was acquired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hush.kinds.volume.series import Series

Mask = NDArray[np.bool_]

LOOKED = 12  #: volumes of a series that are looked at
ADJACENT = 3  #: slices from which on they are neighbours, if nothing else is stated
#: mean of the background over that of the object, up to which the two are told apart
DARK = 0.65
#: Deviation between neighbours over the mean, from which on dark voxels are noise: 0.52 for one
#: coil, 0.17 for eight; tissue at a signal-to-noise ratio of 10 has 0.1.
GRAINY = 0.15
MOSTLY = 0.4  #: share of dark voxels, from which on they are background and no dark tissue
MARGIN = 3  #: voxels between the object and its background, in a slice
FEW = 200  #: voxels of background that say nothing
EVEN = (0.7, 1.3)  #: of the background's median: beyond, there are ghosts
#: signal of a volume over the background, up to which it holds noise only, and from which on not
SILENT, LOUD = 1.1, 2.0
#: without background: a volume's signal over that of the others; the same, if it is as grainy as
#: noise, its deviation over its mean being at least this; and its correlation with the others
FAINT, DIM, ROUGH, ALIKE = 0.2, 0.5, 0.4, 0.1
MOST = 20000  #: voxels that the volumes of a series are compared in


@dataclass(frozen=True)
class Places:
    """Parts of a volume, bool ``(Z, Y, X)``.

    zeroed : exactly the value that means no signal, in every volume; inside : the object; outside :
    acquired background, with noise only.
    """

    zeroed: Mask
    inside: Mask
    outside: Mask

    @property
    def has_background(self) -> bool:
        return bool(self.outside.sum() >= FEW)


def are_adjacent(about: Mapping[str, Any], slices: int) -> bool:
    """Whether the slices of an item are neighbours."""
    stated = about.get("adjacent")
    return slices >= ADJACENT if stated is None else bool(stated) and slices > 1


def zero_of(about: Mapping[str, Any], scale: float) -> float:
    """The value that means no signal, in units of full range."""
    return float(about.get("zero") or 0.0) / scale


def spread(series: Series, most: int = LOOKED) -> list[int]:
    """Up to `most` volumes, evenly spread over the shells and over each of them."""
    room = max(1, most // len(series.shells))
    picked: set[int] = set()
    for shell in series.shells:
        take = np.unique(np.linspace(0, len(shell) - 1, min(room, len(shell))).round())
        picked |= {shell[int(i)] for i in take}
    return sorted(picked)[:most]


def find(item: np.ndarray, about: Mapping[str, Any], scale: float = 1.0) -> Places:
    """The parts of an item ``(C, Z, Y, X)``, NaN where values are missing.

    scale : the unit of the item's values over stored values; 1 for an item as stored.
    """
    from scipy.ndimage import binary_dilation, binary_fill_holes, uniform_filter
    from skimage.filters import threshold_otsu

    zero = zero_of(about, scale)
    picks = []
    shape = item.shape[1:]
    total, zeroed = np.zeros(shape, np.float32), np.ones(shape, bool)
    known = np.ones(shape, bool)
    for c in spread(Series.of(len(item), about)):
        x = np.asarray(item[c], np.float32)
        finite = np.isfinite(x)
        if not finite.any():
            continue
        picks.append(c)
        zeroed &= x == np.float32(zero)
        known &= finite
        total += np.nan_to_num(x - np.float32(zero), posinf=0, neginf=0)
    nothing = np.zeros(shape, bool)
    if not picks:
        return Places(nothing, nothing, nothing)
    valid = known & ~zeroed
    if not valid.any():
        return Places(zeroed, nothing, nothing)
    deep = 3 if are_adjacent(about, shape[0]) else 1
    smooth = uniform_filter(total / len(picks), (deep, 3, 3))
    root = np.sqrt(np.maximum(smooth, 0))
    seen = root[valid]
    if np.ptp(seen) == 0:
        return Places(zeroed, valid, nothing)
    bright = valid & (root > threshold_otsu(seen))
    dark = valid & ~bright
    if not dark.any() or np.median(smooth[dark]) > DARK * np.median(smooth[bright]):
        return Places(zeroed, valid, nothing)
    inside = np.stack([binary_fill_holes(plane) for plane in bright]) & valid
    flat = np.ones((1, 3, 3), bool)
    edge = binary_dilation(inside, flat, MARGIN) | binary_dilation(~valid, flat, 1)
    outside = dark & ~edge
    if outside.any():
        middle = float(np.median(smooth[outside]))
        outside &= (smooth > EVEN[0] * middle) & (smooth < EVEN[1] * middle)
    if outside.sum() < FEW or _grain(item, picks, outside, zero) < GRAINY:
        smoothed = not zeroed.any() and dark.mean() > MOSTLY  # a background, but without noise
        return Places(zeroed, inside if smoothed else valid, nothing)
    return Places(zeroed, inside, outside)


def _grain(item: np.ndarray, picks: Sequence[int], where: Mask, zero: float) -> float:
    """Deviation between neighbours along X over the mean, the median over volumes."""
    both = where[..., 1:] & where[..., :-1]
    if both.sum() < FEW // 2:
        return 0.0
    found = []
    for c in picks:
        x = np.asarray(item[c], np.float32)
        step = np.abs(np.diff(x, axis=-1)[both])
        mean = float(np.mean(x[where])) - zero
        found.append(float(np.mean(step)) / 1.128 / mean if mean > 0 else np.inf)
    return float(np.median(found))


def without_signal(item: np.ndarray, about: Mapping[str, Any], where: Places) -> tuple[Mask, Mask]:
    """Which volumes of an item hold one value only, and which hold noise only; bool ``(C,)``."""
    flat = item.reshape(len(item), -1)
    empty = np.array([_even(x) for x in _thinned(flat)])
    for c in np.flatnonzero(empty):  # few, if any: look at all of them
        empty[c] = _even(flat[c])
    silent = np.zeros(len(item), bool)
    if len(item) > 1 and where.inside.any() and not empty.all():
        zero, others = zero_of(about, 1.0), flat[~empty]
        beyond = _thin(others, where.outside) - zero if where.has_background else None
        silent[~empty] = noise_only(_thin(others, where.inside) - zero, beyond)
    return empty, silent


def noise_only(inside: np.ndarray, outside: np.ndarray | None) -> Mask:
    """Which volumes were not excited, by some of their values in the object and the background.

    inside : ``(C, n)``; outside : ``(C, m)``, or None if no background was acquired. A volume whose
    object is as dark as its background holds noise only, if others do not; or one that is dark and
    not like the others.
    """
    signal = np.abs(np.nanmean(inside, 1, np.float64))
    lit = signal[signal > 0]
    usual = np.median(lit) if lit.size else 0.0
    rough = np.nanstd(inside, 1, np.float64) >= ROUGH * signal
    faint: Mask = signal <= np.where(rough, DIM, FAINT) * usual
    if faint.any() and not faint.all():
        known = np.isfinite(inside).all(0)
        others = inside[~faint][:, known].mean(0)
        for c in np.flatnonzero(faint):
            faint[c] = abs(_alike(inside[c, known], others)) < ALIKE
    if outside is not None:
        dark = np.abs(np.nanmean(outside, 1, np.float64))
        ratio = signal / np.maximum(dark, np.finfo(np.float32).tiny)
        if ratio.max() > LOUD:
            faint |= ratio < SILENT
    return faint


def _alike(a: np.ndarray, b: np.ndarray) -> float:
    """The correlation of two lists of values; 0 if one of them is constant."""
    if not a.size or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _thin(flat: np.ndarray, where: Mask) -> np.ndarray:
    """Values of each volume in some voxels, evenly spread."""
    chosen = np.flatnonzero(where)
    return flat[:, chosen[:: max(1, len(chosen) // MOST)]]


def _even(x: np.ndarray) -> bool:
    """Whether values, those that are not finite aside, are one value only, or none."""
    x = x[np.isfinite(x)]
    return not x.size or bool(np.ptp(x) == 0)


def _thinned(flat: np.ndarray) -> np.ndarray:
    return flat[:, :: max(1, flat.shape[1] // MOST)]
