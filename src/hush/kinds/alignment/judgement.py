"""Judging which rows were left out of an alignment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hush.results import Judgement, Restoration


def judged(
    noisy: np.ndarray, strength: float, about: Mapping[str, Any], how: Restoration | None
) -> Judgement:
    """How many rows of an item ``(L, N)`` were removed.

    The statistics are those of every kind, ``rms`` being the share of removed rows, and ``kept``.
    """
    count = noisy.shape[-1]
    left = count if how is None or how.kept is None else int(how.kept.sum())
    stats = {
        "n": count,
        "kept": left,
        "mean": 0.0,
        "rms": 1 - left / max(count, 1),
        "expected_rms": None,
        "ratio": None,
        "autocorrelation": {},
    }
    warnings = []
    if 0 < strength < 1:
        warnings.append(
            f"A row is removed or not, so --strength {strength:g} changes nothing; state the rows "
            "to keep with --count or --keep instead."
        )
    text = (
        "Nothing was removed." if left == count else f"{count - left} of {count} rows were removed."
    )
    return Judgement(stats, tuple(warnings), text)
