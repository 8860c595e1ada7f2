"""TEMPORARY until tasks/geometry/scores.py is there."""

from __future__ import annotations

import numpy as np


def recall_auc(errors: np.ndarray, cutoff: float) -> float:
    return float(np.mean(np.clip(1 - np.asarray(errors) / cutoff, 0, 1)))


def matched(true: np.ndarray, models: np.ndarray, missing: float = 90.0) -> np.ndarray:
    """Angles of unit vectors, sign-free, Hungarian; `missing` where unmatched."""
    from scipy.optimize import linear_sum_assignment

    errors = np.full(len(true), missing)
    if len(models):
        cos = np.clip(np.abs(true @ models.T), 0, 1)
        angle = np.degrees(np.arccos(cos))
        rows, columns = linear_sum_assignment(angle)
        errors[rows] = angle[rows, columns]
    return errors
