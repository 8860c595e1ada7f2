"""What was measured, in words, for the command line and the pages. Levels in the data's units."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hush.noise.field import Grid
from hush.noise.processes import FAMILIES
from hush.record import Record
from hush.recording import let_go
from hush.report.plots import number as number
from hush.results import MANY

if TYPE_CHECKING:
    from hush.noise.lines import Wave
    from hush.noise.process import Process
    from hush.results import Estimate, Inspection

UNSURE = 1.0  #: relative error above which a level is only an upper limit
PIECE = 2**22  #: values that are looked at together
EVERYWHERE = ", the same at every brightness"  #: said of pixels only
UNEQUAL = 1.5  #: ratio of the channels' levels that is worth mentioning


def family(name: str) -> str:
    """The name of a family for people."""
    return FAMILIES[name].label if name in FAMILIES else name


def spec(process: Process, scale: float, found: Estimate | None = None) -> str:
    """The text for ``--noise``, or a description if the level is a map, which has no text.

    found : the measurement, if this process is the one measured.
    """
    if found is not None and places(found, scale):
        return f"{family(process.family)}, {places(found, scale)} (map)"
    if process.varies:
        return f"{family(process.family)} with a map of levels"
    return process.spec(scale)


def option(process: Process, scale: float, found: Estimate | None = None) -> str:
    """The option that states this noise; empty if the level is a map. Arguments as in `spec`."""
    varies = process.varies or (found is not None and found.field is not None)
    return "" if varies else f"--noise {process.spec(scale)}"


def places(found: Estimate, scale: float) -> str:
    """The lowest and highest level, such as "σ 5.1 to 30.6 over the image"; empty if it is the same
    everywhere, to the digits that are shown."""
    if found.sigma_range is None:
        return ""
    low, high = (number(scale * sigma) for sigma in found.sigma_range)
    whole = "volume" if isinstance(found.field, Grid) else "image"
    return f"σ {low} to {high} over the {whole}" if low != high else ""


def units(scale: float, unit: str = "") -> str:
    """What follows a level: its unit, the full range, as " of 255", or nothing if that is 1."""
    if unit:
        return f" {unit}"
    own = scale < 1 or (scale > 1e9 and math.log10(scale).is_integer())  # of floats far from 1
    return "" if own or scale == 1 else f" of {scale:.0f}"


def share(value: float) -> str:
    return f"{number(float(f'{100 * value:.2g}'))} %"


def either(names: Sequence[str]) -> str:
    """``A``, ``A or B``, ``A, B or C``."""
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def noise(found: Estimate, scale: float, unit: str = "", element: str = "pixel") -> str:
    """Family, level, and which other families fit as well.

    unit : of the values, if known; element : the name of one value.
    """
    if found.family == "impulse":
        return level(found, scale, unit, element)
    if found.sigma == 0:
        return "none was found"
    return f"{family(found.family)}, {level(found, scale, unit, element)}"


def level(found: Estimate, scale: float, unit: str = "", element: str = "pixel") -> str:
    """How much noise there is, what it depends on, and which other families fit as well."""
    text = _level(found, scale, unit)
    if element != "pixel":
        text = text.removesuffix(EVERYWHERE)
    if where := places(found, scale):
        text += f"; {where}"
    if found.uncertainty <= UNSURE:
        text += _doubt(found)
    if found.impulses and found.family != "impulse":
        text += f"; {impulses(found)} replaced (impulses)"
    return text


def interference(found: Estimate, scale: float, unit: str = "") -> str:
    """Offsets of rows and columns, and hum; empty if there are none."""
    if not found.lines:
        return ""
    texts = [
        f"offsets of {along}, σ {number(sigma * scale)}{units(scale, unit)}"
        for along, sigma in found.lines.along.items()
    ]
    if found.lines.waves:
        hum = f"σ {number(found.lines.hum * scale)}{units(scale, unit)}"
        texts.append(f"hum of a period of {periods(found.lines.waves)}, {hum}")
    return "; ".join(texts)


def periods(waves: Sequence[Wave]) -> str:
    """The longest period of some waves, such as ``7.1 pixels and shorter ones``."""
    every = sorted((float(f"{wave.period:.2g}") for wave in waves), reverse=True)
    return f"{number(every[0])} pixels{' and shorter ones' * (every[-1] < every[0])}"


def impulses(found: Estimate) -> str:
    """The pixels that are impulses: their share, or their number if they are few."""
    if found.impulses >= MANY:
        return f"{share(found.impulses)} of the pixels"
    return f"{found.hits} pixel{'s' * (found.hits != 1)}"


def _level(found: Estimate, scale: float, unit: str = "") -> str:
    if found.family == "impulse":
        between = noise(replace(found, impulses=0.0), scale)
        between = between.removesuffix(EVERYWHERE)
        some = f"{impulses(found)} replaced (impulses)"
        return f"{some}, and {between} in the rest" if found.sigma else f"{some}, no other noise"
    sigma = f"σ {number(found.sigma * scale)}{units(scale, unit)}"
    if found.uncertainty > UNSURE:
        return "its level could not be measured"
    if found.uncertainty >= 0.005:
        sigma += f" ± {100 * found.uncertainty:.0f} %"
    return found.process.words(sigma, scale, number)


def _doubt(found: Estimate) -> str:
    if not found.alternatives:
        return ""
    others = either([family(name) for name in found.alternatives])
    return f"; it could also be {others}"


def channels(found: Estimate, scale: float) -> str:
    """The levels of the channels; empty for one channel."""
    if len(found.channels) < 2:
        return ""
    listed = "σ " + ", ".join(number(s * scale) for s in found.channels)
    if not unequal(found):
        return listed
    times = number(max(found.channels) / min(found.channels))
    return f"{listed}: the noisiest has {times} times the noise of the cleanest"


def unequal(found: Estimate) -> bool:
    """Whether the channels' levels differ; one without noise is likely a mask and excluded."""
    return bool(found.channels) and 0 < min(found.channels) * UNEQUAL < max(found.channels)


