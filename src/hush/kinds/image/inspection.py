"""The page about an inspected image: its noise, and the evidence for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hush.kinds import to_batch
from hush.kinds.image import pictures
from hush.kinds.layout import stored_with_gaps
from hush.report import describe, plots
from hush.report.frame import (
    BUDGET,
    Card,
    Entry,
    between_card,
    lines_cards,
    names,
    noise_card,
    noise_plots,
)
from hush.report.pictures import Picture, encode, to_pixels

if TYPE_CHECKING:
    from hush.results import Inspection

DETAIL = 128  #: side of the enlarged part


@dataclass(frozen=True)
class Look:
    """A picture, its caption, and the position of the detail within it.

    most : if it is a map, its brightest value.
    """

    picture: Picture
    caption: str
    mark: tuple[float, ...] | None = None
    most: str = ""


@dataclass(frozen=True)
class Inspected(Entry):
    """Everything the page shows about one inspected file."""

    views: tuple[Look, ...]

    template: ClassVar[str] = "hush.kinds.image/inspect.html.j2"
    heading: ClassVar[str] = "Noise report"
    judged: ClassVar[str] = "status"
    look: ClassVar[str] = "Know this before you denoise"
    fine: ClassVar[str] = "Ready to denoise"
    badge: ClassVar[str] = "ready to denoise"


def inspected(seen: Inspection, *, budget: float = BUDGET) -> Inspected:
    """What the page shows about an inspection, without keeping arrays; see `section`."""
    record, found = seen.record, seen.estimate
    scale = record.scale
    name, parent = names(record)
    plane = pictures.choose_plane(record, seen.index, seen.channel)
    batch = to_batch(record)
    whole = stored_with_gaps(batch, batch.data[plane.index], plane.index)[plane.channels]
    c, h, w = whole.shape
    factor = pictures.shrink_factor(h, w, budget / c)
    small = pictures.shrink(whole, factor, scale)
    low, high = pictures.display_window(small)
    picture = encode(to_pixels(small, low, high))
    shown = f", shown at 1 : {factor}" if factor > 1 else ""
    views = [Look(picture, f"{w} × {h} pixels{shown}")]
    if max(h, w) > DETAIL:
        rows, columns = pictures.detail(small, h, w, DETAIL)
        part = to_pixels(pictures.shrink(whole[:, rows, columns], 1, scale), low, high)
        caption = f"Detail, its pixels enlarged: row {rows.start}, column {columns.start}"
        views[0] = Look(picture, views[0].caption, pictures.mark(rows, columns, h, w))
        views.append(Look(encode(part), caption))
    if found.field is not None:
        level = pictures.levels(found.local, whole, picture, scale)
        caption = f"The level of the noise, {describe.places(found, scale)}"
        most = f"{plots.number(level.highest)}{describe.units(scale)}"
        views.append(Look(level.picture, caption, most=most))
    return Inspected(
        name=name,
        parent=parent,
        facts="; ".join(
            filter(None, (describe.size(record), describe.series(seen.laws, "images")))
        ),
        cards=_cards(seen, scale),
        warnings=tuple(seen.warnings),
        verdict="The shipped models were trained on this kind of noise, and its estimate raised no "
        "warnings.",
        icon=pictures.thumbnail(small, 96, low, high),
        notes=(
            *plane.notes,
            f"black is {plots.number(low * scale)} and white {plots.number(high * scale)}",
        ),
        noise=noise_plots(found, scale, describe.units(scale)),
        row={
            "noise": describe.noise(found, scale),
            "between pixels": describe.between(found).partition(":")[0],
        },
        views=tuple(views),
    )


def _cards(seen: Inspection, scale: float) -> tuple[Card, ...]:
    found = seen.estimate
    clipped = describe.clipping(found).partition(" of ")
    cards = [
        noise_card(found, scale),
        between_card(found),
        *lines_cards(found, scale),
        Card("Clipped", clipped[0], "".join(clipped[1:]).strip()),
    ]
    if seen.step is not None:
        way = f"of the noise ladder; model {seen.model}, {describe.steps(seen.steps)}"
        cards.append(Card("MID's step", f"{seen.step:.2f}", way))
    if levels := describe.channels(found, scale):
        cards.insert(2, Card("Channels", *levels.partition(": ")[::2]))
    return tuple(cards)
