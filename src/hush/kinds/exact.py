"""Pictures without noise: masks, labels, drawings and dithered pictures.

Noise makes neighbours differ, and it makes single values that differ from all their neighbours:
where values are independent and two of them equally likely, 2·2⁻⁵ of the pixels, which is a quarter
of what one pixel of its own needs for every four pairs that differ; more where one is rare, such as
photons, and where there are more values. In areas of equal values there are next to none. So

.. math:: R = 4\\,\\frac{\\text{pixels that differ from all four neighbours}}
                        {\\text{pairs of neighbours that differ}}

is at least 1/4 in noise, however weak, and near 0 in what was drawn.

Dithering writes gray as a density of black and white, and spreads its error to the pixels around.
So means of 4 × 4 pixels differ less than those of independent pixels would.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hush.kinds.layout import laid_out
from hush.record import Record

#: R is below this in areas without noise: masks with rough edges have up to 0.03, and noise of
#: independent values has 0.25 and more
LONELY = 0.05
#: share of neighbours that differ, at most: in finer patterns areas are no areas
BUSY = 0.5
ENOUGH = 200  #: pairs that differ by which a plane is judged; of noise, 12 pixels are lonely
#: so few values are classes; more are only if most neighbours that differ are not next in value,
#: unlike in smooth pictures that were rounded
CLASSES, APART = 8, 0.5
#: Power of the differences between means of blocks, relative to that of independent pixels, below
#: which a picture is dithered: such pictures have up to 0.54, photons and thresholds 0.88 and more.
ARRANGED = 0.7
BLOCK = 4  #: side in pixels
EDGE = 4.0  #: powers above so many times the expected one are edges, and count as that
SIDE = 1024  #: of the middle of a plane that is looked at
PERIODS = 8  #: places with edges by which an enlarged picture is known, at least


@dataclass(frozen=True)
class Areas:
    """What a plane of equal areas holds: the number of its values, and whether these are classes.

    classes : few values, or values whose order means nothing.
    """

    values: int
    classes: bool


def unfit(record: Record, letters: str) -> str:
    """Why a record of pictures or volumes is no data with noise; empty if it may be."""
    if record.data.dtype.kind == "b":
        return "this is a boolean mask; give the data itself"
    shown = planes(record, letters)
    if all(dithered(plane) for plane in shown):
        return (
            "this looks like a dithered picture, whose gray is a density of black and white; "
            "--force denoises it"
        )
    found = [areas for plane in shown if (areas := seen(plane)) is not None]
    judged = [areas for areas in found if areas.values > 1]
    if not judged or not all(areas.classes for areas in judged):
        return ""
    most = max(areas.values for areas in judged)
    what = "a mask" if most == 2 else "labels or a drawing"
    return (
        f"this looks like {what}: areas of {most:,} different values, without any noise; --force "
        "denoises it"
    )


def planes(record: Record, letters: str) -> list[np.ndarray]:
    """The middle of the first, middle and last plane ``(C, H, W)``; C > 1 for colours."""
    items = laid_out(record.data, record.axes, letters)
    stack = items.shape[: 1 if "S" in record.axes and items.ndim == 4 else items.ndim - 2]
    count = math.prod(stack)
    found = []
    for i in sorted({0, count // 2, count - 1}):
        plane = items[np.unravel_index(i, stack)]
        plane = plane if plane.ndim == 3 else plane[None]
        cuts = [slice(max(0, (n - SIDE) // 2), (n + SIDE) // 2) for n in plane.shape[1:]]
        found.append(np.nan_to_num(plane[:, cuts[0], cuts[1]], nan=0, posinf=0, neginf=0))
    return found


def seen(x: np.ndarray) -> Areas | None:
    """The areas of a plane ``(C, H, W)``; None if it has no edges, and no `classes` with noise."""
    if min(x.shape[1:]) < 3:
        return None
    down = (x[:, 1:] != x[:, :-1]).any(axis=0)
    across = (x[:, :, 1:] != x[:, :, :-1]).any(axis=0)
    jumps = int(down.sum() + across.sum())
    if jumps < ENOUGH:
        return None
    alone = down[:-1, 1:-1] & down[1:, 1:-1] & across[1:-1, :-1] & across[1:-1, 1:]
    lonely = 4 * int(alone.sum()) / jumps
    if lonely > LONELY or jumps > BUSY * (down.size + across.size) or _enlarged(down, across):
        return Areas(2, False)
    colours = np.ascontiguousarray(x.reshape(len(x), -1).T)
    values, number = np.unique(colours, axis=0, return_inverse=True)
    if len(values) <= CLASSES or len(x) > 1:
        return Areas(len(values), len(values) < math.isqrt(x[0].size))
    rank = number.reshape(x.shape[1:])
    steps = [np.abs(np.diff(rank, axis=axis)) for axis in (0, 1)]
    far = sum(int((step > 1).sum()) for step in steps)
    return Areas(len(values), far > APART * jumps)


def dithered(x: np.ndarray) -> bool:
    """Whether every channel of a plane ``(C, H, W)`` has two values, arranged by dithering."""
    return all(_arranged(channel) for channel in x)


def _arranged(x: np.ndarray) -> bool:
    low, high = x.min(), x.max()
    if low == high or not ((x == low) | (x == high)).all():
        return False
    rows, columns = (n // BLOCK for n in x.shape)
    cut = (x[: rows * BLOCK, : columns * BLOCK] == high).reshape(rows, BLOCK, columns, BLOCK)
    share = cut.mean((1, 3))
    variance = share * (1 - share) / (BLOCK**2 - 1)  # of the mean
    found, expected = [], []
    for mean, of in ((share, variance), (share.T, variance.T)):
        found.append(np.square(mean[:-2] - 2 * mean[1:-1] + mean[2:]).ravel())
        expected.append((of[:-2] + 4 * of[1:-1] + of[2:]).ravel())
    least = np.concatenate(expected)
    if np.count_nonzero(least) < ENOUGH:
        return False
    chance = least[least > 0].mean()
    power = np.concatenate(found)[least > 0].clip(max=EDGE * chance).mean()
    return bool(power < ARRANGED * chance)


def _enlarged(down: np.ndarray, across: np.ndarray) -> bool:
    """Whether edges lie on a grid: every pixel of a smaller picture was repeated."""
    places = [np.flatnonzero(down.any(axis=1)), np.flatnonzero(across.any(axis=0))]
    return all(len(p) >= PERIODS and np.gcd.reduce(np.diff(p)) > 1 for p in places)
