"""Recordings of MNE-Python: a `Raw` as a record, and a result as a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hush.errors import HushError, missing_package
from hush.io.channels import alike, channels_of, flat
from hush.record import Record
from hush.recording import Channel, Event

if TYPE_CHECKING:
    from mne.io import BaseRaw

#: units by the codes of FIFF files; types of channels that are no signals
_UNITS = {107: "V", 112: "T"}
_MARKS = ("stim", "syst")
#: texts of annotations that MNE puts where recordings were joined
_JOINS = ("BAD boundary", "EDGE boundary")
_VOLTS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "µV": 1e-6, "nV": 1e-9}


def is_raw(x: Any) -> bool:
    """Whether this is an MNE `Raw`; MNE need not be imported to tell."""
    return hasattr(x, "get_data") and hasattr(x, "info") and hasattr(x, "annotations")


def from_raw(raw: BaseRaw) -> Record:
    """A `Raw` as channels ``CT`` in MNE's units, such as V; stimulus channels are no signals.

    Recordings that were joined are treated apart.
    """
    data = np.ascontiguousarray(raw.get_data())
    count, rate = data.shape[1], float(raw.info["sfreq"])
    marks = raw.annotations
    offset = raw.first_time if marks.orig_time is not None else 0.0
    events = tuple(
        Event(float(onset) - offset, float(duration), str(text))
        for onset, duration, text in zip(
            marks.onset, marks.duration, marks.description, strict=True
        )
    )
    joins = {round(event.onset * rate) for event in events if event.text in _JOINS}
    breaks = tuple(sorted(i for i in joins if 0 < i < count))
    layout = tuple(
        Channel(
            str(name),
            "" if kind in _MARKS else _UNITS.get(int(about["unit"]), ""),
            rate,
            i * count,
            count,
            breaks,
            kind not in _MARKS,
        )
        for i, (name, about, kind) in enumerate(
            zip(raw.ch_names, raw.info["chs"], raw.get_channel_types(), strict=True)
        )
    )
    context = {"layout": layout, "events": events}
    return Record(data, "CT", kind="signal", meta={"mne": raw}, context=context)


def to_raw(record: Record) -> BaseRaw:
    """A record as a new `Raw`: of a `Raw` with all its information, of a file with names,
    rate and annotations.

    Raises
    ------
    HushError
        If MNE is missing, or the channels have unlike rates.
    """
    try:
        import mne
    except ImportError:
        raise missing_package("mne", what="a Raw") from None
    channels, read = channels_of(record, "a Raw"), record.meta.get("mne")
    if not alike(channels) or channels[0].rate is None:
        raise HushError("a Raw has one known rate; these channels have none, or unlike ones")
    data = flat(record).reshape(len(channels), -1).astype(np.float64)
    if read is not None:
        made = mne.io.RawArray(data, read.info.copy(), first_samp=read.first_samp, verbose="error")
        return made.set_annotations(read.annotations.copy(), verbose="error")
    kinds = ["bio" if c.unit in _VOLTS else "misc" for c in channels]
    info = mne.create_info([c.name for c in channels], channels[0].rate, kinds, verbose="error")
    for row, channel in zip(data, channels, strict=True):
        row *= _VOLTS.get(channel.unit, 1.0)
    events: tuple[Event, ...] = record.context.get("events", ())
    marks = mne.Annotations(
        [e.onset for e in events], [e.duration or 0.0 for e in events], [e.text for e in events]
    )
    return mne.io.RawArray(data, info, verbose="error").set_annotations(marks, verbose="error")
