"""Sets of elements in no order: points here, correspondences and segments in their own files.

A record is ``(N, D)``, a row an element, of which some columns are coordinates. Its noise is a
decision: an element belongs to the set, or it is an outlier. Results have fewer rows, the kept ones
bit for bit and in order. Coordinates are computed with as float64.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hush.errors import HushError
from hush.io import format_of
from hush.kinds import NOTHING, Chosen, Kind, Option, get
from hush.kinds.points.elements import Elements
from hush.noise.outliers import Outliers
from hush.record import Batch, Record
from hush.results import Estimate

if TYPE_CHECKING:
    from hush.kinds.points.cut import Sets
    from hush.kinds.points.graph import Graph
    from hush.noise.process import Process
    from hush.report.frame import Entry
    from hush.results import Denoised, Inspection, Item, Judgement, Restoration


def columns(text: str) -> tuple[int, ...]:
    """``1-3`` or ``1,2,5``: numbers of columns from 1, as numbers from 0."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", part)
        found += range(int(match[1]) - 1, int(match[2] or match[1])) if match else [-1]
    if len(found) < 2 or min(found) < 0 or len(set(found)) < len(found):
        raise ValueError(f"name two columns or more, once each, such as 1-3 or 1,2,5, not {text}")
    return tuple(found)


