"""Several models in one set: Sequential RANSAC, J-Linkage, T-Linkage, for any problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hush.errors import HushError
from hush.tasks.geometry.linkage import clusters, preferences
from hush.tasks.geometry.problems import Problem

METHODS = ("sequential-ransac", "j-linkage", "t-linkage", "greedy")
HYPOTHESES = 2000  #: minimal samples; of Sequential RANSAC, for each model
#: elements that a linkage clusters at most; its memory grows with their square. The rest only join
#: the models found.
LARGEST = 4000
#: local sampling: the Gaussian's width, as a share of the elements' spread
LOCAL = 0.3
ROUNDS = 3  #: of least squares on the inliers

#: draws minimal samples of indices ``(count, minimal)`` from elements ``(N, D)``
Sampler = Callable[[np.ndarray, int, Problem, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Models:
    """Models found, the best first.

    models : float64 ``(M, p)``. labels : ``(N,)``, the nearest model within the threshold, or −1.
    """

    models: np.ndarray
    labels: np.ndarray


def multi(
    points: np.ndarray,
    problem: Problem,
    *,
    method: str = "j-linkage",
    threshold: float,
    hypotheses: int = HYPOTHESES,
    most: int | None = None,
    smallest: int | None = None,
    seed: int = 0,
    sampler: Sampler | None = None,
    strict: bool = True,
) -> Models:
    """Finds several models among outliers.

    points : ``(N, D)`` elements. threshold : largest residual of an inlier. hypotheses : minimal
    samples; of Sequential RANSAC, for each model. most : models at most. smallest : inliers that a
    model needs, by default 1 % of the elements, and at least 3 more than a minimal sample. sampler
    : how samples are drawn; by default uniformly, and for a linkage locally where elements of a
    model are near each other. strict : if False, elements that no model can be fitted to give no
    models instead of an error. Models are ranked greedily: each next one is that with the most
    inliers which no better one has.

    - ``sequential-ransac``: RANSAC again and again, on the elements that no model explains yet;
    - ``j-linkage``, ``t-linkage``: see `hush.tasks.geometry.linkage`;
    - ``greedy``: draws all samples at once and ranks them, for samplers that know all models.

    Rows that are not finite are outliers. One seed gives one answer.
    """
    if method not in METHODS:
        raise HushError(
            f"no method {method!r} for several models; choose from {', '.join(METHODS)}"
        )
    if not threshold > 0:
        raise HushError(f"the threshold must be positive, not {threshold:g}")
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] < problem.columns:
        raise HushError(
            f"{problem.element} are an array (N, {problem.columns}), not {points.shape}"
        )
    points = points[:, : problem.columns].astype(np.float64)
    finite = np.isfinite(points).all(axis=1)
    reason = unfit(points[finite], problem)
    labels = np.full(len(points), -1)
    if reason:
        if strict:
            raise HushError(reason)
        return Models(np.zeros((0, problem.width)), labels)
    if smallest is None:
        smallest = max(problem.minimal + 3, len(points) // 100)
    rng = np.random.default_rng(seed)
    kept = points[finite]
    origin = problem.origin(kept)
    kept = kept - origin
    most = len(kept) if most is None else most
    search = _Search(problem, threshold, hypotheses, most, smallest, rng)
    if method == "sequential-ransac":
        found = search.sequential(kept, sampler or uniform)
    elif method == "greedy":
        found = search.greedy(kept, sampler or uniform)
    else:
        found = search.linkage(kept, sampler or local, soft=method == "t-linkage")
    labels[finite] = assign(problem.residuals(found, kept), threshold)
    return Models(problem.moved(found, origin), labels)


def unfit(points: np.ndarray, problem: Problem) -> str | None:
    """A sentence if finite elements are too few or too alike for a model, or None."""
    distinct = len(np.unique(points, axis=0))
    if distinct < problem.minimal:
        return (
            f"too few {problem.element}: a model needs {problem.minimal} different ones, "
            f"and there are {distinct}"
        )
    return None


def assign(residuals: np.ndarray, threshold: float) -> np.ndarray:
    """The nearest model ``(N,)`` within the threshold, −1 for none, from residuals ``(M, N)``."""
    if not len(residuals):
        return np.full(residuals.shape[1], -1)
    nearest = residuals.argmin(axis=0)
    return np.where(residuals.min(axis=0) <= threshold, nearest, -1)


@dataclass(frozen=True)
class _Search:
    problem: Problem
    threshold: float
    hypotheses: int
    most: int
    smallest: int
    rng: np.random.Generator

    def sequential(self, points: np.ndarray, sampler: Sampler) -> np.ndarray:
        left = np.arange(len(points))
        found: list[np.ndarray] = []
        while len(found) < self.most and len(left) >= max(self.smallest, self.problem.minimal):
            models = self.hypothesise(points[left], sampler)
            if not len(models):
                break
            inliers = self.within(models, points[left])
            best = int(inliers.sum(axis=1).argmax())
            model = self.polish(models[best], points[left])
            mine = self.within(model[None], points[left])[0]
            if mine.sum() < self.smallest:
                break
            found.append(model)
            left = left[~mine]
        return self.rank(self.stack(found), points)

    def greedy(self, points: np.ndarray, sampler: Sampler) -> np.ndarray:
        models = self.rank(self.hypothesise(points, sampler), points)
        return self.rank(self.stack([self.polish(model, points) for model in models]), points)

    def linkage(self, points: np.ndarray, sampler: Sampler, *, soft: bool) -> np.ndarray:
        part = points
        if len(points) > LARGEST:
            part = points[np.sort(self.rng.choice(len(points), LARGEST, replace=False))]
        residuals = self.problem.residuals(self.hypothesise(part, sampler), part)
        liking = preferences(residuals, self.threshold, soft=soft)
        some = np.flatnonzero(liking.any(axis=1))
        names, groups = np.unique(clusters(liking[some]), return_inverse=True)
        models = []
        for group in range(len(names)):
            members = part[some[groups == group]]
            if len(members) > self.problem.minimal:
                models.append(self.problem.refine(members, np.ones(len(members))))
        models = [self.polish(model, points) for model in models if np.isfinite(model).all()]
        return self.rank(self.stack(models), points)

    def hypothesise(self, points: np.ndarray, sampler: Sampler) -> np.ndarray:
        samples = sampler(points, self.hypotheses, self.problem, self.rng)
        models = self.problem.models(points, samples)
        return models[np.isfinite(models).all(axis=1)]

    def within(self, models: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Inliers, bool ``(M, N)``."""
        inliers: np.ndarray = self.problem.residuals(models, points) <= self.threshold
        return inliers

    def polish(self, model: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Least squares on the inliers, as long as there are no fewer of them."""
        inliers = self.within(model[None], points)[0]
        for _ in range(ROUNDS):
            better = self.problem.refine(points, inliers.astype(np.float64))
            if not np.isfinite(better).all():
                break
            now = self.within(better[None], points)[0]
            if now.sum() < inliers.sum():
                break
            model, same, inliers = better, (now == inliers).all(), now
            if same:
                break
        return model

    def rank(self, models: np.ndarray, points: np.ndarray) -> np.ndarray:
        """The best models first; those with too few inliers of their own are left out."""
        inliers = self.within(models, points)
        order: list[int] = []
        free = np.ones(len(points), bool)
        while len(order) < min(self.most, len(models)):
            counts = inliers[:, free].sum(axis=1)
            best = int(counts.argmax())
            if counts[best] < self.smallest:
                break
            order.append(best)
            free &= ~inliers[best]
        return models[order]

    def stack(self, models: list[np.ndarray]) -> np.ndarray:
        return np.stack(models) if models else np.zeros((0, self.problem.width))


# -- samplers --------------------------------------------------------------------------------


def uniform(
    points: np.ndarray, count: int, problem: Problem, rng: np.random.Generator
) -> np.ndarray:
    """Samples of different elements, all equally likely."""
    total, size = len(points), problem.minimal
    if total < 4 * size:
        order: np.ndarray = rng.random((count, total)).argsort(axis=1)[:, :size]
        return order
    samples = rng.integers(total, size=(count, size))
    while True:
        ordered = np.sort(samples, axis=1)
        again = np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))
        if not len(again):
            return samples
        samples[again] = rng.integers(total, size=(len(again), size))


def local(points: np.ndarray, count: int, problem: Problem, rng: np.random.Generator) -> np.ndarray:
    """Samples of an element and others near it, with likelihood exp(−d²/s²), as J-Linkage's.

    s is `LOCAL` of the elements' spread. Uniform where nearness means nothing.
    """
    place = problem.place(points)
    if place is None:
        return uniform(points, count, problem, rng)
    squares = (place**2).sum(axis=1)
    scale = LOCAL**2 * float(place.var(axis=0).sum()) or 1.0
    samples = rng.integers(len(points), size=(count, problem.minimal))
    draws = rng.random((count, problem.minimal - 1))
    for start in range(0, count, 256):
        part = slice(start, start + 256)
        first = place[samples[part, 0]]
        distance = (
            squares[samples[part, 0], None] + squares - 2 * np.einsum("sd,nd->sn", first, place)
        )
        likely = np.exp(-distance.clip(0) / scale)
        rows = np.arange(len(first))
        for column in range(1, problem.minimal):
            likely[rows, samples[part, column - 1]] = 0
            sums = np.cumsum(likely, axis=1)
            level = draws[part, column - 1] * sums[:, -1]
            samples[part, column] = (sums <= level[:, None]).sum(axis=1).clip(max=len(points) - 1)
    return samples
