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
``resolution``
    Pixels per metre along X and Y.
``notes``
    Sentences about what is odd in the file, for the user.
``files``
    Names of the other files of a format that has several.
``fields``, ``kept``
    Of sets: names of columns, and which rows of the file are in the data (`hush.io.rows_stored`).
``png``, ``tiff``, ``npz``, ``dicom``, ``nifti``, ``nrrd``, ``gradients``, ``edf``, ``wfdb``,
``columns``, ``ply``, ``pcd``, ``rows``
    Format-specific metadata, for writing the same format again.
"""

from __future__ import annotations

import errno
import filecmp
import os
import secrets
import shutil
import stat
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from hush.errors import HushError
from hush.io import array, dicom, mne
from hush.io.format import FORMATS, Format, format_of, formats, named, preferred, supported
from hush.record import Record

__all__ = [
    "FORMATS",
    "Format",
    "atomic",
    "check",
    "check_samples",
    "check_target",
    "format_of",
    "formats",
    "holds",
    "mne",
    "notes",
    "opened",
    "output_path",
    "read",
    "recognised",
    "supported",
    "together",
    "write",
]


def recognised(path: Path, kind: str | None = None) -> bool:
    """Whether hush probably reads the file at `path`: its name fits, or it is a DICOM file.

    kind : of data, if the user stated it; text may hold several kinds.
    """
    fmt = named(path, kind)
    return (fmt is not None and fmt.probable(path)) or _is_dicom(path)


def read(path: str | os.PathLike[str], kind: str | None = None) -> Record:
    """Read the file at `path`, in any format; the name's ending matters only for text.

    If text may hold several kinds of data, it is read as `kind`.

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
        if file.is_dir():
            raise HushError(f"{path}: is a folder; give the files in it")
        if file.exists() and not file.is_file():
            raise HushError(f"{path}: is not a regular file")
        with file.open("rb") as stream:
            head = stream.read(256)
    except (OSError, ValueError) as error:
        raise HushError(f"{path}: cannot be read: {_reason(error)}") from error
    if not head:
        raise HushError(f"{path}: is empty (0 bytes)")
    fmt = preferred((f for f in formats() if f.recognises(head, file)), kind)
    if fmt is None and (header := path.with_suffix(".hea")).is_file():
        raise HushError(f"{path}: belongs to a WFDB record; give its header, {header}")
    if fmt is None:
        raise HushError(
            f"{path}: is not a file hush can read; it reads {', '.join(f.name for f in formats())}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            record = fmt.read(path)
        check_samples(record)
        return _split_alpha(replace(record, source=file, meta={**record.meta, "format": fmt.name}))
    except HushError as error:
        raise HushError(f"{path}: {error}") from error
    except MemoryError as error:
        raise HushError(
            f"{path}: does not fit in memory; save it as an uncompressed TIFF, which hush can map"
        ) from error
    except Exception as error:  # on damaged files decoders raise almost any class
        raise HushError(
            f"{path}: is a damaged or unsupported {fmt.name} file: {_reason(error)}"
        ) from error


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
    with _whole(fmt, path) as part, _encoding(fmt, path):
        fmt.write(record, part)


def notes(record: Record, path: str | os.PathLike[str]) -> list[str]:
    """Sentences about what the file at `path` will not hold exactly of a record that fits."""
    fmt, record = _prepare(record, Path(path))
    return fmt.note(record)


@contextmanager
def _encoding(fmt: Format, path: Path) -> Iterator[None]:
    """Turn what a format's writer raises into a sentence with the file's name."""
    try:
        yield
    except HushError as error:
        raise HushError(f"{path}: {error}") from error
    except (OSError, MemoryError):
        raise
    except Exception as error:  # encoders also raise almost any class
        raise HushError(f"{path}: cannot be written as {fmt.name}: {_reason(error)}") from error


@contextmanager
def opened(record: Record, path: str | os.PathLike[str] | None) -> Iterator[np.ndarray | None]:
    """An array in the file at `path` itself, for a result like `record`; None where none can be.

    Only some formats can be written item by item; memory does not grow with the file then. The
    file appears under its name at the end, as with `write`.
    """
    fmt = None if path is None else named(Path(path), record.kind)
    if path is None or fmt is None or fmt.open is None or record.meta.get("alpha") is not None:
        yield None
        return
    _prepare(record, Path(path))
    try:
        with _whole(fmt, path) as part:
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


def _whole(fmt: Format, path: str | os.PathLike[str]) -> AbstractContextManager[Path]:
    """The context in which a format of one file or of several is written."""
    return atomic(path) if fmt.files is None else together(path)


class _Unopened(Exception):
    """This very record cannot be written item by item."""


class _Unrelated(Exception):
    """An OSError of the work that fills the file, not of the file."""


@contextmanager
def together(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path, beside which more files may be written; all are renamed at the end.

    They go into the folder of `path` under their own names, and that of `path` is the last. If
    anything is raised before, nothing is changed. Raises `HushError` as `atomic` does.
    """
    path = Path(path)
    check_target(path)
    target = Path(os.path.realpath(path))
    folder = target.with_name(f".hush-{secrets.token_hex(6)}")
    begun: list[Path] = []
    try:
        folder.mkdir(parents=True)
        yield folder / target.name
        parts = sorted(folder.iterdir(), key=lambda p: (p.name == target.name, p.name))
        for part in parts:
            check_target(target.with_name(part.name))
            _sync(part)
        for part in parts:
            place = target.with_name(part.name)
            if part != parts[-1] and place.exists() and filecmp.cmp(part, place, shallow=False):
                continue  # such as the table that was read
            begun += [place] * (not place.exists())
            os.replace(part, place)
        begun.clear()
    except OSError as error:
        raise HushError(f"{path}: cannot be written: {_reason(error)}") from error
    finally:
        for place in begun:
            with suppress(OSError):
                place.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        _sync(target.parent)


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path`, with the same ending, renamed to `path` at the end.

    If anything is raised inside, KeyboardInterrupt included, the temporary file is removed and
    `path` is left unchanged. Missing parent folders are created.

    Raises
    ------
    HushError
        One sentence for every OSError, such as a read-only folder or a full disk.

    Examples
    --------
    >>> with atomic("figures.json") as part:  # doctest: +SKIP
    ...     part.write_text("{}")
    """
    path = Path(path)
    check_target(path)
    target = Path(os.path.realpath(path))  # follow a link: replace its file, keep the link
    part = target.with_name(f".hush-{secrets.token_hex(6)}{''.join(target.suffixes[-2:])[-32:]}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.touch(exist_ok=False)  # with the permissions of any new file
        yield part
        if target.exists():
            part.chmod(stat.S_IMODE(target.stat().st_mode))
        _sync(part)
        os.replace(part, target)
    except OSError as error:
        raise HushError(f"{path}: cannot be written: {_reason(error)}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    with suppress(OSError):  # keep the new name after a power cut, if folders can be synced
        _sync(target.parent)


def output_path(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    many: bool = False,
    real: bool = False,
    kind: str | None = None,
) -> Path:
    """The path to write the result for `source` to.

    Without `out`, it is beside the input: ``noisy.tif`` gives ``noisy.denoised.tif``. With `many`
    inputs, or if `out` is a folder or ends in a slash, it is the input's name in that folder.
    Otherwise it is `out`. Input names get another ending if the format is only read (``.png`` for
    JPEG), or with `real` if it does not hold float32. Unknown endings become ``.tif``; DICOM files,
    which often have no ending, get ``.dcm`` after their names. If the format does not hold the
    stated `kind` of data, such as segments found in a photo, the result is ``.npz``.

    Raises
    ------
    HushError
        If the input is a folder, or the result would replace it or cannot be written.
    """
    source = array.split_key(Path(source))[0]
    if source.is_dir():
        raise HushError(f"{source}: is a folder; give the files in it")
    name = source.name
    known = next((s for s in supported() if name.lower().endswith(s)), None)
    if known:
        stem, suffix = name[: -len(known)], name[-len(known) :]
    else:
        stem, suffix = (name, ".dcm") if _is_dicom(source) else (source.stem, ".tif")
    suffix = _written_as(suffix, real, kind)
    if out is None:
        fmt = next((f for f in formats() if suffix.lower() in f.suffixes), None)
        path = source.with_name(f"{stem}{fmt.joint if fmt else '.'}denoised{suffix}")
    elif many or Path(out).is_dir() or os.fspath(out).endswith(("/", os.sep)):
        path = Path(out) / f"{stem}{suffix}"
    else:
        path = Path(out)
    _format_for(path)
    check_target(path)
    if _same_file(path, source):
        raise HushError(f"{path}: would replace the input; choose another output")
    return path


def holds(path: str | os.PathLike[str], kind: str) -> bool:
    """Whether a file with this name may hold that kind of data itself."""
    fmt = named(array.split_key(Path(path))[0], kind)
    return fmt is not None and fmt.kind in (None, kind)


def _written_as(suffix: str, real: bool, kind: str | None) -> str:
    """The ending of the result for a file with this ending, or with `real` of a float32 map."""
    fmt = preferred((f for f in formats() if suffix.lower() in f.suffixes), kind)
    if fmt and kind and fmt.kind not in (None, kind):
        return ".npz"
    if fmt and real and not fmt.real:
        return ".tif"
    return fmt.instead or suffix if fmt else suffix


def _format_for(path: Path, kind: str | None = None) -> Format:
    """The format to write, by the ending of `path` and the kind of data."""
    fmt = named(path, kind)
    if fmt is None or fmt.write is None:
        why = fmt.why if fmt else "hush does not know this kind of file"
        raise HushError(
            f"{path}: {why}; use a name ending in {', '.join(supported(writable=True))}"
        )
    return fmt


def _is_dicom(path: Path) -> bool:
    """Whether the file at `path` is a DICOM file, whatever its name."""
    try:
        with path.open("rb") as stream:
            return stream.read(256).startswith(dicom.MAGIC, dicom.OFFSET)
    except OSError:  # reading it later raises the error
        return False


def _prepare(record: Record, path: Path) -> tuple[Format, Record]:
    """The format for `path`, and the record to pass to its writer."""
    fmt = _format_for(path, record.kind)
    if record.source is not None and _same_file(path, record.source):
        raise HushError(f"{path}: is the input itself; choose another output")
    check_target(path)
    try:
        if fmt.kind == "image" and "layout" in record.context:
            raise HushError(f"{fmt.name} files hold images, not recordings; use another ending")
        if fmt.kind in ("image", "signal") and "N" in record.axes:
            raise HushError(
                f"{fmt.name} files hold {fmt.kind}s, not sets; write .npz, .npy or the format of "
                "the input"
            )
        record = _join_alpha(record)
        fmt.check(record)
        if fmt.files is not None:
            _check_files(record, path, fmt.files(record, path))
    except HushError as error:
        raise HushError(f"{path}: {error}") from error
    return fmt, record


def _check_files(record: Record, path: Path, files: Sequence[Path]) -> None:
    """Refuse to replace files beside `path` that an earlier result at `path` did not have."""
    for file in files:
        check_target(file)
        if file.exists() and file.name != path.name and not path.exists():
            raise HushError(f"{file} already exists; choose another name, or remove that file")
        own = record.source is not None and file.name in record.meta.get("files", ())
        if own and record.source and _same_file(file, record.source.with_name(file.name)):
            raise HushError(f"{file} is part of the input; choose another output")


def check_samples(record: Record) -> None:
    """Raise HushError unless the samples are numbers that methods can process."""
    dtype = record.data.dtype
    advice = "convert it to 8- or 16-bit integers or 32-bit floats first"
    if dtype.kind == "b":
        raise HushError(f"holds boolean (1-bit) samples; {advice}")
    if dtype.kind == "c":
        raise HushError("holds complex samples; denoise the real and imaginary parts separately")
    if dtype.kind not in "iuf":
        raise HushError(f"holds {dtype} data rather than numbers; {advice}")
    if dtype.itemsize > 8:
        raise HushError(f"holds {dtype} samples, more precision than hush supports; {advice}")
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


def check_target(path: Path) -> None:
    """Raise HushError if a file at `path` cannot be created or replaced."""
    try:
        if path.is_dir():
            raise HushError(f"{path}: is a folder; give the name of a file")
        if path.exists() and not path.is_file():
            raise HushError(f"{path}: is not a regular file and cannot be replaced")
        folder = next(p for p in Path(os.path.realpath(path)).parents if p.exists())
    except (OSError, ValueError) as error:
        raise HushError(f"{path}: cannot be written: {_reason(error)}") from error
    if not folder.is_dir():
        raise HushError(f"{path}: cannot be written: {folder} is a file, not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise HushError(f"{path}: cannot be written: the folder {folder} is not writable")


def _same_file(a: Path, b: Path) -> bool:
    """Whether both paths are the same existing file."""
    try:
        return a.samefile(b)
    except OSError:
        return False


def _sync(path: Path) -> None:
    """Flush the file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _reason(error: BaseException) -> str:
    """One line that says what went wrong."""
    if isinstance(error, OSError):
        # numpy's writer reports a short write without an error number
        if error.errno == errno.ENOSPC or "requested and" in str(error):
            return "the disk is full"
        if error.strerror:
            return error.strerror.lower()
    return " ".join(str(error).split()) or type(error).__name__
