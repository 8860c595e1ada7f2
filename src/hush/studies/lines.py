"""MID before fitting several lines to points (figure 8): outliers are removed first.

Scenes are made as the paper describes them: 1 to 10 lines of 40 to 100 points in a square, 40 to
60 % outliers. Methods are trained on scenes of all counts together, without labels; every count is
tested apart, on other scenes. ``mid:clean`` is trained on scenes without outliers, ``mid:shipped``
is the model that users get.

An estimator returns as many lines as there are. A true line's error is the angle to the estimated
line that it is matched with; the AUC is the area under the recall up to 0.5°, in percent. The row
``labels`` estimates from the true inliers, ``least-squares`` fits every line to its own points:
no estimator is better on average. ``oracle`` ranks the points by the true lines, and no ``roc`` is
better.

CONSAC and PARSAC draw their samples with networks that are trained on the same scenes, once, and
kept beside the results; quick runs use what they find there.

The published figures come from scenes of another scale than the stated noise gives, where half a
degree is easier. They are printed, but not comparable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hush.record import Record
from hush.studies.core import Case, Find, Note, Study, ignore
from hush.studies.resampling import Resampling
from hush.studies.sample import Sample
from hush.studies.setpictures import draw_curves, draw_sample
from hush.studies.sets import (
    RUNS,
    SAMPLER_BUDGET,
    SELECTION,
    Fit,
    Selection,
    labels,
    metrics,
    select,
    shipped_model,
)
from hush.studies.trained import Recipe, Training
from hush.tasks.geometry.consensus import multi
from hush.tasks.geometry.problems import Line
from hush.tasks.geometry.scenes import SIGMA, line_scene
from hush.tasks.geometry.scores import line_errors, recall_auc

COUNTS, QUICK_COUNTS = (1, 2, 4, 6, 8, 10), (1, 4, 10)  #: lines of a scene
MOST = 10  #: lines of a training scene
SCENES, QUICK_SCENES = 100, 10  #: tested, of each count
TRAINED = 2000  #: scenes to train on, of all counts together
BUDGET, QUICK_BUDGET = 600.0, 90.0  #: seconds of training for each method
CUTOFF = 0.5  #: degrees, of the AUC
THRESHOLD = 0.02  #: largest distance of an inlier, 2.5 to 3 standard deviations
AUC = "auc@0.5"
METHODS = ("sequential-ransac", "j-linkage", "t-linkage")
SAMPLERS = ("consac", "parsac")  #: learned, on the same scenes

#: AUC in percent with 1 and with 10 lines, without denoising
PUBLISHED = {
    "sequential-ransac": {1: 92.0, 10: 48.6},
    "j-linkage": {1: 93.1, 10: 64.0},
    "t-linkage": {1: 94.3, 10: 64.3},
    "consac": {1: 96.1, 10: 74.8},
}

_OURS = Recipe("mid")
RECIPES = {
    "mid": _OURS,
    "mid:clean": replace(_OURS, corpus=True),
    "diffusion": Recipe("diffusion"),
}
HELPERS = {m: Recipe(m, {"models": MOST}, seconds=SAMPLER_BUDGET) for m in SAMPLERS}


# -- the samples -----------------------------------------------------------------------------


def made(kind: int, count: int, lines: int | None, seed: int = 0) -> Iterator[Sample]:
    """`count` scenes, always the same ones, of so many lines, or of 1 to `MOST`.

    kind : 0 to test on, 1 to train on: they differ in all random numbers. The seed has no effect.
    """
    for i in range(count):
        rng = np.random.default_rng([kind, lines or 0, i])
        scene = line_scene(rng, lines or int(rng.integers(1, MOST + 1)))
        yield Sample(
            f"{lines or 'any'}/{i}",
            Record(scene.points, "NC", kind="points"),
            scene.labels >= 0,
            about={"lines": scene.lines, "labels": scene.labels, "ends": scene.ends},
        )


def least_squares(sample: Sample) -> Selection:
    """The row ``least-squares``: every line fitted to its own points."""
    points, of = sample.noisy.data, sample.about["labels"]
    fitted = [
        Line().refine(points[of == k], np.ones(int(np.sum(of == k))))
        for k in range(len(sample.about["lines"]))
    ]
    return replace(labels(sample), models=np.stack(fitted))


def oracle(sample: Sample) -> Selection:
    """The row ``oracle``: the chance of being an inlier, given the true lines and their noise.

    No method can rank the points better: outliers that fall on a line look like its points.
    """
    from scipy.special import ndtr

    points, of, sigma = sample.noisy.data, sample.about["labels"], float(np.mean(SIGMA))
    inside = np.zeros(len(points))
    for k, ends in enumerate(sample.about["ends"]):
        start, along = ends[:2], ends[2:] - ends[:2]
        length = float(np.hypot(*along))
        x, y = (
            np.array([[along[0], along[1]], [-along[1], along[0]]]) @ (points - start).T
        ) / length
        across = np.exp(-((y / sigma) ** 2) / 2) / (sigma * np.sqrt(2 * np.pi))
        inside += np.sum(of == k) / length * across * (ndtr(x / sigma) - ndtr((x - length) / sigma))
    outside = np.sum(of < 0) * ((points >= 0) & (points <= 1)).all(axis=1)
    probability = inside / (inside + outside)
    return Selection(probability > 0.5, probability)


# -- the estimators and their scores -----------------------------------------------------------


def fit(points: np.ndarray, sample: Sample, method: str) -> np.ndarray:
    """As many lines ``(M, 3)`` as the scene has, or fewer."""
    sampler = None
    if method in SAMPLERS:
        method, sampler = "greedy", sample.helper.replace(threshold=THRESHOLD).samples
    return multi(
        points,
        Line(),
        method=method,
        threshold=THRESHOLD,
        most=len(sample.about["lines"]),
        seed=sample.seed,
        sampler=sampler,
        strict=False,
    ).models


def auc(models: np.ndarray, sample: Sample) -> float:
    """The area under the recall of the scene's lines up to `CUTOFF`, in percent."""
    errors = line_errors(models, sample.about["lines"], sample.about["ends"])
    return 100 * recall_auc(errors, CUTOFF)


