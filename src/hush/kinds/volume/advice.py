"""Warnings about a volume or a series, to read before trusting its result."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hush.kinds import values
from hush.kinds.cut import sparse
from hush.kinds.values import contrast, hardly_noisy, mismatch
from hush.kinds.volume import places
from hush.kinds.volume.series import Series
from hush.missing import ByValue
from hush.noise.processes import Process
from hush.record import Batch, Record, channel_letter
from hush.report import describe
from hush.report.describe import number
from hush.results import Estimate

if TYPE_CHECKING:
    from hush.kinds import Kind

ZEROED = 0.01  #: share of voxels without any signal, from which on they are mentioned
#: a volume with fewer steps between dark and bright, and noise below this many of them, suffers
#: from rounding
FEW_STEPS, COARSE = 64, 2.0
STRONGER = 3.0  #: the background's σ over that of the object from which on one of them is wrong
LITTLE = 0.005  #: noise below this share of the contrast was probably reduced before
LONG = 2.5  #: longest side of a voxel over the shortest, from which on it is mentioned
UNITS = (("Å", 1e-7, 1e-5), ("µm", 1e-3, 0.02), ("mm", 1, math.inf))  #: in mm, and below how many
LISTED = 4  #: volumes that a sentence names


def input_warnings(
    kind: Kind, record: Record, item: np.ndarray, given: Process | None, found: Estimate
) -> list[str]:
    """Warnings about an item ``(C, Z, Y, X)`` of a record, one or two sentences each."""
    about, scale = record.context, record.scale
    series = Series.of(len(item), about)
    where = places.find(item, about, scale)
    notes: list[str] = []
    if not np.isfinite(item).any():
        return [f"There is nothing to denoise in this {kind.name}."]
    if given is None and hardly_noisy(found.sigma, item):
        notes += [_noise_free(item, found, len(item) > 1)]
    else:
        notes += _little(item, found, given)
    notes += _stronger(item, record, found, where) if given is None else []
    notes += _volumes(item, record, series, where)
    notes += _values(item, record, found)
    notes += _background(item, record, found, where)
    notes += _slices(item, record)
    return [*notes, *mismatch(record, item, given, found)]


def _noise_free(item: np.ndarray, found: Estimate, several: bool) -> str:
    what = "series" if several else "volume"
    least = "No" if found.sigma == 0 else "Next to no"
    levels = np.unique(_sample(item))
    held = {1: " It holds one value only.", 2: " It holds two values only, as a mask does."}
    only = "unchanged" if found.sigma == 0 else "nearly unchanged"
    return (
        f"{least} noise was found, so denoising returns the {what} {only}."
        f"{held.get(len(levels), '')}"
    )


def _little(item: np.ndarray, found: Estimate, given: Process | None) -> list[str]:
    """Noise that is far weaker than a scanner's."""
    share = found.sigma / (contrast(_sample(item)) or 1.0)
    if given is not None or share >= LITTLE:
        return []
    return [
        f"Little noise is left: its σ is {describe.share(share)} of the contrast. The data was "
        "probably denoised or averaged before, and little can be gained."
    ]


def _volumes(item: np.ndarray, record: Record, series: Series, where: places.Places) -> list[str]:
    """What is known about the volumes of a series, and those without signal."""
    count = len(item)
    if count == 1:
        return _apart(record)
    notes = []
    empty, silent = places.without_signal(item, _in_full(record), where)
    unknown = np.array([not np.isfinite(x).any() for x in item])
    for which, what in (
        (unknown, "no finite value"),
        (empty & ~unknown, "one value only"),
        (silent, "noise only, as if acquired without excitation"),
    ):
        if which.any():
            are, them = ("is", "it") if which.sum() == 1 else ("are", "them")
            notes.append(
                f"{_listed(which)} {what}, and {are} returned unchanged; no other volume is "
                f"denoised with {them}."
            )
    if series.bvals is None:
        notes.append(
            f"The b-values and directions of the {count} volumes are unknown, so all of them are "
            "treated as one series in their order. If this is diffusion MRI, put its .bval and "
            ".bvec files beside the image."
        )
    elif series.unweighted.all():
        every = "Both" if count == 2 else f"All {count}"
        notes.append(
            f"{every} volumes have b = 0: they are repeats of one image, and there are no "
            "directions that could help."
        )
    elif series.bvecs is None:
        notes.append(
            "There are b-values but no gradient directions (.bvec), so volumes of a shell are "
            "compared in their order, not by direction."
        )
    return notes


def _apart(record: Record) -> list[str]:
    """Volumes along a file's axis of time, which might be denoised together."""
    times = record.data.shape[record.axes.index("T")] if "T" in record.axes else 1
    if times == 1 or channel_letter(record.axes):
        return []
    axes = record.axes.replace("T", "C")
    return [
        f"The {times} volumes along the axis of time are denoised one by one. If they show one "
        f"anatomy that does not move, --axes {axes} denoises them together."
    ]


def _in_full(record: Record) -> dict[str, object]:
    """The item's context with the value that means no signal in units of full range."""
    return {**record.context, "zero": places.zero_of(record.context, record.scale)}


