"""Warnings about an input image, to read before trusting its result."""

from __future__ import annotations

import math

import numpy as np

from hush.kinds.image import jpeg
from hush.kinds.image.binning import side_of_bins
from hush.kinds.image.large import LARGE
from hush.kinds.image.measure.estimation import unlike
from hush.kinds.image.zerofill import acquired
from hush.kinds.values import MISMATCH, hardly_noisy, mismatch
from hush.noise.processes import FAMILIES, Hum, Process, Stripes
from hush.record import Record
from hush.report import describe
from hush.results import MANY, Estimate

#: a picture with fewer steps between dark and bright, and noise below this many of them, suffers
#: from rounding
FEW_STEPS, COARSE = 64, 2.0
HARDLY = 4  #: a picture with as few steps is nearly gone when the result is rounded to them


def input_warnings(
    record: Record, item: np.ndarray, given: Process | None, found: Estimate
) -> list[str]:
    """Warnings about an image ``(C, H, W)`` of a record, one or two sentences each."""
    notes = []
    if found.alternatives and not found.curve:
        notes.append(
            "The image has no 8 × 8 block of finite pixels to measure noise in: the level is a "
            "guess from neighbouring pixels, and the family is unknown."
        )
    besides = bool(found.impulses or found.lines)
    quiet = given is None and not notes and _quiet(record, item, found)
    if quiet and not besides:
        return [*_absent(found), *_doubtful(found, record.scale), quiet]
    if (size := acquired(item)) != item.shape[1:]:
        own, all_ = (" × ".join(map(str, s)) for s in (size, item.shape[1:]))
        notes.append(
            f"The picture has no more detail than {own} of its {all_} pixels can hold: it was "
            "enlarged, or Fourier space was zero-filled, as MR scanners do. Noise is measured on "
            "the smaller grid, and MID and DiffDenoise denoise on it."
        )
    if found.impulses:
        notes.append(
            f"{describe.impulses(found)} {'hold' if found.hits != 1 else 'holds'} replaced values "
            f"({'impulses' if found.impulses >= MANY else 'hot or dead pixels, cosmic rays'}). MID "
            "first replaces each by the median of its neighbours, which can also remove small real "
            "details; other methods leave them in."
        )
    if found.lines:
        notes.append(
            "There is interference over the whole image: "
            f"{describe.interference(found, record.scale)}. MID takes it out first; other methods "
            "leave it in."
        )
    notes += _absent(found)
    notes += _left_in(found, record.scale)
    notes += _doubtful(found, record.scale)
    if quiet:  # what is said of the law and of neighbours does not matter
        return [*notes, quiet] if found.left or _rounding(record, found) else notes
    missed = found.misses(given) and not describe.unequal(found)  # a curve is all channels'
    if (advice := (given or found.process).advice) and not missed:
        notes.append(advice)
    side = side_of_bins(item, given or found.process)
    if side > 1 and "whole" in record.context:
        notes.append(
            f"There are so few photons that their sums in squares of {side} × {side} pixels say "
            f"more than the pixels. MID sums them in images of up to {LARGE >> 20} megapixels; "
            "sum them before denoising, or cut the image into parts."
        )
    elif side > 1:
        notes.append(
            f"There are so few photons that MID sums them in squares of {side} × {side} pixels. "
            "Finer detail in the result is interpolated."
        )
    if _coarse(record, item, found):
        steps = _span(item) * record.scale
        lost = "so that hardly anything of it is left" if steps <= HARDLY else "which costs detail"
        notes.append(
            f"The picture has only {steps:.0f} steps between dark and bright, and the result is "
            f"rounded to whole steps of {record.data.dtype}, {lost}. Convert the file to float32 "
            "first to keep it."
        )
    notes += jpeg.advice(record.context)
    if found.regression:
        along = "columns" if found.regression[0] else "rows"
        notes.append(
            f"The noise is correlated along {along} only (lag-1 {found.correlation:.2f}). MID "
            "filters it to be white, denoises, and undoes the filter, which leaves some streaks "
            f"along {along} in; other methods leave more. If you can, record without a filter "
            f"along {along}, or average several recordings."
        )
    elif found.correlated and not found.compressed:
        notes.append(
            f"The noise is spatially correlated (lag-1 {found.correlation:.2f}). MID removes it by "
            "its spectrum; other methods leave its coarse part in. If you have the file before "
            "sharpening, demosaicing or JPEG, use that."
        )
    if found.network:
        notes.append(
            "The level is that of MID's step network: smoothing or compression has removed the "
            "fine noise by which levels are measured. If the result is too smooth or still noisy, "
            "change it with --strength, or state the level with --noise."
        )
    if given is None and describe.unequal(found) and "S" in record.axes and record.channels == 3:
        levels = describe.channels(found, record.scale)
        apart = f"--axes {record.axes.replace('S', 'C')} denoises each separately."
        if unlike(found) and found.process.terms == (0,):
            notes.append(
                f"The channels differ in noise ({levels}). MID denoises each at its own level, "
                f"other methods all at one. {apart}"
            )
        else:
            notes.append(
                f"The channels differ in noise ({levels}), but colours are denoised with one "
                "level: the noisiest channel may keep noise, and the cleanest may lose detail. "
                f"{apart}"
            )
    if missed:
        notes.append(_missed(record, found))
    elif given is None and found.curve and _steps(record, found) > 1 and _telling(found):
        notes.append(
            "The family of the noise is not certain, and it matters in dark and bright places; if "
            "you know it, state it with --noise."
        )
    notes += mismatch(record, item, given, found)
    if given is not None and found.sigma > 0 and found.correlated and given.white:
        stated = describe.spec(given, record.scale)
        notes.append(
            f"The given noise ({stated}) is independent from pixel to pixel, but the image's noise "
            "is correlated; hush uses the given level and the measured correlation."
        )
    return notes


