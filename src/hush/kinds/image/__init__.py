"""Images: gray and colour, stacks, channels and time series."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hush.errors import HushError
from hush.kinds import NOTHING, Chosen, Kind, Option, Series, exact
from hush.kinds.image import mosaic, repeated
from hush.kinds.layout import filled
from hush.missing import Marks
from hush.record import Batch, Record

if TYPE_CHECKING:
    from hush.kinds.image.cut import Turned
    from hush.noise.process import Process
    from hush.report.frame import Entry
    from hush.results import Denoised, Estimate, Inspection, Judgement, Restoration


class Image(Kind):
    """Images; anything longer than a line is in a module of this package."""

    name: ClassVar[str] = "image"
    nouns: ClassVar[tuple[str, str]] = ("image", "images")
    element: ClassVar[str] = "pixel"
    letters: ClassVar[str] = "YX"
    checked: ClassVar[int | None] = 4 * 2**14
    blocked: ClassVar[bool] = True
    told: ClassVar[frozenset[str]] = frozenset({"jpeg"})
    options: ClassVar[Mapping[str, Option]] = {
        "mosaic": Option(
            mosaic.option,
            "The colours of a camera's raw picture, row by row: rggb, bggr, grbg or gbrg; none for "
            "a gray picture. By default seen in the picture.",
            "PATTERN",
        ),
    }

    def axes(self, shape: tuple[int, ...]) -> str:
        """``YX``; a last axis of length 1, 3 or 4 is samples; axes before them are a stack."""
        if len(shape) < 2:
            signal = "; of a signal, state the kind" * (len(shape) == 1)
            raise HushError(
                f"an image needs at least two dimensions, not the shape {shape}{signal}"
            )
        from hush.io.array import array_axes  # imports all formats, and Pillow

        return array_axes(shape)

    def recognised(self, record: Record) -> Record:
        """See `Kind.recognised`: the mosaic of a colour sensor, and repeated pixels."""
        whole = super().batch(record)
        record = mosaic.recognised(record, whole)
        if mosaic.pattern_of(record) or self.blocks(whole.data[0].shape) is not None:
            return record
        small = repeated.recognised(record, whole)
        if small is record or not record.marks:
            return small
        return self.marked(replace(small, marks=None))  # anew, at its own size

    def unfit(self, record: Record) -> str:
        """See `Kind.unfit`: mosaics on other grids, and areas without noise."""
        return mosaic.unfit(record) or exact.unfit(record, self.letters)

    def check(self, record: Record) -> None:
        """See `Kind.check`; pictures in colour are no mosaics."""
        super().check(record)
        if record.channels > 1 and mosaic.pattern_of(record):
            raise HushError(
                f"a mosaic has one colour a pixel, not {record.channels} channels; leave --mosaic "
                "out"
            )

    def batch(self, record: Record) -> Batch:
        """See `Kind.batch`; of a mosaic, its four colour planes are items, and repeated pixels
        are in it once."""
        whole = super().batch(record)
        if mosaic.pattern_of(record):
            return mosaic.apart(whole)
        factors = repeated.factors_of(record)
        return whole if factors == (1, 1) else repeated.shrunk(whole, factors)

    def marked(self, record: Record) -> Record:
        """See `Kind.marked`; a mosaic has the marks of the whole picture."""
        if not mosaic.pattern_of(record):
            return super().marked(record)
        whole = super().marked(replace(record, context={**record.context, "mosaic": mosaic.NONE}))
        return replace(record, marks=whole.marks)

    def voids(self, batch: Batch, index: int, joint: bool) -> Marks | None:
        """See `Kind.voids`; the compression of a JPEG file has made areas of one value."""
        if "jpeg" in batch.about(index):
            return batch.marked(index)
        return super().voids(batch, index, joint)

    def record(self, like: Record, items: np.ndarray | Sequence[np.ndarray]) -> Record:
        """See `Kind.record`; the colour planes of a mosaic are put together, pixels repeated."""
        if mosaic.pattern_of(like):
            items = mosaic.together(items)
        elif (factors := repeated.factors_of(like)) != (1, 1):
            size = [like.data.shape[like.axes.index(a)] for a in self.letters]
            items = repeated.enlarged(items, factors, (size[0], size[1]))
        return super().record(like, items)

    def joint(self, record: Record) -> int:
        """Channels of interleaved RGB are denoised together; others are separate images.

        So are those of a gray picture saved as RGB, whose noise is three times the same, and those
        of which one is empty.
        """
        from hush.kinds.image.choice import channelwise

        return record.channels if "S" in record.axes and not channelwise(record) else 1

    def chosen(
        self, found: Sequence[Sequence[Record]], channels: str | None, takes: bool
    ) -> Chosen:
        """Gray or RGB images, whichever most files have."""
        from hush.kinds.image.choice import chosen

        return chosen(found, channels, takes)

    def patches(self, items: Sequence[np.ndarray], size: int) -> Turned:
        """Squares, flipped and rotated."""
        from hush.kinds.image.cut import Turned

        return Turned(items, size)

    def corpus(self, items: Sequence[np.ndarray], size: int) -> Turned:
        """Squares as they are, varied, and made by rule."""
        from hush.kinds.image.corpus import Varied

        return Varied(items, size)

    def preview(
        self, before: Sequence[np.ndarray], after: Sequence[np.ndarray], path: Path
    ) -> None:
        """A contact sheet: images before, above the images after."""
        from hush.kinds.image.cut import contact_sheet

        contact_sheet(before, after, path)

    def measure(self, items: Sequence[np.ndarray]) -> Estimate:
        """Family, level and correlation, on the acquired grid; of one image also places."""
        from hush.kinds.image.measure.estimation import apart, estimate_any
        from hush.kinds.image.zerofill import reduced

        small = [reduced(x) for x in items]
        found = estimate_any(small)
        return (apart(small[0], found) if len(small) == 1 else found).on(items[0].shape[1:])

    def halved(self, batch: Batch, index: int, found: Estimate) -> bool:
        """Not of zero-filled images: what is told of their noise is on the acquired grid; nor of
        images with stripes, hum, noise correlated along one axis, or channels of unlike level."""
        from hush.kinds.image.measure.estimation import unlike
        from hush.kinds.image.zerofill import acquired

        if found.regression or found.lines or unlike(found):
            return False
        item = filled(batch.floats(index), batch.known(index))
        return acquired(item) == item.shape[1:]

    def blocks(self, shape: Sequence[int]) -> tuple[int, ...] | None:
        """Squares, of an image too large to be restored as a whole."""
        from hush.kinds.image.large import BLOCK, is_large

        return (BLOCK, BLOCK) if is_large(shape) else None

    def glimpse(self, batch: Batch, index: int) -> Batch:
        """See `Kind.glimpse`; of a large image a montage of windows."""
        from hush.kinds.image.large import is_large, montage

        large = is_large(batch.data[index].shape)
        return montage(batch, index) if large else super().glimpse(batch, index)

    def seen(self, shape: Sequence[int]) -> int:
        """See `Kind.seen`."""
        from hush.kinds.image.large import cuts, is_large

        if not is_large(shape):
            return super().seen(shape)
        sides = [sum(len(range(n)[part]) for part in cuts(n)) for n in shape[1:]]
        return shape[0] * sides[0] * sides[1]

    def inside(self, found: Estimate, place: Sequence[slice]) -> Estimate:
        """With its field there."""
        from hush.noise.field import Field

        field = found.field
        return replace(found, field=field.part(place)) if isinstance(field, Field) else found

    def cleaned(self, x: np.ndarray, found: Estimate) -> np.ndarray:
        """Without impulses."""
        from hush.kinds.image.measure.impulses import without_impulses

        return without_impulses(x, found)

    def series(
        self,
        batch: Batch,
        channels: int,
        review: Callable[[np.ndarray, Estimate], Estimate],
    ) -> Series | None:
        """The laws that frames of a stack share."""
        if len(batch) < 2 * channels:
            return None
        from hush.kinds.image.series import Frames

        return Frames.of(batch, channels, review)

    def stated(
        self, item: np.ndarray, given: Process | None, about: Mapping[str, Any] = NOTHING
    ) -> tuple[Process | None, Estimate]:
        """Offsets of lines or hum that are stated are found; other noise is measured, that of a
        JPEG file by its compression."""
        from hush.kinds.image import jpeg
        from hush.kinds.image.large import of_whole
        from hush.kinds.image.measure.estimation import estimate_any
        from hush.kinds.image.zerofill import reduced

        if given is not None and given.beside:
            found = estimate_any(reduced(item), given).on(item.shape[1:])
            return None, of_whole(found, item, about)
        found, file = of_whole(self.measure([item]), item, about), jpeg.Compression.of(about)
        return given, found if file is None else jpeg.measured(found, item, file)

    def advice(
        self, record: Record, item: np.ndarray, given: Process | None, found: Estimate
    ) -> list[str]:
        from hush.kinds.image.advice import input_warnings

        return input_warnings(record, item, given, found)

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
        from hush.kinds.image.measure.estimation import unlike
        from hush.kinds.image.residual import before_filter, judged

        if how is not None and how.found is not None and unlike(how.found):
            process = how.found.each(2)  # by which it was denoised
        if how is not None and how.found is not None and how.found.regression:
            noisy, process = before_filter(noisy, clean, process, how.found.regression)
        return judged(
            noisy,
            clean,
            process,
            strength=strength,
            scale=scale,
            known=known,
            missed=missed,
            adaptable=adaptable,
        )

    def section(self, result: Denoised, budget: float) -> Entry:
        from hush.kinds.image.page import section

        return section(result, budget=budget)

    def inspected(self, seen: Inspection, budget: float) -> Entry:
        from hush.kinds.image.inspection import inspected

        return inspected(seen, budget=budget)

    def facts(self, result: Denoised, given: bool) -> list[tuple[str, str]]:
        """See `Kind.facts`; also how a JPEG file is compressed, and the colours of a mosaic."""
        from hush.kinds.image.jpeg import facts

        own = [*facts(result.noisy.context), *mosaic.facts(result.noisy)]
        return [*own, *super().facts(result, given)]

    def looked(self, seen: Inspection) -> list[tuple[str, str]]:
        """See `Kind.looked`; also how a JPEG file is compressed, and the colours of a mosaic."""
        from hush.kinds.image.jpeg import facts

        first, *others = super().looked(seen)
        return [first, *facts(seen.record.context), *mosaic.facts(seen.record), *others]

    def scores(self, a: np.ndarray, b: np.ndarray) -> Mapping[str, float]:
        """PSNR in dB and SSIM."""
        from hush.metrics import psnr, ssim

        scores = {"psnr": psnr(a, b, 1.0, clip=False), "ssim": float("nan")}
        with suppress(HushError):  # smaller than its window
            scores["ssim"] = ssim(a, b, 1.0, clip=False)
        return scores


IMAGE = Image()
