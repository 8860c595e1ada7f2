"""A toy kind: traces, one value for each moment, with a rate that the user may state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from hush.kinds import Kind, Option
from hush.kinds.cut import Patches
from hush.kinds.show import MOST_POINTS
from hush.kinds.values import second_differences
from hush.noise.process import Process
from hush.noise.processes import Gaussian
from hush.record import Record
from hush.report import plots
from hush.report.frame import Card, Chart, Charts
from hush.results import Denoised, Estimate


def positive(text: str) -> float:
    """A rate in hertz."""
    rate = float(text)
    if rate <= 0:
        raise ValueError(f"a tempo is above 0, not {text}")
    return rate


class Mirrored(Patches):
    """Windows that may be upside down: a trace's sign means nothing here."""

    def turned(self, window: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return -window if rng.random() < 0.5 else window


class Trace(Kind):
    """One-dimensional traces ``(C, T)``."""

    name: ClassVar[str] = "trace"
    nouns: ClassVar[tuple[str, str]] = ("trace", "traces")
    letters: ClassVar[str] = "T"
    options: ClassVar[Mapping[str, Option]] = {
        "tempo": Option(positive, "Samples a second, of traces.", "HZ")
    }

    # -- layout --------------------------------------------------------------------------------

    def axes(self, shape: tuple[int, ...]) -> str:
        """``T``, and channels before it."""
        return "T" if len(shape) == 1 else super().axes(shape)

    # -- cut -----------------------------------------------------------------------------------

    def patches(self, items: Sequence[np.ndarray], size: int) -> Mirrored:
        return Mirrored(items, size)

    # -- measure -------------------------------------------------------------------------------

    def measure(self, items: Sequence[np.ndarray]) -> Estimate:
        """White Gaussian noise, from second differences."""
        sigma = second_differences([channel for x in items for channel in x])
        return Estimate(Gaussian(sigma), sigma, channels=(sigma,))

    # -- show ----------------------------------------------------------------------------------

    def advice(
        self, record: Record, item: np.ndarray, given: Process | None, found: Estimate
    ) -> list[str]:
        notes = super().advice(record, item, given, found)
        if "tempo" not in record.context:
            notes.append("The tempo is not known; state it with --tempo.")
        return notes

    def section(self, result: Denoised, budget: float) -> Charts:
        """The trace before and after, over seconds where the rate is known."""
        item, rate = result.noisiest, result.noisy.context.get("tempo")
        before, after = (
            self.batch(r).data[item.index][0][:MOST_POINTS] for r in (result.noisy, result.record)
        )
        svg = plots.lines(
            {"before": ("one", before), "after": ("two", after)}, "Trace", "sample", "value"
        )
        caption = "Before and after." if rate is None else f"At {rate:g} samples a second."
        noise = f"σ {item.found.sigma:.3g}"
        return Charts(
            name="trace",
            parent="",
            facts=f"{result.noisy.data.size} samples",
            cards=(Card("Noise", noise), Card("Method", result.method)),
            warnings=tuple(result.warnings),
            verdict=item.judgement.verdict,
            icon=None,
            notes=(),
            noise={},
            row={"noise": noise},
            charts=(Chart("The trace", svg, caption),),
        )


TRACE = Trace()
