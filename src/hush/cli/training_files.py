"""The files that ``hush train`` learns from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hush.cli.console import explain, say
from hush.cli.options import read
from hush.cli.repeat import folder_name
from hush.errors import HushError

if TYPE_CHECKING:
    from hush.kinds import Chosen, Kind
    from hush.record import Record


@dataclass(frozen=True)
class Files:
    """The training files.

    kind : the kind of data; chosen : the data to learn from; counts : number of files used from
    each folder, by its name; scales : full ranges of the files; unreadable : number of files that
    could not be read.
    """

    kind: Kind
    chosen: Chosen
    counts: dict[str, int]
    scales: tuple[float, ...]
    unreadable: int


def to_train_on(o: Any, learns_from: str) -> Files:
    """The files to train on, in a fixed order; `o` has the options of ``hush train``."""
    from hush import kinds
    from hush.io import folder_format
    from hush.studies.folders import image_files

    found: list[tuple[str, list[Record]]] = []
    unreadable = 0
    files: list[Path] = []
    for source in o.sources:
        whole = not source.is_dir() or (o.kind and folder_format(source, o.kind))
        files += (held := [source] if whole else image_files(source, o.kind))
        if not held:
            say(f"{source}: holds no files that hush can read; skipped")
    if o.clean:
        _check_names(files, o.clean, image_files(o.clean, o.kind))
    for file in files:
        pair = [file, o.clean / file.name] if o.clean else [file]
        try:
            records = [read(str(f), o.axes, o.kind) for f in pair]
            records = [kinds.get(record.kind).recognised(record) for record in records]
            sizes = {_size(record) for record in records}
        except Exception as error:
            unreadable += 1
            say(f"skipped: {explain(error)}")
            continue
        if len(sizes) > 1:
            one, other = (" × ".join(map(str, size)) for size in sorted(sizes))
            raise HushError(
                f"{file.name} is {one} in one folder and {other} in the other; resize one"
            )
        found.append((folder_name(file), records))
    if not found:
        raise HushError("there is nothing to train on: none of the files could be read")
    meant = sorted({record.kind for _, records in found for record in records})
    if len(meant) > 1:
        raise HushError(
            f"the files hold different kinds of data ({', '.join(meant)}); train on one kind, "
            "or set the kind with --kind"
        )
    kind = kinds.get(meant[0])
    takes = learns_from in ("takes", "pairs") and not o.clean
    chosen = kind.chosen([records for _, records in found], o.channels, takes)
    if chosen.note:
        say(f"skipped: {chosen.note}")
    used = [found[i] for i in chosen.used]
    scales = sorted({records[0].scale for _, records in used})
    counts = dict(Counter(name for name, _ in used))
    return Files(kind, chosen, counts, tuple(scales), unreadable)


def _size(record: Record) -> tuple[int, ...]:
    """Number of items and channels, and sides, of a record."""
    from hush import kinds

    batch = kinds.to_batch(record)
    return (len(batch), *batch.data[0].shape)


def _check_names(files: Sequence[Path], folder: Path, clean: Sequence[Path]) -> None:
    """Raise HushError unless noisy and clean files pair by name."""
    there, here = {f.name for f in clean}, {f.name for f in files}
    if lone := sorted(here - there):
        raise HushError(f"{folder} holds no {lone[0]}; --clean pairs files by name")
    if lone := sorted(there - here):
        raise HushError(f"{lone[0]} is only in {folder}; --clean pairs files by name")