class Points(Kind):
    """Points with any number of coordinates."""

    name: ClassVar[str] = "points"
    nouns: ClassVar[tuple[str, str]] = ("point set", "point sets")
    element: ClassVar[str] = "point"
    letters: ClassVar[str] = "N"
    keys: ClassVar[frozenset[str]] = frozenset({"points"})
    selected: ClassVar[bool] = True
    options: ClassVar[Mapping[str, Option]] = {
        "coordinates": Option(
            columns,
            "Columns that are coordinates of points, such as 1-3; by default the first two or "
            "three. Others are kept.",
            "LIST",
        ),
    }
    #: arrays in .npz files with a value for each row; others are about the set as a whole
    by_row: ClassVar[frozenset[str]] = frozenset()
    #: the fewest columns of a set, and the most coordinates that are taken by themselves
    least: ClassVar[int] = 2
    most: ClassVar[int] = 3
    #: probability of being an outlier above which an element is removed by default: estimators of
    #: several lines lose more by a missing inlier than by an outlier that stays
    doubt: ClassVar[float] = 0.65
    #: coordinates are pixels of pictures
    pixels: ClassVar[bool] = False

    @property
    def key(self) -> str:
        """The array of the rows in .npz files."""
        return next(iter(self.keys))

    @property
    def patch(self) -> int:
        """See `Kind.patch`: the most elements of a set that trainings draw."""
        return 2048

    # -- layout ----------------------------------------------------------------------------------

    def axes(self, shape: tuple[int, ...]) -> str:
        """``NC``: a row is an element; more axes before are a stack of sets."""
        if len(shape) < 2:
            raise HushError(
                f"{self.nouns[1]} are arrays of two dimensions, a row for each {self.element}, "
                f"not of the shape {shape}"
            )
        return super().axes(shape).replace("CN", "NC")

    def check(self, record: Record) -> None:
        super().check(record)
        if record.channels < self.least:
            raise HushError(
                f"{self.nouns[1]} need at least {self.least} columns, not {record.channels}"
            )
        bad = [c for c in record.context.get("coordinates", ()) if c >= record.channels]
        if bad:
            raise HushError(
                f"there are {record.channels} columns, so there is no column {max(bad) + 1}"
            )
        checked(record.context, self.by_row, record.data.shape[record.axes.index("N")])

    def full(self, data: np.ndarray) -> float | None:
        """Coordinates have no full range."""
        return 1.0

    def open(self, record: Record) -> bool:
        """Whether a record's format holds any kind of data, as arrays in memory do."""
        fmt = format_of(record)
        return fmt is None or fmt.kind is None

    def adopted(self, record: Record) -> Record:
        """The rows of an array; other formats than those of sets hold none."""
        fmt = format_of(record)
        if fmt is not None and not self.open(record):
            other = get(fmt.kind or record.kind).nouns[1]
            found = "; --kind segments finds line segments in pictures" * (fmt.kind == "image")
            raise HushError(f"{fmt.name} files hold {other}, not {self.nouns[1]}{found}")
        return super().adopted(record)

    def from_arrays(self, arrays: Mapping[str, np.ndarray]) -> Record:
        """The rows in an .npz file, and what else it says about them."""
        data = arrays[self.key]
        axes = self.axes(data.shape)
        context = {k: v for k, v in arrays.items() if k in self.told}
        return Record(data, axes, kind=self.name, full=1.0, context=context)

    def batch(self, record: Record) -> Batch:
        """Every set as an item ``(D, N)``, to be computed with as float64."""
        made = super().batch(record)
        return replace(made, scale=1.0, real=np.float64)

    def coordinates(self, about: Mapping[str, Any], width: int) -> tuple[int, ...]:
        """The columns of an item that are coordinates."""
        stated = about.get("coordinates")
        return tuple(stated) if stated else tuple(range(min(width, self.most)))

    def elements(self, batch: Batch, index: int) -> Elements:
        """The elements of an item that can be judged: those with finite coordinates."""
        about, item = batch.about(index), batch.data[index]
        used = list(self.coordinates(about, len(item)))
        known: np.ndarray = np.all(batch.known(index)[used], axis=0)
        x = item[used][:, known].T.astype(np.float64)
        rows = {name: np.ravel(about[name])[known] for name in sorted(self.by_row) if name in about}
        return Elements(np.ascontiguousarray(x), known, rows, about)

    def views(self, x: np.ndarray) -> list[np.ndarray]:
        """The points of elements ``(n, d)`` in each picture, or in space."""
        return [x]

    def finished(self, record: Record, items: Sequence[Item]) -> Record:
        """With the mask and the probabilities of all rows of the input, for its file."""
        item = items[0]
        if len(items) > 1 or item.kept is None:
            return record
        rows = len(item.kept)
        told, whole = item.probability, self.told - self.by_row
        arrays = {
            k: v[item.kept] if np.ndim(v) and len(v) == rows and k not in whole else v
            for k, v in record.meta.get("arrays", {}).items()
        }
        arrays["mask"] = item.kept
        arrays["probability"] = np.full(rows, np.nan) if told is None else told
        if item.step is not None:
            arrays["step"] = np.float64(item.step)
        context = {
            k: np.ravel(v)[item.kept] if k in self.by_row else v for k, v in record.context.items()
        }
        key, packed = record.meta.get("npz", (self.key, True))
        kept = record.meta.get("kept", item.kept)  # of the rows of the file
        if "kept" in record.meta:
            kept = kept.copy()
            kept[kept] = item.kept
        meta = {**record.meta, "npz": (key, packed), "arrays": arrays, "kept": kept}
        return replace(record, meta=meta, context=context)

    def joint(self, record: Record) -> int:
        """One model serves any number of coordinates."""
        return 1

    # -- cut ---------------------------------------------------------------------------------------

    def chosen(
        self, found: Sequence[Sequence[Record]], channels: str | None, takes: bool
    ) -> Chosen:
        """All sets of all files, as records, which know what else is said about them."""
        if channels is not None:
            raise HushError("sets are not gray or RGB; leave --channels out")
        data = [records[0] for records in found]
        return Chosen(data, 1, range(len(found)), self.nouns[1])

    def sets(self, data: Any) -> list[Elements]:
        """Training data as sets of elements; `HushError` if none has enough of them."""
        from hush.kinds.points.cut import sets

        return sets(data, self)

    def patches(self, items: Sequence[Any], size: int) -> Sets:  # type: ignore[override]
        """See `Kind.patches`: indices of sets, as their sizes differ."""
        from hush.kinds.points.cut import Sets

        return Sets(items, size)

    def preview(self, before: Sequence[Any], after: Sequence[Any], path: Path) -> None:
        """Write a PNG of sets before and after, to follow a training."""
        from hush.kinds.points.pictures import preview

        preview(self, before, after, path)

    def graph(self, elements: Elements, rng: np.random.Generator | None = None) -> Graph:
        """What the networks see; turned at random by `rng`."""
        from hush.kinds.points.graph import graph_of_points

        return graph_of_points(elements.x, rng)

    #: columns of `consensus`
    agreeing: ClassVar[int] = 6

    def consensus(self, elements: Elements, graph: Graph, inlier: np.ndarray) -> np.ndarray:
        """How each element agrees with those that are probably inliers ``(n, agreeing)``."""
        from hush.kinds.points.consensus import of_points

        return of_points(elements.x, graph, inlier)

    def passed(self, elements: Elements) -> np.ndarray | None:
        """Which elements pass what is known beside the geometry, bool ``(n,)``; or None."""
        return None

    def normalised(self, x: np.ndarray) -> np.ndarray:
        """Coordinates ``(n, d)`` without their place and unit."""
        from hush.kinds.points.places import normalised

        return normalised(x)

    def places(self, x: np.ndarray) -> np.ndarray:
        """Elements ``(n, d)`` as points of a space in which similar ones are near each other."""
        return self.normalised(x)

    def settled(self, elements: Elements, outlier: np.ndarray) -> np.ndarray:
        """Probabilities of being outliers, as elements that exclude each other have them."""
        return outlier

    def judgeable(self, elements: Elements) -> bool:
        """Whether an element can stand out from the others: they are not all on one line."""
        spread = elements.x - elements.x.mean(0)
        values = np.linalg.svd(spread, compute_uv=False)
        return bool(values[1:].max(initial=0.0) > 1e-9 * values[0])

    def further(
        self, elements: Elements, share: float, rng: np.random.Generator
    ) -> tuple[Elements, np.ndarray]:
        """A set with further outliers, a `share` of its elements, and which they are, bool.

        Outliers of points are uniform in the box around the set.
        """
        low, high = elements.x.min(0), elements.x.max(0)
        count = round(len(elements) * share / (1 - share))
        added = rng.uniform(low, high, (count, elements.x.shape[1]))
        x = np.concatenate([elements.x, added])
        state = Elements(x, np.ones(len(x), bool), {}, elements.about)
        return state, np.arange(len(x)) >= len(elements)

    # -- measure -----------------------------------------------------------------------------------

    def measure(self, items: Sequence[np.ndarray]) -> Estimate:
        """Nothing: only a method tells outliers from the rest, and measures their share by it."""
        return Estimate(Outliers(0.0), 0.0, uncertainty=np.inf)

    def glimpse(self, batch: Batch, index: int) -> Batch:
        return batch.piece(index, slice(None))

    # -- show --------------------------------------------------------------------------------------

    def missing(self, batch: Batch, index: int) -> list[str]:
        """Nothing: `advice` says which elements are left out."""
        return []

    def advice(
        self, record: Record, item: np.ndarray, given: Process | None, found: Estimate
    ) -> list[str]:
        from hush.kinds.points.advice import advice

        return advice(self, record, item)

    def judge(
        self,
        noisy: np.ndarray,
        clean: np.ndarray,
        process: Process,
        *,
        strength: float,
        scale: float,
        known: bool = False,
        missed: bool = False,
        adaptable: bool = False,
        about: Mapping[str, Any] = NOTHING,
        how: Restoration | None = None,
    ) -> Judgement:
        """How many were removed, and how sure that is."""
        from hush.kinds.points.judgement import judged

        return judged(self, noisy, strength, about, how)

    def doubts(self, x: np.ndarray) -> list[str]:
        """Warnings about the kept elements ``(n, d)`` that an estimator has to know; here none."""
        return []

    def facts(self, result: Denoised, given: bool) -> list[tuple[str, str]]:
        from hush.kinds.points.show import facts

        return facts(self, result, given)

    def stepped(self, entry: Mapping[str, Any], scale: float) -> str:
        from hush.kinds.points.show import stepped

        return stepped(self, entry)

    def brief(self, result: Denoised) -> str:
        from hush.kinds.points.show import brief

        return brief(self, result)

    def looked(self, seen: Inspection) -> list[tuple[str, str]]:
        from hush.kinds.points.show import looked

        return looked(self, seen)

    def section(self, result: Denoised, budget: float) -> Entry:
        from hush.kinds.points.page import section

        return section(self, result, budget)

    def inspected(self, seen: Inspection, budget: float) -> Entry:
        from hush.kinds.points.page import inspected

        return inspected(self, seen, budget)

    def scores(self, a: np.ndarray, b: np.ndarray) -> Mapping[str, float]:
        """Shares of the rows of `a` that are in `b`, and the other way round."""
        from hush.metrics import agreement

        return agreement(a, b)


