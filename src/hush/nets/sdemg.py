"""The two-stream network of SDEMG (Liu et al., ICASSP 2024), after DeScoD-ECG (Li et al., 2023).

The paper's layers: one stream of half-normalised filter blocks for the diffused signal and one for
the noisy recording, with dilations 1, 2, 4, 2, 1. After every block a bridge takes the first
stream's features, scaled and shifted by the noise level, to the second stream, which predicts the
noise. Two differences: normalisation is over the features of each sample instead of over the whole
segment, so that windows agree; and `fold` neighbouring samples are folded into channels, which
divides the time and multiplies the receptive field by that. With ``width=128, fold=1`` sizes are
the paper's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hush.errors import HushError
from hush.nets import Tiled

SLOPE = 0.2  #: of the leaky ReLU, as in the paper
TAPS = 9  #: of the convolutions that mix features
FILTERS = (3, 5, 9, 15)  #: taps of the parallel filters of a block
SCALES = 1000.0  #: the fastest change of the level's embedding over the slowest one


class TwoStreams(Tiled):
    """Predicts the noise in a diffused signal, given the noisy recording and the noise level.

    width : features, a multiple of 4; fold : samples per step in time; dilations : of the blocks.
    """

    def __init__(
        self, width: int = 64, fold: int = 8, dilations: Sequence[int] = (1, 2, 4, 2, 1)
    ) -> None:
        super().__init__()
        if width < 4 or width % 4 or fold < 1 or min(dilations, default=0) < 1:
            raise HushError(
                "SDEMG needs a width that is a multiple of 4, a fold and dilations from 1, not "
                f"{width}, {fold} and {list(dilations)}"
            )
        self.width, self.fold, self.dilations = width, fold, tuple(dilations)
        self.enter = nn.ModuleList(_conv(fold, width, TAPS) for _ in range(2))
        self.diffused = nn.ModuleList(_Block(width, d) for d in dilations)
        self.recorded = nn.ModuleList(_Block(width, d) for d in dilations)
        self.bridges = nn.ModuleList(_Bridge(width) for _ in range(len(dilations) + 1))
        self.tail = _conv(width, fold, TAPS)
        nn.init.zeros_(self.tail.weight)

    @property
    def multiple(self) -> int:
        """The length must be a multiple of this."""
        return self.fold

    @property
    def radius(self) -> int:
        """Receptive radius in samples, a multiple of `multiple`."""
        blocks = sum(FILTERS[-1] // 2 * d + 2 * (TAPS // 2) for d in self.dilations)
        return self.fold * (2 * (TAPS // 2) + blocks + 2 + 1)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """``(B, 1, T)`` from `x` ``(B, 2, T)``, the diffused signal and the noisy recording.

        level : ``(B,)``, the share of signal in the diffused one, √ᾱ.
        """
        told = self._embedded(level.to(x.dtype))
        folded = x.unflatten(2, (-1, self.fold)).transpose(2, 3)
        state, recorded = (
            F.leaky_relu(enter(part), SLOPE)
            for enter, part in zip(self.enter, folded.unbind(1), strict=True)
        )
        recorded = recorded + self.bridges[0](state, told)
        for own, other, bridge in zip(
            self.diffused, self.recorded, list(self.bridges)[1:], strict=True
        ):
            state = own(state)
            recorded = other(recorded) + bridge(state, told)
        out: Tensor = self.tail(recorded)
        return out.transpose(1, 2).flatten(1)[:, None]

    def _embedded(self, level: Tensor) -> Tensor:
        """Sines and cosines ``(B, width)`` of the level."""
        share = torch.linspace(0, 1, self.width // 2, device=level.device)
        angles = level[:, None] * torch.exp(math.log(SCALES) * share) * math.pi / 2
        return torch.cat([angles.sin(), angles.cos()], 1).to(level.dtype)


class _Block(nn.Module):
    """Half-normalised filters: parallel dilated filters, mixed, and one half normalised."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.filters = nn.ModuleList(_conv(width, width // 4, k, dilation) for k in FILTERS)
        self.first, self.second = _conv(width, width, TAPS), _conv(width, width, TAPS)

    def forward(self, x: Tensor) -> Tensor:
        found = self.first(torch.cat([layer(x) for layer in self.filters], 1))
        even, plain = found.chunk(2, 1)
        even = F.layer_norm(even.transpose(1, 2), even.shape[1:2]).transpose(1, 2)
        found = F.leaky_relu(torch.cat([even, plain], 1), SLOPE)
        return x + F.leaky_relu(self.second(found), SLOPE)


class _Bridge(nn.Module):
    """Features of one stream for the other, scaled and shifted by the noise level."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = _conv(width, width, 3), _conv(width, width, 3)
        self.modulate = nn.Linear(width, 2 * width)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        scale, shift = self.modulate(told)[..., None].chunk(2, 1)
        out: Tensor = self.second(self.first(x) * (1 + scale) + shift)
        return out


def _conv(inputs: int, outputs: int, taps: int, dilation: int = 1) -> nn.Conv1d:
    return nn.Conv1d(inputs, outputs, taps, dilation=dilation, padding=taps // 2 * dilation)
