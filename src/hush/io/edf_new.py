"""Headers of EDF and BDF files for recordings of other formats, and from one of them to the other.

A header states each channel's range in eight characters, and so the step of its samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hush.errors import HushError
from hush.io.channels import flat, label, pieces
from hush.io.edf_layout import FIELDS, INSTEAD, Lane, Layout, name_of
from hush.record import Record
from hush.recording import Channel, Event, let_go

_LIMITS = {2: (-32768, 32767), 3: (-8388608, 8388607)}
_MICROVOLTS = 1e6  #: volts do not fit in eight characters
_PRECISE = 1e-6  #: relative error of a rate that a header may state


def made_anew(record: Record, channels: Sequence[Channel], width: int) -> Layout:
    """A layout for a recording of another format, with its annotations.

    Raises
    ------
    HushError
        For missing values, unknown rates and gaps, and for lengths that no data records fill.
    """
    name = name_of(width)
    for number, channel in enumerate(channels):
        what = f"channel {label(channel, number)}"
        if channel.rate is None:
            raise HushError(f"{name} files state a rate, but that of {what} is unknown; add --rate")
        if channel.breaks:
            raise HushError(f"{what} has gaps, which hush writes to the format of the input only")
        if not channel.count:
            raise HushError(f"{what} has no samples; {INSTEAD}")
    records, duration = _records(channels, name)
    data = flat(record)
    lanes, fields = [], []
    for number, channel in enumerate(channels):
        factor = _MICROVOLTS if channel.unit == "V" else 1.0
        lane, own = _ranged(channel.of(data), channel, number, width, factor)
        lanes.append(replace(lane, samples=channel.count // records))
        unit = "uV" if factor != 1 else channel.unit.replace("µ", "u").replace("μ", "u")
        fields.append({"label": channel.name or f"{number + 1}", "unit": unit, **own})
    events = record.context.get("events", ())
    if events:
        raw = _annotations(events, records, duration, width)
        lanes.append(Lane(raw.shape[1] // width, annotations=raw))
        fields.append({"label": f"{name} Annotations", **_empty_range(width)})
    for lane, own in zip(lanes, fields, strict=True):
        own["samples"] = f"{lane.samples}"
    version = b"\xffBIOSEMI" if width == 3 else b"0       "
    reserved = f"{name}+C" if events else "24BIT" * (width == 3)
    main = [
        *(version, _padded("X X X X", 80), _padded("Startdate X X X X", 80)),
        *(b"01.01.85", b"00.00.00", _padded(f"{256 * (len(lanes) + 1)}", 8)),
        *(_padded(reserved, 44), _padded(f"{records}", 8), _padded(_text(duration), 8)),
        _padded(f"{len(lanes)}", 4),
    ]
    header = b"".join(main) + _signal_headers(fields)
    return Layout(header, tuple(lanes), records, width, duration)


def converted(record: Record, channels: Sequence[Channel], layout: Layout, width: int) -> Layout:
    """The layout of an EDF file as BDF, which loses nothing, or of a BDF file as EDF.

    Then each channel's range becomes that of its samples, which makes the steps smallest.
    """
    name, data = name_of(width), flat(record)
    lanes, fields, number = [], [], 0
    for index, lane in enumerate(layout.lanes):
        own = {key: layout.text(key, index) for key, _ in FIELDS}
        if lane.annotations is not None:
            raw = lane.annotations
            raw = np.pad(raw, ((0, 0), (0, -raw.shape[1] % width)))
            lane = replace(lane, samples=raw.shape[1] // width, annotations=raw)
            own |= {"label": f"{name} Annotations", **_empty_range(width)}
        else:
            channel = channels[number]
            if width == 2:
                fitted, limits = _ranged(channel.of(data), channel, number, width, 1.0)
                lane, own = replace(fitted, samples=lane.samples), own | limits
            number += 1
        own["samples"] = f"{lane.samples}"
        lanes.append(lane)
        fields.append(own)
    main = bytearray(layout.header[:256])
    main[:8] = b"\xffBIOSEMI" if width == 3 else b"0       "
    reserved = bytes(main[192:236]).decode("latin-1").strip("\0 ")
    if reserved[:4] in ("EDF+", "BDF+"):
        main[192:236] = _padded(name + reserved[3:], 44)
    else:
        main[192:236] = _padded("24BIT" * (width == 3), 44)
    main[184:192] = _padded(f"{256 * (len(lanes) + 1)}", 8)
    main[236:244] = _padded(f"{layout.records}", 8)
    header = bytes(main) + _signal_headers(fields)
    return replace(layout, header=header, lanes=tuple(lanes), width=width)


def steps(record: Record, channels: Sequence[Channel], layout: Layout) -> list[str]:
    """A sentence that states the new steps, if samples are rounded to steps of the header's."""
    read: Layout | None = record.meta.get("edf")
    if read is not None and read.width <= layout.width:
        return []
    found: dict[str, list[float]] = {}
    rows = zip(channels, layout.signals, read.signals if read else layout.signals, strict=True)
    for channel, lane, before in rows:
        if abs(lane.gain) == 1 or not channel.signal:
            continue
        factor, unit = (_MICROVOLTS, "uV") if channel.unit == "V" else (1.0, channel.unit)
        was, is_now = found.get(unit, [0.0, 0.0])
        found[unit] = [max(was, factor * before.gain), max(is_now, factor * lane.gain)]
    parts = [
        f"{new:.3g}{' ' * bool(unit)}{unit}" + f" (before: {old:.3g})" * (read is not None)
        for unit, (old, new) in found.items()
    ]
    name, bits = name_of(layout.width), 8 * layout.width
    sentence = f"{name} stores {bits} bits: values are rounded to steps of at most "
    return [f"{sentence}{' or '.join(parts)}."] * bool(parts)


