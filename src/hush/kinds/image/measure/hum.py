r"""Hum: plane waves that an electric field or a vibration adds to a whole image.

In the spectrum, a wave is a peak that stands out of all frequencies around it. So are crystals,
gratings and cloth. Hum is told from them by its amplitude and phase in tiles of the image: they are
the same everywhere, and they do not follow brightness, as everything does that reflects or absorbs
light: the amplitude of hum has the slope 0 against relative brightness, that of a picture the slope
1. Where a picture is too even to tell, or where waves have several directions, as in crystals, the
wave is only *doubtful*.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hush.noise.lines import Wave

SIDE = 64  #: the smallest side of an image in which to look for hum
PERIODS = 8  #: of the longest wave in the smaller side
TILES = 8  #: along the smaller side
CHANCE = 0.1  #: peaks of white noise in an image that are looked at, on average
NEAR, RING = 3, 6  #: bins around a peak that are its own, and that it is compared with
MOST = 12  #: peaks that are looked at, and waves that are found
SAME = 0.5  #: least share of tiles in which a wave is the same; up to 0.35 in photographs
TOLD = 0.3  #: the same for hum that is stated, some of which noise and structure hide
OFF = 0.5  #: how far one may be off there, relative to the amplitude
HARMONICS = 6  #: the highest multiple of a hum's frequency that is looked for
CERTAIN = 4.0  #: least amplitude of a harmonic, in its standard errors


@dataclass(frozen=True)
class _Tiles:
    """A wave in tiles of an image: complex amplitudes, and mean brightness."""

    amplitude: np.ndarray  # (rows, columns)
    mean: np.ndarray
    step: tuple[float, float]  # between tiles, in pixels

    @property
    def typical(self) -> complex:
        known = self.amplitude[np.isfinite(self.amplitude)]
        return complex(np.median(known.real), np.median(known.imag)) if known.size else 0j

    @property
    def same(self) -> float:
        """The share of tiles with about the typical amplitude and phase."""
        with np.errstate(invalid="ignore"):
            return float(np.mean(np.abs(self.amplitude - self.typical) < OFF * abs(self.typical)))

    @property
    def error(self) -> float:
        """Standard error of the typical amplitude."""
        off = np.abs(self.amplitude - self.typical)
        off = off[np.isfinite(off)]
        return float(np.median(off)) * 1.25 / math.sqrt(max(1, off.size))

    @property
    def slope(self) -> tuple[float, float]:
        """Of the relative amplitude against relative brightness, and its standard error."""
        typical = self.typical
        kept = np.abs(self.amplitude - typical) < OFF * abs(typical)
        if np.count_nonzero(kept) < 4:
            return 0.0, math.inf
        along = (self.amplitude[kept] / typical).real
        relative = self.mean[kept] / max(abs(float(self.mean[kept].mean())), 1e-9)
        apart = relative - relative.mean()
        spread = float(apart @ apart)
        if spread == 0:
            return 0.0, math.inf
        slope = float(apart @ along) / spread
        rest = along - along.mean() - slope * apart
        return slope, math.sqrt(float(rest @ rest) / (len(along) - 2) / spread)


def hum_in(
    channels: np.ndarray, least: float, told: bool = False
) -> tuple[tuple[Wave, ...], tuple[Wave, ...]]:
    """The waves of hum in ``(C, H, W)``, NaN for unknown pixels, and doubtful ones.

    They are looked for in the mean of the channels. least : the lowest amplitude that matters;
    told : all of them are known to be hum.
    """
    known = np.isfinite(channels).all(axis=0)
    if min(known.shape) < SIDE or not known.any():
        return (), ()
    middle = channels[:, known].mean(axis=1, dtype=np.float64)[:, None, None]
    filled = np.where(known, channels, middle)
    hum, doubtful = _waves(filled.mean(axis=0), known, least, told)

    def everywhere(wave: Wave) -> Wave:
        """The wave with its amplitude in every channel."""
        own = [_demodulated(plane, known, wave.down, wave.across).typical for plane in filled]
        return Wave(wave.down, wave.across, tuple(own))

    if len(channels) == 1:
        return tuple(hum), tuple(doubtful)
    return tuple(map(everywhere, hum)), tuple(map(everywhere, doubtful))


def _waves(
    x: np.ndarray, known: np.ndarray, least: float, told: bool
) -> tuple[list[Wave], list[Wave]]:
    """Hum and doubtful waves in one channel ``(H, W)``, which is filled where it is not known."""
    found: list[tuple[Wave, bool]] = []
    for down, across in _peaks(x):
        down, across, tiles = _refined(x, known, down, across)
        if tiles.same < (TOLD if told else SAME) or abs(tiles.typical) < least:
            continue
        wave = Wave(down, across, (tiles.typical,))
        found.append((wave, told or _is_hum(tiles)))
        x = x - wave.map(x.shape)[0]
    if not told and len(_fundamental([wave for wave, _ in found])) > 1:
        return [], [wave for wave, _ in found]
    hum = [wave for wave, certain in found if certain]
    doubtful = [wave for wave, certain in found if not certain]
    for wave in _fundamental(hum):
        hum += _harmonics(x, known, wave, hum, least)
    return hum, doubtful


def _is_hum(tiles: _Tiles) -> bool:
    """Whether the amplitude is the same in bright and dark tiles, as surely as it could be seen."""
    slope, error = tiles.slope
    return abs(slope) + 2 * error < 0.6


def _fundamental(waves: list[Wave]) -> list[Wave]:
    """Waves of different directions, the longest of each."""
    longest = sorted(waves, key=lambda w: -w.period)
    kept: list[Wave] = []
    for wave in longest:
        if not any(_is_multiple(wave, other) for other in kept):
            kept.append(wave)
    return kept


def _is_multiple(wave: Wave, of: Wave) -> bool:
    """Whether a wave's frequency is a multiple of another's, as sampled."""
    for times in range(1, 2 * HARMONICS + 1):
        for sign in (1, -1):
            off = [
                (a - sign * times * b + 0.5) % 1 - 0.5
                for a, b in ((wave.down, of.down), (wave.across, of.across))
            ]
            if math.hypot(*off) < 0.01:
                return True
    return False


def _harmonics(
    x: np.ndarray, known: np.ndarray, wave: Wave, found: list[Wave], least: float
) -> list[Wave]:
    """Multiples of a wave in what is left of the image."""
    more = []
    for times in range(2, HARMONICS + 1):
        down, across = ((times * f + 0.5) % 1 - 0.5 for f in (wave.down, wave.across))
        near = [math.hypot(w.down - down, w.across - across) for w in found]
        near += [math.hypot(w.down + down, w.across + across) for w in found]
        if min(near) < 1 / min(x.shape) or math.hypot(down, across) < PERIODS / min(x.shape):
            continue
        tiles = _demodulated(x, known, down, across)
        if abs(tiles.typical) > max(least, CERTAIN * tiles.error) and tiles.same > SAME / 2:
            more.append(Wave(down, across, (tiles.typical,)))
    return more


def _peaks(x: np.ndarray) -> list[tuple[float, float]]:
    """Frequencies down and across of peaks in the spectrum of ``(H, W)``, the strongest first."""
    from scipy.ndimage import maximum_filter, uniform_filter

    height, width = x.shape
    window = np.hanning(height + 1)[:-1, None] * np.hanning(width + 1)[:-1]
    power = np.abs(np.fft.rfft2((x - x.mean()) * window)) ** 2
    # The spectrum on both sides of the frequency 0 across, so that neighbours are complete.
    mirrored = power[-np.arange(height) % height, RING:0:-1]
    whole = np.pad(np.concatenate([mirrored, power], axis=1), ((RING, RING), (0, 0)), mode="wrap")
    inner, outer = ((2 * r + 1) ** 2 for r in (NEAR, RING))
    around = (
        uniform_filter(whole, 2 * RING + 1) * outer - uniform_filter(whole, 2 * NEAR + 1) * inner
    )
    around = around[RING:-RING, RING:] / (outer - inner)
    highest = maximum_filter(whole, 5)[RING:-RING, RING:]
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
    relative = power / np.maximum(around, 1e-30 + 1e-12 * power.max())
    relative[(power < highest) | (np.hypot(down, across) < PERIODS / min(x.shape))] = 0
    relative[height // 2 + 1 :, 0] = 0  # the same as their mirror images
    # The power of noise, relative to its mean, is distributed exponentially.
    peaks = np.flatnonzero(relative > math.log(relative.size / CHANCE))
    peaks = peaks[np.argsort(-relative.flat[peaks])][:MOST]
    at = zip(*np.unravel_index(peaks, relative.shape), strict=True)
    return [(float(down[i, 0]), float(across[j])) for i, j in at]


def _refined(
    x: np.ndarray, known: np.ndarray, down: float, across: float
) -> tuple[float, float, _Tiles]:
    """A wave's exact frequency, at which its phase is the same in all tiles."""
    tiles = _demodulated(x, known, down, across)
    for _ in range(3):
        turns = []
        for axis, step in enumerate(tiles.step):
            a = np.moveaxis(tiles.amplitude, axis, 0)
            product = a[1:] * a[:-1].conj()
            product = product[np.isfinite(product)]
            total = complex(np.median(product.real), np.median(product.imag)) if product.size else 0
            turns.append(float(np.angle(total)) / (2 * np.pi * step) if total else 0.0)
        down, across = (
            _snapped(f + turn, n) for f, turn, n in zip((down, across), turns, x.shape, strict=True)
        )
        tiles = _demodulated(x, known, down, across)
        if tiles.same < SAME / 4:  # most peaks are edges, and are no wave at any frequency near
            break
    return down, across, tiles


