"""Warnings about a set before it is denoised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hush.kinds.points.cut import FEWEST
from hush.record import Record
from hush.tasks.geometry.epipolar import NORMALISED, looks_normalised

if TYPE_CHECKING:
    from hush.kinds.points import Points

FLAT = 1e-9  #: singular value, relative to the largest, below which a direction is empty
CROWD = 3  #: so many keypoints that match one point are mentioned
#: elements by which ranges are compared, how alike they are then, and how unlike their sides
RANGED, ALIKE, OBLONG = 50, 0.1, 1.2
EDGE = 1.0  #: pixels beyond a picture's size that a coordinate may be
STRAYS = 0.02  #: share of coordinates beyond it that means that the order is wrong


def advice(kind: Points, record: Record, item: np.ndarray) -> list[str]:
    """Warnings about an item ``(D, N)``, NaN for missing values, the causes first."""
    used = list(kind.coordinates(record.context, len(item)))
    known = np.isfinite(item[used]).all(axis=0)
    x = np.ascontiguousarray(item[used][:, known].T, np.float64)
    notes = _few(kind, len(x), int((~known).sum()))
    if not len(x):
        return notes
    views = kind.views(x)
    return [
        *notes,
        *_degenerate(kind, views),
        *_homogeneous(used, item, known),
        *_focal(kind, x),
        *_swapped(kind, record, views),
        *_repeated(kind, x),
        *_crowded(views),
    ]


def counted(count: int, kind: Points) -> str:
    """``1 point``, ``2 points``."""
    return f"{count} {kind.element}{'s' * (count != 1)}"


def _focal(kind: Points, x: np.ndarray) -> list[str]:
    """Coordinates ``(n, d)`` in units of the focal length."""
    if not kind.pixels or not looks_normalised(x):
        return []
    cameras = "K1 and K2" if len(kind.views(x)) > 1 else "K"
    return [
        f"All coordinates are below {NORMALISED:g}, so they seem divided by the focal length: no "
        "threshold in pixels fits them. State thresholds in the same unit, or give pixels and "
        f"{cameras}."
    ]


def rank(x: np.ndarray) -> int:
    """The dimension of the smallest flat space that holds all elements ``(n, d)``."""
    values = np.linalg.svd(x - x.mean(0), compute_uv=False)
    return int((values > FLAT * values[0]).sum()) if values[0] > 0 else 0


def _few(kind: Points, count: int, missing: int) -> list[str]:
    """Elements that are left out, and too few of the others."""
    notes = []
    if not count and missing:
        return [f"No {kind.element} has finite coordinates, so the result is empty."]
    if missing:
        are, they = ("has", "it is") if missing == 1 else ("have", "they are")
        notes.append(
            f"{counted(missing, kind)} {are} a coordinate that is NaN or infinite; {they} left out."
        )
    if count < FEWEST:
        only = "Only one" if count == 1 else f"Only {count}"
        notes.append(
            f"{only} {kind.element}{'s' * (count != 1)}: too few to judge for most methods, which "
            f"need {FEWEST}."
        )
    return notes


def _degenerate(kind: Points, views: Sequence[np.ndarray]) -> list[str]:
    """Elements that are all in one place, on one line, or on one plane."""
    if len(views[0]) < 2:
        return []
    where = {0: "in one place", 1: "on one line (collinear)", 2: "on one plane (coplanar)"}
    notes = []
    for place, view in enumerate(views, 1):
        found, whole = rank(view), view.shape[1]
        if found >= min(whole, len(view) - 1, 3) or found not in where:
            continue
        of = f" of picture {place}" if len(views) > 1 else ""
        what = "points" if len(views) > 1 else f"{kind.element}s"
        end = ": they do not determine a fundamental matrix" if len(views) > 1 else ""
        notes.append(f"All {what}{of} are {where[found]}{end}.")
    return list(dict.fromkeys(notes))


def _homogeneous(used: Sequence[int], item: np.ndarray, known: np.ndarray) -> list[str]:
    """Columns of ones that are among the coordinates, or between them."""
    ones = [c for c in range(len(item)) if (item[c][known] == 1).all()]
    others = [c + 1 for c in ones if c not in used]
    if any(c < max(used) for c in ones if c not in used):
        columns = " and ".join(map(str, others))
        return [f"Columns {columns} are all 1: the coordinates are read as homogeneous."]
    if used[-1] in ones and len(used) == 3:
        return [
            f"Column {used[-1] + 1} is 1 in every row; if the coordinates are homogeneous, state "
            "--coordinates 1-2."
        ]
    return []


def _swapped(kind: Points, record: Record, views: Sequence[np.ndarray]) -> list[str]:
    """Coordinates of one picture that seem to be row, column."""
    names = ("size",) if len(views) == 1 else ("size1", "size2")
    sizes = [picture_size(record.context, name) for name in names]
    if not kind.pixels or looks_normalised(np.concatenate(views, 1)):
        return []
    notes, seen = [], []
    for place, (view, size) in enumerate(zip(views, sizes, strict=True), 1):
        if size is None:
            continue
        seen.append(place)
        of = f" of picture {place}" if len(views) > 1 else ""
        out, turned = (_outside(view, s) for s in (size, size[::-1]))
        if out <= STRAYS:
            continue
        pixels = f"{size[0]:g} × {size[1]:g} pixels"
        what = f"{100 * out:.0f} % of the coordinates{of} are outside its {pixels}"
        notes.append(
            f"{what}, but none would be with x and y swapped: they seem to be row, column there."
            if turned == 0
            else f"{what}; the coordinates or the size are wrong."
        )
    return notes if notes or len(seen) == 2 else _ranges(views)


def _ranges(views: Sequence[np.ndarray]) -> list[str]:
    """One picture whose coordinates span what the other's do, but with x and y swapped."""
    if len(views) != 2 or len(views[0]) < RANGED:
        return []
    one, other = (np.ptp(np.stack([v.min(0), v.max(0)]), axis=0) for v in views)
    if min(one.min(), other.min()) <= 0 or max(one) < OBLONG * min(one):
        return []
    if np.abs(np.log(one / other[::-1])).max() > ALIKE:
        return []
    (a, b), (c, d) = ([f"{v:.0f}" for v in span] for span in (one, other))
    return [
        f"The coordinates of picture 1 span {a} × {b}, and those of picture 2 {c} × {d}: unless "
        "one picture was taken upright, x and y are swapped in one of them."
    ]


