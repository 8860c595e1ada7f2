"""Drawings of sets as inline SVG; the page's style sheet sets the colours.

The class of a mark is the tenth of its probability, ``p0`` to ``p9``, or ``pn`` without one.
Strokes keep their width on any screen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from hush.report import plots
from hush.report.pictures import Picture

WIDTH = 410  #: of a scatter plot's view box
LEFT, RIGHT, TOP, BOTTOM = 58, 10, 10, 40
SHAPES = (0.5, 1.2)  #: lowest and highest ratio of a plot's height to its width
BROAD, TALL, GAP = 1000.0, 560.0, 24.0  #: of pictures beside each other
MOST_DOTS, MOST_LINES = 6000, 100  #: that are drawn; some of more, drawn at random
#: share of points at either end that do not set the range, if others are this many times nearer
TAIL, SQUEEZED = 0.01, 6.0


def classes(probability: np.ndarray) -> np.ndarray:
    """The class of each element's mark."""
    tenth = np.clip(np.floor(10 * np.nan_to_num(probability)), 0, 9).astype(int)
    return np.where(np.isnan(probability), "pn", np.char.add("p", tenth.astype(str)))


def some(count: int, most: int) -> np.ndarray:
    """Indices of at most `most` of `count` elements, the same ones every time."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).permutation(count)[:most])


def ranges(x: np.ndarray) -> np.ndarray:
    """The lowest and highest value of each coordinate ``(2, d)`` to draw.

    A few elements that are far away from all others do not count.
    """
    near = np.quantile(x, [TAIL, 1 - TAIL], axis=0)
    across = near[1] - near[0]
    far = (np.ptp(x, axis=0) > SQUEEZED * across) & (across > 0)
    room = np.where(far, 0.25 * across, np.inf)
    inside = ((x >= near[0] - room) & (x <= near[1] + room)).all(1)
    shown = x[inside] if inside.any() else x
    ends = np.stack([shown.min(0), shown.max(0)])
    whole = float(np.ptp(ends, axis=0).max()) or 1.0
    return ends + np.array([[-0.03], [0.03]]) * whole


def scatter(
    x: np.ndarray, marks: np.ndarray, ends: np.ndarray, names: tuple[str, str], title: str
) -> str:
    """Points ``(n, 2)`` with their classes, in the range `ends` ``(2, 2)``, on equal scales."""
    across, up = (float(v) for v in np.ptp(ends, axis=0))
    wide = WIDTH - LEFT - RIGHT
    shape = min(max(up / across if across else 1.0, SHAPES[0]), SHAPES[1])
    tall = round(wide * shape)
    scale = min(wide / (across or 1.0), tall / (up or 1.0))
    middle = ends.mean(0)
    low = middle - np.array([wide, tall]) / scale / 2
    high = middle + np.array([wide, tall]) / scale / 2
    height = tall + TOP + BOTTOM

    def place(points: np.ndarray) -> np.ndarray:
        spot = (points - low) * scale
        return np.stack([LEFT + spot[:, 0], TOP + tall - spot[:, 1]], 1)

    out = [f'<svg class="plot scene" viewBox="0 0 {WIDTH} {height}" role="img">']
    out.append(f"<title>{escape(title)}</title>")
    labels = []
    for axis, (a, b) in enumerate(zip(low, high, strict=True)):
        base = _base(float(a), float(b))
        labels.append(names[axis] if not base else f"{names[axis]} {_less(base)}")
        for t in plots.ticks(float(a) - base, float(b) - base, 5):
            at = (t + base - low[axis]) * scale
            text = plots.number(t)
            if axis:
                y = TOP + tall - at
                out.append(
                    f'<line class="grid" x1="{LEFT}" x2="{LEFT + wide}" y1="{y:.1f}" y2="{y:.1f}"/>'
                    f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
                )
            else:
                out.append(
                    f'<text x="{LEFT + at:.1f}" y="{TOP + tall + 16}" text-anchor="middle">'
                    f"{text}</text>"
                )
    out.append(
        f'<text class="name" x="{LEFT + wide / 2}" y="{height - 6}" text-anchor="middle">'
        f"{escape(labels[0])}</text>"
        f'<text class="name" transform="translate(12 {TOP + tall / 2}) rotate(-90)" '
        f'text-anchor="middle">{escape(labels[1])}</text>'
    )
    inside = ((x >= low) & (x <= high)).all(1)
    return "".join([*out, *dots(place(x[inside]), marks[inside]), "</svg>"])


def _base(low: float, high: float) -> float:
    """What to subtract from coordinates that are large beside their range, such as UTM's."""
    span = high - low
    if not span > 0 or max(abs(low), abs(high)) < 1000 * span:
        return 0.0
    power = float(10 ** math.ceil(math.log10(span)))
    return power * math.floor(low / power)


