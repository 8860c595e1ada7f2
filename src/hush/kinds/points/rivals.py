"""Of several matches of one keypoint at most one is right."""

from __future__ import annotations

import numpy as np

from hush.kinds.points.graph_pairs import standardised

APART = 0.02  #: of the spread of a picture's points; what is nearer is a keypoint found twice
EPS = 1e-4


def exclusive(outlier: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Probabilities ``(n,)`` of being wrong, given that rows ``(n, 4)`` with one point are rivals.

    The best row of a point keeps its probability; those that match it with a place farther away
    are right only if the best is wrong.
    """
    p = np.clip(outlier, EPS, 1 - EPS)
    odds = (1 - p) / p  # of being right
    start = odds
    for here, there in ((x[:, :2], x[:, 2:]), (x[:, 2:], x[:, :2])):
        _, group = np.unique(here, axis=0, return_inverse=True)
        group = group.reshape(-1)
        order = np.lexsort((*there.T, -start, group))
        leads = np.concatenate([[True], np.diff(group[order]) > 0])
        best = order[leads][group]
        places = standardised(there)
        far = np.linalg.norm(places - places[best], axis=1) > APART
        odds = np.where(far, odds / (1 + start[best]), odds)
    made: np.ndarray = np.where(odds < start, 1 / (1 + odds), outlier)
    return made
