"""A bound on the noise from the quietest blocks.

Noise is everywhere, up to what its law says about bright and dark places. A shaded drawing or a
rendered picture has hardly a flat block, and its edges can pass for noise that spans pixels; but
many of its blocks are planes, with next to nothing beside that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hush.kinds.cut import sparse
from hush.kinds.image.measure.blocks import MOST_BLOCKS, SIZE
from hush.kinds.values import contrast
from hush.noise.lines import Lines
from hush.noise.processes import Gaussian
from hush.results import MANY, Estimate

SHARE = 0.25  #: of the blocks that may be quiet by chance
#: deviation of a block from a plane, relative to the noise's level, that no noise has: white noise
#: leaves 0.9 of its level, noise blurred by 4 pixels 0.14, by 6 pixels 0.06; drawings 0.015
QUIET = 0.04
LEAST = 0.1  #: of the level, that noise has where its law says less
#: the same, relative to a picture's contrast and to the level of its lines, of a drawing
NOTHING, BESIDE = 1e-3, 1e-2
ROUNDED = 0.45  #: of a step of the values, that rounding leaves beside a plane at most
FEW, FINE = 16, 0.9 / 255  #: different values of a drawing; steps finer than those of 8 bits
FEWEST = 16  #: blocks that tell something


def bounded(found: Estimate, images: Sequence[np.ndarray]) -> Estimate:
    """The estimate for images ``(C, H, W)``; next to no noise if too many blocks of each channel
    have none."""
    uneven = found.field is not None or found.process.varies
    if uneven or found.counted or found.impulses >= MANY or not found.sigma:
        return found
    levels = found.channels or (found.sigma,) * len(images[0])
    shares = [_quietest(found, [i[c] for i in images], level) for c, level in enumerate(levels)]
    share = max((share for share in shares if share is not None), default=1.0)
    if share >= QUIET:
        return found
    level = share * found.sigma
    return replace(
        found,
        process=Gaussian(level),
        sigma=level,
        correlated=False,
        autocorrelation=(),
        near=(),
        kernel_width=math.nan,
        spectrum=None,
        network=False,
        channels=(level,) * len(found.channels),
        curve=(),
        curve_errors=(),
        alternatives=(),
        regression=(),
    )


def _quietest(found: Estimate, planes: Sequence[np.ndarray], level: float) -> float | None:
    """What the quietest blocks of a channel have beside a plane, relative to its noise; None if it
    has too few blocks, as an empty one.

    Blocks for which the law says next to no noise do not decide alone: they may be as it says.

    level : of the channel's noise, by which the law is bounded; channels can differ much.
    """
    rest, means = (np.concatenate(part) for part in zip(*map(_blocks, planes), strict=True))
    if len(rest) < FEWEST or not level:
        return None
    law = np.sqrt(np.maximum(found.process.variance(means), 0))
    share = rest / np.clip(law, LEAST * level, level / LEAST)
    loud = share[law >= LEAST * level]
    return max(float(np.quantile(s, SHARE)) for s in (share, loud) if len(s) >= FEWEST)


def drawn(image: np.ndarray, lines: Lines | None) -> bool:
    """Whether lines that pass for interference are part of a picture without noise, such as a grid.

    Then a quarter of its blocks have next to nothing, or no more than the rounding of its values.
    """
    if not lines:
        return False
    rest = np.concatenate([_blocks(plane)[0] for plane in image])
    if len(rest) < FEWEST:
        return False
    values = _values(image)
    steps = np.diff(np.unique(values))
    rounding = float(steps.min()) if len(steps) else 0.0
    level = max(float(lines.rows.std()), float(lines.columns.std()))
    nothing = min(NOTHING * contrast(values), BESIDE * level)
    return float(np.quantile(rest, SHARE)) < max(nothing, ROUNDED * rounding)


def _values(image: np.ndarray) -> np.ndarray:
    some = sparse(image)
    return some[np.isfinite(some)]


def _blocks(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The deviation of blocks of a channel from a plane, and their means.

    Blocks with unknown values or with the least or greatest are left out: the range may cut noise
    off there. So are blocks of one value, unless too fine ones for 8 bits show that neither
    rounding nor compression made them equal. In a picture of few values all count.
    """
    numbers = np.unique(_values(plane[None]))
    few = len(numbers) <= FEW
    one = few or float(np.diff(numbers).min()) < FINE
    high, wide = (n // SIZE for n in plane.shape)
    every = max(1, high * wide // MOST_BLOCKS)
    parts = plane[: high * SIZE, : wide * SIZE].reshape(high, SIZE, wide, SIZE)[::every]
    values = parts.swapaxes(1, 2).reshape(-1, SIZE**2).astype(np.float64)
    values = values[np.isfinite(values).all(-1)]
    least, most = values.min(-1), values.max(-1)
    inside = (least > least.min(initial=np.inf)) & (most < most.max(initial=-np.inf))
    used = (inside | few) & ((most > least) | one)
    y, x = np.indices((SIZE, SIZE)).reshape(2, -1) - (SIZE - 1) / 2
    plane = np.linalg.qr(np.stack([np.ones(SIZE**2), y, x], axis=1))[0]
    blocks = values[used]
    rest = blocks - (blocks @ plane) @ plane.T
    return np.sqrt(np.square(rest).sum(-1) / (SIZE**2 - 3)), blocks.mean(-1)
