"""MID before fundamental and essential matrices (figures 10, 12): wrong matches are removed first.

Scenes of image pairs with known poses (`hush.studies.pairdata`); all nearest neighbours are
matches. One scene is trained on, without its poses, and the others are tested: fox50, or without it
the scene with the most pairs; folders ``train`` beside ``val`` or ``test`` are a split too.
`leave_one_out` trains on all scenes but the tested one, in turn.

The error of a pair is the larger of the angles of rotation and translation, after the pose is
recovered from the matrix and its inliers; 180° without a pose. mAA is the share of pairs with an
error of at most 1°, 2°, … 10°, averaged; scenes weigh equally. Intervals are over pairs, drawn in
every scene. The row ``labels`` estimates from the matches that agree with the true pose: Sampson's
distance below 3 pixels.

``mid`` keeps a match if MID does and if it passes the mutual check and the ratio test, where the
data have them; ``mid:mutual`` and ``mid:ratio`` use one of the two, ``mid:alone`` neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hush.denoiser import Denoiser
from hush.errors import HushError
from hush.record import Record
from hush.studies.core import Case, Find, Note, Study, ignore
from hush.studies.fingerprint import fingerprint
from hush.studies.folders import keep_apart
from hush.studies.pairdata import Scene, find_scenes, pairs_of
from hush.studies.resampling import Resampling
from hush.studies.sample import Sample
from hush.studies.setpictures import draw_bars, draw_sample
from hush.studies.sets import RUNS, SELECTION, Fit, Selection, labels, metrics, select
from hush.studies.trained import Recipe, Training
from hush.tasks.geometry import epipolar
from hush.tasks.geometry.scores import maa, pose_error

TRAINING = "fox50"
#: the most pairs of a scene to test on, and of all scenes together to train on
TESTED, QUICK_TESTED = 1000, 10
TRAINED, QUICK_TRAINED = 400, 200
BUDGET, QUICK_BUDGET = 900.0, 150.0  #: seconds of training for each method
THRESHOLD = 1.0  #: pixels, the largest epipolar error of an estimator's inlier
RATIO = 0.8  #: largest ratio of distances in the ratio test
FAILED = 180.0  #: degrees
METHODS = {"F": ("ransac", "lo-ransac", "magsac++"), "E": ("ransac", "magsac++")}


# -- the samples -----------------------------------------------------------------------------


def samples(scenes: Sequence[Scene], seed: int = 0) -> Iterator[Sample]:
    """All pairs of scenes; the seed has no effect."""
    for pair in pairs_of(scenes):
        about = {"K1": pair.K1, "K2": pair.K2, "R": pair.R, "T": pair.T}
        yield Sample(pair.name, pair.record, pair.inliers(), about=about)


def scene_of(name: str) -> str:
    """The scene of a pair, from its name."""
    return name.partition("/")[0]


def split(scenes: Sequence[Scene]) -> tuple[list[Scene], list[Scene]]:
    """Scenes to train on and to test on; `HushError` for a single scene."""
    folders = {s.path.parent.name for s in scenes}
    if "train" in folders and folders & {"val", "test"}:
        train = [s for s in scenes if s.path.parent.name == "train"]
        return train, [s for s in scenes if s.path.parent.name in ("val", "test")]
    if len(scenes) < 2:
        raise HushError("one scene cannot be split; give --train a folder with others")
    largest = max(scenes, key=lambda s: (s.name == TRAINING, len(s.keys)))
    return [largest], [s for s in scenes if s is not largest]


# -- the rows --------------------------------------------------------------------------------


@dataclass
class Remembered:
    """`select`, with what a method found in a set before: rows that differ in checks share it."""

    found: dict[tuple[str, str], Selection] = field(default_factory=dict)
    last: tuple[Denoiser | None, str] = (None, "")

    def __call__(self, method: Denoiser, noisy: Record, noise: Any) -> Selection:
        if method.learns_from != "noisy":
            return select(method, noisy, noise)
        if self.last[0] is not method:
            self.last = method, fingerprint(method)
        key = self.last[1], sha256(np.ascontiguousarray(noisy.data).tobytes()).hexdigest()
        if key not in self.found:
            self.found[key] = select(method, noisy, noise)
        return replace(self.found[key], estimates={})


def checked(result: Selection, noisy: Record, checks: Sequence[str]) -> Selection:
    """The matches that pass checks too, ``mutual`` and ``ratio``, where the set knows them."""
    passed = np.ones_like(result.kept)
    if "mutual" in checks and "mutual" in noisy.context:
        passed &= noisy.context["mutual"]
    if "ratio" in checks and "ratio" in noisy.context:
        passed &= noisy.context["ratio"] < RATIO
    probability = np.where(passed, result.probability, 0.0)
    return replace(result, kept=result.kept & passed, probability=probability)


_OURS = Recipe("mid", reading={"checks": False})  # geometry alone
RECIPES = {
    "mid": replace(_OURS, after=partial(checked, checks=("mutual", "ratio"))),
    "mid:mutual": replace(_OURS, after=partial(checked, checks=("mutual",))),
    "mid:ratio": replace(_OURS, after=partial(checked, checks=("ratio",))),
    "mid:alone": _OURS,
    "diffusion": Recipe("diffusion"),
}


# -- the estimators and their scores -----------------------------------------------------------


class Found(NamedTuple):
    """A matrix, ``F`` or ``E``, or None, and its inliers among the matches ``(n, 4)``."""

    kind: str
    matrix: np.ndarray | None
    inliers: np.ndarray
    matches: np.ndarray


def fit(matches: np.ndarray, sample: Sample, kind: str, method: str) -> Found:
    """The matrix that an estimator finds."""
    x1, x2 = matches[:, :2], matches[:, 2:4]
    options: dict[str, Any] = {"method": method, "threshold": THRESHOLD}
    options |= {"seed": sample.seed, "strict": False}
    if kind == "F":
        matrix, inliers = epipolar.fundamental(x1, x2, **options)
    else:
        K1, K2 = sample.about["K1"], sample.about["K2"]
        matrix, inliers = epipolar.essential(x1, x2, K1, K2, **options)
    return Found(kind, matrix, inliers, matches)


def error(found: Found, sample: Sample) -> float:
    """The larger of the angles of rotation and translation, in degrees."""
    about, x = sample.about, found.matches
    made = epipolar.pose(
        found.matrix, x[:, :2], x[:, 2:4], about["K1"], about["K2"], found.inliers, kind=found.kind
    )
    return FAILED if made is None else pose_error(*made, about["R"], about["T"])


def accuracy(found: Found, sample: Sample) -> float:
    """The pair's part of mAA: the share of thresholds, 1° to 10°, that its error is within."""
    return maa(np.array([error(found, sample)]))


