r"""MID on sets: the noise is a decision for each element.

A collected set s_0 holds outliers already. Training superposes further ones of the same law
(`Points.further`), and Φ learns, by binary cross-entropy (eq. 8), whether an element is one of the
added. As in images, Φ estimates the *whole* noise, here the probability p of being an outlier at
all, and the loss sees the share of it that was added,

.. math:: P(\text{added} \mid s) = c\,p, \qquad c = \frac{a}{a + n_0},

of a added and n_0 collected outliers: positive-unlabelled learning. n_0 is not known, but p sums to
the outliers of a state, so :math:`c = a / \sum p`. That leaves a common factor of all p open, which
the surest outliers close: p reaches 1 (Elkan and Noto, KDD 2008), here 0.98 for the upper quarter
of the added. With clean sets (`corpus`) n_0 = 0, and c = 1.

Ψ learns the share of outliers (eq. 5), which is the step t/T. Denoising (algorithm 2) looks at a
set several times: what a step judges to be noise counts no longer in what the next one is told of
the others (`Points.consensus`), and what the last step judges to be noise leaves. In training, half
the states are looked at twice. To take elements out of the neighbourhoods between the steps, too,
was tried and lost: the area under the ROC curve fell by .01 on lines and by .003 on
correspondences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hush.bases.selecting import Verdict, decided
from hush.bases.sets import Drawn, LearnedSets, tensors
from hush.denoiser import Advance
from hush.errors import HushError
from hush.kinds.points.elements import Elements
from hush.kinds.points.graph import Graph
from hush.kinds.points.places import ordered
from hush.nets.sets import SetNet
from hush.noise.process import Process

EPS = 1e-6
FAILED = 0.1  #: factor of the probability of an element that fails a check
AGAIN = 0.5  #: share of the states that are seen a second time
CLEAN = 0.25  #: share of a corpus's states that nothing is added to
SURE = 0.5  #: weight of what the surest outliers' probability is held to
SUREST = 0.98
APART = 0.3  #: how far above the mean these have to be for the full weight


@dataclass
class SetMID(LearnedSets):
    """MID for sets of points, correspondences and segments.

    steps : in which outliers are removed. width, layers, latents : of the network.
    added : lowest and highest share of a set that training adds.
    threshold : probability of being an outlier above which an element is removed; by default as the
        kind of data says.
    checks : elements also have to pass what is known beside the geometry, such as the mutual check.
    """

    steps: int = 2
    width: int = 48
    layers: int = 4
    latents: int = 16
    added: Sequence[float] = (0.05, 0.45)
    threshold: float | None = None
    checks: bool = True

    name: ClassVar[str] = "mid"
    summary: ClassVar[str] = "iterative removal, trained by adding further noise to noisy data"
    applied: ClassVar[tuple[str, ...]] = ("threshold", "checks")
    citation: ClassVar[str] = "MID: A Self-supervised Multimodal Iterative Denoising Framework"
    iterates: ClassVar[bool] = True
    architecture: ClassVar[tuple[str, ...]] = ("width", "layers", "latents")

    corpus_: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise HushError("steps must be at least 1")
        if len(self.added) != 2 or not 0 < self.added[0] <= self.added[1] < 1:
            raise HushError("added must be two shares, the lower one first, such as 0.05,0.45")
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise HushError(f"threshold must be a probability, not {self.threshold:g}")

    @property
    def increments(self) -> int:
        """See `Denoiser.increments`."""
        return self.steps

    def build(self) -> SetNet:
        """Φ and Ψ, untrained, for the kind's graphs."""
        nodes, edges = self.sizes
        nodes += self.set_kind.agreeing + 1
        return SetNet(nodes, edges, self.width, self.layers, self.latents)

    # -- training: algorithm 1 -------------------------------------------------------------------

    def fit(
        self,
        data: Any,
        *,
        corpus: bool = False,
        noise: Process | str | None = None,
        **options: Any,
    ) -> Self:
        """Learn from sets with outliers, or with `corpus` from clean ones.

        data : arrays ``(N, D)``, Records or `Elements`. noise : not needed, as the share of
        outliers is learned.
        """
        self.corpus_ = corpus
        return super().fit(data, **options)

    def loss(self, network: SetNet, drawn: Sequence[Drawn]) -> dict[str, Tensor]:
        """Eq. 9 on further states of sets, of which some are seen a second time."""
        (low, high), graphs, looks, every = self.added, [], [], []
        for elements, rng in drawn:
            clean = self.corpus_ and rng.random() < CLEAN
            share = 0.0 if clean else rng.uniform(low, high)
            state, added = self.set_kind.further(elements, share, rng)
            graph = self.set_kind.graph(state, rng)
            seen = self._looking(state, graph, None)
            if rng.random() < AGAIN:
                place = next(network.parameters()).device
                with torch.inference_mode():
                    logits, _ = network(*tensors([graph], [seen], place))
                seen = self._looking(state, graph, (-logits.float()).sigmoid().cpu().numpy())
            graphs.append(graph)
            looks.append(seen)
            every.append(added)
        return set_loss(network, graphs, looks, every, self.corpus_)

    def _looking(self, state: Elements, graph: Graph, inlier: np.ndarray | None) -> np.ndarray:
        """What is known from before ``(n, F)``: nothing, or a consensus of the probable inliers."""
        told = np.zeros((len(state), self.set_kind.agreeing + 1), np.float32)
        if inlier is not None:
            told[:, 0] = 1
            told[:, 1:] = self.set_kind.consensus(state, graph, inlier.astype(np.float64))
        return told

    # -- denoising: algorithm 2 --------------------------------------------------------------------

    def verdict(
        self, elements: Elements, share: float | None, advance: Advance | None = None
    ) -> Verdict:
        """Remove outliers, step by step; of a given share, that many."""
        limit = self.set_kind.doubt if self.threshold is None else self.threshold
        outlier: np.ndarray | None = None
        trace: list[dict[str, Any]] = []
        first, doubted = 0.0, np.zeros(len(elements), bool)
        for step in range(self.steps):
            p, seen = self.predict(elements, None if outlier is None else 1 - outlier)
            outlier = self.set_kind.settled(elements, p)
            first = first if step else seen
            before, doubted = doubted, outlier > limit
            removed = float(np.mean(doubted & ~before))
            trace.append({"step": step + 1, "level": float(p.mean()), "removed_rms": removed})
            if advance:
                advance(1 / self.steps)
        assert outlier is not None
        passed = self.set_kind.passed(elements) if self.checks else None
        if passed is not None:
            outlier = np.where(passed, outlier, 1 - FAILED * (1 - outlier))
        kept = outlier <= limit if share is None else decided(elements, 1 - outlier, share).kept
        return Verdict(kept, 1 - outlier, step=first, trace=trace)

    def predict(
        self, elements: Elements, inlier: np.ndarray | None = None
    ) -> tuple[np.ndarray, float]:
        """Φ's probabilities of being an outlier ``(n,)``, and Ψ's share of them.

        inlier : probabilities from the step before.
        """
        order = ordered(elements.x)  # of neighbours at one distance, the same ones every time
        elements = elements.part(order)
        graph = self.set_kind.graph(elements)
        seen = self._looking(elements, graph, None if inlier is None else inlier[order])
        with torch.inference_mode():
            logits, share = self.network(*tensors([graph], [seen], self.device_))
        p = np.empty(len(order))
        p[order] = logits.sigmoid().cpu().double().numpy()
        return p, float(share.sigmoid())


