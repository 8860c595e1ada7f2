"""Two witnesses of the noise, statistics of blocks and Ψ, and who is right where they disagree."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable

import numpy as np

from hush.kinds.cut import rms_level, sparse
from hush.kinds.values import contrast
from hush.methods.mid.loss import FLOOR
from hush.methods.mid.step import law_of_cells, level_of_cells
from hush.noise.processes import Correlated, Gaussian, Process
from hush.noise.spectrum import OCTAVES, Octaves, areas
from hush.results import MANY, Estimate, Restoration

MORE = 1.3  #: level seen by Ψ, relative to the measured one, from which on it decides
SMALLEST = 32  #: least side of an item in which Ψ can see coarse noise
CLEARLY = 1.1  #: the same if both see noise that spans pixels
LOW = 1.6  #: Ψ reads real cameras low, and their noise leaves best if told higher still
FAR = 3.0  #: measured level, relative to Ψ's, from which on texture was measured; 2.2 on real noise
LITTLE = 0.01  #: of a picture's range: noise below hardly shows
EMPTY = 0.5  #: fine noise, relative to all, below which it was smoothed away; cameras leave .6
BORNE_OUT = 0.45  #: least share of the level that Φ removes of noise; 0.54 on real noise
WINDOW = 128  #: side of the windows in which Φ is asked
AGREES = 0.3  #: largest relative error of Ψ about noise that is added, for it to overrule

#: the cells of an item: mean signal ``(C, n)`` and levels ``(octaves, groups, n)``
Cells = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def reviewed(
    x: np.ndarray, found: Estimate, cells: Cells, restore: Callable[..., Restoration]
) -> Estimate:
    """The measurement `found` of an item ``(C, *S)``, corrected by what Ψ and Φ say.

    cells : what Ψ sees in an item; restore : the way down from a given noise.
    """
    if found.impulses >= MANY or found.process.varies or found.counted or found.compressed:
        return found
    if min(x.shape[1:]) < SMALLEST:
        return found
    by_step, least = _law(cells, x)
    if found.sigma > FAR * least and _sees(cells, x, found.sigma, least):
        result = _decided(found, by_step, x)
    else:
        result = review(found, by_step, x)
    if not result.network or (share := borne_out(restore, x, result)) > BORNE_OUT:
        return result
    lower = share * result.sigma  # of the three, the lowest
    if found.sigma < lower:
        return found
    law = result.process.scaled(share**2)
    channels = tuple(share * level for level in result.channels)
    return dataclasses.replace(result, process=law, sigma=lower, channels=channels)


def review(found: Estimate, by_step: Process, x: np.ndarray) -> Estimate:
    """The measurement `found` of an item ``(C, *S)`` beside the noise that Ψ sees.

    Statistics of blocks measure white noise to a few percent, Ψ to ten. But they measure it in
    high frequencies, which a camera's smoothing or compression may have emptied; and they cannot
    tell coarse noise from texture. So Ψ decides where it sees noise that spans pixels and the
    statistics see none or less. Either can miss noise in an octave, where the picture has structure
    too, and neither invents much: of both, the greater level counts.
    """
    level, span = min(rms_level(by_step, x), float(np.std(x))), float(np.ptp(x))
    if not isinstance(by_step, Correlated) or span == 0 or level < FLOOR * span:
        return found
    if not found.correlated and level < MORE * found.sigma:
        return found
    ndim, channels = x.ndim - 1, len(x)
    power = level**2 * np.square(by_step.octaves(OCTAVES, ndim, channels))
    white: Process = by_step.noise
    if found.correlated and found.spectrum is not None:
        total = (power[0] + (channels - 1) * power[1]) / channels
        other = found.sigma**2 * np.square(found.law(ndim).octaves(OCTAVES, ndim))[0]
        power = power * np.maximum(1, other / np.maximum(total, 1e-30))
        if found.sigma > level:
            white = found.process
    total = (power[0] + (channels - 1) * power[1]) / channels
    reached = math.sqrt(float(areas(ndim, OCTAVES) @ total))
    if not found.correlated and _smoothed(x, found.sigma, reached):
        return dataclasses.replace(found, left=reached)
    network = reached > (CLEARLY if found.correlated else MORE) * found.sigma
    if network:
        reached *= LOW
        white = Gaussian(reached) if channels > 1 else white  # a camera's tone curve evens it
    return _replaced(found, white, _spectrum(power, channels), reached, x, network)


def _smoothed(x: np.ndarray, fine: float, level: float) -> bool:
    """Whether an item was denoised or smoothed: little coarse noise, and next to no fine noise, or
    less than the rounding of its values leaves. What Ψ sees there is structure as often as not."""
    values = sparse(x)
    steps = np.diff(np.unique(values))
    rounding = float(steps.min()) / math.sqrt(12) if len(steps) else 0.0
    return level < LITTLE * contrast(values) and fine < max(rounding, EMPTY * level)


def _law(cells: Cells, x: np.ndarray) -> tuple[Process, float]:
    """The noise that Ψ sees in an item, and its level: of the law, or of all cells if greater.

    The law of noise that is not affine in the signal can be too low.
    """
    means, levels = cells(x)
    law = law_of_cells(means, levels, x.ndim - 1)
    level = min(rms_level(law, x), float(np.std(x)))
    return law, max(level, level_of_cells(levels, x.ndim - 1))


def _sees(cells: Cells, x: np.ndarray, sigma: float, level: float) -> bool:
    """Whether Ψ would see noise of `sigma`, more than the `level` that it sees: it is added."""
    noise = np.random.default_rng(0).standard_normal(x.shape, np.float32)
    _, seen = _law(cells, x + np.float32(sigma) * noise)
    return abs(seen / math.hypot(sigma, level) - 1) < AGREES


def _decided(found: Estimate, by_step: Process, x: np.ndarray) -> Estimate:
    """What Ψ sees of an item, alone."""
    level = min(rms_level(by_step, x), float(np.std(x)))
    if not isinstance(by_step, Correlated):
        return _replaced(found, by_step, None, level, x, True)
    power = np.square(by_step.octaves(OCTAVES, x.ndim - 1, len(x)))
    return _replaced(found, by_step.noise, _spectrum(power, len(x)), LOW * level, x, True)


def _spectrum(power: np.ndarray, channels: int) -> Octaves:
    """Densities of brightness and colour ``(2, octaves)``, relative to white noise, for people."""
    total = power[0] + (channels - 1) * power[1]
    density = channels * power / max(float(areas(2, power.shape[1]) @ total), 1e-30)
    parts = density[: 1 + (channels > 1)]
    return Octaves.of_means(*(tuple(float(f"{d:.3g}") for d in part) for part in parts))


def _replaced(
    found: Estimate,
    white: Process,
    spectrum: Octaves | None,
    level: float,
    x: np.ndarray,
    network: bool,
) -> Estimate:
    """The estimate with another law, spectrum and level."""
    white = white.scaled((level / max(rms_level(white, x), 1e-30)) ** 2)
    lags: tuple[float, ...] = ()
    if spectrum is not None:
        every = Correlated(white, spectrum, x.ndim - 1).autocorrelation(7, x.ndim - 1)
        across = every.reshape(-1, every.shape[-1])[len(every) ** (x.ndim - 2) // 2]
        lags = tuple(across[8:].tolist())
    return dataclasses.replace(
        found,
        process=white,
        sigma=level,
        correlated=spectrum is not None,
        autocorrelation=lags,
        kernel_width=math.nan,
        spectrum=spectrum,
        network=network,
        channels=tuple(rms_level(white, part[None]) for part in x),
        curve=(),
        alternatives=(),
        field=None,
    )


def borne_out(restore: Callable[..., Restoration], x: np.ndarray, found: Estimate) -> float:
    """The share of the level that Φ removes of the noise that Ψ saw in an item ``(C, *S)``.

    Where there is none Φ leaves the picture alone, whatever it is told; of coarse noise it removes
    more than half. It is asked in a few windows.
    """
    places = [np.unique(np.linspace(0, max(0, n - WINDOW), 2).astype(int)) for n in x.shape[1:]]
    law, removed, expected = found.law(x.ndim - 1), 0.0, 0.0
    for corner in itertools.product(*places):
        part = x[:, *(slice(at, at + WINDOW) for at in corner)]
        rest = restore(part, law, None, found).data - part
        removed += float(np.vdot(rest, rest))
        expected += part.size * rms_level(law, part) ** 2
    return math.sqrt(removed / max(expected, 1e-30))
