"""Judging what was left out of a set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hush.kinds.points.advice import counted
from hush.kinds.points.places import normalised
from hush.report.describe import share
from hush.results import Judgement

if TYPE_CHECKING:
    from hush.kinds.points import Points
    from hush.results import Restoration

EVEN = (0.3, 0.7)  #: probabilities between these decide little
MANY = 0.25  #: share of such elements that is mentioned
#: share of the kept correspondences that fit one homography, the most of which are tried, and how
#: closely, relative to the points' spread
PLANAR, TRIED, CLOSE = 0.9, 400, 0.02
SAMPLES = 200  #: of four correspondences


def sureness(probability: np.ndarray, kept: np.ndarray) -> float | None:
    """The expected share of right decisions, by probabilities ``(N,)``; None if none was made."""
    judged = np.isfinite(probability)
    if not judged.any():
        return None
    return float(np.mean(np.where(kept, probability, 1 - probability)[judged]))


def judged(
    kind: Points,
    noisy: np.ndarray,
    strength: float,
    about: Mapping[str, Any],
    how: Restoration | None,
) -> Judgement:
    """How many elements of an item ``(D, N)`` were removed, and how sure that is.

    The statistics are those of every kind, ``rms`` being the share of removed elements, and also
    ``kept``, ``known`` (elements that could be judged), and if the method's probabilities are
    calibrated, ``sure`` and ``even`` (share of elements whose probability decides little).
    """
    count = noisy.shape[-1]
    kept = np.ones(count, bool) if how is None or how.kept is None else how.kept
    told = None if how is None else how.probability
    told = np.full(count, np.nan) if told is None else np.asarray(told, np.float64)
    judged = np.isfinite(told)
    tried = how is not None and how.probability is not None
    calibrated = how is not None and how.found is not None  # others only rank
    sure = sureness(told, kept) if calibrated else None
    low, high = EVEN
    even = (
        float(np.mean((told[judged] > low) & (told[judged] < high))) if sure is not None else None
    )
    left = int(kept.sum())
    stats = {
        "n": count,
        "kept": left,
        "known": int(judged.sum()),
        "mean": 0.0,
        "rms": 1 - left / max(count, 1),
        "expected_rms": None,
        "ratio": None,
        "autocorrelation": {},
        "sure": sure,
        "even": even,
    }
    warnings: list[str] = []
    if tried and left and not judged.any():
        come = f"the {kind.element} comes" if left == 1 else f"all {counted(left, kind)} come"
        warnings.append(f"Nothing was judged, so {come} back.")
    if not left and judged.any():
        warnings.append(f"All {counted(count, kind)} look like outliers, so the result is empty.")
    if 0 < strength < 1:
        warnings.append(
            f"A {kind.element} is removed or not, so --strength {strength:g} changes nothing; "
            "state the share of outliers instead, such as --noise outliers:0.2."
        )
    if even is not None and even >= MANY:
        warnings.append(
            f"{share(even)} of the {kind.element}s are hard to decide (probability {low:g} to "
            f"{high:g}). Weigh the {kind.element}s by their probability instead of using the mask; "
            "an .npz result has both."
        )
    if left and judged.any():
        x = noisy[list(kind.coordinates(about, len(noisy)))][:, kept].T.astype(np.float64)
        warnings += kind.doubts(x)
    return Judgement(stats, tuple(warnings), verdict(kind, count, left, sure, bool(judged.any())))


def verdict(kind: Points, count: int, left: int, sure: float | None, judged: bool) -> str:
    """What happened, in one or two sentences."""
    if not judged:
        return "Nothing was judged."
    unsure = "The method does not say how sure that is."
    right = unsure
    if sure is not None:
        right = f"{share(sure)} of the decisions are expected to be right."
    if left == count:
        return f"Nothing was removed: all {counted(count, kind)} seem to belong to the set. {right}"
    are = "was" if count - left == 1 else "were"
    return f"{count - left} of {counted(count, kind)} {are} removed. {right}"


def planar(pairs: np.ndarray) -> float:
    """The share of correspondences ``(n, 4)`` that fit the best of some homographies.

    Of many, some are tried, always the same. A homography through four of them (direct linear
    transform) fits another if it moves its first point close to the second one.
    """
    rng = np.random.default_rng(0)
    pairs = pairs[np.lexsort(pairs.T)]  # the same for any order
    if len(pairs) > TRIED:
        pairs = pairs[np.sort(rng.permutation(len(pairs))[:TRIED])]
    one, other = np.split(normalised(pairs, pictures=2), 2, axis=1)
    samples = np.argsort(rng.random((SAMPLES, len(pairs))), axis=1)[:, :4]
    (x, y), (u, v) = (np.moveaxis(p[samples], -1, 0) for p in (one, other))
    zero, unit = np.zeros_like(x), np.ones_like(x)
    rows = [
        np.stack([x, y, unit, zero, zero, zero, -u * x, -u * y, -u], -1),
        np.stack([zero, zero, zero, x, y, unit, -v * x, -v * y, -v], -1),
    ]
    system = np.concatenate(rows, 1)
    matrix = np.linalg.svd(system)[2][:, -1].reshape(-1, 3, 3)
    moved = np.einsum("sij,nj->sni", matrix, np.concatenate([one, np.ones((len(one), 1))], 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.linalg.norm(moved[..., :2] / moved[..., 2:] - other, axis=-1)
    return float((off < CLOSE).mean(1).max())
