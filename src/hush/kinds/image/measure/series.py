"""Frames of one camera: which of them share the law of their noise, and that law.

A few frames, spread over the recording, are measured together: the photon transfer curve goes
through the points of all of them, so that dark frames profit from bright ones, and all decisions
(family, correlation, places) are made once. Then every frame is asked whether this law holds in it:
its flat blocks must have the variance that the measured frames have at the same signal. A change of
the light alone leaves the law as it is; another gain or an average of several frames does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from hush.errors import HushError
from hush.kinds.cut import rms_level
from hush.kinds.image.measure.blocks import HIGH, SIZE, Blocks, gather, sharp
from hush.kinds.image.measure.estimation import estimate
from hush.kinds.image.measure.impulses import impulses_in, many_impulses, without_impulses
from hush.kinds.image.measure.places import RANGE
from hush.kinds.image.measure.spectrum import seen_in_blocks
from hush.kinds.image.measure.transfer import (
    BINS,
    FEWEST,
    FLAT,
    LINE,
    NARROW,
    SYSTEMATIC,
    Bend,
    Bent,
    Curve,
    clipping,
    fit_curve,
    flattest,
    magnitude,
)
from hush.kinds.layout import filled
from hush.noise.field import Field
from hush.noise.processes import Rician
from hush.results import MANY, Estimate

MATTERS = 1.1  #: ratio of levels up to which the same law serves: 0.9 costs .04 dB, 1.1 .14 dB
COARSER = 1.3  #: the same for the ratio of low to high frequencies; flat blocks have up to this
SURE = 3.0  #: standard errors beyond that ratio with which a law is rejected in a frame
MOST = 16384  #: blocks in which a law is tried
LIGHT = 1.5  #: ratio of the frames' contrasts from which on their light differs
LEAST = 1e-3  #: of a density that blocks are divided by, relative to the mean

GRID = 3  #: parts of a frame along each axis
TOLERATED = np.log([MATTERS, MATTERS, COARSER, *[RANGE] * GRID**2])

#: the measurement of an item ``(C, H, W)`` after a method's review
Review = Callable[[np.ndarray, Estimate], Estimate]


@dataclass(frozen=True)
class Frame:
    """A frame ``(C, H, W)`` and what laws are compared with, found once."""

    x: np.ndarray

    @property
    def known(self) -> bool:
        return bool(np.isfinite(self.x).any(axis=(1, 2)).all())

    @cached_property
    def many(self) -> bool:
        """Whether it has many impulses."""
        return many_impulses([self.x]) >= MANY

    @cached_property
    def _plain(self) -> tuple[Blocks, Bend]:
        return _blocks(self.x)

    def view(self, found: Estimate) -> tuple[Blocks, Bend]:
        """Its blocks relative to the places and the spectrum of the noise `found`, and how their
        variances are bent."""
        clean = without_impulses(self.x, found)
        blocks, bend = self._plain if clean is self.x else _blocks(clean)
        rician = isinstance(found.process, Rician)
        if isinstance(found.field, Field):
            blocks = blocks.over(found.field, signals=rician)
        if found.spectrum is not None:
            shape = _painted(found)
            blocks = blocks.seen_through(shape, sharp(shape))
        return blocks, magnitude if rician else bend


@dataclass(frozen=True)
class Common:
    """The noise that some frames share.

    found : their common measurement; share : the rms level of each channel, relative to that of
    the process; measured : as the statistics of blocks have it; seen : the curve of the blocks'
    variance, as `_view` shows them by that; coarse : the ratio of low to high frequencies in the
    flattest blocks, relative to the spectrum of `measured`;
    usual : the deviation of most of the frames, because structure is in all of them.
    """

    found: Estimate
    share: np.ndarray
    measured: Estimate
    seen: Curve
    coarse: float = 1.0
    usual: np.ndarray = field(default_factory=lambda: np.zeros(len(TOLERATED)))

    @classmethod
    def of(cls, frames: Sequence[Frame]) -> Common:
        """Measure frames of one size together; `HushError` if there is too little."""
        pictures = [frame.x for frame in frames]
        found = estimate(pictures, series=True)
        if found.regression:
            raise HushError("noise correlated along one axis is measured in every frame")
        parts = [frame.view(found) for frame in frames]
        blocks = Blocks.together([blocks.spread(MOST // len(frames)) for blocks, _ in parts])
        if not blocks.high.any():
            raise HushError("there is no noise to compare")
        bend = parts[len(parts) // 2][1]
        law = cls(found, _shares(pictures, found), found, fit_curve(blocks, bend, LINE))
        coarse = _coarseness(blocks, law._expected(blocks, bend))
        if coarse > FLAT:  # no block is flat by itself
            seen = fit_curve(replace(blocks, low=blocks.low / coarse), bend, LINE)
            law = replace(law, seen=seen, coarse=coarse)
        return law

    def reviewed(self, frames: Sequence[np.ndarray], review: Review) -> Common:
        """The law after the review of these frames side by side."""
        if self.found.field is not None:
            return self
        found = review(np.concatenate([_known(x) for x in frames], axis=2), self.found)
        if found.sigma < self.found.sigma and _follows_light(frames, self.found):
            return self
        return replace(self, found=found, share=_shares(frames, found))

    def deviation(self, frame: Frame) -> np.ndarray | None:
        """How a frame's noise differs from this law, and the standard errors, ``(2, 3 + GRID²)``:
        the log-level at dark and at bright signals, the log-ratio of low to high frequencies, and
        the log-level in the parts of the frame.

        None if there is no noise, or impulses unlike those of the law.
        """
        if not frame.known or frame.many != (self.measured.impulses >= MANY):
            return None
        try:
            blocks, bend = frame.view(self.measured)
        except HushError:
            return None
        if not len(blocks.mean) or not blocks.high.any():
            return None
        blocks = replace(blocks, low=blocks.low / self.coarse)
        expected = self._expected(blocks, bend)
        groups = _flat(blocks, expected)
        points = _relative(blocks, expected, _wide(groups, blocks.mean, expected))
        halves = np.array_split(points, 2, axis=1)
        halves = [half if half.size else points for half in halves]
        weight = [1 / half[1] ** 2 for half in halves]
        mean = [float(half[0] @ w / w.sum()) for half, w in zip(halves, weight, strict=True)]
        scatter = math.sqrt(max(1.0, self.seen.misfit_of(self.seen.at(self.seen.x)) / (BINS - 2)))
        error = [scatter / math.sqrt(w.sum()) for w in weight]
        coarse = math.log(max(_coarseness(blocks, expected), 1e-12))
        places, errors = _by_place(blocks, expected, np.concatenate(groups), frame.x.shape[1:])
        off = np.array([*mean, coarse, *places]) - self.usual
        return np.array([off, np.hypot([*error, 0.0, *errors], self.measured.uncertainty)])

    def _expected(self, blocks: Blocks, bend: Bend) -> np.ndarray:
        """The variance that each block would have if it were flat."""
        x, _, unbend = Bent(self.seen, bend, blocks.mean).undo(blocks.mean)
        least = 0.5 * float(self.seen.variance.min()) + 1e-30
        expected: np.ndarray = np.maximum(self.seen.at(x), least) / unbend
        return expected

    def within(self, frame: np.ndarray) -> Estimate:
        """This noise in a frame in which it holds: its level there, and its impulses."""
        found, x = self.found, _known(frame)
        levels = [s * rms_level(found.process, x[c : c + 1]) for c, s in enumerate(self.share)]
        made = replace(
            found,
            sigma=math.sqrt(float(np.mean(np.square(levels)))),
            channels=tuple(levels),
        )
        if found.impulses >= MANY:
            return made
        hits = impulses_in(frame, found)
        number = int(np.count_nonzero(hits.any(axis=0)))
        return replace(made, impulses=float(hits.mean()), hits=number)


def law_in(x: np.ndarray, possible: Sequence[Common]) -> int | None:
    """The one of these laws that holds in a frame ``(C, H, W)``, the nearest of several."""
    frame = Frame(x)
    seen = [law.deviation(frame) for law in possible]
    off = [np.abs(d[0]).sum() if d is not None and _same(d) else math.inf for d in seen]
    return int(np.argmin(off)) if min(off, default=math.inf) < math.inf else None


def laws(frames: Sequence[np.ndarray], review: Review) -> list[Common]:
    """The laws that two or more of these frames ``(C, H, W)`` of one size share."""
    return _laws([Frame(x) for x in frames], review, splits=1)


def _laws(frames: Sequence[Frame], review: Review, splits: int) -> list[Common]:
    """The same; frames that share no law are parted so often, and tried again."""
    if len(frames) < 2:
        return []
    try:
        common = Common.of(frames)
    except HushError:  # too few finite pixels
        return []
    seen = {i: d for i, x in enumerate(frames) if (d := common.deviation(x)) is not None}
    if len(seen) < 2:
        return []
    # Of two frames that differ each would be half as far from both.
    others = {i: np.median([d[0] for j, d in seen.items() if j != i], axis=0) for i in seen}
    common = replace(common, usual=np.median([d[0] for d in seen.values()], axis=0))
    seen = {i: d - [others[i], 0 * others[i]] for i, d in seen.items()}
    if len(seen) == len(frames) and all(map(_same, seen.values())):
        return [common.reviewed([frame.x for frame in frames], review)]
    if not splits:
        return []
    parts = [[frames[i] for i in part] for part in _parts(seen, len(frames))]
    return [law for part in parts for law in _laws(part, review, splits - 1)]


def _parts(seen: Mapping[int, np.ndarray], count: int) -> list[list[int]]:
    """The frames that have noise, or if all have, two parts of them, cut at the widest gap."""
    if len(seen) < count:
        return [sorted(seen)]
    off = np.array([d[0] / TOLERATED for d in seen.values()])
    order = np.argsort(off, axis=0)
    gaps = np.diff(np.take_along_axis(off, order, axis=0), axis=0)
    cut, which = np.unravel_index(int(gaps.argmax()), gaps.shape)
    frames = [list(seen)[i] for i in order[:, which]]
    return [sorted(frames[: cut + 1]), sorted(frames[cut + 1 :])]


def _known(x: np.ndarray) -> np.ndarray:
    return filled(x, np.isfinite(x))


def _shares(frames: Sequence[np.ndarray], found: Estimate) -> np.ndarray:
    """The level of each channel relative to that of the process."""
    every = np.concatenate([_known(x) for x in frames], axis=2)
    law = [rms_level(found.process, every[c : c + 1]) for c in range(len(every))]
    return np.array(found.channels) / np.maximum(law, 1e-30)


def _follows_light(frames: Sequence[np.ndarray], found: Estimate) -> bool:
    """Whether the light changes, and the variance is proportional to the signal all the same: that
    of texture is to its square, so that it is not texture which was measured."""
    contrast = [float(np.nanstd(x)) for x in frames]
    line = found.gain > 0 and max(found.process.terms) == 1
    return line and max(contrast) > LIGHT * min(contrast)


def _same(deviation: np.ndarray) -> bool:
    return bool((np.abs(deviation[0]) - TOLERATED <= SURE * deviation[1]).all())


def _flat(blocks: Blocks, expected: np.ndarray) -> list[np.ndarray]:
    """The flat blocks if these are their variances, in groups by signal."""
    bins, scale = _bins(blocks), 1.0
    while True:  # if there is less noise, more of it is structure
        chosen = _chosen(bins, blocks.low / (expected * scale))
        lower = float(np.median([blocks.high[p].mean() / expected[p].mean() for p in chosen]))
        if not 0 < lower < scale / 2:
            return chosen
        scale = lower


def _relative(blocks: Blocks, expected: np.ndarray, groups: Sequence[np.ndarray]) -> np.ndarray:
    """Log-levels of groups of blocks, relative to these variances, and their errors."""
    ratio = np.array([blocks.high[p].mean() / expected[p].mean() for p in groups])
    freedom = 0.25 * HIGH.sum() * np.array([len(p) for p in groups])
    # By their own noise: by a law that is too low all would be rough.
    low, high = (np.array([v[p].mean() for p in groups]) for v in (blocks.low, blocks.high))
    rough = np.maximum(1.0, low / np.maximum(high, 1e-30)) ** 2
    error = 0.5 * rough * np.sqrt(2 / freedom + SYSTEMATIC**2)
    return np.stack([0.5 * np.log(np.maximum(ratio, 1e-12)), error])


def _by_place(
    blocks: Blocks, expected: np.ndarray, flat: np.ndarray, shape: Sequence[int]
) -> np.ndarray:
    """Log-levels of flat blocks in each part of a frame ``(H, W)`` and their errors, which are
    infinite where there are few."""
    flat = flat[blocks.low[flat] <= FLAT * expected[flat]]
    row, column = ((blocks.place[flat] + SIZE // 2) * GRID // np.array(shape)).T
    parts = [flat[row * GRID + column == k] for k in range(GRID**2)]
    known = [k for k, part in enumerate(parts) if len(part) >= FEWEST]
    out = np.tile([[0.0], [np.inf]], GRID**2)
    if known:
        out[:, known] = _relative(blocks, expected, [parts[k] for k in known])
    return out


def _wide(bins: list[np.ndarray], mean: np.ndarray, expected: np.ndarray) -> list[np.ndarray]:
    """Neighbouring bins together where they are narrower than the errors of their blocks' means:
    there the order of blocks is chance."""
    wide = [bins[0]]
    for part in bins[1:]:
        last = wide[-1]
        if mean[part].mean() - mean[last].min() < NARROW * math.sqrt(expected[last].mean()) / SIZE:
            wide[-1] = np.concatenate([last, part])
        else:
            wide.append(part)
    return wide


def _bins(blocks: Blocks) -> list[np.ndarray]:
    order = np.argsort(blocks.mean, kind="stable")
    return [p for p in np.array_split(order, BINS) if len(p)]


def _chosen(bins: Sequence[np.ndarray], score: np.ndarray) -> list[np.ndarray]:
    flat = flattest(score, bins)
    return [part[flat[part]] for part in bins]


def _coarseness(blocks: Blocks, expected: np.ndarray) -> float:
    """The ratio of low to high frequencies where blocks are flattest; 1 for the law's spectrum."""
    bins, level = _bins(blocks), 1.0
    for _ in range(3):  # by their own level, or the lowest of low frequencies would be chosen
        chosen = _chosen(bins, blocks.low / (level * expected))
        level = float(np.median([blocks.high[p].mean() / expected[p].mean() for p in chosen]))
    low, high = (np.array([v[p].mean() for p in chosen]) for v in (blocks.low, blocks.high))
    return float(np.quantile(low / np.maximum(high, 1e-30), 0.25))


def _blocks(x: np.ndarray) -> tuple[Blocks, Bend]:
    blocks, _, low, high = gather([x])
    return blocks.spread(MOST), clipping(low, high)


def _painted(found: Estimate) -> np.ndarray:
    """The density of the noise at each coefficient of a block ``(64,)``."""
    assert found.spectrum is not None
    count = max(1, len(found.channels))
    bright, tint = found.spectrum.power((8 * SIZE, 8 * SIZE), count)
    density = (bright + (count - 1) * tint) / count
    return np.maximum(seen_in_blocks(np.fft.ifft2(density).real), LEAST)
