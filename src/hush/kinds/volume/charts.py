"""Plots about volumes: what was removed, the background's values, and directions in colour."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hush.kinds.maps import variances
from hush.kinds.volume import places
from hush.kinds.volume.pictures import anatomy
from hush.kinds.volume.series import Series
from hush.noise.process import Process
from hush.report import plots
from hush.report.frame import WHITE, Chart
from hush.tasks import tensor

BARS, WIDEST = 60, 5.0  #: of the histogram, and its highest value in units of σ
HIGHEST = 1500.0  #: b-value up to which a tensor describes the signal well
NEGATIVE = 0.05  #: share of negative values, from which on these are no magnitudes
MOST = 200_000  #: values of background that are counted
LEAST_DIRECTIONS = 6


def removed(stats: Mapping[str, Any], scale: float) -> list[Chart]:
    """Whether what was removed looks like noise: its correlation, and its strength."""
    lags = {letter.lower(): values for letter, values in stats["autocorrelation"].items()}
    own = {letter.lower(): values for letter, values in stats["own"].items()}
    correlated = any(a for values in own.values() for a in values)
    names = {"x": ("one", "along X"), "y": ("two", "along Y"), "z": ("three", "across slices")}
    key = [names[k] for k in names if k in lags]
    key += [("ring", "the noise's own")] * correlated
    made = [
        Chart(
            "Does it look like noise?",
            plots.autocorrelation(
                lags,
                "Autocorrelation of what was removed, inside the object",
                0.0,
                WHITE,
                "voxel",
                own if correlated else {},
            ),
            "Autocorrelation of what was removed, inside the object. Correlation with the smoothed "
            f"image, which would be anatomy: {stats['anatomy']:.3f}.",
            (*key, ("area", f"accepted, ±{WHITE}")),
        )
    ]
    if stats["levels"]:
        made.append(
            Chart(
                "Is it as strong as noise should be?",
                plots.levels(
                    stats["levels"], scale, "", "Removed noise and noise model by brightness"
                ),
                "Standard deviation of what was removed, by brightness of the result.",
                (("one", "measured"), ("curve", "noise model")),
            )
        )
    return made


def background(
    item: np.ndarray,
    noise: Process,
    where: places.Places,
    about: Mapping[str, Any],
    scale: float,
) -> list[Chart]:
    """The histogram of values where there is only noise, and the law that was measured.

    Nothing if there is no such place, or no noise.
    """
    from scipy.stats import chi, norm

    if not where.has_background or noise.terms != (0,):
        return []
    variance = variances(noise, np.ones((1, *item.shape[1:]), np.float32))[0]
    sigma = np.sqrt(variance[where.outside])
    if not sigma.size or not sigma.min() > 0:
        return []
    zero = places.zero_of(about, scale)
    picks = places.spread(Series.of(len(item), about))
    step = max(1, len(picks) * len(sigma) // MOST)
    stored = np.stack([item[c][where.outside][::step] for c in picks]).astype(np.float32)
    x = _over(stored, sigma[::step], zero, scale)
    coils = int(getattr(noise, "coils", 1))
    magnitude = bool(np.mean(x < 0) < NEGATIVE)
    law = chi(2 * coils) if magnitude else norm()
    name = ("Rayleigh" if coils == 1 else f"χ of {coils} coils") if magnitude else "Gaussian"
    low = 0.0 if magnitude else -WIDEST
    high = WIDEST if coils == 1 else float(law.ppf(0.9999))
    edges = np.linspace(low, high, BARS + 1)
    if item.dtype.kind in "iu":  # whole values would lie in some of the bars only
        within = np.random.default_rng(0).uniform(-0.5, 0.5, stored.shape).astype(np.float32)
        shown = _over(stored + within, sigma[::step], zero, scale)
        heights, _ = np.histogram(np.abs(shown) if magnitude else shown, edges)
    else:
        heights, _ = np.histogram(x, edges)
    density = heights / (max(len(x), 1) * np.diff(edges))
    fine = np.linspace(low, high, 200)
    best = math.sqrt(float(np.mean(x**2)) / (2 * coils if magnitude else 1)) if x.size else 1.0
    svg = plots.curves(
        {
            "voxels": ("one", np.repeat(edges, 2)[1:-1], np.repeat(density, 2)),
            name: ("two", fine, law.pdf(fine)),
        },
        "Values of the background, and the law of the measured noise",
        "value / σ at its place",
        "density",
    )
    return [
        Chart(
            "Does the background fit?",
            svg,
            f"{len(x):,} values where there is noise only, over the noise model's σ. The σ that "
            f"fits them best is {100 * best:.0f} % of it.",
            (("one", "background"), ("curve", f"noise model ({name})")),
        )
    ]


def _over(stored: np.ndarray, sigma: np.ndarray, zero: float, scale: float) -> np.ndarray:
    """Values ``(C, N)`` as stored over σ ``(N,)`` in units of full range; finite ones only."""
    x: np.ndarray = (stored / np.float32(scale) - np.float32(zero)) / sigma
    return x[np.isfinite(x)]


# -- directions -------------------------------------------------------------------------------


def of_tensor(series: Series) -> list[int]:
    """The volumes to fit a tensor to: b = 0, and the shells that it describes; maybe none."""
    if series.bvals is None or series.bvecs is None or not series.unweighted.any():
        return []
    weighted = [s for s in series.shells if not series.unweighted[s[0]]]
    able = [s for s in weighted if len(s) >= LEAST_DIRECTIONS]
    low = [s for s in able if series.b_of(s) <= HIGHEST] or able[:1]
    picks = sorted({*np.flatnonzero(series.unweighted).tolist(), *(i for s in low for i in s)})
    if low and tensor.determined(series.bvals[picks], series.bvecs[picks]):
        return picks
    return []


def colour_fa(
    data: np.ndarray,
    inside: np.ndarray,
    volumes: Sequence[int],
    series: Series,
    about: Mapping[str, Any],
) -> np.ndarray:
    """FA times the main direction's absolute components ``(n, H, W, 3)``, 0 outside.

    data : the volumes' slices ``(C, n, H, W)``. Red is left–right, green back–front, blue feet–head
    if the affine says which axis is which; else they are X, Y and Z.
    """
    assert series.bvals is not None
    assert series.bvecs is not None
    picks = list(volumes)
    out = np.zeros((*inside.shape, 3))
    known = inside & np.isfinite(data).all(axis=0)
    tensors = tensor.fit(data[:, known], series.bvals[picks], series.bvecs[picks])
    fa, direction = tensor.anisotropy(tensors)
    affine = about.get("affine")
    order = [0, 1, 2]
    if affine is not None:
        order = [2 - axis for axis, _ in anatomy(np.asarray(affine, np.float64))]
    out[known] = fa[:, None] * np.abs(direction[:, order])
    return out
