r"""The ratio test and the mutual check: matches that are better than their rivals.

D. G. Lowe, "Distinctive image features from scale-invariant keypoints", IJCV 2004: a match counts
if its distance is at most 0.8 times that of the second-nearest descriptor. In the mutual check,
both keypoints of a match have each other as the nearest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hush.bases.selecting import Selecting, Verdict, decided
from hush.denoiser import Advance
from hush.errors import HushError
from hush.kinds.points.elements import Elements

SHARPNESS = 8.0  #: of the probability's fall with the ratio
REFUSED = 0.2  #: times the probability, if a match is not mutual


@dataclass
class Ratio(Selecting):
    """The ratio test, the mutual check, or both, as far as the data allow.

    threshold : largest ratio of the distances to the nearest and the second neighbour.

    `ratio`, `scores` (more is better) and `mutual` of the matches come with the data. Without
    `mutual`, matches that share a keypoint are compared, and the best of them is the mutual one.
    """

    threshold: float = 0.8

    name: ClassVar[str] = "ratio"
    summary: ClassVar[str] = "ratio test and mutual check (correspondences)"
    citation: ClassVar[str] = (
        "Lowe, Distinctive Image Features from Scale-Invariant Keypoints, IJCV 2004"
    )
    kinds: ClassVar[tuple[str, ...]] = ("correspondences",)
    measures: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise HushError(f"threshold, a ratio of distances, is 0 to 1, not {self.threshold:g}")

    def verdict(
        self, elements: Elements, share: float | None, advance: Advance | None = None
    ) -> Verdict:
        """See `Selecting.verdict`.

        The probability is ½ at the threshold, 1 / (1 + (ratio / threshold)⁸), and a fifth of that
        for matches that are not mutual. Scores only rank matches. It is not calibrated.
        """
        rows = elements.rows
        ratio, scores, mutual = (rows.get(name) for name in ("ratio", "scores", "mutual"))
        if ratio is not None:
            quality = -np.nan_to_num(ratio.astype(np.float64), nan=0.0)
            probability = 1 / (1 + (np.maximum(-quality, 0) / self.threshold) ** SHARPNESS)
        elif scores is not None:
            quality = np.nan_to_num(scores.astype(np.float64), nan=-np.inf)
            below = np.searchsorted(np.sort(quality), quality, "right")
            probability = 0.5 + 0.5 * below / len(quality)
        elif mutual is not None:
            probability = np.ones(len(elements))
        else:
            raise HushError(
                "the ratio test needs the `ratio`, the `scores` or `mutual` of the matches; add "
                "them to the .npz file, or pass them as context"
            )
        if mutual is None:
            mutual = best(elements.x[:, :2], elements.x, quality)
            mutual &= best(elements.x[:, 2:4], elements.x, quality)
        probability = np.where(np.asarray(mutual, bool), probability, REFUSED * probability)
        if advance:
            advance(1.0)
        return decided(elements, probability, share)


def best(ends: np.ndarray, matches: np.ndarray, quality: np.ndarray) -> np.ndarray:
    """Whether a match is the best of those with the same end, bool ``(n,)``.

    Repeats of a match are one match. Of equally good ones, that with the smallest coordinates is
    the best.
    """
    _, end = np.unique(ends, axis=0, return_inverse=True)
    _, match = np.unique(matches, axis=0, return_inverse=True)
    end, match = end.ravel(), match.ravel()
    order = np.lexsort((match, -quality, end))
    first = np.ones(len(order), bool)
    first[1:] = end[order][1:] != end[order][:-1]
    winner = np.empty(end.max() + 1, np.intp)
    winner[end[order][first]] = match[order][first]
    return np.asarray(match == winner[end])