#: of what is said about a set: sizes are (width, height), the others camera matrices
SHAPES: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(("size", "size1", "size2"), (2,)),
    **dict.fromkeys(("K", "K1", "K2"), (3, 3)),
}


def checked(context: Mapping[str, Any], by_row: frozenset[str], rows: int) -> None:
    """Refuse what is said about a set, if it is not numbers of the right shape.

    `by_row` has a number for each of `rows`; sizes are (width, height), camera matrices (3, 3).
    """
    for name, value in context.items():
        shape = SHAPES.get(name)
        if name not in by_row and shape is None:
            continue
        x = np.asarray(value)
        if x.dtype.kind not in "biuf":
            raise HushError(f"'{name}' must hold numbers, not {x.dtype}")
        if name in by_row and (x.size != rows or max(x.shape, default=0) != rows):
            raise HushError(
                f"'{name}' has the shape {x.shape} for {rows} rows; give one number each"
            )
        if shape is not None and (x.squeeze().shape != shape or not np.isfinite(x).all()):
            meant = "(width, height)" if shape == (2,) else "a camera matrix (3, 3)"
            raise HushError(f"'{name}' must be {meant}, not of the shape {x.shape}")
        if shape == (2,) and not (x > 0).all():
            raise HushError(f"'{name}' must be (width, height) above 0, not {x.tolist()}")


POINTS = Points()

__all__ = ["POINTS", "Points"]
