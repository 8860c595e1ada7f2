"""Networks for interference in signals: a U-Net over frames, with or without local attention.

It begins with a strided convolution that turns samples into frames and ends with its transpose. It
is local: frames further away than a fixed reach have no effect, so long recordings may be processed
in windows. Samples are divided by their running level first, so that gain, which differs between
channels and with contraction, does not matter; drift stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CELL = 64  #: samples in which the running level is measured
DRIFT = 201  #: samples of a running mean; taken twice, it is the drift, below 5 Hz at 1 kHz
AROUND = 31  #: cells to either side over which it is averaged, 2 s at 1 kHz


class Levelled(nn.Module):
    """Samples without their drift, divided by their running rms."""

    #: samples to either side that the result depends on
    reach = (AROUND + 2) * CELL + 2 * (DRIFT // 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The levelled samples ``(B, 1, T)``, and the level; T is a multiple of `CELL`."""
        with torch.autocast(x.device.type, enabled=False):
            drift = x = x.float()
            for _ in range(2):
                drift = F.avg_pool1d(drift, DRIFT, 1, DRIFT // 2, count_include_pad=False)
            x = x - drift
            power = F.avg_pool1d(x.square(), CELL, CELL)
            size = 2 * AROUND + 1
            around = F.avg_pool1d(power, size, 1, padding=AROUND, count_include_pad=False)
            level = F.interpolate(around.sqrt(), scale_factor=CELL, mode="linear")
            level = level.clamp(min=1e-20)
        return x / level, level


class Stem(nn.Module):
    """Frames of samples, four strides long, and back."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        size, border = 4 * stride, 3 * stride // 2
        self.stride = stride
        self.enter = nn.Conv1d(1, width, size, stride=stride, padding=border)
        self.leave = nn.ConvTranspose1d(width, 1, size, stride=stride, padding=border)


class WaveUNet(nn.Module):
    """Interference in ``(B, 1, T)``, same shape: a U-Net over frames.

    widths, blocks : features and residual blocks at each scale, each half as fine as the last.
    attention : layers of local attention at the coarsest scale.
    """

    def __init__(
        self,
        widths: Sequence[int] = (48, 64, 96, 128, 128),
        blocks: Sequence[int] = (1, 1, 1, 1, 2),
        stride: int = 4,
        attention: int = 0,
    ) -> None:
        super().__init__()
        self.level, self.stem = Levelled(), Stem(widths[0], stride)
        self.blocks, self.attention = tuple(blocks), attention

        def stack(width: int, count: int) -> nn.Sequential:
            return nn.Sequential(*(_Residual(width) for _ in range(count)))

        pairs = list(pairwise(widths))
        self.enter = nn.ModuleList(stack(w, n) for w, n in zip(widths, blocks, strict=True))
        self.down = nn.ModuleList(nn.Conv1d(a, b, 2, stride=2) for a, b in pairs)
        self.up = nn.ModuleList(nn.ConvTranspose1d(b, a, 2, stride=2) for a, b in pairs)
        self.leave = nn.ModuleList(
            stack(w, n) for w, n in zip(widths[:-1], blocks[:-1], strict=True)
        )
        self.middle = nn.Sequential(*(LocalAttention(widths[-1]) for _ in range(attention)))
        self.multiple = max(CELL, stride * 2 ** (len(widths) - 1))

    @property
    def radius(self) -> int:
        """Samples to either side that the output depends on, a multiple of `multiple`."""
        frames, last = 0, len(self.blocks) - 1
        for i, n in enumerate(self.blocks):
            frames += 2**i * n * _Residual.reach * (1 if i == last else 2)
        frames += 2**last * (1 + self.attention * LocalAttention.reach)
        samples = self.level.reach + self.stem.stride * (frames + 4)
        return -(-samples // self.multiple) * self.multiple

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[-1]
        x = F.pad(x, (0, -length % self.multiple))
        z, level = self.level(x)
        h = self.stem.enter(z)
        skips = []
        for enter, down in zip(self.enter, self.down, strict=False):
            h = enter(h)
            skips.append(h)
            h = down(F.gelu(h))
        h = self.middle(self.enter[-1](h))
        for up, leave in zip(reversed(self.up), reversed(self.leave), strict=True):
            h = leave(up(F.gelu(h)) + skips.pop())
        found: Tensor = self.stem.leave(h).float() * level
        return found[..., :length]


class InterferenceLevel(nn.Module):
    """MID's Ψ for interference: its share of the amplitude around every cell, 0 to 1.

    A share is the square root of the interference's part of the power.
    """

    cell = 256  #: samples for which there is one answer

    def __init__(self, width: int = 48, stride: int = 4) -> None:
        super().__init__()
        self.level = Levelled()
        self.enter = nn.Conv1d(1, width, 4 * stride, stride=stride, padding=3 * stride // 2)
        self.features = nn.Sequential(*(_Residual(width) for _ in range(2)))
        self.down = nn.Conv1d(width, 2 * width, 4, stride=4)
        self.beats = nn.Sequential(*(_Residual(2 * width) for _ in range(3)))
        self.answer = nn.Sequential(nn.Linear(4 * width, width), nn.GELU(), nn.Linear(width, 1))
        self.stride, self.multiple = stride, self.cell

    @property
    def radius(self) -> int:
        """Samples to either side that an answer depends on, a multiple of `cell`."""
        frames = 2 * _Residual.reach + 4 * 3 * _Residual.reach + 8
        samples = self.level.reach + self.stride * frames + AROUND * CELL
        return -(-samples // self.cell) * self.cell

    def forward(self, x: Tensor) -> Tensor:
        """``(B, 1, T)``, T a multiple of `cell`, to ``(B, T / cell)``."""
        return self.logits(x).sigmoid()

    def logits(self, x: Tensor) -> Tensor:
        """The same before the sigmoid."""
        h = self.enter(self.level(x)[0])
        h = F.gelu(self.beats(self.down(F.gelu(self.features(h)))))
        size = self.cell // (4 * self.stride)
        # Beats are rare: both how strong they are and how far they stand out matter.
        mean = F.avg_pool1d(h.float(), size)
        most = F.max_pool1d(h.float(), size)
        around = 2 * (AROUND * CELL // self.cell) + 1
        mean = F.avg_pool1d(mean, around, 1, around // 2, count_include_pad=False)
        most = F.avg_pool1d(most, around, 1, around // 2, count_include_pad=False)
        answer: Tensor = self.answer(torch.cat([mean, most], 1).movedim(1, -1))
        return answer[..., 0]


class LocalAttention(nn.Module):
    """A Transformer layer in which a frame attends to those at most `reach` away."""

    reach = 96

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        # Attention cannot tell neighbours apart by itself: a short convolution does.
        self.near = nn.Conv1d(width, width, 5, padding=2, groups=width)
        self.asked = nn.Linear(width, 3 * width)
        self.joined = nn.Linear(width, width)
        self.forward_layers = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.distance = nn.Parameter(torch.zeros(heads, 2 * self.reach + 1))
        for parameter in (*self.joined.parameters(), *self.forward_layers[-1].parameters()):
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, width, T)``, same shape."""
        h = (x + self.near(x)).transpose(1, 2)
        h = h + self.joined(self._attended(self.before(h)))
        h = h + self.forward_layers(self.between(h))
        return h.transpose(1, 2)

    def _attended(self, h: Tensor) -> Tensor:
        """Attention in blocks of `reach` frames, each of which sees itself and both neighbours."""
        length, size = h.shape[1], self.reach
        asked = F.pad(self.asked(h), (0, 0, 0, -length % size))
        q, k, v = asked.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        blocks = q.shape[2] // size

        def seen(z: Tensor) -> Tensor:
            padded = F.pad(z, (0, 0, size, size))
            return padded.unfold(2, 3 * size, size).transpose(-1, -2)  # (B, heads, blocks, 3R, d)

        place = torch.arange(size, device=h.device)
        apart = torch.arange(3 * size, device=h.device)[None] - size - place[:, None]
        near = apart.abs() <= size
        bias = self.distance[:, apart.clamp(-size, size) + size].masked_fill(~near, -torch.inf)
        at = torch.arange(blocks, device=h.device)[:, None] * size - size
        at = at + torch.arange(3 * size, device=h.device)[None]
        there = ((at >= 0) & (at < length))[:, None]  # frames beyond the ends do not exist
        bias = bias[:, None].masked_fill(~there[None], -torch.inf)
        # The padding's own frames see nothing that exists; what they answer is cut off.
        nothing = torch.isinf(bias).all(-1, keepdim=True)
        bias = bias.masked_fill(nothing, 0.0)
        answer = F.scaled_dot_product_attention(
            q.unflatten(2, (blocks, size)), seen(k), seen(v), attn_mask=bias[None].to(q.dtype)
        )
        together: Any = answer.flatten(2, 3).transpose(1, 2).flatten(2)
        result: Tensor = together[:, :length]
        return result


class _Residual(nn.Module):
    """x + conv(gelu(conv(gelu(x)))); the second convolution is initialised with zeros."""

    reach = 4

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(width, width, 5, padding=2)
        self.second = nn.Conv1d(width, width, 5, padding=2)
        for parameter in self.second.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(F.gelu(self.first(F.gelu(x))))
        return out
