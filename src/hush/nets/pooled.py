"""Statistics of the whole image inside a network: computed once, then used for every tile.

Channel attention weights a feature by its mean over the image. The mean over a tile is different,
so tiles would show seams. These networks get such statistics from a `Pool`, which either computes
them or returns the ones it was given: ``net(tile, net.pooled(image))``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


class Pool:
    """Returns a network's global statistics in the order in which the network needs them.

    given : statistics to return, of one image or of one per row; None computes them.
    rows : length of the features' first axis, to use the statistics of one image for several.
    share : this many consecutive rows belong to one image and share their average.
    """

    def __init__(self, given: Sequence[Tensor] | None, rows: int, share: int = 1) -> None:
        self.given = None if given is None else iter(given)
        self.rows, self.share = rows, share
        self.seen: list[Tensor] = []

    def __call__(self, statistic: Callable[[], Tensor]) -> Tensor:
        if self.given is None:
            self.seen.append(self._averaged(statistic()))
            return self.seen[-1]
        self.seen.append(value := next(self.given))
        return value.repeat(self.rows // len(value), *[1] * (value.ndim - 1))

    def _averaged(self, value: Tensor) -> Tensor:
        if self.share == 1:
            return value
        mean = value.unflatten(0, (-1, self.share)).mean(1)
        return mean.repeat_interleave(self.share, 0)


class PooledNet(nn.Module):
    """A network ``(B, C, H, W) → (B, C, H, W)`` that accepts its global statistics as input.

    Tiles give the whole image's result if they begin at multiples of `multiple`, have a margin of
    `radius` and get the image's statistics. A network defines these two and `run`.
    """

    @property
    def multiple(self) -> int:
        """Tiles begin at multiples of this."""
        raise NotImplementedError

    @property
    def radius(self) -> int:
        """Receptive radius in pixels, not counting the statistics."""
        raise NotImplementedError

    def run(self, x: Tensor, pooled: Sequence[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        """The result, and the statistics used for it."""
        raise NotImplementedError

    def forward(self, x: Tensor, pooled: Sequence[Tensor] | None = None) -> Tensor:
        """``(B, C, H, W)`` of any size, with its own statistics or with `pooled`."""
        return self.run(x, pooled)[0]

    def pooled(self, x: Tensor, side: int = 512) -> list[Tensor]:
        """The statistics of `x`, one tensor for each time the network uses any.

        For an image larger than `side` pixels, the mean over at most three evenly spaced crops of
        that side along each axis, at multiples of `multiple`. This bounds memory and
        time. Tiles still agree, because all get the same. (With the mean over all tiles of an
        image, the result of a small trained NAFNet changed by 0.3 % of what it removed.)
        """

        def starts(n: int) -> list[int]:
            count = min(-(-n // side), 3)
            even = ((n - side) * i // max(count - 1, 1) for i in range(count))
            return [max(start, 0) // self.multiple * self.multiple for start in even]

        corners = itertools.product(*map(starts, x.shape[-2:]))
        every = [self.run(x[..., i : i + side, j : j + side], None)[1] for i, j in corners]
        return [torch.stack(crops).mean(0) for crops in zip(*every, strict=True)]


class Unpooled(PooledNet):
    """A network ``(B, C, H, W) → (B, C, H, W)`` that uses no statistics.

    As for every `PooledNet`, there are zeros beyond the image's border, not a reflection, which
    would show a blind spot its own mirror image. A network defines `multiple`, `radius` and
    `answer`.
    """

    def answer(self, x: Tensor) -> Tensor:
        """The result, for any size."""
        raise NotImplementedError

    def run(self, x: Tensor, pooled: Sequence[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        """See `PooledNet.run`."""
        return self.answer(x), []

    def pooled(self, x: Tensor, side: int = 512) -> list[Tensor]:
        """See `PooledNet.pooled`; here none."""
        return []
