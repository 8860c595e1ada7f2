r"""The spectrum of stationary noise, in octaves of spatial frequency.

The power density in an octave is relative to white noise of the same variance, which has density 1
everywhere. So a few numbers say how noise spans neighbouring values, whatever its level: the noise
of a camera's smoothed picture has little in the finest octave and much in the coarser ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from hush.errors import HushError
from hush.noise.units import digits

if TYPE_CHECKING:
    import torch

OCTAVES = 4  #: that noise is described in, unless more are given
FINEST = 2**-1.5  #: centre of the finest octave in cycles per value; it includes the corners
LEAST = 1e-4  #: least density relative to the greatest
_GRID = 64  #: side of the grid on which spectra are averaged
_TURNS = 40  #: in which densities with given means are found, going a part of the way in each
_EASED = 0.8


@dataclass(frozen=True)
class Octaves:
    """Power density of noise at the centres of octaves, from the finest (1/4 to 1/2) on.

    Between the centres its logarithm is linear in the frequency's; beyond them it is constant. Only
    the ratios matter. With several channels, `brightness` is that of their mean, and `colour`, in
    the same unit, that of their differences; if empty, it is the same, so that channels are
    independent.
    """

    brightness: tuple[float, ...]
    colour: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        every = (*self.brightness, *self.colour)
        if len(self.brightness) < 2 or not all(math.isfinite(v) and v >= 0 for v in every):
            raise HushError(
                "a spectrum needs a density of at least 0 for each of two or more octaves"
            )
        if sum(self.brightness) <= 0:
            raise HushError("a spectrum needs some power in its brightness")

    @classmethod
    def of_means(cls, *parts: Sequence[float] | np.ndarray, ndim: int = 2) -> Octaves:
        """The spectrum with these mean densities in its octaves, as `levels` has them, squared.

        Of brightness and, if they are given, of colour. In a steep spectrum the mean over an octave
        is not the density at its centre.
        """
        return cls(*(_centres(tuple(map(float, part)), ndim) for part in parts))

    def power(self, shape: tuple[int, ...], channels: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Densities of brightness and colour on the grid of `numpy.fft.fftn` for `shape`.

        The mean over frequencies and channels is 1.
        """
        radius = _radius(shape)
        both = [_interpolated(d, radius) for d in (self.brightness, self.colour) if d]
        bright, tint = both[0], both[-1]
        mean = (bright.mean() + (channels - 1) * tint.mean()) / channels
        return bright / mean, tint / mean

    def spec(self) -> str:
        """The text that `read` reads."""
        return "/".join(":".join(map(digits, d)) for d in (self.brightness, self.colour) if d)

    @classmethod
    def read(cls, text: str) -> Octaves:
        """The spectrum in a text such as ``0.1:0.5:2:4`` or, with colour, ``1:2:3:3/1:4:9:9``."""
        parts = [tuple(float(v) for v in part.split(":")) for part in text.split("/")]
        if len(parts) > 2:
            raise ValueError("a spectrum has two parts at most, brightness and colour")
        return cls(*parts)


@dataclass(frozen=True)
class AnySpectrum:
    """For training: a spectrum drawn anew for each sample.

    Noise that was blurred by one or two kernels of 0.4 to 3 values, partly white, and now and then
    sharpened; differences of colour mostly have another spectrum and power than brightness.
    """

    def draw(self, generator: torch.Generator) -> Octaves:
        import torch

        def uniform(low: float = 0.0, high: float = 1.0) -> float:
            u = float(torch.rand((), generator=generator, device=generator.device))
            return low + (high - low) * u

        f = FINEST / 2.0 ** np.arange(OCTAVES + 1)

        def one() -> np.ndarray:
            white = uniform() ** 2
            density = np.full(len(f), white)
            for share in (1.0, uniform()) if uniform() < 0.4 else (1.0,):
                width = 0.4 * 7.5 ** uniform()
                kept = (math.erf(math.pi * width) / (2 * math.sqrt(math.pi) * width)) ** 2
                density += (1 - white) * share * np.exp(-((2 * np.pi * f * width) ** 2)) / kept
            if uniform() < 0.25:  # unsharp masking
                density *= (1 + uniform(0, 3) * (1 - np.exp(-2 * (np.pi * f) ** 2))) ** 2
            return density

        brightness = one()
        tint = brightness if uniform() < 0.3 else one()
        ratio = 1.0 if uniform() < 0.3 else 4.0 ** uniform(-1, 1.5)
        return Octaves(tuple(brightness.tolist()), tuple((ratio * tint).tolist()))


