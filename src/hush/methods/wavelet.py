"""Wavelet thresholding, against white noise or against the ECG in surface EMG.

*White noise*: details are shrunk towards zero by σ²/σ_x, where σ_x is the signal's own deviation in
that place and band (BayesShrink: S. G. Chang, B. Yu, M. Vetterli, IEEE Trans. Image Processing 9,
2000).

*Interference*: in the low bands of surface EMG heart beats make large coefficients that are rare.
What exceeds a multiple of the usual coefficient is the ECG, and is removed (P. Zhou, B. Lock,
T. A. Kuiken, "Real time ECG artifact removal for myoelectric prosthesis control", Physiol. Meas.
28, 2007).

The transform is stationary (undecimated), so a result does not depend on where a recording begins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from hush.bases.filters import Filter
from hush.bases.wavelets import package
from hush.denoiser import Advance, Window
from hush.errors import HushError
from hush.noise.processes import Process
from hush.results import Estimate, Restoration

#: coefficients whose mean square is the signal's power in a place
AROUND = 32
#: Hz: interference is sought in bands of octaves between these
HIGHEST, LOWEST = 100.0, 4.0
BLOCK = 5.0  #: seconds for each of which the usual coefficient is found
#: (coefficients, padding at both ends, level) → coefficients
Rule = Callable[[np.ndarray, tuple[int, int], int], np.ndarray]
MOST = 16  #: levels; the coarsest is 2¹⁶ samples wide
REMOVES = ("auto", "noise", "interference")


@dataclass
class Wavelet(Filter):
    """Thresholding of stationary wavelet coefficients.

    remove : "noise", white noise of the level given or measured, or "interference", an ECG; "auto"
        is interference if the given noise is one.
    wavelet : name of an orthogonal wavelet in PyWavelets. levels : bands of octaves, for noise.
    threshold : for interference, as a multiple of the usual coefficient.
    rate : samples a second of data that do not state it; only interference needs it.
    """

    remove: Literal["auto", "noise", "interference"] = "auto"
    wavelet: str = "sym4"
    levels: int = 5
    threshold: float = 2.0
    rate: float | None = None

    name: ClassVar[str] = "wavelet"
    summary: ClassVar[str] = "stationary wavelet thresholding (signals; extra: signals)"
    citation: ClassVar[str] = "Chang et al., IEEE TIP 2000; Zhou et al., Physiol. Meas. 2007"

    def __post_init__(self) -> None:
        if self.remove not in REMOVES:
            raise HushError(f"remove is {', '.join(REMOVES[:-1])} or {REMOVES[-1]}")
        if not 1 <= self.levels <= MOST or not self.threshold > 0:
            raise HushError(f"a wavelet transform needs 1 to {MOST} levels, and thresholds above 0")

    def window(self, about: Mapping[str, Any]) -> Window:
        """See `Denoiser.window`."""
        rate = about.get("rate") or self.rate
        if not rate:
            return Window(self._reach(self.levels))
        block = max(1, round(BLOCK * rate))
        return Window(self._reach(max(self.levels, _bands(rate)[-1])) + 2 * block, block)

    def _reach(self, levels: int) -> int:
        """Samples to either side that a sample's transform and thresholds depend on."""
        return (2 * package(self.wavelet).Wavelet(self.wavelet).dec_len + AROUND) << levels

    def restore(
        self,
        x: np.ndarray,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """See `Denoiser.restore`."""
        used = noise
        interference = self.remove == "interference"
        if self.remove == "auto":
            interference = getattr(noise, "family", "") == "ecg"
        if interference:
            rate = self.hertz()
            y = np.stack([self._without_beats(c, rate) for c in x.astype(np.float64)])
        else:
            if noise is None:
                found = found or self.kind.measure([x])
                noise = used = found.local
            variance = np.broadcast_to(noise.variance(x.astype(np.float64)), x.shape)
            pairs = zip(x.astype(np.float64), variance, strict=True)
            y = np.stack([self._shrunk(c, v) for c, v in pairs])
        if advance:
            advance(1.0)
        return Restoration(y.astype(np.float32), process=used)

    def _shrunk(self, x: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """One channel ``(T,)`` with its details shrunk; variance : of its noise."""
        from scipy.ndimage import uniform_filter1d

        def shrink(d: np.ndarray, pad: tuple[int, int], level: int) -> np.ndarray:
            size = (AROUND << level) + 1
            power = uniform_filter1d(d**2, size, mode="nearest")
            noise = uniform_filter1d(np.pad(variance, pad, "edge"), size, mode="nearest")
            signal = np.sqrt(np.maximum(power - noise, 0))
            with np.errstate(divide="ignore", invalid="ignore"):
                threshold = np.where(signal > 0, noise / signal, np.inf)
            return np.sign(d) * np.maximum(np.abs(d) - threshold, 0)

        return self._changed(x, range(1, self.levels + 1), shrink)

    def _without_beats(self, x: np.ndarray, rate: float) -> np.ndarray:
        """One channel ``(T,)`` without large coefficients in its low bands."""
        block = max(1, round(BLOCK * rate))

        def clear(d: np.ndarray, pad: tuple[int, int], level: int) -> np.ndarray:
            size = np.abs(d)
            usual = np.pad(_usual(size[pad[0] : len(d) - pad[1]], block), pad, "edge")
            return np.where(size > self.threshold * usual, 0.0, d)

        return self._changed(x, _bands(rate), clear)

    def _changed(self, x: np.ndarray, levels: range, rule: Rule) -> np.ndarray:
        """`x` after a rule for the details of some levels, counted from the finest."""
        transforms, deepest = package(self.wavelet), levels[-1]
        reach = self._reach(deepest)
        pad = (reach, reach + (-(len(x) + 2 * reach)) % (1 << deepest))
        padded = np.pad(x, pad, mode="symmetric")
        coefficients = transforms.swt(padded, self.wavelet, deepest, trim_approx=True)
        for level in levels:
            coefficients[-level] = rule(coefficients[-level], pad, level)
        y: np.ndarray = transforms.iswt(coefficients, self.wavelet)
        return y[reach : reach + len(x)]


def _bands(rate: float) -> range:
    """The levels in which interference is sought; level j is the octave below rate / 2^j."""
    first = max(1, math.ceil(math.log2(rate / HIGHEST)))
    last = max(first, math.floor(math.log2(rate / LOWEST)))
    return range(first, last + 1)


def _usual(size: np.ndarray, block: int) -> np.ndarray:
    """The usual size of coefficients in every place: medians of blocks, joined by lines.

    Divided by 0.6745, the median is the deviation of Gaussian coefficients.
    """
    starts = range(0, max(1, len(size) - block // 2), block)
    medians = [float(np.median(size[s : s + block])) for s in starts]
    middles = [s + block / 2 for s in starts]
    return np.interp(np.arange(len(size)), middles, medians) / 0.6745
