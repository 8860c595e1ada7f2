"""Defaults for values on any grid: measure white noise, and judge what was removed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hush.errors import HushError
from hush.kinds.cut import sparse
from hush.missing import Bars, ByValue, Marks, Missing
from hush.noise.processes import Gaussian, Poisson, PoissonGaussian, Process
from hush.record import Record
from hush.report import checked, describe, rows
from hush.report.describe import number
from hush.report.frame import WHITE
from hush.results import Denoised, Estimate, Judgement

if TYPE_CHECKING:
    from hush.kinds import Kind

APART = 4  #: values between which differences are taken, at most, where nearer ones are unknown
LAGS = 8  #: autocorrelation is measured at lags 1 to this
#: limits of residual rms over the model's: above, signal was removed too; below, noise was left
MORE, LESS = 1.15, 0.75
FAR_MORE = 2.0  #: and from which on the model says nothing
#: shift of the mean, in units of the residual's rms
SHIFT = 0.2
#: ratio of a given level to the estimated one, either way, from which on hush warns
MISMATCH = 1.3
#: a given level this many times the data's span is refused as a mistake
ABSURD = 10.0
#: noise below this share of the data's contrast is next to nothing; rounding to 8 bits has 0.0011
HARDLY = 0.002


# -- measuring ---------------------------------------------------------------------------------


def measured(items: Sequence[np.ndarray]) -> Estimate:
    """White Gaussian noise of items ``(C, *S)``, from differences between neighbours.

    The noise of a single value is taken as zero. NaN is left out.
    """
    channels = tuple(map(second_differences, zip(*items, strict=True)))
    sigma = math.sqrt(float(np.mean(np.square(channels))))
    negative = any(bool((item < 0).any()) for item in items)  # as no counts are
    other = PoissonGaussian if negative else Poisson
    return Estimate(Gaussian(sigma), sigma, channels=channels, alternatives=(other.family,))


def second_differences(planes: Sequence[np.ndarray]) -> float:
    """Standard deviation of the noise in arrays `S`, from the median second difference.

    Second differences cancel slopes. They are of the nearest values along an axis that are known.
    """
    for apart in range(1, APART + 1):
        with np.errstate(invalid="ignore"):  # between infinite values
            lines = [np.moveaxis(x, axis, 0) for x in planes for axis in range(x.ndim)]
            firsts = [x[apart:] - x[:-apart] for x in lines]
            seconds = [(x[apart:] - x[:-apart]).ravel() for x in firsts]
        differences = np.concatenate(seconds)
        differences = differences[np.isfinite(differences)]
        if differences.size:
            break
    else:
        return 0.0
    return 1.4826 * float(np.median(np.abs(differences))) / math.sqrt(6)


def fit_transfer(mean: np.ndarray, variance: np.ndarray) -> Process:
    """The Gaussian or Poisson-Gaussian process that fits samples of (mean, variance).

    Fits a straight line robustly, with Cauchy weights on relative errors: cells with texture have
    too much variance and get little weight. If the line falls with the signal, or explains no more
    than the scatter of the cells, the noise is taken as Gaussian.
    """
    mean, variance = (np.asarray(a, np.float64).ravel() for a in (mean, variance))
    typical = float(np.median(variance))
    if typical <= 0:
        return Gaussian(float(np.sqrt(max(variance.mean(), 0.0))))
    intercept, gain = typical, 0.0
    for _ in range(20):
        fit = np.maximum(intercept + gain * mean, 0.05 * typical)
        error = (variance - fit) / fit
        scale = 1.4826 * np.median(np.abs(error)) + 1e-3
        w = 1 / (fit**2 * (1 + (error / (2 * scale)) ** 2))
        m, v = np.average(mean, weights=w), np.average(variance, weights=w)
        spread = np.average((mean - m) ** 2, weights=w)
        covariance = np.average((mean - m) * (variance - v), weights=w)
        gain = covariance / spread if spread > 1e-12 else 0.0
        intercept = v - gain * m
    low, high = np.percentile(mean, [2, 98])
    scatter = scale * np.sqrt(1 / max(len(mean), 1)) * 4
    if gain <= 0 or gain * (high - low) < max(0.1, scatter) * max(intercept + gain * high, 1e-12):
        return Gaussian(float(np.sqrt(max(v, 0.0))))
    if intercept >= 0:
        return PoissonGaussian(gain, float(np.sqrt(intercept)))
    return PoissonGaussian(gain, 0.0, offset=-intercept / gain)


def facts(kind: Kind, result: Denoised, given: bool) -> list[tuple[str, str]]:
    """What the summary says about the noise of a result, as labels and values."""
    found, scale, unit = result.estimate, result.noisy.scale, result.noisiest.unit
    removed = f"σ {number(result.residual['rms'] * scale)}{describe.units(scale, unit)}"
    told = ", as given" if given else ""
    lines = [
        ("noise", describe.noise(found, scale, unit, kind.element)),
        ("series", describe.series(result.laws, kind.nouns[1])),
        (f"{kind.element}s", describe.between(found, kind.element)),
        *([("lines", describe.interference(found, scale, unit))] if found.lines else []),
        ("noise model", rows.process(result.noisiest, scale) + told),
        ("removed", removed),
        *checked.facts(result.noisiest.check),
    ]
    return [(label, value) for label, value in lines if value]


def brief(result: Denoised) -> str:
    """The same in a few words, for one line of many."""
    found, scale = result.estimate, result.noisy.scale
    removed = number(result.residual["rms"] * scale)
    sigma = f"{number(found.sigma * scale)}{describe.units(scale)}"
    return f"{describe.family(found.family)}, σ {sigma}, removed {removed}"


# -- advice ------------------------------------------------------------------------------------


def check_level(record: Record, given: Process) -> None:
    """Refuse noise far larger than the span of the data."""
    if given.varies or not given.stated:
        return
    x, scale = _sample(record), record.scale
    level = _level(x, given)
    if x.size and level > ABSURD * np.ptp(x) > 0:
        raise HushError(
            f"noise of σ {level * scale:.3g} is too large for data that spans "
            f"{np.ptp(x) * scale:.3g}; write levels in the data's own units, or as a/b on a scale "
            "from 0 to b"
        )


def advice(
    kind: Kind, record: Record, item: np.ndarray, given: Process | None, found: Estimate
) -> list[str]:
    """Warnings about any item ``(C, *S)``, to read before trusting its result."""
    notes = []
    if found.sigma == 0 and not found.impulses:
        notes.append(f"No noise was found; denoising returns the {kind.nouns[0]} nearly unchanged.")
    return [*notes, *mismatch(record, item, given, found)]


def missing(kind: Kind, x: np.ndarray, left: np.ndarray, marks: Marks | None) -> list[str]:
    """Sentences about the missing values of an item ``(C, *S)``, and why they count as such.

    left : where they are; marks : of its values.
    """
    notes = []
    if isinstance(marks, Bars):
        for start, stop in marks.rows:
            notes.append(
                f"The {'first' if start == 0 else 'last'} {stop - start} rows are a data bar drawn "
                "into the picture, and left as they are."
            )
            left = left.copy()
            left[:, start:stop] = False
        marks = marks.values
    if isinstance(marks, ByValue):
        for mark in dict.fromkeys(itertools.chain.from_iterable(marks.channels)):
            there = mark.where(x) & left
            if count := int(np.count_nonzero(there.any(axis=0))):
                notes.append(_left(kind, count, _reason(mark)))
            left = left & ~there
    if x.dtype.kind == "f" and (count := int(np.count_nonzero(bad := ~np.isfinite(x)))):
        notes.append(_left(kind, count, "NaN or infinite"))
        left = left & ~bad
    if count := int(np.count_nonzero(left.any(axis=0))):
        notes.append(_left(kind, count, "masked"))
    return notes


def _reason(mark: Missing) -> str:
    """What values with a mark are, and why they mean nothing."""
    low, high = (f"{v:.6g}" if abs(v) >= 1e9 else number(v) for v in (mark.low, mark.high))
    if mark.stated:
        what = low if low == high else f"{low} to {high}"
        return f"{what}, which marks missing values in this file,"
    if mark.solid:
        return f"exactly {low} in areas without any noise, as padding is,"
    return f"exactly {low}, far from all others as marks of missing values are,"


def _left(kind: Kind, count: int, what: str) -> str:
    verb, they = ("is", "it is") if count == 1 else ("are", "they are")
    return f"{count:,} {kind.element}{'s' * (count != 1)} {verb} {what} and left as {they}."


def mismatch(record: Record, item: np.ndarray, given: Process | None, found: Estimate) -> list[str]:
    """A warning if the given noise level differs from the measured one."""
    if given is None or found.sigma == 0 or given.varies or not given.stated:
        return []
    x = sparse(item)
    x = x[np.isfinite(x)].astype(np.float64)
    stated, seen = (_level(x, p) * record.scale for p in (given, found.process))
    if seen / MISMATCH <= stated <= MISMATCH * seen:
        return []
    unlike = found.correlated == given.white  # one spans pixels, the other does not
    if not given.terms and not unlike and stated > seen / ABSURD:
        return []  # a law that cannot be recognised may be measured as another one
    return [
        f"The given noise has σ {number(stated)}, but σ {number(seen)} was measured. The given "
        "noise was used; without --noise the measured one is."
    ]


def _level(x: np.ndarray, process: Process) -> float:
    """RMS of a process's noise at values `x`, in units of full range."""
    return math.sqrt(float(np.mean(process.variance(x)))) if x.size else 0.0