ESTIMATORS: dict[str, Fit] = {
    f"matrix={kind};estimator={method}": partial(fit, kind=kind, method=method)
    for kind, methods in METHODS.items()
    for method in methods
}


# -- the cases -------------------------------------------------------------------------------


def pair_cases(
    data: Path,
    *,
    quick: bool,
    only: str | None,
    train: Path | None = None,
    note: Note = ignore,
    pairs: int | None = None,
    leave_one_out: bool = False,
) -> list[Case]:
    """One case, with all tested scenes; with `leave_one_out` one for each scene."""
    found = find_scenes(data, None if leave_one_out else only, note)
    lessons = find_scenes(train, note=note) if train else []
    keep_apart([s.path for s in lessons], [s.path for s in found])
    if train and not lessons:
        raise HushError(f"{train} contains no image pairs; give --train a folder like --data")
    if not found:
        raise HushError(
            f"{data} contains no image pairs; give --data a folder with points/pairs/*.npz, or "
            "scenes of the RANSAC tutorial (matches.h5, K1_K2.h5, R.h5, T.h5)"
        )
    if leave_one_out:
        if train or len(found) < 2:
            raise HushError("leaving one scene out needs two or more, and no --train")
        tested = [s for s in found if only is None or fnmatch(s.name, only)]
        parts = [([s for s in found if s is not scene], [scene]) for scene in tested]
    else:
        parts = [(lessons, found) if train else split(found)]
    most = pairs or (QUICK_TESTED if quick else TESTED)
    return [_case(own, [s.thinned(most) for s in tested], train, quick) for own, tested in parts]


