"""Line segments, such as those that a detector finds in a photo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hush.errors import HushError
from hush.kinds import Option
from hush.kinds.points import Points
from hush.record import Record

if TYPE_CHECKING:
    from hush.results import Denoised

#: an array with more columns, or with one or three interleaved samples, is a picture
MOST_COLUMNS = 64


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


SEGMENTS = Segments()