def _records(channels: Sequence[Channel], name: str) -> tuple[int, float]:
    """The number of data records and their duration in seconds, as near 1 s as possible."""
    lengths = [c.count / c.rate for c in channels if c.rate]
    if max(lengths) - min(lengths) > 1e-6 * max(lengths):
        raise HushError(f"{name} channels are equally long, but these last unlike times; {INSTEAD}")
    common = math.gcd(*(c.count for c in channels))
    counts = sorted(_divisors(common), key=lambda n: abs(math.log(lengths[0] / n)))
    for records in counts:
        duration = float(_text(lengths[0] / records))
        if duration <= 0:
            continue
        rates = [(c.count // records / duration, c.rate or 0.0) for c in channels]
        if all(abs(stated - rate) <= _PRECISE * rate for stated, rate in rates):
            return records, duration
    raise HushError(f"no data record of {name} has a whole number of these samples; {INSTEAD}")


def _divisors(number: int) -> list[int]:
    small = [n for n in range(1, math.isqrt(number) + 1) if number % n == 0]
    return sorted({*small, *(number // n for n in small)})


def _ranged(
    x: np.ndarray, channel: Channel, number: int, width: int, factor: float
) -> tuple[Lane, dict[str, str]]:
    """The calibration for samples, and its header fields; whole numbers keep the step 1."""
    least, most, whole = math.inf, -math.inf, factor == 1
    for part in pieces(len(x)):
        values = x[part].astype(np.float64)
        if not np.isfinite(values).all():
            raise HushError(
                f"{name_of(width)} has no missing values, but channel {label(channel, number)} has "
                f"some; {INSTEAD}"
            )
        least, most = min(least, float(values.min())), max(most, float(values.max()))
        whole = whole and bool((values == np.rint(values)).all())
        let_go(x)
    low, high = _LIMITS[width]
    if whole and low <= least and most <= high:
        ends = {"physical_min": f"{low}", "physical_max": f"{high}"}
        return Lane(0, 1.0, 0.0, low, high), {**ends, **_digital(width)}
    if not channel.signal:
        raise HushError(
            f"channel {label(channel, number)} needs more than {8 * width} bits and is not a "
            f"signal to be rounded; write a .bdf file" + " or a .csv file" * (width == 3)
        )
    least, most = least * factor, most * factor
    room = 0.01 * (most - least) or 1.0  # a denoised sample may lie a little outside
    ends = {"physical_min": _text(least - room), "physical_max": _text(most + room)}
    bottom, top = float(ends["physical_min"]), float(ends["physical_max"])
    if not bottom <= least <= most <= top or bottom == top:
        raise HushError(
            f"the values of channel {label(channel, number)}, {least:.3g} to {most:.3g}, cannot be "
            f"stated in the eight characters of a header; {INSTEAD}"
        )
    gain = (top - bottom) / (high - low)
    lane = Lane(0, gain / factor, (bottom - gain * low) / factor, low, high)
    return lane, {**ends, **_digital(width)}


def _digital(width: int) -> dict[str, str]:
    low, high = _LIMITS[width]
    return {"digital_min": f"{low}", "digital_max": f"{high}"}


def _empty_range(width: int) -> dict[str, str]:
    """The fields of an annotation channel, which the standard wants to be filled in."""
    return {"physical_min": "-1", "physical_max": "1", **_digital(width)}


def _text(value: float) -> str:
    """A number in eight characters, as precisely as they allow."""
    tries = [f"{value:.{digits}f}" for digits in range(8)] + [f"{value:.1e}", f"{value:.0e}"]
    short = [t.rstrip("0").rstrip(".") if "." in t and "e" not in t else t for t in tries]
    short = [t for t in short if len(t) <= 8]
    return min(short, key=lambda t: (abs(float(t) - value), len(t))) if short else "inf"


def _padded(value: str, length: int) -> bytes:
    """Text as a header field: ASCII, cut to its length."""
    return value.encode("ascii", "replace")[:length].ljust(length)


def _signal_headers(fields: Sequence[dict[str, str]]) -> bytes:
    parts = [_padded(own.get(key, ""), length) for key, length in FIELDS for own in fields]
    return b"".join(parts)


def _annotations(events: Sequence[Event], records: int, duration: float, width: int) -> np.ndarray:
    """Time-stamped annotation lists of every data record, as bytes ``(records, bytes)``."""
    rows = [[f"+{_plain(r * duration)}\x14\x14\0"] for r in range(records)]
    for event in events:
        record = min(max(int(event.onset // duration), 0), records - 1)
        lasts = "" if event.duration is None else f"\x15{_plain(event.duration)}"
        onset = f"{'-' if event.onset < 0 else '+'}{_plain(abs(event.onset))}"
        rows[record].append(f"{onset}{lasts}\x14{event.text}\x14\0")
    raw = ["".join(row).encode() for row in rows]
    size = -(-max(map(len, raw)) // width) * width
    return np.frombuffer(b"".join(r.ljust(size, b"\0") for r in raw), np.uint8).reshape(-1, size)


def _plain(value: float) -> str:
    """A number without an exponent."""
    return np.format_float_positional(value, trim="-")
