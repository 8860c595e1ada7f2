"""The range of a record's values: what a result may have, and what single precision can hold.

*Limits.* Sensors clip, and counts have no negative values. So a result keeps the natural limits
that its noisy values keep: 0, 1 for floats, 2ⁿ − 1 for integers (10, 12, 14 bits in 16), and a
value at which many others are clipped. Of data whose noise is not clipped, such a limit is far from
every result, and changes none.

*Scale.* Networks compute in single precision, in units of full range. Floats of 1e-20 or 1e20 get a
full range of their own.

*Offsets.* Single precision keeps 24 bits of a value: on a pedestal of 10⁷ there is no room for
noise of 0.1. Then methods see what is above the pedestal (`Batch.offsets`). Networks are
equivariant to constants; noise that depends on the signal moves with it (`Process.moved`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from hush.kinds import Kind
from hush.noise.process import Process, parse
from hush.record import ORDINARY, Batch, Record
from hush.recording import let_go

PIECE = 2**22  #: values that are looked at together
#: share of values at the extreme, and least number, from which on they are clipped there
CLIPPED, FEW = 1e-4, 4
#: full ranges that floats are scaled to
SCALES = (1.0, 255.0, 1023.0, 4095.0, 16383.0, 65535.0)
#: Highest values of floats that need no full range of their own: fits of variance and mean tell
#: spreads of 1e-12 from none, and fourth powers have to fit in single precision.
SMALL, LARGE = 1e-5, 1e9
PEDESTAL = 1e4  #: ratio of the highest value to the span, from which on the span counts for that
#: Steps of single precision in standard deviations of the noise, above which an offset is taken
#: off: rounding then adds 0.1 % to the noise. At 0.06, results begin to change by more than that.
STEP = 2.0**-6
INTEGERS = 2.0**32  #: full ranges of integers above this may be that of the span, too
SAMPLED, PARTS = 2**16, 4  #: values of an item by which its pedestal is found, in how many parts
LOWEST = 0.005  #: share of values below the pedestal


def ranged(kind: Kind, record: Record) -> Record:
    """The record with its `limits` and a full range that methods can compute with.

    Looks at all values once. Nothing changes for kinds that select, or if both are known.
    """
    if kind.selected or record.limits is not None:
        return record
    seen = Extremes.of(kind.batch(record))
    if seen is None:
        return record
    dtype, full = record.data.dtype, record.full or kind.full(record.data)
    if dtype.kind == "f" and full is None:
        full = seen.full()
    elif dtype.kind in "iu" and 0 < seen.span * PEDESTAL < record.scale > INTEGERS:
        full = _decade(seen.span)
    zero = float(record.context.get("zero") or 0.0)
    highest = float(record.context.get("highest") or math.inf)
    return replace(record, full=full, limits=seen.limits(dtype, full, zero, highest))


def ready(
    kind: Kind, record: Record, noise: Process | str | None
) -> tuple[Record, Process | str | None]:
    """The `ranged` record, and a law in units of full range for the full range that it has got."""
    after = ranged(kind, record)
    if not isinstance(noise, Process) or record.scale == after.scale:
        return after, noise
    return after, parse(noise.spec(1.0), after.scale / record.scale)


def limited(kind: Kind, record: Record) -> Batch:
    """The items of a record with its limits."""
    return replace(kind.batch(record), limits=record.limits)


def raised(batch: Batch, noise: Process | None = None) -> Batch:
    """A batch with the offsets of items whose noise single precision has no room for.

    noise : as stated; if it cannot be moved (`Process.moved`), no offset is taken off.
    """
    if batch.real is not np.float32 or not len(batch) or batch.data[0].dtype.itemsize < 4:
        return batch
    if noise is not None and noise.moved(1.0) is None:
        return batch
    offsets = [_offset(batch, i) for i in range(len(batch))]
    return replace(batch, offsets=offsets) if any(offsets) else batch


@dataclass
class Extremes:
    """The lowest and the highest known value, how many have it, and which bits values have."""

    low: float
    high: float
    at_low: int = 0
    at_high: int = 0
    count: int = 0
    bits: int = 0

    @classmethod
    def of(cls, batch: Batch) -> Extremes | None:
        """Those of all items; None if no value is known."""
        seen = cls(math.inf, -math.inf)
        for x in _known(batch):
            low, high = x.min().item(), x.max().item()  # of integers exact, as ints
            if low <= seen.low:
                seen.at_low *= low == seen.low
                seen.at_low, seen.low = seen.at_low + int(np.count_nonzero(x == low)), low
            if high >= seen.high:
                seen.at_high *= high == seen.high
                seen.at_high, seen.high = seen.at_high + int(np.count_nonzero(x == high)), high
            seen.count += x.size
            if x.dtype.kind in "iu":
                seen.bits |= int(np.bitwise_or.reduce(x, axis=None))
        return seen if seen.count else None

    @property
    def span(self) -> float:
        """From the lowest to the highest."""
        return self.high - self.low

    def full(self) -> float | None:
        """The full range of values that are far from 1; None for others."""
        most = max(-self.low, self.high)
        if most > PEDESTAL * self.span > 0:
            most = self.span
        fine = SMALL <= most <= LARGE or most == 0 or not math.isfinite(most)
        return None if fine else _decade(most)

    def limits(
        self,
        dtype: np.dtype,
        full: float | None = None,
        zero: float = 0.0,
        highest: float = math.inf,
    ) -> tuple[float, float]:
        """The lowest and the highest value of a result.

        full : full range, as stated; zero : the value that means no signal; highest : that a sensor
        gives.
        """
        low, high = self._integers(dtype) if dtype.kind in "iu" else self._floats()
        for end in (full, highest):
            if end is not None and self.high <= end:
                high = min(high, end)
        if self.low >= zero:
            low = max(low, zero)
        if self.at_low > max(FEW, CLIPPED * self.count):
            low = self.low
        if self.at_high > max(FEW, CLIPPED * self.count):
            high = self.high
        return low, high

    def _integers(self, dtype: np.dtype) -> tuple[float, float]:
        """Those of the fewest bits that hold all values, 8 at least; low bits may stay 0."""
        signed, most = int(self.low < 0), 8 * dtype.itemsize
        step = self.bits & -self.bits or 1  # of 12 bits kept in the upper ones of 16: 16
        bits = next(
            n
            for n in range(8, most + 1)
            if n == most or (-(2 ** (n - 1)) * signed <= self.low and self.high < 2 ** (n - signed))
        )
        low = -(2 ** (bits - 1)) if signed else 0
        return low, max(2 ** (bits - signed) - step, self.high)

    def _floats(self) -> tuple[float, float]:
        if self.low >= 0:
            return 0.0, next((s for s in SCALES if self.high <= s), math.inf)
        low = -1.0 if self.low == -1 and self.high <= 1 else -math.inf
        return low, self.high if self.high in SCALES else math.inf


def _decade(value: float) -> float:
    """The next power of ten."""
    return float(10.0 ** math.ceil(math.log10(value)))


def _known(batch: Batch) -> Iterator[np.ndarray]:
    """The known values of all items, piece by piece, each not empty."""
    for i in range(len(batch)):
        length = batch.data[i].shape[1]
        step = max(1, PIECE * length // max(1, batch.data[i].size))
        for start in range(0, length, step):
            part = batch.piece(i, slice(start, start + step), 1)
            x, known = part.data[0], part.known(0)
            if not known.all():
                x = x[known]
            if x.size:
                yield x
            let_go(batch.data[i])


def _offset(batch: Batch, index: int) -> float:
    """The pedestal of an item if it leaves no room for its noise in single precision; else 0."""
    found: list[np.ndarray] = []
    changes: list[np.ndarray] = []
    first: float | None = None
    for part in _glimpses(batch, index):
        x, known = part.data[0], part.known(0)
        if not known.any():
            continue
        first = x[known][0].item() if first is None else first
        above = replace(part, offsets=[first]).above(0, x)
        both = known[..., 1:] & known[..., :-1]
        with np.errstate(invalid="ignore"):  # between infinite values
            changes.append(np.abs(np.diff(above, axis=-1))[both])
        found.append(above[known])
    if first is None:
        return 0
    above, changed = np.concatenate(found), np.concatenate(changes)
    changed = changed[changed > 0]
    full = 1.0 if ORDINARY[0] <= batch.scale <= ORDINARY[1] else batch.scale
    step = full * float(np.spacing(np.float32(abs(first + float(np.median(above))) / full)))
    if not changed.size or step <= STEP * float(np.median(changed)):
        return 0
    low = float(np.quantile(above, LOWEST))
    if isinstance(first, int):
        return first + math.floor(low)
    unit = 2.0 ** math.floor(math.log2(max((float(above.max()) - low) / 16, step / 16)))
    return math.floor((first + low) / unit) * unit


def _glimpses(batch: Batch, index: int) -> Iterator[Batch]:
    """Parts of an item, evenly spread, of some `SAMPLED` values together."""
    channels, length, *others = batch.data[index].shape
    size = SAMPLED // PARTS
    count = min(length, max(1, size // max(1, channels * math.prod(others))))
    for start in np.unique(np.linspace(0, length - count, PARTS).astype(int)).tolist():
        part = batch.piece(index, slice(start, start + count), 1)
        for axis, n in enumerate(others, 2):
            if (most := max(2, size * n // max(1, part.data[0].size))) < n:
                part = part.piece(0, slice((n - most) // 2, (n - most) // 2 + most), axis)
        yield part
