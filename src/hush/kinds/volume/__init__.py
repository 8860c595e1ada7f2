"""Volumes: MRI slices, 3-D volumes, and 4-D series such as diffusion MRI.

A series is one item ``(C, Z, Y, X)``: a channel for each of its volumes, which are measured and
denoised together. What is known about them is in `Record.context`:

``bvals``, ``bvecs``
    b-values ``(C,)`` in s/mm² and gradient directions ``(C, 3)``, NaN where there is none; Python
    callers may give ``(3, C)``, too.
``spacing``
    Size of a voxel along Z, Y and X, in mm.
``affine``
    ``(4, 4)``, from the indices of the data's axes X, Y, Z to millimetres.
``zero``
    The stored value that means no signal; 0 by default.
``slope``
    What a step of the stored values means in the file's unit; written with maps, such as that of σ.
``adjacent``
    False if slices are no neighbours; by default those of a volume with three slices or more are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hush.errors import HushError
from hush.kinds import NOTHING, Chosen, Kind, Option, exact
from hush.kinds.volume.series import directions
from hush.missing import Marks
from hush.record import Batch, Record, channel_letter

if TYPE_CHECKING:
    from hush.kinds.image.cut import Turned
    from hush.metrics import Range
    from hush.noise.process import Process
    from hush.report.frame import Entry
    from hush.results import Denoised, Estimate, Inspection, Judgement, Restoration

LEAST = 3  #: slices by which a large series is measured and judged, if it has as many


def threshold(text: str) -> float:
    """A b-value in s/mm²."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise HushError(f"--b0 is a b-value in s/mm², 0 or more, not '{text}'")
    return value


