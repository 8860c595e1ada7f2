"""WFDB records: a header and its signal files, in one piece or in segments.

https://physionet.org/physiotools/wag/header-5.htm. A record is written back with the header's
lines, in which only names, initial values and checksums change, in the same storage formats and
with the same segments. Annotation files beside it are copied under the new name.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from hush.errors import HushError, missing_package
from hush.io.channels import channels_of, flat, is_mark, label, laid, like_read, pieces, precise
from hush.io.wfdb_new import new_record
from hush.io.wfdb_pack import GROUP, PLAIN, STORAGES
from hush.io.wfdb_parts import Part, Signal, Wfdb
from hush.record import Record
from hush.recording import Channel, empty, let_go

_FRAMES = 2**17  #: samples that are read or written at once
_LONGEST = 12  #: of the ending of an annotation file


def read(path: Path) -> Record:
    """All signals at their full rate, in physical units; counts where no gain is stated.

    Raises
    ------
    HushError
        If wfdb or a file of the record is missing, or segments hold different signals.
    """
    try:
        import wfdb
    except ImportError:
        raise missing_package("wfdb", "signals", what="is a WFDB record, which") from None
    stem = path.with_suffix("")
    head = wfdb.rdheader(str(stem))
    lines = _lines(path)
    if getattr(head, "n_seg", None) is None:
        parts = [_part(stem, head, lines)]
        name = head.record_name
        record = Wfdb(name, (), tuple(parts))
    else:
        record = _segments(wfdb, path, head, lines)
    parts = [p for p in record.parts if p.signals]
    first = parts[0]
    for part in parts[1:]:
        if [(s.name, s.samples, s.unit) for s in part.signals] != [
            (s.name, s.samples, s.unit) for s in first.signals
        ]:
            names = ", ".join(f"{p.name}.hea" for p in parts[:4]) + ", …" * (len(parts) > 4)
            raise HushError(
                f"has segments with different signals; denoise the segments one by one: {names}"
            )
    frames = sum(part.frames for part in record.parts)
    dtype = precise(
        [s.gain for p in parts for s in p.signals], [s.end for p in parts for s in p.signals]
    )
    data = empty(frames * sum(s.samples for s in first.signals), dtype)
    channels, start = [], 0
    for signal in first.signals:
        count = frames * signal.samples
        rate = head.fs * signal.samples
        marks = is_mark(signal.name)
        channels.append(Channel(signal.name, signal.unit, rate, start, count, signal=not marks))
        start += count
    _fill(wfdb, path.parent, record, channels, data)
    if not any(channel.signal for channel in channels):
        raise HushError("holds only trigger and status channels, and no signal")
    data, axes = laid(data, channels)
    files = [s.file for p in parts for s in p.signals]
    files += [f"{p.name}.hea" for p in parts] * bool(record.lines)
    return Record(
        data,
        axes,
        kind="signal",
        meta={"wfdb": record, "files": (*dict.fromkeys(files),), "notes": _notes(record)},
        context={"layout": tuple(channels), "events": ()},
    )


def probable(path: Path) -> bool:
    """Whether a header in a folder is that of a record, and not of a segment of another one."""
    try:
        return path.stem not in _segments_in(path.parent, path.parent.stat().st_mtime_ns)
    except OSError:
        return True  # reading it raises the error


@lru_cache(maxsize=4)
def _segments_in(folder: Path, changed: int) -> frozenset[str]:
    """The names of all segments of records in a folder."""
    found: set[str] = set()
    for header in folder.glob("*.hea"):
        with header.open("rb") as stream:
            lines = _bodied(stream.read(2**20).decode("latin-1").splitlines())
        if lines and "/" in lines[0].split()[0]:
            found |= {line.split()[0] for line in lines[1:]}
    return frozenset(found)


def _notes(record: Wfdb) -> list[str]:
    raw = [s.name or f"{i + 1}" for i, s in enumerate(record.signals) if not s.scaled]
    names = ", ".join(f"'{name}'" for name in raw)
    have = f" {names} has" if len(raw) == 1 else f"s {names} have"
    return [f"Channel{have} no gain; values are as stored."] * bool(raw)


def _lines(path: Path) -> tuple[str, ...]:
    """The lines of a header, with what no decoder understands kept."""
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    return tuple(text.splitlines(keepends=True))


def _bodied(lines: Sequence[str]) -> list[str]:
    return [lines[i] for i in _bodies(lines)]


def _bodies(lines: Sequence[str]) -> list[int]:
    """The numbers of the lines that are neither comments nor blank."""
    return [i for i, x in enumerate(lines) if x.strip() and not x.lstrip().startswith("#")]


def _part(stem: Path, head: Any, lines: tuple[str, ...]) -> Part:
    """A record in one piece, or a segment."""
    if not head.n_sig:
        raise HushError(f"has no signals in {stem.name}.hea")
    bodies = _bodies(lines)[1 : head.n_sig + 1]
    signals = []
    for i, number in enumerate(bodies):
        tokens = lines[number].split(None, 8)
        fmt = str(head.fmt[i])
        if fmt not in STORAGES and fmt not in PLAIN:
            raise HushError(f"stores {head.file_name[i]} in format {fmt}, which hush cannot read")
        stated = re.match(r"[-+.\deE]+", tokens[2]) if len(tokens) > 2 else None
        scaled = stated is not None and float(stated[0]) != 0
        signals.append(
            Signal(
                head.sig_name[i] or "",
                (head.units[i] or "") if scaled else "",
                head.file_name[i],
                fmt,
                head.samps_per_frame[i] or 1,
                1 / head.adc_gain[i] if scaled else 1.0,
                head.baseline[i] if scaled else 0,
                scaled,
                head.init_value[i] if head.init_value[i] is not None else 0,
                head.byte_offset[i] or 0,
                number,
            )
        )
    frames = head.sig_len or _frames(stem.parent, signals)
    part = Part(stem.name, head.record_name, frames, lines, tuple(signals), whole=not head.sig_len)
    prologs = {}
    for name, own in part.files.items():
        file = stem.parent / name
        if not file.is_file():
            raise HushError(f"needs its signal file {name} beside it, which is missing")
        if own[0].fmt in PLAIN:
            continue
        size = own[0].offset + _bytes(own) * frames
        if file.stat().st_size < int(size):
            there = int((file.stat().st_size - own[0].offset) / _bytes(own))
            raise HushError(f"{name} is cut short: it holds {there} of {frames} frames")
        with file.open("rb") as stream:
            prologs[name] = stream.read(own[0].offset)
    return replace(part, prologs=prologs)


def _bytes(signals: Sequence[Signal]) -> float:
    """Bytes of a frame in a signal file."""
    return STORAGES[signals[0].fmt].size * sum(s.samples for s in signals)


def _frames(folder: Path, signals: Sequence[Signal]) -> int:
    """The length of a record whose header does not state it."""
    own = [s for s in signals if s.file == signals[0].file]
    file = folder / own[0].file
    if own[0].fmt in PLAIN or not file.is_file():
        raise HushError(f"does not state its length, and {own[0].file} does not tell it")
    return int((file.stat().st_size - own[0].offset) / _bytes(own))


def _segments(wfdb: Any, path: Path, head: Any, lines: tuple[str, ...]) -> Wfdb:
    """A record in segments, all with the same signals; ``~`` is a stretch without samples."""
    if head.seg_len[0] == 0:
        names = ", ".join(f"{n}.hea" for n in head.seg_name[1:5] if n != "~")
        raise HushError(
            f"has segments with different signals; denoise the segments one by one: {names}, …"
        )
    parts = []
    for name, length in zip(head.seg_name, head.seg_len, strict=True):
        if name == "~":
            parts.append(Part("~", "~", length, (), ()))
            continue
        stem = path.with_name(name)
        own = stem.with_name(f"{name}.hea")
        if not own.is_file():
            raise HushError(f"needs its segment {own.name} beside it, which is missing")
        part = _part(stem, wfdb.rdheader(str(stem)), _lines(own))
        if part.frames != length:
            raise HushError(
                f"says that segment {name} has {length} frames, but it has {part.frames}"
            )
        parts.append(part)
    if not any(part.signals for part in parts):
        raise HushError("has no segments with signals")
    return Wfdb(head.record_name, lines, tuple(parts))


def _fill(
    wfdb: Any, folder: Path, record: Wfdb, channels: Sequence[Channel], data: np.ndarray
) -> None:
    """Read all samples as physical values, NaN for invalid ones."""
    begun = 0
    views = [channel.of(data) for channel in channels]
    for part in record.parts:
        if not part.signals:
            for view, signal in zip(views, record.signals, strict=True):
                view[begun * signal.samples : (begun + part.frames) * signal.samples] = np.nan
        last = [s.initial for s in part.signals]
        for where in [slice(0, part.frames)] if part.whole else _runs(part):
            read = wfdb.rdrecord(
                str(folder / part.name),
                sampfrom=where.start,
                sampto=None if part.whole else where.stop,
                smooth_frames=False,
                ignore_skew=True,
                return_res=64,
            )
            for i, (view, signal) in enumerate(zip(views, part.signals, strict=True)):
                x = read.e_p_signal[i]
                if not signal.scaled:
                    x = x * read.adc_gain[i] + read.baseline[i]
                if signal.fmt == "8":  # differences, of which every part begins anew
                    x = x + (last[i] - signal.initial) * signal.gain
                    last[i] = int(signal.digital(x[-1:])[0])
                at = (begun + where.start) * signal.samples
                view[at : at + len(x)] = x
            let_go(data)
        begun += part.frames


def _runs(part: Part) -> Iterator[slice]:
    """Runs of frames to read or write at once, in whole groups of samples."""
    if not part.signals:
        return iter(())
    step = max(1, _FRAMES // sum(s.samples for s in part.signals) // GROUP) * GROUP
    return pieces(part.frames, step)


# -- writing -----------------------------------------------------------------------------------


def write(record: Record, path: Path) -> None:
    """Write the header at `path` and all other files beside it."""
    made = _prepared(record, path)
    channels, data = channels_of(record, "WFDB"), flat(record)
    begun = 0
    for part in made.parts:
        if part.signals:
            _write_part(part, channels, data, begun, path)
        begun += part.frames
    if made.lines:
        path.write_bytes(_text(made.lines))
    for source, name in _annotations(record, path):
        shutil.copyfile(source, path.with_name(name))


def _write_part(
    part: Part, channels: Sequence[Channel], data: np.ndarray, begun: int, path: Path
) -> None:
    """Write the signal files of a part, and then its header."""
    numbers = {id(s): i for i, s in enumerate(part.signals)}
    lines = list(part.lines)
    for name, signals in part.files.items():
        storage = STORAGES[signals[0].fmt]
        sums, first = [0] * len(signals), [0] * len(signals)
        last = [np.empty(0)] * len(signals)
        with path.with_name(name).open("wb") as stream:
            stream.write(part.prologs.get(name, b""))
            for where in _runs(part):
                columns = []
                for k, signal in enumerate(signals):
                    x = channels[numbers[id(signal)]].of(data)
                    at = slice(
                        (begun + where.start) * signal.samples,
                        (begun + where.stop) * signal.samples,
                    )
                    digital = signal.limited(x[at])
                    sums[k] += int(digital.sum())
                    first[k] = int(digital[0]) if where.start == 0 else first[k]
                    if signal.fmt == "8":
                        before = digital[:1] if where.start == 0 else last[k]
                        last[k] = digital[-1:]
                        digital = np.diff(digital, prepend=before)
                    columns.append(digital.reshape(-1, signal.samples))
                stream.write(storage.pack(np.concatenate(columns, axis=1).reshape(-1)))
                let_go(data)
        for k, signal in enumerate(signals):
            checksum = (sums[k] + 2**15) % 2**16 - 2**15
            lines[signal.line] = _signal_line(lines[signal.line], signal, name, first[k], checksum)
    path.with_name(f"{part.name}.hea").write_bytes(_text(lines))


def _signal_line(line: str, signal: Signal, file: str, first: int, checksum: int) -> str:
    """A line of the header with another file, format, initial value and checksum."""
    tokens = re.split(r"(\s+)", line, maxsplit=8)
    start = 2 if tokens[0] == "" else 0
    tokens[start] = file
    tokens[start + 2] = re.sub(r"^\d+", signal.fmt, tokens[start + 2])
    if len(tokens) > start + 10 and re.fullmatch(r"-?\d+", tokens[start + 10]):
        tokens[start + 10] = f"{first}"
    if len(tokens) > start + 12 and re.fullmatch(r"-?\d+", tokens[start + 12]):
        unsigned = int(tokens[start + 12]) >= 2**15  # as some programs write it
        tokens[start + 12] = f"{checksum % 2**16 if unsigned else checksum}"
    return "".join(tokens)


def _text(lines: Sequence[str]) -> bytes:
    return "".join(lines).encode("utf-8", "surrogateescape")


def _prepared(record: Record, path: Path) -> Wfdb:
    """The record with the names and storage formats with which it is written at `path`."""
    channels = channels_of(record, "WFDB")
    made: Wfdb | None = record.meta.get("wfdb")
    if made is None:
        made = new_record(record, channels)
    else:
        frames = sum(part.frames for part in made.parts)
        like_read(channels, [frames * s.samples for s in made.signals], "WFDB")
    return _stored(made, record, channels).named(path)


def _stored(made: Wfdb, record: Record, channels: Sequence[Channel]) -> Wfdb:
    """The record with storage formats that hold its samples."""
    data = flat(record)
    begun, parts = 0, []
    every = [channel.of(data) for channel in channels]
    for part in made.parts:
        formats = {name: PLAIN.get(own[0].fmt, own[0].fmt) for name, own in part.files.items()}
        for name, fmt in formats.items():
            if fmt != "8":
                continue
            rows = [
                (s, _part_of(x, s, part, begun)) for s, x in zip(part.signals, every, strict=True)
            ]
            rows = [(s, x) for s, x in rows if s.file == name]
            if not all(_differs_little(part, s, x) for s, x in rows):
                small = not any(_beyond(replace(s, fmt="16"), x) for s, x in rows)
                formats[name] = "16" if small else "32"
        signals = tuple(replace(s, fmt=formats[s.file]) for s in part.signals)
        parts.append(replace(part, signals=signals))
        begun += part.frames
    return replace(made, parts=tuple(parts))


def _part_of(x: np.ndarray, signal: Signal, part: Part, begun: int) -> np.ndarray:
    """The samples of a channel that lie in a part, which begins at frame `begun`."""
    return x[begun * signal.samples : (begun + part.frames) * signal.samples]


def _differs_little(part: Part, signal: Signal, x: np.ndarray) -> bool:
    """Whether the first differences of a signal fit in eight bits, and its line states a start."""
    if len(part.lines[signal.line].split(None, 8)) < 7:
        return False
    last = None
    for where in pieces(len(x)):
        digital = signal.digital(x[where])
        let_go(x)
        moves = np.diff(digital, prepend=digital[:1] if last is None else last)
        if not ((moves >= -128) & (moves <= 127)).all():  # NaN is not, either
            return False
        last = digital[-1:]
    return True


def _beyond(signal: Signal, x: np.ndarray) -> int:
    """The number of samples beyond the range of the signal's storage format."""
    count = 0
    for where in pieces(len(x)):
        count += signal.beyond(x[where])
        let_go(x)
    return count


