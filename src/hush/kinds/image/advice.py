"""What the user should know of an input before trusting what is made of it."""

from __future__ import annotations

import math

import numpy as np

from hush.errors import HushError
from hush.kinds.image.zerofill import acquired
from hush.noise.processes import FAMILIES, Process
from hush.record import Record
from hush.report import describe
from hush.results import Estimate

#: a given level this far from the estimated one is worth a warning
MISMATCH = 1.3
#: and this many times the data's whole span is a mistake
ABSURD = 10.0


def _level(record: Record, process: Process) -> float:
    """Rms of the noise that a process puts on the record's values, in units of full range."""
    x = _sample(record)
    return math.sqrt(float(np.mean(process.variance(x)))) if x.size else 0.0


def _sample(record: Record) -> np.ndarray:
    """Finite values from all over the record, in units of full range."""
    x = np.asarray(record.data[..., :: max(1, record.data.shape[-1] // 256)], np.float64)
    return x[np.isfinite(x)] / record.to_batch().scale


def check_level(record: Record, given: Process) -> None:
    """Refuse noise that is far more than all that the data spans."""
    scale, x = record.to_batch().scale, _sample(record)
    level = _level(record, given)
    if x.size and level > ABSURD * np.ptp(x) > 0:
        raise HushError(
            f"noise of σ {level * scale:.3g} cannot be in data that spans {np.ptp(x) * scale:.3g}; "
            "a bare level is in the data's own units, a/b on a scale that ends at b"
        )


def input_warnings(record: Record, given: Process | None, found: Estimate) -> list[str]:
    """Sentences on what the user should know of the input."""
    notes = []
    bad = describe.missing(record)
    if bad:
        notes.append(f"{bad} pixels are NaN or infinite; they stay as they are")
    if found.alternatives and not found.curve:
        notes.append(
            "There is too little to measure noise from, not one 8 × 8 block of finite pixels: the "
            "level is a guess from neighbouring pixels and the family is not known."
        )
    elif found.sigma == 0 and not found.impulses:
        notes.append("No noise was found; denoising returns the image nearly unchanged.")
    planes = record.to_batch().data
    plane = planes[len(planes) // 2]
    if (size := acquired(plane)) != plane.shape[1:]:
        own, all_ = (" × ".join(map(str, s)) for s in (size, plane.shape[1:]))
        notes.append(
            f"Fourier space was filled up with zeros, as MR scanners do: {own} of {all_} pixels "
            "were acquired. The noise is measured, and by MID and DiffDenoise taken off, there."
        )
    if found.impulses:
        notes.append(
            f"{describe.share(found.impulses)} of the pixels hold replaced values (impulses). MID "
            "first puts the median of their neighbours there, and fine points of the picture may "
            "go with them; other methods do not."
        )
    if found.process.advice:
        notes.append(found.process.advice)
    if found.correlated:
        notes.append(
            f"The noise is spatially correlated (lag-1 {found.correlation:.2f}); it is taken off "
            "at lower resolutions too, but some may stay. A file from before sharpening, "
            "demosaicing or JPEG compression has less of it."
        )
    if given is None and describe.unequal(found) and "S" in record.axes and record.channels == 3:
        notes.append(
            f"The channels have unlike noise ({describe.channels(found, record.to_batch().scale)}),"
            " while colours share one level: some stays in the noisiest, and the cleanest may lose "
            "detail. --axes with C in the place of S has each denoised by itself."
        )
    if given is None and found.curve and (others := _telling(found)):
        notes.append(
            f"The picture does not tell whether the noise is {describe.family(found.family)} or "
            f"{describe.either([describe.family(name) for name in others])}, which differ where "
            "it is dark or bright; if you know, say so with --noise."
        )
    if given is not None and found.sigma > 0 and given.family != "impulse":
        scale = record.to_batch().scale
        stated, seen = (_level(record, p) * scale for p in (given, found.process))
        if stated > MISMATCH * seen or seen > MISMATCH * stated:
            notes.append(
                f"The noise given has σ {stated:.3g} but the image shows {seen:.3g}, more than "
                f"{MISMATCH} times apart; leave --noise out to use the estimate."
            )
        if found.correlated and given.white:
            notes.append(
                f"The noise given ({given.spec(scale)}) is independent from pixel to pixel, the "
                "image's is not; what spans pixels is still measured, not taken from --noise."
            )
    return notes


def _telling(found: Estimate) -> list[str]:
    """Of the families that the data allow, those whose level somewhere is another one."""
    low, high = (max(found.curve[i][0], 1e-6) for i in (0, -1))
    own = min(found.process.terms)
    # All agree somewhere in the middle and are furthest apart at one of the ends.
    apart = math.sqrt(high / low)
    others = {name: FAMILIES[name] for name in found.alternatives}
    return [
        name
        for name, other in others.items()
        if other.biased or apart ** (abs(min(other.terms) - own) / 2) > MISMATCH
    ]
