"""Recordings of any source as channels one after the other, for the writers of signals' formats."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hush.errors import HushError
from hush.record import Record
from hush.recording import Channel

#: samples that are converted at once
AT_ONCE = 2**20

#: labels of channels that hold marks rather than a signal
_MARKS = re.compile(
    r"(bdf |edf )?(status|trig(ger)?s?|markers?|events?|stim(ulus)?|sti ?\d+|di\d*|digital in.*)",
    re.IGNORECASE,
)


def is_mark(label: str) -> bool:
    """Whether a label is that of a trigger, status or marker channel."""
    return _MARKS.fullmatch(label.strip()) is not None


def channels_of(record: Record, name: str) -> tuple[Channel, ...]:
    """The channels of a record, each with its rate; name : of the format that is to hold them.

    Raises
    ------
    HushError
        For other data than channels over time.
    """
    if record.kind != "signal":
        raise HushError(f"{name} holds signals over time, not {record.kind}s; write another format")
    stated = record.context.get("rate")
    if "layout" in record.context:
        layout: Sequence[Channel] = record.context["layout"]
        clock = record.meta.get("clock", ())  # channels that hold the time only
        kept = [c for i, c in enumerate(layout) if i not in clock]
        return tuple(replace(c, rate=stated or c.rate) for c in kept)
    if set(record.axes) - set("CT") or "T" not in record.axes:
        raise HushError(f"{name} holds channels over time, not the axes {record.axes}")
    sizes = dict(zip(record.axes, record.data.shape, strict=True))
    length, count = sizes["T"], sizes.get("C", 1)
    return tuple(Channel(f"{i + 1}", "", stated, i * length, length) for i in range(count))


def flat(record: Record) -> np.ndarray:
    """The samples of a record, its channels one after the other; a view for the usual layout."""
    data = record.data.T if record.axes == "TC" else record.data
    return data.reshape(-1)


def pieces(count: int, size: int = AT_ONCE) -> Iterator[slice]:
    """Consecutive slices of at most `size` that cover `count` samples."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def label(channel: Channel, number: int) -> str:
    """What a sentence calls a channel; number : from 0."""
    return f"'{channel.name}'" if channel.name else f"{number + 1}"


def like_read(channels: Sequence[Channel], counts: Sequence[int], name: str) -> None:
    """Raise HushError unless the channels have the lengths `counts` of the file that was read."""
    if [c.count for c in channels] != list(counts):
        raise HushError(
            f"the channels are not as long as those of the {name} file that was read; drop the "
            "record's metadata to write a new file"
        )


def alike(channels: Sequence[Channel]) -> bool:
    """Whether channels have the same rate and length, and so fit in one array ``(C, T)``."""
    return len({(c.rate, c.count, c.breaks) for c in channels}) <= 1


def laid(data: np.ndarray, channels: Sequence[Channel]) -> tuple[np.ndarray, str]:
    """Samples, the channels one after the other, as the data and axes of a record."""
    if alike(channels):
        return data.reshape(len(channels), -1), "CT"
    return data, "T"


def precise(gains: Sequence[float], ends: Sequence[float]) -> np.dtype[Any]:
    """float32 if that tells all steps of `gains` apart in values up to `ends`, else float64."""
    steps = [end / abs(gain) for gain, end in zip(gains, ends, strict=True) if gain]
    return np.dtype(np.float32 if max(steps, default=0) <= 2**20 else np.float64)
