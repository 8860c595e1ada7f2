"""A small axial Transformer over the rows and columns of an alignment.

As in the MSA Transformer (Rao et al., ICML 2021), attention goes along one axis after the other.
Here a row attends to its own columns, in windows, and in every column to the rows of a context, not
to all others: so the score of a row depends on the context alone, and the cost is linear in the
number of rows and of columns. The order of the rows does not matter.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hush.io.residues import SIZE

WINDOW = 32  #: columns that attend to each other


class Axial(nn.Module):
    """Attention along the columns of a row, then along the rows of a column, and a feed-forward."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_columns, self.before_rows = nn.LayerNorm(width), nn.LayerNorm(width)
        self.columns, self.columns_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.asks, self.told = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.rows_out = nn.Linear(width, width)
        self.place = nn.Parameter(torch.zeros(heads, 2 * WINDOW - 1))
        self.feed = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, rows: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Features of rows ``(R, L, H)`` and context ``(C, L, H)``, L a multiple of WINDOW."""
        rows, context = self._along_columns(rows), self._along_columns(context)
        told = self.told(self.before_rows(context))
        return self._along_rows(rows, told), self._along_rows(context, told)

    def _along_columns(self, x: Tensor) -> Tensor:
        count, length, width = x.shape
        z = self.columns(self.before_columns(x))
        z = z.view(count, length // WINDOW, WINDOW, 3, self.heads, width // self.heads)
        ask, key, value = z.permute(3, 0, 1, 4, 2, 5).unbind(0)
        apart = torch.arange(WINDOW, device=x.device)
        bias = self.place[:, apart[:, None] - apart[None] + WINDOW - 1]
        seen = attended(ask, key, value, bias)
        return x + self.columns_out(seen.transpose(2, 3).reshape(count, length, width))

    def _along_rows(self, x: Tensor, told: Tensor) -> Tensor:
        count, length, width = x.shape
        ask = self.asks(self.before_rows(x)).view(count, length, self.heads, -1)
        key, value = told.view(len(told), length, 2, self.heads, -1).permute(2, 1, 3, 0, 4)
        seen = attended(ask.permute(1, 2, 0, 3), key, value, 0)
        x = x + self.rows_out(seen.permute(2, 0, 1, 3).reshape(count, length, width))
        return x + self.feed(x)


def attended(ask: Tensor, key: Tensor, value: Tensor, bias: Tensor | int) -> Tensor:
    """Attention ``(…, n, h)``; for a few keys faster than torch's fused one, mainly backwards."""
    score = ask @ key.transpose(-1, -2) / ask.shape[-1] ** 0.5 + bias
    return score.softmax(-1) @ value


class AxialNet(nn.Module):
    """Φ and Ψ for alignments: logits of every row, and of the shares of the noise among the rows.

    columns : features of each residue beside its token; rows : of each row; noises : parts of the
    noise that have a logit each.
    """

    def __init__(
        self, columns: int, rows: int, noises: int, width: int = 32, layers: int = 1, heads: int = 2
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(SIZE, width)
        self.inner = nn.Linear(columns, width)
        self.blocks = nn.ModuleList(Axial(width, heads) for _ in range(layers))
        self.weigh, self.last = nn.Linear(width, 1), nn.LayerNorm(width)
        self.noise = nn.Sequential(
            nn.Linear(2 * width + rows, 2 * width), nn.GELU(), nn.Linear(2 * width, noises)
        )
        self.step = nn.Sequential(
            nn.Linear(2 * width + rows + noises, width), nn.GELU(), nn.Linear(width, noises)
        )

    def forward(
        self, tokens: Tensor, columns: Tensor, rows: Tensor, context: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Logits of the rows ``(R, K)`` and what `shares` takes ``(R, F)``.

        tokens : ``(R, L)``; columns : ``(R, L, D)``; rows : ``(R, E)``; context : the tokens and
        features of the rows to compare with, ``(C, L)`` and ``(C, L, D)``.
        """
        length = tokens.shape[1]
        more = -length % WINDOW
        x, c = self._embedded(tokens, columns, more), self._embedded(*context, more)
        for block in self.blocks:
            x, c = block(x, c)
        x = self.last(x[:, :length])
        weight = self.weigh(x).softmax(1)
        seen = torch.cat([(weight * x).sum(1), x.mean(1), rows], 1)
        logits = self.noise(seen)
        return logits, torch.cat([seen, logits.detach()], 1)

    def _embedded(self, tokens: Tensor, columns: Tensor, more: int) -> Tensor:
        x = self.tokens(tokens.long()) + self.inner(columns)
        return F.pad(x, (0, 0, 0, more))

    def shares(self, seen: Tensor) -> Tensor:
        """Logits of the shares of rows ``(K,)`` that are noise, from what was seen of rows."""
        made: Tensor = self.step(seen.mean(0))
        return made


__all__ = ["AxialNet"]
