"""Reading and writing files: an ordered table of formats, and writes that leave no partial file.

A codec converts between a file and a `Record` with every sample; it handles one format and nothing
else. This module does what all formats share. It recognises formats by content, not by name; sets
alpha aside so that no method sees it; rejects samples that cannot be denoised; and renames a file
into place only when it is complete and on the disk.

Metadata shared by the formats, under these keys of ``Record.meta`` (all optional):

``format``
    Name of the format that was read, from `FORMATS`.
``alpha``
    Array of the opacity samples. It has the data's shape except along axis ``alpha_axis``. It is
    kept unchanged and put back on writing. ``alpha_samples`` is the number of opacity samples.
``icc``, ``exif``
    Colour profile and EXIF block as bytes (EXIF as in a JPEG file, beginning ``Exif\\0\\0``). The
    EXIF orientation is copied, never applied.
``resolution``, ``depth``, ``interval``
    Pixels per metre along X and Y; metres from plane to plane along Z; seconds along T.
``channels``, ``colours``
    The names of the channels along C, and their colours as six hexadecimal digits.
``bits``
    Bits of a sample, if its type has more, as in a TIFF file of 4 or 12 bits.
``notes``
    Sentences about what is odd in the file, for the user.
``files``
    Names of the other files of a format that has several.
``fields``, ``kept``
    Of sets: names of columns, and which rows of the file are in the data (`hush.io.rows_stored`).
``png``, ``tiff``, ``npz``, ``dicom``, ``nifti``, ``nrrd``, ``gradients``, ``edf``, ``wfdb``,
``columns``, ``ply``, ``pcd``, ``rows``, ``fits``, ``mrc``, ``hdf5``
    Format-specific metadata, for writing the same format again.
``aligned``, ``first``
    Of alignments: their text, and the row that is written first (`hush.io.aligned`).
``slices``, ``frames``, ``scaled``, ``stored``, ``layout``, ``folder``, ``pngs``
    Of volumes in several files or frames: where each slice is from, and how it is written back.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hush.errors import HushError, Unfit, printable
from hush.io import array, elsewhere, mne
from hush.io import place as places
from hush.io.codecs import (
    FORMATS,
    folder_format,
    format_of,
    formats,
    named,
    preferred,
    supported,
)
from hush.io.format import Format
from hush.io.naming import format_for, holds, is_dicom, origin, output_path, written_format
from hush.io.parts import once
from hush.io.place import atomic, check_target, reason, same_file, taken, together
from hush.record import Record

__all__ = [
    "FORMATS",
    "Format",
    "atomic",
    "check",
    "check_samples",
    "check_target",
    "decoding",
    "folder_format",
    "format_of",
    "formats",
    "holds",
    "mne",
    "notes",
    "once",
    "opened",
    "origin",
    "output_path",
    "read",
    "recognised",
    "supported",
    "taken",
    "together",
    "write",
]

SMALL = 2**24  #: bytes of a file that always fits in memory, unless its header is damaged
#: what decoders raise on damaged files whose text says something of their code, not of the file
UNCLEAR = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError)


def recognised(path: Path, kind: str | None = None) -> bool:
    """Whether hush probably reads the file at `path`: its name fits, or it is a DICOM file.

    kind : of data, if the user stated it; text may hold several kinds.
    """
    fmt = named(path, kind)
    return (fmt is not None and fmt.probable(path)) or is_dicom(path)


def read(
    path: str | os.PathLike[str],
    kind: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Record:
    """Read the file at `path`, in any format; the name's ending matters only for text.

    If text may hold several kinds of data, it is read as `kind`. A folder is read if it is one
    input of a format (`folder_format`), such as a DICOM series. options : by name, for formats that
    take them (`Format.takes`).

    To read one array of a .npz or HDF5 file, write ``file.npz:key``. Uncompressed TIFF and .npy
    files are memory-mapped read-only, so ``record.data`` may not be writable and may have the
    file's byte order.

    Raises
    ------
    HushError
        One sentence with the file's name, if it is missing, unreadable, damaged, or does not hold
        8-, 16- or 32-bit integers or floats.
    """
    path = Path(path)
    try:
        file = array.split_key(path)[0]
        whole = folder_format(file, kind)
        if file.is_dir() and whole is None:
            meant = named(file)
            if meant is not None and meant.folder is not None:
                raise HushError(f"{path}: is a folder without a {meant.name} store; copy it again")
            raise HushError(f"{path}: is a folder; give the files in it")
        if file.exists() and not file.is_file() and whole is None:
            raise HushError(f"{path}: is not a regular file")
        head = b""
        if whole is None:
            with file.open("rb") as stream:
                head = stream.read(512)
    except (OSError, ValueError) as error:
        raise HushError(f"{path}: cannot be read: {reason(error)}") from error
    if not head and whole is None:
        raise HushError(f"{path}: is empty (0 bytes)")
    with decoding(path):
        fmt = whole or preferred((f for f in formats() if f.recognises(head, file)), kind)
    if fmt is None and (header := path.with_suffix(".hea")).is_file():
        raise HushError(f"{path}: belongs to a WFDB record; give its header, {header}")
    if said := elsewhere.way_out(file, head, recognised=fmt is not None):
        raise HushError(f"{path}: {said}")
    if fmt is None:
        raise HushError(f"{path}: is not a file hush can read{_unlike(file)}")
    with decoding(path, f"{fmt.name} "):
        told = {**(options or {}), **({"kind": kind} if kind else {})}
        record = fmt.read(path, **{k: told[k] for k in fmt.takes if k in told})
        check_samples(record)
        return _split_alpha(replace(record, source=file, meta={**record.meta, "format": fmt.name}))


@contextmanager
def decoding(path: Path, name: str = "") -> Iterator[None]:
    """Turn what reading a file raises into a sentence with its name, without any warnings.

    name : of its format, and a space.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except HushError as error:
        raise type(error)(f"{path}: {printable(str(error))}") from error
    except MemoryError as error:
        raise HushError(f"{path}: {_too_large(path)}") from error
    except Exception as error:  # on damaged files decoders raise almost any class
        why = "" if isinstance(error, UNCLEAR) else f": {printable(reason(error))}"
        raise HushError(f"{path}: is a damaged or unsupported {name}file{why}") from error


