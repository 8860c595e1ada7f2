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

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from hush.noise.field import Grid
from hush.noise.magnitude import level_of
from hush.noise.processes import Correlated, Gaussian, Process, Rician
from hush.noise.spectrum import OCTAVES, Octaves, levels_of_lags, octave_of
from hush.noise.units import fixed

WEAK = 4  #: one in this many components, the weakest, is taken as noise alone
MANY = 12  #: volumes from which on the weakest components have no signal
DRAWN = 200_000  #: voxels of tissue by which the covariance is estimated
CELL = 4  #: side in voxels of the cells in which the level is measured
SMOOTH = 1.0  #: width in cells of the Gaussian by which their levels are averaged
SILENT = 0.2  #: a volume with less than this share of the others' mean was not excited
FAINTEST = 0.02  #: power of signal in units of the noise's up to which a component has none
CLASSES = 5  #: of brightness in tissue, which keep their means
LARGE = 200  #: voxels of a class in a slice from which on it does
LAGS = 3  #: up to which the noise's correlation is measured in the air around
AIR = 5000  #: voxels of air that this takes, at least
AWAY = 4  #: voxels that air is away from tissue
BRIGHT = 2.2  #: mean of magnitudes, relative to σ, from which on they tell σ
FAR = 4.0  #: width in cells of the Gaussian by which the level in the dark is averaged
CELLS = 20_000  #: of tissue by which the level of complex noise is found
SLICES = 9  #: slices by which a few volumes are measured

#: reads the slices ``start:stop`` of a series, float32 ``(C, z, Y, X)``, finite
Slices = Callable[[int, int], np.ndarray]


