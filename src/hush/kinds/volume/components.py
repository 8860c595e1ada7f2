"""A series in its principal components: a rotation of its volumes that keeps the noise's law."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from hush.noise.field import Grid
from hush.noise.magnitude import level_of
from hush.noise.processes import Correlated, Gaussian, Process, Rician
from hush.noise.spectrum import Octaves
from hush.noise.units import fixed

MANY = 12  #: volumes from which on the weakest components have no signal
BRIGHT = 2.2  #: mean of magnitudes, relative to σ, from which on they tell σ
FAR = 4.0  #: width in cells of the Gaussian by which the level in the dark is averaged
CELLS = 20_000  #: of tissue by which the level of complex noise is found
SMOOTH = 1.0  #: width in cells of the Gaussian by which levels are averaged
CELL = 4  #: side in voxels of the cells in which the level is measured
FAINTEST = 0.02  #: power of signal in units of the noise's up to which a component has none
CLASSES = 5  #: of brightness in tissue, which keep their means
AROUND = 8.0  #: voxels: width of the Gaussian over which few volumes keep their means
LARGE = 200  #: voxels of a class in a slice from which on it does

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
    average : of all volumes, float32 ``(Z, Y, X)``.
    unit : of each used volume, the deviation of what it shares with no other, relative to `sigma`.
    magnitudes : no value is below zero.
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
    unit: np.ndarray
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
            means = np.stack([in_cells(np.maximum(v, 0), CELL) for v in made[:, z]])
            tissue = in_cells(self.tissue[start + z].astype(np.float64), CELL) > 0.5
            bright = tissue & (means.mean(0) >= BRIGHT * self._typical)
            # Not at its border, across which the level was smoothed.
            inner = binary_erosion(bright, iterations=round(2 * SMOOTH), border_value=1)
            dark = ~(inner if inner.any() else bright)
            level = level_of(in_cells(spread[z], CELL), means)
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
        seen = np.stack([in_cells(np.square(s), CELL) for s in spread])
        mean = np.stack([in_cells(np.maximum(m, 0), CELL) for m in self.average])
        variances, means = (cells_of_tissue(x, self.tissue) for x in (seen, mean))
        bright = means >= np.quantile(means, 2 / 3)
        return float(level_of(np.sqrt(variances[bright].mean()), means[bright]))

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Components ``(K, …)`` of slices ``(C, …)``."""
        y = x[list(self.used)] - self._of(self.mean, x.ndim)
        y /= self._of(self.unit, x.ndim)
        return np.tensordot(self.rotation.T.astype(np.float32), y, 1)

    def back(self, c: np.ndarray) -> np.ndarray:
        """The used volumes ``(T, …)`` with these components."""
        y = np.tensordot(self.rotation.astype(np.float32), c, 1)
        y *= self._of(self.unit, c.ndim)
        y += self._of(self.mean, c.ndim)
        return y

    def _of(self, each: np.ndarray, ndim: int) -> np.ndarray:
        """A number a volume, for arrays of `ndim` axes."""
        return each.reshape(-1, *[1] * (ndim - 1)).astype(np.float32)

    def stated(self, noise: Process) -> Components:
        """The same series with noise as the user states it, in the data's units."""
        mean = np.maximum(self.average, 0).astype(np.float64)
        variance = np.broadcast_to(noise.variance_near(mean), mean.shape)
        level = float(np.sqrt(variance[self.tissue].mean()))
        if level <= 0:
            return replace(self, sigma=0.0)
        cells = np.stack([in_cells(v, CELL) for v in variance / level**2])
        field = Grid(np.log(np.maximum(cells, 1e-6)), self.tissue.shape, CELL)
        even = bool(np.ptp(variance) == 0)
        power = self.power * (self.sigma / level) ** 2
        parts = (
            float(fixed(noise.sigma)) if isinstance(noise, Rician) and not noise.varies else None
        )
        return replace(self, sigma=level, field=None if even else field, power=power, parts=parts)

    def lowered(self, sigma: float) -> Components:
        """The same with noise of this deviation, if it is lower."""
        ratio = min(1.0, sigma / self.sigma) if self.sigma else 1.0
        if ratio == 1:
            return self
        parts = None if self.parts is None else ratio * self.parts
        power = self.power / ratio**2 if ratio else np.ones_like(self.power)
        return replace(self, sigma=ratio * self.sigma, power=power, parts=parts)

    def levelled(self, made: np.ndarray, x: np.ndarray, start: int) -> None:
        """Give slices of a result ``(C, z, Y, X)`` the means of `x`.

        Weak components that are left out may have a little of a tissue's contrast. Of many volumes,
        each class of brightness of a slice keeps its mean: over so many voxels the noise is next to
        nothing. Classes are those of the result, because the noise of `x` must not choose its own
        class. A few volumes are noisy even so, and keep the means over some voxels around.
        """
        if len(self.used) < MANY:
            for z in range(made.shape[1]):
                near = ~self.empty[start + z]
                if near.any():
                    made[:, z] += _around_mean(x[:, z] - made[:, z], near)
            return
        limits = np.quantile(self.average[self.tissue], np.arange(CLASSES) / CLASSES)
        for z in range(made.shape[1]):
            group = np.digitize(made[list(self.used), z].mean(0), limits)
            group[self.empty[start + z]] = CLASSES + 1
            count = np.bincount(group.ravel(), minlength=CLASSES + 2)
            count[-1] = 0
            for name in np.flatnonzero(count >= LARGE).tolist():
                inside = group == name
                shift = (x[:, z, inside] - made[:, z, inside]).mean(1, dtype=np.float64)
                made[:, z, inside] += shift.astype(np.float32)[:, None]


def inner(tissue: np.ndarray) -> np.ndarray:
    """Tissue away from the air, with whose level the one at its border is averaged; all if little.

    tissue : bool ``(Z, Y, X)``.
    """
    from scipy.ndimage import binary_erosion

    reach = round((1 + SMOOTH) * CELL)
    found = np.stack([binary_erosion(t, iterations=reach, border_value=1) for t in tissue])
    return found if found.sum() >= tissue.sum() / 10 else tissue


def _around_mean(r: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The mean of what was removed from slices ``(C, Y, X)`` around each voxel inside; else 0."""
    from scipy.ndimage import gaussian_filter

    weight = np.maximum(gaussian_filter(inside.astype(np.float32), AROUND), 1e-3)
    mean: np.ndarray = gaussian_filter(np.where(inside, r, 0), (0, AROUND, AROUND)) / weight
    return np.where(inside, mean, 0)


def in_cells(x: np.ndarray, side: int) -> np.ndarray:
    """Means of a plane ``(Y, X)`` over cells; those at the border may be smaller."""
    edges = [np.arange(0, n, side) for n in x.shape]
    sums = np.add.reduceat(np.add.reduceat(x, edges[0], 0), edges[1], 1)
    counts = [np.diff([*e, n]) for e, n in zip(edges, x.shape, strict=True)]
    mean: np.ndarray = sums / np.multiply.outer(*counts)
    return mean


def cells_of_tissue(mean: np.ndarray, tissue: np.ndarray) -> np.ndarray:
    """The means ``(n,)`` of cells ``(Z, y, x)`` in tissue, evenly spread; of all if none is."""
    inside = np.stack([in_cells(t.astype(np.float64), CELL) for t in tissue]) > 0.5
    means = mean[inside] if inside.any() else mean.ravel()
    return means[:: max(1, len(means) // CELLS)]
