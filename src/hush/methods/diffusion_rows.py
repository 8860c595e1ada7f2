r"""Diffusion over the residues of rows: rows that a model cannot restore are noise.

J. Austin et al., "Structured denoising diffusion models in discrete state-spaces" (D3PM), NeurIPS
2021, with absorbing states, for comparison with MID: what `hush.methods.diffusion` is for sets.
Corruption masks each residue of a row x with the probability t, and a network learns to restore
them,

.. math:: \arg\min_\theta E_{t, x_t} \Big[ \frac 1 {|M|} \sum_{l \in M} -\log p_\theta(x_l \mid x_t)
          \Big], \qquad t \sim U(0, 1),

of the masked columns M: the paper's bound on the likelihood for this corruption, each level with
the weight 1/t. Gaps are a state of their own. The alignment holds noise, and so does what the model
learns.

The score of a row is the mean log-likelihood of its own masked residues, over some levels. Columns
in which it has a gap do not count, or fragments would be the best rows: gaps come in runs, and are
the easiest to restore. Rows like many others score well, so the rows that are kept are redundant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from hush.bases.rows import Drawn, LearnedRows
from hush.bases.selecting_rows import Choice, chosen
from hush.denoiser import Advance
from hush.errors import HushError
from hush.io.residues import NONE
from hush.kinds.alignment.cut import part
from hush.kinds.alignment.family import Family
from hush.nets.residues import ResidueNet

COUNT = NONE + 1  #: states; the next one is the mask
LOWEST = 0.05  #: share of residues that training masks at least
RESIDUES = 2**14  #: that a step of the training, or of the scoring, sees at once
PSEUDO = 1.0  #: rows of equal frequencies in a profile
WIDTH = 2.5  #: robust standard deviations below the median from which on a score is noise's


@dataclass(frozen=True)
class Part(Family):
    """Some rows of a family, and the profile of all."""

    profile: np.ndarray


@dataclass
class DiffusionRows(LearnedRows):
    """A discrete diffusion model of rows.

    width : of the network. levels : shares of the residues that are masked, for the scores. seed :
    of the masks.
    """

    width: int = 32
    levels: Sequence[float] = (0.25, 0.5, 0.75)
    seed: int = 0

    name: ClassVar[str] = "diffusion"
    summary: ClassVar[str] = "diffusion over residues: what a model cannot restore"
    citation: ClassVar[str] = (
        "Austin et al., Structured Denoising Diffusion Models in Discrete State-Spaces, "
        "NeurIPS 2021"
    )

    def __post_init__(self) -> None:
        if not self.levels or not all(0 < level < 1 for level in self.levels):
            raise HushError(f"levels are shares between 0 and 1, not {self.levels}")

    def build(self) -> ResidueNet:
        """See `LearnedRows.build`."""
        return ResidueNet(COUNT, self.width)

    def drawn(self, item: Family, most: int, rng: np.random.Generator) -> Family:
        """Some rows of a family, with the profile of all."""
        most = min(most, max(2, RESIDUES // item.tokens.shape[1]))
        some = part(item, most, rng)
        return Part(some.tokens, some.copies, profile(item))

    def loss(self, network: Any, drawn: Sequence[Drawn]) -> Mapping[str, Tensor]:
        """Minus the log-likelihood of masked residues."""
        losses = []
        for family, rng in drawn:
            assert isinstance(family, Part)
            levels = rng.uniform(LOWEST, 1, (len(family), 1))
            masked = rng.random(family.tokens.shape) < levels
            masked[np.arange(len(masked)), rng.integers(masked.shape[1], size=len(masked))] = True
            likely = likelihoods(network, family.states, masked, family)
            weight = torch.from_numpy(masked / masked.sum(1, keepdims=True)).to(likely)
            losses.append(-(likely * weight).sum(1).mean())
        return {"loss": torch.stack(losses).mean()}

    def scores(self, family: Family, advance: Advance | None = None) -> np.ndarray:
        """The mean log-likelihood of each row's masked residues ``(n,)``; -inf without any."""
        rng = np.random.default_rng(self.seed)
        states, length = family.states, family.tokens.shape[1]
        known = Part(family.tokens, family.copies, profile(family))
        masks = [masked(length, level, rng) for level in self.levels]
        total, used = np.zeros(len(family)), np.zeros(len(family))
        size = max(1, RESIDUES // length)
        for start in range(0, len(states), size):
            rows = states[start : start + size]
            for mask in masks:
                with torch.inference_mode():
                    likely = likelihoods(
                        self.network, rows, np.broadcast_to(mask, rows.shape), known
                    )
                counted = (rows != NONE) & mask
                number = counted.sum(1)
                sums = (likely.cpu().double().numpy() * counted).sum(1)
                total[start : start + size] += sums / np.maximum(number, 1)
                used[start : start + size] += number > 0
            if advance:
                advance(len(rows) / len(states))
        return np.where(used > 0, total / np.maximum(used, 1), -np.inf)

    def choose(self, family: Family, count: int | None, advance: Advance | None = None) -> Choice:
        """See `RowSelection.choose`.

        Without a number, rows with scores more than `WIDTH` robust standard deviations (1.48 times
        the median distance) below the median are left out. There the score is 1/2; it rises as a
        logistic function of the likelihood, and is no calibrated probability.
        """
        likely = self.scores(family, advance)
        known = likely[np.isfinite(likely)] if np.isfinite(likely).any() else np.zeros(1)
        middle = np.median(known)
        deviation = 1.4826 * np.median(np.abs(known - middle)) or 1.0
        z = np.clip((likely - middle) / deviation + WIDTH, -50, 50)
        kept = z >= 0
        if count is not None:
            best = 1 + np.argsort(-likely[1:], kind="stable")
            kept = chosen(np.r_[0, best[: count - 1]], len(family))
        kept[0] = True
        return Choice(kept, 1 / (1 + np.exp(-z)))


def masked(length: int, level: float, rng: np.random.Generator) -> np.ndarray:
    """A share `level` of the columns, at least one, bool ``(L,)``: the same ones in every row."""
    return chosen(rng.permutation(length)[: max(1, round(level * length))], length)


def profile(family: Family) -> np.ndarray:
    """Log frequencies of the states in each column ``(L, 21)``, float32."""
    share = (family.counts + PSEUDO / COUNT) / (len(family) + PSEUDO)
    made: np.ndarray = np.log(share).astype(np.float32)
    return made


def likelihoods(network: Any, states: np.ndarray, masked: np.ndarray, family: Part) -> Tensor:
    """Log-likelihood of each state of rows ``(n, L)``, the masked ones being hidden."""
    place = next(network.parameters()).device

    def tensor(x: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(x)).to(place)

    true = tensor(states.astype(np.int32))
    seen = tensor(np.where(masked, COUNT, states).astype(np.int32))
    logits = network(seen, tensor(family.states[0].astype(np.int32)), tensor(family.profile))
    found: Tensor = logits.float().log_softmax(-1).gather(-1, true[..., None].long())[..., 0]
    return found
