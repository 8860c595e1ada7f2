"""Local outlier factor: elements in places that are emptier than those of their neighbours.

Breunig et al., "LOF: identifying density-based local outliers", SIGMOD 2000, as in scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hush.bases.selecting import MOST, Selecting, Verdict, decided, distinct, sklearn
from hush.denoiser import Advance
from hush.errors import HushError
from hush.kinds.points.elements import Elements

SHARPNESS = 8.0  #: of the probability's fall with the factor


@dataclass
class LOF(Selecting):
    """scikit-learn's LocalOutlierFactor on normalised coordinates.

    neighbours : that an element is compared with. threshold : the factor from which on an element
    is an outlier, if their share is not given. most, seed : more elements are compared with a
    random part of so many.

    Repeats count once, as in the paper's distances to distinct neighbours: otherwise they would
    seem infinitely dense, and all around them outliers.
    """

    neighbours: int = 20
    threshold: float = 1.5
    most: int = MOST
    seed: int = 0

    name: ClassVar[str] = "lof"
    summary: ClassVar[str] = "local outlier factor: places emptier than those around (sets)"
    citation: ClassVar[str] = (
        "Breunig et al., LOF: Identifying Density-Based Local Outliers, SIGMOD 2000"
    )
    measures: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.neighbours < 2 or self.most <= self.neighbours:
            raise HushError("neighbours must be 2 or more, and most greater than that")
        if not self.threshold > 0:
            raise HushError(f"threshold must be above 0, not {self.threshold:g}")

    def verdict(
        self, elements: Elements, share: float | None, advance: Advance | None = None
    ) -> Verdict:
        """See `Selecting.verdict`.

        The probability is 1 / (1 + (factor / threshold)⁸): ½ at the threshold, .96 at a factor of
        1, as even places have. It is not calibrated.
        """
        neighbors = sklearn("neighbors", self.name)
        seen = distinct(self.set_kind, elements.x, self.most, self.seed)
        model = neighbors.LocalOutlierFactor(
            n_neighbors=min(self.neighbours, len(seen.drawn) - 1),
            algorithm="kd_tree",  # whose distances are the same on any number of threads
            novelty=True,
        ).fit(seen.places[seen.drawn])
        factor = np.empty(len(seen.places))
        factor[seen.drawn] = -model.negative_outlier_factor_
        if seen.rest.size:
            factor[seen.rest] = -model.score_samples(seen.places[seen.rest])
        if advance:
            advance(1.0)
        probability = 1 / (1 + (np.maximum(factor, 0) / self.threshold) ** SHARPNESS)
        return decided(elements, probability[seen.of], share).saying(seen.said)
