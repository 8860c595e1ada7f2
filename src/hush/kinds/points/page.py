"""What a report shows about sets: the scene before and after, and how sure the decisions are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hush.kinds.points import scenes
from hush.kinds.points.advice import picture_size
from hush.kinds.points.show import outliers, shares
from hush.report import describe, plots
from hush.report.frame import Card, Chart, Entry, names
from hush.report.pictures import Picture, encode

if TYPE_CHECKING:
    from hush.kinds.points import Points
    from hush.record import Record
    from hush.results import Denoised, Inspection, Item

BINS = 20  #: of the histogram of probabilities
SIDE = 900  #: of a photo below segments, in pixels


@dataclass(frozen=True)
class Row:
    """Drawings beside each other; coloured : by probability."""

    charts: tuple[Chart, ...]
    coloured: bool = False


@dataclass(frozen=True)
class Scene(Entry):
    """Everything the page shows about one set.

    rows : drawings of it; charts : about its probabilities.
    """

    rows: tuple[Row, ...]
    charts: tuple[Chart, ...]

    template: ClassVar[str] = "hush.kinds.points/page.html.j2"
    judged: ClassVar[str] = "status"
    fine: ClassVar[str] = "No warnings"
    badge: ClassVar[str] = "no warnings"


@dataclass(frozen=True)
class InspectedScene(Scene):
    """The same for a file that was only inspected."""

    heading: ClassVar[str] = "Noise report"
    look: ClassVar[str] = "Know this before you denoise"
    fine: ClassVar[str] = "Ready to denoise"
    badge: ClassVar[str] = "ready to denoise"


@dataclass(frozen=True)
class Drawn:
    """The elements with finite coordinates that a page draws.

    x : ``(n, d)``; marks, kept : of each; about : the context; photo : below segments.
    """

    x: np.ndarray
    marks: np.ndarray
    kept: np.ndarray
    about: Mapping[str, Any]
    photo: Picture | None
    element: str

    def part(self, where: np.ndarray, mark: str | None = None) -> Drawn:
        marks = self.marks[where] if mark is None else np.full(int(where.sum()), mark)
        return Drawn(self.x[where], marks, self.kept[where], self.about, self.photo, self.element)

    def words(self, count: int) -> str:
        return f"{count} {self.element}{'s' * (count != 1)}"


def section(kind: Points, result: Denoised, budget: float) -> Scene:
    """What a page shows about a result, without keeping its arrays."""
    item = result.noisiest
    drawn = _drawn(kind, result.noisy, item.index, item)
    stats, time = item.judgement.stats, describe.duration(sum(result.timings.values()))
    name, parent = names(result.noisy)
    model = [f"model {result.model}"] if result.model else []
    sure = "The method does not say" if stats["known"] else "Nothing was judged"
    sure = sure if stats["sure"] is None else describe.share(stats["sure"])
    measured = math.isfinite(item.found.uncertainty)
    share = shares(result, result.given).partition("; ")
    return Scene(
        name=name,
        parent=parent,
        facts=describe.size(result.noisy),
        cards=(
            Card(
                "Outliers",
                share[0][:1].upper() + share[0][1:],
                share[2] or "share of the elements, ± standard error" * measured,
            ),
            Card("Kept", f"{stats['kept']} of {stats['n']}", _removed(kind, stats)),
            Card("Sure", sure, "of the decisions are expected to be right" * bool(stats["sure"])),
            Card("Method", result.method, ", ".join([*model, describe.steps(result.steps)])),
            Card("Time", time),
        ),
        warnings=tuple(result.warnings),
        verdict=item.judgement.verdict,
        icon=None,
        notes=_notes(kind, result.noisy, item.index, drawn),
        noise={},
        row={
            "noise": f"outliers {share[0]}",
            "kept": f"{stats['kept']} of {stats['n']}",
            "time": time,
        },
        rows=_compared(kind, drawn) if len(drawn.x) else (),
        charts=(*_histogram(kind, item), *_steps(kind, item)),
    )


def inspected(kind: Points, seen: Inspection, budget: float) -> InspectedScene:
    """What a page shows about an inspection, without keeping arrays."""
    drawn = _drawn(kind, seen.record, seen.index)
    name, parent = names(seen.record)
    share = outliers(seen.estimate)
    measured = math.isfinite(seen.estimate.uncertainty)
    model = f"model {seen.model}, " if seen.model else ""
    return InspectedScene(
        name=name,
        parent=parent,
        facts=describe.size(seen.record),
        cards=(
            Card(
                "Outliers",
                share[:1].upper() + share[1:],
                "share of the elements, ± standard error" * measured,
            ),
            Card("Method", seen.method, f"{model}{describe.steps(seen.steps)}"),
        ),
        warnings=tuple(seen.warnings),
        verdict="The set raised no warnings.",
        icon=None,
        notes=_notes(kind, seen.record, seen.index, drawn),
        noise={},
        row={"noise": f"outliers {share}"},
        rows=(Row(_scene(kind, drawn, f"All {kind.element}s")),) if len(drawn.x) else (),
        charts=(),
    )


# -- scenes ------------------------------------------------------------------------------------


def _drawn(kind: Points, record: Record, index: int, item: Item | None = None) -> Drawn:
    batch = kind.batch(record)
    elements = kind.elements(batch, index)
    known, count = elements.known, len(elements.known)
    told = None if item is None else item.probability
    left = None if item is None else item.kept
    told = np.full(count, np.nan) if told is None else np.asarray(told, float)
    left = np.ones(count, bool) if left is None else left
    photo = record.meta.get("photo")
    return Drawn(
        elements.x,
        scenes.classes(told[known]),
        left[known],
        batch.about(index),
        None if photo is None else _small(photo),
        kind.element,
    )


def _small(photo: np.ndarray) -> Picture:
    step = max(1, -(-max(photo.shape) // SIDE))
    return encode(np.ascontiguousarray(photo[None, ::step, ::step]))


def _compared(kind: Points, drawn: Drawn) -> tuple[Row, ...]:
    """The scene before, coloured by probability, and what is left of it."""
    left = int(drawn.kept.sum())
    gone = len(drawn.x) - left
    told = bool((drawn.marks != "pn").any())
    unknown = () if told else (("three", "not judged"),)
    views = len(kind.views(drawn.x[:1]))
    if views > 1:
        parts = [("Kept", drawn.part(drawn.kept)), ("Removed", drawn.part(~drawn.kept))]
        charts = [
            chart
            for word, part in parts
            for chart in _scene(kind, part, f"{word}: {part.words(len(part.x))}", unknown, drawn)
            if len(part.x)
        ]
        return tuple(Row((chart,), coloured=told) for chart in charts)
    before = _scene(kind, drawn, f"Before: {drawn.words(len(drawn.x))}", unknown)
    if kind.pixels:
        after = _scene(
            kind,
            Drawn(
                drawn.x,
                np.where(drawn.kept, "kept", "gone"),
                drawn.kept,
                drawn.about,
                drawn.photo,
                drawn.element,
            ),
            f"After: {left} kept, {gone} removed",
            key=(("ink", "kept"), ("pale", "removed")),
        )
        return (Row((*before, *after), coloured=told),)
    after = _scene(
        kind,
        drawn.part(drawn.kept, "kept"),
        f"After: {drawn.words(left)}",
        key=(("one", "kept"),),
        whole=drawn,
    )
    if len(before) == 1:
        return (Row((*before, *after), coloured=told),)
    return Row(before, coloured=told), *((Row(after),) if after else ())


def _scene(
    kind: Points,
    drawn: Drawn,
    heading: str,
    key: tuple[tuple[str, str], ...] = (),
    whole: Drawn | None = None,
) -> tuple[Chart, ...]:
    """Drawings of elements, in the frame of the whole set."""
    x, every = drawn.x, (whole or drawn).x
    if len(kind.views(every[:1])) > 1:
        return (_matches(drawn, heading, every, key),)
    if kind.pixels:
        size = picture_size(drawn.about, "size")
        svg = scenes.drawing(x, drawn.marks, size, drawn.photo, heading)
        over = "Over the photo that they were found in." if drawn.photo is not None else ""
        return (Chart(heading, svg, over, key),)
    ends = scenes.ranges(every)
    if every.shape[1] > 2 and not np.ptp(every[:, 2]) > 0:
        every = every[:, :2]
    axes = [*combinations(range(min(3, every.shape[1])), 2)]
    shown = scenes.some(len(x), scenes.MOST_DOTS)
    beyond = int((~((x >= ends[0]) & (x <= ends[1])).all(1)).sum())
    said = [f"{len(shown)} of {len(x)} are drawn."] if len(shown) < len(x) else []
    are = "is" if beyond == 1 else "are"
    said += [f"{drawn.words(beyond)} far from the others {are} not shown."] if beyond else []
    charts = []
    for k, (a, b) in enumerate(axes):
        letters = tuple("xyz"[c] for c in (a, b))
        svg = scenes.scatter(
            x[shown][:, [a, b]],
            drawn.marks[shown],
            ends[:, [a, b]],
            (letters[0], letters[1]),
            f"{heading}, {letters[1]} against {letters[0]}",
        )
        title = heading if k == 0 else f"{letters[1]} against {letters[0]}"
        charts.append(Chart(title, svg, " ".join(said) if k == 0 else "", key))
    return tuple(charts)


def _matches(
    drawn: Drawn, heading: str, every: np.ndarray, key: tuple[tuple[str, str], ...]
) -> Chart:
    sizes = [picture_size(drawn.about, name) for name in ("size1", "size2")]
    frames = [scenes.frame(every[:, 2 * k : 2 * k + 2], size) for k, size in enumerate(sizes)]
    count = min(len(drawn.x), scenes.MOST_LINES)
    lines = f"{count} of them as lines" if count < len(drawn.x) else "as lines"
    return Chart(
        heading,
        scenes.matches(drawn.x, drawn.marks, frames, heading),
        f"Points of picture 1 (left) and picture 2 (right), {lines}.",
        key,
    )


# -- charts ------------------------------------------------------------------------------------


def _histogram(kind: Points, item: Item) -> list[Chart]:
    """How many elements have which probability, and from which on they are kept."""
    if item.probability is None or item.kept is None:
        return []
    judged = np.isfinite(item.probability)
    if not judged.any():
        return []
    p, left = item.probability[judged], item.kept[judged]
    edges = np.linspace(0, 1, BINS + 1)
    counts = [np.histogram(p[some], edges)[0] for some in (left, ~left)]
    lowest = float(p[left].min()) if left.any() else None
    cut = lowest is not None and (left.all() or p[~left].max() < lowest)
    said = "None was kept." if lowest is None else "Probability alone did not decide."
    if cut and lowest is not None:
        said = f"All with a probability of at least {plots.number(round(lowest, 3))} were kept."
    svg = plots.stacked(
        edges,
        {"kept": ("kept", counts[0]), "removed": ("gone", counts[1])},
        f"How many {kind.element}s have which probability",
        "probability of belonging to the set",
        f"{kind.element}s",
        mark=lowest if cut else None,
    )
    key = (("one", "kept"), ("two", "removed"))
    return [Chart("How sure is each decision?", svg, said, key)]


def _steps(kind: Points, item: Item) -> list[Chart]:
    """The share of outliers before each step, and of the elements that it removed."""
    if len(item.trace) < 2:
        return []
    rows = [(t["step"], 100 * t["level"], 100 * t["removed_rms"]) for t in item.trace]
    svg = plots.steps(rows, "Share of outliers seen in each step, and share first judged so", "%")
    key = (("one", "outliers seen"), ("bars", "first judged so"))
    caption = f"In percent of all {kind.element}s."
    return [Chart("Step by step", svg, caption, key)]


def _removed(kind: Points, stats: Mapping[str, Any]) -> str:
    gone = stats["n"] - stats["kept"]
    return f"{kind.element}s; {gone} removed" if gone else f"{kind.element}s; none removed"


def _notes(kind: Points, record: Record, index: int, drawn: Drawn) -> tuple[str, ...]:
    count = len(kind.batch(record))
    notes = [f"{kind.nouns[0]} {index + 1} of {count} is shown"] if count > 1 else []
    if not kind.pixels and drawn.x.shape[1] > 3:
        notes.append(f"only the first three of {drawn.x.shape[1]} coordinates are drawn")
    return tuple(notes)
