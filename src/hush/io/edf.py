"""EDF, EDF+, BDF and BDF+: recordings in data records of 16- or 24-bit samples.

https://www.edfplus.info/specs. Samples are read in physical units, a few data records at a time,
because libraries load a BDF file as a whole. The header and the annotation channels are kept as
bytes and written back unchanged; so are the lengths of the records and the gaps between them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from hush.errors import HushError
from hush.io.channels import (
    channels_of,
    flat,
    is_mark,
    label,
    laid,
    like_read,
    pieces,
    precise,
)
from hush.io.edf_layout import BDF, INSTEAD, Lane, Layout, decimal, field, name_of, number, text
from hush.io.edf_new import converted, made_anew, steps
from hush.record import Record
from hush.recording import Channel, Event, empty, let_go

RECORDS = slice(236, 244)  #: bytes of the main header that state the number of data records


# -- reading -----------------------------------------------------------------------------------


def read(path: Path) -> Record:
    """The channels in physical units, float32, or float64 where that has too few digits.

    Trigger and status channels are no signals. Annotations become ``context["events"]``, and the
    gaps of EDF+D and BDF+D breaks. ``meta["notes"]`` says what is missing in a damaged file.

    Raises
    ------
    HushError
        If the header makes no sense, or there is no signal.
    """
    notes: list[str] = []
    with path.open("rb") as stream:
        layout = _layout(stream, path.stat().st_size, notes)
        names = [layout.text("label", i) for i in range(len(layout.lanes))]
        dtype = precise(
            [x.gain for x in layout.signals], [x.end(layout.width) for x in layout.signals]
        )
        total = layout.records * sum(lane.samples for lane in layout.signals)
        data = empty(total, dtype)
        layout = _samples(stream, layout, data)
    events, onsets = _events(layout, notes)
    breaks = _breaks(layout, onsets)
    channels, start = [], 0
    for index, lane in enumerate(layout.lanes):
        if lane.annotations is not None:
            continue
        count = layout.records * lane.samples
        channels.append(
            Channel(
                names[index],
                layout.text("unit", index) if _scaled(layout.header, index) else "",
                lane.samples / layout.duration if layout.duration and lane.samples else None,
                start,
                count,
                tuple(r * lane.samples for r in breaks) if lane.samples else (),
                not (is_mark(names[index]) or _is_status(layout, index)),
            )
        )
        start += count
    if not any(channel.signal and channel.count for channel in channels):
        raise HushError("holds only trigger and status channels, and no signal")
    if not layout.duration:
        notes.append("The file does not say how long its data records last; state --rate.")
    data, axes = laid(data, channels)
    context = {"layout": tuple(channels), "events": events}
    meta = {"edf": layout, "notes": notes}
    return Record(data, axes, kind="signal", meta=meta, context=context)


def _layout(stream: BinaryIO, size: int, notes: list[str]) -> Layout:
    """The header, and how many data records there are, without their samples."""
    main = stream.read(256)
    if len(main) < 256:
        raise HushError("is cut short: it ends within its header")
    count = number(main[252:256], "number of signals")
    length = 256 * (count + 1)
    if text(main[184:192]).isdigit():
        length = max(length, int(text(main[184:192])))
    header = main + stream.read(length - 256)
    if len(header) < length or count < 0:
        raise HushError("is cut short: it ends within its header")
    width = 3 if header.startswith(BDF) else 2
    lanes = []
    for index in range(count):
        samples = number(_raw(header, "samples", index), "samples in a data record")
        if samples < 0:
            raise HushError("has a damaged header: a negative number of samples")
        marked = field(header, "label", index) in ("EDF Annotations", "BDF Annotations")
        lanes.append(
            Lane(samples, annotations=np.empty((0, samples * width), np.uint8))
            if marked
            else _scale(header, index, samples, notes)
        )
    if not any(lane.annotations is None and lane.samples for lane in lanes):
        some = any(lane.annotations is not None for lane in lanes)
        raise HushError(f"holds {'annotations only' if some else 'no samples'}, and no signal")
    duration = decimal(main[244:252])
    record = width * sum(lane.samples for lane in lanes)
    there, rest = divmod(size - length, record)
    stated = decimal(header[RECORDS])
    if there < 1:
        raise HushError("is cut short: it ends within its first data record")
    if stated is not None and stated > there:
        notes.append(
            f"The file is cut short: {there} of {stated:.0f} data records are there. "
            "The others are missing in the result, too."
        )
    elif rest:
        notes.append("The last data record is cut short and left out of the result.")
    duration = duration if duration is not None and duration > 0 else 0.0
    return Layout(header, tuple(lanes), there, width, duration)


def _scale(header: bytes, index: int, samples: int, notes: list[str]) -> Lane:
    """A signal's calibration; without a usable one, values are as stored."""
    low, high = (decimal(_raw(header, f"digital_{end}", index)) for end in ("min", "max"))
    if not _scaled(header, index) or low is None or high is None:
        name = field(header, "label", index) or f"{index + 1}"
        notes.append(f"Channel '{name}' has no calibration; its values are as stored.")
        return Lane(samples, low=int(low or 0), high=int(high or 0))
    least, most = (decimal(_raw(header, f"physical_{end}", index)) for end in ("min", "max"))
    assert least is not None
    assert most is not None
    gain = (most - least) / (high - low)
    return Lane(samples, gain, least - gain * low, int(min(low, high)), int(max(low, high)))


