"""What Ψ sees: the noise of an item, from the step network's levels in cells (eq. 4)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hush.kinds.values import fit_transfer
from hush.memo import digest
from hush.nets.values import average
from hush.noise.processes import Correlated, Process
from hush.noise.spectrum import Octaves, areas
from hush.tiling import Tile, tiles

WHITE = 0.25  #: logarithm of the densities per octave, up to which noise counts as white


def seen(
    step: Any, tensor: Callable[[np.ndarray], Tensor], x: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The cells of an item ``(C, *S)``: mean signal ``(C, n)`` and levels ``(octaves, groups, n)``.

    `step` is Ψ, and `tensor` converts a part of the item for it. What the last item showed is kept:
    the measurement is reviewed by it, and denoising then starts from it.
    """
    every = windows(x.shape[1:], step.radius, step.cell)
    key = _digest(step, x, every)
    if (kept := _LAST.get(key)) is None:
        kept = _cells(step, tensor, x, every)
        _LAST.clear()
        _LAST[key] = kept
    means, levels = kept
    return means.copy(), levels.copy()


#: the cells of the last item, by Ψ's weights, by where it runs, and by what it saw
_LAST: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}


def _digest(step: Any, x: np.ndarray, every: Sequence[Tile]) -> bytes:
    weights = step.state_dict().values()
    devices = [str(weight.device) for weight in weights]
    own = [weight.detach().cpu().numpy() for weight in weights]
    return digest(x.shape, devices, *own, *(window.of(x) for window in every))


def _cells(
    step: Any, tensor: Callable[[np.ndarray], Tensor], x: np.ndarray, every: Sequence[Tile]
) -> tuple[np.ndarray, np.ndarray]:
    """`seen`, computed."""
    means, cells = [], []
    for window in every:
        part = window.of(x)
        with torch.inference_mode():
            level = step(tensor(part))[0].float().cpu()
        inner = tuple(slice(s.start // step.cell, -(-s.stop // step.cell)) for s in window.crop)
        signal = average(torch.from_numpy(part.copy())[None], step.cell)[0]
        means.append(signal[:, *inner].flatten(1).numpy())
        cells.append(level[:, :, *inner].flatten(2).numpy())
    return np.concatenate(means, 1), np.concatenate(cells, 2)


def level_of_cells(levels: np.ndarray, ndim: int) -> float:
    """RMS level of the cells ``(octaves, groups, n)``, over the channels."""
    power = np.square(levels.astype(np.float64)).mean(axis=-1)
    each = power[:, : max(1, power.shape[1] - 1)].mean(axis=1)  # the last group is brightness
    return math.sqrt(float(areas(ndim, len(levels)) @ each))


def law_of_cells(means: np.ndarray, levels: np.ndarray, ndim: int) -> Process:
    """The noise from the cells' mean signal ``(C, n)`` and levels ``(octaves, groups, n)``: its law
    and, unless it is white, its spectrum.

    The law is a photon transfer line through the cells' levels, and the spectrum their median
    ratio to the level.
    """
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
    parts = (bright, colour) if channels > 1 else (bright,)
    return Correlated(white, Octaves.of_means(*parts, ndim=ndim), ndim)


def windows(
    shape: tuple[int, ...], reach: int, cell: int, size: int = 256, most: int = 64
) -> list[Tile]:
    """The windows given to Ψ: all of a small item, an even selection from a large one."""
    every = list(tiles(shape, size, reach, cell, border=cell))
    return every[:: -(-len(every) // most)]
