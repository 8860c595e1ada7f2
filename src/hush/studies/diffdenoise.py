"""DiffDenoise's tables 1 to 5 and figure 4, and a sweep over stronger noise.

Every method is trained for each case, on the same frozen noisy images, for the same time. Only
references get more information: ``mid:told`` the noise, and supervised NAFNet the clean images.
Neither noisy images nor results are clipped: the paper's noisy Gaussian figure, 32.57 dB, is
exactly that of σ = 6/255 without clipping.

``diffdenoise`` is the default that users get; ``diffdenoise:NAME`` are its stages, or students of
other teachers. The oracle is not a reference: it is a regression on the same noisy images and only
takes more time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from hush.errors import HushError
from hush.metrics import psnr, ssim
from hush.studies.core import Case, Metric, Note, Study, ignore
from hush.studies.draws import draw_samples
from hush.studies.medical import (
    TRAIN_MOST,
    Images,
    Plane,
    Repeats,
    find_all_images,
    find_all_repeats,
    find_images,
    find_repeats,
    half_released,
    learned_from,
    noisy_planes,
    repeated_slices,
    repeats_learned_from,
)
from hush.studies.sample import Sample
from hush.studies.trained import Recipe, Training

#: Side of test images in pixels; smaller images are used whole.
SIDE = 300
#: Seconds of training for each method.
BUDGET, QUICK_BUDGET = 600.0, 45.0
QUICK_COUNT, QUICK_SIDE = 3, 128

#: λ and α = β of §4.1, by kind of image; σ is the same for all.
POISSON = {"brain": 200, "knee": 200, "chest": 700}
GAMMA = {"brain": 100, "knee": 100, "chest": 500}
#: Kernel width of the correlated noise → side of the blind spot (§4.2).
BLIND = {"": 1, "0.5": 5, "1.2": 9}
ROUNDS = (1, 2, 3)
SWEEP = (6, 15, 25, 50)

METRICS = (
    Metric("psnr", partial(psnr, data_range=1.0, clip=False)),
    Metric("ssim", partial(ssim, data_range=1.0, clip=False), digits=4),
)

# -- the rows --------------------------------------------------------------------------------


def recipes(blind: int = 1, rounds: int = 1) -> dict[str, Recipe]:
    """The recipe of each row.

    blind : side of a blind spot that covers the noise, a setting of LG-BPN (`hush inspect`
        measures the kernel's width). DiffDenoise measures its own.
    """
    ours = Recipe("diffdenoise", {"keep": True, "oracle": True})
    for n in range(2, rounds + 1):  # each round continues from the one before
        ours = replace(ours, fields={**ours.fields, "rounds": n}, start=ours, budgets=n)
    unstable, paper = (
        replace(ours, fields={**ours.fields, "teacher": teacher}, start=ours)
        for teacher in ("single", "pair")
    )
    return {
        "diffdenoise": ours.read(output="student"),
        "diffdenoise:condition": ours.read(output="condition"),
        "diffdenoise:oracle": ours.read(output="oracle"),
        "diffdenoise:single": ours.read(output="single"),
        "diffdenoise:two-random": ours.read(output="two-random"),
        "diffdenoise:pair": ours.read(output="pair"),
        "diffdenoise:kd-only": unstable.read(output="student"),
        "diffdenoise:kd-pair": paper.read(output="student"),  # the paper's own student
        "nafnet": Recipe("nafnet", supervised=True),
        "noise2self": Recipe("noise2self"),
        "noise2void": Recipe("noise2void"),
        "neighbor2neighbor": Recipe("neighbor2neighbor"),
        "puca": Recipe("puca"),
        "lgbpn": Recipe("lgbpn", {"blind": blind}),
        "mid": Recipe("mid"),
        "mid:told": Recipe("mid", told=True),
    }


SELF_SUPERVISED = ("noise2self", "noise2void", "neighbor2neighbor", "lgbpn", "puca")
OURS = (
    *("diffdenoise:condition", "diffdenoise:oracle", "diffdenoise:single"),
    *("diffdenoise:two-random", "diffdenoise:pair", "diffdenoise"),
    *("diffdenoise:kd-only", "diffdenoise:kd-pair"),
)
#: untrained, at the measured level
CLASSICAL = ("bm3d", "nlm", "wavelet", "tv")
ROWS = ("none", *CLASSICAL, "nafnet", *SELF_SUPERVISED, *OURS)

# -- what was published ----------------------------------------------------------------------

Column = tuple[str, ...]
Figures = dict[tuple[str, str], float]


def table(columns: Sequence[Column], rows: Mapping[str, str]) -> dict[Column, Figures]:
    """A table of the paper: by column, then by row and metric."""
    figures: dict[Column, Figures] = {column: {} for column in columns}
    for row, text in rows.items():
        for column, cell in zip(columns, text.split(), strict=True):
            for metric, value in zip(("psnr", "ssim"), cell.split("/"), strict=True):
                figures[column][row, metric] = float(value)
    return figures


_IID = [(kind, noise) for kind in ("brain", "knee", "chest") for noise in ("gaussian", "poisson")]
TABLE_1 = table(_IID, {
    "none": "32.57/0.769 31.34/0.849 32.57/0.828 30.39/0.798 32.57/0.782 31.20/0.734",
    "nafnet": "37.95/0.946 36.40/0.946 36.59/0.902 35.17/0.881 37.55/0.914 37.21/0.906",
    "noise2self": "33.00/0.895 32.60/0.892 32.26/0.751 31.71/0.734 32.93/0.784 33.06/0.784",
    "lgbpn": "32.61/0.903 33.14/0.902 32.58/0.761 32.20/0.751 34.54/0.840 35.05/0.841",
    "puca": "35.45/0.909 34.14/0.908 33.82/0.797 31.72/0.749 35.56/0.856 34.11/0.822",
    "neighbor2neighbor":
        "36.69/0.935 35.47/0.930 36.08/0.894 34.48/0.864 36.12/0.894 35.56/0.880",
    "diffdenoise": "36.68/0.942 35.44/0.942 36.02/0.897 35.31/0.893 35.95/0.905 35.30/0.901",
})  # fmt: skip

_MIXED = [(n, width) for n in ("gaussian", "poisson", "gamma") for width in ("0.5", "1.2")]
TABLE_2 = table(_MIXED, {
    "none": "32.57/0.830 32.57/0.846 30.40/0.801 30.39/0.823 32.92/0.896 32.92/0.908",
    "nafnet": "36.41/0.900 36.33/0.914 35.33/0.898 35.14/0.905 36.84/0.913 36.61/0.917",
    "lgbpn": "31.78/0.729 30.59/0.703 31.62/0.724 30.65/0.705 31.69/0.728 30.69/0.706",
    "puca": "32.57/0.769 32.23/0.760 32.20/0.761 32.03/0.756 32.39/0.764 31.91/0.751",
    "neighbor2neighbor":
        "35.68/0.881 33.91/0.850 34.27/0.859 32.35/0.839 35.37/0.889 34.13/0.891",
    "diffdenoise": "35.99/0.892 35.31/0.878 34.92/0.881 34.85/0.869 36.63/0.905 35.40/0.895",
})  # fmt: skip

TABLE_3 = table([("T1",), ("FLAIR",)], {
    "none": "30.19/0.796 29.95/0.781",
    "nafnet": "32.17/0.888 31.65/0.844",
    "neighbor2neighbor": "31.11/0.898 30.71/0.869",
    "lgbpn": "30.20/0.871 29.22/0.795",
    "puca": "31.50/0.898 31.16/0.852",
    "diffdenoise": "31.95/0.900 31.44/0.864",
})  # fmt: skip

_WIDTHS = [("",), ("0.5",), ("1.2",)]
TABLE_4 = table(_WIDTHS, {
    "none": "32.57/0.828 32.57/0.830 32.57/0.846",
    "1": "36.02/0.897 35.99/0.892 35.31/0.878",
    "2": "36.10/0.900 36.05/0.898 35.98/0.893",
    "3": "36.11/0.899 36.09/0.899 36.07/0.898",
})  # fmt: skip

TABLE_5 = table(_WIDTHS, {
    "diffdenoise:single": "33.48/0.793 33.88/0.768 31.50/0.729",
    "diffdenoise:pair": "35.87/0.896 35.73/0.890 34.95/0.874",
    "diffdenoise:kd-only": "33.15/0.781 32.90/0.754 30.61/0.713",
    "diffdenoise": "36.02/0.897 35.99/0.892 35.31/0.878",
})  # fmt: skip

# -- the cases -------------------------------------------------------------------------------


def spec(family: str, kind: str, width: str = "", sigma: int = 6) -> str:
    """The noise of §4.1, white or with a kernel of this `width`; `sigma` on a scale of 255."""
    levels = {"gaussian": f"{sigma}/255", "poisson": POISSON[kind], "gamma": GAMMA[kind]}
    white = f"{family}:{levels[family]}"
    return f"correlated:{white},{width}" if width else white


def _trained(
    settings: Mapping[str, str],
    learn: Callable[[int], Iterable[Sample]],
    judge: Callable[[int], Iterable[Sample]],
    counts: tuple[int, int],
    rows: Mapping[str, Recipe],
    paper: Figures,
    quick: bool,
    lessons: str = "",
) -> Case:
    """A case that trains on `learn` and tests on `judge`. counts : numbers of training and test
    images; without any of the former nothing is trained. lessons : name of a separate training
    folder."""
    train, test = counts
    learned = f"{train} of {lessons}" if lessons else str(train)
    settings = {**settings, "train": learned if train else ""}
    if quick:
        settings["subset"] = f"{test}x{QUICK_SIDE}"
    settings = {k: v for k, v in settings.items() if v}
    name = ";".join(f"{k}={v}" for k, v in settings.items())
    budget = QUICK_BUDGET if quick else BUDGET
    training = Training(name, learn, rows, budget) if train else None
    return Case(settings, judge, test, paper=paper, training=training, told=False)


def _synthetic(
    images: Images, family: str, quick: bool, paper: Figures, width: str = "", sigma: int = 6
) -> Case:
    """Clean images with synthetic noise. Training images are cropped to twice the side."""
    noise = spec(family, images.kind, width, sigma)
    test: Sequence[Plane] = images.test
    if quick:
        test = test[:: -(-len(test) // QUICK_COUNT)]
    side = QUICK_SIDE if quick else SIDE
    settings = {
        "data": images.label,
        "source": images.source,
        "noise": family,
        "level": noise.partition(f"{family}:")[2].partition(",")[0],
        "kernel": width,
    }
    return _trained(
        settings,
        partial(noisy_planes, images.train, noise, 2 * side),
        partial(noisy_planes, test, noise, side),
        (len(images.train), len(test)),
        recipes(BLIND[width]),
        paper,
        quick,
        images.lessons,
    )


def _real(repeats: Repeats, quick: bool) -> Case:
    """The first of several repeats, with the mean of the others as reference."""
    test = list(repeats.test)
    if quick:
        scan, slices = test[0]
        test = [(scan, slices[:: -(-len(slices) // QUICK_COUNT)])]
    side = QUICK_SIDE if quick else SIDE
    others = len(test[0][0].repeats) - 1
    # A single repeat as reference is as noisy as the input: SSIM is not comparable to the paper's.
    paper = {
        (row, metric): figure
        for (row, metric), figure in TABLE_3.get((repeats.contrast,), {}).items()
        if not quick and (others > 1 or metric != "ssim")
    }
    return _trained(
        {"data": repeats.contrast, "source": repeats.source, "reference": f"mean of {others} more"},
        partial(repeated_slices, repeats.train, 2 * side),
        partial(repeated_slices, test, side),
        (sum(len(s) for _, s in repeats.train), sum(len(s) for _, s in test)),
        recipes(),
        paper,
        quick,
        repeats.lessons,
    )


def _sets(
    data: Path,
    kinds: Sequence[str],
    *,
    quick: bool,
    only: str | None,
    train: Path | None,
    note: Note,
) -> list[Images]:
    """Sets of these kinds, split or with training data from `train`; only one if `quick`."""
    if train is None:
        found = [images for images in find_images(data, only) if images.kind in kinds]
    else:
        found = [images for images in find_all_images(data, only) if images.kind in kinds]
        lessons = find_all_images(train, most=TRAIN_MOST)
        found = [
            learned_from(images, lessons)
            for images in found
            if images.kind in {lesson.kind for lesson in lessons}
        ]
    if not found:
        lack = f"{data} and {train} have" if train else f"{data} has"
        raise HushError(
            f"{lack} no {' or '.join(kinds)} images; give --data a folder with *train* and *val* "
            "or *test* of fastMRI or the SIIM X-rays, or with volumes/knee*/SERIES/*.dcm"
        )
    if quick:
        return [max(found, key=lambda images: kinds.index(images.kind))]
    where = f"{data} or {train}" if train else f"{data}"
    for kind in kinds:
        if only is None and kind not in {images.kind for images in found}:
            note(f"{kind} images are missing in {where}: left out")
    _name_halves(data, only, train, note)
    return found


def _name_halves(data: Path, only: str | None, train: Path | None, note: Note) -> None:
    for part in half_released(data, only) if train is None else ():
        note(f"*val* or *test* is missing beside {part}: left out")


def iid_cases(
    data: Path,
    *,
    quick: bool,
    only: str | None,
    train: Path | None = None,
    note: Note = ignore,
) -> list[Case]:
    """Table 1: every kind of image with white noise."""
    kinds = ("brain", "knee", "chest")
    found = _sets(data, kinds, quick=quick, only=only, train=train, note=note)
    if quick:
        return [_synthetic(found[0], "gaussian", quick, {})]
    return [
        _synthetic(images, noise, quick, TABLE_1[images.kind, noise])
        for images in found
        for noise in ("gaussian", "poisson")
    ]


def correlated_cases(
    data: Path,
    *,
    quick: bool,
    only: str | None,
    train: Path | None = None,
    note: Note = ignore,
) -> list[Case]:
    """Table 2: the knee with correlated noise; the chest is added."""
    found = _sets(data, ("knee", "chest"), quick=quick, only=only, train=train, note=note)
    every = [
        _synthetic(
            images,
            noise,
            quick,
            TABLE_2[noise, width] if images.kind == "knee" and not quick else {},
            width,
        )
        for images in found
        for noise, width in _MIXED
    ]
    return every[:1] if quick else every


def real_cases(
    data: Path,
    *,
    quick: bool,
    only: str | None,
    train: Path | None = None,
    note: Note = ignore,
) -> list[Case]:
    """Table 3: repeated scans."""
    if train is None:
        found = [repeats for repeats in find_repeats(data, only, note) if repeats.test]
    else:
        lessons = find_all_repeats(train, note=note)
        contrasts = {repeats.contrast for repeats in lessons}
        found = [
            repeats_learned_from(repeats, lessons)
            for repeats in find_all_repeats(data, only, note)
            if repeats.contrast in contrasts
        ]
    where = f"{data} or {train}" if train else f"{data}"
    if not found:
        lack = f"{data} and {train} have" if train else f"{data} has"
        raise HushError(
            f"{lack} no repeated scans; give --data a folder with M4Raw's *train* and "
            "*val*, or with volumes/NAME/T101, T102, …"
        )
    if quick:
        return [_real(found[0], quick)]
    for (contrast,) in TABLE_3:
        if only is None and contrast not in {repeats.contrast for repeats in found}:
            note(f"{contrast} scans are missing in {where}: left out")
    _name_halves(data, only, train, note)
    return [_real(repeats, quick) for repeats in found]


def round_cases(
    data: Path,
    *,
    quick: bool,
    only: str | None,
    train: Path | None = None,
    note: Note = ignore,
) -> list[Case]:
    """Table 4: the student's output as the condition of the next round; one budget per round.

    The paper uses the knee; the chest, which is smoother, is added.
    """
    cases = []
    found = _sets(data, ("knee", "chest"), quick=quick, only=only, train=train, note=note)
    for images, ((width,), table) in product(found, TABLE_4.items()):
        figures = table if images.kind == "knee" and not quick else {}
        first = _synthetic(images, "gaussian", quick, {}, width)
        noisy = {key: figure for key, figure in figures.items() if key[0] == "none"}
        bare = first.training and replace(first.training, recipes={})
        cases.append(replace(first, training=bare, paper=noisy))
        for n in ROUNDS if first.training else ():
            rows = {"diffdenoise": recipes(BLIND[width], n)["diffdenoise"]}
            paper = {("diffdenoise", m): f for (row, m), f in figures.items() if row == str(n)}
            cases.append(
                replace(
                    first,
                    settings={**first.settings, "round": str(n)},
                    options={"round": n},  # `none` has no such field and runs once
                    training=first.training and replace(first.training, recipes=rows),
                    paper=paper,
                )
            )
    return cases[: 1 + len(ROUNDS)] if quick else cases


def ablation_cases(
    data: Path,
    *,
    quick: bool,
    only: str | None,
    train: Path | None = None,
    note: Note = ignore,
) -> list[Case]:
    """Table 5: the knee; the chest is added."""
    found = _sets(data, ("knee", "chest"), quick=quick, only=only, train=train, note=note)
    if quick:
        return [_synthetic(found[0], "gaussian", quick, {})]
    return [
        _synthetic(
            images, "gaussian", quick, TABLE_5[width,] if images.kind == "knee" else {}, width
        )
        for images in found
        for width in BLIND
    ]


def sweep_cases(
    data: Path,
    *,
    quick: bool,
    only: str | None,
    train: Path | None = None,
    note: Note = ignore,
) -> list[Case]:
    """The chest with Gaussian noise up to eight times the paper's."""
    return [
        _synthetic(images, "gaussian", quick, {}, sigma=sigma)
        for images in _sets(data, ("chest",), quick=quick, only=only, train=train, note=note)
        for sigma in (SWEEP[2:3] if quick else SWEEP)
    ]


def _study(name: str, title: str, cases: Any, methods: Sequence[str], **more: Any) -> Study:
    return Study(f"diffdenoise/{name}", title, cases, methods, METRICS, **more)


DIFFDENOISE = (
    _study("iid", "DiffDenoise, table 1: white noise", iid_cases, ROWS),
    _study("correlated", "DiffDenoise, table 2: correlated noise", correlated_cases, ROWS),
    _study("real", "DiffDenoise, table 3: real noise", real_cases, ROWS),
    _study(
        "rounds", "DiffDenoise, table 4: rounds", round_cases, ("none", "diffdenoise"),
        variants=("round",),
    ),
    _study(
        "ablation", "DiffDenoise, table 5: symmetric pairs and distillation", ablation_cases,
        (
            *("none", "diffdenoise:single", "diffdenoise:pair", "diffdenoise:kd-only"),
            *("diffdenoise:kd-pair", "diffdenoise"),
        ),
        picture=draw_samples,
    ),
    _study(
        "sweep", "DiffDenoise and MID under stronger noise", sweep_cases,
        ("none", "diffdenoise", "diffdenoise:condition", "mid", "mid:told"),
    ),
)  # fmt: skip
