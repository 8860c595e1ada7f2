r"""A series in its principal components, the level of its noise, and how it spreads.

The volumes y_1 … y_T of a series show one anatomy with independent noise of one variance, which may
differ from place to place. Over the voxels of tissue, the covariance of the volumes, in units of
that variance, has eigenvalues of about 1 for components that hold only noise, and larger ones for
those with signal. The level in every place and the noise's spectrum follow from the components
without signal. The rotation keeps the noise's law, because its increments are Gaussian and
independent (Veraart et al., "Denoising of diffusion MRI using random matrix theory", NeuroImage
2016, use the same in small neighbourhoods).

A few volumes leave no component without signal. Then the level comes from slices, as that of an
image does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hush.kinds.volume import places
from hush.kinds.volume.components import (
    CELL,
    MANY,
    SMOOTH,
    Components,
    Slices,
    cells_of_tissue,
    in_cells,
    inner,
)
from hush.noise.field import Grid
from hush.noise.magnitude import level_of
from hush.noise.processes import Process, Rician
from hush.noise.spectrum import OCTAVES, Octaves, levels_of_lags, octave_of

WEAK = 4  #: one in this many components, the weakest, is taken as noise alone
DRAWN = 200_000  #: voxels of tissue by which the covariance is estimated
FEW = 24  #: volumes up to which all that a volume does not share with others is kept
MOST = 4.0  #: most variance of its own, in units of the scanner's, that is noise of a volume
UNLIKE = 10.0  #: above this it is all signal
LAGS = 3  #: up to which the noise's correlation is measured in the air around
AIR = 5000  #: voxels of air that this takes, at least
AWAY = 4  #: voxels that air is away from tissue
BLOCK = 6  #: side in voxels of blocks of tissue by which a level is checked
BLOCKS = 20  #: how many of them there are at least
#: a level is at least this share of that in quiet blocks, and at most this of that in usual ones
LOWEST, HIGHEST = 0.8, 1.2
#: usual blocks, relative to quiet ones, from which on detail is anatomy, whose spectrum is not the
#: noise's: 1.3 to 1.67 of noise, 1.7 to 4 of what is left after denoising
UNEVEN = 1.8
LEAST = 0.5  #: of the finest detail in quiet blocks, noise of a measured spectrum makes this share
SLICES = 9  #: slices by which a few volumes are measured


def components(read: Slices, shape: Sequence[int], *, adjacent: bool) -> Components:
    """The components of a series of this shape ``(C, Z, Y, X)``, read slice by slice.

    adjacent : whether slices are neighbours.
    """
    count, depth = shape[0], shape[1]
    mean = np.empty(tuple(shape[1:]), np.float32)
    empty, lowest = np.empty(mean.shape, bool), np.inf
    for z in range(depth):
        plane = read(z, z + 1)[:, 0]
        mean[z], empty[z] = plane.mean(0), ~plane.any(0)
        lowest = min(lowest, float(plane.min()))
    tissue = tissue_of(mean, empty)
    drawn = _drawn(read, tissue, count)
    air = _air(tissue, empty)
    used = excited(drawn, _drawn(read, air, count) if air.sum() >= places.FEW else None)
    x = drawn[list(used)].astype(np.float64)
    middle = x.mean(1)
    x -= middle[:, None]
    values, vectors = _principal(x)
    lags = (np.nan,) * 3
    whole = (tissue, empty, mean, np.ones(len(used)), lowest >= 0)
    made = Components(used, middle, vectors, values, 1.0, None, None, lags, *whole)
    if not tissue.any() or not x.any():
        return replace(made, sigma=0.0, power=np.ones_like(values))
    if len(used) >= MANY:
        return _by_weakest(made, read, x, adjacent)
    usual = int(np.argsort(middle)[len(used) // 2])
    return _by_slices(made, read, drawn[used[usual]])


def tissue_of(mean: np.ndarray, empty: np.ndarray) -> np.ndarray:
    """Where a mean volume ``(Z, Y, X)`` is brighter than its background, bool; all if no voxel is.

    The threshold is Otsu's, halved, so that dark tissue stays in.
    """
    from skimage.filters import threshold_otsu

    seen = mean[~empty]
    if not seen.size or seen.min() == seen.max():
        return ~empty
    low, high = np.percentile(seen, (1, 99))
    limit = 0.5 * (low + threshold_otsu(np.clip(seen, low, high)))
    inside = (mean > limit) & ~empty
    return inside if inside.any() else ~empty


def excited(drawn: np.ndarray, air: np.ndarray | None = None) -> tuple[int, ...]:
    """The volumes with signal, of values ``(C, n)`` in tissue and in the air; all if none has."""
    silent = places.noise_only(drawn, air)
    chosen = np.flatnonzero(~silent & (np.ptp(drawn, axis=1) > 0))
    return tuple(chosen.tolist()) or tuple(range(len(drawn)))


def _air(tissue: np.ndarray, empty: np.ndarray) -> np.ndarray:
    """Acquired background ``(Z, Y, X)``, bool, well away from tissue in the plane."""
    from scipy.ndimage import binary_dilation

    flat = np.ones((1, 3, 3), bool)
    air: np.ndarray = ~binary_dilation(tissue | empty, flat, AWAY)
    return air


def _drawn(read: Slices, tissue: np.ndarray, count: int) -> np.ndarray:
    """Values ``(C, n)`` of voxels of tissue, evenly spread."""
    every = max(1, int(np.count_nonzero(tissue)) // DRAWN)
    parts, seen = [], 0
    for z in range(len(tissue)):
        inside = np.flatnonzero(tissue[z])
        first = -seen % every
        seen += len(inside)
        if len(chosen := inside[first::every]):
            parts.append(read(z, z + 1).reshape(count, -1)[:, chosen])
    return np.concatenate(parts, axis=1) if parts else read(0, 1).reshape(count, -1)


def _principal(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variances and unit vectors ``(T, T)``, the greatest variance first, of values ``(T, n)``."""
    values, vectors = np.linalg.eigh(x @ x.T / x.shape[1])
    return np.maximum(values[::-1], 0), np.ascontiguousarray(vectors[:, ::-1])


