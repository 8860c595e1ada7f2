r"""PARSAC: samples for several models at once, with weights of their own for each.

F. Kluger, B. Rosenhahn, "PARSAC: accelerating robust multi-model fitting with parallel sample
consensus", AAAI 2024, in its self-supervised form. The network gives every element a weight for
each of M models. In training, one sample of each model makes a set of models; its reward is the
share of elements that one of them explains, and each sample's part in it is what would be lost
without its model. Differences from the paper: MID's network for sets, in place of its convolutions;
and inliers are counted without weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from hush.bases.samplers import LearnedSampler, drawn, flipped, numbers
from hush.bases.sets import Drawn
from hush.tasks.geometry.problems import Problem


@dataclass
class PARSAC(LearnedSampler):
    """Samples of all models in parallel: see `LearnedSampler` for settings."""

    name: ClassVar[str] = "parsac"
    summary: ClassVar[str] = "keeps what models explain that a network finds at once (sets)"
    citation: ClassVar[str] = (
        "Kluger and Rosenhahn, PARSAC: Accelerating Robust Multi-Model Fitting with Parallel "
        "Sample Consensus, AAAI 2024"
    )

    def loss(self, network: Any, given: Sequence[Drawn]) -> Mapping[str, Tensor]:
        """Minus the reward, as far as its gradient is concerned."""
        losses = []
        for one in given:
            rng = one[1]
            x, problem = self.posed(flipped(one))
            log = self.weights_of(network, x, problem)
            weights = numbers(log)
            samples = np.stack(
                [drawn(w, self.draws, problem.minimal, rng) for w in weights.T], 1
            )  # (S, M, minimal)
            models = problem.models(x, samples.reshape(-1, problem.minimal))
            gain = shares(self.explained(models, x, problem).reshape(self.draws, self.models, -1))
            gain = (gain - gain.mean(0)) / (gain.std() + 1e-6)
            losses += [
                self.gradient(log[:, j], samples[:, j], gain[:, j]) for j in range(self.models)
            ]
        return {"loss": torch.stack(losses).mean()}

    def samples(
        self, points: np.ndarray, count: int, problem: Problem, rng: np.random.Generator
    ) -> np.ndarray:
        """See `LearnedSampler.samples`."""
        with torch.inference_mode():
            weights = numbers(self.weights_of(self.network, points, problem))
        counts = [len(part) for part in np.array_split(np.arange(count), self.models)]
        return np.concatenate(
            [drawn(w, n, problem.minimal, rng) for w, n in zip(weights.T, counts, strict=True)]
        )


def shares(explained: np.ndarray) -> np.ndarray:
    """What each model adds to the share explained by all of its set ``(S, M)``.

    explained : how well each model does each element, ``(S, M, n)``.
    """
    best = explained.argmax(1)
    if explained.shape[1] > 1:
        second, first = np.moveaxis(np.partition(explained, -2, axis=1)[:, -2:], 1, 0)
    else:
        first, second = explained[:, 0], np.zeros_like(explained[:, 0])
    alone = first - second
    models = np.arange(explained.shape[1])
    return np.stack([np.where(best == j, alone, 0).mean(-1) for j in models], 1)
