"""Whether what was removed from a volume looks like noise, inside the object only.

Magnitudes are brighter than the signal where it is weak. A method may return the signal or the mean
of the magnitudes. Either is right, and the residual is judged less the bias that is expected of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hush.kinds.values import (
    LAGS,
    amount_warnings,
    contrast,
    mean_warnings,
    removed_nothing,
    root_mean_square,
    verdict,
)
from hush.kinds.volume import places
from hush.kinds.volume.series import Series
from hush.noise.processes import Process
from hush.report.frame import WHITE
from hush.results import Estimate, Judgement, Restoration

if TYPE_CHECKING:
    from hush.kinds import Kind

#: correlation of the residual with the smoothed image, from which on it holds anatomy
ANATOMY = 0.05
SMOOTH = 2.0  #: voxels: width of the Gaussian that smooths the image
#: correlation of the residual's local strength with edges of the image, from which on it holds some
EDGES = 0.3
BLOCK = 4  #: side of the blocks of local strength, in a slice
BINS = 8  #: of brightness
FEW = 64  #: voxels that say nothing
CHANCE = 4.0  #: standard errors


#: the figures of a volume without any voxel to judge
_NOTHING: dict[str, Any] = {
    **dict.fromkeys(("mean", "rms", "expected_rms", "contrast", "bias", "anatomy", "edges"), 0.0),
    "n": 0,
    "ratio": None,
    "autocorrelation": {},
    "own": {},
    "levels": [],
    "anatomy_chance": math.inf,
    "background": False,
}


@dataclass
class _Sums:
    """Sums over volumes of products of the residual with itself, and with the smoothed image."""

    lags: dict[str, np.ndarray]
    power: float = 0.0
    anatomy: float = 0.0
    image: float = 0.0


@dataclass(frozen=True)
class _Looked:
    """One volume: what was removed less its expected bias, and what was expected of it.

    r, x, deviation : ``(Z, Y, X)``, in units of full range; inside : where they are judged.
    """

    r: np.ndarray
    x: np.ndarray
    deviation: np.ndarray
    inside: places.Mask


def judged(
    kind: Kind,
    noisy: np.ndarray,
    clean: np.ndarray,
    process: Process,
    *,
    strength: float,
    scale: float,
    adaptable: bool,
    about: Mapping[str, Any],
    how: Restoration | None,
) -> Judgement:
    """Compare ``noisy - clean`` ``(C, Z, Y, X)``, as stored, with the noise model `process`.

    Besides the figures of `hush.kinds.values.judged` there are ``anatomy``, the correlation with
    the smoothed image; ``edges``, that of its local strength with edges; ``own``, the noise's own
    autocorrelation; ``levels`` by brightness; and ``bias``, the mean that was expected.
    """
    series = Series.of(len(noisy), about)
    picks = places.spread(series)
    changed = [c for c in picks if not np.array_equal(noisy[c], clean[c], equal_nan=True)]
    picks = changed or picks  # volumes without signal stay as they are
    picked = {k: v for k, v in about.items() if k not in ("bvals", "bvecs")}
    where = places.find(noisy[picks], picked)
    inside = where.inside if where.inside.sum() >= FEW else ~where.zeroed
    adjacent = places.are_adjacent(about, noisy.shape[1])
    zero, share = places.zero_of(about, scale), strength or 1.0
    parts = [(noisy[c], clean[c], process.part(_volume(c))) for c in picks]
    kept = _keeps_bias(parts, inside, zero, scale, share)
    sums = _Sums({letter: np.zeros((LAGS, 2)) for letter in kind.letters})
    values: list[tuple[np.ndarray, ...]] = []
    blocks: list[tuple[np.ndarray, np.ndarray]] = []
    biases: list[float] = []
    for y, x, law in parts:
        looked, bias = _look(y, x, law, inside, zero, scale, share, kept)
        biases.append(bias)
        _add(sums, looked, adjacent)
        blocks.append(_edges(looked, adjacent))
        values.append(tuple(a[looked.inside] for a in (looked.r, looked.x, looked.deviation)))
    r, level, deviation = (np.concatenate(v) for v in zip(*values, strict=True))
    if not r.size:
        return Judgement(_NOTHING, (), "There is nothing to judge: no voxel has a signal.")
    expected, rms = root_mean_square(deviation), root_mean_square(r)
    lags = {k: _ratios(v, sums.power) for k, v in sums.lags.items() if k != "Z" or adjacent}
    wide: float = math.prod(1 + 2 * sum(max(a, 0.0) for a in v) for v in lags.values())
    norm = float(np.sqrt(sums.power * sums.image))
    stats: dict[str, Any] = {
        "n": int(r.size),
        "mean": float(r.mean()) if r.size else 0.0,
        "rms": rms,
        "expected_rms": expected,
        "contrast": contrast(level),
        "ratio": rms / expected if expected else None,
        "autocorrelation": lags,
        "own": own_lags(how, process, lags),
        "bias": float(np.mean(biases)),
        "anatomy": sums.anatomy / norm if norm else 0.0,
        "anatomy_chance": CHANCE * math.sqrt(wide / max(r.size, 1)),
        "edges": _correlation(*(np.concatenate(v) for v in zip(*blocks, strict=True))),
        "levels": _levels(level, r, deviation),
        "background": bool(where.has_background),
    }
    notes = removed_nothing(stats, strength)
    if notes is None:
        notes = [
            *_structure(stats, adaptable),
            *amount_warnings(
                stats,
                scale,
                strength=strength,
                adaptable=adaptable,
                state=not (process.biased or process.varies),
            ),
            *mean_warnings(stats),
        ]
    return Judgement(stats, tuple(notes), _verdict(stats))


def own_lags(
    how: Restoration | None, process: Process, letters: Sequence[str] | Mapping[str, Any]
) -> dict[str, list[float]]:
    """The autocorrelation of the noise itself from lag 1, by axis; zeros for white noise."""
    found = how.found if how is not None else None
    if found is not None and found.correlated:
        known = _by_axis(found, LAGS)
        return {letter: known[letter] for letter in letters}
    if process.white:
        return {letter: [0.0] * LAGS for letter in letters}
    cube, r = process.autocorrelation(LAGS, 3), LAGS
    lines = {"Z": cube[r + 1 :, r, r], "Y": cube[r, r + 1 :, r], "X": cube[r, r, r + 1 :]}
    return {letter: [float(a) for a in lines[letter]] for letter in letters}


def _by_axis(found: Estimate, most: int) -> dict[str, list[float]]:
    """The measured autocorrelation of noise from lag 1 along Z, Y and X."""
    plane = found.lags(most, 2)
    lines = {
        "Z": [0.0] * most,
        "Y": [float(a) for a in plane[most + 1 :, most]],
        "X": [float(a) for a in plane[most, most + 1 :]],
    }
    for letter, lag in zip("ZYX", found.near, strict=False):
        lines[letter][0] = lines[letter][0] if math.isnan(lag) else lag
    return lines


def lag_one(found: Estimate) -> dict[str, float]:
    """The noise's correlation with the next voxel along Z, Y and X."""
    return {letter: lags[0] for letter, lags in _by_axis(found, 1).items()}


