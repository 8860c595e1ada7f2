"""Two networks for Φ: one for white noise, and one for noise that spans pixels.

A network that learns both loses a little at each: what is told of a measured spectrum is never as
sure as that noise is white. Which of them takes a sample follows from the spectrum that it is told.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

WHITE = 1e-3  #: largest distance of the shares from 1, those of white noise


class Experts(nn.Module):
    """The noise in each sample from `white` or `spanning`, networks with the same arguments."""

    def __init__(self, white: nn.Module, spanning: nn.Module) -> None:
        super().__init__()
        self.white, self.spanning = white, spanning

    @property
    def multiple(self) -> int:
        """Sides must be multiples of this."""
        return max(self._each("multiple"))

    @property
    def radius(self) -> int:
        """Receptive radius, rounded up to a multiple of `multiple`."""
        return -(-max(self._each("radius")) // self.multiple) * self.multiple

    def forward(self, x: Tensor, level: Tensor, shares: Tensor | None = None) -> Tensor:
        """Noise from values and level, all ``(B, C, *S)``; shares as for `Told`."""
        if shares is None:
            return self.white(x, level)
        white = _white(shares).expand(len(x))
        if white.all():
            return self.white(x, level, shares)
        if not white.any():
            return self.spanning(x, level, shares)
        shares = shares.expand(len(x), *shares.shape[1:])
        parts = [
            (where, network(x[where], level[where], shares[where]))
            for where, network in ((white, self.white), (~white, self.spanning))
        ]
        noise = torch.empty_like(x, dtype=parts[0][1].dtype)
        for where, part in parts:
            noise[where] = part
        return noise

    def _each(self, name: str) -> list[Any]:
        return [getattr(network, name) for network in (self.white, self.spanning)]


def chosen(network: Any, shares: Tensor) -> Any:
    """The network that takes samples with these shares, all of one kind: an expert, or itself."""
    if not isinstance(network, Experts):
        return network
    return network.white if _white(shares).all() else network.spanning


def _white(shares: Tensor) -> Tensor:
    """Which of the shares ``(B, octaves, groups)`` are those of white noise."""
    return ((shares - 1).abs() < WHITE).flatten(1).all(1)
