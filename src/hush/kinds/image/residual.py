r"""Whether the residual, noisy minus denoised, looks like noise.

The residual of a perfect result is the noise itself: white, as strong as the noise model predicts
at every brightness, and independent of the picture. For each way to fail there is a number, a named
threshold and a warning.

Even a good residual is slightly weaker than the model: with the best possible (posterior mean)
denoiser of Gaussian noise its covariance is the noise's minus that of the remaining error
(Tweedie's formula). Fine texture and weak noise therefore lower the ratio, and that is not an
error. The error is alike at neighbouring pixels, so the residual of white noise is correlated
*negatively*, by a few hundredths. Positive correlation, however small, says that the noise was not
white, and its coarse part, which looks like signal, stays in the result (`COARSE`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hush.kinds.image.measure.regression import whitened
from hush.kinds.values import (
    LAGS,
    amount_warnings,
    contrast,
    mean_warnings,
    removed_nothing,
    root_mean_square,
    verdict,
)
from hush.noise.processes import Correlated, Gaussian, PoissonGaussian, Process
from hush.record import ORDINARY, full_range
from hush.report.frame import WHITE
from hush.results import Judgement

Floats = NDArray[np.float32]

#: a lag in pixels at which interpolation or compression no longer correlates the noise
FAR = 4
#: correlation of the residual's local strength with the picture's local gradients: BM3D at the
#: true level stays below 0.05, also at half strength; results with visibly softer edges exceed this
STRUCTURE = 0.3
#: ratio of measured to modelled noise in the brightest third, relative to the darkest; either way
TILT = 1.5
NOTHING = 0.01  #: share of the mean removed variance that counts as much as none
#: lag-1 autocorrelation, beyond chance, from which on noise treated as white is not: of white noise
#: on photographs it was below 0 (174 draws), of scanning microscopes whose results are right
#: up to 0.014 beyond chance, and of OCT, where noise is left as fur, 0.028 and more
COARSE = 0.02
#: steps of the stored type up to which rounding a result, which is smooth, makes its errors alike
#: at neighbouring pixels; below one step it decides how the removed noise depends on brightness
ROUNDED = 2.0
#: width in pixels of the kernel in a suggested `Correlated` law; on OCT 0.7 gains 0.6 to 0.9 dB
KERNEL = 0.7

SIDE, WINDOWS = 512, 16  #: large data is judged in this many windows of this side
#: with 98 % probability all 16 lags of white noise are within this many standard errors
CHANCE = 3.3
BLOCK, CELL = 8, 4  #: sides of the blocks of local strength, and of gradients' cells
CLIPPED = 1e-3  #: share of samples at the extreme value from which on it counts as clipping


def residual_statistics(
    noisy: np.ndarray,
    clean: np.ndarray,
    process: Process,
    *,
    strength: float = 1.0,
    scale: float | None = None,
) -> dict[str, Any]:
    """Compare ``noisy - clean`` with the noise model `process`.

    Parameters
    ----------
    noisy, clean : ``(..., H, W)``, every leading index a separate plane. Floats are in units of
        full range, integers are divided by `scale`; NaN and Inf are left out.
    process : the noise model; its variance at the denoised signal is the expected one.
    strength : the share of the noise that was to be removed.
    scale : the stored value that means full range, by default `full_range` of the dtype.

    Returns
    -------
    A dict of plain numbers, ready for JSON, levels in units of full range:

    - ``mean``, ``rms``: of the residual; ``n``: number of samples used (at most 16 windows of
      512 x 512, spread evenly over planes and area); ``clipped``: share of samples with noise
      clipped by the value range, which ``ratio``, ``levels`` and ``tilt`` leave out
    - ``expected_rms``, ``ratio``: the model's rms, and the measured rms over it (None if it is 0)
    - ``contrast``: range of the denoised values without the lowest and the highest percent
    - ``autocorrelation``: ``{"y": [...], "x": [...]}`` from lag 1, of the residual divided by
      the model's standard deviation; ``band``: 95 % of white noise stays within ±band
    - ``white``: every lag within ±`WHITE`, or within what chance allows on small data
    - ``structure``: correlation of the residual's local strength with local gradients
    - ``levels``: ``{"signal", "measured", "expected", "n"}`` by brightness, dark to bright
    - ``tilt``: measured over expected in the bright third, relative to the dark third
    """
    if noisy.shape != clean.shape or noisy.ndim < 2:
        raise ValueError(f"noisy and clean need one shape (..., H, W): {noisy.shape, clean.shape}")
    scale = full_range(noisy.dtype) if scale is None else scale
    limits = _clip_limits(noisy, scale)
    windows = [
        _look(_floats(noisy[i], scale), _floats(clean[i], scale), process.part(i), strength, limits)
        for i in _windows(noisy.shape)
    ]
    r, x, v = (np.concatenate([getattr(w, name) for w in windows]) for name in "rxv")
    clear = np.concatenate([w.clear for w in windows])
    n = r.size
    clipped = 1 - float(clear.mean()) if n else 0.0
    if clipped > 0.9:  # too little is left to exclude clipped samples
        clear = np.ones_like(clear)
    model = root_mean_square(np.sqrt(v[clear]))
    products = np.sum([w.products for w in windows], axis=0)
    power = sum(w.power for w in windows) / max(n, 1)
    lags = {
        axis: [float(total / pairs / power) if power else 0.0 for total, pairs in rows if pairs]
        for axis, rows in zip("yx", products, strict=True)
    }
    largest = max((abs(a) for a in (*lags["y"], *lags["x"])), default=0.0)
    chance = CHANCE / math.sqrt(max(n, 1))
    levels = _levels(x[clear], r[clear], v[clear])
    loud = [w for w in windows if w.v.any()] or windows  # an empty channel says nothing
    return {
        "n": n,
        "mean": float(r.mean(dtype=np.float64)) if n else 0.0,
        "rms": root_mean_square(r),
        "expected_rms": root_mean_square(np.sqrt(v)),
        "contrast": contrast(x),
        "ratio": root_mean_square(r[clear]) / model if model else None,
        "clipped": clipped,
        "autocorrelation": lags,
        "band": 1.96 / math.sqrt(max(n, 1)),
        "white": largest <= max(WHITE, chance),
        "structure": _correlation(
            np.concatenate([w.energy for w in loud]),
            np.concatenate([w.gradient for w in loud]),
        ),
        "levels": levels,
        "tilt": _tilt(levels),
    }


def judged(
    noisy: np.ndarray,
    clean: np.ndarray,
    process: Process,
    *,
    strength: float = 1.0,
    scale: float | None = None,
    known: bool = False,
    missed: bool = False,
    adaptable: bool = False,
) -> Judgement:
    """Judge whether the residual of an image ``(C, H, W)``, as stored, looks like noise."""
    scale = full_range(noisy.dtype) if scale is None else scale
    stats = residual_statistics(noisy, clean, process, strength=strength, scale=scale)
    notes = warnings(
        stats,
        process,
        scale,
        strength=strength,
        known=known,
        missed=missed,
        adaptable=adaptable,
        step=1 / scale if clean.dtype.kind in "iu" else 0.0,
    )
    return Judgement(stats, tuple(notes), _verdict(stats))


def before_filter(
    noisy: np.ndarray, clean: np.ndarray, process: Process, regression: tuple[float, ...]
) -> tuple[np.ndarray, Process]:
    """The noisy image with the residual that is left after the filter that makes it white, and the
    noise model of that; see `hush.kinds.image.measure.regression`."""
    rest = whitened(noisy.astype(np.float32) - clean, regression)
    return clean + rest, process.scaled(1 - sum(regression) ** 2)


def warnings(
    residual: dict[str, Any],
    process: Process,
    scale: float = 1.0,
    *,
    strength: float = 1.0,
    known: bool = False,
    missed: bool = False,
    adaptable: bool = True,
    step: float = 0.0,
) -> list[str]:
    """Warnings from `residual_statistics`, one or two sentences each.

    known : an earlier warning already says that the noise is correlated.
    missed : an earlier warning already says that the noise does not follow the model's law, or that
        law is certain.
    adaptable : adapting the model to the file may help and has not been tried.
    step : to which the result was rounded, in units of full range.
    """
    sigma = residual["expected_rms"]
    found = removed_nothing(residual, strength)
    if found is not None:
        return [] if 0 < sigma <= step / 2 else found  # rounding brought the input back
    known = known or not process.white
    found = _correlation_warnings(residual, known, adaptable)
    if not found and not known and sigma >= ROUNDED * step:
        found = _coarse_left(residual, process, scale)
    if residual["structure"] > STRUCTURE:
        found.append(
            "The residual contains structure: more was removed along edges and texture than "
            f"elsewhere (correlation {residual['structure']:.2f}), so detail was lost. "
            f"Try a lower --strength, such as 0.7{', or --adapt 60s' if adaptable else ''}."
        )
    tilt = residual["tilt"]
    tilted = tilt is not None and not 1 / TILT < tilt < TILT and not missed and sigma >= step
    if tilted:  # its law has the level, too
        found.append(_tilted(residual, process, scale, strength))
    elif sigma >= step or (residual["ratio"] or 0) > 1:
        found += amount_warnings(
            residual,
            scale,
            strength=strength,
            adaptable=adaptable,
            state=not process.varies,
            coarse=known,
        )
    return found + mean_warnings(residual)


def _correlation_warnings(residual: dict[str, Any], known: bool, adaptable: bool) -> list[str]:
    lags = [
        (value, lag, {"y": "down", "x": "across"}[axis])
        for axis, values in residual["autocorrelation"].items()
        for lag, value in enumerate(values, 1)
    ]
    near = max((r for r, lag, _ in lags if lag == 1), key=abs, default=0.0)
    # Correlation from a filter is strongest at lag 1 and fades; what does not fade is a pattern.
    patterns = [t for t in lags if t[1] >= FAR or abs(near) <= WHITE]
    most, lag, where = max(patterns, key=lambda t: abs(t[0]), default=(0.0, 0, ""))
    if residual["white"]:
        return []
    if abs(most) > WHITE:
        return [
            f"The residual contains structure: it is correlated over {lag} pixels {where} "
            f"({most:.2f}), which points to stripes or other sensor patterns, or to removed "
            "picture content. Look at what was removed; remove patterns before denoising."
        ]
    if near > WHITE and not known:
        if residual["structure"] > STRUCTURE:  # what was removed is the picture, as is told next
            return []
        return [
            f"The residual contains structure: neighbours are alike (lag-1 {near:.2f}), and the "
            "noise was treated as independent from pixel to pixel. Either it is spatially "
            "correlated, and its coarse part remains in the result, or detail was removed. Try the "
            "raw file, before sharpening, demosaicing or JPEG compression, or a copy at half size."
        ]
    if near < -WHITE:
        return [
            f"The residual contains structure: neighbouring pixels differ too much (lag-1 "
            f"{near:.2f}), so only the fine part of the noise was removed and the coarse "
            f"part remains in the result.{' Try --adapt 60s.' if adaptable else ''}"
        ]
    return []


def _coarse_left(residual: dict[str, Any], process: Process, scale: float) -> list[str]:
    """A warning if neighbours in the residual are alike, which white noise does not cause."""
    lags = [values[0] for values in residual["autocorrelation"].values() if values]
    near = max(lags, default=0.0)
    if near <= COARSE + CHANCE / math.sqrt(max(residual["n"], 1)):
        return []
    text = (
        f"The residual is correlated between neighbours (lag-1 {near:.2f}), which it is not after "
        "noise that is independent from pixel to pixel. Either the noise is spatially correlated, "
        "and its coarse part remains in the result, where it looks like detail, or detail was "
        "removed. "
    )
    if process.varies:
        return [f"{text}Try a copy at half size."]
    return [f"{text}Try --noise {Correlated(process, KERNEL).spec(scale)}."]


def _tilted(residual: dict[str, Any], process: Process, scale: float, strength: float) -> str:
    """A warning that the noise model has the wrong slope, with the law of the removed noise."""
    how = "more" if residual["tilt"] > 1 else "less"
    text = f"The removed noise grows {how} with brightness than the noise model predicts. "
    signal, measured, count = (
        np.array([b[key] for b in residual["levels"]]) for key in ("signal", "measured", "n")
    )
    measured = measured / (strength or 1.0)
    mean = float(np.average(measured**2, weights=count))
    weight = np.sqrt(count) / (measured**2 + NOTHING * mean + 1e-30)
    gain, level = np.polyfit(signal, measured**2, 1, w=weight)
    if gain <= 0:
        other: Process = Gaussian(math.sqrt(mean))
    else:
        other = PoissonGaussian(float(gain), math.sqrt(max(float(level), 0.0)))
    seen = float(np.average(other.variance(signal), weights=count))
    if other.family == process.family or process.varies or not mean / 2 < seen < 2 * mean:
        return f"{text}Neither a constant level nor one that grows linearly fits it."
    return f"{text}Try --noise {other.spec(scale)}, which describes the removed noise."


def _verdict(stats: dict[str, Any]) -> str:
    """The reason why there are no warnings, in figures."""
    if removed_nothing(stats) == []:
        return verdict(stats)
    text = verdict(stats).removesuffix(".").replace("Its values", "Its pixels")
    return f"{text}; it does not follow the picture's edges."


@dataclass(frozen=True)
class _Window:
    """The contribution of one window: flat samples, and sums over neighbours and blocks.

    r, x, v : residual, denoised value and modelled variance of the finite samples; clear : which
    of them have noise within the value range; products : (axis, lag, sum of products and number
    of pairs) of the whitened residual; power : its sum of squares; energy, gradient : local
    strength of the residual and of the picture, one value per block.
    """

    r: Floats
    x: Floats
    v: Floats
    clear: NDArray[np.bool_]
    products: NDArray[np.float64]
    power: float
    energy: Floats
    gradient: Floats


def _look(
    y: Floats, x: Floats, process: Process, strength: float, limits: tuple[float, float]
) -> _Window:
    with np.errstate(invalid="ignore"):  # infinite pixels are kept in place by a result
        r = y - x
    valid = np.isfinite(r)
    r, x = np.where(valid, r, np.float32(0)), np.where(valid, x, np.float32(0))
    v = _variance(process, x) * np.float32(strength**2)
    margin = 2 * np.sqrt(v)
    clear = valid & (x - margin > limits[0]) & (x + margin < limits[1])
    z = _whitened(r, v, valid)
    # Clipped noise is weak, and the picture there is often flat: do not count it as structure.
    whole = _blocks(clear.astype(np.float32)) > 0.5
    return _Window(
        r[valid],
        x[valid],
        v[valid],
        clear[valid],
        np.stack([_products(z, valid, dim) for dim in (0, 1)]),
        float(np.sum(z * z, dtype=np.float64)),
        _blocks(z * z)[whole],
        (_gradient(x) / max(float(v.mean()), 1e-12))[whole],
    )


def _windows(shape: tuple[int, ...]) -> list[tuple[Any, ...]]:
    """Indices of at most `WINDOWS` windows, evenly spread over planes and area."""
    grids = [_cuts(size) for size in shape[-2:]]
    planes = math.prod(shape[:-2])
    total = planes * len(grids[0]) * len(grids[1])
    take = sorted({round(i) for i in np.linspace(0, total - 1, min(total, WINDOWS))})
    tiles = list(product(*grids))
    return [(*np.unravel_index(i // len(tiles), shape[:-2]), *tiles[i % len(tiles)]) for i in take]


def _cuts(size: int) -> list[slice]:
    edges = np.linspace(0, size, -(-size // SIDE) + 1).round().astype(int)
    return [slice(int(a), int(b)) for a, b in pairwise(edges)]


def _clip_limits(noisy: np.ndarray, scale: float) -> tuple[float, float]:
    """Values at which many samples lie because a sensor or a file type saturates."""
    windows = [_floats(noisy[i], scale) for i in _windows(noisy.shape)]
    finite = [w[np.isfinite(w)] for w in windows]
    values = np.concatenate(finite) if finite else np.zeros(0, np.float32)
    if not values.size:
        return -math.inf, math.inf
    low, high = float(values.min()), float(values.max())
    return (
        low if np.mean(values == low) > CLIPPED else -math.inf,
        high if np.mean(values == high) > CLIPPED else math.inf,
    )


def _floats(a: np.ndarray, scale: float) -> Floats:
    if ORDINARY[0] <= scale <= ORDINARY[1]:
        x = a.astype(np.float32)
        return x if scale == 1 else x / np.float32(scale)
    return (a / scale).astype(np.float32)


def _variance(process: Any, x: Floats) -> Floats:
    return np.maximum(np.asarray(process.variance(x), np.float32), 0)


def _whitened(r: Floats, v: Floats, valid: NDArray[np.bool_]) -> Floats:
    """Residual minus the window's mean, over the model's standard deviation; 0 if invalid."""
    floor = 0.01 * float(v.mean())  # do not trust a model without noise in dark areas
    s = np.sqrt(np.maximum(v, floor)) if floor > 0 else np.float32(1)
    z = (r - (r[valid].mean() if valid.any() else 0)) / s
    return np.where(valid, z, 0).astype(np.float32)


def _products(z: Floats, valid: NDArray[np.bool_], dim: int) -> NDArray[np.float64]:
    """Sums of products of neighbours at lags 1..LAGS along `dim`, and the numbers of pairs."""
    out = np.zeros((LAGS, 2))
    size = z.shape[dim]
    whole = bool(valid.all())
    for lag in range(1, min(LAGS, size - 1) + 1):
        a, b = [slice(None)] * 2, [slice(None)] * 2
        a[dim], b[dim] = slice(lag, None), slice(None, -lag)
        first, second = z[tuple(a)], z[tuple(b)]
        pairs = first.size if whole else np.count_nonzero(valid[tuple(a)] & valid[tuple(b)])
        out[lag - 1] = float(np.sum(first * second, dtype=np.float64)), pairs
    return out


def _gradient(x: Floats) -> Floats:
    """Mean squared gradient of each block, flat.

    Gradients are taken between means of cells, not between pixels: noise that remains in the
    picture, as at less than full strength, would correlate them with the residual.
    """
    h, w = (size // BLOCK for size in x.shape)
    cells = _means(x, CELL)[: h * BLOCK // CELL, : w * BLOCK // CELL]
    g = np.zeros_like(cells)
    g[:-1] += np.diff(cells, axis=0) ** 2
    g[:, :-1] += np.diff(cells, axis=1) ** 2
    return _means(g, BLOCK // CELL).ravel()


def _blocks(a: Floats) -> Floats:
    """Means over whole blocks, flat."""
    return _means(a, BLOCK).ravel()


def _means(a: Floats, side: int) -> Floats:
    h, w = (size // side for size in a.shape)
    return a[: h * side, : w * side].reshape(h, side, w, side).mean((1, 3))


def _correlation(energy: Floats, gradients: Floats) -> float:
    """Pearson correlation of the two strengths; 0 if there are too few blocks."""
    a, b = np.sqrt(energy), np.sqrt(gradients)
    if a.size < 100 or a.std() < 1e-6 or b.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _levels(x: Floats, r: Floats, v: Floats, bins: int = 16) -> list[dict[str, float]]:
    """Standard deviations of residual and model in bins of denoised values of equal count."""
    if x.size < 500:
        return []
    edges = np.unique(np.quantile(x[:: max(1, x.size // 100_000)], np.linspace(0, 1, bins + 1)))
    which = np.digitize(x, edges[1:-1]) if edges.size > 2 else np.zeros(x.size, int)
    count = np.bincount(which)
    kept = count >= 100

    def mean(a: np.ndarray) -> NDArray[np.float64]:
        return np.bincount(which, a)[kept] / count[kept]

    bias = mean(r)
    measured = np.sqrt(np.maximum(mean(r * r) - bias * bias, 0))
    rows = zip(mean(x), measured, np.sqrt(mean(v)), count[kept], strict=True)
    return [
        {"signal": float(s), "measured": float(m), "expected": float(e), "n": int(k)}
        for s, m, e, k in rows
    ]


def _tilt(levels: list[dict[str, float]]) -> float | None:
    """Measured over expected at the bright end, relative to the dark end; None if unknown."""
    third = len(levels) // 3
    if not third:
        return None
    ends = []
    for part in (levels[:third], levels[-third:]):
        expected = math.sqrt(sum(b["expected"] ** 2 for b in part))
        if expected == 0:
            return None
        ends.append(math.sqrt(sum(b["measured"] ** 2 for b in part)) / expected)
    return ends[1] / ends[0] if ends[0] > 0 else None
