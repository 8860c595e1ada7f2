"""How a blind spot stays blind: the parts that the blind-spot networks share.

A convolution with a masked centre does not see its own pixel. An ordinary convolution after it
would, through the neighbours. So all later layers move in strides of `step` only: a dilated
convolution is an ordinary one on each of the ``step²`` *phases*, a phase being every step-th row
and column of the features. The first convolution masks every pixel that such strides can reach from
the blind spot. Then nothing computed within one phase, whether a convolution, a downsampling or a
mean over all of it, depends on the pixels of its own outputs. The border is padded with zeros: a
reflection could show a pixel its own mirror image.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BlindConv(nn.Conv2d):
    """Convolution masked within the blind spots of all pixels of its own phase.

    ``(B, inputs, H, W)`` to ``(B, outputs, H, W)``, zero padding.

    blind : side of the hidden square of pixels, centred on the output pixel; odd.
    reach : the kernel's side is ``2·reach + 1``.
    step : stride of all later layers; with ``reach + blind//2 + 1`` or more, the kernel
        covers only one blind spot and the mask is its centre.

    With ``blind=False``, a call uses the whole kernel and sees every pixel.
    """

    mask: Tensor

    def __init__(self, inputs: int, outputs: int, blind: int, reach: int, step: int) -> None:
        super().__init__(inputs, outputs, 2 * reach + 1, padding=reach)
        away = torch.arange(-reach, reach + 1) % step
        near = torch.minimum(away, step - away) <= blind // 2  # to the nearest pixel of the phase
        self.register_buffer("mask", ~(near[:, None] & near), persistent=False)

    def forward(self, x: Tensor, blind: bool = True) -> Tensor:
        weight = self.weight * self.mask if blind else self.weight
        return F.conv2d(x, weight, self.bias, padding=self.padding)


class DilatedBlock(nn.Module):
    """x + 1×1(relu(3×3(x))), dilated by `step`; on a phase, with step 1, it acts as a dilated one.

    ``(B, width, H, W)`` to the same shape.
    """

    def __init__(self, width: int, step: int = 1) -> None:
        super().__init__()
        self.spread = nn.Conv2d(width, width, 3, padding=step, dilation=step)
        self.project = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.project(F.relu(self.spread(x)))
        return out


def bell(blind: int) -> Tensor:
    """Gaussian weights of pixels up to `blind` away, ``(2·blind + 1,)``: enough to reach out of a
    blind spot of that side from its corner."""
    at = torch.arange(-blind, blind + 1)
    return torch.exp(-0.5 * (at / max(1.0, blind / 3)) ** 2)


class BlindMean(nn.Module):
    """Gaussian-weighted means around each pixel's blind spot, ``(B, C, H, W)`` to the same shape.

    Pixels beyond the border have no weight.

    blind : side of the hidden square; odd.
    hidden : what is hidden instead of that square, bool ``(2·blind + 1, 2·blind + 1)``.
    """

    kernel: Tensor

    def __init__(self, blind: int, hidden: Tensor | None = None) -> None:
        super().__init__()
        if hidden is None:
            near = torch.arange(-blind, blind + 1).abs() <= blind // 2
            hidden = near[:, None] & near
        kernel = torch.outer(bell(blind), bell(blind)) * ~hidden
        self.register_buffer("kernel", kernel[None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        reach, channels = self.kernel.shape[-1] // 2, x.shape[1]
        seen = F.conv2d(torch.ones_like(x[:1, :1]), self.kernel.to(x), padding=reach)
        kernel = self.kernel.to(x).expand(channels, -1, -1, -1)
        return F.conv2d(x, kernel, padding=reach, groups=channels) / seen.clamp(min=1e-6)


def to_phases(x: Tensor, step: int) -> Tensor:
    """``(B, C, H, W)`` to ``(B·step², C, ⌈H/step⌉, ⌈W/step⌉)``, padded with zeros."""
    height, width = x.shape[-2:]
    x = F.pixel_unshuffle(F.pad(x, (0, -width % step, 0, -height % step)), step)
    return x.unflatten(1, (-1, step**2)).transpose(1, 2).flatten(0, 1)


def from_phases(x: Tensor, step: int, size: torch.Size) -> Tensor:
    """``(B·step², C, h, w)`` back to ``(B, C, H, W)``; ``size`` is (H, W)."""
    x = x.unflatten(0, (-1, step**2)).transpose(1, 2).flatten(1, 2)
    return F.pixel_shuffle(x, step)[..., : size[0], : size[1]]