@dataclass(frozen=True, eq=False)
class Components:
    """How a series ``(C, Z, Y, X)`` turns into components, and back.

    used : indices of the volumes that are denoised together; the others hold no signal.
    mean : of each of them over tissue. rotation : ``(T, K)``, a column a component, the strongest
        first. power : their variance over tissue in units of the noise's.
    sigma : rms deviation of the noise over tissue; field : how its variance differs from place to
        place. spectrum : in the plane; None for white noise. lags : its lag-1 autocorrelation along
        Z, Y, X; NaN if unknown.
    tissue : where there is any, bool ``(Z, Y, X)``; empty : where all volumes are exactly zero.
    average : of all volumes, float32 ``(Z, Y, X)``. magnitudes : no value is below zero.
    parts : deviation of the complex noise behind magnitudes if it is known to be the same in every
        place; else `complex_deviation` finds it.
    """

    used: tuple[int, ...]
    mean: np.ndarray
    rotation: np.ndarray
    power: np.ndarray
    sigma: float
    field: Grid | None
    spectrum: Octaves | None
    lags: tuple[float, float, float]
    tissue: np.ndarray
    empty: np.ndarray
    average: np.ndarray
    magnitudes: bool = False
    parts: float | None = None

    @property
    def signal(self) -> np.ndarray:
        """The power of each component's signal; 0 if noise alone can be as strong."""
        most = (1 + np.sqrt(len(self.power) / max(1, int(self.tissue.sum())))) ** 2
        weak = self.power <= max(most, 1 + FAINTEST)
        return np.where(weak & (len(self.power) > 1), 0.0, np.maximum(self.power - 1, 0))

    @property
    def brightness(self) -> float:
        """The deviation of the average volume over tissue."""
        return float(self.average[self.tissue].std()) if self.tissue.any() else 0.0

    def deviation(self, start: int, stop: int) -> np.ndarray:
        """The noise's deviation in some slices, float32 ``(1, z, Y, X)`` or a number's array."""
        if self.field is None:
            return np.full((1, 1, 1, 1), self.sigma, np.float32)
        return np.float32(self.sigma) * np.sqrt(self.field.rows(start, stop))[None]

    def law(self, level: float) -> Process:
        """The noise of every component at this level, over the axes of a slice."""
        white = Gaussian(level)
        return white if self.spectrum is None else Correlated(white, self.spectrum, 2)

    def magnitude_law(self, level: float) -> Process:
        """The noise of every volume if these are magnitudes, with this level of complex noise."""
        white = Rician(level)
        return white if self.spectrum is None else Correlated(white, self.spectrum, 2)

    def complex_deviation(self, made: np.ndarray, start: int) -> np.ndarray:
        """The deviation of the complex noise in slices whose means of magnitudes are known.

        made : of the used volumes, ``(T, z, Y, X)``, the first slice being `start`. The result is
        float64 ``(z, Y, X)``. In the dark, magnitudes hardly tell: there it is that of the nearest
        bright tissue in the slice, or of all bright tissue.
        """
        from scipy.ndimage import binary_erosion, distance_transform_edt, gaussian_filter

        shape = made.shape[1:]
        if self.parts is not None:
            return np.full(shape, self.parts)
        spread = np.broadcast_to(self.deviation(start, start + shape[0])[0], shape)
        logs = []
        for z in range(shape[0]):
            means = np.stack([_in_cells(np.maximum(v, 0), CELL) for v in made[:, z]])
            tissue = _in_cells(self.tissue[start + z].astype(np.float64), CELL) > 0.5
            bright = tissue & (means.mean(0) >= BRIGHT * self._typical)
            # Not at its border, across which the level was smoothed.
            inner = binary_erosion(bright, iterations=round(2 * SMOOTH), border_value=1)
            dark = ~(inner if inner.any() else bright)
            level = level_of(_in_cells(spread[z], CELL), means)
            log = 2 * np.log(np.maximum(level, 1e-30))
            if dark.all():
                log = np.full_like(log, 2 * np.log(max(self._typical, 1e-30)))
            elif dark.any():
                near = distance_transform_edt(dark, return_distances=False, return_indices=True)
                log = np.where(dark, gaussian_filter(log[tuple(near)], FAR, mode="nearest"), log)
            logs.append(log)
        return np.sqrt(Grid(np.stack(logs), shape, CELL).rows(0, shape[0]).astype(np.float64))

    @cached_property
    def _typical(self) -> float:
        """The deviation of the complex noise in the brightest third of tissue."""
        depth, shape = range(len(self.tissue)), self.tissue[0].shape
        spread = [np.broadcast_to(self.deviation(z, z + 1)[0, 0], shape) for z in depth]
        seen = np.stack([_in_cells(np.square(s), CELL) for s in spread])
        mean = np.stack([_in_cells(np.maximum(m, 0), CELL) for m in self.average])
        variances, means = (_cells_of_tissue(x, self.tissue) for x in (seen, mean))
        bright = means >= np.quantile(means, 2 / 3)
        return float(level_of(np.sqrt(variances[bright].mean()), means[bright]))

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Components ``(K, …)`` of slices ``(C, …)``."""
        y = x[list(self.used)] - self.mean.reshape(-1, *[1] * (x.ndim - 1)).astype(np.float32)
        return np.tensordot(self.rotation.T.astype(np.float32), y, 1)

    def back(self, c: np.ndarray) -> np.ndarray:
        """The used volumes ``(T, …)`` with these components."""
        y = np.tensordot(self.rotation.astype(np.float32), c, 1)
        y += self.mean.reshape(-1, *[1] * (c.ndim - 1)).astype(np.float32)
        return y

    def stated(self, noise: Process) -> Components:
        """The same series with noise as the user states it, in the data's units."""
        mean = np.maximum(self.average, 0).astype(np.float64)
        unbias = getattr(noise, "unbias", None)
        signal = mean if unbias is None else unbias(mean)
        variance = np.broadcast_to(noise.variance(signal), mean.shape)
        level = float(np.sqrt(variance[self.tissue].mean()))
        if level <= 0:
            return replace(self, sigma=0.0)
        cells = np.stack([_in_cells(v, CELL) for v in variance / level**2])
        field = Grid(np.log(np.maximum(cells, 1e-6)), self.tissue.shape, CELL)
        even = bool(np.ptp(variance) == 0)
        power = self.power * (self.sigma / level) ** 2
        parts = (
            float(fixed(noise.sigma)) if isinstance(noise, Rician) and not noise.varies else None
        )
        return replace(self, sigma=level, field=None if even else field, power=power, parts=parts)

    def levelled(self, made: np.ndarray, x: np.ndarray, start: int) -> None:
        """Give slices of a result ``(C, z, Y, X)`` the means of `x` in tissue of like brightness.

        Weak components that are left out may have a little of a tissue's contrast. The mean of the
        noise over so many voxels is next to nothing, so each class of a slice keeps its mean.
        Classes are those of the result: the noise of `x` must not choose its own class.
        """
        limits = np.quantile(self.average[self.tissue], np.arange(CLASSES) / CLASSES)
        for z in range(made.shape[1]):
            group = np.digitize(made[:, z].mean(0), limits)
            group[self.empty[start + z]] = CLASSES + 1
            count = np.bincount(group.ravel(), minlength=CLASSES + 2)
            count[-1] = 0
            for name in np.flatnonzero(count >= LARGE).tolist():
                inside = group == name
                shift = (x[:, z, inside] - made[:, z, inside]).mean(1, dtype=np.float64)
                made[:, z, inside] += shift.astype(np.float32)[:, None]


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
    used = excited(drawn)
    x = drawn[list(used)].astype(np.float64)
    middle = x.mean(1)
    x -= middle[:, None]
    values, vectors = _principal(x)
    lags = (np.nan,) * 3
    whole = (tissue, empty, mean, lowest >= 0)
    made = Components(used, middle, vectors, values, 1.0, None, None, lags, *whole)
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


