"""Small files of every format: those that hush writes, and some of other programs.

Formats are taken from the table, so that a new one is in the corpus at once; of one that is only
read, `FOREIGN` makes a file.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from foreign import FOREIGN

from hush import io, kinds
from hush.errors import HushError
from hush.io.naming import written_format
from hush.io.residues import AMINO
from hush.kinds.alignment import Alignment
from hush.record import Record
from hush.recording import Channel


@dataclass(frozen=True)
class Sample:
    """One input: a file, or a folder that is one, with the files beside it that belong to it.

    path : what a user names, in a folder of its own; format : the name of its format; kind : of
    data, if it has to be stated.
    """

    path: Path
    format: str
    kind: str | None = None

    @property
    def files(self) -> dict[str, bytes]:
        """Content of all files of its folder, by their paths in it."""
        root = self.path.parent
        found = sorted(p for p in root.rglob("*") if p.is_file())
        return {p.relative_to(root).as_posix(): p.read_bytes() for p in found}


def corpus(folder: Path, names: tuple[str, ...] = ()) -> list[Sample]:
    """Write the corpus into a folder; names : of formats, all by default."""
    made = [*_own(folder / "own"), *_foreign(folder / "foreign")]
    return [sample for sample in made if not names or sample.format in names]


def unmade(samples: list[Sample]) -> list[str]:
    """Formats of which there is no file."""
    return [f.name for f in io.FORMATS if f.name not in {s.format for s in samples}]


# -- as hush writes them -----------------------------------------------------------------------


def records() -> Iterator[tuple[str, Record]]:
    """Small data of every kind."""
    rng = np.random.default_rng(0)
    yield "gray", Record(rng.integers(0, 200, (12, 16)).astype(np.uint8), "YX")
    yield "colour", Record(rng.integers(0, 60_000, (10, 12, 3)).astype(np.uint16), "YXS")
    yield "floats", Record(rng.random((3, 8, 9)).astype(np.float32), "QYX")
    volume = rng.integers(-900, 900, (4, 7, 6)).astype(np.int16)
    yield "volume", Record(volume, "ZYX", kind="volume")
    series = rng.integers(0, 900, (5, 4, 7, 6)).astype(np.int16)
    yield "series", Record(series, "CZYX", kind="volume")
    x = rng.integers(-900, 900, (2, 60)).astype(np.float32)
    layout = (Channel("EMG 1", "uV", 100.0, 0, 60), Channel("EMG 2", "mV", 100.0, 60, 60))
    yield "recording", Record(x, "CT", kind="signal", context={"layout": layout, "events": ()})
    for kind in (k for k in map(kinds.get, kinds.KINDS) if k.selected):
        if isinstance(kind, Alignment):
            letters = np.frombuffer(AMINO.encode(), "S1").astype(str)
            drawn = rng.choice(letters, (7, 11))
            lines = ["".join(row) for row in drawn]
            record = kind.from_objects([*lines, lines[0][:5] + "-" * 6])
            assert record is not None
            yield kind.name, record
        else:
            rows = rng.integers(-900, 900, (9, 4)).astype(np.float64)
            yield kind.name, Record(rows, "NC", kind=kind.name, full=1.0)


def _own(folder: Path) -> Iterator[Sample]:
    """Of every format all that it holds, and something under each of its endings."""
    for fmt in (f for f in io.FORMATS if f.write):
        for suffix in fmt.suffixes:
            for name, record in records():
                place = folder / f"{fmt.name} {suffix.replace('.', '')} {name}".replace(" ", "_")
                path = place / f"a{suffix}"
                if not fmt.holds(record.kind) or written_format(path, record.kind, None) is not fmt:
                    continue
                try:
                    io.write(record, path)
                except HushError:
                    continue  # the format does not hold this one
                yield Sample(path, fmt.name, record.kind)
                if suffix not in (fmt.suffixes[0], fmt.suffixes[-1]):
                    break


# -- as others write them ----------------------------------------------------------------------


def _foreign(folder: Path) -> Iterator[Sample]:
    for (fmt, name, kind), make in FOREIGN.items():
        place = folder / name.replace("/", "_")
        place.mkdir(parents=True, exist_ok=True)
        with suppress(ImportError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path = place / name
            make(path)
            yield Sample(path, fmt, kind)