class Volume(Kind):
    """Volumes and series of them; anything longer than a line is in a module of this package."""

    name: ClassVar[str] = "volume"
    nouns: ClassVar[tuple[str, str]] = ("volume", "volumes")
    element: ClassVar[str] = "voxel"
    letters: ClassVar[str] = "ZYX"
    piece: ClassVar[int | None] = 2**24
    along: ClassVar[int] = 1
    told: ClassVar[frozenset[str]] = frozenset(
        {"bvals", "bvecs", "spacing", "affine", "zero", "adjacent"}
    )
    options: ClassVar[Mapping[str, Option]] = {
        "b0": Option(
            threshold,
            "Volumes with at most this b-value count as b = 0; 50 by default.",
            "B",
        ),
        "unbias": Option(
            bool,
            "Remove what Rician noise adds to dark places; by default results keep the mean of "
            "magnitudes.",
            setting=True,
        ),
        "series": Option(
            str,
            "Which series of a DICOM folder: its number, identifier or description.",
            "NAME",
            reader=True,
        ),
    }

    # -- layout --------------------------------------------------------------------------------

    def batch(self, record: Record) -> Batch:
        """See `Kind.batch`; a volume without any known value is as good as one without signal."""
        zero = float(record.context.get("zero") or 0.0)
        return replace(super().batch(record), blank=zero / record.scale)

    def recognised(self, record: Record) -> Record:
        """See `Kind.recognised`: directions ``(C, 3)``, and of arrays, time as a series.

        A file's own axis of time stays a stack, since its format names the axes of the result.
        """
        if "T" in record.axes and not channel_letter(record.axes) and "format" not in record.meta:
            axes = record.axes.replace("T", "C")
            record = replace(record, axes=axes, marks=None if record.sought else ())
            record = self.marked(record)
        bvecs = record.context.get("bvecs")
        if bvecs is None:
            return record
        table = directions(bvecs, record.channels)
        return replace(record, context={**record.context, "bvecs": table})

    def unfit(self, record: Record) -> str:
        """See `Kind.unfit`: masks and labels, such as segmentations."""
        return exact.unfit(record, self.letters)

    def joint(self, record: Record) -> int:
        """How many slices a network sees together: three, or one if they are no neighbours."""
        from hush.kinds.volume.places import are_adjacent

        slices = record.data.shape[record.axes.index("Z")]
        return 3 if slices >= 3 and are_adjacent(record.context, slices) else 1

    # -- cut: slabs of a few slices --------------------------------------------------------------

    @property
    def patch(self) -> int:
        """See `Kind.patch`: the side of a slab's slices."""
        return 64

    def chosen(
        self, found: Sequence[Sequence[Record]], channels: str | None, takes: bool
    ) -> Chosen:
        """All volumes; networks see slices, so files may have any number of volumes."""
        if channels is not None:
            raise HushError("volumes are not gray or RGB; leave --channels out")
        data = [r for records in found for r in records]
        depth = 3 if any(self.joint(r) == 3 for r in data) else 1
        return Chosen(data, depth, range(len(found)), self.nouns[1])

    def patches(self, items: Sequence[np.ndarray], size: int) -> Turned:
        """Slabs of slices ``(depth, Y, X)``, flipped and rotated in the plane."""
        from hush.kinds.image.cut import Turned

        return Turned(items, size)

    def corpus(self, items: Sequence[np.ndarray], size: int) -> Turned:
        """The same with other contrasts."""
        from hush.kinds.volume.cut import Slabs

        return Slabs(items, size)

    def preview(
        self, before: Sequence[np.ndarray], after: Sequence[np.ndarray], path: Path
    ) -> None:
        """A contact sheet of slices before, above the slices after."""
        from hush.kinds.volume.cut import preview

        preview(before, after, path)

    def voids(self, batch: Batch, index: int, joint: bool) -> Marks | None:
        """See `Kind.voids`; of all volumes together, also a background that was set to zero."""
        return super().voids(batch, index, joint=True)

    # -- measure ---------------------------------------------------------------------------------

    def glimpses(self, shape: Sequence[int]) -> list[slice]:
        """Slices around the middle of a large series, all its volumes, but at least `LEAST`."""
        count, span = shape[1], self.span(shape)
        if span is None:
            return super().glimpses(shape)
        size = min(count, max(span, LEAST))
        return [slice((count - size) // 2, (count - size) // 2 + size)]

    def measure(self, items: Sequence[np.ndarray]) -> Estimate:
        """Level, places and spectrum, from the components of a series that hold no signal."""
        from hush.kinds.volume.measure import measured

        return measured(items)

    def stated(
        self, item: np.ndarray, given: Process | None, about: Mapping[str, Any] = NOTHING
    ) -> tuple[Process | None, Estimate]:
        """See `Kind.stated`; the context may say whether slices are adjacent."""
        from hush.kinds.volume.measure import measured

        if about.get("adjacent") is None:
            return super().stated(item, given, about)
        return given, measured([item], about)

    def under(self, law: type[Process], found: Estimate) -> Estimate:
        """See `Kind.under`; a few magnitudes have one level, and a map only if it is not Rician."""
        from hush.kinds.volume.components import MANY
        from hush.noise.processes import Rician

        found = super().under(law, found)
        even = law is Rician and len(found.channels) < MANY
        return replace(found, field=None) if even else found

    def leveled(self, record: Record) -> Record:
        """The volumes of a series share one map ``(Z, Y, X)`` of the noise's level."""
        letter = channel_letter(record.axes)
        if not letter:
            return record
        context = {k: v for k, v in record.context.items() if k not in ("bvals", "bvecs")}
        return replace(
            record,
            data=record.data.take(0, record.axes.index(letter)),
            axes=record.axes.replace(letter, ""),
            context=context,
            mask=None,
        )

    # -- show ------------------------------------------------------------------------------------

    def missing(self, batch: Batch, index: int) -> list[str]:
        """See `Kind.missing`; a background that was set to zero by its share."""
        from hush.kinds.volume.advice import missing

        return missing(self, batch, index)

    def advice(
        self, record: Record, item: np.ndarray, given: Process | None, found: Estimate
    ) -> list[str]:
        from hush.kinds.volume.advice import input_warnings

        return input_warnings(self, record, item, given, found)

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
        """Inside the object, less the bias that is expected of magnitudes."""
        from hush.kinds.volume.judgement import judged

        return judged(
            self,
            noisy,
            clean,
            process,
            strength=strength,
            scale=scale,
            adaptable=adaptable,
            about=about,
            how=how,
        )

    def section(self, result: Denoised, budget: float) -> Entry:
        from hush.kinds.volume.page import section

        return section(self, result, budget)

    def inspected(self, seen: Inspection, budget: float) -> Entry:
        from hush.kinds.volume.page import inspected

        return inspected(self, seen, budget)

    def facts(self, result: Denoised, given: bool) -> list[tuple[str, str]]:
        """Voxel size, shells, the noise and its range, and what was removed."""
        from hush.kinds.volume.words import facts

        return facts(self, result, given)

    def brief(self, result: Denoised) -> str:
        from hush.kinds.volume.words import brief

        return brief(result)

    def looked(self, seen: Inspection) -> list[tuple[str, str]]:
        from hush.kinds.volume.words import looked

        return looked(self, seen)

    def extent(self, reference: Record) -> Range | None:
        """Up to the highest value, from 0 or the lowest: magnitudes begin at 0, and scanners use a
        small part of a type's range."""
        from hush.metrics import Range, extent

        values = reference.data[np.isfinite(reference.data)]
        low, high = (float(f(values, initial=0)) for f in (np.min, np.max))
        if not low < high:
            return extent(values)
        of = "what the reference spans" if low < 0 else "the reference's highest value"
        return Range(low, high, of, clipped=False)

    def scores(self, a: np.ndarray, b: np.ndarray) -> Mapping[str, float]:
        """PSNR in dB, and SSIM as the mean over slices."""
        from hush.metrics import psnr, ssim

        planes = [
            (x[None], y[None]) for u, v in zip(a, b, strict=True) for x, y in zip(u, v, strict=True)
        ]
        scores = {"psnr": psnr(a, b, 1.0, clip=False), "ssim": float("nan")}
        if min(a.shape[-2:]) >= 11:
            scores["ssim"] = float(np.mean([ssim(x, y, 1.0, clip=False) for x, y in planes]))
        return scores


VOLUME = Volume()