def between(found: Estimate, element: str = "pixel") -> str:
    """Whether the noise of neighbouring elements is correlated."""
    if not found.correlated:
        return f"independent from {element} to {element}"
    lags = [f"{number(round(a, 2))} at {k}" for k, a in enumerate(found.autocorrelation, 1)]
    felt = [text for text in lags if not text.startswith("0 ")]
    text = f"correlated between neighbours: {', '.join(felt)} {element}s"
    if found.regression:
        along = "columns" if found.regression[0] else "rows"
        return f"correlated along {along} only: {', '.join(felt)} {element}s"
    width = found.kernel_width
    return text if np.isnan(width) else f"{text}, as if blurred by {number(width)} {element}s"


def series(laws: Sequence[tuple[int, int]], items: str) -> str:
    """Whether the items of a series share a law of noise; empty if they were not compared.

    laws : the channel and the number of the law of each item, 0 if it was measured alone; items :
    their name in sentences.
    """
    counts = Counter(laws)
    groups = [count for (_, law), count in sorted(counts.items()) if law]
    channels, alone = len({channel for channel, _ in laws}), len(laws) - sum(groups)
    if not laws:
        return ""
    if not groups:
        return f"no two of {len(laws)} {items} share a law of noise; each was measured alone"
    if len(groups) == channels:
        text = f"{sum(groups)} {items} share one law of noise"
        text += " in each channel" if channels > 1 else ""
    else:
        parts = [str(count) for count in groups]
        each = " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
        text = f"{each} {items} share a law of noise each"
    return f"{text}; {alone} measured alone" if alone else text


def brightness(found: Estimate, scale: float) -> str:
    """The noise at dark, medium and bright values; empty if no curve was measured."""
    if not found.curve:
        return ""
    points = [found.curve[i] for i in (0, len(found.curve) // 2, -1)]
    (first, sigma), *others = [
        (number(scale * x), number(scale * max(v, 0.0) ** 0.5)) for x, v, _ in points
    ]
    return ", ".join([f"σ {sigma} at brightness {first}", *(f"{s} at {x}" for x, s in others)])


def clipping(found: Estimate) -> str:
    return f"{share(found.clipped)} of the pixels are at a limit of the value range"


def size(record: Record) -> str:
    sizes = " × ".join(str(n) for n in record.data.shape)
    text = f"{sizes} ({record.axes}), {record.data.dtype.newbyteorder('=')}"
    bad = missing(record)
    if not bad:
        return text
    return f"{text}, {bad} {'value that is' if bad == 1 else 'values that are'} not finite"


def missing(record: Record) -> int:
    """The number of values that are NaN or infinite."""
    x = record.data
    if x.dtype.kind != "f":
        return 0
    parts = x if x.ndim > 2 else [x]  # a plane at a time, for the memory
    if x.flags.c_contiguous:
        flat = x.reshape(-1)
        parts = [flat[start : start + PIECE] for start in range(0, flat.size, PIECE)]
    known = 0
    for part in parts:
        known += int(np.count_nonzero(np.isfinite(part)))
        let_go(part)
    return int(x.size) - known


def inspection(kind: str, element: str, seen: Inspection) -> list[tuple[str, str]]:
    """Everything found in a file of that kind, as labels and values."""
    found, scale = seen.estimate, seen.record.scale
    model = f" with the model {seen.model}" if seen.model else ""
    lines = [
        (kind, size(seen.record)),
        *(seen.survey.facts if seen.survey else ()),
        ("noise", noise(found, scale, seen.unit, element)),
        ("series", series(seen.laws, f"{kind}s")),
        ("channels", channels(found, scale)),
        ("lines", interference(found, scale, seen.unit)),
        ("curve", brightness(found, scale)),
        (f"{element}s", between(found, element)),
        ("clipping", clipping(found) if found.clipped or found.curve else ""),
        ("step", "" if seen.step is None else f"{seen.step:.2f} of the noise ladder"),
        ("denoise", f"{seen.method}{model}, {steps(seen.steps)}"),
        ("--noise", option(found.process, scale, found).removeprefix("--noise ")),
    ]
    return [(label, value) for label, value in lines if value]


def steps(count: int) -> str:
    return f"{count} step{'s' * (count != 1)}"


def duration(seconds: float) -> str:
    if seconds >= 90:
        return f"{seconds / 60:.1f} min"
    return f"{seconds:.1f} s" if seconds >= 0.95 else f"{1000 * seconds:.0f} ms"
