"""From results to the page: what is shown of each, and writing it.

A `Section` holds one result's encoded pictures, plots and sentences and none of its arrays,
so that a run over many files can let go of each as it goes.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hush.record import Record, full_range
from hush.report import images, plots
from hush.report.residual import WHITE, residual_statistics, warnings

if TYPE_CHECKING:
    from hush.api import Result

#: samples per shown picture (a gray 1200 x 1200), and what many results share between them
BUDGET, SHARED = 1.5e6, 12e6
SMALLEST_BUDGET = 0.15e6
CROP = 448  #: side of the 1:1 detail of images too large to be shown whole
CLIPPED = 0.02  #: a share of clipped samples that is worth a word
TIMES = "\N{NO-BREAK SPACE}\N{MULTIPLICATION SIGN}\N{NO-BREAK SPACE}"

FAMILY_NAMES = {
    "gaussian": "Gaussian",
    "poisson": "Poisson",
    "poisson-gaussian": "Poisson\N{EN DASH}Gaussian",
}


@dataclass(frozen=True)
class View:
    """Three pictures of the same place.

    caption, difference : words under the slider and under what was removed; limit : the
    difference that is black or white there, in the data's units; units : what those are called;
    mark : where the detail is within this view, as fractions (top, left, height, width).
    """

    before: images.Picture
    after: images.Picture
    removed: images.Picture
    caption: str
    difference: str
    limit: float
    units: str
    mark: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Card:
    """A summary card: a heading, a large value, what qualifies it and code to copy."""

    label: str
    value: str
    detail: str = ""
    code: str = ""


@dataclass(frozen=True)
class Section:
    """All that the page shows of one result."""

    name: str
    parent: str
    facts: str
    cards: tuple[Card, ...]
    warnings: tuple[str, ...]
    verdict: str
    icon: images.Picture
    views: tuple[View, ...]
    notes: tuple[str, ...]
    clipped: bool
    plots: Mapping[str, str]
    trace: tuple[Mapping[str, Any], ...]
    timings: tuple[tuple[str, float, float], ...]
    row: Mapping[str, str]


def write_report(
    results: Sequence[Result | Section],
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
) -> None:
    """Write one self-contained HTML file about `results`.

    It fetches nothing: pictures, plots, style and script are inside. Many results share a
    fixed amount of picture, so that the page stays a size that browsers open. Where holding
    all results would take too much memory, hand in their `section`s, each made with
    ``budget=picture_budget(number of files)``.

    Raises
    ------
    HushError
        if `path` cannot be written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from hush.io import atomic

    share = picture_budget(len(results))
    sections = [r if isinstance(r, Section) else section(r, budget=share) for r in results]
    names = Counter(s.name for s in sections)
    sections = [
        replace(s, name=f"{s.parent}/{s.name}") if names[s.name] > 1 and s.parent else s
        for s in sections
    ]
    if title is None:
        title = sections[0].name if len(sections) == 1 else f"{len(sections)} images"
    environment = Environment(
        loader=PackageLoader("hush.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["options"] = _mark_options
    environment.filters["number"] = plots.number
    page = environment.get_template("template.html.j2")
    html = page.render(title=title, sections=sections, version=_version(), tolerance=WHITE)
    with atomic(Path(path)) as temporary:
        Path(temporary).write_text(html, encoding="utf-8")


def picture_budget(count: int) -> float:
    """Samples that each picture may have on a page about `count` results."""
    return min(BUDGET, max(SMALLEST_BUDGET, SHARED / max(1, count)))


def section(result: Result, *, budget: float = BUDGET) -> Section:
    """What the page shows of `result`, holding on to none of its arrays.

    `budget` is how many samples a picture may have before it is shown smaller, with a detail
    at 1:1 beside it.
    """
    noisy, clean = result.noisy.to_batch().data, result.record.to_batch().data
    stats = result.residual or residual_statistics(noisy, clean, result.process)
    # Whoever judged the residual has told what is wrong with it.
    known = result.estimate.correlated
    said = result.warnings if result.residual else [*result.warnings, *warnings(stats, known=known)]

    plane = images.choose_plane(result.noisy)
    before = noisy[plane.index][: plane.channels]
    after = clean[plane.index][: plane.channels]
    # Noise fills the range of gray; what is far weaker than expected is not blown up to that.
    limit = max(3 * stats["rms"], stats["expected_rms"]) or 1 / full_range(noisy.dtype)
    scale, units = _units(result.noisy)
    views, shown, icon = _views(before, after, limit, budget, units)

    source = result.noisy.source
    seconds = sum(v for k, v in result.timings.items() if k != "total")
    seconds = max(seconds, result.timings.get("total", 0.0))
    cards = _cards(result, stats, seconds)
    ratio = stats["ratio"]
    return Section(
        name=source.name if source else "array",
        parent=source.parent.name if source else "",
        facts=_facts(result.noisy),
        cards=cards,
        warnings=tuple(said),
        verdict=_verdict(stats),
        icon=icon,
        views=views,
        notes=(*plane.notes, shown),
        clipped=stats["clipped"] > CLIPPED,
        plots=_plots(result, stats, scale, units),
        trace=tuple(_trace_row(t, scale) for t in result.trace),
        timings=tuple(
            (name, value, value / seconds if seconds else 0.0)
            for name, value in result.timings.items()
            if name != "total"
        ),
        row={
            "noise": f"{cards[0].value}, {cards[0].detail}",
            "removed": "" if ratio is None else f"{100 * ratio:.0f} %",
            "time": _seconds(seconds),
        },
    )


def _views(
    before: np.ndarray, after: np.ndarray, limit: float, budget: float, units: str
) -> tuple[tuple[View, ...], str, images.Picture]:
    """The pictures, what their gray values mean, and the icon for the index.

    `limit` is the difference, of full range, shown as black or white. Means over blocks
    weaken white noise by the block's side: a smaller limit there keeps it as visible, and
    shows coarse structure that single pixels would hide.
    """
    c, h, w = before.shape
    factor = images.shrink_factor(h, w, budget / c)
    small_before, small_after = images.shrink(before, factor), images.shrink(after, factor)
    low, high = images.display_window(small_after)
    scale = full_range(before.dtype)

    def view(a: np.ndarray, b: np.ndarray, caption: str, factor: int) -> View:
        first, second = (images.encode(images.to_pixels(p, low, high)) for p in (a, b))
        top = limit / factor
        third = images.encode(images.to_pixels(np.nan_to_num(a - b), -top, top))
        means = f", means of {factor}{TIMES}{factor} pixels" if factor > 1 else ""
        return View(
            before=first,
            after=second,
            removed=third,
            caption=caption,
            difference=f"Noisy minus denoised{means}; gray is 0",
            limit=scale * top,
            units=units,
        )

    shown = f"black is {plots.number(low * scale)} and white {plots.number(high * scale)}"
    icon = images.thumbnail(small_after, 96, low, high)
    if factor == 1:
        return (view(small_before, small_after, f"{w}{TIMES}{h} pixels", 1),), shown, icon

    side = max(128, min(CROP, int((budget / c / 2) ** 0.5)))
    ch, cw = min(side, h), min(side, w)
    top, left = images.busiest(small_after, (ch / h, cw / w))
    y, x = min(round(top * h), h - ch), min(round(left * w), w - cw)
    whole = view(small_before, small_after, f"{w}{TIMES}{h} pixels, shown at 1 : {factor}", factor)
    cut_before, cut_after = (
        images.shrink(a[:, y : y + ch, x : x + cw], 1) for a in (before, after)
    )
    detail = view(cut_before, cut_after, f"Detail, every pixel of it: row {y}, column {x}", 1)
    return (replace(whole, mark=(y / h, x / w, ch / h, cw / w)), detail), shown, icon


def _cards(result: Result, stats: Mapping[str, Any], seconds: float) -> tuple[Card, ...]:
    scale, units = _units(result.noisy)
    estimate, process = result.estimate, result.process
    level = f"σ {plots.number(scale * stats['expected_rms'])}{units}"
    lag1 = plots.number(round(float(estimate.correlation), 2))
    ratio = stats["ratio"]
    of_model = "" if ratio is None else f"{100 * ratio:.0f} % of what the noise model predicts"
    if of_model and stats["clipped"] > CLIPPED:
        of_model += ", away from clipped values"
    model = [f"model {result.model}"] if result.model else []
    count = f"{result.steps} step{'s' if result.steps != 1 else ''}"
    start = [] if result.step is None else [f"noise estimated at {result.step:.2f} of the ladder"]
    pixels = result.noisy.data.size / result.noisy.channels / 1e6
    speed = f"{plots.number(pixels / seconds)} megapixels a second" if seconds else ""
    return (
        Card(
            "Noise",
            FAMILY_NAMES.get(process.family, process.family),
            level,
            f"--noise {process.spec(scale)}",
        ),
        Card(
            "Between pixels",
            "Correlated" if estimate.correlated else "Independent",
            f"lag-1 correlation {lag1}" if estimate.correlated else "noise differs at every pixel",
        ),
        Card("Removed", f"{plots.number(scale * stats['rms'])}{units}", of_model),
        Card("Method", result.method, ", ".join([*model, count, *start])),
        Card("Time", _seconds(seconds), speed),
    )


def _plots(result: Result, stats: Mapping[str, Any], scale: float, units: str) -> dict[str, str]:
    out = {
        "autocorrelation": plots.autocorrelation(
            stats["autocorrelation"], stats["band"], WHITE, "Autocorrelation of the residual"
        )
    }
    if stats["levels"]:
        out["levels"] = plots.levels(
            stats["levels"], scale, units, "Removed noise by brightness against the noise model"
        )
    if len(result.trace) > 1:
        rows = [(t["step"], scale * t["level"], scale * t["removed_rms"]) for t in result.trace]
        out["steps"] = plots.steps(rows, "Noise level before each step, and what it removed")
    return out


def _trace_row(entry: Mapping[str, Any], scale: float) -> dict[str, Any]:
    """One step in units of the data; its ``image`` (full-range units), if kept, as a picture."""
    picture = None
    if entry.get("image") is not None:
        image = np.asarray(entry["image"], np.float32)
        image = image.reshape(-1, *image.shape[-2:])
        image = image[:3] if len(image) in (3, 4) else image[:1]
        picture = images.thumbnail(image, 160, *images.display_window(image))
    return {
        "step": entry["step"],
        "level": plots.number(scale * entry["level"]),
        "removed": plots.number(scale * entry["removed_rms"]),
        "picture": picture,
    }


def _mark_options(text: str) -> str:
    """`text` as HTML, its command-line options set as code (and so never broken in two)."""
    from markupsafe import Markup, escape

    option = r"--[a-z]+(?: (?=\S*[\d:])[\w:,/-]+)?"
    return Markup(re.sub(option, r"<code>\g<0></code>", str(escape(text))))


def _verdict(stats: Mapping[str, Any]) -> str:
    """Why there is nothing to warn of, in figures."""
    if stats["rms"] == 0:
        return "No noise was found, and nothing was removed."
    values = [abs(a) for v in stats["autocorrelation"].values() for a in v]
    parts = []
    if values:
        parts.append(f"its pixels are uncorrelated (at most {max(values):.2f})")
    if stats["ratio"] is not None:
        parts.append(f"it is as strong as the noise model predicts ({100 * stats['ratio']:.0f} %)")
    parts.append("it does not follow the picture's edges")
    return f"{'; '.join(parts)}.".capitalize()


def _facts(record: Record) -> str:
    sizes = TIMES.join(str(n) for n in record.data.shape)
    text = f"{sizes} ({record.axes}), {record.data.dtype}"
    if record.data.dtype.kind == "f":
        bad = record.data.size - int(np.count_nonzero(np.isfinite(record.data)))
        text += f", {bad} pixels without a finite value" if bad else ""
    return text


def _units(record: Record) -> tuple[float, str]:
    """Factor from full range 1 to the data's units, and how those are named."""
    scale = full_range(record.data.dtype)
    return scale, f" of {scale:.0f}" if scale != 1 else ""


def _seconds(value: float) -> str:
    if value >= 90:
        return f"{value / 60:.1f} min"
    return f"{value:.1f} s" if value >= 0.95 else f"{1000 * value:.0f} ms"


def _version() -> str:
    try:
        return version("hush-denoise")
    except PackageNotFoundError:  # running from a source tree that is not installed
        return ""
