"""A Transformer encoder-decoder over the elements of sets, with attention among neighbours.

Attention among all elements costs their number squared. Here each element attends to its neighbours
(`Neighbourhood`), and a few latents attend to all elements and are attended by them (`Latents`, the
encoder and decoder), so the cost is linear. The neighbours' relative geometry is part of the input:
networks on coordinates alone do not learn it. Permuting the elements permutes the output.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CHUNK = 8192  #: elements whose neighbours are looked at together, to bound the memory


class Neighbourhood(nn.Module):
    """Each element attends to its neighbours, by what both and the edge between them are like."""

    def __init__(self, width: int, edge: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.before = nn.LayerNorm(width)
        self.own = nn.Linear(width, width)
        self.other = nn.Linear(width, width, bias=False)
        self.edge = nn.Linear(edge, width, bias=False)
        self.weight = nn.Linear(width, heads)
        self.out = nn.Linear(2 * width, width)
        self.after = nn.LayerNorm(width)
        self.feed = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, h: Tensor, index: Tensor, edges: Tensor) -> Tensor:
        """Features ``(n, H)``, neighbours ``(n, K)`` and edges ``(n, K, E)`` to features."""
        z = self.before(h)
        own, other = self.own(z), self.other(z)
        if len(h) <= CHUNK or self.training:
            seen = self._seen(own, other, index, edges)
        else:
            parts = [slice(i, i + CHUNK) for i in range(0, len(h), CHUNK)]
            seen = torch.cat([self._seen(own[p], other, index[p], edges[p]) for p in parts])
        h = h + self.out(seen)
        return h + self.feed(self.after(h))

    def _seen(self, own: Tensor, other: Tensor, index: Tensor, edges: Tensor) -> Tensor:
        n, count = index.shape
        message = F.gelu(own[:, None] + other[index] + self.edge(edges))
        weight = self.weight(message).softmax(1)[..., None]
        mean = (message.view(n, count, self.heads, -1) * weight).sum(1).reshape(n, -1)
        return torch.cat([mean, message.amax(1)], -1)


class Latents(nn.Module):
    """A few latents that gather from all elements of a set (encoder) and tell all (decoder)."""

    def __init__(self, width: int, count: int, heads: int = 4) -> None:
        super().__init__()
        self.latents = nn.Parameter(0.1 * torch.randn(count, width))
        self.elements, self.asking = nn.LayerNorm(width), nn.LayerNorm(width)
        self.told = nn.LayerNorm(width)
        self.encode = nn.MultiheadAttention(width, heads, batch_first=True)
        self.among = nn.TransformerEncoderLayer(
            width, heads, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.decode = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, h: Tensor, sizes: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Features ``(n, H)`` of sets of these sizes to features and a summary ``(B, H)``."""
        out, summaries = [], []
        for x in h.split(list(sizes)):
            keys = self.elements(x)[None]
            z = self.latents[None]
            z = self.among(z + self.encode(z, keys, keys, need_weights=False)[0])
            told = self.told(z)
            parts = [
                self.decode(self.asking(part)[None], told, told, need_weights=False)[0][0]
                for part in x.split(CHUNK)
            ]
            out.append(x + torch.cat(parts))
            summaries.append(z[0].mean(0))
        return torch.cat(out), torch.stack(summaries)


class Trunk(nn.Module):
    """Features of the elements of sets, which networks add their outputs to.

    node, edge : features of an element and of an edge; width : of the network; layers :
        neighbourhoods, half of them before the latents; latents : their number.
    """

    def __init__(self, node: int, edge: int, width: int = 48, layers: int = 4, latents: int = 16):
        super().__init__()
        self.inner = inner = 32
        self.nodes = nn.Sequential(nn.Linear(node, width), nn.GELU(), nn.Linear(width, width))
        self.edges = nn.Sequential(
            nn.Linear(edge, inner), nn.GELU(), nn.Linear(inner, inner), nn.GELU()
        )
        self.layers = nn.ModuleList(Neighbourhood(width, inner) for _ in range(layers))
        self.latents = Latents(width, latents)

    def features(
        self, nodes: Tensor, index: Tensor, edges: Tensor, sizes: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Features of the elements ``(n, H)``, and a summary of each set ``(B, H)``.

        nodes ``(n, F)``, index ``(n, K)`` and edges ``(n, K, E)`` of sets of these sizes, one after
        the other.
        """
        h = self.nodes(nodes)
        if torch.is_grad_enabled() or len(edges) <= CHUNK:
            e = self.edges(edges)
        else:  # part by part into one array, to bound the memory
            e = edges.new_empty((*index.shape, self.inner))
            for start in range(0, len(edges), CHUNK):
                e[start : start + CHUNK] = self.edges(edges[start : start + CHUNK])
        summary = None
        for k, layer in enumerate(self.layers):
            if k == len(self.layers) // 2:
                h, summary = self.latents(h, sizes)
            h = layer(h, index, e)
        assert summary is not None
        return h, summary


class SetNet(Trunk):
    """Φ and Ψ of sets: is an element an outlier, and which share of the set is."""

    def __init__(self, node: int, edge: int, width: int = 48, layers: int = 4, latents: int = 16):
        super().__init__(node, edge, width, layers, latents)
        self.outlier = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1)
        )
        self.share = nn.Sequential(nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, 1))

    def forward(
        self, nodes: Tensor, index: Tensor, edges: Tensor, sizes: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Logits of being an outlier ``(n,)``, and of the share of outliers ``(B,)``."""
        h, summary = self.features(nodes, index, edges, sizes)
        mean = torch.stack([x.mean(0) for x in h.split(list(sizes))])
        share = self.share(torch.cat([summary, mean], -1))
        return self.outlier(h)[:, 0], share[:, 0]


class ElementNet(Trunk):
    """Numbers for each element, such as the noise of its coordinates.

    values : how many; they begin at 0.
    """

    def __init__(
        self,
        node: int,
        edge: int,
        values: int,
        width: int = 48,
        layers: int = 4,
        latents: int = 16,
    ):
        super().__init__(node, edge, width, layers, latents)
        self.values = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, values)
        )
        for weight in self.values[-1].parameters():
            nn.init.zeros_(weight)

    def forward(self, nodes: Tensor, index: Tensor, edges: Tensor, sizes: Sequence[int]) -> Tensor:
        """Values ``(n, V)``; the arguments are those of `features`."""
        out: Tensor = self.values(self.features(nodes, index, edges, sizes)[0])
        return out