def check(record: Record) -> None:
    """Raise HushError if no WFDB record can hold this one."""
    _prepared(record, Path("x.hea"))


def files(record: Record, path: Path) -> list[Path]:
    """All files that are written for the header `path`, which is the last."""
    made = _prepared(record, path)
    names = [name for part in made.parts for name in part.files]
    if made.lines:
        names += [f"{part.name}.hea" for part in made.parts if part.signals]
    names += [name for _, name in _annotations(record, path)]
    return [*(path.with_name(name) for name in dict.fromkeys(names)), path]


def _annotations(record: Record, path: Path) -> list[tuple[Path, str]]:
    """Annotation files beside the header that was read, and their new names.

    They end in two zero bytes and have an even length.
    """
    read: Wfdb | None = record.meta.get("wfdb")
    if read is None or record.source is None:
        return []
    stem, found = record.source.with_suffix("").name, []
    taken = {*record.meta.get("files", ()), record.source.name}
    for file in sorted(record.source.parent.glob(f"{_escaped(stem)}.*")):
        ending = file.name[len(stem) + 1 :]
        if file.name in taken or not re.fullmatch(r"[A-Za-z]\w*", ending) or not file.is_file():
            continue
        size = file.stat().st_size
        if len(ending) > _LONGEST or size < 2 or size % 2:
            continue
        with file.open("rb") as stream:
            stream.seek(size - 2)
            if stream.read(2) == b"\0\0" and ending not in ("hea", "npy", "tif", "edf", "mat"):
                found.append((file, f"{path.with_suffix('').name}.{ending}"))
    return found


