"""MID on images too large for memory: decided once on a glimpse, restored block by block.

Whatever depends on a whole image, such as Ψ's step or whether waves are kept, is decided on a
montage of windows (`hush.kinds.image.large`), and the same for every block. All else depends on
what is near, and lies on a grid of the whole image: so results do not depend on the blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from hush.denoiser import Advance
from hush.kinds.cut import rms_level
from hush.kinds.image.large import CELL, LARGE, in_cells
from hush.kinds.image.measure.estimation import gains, unlike
from hush.kinds.image.measure.impulses import without_impulses
from hush.kinds.image.measure.rare import ALARMS
from hush.kinds.image.measure.regression import coloured, law_of_white, whitened
from hush.kinds.layout import filled
from hush.methods.mid.core import ValueMID
from hush.methods.mid.waves import waves
from hush.noise.process import Process
from hush.noise.stabilise import Stabiliser, stabilised
from hush.record import Batch
from hush.results import Estimate, Restoration
from hush.sampling import walk_down

SIDE = 256  #: of the parts of the glimpse in which waves are looked for
FALSE = ALARMS * CELL**2 / LARGE  #: false impulses expected in a cell
ASKED = 16  #: the most of them for which Φ is asked whether it would remove waves


@dataclass(frozen=True)
class Decided:
    """What holds for all blocks of an image: how far Φ sees, in pixels, the step t/T, whether
    there is noise to remove, whether Φ runs in bfloat16, whether waves are kept from it, and what
    channels of unlike levels are multiplied by (`gains`)."""

    around: int
    step: float
    noisy: bool
    half: bool
    waves: bool
    gain: np.ndarray | None = None


def decided(
    model: ValueMID,
    x: np.ndarray,
    dtype: np.dtype,
    noise: Process | None,
    found: Estimate,
    around: int,
) -> Decided:
    """Decide on a glimpse `x` ``(C, H, W)``, of stored `dtype`, in which `found` was measured."""
    process, step = model.estimate(clean := model.cleaned(x, found), noise, found)
    apart = noise is None and found.process.terms == (0,) and unlike(found)
    gain = gains(found) if apart else None
    values, law, _ = _values(clean if gain is None else clean * gain, process, found.regression)
    level = rms_level(law, values)
    half = model.suited(dtype).half_precision(level, values)
    return Decided(
        around, step, level > 0, half, level > 0 and _has_waves(model, values, law, half), gain
    )


def _has_waves(model: ValueMID, values: np.ndarray, law: Process, half: bool) -> bool:
    """Whether Φ would remove waves from some part of an image."""
    corners = [
        (i, j) for i in range(0, values.shape[1], SIDE) for j in range(0, values.shape[2], SIDE)
    ]
    asked = 0
    for i, j in corners:
        place = (slice(i, i + SIDE), slice(j, j + SIDE))
        part, own = values[:, *place], law.part(place)
        if asked == ASKED or waves(part, own) is None:
            continue
        asked += 1
        if waves(part, own, part - model.predicted(part, own, half)) is not None:
            return True
    return False


def restored(
    model: ValueMID,
    batch: Batch,
    index: int,
    noise: Process | None,
    advance: Advance | None,
    found: Estimate,
    known: Decided,
) -> Restoration:
    """Restore a block, whose context says where it lies in the image (`Denoiser.window`)."""
    about, finite = batch.about(index), batch.known(index)
    inner: Sequence[slice] = about["inner"]
    x = batch.floats(index)
    process = found.told(noise)
    if not known.noisy:
        return Restoration(x, process, known.step)
    if found.impulses:
        x = np.where(finite, x, np.float32(np.nan))
        around = known.around
        wanted = [
            slice(max(0, s.start - around), min(s.stop + around, n))
            for s, n in zip(inner, x.shape[1:], strict=True)
        ]
        x = in_cells(
            partial(without_impulses, found=found, alarms=FALSE), x, about["place"], wanted
        )
    x = filled(x, finite, batch.blank)
    only = inner if model.steps == 1 and not found.regression else None
    gain = known.gain
    even = x if gain is None else x * gain
    data = _down(model, even, process, found.regression, known, only, advance)
    if gain is not None:
        data = np.divide(data, gain, out=x.copy(), where=gain > 0)
    own = found.regression or gain is not None
    return Restoration(data, process, known.step, found=found if own else None)


def _down(
    model: ValueMID,
    x: np.ndarray,
    process: Process,
    regression: tuple[float, ...],
    known: Decided,
    only: Sequence[slice] | None,
    advance: Advance | None,
) -> np.ndarray:
    """Down the ladder; if `only` a part of the block is wanted, the rest stays as it is."""
    values, law, form = _values(x, process, regression)
    kept = waves(values, law) if known.waves else None
    state, _ = walk_down(
        lambda s, left: model.predicted(s, law.scaled(left**2), known.half, advance, only),
        values if kept is None else values - kept,
        model.steps,
        model.power,
    )
    if kept is not None:
        state += kept
    if form is not None:
        state = form.inverse(state)
    return coloured(state, regression) if regression else state


def _values(
    x: np.ndarray, process: Process, regression: tuple[float, ...]
) -> tuple[np.ndarray, Process, Stabiliser | None]:
    """What Φ sees of an image: with white noise of one level, the law of that, and the transform
    that made it."""
    if regression:
        x, process = whitened(x, regression), law_of_white(process, regression)
    form = stabilised(process)
    if form is None:
        return x, process, None
    return form[0](x).astype(np.float32), form[1], form[0]