def _too_large(path: Path) -> str:
    """What to say of a file for which there is not enough memory."""
    file = array.split_key(path)[0]
    if file.is_file() and (size := file.stat().st_size) < SMALL:
        return (
            f"is probably damaged: it asks for more memory than there is, and has {size:,} bytes; "
            "copy it again"
        )
    return "does not fit in memory; save it as an uncompressed TIFF, which hush can map"


def _unlike(path: Path) -> str:
    """What the name of a file says that its content is not; or what hush reads."""
    meant = [f for f in formats() if f.named(path)]
    if not meant:
        return f"; it reads {', '.join(f.name for f in formats())}"
    signs = [f.magic[0].decode("latin-1").strip() for f in meant if f.magic and not f.offset]
    begin = next(
        (f" (they begin with '{s}')" for s in signs if s.isascii() and s.isprintable()), ""
    )
    names = " or ".join(f.name for f in meant)
    return (
        f": its name is that of {names} files, its content is not{begin}; correct the file, or its "
        "ending"
    )


def check(record: Record, path: str | os.PathLike[str]) -> None:
    """Raise HushError, with one sentence, if `write` could not write `record` to `path`.

    It touches no file. Call it before long work whose result you will write.
    """
    _prepare(record, Path(path))


def write(record: Record, path: str | os.PathLike[str]) -> None:
    """Write `record` to `path`, completely or not at all; the name's ending sets the format.

    Dtype, shape and axes are the record's; metadata is kept as far as the format supports it.

    Raises
    ------
    HushError
        One sentence with the file's name, if `check` would raise or the disk is full.
    """
    path = Path(path)
    fmt, record = _prepare(record, path)
    assert fmt.write is not None
    with _placed(fmt, record, path) as part, _encoding(fmt, path):
        fmt.write(record, part)


def _placed(fmt: Format, record: Record, path: Path) -> AbstractContextManager[Path]:
    """Where to write a record: a path that appears as `path` when all is written."""
    if fmt.folder is not None:
        return places.folder(path, lambda old: fmt.replaces(record, old))
    return atomic(path) if fmt.files is None else together(path)


def notes(record: Record, path: str | os.PathLike[str]) -> list[str]:
    """Sentences about what the file at `path` will not hold exactly of a record that fits."""
    fmt, record = _prepare(record, Path(path))
    return fmt.note(record)


