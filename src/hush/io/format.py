"""What a file format is: how it is called, recognised by, read and written with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hush.io import place
from hush.record import Record


def _anything(record: Record) -> None:
    """A format that holds every record."""


def _nothing(record: Record) -> list[str]:
    return []  # it holds every record exactly


def _always(path: Path) -> bool:
    """A format whose endings no other files have."""
    return True


@dataclass(frozen=True)
class Format:
    """A file format.

    Parameters
    ----------
    name : as used in messages.
    suffixes : file name endings, lower case.
    read : ``(path) -> Record`` with all samples, alpha included.
    write : ``(record, path)``, or None for a format that is only read.
    magic : a file of this format begins with one of these; without any, only the name counts.
    kind : the kind of data in it, or None for any kind.
    check : raises HushError if the format cannot hold the record.
    offset : position of `magic` in the file.
    instead : if the format is only read, the ending of the files to write instead;
        why : the reason.
    real : whether it holds any float32 values, such as a map of uncertainties.
    note : sentences about what a file of this format does not hold exactly of a record.
    files : ``(record, path) -> paths`` of all files to write, `path` last, for a format of several
        files; `write` writes them into one folder.
    probable : whether a file in a folder with an ending of this format probably has it.
    joint : between a file's name and the word ``denoised``.
    open : ``(record, path) -> array`` in the file, of the record's shape and dtype, into which a
        result is written item by item; None, also as its answer, where a result has to be whole.
    also : other kinds of data that its files may hold, besides `kind`.
    folder : ``(path, kind) -> bool``, whether a folder is one input of this format, such as a DICOM
        series; `kind` is what the user stated, or None. Then `read` takes the folder, and `write`
        and `open` fill a new, empty one. Without `suffixes` any name is that of such a folder, and
        only records of this format are written so. With `files`, an earlier result of these names
        may be replaced, otherwise a folder that `folder` recognises.
    takes : names of options that `read` takes as keywords if they are stated; ``"kind"`` too.
    sniff : ``(head, path) -> bool``, whether a file that begins with `head` has this format, if the
        magic does not tell it, as in a compressed file.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[..., Record]
    write: Callable[[Record, Path], None] | None = None
    magic: tuple[bytes, ...] = ()
    kind: str | None = "image"
    check: Callable[[Record], object] = _anything
    offset: int = 0
    instead: str = ""
    why: str = ""
    real: bool = False
    note: Callable[[Record], list[str]] = _nothing
    files: Callable[[Record, Path], Sequence[Path]] | None = None
    probable: Callable[[Path], bool] = _always
    joint: str = "."
    open: Callable[[Record, Path], np.ndarray | None] | None = None
    sniff: Callable[[bytes, Path], bool] | None = None
    also: tuple[str, ...] = ()
    folder: Callable[[Path, str | None], bool] | None = None
    takes: tuple[str, ...] = ()

    def holds(self, kind: str) -> bool:
        """Whether its files may hold this kind of data."""
        return self.kind in (None, kind) or kind in self.also

    def replaces(self, record: Record, folder: Path) -> bool:
        """Whether all that is in a folder belongs to an earlier result like this record."""
        if self.files is None:
            return self.folder is not None and self.folder(folder, None)
        names = {path.name for path in self.files(record, folder)}
        held = place.names_in(folder)
        return held - {".DS_Store", "Thumbs.db"} <= names

    def recognises(self, head: bytes, path: Path) -> bool:
        """Whether a file that begins with `head` has this format."""
        if self.sniff is not None:
            return self.sniff(head, path)
        if self.magic:
            return head.startswith(self.magic, self.offset)
        return self.named(path)

    def named(self, path: Path) -> bool:
        """Whether the file's name has an ending of this format."""
        return path.name.lower().endswith(self.suffixes)
