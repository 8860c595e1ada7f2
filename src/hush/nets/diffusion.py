"""A small conditional U-Net for the states of a diffusion.

After A. Nichol, P. Dhariwal, "Improved Denoising Diffusion Probabilistic Models", ICML 2021: the
time embedding scales and shifts the normalised features of the residual blocks, and the condition
is concatenated to the state. Three differences: normalisation is over the channels of each pixel
instead of over the image, so that tiles agree; there is no attention, whose cost grows with the
square of the number of pixels; and 2×2 pixels are folded into channels, which makes it four times
as fast.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DiffusionUNet(nn.Module):
    """Predicts a target such as the noise in X_t, given a condition and the time.

    channels : image channels C of state and condition.
    widths : features at 1/2, 1/4 … of the resolution; the paper-sized network has
        ``(256, 256, 512)`` and ``blocks=3``.
    blocks : residual blocks at each scale, on the way down and on the way up.
    total : number of times (noise levels).
    """

    def __init__(
        self, channels: int, widths: Sequence[int] = (48, 96), blocks: int = 1, total: int = 1000
    ) -> None:
        super().__init__()
        self.total, self.blocks, self.widths = total, blocks, tuple(widths)
        embedded = 4 * widths[0]
        self.embed = nn.Sequential(
            nn.Linear(widths[0], embedded), nn.SiLU(), nn.Linear(embedded, embedded), nn.SiLU()
        )
        self.head = nn.Conv2d(8 * channels, widths[0], 3, padding=1)
        pairs = list(itertools.pairwise(widths))
        self.enter = nn.ModuleList(_stack(w, embedded, blocks) for w in widths)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairs)
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairs)
        self.leave = nn.ModuleList(_stack(w, embedded, blocks) for w in widths[:-1])
        self.tail = nn.Conv2d(widths[0], 4 * channels, 3, padding=1)
        nn.init.zeros_(self.tail.weight)

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this."""
        return 2 ** len(self.widths)

    @property
    def radius(self) -> int:
        """Receptive radius in pixels, rounded up to a multiple of `multiple`."""
        last = len(self.widths) - 1
        reach = 2 * 2 + self.multiple
        for i in range(last + 1):
            reach += 2 ** (i + 1) * 2 * self.blocks * (1 if i == last else 2)
        return -(-reach // self.multiple) * self.multiple

    def forward(self, x: Tensor, condition: Tensor, time: Tensor) -> Tensor:
        """``(B, C, H, W)`` from states `x` and conditions of the same shape, at times ``(B,)``."""
        t = self.embed(_sinusoids(time / self.total, self.widths[0]).to(x.dtype))
        h = self.head(F.pixel_unshuffle(torch.cat([x, condition], 1), 2))
        skips = []
        for enter, down in zip(self.enter, self.down, strict=False):
            h = _through(enter, h, t)
            skips.append(h)
            h = down(h)
        h = _through(self.enter[-1], h, t)
        for up, leave in zip(reversed(self.up), reversed(self.leave), strict=True):
            h = _through(leave, up(h) + skips.pop(), t)
        out: Tensor = F.pixel_shuffle(self.tail(F.silu(h)), 2)
        return out


class _Block(nn.Module):
    """h + conv(silu(scaled and shifted norm(conv(silu(norm(h))))))."""

    def __init__(self, width: int, embedded: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.modulate = nn.Linear(embedded, 2 * width)
        nn.init.zeros_(self.second.weight)

    def forward(self, h: Tensor, t: Tensor) -> Tensor:
        scale, shift = self.modulate(t)[..., None, None].chunk(2, 1)
        inner = self.first(F.silu(_normalised(h)))
        out: Tensor = h + self.second(F.silu(_normalised(inner) * (1 + scale) + shift))
        return out


def _normalised(h: Tensor) -> Tensor:
    """Normalise the channels of every pixel to mean 0 and variance 1."""
    return F.layer_norm(h.movedim(1, -1), h.shape[1:2]).movedim(-1, 1)


def _sinusoids(share: Tensor, width: int) -> Tensor:
    """Sines and cosines ``(B, width)`` of the time, as a share of the way to pure noise."""
    rates = torch.exp(torch.linspace(0, math.log(1000.0), width // 2, device=share.device))
    angles = share[:, None] * rates * 2 * math.pi / 4
    return torch.cat([angles.sin(), angles.cos()], 1)


def _stack(width: int, embedded: int, blocks: int) -> nn.ModuleList:
    return nn.ModuleList(_Block(width, embedded) for _ in range(blocks))


def _through(blocks: Any, h: Tensor, t: Tensor) -> Tensor:
    for block in blocks:
        h = block(h, t)
    return h
