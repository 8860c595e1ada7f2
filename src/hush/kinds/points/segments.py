"""Line segments, such as those that a detector finds in a photo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hush.errors import HushError
from hush.kinds import Option
from hush.kinds.points import Points
from hush.kinds.points.elements import Elements
from hush.record import Record

if TYPE_CHECKING:
    from hush.kinds.points.graph import Graph
    from hush.results import Denoised

#: an array with more columns, or with one or three interleaved samples, is a picture
MOST_COLUMNS = 64
TOGETHER = 12  #: segments that are turned as one, at most
SLIGHTEST = 0.02  #: smallest turn, as a share of a right angle


class Segments(Points):
    """Rows ``x1 y1 x2 y2``, the ends in pixels.

    Context: the photo's ``size`` (width, height), and the camera matrix ``K``.
    """

    name: ClassVar[str] = "segments"
    nouns: ClassVar[tuple[str, str]] = ("set of segments", "sets of segments")
    element: ClassVar[str] = "segment"
    keys: ClassVar[frozenset[str]] = frozenset({"segments"})
    options: ClassVar[Mapping[str, Option]] = {}
    told: ClassVar[frozenset[str]] = frozenset({"size", "K", "coordinates"})
    least: ClassVar[int] = 4
    most: ClassVar[int] = 4
    doubt: ClassVar[float] = 0.5
    pictured: ClassVar[bool] = True
    pixels: ClassVar[bool] = True

    def views(self, x: np.ndarray) -> list[np.ndarray]:
        """Both ends, in one picture."""
        return [x.reshape(-1, 2)]

    def adopted(self, record: Record) -> Record:
        """The segments that a detector finds in a picture; an array of few columns holds them."""
        shape = record.data.shape
        listed = len(shape) < 3 or shape[-1] not in (1, 3)
        if self.open(record) and listed and shape[-1] <= MOST_COLUMNS:
            return super().adopted(record)
        if not {"Y", "X"} <= set(record.axes):
            return super().adopted(record)
        from hush.kinds.points import photo

        picture = photo.gray(record)
        found = photo.detected(picture)
        if not len(found):
            raise HushError("no line segments were found in the picture; is it blank or blurred?")
        height, width = picture.shape
        size = np.array([width, height])
        kept = {k: v for k, v in record.meta.items() if k in ("exif", "notes")}
        return Record(
            found,
            "NC",
            kind=self.name,
            meta={**kept, "npz": (self.key, True), "arrays": {"size": size}, "photo": picture},
            source=record.source,
            full=1.0,
            context={"size": size},
        )

    def picture(self, result: Denoised) -> Record | None:
        """The photo with its segments, RGB, if they were found in one."""
        noisy, kept = result.noisy, result.items[0].kept
        if "photo" not in noisy.meta:
            return None
        from hush.kinds.points import photo

        segments = noisy.data[:, list(self.coordinates(noisy.context, noisy.channels))]
        kept = np.ones(len(segments), bool) if kept is None else kept
        drawn = photo.overlay(noisy.meta["photo"], segments, kept)
        meta = {k: v for k, v in noisy.meta.items() if k == "exif"}
        return Record(drawn, "YXS", meta=meta)

    def graph(self, elements: Elements, rng: np.random.Generator | None = None) -> Graph:
        from hush.kinds.points.graph_segments import graph_of_segments

        return graph_of_segments(elements.x, rng)

    agreeing: ClassVar[int] = 14

    def consensus(self, elements: Elements, graph: Graph, inlier: np.ndarray) -> np.ndarray:
        from hush.kinds.points.graph_segments import consensus_of_segments

        return consensus_of_segments(elements.x, inlier)

    def further(
        self, elements: Elements, share: float, rng: np.random.Generator
    ) -> tuple[Elements, np.ndarray]:
        """Segments near each other are turned together, until they are a share of all.

        Things that stand askew have parallel edges too, so segments turned one by one teach a
        network to look for a parallel one, not for a vanishing point; and few of them stand far
        askew.
        """
        ends = elements.x.reshape(-1, 2, 2).copy()
        middles = ends.mean(1)
        added = np.zeros(len(ends), bool)
        while added.mean() < share:
            middle = middles[rng.integers(len(ends))]
            order = np.argsort(np.square(middles - middle).sum(1))[: rng.integers(1, TOGETHER + 1)]
            some = order[~added[order]]
            angle = np.pi / 2 * SLIGHTEST ** rng.random() * rng.choice([-1, 1])
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            ends[some] = (ends[some] - middle) @ turn.T + middle
            added[some] = True
        return replace(elements, x=ends.reshape(-1, 4)), added

    def normalised(self, x: np.ndarray) -> np.ndarray:
        from hush.kinds.points.places import normalised_ends

        return normalised_ends(x)

    def places(self, x: np.ndarray) -> np.ndarray:
        """The same, whichever end of a segment comes first."""
        from hush.kinds.points.places import middles

        return middles(self.normalised(x))


SEGMENTS = Segments()
