"""The empirical Wiener filter, in overlapping windows, at the noise's measured spectrum.

See `hush.noise.wiener`. Counting noise is stabilised first, as for BM3D.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hush.denoiser import Advance, Denoiser, Window
from hush.noise.process import Process
from hush.noise.stabilise import stabilised
from hush.noise.wiener import SHARED, SIDES, wiener, window_power
from hush.results import Estimate, Restoration
from hush.tiling import tiled

TILE = {1: 2**15, 2: 512, 3: 64}  #: side of the tiles of larger items, by the number of axes
FLOOR = 1e-3  #: least deviation of the noise in a place, relative to its mean


#: Means of more standard deviations than this are taken off first, by the number of axes. A zero
#: that means no light is part of the picture; that of a recording depends on its amplifier.
PEDESTAL = {1: 0.1, 2: 4.0, 3: 4.0}


@dataclass
class Wiener(Denoiser):
    """The empirical Wiener filter at the noise's spectrum, given or measured."""

    name: ClassVar[str] = "wiener"
    summary: ClassVar[str] = "Wiener filter in windows, at the measured spectrum of the noise"
    citation: ClassVar[str] = "Wiener, 1949; in two passes as in Dabov et al., IEEE TIP 2007"
    kinds: ClassVar[tuple[str, ...]] = ("image", "signal", "volume")

    def window(self, about: Mapping[str, Any]) -> Window:
        """See `Denoiser.window`."""
        side = SIDES[len(self.kind.letters)]
        return Window((SHARED + 1) * side, side)

    def restore(
        self,
        x: np.ndarray,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """See `Denoiser.restore`."""
        law = noise or (found or self.kind.measure([x])).law(x.ndim - 1)
        return Restoration(filtered(x, law, advance), process=law)


def filtered(x: np.ndarray, law: Process, advance: Advance | None = None) -> np.ndarray:
    """The Wiener filter of an item ``(C, *S)`` with noise of this law; float32."""
    form = stabilised(law)
    if form is not None:
        values = filtered(form[0](x).astype(np.float32), form[1], advance)
        return form[0].inverse(values)
    ndim = x.ndim - 1
    side = SIDES[ndim]
    if pedestal := _pedestal(x):
        moved = law.moved(pedestal)
        if moved is not None:
            return filtered(x - np.float32(pedestal), moved, advance) + np.float32(pedestal)
    power = window_power(law.autocorrelation(side - 1, ndim))
    deviation = np.sqrt(np.maximum(np.broadcast_to(law.variance(x), x.shape), 0))
    mean = float(deviation.mean())
    if mean == 0:
        return x.copy()
    deviation = np.maximum(deviation, FLOOR * mean).astype(np.float32)

    def whitened(both: np.ndarray) -> np.ndarray:
        pairs = zip(*np.split(both, 2), strict=True)
        return np.stack([d * wiener(v / d, power) for v, d in pairs])

    return tiled(
        whitened,
        np.concatenate([x, deviation]),
        size=TILE[ndim],
        radius=(SHARED + 1) * side,
        multiple=side,
        border=side,
        advance=advance,
    )


def _pedestal(x: np.ndarray) -> float:
    """A mean that is far from zero for how much the values differ, else 0.

    The windows spread it over frequencies that hold noise only.
    """
    mean, spread = float(x.mean(dtype=np.float64)), float(x.std(dtype=np.float64))
    return mean if abs(mean) > PEDESTAL[x.ndim - 1] * spread else 0.0
