r"""Two halves of an item, restored apart: which method is nearest, and what was invented.

The halves (`hush.noise.halves`) observe one signal with independent noise of variance 2v.

*The held-back error.* A result f(a) has seen nothing of the noise in b, so

.. math:: E\,|f(a) - b|^2 = E\,|f(a) - x|^2 + 2v,

which compares methods without knowing the signal x, as in Noise2Noise. It is the error at twice
the variance of the item's noise.

*Detail.* In a place where f(a) and f(b) show unlike detail, it comes from noise. With a
correlation r between both, either has the correlation :math:`\sqrt r` with the signal, as in the
Fourier shell correlation of microscopy (W. O. Saxton, W. Baumeister, J. Microscopy 127, 1982), here
place by place.

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

from hush.denoiser import Denoiser
from hush.errors import HushError
from hush.kinds import Kind
from hush.kinds.layout import filled
from hush.methods import make
from hush.noise.halves import HALF, divisible, halves
from hush.noise.process import Process
from hush.record import Batch
from hush.results import MANY, Check, Estimate

#: a restoration of an item ``(C, *S)`` with noise of a law
Restore = Callable[[np.ndarray, Process], np.ndarray]
Window = tuple[slice, ...]
#: how much of an item is checked: a few windows, the whole of it, or that and by slow peers
Depth = Literal["windows", "whole", "peers"]

WINDOW = 2**14  #: values of a window, along all axes
FINE = 1.0  #: detail is what a Gaussian of this width leaves of one of twice the width
#: width of the places in which detail is compared, by the number of axes: some 400 values
AROUND = {1: 100.0, 2: 8.0, 3: 3.0}
SHARED = 0.25  #: correlation of the halves' detail below which it is not shared
#: least rms of detail that can be seen, relative to the noise and to the picture's contrast
FAINT, CONTRAST = 0.06, 0.003
SHOWN = (0.01, 0.99)  #: quantiles of a picture between which its contrast lies
BLOCK = {1: 256, 2: 16, 3: 6}  #: side of the blocks whose errors count as independent
NEAR = 4.0  #: width of the places in which the deviation is estimated
#: error at the item's own noise, relative to that at twice its variance; 0.59 to 0.77 was measured
OWN = 0.71
SEED = 74_207_281  #: unlike one that simulated the data

UNSHARED = 0.02  #: share of the visible detail that halves may not share
SEEN = 0.02  #: share of places in which detail has to be visible for a warning
SIMPLE = ("wiener", "none")  #: what a result is compared with
SLOW = ("bm3d",)  #: and on request, where its package is installed

_WORDS = {"wiener": "a Wiener filter", "none": "the input itself", "bm3d": "BM3D"}


def check(
    kind: Kind,
    denoiser: Denoiser,
    batch: Batch,
    index: int,
    given: Process | None,
    found: Estimate,
    depth: Depth = "windows",
) -> Check | None:
    """Check what `denoiser` makes of item `index`; None if its noise has no halves.

    given : the noise as stated; found : as measured.
    depth : a few windows of the item, or the whole of it, with maps, or with slow peers too.
    """
    stored = batch.data[index]
    law = found.told(given, stored.ndim - 1)
    if kind.checked is None or found.impulses >= MANY or not divisible(law):
        return None
    if not batch.known(index).any() or not kind.halved(batch, index, found):
        return None
    if kind.span(stored.shape) is not None:  # too large to have maps
        depth = "windows"
    places = [tuple(slice(0, n) for n in stored.shape[1:])]
    if depth == "windows":
        places = windows(stored.shape, kind.checked)
        denoiser = denoiser.hurried()
    rivals = [make(name, kind.name) for name in SIMPLE]
    if depth == "peers":
        rivals += _installed(kind)
    others = (method for method in rivals if method.name != denoiser.name)
    seen = replace(found, impulses=0.0, hits=0)
    methods = {
        method.name: _restoring(method.suited(stored.dtype), batch.about(index), seen)
        for method in (denoiser, *others)
    }
    parts = []
    for number, place in enumerate(places):
        part = _part(batch, index, place)
        known = part.known(0)
        if known.any(axis=tuple(range(1, known.ndim))).all():
            x = kind.cleaned(np.where(known, part.floats(0), np.float32(np.nan)), found)
            parts.append(Part.of(filled(x, known), law.part(place), methods, known, SEED + number))
    return of_parts(parts, maps=depth != "windows")


def _part(batch: Batch, index: int, place: Window) -> Batch:
    """One window of an item as a batch of one."""
    part = replace(batch, data=[batch.data[index]], context=batch.about(index), each=())
    if batch.mask is not None:
        part = replace(part, mask=[batch.mask[index]])
    for axis, where in enumerate(place):
        part = part.piece(0, where, axis + 1)
    return part


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


@dataclass(frozen=True)
class Part:
    """A window of an item: the variance of its noise, by method the errors of its blocks, and what
    the first method made of its halves."""

    noise: float
    errors: Mapping[str, np.ndarray]
    made: tuple[np.ndarray, np.ndarray]

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
        variance = np.broadcast_to(law.variance(x), x.shape)
        first, second = halves(x, law, seed)
        twice = law.scaled(HALF)
        errors, made = {}, []
        for name, restore in methods.items():
            made.append((restore(first, twice), restore(second, twice)))
            held = ((made[-1][0] - second) ** 2 + (made[-1][1] - first) ** 2) / 2 - HALF * variance
            blocks = _blocks(held if known is None else np.where(known, held, np.nan))
            errors[name] = blocks[np.isfinite(blocks)]
        return cls(float(variance.mean()), errors, made[0])


def of_parts(parts: Sequence[Part], maps: bool = False) -> Check | None:
    """What the windows of an item tell together; None if there is no noise in them.

    maps : of the one part, which is the whole item.
    """
    if not any(part.noise > 0 and len(part.errors) for part in parts):
        return None
    noise = float(np.mean([part.noise for part in parts]))
    errors = {name: np.concatenate([p.errors[name] for p in parts]) for name in parts[0].errors}
    result = next(iter(errors.values()))
    if not len(result):
        return None
    shown = [(first + second) / 2 for first, second in (part.made for part in parts)]
    low, high = np.quantile(np.concatenate([x.ravel() for x in shown]), SHOWN)
    faint = max(FAINT * math.sqrt(noise), CONTRAST * float(high - low))
    detail = [_detail(*part.made, faint) for part in parts]
    visible = sum(int(seen.sum()) for seen, _ in detail)
    invented = sum(int((seen & unlike).sum()) for seen, unlike in detail)
    return Check(
        noise=noise,
        errors={name: float(each.mean()) for name, each in errors.items()},
        doubts={
            name: float((each - result).std() / math.sqrt(len(each)))
            for name, each in errors.items()
        },
        visible=visible / sum(seen.size for seen, _ in detail),
        unshared=invented / max(1, visible),
        invented=np.logical_and(*detail[0]) if maps else None,
        deviation=_deviation(*parts[0].made, float(result.mean())) if maps else None,
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


def _deviation(first: np.ndarray, second: np.ndarray, error: float) -> np.ndarray:
    """The standard deviation of the result's error in every place, float32 ``(C, *S)``."""
    width = [0.0, *[NEAR] * (first.ndim - 1)]
    chance = gaussian_filter((first - second) ** 2 / 2, width)
    mean = float(chance.mean())
    whole = max(error, mean) / mean if mean > 0 else 0.0
    result: np.ndarray = np.sqrt(OWN * whole * np.maximum(chance, 0)).astype(np.float32)
    return result