@contextmanager
def _encoding(fmt: Format, path: Path) -> Iterator[None]:
    """Turn what a format's writer raises into a sentence with the file's name."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except HushError as error:
        raise HushError(f"{path}: {error}") from error
    except (OSError, MemoryError):
        raise
    except Exception as error:  # encoders also raise almost any class
        raise HushError(f"{path}: cannot be written as {fmt.name}: {reason(error)}") from error


@contextmanager
def opened(record: Record, path: str | os.PathLike[str] | None) -> Iterator[np.ndarray | None]:
    """An array in the file at `path` itself, for a result like `record`; None where none can be.

    Only some formats can be written item by item; memory does not grow with the file then. The
    file appears under its name at the end, as with `write`.
    """
    fmt = None if path is None else written_format(Path(path), record.kind, format_of(record))
    if path is None or fmt is None or fmt.open is None or record.meta.get("alpha") is not None:
        yield None
        return
    _prepare(record, Path(path))
    try:
        with _placed(fmt, record, Path(path)) as part:
            with _encoding(fmt, Path(path)):
                data = fmt.open(record, part)
            if data is None:
                raise _Unopened
            try:
                yield data
            except OSError as error:
                raise _Unrelated(error) from error
            if isinstance(data, np.memmap):
                data.flush()
        return
    except _Unrelated as error:
        raise error.args[0] from None
    except _Unopened:
        pass
    yield None


class _Unopened(Exception):
    """This very record cannot be written item by item."""


class _Unrelated(Exception):
    """An OSError of the work that fills the file, not of the file."""


def _prepare(record: Record, path: Path) -> tuple[Format, Record]:
    """The format for `path`, and the record to pass to its writer."""
    fmt = format_for(path, record.kind, format_of(record))
    if record.source is not None and same_file(path, record.source):
        raise HushError(f"{path}: is the input itself; choose another output")
    if fmt.folder is None:
        check_target(path)
    try:
        if fmt.kind == "image" and "layout" in record.context:
            raise HushError(f"{fmt.name} files hold images, not recordings; use another ending")
        if fmt.kind in ("image", "signal") and "N" in record.axes:
            what = "alignments" if record.kind == "alignment" else "sets"
            raise HushError(
                f"{fmt.name} files hold {fmt.kind}s, not {what}; write .npz, .npy or the format of "
                "the input"
            )
        record = _join_alpha(record)
        fmt.check(record)
        if fmt.files is not None and fmt.folder is None:
            _check_files(record, path, fmt.files(record, path))
    except HushError as error:
        raise HushError(f"{path}: {error}") from error
    if fmt.folder is not None:
        places.check_folder(path, lambda old: fmt.replaces(record, old))
    return fmt, record


def _check_files(record: Record, path: Path, files: Sequence[Path]) -> None:
    """Refuse to replace files beside `path` that an earlier result at `path` did not have."""
    for file in files:
        check_target(file)
        if file.exists() and file.name != path.name and not path.exists():
            raise HushError(f"{file} already exists; choose another name, or remove that file")
        own = record.source is not None and file.name in record.meta.get("files", ())
        if own and record.source and same_file(file, record.source.with_name(file.name)):
            raise HushError(f"{file} is part of the input; choose another output")


def check_samples(record: Record) -> None:
    """Raise HushError unless the samples are numbers that methods can process."""
    dtype = record.data.dtype
    advice = "convert it to 8- or 16-bit integers or 32-bit floats first"
    if dtype.kind == "b":
        raise Unfit(f"holds boolean (1-bit) samples; {advice}")
    if dtype.kind == "c":
        raise HushError("holds complex samples; denoise the real and imaginary parts separately")
    if dtype.kind not in "iuf":
        raise HushError(f"holds {dtype} data rather than numbers; {advice}")
    if dtype.itemsize > 8:
        raise HushError(f"holds {dtype} samples, more precision than hush supports; {advice}")
    if record.data.ndim == 0:
        raise HushError("holds a single number, not an array")
    if record.data.size == 0:
        raise HushError(f"holds no samples: its shape is {record.data.shape}")


def _split_alpha(record: Record) -> Record:
    """The record without its last samples along S that are opacity, which go into ``meta``."""
    count = record.meta.get("alpha_samples", 0)
    if not count:
        return record
    axis = record.axes.index("S")
    colour, alpha = np.split(record.data, [-count], axis=axis)
    return replace(record, data=colour, meta={**record.meta, "alpha": alpha, "alpha_axis": axis})


def _join_alpha(record: Record) -> Record:
    """The record with the opacity samples that `_split_alpha` removed, if any."""
    alpha = record.meta.get("alpha")
    if alpha is None:
        return record
    data, axis = record.data, record.meta["alpha_axis"]
    others = [[*x.shape[:axis], *x.shape[axis + 1 :]] for x in (alpha, data)]
    if alpha.dtype != data.dtype or others[0] != others[1]:
        raise HushError(
            f"the alpha channel, {alpha.dtype} {alpha.shape}, does not match the samples, "
            f"{data.dtype} {data.shape}; drop 'alpha' and 'alpha_samples' from the metadata"
        )
    return replace(record, data=np.concatenate([data, alpha], axis=axis))
