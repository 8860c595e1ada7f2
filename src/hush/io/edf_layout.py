"""What the headers of EDF and BDF files say: https://www.edfplus.info/specs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hush.errors import HushError

EDF = (b"0       ",)
BDF = (b"\xffBIOSEMI",)

#: header fields of a signal: name, bytes
FIELDS = (
    *(("label", 16), ("transducer", 80), ("unit", 8)),
    *(("physical_min", 8), ("physical_max", 8), ("digital_min", 8), ("digital_max", 8)),
    *(("prefilter", 80), ("samples", 8), ("reserved", 32)),
)
INSTEAD = "write a .hea or .csv file"  #: where a file cannot hold a recording
CHUNK = 2**22  #: bytes of data records that are read or written at once


@dataclass(frozen=True)
class Lane:
    """One signal of the file: ``physical = gain·digital + offset``.

    samples : in a data record; low, high : the digital values that it may have.
    annotations : for an annotation channel, its bytes ``(records, bytes)``.
    """

    samples: int
    gain: float = 1.0
    offset: float = 0.0
    low: int = -32768
    high: int = 32767
    annotations: np.ndarray | None = None

    def end(self, width: int) -> float:
        """The largest physical magnitude that samples of `width` bytes can have."""
        return abs(self.gain) * 2 ** (8 * width - 1) + abs(self.offset)

    def digital(self, x: np.ndarray) -> np.ndarray:
        """Physical values as digital ones, not limited."""
        return np.rint((x.astype(np.float64) - self.offset) / self.gain)


@dataclass(frozen=True)
class Layout:
    """How a file is laid out: its header as bytes, its signals, and its data records.

    width : bytes of a sample, 2 or 3; duration : of a data record in seconds, 0 if none is stated.
    """

    header: bytes
    lanes: tuple[Lane, ...]
    records: int
    width: int
    duration: float

    @property
    def signals(self) -> list[Lane]:
        """Without annotation channels."""
        return [lane for lane in self.lanes if lane.annotations is None]

    @property
    def at_once(self) -> int:
        """The number of data records to read or write at once."""
        size = self.width * sum(lane.samples for lane in self.lanes)
        return max(1, CHUNK // max(1, size))

    def text(self, name: str, index: int) -> str:
        """A header field of a signal."""
        return field(self.header, name, index)


def field(header: bytes, name: str, index: int) -> str:
    """A header field of signal `index`, as text."""
    count = number(header[252:256], "number of signals")
    start = 256
    for other, size in FIELDS:
        if other == name:
            return text(header[start + index * size : start + (index + 1) * size])
        start += size * count
    raise KeyError(name)


def text(raw: bytes) -> str:
    """A field as text: ASCII by the standard, but UTF-8 and Latin-1 are seen, too."""
    raw = raw.replace(b"\0", b" ")
    try:
        return raw.decode("utf-8").strip()
    except UnicodeDecodeError:
        return raw.decode("latin-1").strip()


def number(raw: bytes, what: str) -> int:
    value = decimal(raw)
    if value is None or value != int(value):
        raise HushError(f"has a damaged header: its {what} is '{text(raw)[:20]}', not a number")
    return int(value)


def decimal(raw: bytes) -> float | None:
    """A number in a field; None if there is none. Some programs write a decimal comma."""
    try:
        value = float(text(raw).replace(",", "."))
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def name_of(width: int) -> str:
    """The name of the format with samples of `width` bytes."""
    return "EDF" if width == 2 else "BDF"