def _blocks(x: np.ndarray) -> np.ndarray:
    """Means of ``(C, *S)`` over channels and blocks of `BLOCK` along every axis, flat."""
    flat, side = x.mean(axis=0), BLOCK[x.ndim - 1]
    for axis, n in enumerate(flat.shape):
        edges = np.arange(0, max(1, n - n % side), side)
        counts = np.diff([*edges, n]).reshape([-1 if i == axis else 1 for i in range(flat.ndim)])
        flat = np.add.reduceat(flat, edges, axis=axis) / counts
    result: np.ndarray = flat.ravel()
    return result


def deviation(seen: Check | None, batch: Batch, index: int) -> np.ndarray:
    """The map `Check.deviation`, as stored; NaN where a value is unknown, and if there is none."""
    item = batch.floats(index)
    if seen is None or seen.deviation is None:
        return np.full_like(item, np.nan)
    found = seen.deviation * np.float32(batch.scale)
    result: np.ndarray = np.where(batch.known(index), found, np.float32(np.nan))
    return result


def warnings(seen: Check, guarded: bool) -> list[str]:
    """What the check found, one or two sentences each.

    guarded : the nearest method's result is kept, whichever that is.
    """
    said = []
    if (best := seen.best) != seen.method:
        said.append(
            f"On two halves of the data {_WORDS[best]} is nearer to the signal than {seen.method}, "
            f"by {seen.gain(best):.1f} dB"
            + (
                f": its result is kept instead. --method {seen.method} insists."
                if guarded
                else f". Try --method {best}."
            )
        )
    elif seen.unshared > UNSHARED and seen.visible > SEEN:
        said.append(
            f"Fine detail may be invented: in {100 * seen.unshared:.0f} % of the places where the "
            "result shows some, two halves of the data do not agree on it. Do not interpret it; "
            "--report draws where."
        )
    return said
