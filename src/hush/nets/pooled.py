"""Statistics of the whole image inside a network: taken once, then told to every tile.

Channel attention weighs a feature by its mean over the image. A tile's mean is another one, so
tiles would show seams. Networks here ask a `Pool` for such statistics, which computes them, or
hands out those it was given: ``net(tile, net.pooled(image))``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


class Pool:
    """Hands out a network's global statistics in the order in which it asks for them.

    given : statistics to hand out, of one image or of one per row; None computes them.
    rows : length of the features' first axis, for statistics of one image given to several.
    share : this many rows in a row belong to one image and share their average.
    """

    def __init__(self, given: Sequence[Tensor] | None, rows: int, share: int = 1) -> None:
        self.given = None if given is None else iter(given)
        self.rows, self.share = rows, share
        self.seen: list[Tensor] = []

    def __call__(self, statistic: Callable[[], Tensor]) -> Tensor:
        value = next(self.given) if self.given is not None else self._averaged(statistic())
        self.seen.append(value)
        return value.repeat(self.rows // len(value), *[1] * (value.ndim - 1))

    def _averaged(self, value: Tensor) -> Tensor:
        if self.share == 1:
            return value
        mean = value.unflatten(0, (-1, self.share)).mean(1)
        return mean.repeat_interleave(self.share, 0)


class PooledNet(nn.Module):
    """A network ``(B, C, H, W) → (B, C, H, W)`` that can be told its global statistics.

    Tiles that begin at multiples of `multiple`, with a margin of `radius`, and are told the
    image's statistics give the image's own result. A network writes these two and `run`.
    """

    @property
    def multiple(self) -> int:
        """Tiles begin at multiples of this."""
        raise NotImplementedError

    @property
    def radius(self) -> int:
        """Pixels, each way, that an output pixel can depend on, the statistics apart."""
        raise NotImplementedError

    def run(self, x: Tensor, pooled: Sequence[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        """The result, and the statistics that it came from."""
        raise NotImplementedError

    def forward(self, x: Tensor, pooled: Sequence[Tensor] | None = None) -> Tensor:
        """``(B, C, H, W)``, of any size, from the image's own statistics or from `pooled`."""
        return self.run(x, pooled)[0]

    def pooled(self, x: Tensor, side: int = 512) -> list[Tensor]:
        """The statistics of `x`, one tensor for each time the network takes any.

        Of an image larger than `side` pixels each way, the mean over at most three crops of that
        side along each axis, evenly apart, at multiples of `multiple`. That bounds memory and
        time; tiles still agree, for all are told the same. (With the mean over all tiles of an
        image a small trained NAFNet's result moved by 0.3 % of what it removed.)
        """

        def starts(n: int) -> list[int]:
            count = min(-(-n // side), 3)
            even = ((n - side) * i // max(count - 1, 1) for i in range(count))
            return [max(start, 0) // self.multiple * self.multiple for start in even]

        corners = itertools.product(*map(starts, x.shape[-2:]))
        every = [self.run(x[..., i : i + side, j : j + side], None)[1] for i, j in corners]
        return [torch.stack(crops).mean(0) for crops in zip(*every, strict=True)]
