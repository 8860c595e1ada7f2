"""MID's one-shot ablation (§IV-F): one step against several, on images and on correspondences.

Images have Poisson noise of a given level. Correspondences are those of `mid/correspondences`,
without the mutual check and the ratio test; all numbers of steps share one trained model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hush.errors import HushError
from hush.studies import correspondences
from hush.studies.core import PSNR, SSIM, Case, Note, Study, ignore
from hush.studies.images import chosen, find_tests, image_case
from hush.studies.resampling import Resampling
from hush.studies.sets import SELECTION, labels, metrics
from hush.studies.trained import Recipe

#: 1 is the one shot of §IV-F
STEPS = (1, 2, 4, 8)
ON_SETS = tuple(metrics({
    variant: fit for variant, fit in correspondences.ESTIMATORS.items()
    if variant in ("matrix=F;estimator=ransac", "matrix=F;estimator=magsac++")
}, {correspondences.MAA: correspondences.accuracy}))  # fmt: skip


def scene_of(name: str) -> str:
    """The scene of a pair; images are all of one."""
    return correspondences.scene_of(name) if "/" in name else ""


def ablation_cases(
    data: Path,
    *,
    quick: bool,
    only: str | None,
    train: Path | None = None,
    note: Note = ignore,
    pairs: int | None = None,
) -> list[Case]:
    """A case per number of steps, and one for other methods and the default number."""
    cases: list[Case] = []
    missing: list[HushError] = []
    try:
        cases += [
            replace(
                image_case(folder, role, "poisson:30", True, quick, options),
                metrics=(PSNR.name, SSIM.name),
            )
            for folder, role in find_tests(data, only, note)
            if chosen(folder, quick, note)
            for options in ({}, *({"steps": steps} for steps in STEPS))
        ]
    except HushError as e:
        missing.append(e)
    try:
        found = correspondences.pair_cases(
            data, quick=quick, only=only, train=train, note=note, pairs=pairs
        )
        cases += [case for whole in found for case in _by_steps(whole)]
    except HushError as e:
        missing.append(e)
    if not cases:
        raise HushError("; ".join(map(str, missing)))
    for error in missing:
        note(str(error))
    return cases


def _by_steps(case: Case) -> Iterator[Case]:
    assert case.training is not None
    names = {m.name for m in (*SELECTION, *ON_SETS)}
    for steps in (None, *STEPS):
        reading = {"steps": steps} if steps else {}
        training = replace(case.training, recipes={"mid": Recipe("mid", reading=reading)})
        settings = {**case.settings, **{k: str(v) for k, v in reading.items()}}
        yield replace(case, settings=settings, training=training, metrics=names, options=reading)


ABLATION = Study(
    name="mid/ablation",
    title="MID's one-shot ablation (§IV-F): one step against several, images and correspondences",
    cases=ablation_cases,
    methods=("none", "mid", "labels"),
    metrics=(PSNR, SSIM, *SELECTION, *ON_SETS),
    rows={"labels": labels},
    references=("labels",),
    variants=("steps",),
    resampling=Resampling(stratum=scene_of),
    options=correspondences.CORRESPONDENCES.options,
)
