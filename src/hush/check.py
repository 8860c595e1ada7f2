r"""Two halves of an item, restored apart: which method is nearest, and what was invented.

The halves (`hush.noise.halves`) observe one signal with independent noise of variance 2v.

*The held-back error.* A result f(a) has seen nothing of the noise in b, so

.. math:: E\,|f(a) - b|^2 = E\,|f(a) - x|^2 + 2v,

which compares methods without knowing the signal x, as in Noise2Noise. It is the error at twice
the variance of the item's noise.

*Detail.* In a place where f(a) and f(b) show unlike detail, it comes from noise. With a
correlation r between them, the result of the whole, with half the noise, has

.. math:: \sqrt{2r / (1 + r)}

with the signal, which is 0.5 for r = 1/7: the limit of 0.143 of the Fourier shell correlation in
electron microscopy (P. B. Rosenthal, R. Henderson, J. Mol. Biol. 333, 2003), here place by place.

*Deviation.* The halves' difference says how much of the error is chance and where it is; the
held-back error says how large it is in all, with what both missed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal

import numpy as np
from scipy.ndimage import gaussian_filter

from hush.comparison import Check
from hush.denoiser import ANY, Denoiser
from hush.errors import HushError
from hush.kinds import Kind
from hush.kinds.cut import rms_level
from hush.kinds.layout import filled, to_stored
from hush.kinds.values import hardly_noisy
from hush.methods import get, make
from hush.noise.halves import HALF, divisible, halves
from hush.noise.process import Process
from hush.record import Batch
from hush.report import checked
from hush.results import MANY, Estimate, Restoration

#: a restoration of an item ``(C, *S)`` with noise of a law
Restore = Callable[[np.ndarray, Process], np.ndarray]
Window = tuple[slice, ...]
#: how much of an item is checked: a few windows, the whole of it, or that and by slow peers
Depth = Literal["windows", "whole", "peers"]

WINDOW = 2**14  #: values of a window, along all axes
FINE = 1.0  #: detail is what a Gaussian of this width leaves of one of twice the width
#: width of the places in which detail is compared, by the number of axes: some 400 values
AROUND = {1: 100.0, 2: 8.0, 3: 3.0}
SHARED = 1 / 7  #: correlation of the halves' detail below which it is not shared
#: least rms of detail that can be seen, relative to the noise and to the picture's contrast
FAINT, CONTRAST = 0.06, 0.003
SHOWN = (0.01, 0.99)  #: quantiles of a picture between which its contrast lies
BLOCK = {1: 256, 2: 16, 3: 6}  #: side of the blocks whose errors count as independent
FEWEST = 9  #: blocks from which on the standard error of a difference is known
NEAR = 4.0  #: width of the places in which the deviation is estimated
#: error at the item's own noise, relative to that at twice its variance; 0.59 to 0.77 was measured
OWN = 0.71
PILED = 1e-3  #: share of the values at a limit from which on it cuts noise off
#: width of the mean that is the signal near a limit, and how many deviations it is away from there
FAR_OFF, UNCUT = 2.0, 2.0
SEED = 74_207_281  #: unlike one that simulated the data

SIMPLE = ("wiener", "nlm", "none")  #: what a result is compared with, where it is of their kind
UNCHANGED = "none"  #: hands back the input, and so claims nothing that could be checked
SLOW = ("bm3d",)  #: and on request, where its package is installed


def check(
    kind: Kind,
    denoiser: Denoiser,
    batch: Batch,
    index: int,
    given: Process | None,
    found: Estimate,
    depth: Depth = "windows",
    guarded: bool = False,
) -> Check | None:
    """Check what `denoiser` makes of item `index`; None if its noise has no halves.

    given : the noise as stated; found : as measured.
    depth : a few windows of the item, or the whole of it, with maps, or with slow peers too.
    guarded : the nearest method's result is kept, whichever that is.
    """
    stored = batch.data[index]
    law = found.told(given, stored.ndim - 1)
    if denoiser.name == UNCHANGED or kind.checked is None:
        return None
    if found.impulses >= MANY or not divisible(law):
        return None
    known = batch.known(index)
    if not known.any() or not kind.halved(batch, index, found):
        return None
    large = kind.blocks(stored.shape) is not None
    depth = "windows" if large else depth  # too large to have maps
    places = [tuple(slice(0, n) for n in stored.shape[1:])]
    if depth == "windows":
        places = windows(stored.shape, 2 * kind.checked // (1 + len(stored)))
        hurried = denoiser.hurried()
        if hurried is None:
            return None
        denoiser = hurried
    rivals = _simple(kind, large)
    if depth == "peers":
        rivals += _installed(kind)
    others = (method for method in rivals if method.name != denoiser.name)
    seen = replace(found, impulses=0.0, hits=0)
    methods = {
        method.name: _restoring(method.suited(stored.dtype), batch.about(index), seen)
        for method in (denoiser, *others)
    }
    parts, limits = [], _limits(batch.floats(index)[known])
    for number, place in enumerate(places):
        part = batch.place(index, place)
        known = part.known(0)
        if known.any(axis=tuple(range(1, known.ndim))).all():
            x = kind.cleaned(np.where(known, part.floats(0), np.float32(np.nan)), found)
            x, own = filled(x, known), law.part(place)
            if not hardly_noisy(rms_level(own, x), x):
                counted = known & ~cut_off(x, own, limits)
                if 2 * counted.sum() < known.sum():  # most of it is cut off
                    counted = known
                parts.append(Part.of(x, own, methods, counted, SEED + number))
    return of_parts(parts, maps=depth != "windows", guarded=guarded)


def _simple(kind: Kind, large: bool) -> list[Denoiser]:
    """The simple methods for this kind of data; of large items, those that work in blocks."""
    named = [name for name in SIMPLE if get(name).kinds == ANY or kind.name in get(name).kinds]
    every = [make(name, kind.name) for name in named]
    return [m for m in every if not large or m.name == UNCHANGED or m.window({}) is not None]


def _installed(kind: Kind) -> list[Denoiser]:
    """The slow methods for this kind of data whose packages are here."""
    found = []
    for name in SLOW:
        try:
            method = make(name, kind.name)
            method.restore(np.zeros((1, *[16] * len(kind.letters)), np.float32))
        except HushError:
            continue
        found.append(method)
    return found


def _restoring(method: Denoiser, about: Mapping[str, Any], found: Estimate) -> Restore:
    def restore(half: np.ndarray, law: Process) -> np.ndarray:
        return method.restore_item(Batch([half], context=about), 0, law, None, found).data

    return restore


def windows(shape: Sequence[int], most: int) -> list[Window]:
    """Windows of an item ``(C, *S)`` with about `most` places in all, spread evenly over it."""
    space = tuple(shape[1:])
    if math.prod(space) <= most:
        return [tuple(slice(0, n) for n in space)]
    side = round(WINDOW ** (1 / len(space)))
    counts = [1] * len(space)
    while (more := _more(counts, space, side)) and math.prod(more) * WINDOW <= most:
        counts = more
    starts = [
        [max(0, round((i + 0.5) / count * n - side / 2)) for i in range(count)]
        for count, n in zip(counts, space, strict=True)
    ]
    return [
        tuple(slice(at, min(at + side, n)) for at, n in zip(corner, space, strict=True))
        for corner in product(*starts)
    ]


def _more(counts: Sequence[int], space: Sequence[int], side: int) -> list[int] | None:
    """One more window along the axis with the most room; None if there is no room."""
    room = [n / (count + 1) for n, count in zip(space, counts, strict=True)]
    axis = max(range(len(room)), key=room.__getitem__)
    if room[axis] < side:
        return None
    return [count + (i == axis) for i, count in enumerate(counts)]


def _limits(values: np.ndarray) -> tuple[float, float]:
    """The values at which a range cuts noise off, as many of `values` have them; or infinities."""
    low, high = float(values.min()), float(values.max())
    piled = [np.count_nonzero(values == end) > PILED * values.size for end in (low, high)]
    return low if piled[0] else -math.inf, high if piled[1] else math.inf


def cut_off(x: np.ndarray, law: Process, limits: tuple[float, float]) -> np.ndarray:
    """Where the signal is so near to a limit that noise is cut off there; bool ``(C, *S)``.

    There the noise is weaker than its law, and the held-back error would be too low.
    """
    if not any(map(math.isfinite, limits)):
        return np.zeros(x.shape, bool)
    signal = gaussian_filter(x, [0.0, *[FAR_OFF] * (x.ndim - 1)])
    reach = UNCUT * np.sqrt(np.maximum(law.variance(signal), 0))
    result: np.ndarray = (signal - reach < limits[0]) | (signal + reach > limits[1])
    return result


@dataclass(frozen=True)
class Part:
    """A window of an item: the variance of its noise, where its values count, and by method the
    errors of its blocks, the variance of a half's result, and what was made of the halves."""

    noise: float
    known: np.ndarray
    errors: Mapping[str, np.ndarray]
    chances: Mapping[str, float]
    made: Mapping[str, tuple[np.ndarray, np.ndarray]]

    @classmethod
    def of(
        cls,
        x: np.ndarray,
        law: Process,
        methods: Mapping[str, Restore],
        known: np.ndarray | None = None,
        seed: int = SEED,
    ) -> Part:
        """Restore the halves of values ``(C, *S)`` with noise of `law`; those `known` count."""
        here = np.ones(x.shape, bool) if known is None else known
        variance = np.broadcast_to(law.variance(x), x.shape)
        first, second = halves(x, law, seed)
        twice = law.scaled(HALF)
        errors, chances, made = {}, {}, {}
        for name, restore in methods.items():
            made[name] = of_first, of_second = restore(first, twice), restore(second, twice)
            held = ((of_first - second) ** 2 + (of_second - first) ** 2) / 2 - HALF * variance
            blocks = _blocks(np.where(here, held, np.nan))
            errors[name] = blocks[np.isfinite(blocks)]
            chances[name] = float(np.square(of_first - of_second)[here].mean()) / 2
        noise = float(variance[here].mean()) if here.any() else 0.0
        return cls(noise, np.all(here, axis=0), errors, chances, made)