def _case(
    lessons: Sequence[Scene], tested: Sequence[Scene], train: Path | None, quick: bool
) -> Case:
    most = (QUICK_TRAINED if quick else TRAINED) // len(lessons)
    lessons = [scene.thinned(max(1, most)) for scene in lessons]
    names = "+".join(s.name for s in lessons) if len(lessons) < 5 else f"{len(lessons)} scenes"
    names = f"{names} of {train.name}" if train else names
    taught, count = (sum(len(s.keys) for s in scenes) for scenes in (lessons, tested))
    training = Training(
        name=f"pairs;train={names},{taught}",
        samples=partial(samples, lessons),
        recipes=RECIPES,
        budget=QUICK_BUDGET if quick else BUDGET,
        kind="correspondences",
    )
    return Case(
        settings={
            "data": "+".join(s.name for s in tested),
            "pairs": f"{count}",
            "train": f"{names}:{taught}",
        },
        samples=partial(samples, tested),
        count=count,
        training=training,
        kind="correspondences",
        apply=Remembered(),
    )


def _count(text: str) -> int:
    if (count := int(text)) < 1:
        raise ValueError("at least 1")
    return count


# -- figures 10 to 12 --------------------------------------------------------------------------


def draw(cases: Sequence[Case], find: Find, path: Path, *, quick: bool) -> None:
    """Write ``NAME.maa.png``, the mAA of every row, and ``NAME.pair.png``, a pair's matches."""
    draw_bars(CORRESPONDENCES, cases, path.with_suffix(".maa.png"), MAA)
    draw_sample(cases[0], find, path.with_suffix(".pair.png"), _panel)


def _panel(axes: Any, sample: Sample, kept: np.ndarray) -> None:
    """The motion of the matches from image 1 to image 2: true ones green, wrong ones red."""
    matches, inlier = sample.noisy.data[kept], sample.reference[kept]
    for of, colour in ((~inlier, "tab:red"), (inlier, "tab:green")):
        x1, y1, x2, y2 = matches[of].T
        axes.plot([x1, x2], [y1, y2], color=colour, linewidth=0.4, alpha=0.6)
    ends = sample.noisy.data[:, :4].reshape(-1, 2)
    (left, top), (right, bottom) = ends.min(0), ends.max(0)
    axes.set(aspect="equal", xlim=(left, right), ylim=(bottom, top))


MAA = "maa@10"
CORRESPONDENCES = Study(
    name="mid/correspondences",
    title="MID before fundamental and essential matrices (figures 10 and 12)",
    cases=pair_cases,
    methods=(
        *("none", "random", "ratio", "lof", "isolation", "diffusion"),
        *("mid", "mid:mutual", "mid:ratio", "mid:alone", "labels"),
    ),
    metrics=(*SELECTION, *metrics(ESTIMATORS, {MAA: accuracy})),
    rows={"labels": labels},
    references=("labels",),
    picture=draw,
    runs=RUNS,
    resampling=Resampling(stratum=scene_of),
    against=("none", "ratio"),
    options={"pairs": _count},
)
LEAVE_ONE_OUT = replace(
    CORRESPONDENCES,
    name="mid/correspondences-one-out",
    title="The same, trained on all scenes but the tested one",
    cases=partial(pair_cases, leave_one_out=True),
    picture=None,
)
