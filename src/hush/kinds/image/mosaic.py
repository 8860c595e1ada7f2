"""Mosaics: pictures of a colour sensor with one colour a pixel, seen by their lattice.

A raw picture of a colour sensor often comes as plain gray. Neighbouring pixels have unlike
colours, which methods take for strong noise. Divided into its phases, every second row and column
(B. E. Bayer, US patent 3,971,065, 1976), it is four pictures of a colour each, with the noise of
the sensor.

**How one is seen.** The means of the phases are compared in windows all over the picture. In a
mosaic the phases of one colour agree in a window, and the colours differ, in most windows and by
more than noise or texture explains:

.. math:: \\min\\big(\\mathrm{med}\\,(G - \\tfrac{R + B}{2})^2,\\ \\mathrm{med}\\,(R - B)^2\\big)
          \\gg \\mathrm{med}\\,(\\text{differences of phases of one colour})^2,

every difference relative to its variance in white noise, so that all three are alike without a
lattice. Stripes and interlaced fields fail, because they part the two phases of green; a
checkerboard fails, because red equals blue in it. The means are weighted with a Hann window, so
that slopes do not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from hush.missing import Bars, Later, Marks
from hush.record import Batch, Record

BAYER = ("rggb", "bggr", "grbg", "gbrg")  #: patterns of 2 × 2 pixels, row by row
SEEN = {"rggb": "xggx", "grbg": "gxxg"}  #: as a lattice shows them: red and blue look alike
NONE = "none"  #: the user says that a picture is no mosaic
QUAD = ("rrgg", "rrgg", "ggbb", "ggbb")
XTRANS = ("gbggrg", "rgrbgb", "gbggrg", "grggbg", "bgbrgr", "grggbg")
#: mosaics that are refused, and their names in sentences
STRANGE = {"quad": "Quad Bayer", "xtrans": "X-Trans"}

UNIT = 12  #: windows begin at multiples of this, which the sides of all patterns divide
SIDES = (12, 24, 48)  #: of the windows; in larger ones a faint lattice stands out of the noise
#: windows along an axis, at most, and in all, at least
MOST, FEWEST = 12, 16
#: least ratio of the squared differences: of 1,134 gray pictures and others with interference,
#: with and without noise, none reaches 6; mosaics of photographs have 20 to 10⁸
CLEAR = 12.0
#: so colours have to differ by half a step of the values, too: rounding a smooth slope makes phases
#: differ by less
ROUNDING = 0.25 / CLEAR
VALUES = 4  #: pictures of so few different values are halftones


def option(text: str) -> str:
    """The value of ``--mosaic``; `ValueError` for another text."""
    if (name := text.strip().lower()) not in (*BAYER, NONE):
        raise ValueError(f"a mosaic is {', '.join(BAYER)} or {NONE}, not '{text}'")
    return name


def pattern_of(record: Record) -> str:
    """The pattern of 2 × 2 pixels by which a record is divided; empty if it is no mosaic."""
    said = str(record.context.get("mosaic") or NONE)
    return "" if said in (NONE, *STRANGE) else said


def recognised(record: Record, whole: Batch) -> Record:
    """The record with its pattern in the context, if its values show one; else the same.

    whole : its items ``(C, H, W)``, of a mosaic not `apart`.
    """
    if "mosaic" in record.context or not (found := _clearest(whole)):
        return record
    record = replace(record, context={**record.context, "mosaic": SEEN.get(found, found)})
    if not pattern_of(record):
        return record
    note = (
        "The picture is the mosaic of a colour sensor, one colour a pixel: its four colour planes "
        "are denoised separately and put back. --mosaic none treats it as gray."
    )
    return replace(record, meta={**record.meta, "notes": [*record.meta.get("notes", ()), note]})


def unfit(record: Record) -> str:
    """Why a mosaic is left alone: its colours are not on a grid of 2 × 2 pixels; else empty."""
    name = STRANGE.get(record.context.get("mosaic", ""), "")
    return name and (
        f"this is the {name} mosaic of a colour sensor, whose colours hush cannot denoise; "
        "convert it to colour first (--force denoises it as gray)"
    )


def facts(record: Record) -> list[tuple[str, str]]:
    """What the summary says about a mosaic."""
    pattern = pattern_of(record)
    if not pattern:
        return []
    where = pattern.upper() if pattern in BAYER else "RGGB or BGGR"
    where = "GRBG or GBRG" if pattern == SEEN["grbg"] else where
    return [("mosaic", f"{where}, its four planes separately")]


def apart(batch: Batch) -> Batch:
    """Items ``(C, H, W)`` as four items each, views of every second row and column."""
    mask = None if batch.mask is None else _phases(batch.mask)
    each = [about for about in batch.each for _ in range(4)]
    known = batch.marks
    marks = None if known is None else Later(4 * len(known), lambda i: _of_phase(known, i))
    return replace(batch, data=_phases(batch.data), mask=mask, marks=marks, each=each)


def _of_phase(known: Sequence[Marks | None], index: int) -> Marks | None:
    marks = known[index // 4]
    return marks.every_second(index % 4 // 2) if isinstance(marks, Bars) else marks


def together(planes: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
    """The items ``(B, C, H, W)`` whose phases are `planes`, as `apart` has them."""
    (c, rows, columns), (_, _, others), (_, below, _) = (np.shape(planes[i]) for i in range(3))
    shape = (len(planes) // 4, c, rows + below, columns + others)
    whole = np.empty(shape, np.asarray(planes[0]).dtype)
    for place, plane in zip(_phases(whole), planes, strict=True):
        place[...] = plane
    return whole


def phases(x: np.ndarray) -> list[np.ndarray]:
    """The pictures ``(..., H, W)`` of each of the four colours, as views."""
    return [x[..., i::2, j::2] for i in (0, 1) for j in (0, 1)]


def _phases(items: np.ndarray | Sequence[np.ndarray]) -> list[np.ndarray]:
    return [plane for item in items for plane in phases(item)]


# -- how one is seen ---------------------------------------------------------------------------


def _clearest(whole: Batch) -> str:
    """The name of the clearest pattern in items; empty if none is clear."""
    ratios = dict.fromkeys((*SEEN, *STRANGE), 0.0)
    for windows in _windows(whole):
        for name in ratios:
            ratios[name] = max(ratios[name], _clearness(windows, name))
    name = max(ratios, key=ratios.__getitem__)
    return name if ratios[name] >= CLEAR else ""


def _windows(whole: Batch) -> Iterator[np.ndarray]:
    """Windows ``(n, side, side)`` of each side, spread over the first, middle and last frame.

    They are in steps between values: 1 is the least difference.
    """
    last = len(whole) - 1
    frames = sorted({0, last // 2, last}) if len(whole.data[0]) == 1 else []
    height, width = whole.data[0].shape[1:]
    for side in SIDES if frames else ():
        grid = [
            np.unique(np.linspace(0, n - side, min(MOST, n // side)).astype(int) // UNIT * UNIT)
            for n in (height, width)
            if n >= side
        ]
        if len(grid) < 2:
            return
        found = np.stack(
            [
                rows[:, x : x + side]
                for f in frames
                for y in grid[0]
                for rows in [_rows(whole, f, slice(y, y + side))]
                for x in grid[1]
            ]
        ).astype(np.float64)
        found = found[np.isfinite(found).all((1, 2))]
        found = found[found.min((1, 2)) < found.max((1, 2))]  # flat ones say nothing
        values = np.unique(found[:, :8, :8])
        if len(found) >= FEWEST and len(values) > VALUES:
            yield found / np.diff(values).min()


def _rows(whole: Batch, index: int, where: slice) -> np.ndarray:
    """Rows ``(h, W)`` of a gray picture as stored, NaN for missing values."""
    part = whole.piece(index, where, 1)
    x, known = part.data[0][0], part.known(0)[0]
    return x if known.all() else np.where(known, x, np.nan)


@cache
def _patterns(name: str) -> list[np.ndarray]:
    """A pattern as numbers 0, 1 and 2 for red, green and blue, in every place it may begin."""
    rows = {"quad": QUAD, "xtrans": XTRANS}.get(name)
    if rows is None:
        return [np.array([["rgb".index(c) for c in name]]).reshape(2, 2)]
    whole = np.array([["rgb".index(c) for c in row] for row in rows])
    side = len(whole)
    shifts = [np.roll(whole, (y, x), (0, 1)) for y in range(side) for x in range(side)]
    unlike = {min(s.tobytes(), (2 - s).tobytes()): s for s in shifts}  # red and blue look alike
    return list(unlike.values())


def _clearness(windows: np.ndarray, name: str) -> float:
    """How much more colours differ than phases of one colour, in most of the windows."""
    patterns = _patterns(name)
    means = _phase_means(windows, len(patterns[0]))
    return max(_ratio(means, pattern.ravel()) for pattern in patterns)


def _phase_means(windows: np.ndarray, period: int) -> np.ndarray:
    """The means ``(n, period²)`` of the phases of windows, relative to those of the windows."""
    count, side = windows.shape[:2]
    hann = np.hanning(side + 1)[:-1]
    weights = np.outer(hann, hann)
    seen = (windows - windows.mean((1, 2), keepdims=True)) * weights
    sums = seen.reshape(count, side // period, period, side // period, period).sum((1, 3))
    found: np.ndarray = sums.reshape(count, -1) / (weights.sum() / period**2)
    return found


def _ratio(means: np.ndarray, colours: np.ndarray) -> float:
    parts = [means[:, colours == colour] for colour in range(3)]
    red, green, blue = (part.mean(axis=1) for part in parts)
    r, g, b = (1 / part.shape[1] for part in parts)
    luma = np.median((green - (red + blue) / 2) ** 2) / (g + (r + b) / 4)
    chroma = np.median((red - blue) ** 2) / (r + b)
    own = sum(((p - p.mean(axis=1, keepdims=True)) ** 2).sum(axis=1) for p in parts)
    chance = float(np.median(own)) / (len(colours) - 3)
    least = 1e-12 * float(np.median(np.square(means)))  # rounding of the means
    return float(min(luma, chroma)) / max(chance, least, ROUNDING)
