"""The page about a volume: three planes to turn over, what was removed, and the noise's level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hush.kinds.layout import stored_with_gaps
from hush.kinds.maps import variances
from hush.kinds.volume import charts, pictures, places, words
from hush.kinds.volume.pictures import Plane
from hush.kinds.volume.series import Series
from hush.noise.process import Process
from hush.record import Record
from hush.report import describe
from hush.report.describe import number
from hush.report.frame import Card, Chart, Entry, names, noise_plots
from hush.report.pictures import Picture
from hush.results import Denoised, Estimate, Inspection

if TYPE_CHECKING:
    from hush.kinds import Kind

LIMIT = 3.0  #: rms of what was removed, shown as black or white
DIRECTIONS = 8  #: slices in which directions are shown, the most
ICON = 96


@dataclass(frozen=True)
class Cell:
    """The slices of one plane in one way: a sprite for each volume, or one for all.

    tag : its name; sprites : by position in the list of volumes.
    """

    tag: str
    sprites: tuple[Picture, ...]


@dataclass(frozen=True)
class Shown:
    """One plane on the page.

    slices : positions of the slices, from 1; of : how many the volume has; width, height : of a
    slice, in mm or voxels; first : the slice that is shown at first.
    """

    plane: Plane
    slices: tuple[int, ...]
    of: int
    width: float
    height: float
    cells: tuple[Cell, ...]

    @property
    def first(self) -> int:
        return len(self.slices) // 2


@dataclass(frozen=True)
class Volumes(Entry):
    """Everything the page shows about one volume or series.

    choice : names of the volumes that are shown; scales : what black and white mean, for each;
    level : the highest σ of the map, if there is one; directions : colour maps of FA; without :
    why there are none.
    """

    planes: tuple[Shown, ...]
    choice: tuple[str, ...]
    scales: tuple[str, ...]
    level: str
    directions: Shown | None
    without: str
    charts: tuple[Chart, ...]

    template: ClassVar[str] = "hush.kinds.volume/page.html.j2"
    compares: ClassVar[bool] = True


@dataclass(frozen=True)
class InspectedVolumes(Volumes):
    """The same for a file that was only inspected."""

    heading: ClassVar[str] = "Noise report"
    judged: ClassVar[str] = "status"
    look: ClassVar[str] = "Know this before you denoise"
    fine: ClassVar[str] = "Ready to denoise"
    badge: ClassVar[str] = "ready to denoise"
    compares: ClassVar[bool] = False


@dataclass(frozen=True)
class _Views:
    """The pictures of an item, and what they mean."""

    planes: tuple[Shown, ...]
    choice: tuple[str, ...]
    scales: tuple[str, ...]
    level: str
    directions: Shown | None
    without: str
    icon: Picture
    notes: tuple[str, ...]


def section(kind: Kind, result: Denoised, budget: float) -> Volumes:
    """What a page shows about a result, without keeping its arrays."""
    item, stats, scale = result.noisiest, result.noisiest.judgement.stats, result.noisy.scale
    batch = kind.batch(result.noisy)
    about = batch.about(item.index)
    both = (kind.batch(r).data[item.index] for r in (result.noisy, result.record))
    before, after = (stored_with_gaps(batch, x, item.index) for x in both)
    noise = item.process if result.given else item.found.local
    where = places.find(before, about)
    views = _views(before, after, noise, where, about, scale, budget)
    time = describe.duration(sum(result.timings.values()))
    ratio = stats["ratio"]
    of_model = "" if ratio is None else f"{100 * ratio:.0f} % of what the noise model predicts"
    model = [f"model {result.model}"] if result.model else []
    name, parent = names(result.noisy)
    cards = (
        _noise(item.found, scale, noise if result.given else None),
        _between(item.found),
        *_signal(words.ratios(batch, item.index, item.found)),
        Card("Removed", number(scale * stats["rms"]), of_model),
        Card("Method", result.method, ", ".join([*model, describe.steps(result.steps), time])),
    )
    return Volumes(
        name=name,
        parent=parent,
        facts=_facts(result.noisy, words.shells(batch, item.index)),
        cards=cards,
        warnings=tuple(result.warnings),
        verdict=item.judgement.verdict,
        icon=views.icon,
        notes=views.notes,
        noise=noise_plots(item.found, scale, ""),
        row={
            "noise": f"{cards[0].value}, {cards[0].detail}",
            "removed / model": "" if ratio is None else f"{100 * ratio:.0f} %",
            "time": time,
        },
        planes=views.planes,
        choice=views.choice,
        scales=views.scales,
        level=views.level,
        directions=views.directions,
        without=views.without,
        charts=(
            *charts.removed(stats, scale),
            *charts.background(before, noise, where, about, scale),
        ),
    )


def inspected(kind: Kind, seen: Inspection, budget: float) -> InspectedVolumes:
    """What a page shows about an inspection, without keeping arrays."""
    found, record, scale = seen.estimate, seen.record, seen.record.scale
    batch = kind.batch(record)
    about = batch.about(seen.index)
    item = stored_with_gaps(batch, batch.data[seen.index], seen.index)
    where = places.find(item, about)
    views = _views(item, None, found.local, where, about, scale, budget)
    name, parent = names(record)
    noise = _noise(found, scale, None)
    return InspectedVolumes(
        name=name,
        parent=parent,
        facts=_facts(record, words.shells(batch, seen.index)),
        cards=(noise, _between(found), *_signal(words.ratios(batch, seen.index, found))),
        warnings=tuple(seen.warnings),
        verdict="The estimate of the noise raised no warnings.",
        icon=views.icon,
        notes=views.notes,
        noise=noise_plots(found, scale, ""),
        row={"noise": f"{noise.value}, {noise.detail}"},
        planes=views.planes,
        choice=views.choice,
        scales=views.scales,
        level=views.level,
        directions=views.directions,
        without=views.without,
        charts=tuple(charts.background(item, found.local, where, about, scale)),
    )


# -- cards ------------------------------------------------------------------------------------


def _noise(found: Estimate, scale: float, given: Process | None) -> Card:
    if given is not None:
        option = describe.option(given, scale)
        return Card("Noise", describe.family(given.family), "as given", option)
    if not found.sigma:
        return Card("Noise", "None found")
    family, _, level = words.noise(found, scale).partition(", ")
    return Card("Noise", family, level, describe.option(found.process, scale, found))


def _between(found: Estimate) -> Card:
    if not found.correlated:
        return Card("Between voxels", "Independent", "noise differs at every voxel")
    return Card("Between voxels", "Correlated", words.between(found).partition(": ")[2])


def _signal(text: str) -> list[Card]:
    """Signal to noise of the first shell, and of the others below."""
    first, _, rest = text.partition(", ")
    value, _, shell = first.partition(" at ")
    detail = "; ".join(filter(None, (f"at {shell}" if shell else "median inside", rest)))
    return [Card("Signal to noise", value, detail)] if text else []


def _facts(record: Record, shells: str) -> str:
    sides = words.size(record)
    voxel = f"voxels of {sides}" if sides else ""
    return "; ".join(filter(None, (describe.size(record), voxel, shells and f"volumes: {shells}")))


# -- pictures ---------------------------------------------------------------------------------


def _views(
    before: np.ndarray,
    after: np.ndarray | None,
    noise: Process,
    where: places.Places,
    about: Mapping[str, Any],
    scale: float,
    budget: float,
) -> _Views:
    """The pictures of an item ``(C, Z, Y, X)`` as stored, and of its result, if there is one."""
    shape, series = before.shape[1:], Series.of(len(before), about)
    every = pictures.planes(shape, about)
    picked = pictures.chosen(every, shape, where.inside, series, budget)
    zero = places.zero_of(about, scale)
    level = sigma(noise, shape) if noise.varies else None
    top = 0.0 if level is None else float(level.max())
    grays: list[tuple[float, float, float]] = []
    tags = ("Before", "After", "Removed") if after is not None else ("The data",)
    sprites: list[list[list[Picture]]] = [[[] for _ in tags] for _ in every]
    for c, _ in picked.volumes:
        cuts = [
            _cuts(p, at, picked.step, before[c], None if after is None else after[c], scale)
            for p, at in zip(every, picked.slices, strict=True)
        ]
        shown = np.concatenate([x[-1].ravel() for x in cuts])
        low, high = pictures.window(shown, zero)
        limit = _limit([y - x for y, x in cuts]) if after is not None else 0.0
        grays.append((low, high, limit))
        for rows, pair in zip(sprites, cuts, strict=True):
            for row, x in zip(rows, pair, strict=False):
                row.append(pictures.gray(x, low, high))
            if after is not None:
                rows[2].append(pictures.gray(pair[0] - pair[1], -limit, limit))
    planes = []
    for plane, at, rows in zip(every, picked.slices, sprites, strict=True):
        cells = [Cell(tag, tuple(row)) for tag, row in zip(tags, rows, strict=True)]
        if level is not None:
            sprite = pictures.heat(plane.cut(level, at, picked.step), top)
            cells.append(Cell("σ of the noise", (sprite,)))
        planes.append(_shown(plane, at, shape, about, cells))
    directions, without = _directions(before, after, series, where, about, every[0], picked, scale)
    icon = every[0].cut(before[picked.volumes[0][0]], [picked.slices[0][planes[0].first]])
    step = max(1, -(-max(icon.shape[1:]) // ICON))
    low, high, _ = grays[0]
    return _Views(
        tuple(planes),
        tuple(name for _, name in picked.volumes),
        tuple(_scale_words(*g, scale) for g in grays),
        number(top * scale) if level is not None else "",
        directions,
        without,
        pictures.gray(icon[:, ::step, ::step] / scale, low, high),
        _notes(series, picked, shape, every),
    )


def sigma(noise: Process, shape: Sequence[int]) -> np.ndarray:
    """σ of the noise in every place ``(Z, Y, X)``, in units of full range."""
    return np.sqrt(variances(noise, np.ones((1, *shape), np.float32))[0])


def _cuts(
    plane: Plane,
    at: Sequence[int],
    step: int,
    before: np.ndarray,
    after: np.ndarray | None,
    scale: float,
) -> list[np.ndarray]:
    """The slices of a plane in units of full range, noisy and denoised."""
    both = [before] if after is None else [before, after]
    return [plane.cut(x, at, step).astype(np.float32) / np.float32(scale) for x in both]


def _limit(removed: Sequence[np.ndarray]) -> float:
    """The difference that is shown as white."""
    squares = np.concatenate([r[np.isfinite(r) & (r != 0)] for r in removed]).astype(np.float64)
    return LIMIT * float(np.sqrt(np.mean(squares**2))) if squares.size else 1.0


def _shown(
    plane: Plane,
    at: Sequence[int],
    shape: Sequence[int],
    about: Mapping[str, Any],
    cells: Sequence[Cell],
) -> Shown:
    sides = pictures.sizes(about)
    width, height = (round(shape[a] * sides[a], 3) for a in (plane.columns, plane.rows))
    places_ = tuple(i + 1 for i in at)
    return Shown(plane, places_, shape[plane.axis], width, height, tuple(cells))


def _directions(
    before: np.ndarray,
    after: np.ndarray | None,
    series: Series,
    where: places.Places,
    about: Mapping[str, Any],
    plane: Plane,
    picked: pictures.Chosen,
    scale: float,
) -> tuple[Shown | None, str]:
    """Fractional anisotropy in the colours of directions, and why it is not shown, if so."""
    volumes = charts.of_tensor(series)
    if series.count == 1 or series.bvals is None:
        return None, ""
    if not volumes:
        return None, "Directions are not shown: a tensor needs b = 0 and six directions."
    slices = picked.slices[0]
    step = max(1, -(-len(slices) // DIRECTIONS))
    at = slices[step // 2 :: step]
    cells = []
    for tag, item in (("FA before", before), ("FA after", after)):
        if item is not None:
            data = [plane.cut(item[c], at, picked.step) for c in volumes]
            inside = plane.cut(where.inside, at, picked.step)
            stack = np.stack(data).astype(np.float32) / np.float32(scale)
            colour = charts.colour_fa(
                stack - np.float32(places.zero_of(about, scale)), inside, volumes, series, about
            )
            cells.append(Cell(tag, (pictures.colours(colour),)))
    return _shown(plane, at, before.shape[1:], about, cells), ""


def _scale_words(low: float, high: float, limit: float, scale: float) -> str:
    shades = f"black is {number(low * scale)} and white {number(high * scale)}"
    if not limit:
        return f"{shades[:1].upper()}{shades[1:]}."
    between = f"from black, −{number(limit * scale)}, to white, {number(limit * scale)}"
    return f"Before and after: {shades}. Removed: noisy minus denoised, {between}; gray is 0."


def _notes(
    series: Series, picked: pictures.Chosen, shape: Sequence[int], every: Sequence[Plane]
) -> tuple[str, ...]:
    notes = []
    if series.count > len(picked.volumes):
        notes.append(f"{len(picked.volumes)} of {series.count} volumes can be shown")
    if any(len(at) < shape[p.axis] for p, at in zip(every, picked.slices, strict=True)):
        notes.append("slices are spread evenly over the object")
    if picked.step > 1:
        notes.append(f"one of {picked.step} voxels along rows and columns is shown")
    return tuple(notes)
