"""Slices of a volume that the series does not explain, such as those that lost their signal.

A moment of motion while a slice is excited takes signal from it, all over or in a part. The other
volumes know nothing of that, so the principal components of a long series leave it out, and the
result would have the signal that was lost, wrongly. Where what is left out has more power than
noise, the noise's share of it is removed, and the rest comes back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hush.kinds.volume.components import MANY, Components, Slices
from hush.noise.processes import Rician

#: power of what is left out of a slice, relative to the noise's and to that of other volumes, from
#: which on it is more than noise; at 2, the result is no better than the input. Real series without
#: dropouts reach 1.6
MORE = 1.75
FEW = 64  #: voxels of tissue that say nothing
AROUND = 3.0  #: voxels: width of the Gaussian over which the power is averaged
NAMED = 4  #: slices that are named in a warning


@dataclass(frozen=True)
class Dropouts:
    """Slices with more than noise in what is left out.

    found : bool ``(T, Z)``, of the used volumes of `series`.
    """

    found: np.ndarray
    series: Components

    def restore(self, made: np.ndarray, x: np.ndarray, start: int) -> None:
        """Give slices of a result ``(C, z, Y, X)`` what is more than noise in `x` less them.

        start : the first slice.
        """
        from scipy.ndimage import gaussian_filter

        for t, z in np.argwhere(self.found[:, start : start + made.shape[1]]).tolist():
            c = self.series.used[t]
            left = x[c, z] - made[c, z]
            power = gaussian_filter(np.square(left), AROUND)
            noise = gaussian_filter(_variance(self.series, x[c, z], start + z), AROUND)
            share = 1 - noise / np.maximum(power, noise)  # Wiener's, as the noise is independent
            made[c, z] += np.where(power > 0, share, 0) * left

    def said(self) -> tuple[str, ...]:
        """A warning that names them; none without any."""
        where = [(self.series.used[t] + 1, z + 1) for t, z in np.argwhere(self.found).tolist()]
        if not where:
            return ()
        named = "; ".join(f"volume {c}, slice {z}" for c, z in where[:NAMED])
        more = f"; and {len(where) - NAMED} more" * (len(where) > NAMED)
        slices = "1 slice shows" if len(where) == 1 else f"{len(where)} slices show"
        return (
            f"{slices} what no other volume does, such as a loss of signal by motion (counted from "
            f"1: {named}{more}). Less noise is removed there; leave them out of what you compute.",
        )


def dropouts(series: Components, read: Slices, depth: int) -> Dropouts:
    """Those of a series; none of a few volumes, whose components keep what only one shows."""
    power = np.zeros((len(series.used), depth))
    if len(series.used) >= MANY and series.sigma > 0:
        for z in range(depth):
            if series.tissue[z].sum() >= FEW:
                power[:, z] = _left_out(series, read(z, z + 1)[:, 0], z)
    usual = np.median(power, axis=0)
    return Dropouts((power > MORE) & (power > MORE * usual), series)


def _left_out(series: Components, x: np.ndarray, z: int) -> np.ndarray:
    """The power ``(T,)`` of what the components with signal leave out of a slice ``(C, Y, X)``."""
    tissue, used = series.tissue[z], list(series.used)
    y = x[:, tissue]
    c = series.forward(y)
    c *= (series.signal > 0)[:, None]
    left = np.square(y[used] - series.back(c)).mean(1)
    noise = [_variance(series, x[v], z)[tissue].mean() for v in used]
    power: np.ndarray = left / np.maximum(noise, 1e-30)
    return power


def _variance(series: Components, x: np.ndarray, z: int) -> np.ndarray:
    """The noise's variance in a slice ``(Y, X)``: magnitudes without signal have less."""
    from scipy.ndimage import gaussian_filter

    usual = np.broadcast_to(np.square(series.deviation(z, z + 1)[0, 0]), x.shape)
    if not series.magnitudes:
        return usual
    own = Rician(series.sigma).variance_near(gaussian_filter(x, AROUND).astype(np.float64))
    return np.where(series.tissue[z], np.minimum(usual, own), usual)
