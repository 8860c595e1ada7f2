"""Images: gray and colour, stacks, channels and time series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hush.errors import HushError
from hush.kinds import NOTHING, Chosen, Kind
from hush.record import Record

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
    told: ClassVar[frozenset[str]] = frozenset({"jpeg"})

    def axes(self, shape: tuple[int, ...]) -> str:
        """``YX``; a last axis of length 1, 3 or 4 is samples; axes before them are a stack."""
        if len(shape) < 2:
            raise HushError(f"an image needs at least two dimensions, not the shape {shape}")
        from hush.io.array import array_axes  # imports all formats, and Pillow

        return array_axes(shape)

    def joint(self, record: Record) -> int:
        """Channels of interleaved RGB are denoised together; others are separate images.

        So are those of a gray picture saved as RGB, whose noise is three times the same.
        """
        from hush.kinds.image.choice import is_gray

        return record.channels if "S" in record.axes and not is_gray(record) else 1

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
        from hush.kinds.image.measure.estimation import estimate_any
        from hush.kinds.image.zerofill import reduced

        return estimate_any([reduced(x) for x in items]).on(items[0].shape[1:])

    def measured(self, item: np.ndarray, about: Mapping[str, Any]) -> Estimate:
        """See `Kind.measured`: of a JPEG file, given its compression."""
        from hush.kinds.image import jpeg

        found, file = self.measure([item]), jpeg.Compression.of(about)
        return found if file is None else jpeg.measured(found, item, file)

    def advice(
        self, record: Record, item: np.ndarray, given: Process | None, found: Estimate
    ) -> list[str]:
        from hush.kinds.image.advice import input_warnings

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
        adaptable: bool = False,
        about: Mapping[str, Any] = NOTHING,
        how: Restoration | None = None,
    ) -> Judgement:
        from hush.kinds.image.residual import judged

        return judged(
            noisy, clean, process, strength=strength, scale=scale, known=known, adaptable=adaptable
        )

    def section(self, result: Denoised, budget: float) -> Entry:
        from hush.kinds.image.page import section

        return section(result, budget=budget)

    def inspected(self, seen: Inspection, budget: float) -> Entry:
        from hush.kinds.image.inspection import inspected

        return inspected(seen, budget=budget)

    def facts(self, result: Denoised, given: bool) -> list[tuple[str, str]]:
        """See `Kind.facts`; of a JPEG file also how it is compressed."""
        from hush.kinds.image.jpeg import facts

        return [*facts(result.noisy.context), *super().facts(result, given)]

    def looked(self, seen: Inspection) -> list[tuple[str, str]]:
        """See `Kind.looked`; of a JPEG file also how it is compressed."""
        from hush.kinds.image.jpeg import facts

        first, *others = super().looked(seen)
        return [first, *facts(seen.record.context), *others]

    def scores(self, a: np.ndarray, b: np.ndarray) -> Mapping[str, float]:
        """PSNR in dB and SSIM."""
        from hush.metrics import psnr, ssim

        scores = {"psnr": psnr(a, b), "ssim": float("nan")}
        with suppress(HushError):  # smaller than its window
            scores["ssim"] = ssim(a, b)
        return scores


IMAGE = Image()
