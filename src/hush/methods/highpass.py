"""High-pass filter: what is slower than the cut-off is removed.

The usual way to remove an ECG from surface EMG is a Butterworth filter of order 4, here run
forwards and backwards so that nothing is shifted in time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hush.bases.filters import Filter
from hush.denoiser import Advance, Window
from hush.errors import HushError
from hush.noise.processes import Process
from hush.results import Estimate, Restoration

ORDER = 4
#: the slowest part of the filter's response decays by a factor of 1e-9 in so many 1/cut-off
DECAY = 21 / (2 * math.pi * math.sin(math.pi / (2 * ORDER)))


@dataclass
class HighPass(Filter):
    """Butterworth high-pass filter of order 4 without phase shift.

    cutoff : in Hz; rate : samples a second of data that do not state it.
    """

    cutoff: float = 60.0
    rate: float | None = None

    name: ClassVar[str] = "highpass"
    summary: ClassVar[str] = "Butterworth high-pass filter, order 4, zero phase (signals)"
    citation: ClassVar[str] = "Butterworth, Experimental Wireless 7, 1930"
    keeps_range: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.cutoff > 0:
            raise HushError(f"the cut-off must be above 0 Hz, not {self.cutoff:g}")

    def window(self, about: Mapping[str, Any]) -> Window:
        """See `Denoiser.window`."""
        return Window(self._reach(self.hertz(about)))

    def _reach(self, rate: float) -> int:
        return math.ceil(DECAY * rate / self.cutoff)

    def restore(
        self,
        x: np.ndarray,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """See `Denoiser.restore`. Flat lines, which hold no signal, are left as they are."""
        from scipy.ndimage import maximum_filter1d, minimum_filter1d
        from scipy.signal import butter, sosfiltfilt

        rate = self.hertz()
        if self.cutoff >= rate / 2:
            raise HushError(
                f"a signal of {rate:g} Hz holds frequencies below {rate / 2:g} Hz; choose a "
                f"cut-off below that, not {self.cutoff:g} Hz"
            )
        reach = self._reach(rate)
        sections = butter(ORDER, self.cutoff, "highpass", fs=rate, output="sos")
        pad = min(reach, x.shape[-1] - 1)
        y = sosfiltfilt(sections, x.astype(np.float64), padlen=pad).astype(np.float32)
        size = 2 * reach + 1
        flat = maximum_filter1d(x, size) == minimum_filter1d(x, size)
        if advance:
            advance(1.0)
        return Restoration(np.where(flat, x, y), process=noise)