def levels(brightness: np.ndarray, colour: np.ndarray, octaves: int) -> np.ndarray:
    """Relative standard deviations ``(2, octaves)`` from densities on an FFT grid.

    They are the roots of the mean densities in each octave; the last includes all that is coarser.
    """
    bands = octave_of(brightness.shape, octaves)
    count = np.bincount(bands.ravel(), minlength=octaves)
    sums = [np.bincount(bands.ravel(), p.ravel(), octaves) for p in (brightness, colour)]
    result: np.ndarray = np.sqrt(np.maximum(np.stack(sums) / count, 0))
    return result


def levels_of_lags(lags: np.ndarray, octaves: int) -> np.ndarray:
    """`levels` of noise with these autocorrelations at lags −r … r along every axis."""
    grid = (_GRID,) * lags.ndim
    placed = np.zeros(grid)
    reach = [min(n // 2, _GRID // 2 - 1) for n in lags.shape]
    inner = tuple(slice(n // 2 - r, n // 2 + r + 1) for n, r in zip(lags.shape, reach, strict=True))
    corner = tuple(slice(0, 2 * r + 1) for r in reach)
    placed[corner] = lags[inner]
    power = np.fft.fftn(np.roll(placed, [-r for r in reach], tuple(range(lags.ndim)))).real
    power = np.maximum(power, 0)
    return levels(power, power, octaves)


def areas(ndim: int, octaves: int) -> np.ndarray:
    """The share of all frequencies that is in each octave, ``(octaves,)``."""
    bands = octave_of((_GRID,) * ndim, octaves)
    share: np.ndarray = np.bincount(bands.ravel(), minlength=octaves) / bands.size
    return share


@lru_cache(maxsize=32)
def octave_of(shape: tuple[int, ...], octaves: int) -> np.ndarray:
    """The octave of each frequency of the FFT grid, 0 for the finest; int, `shape`."""
    with np.errstate(divide="ignore"):
        octave = np.ceil(-np.log2(np.maximum(_radius(shape), 1e-9)) - 2)
    return np.clip(octave, 0, octaves - 1).astype(int)


def _radius(shape: tuple[int, ...]) -> np.ndarray:
    """Cycles per value of each frequency of the FFT grid."""
    squares = np.zeros(shape)
    for axis, n in enumerate(shape):
        f = np.fft.fftfreq(n).reshape([-1 if i == axis else 1 for i in range(len(shape))])
        squares = squares + f**2
    root: np.ndarray = np.sqrt(squares)
    return root


@lru_cache(maxsize=64)
def _centres(means: tuple[float, ...], ndim: int) -> tuple[float, ...]:
    """The densities at the centres of octaves that have these mean densities."""
    if len(means) < 2 or not all(math.isfinite(m) and m >= 0 for m in means) or not max(means):
        return means
    shape = (_GRID // ndim,) * ndim
    bands, radius = octave_of(shape, len(means)).ravel(), _radius(shape).ravel()
    count = np.maximum(np.bincount(bands, minlength=len(means)), 1)
    wanted = np.maximum(means, LEAST * max(means))
    found = wanted.copy()
    for _ in range(_TURNS):
        now = _interpolated(tuple(found), radius)
        found *= (wanted * count / np.bincount(bands, now, len(means))) ** _EASED
    return tuple(found.tolist())


def _interpolated(density: tuple[float, ...], radius: np.ndarray) -> np.ndarray:
    values = np.log(np.maximum(density, LEAST * max(density) or LEAST**3))
    at = np.log2(FINEST) - np.log2(np.maximum(radius, 1e-9))  # octaves below the finest
    result: np.ndarray = np.exp(np.interp(at, np.arange(len(values)), values))
    return result
