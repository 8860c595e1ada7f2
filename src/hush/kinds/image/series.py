"""Stacks of images: frames of one camera, whose noise is measured together where it has one law."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hush.kinds.image.measure.estimation import apart
from hush.kinds.image.measure.lines import lines_in, without_lines
from hush.kinds.image.measure.quiet import drawn
from hush.kinds.image.measure.series import Common, Review, law_in, laws
from hush.kinds.image.zerofill import acquired, reduced
from hush.kinds.layout import with_gaps
from hush.noise.lines import Lines
from hush.record import Batch
from hush.recording import let_go
from hush.results import Estimate

FRAMES = 8  #: frames of a stack that are measured together
MOST = 2**25  #: pixels of these frames; of larger images every one is measured alone


@dataclass(frozen=True)
class Frames:
    """The laws that the frames of a stack share, channel by channel; see `hush.kinds.Series`."""

    channels: Sequence[Sequence[Common]]

    @classmethod
    def of(cls, batch: Batch, channels: int, review: Review) -> Frames | None:
        """From a spread of the frames of each channel, items ``i·channels + c``; None for one."""
        count = len(batch) // channels
        shape = np.shape(batch.data[0])
        most = min(FRAMES, count, MOST // max(1, int(np.prod(shape))))
        if most < 2 or any(np.shape(x) != shape for x in batch.data):
            return None
        chosen = np.unique(np.linspace(0, count - 1, most).astype(int))
        found = []
        for c in range(channels):
            frames = []
            for i in (chosen * channels + c).tolist():
                frames.append(with_gaps(batch, i))
                let_go(batch.data[i])
            grids = {acquired(x) for x in frames}
            found.append(laws([_clean(x)[0] for x in frames], review) if len(grids) == 1 else [])
        return cls(found)

    def measure(self, index: int, noisy: np.ndarray) -> tuple[int, Estimate] | None:
        """See `hush.kinds.Series.measure`."""
        possible = self.channels[index % len(self.channels)]
        if not possible:
            return None
        frame, lines = _clean(noisy)
        law = law_in(frame, possible)
        if law is None:
            return None
        found = replace(apart(frame, possible[law].within(frame)), lines=lines)
        return law + 1, found.on(noisy.shape[1:])


def _clean(noisy: np.ndarray) -> tuple[np.ndarray, Lines | None]:
    """A frame on its acquired grid, without offsets of lines and hum; and these."""
    frame = reduced(noisy)
    lines = lines_in(frame)
    lines = None if drawn(frame, lines) else lines
    return (without_lines(frame, lines) if lines else frame), lines
