"""Slices of DICOM volumes: where they lie, which belong together, and in which order.

A slice comes from a file of its own or is a frame of an enhanced file; both say the same about it
(PS3.3 C.7.6.2, C.7.6.16). Slices are one volume only if they are of one series, parallel, and alike
in size, spacing and type. Their order is that of their positions along the normal, never that of
names or instance numbers. Slices at the same positions are the volumes of a series, such as
diffusion weightings, in the order of their acquisition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hush.errors import HushError

if TYPE_CHECKING:
    from pydicom import Dataset

SAME = 0.02  #: positions closer than this, in mm, are the same
TILT = 1e-3  #: the largest difference between direction cosines of parallel slices
EVEN = 0.1  #: the largest deviation of a gap, as a share of the usual one, of even slices
MISSING = 1.5  #: and of a gap in which a slice is missing, as a multiple of it


@dataclass(frozen=True, eq=False)
class Slice:
    """What a file or a frame says about its slice.

    index : of the file or frame; name : in sentences; series, instance : identifiers.
    number, text : of the series, its number and description, or empty.
    alike : what slices of one volume have in common exactly, such as rows and columns.
    position : of the first pixel, ``(3,)`` in mm; x grows to the patient's left, y to the back.
    along : directions of a row and of a column, ``(2, 3)``.
    spacing : between rows and between columns, in mm; depth : between slices as stated, or NaN.
    slope, intercept : stored values to real ones; full : the stored value of full range.
    b, direction : diffusion weighting in s/mm² and its direction ``(3,)``, NaN where not stated.
    order : numbers that grow with the acquisition.
    """

    index: int
    name: str
    series: str
    instance: str
    number: str
    text: str
    alike: tuple[Any, ...]
    position: np.ndarray
    along: np.ndarray
    spacing: tuple[float, float]
    depth: float
    slope: float
    intercept: float
    full: float
    b: float
    direction: np.ndarray
    order: tuple[float, ...]

    @cached_property
    def normal(self) -> np.ndarray:
        """The direction across the slice, ``(3,)``."""
        return np.cross(*self.along)

    @property
    def facing(self) -> str:
        """The orientation in a word."""
        return ("sagittal", "coronal", "axial")[int(np.argmax(np.abs(self.normal)))]

    @property
    def copied(self) -> tuple[Any, ...]:
        """The same for copies of one slice; identifiers alone are not, where tools reuse them."""
        place = np.round([*self.position, self.b, *self.direction], 3).tolist()
        return (self.instance or self.index, self.order[:-1], repr(place))

    def parallel(self, other: Slice) -> bool:
        """Whether both lie alike: same orientation, and same spacing within the slice."""
        return bool(
            np.abs(self.along - other.along).max() <= TILT
            and np.allclose(self.spacing, other.spacing, rtol=1e-3)
        )


def floats(dataset: Dataset, keyword: str, count: int) -> np.ndarray:
    """The numbers of an element, ``(count,)``; NaN if it is missing or holds something else."""
    try:
        value = dataset.get(keyword)
        x = np.atleast_1d(np.asarray(value, np.float64))
    except (TypeError, ValueError):
        return np.full(count, np.nan)
    return x if x.shape == (count,) else np.full(count, np.nan)


def number(dataset: Dataset, keyword: str) -> float:
    """The number in an element, or NaN."""
    return float(floats(dataset, keyword, 1)[0])


def part(dataset: Dataset, keyword: str) -> Dataset | None:
    """The first item of a sequence, or None."""
    items = dataset.get(keyword)
    return items[0] if items else None


def of_file(dataset: Dataset, index: int, name: str) -> Slice | None:
    """The slice in a file of one; None if it holds no gray image with a place in the patient."""
    if "Rows" not in dataset or int(dataset.get("NumberOfFrames") or 1) > 1:
        return None
    found = [dataset, *filter(None, [part(dataset, "MRDiffusionSequence")])]
    return of_parts(dataset, found, index, name, str(dataset.get("SOPInstanceUID") or ""))


def of_parts(
    dataset: Dataset, parts: Sequence[Dataset], index: int, name: str, instance: str
) -> Slice | None:
    """A slice of a file, described by some of its parts; of each element the last counts.

    None without position, orientation or spacing.
    """

    def last(keyword: str, count: int) -> np.ndarray:
        every = [floats(p, keyword, count) for p in parts]
        known = [x for x in every if np.isfinite(x).all()]
        return known[-1] if known else np.full(count, np.nan)

    position, along = last("ImagePositionPatient", 3), last("ImageOrientationPatient", 6)
    spacing = last("PixelSpacing", 2)
    if not np.isfinite([*position, *along, *spacing]).all() or dataset.get("SamplesPerPixel") != 1:
        return None
    slope, intercept = (float(last(k, 1)[0]) for k in ("RescaleSlope", "RescaleIntercept"))
    if not np.isfinite([slope, intercept]).all() or slope == 0:
        slope, intercept = 1.0, 0.0
    depths = [float(last(k, 1)[0]) for k in ("SpacingBetweenSlices", "SliceThickness")]
    types = [p.get(k) for p in parts for k in ("ImageType", "FrameType", "ComplexImageComponent")]
    kinds = [t if isinstance(t, str) else tuple(t) for t in types if t]
    b, direction = _weighting(parts)
    order = (
        *("TemporalPositionIndex", "TemporalPositionIdentifier", "FrameAcquisitionNumber"),
        *("AcquisitionNumber", "EchoNumbers", "EchoTime", "TriggerTime", "InstanceNumber"),
    )
    return Slice(
        index=index,
        name=name,
        series=str(dataset.get("SeriesInstanceUID", "")),
        instance=instance,
        number=str(dataset.get("SeriesNumber") or ""),
        text=" ".join(str(dataset.get("SeriesDescription") or "").split()),
        alike=(
            *(dataset.get(k) for k in ("Rows", "Columns", "BitsAllocated")),
            *(dataset.get(k) for k in ("PixelRepresentation", "PhotometricInterpretation")),
            tuple(kinds),
        ),
        position=position,
        along=along.reshape(2, 3),
        spacing=(float(spacing[0]), float(spacing[1])),
        depth=next((x for x in depths if x > 0), float("nan")),
        slope=slope,
        intercept=intercept,
        full=2.0 ** (dataset.BitsStored - dataset.PixelRepresentation) - 1,
        b=b,
        direction=direction,
        order=(*np.nan_to_num([float(last(k, 1)[0]) for k in order], nan=0.0).tolist(), index),
    )


def _weighting(parts: Sequence[Dataset]) -> tuple[float, np.ndarray]:
    """b-value and gradient direction, by the standard's elements or Siemens' and Philips' own."""
    b, direction = float("nan"), np.full(3, np.nan)
    for dataset in parts:
        held = [dataset, part(dataset, "DiffusionGradientDirectionSequence")]
        for about in filter(None, held):
            value, towards = (
                number(about, "DiffusionBValue"),
                floats(about, "DiffusionGradientOrientation", 3),
            )
            b = value if np.isfinite(value) else b
            direction = towards if np.isfinite(towards).all() else direction
        if dataset.get("DiffusionDirectionality") == "NONE" and not np.isfinite(b):
            b = 0.0
        if not np.isfinite(b):
            b = _private(dataset, 0x0019, "SIEMENS MR HEADER", (0x0C,))[0]
            b = (
                b
                if np.isfinite(b)
                else _private(dataset, 0x2001, "Philips Imaging DD 001", (3,))[0]
            )
        if not np.isfinite(direction).all():
            direction = _private(dataset, 0x0019, "SIEMENS MR HEADER", (0x0E,), 3)
        if not np.isfinite(direction).all():
            places = (0xB0, 0xB1, 0xB2)
            direction = _private(dataset, 0x2005, "Philips MR Imaging DD 001", places)
    return b, direction


