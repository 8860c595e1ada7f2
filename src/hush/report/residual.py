r"""What was removed, and whether it looks like noise.

The residual is noisy minus denoised. Were the result perfect it would be the noise itself:
white, as strong as the noise model says at every brightness, and indifferent to what the
picture shows. Each way of failing has a number here, a named threshold and a sentence.

A good result falls a little short of the model on purpose: for the best possible (posterior
mean) denoiser of Gaussian noise the residual's variance is :math:`\sigma^2` minus the
remaining mean squared error, so fine texture and weak noise lower the ratio honestly.
"""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hush.record import full_range

if TYPE_CHECKING:
    from hush.noise.processes import Process

Floats = NDArray[np.float32]

LAGS = 8  #: autocorrelation is measured at lags 1 to this, in pixels
#: |autocorrelation| above this at any lag is structure. Good denoisers leave lag-1 values
#: down to -0.1 (what they smooth too much or too little near edges); a plain Gaussian blur
#: reaches -0.17; noise that a camera has interpolated or compressed has 0.3 and more.
WHITE = 0.15
#: residual rms over the model's: above it picture was removed too, below it noise was left
MORE, LESS = 1.15, 0.75
#: correlation of the residual's local strength with the picture's local gradients: BM3D
#: stays below 0.27 at any noise level, a blur that visibly softens edges is above 0.6
STRUCTURE = 0.4
#: measured over modelled noise in the brightest third against the darkest third, either way
TILT = 1.5
#: shift of the mean brightness, in residual rms
SHIFT = 0.2

SIDE, WINDOWS = 512, 16  #: large data is judged by this many windows of this side
BLOCK = 8  #: side of the blocks in which local strength is measured
CLIPPED = 1e-3  #: a share of samples at the extreme value that means clipping


def residual_statistics(
    noisy: np.ndarray, clean: np.ndarray, process: Process, *, strength: float = 1.0
) -> dict[str, Any]:
    """Judge ``noisy - clean`` by what `process` says the noise is.

    Parameters
    ----------
    noisy, clean : ``(..., H, W)``, every leading index a plane of its own. Floats are in
        units of full range, integers are divided by their type's; NaN and Inf are left out.
    process : the noise model; its variance at the denoised signal is what is expected.
    strength : the share of the noise that was to be removed.

    Returns
    -------
    A dict of plain numbers, ready for JSON, levels in units of full range:

    - ``mean``, ``rms``: of the residual; ``n``: samples looked at (at most 16 windows of
      512 x 512, spread evenly over planes and area); ``clipped``: share of samples whose
      noise is cut off by the range, which ``ratio``, ``levels`` and ``tilt`` leave out
    - ``expected_rms``, ``ratio``: the model's, and measured over it (None where it is 0)
    - ``autocorrelation``: ``{"y": [...], "x": [...]}`` from lag 1, of the residual divided by
      the model's standard deviation; ``band``: 95 % of white noise stays within ±band
    - ``white``: every lag within ±`WHITE`, or within what chance allows on small data
    - ``structure``: correlation of the residual's local strength with local gradients
    - ``levels``: ``{"signal", "measured", "expected", "n"}`` by brightness, dark to bright
    - ``tilt``: measured over expected in the bright third against the dark third
    """
    if noisy.shape != clean.shape or noisy.ndim < 2:
        raise ValueError(f"noisy and clean must be (..., H, W) alike: {noisy.shape, clean.shape}")
    low, high = _clip_limits(noisy)
    r_all, x_all, v_all, clear_all = [], [], [], []
    auto = {axis: np.zeros((LAGS, 2)) for axis in "yx"}  # sums of products, and of pairs
    power = 0.0
    energy, gradients = [], []
    for index in _windows(noisy.shape):
        y, x = _floats(noisy[index]), _floats(clean[index])
        r = y - x
        valid = np.isfinite(r)
        if not valid.any():
            continue
        r, x = np.where(valid, r, 0), np.where(valid, x, 0)
        v = _variance(process, x) * np.float32(strength**2)
        margin = 2 * np.sqrt(v)
        clear = (x - margin > low) & (x + margin < high) & valid
        z = _whitened(r, v, valid)
        power += float(np.vdot(z, z))
        for axis, dim in (("y", 0), ("x", 1)):
            auto[axis] += _products(z, valid, dim)
        # where the range cuts noise off it is weak and the picture flat: not structure
        full = _blocks(clear.astype(np.float32)) > 0.5
        energy.append(_blocks(z * z)[full])
        gradients.append(_blocks(_gradient(x) / max(float(v.mean()), 1e-12))[full])
        for out, a in ((r_all, r), (x_all, x), (v_all, v), (clear_all, clear)):
            out.append(a[valid])
    if not r_all:
        r_all = x_all = v_all = [np.zeros(0, np.float32)]
        clear_all = [np.zeros(0, bool)]
    r, x, v = np.concatenate(r_all), np.concatenate(x_all), np.concatenate(v_all)
    n = r.size
    clear = np.concatenate(clear_all)
    clipped = 1 - float(clear.mean()) if n else 0.0
    if clipped > 0.9:  # too little is left to be choosy
        clear = np.ones_like(clear)
    rms, mean = _rms(r), float(r.mean(dtype=np.float64)) if n else 0.0
    expected = math.sqrt(float(v.mean(dtype=np.float64))) if n else 0.0
    model = math.sqrt(float(v[clear].mean(dtype=np.float64))) if n else 0.0
    lags = {
        axis: [float(s / p / (power / n)) if power else 0.0 for s, p in sums if p > 0]
        for axis, sums in auto.items()
    }
    largest = max((abs(a) for a in (*lags["y"], *lags["x"])), default=0.0)
    # 16 lags are looked at together: about 3.3 standard errors hold them all with 98 %
    chance = 3.3 / math.sqrt(n) if n else 1.0
    levels = _levels(x[clear], r[clear], v[clear])
    return {
        "n": n,
        "mean": mean,
        "rms": rms,
        "expected_rms": expected,
        "ratio": _rms(r[clear]) / model if model else None,
        "clipped": clipped,
        "autocorrelation": lags,
        "band": 1.96 / math.sqrt(n) if n else 1.0,
        "white": largest <= max(WHITE, chance),
        "structure": _correlation(np.concatenate(energy), np.concatenate(gradients))
        if energy
        else 0.0,
        "levels": levels,
        "tilt": _tilt(levels),
    }