def _by_weakest(made: Components, read: Slices, x: np.ndarray, adjacent: bool) -> Components:
    """Level, places and spectrum from the weakest components."""
    weak = slice(-(len(made.used) // WEAK), None)
    spread = np.sqrt(len(x) / x.shape[1])
    variance = float(np.median(made.power[weak])) / _weakest(spread)
    if variance <= 0:
        return replace(made, sigma=0.0, power=np.ones_like(made.power))
    part = replace(made, rotation=made.rotation[:, weak])
    depth, height, width = made.tissue.shape
    cells = (depth, -(-height // CELL), -(-width // CELL))
    sums = np.zeros(cells)
    for z in range(depth):
        c = part.forward(read(z, z + 1)[:, 0])
        sums[z] = in_cells(np.square(c).mean(0) / variance, CELL)
    field = _smooth(sums, made, adjacent)
    made = replace(made, sigma=float(np.sqrt(variance)), field=field)
    # Once more, in units of the level in every place.
    at = np.sqrt(_drawn_field(made, x.shape[1]))
    values, vectors = _principal(x / at)
    noise = float(np.median(values[weak])) / _weakest(spread)
    noise *= _within(vectors[:, weak].T @ (x / at), made.tissue)
    covariance = (vectors * np.maximum(values, 1e-3 * noise)) @ vectors.T / noise
    unit = _unit(1 / np.diag(np.linalg.inv(covariance)))
    values, vectors = np.linalg.eigh(covariance / np.multiply.outer(unit, unit))
    values, vectors = values[::-1], np.ascontiguousarray(vectors[:, ::-1])
    made = replace(made, rotation=vectors, power=values, sigma=float(np.sqrt(noise)), unit=unit)
    power, lags = _spectrum(replace(made, rotation=vectors[:, weak]), read, adjacent)
    return replace(made, spectrum=power, lags=lags)


def _unit(alone: np.ndarray) -> np.ndarray:
    """The deviation of each volume's own noise from the variance that no other volume predicts.

    Both in units of the scanner's noise. What is unpredictable is motion and pulsation as well. Of
    few volumes it is also signal, because each has a direction of its own, and so it is where there
    is far more than noise, as in the only volume at b = 0.
    """
    noise = np.where(alone > UNLIKE, 1, np.clip(alone, 1, MOST))
    unit: np.ndarray = np.sqrt(1 + max(0.0, 1 - FEW / len(alone)) * (noise - 1))
    return unit


def _weakest(spread: float) -> float:
    """The median of the weakest quarter of the eigenvalues of white noise of variance 1.

    They lie on a semicircle of half width ``2·spread``, the root of the ratio of volumes to voxels
    (Marchenko and Pastur), of which an eighth is below −0.63.
    """
    return max(0.25, 1 + spread**2 - 2 * 0.63 * spread)


def _within(c: np.ndarray, tissue: np.ndarray) -> float:
    """The power of components ``(K, n)`` of drawn voxels away from the air, relative to all.

    At the border of tissue the level in every place is too low, as it is averaged with that of air.
    """
    away = inner(tissue)
    inside = _drawn(lambda a, b: away[None, a:b], tissue, 1)[0][: c.shape[1]]
    power = np.square(c).mean(0)
    return float(power[inside].mean() / power.mean()) if inside.any() else 1.0


def _drawn_field(made: Components, count: int) -> np.ndarray:
    """The relative variance at the voxels that `_drawn` draws, ``(n,)``."""
    assert made.field is not None

    def rows(start: int, stop: int) -> np.ndarray:
        assert made.field is not None
        return made.field.rows(start, stop)[None]

    found: np.ndarray = _drawn(rows, made.tissue, 1)[0]
    return found[:count]


def _smooth(sums: np.ndarray, made: Components, adjacent: bool) -> Grid:
    """The field of cells ``(Z, y, x)`` of relative variances; empty ones get their neighbours."""
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    full = np.stack([in_cells(1.0 - e, CELL) for e in made.empty])
    log = np.log(np.maximum(sums / np.maximum(full, 1e-6), 1e-6))
    holes = full < 0.5
    if holes.any() and not holes.all():
        nearest = distance_transform_edt(holes, return_distances=False, return_indices=True)
        log = log[tuple(nearest)]
    log = gaussian_filter(log, (SMOOTH * adjacent, SMOOTH, SMOOTH), mode="nearest")
    return Grid(log, made.tissue.shape, CELL)


def _spectrum(
    made: Components, read: Slices, adjacent: bool
) -> tuple[Octaves | None, tuple[float, float, float]]:
    """The noise's density per octave in the plane, and its lag-1 autocorrelation."""
    depth, height, width = made.tissue.shape
    bands = octave_of((height, width), OCTAVES)
    count = np.bincount(bands.ravel(), minlength=OCTAVES)
    density, lags, pairs = np.zeros(OCTAVES), np.zeros(3), np.zeros(3)
    last: tuple[np.ndarray, np.ndarray] | None = None
    inside = np.linspace(0, depth, min(depth, SLICES) + 1).astype(int)
    chosen = {z for a in inside[:-1] for z in (a, min(a + 1, depth - 1))}
    for z in sorted(chosen):
        c = made.forward(read(z, z + 1)[:, 0]) / made.deviation(z, z + 1)[:, 0]
        mask = made.tissue[z]
        if mask.sum() < 16:
            last = None
            continue
        c = np.where(mask, c - c[:, mask].mean(1)[:, None, None], 0)
        density += np.bincount(
            bands.ravel(), (np.abs(np.fft.fft2(c)) ** 2).mean(0).ravel(), OCTAVES
        )
        for axis in (1, 2):
            near = mask & np.roll(mask, 1, axis - 1)
            near[(slice(None),) * (axis - 1) + (0,)] = False
            lags[axis] += float((c * np.roll(c, 1, axis))[:, near].sum())
            pairs[axis] += float(np.square(c)[:, near].sum())
        if adjacent and last is not None and last[1].shape == mask.shape and z - 1 in chosen:
            both = mask & last[1]
            lags[0] += float((c * last[0])[:, both].sum())
            pairs[0] += float(np.square(c)[:, both].sum())
        last = (c, mask)
    if not density.any():
        return None, (np.nan,) * 3
    for k in range(OCTAVES):  # a small slice has no low frequencies, its finest octave aside
        density[k] = density[k] / count[k] if count[k] else density[max(k - 1, 0)]
    found = np.divide(lags, pairs, out=np.full(3, np.nan), where=pairs > 0)
    z, y, x = (float(v) for v in found)
    return Octaves.of_means(density / density.max()), (z, y, x)


def _by_slices(made: Components, read: Slices, drawn: np.ndarray) -> Components:
    """The level of a few volumes, from slices of a usual one, cut to its tissue.

    The weakest component, if there are several, can only have more variance than the noise.
    """
    from hush.kinds.image.measure.estimation import estimate_any

    usual = made.used[int(np.argsort(made.mean)[len(made.used) // 2])]
    chosen = _slices(made.tissue)
    planes = [read(z, z + 1)[usual] for z in chosen]
    inside = [(p[0], made.tissue[z]) for p, z in zip(planes, chosen, strict=True)]
    steps = [np.diff(p, axis=k)[np.delete(t, 0, k)] for p, t in inside for k in (0, 1)]
    if np.median(np.abs(np.concatenate(steps))) == 0:  # most neighbours are equal, as in a mask
        return replace(made, sigma=0.0, power=np.ones_like(made.power))
    box = [_span(made.tissue.any((0, 2))), _span(made.tissue.any((0, 1)))]
    scale = max(float(np.abs(p).max()) for p in planes) or 1.0
    found = estimate_any([np.ascontiguousarray(p[:, *box]) / np.float32(scale) for p in planes])
    if made.magnitudes:
        every = range(len(made.tissue))
        mean = np.stack([in_cells(read(z, z + 1)[usual, 0], CELL) for z in every])
        mean = mean.astype(np.float64)
        drawn = cells_of_tissue(mean, made.tissue)
    level = _in_tissue(found.process, drawn / scale) * scale
    low, uneven = 0.0, False
    if blocks := _in_blocks(inside):
        low, high = np.quantile(blocks, (0.1, 0.5)).tolist()
        if uneven := high > UNEVEN * low:
            found = replace(found, correlated=False, spectrum=None)
        if level < LOWEST * low:  # then it is the finest detail that is measured
            level, found = LOWEST * low, replace(found, correlated=False, spectrum=None)
        elif not found.correlated:
            level = min(level, HIGHEST * (low if uneven else high))
    if len(made.used) > 1 and made.power[-1] < level**2:
        level = float(np.sqrt(made.power[-1]))
    if level <= 0:
        return replace(made, sigma=0.0, power=np.ones_like(made.power))
    power, parts = made.power / level**2, None
    field, spectrum, lags = None, None, (np.nan, found.correlation, found.correlation)
    if found.correlated:
        spectrum = found.spectrum
    if made.magnitudes:  # whatever law the slices showed
        level = parts = float(level_of(np.array(level), drawn))
        variance = Rician(level).variance_near(mean) / level**2
        field = Grid(np.log(variance), made.tissue.shape, CELL)
        if (around := _around(made, read, usual)) is not None:
            r = len(around) // 2
            spectrum = Octaves.of_means(levels_of_lags(around, OCTAVES)[0] ** 2)
            lags = (np.nan, float(around[r + 1, r]), float(around[r, r + 1]))
    finest = (1 - lags[1]) * (1 - lags[2])  # variance of the finest detail of such noise
    if (
        uneven or finest < (LEAST * low / level) ** 2
    ):  # there is far more: ghosts in the air, or anatomy
        spectrum, lags = None, (np.nan,) * 3
    rising = np.where(made.rotation.sum(0) < 0, -1.0, 1.0)  # magnitudes are skewed to one side
    return replace(
        made,
        sigma=level,
        field=field,
        rotation=made.rotation * rising,
        power=power,
        parts=parts,
        spectrum=spectrum,
        lags=lags,
    )


def _in_blocks(planes: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[float]:
    """The deviation of the finest detail in blocks of tissue; empty if there are too few.

    planes : slices ``(Y, X)``, and where they show tissue. Detail is the difference of differences
    of four neighbours, which smooth anatomy has none of; its median withstands edges.
    """
    found = []
    for x, tissue in planes:
        d = np.diff(np.diff(x.astype(np.float64), axis=0), axis=1) / 2
        whole = tissue[1:, 1:] & tissue[1:, :-1] & tissue[:-1, 1:] & tissue[:-1, :-1]
        for i in range(0, d.shape[0] - BLOCK + 1, BLOCK // 2):
            for j in range(0, d.shape[1] - BLOCK + 1, BLOCK // 2):
                part = (slice(i, i + BLOCK), slice(j, j + BLOCK))
                if whole[part].mean() > 0.8:
                    found.append(float(np.median(np.abs(d[part][whole[part]]))) / 0.6745)
    return found if len(found) >= BLOCKS else []


def _around(made: Components, read: Slices, usual: int) -> np.ndarray | None:
    """The noise's autocorrelation in the plane from the air around, ``(2r + 1, 2r + 1)``.

    Magnitudes of noise alone correlate with the square of the complex noise's correlation. None if
    there is too little air that was acquired, or the noise is white there.
    """
    from scipy.ndimage import binary_dilation, uniform_filter

    size = 2 * LAGS + 1
    sums, pairs, power, count = np.zeros((size, size)), np.zeros((size, size)), 0.0, 0
    for z in range(len(made.tissue)):
        air = ~binary_dilation(made.tissue[z] | made.empty[z], iterations=AWAY)
        if np.count_nonzero(air) < places.FEW:
            continue
        x = read(z, z + 1)[usual, 0].astype(np.float64)
        weight = np.maximum(uniform_filter(air.astype(np.float64), 15), 1e-3)
        r = np.where(air, x - uniform_filter(np.where(air, x, 0), 15) / weight, 0)
        power += float(np.sum(r * r))
        count += int(np.count_nonzero(air))
        for i, j in np.ndindex(size, size):
            shift = (i - LAGS, j - LAGS)
            both = air & np.roll(air, shift, (0, 1))
            sums[i, j] += float(np.sum((r * np.roll(r, shift, (0, 1)))[both]))
            pairs[i, j] += np.count_nonzero(both)
    if count < AIR or power <= 0:
        return None
    found = sums / np.maximum(pairs, 1) / (power / count)
    found[found < 4 / np.sqrt(count)] = 0
    found = np.sqrt(found)
    found[LAGS, LAGS] = 1
    return found if np.count_nonzero(found) > 1 else None


def _slices(tissue: np.ndarray) -> list[int]:
    """Up to `SLICES` slices with tissue, evenly spread."""
    area = tissue.sum((1, 2))
    having = np.flatnonzero(area > 0.3 * area.max())
    places = np.linspace(0, len(having) - 1, min(SLICES, len(having))).astype(int)
    return [int(z) for z in having[places]]


def _span(inside: Any) -> slice:
    """From the first to the last place that is inside, at least 16."""
    places = np.flatnonzero(inside)
    first, last = int(places[0]), int(places[-1]) + 1
    return slice(max(0, min(first, last - 16)), max(last, first + 16))


def _in_tissue(law: Process, values: np.ndarray) -> float:
    """The rms deviation of noise where measured values have these means."""
    return float(np.sqrt(np.mean(law.variance_near(values.astype(np.float64)))))
