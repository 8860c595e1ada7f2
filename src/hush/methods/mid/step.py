"""What Ψ sees: the noise of an item, from the step network's levels in cells (eq. 4)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hush.kinds.cut import rms_level
from hush.kinds.values import fit_transfer
from hush.methods.mid.loss import FLOOR
from hush.nets.values import average
from hush.noise.processes import Correlated, Process
from hush.noise.spectrum import OCTAVES, Octaves, areas
from hush.results import MANY, Estimate
from hush.tiling import tiles

MORE = 1.3  #: level seen by Ψ, relative to the measured one, from which on it decides
SMALLEST = 32  #: least side of an item in which Ψ can see coarse noise
CLEARLY = 1.1  #: the same if both see noise that spans pixels
LOW = 1.35  #: Ψ reads real cameras low by a third, on 12 of 12 development pairs
WHITE = 0.25  #: logarithm of the densities per octave, up to which noise counts as white


def seen(step: Any, x: np.ndarray, tensor: Callable[[np.ndarray], Tensor]) -> Process:
    """The noise of an item ``(C, *S)``: its law and, unless it is white, its spectrum.

    The law is a photon transfer line through the cells' levels, and the spectrum their median
    ratio to the level. `step` is Ψ, and `tensor` converts a part of the item for it.
    """
    means, cells = [], []
    for window in windows(x.shape[1:], step.radius, step.cell):
        part = window.of(x)
        with torch.inference_mode():
            level = step(tensor(part))[0].float().cpu()
        inner = tuple(slice(s.start // step.cell, -(-s.stop // step.cell)) for s in window.crop)
        signal = average(torch.from_numpy(part.copy())[None], step.cell)[0]
        means.append(signal[:, *inner].flatten(1).numpy())
        cells.append(level[:, :, *inner].flatten(2).numpy())
    return law_of_cells(np.concatenate(means, 1), np.concatenate(cells, 2), x.ndim - 1)


def review(found: Estimate, by_step: Process, x: np.ndarray) -> Estimate:
    """The measurement `found` of an item ``(C, *S)`` beside what Ψ sees.

    Statistics of blocks measure white noise to a few percent, Ψ to ten. But they measure it in
    high frequencies, which a camera's smoothing or compression may have emptied; and they cannot
    tell coarse noise from texture. So Ψ decides where it sees noise that spans pixels and the
    statistics see none or less. Either can miss noise in an octave, where the picture has structure
    too, and neither invents much: of both, the greater level counts.
    """
    if found.impulses >= MANY or found.counted or found.process.varies:
        return found
    if not isinstance(by_step, Correlated):
        return found
    level, span = min(rms_level(by_step, x), float(np.std(x))), float(np.ptp(x))
    if min(x.shape[1:]) < SMALLEST or span == 0 or level < FLOOR * span:
        return found
    if not found.correlated and level < MORE * found.sigma:
        return found
    ndim, channels = x.ndim - 1, len(x)
    densities = np.square(by_step.octaves(OCTAVES, ndim, channels))
    power = level**2 * densities  # of brightness and of colour
    white: Process = by_step.noise
    if found.correlated and found.spectrum is not None:
        total = (power[0] + (channels - 1) * power[1]) / channels
        other = found.sigma**2 * np.square(found.law(ndim).octaves(OCTAVES, ndim))[0]
        power = power * np.maximum(1, other / np.maximum(total, 1e-30))
        if found.sigma > level:
            white = found.process
    total = (power[0] + (channels - 1) * power[1]) / channels
    reached = math.sqrt(float(areas(ndim, OCTAVES) @ total))
    network = reached > (CLEARLY if found.correlated else MORE) * found.sigma
    if network:
        reached *= LOW
    white = white.scaled((reached / rms_level(white, x)) ** 2)
    spectrum = Octaves(*(tuple(p.tolist()) for p in power[: 1 + (channels > 1)]))
    lags = Correlated(white, spectrum, ndim).autocorrelation(7, ndim)
    across = lags.reshape(-1, lags.shape[-1])[len(lags) ** (ndim - 1) // 2]
    return dataclasses.replace(
        found,
        process=white,
        sigma=reached,
        correlated=True,
        autocorrelation=tuple(across[8:].tolist()),
        kernel_width=math.nan,
        spectrum=spectrum,
        network=network,
        channels=tuple(rms_level(white, part[None]) for part in x),
        curve=(),
        alternatives=(),
        field=None,
    )


def law_of_cells(means: np.ndarray, levels: np.ndarray, ndim: int) -> Process:
    """The noise from the cells' mean signal ``(C, n)`` and levels ``(octaves, groups, n)``."""
    channels = len(means)
    share = areas(ndim, len(levels))
    power = np.square(levels.astype(np.float64))
    variance = np.tensordot(share, power, 1)
    white = fit_transfer(means, variance[:channels])
    usual = np.maximum(variance[:channels].mean(0), 1e-20)
    density = np.median(power / usual, axis=-1)
    bright, colour = density[:, -1], density[:, -1]
    if channels > 1:
        each = density[:, :channels].mean(1)
        colour = np.maximum((channels * each - bright) / (channels - 1), 0)
    apart = max(np.abs(np.log(np.maximum(d, 1e-6))).max() for d in (bright, colour))
    if apart < WHITE or bright.max() <= 0:  # 0 where nothing changes
        return white
    parts = (tuple(bright.tolist()), tuple(colour.tolist())) if channels > 1 else (tuple(bright),)
    return Correlated(white, Octaves(*parts), ndim)


def windows(
    shape: tuple[int, ...], reach: int, cell: int, size: int = 256, most: int = 64
) -> list[Any]:
    """The windows given to Ψ: all of a small item, an even selection from a large one."""
    every = list(tiles(shape, size, reach, cell, border=cell))
    return every[:: -(-len(every) // most)]