def warnings(residual: dict[str, Any], estimate: Any = None) -> list[str]:
    """What `residual_statistics` found wrong, one plain sentence or two each.

    `estimate` (an ``Estimate``) adds what was known of the noise before: a denoiser made for
    white noise leaves most of correlated noise in, so that its residual shows little of it.
    """
    found: list[str] = []
    rms, expected, ratio = residual["rms"], residual["expected_rms"], residual["ratio"]
    if not residual["n"]:
        return ["The image holds no finite values, so there was nothing to denoise."]
    if rms == 0:
        if expected > 0:
            found.append(
                "Nothing was removed, although the noise model predicts noise; "
                "check the level with 'hush inspect'."
            )
        return found
    lag1 = [a[0] for a in residual["autocorrelation"].values() if a]
    most = max(lag1, key=abs, default=0.0)
    correlated = bool(getattr(estimate, "correlated", False))
    if correlated or (not residual["white"] and most > WHITE):
        value = float(estimate.correlation) if correlated else most
        found.append(
            f"The residual contains structure: the noise is spatially correlated (lag-1 "
            f"{value:.2f}), while the method takes it to differ from pixel to pixel, so the "
            "coarse part of it stays in the result. Try the raw file, before sharpening, "
            "demosaicing or JPEG compression, or a copy at half size."
        )
    elif not residual["white"] and most < -WHITE:
        found.append(
            f"The residual contains structure: neighbouring pixels differ too much (lag-1 "
            f"{most:.2f}), so only the fine part of the noise was removed and the coarse "
            "part stays in the result. Try --adapt 60s."
        )
    elif not residual["white"]:
        axis, lag, value = max(
            ((d, k, a) for d, v in residual["autocorrelation"].items() for k, a in enumerate(v, 1)),
            key=lambda t: abs(t[2]),
        )
        where = {"y": "down", "x": "across"}[axis]
        found.append(
            f"The residual contains structure: it repeats {lag} pixels {where} "
            f"({value:.2f}), as stripes or a grid of the sensor do. Look at the removed image, "
            "and remove the pattern before denoising."
        )
    if residual["structure"] > STRUCTURE:
        found.append(
            "The residual contains structure: more was removed along edges and texture than "
            f"elsewhere (correlation {residual['structure']:.2f}), so detail was lost. "
            "Try a lower --strength, or --adapt 60s."
        )
    if ratio is not None and ratio > MORE:
        found.append(
            f"More was removed than the noise model predicts ({100 * ratio:.0f} %): either "
            "picture was removed too, or the noise is stronger than its level says. "
            "Try a lower --strength, or state the level with --noise."
        )
    if ratio is not None and ratio < LESS:
        found.append(
            f"Less was removed than the noise model predicts ({100 * ratio:.0f} %): either "
            "noise was left in, or the noise is weaker than its level says. "
            "State the level with --noise, or try --adapt 60s."
        )
    tilt = residual["tilt"]
    if tilt is not None and not 1 / TILT < tilt < TILT:
        how = "more" if tilt > 1 else "less"
        found.append(
            f"Removed noise grows {how} with brightness than the noise model says. "
            "Try another family, such as --noise poisson-gaussian:GAIN,SIGMA."
        )
    if abs(residual["mean"]) > max(SHIFT * rms, 4 * rms / math.sqrt(residual["n"])):
        found.append(
            "Denoising changed the mean brightness by "
            f"{100 * abs(residual['mean']) / rms:.0f} % of what was removed, so measured "
            "intensities may be biased."
        )
    return found


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
    return [slice(int(a), int(b)) for a, b in zip(edges[:-1], edges[1:], strict=True)]


