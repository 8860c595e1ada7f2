"""Values that mean "nothing here", found by themselves: padding, nodata, black outside a picture.

A value counts as one that marks missing ones, if

- it is far from all others: below zero or beyond 10¹⁹, and farther from the nearest other value
  than the others span; and it is one of the usual `SENTINELS`, or the data are noisy;
- or it fills solid areas along the border, or large ones, beside noisy data, in which at most half
  of the neighbours are equal: there, noise makes a block of 5 × 5 equal pixels once in 2²⁴. The
  value is the lowest one, and the data reach it by a jump, while shadows that are cut off at black
  come near it first. Or it is any other but the highest one, if next to no other neighbours are
  equal, or few and the data jump.

Highlights cut off at white, dark places without a photon, drawings and texts do not fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from hush.kinds.bars import bars_in
from hush.kinds.gaps import gaps
from hush.missing import BLOCK, Bars, ByValue, Marks, Mask, Missing, Stretches, areas, blocks
from hush.record import Batch
from hush.recording import let_go

#: usual marks: of GDAL and ESRI, of netCDF and CF conventions, and the ends of types
_USUAL = (-999, -9999, -99999, -999999, 1e20, 1e30, -1e20, -1e30, 9.969209968386869e36)
_ENDS = [sign * float(np.finfo(t).max) for t in (np.float32, np.float64) for sign in (-1, 1)]
_ENDS += [float(np.iinfo(t).min) + more for t in (np.int16, np.int32, np.int64) for more in (0, 1)]
SENTINELS = frozenset([*map(float, _USUAL), *(float(np.float32(v)) for v in _USUAL), *_ENDS])
BEYOND = 1e19  #: values that no data have
KINDS = 4  #: different marks that are looked for
HALF = 0.5  #: share of equal neighbours, up to which data are noisy
FEW = 0.25  #: share of values near an area's, up to which its edge is sharp
#: share of equal neighbours, up to which any value that fills areas marks missing ones; and up to
#: which it does if the rest does not come near it: noise of σ 3 to 14 in whole numbers
RARE, SELDOM = 0.02, 0.1
EDGE = 64  #: pixels of an area along the border
PART = 0.003  #: share of all pixels of any other area
SAMPLED = 2**24  #: pixels of an item that are looked at, in evenly spread rows and columns
ROWS = 256  #: rows in which neighbours are compared
AT_ONCE = 32  #: rows of a file that are read before their pages are given back
PLANES = 8  #: planes of a volume that are looked at
STEPS = 2.0  #: mean differences between neighbours, within which values are near
SURE = 3.0  #: standard errors


def marks(batch: Batch, index: int, joint: bool) -> Marks | None:
    """See `hush.kinds.Kind.voids`."""
    x = batch.data[index]
    own = None if batch.marks is None else batch.marks[index]
    known = None if own is None and batch.mask is None else batch.known(index)
    stated = own.channels if isinstance(own, ByValue) else ((),) * len(x)
    if x.ndim == 2:
        return _of_line(x, known, stated[0])
    bars = bars_in(x) if x.ndim == 3 else ()
    if bars:  # values are looked for between them
        inner = slice(
            max((stop for start, stop in bars if start == 0), default=0),
            min((start for start, _ in bars if start > 0), default=x.shape[1]),
        )
        x, known = x[:, inner], None if known is None else known[:, inner]
    parts = [slice(None)] if joint else [slice(c, c + 1) for c in range(len(x))]
    found = [find(x[part], None if known is None else known[part]) for part in parts]
    found = found * len(x) if joint else found
    every = tuple(a + b for a, b in zip(stated, found, strict=True))
    values = ByValue(every) if any(every) else None
    return Bars(bars, values=values) if bars else values


def _of_line(x: np.ndarray, known: Mask | None, stated: tuple[Missing, ...]) -> Marks | None:
    """The marks of a line ``(1, T)``: values far from all others, and flat gaps."""
    found = list(stated)
    if len(x) == 1:
        mark = next(_beyond(x, x[:, None, :: 1 + x.size // SAMPLED], known), None)
        found += [mark] if mark else []
    if found:
        marked = ByValue((tuple(found),)).where(x)
        known = ~marked if known is None else known & ~marked
    runs = gaps(x[0], None if known is None else known[0]) if len(x) == 1 else []
    if not runs and not found:
        return None
    starts, stops = (
        np.array(ends, int) for ends in (zip(*runs, strict=True) if runs else ((), ()))
    )
    return Stretches(starts, stops, values=tuple(found))


def find(x: np.ndarray, known: Mask | None = None) -> tuple[Missing, ...]:
    """The values of channels ``(C, *S)`` together that mark missing ones; at least two axes in S.

    known : where values count; others, and those that are not finite, are left out.
    """
    if x.ndim > 3:
        return find(*_planes(x, known))
    if min(x.shape[1:]) < 2 * BLOCK:
        return ()
    rows, columns = (np.unique(np.linspace(0, n - 1, _most(n, x)).astype(int)) for n in x.shape[1:])
    lines = _taken(x, rows[:: max(1, len(rows) // ROWS)], slice(None))
    if len(rows) * len(columns) < x[0].size:
        x = _taken(x, rows, columns)
        known = None if known is None else known[:, rows][..., columns]
    if x.dtype.kind == "f" and not (np.isfinite(x.min()) and np.isfinite(x.max())):
        finite = np.isfinite(x)
        known = finite if known is None else known & finite
    found: list[Missing] = []
    while len(found) < KINDS:
        mark = next(_found(x, lines, known), None)
        if mark is None:
            break
        found.append(mark)
        there = mark.where(x)
        known = ~there if known is None else known & ~there
        if not known.any():
            return ()
    return tuple(found)


def _taken(x: np.ndarray, rows: np.ndarray, columns: np.ndarray | slice) -> np.ndarray:
    """Rows and columns of ``(C, H, W)``; few rows at once, so that a file does not fill memory."""
    parts = []
    for start in range(0, len(rows), AT_ONCE):
        parts.append(x[:, rows[start : start + AT_ONCE]][..., columns])
        let_go(x)
    return np.concatenate(parts, axis=1)


def _found(x: np.ndarray, lines: np.ndarray, known: Mask | None) -> Iterator[Missing]:
    """The next mark, with the values that are known without the others."""
    low, high = _ends(x, known)
    if not low < high:
        return
    joint = len(x) > 1
    yield from _beyond(x, lines, known)
    if _equal(lines, low, high) <= HALF and _fills(x, known, low, jump=True):
        yield Missing(low, low, solid=True, joint=joint)
    for value in _frequent(lines):
        share = _equal(lines, value, high) if low < value < high else 1.0
        if share <= SELDOM and _fills(x, known, value, jump=share > RARE):
            yield Missing(value, value, solid=True, joint=joint)
    noisy = _far(x, known, high, low, high) and _equal(lines, high, high) <= HALF
    if noisy and _fills(x, known, high, jump=True):
        yield Missing(high, high, solid=True, joint=joint)


def _beyond(x: np.ndarray, lines: np.ndarray, known: Mask | None) -> Iterator[Missing]:
    """Marks of values that no data have, and that are far from all others."""
    low, high = _ends(x, known)
    for value in (low, high):
        far = (value < 0 or value > BEYOND) and _far(x, known, value, low, high)
        if far and (value in SENTINELS or _equal(lines, value, high) <= HALF):
            yield Missing(value, value, joint=len(x) > 1)


def _far(x: np.ndarray, known: Mask | None, value: float, low: float, high: float) -> bool:
    """Whether a value, the lowest or the highest, is farther from all others than they span."""
    others = x != value if known is None else known & (x != value)
    first, last = _ends(x, others)
    return 0 < last - first < (first - low if value == low else high - last)


def _fills(x: np.ndarray, known: Mask | None, value: float, jump: bool) -> bool:
    """Whether a value fills areas along the border or large ones; with `jump`, to which the rest
    does not come near."""
    from scipy.ndimage import binary_dilation, label

    if x.dtype.kind in "iu" and np.spacing(abs(value)) > 1:  # several integers are this float
        return False
    there = (x == value).all(axis=0)
    if known is not None:
        there &= known.all(axis=0)
    if np.count_nonzero(there) < BLOCK**2 or there.all():
        return False
    solid = areas(there)
    if not solid.any():
        return False
    named, count = label(solid)
    sizes = np.bincount(named.reshape(-1), minlength=count + 1)
    sizes[0] = 0
    edges = np.unique(np.concatenate([named[0], named[-1], named[:, 0], named[:, -1]]))
    large = sizes >= PART * there.size
    large[edges] |= sizes[edges] >= EDGE
    if not large.any():
        return False
    if not jump:
        return True
    # What hangs together with blocks may be dark data, so it counts as near them; and specks in
    # them are photons.
    core = blocks(there) & large[named]
    ok = ~core if known is None else ~core & known.all(axis=0)
    near = binary_dilation(core, iterations=2) & ok
    data = blocks(~core)
    if np.count_nonzero(near & data) <= max(HALF * np.count_nonzero(near), BLOCK):
        return False
    wide = binary_dilation(near, iterations=8) & ok
    return _sharp(x, value, near & data, wide & data)


def _sharp(x: np.ndarray, value: float, near: Mask, wide: Mask) -> bool:
    """Whether the values `near` an area are far from its own, or no nearer than those farther off.

    `wide` : near and farther off.
    """
    y = x.astype(np.float64)
    off = np.abs(y - value).max(axis=0)
    pairs, far = wide[:, 1:] & wide[:, :-1], wide & ~near
    step = np.abs(y[:, :, 1:] - y[:, :, :-1]).max(axis=0)[pairs].mean() if pairs.any() else 0.0
    least = np.diff(np.unique(off[wide]))  # of a smooth slope rounded to whole steps, neighbours
    step = max(step, float(least.min()) if least.size else 0.0)  # are equal, and next it is near
    if np.mean(off[near] <= STEPS * step) <= FEW:
        return True
    same = float(np.mean(off[near] == 0))
    if same > HALF or not far.any():
        return False
    usual, middle = float(np.mean(off[far] == 0)), off[far].mean()
    count = 1 / np.count_nonzero(near) + 1 / np.count_nonzero(far)
    chance = SURE * np.sqrt(max(usual * (1 - usual), RARE) * count)
    error = SURE * off[wide].std() * np.sqrt(count)
    return bool(same <= usual + chance and middle - off[near].mean() <= error)


def _equal(lines: np.ndarray, value: float, high: float) -> float:
    """The share of neighbours in rows that are equal; those of `value` and the highest aside."""
    a, b = lines[..., 1:], lines[..., :-1]
    own = ((a == value) | (a == high)).all(axis=0) | ((b == value) | (b == high)).all(axis=0)
    rest = ~own
    count = np.count_nonzero(rest)
    return float(np.count_nonzero((a == b).all(axis=0) & rest) / count) if count else 1.0


def _frequent(lines: np.ndarray) -> Sequence[float]:
    """The values that most equal neighbours have, if the others are few."""
    equal = lines[0, :, 1:] == lines[0, :, :-1]
    values = lines[0, :, 1:][equal]
    if values.size < EDGE // 4:
        return ()
    found, counts = np.unique(values[:: 1 + values.size // 2**16], return_counts=True)
    order = np.argsort(-counts)[:KINDS]
    return [float(found[i]) for i in order if counts[i] > 1]


def _ends(x: np.ndarray, where: Mask | None) -> tuple[float, float]:
    """The lowest and the highest of some values; infinite, and the other way round, without any."""
    if where is None:
        return float(x.min()), float(x.max())
    seen = x[where]
    return (float(seen.min()), float(seen.max())) if seen.size else (np.inf, -np.inf)


def _most(side: int, x: np.ndarray) -> int:
    """How many of so many rows or columns of an item are looked at."""
    return max(1, int(side * min(1.0, (SAMPLED / x[0].size) ** 0.5)))


def _planes(x: np.ndarray, known: Mask | None) -> tuple[np.ndarray, Mask | None]:
    """Some planes of a volume ``(C, Z, Y, X)``, one below the other."""
    picked = np.unique(np.linspace(0, x.shape[1] - 1, PLANES).astype(int))
    shape = (len(x), -1, x.shape[-1])
    return x[:, picked].reshape(shape), None if known is None else known[:, picked].reshape(shape)