def picture_size(about: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    """Width and height of a picture, if they are known."""
    stated = about.get(name)
    if stated is None or np.size(stated) != 2:
        return None
    width, height = (float(v) for v in np.ravel(stated))
    return (width, height) if width > 0 and height > 0 else None


def _outside(view: np.ndarray, size: Sequence[float]) -> float:
    """The share of points outside a picture of that size."""
    out = (view < -EDGE) | (view > np.asarray(size) + EDGE)
    return float(out.any(axis=1).mean())


def _repeated(kind: Points, x: np.ndarray) -> list[str]:
    more = len(x) - len(_distinct(x))
    if not more:
        return []
    repeats = "repeats" if more == 1 else "repeat"
    return [f"{counted(more, kind)} {repeats} the coordinates of another one."]


def _crowded(views: Sequence[np.ndarray]) -> list[str]:
    """Many keypoints of one picture that match one point of the other."""
    if len(views) != 2:
        return []
    pairs = _distinct(np.concatenate(views, 1))
    found = []
    for place, half in ((2, slice(2, 4)), (1, slice(0, 2))):
        _, counts = np.unique(pairs[:, half], axis=0, return_counts=True)
        if many := int(counts[counts >= CROWD].sum()):
            found.append((many, place, int(counts.max())))
    if not found:
        return []
    (many, place, most), *rest = found
    also = "".join(f", and {n} that of picture {k} (up to {m})" for n, k, m in rest)
    return [
        f"{many} correspondences share their point of picture {place} with at least {CROWD - 1} "
        f"others (up to {most} at one point){also}; at most one at each point can be right."
    ]


def _distinct(x: np.ndarray) -> np.ndarray:
    """Elements ``(n, d)`` without repeats."""
    rows: np.ndarray = np.unique(x, axis=0)
    return rows