def _escaped(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def notes(record: Record) -> list[str]:
    """Sentences about other storage formats, steps, limited samples and lost annotations."""
    made = _prepared(record, Path("x.hea"))
    read: Wfdb | None = record.meta.get("wfdb")
    channels, data = channels_of(record, "WFDB"), flat(record)
    said: list[str] = []
    if read is not None:
        pairs = zip(read.signals, made.signals, strict=True)
        changed = {(a.fmt, b.fmt) for a, b in pairs if a.fmt != b.fmt}
        said += [f"Storage format {a} is written as {b}, without loss." for a, b in sorted(changed)]
    elif count := len(record.context.get("events", ())):
        left = f"{count} annotation{'s are' if count != 1 else ' is'}"
        said.append(f"{left} left out: they are in other files of a WFDB record.")
    begun = 0
    beyond = [0] * len(channels)
    for part in made.parts:
        for i, signal in enumerate(part.signals):
            beyond[i] += _beyond(signal, _part_of(channels[i].of(data), signal, part, begun))
        begun += part.frames
    said += [
        f"{n} sample{'s' * (n != 1)} of channel {label(channels[i], i)} went beyond the range of "
        f"the storage format and {'were' if n != 1 else 'was'} limited to it."
        for i, n in enumerate(beyond)
        if n
    ]
    return said
