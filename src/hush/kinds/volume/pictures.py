"""What a page shows of a volume: slices across three axes, as sprites with a slice above the next.

A file's axes are turned as radiologists look at them, if its affine says how they lie: the
patient's right is on the left of the picture, front and head are at the top.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hush.kinds.volume.places import are_adjacent
from hush.kinds.volume.series import Series
from hush.report.pictures import Picture, encode, to_heat, to_pixels
from hush.tasks.diffusion_mri import anatomical_order

VOLUMES, SLICES = 4, 24  #: the most that are shown of a series, and of each plane
FEW = 5  #: slices of each plane, below which fewer volumes are shown
SHARE = 0.5  #: of the budget of an image's picture, which has one of it
THIN = 0.25  #: shorter side over the longer, below which a plane is not shown


@dataclass(frozen=True)
class Plane:
    """A family of parallel slices of a volume ``(Z, Y, X)``.

    axis, rows, columns : which axes slices follow each other along, and lie along. flips : whether
    rows and columns are turned round. sides : letters at the left, right and top; maybe empty.
    """

    name: str
    axis: int
    rows: int
    columns: int
    flips: tuple[bool, bool] = (False, False)
    sides: tuple[str, str, str] = ("", "", "")

    def cut(self, volume: np.ndarray, at: Sequence[int], step: int = 1) -> np.ndarray:
        """Slices ``(n, H, W)`` at some positions, every `step`-th voxel of them."""
        x = volume.transpose(self.axis, self.rows, self.columns)[list(at)]
        x = x[:, :: -1 if self.flips[0] else 1, :: -1 if self.flips[1] else 1]
        return x[:, ::step, ::step]


def planes(shape: Sequence[int], about: Mapping[str, Any]) -> list[Plane]:
    """The planes that a page shows, the one of the acquired slices among them."""
    affine = about.get("affine")
    if affine is None:
        every = [
            Plane("Slices along Z", 0, 1, 2),
            Plane("Slices along Y", 1, 0, 2),
            Plane("Slices along X", 2, 0, 1),
        ]
    else:
        (x, right), (y, front), (z, head) = anatomy(np.asarray(affine, np.float64))
        every = [
            Plane("Axial", z, y, x, (front, right), ("R", "L", "A")),
            Plane("Coronal", y, z, x, (head, right), ("R", "L", "S")),
            Plane("Sagittal", x, z, y, (head, front), ("A", "P", "S")),
        ]
    own = next(p for p in every if p.axis == 0)
    if not are_adjacent(about, shape[0]):
        return [own]
    sides = [n * s for n, s in zip(shape, sizes(about), strict=True)]
    return [p for p in every if p is own or _squareness(sides[p.rows], sides[p.columns]) >= THIN]


def sizes(about: Mapping[str, Any]) -> tuple[float, float, float]:
    """The size of a voxel along Z, Y and X, for its proportions; 1 if unknown."""
    z, y, x = (abs(float(s)) for s in about.get("spacing") or (1, 1, 1))
    return (z, y, x) if min(z, y, x) > 0 else (1.0, 1.0, 1.0)


def _squareness(a: float, b: float) -> float:
    return min(a, b) / max(a, b)


def anatomy(affine: np.ndarray) -> list[tuple[int, bool]]:
    """Of left–right, back–front and feet–head: the axis of ``(Z, Y, X)``, and if it points there.

    It points to the right, the front or the head, the positive directions of NIfTI.
    """
    order = anatomical_order(affine)
    return [(2 - order[k], bool(affine[k, order[k]] > 0)) for k in range(3)]


@dataclass(frozen=True)
class Chosen:
    """Volumes and slices that fit in a budget.

    volumes : index and name; slices : positions, by plane; step : every how many voxels are shown.
    """

    volumes: tuple[tuple[int, str], ...]
    slices: tuple[tuple[int, ...], ...]
    step: int


def chosen(
    every: Sequence[Plane],
    shape: Sequence[int],
    inside: np.ndarray,
    series: Series,
    budget: float,
) -> Chosen:
    """What to show: of each shell one volume, and slices evenly spread over the object."""
    room = SHARE * budget
    area = sum(shape[p.rows] * shape[p.columns] for p in every)
    step = max(1, math.ceil(math.sqrt(area / room)))
    area = sum(-(-shape[p.rows] // step) * -(-shape[p.columns] // step) for p in every)
    volumes = representatives(series)
    volumes = volumes[: max(1, min(VOLUMES, int(room / (FEW * area))))]
    most = max(1, min(SLICES, int(room / (len(volumes) * area))))
    return Chosen(tuple(volumes), tuple(spread(inside, p.axis, most) for p in every), step)


def representatives(series: Series) -> list[tuple[int, str]]:
    """One volume of each shell and its name; of an unknown series the first, middle and last."""
    if series.count == 1:
        return [(0, "")]
    if series.bvals is None:
        picks = sorted({0, series.count // 2, series.count - 1})
        return [(i, f"volume {i + 1}") for i in picks]
    return [(s[len(s) // 2], f"b = {series.b_of(s):.0f}") for s in series.shells]


def spread(inside: np.ndarray, axis: int, most: int) -> tuple[int, ...]:
    """Up to `most` positions along an axis, evenly over the extent of the object."""
    others = tuple(a for a in range(3) if a != axis)
    at = np.flatnonzero(inside.any(axis=others))
    low, high = (int(at[0]), int(at[-1])) if at.size else (0, inside.shape[axis] - 1)
    if high - low < most:
        return tuple(range(low, high + 1))
    edges = np.linspace(low, high + 1, most + 1)  # the middles of equal parts
    return tuple(int(a) for a in (edges[1:] + edges[:-1]) / 2)


def gray(slices: np.ndarray, low: float, high: float) -> Picture:
    """Slices ``(n, H, W)`` as one picture, the next below the one before."""
    stack = slices.reshape(1, -1, slices.shape[-1])
    return encode(to_pixels(stack, low, high if high > low else low + 1))


def heat(slices: np.ndarray, top: float) -> Picture:
    """The same in the colours of a map from 0 to `top`."""
    return encode(to_heat(slices.reshape(1, -1, slices.shape[-1]), top or 1.0))


def colours(slices: np.ndarray) -> Picture:
    """Slices ``(n, H, W, 3)`` of red, green and blue in 0…1 as one picture."""
    stack = np.moveaxis(slices.reshape(-1, *slices.shape[-2:]), -1, 0)
    return encode(to_pixels(stack, 0.0, 1.0))


def window(x: np.ndarray, zero: float) -> tuple[float, float]:
    """The values shown as black and white: no signal, or the darkest voxels, and the brightest."""
    seen = x[np.isfinite(x)]
    if not seen.size:
        return 0.0, 1.0
    low, high = (float(q) for q in np.percentile(seen, [0.5, 99.7]))
    low = min(low, zero) if zero >= low - 0.2 * (high - low) else low
    return low, high + 0.03 * (high - low)
