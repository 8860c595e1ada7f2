"""How much MID depends on what its paper leaves open: one thing is changed at a time.

All rows are trained noisy-only on the same noisy images, for the same time, and told the noise.

| setting | values | what it is |
|---|---|---|
| steps | 2, 4, 8 | length of the ladder on the way down (algorithm 2); 1 is the one shot of §IV-F |
| added | .25, .5, 2 | length of the ladder in training, in deviations of the collected noise |
| told | −20 % … +20 % | error of the level that Φ is told, and goes down from |
| start | Ψ | the level comes from the step network (eq. 4) |
| lambda | .01, 1 | λ of eq. 9, the level from Ψ; hush has .1 |
| origin | collected | algorithm 1 read literally: the collected sample is t = 0 |
| increments | additive, log | no linearisation (eq. 3), and eq. 2's domain, where none is needed |

Increments matter where noise is not additive: they are compared on multiplicative noise. There the
default are Taylor's, (∂F/∂n) n; without the derivative, noise of one level is added, as much of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hush.errors import HushError
from hush.kinds.cut import rms_level
from hush.studies.core import PSNR, SSIM, Case, Note, Study, ignore
from hush.studies.folders import find_sets, first_image, image_files, keep_apart, sound
from hush.studies.images import (
    KNOWN,
    QUICK_COUNT,
    QUICK_SIDE,
    find_tests,
    noisy_samples,
    recognise,
)
from hush.studies.sample import Sample
from hush.studies.trained import Apply, Recipe, Training, restored

if TYPE_CHECKING:
    from hush.denoiser import Denoiser

ADDITIVE, SPECKLE = "gaussian:25/255", "speckle:0.3"
STEPS, MULTIPLICATIVE_STEPS = (2, 4, 8), (1, 4)
ADDED = (0.25, 0.5, 2.0)
ERRORS = (-0.2, -0.1, 0.1, 0.2)
LAMBDAS = (0.01, 1.0)
#: seconds of each training, of which there are ten
BUDGET, QUICK_BUDGET = 600.0, 30.0
#: of networks that learn in that time
QUICK_SIZES: Mapping[str, Any] = {"widths": (24, 48), "blocks": (1, 2)}
#: training images at most, and their largest side
LESSONS, QUICK_LESSONS, LESSON_SIDE = 400, 40, 256
DARKEST = 0.5 / 255  #: signals below half an 8-bit step have no logarithm of their own

Samples = Callable[[int], Iterable[Sample]]


# -- how a row is applied ----------------------------------------------------------------------


def misled(error: float, method: Denoiser, noisy: np.ndarray, noise: Any) -> np.ndarray:
    """The result for a level that is wrong by this share."""
    return restored(method, noisy, noise.scaled((1 + error) ** 2))


def untold(method: Denoiser, noisy: np.ndarray, noise: Any) -> np.ndarray:
    """The result of a method that finds the level itself."""
    return restored(method, noisy, None)


def in_logarithms(method: Denoiser, noisy: np.ndarray, noise: Any) -> np.ndarray:
    """The result in logarithms, where speckle is additive: E[log y] = log x − σ²/2."""
    from hush.noise.processes import Gaussian

    logs = restored(method, _log(noisy), Gaussian(noise.sigma))
    result: np.ndarray = np.exp(logs + noise.sigma**2 / 2)
    return result


def of_one_level(method: Denoiser, noisy: np.ndarray, noise: Any) -> np.ndarray:
    """The result for additive noise with as much power."""
    from hush.noise.processes import Gaussian

    return restored(method, noisy, Gaussian(rms_level(noise, noisy)))


# -- what a row is trained on ------------------------------------------------------------------


def logarithms(samples: Samples, seed: int) -> Iterator[Sample]:
    """Samples with speckle in logarithms."""
    from hush.noise.processes import Gaussian

    for sample in samples(seed):
        noise = Gaussian(sample.noise.sigma)
        yield replace(sample, noisy=_log(sample.noisy), noise=noise)


def additive(samples: Samples, seed: int) -> Iterator[Sample]:
    """Samples whose noise is stated as additive, with the mean power of all."""
    from hush.noise.processes import Gaussian

    every = list(samples(seed))
    power = np.mean([rms_level(sample.noise, sample.noisy) ** 2 for sample in every])
    for sample in every:
        yield replace(sample, noise=Gaussian(float(power) ** 0.5))


def _log(x: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(x, np.float32(DARKEST)))


# -- the cases ---------------------------------------------------------------------------------


def sensitivity_cases(
    data: Path,
    *,
    quick: bool,
    only: str | None,
    train: Path | None = None,
    note: Note = ignore,
) -> list[Case]:
    """Both kinds of noise on one set, or on those that `only` names."""
    tests = find_tests(data, only, note)
    cases = []
    for folder, _ in tests if only else tests[:1]:
        files = image_files(folder)
        first = first_image(files)
        assert first is not None  # `find_tests` leaves out such a set
        lessons = _lessons(train or data, len(first), train is not None)
        keep_apart(lessons, files)
        if quick:
            files, lessons = _some(files, QUICK_COUNT), _some(lessons, QUICK_LESSONS)
        files, lessons = sound(files, note), sound(lessons, note)
        cases += _on_additive(_case(files, lessons, ADDITIVE, quick))
        cases += _on_speckle(_case(files, lessons, SPECKLE, quick))
    return cases


def _lessons(data: Path, channels: int, stated: bool) -> list[Path]:
    """The images to train on: a known training set, or any set of a folder that was stated."""
    for folder in find_sets(data):
        role = recognise(folder)
        files = image_files(folder)
        first = first_image(files)
        fits = first is not None and len(first) == channels
        if fits and (stated or (role and KNOWN[role].training)):
            return _some(files, LESSONS)
    colour = "gray" if channels == 1 else f"{channels}-channel"
    raise HushError(
        f"{data} has no {colour} images to train on, such as BSD400 or BSDS500's; give --train a "
        "folder with some"
    )


def _some(files: Sequence[Path], count: int) -> list[Path]:
    return list(files[:: -(-len(files) // count)])


def _case(files: Sequence[Path], lessons: Sequence[Path], spec: str, quick: bool) -> Case:
    """The default on one kind of noise."""
    family, _, level = spec.partition(":")
    settings = {"data": files[0].parent.name, "noise": family, "level": level}
    settings["train"] = f"{len(lessons)} of {lessons[0].parent.name}"
    if quick:
        settings["subset"] = f"{len(files)}x{QUICK_SIDE}"
    return Case(
        settings,
        partial(noisy_samples, files, spec, True, QUICK_SIDE if quick else None),
        len(files),
        training=Training(
            ";".join((lessons[0].parent.name, str(len(lessons)), spec)),
            partial(noisy_samples, lessons, spec, True, LESSON_SIDE),
            {"mid": Recipe("mid", QUICK_SIZES if quick else {}, told=True)},
            QUICK_BUDGET if quick else BUDGET,
        ),
    )


def _varied(
    case: Case,
    settings: Mapping[str, str],
    fields: Mapping[str, Any] | None = None,
    reading: Mapping[str, Any] | None = None,
    apply: Apply = restored,
    learn: Callable[[Samples, int], Iterable[Sample]] | None = None,
) -> Case:
    """A case that differs from the default in what `settings` say.

    fields : of the training; reading : of the trained model; learn : what it is trained on.
    """
    training = case.training
    assert training is not None
    if learn:
        name = f"{training.name};{learn.__name__}"
        training = replace(training, name=name, samples=partial(learn, training.samples))
    recipe = training.recipes["mid"]
    recipe = replace(recipe, fields={**recipe.fields, **(fields or {})}, reading=reading or {})
    return replace(
        case,
        settings={**case.settings, **settings},
        options=settings,  # `none` has no such fields, and runs once
        training=replace(training, recipes={"mid": recipe}),
        apply=apply,
    )


def _on_additive(case: Case) -> list[Case]:
    by_step = {"level": "step"}
    return [
        case,
        *(_varied(case, {"steps": str(n)}, reading={"steps": n}) for n in STEPS),
        *(_varied(case, {"added": f"{a:g}"}, {"added": a}) for a in ADDED),
        *(_varied(case, {"told": f"{e:+.0%}"}, apply=partial(misled, e)) for e in ERRORS),
        _varied(case, {"start": "Ψ"}, reading=by_step, apply=untold),
        *(
            _varied(case, {"start": "Ψ", "lambda": f"{v:g}"}, {"step_weight": v}, by_step, untold)
            for v in LAMBDAS
        ),
        _varied(case, {"origin": "collected"}, {"naive": True}, by_step, untold),
    ]


def _on_speckle(case: Case) -> list[Case]:
    forms: Mapping[str, Mapping[str, Any]] = {
        "": {},
        "additive": {"apply": of_one_level, "learn": additive},
        "log": {"apply": in_logarithms, "learn": logarithms},
    }
    cases = []
    for (name, form), steps in product(forms.items(), MULTIPLICATIVE_STEPS):
        settings = {"increments": name} if name else {}
        if steps > 1:
            settings["steps"] = str(steps)
        cases.append(_varied(case, settings, reading={"steps": steps}, **form))
    return cases


SENSITIVITY = Study(
    name="mid/sensitivity",
    title="MID's sensitivity: the ladder, errors of the step, λ, increments, algorithm 1 literally",
    cases=sensitivity_cases,
    methods=("none", "mid"),
    metrics=(PSNR, SSIM),
    variants=("increments", "steps", "added", "told", "start", "lambda", "origin"),
    against=("mid",),
    paired=True,
)
