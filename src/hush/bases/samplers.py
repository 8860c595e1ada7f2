"""Shared by learned samplers, which say where models are to be looked for in a set.

A network gives every element a weight for each of several models: lines through points, vanishing
points of segments. Minimal samples are drawn with these weights. It learns from sets without
labels, by policy gradient (Brachmann et al., "DSAC", CVPR 2017): samples whose models explain more
elements than usual become more likely.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from hush.bases.selecting import MOST, Verdict, decided
from hush.bases.sets import Drawn, LearnedSets, tensors
from hush.denoiser import Advance
from hush.errors import HushError
from hush.kinds.points.elements import Elements
from hush.kinds.points.places import middles
from hush.nets.sets import ElementNet
from hush.tasks.geometry.consensus import multi
from hush.tasks.geometry.problems import Line, Problem, VanishingPoint

#: largest residual of an inlier: of points with spread 1, of segments as `VanishingPoint` states
THRESHOLDS: Mapping[str, float] = {"points": 0.05, "segments": 1e-3}


@dataclass
class LearnedSampler(LearnedSets):
    """Base of CONSAC and PARSAC; a method adds `loss` and `samples`.

    models : at most, that are looked for. threshold : largest residual of an inlier: of lines, in
        units of the set's spread, by default 0.05; of vanishing points 1 − |cos| of an angle, by
        default 0.001.
    hypotheses : minimal samples for denoising. width, layers, latents : of the network. seed : of
        the samples. draws : minimal samples for each model in training.
    """

    models: int = 10
    threshold: float | None = None
    hypotheses: int = 1000
    width: int = 48
    layers: int = 4
    latents: int = 16
    seed: int = 0
    draws: int = 64

    kinds: ClassVar[tuple[str, ...]] = ("points", "segments")
    measures: ClassVar[bool] = False
    #: whether it sees what earlier models explain
    stateful: ClassVar[bool] = False
    applied: ClassVar[tuple[str, ...]] = ("models", "threshold", "hypotheses", "seed")

    def __post_init__(self) -> None:
        if self.models < 1 or self.draws < 2 or self.hypotheses < self.models:
            raise HushError("models must be 1 or more, draws 2, and hypotheses as many as models")
        if self.threshold is not None and not self.threshold > 0:
            raise HushError(f"threshold must be above 0, not {self.threshold:g}")

    @property
    def limit(self) -> float:
        """The largest residual of an inlier."""
        return self.threshold or THRESHOLDS[self.set_kind.name]

    def build(self) -> ElementNet:
        """See `LearnedSets.build`."""
        node, edge = self.sizes
        node += self.set_kind.least + self.stateful
        outputs = 1 if self.stateful else self.models
        return ElementNet(node, edge, outputs, self.width, self.layers, self.latents)

    # -- elements and problems -------------------------------------------------------------------

    def posed(self, elements: Elements) -> tuple[np.ndarray, Problem]:
        """Elements ``(n, d)`` as a problem takes them, and the problem.

        Without a camera matrix or a picture's size, the segments' extent stands for the size.
        """
        x = elements.x
        if self.set_kind.name == "points":
            if x.shape[1] != 2:
                raise HushError(
                    f"{self.name} fits lines to points with 2 coordinates, not {x.shape[1]}; "
                    "choose two columns with --coordinates"
                )
            return self.scaled(x), Line()
        about = elements.about
        if "K" in about:
            return x, VanishingPoint(np.asarray(about["K"]))
        if "size" in about:
            return x, VanishingPoint(size=np.asarray(about["size"]))
        ends = x[:, :4].reshape(-1, 2)
        low, high = ends.min(0), ends.max(0)
        return x - np.tile(low, 2), VanishingPoint(size=high - low)

    def scaled(self, x: np.ndarray) -> np.ndarray:
        """Elements in the units of `threshold`: points with spread 1, segments as they are."""
        return self.set_kind.normalised(x) if self.set_kind.name == "points" else x

    def weights_of(
        self, network: Any, x: np.ndarray, problem: Problem, state: np.ndarray | None = None
    ) -> Tensor:
        """Logarithms of the weights of elements ``(n, M)``, of which each column sums to 1."""
        if isinstance(problem, VanishingPoint):
            rays = np.concatenate([x.reshape(-1, 2), np.ones((2 * len(x), 1))], 1)
            rays = rays @ problem.inverse.T
            further = middles((rays[:, :2] / rays[:, 2:]).reshape(-1, 4))
        else:
            further = self.scaled(x)
        if self.stateful:
            explained = np.zeros(len(x)) if state is None else state
            further = np.concatenate([further, explained[:, None]], 1)
        graph = self.set_kind.graph(Elements(x, np.ones(len(x), bool)))
        place = next(network.parameters()).device
        out: Tensor = network(*tensors([graph], [further], place)).float()
        return out.log_softmax(0)

    def explained(self, models: np.ndarray, x: np.ndarray, problem: Problem) -> np.ndarray:
        """How well each model explains each element ``(S, n)``: 1 for a residual of 0, 0 beyond."""
        finite = np.isfinite(models).all(1)
        out = np.zeros((len(models), len(x)), np.float32)
        residuals = problem.residuals(models[finite], x) / self.limit
        out[finite] = np.maximum(1 - residuals**2, 0)
        return out

    def gradient(self, log: Tensor, samples: np.ndarray, gain: np.ndarray) -> Tensor:
        """What to descend, so that samples ``(S, k)`` with more `gain` ``(S,)`` get more likely.

        log : logarithms of the elements' weights ``(n,)``.
        """
        better = torch.from_numpy(gain - gain.mean()).to(log)
        return -(better * log[torch.from_numpy(samples).to(log.device)].sum(1)).mean()

    def error(self, network: Any, drawn: Drawn) -> float:
        """The share of a set that the models found do not explain: the loss says nothing."""
        x, problem = self.posed(drawn[0])
        samples = self.samples(x, self.hypotheses, problem, drawn[1])
        explained = self.explained(problem.models(x, samples), x, problem)
        state = np.zeros(len(x))
        for _ in range(self.models):
            state = np.maximum(state, explained[best(explained, state)])
        return 1 - float(state.mean())

    def samples(
        self, points: np.ndarray, count: int, problem: Problem, rng: np.random.Generator
    ) -> np.ndarray:
        """Minimal samples ``(count, minimal)``: a `hush.tasks.geometry.consensus.Sampler`."""
        raise NotImplementedError

    # -- denoising -------------------------------------------------------------------------------

    def verdict(
        self, elements: Elements, share: float | None, advance: Advance | None = None
    ) -> Verdict:
        """See `Selecting.verdict`: what none of the models found explains is an outlier.

        The probability is 1 / (1 + (residual / threshold)²), ½ at the threshold, of the nearest
        model; it is not calibrated.
        """
        x, problem = self.posed(elements)
        part = x
        said: tuple[str, ...] = ()
        if len(x) > MOST:
            rows = np.random.default_rng(self.seed).permutation(len(x))[:MOST]
            part = x[np.sort(rows)]
            said = (
                f"The models were looked for among {MOST:,} of the {len(x):,} {problem.element} "
                "only, drawn at random, to limit the time.",
            )
        found = multi(
            part,
            problem,
            method="greedy",
            threshold=self.limit,
            hypotheses=self.hypotheses,
            most=self.models,
            seed=self.seed,
            sampler=self.samples,
            strict=False,
        ).models
        residual = np.full(len(x), np.inf)
        for model in found:
            residual = np.minimum(residual, problem.residuals(model[None], x)[0])
        if advance:
            advance(1.0)
        probability = 1 / (1 + (residual / self.limit) ** 2)
        return decided(elements, probability, share).saying(said)


def drawn(weights: np.ndarray, count: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Samples ``(count, size)`` of elements with these weights, with replacement."""
    sums = np.cumsum(weights, dtype=np.float64)
    found = np.searchsorted(sums, rng.random((count, size)) * sums[-1], "right")
    return np.minimum(found, len(weights) - 1)


def best(explained: np.ndarray, state: np.ndarray) -> int:
    """Of models that explain elements ``(S, n)``, that which adds most to a state ``(n,)``."""
    return int(np.maximum(explained - state, 0).sum(1).argmax())


def flipped(one: Drawn) -> Elements:
    """A set of points mirrored at random; other sets as they are."""
    elements, rng = one
    if elements.x.shape[1] != 2:
        return elements
    return Elements(
        elements.x * rng.choice([-1.0, 1.0], 2), elements.known, elements.rows, elements.about
    )


def numbers(log: Tensor) -> np.ndarray:
    """Weights of their logarithms, as an array."""
    found: np.ndarray = log.detach().exp().cpu().double().numpy()
    return found
