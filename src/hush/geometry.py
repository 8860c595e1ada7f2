"""Robust geometry: matrices of two views, lines and vanishing points, with or without denoising.

Every function takes ``denoise``: True for the shipped model, a model's name or file, or a trained
method. Outliers that it removes are never seen by the estimator, and are outliers in the answer.

>>> F, mask = hush.geometry.fundamental(x1, x2, method="magsac++", denoise=True)
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hush import kinds
from hush.api import run
from hush.errors import HushError
from hush.reading import Source, matched
from hush.record import Record
from hush.tasks.geometry import epipolar, multi
from hush.tasks.geometry.consensus import Models
from hush.tasks.geometry.problems import Line, VanishingPoint

if TYPE_CHECKING:
    from hush.denoiser import Denoiser

    Denoise = bool | str | PathLike[str] | Denoiser | None

ANGLE = 0.001  #: 1 − |cos|, the largest residual of a segment of a vanishing point

__all__ = [
    "Models",
    "essential",
    "fundamental",
    "inlier_probability",
    "lines",
    "vanishing_points",
]


def fundamental(
    x1: np.ndarray,
    x2: np.ndarray,
    method: str = "magsac++",
    *,
    denoise: Denoise = False,
    context: Mapping[str, Any] | None = None,
    **options: Any,
) -> tuple[np.ndarray | None, np.ndarray]:
    """The fundamental matrix ``(3, 3)`` and its inliers, bool ``(N,)``; x2ᵀ F x1 = 0.

    x1, x2 : ``(N, 2)``, in pixels. method : ransac, lo-ransac, magsac++, poselib or degensac.
    context : of the matches, for denoising, such as ``{"ratio": ..., "mutual": ...}``.
    options : threshold, confidence, iterations, seed; see `hush.tasks.geometry.epipolar`.
    The matrix is None if the estimator finds none.
    """
    pairs = matched(x1, x2)
    kept = _kept(pairs, "correspondences", denoise, context)
    with _explained(kept, "matches"):
        found, mask = epipolar.fundamental(
            pairs[kept, :2], pairs[kept, 2:], method=method, **options
        )
    return found, _spread(mask, kept, False)


def essential(
    x1: np.ndarray,
    x2: np.ndarray,
    K1: np.ndarray,
    K2: np.ndarray,
    method: str = "magsac++",
    *,
    denoise: Denoise = False,
    context: Mapping[str, Any] | None = None,
    **options: Any,
) -> tuple[np.ndarray | None, np.ndarray]:
    """The essential matrix ``(3, 3)`` and its inliers, bool ``(N,)``.

    K1, K2 : camera matrices ``(3, 3)``. Everything else as in `fundamental`.
    """
    pairs = matched(x1, x2)
    cameras = {"K1": np.asarray(K1), "K2": np.asarray(K2)}
    kept = _kept(pairs, "correspondences", denoise, {**cameras, **(context or {})})
    with _explained(kept, "matches"):
        found, mask = epipolar.essential(
            pairs[kept, :2], pairs[kept, 2:], K1, K2, method=method, **options
        )
    return found, _spread(mask, kept, False)


def lines(
    points: np.ndarray,
    threshold: float,
    method: str = "j-linkage",
    *,
    denoise: Denoise = False,
    **options: Any,
) -> Models:
    """Lines through points ``(N, 2)``: (a, b, c) with a x + b y + c = 0 and a² + b² = 1.

    threshold : largest distance of an inlier, in units of the coordinates. method :
    sequential-ransac, j-linkage, t-linkage or greedy. options : those of
    `hush.tasks.geometry.multi`. Removed points have the label −1.
    """
    if np.ndim(points) != 2 or np.shape(points)[1] != 2:
        raise HushError(f"lines go through points (N, 2), not {np.shape(points)}")
    return _several(points, "points", Line(), threshold, method, denoise, None, options)


def vanishing_points(
    segments: np.ndarray,
    K: np.ndarray | None = None,
    size: tuple[float, float] | np.ndarray | None = None,
    threshold: float = ANGLE,
    method: str = "j-linkage",
    *,
    denoise: Denoise = False,
    **options: Any,
) -> Models:
    """Vanishing points of segments ``(N, 4)``, as directions K⁻¹v of length 1.

    K : camera matrix ``(3, 3)``; or size : (width, height) of the picture. threshold : largest
    1 − |cos| of the angle between a segment and the line to its vanishing point. Everything else as
    in `lines`.
    """
    told = {"K": K, "size": size}
    context = {name: np.asarray(v) for name, v in told.items() if v is not None}
    problem = VanishingPoint(K, size)
    return _several(segments, "segments", problem, threshold, method, denoise, context, options)


def inlier_probability(
    x: Source, x2: np.ndarray | None = None, *, kind: str | None = None, **options: Any
) -> np.ndarray:
    """The probability of each element of a set to belong to it, float64 ``(N,)``.

    x : points ``(N, 2)`` or ``(N, 3)``; with `x2`, the points of two pictures, both ``(N, 2)``, as
        estimators of fundamental matrices take them; or all that `run` takes, with its `kind`.
    options : those of `run`.

    Elements that cannot be judged have NaN: those with NaN, and all of a set that is too small or
    on one line, which also gives a `UserWarning`.

    >>> p = hush.inlier_probability(x1, x2)
    >>> F, mask = cv2.findFundamentalMat(x1[p > 0.5], x2[p > 0.5])
    """
    if x2 is not None:
        x, kind = matched(x, x2), kind or "correspondences"
    elif kind is None and not isinstance(x, str | PathLike | Record):
        shape = np.shape(x)
        if len(shape) != 2 or shape[1] not in (2, 3):
            raise HushError(
                f"an array {shape} may hold several kinds of elements; state kind='points', "
                "'correspondences' or 'segments'"
            )
        kind = "points"
    result = run(x, kind=kind, **options)
    if len(result.items) != 1:
        raise HushError(f"there are {len(result.items)} sets; give them one by one")
    if result.items[0].probability is None:
        nouns = kinds.get(result.noisy.kind).nouns[1]
        raise HushError(f"{result.method} gives no probabilities for {nouns}")
    probability = np.asarray(result.items[0].probability, np.float64)
    if np.isnan(probability).all():
        why = " ".join(result.warnings) or "The method judged no element."
        warnings.warn(f"all probabilities are NaN. {why}", stacklevel=2)
    return probability


def _several(
    x: np.ndarray,
    kind: str,
    problem: Line | VanishingPoint,
    threshold: float,
    method: str,
    denoise: Denoise,
    context: Mapping[str, Any] | None,
    options: Mapping[str, Any],
) -> Models:
    x = np.asarray(x)
    kept = _kept(x, kind, denoise, context)
    with _explained(kept, problem.element):
        found = multi(x[kept], problem, method=method, threshold=threshold, **options)
    return Models(found.models, _spread(found.labels, kept, -1))


def _kept(
    x: np.ndarray, kind: str, denoise: Denoise, context: Mapping[str, Any] | None
) -> np.ndarray:
    """Which elements an estimator sees, bool ``(N,)``: all of them without denoising."""
    every = np.ones(len(x), bool)
    if denoise is False or denoise is None:
        return every
    model = None if denoise is True else denoise
    if isinstance(model, PathLike):
        model = Path(model)
    kept = run(x, kind=kind, model=model, context=context).items[0].kept
    return every if kept is None else kept


def _spread(values: np.ndarray, kept: np.ndarray, empty: Any) -> np.ndarray:
    """Values of the kept elements as values ``(N,)`` of all."""
    out = np.full(len(kept), empty, values.dtype)
    out[kept] = values
    return out


@contextmanager
def _explained(kept: np.ndarray, elements: str) -> Iterator[None]:
    """Says in an estimator's errors how many elements denoising left for it."""
    try:
        yield
    except HushError as error:
        if kept.all():
            raise
        left = f"{int(kept.sum())} of {len(kept)} {elements}"
        raise HushError(f"denoising left {left}: {error}") from error
