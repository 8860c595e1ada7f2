"""Isolation forest: elements that few random cuts set apart from all others.

F. T. Liu, K. M. Ting, Z.-H. Zhou, "Isolation forest", ICDM 2008, as in scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hush.bases.selecting import MOST, Selecting, Verdict, decided, distinct, sklearn
from hush.denoiser import Advance
from hush.errors import HushError
from hush.kinds.points.elements import Elements

SHARPNESS = 12.0  #: of the probability's fall with the score


@dataclass
class Isolation(Selecting):
    """scikit-learn's IsolationForest on normalised coordinates.

    trees : random trees, each of 256 elements. most, seed : more elements are compared with a
    random part of so many. Repeats count once.
    """

    trees: int = 100
    most: int = MOST
    seed: int = 0

    name: ClassVar[str] = "isolation"
    summary: ClassVar[str] = "isolation forest: set apart by few random cuts (sets)"
    citation: ClassVar[str] = "Liu, Ting and Zhou, Isolation Forest, ICDM 2008"
    measures: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.trees < 1 or self.most < 2:
            raise HushError("trees must be 1 or more, and most 2 or more")

    def verdict(
        self, elements: Elements, share: float | None, advance: Advance | None = None
    ) -> Verdict:
        """See `Selecting.verdict`.

        The paper's score is ½ for average elements and 1 for the most isolated; elements above ½
        are outliers, if their share is not given. The probability is 1 / (1 + (2 · score)¹²); it is
        not calibrated.
        """
        ensemble = sklearn("ensemble", self.name)
        seen = distinct(self.set_kind, elements.x, self.most, self.seed)
        model = ensemble.IsolationForest(n_estimators=self.trees, random_state=self.seed, n_jobs=1)
        model.fit(seen.places[seen.drawn])
        score = -model.score_samples(seen.places)
        if advance:
            advance(1.0)
        probability = 1 / (1 + (2 * score) ** SHARPNESS)
        return decided(elements, probability[seen.of], share).saying(seen.said)