def _private(
    dataset: Dataset, group: int, creator: str, offsets: Sequence[int], count: int = 1
) -> np.ndarray:
    """The numbers in a vendor's elements; NaN where there are none."""
    missing = np.full(max(count, len(offsets)), np.nan)
    try:
        block = dataset.private_block(group, creator)
        x = np.array([block[k].value for k in offsets], np.float64).reshape(-1)
    except (KeyError, TypeError, ValueError):
        return missing
    return x if x.shape == missing.shape else missing


def groups(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Slices that may be one volume or series of volumes, in the order of their first ones."""
    found: list[list[Slice]] = []
    for one in slices:
        for group in found:
            first = group[0]
            if (first.series, first.alike) == (one.series, one.alike) and first.parallel(one):
                group.append(one)
                break
        else:
            found.append([one])
    return [stack for group in found for stack in _abreast(group)]


def _abreast(group: list[Slice]) -> list[list[Slice]]:
    """Parallel slices, apart if several stacks of them lie side by side."""
    offsets = np.array([s.along @ s.position for s in group])
    heights = np.array([s.normal @ s.position for s in group])
    levels = np.split(np.argsort(heights, kind="stable"), _steps(np.sort(heights)))
    if all(np.ptp(offsets[level], axis=0).max() <= 1.0 for level in levels):
        return [group]
    stacks: list[list[int]] = []
    for i, offset in enumerate(offsets):
        near = [s for s in stacks if np.abs(offsets[s[0]] - offset).max() <= 1.0]
        near[0].append(i) if near else stacks.append([i])
    return [[group[i] for i in stack] for stack in stacks]


def _steps(heights: np.ndarray) -> np.ndarray:
    """Where sorted heights change to the next slice."""
    return np.flatnonzero(np.diff(heights) > SAME) + 1


def levels(group: Sequence[Slice]) -> int:
    """How many different positions parallel slices have."""
    return 1 + len(_steps(np.sort([s.normal @ s.position for s in group])))


@dataclass(frozen=True)
class Stack:
    """Slices in the order of the volumes they form.

    slices : volume by volume, ``C * Z`` of them; count : of volumes.
    context : as the kind `volume` defines it; notes : what is odd, in sentences.
    """

    slices: tuple[Slice, ...]
    count: int
    context: dict[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def scaled(self) -> bool:
        """Whether the slices differ in slope or intercept, so that stored values do not compare."""
        return len({(s.slope, s.intercept) for s in self.slices}) > 1


def stacked(group: Sequence[Slice], magnetic: bool) -> Stack:
    """The volumes that parallel slices form.

    magnetic : MR or another modality in which the real value 0 is no signal, unlike in CT.

    `HushError` if the numbers of slices at different positions differ.
    """
    once = {s.copied: s for s in reversed(group)}
    unique = [s for s in group if once[s.copied] is s]
    notes = []
    if twice := len(group) - len(unique):
        what = "file is a copy of another one" if twice == 1 else "files are copies of others"
        notes.append(f"{twice} {what} of this series and left out.")
    heights = np.array([s.normal @ s.position for s in unique])
    rank = np.argsort(heights, kind="stable")
    at = [[unique[i] for i in level] for level in np.split(rank, _steps(heights[rank]))]
    sizes = sorted({len(level) for level in at})
    if len(sizes) > 1:
        raise HushError(
            f"holds {sizes[0]} to {sizes[-1]} slices at each of {len(at)} positions, so slices of "
            "some volumes are missing or there twice; remove the others, or denoise each slice as "
            "an image with --kind image"
        )
    ranked, weighted = _ranked(at)
    count = sizes[0]
    order = tuple(ranked[z][c] for c in range(count) for z in range(len(at)))
    context, said = _context(order, count, magnetic)
    if not weighted:
        context.pop("bvals", None)
        context.pop("bvecs", None)
        notes.append("The b-values differ from slice to slice of a volume; they are not used.")
    return Stack(order, count, context, (*notes, *said))


def _ranked(at: Sequence[Sequence[Slice]]) -> tuple[list[list[Slice]], bool]:
    """The slices at each position in the order of the volumes; whether b-values agree in it."""

    def weighting(s: Slice) -> tuple[float, ...]:
        return (round(float(np.nan_to_num(s.b, nan=-1.0)), 1), *np.round(s.direction, 2).tolist())

    def key(s: Slice) -> str:
        return repr(weighting(s))  # NaN differs from itself

    ranked = [sorted(level, key=lambda s: s.order) for level in at]
    wanted = [key(s) for s in ranked[0]]
    if all([key(s) for s in level] == wanted for level in ranked):
        return ranked, True
    if any(sorted(map(key, level)) != sorted(wanted) for level in ranked):
        return ranked, False
    rows = []
    for level in ranked:  # the same weightings, not acquired in the same order everywhere
        left = list(level)
        row = []
        for each in wanted:
            row.append(left.pop(next(i for i, s in enumerate(left) if key(s) == each)))
        rows.append(row)
    return rows, True


def _context(
    slices: Sequence[Slice], count: int, magnetic: bool
) -> tuple[dict[str, Any], list[str]]:
    """What the kind `volume` knows of the slices, and sentences about uneven ones."""
    first, depth = slices[0], len(slices) // count
    heights = np.array([s.normal @ s.position for s in slices[:depth]])
    gaps, notes = np.diff(heights), []
    step = float(np.median(gaps)) if len(gaps) else first.depth
    context: dict[str, Any] = {}
    if len(gaps) and np.abs(gaps - step).max() > EVEN * step:
        low, high = gaps.min(), gaps.max()
        lost = int(np.sum(np.rint(gaps[gaps > MISSING * step] / step) - 1))
        notes.append(
            f"The slices are uneven, {low:.4g} to {high:.4g} mm apart"
            + (f"; {lost} seem{'s' * (lost == 1)} to be missing." if lost else ".")
        )
        if lost:
            context["adjacent"] = False
    if np.isfinite(step):
        y, x = first.spacing
        context["spacing"] = (step, y, x)
        across = first.normal * step
        if depth > 1:
            across = (slices[depth - 1].position - first.position) / (depth - 1)
        affine = np.eye(4)
        affine[:3] = np.stack([first.along[0] * x, first.along[1] * y, across, first.position], 1)
        affine[:2] *= -1  # x to the left and y to the back, in NIfTI to the right and front
        context["affine"] = affine
    ones = slices[::depth]
    b = np.array([s.b for s in ones])
    if np.isfinite(b).any():
        context["bvals"] = b
        directions = np.array([s.direction for s in ones])
        if np.isfinite(directions).all(axis=1).any():
            directions[(b == 0) & np.isnan(directions).any(axis=1)] = 0  # as in .bvec files
            frame = np.stack([-first.along[0], first.along[1], first.normal])
            context["bvecs"] = directions @ frame.T
    pairs = {(s.slope, s.intercept) for s in slices}
    if len(pairs) == 1:
        if first.slope != 1:
            context["slope"] = first.slope
        if first.intercept:
            context["intercept"] = first.intercept
            if magnetic:
                context["zero"] = -first.intercept / first.slope
    return context, notes


def to_real(stored: np.ndarray, slices: Sequence[Slice]) -> np.ndarray:
    """Stored values ``(N, Y, X)`` in real units, each slice by its own slope and intercept.

    float32 if that keeps them apart, float64 otherwise.
    """
    finest = max((abs(s.intercept) + abs(s.slope) * (s.full + 1)) / abs(s.slope) for s in slices)
    dtype = np.float32 if finest < 2.0**21 else np.float64
    out = np.empty(stored.shape, dtype)
    for plane, values, s in zip(out, stored, slices, strict=True):
        plane[...] = values * np.float64(s.slope) + s.intercept
    return out


def full_real(slices: Sequence[Slice]) -> float:
    """The real value of full range of slices of several scales."""
    return max(abs(s.slope) * s.full + abs(s.intercept) for s in slices)


def to_stored(real: np.ndarray, s: Slice, dtype: np.dtype[Any]) -> np.ndarray:
    """A slice in real units as the stored values that its own slope and intercept mean."""
    values = (real.astype(np.float64) - s.intercept) / s.slope
    low = -s.full - 1 if dtype.kind == "i" else 0.0
    return np.clip(np.rint(values), low, s.full).astype(dtype)