def of_parts(parts: Sequence[Part], maps: bool = False, guarded: bool = False) -> Check | None:
    """What the windows of an item tell together; None if there is no noise in them.

    maps : of the one part, which is the whole item. guarded : the nearest method's result is kept.
    """
    if not any(part.noise > 0 for part in parts):
        return None
    noise = float(np.mean([part.noise for part in parts]))
    errors = {name: np.concatenate([p.errors[name] for p in parts]) for name in parts[0].errors}
    method, result = next(iter(errors.items()))
    if not len(result):
        return None
    means = {name: float(each.mean()) for name, each in errors.items()}
    # No result is nearer to the signal than its own noise lets it be. If an error says so, there is
    # less noise than its law says, and all errors, from which that is taken, are too low alike.
    chances = {name: float(np.mean([p.chances[name] for p in parts])) for name in means}
    low = max(0.0, *(chances[name] - mean for name, mean in means.items()))
    seen = Check(
        noise=noise,
        errors={name: mean + low for name, mean in means.items()},
        doubts={name: _doubt(each - result) for name, each in errors.items()},
        kept=method,
        visible=0.0,
        unshared=0.0,
    )
    kept = seen.best if guarded else method
    made = [part.made[kept] for part in parts]
    mean = np.concatenate([((first + second) / 2).ravel() for first, second in made])
    low, high = np.quantile(mean, SHOWN)
    faint = max(FAINT * math.sqrt(noise), CONTRAST * float(high - low))
    detail = [_detail(first, second, faint) for first, second in made]
    shown = [part.known & place for part, (place, _) in zip(parts, detail, strict=True)]
    invented = [place & unlike for place, (_, unlike) in zip(shown, detail, strict=True)]
    visible = sum(map(np.count_nonzero, shown))
    return replace(
        seen,
        kept=kept,
        visible=float(visible / max(1, sum(np.count_nonzero(part.known) for part in parts))),
        unshared=float(sum(map(np.count_nonzero, invented)) / max(1, visible)),
        invented=invented[0] if maps else None,
        deviation=_deviation(parts[0], kept, seen.errors[kept]) if maps else None,
    )