def _sample(record: Record) -> np.ndarray:
    """Finite values, evenly spread over the record, in units of full range."""
    steps = [max(1, n // most) for n, most in zip(record.data.shape, _most(record), strict=True)]
    x = np.asarray(record.data[tuple(slice(None, None, n) for n in steps)], np.float64)
    return x[np.isfinite(x)] / record.scale


def _most(record: Record) -> list[int]:
    """The number of positions to use along each axis: 8, and 256 along the last two."""
    last = record.data.ndim - 2
    return [8 if i < last else 256 for i in range(record.data.ndim)]


# -- judging -----------------------------------------------------------------------------------


def judged(
    kind: Kind,
    noisy: np.ndarray,
    clean: np.ndarray,
    process: Process,
    *,
    strength: float = 1.0,
    scale: float = 1.0,
    adaptable: bool = False,
) -> Judgement:
    """Compare ``noisy - clean`` ``(C, *S)``, as stored, with the noise model `process`.

    The figures are ``n``, ``mean``, ``rms``, ``expected_rms``, ``ratio`` (None if no noise is
    expected) and ``autocorrelation``, a list from lag 1 for each axis letter.
    """
    y, x = (a.astype(np.float64) / scale for a in (noisy, clean))
    with np.errstate(invalid="ignore"):
        r = y - x
    valid = np.isfinite(r)
    variance = np.maximum(np.asarray(process.variance(np.where(valid, x, 0.0))), 0)
    deviation = strength * np.sqrt(variance)
    expected = root_mean_square(np.broadcast_to(deviation, r.shape)[valid])
    floor = 0.1 * expected or 1.0
    z = np.where(valid, r / np.maximum(deviation, floor), 0.0)
    lags = {letter: _lags(z, i + 1) for i, letter in enumerate(kind.letters)}
    rms = root_mean_square(r[valid])
    stats: dict[str, Any] = {
        "n": int(valid.sum()),
        "mean": float(r[valid].mean()) if valid.any() else 0.0,
        "rms": rms,
        "expected_rms": expected,
        "contrast": contrast(x[valid]),
        "ratio": rms / expected if expected else None,
        "autocorrelation": lags,
    }
    notes = removed_nothing(stats)
    if notes is None:
        notes = [
            *_structure(kind, lags, stats["n"]),
            *amount_warnings(stats, scale, strength=strength, adaptable=adaptable),
            *mean_warnings(stats),
        ]
    return Judgement(stats, tuple(notes), verdict(stats))


def contrast(x: np.ndarray) -> float:
    """The range of the values `x`, all finite, without the lowest and the highest percent."""
    low, high = np.quantile(x, (0.01, 0.99)) if x.size else (0.0, 0.0)
    return float(high - low)


def hardly_noisy(sigma: float, x: np.ndarray) -> bool:
    """Whether noise of this level is next to nothing in an item `x`."""
    x = sparse(x)
    return sigma == 0 or sigma < HARDLY * contrast(x[np.isfinite(x)])


def removed_nothing(stats: Mapping[str, Any], strength: float = 1.0) -> list[str] | None:
    """Warnings if nothing or next to nothing was removed; None if something was."""
    if not stats["n"]:
        return ["There are no finite values, so there was nothing to denoise."]
    if max(stats["rms"], stats["expected_rms"]) < HARDLY * stats["contrast"]:
        return []
    if stats["rms"] > 0:
        return None
    if stats["expected_rms"] > 0 and strength > 0:
        return [
            "Nothing was removed, although the noise model predicts noise; "
            "check the level with hush inspect."
        ]
    return []


def amount_warnings(
    stats: dict[str, Any],
    scale: float,
    *,
    strength: float = 1.0,
    adaptable: bool = False,
    state: bool = True,
    coarse: bool = False,
) -> list[str]:
    """A warning if more or less was removed than the noise model predicts, with what to do.

    state : suggest a level. coarse : the noise is known to be correlated.
    """
    ratio = stats["ratio"]
    if ratio is None:
        return []
    if ratio > FAR_MORE:
        return [
            "Far more was removed than the noise model predicts: its level could not be measured, "
            "or is not right. If you know the level, state it with --noise."
        ]
    spec = Gaussian(ratio * stats["expected_rms"] / (strength or 1.0)).spec(scale)
    remedies = [f"if the noise is, state its level: --noise {spec}"] * state
    chance = 3 / math.sqrt(2 * stats["n"])  # relative error of an rms; matters for tiny data only
    if ratio > MORE + chance:
        text = (
            f"More was removed than the noise model predicts ({100 * ratio:.0f} %): either "
            "signal was removed too, or the noise is stronger than the model. "
        )
        return [text + _sentence(["if signal was removed, try --strength 0.7", *remedies])]
    if ratio < LESS - chance and coarse:
        return [
            f"Less was removed than the noise model predicts ({100 * ratio:.0f} %): the coarse "
            "part of correlated noise looks like detail, and much of it was left in."
        ]
    if ratio < LESS - chance:
        text = (
            f"Less was removed than the noise model predicts ({100 * ratio:.0f} %): either "
            "noise was left in, or the noise is weaker than the model. "
        )
        remedies += ["if noise was left in, try --adapt 60s"] * adaptable
        return [text + _sentence(remedies)]
    return []


def mean_warnings(stats: dict[str, Any]) -> list[str]:
    """A warning if denoising has changed the mean."""
    rms, mean = stats["rms"], abs(stats["mean"])
    if mean <= max(SHIFT * rms, 4 * rms / math.sqrt(stats["n"])):
        return []
    return [
        f"Denoising changed the mean by {100 * mean / rms:.0f} % of the RMS of what was removed, "
        "so measured intensities may be biased."
    ]


def _sentence(parts: Sequence[str]) -> str:
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else "Look at what was removed."


def verdict(stats: dict[str, Any]) -> str:
    """The reason why there are no warnings, in figures."""
    if stats["rms"] == 0:
        return "No noise was found, and nothing was removed."
    if removed_nothing(stats) == []:
        return "Next to no noise was found, and next to nothing was removed."
    values = [abs(a) for lags in stats["autocorrelation"].values() for a in lags]
    parts = [] if values or stats["ratio"] is not None else ["there is too little data to judge"]
    if values:
        parts.append(f"its values are uncorrelated (at most {max(values):.2f})")
    if stats["ratio"] is not None:
        parts.append(f"it is as strong as the noise model predicts ({100 * stats['ratio']:.0f} %)")
    return f"{'; '.join(parts)}.".capitalize()


def _structure(kind: Kind, lags: dict[str, list[float]], count: int) -> list[str]:
    allowed = max(WHITE, 3.3 / math.sqrt(max(count, 1)))
    found = [(a, lag) for values in lags.values() for lag, a in enumerate(values, 1)]
    most, lag = max(found, key=lambda t: abs(t[0]), default=(0.0, 0))
    if abs(most) <= allowed:
        return []
    return [
        f"What was removed is correlated over {lag} {kind.element}{'s' * (lag != 1)} "
        f"({most:.2f}), so it contains signal or correlated noise. "
        "Look at what was removed."
    ]


def _lags(z: np.ndarray, axis: int) -> list[float]:
    """Autocorrelation along an axis at lags 1 to `LAGS`, or fewer on short axes."""
    z = np.moveaxis(z - z.mean(), axis, -1)
    power = float(np.mean(z * z)) or 1.0
    most = min(LAGS, z.shape[-1] - 1)
    return [float(np.mean(z[..., lag:] * z[..., :-lag]) / power) for lag in range(1, most + 1)]


def root_mean_square(r: np.ndarray) -> float:
    """0 for no values; computed in float64."""
    return math.sqrt(float(np.mean(np.square(r, dtype=np.float64)))) if r.size else 0.0
