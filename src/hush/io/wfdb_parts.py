"""What the header of a WFDB record says, of each signal and each segment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from hush.io.wfdb_pack import PLAIN, STORAGES, Storage


@dataclass(frozen=True)
class Signal:
    """A signal: ``physical = gain·(digital − baseline)``.

    samples : in a frame; scaled : whether the header states a gain; initial : the value from which
    differences count; offset : bytes before the samples; line : of the header.
    """

    name: str
    unit: str
    file: str
    fmt: str
    samples: int
    gain: float
    baseline: int
    scaled: bool = True
    initial: int = 0
    offset: int = 0
    line: int = 0

    @property
    def storage(self) -> Storage:
        return STORAGES[PLAIN.get(self.fmt, self.fmt)]

    @property
    def end(self) -> float:
        """The largest physical magnitude."""
        bits = 20 if self.fmt == "8" else self.storage.bits
        return self.gain * (2.0 ** (bits - 1) + abs(self.baseline))

    def digital(self, x: np.ndarray) -> np.ndarray:
        """Physical values as digital ones; NaN stays."""
        return np.rint(x.astype(np.float64) / self.gain + self.baseline)

    def limited(self, x: np.ndarray) -> np.ndarray:
        """Digital values within the range of the storage format, int64; NaN as invalid samples."""
        low, high = self._ends
        digital = np.clip(self.digital(x), low, high)
        return np.where(np.isnan(digital), self.storage.low, digital).astype(np.int64)

    def beyond(self, x: np.ndarray) -> int:
        """The number of values beyond the range of the storage format."""
        low, high = self._ends
        digital = self.digital(x)
        return int(np.count_nonzero((digital < low) | (digital > high)))

    @property
    def _ends(self) -> tuple[int, int]:
        storage = self.storage
        return storage.low + storage.invalid, storage.high


@dataclass(frozen=True)
class Part:
    """A record in one piece, or a segment: ``~`` without signals, where samples are missing.

    name : of its header's file; stated : the name in it; prologs : bytes before samples, by file;
    whole : the header does not state the number of frames, so the library reads all at once.
    """

    name: str
    stated: str
    frames: int
    lines: tuple[str, ...]
    signals: tuple[Signal, ...]
    prologs: Mapping[str, bytes] = field(default_factory=dict)
    whole: bool = False

    @property
    def files(self) -> dict[str, list[Signal]]:
        """The signals of each file, in the header's order."""
        found: dict[str, list[Signal]] = {}
        for signal in self.signals:
            found.setdefault(signal.file, []).append(signal)
        return found

    def named(self, name: str, stated: str, taken: set[str]) -> Part:
        """This part under another name, its files too; names in `taken` are avoided."""
        new: dict[str, str] = {}
        for number, file in enumerate(self.files):
            ending = file[len(self.stated) :] if file.startswith(self.stated) else ""
            if not re.fullmatch(r"[-\w]*\.\w+", ending):
                ending = Path(file).suffix or ".dat"
            made = f"{stated}{ending}"
            if made in taken:
                made = f"{stated}_{number + 1}{Path(made).suffix}"
            taken.add(made)
            new[file] = made
        lines = list(self.lines)
        first = next(i for i, x in enumerate(lines) if x.strip() and not x.lstrip().startswith("#"))
        lines[first] = _begun(lines[first], stated)
        return replace(
            self,
            name=name,
            stated=stated,
            lines=tuple(lines),
            signals=tuple(replace(s, file=new[s.file]) for s in self.signals),
            prologs={new[file]: raw for file, raw in self.prologs.items()},
        )


@dataclass(frozen=True)
class Wfdb:
    """A record; lines : of the header of a record in segments, otherwise none."""

    name: str
    lines: tuple[str, ...]
    parts: tuple[Part, ...]

    @property
    def signals(self) -> tuple[Signal, ...]:
        """Those of the first segment that has any."""
        return next(part.signals for part in self.parts if part.signals)

    def named(self, path: Path) -> Wfdb:
        """This record under the name of a header; names in it have letters, digits, - and _."""
        stem = path.name[: -len(path.suffix)]
        stated = re.sub(r"[^-A-Za-z0-9_]", "_", stem)
        taken = {path.name}
        if not self.lines:
            return replace(self, name=stated, parts=(self.parts[0].named(stem, stated, taken),))
        lines, parts = list(self.lines), []
        bodies = [i for i, x in enumerate(lines) if x.strip() and not x.lstrip().startswith("#")]
        lines[bodies[0]] = _begun(lines[bodies[0]], stated)
        for number, (part, line) in enumerate(zip(self.parts, bodies[1:], strict=False)):
            if not part.signals:
                parts.append(part)
                continue
            own = part.name.startswith(self.name)
            name = stated + (part.name[len(self.name) :] if own else f"_{number + 1}")
            taken.add(f"{name}.hea")
            parts.append(part.named(name, name, taken))
            lines[line] = _begun(lines[line], name)
        return replace(self, name=stated, lines=tuple(lines), parts=tuple(parts))


def _begun(line: str, name: str) -> str:
    """A line of a header with another first name."""
    return re.sub(r"^(\s*)[^\s/]+", lambda m: m[1] + name, line)
