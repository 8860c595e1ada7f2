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

Ψ learns the share of outliers (eq. 5), which is the step t/T. Denoising (algorithm 2) removes the
surest outliers first: every removal cleans the neighbourhoods of what stays, and Φ knows what the
step before has found (`Points.consensus`; half the states of a training are seen twice). It ends
when Φ doubts none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hush.denoiser import Advance, Denoiser, Learns
from hush.errors import HushError
from hush.kinds.points import Points
from hush.kinds.points.cut import FEWEST
from hush.kinds.points.elements import Elements
from hush.kinds.points.graph import Graph
from hush.methods.mid.cues import with_cues
from hush.nets.sets import SetNet
from hush.noise.outliers import Outliers
from hush.noise.process import Process
from hush.record import Batch
from hush.results import Estimate, Restoration
from hush.schedule import Schedule

#: networks of so few features learn faster with a high rate and few sets at once
PACE: Mapping[str, Any] = {"batch": 2, "learning_rate": 2e-3}
HELD_OUT = 8  #: one set of so many is held out, at most 16
EPS = 1e-6
AGAIN = 0.5  #: share of the states that are seen a second time
SURE = 0.5  #: weight of what the surest outliers' probability is held to
SUREST = 0.98


@dataclass
class SetMID(Denoiser):
    """MID for sets of points, correspondences and segments.

    steps : in which outliers are removed. width, layers, latents : of the network.
    added : lowest and highest share of a set that training adds.
    threshold : probability of being an outlier above which an element is removed.
    cues : also use what is known beside the geometry, such as mutual matches (`mid.cues`).
    """

    steps: int = 2
    width: int = 48
    layers: int = 4
    latents: int = 16
    added: Sequence[float] = (0.05, 0.45)
    threshold: float = 0.5
    cues: bool = True

    name: ClassVar[str] = "mid"
    summary: ClassVar[str] = "iterative removal, trained by adding further noise to noisy data"
    citation: ClassVar[str] = "MID: A Self-supervised Multimodal Iterative Denoising Framework"
    kinds: ClassVar[tuple[str, ...]] = ("points", "correspondences", "segments")
    learns_from: ClassVar[Learns] = "noisy"
    iterates: ClassVar[bool] = True
    selects: ClassVar[bool] = True

    network_: SetNet | None = field(default=None, init=False, repr=False)
    device_: str = field(default="cpu", init=False, repr=False)

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise HushError("steps must be at least 1")
        if len(self.added) != 2 or not 0 < self.added[0] <= self.added[1] < 1:
            raise HushError("added must be two shares, the lower one first, such as 0.05,0.45")
        if not 0 < self.threshold < 1:
            raise HushError(f"threshold must be a probability, not {self.threshold:g}")

    @property
    def set_kind(self) -> Points:
        """The kind of sets that this object denoises."""
        kind = self.kind
        assert isinstance(kind, Points)
        return kind

    @property
    def increments(self) -> int:
        """See `Denoiser.increments`."""
        return self.steps

    @property
    def is_trained(self) -> bool:
        """See `Denoiser.is_trained`."""
        return self.network_ is not None

    def build(self) -> SetNet:
        """Φ and Ψ, untrained, for the kind's graphs."""
        grid = np.random.default_rng(0).random((FEWEST, self.set_kind.least))
        graph = self.set_kind.graph(Elements(grid, np.ones(len(grid), bool)))
        nodes = graph.nodes.shape[-1] + self.set_kind.agreeing + 1
        return SetNet(nodes, graph.edges.shape[-1], self.width, self.layers, self.latents)

    # -- training: algorithm 1 -------------------------------------------------------------------

    def fit(
        self,
        data: Any,
        *,
        corpus: bool = False,
        noise: Process | str | None = None,
        start: SetMID | None = None,
        schedule: Schedule | None = None,
        folder: Path | None = None,
        resume: bool = False,
        device: str = "auto",
        progress: bool | None = None,
        **options: Any,
    ) -> Self:
        """Learn from sets with outliers, or with `corpus` from clean ones.

        data : arrays ``(N, D)``, Records or `Elements`. noise : not needed; the share of outliers
        is learned.
        """
        sets = self.set_kind.sets(data)
        held_out = sets[::HELD_OUT][:16] if len(sets) > 1 else sets
        training = [x for i, x in enumerate(sets) if i % HELD_OUT or i >= 16 * HELD_OUT] or sets
        patch = self.set_kind.patch
        schedule = (schedule or Schedule(budget=600.0, patch=patch)).settled(**PACE)
        if start is not None:
            network = start.network
        else:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(schedule.seed)
                network = self.build()
        self.network_ = network

        def loss(
            seeds: Tensor, indices: list[int], generator: torch.Generator, _: float
        ) -> Mapping[str, Tensor]:
            drawn = [np.random.default_rng(int(seed)) for seed in seeds.cpu().numpy()]
            states = [
                self._state(training[i], schedule.patch, rng)
                for i, rng in zip(indices, drawn, strict=True)
            ]
            graphs = [
                self._seen(state, self.set_kind.graph(state, rng), rng.random() < AGAIN)
                for (state, _), rng in zip(states, drawn, strict=True)
            ]
            return set_loss(network, graphs, [added for _, added in states], corpus)

        def validate() -> Mapping[str, float]:
            return {"val_loss": self._validate(network, held_out, schedule.patch, corpus)}

        from hush.training import train

        self.figures_ = train(
            network,
            self.set_kind.patches(training, schedule.patch),  # type: ignore[arg-type]
            loss,
            schedule,
            folder=folder,
            resume=resume,
            validate=validate,
            preview=lambda path: self._preview(held_out, path),
            device=device,
            progress=progress,
        )
        return self

    def _state(
        self, elements: Elements, most: int, rng: np.random.Generator
    ) -> tuple[Elements, np.ndarray]:
        """A state of the ladder with at most `most` elements, and which of them were added."""
        low, high = self.added
        state, added = self.set_kind.further(elements, rng.uniform(low, high), rng)
        if len(state) > most:
            some = np.sort(rng.permutation(len(state))[:most])
            state, added = state.part(some), added[some]
        return state, added

    def _seen(self, state: Elements, graph: Graph, again: bool) -> Graph:
        """The graph as Φ sees it: at first sight, or `again`, knowing what the first look found."""
        first = self.looking(state, graph, None)
        if not again:
            return first
        with torch.inference_mode():
            place = next(self.network.parameters()).device
            logits, _ = self.network(*tensors([first], place))
        return self.looking(state, graph, 1 - logits.float().sigmoid().double().cpu().numpy())

    def looking(self, state: Elements, graph: Graph, inlier: np.ndarray | None) -> Graph:
        """The graph with what is known from before: the probabilities of being inliers, if any."""
        count = len(state)
        told = np.zeros((count, self.set_kind.agreeing + 1), np.float32)
        if inlier is not None:
            told[:, 0] = 1
            told[:, 1:] = self.set_kind.consensus(state, graph, inlier)
        return dataclasses.replace(graph, nodes=np.concatenate([graph.nodes, told], 1))

    def _validate(
        self, network: SetNet, held_out: Sequence[Elements], most: int, corpus: bool
    ) -> float:
        losses = []
        with torch.inference_mode():
            for i, elements in enumerate(held_out):
                state, added = self._state(elements, most, np.random.default_rng(i))
                graph = self._seen(state, self.set_kind.graph(state), bool(i % 2))
                parts = set_loss(network, [graph], [added], corpus)
                losses.append(float(parts["noise_loss"]))
        return float(np.mean(losses))

    def _preview(self, held_out: Sequence[Elements], path: Path) -> None:
        """Write up to four held-out sets before and after denoising."""
        some = held_out[:4]
        self.kind.preview([e.x for e in some], [e.x[self._removed(e)[0]] for e in some], path)

    # -- denoising: algorithm 2 --------------------------------------------------------------------

    def restore_item(
        self,
        batch: Batch,
        index: int,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """Remove outliers; with a given share, the surest ones of that share.

        Sets too small to judge are kept whole, with probabilities of NaN.
        """
        elements = self.set_kind.elements(batch, index)
        x = batch.data[index]
        if len(elements) < FEWEST or not self.set_kind.judgeable(elements):
            kept = np.array(elements.known)
            unknown = np.full(len(kept), np.nan)
            return Restoration(x, noise or Outliers(0.0), None, kept=kept, probability=unknown)
        given = noise.share if isinstance(noise, Outliers) else None
        kept, outlier, share, trace = self._removed(elements, given, advance)
        doubt = np.sqrt((outlier * (1 - outlier)).sum()) / max(outlier.sum(), EPS)
        seen = float(outlier.mean())
        return Restoration(
            x,
            Outliers(seen if given is None else given),
            share,
            trace,
            kept=elements.spread(kept, False),
            probability=elements.spread(1 - outlier, np.nan),
            found=Estimate(Outliers(seen), seen, uncertainty=float(doubt)),
        )

    def looked(self, batch: Batch, index: int, found: Estimate) -> tuple[Estimate, float | None]:
        """See `Denoiser.looked`: by denoising."""
        how = self.restore_item(batch, index)
        return how.found or found, how.step

    def _removed(
        self, elements: Elements, share: float | None = None, advance: Advance | None = None
    ) -> tuple[np.ndarray, np.ndarray, float, list[dict[str, Any]]]:
        """Which elements are kept, bool ``(n,)``; the probabilities of being outliers; t/T; trace.

        share : of outliers, if it is given; then that many are removed.
        """
        count = len(elements)
        left = np.arange(count)
        outlier = np.zeros(count)
        trace: list[dict[str, Any]] = []
        first = 0.0
        wanted = None if share is None else round(share * count)
        for step in range(self.steps):
            some = elements.part(left)
            p, seen = self.predict(some, None if step == 0 else 1 - outlier[left])
            if self.cues and (known := self.set_kind.cues(some)):
                p = with_cues(p, known)
            first = first if step else seen
            outlier[left] = p
            doubted = int((p > self.threshold).sum())
            remaining = doubted if wanted is None else wanted - (count - len(left))
            number = -(-remaining // (self.steps - step))
            level = float(p.mean())
            trace.append(
                {"step": step + 1, "level": level, "removed_rms": number / max(len(left), 1)}
            )
            if number > 0:
                order = np.lexsort((*elements.x[left].T, -p))
                left = np.sort(left[np.delete(order, np.s_[:number])])
            if advance:
                advance(1 / self.steps)
            if number <= 0 or len(left) < FEWEST:
                break
        kept = np.zeros(count, bool)
        kept[left] = True
        return kept, outlier, first, trace

    def predict(
        self, elements: Elements, inlier: np.ndarray | None = None
    ) -> tuple[np.ndarray, float]:
        """Φ's probabilities of being an outlier ``(n,)``, and Ψ's share of them.

        inlier : probabilities from the step before.
        """
        network = self.network
        graph = self.looking(elements, self.set_kind.graph(elements), inlier)
        with torch.inference_mode():
            logits, share = network(*tensors([graph], self.device_))
        return logits.sigmoid().double().cpu().numpy(), float(share.sigmoid())

    @property
    def network(self) -> SetNet:
        """The trained network; `HushError` if there is none."""
        if self.network_ is None:
            raise self.untrained()
        return self.network_

    def to(self, device: str) -> Self:
        """Run on `device` from now on, ``cpu`` or ``cuda``."""
        self.device_ = device
        if self.network_ is not None:
            self.network_.to(device)
        return self

    # -- files -----------------------------------------------------------------------------------

    def weights(self) -> Mapping[str, Tensor]:
        return {k: v.half() for k, v in self.network.state_dict().items()}

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        self.network_ = self.build()
        self.network_.load_state_dict({k: v.float() for k, v in tensors.items()})
        self.network_.eval()


def tensors(
    graphs: Sequence[Graph], device: str | torch.device
) -> tuple[Tensor, Tensor, Tensor, list[int]]:
    """Graphs one after the other, as `SetNet` takes them."""
    sizes = [len(g.nodes) for g in graphs]
    starts = np.cumsum([0, *sizes[:-1]])
    index = np.concatenate([g.index + start for g, start in zip(graphs, starts, strict=True)])
    nodes, edges = (np.concatenate([getattr(g, n) for g in graphs]) for n in ("nodes", "edges"))
    made = (torch.from_numpy(a).to(device) for a in (nodes, index, edges))
    return (*made, sizes)  # type: ignore[return-value]


def set_loss(
    network: SetNet, graphs: Sequence[Graph], added: Sequence[np.ndarray], corpus: bool
) -> dict[str, Tensor]:
    """Eq. 9 on states, of which the elements `added` are known to be outliers.

    corpus : the others are known not to be.
    """
    device = next(network.parameters()).device
    logits, shares = network(*tensors(graphs, device))
    noise, step = [], []
    for z, share, new in zip(logits.split([len(a) for a in added]), shares, added, strict=True):
        target = torch.from_numpy(new).to(z)
        count = target.sum()
        outlier = z.float().sigmoid()
        whole = count if corpus else outlier.detach().sum().maximum(count)
        c = count / whole.clamp_min(EPS)  # P(added | outlier)
        noise.append(F.binary_cross_entropy((c * outlier).clamp(EPS, 1 - EPS), target))
        if not corpus:
            sure = outlier[target > 0].topk(max(1, int(count) // 4)).values.mean()
            noise[-1] = noise[-1] + SURE * (SUREST - sure) ** 2
        step.append((share.float().sigmoid() - whole / len(new)) ** 2)
    return {"noise_loss": torch.stack(noise).mean(), "step_loss": torch.stack(step).mean()}


__all__ = ["SetMID"]