ESTIMATORS: dict[str, Fit] = {
    f"estimator={m}": partial(fit, method=m) for m in (*METHODS, *SAMPLERS)
}
NEEDED = {f"estimator={m}": m for m in SAMPLERS}


# -- the cases -------------------------------------------------------------------------------


def line_cases(
    data: Path,
    *,
    quick: bool,
    only: str | None,
    train: Path | None = None,
    note: Note = ignore,
    lines: Sequence[int] | None = None,
    scenes: int | None = None,
    trained: int = TRAINED,
) -> list[Case]:
    """A case for every number of lines."""
    counts = lines or (QUICK_COUNTS if quick else COUNTS)
    tested = scenes or (QUICK_SCENES if quick else SCENES)
    training = Training(
        name=f"lines;train={trained}",
        samples=partial(made, 1, trained, None),
        recipes=RECIPES,
        budget=QUICK_BUDGET if quick else BUDGET,
        kind="points",
        helpers=HELPERS,
        only_found=quick,
    )
    note("published figures come from scenes of another scale: they cannot be compared")
    return [
        Case(
            settings={"lines": f"{count}", "scenes": f"{tested}", "train": f"{trained}"},
            samples=partial(made, 0, tested, count),
            count=tested,
            paper={
                ("none", f"{AUC};estimator={m}"): of[count]
                for m, of in PUBLISHED.items()
                if count in of
            },
            training=training,
            kind="points",
            apply=select,
        )
        for count in counts
    ]


def _numbers(text: str) -> list[int]:
    """``1,4,10`` as numbers of lines."""
    numbers = [int(part) for part in text.split(",")]
    if min(numbers) < 1:
        raise ValueError("a scene has at least one line")
    return numbers


def _count(text: str) -> int:
    if (count := int(text)) < 1:
        raise ValueError("at least 1")
    return count


# -- figures 8 and 9 ---------------------------------------------------------------------------


def draw(cases: Sequence[Case], find: Find, path: Path, *, quick: bool) -> None:
    """Write ``NAME.auc.png``, AUC against the number of lines, and ``NAME.scene.png``, a scene."""
    draw_curves(LINES, cases, path.with_suffix(".auc.png"), "lines", AUC)
    case = cases[min(1, len(cases) - 1)]
    draw_sample(case, find, path.with_suffix(".scene.png"), _panel)


def _panel(axes: Any, sample: Sample, kept: np.ndarray) -> None:
    """The points that are kept, and the lines that J-Linkage finds in them."""
    points = sample.noisy.data
    axes.plot(*points[kept].T, ".", color="0.4", markersize=2)
    for a, b, c in fit(points[kept], sample, "j-linkage"):
        middle, along = -c * np.array([a, b]), np.array([-b, a])
        ends = middle + np.array([[-2.0], [2.0]]) * along
        axes.plot(*ends.T, color="tab:red", linewidth=1)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")


LINES = Study(
    name="mid/lines",
    title="MID before fitting several lines to points (figure 8)",
    cases=line_cases,
    methods=(
        *("none", "random", "lof", "isolation", "diffusion", "mid", "mid:shipped", "mid:clean"),
        *("oracle", "labels", "least-squares"),
    ),
    metrics=(*SELECTION, *metrics(ESTIMATORS, {AUC: auc}, 1, NEEDED)),
    rows={
        "mid:shipped": shipped_model("points"),
        "oracle": oracle,
        "labels": labels,
        "least-squares": least_squares,
    },
    references=("oracle", "labels", "least-squares"),
    picture=draw,
    runs=RUNS,
    resampling=Resampling(),
    against=("none",),
    options={"lines": _numbers, "scenes": _count, "trained": _count},
    synthetic=True,
)