def _scaled(header: bytes, index: int) -> bool:
    """Whether a signal has two unlike digital and two unlike physical limits."""
    ends = [
        [decimal(_raw(header, f"{what}_{end}", index)) for end in ("min", "max")]
        for what in ("digital", "physical")
    ]
    return all(a is not None and b is not None and a != b for a, b in ends)


def _is_status(layout: Layout, index: int) -> bool:
    return "trigger" in layout.text("transducer", index).lower()


def _raw(header: bytes, name: str, index: int) -> bytes:
    return field(header, name, index).encode("utf-8")


def _samples(stream: BinaryIO, layout: Layout, data: np.ndarray) -> Layout:
    """Read all data records into `data`; return the layout with what was only in them."""
    stream.seek(len(layout.header))
    lanes = list(layout.lanes)
    marks: list[list[np.ndarray]] = [[] for _ in lanes]
    record = sum(lane.samples for lane in lanes)
    for first in range(0, layout.records, layout.at_once):
        count = min(layout.at_once, layout.records - first)
        raw = np.fromfile(stream, np.uint8, count * record * layout.width)
        raw = raw.reshape(count, record, layout.width)
        position = start = 0
        for i, lane in enumerate(lanes):
            part = raw[:, position : position + lane.samples]
            position += lane.samples
            if lane.annotations is not None:
                marks[i].append(part.reshape(count, -1).copy())
                continue
            digital = _decoded(part).reshape(-1)
            if digital.size:  # files hold values beyond the stated limits, too
                low, high = int(digital.min()), int(digital.max())
                lanes[i] = lane = replace(lane, low=min(lane.low, low), high=max(lane.high, high))
            where = start + first * lane.samples
            data[where : where + digital.size] = digital * lane.gain + lane.offset
            start += layout.records * lane.samples
        let_go(data)
    for i, kept in enumerate(marks):
        if lanes[i].annotations is not None:
            lanes[i] = replace(lanes[i], annotations=np.concatenate(kept))
    return replace(layout, lanes=tuple(lanes))


def _decoded(raw: np.ndarray) -> np.ndarray:
    """Little-endian integers ``(…, 2 or 3)`` of bytes as numbers."""
    if raw.shape[-1] == 2:
        return np.ascontiguousarray(raw).view("<i2")[..., 0]
    wide = np.zeros((*raw.shape[:-1], 4), np.uint8)
    wide[..., 1:] = raw  # in the upper bytes, so that shifting extends the sign
    return wide.view("<i4")[..., 0] >> 8


def _events(layout: Layout, notes: list[str]) -> tuple[tuple[Event, ...], list[float]]:
    """All annotations, and the onset of every data record, in seconds from the first sample."""
    events: list[Event] = []
    onsets: list[float] = []
    strange = 0
    for lane in layout.lanes:
        if lane.annotations is None:
            continue
        keeps_time = not onsets
        for raw in lane.annotations:
            lists = [part for part in raw.tobytes().split(b"\0") if part.strip()]
            for place, part in enumerate(lists):
                found = _list(part)
                if found is None:
                    strange += 1
                    continue
                onset, duration, texts = found
                if keeps_time and place == 0:
                    onsets.append(onset)
                    texts = texts if any(texts) else []
                events += [Event(onset - (onsets or [0.0])[0], duration, t) for t in texts]
    if strange:
        one = strange == 1
        notes.append(
            f"{strange} annotation{'' if one else 's'} cannot be read and "
            f"{'is' if one else 'are'} kept as {'it is' if one else 'they are'}."
        )
    return tuple(events), onsets


