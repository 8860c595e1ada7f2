r"""CONSAC: samples for one model after the other, given what the earlier ones explain.

F. Kluger, E. Brachmann, H. Ackermann, C. Rother, M. Y. Yang, B. Rosenhahn, "CONSAC: robust
multi-model fitting by conditional sample consensus", CVPR 2020, in its self-supervised form. The
network gives every element a weight, given the state: how well earlier models explain each element.
The reward of a sample is the share of elements that its model explains beyond them. Differences
from the paper: MID's network for sets, in place of its residual network; and the state in training
is that of some models that the network finds without one, so that a step runs it twice and not once
for each model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from hush.bases.samplers import LearnedSampler, best, drawn, flipped, numbers
from hush.bases.sets import Drawn
from hush.tasks.geometry.problems import Problem


@dataclass
class CONSAC(LearnedSampler):
    """Samples of one model after the other: see `LearnedSampler` for settings."""

    name: ClassVar[str] = "consac"
    summary: ClassVar[str] = "keeps what models explain that a network finds by turns (sets)"
    citation: ClassVar[str] = (
        "Kluger et al., CONSAC: Robust Multi-Model Fitting by Conditional Sample Consensus, "
        "CVPR 2020"
    )
    stateful: ClassVar[bool] = True

    def loss(self, network: Any, given: Sequence[Drawn]) -> Mapping[str, Tensor]:
        """Minus the reward, as far as its gradient is concerned."""
        losses = []
        for one in given:
            rng = one[1]
            x, problem = self.posed(flipped(one))
            state = np.zeros(len(x))
            if earlier := int(rng.integers(self.models)):
                with torch.no_grad():
                    log = self.weights_of(network, x, problem, state)[:, 0]
                _, explained = self._tried(numbers(log), 4 * self.draws, x, problem, rng)
                for _ in range(earlier):
                    state = np.maximum(state, explained[best(explained, state)])
            log = self.weights_of(network, x, problem, state)[:, 0]
            samples, explained = self._tried(numbers(log), self.draws, x, problem, rng)
            gain = np.maximum(explained - state, 0).mean(1)
            gain = (gain - gain.mean()) / (gain.std() + 1e-6)
            losses.append(self.gradient(log, samples, gain))
        return {"loss": torch.stack(losses).mean()}

    def _tried(
        self,
        weights: np.ndarray,
        count: int,
        x: np.ndarray,
        problem: Problem,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Samples ``(count, minimal)``, and how well their models explain the elements."""
        samples = drawn(weights, count, problem.minimal, rng)
        return samples, self.explained(problem.models(x, samples), x, problem)

    def samples(
        self, points: np.ndarray, count: int, problem: Problem, rng: np.random.Generator
    ) -> np.ndarray:
        """See `LearnedSampler.samples`."""
        x = self.scaled(points)
        state = np.zeros(len(x))
        found = []
        for part in np.array_split(np.arange(count), self.models):
            with torch.inference_mode():
                log = self.weights_of(self.network, x, problem, state)[:, 0]
            samples, explained = self._tried(numbers(log), len(part), x, problem, rng)
            found.append(samples)
            if len(part):
                state = np.maximum(state, explained[best(explained, state)])
        return np.concatenate(found)