def _less(base: float) -> str:
    sign = "+" if base < 0 else "\N{MINUS SIGN}"
    return f"{sign} {abs(base):,.10g}"


def dots(places: np.ndarray, marks: np.ndarray) -> list[str]:
    """Dots at places ``(n, 2)``, a path for each class; the most probable ones on top."""
    size = 4.4 if len(places) < 400 else 3.2 if len(places) < 2500 else 2.2
    return [
        f'<path class="dot {mark}" style="stroke-width:{size}px" d="'
        + "".join(f"M{a:.1f} {b:.1f}h0" for a, b in places[marks == mark])
        + '"/>'
        for mark in _sorted(marks)
    ]


def strokes(ends: np.ndarray, marks: np.ndarray) -> list[str]:
    """Lines between places ``(n, 4)``, a path for each class."""
    return [
        f'<path class="stroke {mark}" d="'
        + "".join(f"M{a:.1f} {b:.1f}L{c:.1f} {d:.1f}" for a, b, c, d in ends[marks == mark])
        + '"/>'
        for mark in _sorted(marks)
    ]


def _sorted(marks: np.ndarray) -> Iterable[str]:
    return sorted(set(marks.tolist()), key=lambda mark: (mark != "pn", mark))


def frame(points: np.ndarray, size: Sequence[float] | None) -> tuple[np.ndarray, np.ndarray]:
    """The corner and the sides of a picture that holds all of its points ``(n, 2)``."""
    low, high = points.min(0), points.max(0)
    room = 0.02 * np.maximum(high - low, 1e-12)
    if size is None:
        return low - room, high - low + 2 * room
    corner = np.minimum(0.0, low)
    return corner, np.maximum(np.asarray(size, float), high) - corner


def drawing(
    ends: np.ndarray,
    marks: np.ndarray,
    size: Sequence[float] | None,
    photo: Picture | None,
    title: str,
) -> str:
    """Segments ``(n, 4)`` in the frame of their picture, over the photo if there is one."""
    corner, sides = frame(ends.reshape(-1, 2), size)
    scale = min(BROAD / sides[0], BROAD * SHAPES[1] / sides[1])
    wide, tall = scale * sides
    out = [
        f'<svg class="plot scene" viewBox="0 0 {wide:.0f} {tall:.0f}" role="img">'
        f"<title>{escape(title)}</title>"
    ]
    if photo is not None and size is not None:
        x, y = scale * (np.zeros(2) - corner)
        w, h = scale * np.asarray(size, float)
        out.append(
            f'<image href="{photo.uri}" x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" '
            'preserveAspectRatio="none"/>'
        )
    places = scale * (ends.reshape(-1, 2) - corner)
    box = f'<rect class="frame" width="{wide:.0f}" height="{tall:.0f}"/>'
    return "".join([*out, box, *strokes(places.reshape(-1, 4), marks), "</svg>"])


def matches(
    pairs: np.ndarray,
    marks: np.ndarray,
    frames: Sequence[tuple[np.ndarray, np.ndarray]],
    title: str,
) -> str:
    """Correspondences ``(n, 4)``: both pictures' points, and lines between some of them."""
    ratios = [float(sides[0] / sides[1]) for _, sides in frames]
    tall = min(TALL, (BROAD - GAP) / sum(ratios))
    starts = (0.0, tall * ratios[0] + GAP)
    wide = starts[1] + tall * ratios[1]
    out = [
        f'<svg class="plot scene" viewBox="0 0 {wide:.0f} {tall:.0f}" role="img">'
        f"<title>{escape(title)}</title>"
    ]
    places = []
    for k, ((corner, sides), start) in enumerate(zip(frames, starts, strict=True)):
        scale = tall / sides[1]
        out.append(
            f'<rect class="frame" x="{start:.1f}" width="{tall * ratios[k]:.1f}" '
            f'height="{tall:.1f}"/>'
        )
        places.append(scale * (pairs[:, 2 * k : 2 * k + 2] - corner) + (start, 0.0))
    both = np.concatenate(places, 1)
    lines, points = some(len(pairs), MOST_LINES), some(len(pairs), MOST_DOTS // 2)
    spots = both[points].reshape(-1, 2)
    return "".join(
        [
            *out,
            *dots(spots, np.repeat(marks[points], 2)),
            *strokes(both[lines], marks[lines]),
            "</svg>",
        ]
    )
