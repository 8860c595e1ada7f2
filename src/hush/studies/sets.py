"""What studies of sets share: a denoiser selects elements, and estimators see those it keeps.

A sample's noisy data are a `Record`, its reference says which elements are inliers, bool ``(N,)``.
A result is a `Selection`. Every estimator is a variant of the metrics, so that one denoising of a
sample serves all of them; the runs differ in the estimators' seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from time import perf_counter
from types import MappingProxyType
from typing import Any

import numpy as np

from hush import kinds
from hush.denoiser import Denoiser
from hush.errors import HushError
from hush.record import Record
from hush.studies.core import Metric, Row
from hush.studies.sample import Sample

RUNS = 5  #: of every estimator
SAMPLER_BUDGET = 600.0  #: seconds of training of a learned sampler, whatever the methods' budget
NONE: Mapping[str, str] = MappingProxyType({})

#: (elements that were kept ``(n, D)``, sample) → models
Fit = Callable[[np.ndarray, Sample], Any]
#: (models, sample) → score, or a score for each true model, by name
Judge = Callable[[Any, Sample], float | Mapping[str, float]]


@dataclass(frozen=True)
class Selection:
    """The elements that a denoiser kept, bool ``(N,)``.

    probability : of being an inlier, float ``(N,)``, NaN for elements that were not judged.
    seconds : that denoising took. models : of a row that estimates without an estimator.
    estimates : by estimator and seed, with their seconds; filled by `estimate`.
    """

    kept: np.ndarray
    probability: np.ndarray
    seconds: float = 0.0
    models: Any = None
    estimates: dict[tuple[str, int], tuple[Any, float]] = field(default_factory=dict)

    def estimate(self, name: str, fit: Fit, sample: Sample) -> tuple[Any, float]:
        """An estimator's models of the elements that were kept, and the seconds it took."""
        if self.models is not None:
            return self.models, 0.0
        key = (name, sample.seed)
        if key not in self.estimates:
            elements = sample.noisy.data[self.kept]
            start = perf_counter()
            models = fit(elements, sample)
            self.estimates[key] = models, perf_counter() - start
        return self.estimates[key]


def select(method: Denoiser, noisy: Record, noise: Any) -> Selection:
    """What a method keeps of a set: `Case.apply` of studies of sets."""
    batch = method.seen(kinds.to_batch(noisy))
    start = perf_counter()
    result = method.denoise_item(batch, 0, noise)[1]
    seconds = perf_counter() - start
    kept = np.ones(len(noisy.data), bool) if result.kept is None else result.kept
    probability = getattr(result, "probability", None)
    return Selection(kept, kept.astype(float) if probability is None else probability, seconds)


def labels(sample: Sample) -> Selection:
    """The row ``labels``: exactly the true inliers."""
    return Selection(sample.reference, sample.reference.astype(float))


def shipped_model(kind: str) -> Row:
    """The row ``mid:shipped``: what users get who train nothing."""

    @cache
    def model() -> Denoiser:
        from hush.models import load, shipped

        path = shipped("mid", 1, kind)
        if path is None:
            raise HushError(f"no model of mid for {kind} is shipped")
        return load(path)

    return lambda sample: select(model(), sample.noisy, None)


# -- scores ----------------------------------------------------------------------------------


def roc_auc(probability: np.ndarray, inlier: np.ndarray) -> float:
    """The chance that a random inlier's probability exceeds a random outlier's; ties count half.

    Elements that were not judged, NaN, rank below all others. NaN if there is only one class.
    """
    from scipy.stats import rankdata

    ranks = rankdata(np.nan_to_num(np.asarray(probability, np.float64), nan=-np.inf))
    count = int(np.sum(inlier))
    others = len(ranks) - count
    if not (count and others):
        return float("nan")
    return float((ranks[inlier].sum() - count * (count + 1) / 2) / (count * others))


def _roc(result: Selection, sample: Sample) -> Mapping[str, float]:
    value = roc_auc(result.probability, sample.reference)
    return {"all": value} if np.isfinite(value) else {}


def _precision(result: Selection, sample: Sample) -> float:
    """The share of inliers among the elements that were kept; 0 if there are none."""
    return float(np.mean(sample.reference[result.kept])) if result.kept.any() else 0.0


def _recall(result: Selection, sample: Sample) -> float:
    """The share of the inliers that was kept; 1 if there are none."""
    return float(np.mean(result.kept[sample.reference])) if sample.reference.any() else 1.0


#: of the selection itself; ``roc`` is the area under the curve of the probability
SELECTION = (
    Metric("roc", _roc, digits=4, by_sample=True),
    Metric("precision", _precision, digits=3, judge=False, by_sample=True),
    Metric("recall", _recall, digits=3, judge=False, by_sample=True),
    Metric("kept", lambda r, _: float(np.mean(r.kept)), digits=3, judge=False),
    Metric("denoising", lambda r, _: r.seconds, False, digits=3, judge=False),
)


def metrics(
    estimators: Mapping[str, Fit],
    judges: Mapping[str, Judge],
    digits: int = 3,
    helpers: Mapping[str, str] = NONE,
) -> Iterator[Metric]:
    """The metrics of every estimator: its scores, and its seconds with and without denoising.

    estimators : by the variant, such as ``estimator=ransac``; helpers : what some of them need.
    """
    for variant, fit in estimators.items():
        needed = helpers.get(variant, "")
        for name, judge in judges.items():
            score = _scored(variant, fit, judge)
            yield Metric(name, score, digits=digits, variant=variant, by_sample=True, helper=needed)
        for name, whole in (("seconds", True), ("estimation", False)):
            score = _timed(variant, fit, whole)
            yield Metric(name, score, False, 4, variant, False, by_sample=True, helper=needed)


def _scored(name: str, fit: Fit, judge: Judge) -> Callable[[Selection, Sample], Any]:
    return lambda result, sample: judge(result.estimate(name, fit, sample)[0], sample)


def _timed(name: str, fit: Fit, whole: bool) -> Callable[[Selection, Sample], float]:
    def seconds(result: Selection, sample: Sample) -> float:
        return result.estimate(name, fit, sample)[1] + (result.seconds if whole else 0.0)

    return seconds


# -- samples ---------------------------------------------------------------------------------


def thinned(items: Sequence[Any], most: int) -> list[Any]:
    """At most so many items, evenly chosen."""
    if len(items) <= most:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, most).round().astype(int)]
