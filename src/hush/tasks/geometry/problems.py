"""What a robust estimator needs to know of a problem: lines through points, vanishing points.

A problem fits models to minimal samples, says how far each element is from each model, and fits
one model to weighted elements. All of it is vectorised, in float64.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from hush.errors import HushError


class Problem(Protocol):
    """Models ``(M, p)`` of elements ``(N, D)``."""

    minimal: int  #: elements that determine a model
    columns: int  #: columns of an element that count, the first ones
    width: int  #: p, the numbers that describe a model
    element: str  #: what an element is called in sentences, in the plural

    def place(self, points: np.ndarray) -> np.ndarray | None:
        """Coordinates ``(N, d)`` in which elements of one model are near each other, or None."""

    def origin(self, points: np.ndarray) -> np.ndarray:
        """The offset ``(D,)`` to subtract from elements before estimation."""

    def moved(self, models: np.ndarray, origin: np.ndarray) -> np.ndarray:
        """Models of elements less `origin`, as models of the elements."""

    def models(self, points: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """A model ``(S, p)`` for each sample of indices ``(S, minimal)``; NaN if degenerate."""

    def residuals(self, models: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Distances ``(M, N)``, not negative."""

    def refine(self, points: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The model ``(p,)`` that fits elements with weights ``(N,)`` best; NaN if none does."""


class Line:
    """Lines through 2-D points ``(N, 2)``: (a, b, c), a x + b y + c = 0 with a² + b² = 1.

    A residual is the distance of a point from a line, in units of the coordinates.
    """

    minimal, columns, width, element = 2, 2, 3, "points"

    def place(self, points: np.ndarray) -> np.ndarray | None:
        return points

    def origin(self, points: np.ndarray) -> np.ndarray:
        return points.mean(axis=0)

    def moved(self, models: np.ndarray, origin: np.ndarray) -> np.ndarray:
        offset = models[:, 2] - models[:, :2] @ origin
        return np.concatenate([models[:, :2], offset[:, None]], axis=1)

    def models(self, points: np.ndarray, samples: np.ndarray) -> np.ndarray:
        first, second = points[samples[:, 0]], points[samples[:, 1]]
        direction = second - first
        normal = np.stack([-direction[:, 1], direction[:, 0]], axis=1)
        normal = _unit(normal)
        offset = -np.sum(normal * (first + second) / 2, axis=1)
        return np.concatenate([normal, offset[:, None]], axis=1)

    def residuals(self, models: np.ndarray, points: np.ndarray) -> np.ndarray:
        # products of columns: a matrix product may round differently on other numbers of threads
        distances = models[:, :1] * points[:, 0]
        distances += models[:, 1:2] * points[:, 1]
        distances += models[:, 2:]
        return np.abs(distances, out=distances)

    def refine(self, points: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Total least squares: the line with the smallest weighted sum of squared distances."""
        total = weights.sum()
        if not total > 0:
            return np.full(3, np.nan)
        centre = np.sum(points * weights[:, None], axis=0) / total
        x, y = (points - centre).T
        xx, yy, xy = (float(np.sum(weights * a * b)) for a, b in ((x, x), (y, y), (x, y)))
        if not np.hypot(xx - yy, 2 * xy) > 0:  # one place, or no direction
            return np.full(3, np.nan)
        angle = np.arctan2(2 * xy, xx - yy) / 2
        normal = np.array([-np.sin(angle), np.cos(angle)])
        return np.append(normal, -np.sum(normal * centre))


class VanishingPoint:
    """Vanishing points of segments ``(N, 4)``: x1 y1 x2 y2 in pixels.

    A model is a unit vector on the Gauss sphere, the direction K⁻¹v of the vanishing point v; its
    sign means nothing. The calibration is `K` ``(3, 3)``; without it, `size` (width, height) of the
    image gives the scale of CONSAC: the centre is the origin, half the longer side is 1. A residual
    is 1 − |cos| of the angle between a segment and the line from its middle to the vanishing point
    (Kluger et al., CONSAC and PARSAC): 0 to 1.
    """

    minimal, columns, width, element = 2, 4, 3, "segments"
    ROUNDS = 5  #: of the reweighted least squares

    def __init__(
        self, K: np.ndarray | None = None, size: tuple[float, float] | np.ndarray | None = None
    ) -> None:
        if K is None and size is None:
            raise HushError("vanishing points need the camera matrix K or the image's size")
        if K is None:
            assert size is not None
            width, height = (float(side) for side in size)
            half = max(width, height) / 2
            K = np.array([[half, 0, width / 2], [0, half, height / 2], [0, 0, 1]])
        self.K = np.asarray(K, np.float64)
        if self.K.shape != (3, 3) or not np.isfinite(self.K).all() or not np.linalg.det(self.K):
            raise HushError(f"a camera matrix is an invertible (3, 3) array, not {self.K.tolist()}")
        self.inverse = np.linalg.inv(self.K)

    def place(self, points: np.ndarray) -> np.ndarray | None:
        return None  # segments of one vanishing point are all over the image

    def origin(self, points: np.ndarray) -> np.ndarray:
        return np.zeros(points.shape[1])

    def moved(self, models: np.ndarray, origin: np.ndarray) -> np.ndarray:
        return models

    def models(self, points: np.ndarray, samples: np.ndarray) -> np.ndarray:
        lines = self._lines(points)
        crossings = np.cross(lines[samples[:, 0]], lines[samples[:, 1]])
        # two segments of one line leave nothing but rounding
        crossings[np.linalg.norm(crossings, axis=1) < 1e-9] = np.nan
        return _unit(crossings)

    def residuals(self, models: np.ndarray, points: np.ndarray) -> np.ndarray:
        middle, direction = self._normalised(points)
        x = models[:, :1] - models[:, 2:] * middle[:, 0]
        y = models[:, 1:2] - models[:, 2:] * middle[:, 1]
        cosine = np.abs(x * direction[:, 0] + y * direction[:, 1])
        with np.errstate(invalid="ignore", divide="ignore"):
            cosine /= np.hypot(x, y)
        return np.clip(1 - np.nan_to_num(cosine, nan=0), 0, 1)

    def refine(self, points: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Least squares of the sine of the residuals' angle, by reweighting."""
        used = weights > 0
        points, weights = points[used], weights[used]
        if len(points) < 2:
            return np.full(3, np.nan)
        lines = self._lines(points)
        middle, _ = self._normalised(points)
        scale = weights
        for _ in range(self.ROUNDS):
            moments = np.einsum("n,ni,nj->ij", scale, lines, lines)
            values, vectors = np.linalg.eigh(moments)
            if not values[1] > 1e-12 * values[2]:  # segments of one line
                return np.full(3, np.nan)
            model = vectors[:, 0]
            away = model[:2] - model[2] * middle
            # the sine is line·model over the distance to the vanishing point
            squared = (away**2).sum(axis=1)
            length = np.hypot(lines[:, 0], lines[:, 1]) ** 2
            scale = weights / np.maximum(squared * length, 1e-12)
        return model

    def _lines(self, points: np.ndarray) -> np.ndarray:
        """Unit normals ``(N, 3)`` of the planes through the camera and each segment."""
        ends = points[:, :4].reshape(-1, 2, 2)
        rays = np.concatenate([ends, np.ones((len(ends), 2, 1))], axis=2) @ self.inverse.T
        return _unit(np.cross(rays[:, 0], rays[:, 1]))

    def _normalised(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Middles ``(N, 2)`` and unit directions ``(N, 2)`` of segments, by the calibration."""
        ends = points[:, :4].reshape(-1, 2, 2)
        rays = np.concatenate([ends, np.ones((len(ends), 2, 1))], axis=2) @ self.inverse.T
        ends = rays[..., :2] / rays[..., 2:]
        return ends.mean(axis=1), _unit(ends[:, 1] - ends[:, 0])


def _unit(x: np.ndarray) -> np.ndarray:
    """Rows of unit length; NaN for those of length zero."""
    length = np.sqrt(np.sum(x**2, axis=1, keepdims=True))
    with np.errstate(invalid="ignore", divide="ignore"):
        unit: np.ndarray = x / np.where(length > 0, length, np.nan)
    return unit