def _detail(first: np.ndarray, second: np.ndarray, faint: float) -> tuple[np.ndarray, np.ndarray]:
    """Where a result shows detail, and where two halves do not share it; bool ``(*S)``."""

    def fine(x: np.ndarray) -> np.ndarray:
        near, far = ([0.0, *[width] * (x.ndim - 1)] for width in (FINE, 2 * FINE))
        result: np.ndarray = gaussian_filter(x, near) - gaussian_filter(x, far)
        return result

    def local(x: np.ndarray) -> np.ndarray:
        result: np.ndarray = gaussian_filter(x.mean(axis=0), AROUND[x.ndim - 1])
        return result

    a, b = fine(first), fine(second)
    strength = np.sqrt(np.maximum(local(a * a) * local(b * b), 0))
    return strength > faint**2, local(a * b) < SHARED * strength


def _doubt(differences: np.ndarray) -> float:
    """The standard error of the mean of blocks; infinite if there are few."""
    count = len(differences)
    return float(differences.std()) / math.sqrt(count) if count >= FEWEST else math.inf


def _deviation(part: Part, kept: str, error: float) -> np.ndarray:
    """The standard deviation of a result's error in every place, float32 ``(C, *S)``; NaN where
    values do not count."""
    first, second = part.made[kept]
    width = [0.0, *[NEAR] * (first.ndim - 1)]
    chance = gaussian_filter((first - second) ** 2 / 2, width)
    mean = float(chance.mean())
    whole = max(error, mean) / mean if mean > 0 else 0.0
    found = np.sqrt(OWN * whole * np.maximum(chance, 0))
    result: np.ndarray = np.where(part.known, found, np.nan).astype(np.float32)
    return result


