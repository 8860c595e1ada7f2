"""What else is known of correspondences, beside where they are.

Mutual matches and small ratios of distances are more often right. How much more differs from pair
to pair of pictures, so it is learned from the set itself: Φ's probabilities tell right from wrong
well enough to count how often each group has a cue, and Bayes' rule adds it (naively, as if cues
were independent of the geometry and of each other), again and again (EM).
"""

from __future__ import annotations

import numpy as np

ROUNDS = 10  #: of counting and adding
BINS = 12  #: into which values are sorted by rank
DOUBT = 4.0  #: elements that are added to every count, as the whole set is
EPS = 1e-4


def with_cues(outlier: np.ndarray, cues: list[np.ndarray]) -> np.ndarray:
    """Probabilities of being an outlier ``(n,)``, given cues ``(n,)``: bool, or values.

    Values that are not finite tell nothing.
    """
    p = np.clip(outlier, EPS, 1 - EPS)
    start = np.log(p / (1 - p))
    groups = [_groups(np.asarray(cue)) for cue in cues]
    groups = [g for g in groups if g.max(initial=0) > 0]
    odds = start
    for _ in range(ROUNDS if groups else 0):
        wrong = 1 / (1 + np.exp(-odds))
        odds = start + sum(_evidence(g, wrong) for g in groups)
    made: np.ndarray = 1 / (1 + np.exp(-odds))
    return made


def _groups(cue: np.ndarray) -> np.ndarray:
    """The bin of each value from 1, by rank; 0 for those that tell nothing."""
    if cue.dtype.kind == "b":
        return cue.astype(int) + 1 if cue.any() and not cue.all() else np.zeros(len(cue), int)
    cue = cue.astype(np.float64)
    told = np.isfinite(cue)
    out = np.zeros(len(cue), int)
    if told.any():
        edges = np.unique(np.quantile(cue[told], np.linspace(0, 1, BINS + 1)[1:-1]))
        out[told] = 1 + np.searchsorted(edges, cue[told], side="right")
    return out if len(np.unique(out[told])) > 1 else np.zeros(len(cue), int)


def _evidence(groups: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Logarithm of how much more often each element's bin is seen among the wrong ones."""
    told = groups > 0
    _, bins = np.unique(groups[told], return_inverse=True)
    whole = np.bincount(bins) / len(bins)
    bad, good = (np.bincount(bins, w[told]) + DOUBT * whole for w in (wrong, 1 - wrong))
    out = np.zeros(len(groups))
    out[told] = (np.log(bad / bad.sum()) - np.log(good / good.sum()))[bins]
    return out
