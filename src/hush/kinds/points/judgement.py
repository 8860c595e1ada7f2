"""Judging what was left out of a set, and comparing sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hush.results import Judgement

if TYPE_CHECKING:
    from hush.kinds.points import Points
    from hush.results import Restoration


def sureness(probability: np.ndarray) -> float:
    """The expected share of right decisions if every element is decided by its probability."""
    p = probability[np.isfinite(probability)]
    return float(np.mean(np.maximum(p, 1 - p))) if p.size else float("nan")


def judged(kind: Points, noisy: np.ndarray, how: Restoration | None) -> Judgement:
    """How many elements of an item ``(D, N)`` were removed, and how sure that is."""
    count = noisy.shape[-1]
    kept = np.ones(count, bool) if how is None or how.kept is None else how.kept
    removed = 1 - kept.sum() / max(count, 1)
    stats = {
        "n": count,
        "kept": int(kept.sum()),
        "mean": 0.0,
        "rms": float(removed),
        "expected_rms": None,
        "ratio": None,
        "autocorrelation": {},
        "sure": None,
    }
    warnings: list[str] = []
    if how is not None and how.probability is not None:
        sure = sureness(how.probability)
        stats["sure"] = sure if np.isfinite(sure) else None
    said = f"{count - int(kept.sum())} of {count} {kind.element}s were removed."
    return Judgement(stats, tuple(warnings), said)


def agreement(a: np.ndarray, b: np.ndarray) -> Mapping[str, float]:
    """Of items ``(D, N)``: the share of the rows of `a` that are in `b`, and of `b` in `a`."""
    one, other = ({x.tobytes() for x in np.ascontiguousarray(y.T)} for y in (a, b))
    both = len(one & other)
    return {
        "precision": both / len(one) if one else float("nan"),
        "recall": both / len(other) if other else float("nan"),
    }