def _blocks(x: np.ndarray) -> np.ndarray:
    """Means of ``(C, *S)`` over channels and blocks of `BLOCK` along every axis, flat; NaN is left
    out, and blocks of which more than half is NaN are NaN."""
    known = np.isfinite(x)
    total, count = np.where(known, x, 0).sum(axis=0), known.sum(axis=0)
    whole, side = np.full(total.shape, len(x)), BLOCK[x.ndim - 1]
    for axis, n in enumerate(total.shape):
        edges = np.arange(0, max(1, n - n % side), side)
        total, count, whole = (np.add.reduceat(a, edges, axis=axis) for a in (total, count, whole))
    enough = (2 * count >= whole) & (count > 0)
    result: np.ndarray = np.where(enough, total / np.maximum(count, 1), np.nan).ravel()
    return result


def deviation(
    seen: Check | None, law: Process, batch: Batch, index: int, made: np.ndarray
) -> np.ndarray:
    """The standard deviation of the error of the result `made`, as stored.

    That of the check; of an item that was left as it is, or nearly, the noise's. NaN where a value
    is unknown, and everywhere if neither is known.
    """
    item, known = batch.floats(index), batch.known(index)
    found: np.ndarray = np.full_like(item, np.nan)
    if seen is not None and seen.deviation is not None:
        found = seen.deviation
    elif law.stated and known.any():
        x = filled(item, known, batch.blank)
        same = np.array_equal(made, batch.data[index], equal_nan=made.dtype.kind == "f")
        if same or hardly_noisy(rms_level(law, x), x):
            found = np.sqrt(np.maximum(law.variance(x), 0))
    result: np.ndarray = np.where(known, found * np.float32(batch.scale), np.float32(np.nan))
    return result.astype(np.float32)


def instead(
    kind: Kind, seen: Check, batch: Batch, index: int, given: Process | None, found: Estimate
) -> tuple[np.ndarray, Restoration]:
    """The result of the method that is kept instead of the one asked for, as stored."""
    method, item = make(seen.kept, kind.name), batch.data[index]
    known = batch.known(index)
    x = np.where(known, batch.floats(index), np.float32(np.nan))
    clean = kind.cleaned(x, found)
    if clean is x:
        return method.denoise_item(batch, index, given, found=found)
    there = known & (clean != x)
    stored = to_stored(
        np.where(known, clean, 0), item.dtype, batch.scale, batch.limits, batch.offset(index)
    )
    item = np.where(there, stored, item)
    only = replace(batch.piece(index, slice(None)), data=[item])
    made, how = method.denoise_item(only, 0, given, found=found)
    return made, replace(how, replaced=there)


def warnings(seen: Check) -> list[str]:
    """What the check found, one or two sentences each."""
    if (best := seen.best) != seen.method:
        text = (
            f"On two halves of the data {checked.named(best)} is nearer to the signal than "
            f"{checked.named(seen.method)}, by {checked.decibels(seen.gain(best))}"
        )
        if seen.kept == best:
            return [f"{text}: its result is kept instead. --method {seen.method} insists."]
        return [f"{text}. Try --method {best}."]
    if seen.invents:
        return [
            f"Fine detail may be invented: in {checked.percent(seen.unshared)} of the places where "
            "the result shows some, two halves of the data do not agree on it. Do not interpret "
            "it; --report outlines where."
        ]
    return []
