"""One noisy image, nothing else, and little time: what every method makes of it, and how soon.

Times are those of whole processes: every result is made by a process of its own, which trains for
as long as its start leaves. A result should be at least as good as one that took less time, for
every file; the last column says by how much it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import TypeVar

from hush.errors import HushError
from hush.metrics import fit_gain_offset, psnr, ssim
from hush.studies.anytime_picture import by_series, draw
from hush.studies.core import Case, Metric, Note, Study, ignore
from hush.studies.folders import (
    find_paired_sets,
    find_pairs,
    find_sets,
    image_files,
    sound,
    sound_pairs,
)
from hush.studies.images import noisy_samples
from hush.studies.ledger import Cell, Key, Ledger
from hush.studies.pairs import pair_samples
from hush.studies.sample import Sample
from hush.studies.timed import Timed, adapted, command, timed

TIMES = (2.0, 10.0, 60.0, 600.0)  #: seconds
QUICK_TIMES = (2.0, 10.0)
PICTURES, QUICK_PICTURES, QUICK_SIDE = 4, 2, 128
NOISE = ("gaussian:25/255", "poisson:30")
#: folders that are used where there are some: photographs and X-rays, real pairs
PLAIN, PAIRED = ("kodak*", "cxr*"), ("fmd", "w2s")
OTHERS = ("zs-n2n", "self2self", "dip", "noise2void", "bm3d")
#: further rows that can be asked for
MORE = ("none", "noise2self", "neighbor2neighbor", "puca", "lgbpn", "nlm", "wiener")

T = TypeVar("T")
Samples = Callable[[int], Iterable[Sample]]


def _fitted(score: Callable[..., float], made: Timed, sample: Sample) -> float:
    """A score; of real pairs after a fit of gain and offset, in which the two images may differ."""
    data, reference = made.data, sample.reference
    if sample.about["real"]:
        gain, offset = fit_gain_offset(data, reference)
        data = gain * data + offset
    return score(data, reference, 1.0)


PSNR = Metric("psnr", partial(_fitted, psnr), by_sample=True)
SSIM = Metric("ssim", partial(_fitted, ssim), by_sample=True, digits=4)
SECONDS = Metric(
    "seconds", lambda made, _: float(made.seconds), higher_is_better=False, digits=1, judge=False
)
#: see `steps_down`
DOWN = Metric("worst step down", lambda made, _: float("nan"), judge=False)


def anytime_cases(
    data: Path,
    *,
    quick: bool,
    only: str | None,
    train: Path | None = None,
    note: Note = ignore,
    pictures: int | None = None,
    times: Sequence[float] | None = None,
) -> list[Case]:
    """A case for each set, noise and time. Images without a reference get noise; pairs have it."""
    if train is not None:
        raise HushError("anytime learns from one noisy image alone; leave --train out")
    count = pictures or (QUICK_PICTURES if quick else PICTURES)
    side = QUICK_SIDE if quick else None
    series: list[tuple[Mapping[str, str], Samples, int]] = []
    plain, paired = _used(find_sets(data, only), find_paired_sets(data, only), only, note)
    for folder in plain:
        files = sound(_spread(image_files(folder), count), note)
        for spec in NOISE[:1] if quick else NOISE:
            family, _, level = spec.partition(":")
            settings = {"data": folder.name, "noise": family, "level": level}
            series.append((settings, partial(noisy_samples, files, spec, False, side), len(files)))
    for folder in paired:
        pairs = sound_pairs(_spread(find_pairs(folder, note), count), note)
        settings = {"data": folder.name, "noise": "real", "fit": "gain-offset"}
        series.append((settings, partial(pair_samples, pairs, side), len(pairs)))
    series = [some for some in series if some[2]]
    if not series:
        some = f" in a folder like '{only}'" if only else ""
        raise HushError(
            f"{data} has no images{some} that can be used; give --data a folder that contains "
            "images/NAME/*.png"
        )
    return [
        Case(
            settings={
                **settings,
                "subset": f"{number}x{side}" if side else str(number),
                "time": f"{seconds:g}s",
            },
            samples=partial(_timed_samples, samples, seconds, settings["noise"] == "real"),
            count=number,
            metrics=(PSNR.name, SSIM.name, SECONDS.name),
        )
        for settings, samples, number in series
        for seconds in times or (QUICK_TIMES if quick else TIMES)
    ]


def _timed_samples(samples: Samples, seconds: float, real: bool, seed: int) -> Iterator[Sample]:
    for sample in samples(seed):
        yield replace(sample, about={"seconds": seconds, "real": real})


def _used(
    plain: Sequence[Path], paired: Sequence[Path], only: str | None, note: Note
) -> tuple[Sequence[Path], Sequence[Path]]:
    """Folders of images and of pairs: all that `only` names, otherwise those with known names, or
    all if there are none."""
    if only:
        return plain, paired
    known = {p: [f for f in plain if fnmatch(f.name, p)] for p in PLAIN}
    real = {p: [f for f in paired if fnmatch(f.name, p)] for p in PAIRED}
    if not any((*known.values(), *real.values())):
        return plain, paired
    for pattern in (p for p, some in {**known, **real}.items() if not some):
        note(f"there is no folder like '{pattern}' with such images: left out")
    return [f for some in known.values() for f in some], [f for of in real.values() for f in of]


def _spread(files: Sequence[T], count: int) -> list[T]:
    """So many of them, evenly chosen."""
    return (
        [files[i * len(files) // count] for i in range(count)] if count < len(files) else [*files]
    )


def steps_down(study: Study, cases: Sequence[Case], ledger: Ledger) -> None:
    """Add the cells of `DOWN`: a file's PSNR less its highest in any shorter time, for the file
    that lost most."""
    methods = {(key.method, key.seed) for key in ledger.cells if key.study == study.name}
    for of in by_series(cases).values():
        for method, seed in methods:
            best: dict[str, float] = {}
            for case in of:
                key = Key(study.name, case.key(), method, PSNR.name, seed)
                values = ledger.values.get(key, {})
                steps = {name: v - best[name] for name, v in values.items() if name in best}
                if steps:
                    worst = min(steps, key=steps.__getitem__)
                    value = {worst: steps[worst]}
                    cell = Cell.of(key._replace(metric=DOWN.name), True, value, None, judge=False)
                    if ledger.cells.get(cell.key) != cell:
                        ledger.add(cell, value)
                best.update({n: max(v, best.get(n, v)) for n, v in values.items()})


def _times(text: str) -> tuple[float, ...]:
    """Seconds, as ``2,10,60``."""
    times = tuple(float(part) for part in text.split(","))
    if min(times) <= 0:
        raise ValueError("a time is more than 0 seconds")
    return times


ANYTIME = Study(
    name="anytime",
    title="One noisy image alone: PSNR against seconds",
    cases=anytime_cases,
    methods=("mid", "mid:adapt", *OTHERS),
    metrics=(PSNR, SSIM, SECONDS, DOWN),
    rows={
        "mid": command,
        "mid:adapt": adapted,
        **{row: partial(timed, row) for row in (*OTHERS, *MORE)},
    },
    variants=("time",),
    derived=steps_down,
    picture=draw,
    options={"pictures": int, "times": _times},
)