def _list(raw: bytes) -> tuple[float, float | None, list[str]] | None:
    """A time-stamped annotation list: onset, duration and texts; None if it is none."""
    head, *texts = raw.split(b"\x14")
    match = re.fullmatch(rb"([+-]?\d+\.?\d*)(?:\x15(\d*\.?\d*))?", head)
    if match is None or not texts:
        return None
    found = [t.decode("utf-8", "replace") for t in texts]
    if found[-1] == "":  # the list ends with its separator
        found.pop()
    return float(match[1]), float(match[2]) if match[2] else None, found


def _breaks(layout: Layout, onsets: Sequence[float]) -> list[int]:
    """The data records before which the recording was interrupted."""
    if not text(layout.header[192:236]).upper().startswith(("EDF+D", "BDF+D")):
        return []
    if len(onsets) != layout.records:
        raise HushError("is discontinuous, but does not say when each of its data records begins")
    most = max(lane.samples for lane in layout.signals)
    late = np.abs(np.diff(onsets) - layout.duration) > 0.5 * layout.duration / most
    return [int(r) for r in np.flatnonzero(late) + 1]


# -- writing -----------------------------------------------------------------------------------


def write(record: Record, path: Path, width: int) -> None:
    """Write the samples under the header that was read; of other formats, under a new one."""
    layout = prepared(record, width)
    data = flat(record)
    with path.open("wb") as stream:
        stream.write(layout.header)
        for first in range(0, layout.records, layout.at_once):
            count = min(layout.at_once, layout.records - first)
            columns, start = [], 0
            for lane in layout.lanes:
                if lane.annotations is not None:
                    columns.append(lane.annotations[first : first + count])
                    continue
                at = start + first * lane.samples
                digital = lane.digital(data[at : at + count * lane.samples])
                if not np.isfinite(digital).all():
                    raise HushError(f"{name_of(width)} has no missing values; {INSTEAD}")
                whole = np.clip(digital, lane.low, lane.high).astype("<i4")
                raw = whole.view(np.uint8).reshape(count, lane.samples, 4)
                columns.append(raw[..., :width].reshape(count, -1))
                start += layout.records * lane.samples
            stream.write(np.concatenate(columns, axis=1).tobytes())
            let_go(data)


def prepared(record: Record, width: int) -> Layout:
    """The header and the signals to write a record with; `HushError` if it does not fit."""
    name = name_of(width)
    channels = channels_of(record, name)
    layout = record.meta.get("edf")
    if layout is None:
        return made_anew(record, channels, width)
    counts = [lane.samples * layout.records for lane in layout.signals]
    like_read(channels, counts, name)
    if layout.width != width:
        return converted(record, channels, layout, width)
    header = bytearray(layout.header)
    header[RECORDS] = f"{layout.records:<8}".encode()
    return replace(layout, header=bytes(header))


def notes(record: Record, width: int) -> list[str]:
    """Sentences about what the file will not hold exactly."""
    layout = prepared(record, width)
    channels, data = channels_of(record, name_of(width)), flat(record)
    made = steps(record, channels, layout)
    if "wfdb" in record.meta:
        made.append("The file has no annotations, comments and start time of the WFDB record.")
    for index, (channel, lane) in enumerate(zip(channels, layout.signals, strict=True)):
        x, beyond = channel.of(data), 0
        for part in pieces(channel.count):
            digital = lane.digital(x[part])
            beyond += int(np.count_nonzero((digital < lane.low) | (digital > lane.high)))
            let_go(data)
        if beyond:
            made.append(
                f"{beyond} sample{'s' * (beyond != 1)} of channel {label(channel, index)} "
                "went beyond the range that the header states and "
                f"{'were' if beyond != 1 else 'was'} limited to it."
            )
    return made


check_edf = partial(prepared, width=2)
check_bdf = partial(prepared, width=3)
write_edf = partial(write, width=2)
write_bdf = partial(write, width=3)
notes_edf = partial(notes, width=2)
notes_bdf = partial(notes, width=3)
