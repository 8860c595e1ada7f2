"""Small plots as inline SVG; the page's style sheet sets the colours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from types import MappingProxyType

import numpy as np

WIDTH, HEIGHT = 410, 240
LEFT, RIGHT, TOP, BOTTOM = 66, 10, 10, 44


def number(value: float) -> str:
    """`value` with three significant digits, without exponent where possible."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if not 1e-4 <= abs(value) < 1e15:
        return f"{value:.1e}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{decimals}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", "\N{MINUS SIGN}")


def power_of_ten(exponent: float) -> str:
    """``10³`` as SVG text."""
    return f'10<tspan dy="-5" font-size="9">{number(exponent)}</tspan>'


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers within low..high, at most `most` of them."""
    span = high - low
    if not span > 0:
        return [low]
    power = 10 ** math.floor(math.log10(span / most))
    step = next(m * power for m in (1, 2, 2.5, 5, 10, 20) if span / (m * power) <= most)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


@dataclass
class _Plot:
    """Axes that map data ranges to the view box, and the marks drawn so far."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    marks: list[str] = field(default_factory=list)
    log: bool = False  #: y values are powers of ten, and labelled as such

    def x(self, value: float) -> float:
        low, high = self.x_range
        return round(LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        low, high = self.y_range
        return round(HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    def line(self, points: Sequence[tuple[float, float]], cls: str) -> None:
        path = " ".join(f"{self.x(a)},{self.y(b)}" for a, b in points)
        self.marks.append(f'<polyline class="{cls}" points="{path}"/>')

    def dot(self, a: float, b: float, cls: str, tip: str, dx: float = 0.0) -> None:
        self.marks.append(
            f'<circle class="{cls}" cx="{self.x(a) + dx}" cy="{self.y(b)}" r="3.6">'
            f"<title>{escape(tip)}</title></circle>"
        )

    def stem(self, a: float, b: float, cls: str, dx: float = 0.0) -> None:
        x = self.x(a) + dx
        self.marks.append(
            f'<line class="{cls}" x1="{x}" x2="{x}" y1="{self.y(0)}" y2="{self.y(b)}"/>'
        )

    def band(self, half: float, cls: str) -> None:
        top, bottom = self.y(half), self.y(-half)
        self.marks.append(
            f'<rect class="{cls}" x="{LEFT}" width="{WIDTH - LEFT - RIGHT}" '
            f'y="{top}" height="{max(bottom - top, 1):.1f}"/>'
        )

    def bar(self, a: float, b: float, width: float, cls: str, tip: str) -> None:
        top = self.y(b)
        self.marks.append(
            f'<rect class="{cls}" x="{self.x(a) - width / 2:.1f}" width="{width:.1f}" rx="2" '
            f'y="{top}" height="{self.y(0) - top:.1f}"><title>{escape(tip)}</title></rect>'
        )

    def svg(
        self,
        label: str,
        x_name: str,
        y_name: str,
        x_ticks: Sequence[float],
        x_labels: Mapping[float, str] = MappingProxyType({}),
    ) -> str:
        out = [f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">']
        out.append(f"<title>{escape(label)}</title>")
        levels = ticks(*self.y_range)
        for t in [k for k in levels if k == round(k)] if self.log else levels:
            y = self.y(t)
            cls = "axis" if t == 0 and not self.log else "grid"
            out.append(f'<line class="{cls}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
            label = power_of_ten(t) if self.log else number(t)
            out.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
        for t in x_ticks:
            out.append(
                f'<text x="{self.x(t)}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">'
                f"{x_labels.get(t) or number(t)}</text>"
            )
        middle = (LEFT + WIDTH - RIGHT) / 2
        out.append(
            f'<text class="name" x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">'
            f"{escape(x_name)}</text>"
        )
        height = (TOP + HEIGHT - BOTTOM) / 2
        out.append(
            f'<text class="name" transform="translate(13 {height}) rotate(-90)" '
            f'text-anchor="middle">{escape(y_name)}</text>'
        )
        return "".join([*out, *self.marks, "</svg>"])


def autocorrelation(
    lags: Mapping[str, Sequence[float]],
    title: str,
    band: float = 0.0,
    tolerance: float = 0.0,
    element: str = "pixel",
    own: Mapping[str, Sequence[float]] = MappingProxyType({}),
) -> str:
    """Stems at each lag, over bands for white noise and for tolerance, if given.

    lags : from lag 1; "x" across, "y" down and "z" between slices, or "" if directions are not
        distinguished. own : of the noise itself, as rings.
    """
    values = [a for v in (*lags.values(), *own.values()) for a in v]
    most = max([1.6 * tolerance, *(1.15 * abs(a) for a in values)]) or 1.0
    count = max((len(v) for v in lags.values()), default=1) or 1
    unit = "px" if element == "pixel" else element
    plot = _Plot((0.4, count + 0.6), (-most, most))
    for half, cls in ((tolerance, "tolerance"), (band, "chance")):
        if half:
            plot.band(half, cls)
    looks = {
        "x": ("one", " across", -4.0),
        "y": ("two", " down", 4.0),
        "z": ("three", " between slices", 12.0),
        "": ("one", "", 0.0),
    }
    for axis, (cls, word, dx) in looks.items():
        for lag, a in enumerate(lags.get(axis, []), 1):
            plot.stem(lag, a, f"stem {cls}", dx)
            plot.dot(lag, a, cls, f"{lag} {unit}{word}: {number(round(a, 3))}", dx)
        for lag, a in enumerate(own.get(axis, [])[:count], 1):
            plot.dot(lag, a, f"ring {cls}", f"noise, {lag}{word}: {number(round(a, 3))}", dx)
    return plot.svg(title, f"distance, {element}s", "correlation", range(1, count + 1))


def transfer(
    curve: Sequence[tuple[float, float, float]], scale: float, units: str, title: str
) -> str:
    """The photon transfer curve: points (signal, measured variance, variance by the law)."""
    rows = [
        {"signal": x, "measured": max(seen, 0.0) ** 0.5, "expected": max(law, 0.0) ** 0.5}
        for x, seen, law in curve
    ]
    return levels(rows, scale, units, title)


def levels(rows: Sequence[dict[str, float]], scale: float, units: str, title: str) -> str:
    """Measured noise in bins of brightness, over the model's curve, in units of the data."""
    signal = [scale * b["signal"] for b in rows]
    span = (signal[-1] - signal[0]) or abs(signal[0]) or 1.0
    top = 1.12 * scale * max(max(b["measured"], b["expected"]) for b in rows) or 1.0
    plot = _Plot((signal[0] - 0.04 * span, signal[-1] + 0.04 * span), (0.0, top))
    plot.line([(s, scale * b["expected"]) for s, b in zip(signal, rows, strict=True)], "model")
    for s, b in zip(signal, rows, strict=True):
        measured, expected = scale * b["measured"], scale * b["expected"]
        tip = f"at {number(s)}: measured {number(measured)}, model {number(expected)}"
        plot.dot(s, measured, "one", tip)
    return plot.svg(
        title,
        f"brightness ({units.strip()})" if units else "brightness",
        "noise, std",
        ticks(*plot.x_range),
    )


def steps(trace: Sequence[tuple[int, float, float]], title: str, y_name: str = "noise, std") -> str:
    """Level before each step as a line, what each step removed as bars; all in one unit."""
    n = len(trace)
    top = 1.12 * max(max(level, removed) for _, level, removed in trace) or 1.0
    plot = _Plot((0.4, n + 0.6), (0.0, top))
    width = min(36.0, 0.55 * (WIDTH - LEFT - RIGHT) / n)
    for k, (step, _, removed) in enumerate(trace, 1):
        plot.bar(k, removed, width, "bar", f"step {step}: {number(removed)} removed")
    plot.line([(k, level) for k, (_, level, _) in enumerate(trace, 1)], "line")
    for k, (step, level, _) in enumerate(trace, 1):
        plot.dot(k, level, "one", f"before step {step}: level {number(level)}")
    every = max(1, math.ceil(n / 10))
    return plot.svg(title, "step", y_name, range(1, n + 1, every))


def stacked(
    edges: np.ndarray,
    series: Mapping[str, tuple[str, np.ndarray]],
    title: str,
    x_name: str,
    y_name: str,
    *,
    mark: float | None = None,
) -> str:
    """Bars between `edges` on top of each other; series : label → (class, heights).

    mark : where to draw a line across the bars.
    """
    total = np.sum([heights for _, heights in series.values()], axis=0)
    plot = _Plot((float(edges[0]), float(edges[-1])), (0.0, 1.08 * float(total.max()) or 1.0))
    below = np.zeros(len(edges) - 1)
    for label, (cls, heights) in series.items():
        for k in np.flatnonzero(heights):
            left, right = plot.x(edges[k]), plot.x(edges[k + 1])
            top, bottom = plot.y(below[k] + heights[k]), plot.y(below[k])
            tip = f"{number(edges[k])} to {number(edges[k + 1])}: {number(heights[k])} {label}"
            plot.marks.append(
                f'<rect class="{cls}" x="{left + 0.5:.1f}" width="{right - left - 1:.1f}" '
                f'y="{top}" height="{bottom - top:.1f}"><title>{escape(tip)}</title></rect>'
            )
        below = below + heights
    if mark is not None:
        x = plot.x(mark)
        plot.marks.append(
            f'<line class="threshold" x1="{x}" x2="{x}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        )
    return plot.svg(title, x_name, y_name, ticks(*plot.x_range))


def lines(
    series: Mapping[str, tuple[str, Sequence[float] | np.ndarray]],
    title: str,
    x_name: str,
    y_name: str,
) -> str:
    """Lines against position; series : label → (class, values). NaN leaves a gap."""
    every = [np.asarray(values, np.float64) for _, values in series.values()]
    finite = np.concatenate([x[np.isfinite(x)] for x in every])
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    room = 0.05 * (high - low) or 1.0
    plot = _Plot((0, max(2, *map(len, every)) - 1), (low - room, high + room))
    for (cls, _), values in zip(series.values(), every, strict=True):
        whole = np.flatnonzero(np.isfinite(values))
        for run in np.split(whole, np.flatnonzero(np.diff(whole) > 1) + 1):
            plot.line([(float(i), float(values[i])) for i in run], f"trace {cls}")
    return plot.svg(title, x_name, y_name, ticks(*plot.x_range))


def curves(
    series: Mapping[str, tuple[str, Sequence[float] | np.ndarray, Sequence[float] | np.ndarray]],
    title: str,
    x_name: str,
    y_name: str,
    *,
    areas: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray]] = (),
    log: bool = False,
    y_range: tuple[float, float] | None = None,
    doubled: Sequence[float] = (),
) -> str:
    """Lines through points; series : label → (class, x, y). NaN leaves a gap.

    areas : bands behind the lines, as (class, x, lower edge, upper edge).
    log : powers of ten on the y axis; values at or below 0 leave a gap.
    doubled : values to label on an x axis that is logarithmic then.
    """
    if doubled:
        series = {name: (c, np.log2(x), y) for name, (c, x, y) in series.items()}
        areas = [(c, np.log2(x), lower, upper) for c, x, lower, upper in areas]
    every = [(c, np.asarray(x, float), np.asarray(y, float)) for c, x, y in series.values()]
    if log:
        with np.errstate(divide="ignore", invalid="ignore"):
            every = [(c, x, np.log10(np.where(y > 0, y, np.nan))) for c, x, y in every]
    seen = [y for _, _, y in every] + [edge for _, _, *edges in areas for edge in edges]
    finite = np.concatenate([y[np.isfinite(y)] for y in seen] or [np.zeros(0)])
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    room = 0.05 * (high - low) or 1.0
    across = np.concatenate([x for _, x, _ in every])
    left, right = float(across.min()), float(across.max())
    plot = _Plot((left, right if right > left else left + 1), y_range or (low - room, high + room))
    plot.log = log
    for cls, x, lower, upper in areas:
        edge = [*zip(x, upper, strict=True), *zip(x[::-1], lower[::-1], strict=True)]
        path = " ".join(f"{plot.x(a)},{plot.y(b)}" for a, b in edge)
        plot.marks.append(f'<polygon class="{cls}" points="{path}"/>')
    for cls, x, y in every:
        whole = np.flatnonzero(np.isfinite(y))
        for run in np.split(whole, np.flatnonzero(np.diff(whole) > 1) + 1):
            plot.line([(float(x[i]), float(y[i])) for i in run], f"trace {cls}")
    labels = {float(np.log2(x)): number(x) for x in doubled}
    return plot.svg(title, x_name, y_name, [*labels] or ticks(*plot.x_range), labels)
