"""Line segments, such as those that a detector finds in a photo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from hush.kinds import Option
from hush.kinds.points import Points


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

    def normalised(self, x: np.ndarray) -> np.ndarray:
        from hush.kinds.points.places import normalised_ends

        return normalised_ends(x)

    def places(self, x: np.ndarray) -> np.ndarray:
        """The same, whichever end of a segment comes first."""
        from hush.kinds.points.places import middles

        return middles(self.normalised(x))


SEGMENTS = Segments()