def _clip_limits(noisy: np.ndarray) -> tuple[float, float]:
    """Values at which samples pile up, as they do where a sensor or a file type saturates."""
    windows = [_floats(noisy[i]) for i in _windows(noisy.shape)]
    finite = [w[np.isfinite(w)] for w in windows]
    values = np.concatenate(finite) if finite else np.zeros(0, np.float32)
    if not values.size:
        return -math.inf, math.inf
    low, high = float(values.min()), float(values.max())
    return (
        low if np.mean(values == low) > CLIPPED else -math.inf,
        high if np.mean(values == high) > CLIPPED else math.inf,
    )


def _floats(a: np.ndarray) -> Floats:
    x = a.astype(np.float32)
    return x / np.float32(full_range(a.dtype)) if a.dtype.kind in "iu" else x


def _variance(process: Any, x: Floats) -> Floats:
    return np.maximum(np.asarray(process.variance(x), np.float32), 0)


def _whitened(r: Floats, v: Floats, valid: NDArray[np.bool_]) -> Floats:
    """Residual with the window's mean off, over the model's standard deviation; 0 if invalid."""
    floor = 0.01 * float(v.mean())  # a model that knows no noise in the dark is not trusted
    s = np.sqrt(np.maximum(v, floor)) if floor > 0 else np.float32(1)
    z = (r - r[valid].mean()) / s
    return np.where(valid, z, 0).astype(np.float32)


def _products(z: Floats, valid: NDArray[np.bool_], dim: int) -> NDArray[np.float64]:
    """Sums of products of neighbours at lags 1..LAGS along `dim`, and their numbers."""
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
    g = np.zeros_like(x)
    g[:-1] += np.diff(x, axis=0) ** 2
    g[:, :-1] += np.diff(x, axis=1) ** 2
    return g


def _blocks(a: Floats) -> Floats:
    """Means over whole `BLOCK` x `BLOCK` blocks, flat."""
    h, w = (size // BLOCK for size in a.shape)
    cut = a[: h * BLOCK, : w * BLOCK].reshape(h, BLOCK, w, BLOCK)
    return cut.mean((1, 3)).ravel()


def _correlation(energy: Floats, gradients: Floats) -> float:
    """Pearson's, of the two strengths; 0 where there are too few blocks to tell."""
    a, b = np.sqrt(energy), np.sqrt(gradients)
    if a.size < 25 or a.std() < 1e-6 or b.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _levels(x: Floats, r: Floats, v: Floats, bins: int = 16) -> list[dict[str, float]]:
    """Residual's and model's standard deviation in bins of equal count of denoised values."""
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
    """Measured over expected at the bright end against the dark; None if neither is known."""
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


def _rms(r: Floats) -> float:
    return math.sqrt(float(np.mean(np.square(r, dtype=np.float64)))) if r.size else 0.0
