r"""MID on alignments: the noise is rows that do not help to predict contacts.

As in sets (`hush.methods.mid.elements`), a collected alignment s_0 holds such rows already,
training adds further ones of the same law (`hush.kinds.alignment.further`), and Φ learns by binary
cross-entropy which rows are of the added, as a share of the probability p that a row is noise at
all. The paper calls rows noise that repeat others; real alignments also hold misaligned ones. Φ has
a logit for each sort, and Ψ the share of each among the rows, together the step t/T.

A misaligned row may fit every column by itself. What it breaks are the couplings between columns,
so Φ sees those of mean-field DCA (`hush.kinds.alignment.statistics`) beside the tokens.

Denoising (algorithm 2) removes misaligned rows in steps, and judges the rest anew by statistics of
what is left. Redundancy is not a property of one row: of two copies either may go. So what is left
is taken up row by row, until there are as many as were asked for, or until all others repeat those
taken (step zero). Next is the row that is farthest from those taken already, times a weight that
grows with its agreement with the family's couplings: contacts are predicted from rows that show
them. If more rows are asked for than are held to be aligned, all are candidates, and those held to
be misaligned weigh as much less as they are surely so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from hush.bases.rows import Drawn, LearnedRows
from hush.bases.selecting import share_of_outliers
from hush.bases.selecting_rows import Choice, chosen
from hush.denoiser import Advance
from hush.errors import HushError
from hush.io.residues import STATES
from hush.kinds.alignment.alphabet import PROTEIN
from hush.kinds.alignment.cut import FEWEST
from hush.kinds.alignment.family import Family
from hush.kinds.alignment.further import misaligned, redundant
from hush.kinds.alignment.measure import REPEATED
from hush.kinds.alignment.redundancy import filtered, nearest, repeated, repeating
from hush.kinds.alignment.statistics import COLUMNS, ROWS, Statistics, rows, statistics
from hush.methods.mid.elements import CLEAN, further_loss
from hush.nets.axial import AxialNet
from hush.noise.process import Process
from hush.tasks.distances import EXACT, shared

MISALIGNED, REDUNDANT = 0, 1  #: the logits of Φ
#: share of the states that training draws from few rows, as in small alignments: at least so many,
#: and statistics from at most so many
SHALLOW, LEAST, MANY = 0.6, 8, 600
SPOILED = 0.6  #: the most misaligned rows beside a row of these, as in alignments with many
CONTEXT = 24  #: rows that a row is compared with in every column
LAST = 0.01  #: weight of a row that repeats one already taken: others come first
TIE = 1e-3  #: added to distances, so that weights decide between rows at a distance of 0
CHUNK = 2**16  #: residues that are scored at once


@dataclass(frozen=True)
class Part(Family):
    """Some rows of a family, and what is known of others of its rows."""

    others: Statistics


@dataclass
class SequenceMID(LearnedRows):
    """MID for alignments.

    steps : in which misaligned rows are removed. width, layers : of the network. added : lowest and
    highest share of a state that training adds, of each sort of noise. threshold : probability of
    being noise above which a row is removed. sharpness : how much a row's agreement with the
    couplings weighs against its distance from rows taken already.
    """

    steps: int = 2
    width: int = 32
    layers: int = 1
    added: Sequence[float] = (0.05, 0.3)
    threshold: float = 0.5
    sharpness: float = 0.15
    seed: int = 0

    name: ClassVar[str] = "mid"
    summary: ClassVar[str] = "iterative removal, trained by adding further noise to noisy data"
    applied: ClassVar[tuple[str, ...]] = ("threshold", "sharpness", "seed")
    citation: ClassVar[str] = "MID: A Self-supervised Multimodal Iterative Denoising Framework"
    iterates: ClassVar[bool] = True
    architecture: ClassVar[tuple[str, ...]] = ("width", "layers")

    corpus_: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise HushError("steps must be at least 1")
        if len(self.added) != 2 or not 0 < self.added[0] <= self.added[1] < 0.5:
            raise HushError("added must be two shares below 0.5, the lower one first")
        if not 0 < self.threshold < 1:
            raise HushError(f"threshold must be a probability, not {self.threshold:g}")

    @property
    def increments(self) -> int:
        """See `Denoiser.increments`."""
        return self.steps

    def build(self) -> AxialNet:
        """Φ and Ψ, untrained."""
        return AxialNet(COLUMNS, ROWS, 2, self.width, self.layers)

    # -- training: algorithm 1 -------------------------------------------------------------------

    def fit(
        self,
        data: Any,
        *,
        corpus: bool = False,
        noise: Process | str | None = None,
        **options: Any,
    ) -> Self:
        """Learn from alignments with noise, or with `corpus` from clean ones.

        data : as `LearnedRows.fit`. noise : not needed, as the share of noise is learned.
        """
        self.corpus_ = corpus
        return super().fit(data, **options)

    def drawn(self, item: Family, most: int, rng: np.random.Generator) -> Family:
        """Rows of one half of a family, with what the other half says of them."""
        split = item.halves
        half = int(rng.integers(2))
        first = split.first if half == 0 else ~split.first
        others, known = np.flatnonzero(~first), split.of[1 - half]
        if rng.random() < SHALLOW:  # as in a small alignment
            most, few = (int(np.exp(rng.uniform(np.log(LEAST), np.log(n)))) for n in (most, MANY))
            some = item.tokens[rng.permutation(others)[:few]]
            wrong = misaligned(some, round(len(some) * rng.uniform(0, SPOILED)), rng)
            known = statistics(STATES[np.concatenate([some, wrong])])
        mine = np.flatnonzero(first)
        where = np.r_[0, np.sort(rng.permutation(mine[mine != 0])[: most - 1])]
        return Part(item.tokens[where], item.copies[where], known)

    def loss(self, network: AxialNet, drawn: Sequence[Drawn]) -> dict[str, Tensor]:
        """Eq. 9 on further states of families, for either sort of noise."""
        losses = []
        for part, rng in drawn:
            assert isinstance(part, Part)
            clean = self.corpus_ and rng.random() < CLEAN
            counts = [0, 0]
            if not clean:
                shares = rng.uniform(self.added[0], self.added[1], 2)
                counts = [max(1, round(len(part) * s / (1 - s))) for s in shares]
            wrong = misaligned(part.tokens, counts[0], rng)
            copies = redundant(part.tokens, counts[1], rng)
            tokens = np.concatenate([part.tokens, wrong, copies])
            new = np.zeros((len(tokens), 2), bool)
            new[len(part) : len(part) + len(wrong), MISALIGNED] = True
            new[len(part) + len(wrong) :, REDUNDANT] = True
            states = STATES[tokens]
            columns = part.others.columns(states, states[0])
            told = rows(states, columns, nearest(states), part.others.number)
            context = context_of(len(tokens), rng)
            other = tokens[context], columns[context]
            logits, seen = scored(network, tokens, columns, told, other)
            steps = network.shares(seen)
            for k in (MISALIGNED, REDUNDANT):
                target = torch.from_numpy(new[:, k]).to(logits)
                losses.append(further_loss(logits[:, k], steps[k], target, self.corpus_))
        noise, step = (torch.stack(part).mean() for part in zip(*losses, strict=True))
        return {"noise_loss": noise, "step_loss": step}

    # -- denoising: algorithm 2 --------------------------------------------------------------------

    def choose(self, family: Family, count: int | None, advance: Advance | None = None) -> Choice:
        """Remove misaligned rows, step by step, then take up the rest by distance."""
        size = len(family)
        if size < FEWEST or family.alphabet is not PROTEIN:
            return self._unjudged(family, count)
        left = shortlist(family, count)
        judged = chosen(left, size)
        near = family if judged.all() else family.part(left)
        p = np.zeros((size, 2))
        trace: list[dict[str, Any]] = []
        step = None
        for number in range(self.steps):
            logits, shares = self.predict(near)
            p[left] = 1 / (1 + np.exp(-logits))
            p[0] = 0.0
            step = 1 - float(np.prod(1 - shares)) if step is None else step
            stays = p[left, MISALIGNED] <= self.threshold
            if count is not None and stays.sum() < count:  # doubtful rows are needed
                stays = np.ones(len(left), bool)
            removed = float(np.mean(~stays)) * len(left) / size
            level = float(1 - np.prod(1 - p[judged], axis=1).mean())
            trace.append({"step": number + 1, "level": level, "removed_rms": removed})
            ended = bool(stays.all()) or stays.sum() < FEWEST  # the next step would see the same
            if advance:
                advance(0.5 * (1 if not ended else self.steps - number) / self.steps)
            if not stays.all():
                left, near = left[stays], near.part(stays)
            if ended:
                break
        rest = None if advance is None else (lambda share: advance(0.5 * share))
        if count is not None:
            weight, doubt = weights(near, self.sharpness), p[left, MISALIGNED]
            doubted = doubt > self.threshold  # none is 0: it would be taken again and again
            weight[doubted] *= np.maximum(1 - doubt[doubted], np.finfo(float).eps)
            order = left[farthest(near, weight, count, rest)]
        else:
            stays = chosen(unrepeated(near, p[left, REDUNDANT] > self.threshold), len(left))
            order, gone = left[stays], left[~stays]
            lacking = 1 - repeated(near.states, stays)[~stays]  # residues of theirs in no row kept
            p[gone, REDUNDANT] = 1 - (1 - p[gone, REDUNDANT]) * lacking
        p[order, REDUNDANT] = 0.0  # those that they repeat are gone
        score = np.where(judged, np.prod(1 - p, axis=1), np.nan)
        said: tuple[str, ...] = ()
        if not judged.all():
            said = (
                f"Of {size:,} different rows the {judged.sum():,} that agree best with couplings "
                "were judged, to limit the time; the others are left out.",
            )
        found = share_of_outliers(score[1:][judged[1:]])
        return Choice(chosen(order, size), score, said, step=step, trace=trace, found=found)

    def _unjudged(self, family: Family, count: int | None) -> Choice:
        """Too few rows, or none of proteins: all of them, or those farthest from each other."""
        unknown = np.full(len(family), np.nan)
        why = f"Only {len(family)} rows are different, too few for the network ({FEWEST})"
        if family.alphabet is not PROTEIN:
            why = "The network knows amino acids only, so no row was judged"
        if count is None:
            said = (f"{why}; all different rows come back. -n keeps those far from each other.",)
            return Choice(np.ones(len(family), bool), unknown, said)
        order = farthest(family, np.ones(len(family)), count)
        return Choice(chosen(order, len(family)), unknown, (f"{why}; distance alone decided.",))

    def predict(self, family: Family) -> tuple[np.ndarray, np.ndarray]:
        """Φ's logits of rows ``(n, 2)``, and Ψ's shares of either sort of noise ``(2,)``."""
        states = family.states
        near = family.nearest
        context = context_of(len(family), np.random.default_rng(self.seed))
        known = family.halves
        every = max(1, CHUNK // states.shape[1])
        with torch.inference_mode():
            parts = []
            first = known.columns(states, context)
            for start in range(0, len(states), every):
                where = np.arange(start, min(start + every, len(states)))
                columns = known.columns(states, where)
                whole = rows(states[where], columns, near[where], known.number)
                seen = (family.tokens[context], first)
                parts.append(scored(self.network, family.tokens[where], columns, whole, seen))
            logits, told = (torch.cat(part) for part in zip(*parts, strict=True))
            shares = self.network.shares(told).sigmoid()
        return logits.cpu().double().numpy(), shares.cpu().double().numpy()


def shortlist(family: Family, count: int | None) -> np.ndarray:
    """Indices of the rows to judge: of more than `EXACT`, those that agree best with the couplings.

    At least twice as many as are asked for.
    """
    most = max(EXACT, 2 * (count or 0))
    if len(family) <= most:
        return np.arange(len(family))
    agreement = family.known.couplings.fields(family.states).sum(1)
    agreement[0] = np.inf
    return np.sort(np.argsort(-agreement, kind="stable")[:most])


def weights(family: Family, sharpness: float) -> np.ndarray:
    """What distances to rows are multiplied by ``(n,)``."""
    agreement = family.known.couplings.fields(family.states).sum(1)
    spread = float(agreement.std()) or 1.0
    made: np.ndarray = np.exp(sharpness * (agreement - agreement.mean()) / spread)
    return made


def farthest(
    family: Family, weight: np.ndarray, count: int, advance: Advance | None = None
) -> np.ndarray:
    """Indices of `count` rows, the first row first.

    The next is the one with the largest product of its weight and its distance from the nearest row
    taken; rows that repeat one come last. A distance is the number of columns in which both have a
    residue, and not the same: where gaps counted, fragments would be the farthest of all.
    """
    order, near = [0], np.full(len(family), np.inf)
    columns = family.states.shape[1]
    gaps = columns - family.residues
    while len(order) < count:
        unlike, same = shared(family.packed_states, order[-1])
        alone = gaps + gaps[order[-1]] - 2 * (columns - unlike - same)  # one of both has a gap
        np.minimum(near, unlike - alone + TIE, out=near)
        near[order[-1]] = -np.inf
        fresh = near > (1 - REPEATED) * family.residues
        order.append(int((near * weight * np.where(fresh, 1.0, LAST)).argmax()))
        if advance:
            advance(1 / count)
    return np.array(order)


def context_of(count: int, rng: np.random.Generator) -> np.ndarray:
    """Which rows the others are compared with, the query among them."""
    return np.r_[0, 1 + rng.permutation(count - 1)[: CONTEXT - 1]]


def scored(
    network: AxialNet,
    tokens: np.ndarray,
    columns: np.ndarray,
    told: np.ndarray,
    context: tuple[np.ndarray, np.ndarray],
) -> tuple[Tensor, Tensor]:
    """Φ's logits of rows ``(n, 2)``, and what Ψ sees of them."""
    place = next(network.parameters()).device

    def tensor(x: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(x)).to(place)

    seen = tensor(context[0]), tensor(context[1])
    made: tuple[Tensor, Tensor] = network(tensor(tokens), tensor(columns), tensor(told), seen)
    return made


def unrepeated(family: Family, doubted: np.ndarray) -> np.ndarray:
    """Indices of rows, in the order in which they are taken, without those that repeat others.

    doubted : bool ``(n,)``, what Φ calls redundant. The query is taken first, then the rows that
    repeat most others, and of these what fits the family's columns best: replaced residues are far
    from the other copies, and rarely fit. Each row stays unless one taken before repeats as much of
    it as Φ calls redundant.
    """
    states = family.states
    fit = family.known.odds[np.arange(states.shape[1]), states].sum(1)
    fit[0] = np.inf
    if not doubted.any():
        return np.argsort(-fit, kind="stable")
    share = family.nearest
    limit = float(np.quantile(share[doubted], 0.05))
    if not doubted.all():  # between what Φ calls redundant and what it does not
        limit = min(limit, (limit + float(np.quantile(share[~doubted], 0.95))) / 2)
    others = repeating(states, limit)
    others[0] = np.inf
    order = np.lexsort((-fit, -others))
    return order[filtered(states[order], limit)]
