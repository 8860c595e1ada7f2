"""Scores of estimated geometry: angular errors, recall AUC (MID's eq. 11), mAA (eq. 12)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hush.errors import HushError

MISSING = 90.0  #: degrees, the error of a model that was not found
OFFSET = 0.03  #: of the unit square: how far from a segment's middle its line may pass
THRESHOLDS = tuple(range(1, 11))  #: degrees, of mAA


def recall(errors: np.ndarray, threshold: float) -> float:
    """Share of true models with an error below the threshold, in the same units (eq. 11)."""
    return float(np.mean(_errors(errors) < threshold))


def recall_auc(errors: np.ndarray, cutoff: float) -> float:
    """Area under the recall from 0 to `cutoff`, over the cutoff: 0 to 1 (eq. 11).

    errors : of all true models, one each, any shape. The recall is a step function, so its area is
    exact: the mean of max(0, 1 − error / cutoff). An error that is not finite is a miss.
    """
    errors = _errors(errors)
    return float(np.mean(np.clip(1 - errors / cutoff, 0, None)))


def maa(
    errors: np.ndarray | Sequence[np.ndarray] | Mapping[str, np.ndarray],
    thresholds: Sequence[float] = THRESHOLDS,
) -> float:
    """Mean average accuracy (eq. 12): share of pairs with an error of at most 1°, 2°, … 10°.

    errors : in degrees, an array of one scene's pairs, or one array a scene. Scenes weigh equally,
    however many pairs they have. An error that is not finite is a failure.
    """
    if isinstance(errors, Mapping):
        errors = list(errors.values())
    elif isinstance(errors, np.ndarray) and errors.ndim == 1:
        errors = [errors]
    scenes = [_errors(scene).ravel() for scene in errors]
    if not scenes:
        raise HushError("mAA needs the errors of at least one scene")
    limits = np.asarray(thresholds, np.float64)
    return float(np.mean([np.mean(scene[:, None] <= limits) for scene in scenes]))


# -- matching models to the truth ------------------------------------------------------------


def line_errors(
    found: np.ndarray, truth: np.ndarray, ends: np.ndarray, offset: float = OFFSET
) -> np.ndarray:
    """Error ``(M,)`` of each true line in degrees: its angle to the line found for it.

    found ``(P, 3)`` and truth ``(M, 3)`` : lines (a, b, c). ends ``(M, 4)`` : the true segments.
    A line found counts for a true one only if it passes within `offset` of the middle of its
    segment, so that a parallel elsewhere is a miss; the default suits the unit square. Each line
    counts once (`matched`).
    """
    truth, found = np.reshape(truth, (-1, 3)), np.reshape(found, (-1, 3))
    middle = (np.asarray(ends)[:, :2] + np.asarray(ends)[:, 2:]) / 2
    truth = truth / np.linalg.norm(truth[:, :2], axis=1, keepdims=True)
    found = found / np.linalg.norm(found[:, :2], axis=1, keepdims=True)
    sine = truth[:, :1] * found[:, 1] - truth[:, 1:2] * found[:, 0]
    cosine = truth[:, :1] * found[:, 0] + truth[:, 1:2] * found[:, 1]
    angles = np.degrees(np.arctan2(np.abs(sine), np.abs(cosine)))
    away = np.abs(middle @ found[:, :2].T + found[:, 2])
    return matched(np.where(away <= offset, angles, MISSING))


def vanishing_errors(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Error ``(M,)`` of each true vanishing point in degrees: the angle between directions.

    found ``(P, 3)`` and truth ``(M, 3)`` : directions K⁻¹v; lengths and signs mean nothing.
    """
    truth, found = np.reshape(truth, (-1, 1, 3)), np.reshape(found, (1, -1, 3))
    cross = np.linalg.norm(np.cross(truth, found), axis=2)
    return matched(np.degrees(np.arctan2(cross, np.abs((truth * found).sum(axis=2)))))


def matched(angles: np.ndarray) -> np.ndarray:
    """Errors ``(M,)`` of true models from angles ``(M, P)`` to those found, each used once.

    The assignment has the smallest sum (Hungarian); a true model without one has 90°.
    """
    from scipy.optimize import linear_sum_assignment

    errors = np.full(len(angles), MISSING)
    if angles.size:
        row, column = linear_sum_assignment(angles)
        errors[row] = angles[row, column]
    return errors


def pose_error(
    R: np.ndarray, t: np.ndarray, R_true: np.ndarray, t_true: np.ndarray, *, signed: bool = False
) -> float:
    """The larger of the angles between rotations and between translations, in degrees.

    Translations are directions: their lengths mean nothing. By default −t is as good as t, as in
    the RANSAC tutorial's benchmark: the error is at most 90°. With `signed`, −t is off by 180°.
    Where the cameras share a centre, `t_true` = 0 and only the rotation counts.
    """
    # the chord between rotations, because an arccos of a trace is blind to small angles
    chord = np.linalg.norm(np.asarray(R, np.float64) - np.asarray(R_true, np.float64))
    rotation = 2 * np.arcsin(min(1.0, chord / np.sqrt(8)))
    t, t_true = np.ravel(t).astype(np.float64), np.ravel(t_true).astype(np.float64)
    if not np.linalg.norm(t_true):
        return float(np.degrees(rotation))
    sine, cosine = np.linalg.norm(np.cross(t, t_true)), float(t @ t_true)
    translation = np.arctan2(sine, cosine if signed else abs(cosine))
    return float(np.degrees(max(rotation, translation)))


def _errors(errors: np.ndarray) -> np.ndarray:
    values = np.asarray(errors, np.float64)
    if not values.size:
        raise HushError("a score needs at least one error")
    return np.where(np.isfinite(values), values, np.inf)