def set_loss(
    network: SetNet,
    graphs: Sequence[Graph],
    seen: Sequence[np.ndarray],
    added: Sequence[np.ndarray],
    corpus: bool,
) -> dict[str, Tensor]:
    """Eq. 9 on states, of which the elements `added` are known to be outliers.

    seen : what is known from before; corpus : all other elements are known to be none.
    """
    device = next(network.parameters()).device
    logits, shares = network(*tensors(graphs, seen, device))
    losses = [
        further_loss(z, share, torch.from_numpy(new).to(z), corpus)
        for z, share, new in zip(logits.split([len(a) for a in added]), shares, added, strict=True)
    ]
    noise, step = (torch.stack(part).mean() for part in zip(*losses, strict=True))
    return {"noise_loss": noise, "step_loss": step}


def further_loss(z: Tensor, share: Tensor, added: Tensor, corpus: bool) -> tuple[Tensor, Tensor]:
    """Φ's and Ψ's loss on one state.

    z : logits ``(n,)`` of being noise; share : the logit of its share; added : 1 where an element
    is known to be noise, ``(n,)``; corpus : all others are known to be none.
    """
    count = added.sum()
    outlier = z.float().sigmoid()
    whole = count if corpus else outlier.detach().sum().maximum(count)
    c = 1.0 if corpus else count / whole  # P(added | outlier)
    noise = F.binary_cross_entropy((c * outlier).clamp(EPS, 1 - EPS), added)
    if not corpus:
        sure = outlier[added > 0].topk(max(1, int(count) // 4)).values.mean()
        # Of elements that Φ does not tell apart none is sure: all would be called outliers.
        apart = (sure - outlier.mean()).detach().clamp(0, APART) / APART
        noise = noise + SURE * apart * (SUREST - sure) ** 2
    return noise, (share.float().sigmoid() - whole / len(added)) ** 2


__all__ = ["SetMID"]
