"""What the summary and ``hush inspect`` say about volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hush.kinds.cut import sparse
from hush.kinds.layout import stored_with_gaps
from hush.kinds.volume import places
from hush.kinds.volume.advice import measure, spacing
from hush.kinds.volume.judgement import lag_one
from hush.kinds.volume.series import Series
from hush.record import Batch, Record
from hush.report import describe, rows
from hush.report.describe import number
from hush.results import Denoised, Estimate, Inspection

if TYPE_CHECKING:
    from hush.kinds import Kind

FELT = 0.02  #: correlations below this are not mentioned
RARE, FAR = 0.01, 5.0  #: share of the voxels, and σ below zero, from which on values have a sign


def facts(kind: Kind, result: Denoised, given: bool) -> list[tuple[str, str]]:
    """What the summary says about a result, as labels and values."""
    found, scale, record = result.estimate, result.noisy.scale, result.noisy
    batch, index = kind.batch(record), result.noisiest.index
    told = ", as given" if given else ""
    lines = [
        ("voxel size", size(record)),
        ("volumes", shells(batch, index)),
        ("noise", noise(found, scale)),
        ("levels", levels(record)),
        ("signal to noise", ratios(batch, index, found)),
        ("voxels", between(found)),
        ("noise model", rows.process(result.noisiest, scale) + told),
        ("removed", f"σ {number(result.residual['rms'] * scale)} inside the object"),
    ]
    return [(label, value) for label, value in lines if value]


def brief(result: Denoised) -> str:
    """The same in a few words, for one line of many."""
    found, scale = result.estimate, result.noisy.scale
    removed = number(result.residual["rms"] * scale)
    return f"{describe.family(found.family)}, σ {number(found.sigma * scale)}, removed {removed}"


def looked(kind: Kind, seen: Inspection) -> list[tuple[str, str]]:
    """Everything found in a file that was only inspected, as labels and values."""
    found, record = seen.estimate, seen.record
    batch = kind.batch(record)
    said = dict(describe.inspection(kind.name, kind.element, seen))
    said |= {"noise": noise(found, record.scale), f"{kind.element}s": between(found)}
    said.pop("channels", None)  # the volumes of a series have one level
    own = {
        "voxel size": size(record),
        "volumes": shells(batch, seen.index),
        "levels": levels(record),
        "signal to noise": ratios(batch, seen.index, found),
    }
    first, *others = said.items()
    after = {"noise": ("levels", "signal to noise"), kind.name: ("voxel size", "volumes")}
    lines: list[tuple[str, str]] = []
    for label, value in (first, *others):
        lines.append((label, value))
        lines += [(name, own[name]) for name in after.get(label, ())]
    return [(label, value) for label, value in lines if value]


def size(record: Record) -> str:
    """The size of a voxel along X, Y and Z; empty if it is unknown."""
    sides = spacing(record)
    return measure(sides) if sides else ""


def levels(record: Record) -> str:
    """The unit of levels, if the file states that its stored values are not in its own."""
    slope = record.context.get("slope")
    if slope is None:
        return ""
    return (
        f"in stored values, as --noise takes them; each is {number(float(slope))} in the file's "
        "unit, in which maps are"
    )


def shells(batch: Batch, index: int) -> str:
    """How many volumes each shell has; empty for a single volume."""
    count = len(batch.data[index])
    series = Series.of(count, batch.about(index))
    if count == 1:
        return ""
    if series.bvals is None:
        return f"{count}, their b-values unknown"
    parts = [f"{len(s)} at b = {series.b_of(s):.0f}" for s in series.shells]
    return ", ".join(parts)


def noise(found: Estimate, scale: float) -> str:
    """Family and level, and its range over places, without the full range of the type."""
    return describe.noise(found, scale, "", "voxel").replace(describe.units(scale), "")


def between(found: Estimate) -> str:
    """Whether the noise of neighbours is correlated, along each axis."""
    if not found.correlated:
        return describe.between(found, "voxel")
    felt = [f"{a:.2f} along {axis}" for axis, a in sorted(lag_one(found).items()) if abs(a) >= FELT]
    return f"noise correlated with the next voxel: {', '.join(felt) or 'hardly'}"


def ratios(batch: Batch, index: int, found: Estimate) -> str:
    """The median signal inside the object over σ, for each shell; empty without noise, and if
    values have a sign."""
    if not found.sigma:
        return ""
    item, about = stored_with_gaps(batch, batch.data[index], index), batch.about(index)
    where = places.find(item, about)
    if not where.inside.any():
        return ""
    series, zero = Series.of(len(item), about), float(about.get("zero") or 0)
    sigma = batch.scale * found.sigma
    if np.nanquantile(sparse(item, 64), RARE) < zero - FAR * sigma:
        return ""  # values with a sign, such as differences or Hounsfield units, are no strengths
    parts = []
    for shell in series.shells:
        held = [c for c in shell if np.isfinite(item[c][where.inside]).any()]
        picks = held[:: max(1, len(held) // 3)][:3]
        if not picks:
            continue
        signal = np.median([np.nanmedian(item[c][where.inside]) for c in picks]) - zero
        name = "" if len(series.shells) == 1 else f" at b = {series.b_of(shell):.0f}"
        parts.append(f"{number(round(float(signal) / sigma, 1))}{name}")
    return ", ".join(parts)