def _snapped(frequency: float, length: int) -> float:
    """A frequency; 0 or 1/2 exactly, if it cannot be told from that in so many pixels."""
    nearest = round(2 * frequency) / 2
    return nearest if abs(frequency - nearest) < 0.1 / length else frequency


def _demodulated(x: np.ndarray, known: np.ndarray, down: float, across: float) -> _Tiles:
    """The wave of this frequency in Hann-weighted tiles; NaN where most of a tile is unknown."""
    period = 1 / max(math.hypot(down, across), 1e-9)
    side = min(min(x.shape), max(min(x.shape) // TILES, math.ceil(3 * period)))
    taper = np.hanning(side + 2)[1:-1]
    starts = [np.linspace(0, n - side, max(2, round(n / side))).astype(int) for n in x.shape]
    carriers = [
        np.exp(-2j * np.pi * frequency * np.arange(n))
        for frequency, n in zip((down, across), x.shape, strict=True)
    ]

    def summed(values: np.ndarray, *along: np.ndarray) -> np.ndarray:
        """Weighted sums over all tiles of `values` times a factor along rows and columns."""
        rows = np.stack(
            [_times(taper * along[0][a : a + side], values[a : a + side]) for a in starts[0]]
        )
        return np.stack(
            [rows[:, b : b + side] @ (taper * along[1][b : b + side]) for b in starts[1]], 1
        )

    ones = [np.ones(n) for n in x.shape]
    inside = known.astype(np.float64)
    weight = summed(inside, *ones)
    enough = weight > 0.5 * taper.sum() ** 2
    safe = np.where(enough, weight, 1)
    there = x if known.all() else x * inside
    mean = summed(there, *ones) / safe
    carried = summed(there, *carriers) - mean * summed(inside, *carriers)
    alone = (2 * down) % 1 == 0 and (2 * across) % 1 == 0  # its own mirror image
    amplitude = np.where(enough, (1 if alone else 2) * carried / safe, np.nan)
    steps = [float(np.diff(s).mean()) for s in starts]
    return _Tiles(amplitude, mean, (steps[0], steps[1]))


def _times(factors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The sum of real `rows`, each times its factor; without a complex copy of them."""
    if factors.dtype.kind != "c":
        return factors @ rows
    parts: np.ndarray = np.stack([factors.real, factors.imag]) @ rows
    return parts[0] + 1j * parts[1]
