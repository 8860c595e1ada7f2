r"""Whether the level of the noise varies from place to place, and how.

Every cell of a coarse grid has its own level. Brightness and place are fitted together,

.. math:: \log v = \log v_0(x) + c(x) + f(\text{cell}),

where f is a smoothing spline, and :math:`v_0 e^c` the simplest law of brightness that predicts
about as well as a free one. The field may jump at seams: whole rows or columns between stitched
frames or halves of a sensor. It counts only if it predicts much that a free law of brightness alone
does not.

Only white noise is seen to vary: where noise is correlated, no cell has a flat spectrum.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from hush.kinds.image.measure import seams
from hush.kinds.image.measure.blocks import Blocks
from hush.kinds.image.measure.cells import NONE, Grid, Law, Points, levels
from hush.kinds.image.measure.spline import Fit, smooth
from hush.kinds.image.measure.transfer import ANY, CONSTANT, PROPORTIONAL, Bend
from hush.noise.field import Field

LEAST_SIDE = 128  #: of an image, in pixels, to look for variation
RANGE = 1.3  #: least ratio of high to low levels
EXPLAINED = 0.4  #: least share of the squared error of a law of brightness that the field removes
SIMPLER = 1.3  #: a simpler law of brightness may have this many times the squared error
CERTAIN = 0.15  #: error of the log-level up to which a cell's blocks are used for the law


def varying(
    image: np.ndarray, blocks: Blocks, bend: Bend, magnitudes: bool
) -> tuple[Field | None, Blocks]:
    """The field of the noise in an image ``(C, H, W)``, from its blocks; None if there is none.

    magnitudes : whether the image may be one of magnitudes.

    Also returns the blocks relative to it, those where it is certain. A law is measured in the
    flattest blocks, which elsewhere would be the ones divided by too much.
    """
    shape = image.shape[1:]
    if min(shape) < LEAST_SIDE or not blocks.high.any():
        return None, blocks
    curve = Law.of_terms(blocks, bend, ANY)
    points = levels(blocks, curve, Grid.over(shape))
    if not _differ(points, points.log):
        return None, blocks
    magnitudes = magnitudes and points.rayleigh
    if magnitudes:
        curve = Law.of_terms(blocks, bend, CONSTANT, magnitudes)
        points = levels(blocks, curve, points.grid)
        if not points.enough:
            return None, blocks
    alone, free = smooth(points, places=False), 0.0
    law = curve
    if not magnitudes:
        law, free = _simplest(blocks, bend, curve, points, alone.stiffness)
    if free:
        law = _corrected(law, points, free)
    cuts = seams.possible(image, law)
    if any(cuts):
        cut = levels(blocks, law, Grid.over(shape, cuts))
        cuts = seams.confirmed(cut, free) if cut.enough else NONE
    points = levels(blocks, law, Grid.over(shape, cuts))
    if free and points.enough:
        law = _corrected(law, points, free)
        points = levels(blocks, law, points.grid)
    if not _differ(points, points.log):
        return None, blocks
    fit = smooth(points, brightness=free)
    if fit.error > (1 - EXPLAINED) * alone.error or not _differ(points, fit.field[points.cell]):
        return None, blocks
    field = Field(2 * fit.field.reshape(points.grid.shape), points.grid.edges, cuts).normalised()
    certain = blocks.take(_certain(points, fit)[points.grid.cell_of(blocks)])
    if not certain.high.any():
        return None, blocks
    return field, certain.over(field, signals=magnitudes)


def _differ(points: Points, log: np.ndarray) -> bool:
    """Whether enough cells are known, and these values at the points differ enough."""
    if not points.enough:
        return False
    order = np.argsort(log)
    share = np.cumsum(points.weight[order])
    low, high = (log[order][np.searchsorted(share, q * share[-1])] for q in (0.05, 0.95))
    return bool(high - low > math.log(RANGE))


def _simplest(
    blocks: Blocks, bend: Bend, curve: Law, points: Points, stiffness: float
) -> tuple[Law, float]:
    """The simplest law that predicts about as well as any; and `stiffness` if it is free, else 0.

    A constant and a proportional law come first: where brightness follows place, a field and a law
    of several terms can stand in for each other.
    """
    laws = [Law.of_terms(blocks, bend, terms) for terms in (CONSTANT, PROPORTIONAL)]
    seen = [levels(blocks, law, points.grid) for law in laws]
    simple = [smooth(p).error if p.enough else math.inf for p in seen]
    affine, any_ = smooth(points).error, smooth(points, brightness=stiffness).error
    most = SIMPLER * min(*simple, affine, any_)
    if min(simple) <= most:
        return laws[int(np.argmin(simple))], 0.0
    return curve, 0.0 if affine <= most else stiffness


def _corrected(law: Law, points: Points, stiffness: float) -> Law:
    """A free law after a fit of brightness and place."""
    return replace(law, log=law.log + smooth(points, brightness=stiffness).log)


def _certain(points: Points, fit: Fit) -> np.ndarray:
    """Whether each cell's level is known and as fitted; the last value is for no cell."""
    off = np.abs(points.log - fit.field[points.cell] - points.signal @ fit.log)
    certain = np.zeros(points.grid.size + 1, bool)
    certain[points.cell] = True
    certain[points.cell[off > CERTAIN]] = False
    return certain
