"""Headers of WFDB records for recordings of other formats."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from hush.errors import HushError
from hush.io.channels import flat, label, pieces
from hush.io.wfdb_parts import Part, Signal, Wfdb
from hush.record import Record
from hush.recording import Channel, let_go

_INSTEAD = "write a .csv file"


def new_record(record: Record, channels: Sequence[Channel]) -> Wfdb:
    """A record in one piece, with a gain for each channel that loses nothing of float32 values.

    Whole numbers keep the gain 1. Channels of unlike rates get several samples a frame.

    Raises
    ------
    HushError
        For unknown rates, gaps, and channels that last unlike times.
    """
    for number, channel in enumerate(channels):
        what = f"channel {label(channel, number)}"
        if channel.rate is None:
            raise HushError(f"WFDB records state a rate, but that of {what} is unknown; add --rate")
        if channel.breaks:
            raise HushError(f"{what} has gaps, which hush writes to the format of the input only")
    lengths = [c.count / c.rate for c in channels if c.rate]
    if not min(lengths) or max(lengths) - min(lengths) > 1e-6 * max(lengths):
        raise HushError(f"channels of WFDB records last equal times, but these do not; {_INSTEAD}")
    frames = math.gcd(*(c.count for c in channels))
    data, signals = flat(record), []
    lines = [f"x {len(channels)} {_number(frames / lengths[0])} {frames}\n"]
    for number, channel in enumerate(channels):
        gain, baseline, bits = _scaled(channel.of(data), record.data.dtype)
        name = re.sub(r"\s+", " ", channel.name) or f"{number + 1}"
        unit = re.sub(r"[^\w^\-?%/]", "", re.sub("[µμ]", "u", channel.unit), flags=re.ASCII) or "NU"
        samples = channel.count // frames
        fmt = f"{bits}" + f"x{samples}" * (samples > 1)
        lines.append(f"x.dat {fmt} {_number(gain)}({baseline})/{unit} {bits} 0 0 0 0 {name}\n")
        signals.append(
            Signal(name, unit, "x.dat", f"{bits}", samples, 1 / gain, baseline, line=number + 1)
        )
    most = max(int(s.fmt) for s in signals)  # a file has one storage format
    signals = [
        Signal(s.name, s.unit, s.file, f"{most}", s.samples, s.gain, s.baseline, line=s.line)
        for s in signals
    ]
    return Wfdb("x", (), (Part("x", "x", frames, tuple(lines), tuple(signals)),))


def _number(value: float) -> str:
    return repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _scaled(x: np.ndarray, dtype: np.dtype) -> tuple[float, int, int]:
    """Gain, baseline and bits: 16 for whole numbers that fit, 24 for float32, otherwise 32."""
    least, most, whole = math.inf, -math.inf, True
    for part in pieces(len(x)):
        values = x[part].astype(np.float64)
        values = values[np.isfinite(values)]
        if values.size:
            least, most = min(least, float(values.min())), max(most, float(values.max()))
            whole = whole and bool((values == np.rint(values)).all())
        let_go(x)
    if least > most:  # nothing but NaN
        return 1.0, 0, 16
    size = max(abs(least), abs(most))
    if whole and size < 2**31 - 1:
        return 1.0, 0, next(bits for bits in (16, 24, 32) if size < 2 ** (bits - 1))
    bits = 24 if dtype.itemsize <= 4 else 32
    room = 1.5 * (most - least) or abs(most) or 1.0
    gain = float(f"{(2**bits - 4) / room:.6g}")
    baseline = round(-gain * (least + most) / 2)
    if abs(baseline) >= 2**31:
        raise HushError(f"values from {least:.3g} to {most:.3g} do not fit in WFDB; {_INSTEAD}")
    return gain, baseline, bits
