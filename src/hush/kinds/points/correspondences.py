"""Correspondences: points of one picture matched with points of another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hush.kinds import Option
from hush.kinds.points import Points
from hush.kinds.points.cut import FEWEST
from hush.kinds.points.elements import Elements
from hush.record import Batch, Record

if TYPE_CHECKING:
    from hush.kinds.points.graph import Graph

LARGEST = 0.8  #: ratio of distances in the ratio test
AMBIGUOUS = 0.9  #: ratio of distances above which the second neighbour is about as near
OWN = 0.6  #: share of the states that gain mismatches of the set itself
FEWEST_REJECTED = 0.1  #: share of a set that is known to be wrong


class Correspondences(Points):
    """Rows ``x1 y1 x2 y2`` in pixels of each picture.

    Context: ``scores`` or ``ratio`` (of the distances to the nearest and the second neighbour) and
    ``mutual`` of each row; the pictures' sizes ``size1``, ``size2`` (width, height), and their
    camera matrices ``K1``, ``K2``.
    """

    name: ClassVar[str] = "correspondences"
    nouns: ClassVar[tuple[str, str]] = ("set of correspondences", "sets of correspondences")
    element: ClassVar[str] = "correspondence"
    keys: ClassVar[frozenset[str]] = frozenset({"matches"})
    options: ClassVar[Mapping[str, Option]] = {}
    told: ClassVar[frozenset[str]] = frozenset(
        {"scores", "ratio", "mutual", "size1", "size2", "K1", "K2", "coordinates"}
    )
    by_row: ClassVar[frozenset[str]] = frozenset({"scores", "ratio", "mutual"})
    least: ClassVar[int] = 4
    most: ClassVar[int] = 4
    doubt: ClassVar[float] = 0.5
    pixels: ClassVar[bool] = True

    def batch(self, record: Record) -> Batch:
        """See `Kind.batch`: of rows ``x1 y1 1 x2 y2 1``, the columns of ones are passed over."""
        made = super().batch(record)
        if "coordinates" in record.context or record.channels < 6:
            return made
        if not all((item[[2, 5]] == 1).all() for item in made.data):
            return made
        return replace(made, context={**made.context, "coordinates": (0, 1, 3, 4)})

    def views(self, x: np.ndarray) -> list[np.ndarray]:
        return [x[:, :2], x[:, 2:]]

    def doubts(self, x: np.ndarray) -> list[str]:
        """Whether one homography moves nearly all points, so that others are not determined."""
        from hush.kinds.points.judgement import PLANAR, planar

        if len(x) < FEWEST or (share := planar(x)) < PLANAR:
            return []
        return [
            f"{100 * share:.0f} % of the kept correspondences fit one homography: the scene is a "
            "plane, or the camera only turned. They do not determine a fundamental matrix; "
            "estimate a homography."
        ]

    def graph(self, elements: Elements, rng: np.random.Generator | None = None) -> Graph:
        from hush.kinds.points.graph_pairs import graph_of_correspondences

        return graph_of_correspondences(elements.x, rng)

    def normalised(self, x: np.ndarray) -> np.ndarray:
        from hush.kinds.points.places import normalised

        return normalised(x, pictures=2)

    def further(
        self, elements: Elements, share: float, rng: np.random.Generator
    ) -> tuple[Elements, np.ndarray]:
        """Mismatches: the set's own, as far as it knows them, or others made of its keypoints.

        Matches that are not mutual and whose second neighbour is about as near are wrong, nearly
        all, whatever their geometry. Some of them are taken out, and others added again: no other
        outliers have so exactly the law of the rest. Where this is not known, or now and then, a
        share of the elements gets second points of others: uniform coordinates teach nothing.
        """
        rejected = self.rejected(elements)
        if rejected is not None and rng.random() < OWN:
            added = rejected & (rng.random(len(elements)) < rng.uniform(0.2, 0.9))
            there = ~rejected | (rng.random(len(elements)) < rng.choice([0, 0.5, 1])) | added
            return elements.part(there), added[there]
        added = rng.random(len(elements)) < share
        x = elements.x.copy()
        x[added, 2:] = elements.x[rng.integers(len(elements), size=int(added.sum())), 2:]
        return replace(elements, x=x), added

    agreeing: ClassVar[int] = 2

    def consensus(self, elements: Elements, graph: Graph, inlier: np.ndarray) -> np.ndarray:
        from hush.kinds.points.consensus import of_correspondences

        return of_correspondences(elements.x, inlier)

    def settled(self, elements: Elements, outlier: np.ndarray) -> np.ndarray:
        """Of matches of one point with several others at most one is among the surest."""
        from hush.kinds.points.rivals import exclusive

        return exclusive(outlier, elements.x)

    def passed(self, elements: Elements) -> np.ndarray | None:
        """The mutual check and the ratio test, where a set knows them."""
        ratio, mutual = elements.rows.get("ratio"), elements.rows.get("mutual")
        if ratio is None and mutual is None:
            return None
        passed = np.ones(len(elements), bool)
        if mutual is not None:
            passed &= mutual.astype(bool)
        if ratio is not None:
            passed &= ~(ratio >= LARGEST)  # where it is not known, it is passed
        return passed

    def rejected(self, elements: Elements) -> np.ndarray | None:
        """Which elements are mismatches by all that is known beside their geometry, if enough."""
        ratio, mutual = elements.rows.get("ratio"), elements.rows.get("mutual")
        if ratio is None or mutual is None:
            return None
        rejected: np.ndarray = (ratio > AMBIGUOUS) & ~mutual.astype(bool)
        return rejected if rejected.mean() > FEWEST_REJECTED else None


CORRESPONDENCES = Correspondences()