def _volume(c: int) -> tuple[slice, ...]:
    return (slice(c, c + 1), slice(None), slice(None), slice(None))


def _floats(
    y: np.ndarray, x: np.ndarray, inside: places.Mask, scale: float, share: float
) -> tuple[np.ndarray, np.ndarray, places.Mask]:
    """All that was to be removed, the denoised volume, and where both are known."""
    before = y.astype(np.float32) / np.float32(scale)
    after = x.astype(np.float32) / np.float32(scale)
    with np.errstate(invalid="ignore"):
        r = before - after
    known = np.isfinite(r) & inside
    r[~known] = 0
    return r, np.where(known, before - r / np.float32(share), 0), known


def _keeps_bias(
    parts: Sequence[tuple[np.ndarray, np.ndarray, Process]],
    inside: places.Mask,
    zero: float,
    scale: float,
    share: float,
) -> bool:
    """Whether results are means of magnitudes: nearer to no shift than to the expected bias."""
    removed = expected = 0.0
    for y, x, law in parts:
        if not law.biased:
            return False
        r, after, known = _floats(y, x, inside, scale, share)
        bias = np.asarray(law.bias(np.maximum(after - zero, 0)[None]))[0]
        removed += float(r[known].sum(dtype=np.float64)) / share
        expected += float(bias[known].sum(dtype=np.float64))
    return removed < 0.5 * expected