def _listed(which: np.ndarray) -> str:
    """``Volume 3 holds``, or ``Volumes 3, 4 and 5 hold``; counted from 1, as in sentences."""
    index = [str(i + 1) for i in np.flatnonzero(which)]
    if len(index) == 1:
        return f"Volume {index[0]} holds"
    if len(index) > LISTED:
        index = [*index[: LISTED - 1], f"{len(index) - LISTED + 1} more"]
    return f"Volumes {', '.join(index[:-1])} and {index[-1]} hold"


def _values(item: np.ndarray, record: Record, found: Estimate) -> list[str]:
    """Values that are no magnitudes, or too coarse."""
    notes: list[str] = []
    seen = _sample(item)
    if not seen.size:
        return notes
    zero = np.float32(places.zero_of(record.context, record.scale))
    with np.errstate(invalid="ignore"):
        below = int(np.count_nonzero(item < zero))
    if below:
        what = "voxel is" if below == 1 else "voxels are"
        notes.append(
            f"{below} {what} negative, so this is not a magnitude image as scanners make it: an "
            "earlier step interpolated it, or it holds a real part or a phase."
        )
    steps, sigma = float(np.ptp(seen)) * record.scale, found.sigma * record.scale
    whole = record.data.dtype.kind in "iu"
    if whole and 2 < steps < FEW_STEPS and 0 < sigma < COARSE:
        notes.append(
            f"There are only {steps:.0f} steps between dark and bright, and the result is rounded "
            f"to whole steps of {record.data.dtype}, which costs detail. Convert the file to "
            "float32 first to keep it."
        )
    return notes


def missing(kind: Kind, batch: Batch, index: int) -> list[str]:
    """Sentences about missing voxels, and about a background that was set to zero."""
    marks, seen = batch.marked(index), kind.glimpse(batch, index)
    x, left = seen.data[0], ~seen.known(0)
    zero = float(batch.about(index).get("zero") or 0)
    rest = marks.without(zero) if isinstance(marks, ByValue) else None
    if not isinstance(marks, ByValue) or rest == marks:
        return values.missing(kind, x, left, marks)
    zeroed = left & (x.astype(np.float32) == np.float32(zero))
    notes = values.missing(kind, x, left & ~zeroed, rest)
    return [*notes, _set_to_zero(float(zeroed.mean()), zero, len(x) > 1)]


def _set_to_zero(share: float, zero: float, several: bool) -> str:
    return (
        f"{describe.share(share)} of the voxels are exactly {number(zero)}"
        f"{' in every volume' * several}: a mask or the scanner set the background to zero. These "
        "voxels stay as they are and do not count as low noise."
    )


def _background(
    item: np.ndarray, record: Record, found: Estimate, where: places.Places
) -> list[str]:
    """Background that was set to zero, and none at all."""
    notes = []
    share = float(where.zeroed.mean())
    if ZEROED <= share < 1:
        zero = float(record.context.get("zero") or 0)
        notes.append(_set_to_zero(share, zero, len(item) > 1))
    if not where.has_background and found.sigma > 0:
        notes.append(
            "There is no background with noise only, so the noise is measured inside the object."
        )
    return notes


def _stronger(item: np.ndarray, record: Record, found: Estimate, where: places.Places) -> list[str]:
    """A background with far more noise than was measured in the object, if these are magnitudes."""
    if not where.has_background or not found.sigma:
        return []
    zero = places.zero_of(record.context, record.scale)
    seen = [x[where.outside] - np.float32(zero) for x in item]
    powers = [float(np.mean(np.square(x))) for x in seen if np.isfinite(x).any() and x.min() >= 0]
    level = math.sqrt(float(np.median(powers)) / 2) if powers else 0.0
    if level < STRONGER * found.sigma:
        return []
    stated = number(level * record.scale)
    return [
        f"The background has a σ of {stated}, far above what was measured in the object. Either it "
        "holds ghosts, or the object's fine noise was lost, as in interpolated images, and there "
        f"is more noise than this. Then state --noise rician:{stated}."
    ]


def _slices(item: np.ndarray, record: Record) -> list[str]:
    """Slices that are no neighbours, and long voxels."""
    count = item.shape[1]
    adjacent = places.are_adjacent(record.context, count)
    if count == 1:
        return ["There is only one slice, so nothing can be learned from neighbouring slices."]
    if not adjacent:
        every = "two" if count == 2 else str(count)
        return [f"The {every} slices are not treated as neighbours: each is denoised by itself."]
    sides = spacing(record)
    if sides and max(sides) > LONG * min(sides):
        return [
            f"Voxels are {measure(sides)} long: neighbouring slices are far apart and help little."
        ]
    return []


def spacing(record: Record) -> tuple[float, ...]:
    """The size of a voxel along Z, Y and X in mm; empty if it is unknown."""
    sides = record.context.get("spacing")
    if sides is None:
        return ()
    found = tuple(abs(float(s)) for s in sides)
    return found if len(found) == 3 and all(math.isfinite(s) and s > 0 for s in found) else ()


def measure(sides: Sequence[float]) -> str:
    """``1.8 × 1.8 × 5 mm`` along X, Y and Z, given Z, Y and X in mm; small ones in Å or µm."""
    unit, mm = next((name, mm) for name, mm, below in UNITS if max(sides) < below)
    return " × ".join(number(s / mm) for s in reversed(sides)) + f" {unit}"


def _sample(item: np.ndarray) -> np.ndarray:
    x = sparse(item)
    return x[np.isfinite(x)]
