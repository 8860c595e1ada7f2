"""Real noise: pairs of a noisy and a (nearly) clean image of one scene.

The noise is unknown, so methods estimate it. Many sets normalise the two images separately, so
every figure is given twice: directly, and after fitting the result's gain and offset to the
reference.

Beside what users get by default stand plain filters, the best blur, methods trained on the very
files, and the default adapted to each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from hush.errors import HushError
from hush.metrics import fit_gain_offset, psnr, ssim
from hush.studies.core import PSNR, SSIM, Case, Metric, Note, Study, ignore, left_out
from hush.studies.folders import (
    Pair,
    find_paired_sets,
    find_pairs,
    marked,
    read_images,
    sound_pairs,
)
from hush.studies.frozen import centre_crop
from hush.studies.images import QUICK_COUNT, QUICK_SIDE
from hush.studies.sample import Sample
from hush.studies.trained import Recipe, Training


def _fitted(result: np.ndarray, reference: np.ndarray) -> np.ndarray:
    gain, offset = fit_gain_offset(result, reference)
    return gain * result + offset


def _fitted_psnr(result: np.ndarray, reference: np.ndarray) -> float:
    return psnr(_fitted(result, reference), reference, 1.0)


def _fitted_ssim(result: np.ndarray, reference: np.ndarray) -> float:
    return ssim(_fitted(result, reference), reference, 1.0)


def pair_samples(pairs: Sequence[Pair], side: int | None, seed: int) -> Iterator[Sample]:
    """The pairs; the seed has no effect."""
    for pair in pairs:
        files = zip(read_images(pair.noisy), read_images(pair.clean), strict=True)
        for index, (noisy, clean) in enumerate(files):
            if noisy.shape != clean.shape:
                raise HushError(
                    f"{pair.noisy} and {pair.clean} must have the same shape, not "
                    f"{noisy.shape} and {clean.shape}"
                )
            name = pair.name if index == 0 else f"{pair.name}[{index}]"
            if side is not None:
                noisy, clean = centre_crop(noisy, side), centre_crop(clean, side)
            yield Sample(name, noisy, clean)


#: widths of the Gaussian blurs that are tried, in pixels
WIDTHS = (0, *np.arange(0.4, 1.5, 0.1).round(1), *np.arange(1.5, 4.1, 0.25))
ADAPTED = 60.0  #: seconds
BUDGET, QUICK_BUDGET = 600.0, 30.0  #: seconds of training on the files themselves
#: rows for correlated noise that are trained only if asked for
BLIND = ("apbsn", "mmbsn", "cbsn")


def best_blur(sample: Sample) -> np.ndarray:
    """The Gaussian blur that is nearest to the reference, after a fit of gain and offset."""
    from scipy.ndimage import gaussian_filter

    blurred = (gaussian_filter(sample.noisy, (0, w, w), mode="reflect") for w in WIDTHS)
    return max(blurred, key=lambda y: _fitted_psnr(y, sample.reference))


def adapted(sample: Sample) -> np.ndarray:
    """The shipped model after a minute of adaptation to the noisy image."""
    from hush.models import load, shipped

    path = shipped("mid", len(sample.noisy), "image")
    assert path is not None
    model = load(path)
    result: np.ndarray = model.adapt([sample.noisy], ADAPTED).restored(sample.noisy, None)
    return result


def _training(name: str, pairs: Sequence[Pair], side: int | None) -> Training:
    """Methods trained on the noisy images of these pairs, and nothing else."""
    recipes = {"mid:noisy": Recipe("mid"), "diffdenoise": Recipe("diffdenoise")}
    recipes |= {name: Recipe(name) for name in BLIND}
    name = marked(name, [pair.noisy for pair in pairs])
    if side is not None:  # a full run must not take the models of crops
        name = f"{name};side={side}"
    budget = BUDGET if side is None else QUICK_BUDGET
    return Training(name, partial(pair_samples, pairs, side), recipes, budget)


def _parts(pairs: Sequence[Pair]) -> dict[tuple[str, str], list[Pair]]:
    """Pairs by number of averaged frames and, if the names begin with different words, by word."""
    words = {pair.key[0] if pair.key and pair.key[0].isalpha() else "" for pair in pairs}
    parts: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        word = pair.key[0] if len(words) > 1 and pair.key and pair.key[0] in words else ""
        parts.setdefault((word, pair.averaged), []).append(pair)
    return parts


def pair_cases(
    data: Path,
    *,
    quick: bool,
    only: str | None,
    train: Path | None = None,
    note: Note = ignore,
) -> list[Case]:
    """Two cases per set, kind of scene and number of averaged frames: as it is, where some rows are
    trained on the noisy files, and without stabilising the variance."""
    if train is not None:
        raise HushError("real/pairs trains on the noisy files themselves; leave --train out")
    cases: list[Case] = []
    reasons: list[str] = []
    for folder in find_paired_sets(data, only):
        for (word, averaged), pairs in _parts(find_pairs(folder, reasons.append)).items():
            if quick:
                pairs = pairs[:: -(-len(pairs) // QUICK_COUNT)]
            if not (pairs := sound_pairs(pairs, reasons.append)):
                continue
            settings = {
                "data": folder.name,
                "part": word,
                "noise": averaged or "real",
                "estimator": "estimated",
                "subset": f"{len(pairs)}x{QUICK_SIDE}" if quick else "",
            }
            side = QUICK_SIDE if quick else None
            case = Case(
                settings={k: v for k, v in settings.items() if v},
                samples=partial(pair_samples, pairs, side),
                count=len(pairs),
            )
            plain = {**case.settings, "transform": "none"}
            options = {"stabilise": False}  # of methods that stabilise the variance
            training = _training("-".join(filter(None, (folder.name, word, averaged))), pairs, side)
            cases += [
                replace(case, training=training),
                replace(case, settings=plain, options=options),
            ]
    left_out(reasons, cases, note)
    if not cases:
        raise HushError(
            f"{data} contains no pairs; give --data a folder that contains NAME/raw and NAME/gt"
        )
    return cases


PAIRS = Study(
    name="real/pairs",
    title="Real noise, compared with references",
    cases=pair_cases,
    methods=("none", "mid", "bm3d", "nlm", "blur", "mid:adapted", "mid:noisy", "diffdenoise"),
    rows={"blur": best_blur, "mid:adapted": adapted},
    references=("blur",),
    variants=("transform",),
    metrics=(
        Metric("psnr", PSNR.score, variant="fit=none"),
        Metric("ssim", SSIM.score, digits=4, variant="fit=none"),
        Metric("psnr", _fitted_psnr, variant="fit=gain-offset"),
        Metric("ssim", _fitted_ssim, digits=4, variant="fit=gain-offset"),
    ),
)
