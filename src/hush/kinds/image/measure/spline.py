"""A smoothing spline over the cells of a grid, and a free law of brightness, fitted together.

The spline is a thin plate, cut at seams; leave-one-out errors decide its stiffness.

References
----------
P. H. C. Eilers, I. D. Currie, M. Durbán, "Fast and compact smoothing on large multidimensional
grids", Computational Statistics & Data Analysis 50(1), 2006.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hush.kinds.image.measure.cells import ERROR, KNOTS, Grid, Points

STIFFNESS = 10.0 ** np.arange(-1, 4)  #: to choose from, relative to the points' weights
MEMBRANE, BRIDGE = 0.1, 1e-4  #: stiffness against slopes, and across seams, relative to the plate's


@dataclass(frozen=True)
class Fit:
    """field : the log-level in all cells; log : of the law at its knots; error : mean squared
    leave-one-out error; stiffness : the one that makes it least.
    """

    field: np.ndarray
    log: np.ndarray
    error: float
    stiffness: float


def smooth(points: Points, *, places: bool = True, brightness: float = 0.0) -> Fit:
    """Fit a field over the places, a free law of brightness of this stiffness, or both.

    Without places, the law's stiffness is the best one. Points far off lose weight (Cauchy).
    """
    number = points.grid.size if places else 1
    cell = points.cell if places else np.zeros(len(points.cell), int)
    free = bool(brightness) or not places
    design = np.concatenate([np.eye(number)[cell], points.signal * free], axis=1)
    field, law = np.zeros((2, number + KNOTS, number + KNOTS))
    bends = np.diff(np.eye(KNOTS), 2, axis=0)
    law[number:, number:] = bends.T @ bends
    if places:
        field[:number, :number] = _stiffness(points.grid)
    fixed, varied = 1e-6 * np.eye(len(law)) + brightness * law, field if places else law
    weight = points.weight / np.median(points.weight)
    trust, choice = np.ones(len(design)), STIFFNESS
    for _ in range(3):
        own = weight * trust
        fits = [_least_squares(design, own, points.log, fixed + s * varied) for s in choice]
        best = int(np.argmin([error for _, error in fits]))
        (solution, error), choice = fits[best], choice[best : best + 1]
        off = points.log - design @ solution
        scatter = 1.4826 * float(np.median(np.abs(off))) + ERROR
        trust = 1 / (1 + (off / (2.5 * scatter)) ** 2)
    known = solution[cell]
    inside = np.clip(solution[:number], known.min(), known.max())
    return Fit(inside, solution[number:], error / float(own.sum()), float(choice[0]))


def _least_squares(
    design: np.ndarray, weight: np.ndarray, seen: np.ndarray, stiff: np.ndarray
) -> tuple[np.ndarray, float]:
    """Penalised least squares, and the weighted sum of squared leave-one-out errors."""
    inverse = np.linalg.inv(design.T @ (weight[:, None] * design) + stiff)
    solution = inverse @ (design.T @ (weight * seen))
    leverage = weight * ((design @ inverse) * design).sum(axis=1)
    left_out = (seen - design @ solution) / np.maximum(1 - leverage, 1e-3)
    return solution, float(weight @ left_out**2)


def _stiffness(grid: Grid) -> np.ndarray:
    """The quadratic form of a thin plate over the cells, cut at the seams."""
    slopes, bends, bridges = [], [], []
    for edges, seams in zip(grid.edges, grid.seams, strict=True):
        one = np.diff(np.eye(len(edges) - 1), axis=0)
        cut = np.isin(edges[1:-1], seams)
        slopes.append(one[~cut].T @ one[~cut])
        bridges.append(one[cut].T @ one[cut])
        two = np.diff(np.eye(len(edges) - 1), 2, axis=0)[~(cut[1:] | cut[:-1])]
        bends.append(two.T @ two)

    def both(forms: list[np.ndarray]) -> np.ndarray:
        rows, columns = (np.eye(len(form)) for form in forms)
        total: np.ndarray = np.kron(forms[0], columns) + np.kron(rows, forms[1])
        return total

    plate = both(bends) + 2 * np.kron(*slopes)
    result: np.ndarray = plate + MEMBRANE * both(slopes) + BRIDGE * both(bridges)
    return result