def excited(drawn: np.ndarray) -> tuple[int, ...]:
    """The volumes with signal, of values ``(C, n)`` in tissue; all if none has."""
    level = np.abs(drawn.mean(1))
    usual = np.median(level[level > 0]) if (level > 0).any() else 0.0
    chosen = np.flatnonzero((level > SILENT * usual) & (np.ptp(drawn, axis=1) > 0))
    return tuple(chosen.tolist()) or tuple(range(len(drawn)))


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
        sums[z] = _in_cells(np.square(c).mean(0) / variance, CELL)
    field = _smooth(sums, made, adjacent)
    made = replace(made, sigma=float(np.sqrt(variance)), field=field)
    # Once more, in units of the level in every place.
    at = np.sqrt(_drawn_field(made, x.shape[1]))
    values, vectors = _principal(x / at)
    noise = float(np.median(values[weak])) / _weakest(spread)
    noise *= _within(vectors[:, weak].T @ (x / at), made.tissue)
    made = replace(made, rotation=vectors, power=values / noise, sigma=float(np.sqrt(noise)))
    power, lags = _spectrum(replace(made, rotation=vectors[:, weak]), read, adjacent)
    return replace(made, spectrum=power, lags=lags)


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
    from scipy.ndimage import binary_erosion

    reach = round((1 + SMOOTH) * CELL)
    inner = np.stack([binary_erosion(t, iterations=reach, border_value=1) for t in tissue])
    inside = _drawn(lambda a, b: inner[None, a:b], tissue, 1)[0][: c.shape[1]]
    if np.count_nonzero(inside) < max(LARGE, len(inside) // 10):
        return 1.0
    power = np.square(c).mean(0)
    return float(power[inside].mean() / power.mean())


def _drawn_field(made: Components, count: int) -> np.ndarray:
    """The relative variance at the voxels that `_drawn` draws, ``(n,)``."""
    assert made.field is not None

    def rows(start: int, stop: int) -> np.ndarray:
        assert made.field is not None
        return made.field.rows(start, stop)[None]

    found: np.ndarray = _drawn(rows, made.tissue, 1)[0]
    return found[:count]


def _in_cells(x: np.ndarray, side: int) -> np.ndarray:
    """Means of a plane ``(Y, X)`` over cells; those at the border may be smaller."""
    edges = [np.arange(0, n, side) for n in x.shape]
    sums = np.add.reduceat(np.add.reduceat(x, edges[0], 0), edges[1], 1)
    counts = [np.diff([*e, n]) for e, n in zip(edges, x.shape, strict=True)]
    mean: np.ndarray = sums / np.multiply.outer(*counts)
    return mean


def _smooth(sums: np.ndarray, made: Components, adjacent: bool) -> Grid:
    """The field of cells ``(Z, y, x)`` of relative variances; empty ones get their neighbours."""
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    full = np.stack([_in_cells(1.0 - e, CELL) for e in made.empty])
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
    density /= count
    found = np.divide(lags, pairs, out=np.full(3, np.nan), where=pairs > 0)
    z, y, x = (float(v) for v in found)
    return Octaves(tuple((density / density.max()).tolist())), (z, y, x)


def _by_slices(made: Components, read: Slices, drawn: np.ndarray) -> Components:
    """The level of a few volumes, from slices of a usual one, cut to its tissue.

    The weakest component, if there are several, can only have more variance than the noise.
    """
    from hush.kinds.image.measure.estimation import estimate_any

    usual = made.used[int(np.argsort(made.mean)[len(made.used) // 2])]
    planes = [read(z, z + 1)[usual] for z in _slices(made.tissue)]
    box = [_span(made.tissue.any((0, 2))), _span(made.tissue.any((0, 1)))]
    scale = max(float(np.abs(p).max()) for p in planes) or 1.0
    found = estimate_any([np.ascontiguousarray(p[:, *box]) / np.float32(scale) for p in planes])
    if made.magnitudes:
        every = range(len(made.tissue))
        mean = np.stack([_in_cells(read(z, z + 1)[usual, 0], CELL) for z in every])
        mean = mean.astype(np.float64)
        drawn = _cells_of_tissue(mean, made.tissue)
    level = _in_tissue(found.process, drawn / scale) * scale
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
            spectrum = Octaves(tuple((levels_of_lags(around, OCTAVES)[0] ** 2).tolist()))
            lags = (np.nan, float(around[r + 1, r]), float(around[r, r + 1]))
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
        if np.count_nonzero(air) < LARGE:
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
    return having[np.linspace(0, len(having) - 1, min(SLICES, len(having))).astype(int)].tolist()


def _span(inside: Any) -> slice:
    """From the first to the last place that is inside, at least 16."""
    places = np.flatnonzero(inside)
    first, last = int(places[0]), int(places[-1]) + 1
    return slice(max(0, min(first, last - 16)), max(last, first + 16))


def _cells_of_tissue(mean: np.ndarray, tissue: np.ndarray) -> np.ndarray:
    """The means ``(n,)`` of cells ``(Z, y, x)`` in tissue, evenly spread; of all if none is."""
    inside = np.stack([_in_cells(t.astype(np.float64), CELL) for t in tissue]) > 0.5
    means = mean[inside] if inside.any() else mean.ravel()
    return means[:: max(1, len(means) // CELLS)]


def _in_tissue(law: Process, values: np.ndarray) -> float:
    """The rms deviation of noise where measured values have these means."""
    return float(np.sqrt(np.mean(law.variance_near(values.astype(np.float64)))))
