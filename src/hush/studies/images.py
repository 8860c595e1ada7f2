"""MID on images: its tables (Kodak, BSD300, BSD68).

Without training data, the shipped models and the methods that need no training are compared, with
given and with estimated level. With them (``--train``), every method is trained on the same noisy
images for the same time, for each kind of noise; references are given more, as the level.

Noise is frozen: drawn once for a seed, a file name and a level, as floats without rounding or
clipping, so that all methods and runs get the same noisy images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hush.errors import HushError
from hush.studies import lessons
from hush.studies.core import Case, Note, Study, ignore, left_out
from hush.studies.folders import find_sets, first_image, image_files, keep_apart, read_images, sound
from hush.studies.frozen import centre_crop, frozen_noise
from hush.studies.sample import Sample

#: Noise by number of channels: MID's levels, and for gray images those of the BSD68 literature.
NOISE = {
    1: ("gaussian:15/255", "gaussian:25/255", "gaussian:50/255", "gaussian:5-50/255",
        "poisson:30", "poisson:5-50"),
    3: ("gaussian:25/255", "gaussian:5-50/255", "poisson:30", "poisson:5-50"),
}  # fmt: skip
QUICK_NOISE = ("gaussian:25/255", "poisson:30")
QUICK_COUNT, QUICK_SIDE = 3, 128
#: Whether methods are given the level or must estimate it.
LEVELS = ("given", "estimated")


@dataclass(frozen=True)
class KnownSet:
    """A set used in papers, recognised by its number of images, their sides and channels.

    hint : part of the folder's name, to recognise copies with different contents.
    """

    count: int
    sides: frozenset[int]
    channels: int
    hint: str = ""
    training: bool = False


KNOWN = {
    "bsd68": KnownSet(68, frozenset({321, 481}), 1, hint="bsd68"),
    "kodak": KnownSet(24, frozenset({512, 768}), 3, hint="kodak"),
    "bsd300": KnownSet(100, frozenset({321, 481}), 3, hint="bsds300_test"),
    "bsd400": KnownSet(400, frozenset({180}), 1, training=True),
    "bsds500-train": KnownSet(200, frozenset({321, 481}), 3, training=True),
}

#: (set, noise) → method → published PSNR. ``neighbor2neighbor`` at Gaussian 25 used frozen noise,
#: as here; its other figures, and blind2unblind's, used noise redrawn every epoch.
PUBLISHED: Mapping[tuple[str, str], Mapping[str, float]] = {
    ("kodak", "gaussian:25/255"): {
        "bm3d": 31.87, "neighbor2neighbor": 31.81, "noise2void": 30.32, "dip": 27.20,
        "self2self": 31.28, "blind2unblind": 32.27, "noise2noise": 32.41, "supervised": 32.43,
    },
    ("kodak", "gaussian:5-50/255"): {
        "neighbor2neighbor": 32.10, "blind2unblind": 32.34, "supervised": 32.51,
    },
    ("kodak", "poisson:30"): {"neighbor2neighbor": 31.44},
    ("bsd300", "gaussian:25/255"): {
        "bm3d": 30.48, "neighbor2neighbor": 30.59, "noise2noise": 31.04, "supervised": 31.05,
    },
    ("bsd68", "gaussian:15/255"): {"bm3d": 31.07, "dncnn": 31.73},
    ("bsd68", "gaussian:25/255"): {"bm3d": 28.56, "noise2void": 27.71, "dncnn": 29.23},
    ("bsd68", "gaussian:50/255"): {"bm3d": 25.62, "dncnn": 26.23},
}  # fmt: skip

#: Methods with published figures for a known level.
TOLD = {"bm3d", "dncnn"}
#: The noise of quick runs with training, by number of channels: each is trained for anew.
QUICK_TRAINED = {1: "poisson:30", 3: "gaussian:25/255"}


def recognise(folder: Path) -> str:
    """The name of the known set in a folder, or an empty text."""
    files = image_files(folder)
    first = first_image(files)
    if first is None:
        return ""
    shape = (len(first), frozenset(first.shape[1:]))
    for name, known in KNOWN.items():
        if (len(files), *shape) == (known.count, known.channels, known.sides):
            return name
    for name, known in KNOWN.items():
        if known.hint and known.hint in folder.name.lower() and len(first) == known.channels:
            return name
    return ""


def noisy_samples(
    files: Sequence[Path], spec: str, told: bool, side: int | None, seed: int
) -> Iterator[Sample]:
    """All images of the files with frozen noise; cropped to `side`, with the noise if `told`."""
    for path in files:
        for index, image in enumerate(read_images(path)):
            name = path.name if index == 0 else f"{path.name}[{index}]"
            x = image if side is None else centre_crop(image, side)
            noisy, process = frozen_noise(x, spec, name, seed)
            yield Sample(name, noisy, x, process if told else None)


def find_tests(data: Path, only: str | None, note: Note = ignore) -> list[tuple[Path, str]]:
    """Folders with the names of known sets. Training sets are left out unless `only` is given, and
    folders without an image that can be read; `note` gets these."""
    found, reasons = [], []
    for folder in find_sets(data, only):
        if first_image(image_files(folder)) is None:
            reasons.append(f"{folder.name} is left out: none of its images can be read")
        else:
            found.append((folder, recognise(folder)))
    tests = [(f, role) for f, role in found if only or not (role and KNOWN[role].training)]
    left_out(reasons, tests, note)
    if not tests:
        raise HushError(
            f"{data} contains no test images"
            + (f" in a folder like '{only}'" if only else "")
            + "; give --data a folder that contains images/NAME/*.png"
        )
    return sorted(tests, key=lambda t: (not t[1], t[0].name))  # sets with published figures first


def chosen(folder: Path, quick: bool, note: Note = ignore) -> list[Path]:
    """The files of a set that are tested; `note` gets why others are left out."""
    files = image_files(folder)
    return sound(files[:: -(-len(files) // QUICK_COUNT)] if quick else files, note)


def image_case(
    folder: Path,
    role: str,
    spec: str,
    told: bool,
    quick: bool,
    options: Mapping[str, Any] | None = None,
) -> Case:
    files = chosen(folder, quick)
    family, _, level = spec.partition(":")
    settings = {
        "data": folder.name, "noise": family, "level": level, "estimator": LEVELS[not told],
    }  # fmt: skip
    if quick:
        settings["subset"] = f"{len(files)}x{QUICK_SIDE}"
    published = PUBLISHED.get((role, spec), {}).items()
    return Case(
        settings={**settings, **{k: str(v) for k, v in (options or {}).items()}},
        samples=partial(noisy_samples, files, spec, told, QUICK_SIDE if quick else None),
        count=len(files),
        options=options or {},
        paper={
            (m, "psnr"): figure
            for m, figure in published
            if not options and (told or m not in TOLD)
        },
    )


def image_cases(
    data: Path,
    *,
    quick: bool,
    only: str | None,
    train: Path | None = None,
    note: Note = ignore,
) -> list[Case]:
    """All sets with all kinds of noise: with given and with estimated level, or with training."""
    cases: list[Case] = []
    sets = find_tests(data, only, note)
    files = lessons.find_lessons(train, quick, note) if train else []
    if not (quick or only):
        for name in dict.fromkeys(name for name, _ in PUBLISHED):
            if name not in (role for _, role in sets):
                note(f"{name} is missing in {data}: left out")
    for folder, role in sets:
        if (first := first_image(chosen(folder, quick, note))) is None:
            continue
        channels = len(first)
        specs = QUICK_NOISE if quick else NOISE.get(channels, NOISE[3])
        if train:
            keep_apart(files, image_files(folder))
            specs = (QUICK_TRAINED.get(channels, "gaussian:25/255"),) if quick else specs
            cases += [trained_case(folder, role, s, channels, quick, files, train) for s in specs]
            continue
        cases += [
            image_case(folder, role, spec, told, quick) for spec in specs for told in (True, False)
        ]
    return cases


def trained_case(
    folder: Path,
    role: str,
    spec: str,
    channels: int,
    quick: bool,
    files: Sequence[Path],
    train: Path,
) -> Case:
    """A set with one kind of noise, and the training for it; rows ``:told`` are given the level."""
    case = image_case(folder, role, spec, True, quick)
    paper = {(f"{m}:told" if m in TOLD else m, k): figure for (m, k), figure in case.paper.items()}
    settings = {**case.settings, "estimator": LEVELS[1], "train": lessons.label(files, train)}
    training = lessons.training(files, train, spec, channels, quick)
    return replace(case, settings=settings, paper=paper, training=training, told=False)


IMAGES = Study(
    name="mid/images",
    title="MID on images: Gaussian and Poisson noise",
    cases=image_cases,
    methods=("none", "mid", "bm3d", "nlm", "wavelet", "tv"),
    rows_trained=lessons.rows,
)
