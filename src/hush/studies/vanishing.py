"""MID before vanishing points (figure 13): segments that belong to none are removed first.

NYU-VP is trained on without its labels (1224 photographs) and tested on the others (225). A file
without splits, such as YUD+, is tested as a whole with the models of the file that has them, or of
``--train``; nothing is trained on it.

An estimator returns as many vanishing points as the photograph has true ones. A true one's error is
the angle to the estimated one that it is matched with, 90° if there is none; the AUC is the area
under the recall of all vanishing points of all photographs up to 5° and to 10°, in percent.
Intervals are over photographs. The row ``labels`` estimates from the segments that belong to a true
vanishing point (1 − |cos| below 0.001), ``least-squares`` fits every one to the segments that
people have labelled; it leaves out photographs without such segments.

CONSAC and PARSAC draw their samples with networks that are trained on the same photographs, once,
and kept beside the results; quick runs use what they find there.

``roc`` compares with the first of these, which is no exact label: a segment may point to a
vanishing point by chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hush.errors import HushError
from hush.studies.core import Case, Find, Note, Study, ignore
from hush.studies.folders import keep_apart
from hush.studies.resampling import Resampling
from hush.studies.sample import Sample
from hush.studies.setpictures import draw_bars, draw_sample
from hush.studies.sets import (
    RUNS,
    SAMPLER_BUDGET,
    SELECTION,
    Fit,
    Selection,
    labels,
    metrics,
    select,
    thinned,
)
from hush.studies.trained import Recipe, Training
from hush.studies.vpdata import Album, find_albums
from hush.tasks.geometry.consensus import multi
from hush.tasks.geometry.problems import VanishingPoint
from hush.tasks.geometry.scores import recall_auc, vanishing_errors

QUICK_TESTED = 24  #: photographs
BUDGET, QUICK_BUDGET = 600.0, 120.0  #: seconds of training for each method
CUTOFFS = (5.0, 10.0)  #: degrees, of the AUC
THRESHOLD = 0.001  #: largest residual of an inlier
METHODS = ("sequential-ransac", "j-linkage", "t-linkage")
SAMPLERS = ("consac", "parsac")  #: learned, on the same photographs
MODELS = 8  #: that samplers look for, the most that NYU-VP has

#: file → estimator → AUC in percent at 5° and 10°, without denoising
PUBLISHED: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "nyu": {
        "j-linkage": (42.2, 56.6),
        "t-linkage": (43.0, 57.8),
        "consac": (50.6, 64.3),
        "parsac": (51.7, 64.6),
    },
    "yud": {
        "j-linkage": (60.4, 72.4),
        "t-linkage": (59.5, 71.8),
        "consac": (63.8, 74.5),
        "parsac": (65.5, 74.8),
    },
}

_OURS = Recipe("mid")
RECIPES = {
    "mid": _OURS,
    "diffusion": Recipe("diffusion"),
}
HELPERS = {m: Recipe(m, {"models": MODELS}, seconds=SAMPLER_BUDGET) for m in SAMPLERS}


# -- the samples -----------------------------------------------------------------------------


def samples(album: Album, numbers: Sequence[int], seed: int = 0) -> Iterator[Sample]:
    """These photographs of a file; the seed has no effect."""
    for photo in album.read(numbers):
        about = {"directions": photo.directions, "K": photo.K, "labelled": photo.labelled}
        yield Sample(photo.name, photo.record, photo.inliers(), about=about)


def image_of(name: str) -> str:
    """The photograph of a vanishing point, from its name ``FILE/PHOTOGRAPH/POINT``."""
    return "/".join(name.split("/")[:2])


def least_squares(sample: Sample) -> Selection | None:
    """The row ``least-squares``: vanishing points fitted to labelled segments; None without any."""
    labelled: Mapping[int, np.ndarray] = sample.about["labelled"]
    if not labelled:
        return None
    problem = VanishingPoint(sample.about["K"])
    fitted = [problem.refine(x, np.ones(len(x))) for x in labelled.values() if len(x) > 1]
    models = np.array([m for m in fitted if np.isfinite(m).all()]).reshape(-1, 3)
    return replace(labels(sample), models=models)


# -- the estimators and their scores -----------------------------------------------------------


def fit(segments: np.ndarray, sample: Sample, method: str) -> np.ndarray:
    """As many directions K⁻¹v ``(M, 3)`` as the photograph has, or fewer."""
    sampler = None
    if method in SAMPLERS:
        method, sampler = "greedy", sample.helper.replace(threshold=THRESHOLD).samples
    return multi(
        segments,
        VanishingPoint(sample.about["K"]),
        method=method,
        threshold=THRESHOLD,
        most=len(sample.about["directions"]),
        seed=sample.seed,
        sampler=sampler,
        strict=False,
    ).models


def recall(models: np.ndarray, sample: Sample, cutoff: float) -> Mapping[str, float]:
    """For every true vanishing point its part of the AUC up to an angle, in percent."""
    errors = vanishing_errors(models, sample.about["directions"])
    return {str(k): 100 * recall_auc(error, cutoff) for k, error in enumerate(errors)}


ESTIMATORS: dict[str, Fit] = {
    f"estimator={m}": partial(fit, method=m) for m in (*METHODS, *SAMPLERS)
}
NEEDED = {f"estimator={m}": m for m in SAMPLERS}
JUDGES = {f"auc@{cutoff:g}": partial(recall, cutoff=cutoff) for cutoff in CUTOFFS}


# -- the cases -------------------------------------------------------------------------------


def vp_cases(
    data: Path,
    *,
    quick: bool,
    only: str | None,
    train: Path | None = None,
    note: Note = ignore,
    photos: int | None = None,
) -> list[Case]:
    """A case for every file of photographs."""
    found = find_albums(data, only, note)
    if not found:
        some = f" named like '{only}'" if only else ""
        raise HushError(
            f"{data} contains no photographs{some}; give --data a folder with points/*.npz that "
            "have 'segments', 'seg_offsets', 'vp_offsets', 'K' and 'vps_xy' or 'vp_dirs'"
        )
    most = photos or (QUICK_TESTED if quick else None)
    training = _training(found, train, quick, note)
    if training is None:
        note("nothing is trained: the data have no 'train' split, and --train was not given")
    cases = [_case(album, training, most, note) for album in found]
    if not (cases := [case for case in cases if case.count]):
        raise HushError(
            f"{data} has photographs to train on only; give --data a file with a split 'test' too"
        )
    return cases


def _training(
    found: Sequence[Album], train: Path | None, quick: bool, note: Note
) -> Training | None:
    """On the file that has a training split; of the folder `train`, without one on all of it."""
    lessons = find_albums(train, note=note) if train else found
    if train and not lessons:
        raise HushError(f"{train} contains no photographs; give --train a folder like --data")
    split = [album for album in lessons if album.train]
    if not (split or train):
        return None
    album = (split or lessons)[0]
    numbers = album.train or album.all
    if train:  # a file's own split keeps its photographs apart
        keep_apart([album.path], [a.path for a in found if {*numbers} & {*a.test}])
    return Training(
        name=f"{album.name};train={len(numbers)}",
        samples=partial(samples, album, numbers),
        recipes=RECIPES,
        budget=QUICK_BUDGET if quick else BUDGET,
        kind="segments",
        helpers=HELPERS,
        only_found=quick,
    )


def _case(album: Album, training: Training | None, most: int | None, note: Note) -> Case:
    numbers = thinned(album.test, most) if most else list(album.test)
    photos = list(album.read(numbers))
    count = len(photos)
    if not photos:
        note(f"{album.name} is left out: it has no photographs to test on")
    bare = [photo.name for photo in photos if not photo.labelled]
    if bare:
        few = ", ".join(bare[:4]) + (", …" if len(bare) > 4 else "")
        note(f"least-squares leaves out {few}: none of the segments are labelled")
    published = next((of for part, of in PUBLISHED.items() if part in album.name.lower()), {})
    settings = {
        "data": album.name,
        "photos": str(count),
        "train": training.name.replace(";train=", ":") if training else "",
    }
    return Case(
        settings={k: v for k, v in settings.items() if v},
        samples=partial(samples, album, numbers),
        count=count,
        paper={
            ("none", f"auc@{cutoff:g};estimator={m}"): figure
            for m, figures in published.items()
            if f"estimator={m}" in ESTIMATORS
            for cutoff, figure in zip(CUTOFFS, figures, strict=True)
        },
        training=training,
        kind="segments",
        apply=select,
        without=("least-squares",) if len(bare) == count else (),
    )


def _count(text: str) -> int:
    if (count := int(text)) < 1:
        raise ValueError("at least 1")
    return count


# -- figures 13 and 14 -------------------------------------------------------------------------


def draw(cases: Sequence[Case], find: Find, path: Path, *, quick: bool) -> None:
    """Write ``NAME.auc.png``, the AUC of every row, and ``NAME.photo.png``, a photograph."""
    draw_bars(VANISHING, cases, path.with_suffix(".auc.png"), "auc@5")
    draw_sample(cases[0], find, path.with_suffix(".photo.png"), _panel)


def _panel(axes: Any, sample: Sample, kept: np.ndarray) -> None:
    """The segments that are kept, coloured by the vanishing point that J-Linkage finds for them."""
    segments = sample.noisy.data[kept]
    found = multi(
        segments,
        VanishingPoint(sample.about["K"]),
        threshold=THRESHOLD,
        most=len(sample.about["directions"]),
        strict=False,
    )
    for k in range(-1, len(found.models)):
        x1, y1, x2, y2 = segments[found.labels == k].T
        colour = "0.75" if k < 0 else f"C{k}"
        axes.plot([x1, x2], [y1, y2], color=colour, linewidth=1)
    ends = sample.noisy.data[:, :4].reshape(-1, 2)
    (left, top), (right, bottom) = ends.min(0), ends.max(0)
    axes.set(aspect="equal", xlim=(left, right), ylim=(bottom, top))


VANISHING = Study(
    name="mid/vanishing-points",
    title="MID before vanishing points (figure 13)",
    cases=vp_cases,
    methods=(
        *("none", "random", "lof", "isolation", "diffusion", "mid"),
        *("labels", "least-squares"),
    ),
    metrics=(*SELECTION, *metrics(ESTIMATORS, JUDGES, 1, NEEDED)),
    rows={"labels": labels, "least-squares": least_squares},
    references=("labels", "least-squares"),
    picture=draw,
    runs=RUNS,
    resampling=Resampling(unit=image_of),
    against=("none",),
    options={"photos": _count},
)