def _look(
    y: np.ndarray,
    x: np.ndarray,
    law: Process,
    inside: places.Mask,
    zero: float,
    scale: float,
    share: float,
    kept: bool,
) -> tuple[_Looked, float]:
    """One volume, and the mean of the bias that was expected of it.

    kept : the result has the bias of magnitudes.
    """
    r, after, known = _floats(y, x, inside, scale, share)
    signal = (after - np.float32(zero))[None]
    bias = 0.0
    if law.biased:
        signal = np.maximum(signal, 0)
        if kept:
            signal = np.asarray(law.unbias(signal))  # type: ignore[attr-defined]
        else:
            expected = share * np.asarray(law.bias(signal))[0]
            bias = float(expected[known].mean()) if known.any() else 0.0
            r = np.where(known, r - expected, 0).astype(np.float32)
    variance = np.maximum(np.asarray(law.variance(signal)), 0)
    deviation = np.broadcast_to(share * np.sqrt(variance), signal.shape)[0]
    return _Looked(r, after, deviation, known), bias


def _add(sums: _Sums, v: _Looked, adjacent: bool) -> None:
    """Add the products of one volume to the sums."""
    from scipy.ndimage import gaussian_filter

    if not v.inside.any():
        return
    floor = max(0.1 * root_mean_square(v.deviation[v.inside]), 1e-12)
    z = np.where(v.inside, v.r / np.maximum(v.deviation, floor), 0)
    z[v.inside] -= z[v.inside].mean()
    sums.power += float(np.sum(z * z, dtype=np.float64))
    for axis, letter in enumerate(sums.lags):
        for lag in range(1, min(LAGS, z.shape[axis] // 2) + 1):
            a, b = [slice(None)] * 3, [slice(None)] * 3
            a[axis], b[axis] = slice(lag, None), slice(None, -lag)
            first, second = tuple(a), tuple(b)
            pairs = int(np.count_nonzero(v.inside[first] & v.inside[second]))
            total = float(np.sum(z[first] * z[second], dtype=np.float64))
            sums.lags[letter][lag - 1] += total / max(pairs, 1) * v.inside.sum(), pairs
    deep = SMOOTH if adjacent else 0.0
    width = (deep, SMOOTH, SMOOTH)
    weight = gaussian_filter(v.inside.astype(np.float32), width)
    low = gaussian_filter(np.where(v.inside, v.x, 0), width) / np.maximum(weight, 1e-3)
    low = low[v.inside] - low[v.inside].mean()
    spread = root_mean_square(low)
    if spread:
        sums.anatomy += float(np.sum(z[v.inside] * low, dtype=np.float64)) / spread
        sums.image += low.size


def _ratios(rows: np.ndarray, power: float) -> list[float]:
    return [float(total / power) if power else 0.0 for total, pairs in rows if pairs]


def _edges(v: _Looked, adjacent: bool) -> tuple[np.ndarray, np.ndarray]:
    """Local strength of the residual, and of the image's gradients, in blocks inside the object."""
    from scipy.ndimage import gaussian_gradient_magnitude

    deep = 1.0 if adjacent else 0.0
    size = (2 if adjacent else 1, BLOCK, BLOCK)
    floor = max(0.1 * root_mean_square(v.deviation[v.inside]), 1e-12)
    unit = np.maximum(v.deviation, floor)
    energy = np.where(v.inside, np.square(v.r / unit), 0)
    planes = [v.x] if adjacent else list(v.x)
    width = (deep, 1.0, 1.0) if adjacent else (1.0, 1.0)
    slopes = [gaussian_gradient_magnitude(p, width) for p in planes]
    slope = slopes[0] if adjacent else np.stack(slopes)
    share = _means(v.inside.astype(np.float32), size)
    whole = share > 0.99
    return _means(energy, size)[whole], _means(slope / unit, size)[whole]


def _means(x: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Means over blocks; what is left at the ends is left out."""
    counts = [n // k for n, k in zip(x.shape, size, strict=True)]
    if not all(counts):
        return np.zeros((0, 0, 0), np.float32)
    x = x[tuple(slice(0, n * k) for n, k in zip(counts, size, strict=True))]
    shape = [m for n, k in zip(counts, size, strict=True) for m in (n, k)]
    means: np.ndarray = x.reshape(shape).mean(axis=(1, 3, 5))
    return means


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of two lists of values, the highest percent of both cut; 0 if they are short."""
    if a.size < FEW:
        return 0.0
    a, b = (np.minimum(v, np.percentile(v, 99)).astype(np.float64) for v in (a, b))
    if a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _levels(x: np.ndarray, r: np.ndarray, deviation: np.ndarray) -> list[dict[str, float]]:
    """Measured and expected deviation by brightness, dark to bright."""
    if x.size < BINS * FEW:
        return []
    edges = np.unique(np.quantile(x, np.linspace(0, 1, BINS + 1)))
    bins = np.clip(np.searchsorted(edges, x, "right") - 1, 0, max(len(edges) - 2, 0))
    rows = []
    for k in range(len(edges) - 1):
        own = bins == k
        if own.sum() >= FEW:
            rows.append(
                {
                    "signal": float(x[own].mean()),
                    "measured": float(r[own].std()),
                    "expected": root_mean_square(deviation[own]),
                    "n": int(own.sum()),
                }
            )
    return rows


def excess(stats: Mapping[str, Any]) -> tuple[float, float, str, int]:
    """How far the residual's autocorrelation is from the noise's own: where it differs most.

    The residual's value, the noise's own, the axis and the lag.
    """
    worst = (0.0, 0.0, "X", 1)
    for letter, lags in stats["autocorrelation"].items():
        for lag, (a, own) in enumerate(zip(lags, stats["own"][letter], strict=False), 1):
            if abs(a - own) > abs(worst[0] - worst[1]):
                worst = a, own, letter, lag
    return worst


_ACROSS = {"Z": "across slices", "Y": "along Y", "X": "along X"}


def _structure(stats: Mapping[str, Any], adaptable: bool) -> list[str]:
    """Warnings about anatomy and correlation in what was removed."""
    notes = []
    try_less = f"Try a lower --strength, such as 0.7{', or --adapt 60s' if adaptable else ''}."
    if abs(stats["anatomy"]) > max(ANATOMY, stats["anatomy_chance"]):
        notes.append(
            "The residual contains anatomy: what was removed is correlated with the smoothed image "
            f"({stats['anatomy']:.2f}), so signal was removed too. {try_less}"
        )
    if stats["edges"] > EDGES:
        notes.append(
            "The residual contains anatomy: more was removed along edges than elsewhere "
            f"(correlation {stats['edges']:.2f}), so detail was lost. {try_less}"
        )
    a, own, letter, lag = excess(stats)
    if abs(a - own) > max(WHITE, CHANCE / math.sqrt(max(stats["n"], 1))):
        of_own = f", and the noise itself {own:.2f}" if own else ""
        what = (
            "so it contains signal, or noise that is more correlated than was assumed"
            if a > own
            else "so only its fine part was removed and the coarse part remains"
        )
        voxels = f"{lag} voxel{'s' * (lag != 1)}"
        notes.append(
            f"What was removed is correlated {_ACROSS[letter]} over {voxels} ({a:.2f}{of_own}), "
            f"{what}."
        )
    return notes


def _verdict(stats: dict[str, Any]) -> str:
    """The reason why there are no warnings, in figures."""
    if removed_nothing(stats) == []:
        return verdict(stats)
    a, own, _, _ = excess(stats)
    strong = f" and as strong as the noise model predicts ({100 * stats['ratio']:.0f} %)"
    return (
        "Inside the object, what was removed is not correlated with the anatomy "
        f"({stats['anatomy']:.2f}){strong if stats['ratio'] is not None else ''}; its "
        f"autocorrelation differs from that of noise by at most {abs(a - own):.2f}."
    )
