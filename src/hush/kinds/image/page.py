"""The page about a denoised image: before, after, what was removed, and whether to trust it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hush.kinds import to_batch
from hush.kinds.image import pictures
from hush.kinds.image.pictures import Levels, Outline, Plane, Spread
from hush.kinds.layout import stored_with_gaps
from hush.report import checked, describe, plots
from hush.report.frame import (
    BUDGET,
    WHITE,
    Card,
    Entry,
    between_card,
    lines_cards,
    names,
    noise_plots,
)
from hush.report.pictures import Picture, encode, to_pixels

if TYPE_CHECKING:
    from hush.comparison import Check
    from hush.results import Denoised

CROP = 448  #: side of the 1:1 detail of images too large to show whole
CLIPPED = 0.02  #: share of clipped samples from which on the page mentions them
SAMPLED = "How much pairs of samples differ; agreement does not mean they are right"
ESTIMATED = "Standard deviation of the error, estimated from two halves of the data"
TIMES = "\N{NO-BREAK SPACE}\N{MULTIPLICATION SIGN}\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class View:
    """Three pictures of the same area, and maps of it, if any.

    caption, difference : captions of the slider and of the difference picture; limit : the
    difference shown as black or white, in the data's units; units : their name; rows, columns : of
    the image; factor : it is shown smaller by; mark : position of the detail within this view, as
    fractions (top, left, height, width); invented : outline of the places where two halves of the
    data do not agree; spread : of the result; level : of the noise.
    """

    before: Picture
    after: Picture
    removed: Picture
    caption: str
    difference: str
    limit: float
    units: str
    rows: slice
    columns: slice
    factor: int = 1
    mark: tuple[float, ...] | None = None
    invented: Outline | None = None
    spread: Spread | None = None
    level: Levels | None = None


@dataclass(frozen=True)
class Section(Entry):
    """Everything the page shows about one result."""

    views: tuple[View, ...]
    clipped: bool
    plots: Mapping[str, str]
    trace: tuple[Mapping[str, Any], ...]
    timings: tuple[tuple[str, float, float], ...]

    template: ClassVar[str] = "hush.kinds.image/denoise.html.j2"


@dataclass(frozen=True)
class Checked(Section):
    """The same for a result that was checked on two halves of the data."""

    fine: ClassVar[str] = "What was removed looks like noise, and no invented detail was found"
    badge: ClassVar[str] = "like noise, nothing invented"


def section(result: Denoised, *, budget: float = BUDGET) -> Section:
    """What the page shows about `result`, without keeping its arrays.

    budget : a picture with more samples is shown smaller, with a detail at 1:1 beside it.
    """
    item = result.noisiest
    stats = item.judgement.stats
    noisy, clean = (to_batch(r) for r in (result.noisy, result.record))
    plane = pictures.choose_plane(result.noisy, item.index, item.channel)
    before, after = noisy.data[plane.index], clean.data[plane.index]
    if item.kept is None:
        before, after = (stored_with_gaps(noisy, x, plane.index) for x in (before, after))
    else:
        before = before[..., item.kept]
    before, after = before[plane.channels], after[plane.channels]
    # Noise fills the range of gray, except when it is far weaker than expected.
    scale = result.noisy.scale
    limit = max(3 * stats["rms"], stats["expected_rms"]) or 1 / scale
    units = describe.units(scale)
    views, shown, icon = _views(before, after, limit, budget, scale)
    views = tuple(_mapped(view, result, plane) for view in views)
    noise = item.process if result.given else item.found.local
    if noise.varies:
        level = pictures.levels(noise, after, views[0].before, scale)
        views = (replace(views[0], level=level), *views[1:])

    name, parent = names(result.noisy)
    seconds = sum(v for k, v in result.timings.items() if k != "total")
    seconds = max(seconds, result.timings.get("total", 0.0))
    cards = _cards(result, stats, seconds)
    ratio = stats["ratio"]
    seen = item.check
    sort = Section if seen is None or not seen.detailed else Checked
    return sort(
        name=name,
        parent=parent,
        facts="; ".join(
            filter(None, (describe.size(result.noisy), describe.series(result.laws, "images")))
        ),
        cards=cards,
        warnings=tuple(result.warnings),
        verdict=item.judgement.verdict,
        icon=icon,
        views=views,
        notes=(*plane.notes, shown),
        clipped=stats["clipped"] > CLIPPED,
        noise=noise_plots(result.estimate, scale, units),
        plots=_plots(result, stats, scale, units),
        trace=tuple(_trace_row(t, scale) for t in result.trace),
        timings=tuple(
            (name, value, value / seconds if seconds else 0.0)
            for name, value in result.timings.items()
            if name != "total"
        ),
        row={
            "noise": f"{cards[0].value}, {cards[0].detail}",
            "removed / model": "" if ratio is None else f"{100 * ratio:.0f} %",
            "time": describe.duration(seconds),
            **({"checked": checked.brief(seen)} if seen else {}),
        },
    )


def _views(
    before: np.ndarray, after: np.ndarray, limit: float, budget: float, scale: float
) -> tuple[tuple[View, ...], str, Picture]:
    """The pictures, the meaning of their gray values, and the icon for the index.

    limit : the difference, in units of full range, shown as black or white. Means over blocks
    weaken white noise by the block's side: a smaller limit there keeps it equally visible and
    shows coarse structure that single pixels would hide.
    """
    c, h, w = before.shape
    factor = pictures.shrink_factor(h, w, budget / c)
    small_before, small_after = (pictures.shrink(a, factor, scale) for a in (before, after))
    low, high = pictures.display_window(small_after)

    def view(a: np.ndarray, b: np.ndarray, caption: str, *place: Any) -> View:
        rows, columns, factor = place
        first, second = (encode(to_pixels(p, low, high)) for p in (a, b))
        top = limit / factor
        third = encode(to_pixels(np.nan_to_num(a - b), -top, top))
        means = f", means of {factor}{TIMES}{factor} pixels" if factor > 1 else ""
        return View(
            before=first,
            after=second,
            removed=third,
            caption=caption,
            difference=f"Noisy minus denoised{means}; gray is 0",
            limit=scale * top,
            units=describe.units(scale),
            rows=rows,
            columns=columns,
            factor=factor,
        )

    shown = f"black is {plots.number(low * scale)} and white {plots.number(high * scale)}"
    icon = pictures.thumbnail(small_after, 96, low, high)
    everything, size = (slice(0, h), slice(0, w)), f"{w}{TIMES}{h} pixels"
    if factor == 1:
        return (view(small_before, small_after, size, *everything, 1),), shown, icon

    side = max(128, min(CROP, int((budget / c / 2) ** 0.5)))
    rows, columns = pictures.detail(small_after, h, w, side)
    y, x = rows.start, columns.start
    caption = f"{size}, shown at 1 : {factor}"
    whole = view(small_before, small_after, caption, *everything, factor)
    cut_before, cut_after = (
        pictures.shrink(a[:, rows, columns], 1, scale) for a in (before, after)
    )
    caption = f"Detail, every pixel of it: row {y}, column {x}"
    detail = view(cut_before, cut_after, caption, rows, columns, 1)
    whole = replace(whole, mark=pictures.mark(rows, columns, h, w))
    return (whole, detail), shown, icon


def _mapped(view: View, result: Denoised, plane: Plane) -> View:
    """`view` with the maps that there are of its part of the image."""
    seen, where = result.noisiest.check, (view.rows, view.columns)
    units = describe.units(result.noisy.scale)
    if result.drawn and result.spread is not None:
        deviation = to_batch(result.spread).data[plane.index][plane.channels]
        words = "Uncertainty", SAMPLED
    elif seen is not None and seen.deviation is not None:
        channels = plane.channels if len(seen.deviation) > 1 else slice(None)
        deviation = seen.deviation[channels] * np.float32(result.noisy.scale)
        words = "Error", ESTIMATED
    else:
        return view
    view = replace(view, spread=pictures.spread(deviation[:, *where], view.factor, units, *words))
    if seen is None or seen.invented is None or not seen.invented[where].any():
        return view
    return replace(view, invented=pictures.outline(seen.invented[where], view.factor))


def _cards(result: Denoised, stats: Mapping[str, Any], seconds: float) -> tuple[Card, ...]:
    scale, process = result.noisy.scale, result.process
    units = describe.units(scale)
    level = f"σ {plots.number(scale * stats['expected_rms'])}{units}, as given"
    if not result.given:  # worded as in the summary
        level = describe.level(result.estimate, scale)
    ratio = stats["ratio"]
    of_model = "" if ratio is None else f"{100 * ratio:.0f} % of what the noise model predicts"
    if of_model and stats["clipped"] > CLIPPED:
        of_model += ", clipped values excluded"
    model = [f"model {result.model}"] if result.model else []
    count = describe.steps(result.steps)
    start = [] if result.step is None else [f"noise estimated at {result.step:.2f} of the ladder"]
    pixels = result.noisy.data.size / result.noisy.channels / 1e6
    speed = f"{plots.number(pixels / seconds)} megapixels a second" if seconds else ""
    return (
        Card(
            "Noise",
            describe.family(process.family),
            level,
            describe.spec(process, scale)
            if result.given and process.varies
            else describe.option(process, scale, None if result.given else result.estimate),
        ),
        between_card(result.estimate),
        *lines_cards(result.estimate, scale),
        Card("Removed", f"{plots.number(scale * stats['rms'])}{units}", of_model),
        *_checked_card(result.noisiest.check),
        Card(
            "Method",
            checked.methods(result.method, result.items),
            ", ".join([*model, count, *start]),
        ),
        Card("Time", describe.duration(seconds), speed),
    )


def _checked_card(seen: Check | None) -> tuple[Card, ...]:
    """What two halves of the data tell; nothing if they were not compared."""
    return () if seen is None else (Card("Checked on two halves", *checked.headline(seen)),)


def _plots(result: Denoised, stats: Mapping[str, Any], scale: float, units: str) -> dict[str, str]:
    out = {
        "autocorrelation": plots.autocorrelation(
            stats["autocorrelation"], "Autocorrelation of the residual", stats["band"], WHITE
        )
    }
    if stats["levels"]:
        out["levels"] = plots.levels(
            stats["levels"], scale, units, "Removed noise and noise model by brightness"
        )
    if len(result.trace) > 1:
        rows = [(t["step"], scale * t["level"], scale * t["removed_rms"]) for t in result.trace]
        out["steps"] = plots.steps(rows, "Noise level before each step, and noise removed by it")
    return out


def _trace_row(entry: Mapping[str, Any], scale: float) -> dict[str, Any]:
    """One step in units of the data; its ``image`` (full-range units) as a picture, if kept."""
    picture = None
    if entry.get("image") is not None:
        image = np.asarray(entry["image"], np.float32)
        image = image.reshape(-1, *image.shape[-2:])
        image = image[:3] if len(image) in (3, 4) else image[:1]
        picture = pictures.thumbnail(image, 160, *pictures.display_window(image))
    return {
        "step": entry["step"],
        "level": plots.number(scale * entry["level"]),
        "removed": plots.number(scale * entry["removed_rms"]),
        "picture": picture,
    }
