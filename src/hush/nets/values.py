"""Networks for values on a grid with any number of axes, small enough to be defaults.

Both are bias-free, and their first layer uses only differences between values. So an estimate of
the noise is equivariant to gain and invariant to offset by construction.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hush.noise.spectrum import OCTAVES

_CONV = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_UP = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_POOL = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)


def average(x: Tensor, size: int, stride: int | None = None) -> Tensor:
    """Means over windows of `size` along every axis of ``(B, C, *S)``, one axis after another."""
    rank = x.ndim - 2
    for axis in range(rank):
        window, step = [1] * rank, [1] * rank
        window[axis], step[axis] = size, size if stride is None else stride
        x = _POOL[rank - 1](x, window, stride=step)
    return x


def conv(rank: int, inputs: int, outputs: int) -> Any:
    """A convolution over 3 values along each of `rank` axes, without bias, zero padding."""
    return _CONV[rank - 1](inputs, outputs, 3, padding=1, bias=False)


class ZeroMean(nn.Module):
    """First layer: filters with weights that sum to zero over each channel, at full resolution.

    Replicated borders preserve this at the edge. Always float32.
    """

    def __init__(self, rank: int, channels: int, width: int, size: int = 5) -> None:
        super().__init__()
        self.rank, self.reach = rank, size // 2
        self.weight = nn.Parameter(torch.empty(width, channels, *[size] * rank))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, channels, *S)`` to ``(B, width, *S)``."""
        axes = tuple(range(2, 2 + self.rank))
        weight = self.weight - self.weight.mean(axes, keepdim=True)
        convolve = (F.conv1d, F.conv2d, F.conv3d)[self.rank - 1]
        with torch.autocast(x.device.type, enabled=False):
            padded = F.pad(x.float(), [self.reach] * 2 * self.rank, mode="replicate")
            result: Tensor = convolve(padded, weight)
        return result


def groups(channels: int) -> int:
    """Levels of one octave: one for each channel and, if there are several, their mean's."""
    return channels + (channels > 1)


class Told(nn.Module):
    """Features of the noise level for a network's first layer, at every position.

    The level has a map for each channel and, if there are several, one of their mean. Its share in
    each of `octaves` octaves is the same at every position, 1 for white noise.
    """

    def __init__(self, channels: int, rank: int, octaves: int, width: int) -> None:
        super().__init__()
        self.octaves = octaves
        self.weight = nn.Parameter(torch.empty(width, octaves * groups(channels), *[1] * rank))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def forward(self, level: Tensor, shares: Tensor | None) -> Tensor:
        """Features from level ``(B, C, *S)`` and shares ``(B, octaves, groups)``; None: white."""
        rank, channels = level.ndim - 2, level.shape[1]
        with torch.autocast(level.device.type, enabled=False):
            if channels > 1:
                mean = level.square().mean(1, keepdim=True).sqrt()
                level = torch.cat([level, mean], 1)
            if shares is None:
                shares = level.new_ones(1, self.octaves, level.shape[1])
            every = level[:, None] * shares[..., *[None] * rank]
            convolve = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]
            result: Tensor = convolve(every.flatten(1, 2), self.weight)
        return result


class ValueUNet(nn.Module):
    """Noise in values, given the expected standard deviation at each: MID's default Φ.

    channels, rank : number of channels C and of axes in S.
    widths : features at 1, 1/2, 1/4… of the resolution; blocks : residual blocks at each scale,
    on the way down and on the way up (once at the last).
    octaves : of the noise's spectrum that it is told.
    """

    def __init__(
        self,
        channels: int,
        rank: int,
        widths: Sequence[int],
        blocks: Sequence[int],
        octaves: int = OCTAVES,
    ) -> None:
        super().__init__()
        self.widths, self.blocks = tuple(widths), tuple(blocks)
        self.head = ZeroMean(rank, channels, widths[0])
        self.told = Told(channels, rank, octaves, widths[0])
        pairs = list(itertools.pairwise(widths))
        down, up = _CONV[rank - 1], _UP[rank - 1]

        def stack(width: int, count: int) -> nn.Sequential:
            return nn.Sequential(*(_Residual(rank, width) for _ in range(count)))

        self.enter = nn.ModuleList(stack(w, n) for w, n in zip(widths, blocks, strict=True))
        self.down = nn.ModuleList(down(a, b, 2, stride=2, bias=False) for a, b in pairs)
        self.up = nn.ModuleList(up(b, a, 2, stride=2, bias=False) for a, b in pairs)
        self.leave = nn.ModuleList(
            stack(w, n) for w, n in zip(widths[:-1], blocks[:-1], strict=True)
        )
        self.tail = conv(rank, widths[0], channels)

    @property
    def multiple(self) -> int:
        """Sides must be multiples of this."""
        return int(2 ** (len(self.widths) - 1))

    @property
    def radius(self) -> int:
        """Receptive radius in values, rounded up to a multiple of `multiple`."""
        last = len(self.widths) - 1
        r = self.head.reach + 1
        for i, n in enumerate(self.blocks):
            r += 2**i * 2 * n * (1 if i == last else 2)
        r += self.multiple  # strides: neighbours in the same cell of the coarsest grid
        return -(-r // self.multiple) * self.multiple

    def forward(self, x: Tensor, level: Tensor, shares: Tensor | None = None) -> Tensor:
        """Noise from values and level, all ``(B, C, *S)``; for shares see `Told`."""
        h = self.head(x) + self.told(level, shares)
        skips = []
        for enter, down in zip(self.enter, self.down, strict=False):
            h = enter(h)
            skips.append(h)
            h = down(F.relu(h))
        h = self.enter[-1](h)
        for up, leave in zip(reversed(self.up), reversed(self.leave), strict=True):
            h = leave(up(F.relu(h)) + skips.pop())
        noise: Tensor = self.tail(F.relu(h))
        return noise


class LevelNet(nn.Module):
    """The noise's deviation in each cell of 16 values a side, per octave: MID's default Ψ.

    As `Told` takes it, for each octave and each of its groups of channels.
    """

    cell = 16
    #: values beyond the cell, each way, that its output depends on
    radius = 16

    def __init__(self, channels: int, rank: int, width: int = 32, octaves: int = OCTAVES) -> None:
        super().__init__()
        self.octaves = octaves
        self.head = ZeroMean(rank, channels, width)
        self.features = nn.Sequential(
            nn.ReLU(), conv(rank, width, width), nn.ReLU(), conv(rank, width, width), nn.ReLU()
        )
        self.fully_connected = nn.Sequential(
            nn.Linear(width, 2 * width, bias=False),
            nn.ReLU(),
            nn.Linear(2 * width, octaves * groups(channels), bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, *S)``, sides multiples of 16, to ``(B, octaves, groups, *S/16)``."""
        h = average(self.features(self.head(x)), self.cell)
        h = self.fully_connected(h.movedim(1, -1)).movedim(-1, 1)
        return h.abs().unflatten(1, (self.octaves, -1))


class _Residual(nn.Module):
    """x + conv(relu(conv(x))); the second convolution is initialised with zeros."""

    def __init__(self, rank: int, width: int) -> None:
        super().__init__()
        self.first, self.second = conv(rank, width, width), conv(rank, width, width)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(F.relu(self.first(x)))
        return out
