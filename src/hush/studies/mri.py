"""MID on MRI: diffusion series and repeated scans (section IV-D).

*Diffusion series.* Before denoising, every 5th direction of every shell with 20 or more is held
out; methods see the rest. Every shell with six directions or more has a table:

- ``held``, the judge: spherical harmonics of order 4 (2 for fewer than 23 directions), fitted to
  the denoised directions by least squares, predict the raw held-out ones inside the brain; the mean
  squared error over σ², that of the raw shell's own fit, the same for all methods;
- ``dsnr``, ``dcnr``: SNR and CNR after denoising less those before, in the corpus callosum, or in
  white matter where there is none; the noise is that of the background, if it was acquired;
- ``dfa``: mean absolute change of FA; ``lag``, ``lagz``: the residual's correlation with the next
  voxel in the plane and through it; ``unlike``: its largest difference to that of the noise;
- ``anatomy``: |correlation| of the residual with the low-passed image; ``shift``: of the mean of
  regions, the worst, in per cent. The Rician bias, if a method removes it, is not counted.

``first=16``: the first 16 directions denoised alone, beside the same 16 denoised with all.

*Repeats.* The first repeat of a scan against the mean of the others; of a series with three
volumes at b = 0 or more, each of these against the mean of others. With ``others=unseen`` every
second one is denoised with the weighted volumes, and the reference is the mean of those that the
method was not given; with ``others=seen`` all are denoised together, and each is compared with all
others, whose noise then is in the result and in the reference. Volumes at b = 0 are compared inside
the brain, scans as a whole. PSNR and SSIM are relative to the reference's largest value; RMSE is in
stored values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatch
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from hush.errors import HushError
from hush.methods import get, make
from hush.studies.core import Case, Note, Study, ignore, left_out
from hush.studies.medical import Scan as Repeated
from hush.studies.medical import find_all_repeats, read_planes
from hush.studies.mridata import Source, find_series, middle, read_repeats, read_scan
from hush.studies.mriscores import COST, METRICS, REPEATS, SHELL, Remembered, Ruler
from hush.studies.sample import Sample
from hush.studies.trained import Apply, Method, Recipe, Training, restored
from hush.tasks.diffusion_mri import ENOUGH, LEAST, held_out

QUICK_PLANES = 4  #: of a repeated scan, in a quick run
FIRST = 16  #: directions that are denoised alone too
REPEATED = 3  #: volumes at b = 0, from which on they are judged as repeats
BUDGET, QUICK_BUDGET = 120.0, 5.0  #: seconds of training for each method and series
#: the rows but for ``none`` and ``mid``, which users get as they are
RECIPES = {
    **{name: Recipe(name) for name in ("nlmeans", "bm4d", "mppca", "lpca", "patch2self")},
    **{name: Recipe(name) for name in ("dip", "noise2noise", "ddm2")},
    "mid:slice": Recipe("mid", {"channels": 1}),
}
#: rows that need other volumes of the series
IN_SERIES = ("mppca", "lpca", "patch2self", "noise2noise", "ddm2")
SLOW = ("bm4d",)  #: rows that need minutes for a series; a quick run leaves them out
LARGE = 2**22  #: values from which on a quick run leaves out the first directions
QUICK_REPEATED = 8  #: volumes at b = 0, from which on a quick run judges them
#: Stanford HARDI, DDM2's table, which MID's section IV-D repeats: mean change of SNR and CNR
PUBLISHED = {
    "dip": (-3.06, -3.04),
    "n2s": (-0.53, -0.55),
    "patch2self": (0.10, 0.08),
    "n2n": (0.81, 0.79),
    "ddm2": (1.83, 1.75),
}
STANFORD = "HARDI150"  #: in the name of its file

#: a part of a series: its files, slices and side (`read_scan`)
Part = tuple[Source, tuple[int, int] | None, int | None]


# -- the samples -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """Which volumes of a series are denoised, and which shell of it is judged.

    given : the volumes that methods see; shell, weak, test : as in `Ruler`.
    """

    part: Part
    given: tuple[int, ...]
    weak: tuple[int, ...]
    shell: tuple[int, ...]
    test: tuple[int, ...]

    def samples(self, seed: int = 0) -> Iterator[Sample]:
        """The series without what is held out; the seed has no effect."""
        ruler = ruler_of(self)
        noisy = ruler.scan.take(self.given)
        yield Sample(ruler.scan.name, noisy, None, about={"ruler": ruler})


@lru_cache(maxsize=8)
def ruler_of(plan: Plan) -> Ruler:
    """The judge of a plan; kept, because every method needs it."""
    return Ruler(read_scan(*plan.part), plan.given, plan.weak, plan.shell, plan.test)


def brain_of(part: Part) -> np.ndarray:
    """The brain of a series ``(Z, Y, X)``."""
    return ruler_of(plans(part)[0]).mask


def plans(part: Part) -> list[Plan]:
    """A plan for each shell of a series; `Plan.shell` is empty if there are too few directions."""
    scan = read_scan(*part)
    test = set(held_out(scan.shells))
    given = tuple(i for i in range(scan.series.count) if i not in test)
    return [
        Plan(
            part,
            given,
            scan.weak,
            tuple(i for i in shell if i not in test),
            tuple(i for i in shell if i in test),
        )
        for shell in scan.shells
        if shell
    ]


def unseen_repeats(part: Part, seed: int = 0) -> Iterator[Sample]:
    """A series with every second volume at b = 0, and with the others; the reference is of the
    rest."""
    scan = read_scan(*part)
    for half in (0, 1):
        own, others = scan.weak[half::2], scan.weak[1 - half :: 2]
        given = [i for i in range(scan.series.count) if i not in others]
        reference = scan.values(others).mean(axis=0)
        yield Sample(
            f"half {half + 1}",
            scan.take(given),
            {f"volume {i}": (given.index(i), reference) for i in own},
            about={"zero": scan.zero, "mask": brain_of(part)},
        )


def seen_repeats(part: Part, seed: int = 0) -> Iterator[Sample]:
    """A whole series; the reference of each volume at b = 0 is the mean of all others."""
    scan = read_scan(*part)
    weak = scan.weak
    values = scan.values(weak)
    reference = {
        f"volume {i}": (i, np.delete(values, k, axis=0).mean(axis=0)) for k, i in enumerate(weak)
    }
    about = {"zero": scan.zero, "mask": brain_of(part)}
    yield Sample("all", scan.record, reference, about=about)


def repeated_scan(
    scan: Repeated, slices: tuple[int, int] | None, seed: int = 0
) -> Iterator[Sample]:
    """The first repeat of a scan; the reference is the mean of the others."""
    record, reference = read_repeats(scan)
    if slices is not None:
        record = record.with_data(record.data[slice(*slices)])
        reference = reference[:, slice(*slices)]
    yield Sample(scan.name, record, {"volume 0": (0, reference[0])}, about={"zero": 0.0})


# -- the cases ---------------------------------------------------------------------------------


def mri_cases(
    data: Path,
    *,
    quick: bool,
    only: str | None,
    train: Path | None = None,
    note: Note = ignore,
    series: str | None = None,
    slices: tuple[int, int] | None = None,
    resize: int | None = None,
    first: int = FIRST,
) -> list[Case]:
    """A case for each shell of each series, for its first directions, and for repeats.

    series : a pattern for the names of series and scans; slices, resize : as in `read_scan`.
    """
    if train is not None:
        raise HushError("mid/mri trains on the series that it denoises; leave --train out")
    cases: list[Case] = []
    reasons: list[str] = []

    for source in find_series(data, only, reasons.append):
        if series is None or fnmatch(source.name, series):
            part = source, slices or (middle(source) if quick else None), resize
            try:
                cases += _series_cases(part, quick, first, reasons.append)
            except HushError as e:
                reasons.append(f"{source.name} is left out: {e}")
    if quick and cases:
        note(f"quick runs leave out {' and '.join(SLOW)} of series, which takes minutes")
    scans: list[Case] = []
    if resize is None:
        for repeats in find_all_repeats(data, only, reasons.append):
            for scan, _ in repeats.test:
                if series is None or fnmatch(f"{repeats.source}/{scan.name}", series):
                    scans.append(_scan_case(repeats.source, scan, slices, quick))
    if scans:
        note(f"{', '.join(IN_SERIES)} need a series and are left out of repeats of a volume")
    cases += scans
    left_out(reasons, cases, note)
    if not cases:
        raise HushError(
            f"{data} contains no MRI; give --data a folder with 4-D NIfTI files, .bval and .bvec "
            "beside them, or with repeats of a scan in folders such as FLAIR01 and FLAIR02"
        )
    note(
        "published for Stanford HARDI: "
        + ", ".join(f"{name} {a:+.2f}/{b:+.2f}" for name, (a, b) in PUBLISHED.items())
        + " (change of SNR/CNR). Their slices, masks and scaling differ from these; compare them "
        "with each other only"
    )
    return cases


def _series_cases(part: Part, quick: bool, first: int, note: Note) -> Iterator[Case]:
    source = part[0]
    scan, apply = read_scan(*part), Remembered()
    for plan in plans(part):
        whole = (*plan.shell, *plan.test)
        b = f"{scan.series.b_of(whole):.0f}"
        if len(plan.shell) < LEAST or not plan.weak:
            why = f"fewer than {LEAST} directions" if plan.weak else "there is no b = 0 beside it"
            note(f"{source.name}, b = {b}, has no table: {why}")
            continue
        if quick and not plan.test:
            note(f"{source.name}, b = {b}, has too few directions for a quick run to hold some out")
            continue
        note(_words(plan, b))
        settings = {"data": source.name, "b": b, **_sizes(part)}
        yield _case(plan, settings, apply, quick)
        if len(plan.shell) < 2 * first or not plan.test:
            continue
        if quick and scan.record.data.size > LARGE:
            continue
        few = plan.shell[:first]
        alone = replace(plan, shell=few, given=tuple(sorted((*plan.weak, *few))))
        for directions, of in (("alone", alone), ("of all", replace(plan, shell=few))):
            own = {**settings, "first": f"{first}", "directions": directions}
            yield _case(of, own, apply, quick)
    yield from _repeats_cases(part, quick)


def _repeats_cases(part: Part, quick: bool) -> Iterator[Case]:
    """The volumes at b = 0 as repeats, if they are enough."""
    weak = read_scan(*part).weak
    if len(weak) < (QUICK_REPEATED if quick else REPEATED):
        return
    for others, samples, count in (("unseen", unseen_repeats, 2), ("seen", seen_repeats, 1)):
        if quick and others == "seen":
            continue
        of = partial(samples, part)
        yield Case(
            settings={"data": part[0].name, "repeats": "b0", "others": others, **_sizes(part)},
            samples=of,
            count=count,
            training=_training(f"{_name(part)};repeats={others}", of, quick, SLOW if quick else ()),
            kind="volume",
            metrics=[m.name for m in (*REPEATS, *COST)],
            apply=Remembered(),
        )


def _case(plan: Plan, settings: Mapping[str, str], apply: Remembered, quick: bool) -> Case:
    name = f"{_name(plan.part)};volumes={len(plan.given)}"
    shown = [m.name for m in (*SHELL, *COST) if plan.test or m.name != "held"]
    paper: dict[tuple[str, str], float] = {}
    if STANFORD in plan.part[0].path.name and "first" not in settings:
        for row, figures in PUBLISHED.items():
            paper |= {(row, m): x for m, x in zip(("dsnr", "dcnr"), figures, strict=True)}
    return Case(
        settings=settings,
        samples=plan.samples,
        count=1,
        paper=paper,
        training=_training(name, plan.samples, quick, SLOW if quick else ()),
        kind="volume",
        metrics=shown,
        apply=apply,
    )


def _scan_case(source: str, scan: Repeated, slices: tuple[int, int] | None, quick: bool) -> Case:
    if slices is None and quick:
        count = len(read_planes(scan.repeats[0]))
        slices = (count - QUICK_PLANES) // 2, (count + QUICK_PLANES) // 2
        slices = slices if count > QUICK_PLANES else None
    cut = {} if slices is None else {"slices": "{}:{}".format(*slices)}
    settings = {"data": source, "repeats": scan.name, "of": f"{len(scan.repeats)}", **cut}
    samples = partial(repeated_scan, scan, slices)
    name = ";".join(f"{k}={v}" for k, v in settings.items())
    return Case(
        settings=settings,
        samples=samples,
        count=1,
        training=_training(name, samples, quick, IN_SERIES),
        kind="volume",
        metrics=[m.name for m in (*REPEATS, *COST)],
        apply=Remembered(),
    )


@dataclass(frozen=True)
class OnSeries(Training):
    """Methods that learn from the series that they denoise, some of them while they denoise it.

    without : rows that are left out.
    """

    without: tuple[str, ...] = ()

    def method(
        self, recipe: Recipe, seed: int, device: str = "cpu", apply: Apply = restored
    ) -> Method | None:
        """See `Training.method`; the budget of a method that trains meanwhile is its setting."""
        if recipe.method in self.without:
            return None
        cls = get(recipe.method, self.kind)
        if cls.learns_from != "nothing":
            return super().method(recipe, seed, device, apply)
        known = {f.name for f in fields(cls)}
        own = {"seconds": self.budget, "seed": seed}
        settings = {**recipe.fields, **{k: v for k, v in own.items() if k in known}}
        made = make(recipe.method, self.kind, **settings).to(device)
        return lambda noisy, noise: apply(made, noisy, None)


def _training(
    name: str,
    samples: Callable[[int], Iterator[Sample]],
    quick: bool,
    without: tuple[str, ...] = (),
) -> Training:
    budget = QUICK_BUDGET if quick else BUDGET
    return OnSeries(name, samples, RECIPES, budget, kind="volume", without=without)


def _sizes(part: Part) -> dict[str, str]:
    _, slices, side = part
    cut = {} if slices is None else {"slices": "{}:{}".format(*slices)}
    return cut if side is None else {**cut, "resize": f"{side}"}


def _name(part: Part) -> str:
    return ";".join([part[0].name, *(f"{k}={v}" for k, v in _sizes(part).items())])


def _words(plan: Plan, b: str) -> str:
    """What a shell is judged by, in words."""
    ruler = ruler_of(plan)
    regions, noise = ruler.regions, ruler.noise
    lags = ", ".join(f"{lag:.2f}" for lag in noise.lags if np.isfinite(lag))
    axes = "z, y and x" if np.isfinite(noise.lags[0]) else "y and x"
    held = f"{len(plan.test)} of {len(plan.test) + len(plan.shell)} directions are held out"
    if not plan.test:
        held = f"nothing is held out, because there are fewer than {ENOUGH} directions"
    signal = f"SNR and CNR in {regions.name} ({regions.signal.sum()} voxels)"
    if regions.missing:
        signal = f"SNR and CNR are unavailable: {regions.missing}"
    return (
        f"{ruler.scan.name}, b = {b}: {held}; σ {noise.variance**0.5:.4g}, correlation with the "
        f"next voxel along {axes} {lags}; {signal}"
    )


def _range(text: str) -> tuple[int, int]:
    low, _, high = text.partition(":")
    first, last = int(low), int(high)
    if not 0 <= first < last:
        raise ValueError("write FIRST:LAST, such as 30:46")
    return first, last


def _count(text: str) -> int:
    if (count := int(text)) < LEAST:
        raise ValueError(f"at least {LEAST}")
    return count


MRI = Study(
    name="mid/mri",
    title="MID on MRI: diffusion series and repeated scans (section IV-D)",
    cases=mri_cases,
    methods=(
        *("none", "nlmeans", "bm4d", "mppca", "lpca", "patch2self"),
        *("dip", "noise2noise", "ddm2", "mid:slice", "mid"),
    ),
    metrics=METRICS,
    variants=("directions",),
    options={"series": str, "slices": _range, "resize": _count, "first": _count},
)