def _quiet(record: Record, item: np.ndarray, found: Estimate) -> str:
    """What to say where there is too little noise for more; empty if there is enough."""
    level = f"{describe.number(found.sigma * record.scale)}{describe.units(record.scale)}"
    if found.left:
        left = describe.number(found.left * record.scale)
        return (
            "Little noise is left: the picture was denoised or smoothed before. What MID's step "
            f"network still sees (σ {left}{describe.units(record.scale)}) is coarse and may be "
            "structure, and stays in; to remove it, state it with --noise."
        )
    if not found.lines and hardly_noisy(found.sigma, item):
        least = "No" if found.sigma == 0 else "Next to no"
        return f"{least} noise was found; denoising returns the image nearly unchanged."
    if _rounding(record, found):
        return f"Little noise is left, σ {level}: hardly more than rounding adds."
    return ""


def _missed(record: Record, found: Estimate) -> str:
    """A warning that the noise follows no known law, with the two places that are furthest off."""
    places = [
        f"{abs(100 * (ratio - 1)):.0f} % {'above' if ratio > 1 else 'below'} it at brightness "
        f"{describe.number(signal * record.scale)}"
        for signal, ratio in sorted(found.missed, key=lambda point: point[1])
    ]
    family = found.process.family
    return (
        f"The noise follows no law that hush knows. Nearest is {describe.family(family)}: σ is "
        f"{places[-1]}, and {places[0]}. So some places may keep noise and others lose detail, as "
        "in pictures displayed on a logarithmic scale (OCT, ultrasound) or processed by a camera. "
        "Denoise the raw data if you have them."
    )


def _absent(found: Estimate) -> list[str]:
    """A warning about offsets of lines or hum that are stated and were not found."""
    if found.lines is None or not found.lines.absent:
        return []
    return [
        f"--noise states {found.lines.absent}, but the image has none that can be told from the "
        "picture: nothing of the kind was removed."
    ]


def _left_in(found: Estimate, scale: float) -> list[str]:
    """A warning about offsets of lines or hum in an image that is too large to take them out."""
    if found.lines is None or not found.lines.left:
        return []
    return [
        "Rows or columns have offsets, or there is hum over the image "
        f"(σ {describe.number(found.lines.left * scale)}{describe.units(scale)}), which stays in: "
        f"MID takes it out of images of up to {LARGE >> 20} megapixels. Cut the image into parts "
        "to remove it."
    ]


def _doubtful(found: Estimate, scale: float) -> list[str]:
    """Warnings about waves that may be hum, and lines that may be noise."""
    if found.lines is None:
        return []
    notes = [
        f"The image is little but {along} of different brightness (σ "
        f"{describe.number(sigma * scale)}), which may be the picture or noise, and are left in. "
        f"If they are noise, remove them with --noise {Stripes(sigma, along).spec(scale)}."
        for along, sigma in found.lines.unsure.items()
    ]
    waves = found.lines.doubtful
    if not waves:
        return notes
    strongest = max(waves, key=lambda wave: wave.sigma)
    return [
        *notes,
        f"Waves of a period of {describe.periods(waves)} are the same in the whole image. They may "
        "be hum or part of the picture, such as a crystal or a grating, and are left in. If they "
        f"are hum, remove them with --noise {Hum(strongest.sigma).spec(scale)}.",
    ]


def _coarse(record: Record, item: np.ndarray, found: Estimate) -> bool:
    """Whether rounding the result to the stored type costs more than the noise that is left."""
    if record.data.dtype.kind not in "iu" or not np.isfinite(item).any():
        return False
    return 0 < _span(item) * record.scale < FEW_STEPS and 0 < _steps(record, found) < COARSE


def _steps(record: Record, found: Estimate) -> float:
    """σ in steps of the stored type; infinite for floats."""
    return found.sigma * record.scale if record.data.dtype.kind in "iu" else math.inf


def _rounding(record: Record, found: Estimate) -> bool:
    """Whether the noise is white, and beside that of rounding to whole numbers there is no more."""
    even = found.process.family == "gaussian" and not found.correlated
    return even and 0 < _steps(record, found) <= 1 / math.sqrt(6)


def _span(item: np.ndarray) -> float:
    return float(np.nanmax(item) - np.nanmin(item))


def _telling(found: Estimate) -> list[str]:
    """Those of the possible families whose level clearly differs at some brightness."""
    low, high = (max(found.curve[i][0], 1e-6) for i in (0, -1))
    own = min(found.process.terms)
    # All agree somewhere in the middle and differ most at one of the ends.
    apart = math.sqrt(high / low)
    others = {name: FAMILIES[name] for name in found.alternatives}
    return [
        name
        for name, other in others.items()
        if other.biased or apart ** (abs(min(other.terms) - own) / 2) > MISMATCH
    ]
