"""Reading and writing files: an ordered table of formats, and writes that leave no half file.

A codec turns a file into a `Record` holding every sample and back; it knows one format and
nothing else. What all formats share happens here: formats are told apart by content rather than
by name, alpha is set aside so that no method ever sees it, samples that cannot be denoised get a
sentence, and a file appears under its name only once it is complete and on the disk.

Metadata that travels between formats, under these keys of ``Record.meta`` (all optional):

``format``
    Name of the format that was read, from `FORMATS`.
``alpha``
    Array of the opacity samples, of the data's shape except for the length of one axis,
    ``alpha_axis``; kept verbatim and put back on writing. ``alpha_samples`` is how many they are.
``icc``, ``exif``
    Colour profile and EXIF block as bytes (EXIF as in a JPEG file, beginning ``Exif\\0\\0``). The
    orientation in it is passed on, never applied.
``resolution``
    Pixels per metre along X and Y.
``png``, ``tiff``, ``npz``, ``dicom``
    What only the format itself understands, for writing the same format again.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hush.errors import HushError
from hush.io import array, dicom, hdf5, image, tiff
from hush.record import Record
from hush.table import Table

__all__ = [
    "FORMATS",
    "atomic",
    "check",
    "check_target",
    "format_of",
    "formats",
    "opened",
    "output_path",
    "read",
    "recognised",
    "supported",
    "write",
]


def _anything(record: Record) -> None:
    """A format that holds every record."""


@dataclass(frozen=True)
class Format:
    """A file format.

    Parameters
    ----------
    name : as used in messages.
    suffixes : endings of file names, lower case.
    read : ``(path) -> Record`` with all samples, alpha included.
    write : ``(record, path)``, None for a format that is only read.
    magic : beginnings of such a file, one of which it has; of a format without any, names alone
        tell.
    kind : of the data in it; None where files of any kind of data are kept so.
    check : raises HushError for a record that the format cannot hold.
    offset : where in the file `magic` is.
    instead : of a format that is only read, the ending of the files that are written instead;
        why : and the reason.
    real : it holds float32 of any values, such as a map of uncertainties.
    open : ``(record, path) -> array`` in the file, of the record's shape and dtype, into which a
        result is written item by item; None where a result has to be held whole.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[Path], Record]
    write: Callable[[Record, Path], None] | None = None
    magic: tuple[bytes, ...] = ()
    kind: str | None = "image"
    check: Callable[[Record], object] = _anything
    offset: int = 0
    instead: str = ""
    why: str = ""
    real: bool = False
    open: Callable[[Record, Path], np.ndarray] | None = None

    def recognises(self, head: bytes, path: Path) -> bool:
        """Whether a file that begins with `head` is of this format."""
        if self.magic:
            return head.startswith(self.magic, self.offset)
        return self.named(path)

    def named(self, path: Path) -> bool:
        """Whether the file's name says so."""
        return path.name.lower().endswith(self.suffixes)


#: hush's own formats; the first that recognises a file reads it
FORMATS: tuple[Format, ...] = (
    Format(
        "PNG",
        (".png",),
        image.read_png,
        image.write_png,
        (b"\x89PNG\r\n\x1a\n",),
        check=image.png_array,
    ),
    Format(
        "JPEG",
        (".jpg", ".jpeg"),
        image.read_jpeg,
        magic=(b"\xff\xd8\xff",),
        instead=".png",
        why="JPEG would add its own noise",
    ),
    Format(
        "TIFF",
        (*tiff.OME_SUFFIXES, ".tif", ".tiff"),
        tiff.read,
        tiff.write,
        tiff.MAGIC,
        real=True,
    ),
    Format(
        "NumPy array",
        (".npy",),
        array.read_npy,
        array.write_npy,
        (b"\x93NUMPY",),
        kind=None,
        real=True,
        open=array.open_npy,
    ),
    Format(
        "NumPy archive",
        (".npz",),
        array.read_npz,
        array.write_npz,
        (b"PK\x03\x04",),
        kind=None,
        real=True,
    ),
    Format(
        "DICOM",
        (".dcm", ".dicom", ".ima"),
        dicom.read,
        dicom.write,
        dicom.MAGIC,
        check=dicom.check,
        offset=dicom.OFFSET,
    ),
    Format(
        "HDF5",
        (".h5", ".hdf5"),
        hdf5.read,
        magic=hdf5.MAGIC,
        instead=".tif",
        why="HDF5 files are only read",
    ),
)

#: formats of other packages, asked after hush's own
ADDED: Table[Format] = Table("hush.formats", {})


def formats() -> Iterator[Format]:
    """Every format, hush's own first; others are imported when it comes to them."""
    yield from FORMATS
    for name in ADDED:
        yield ADDED[name]


def supported(writable: bool = False) -> tuple[str, ...]:
    """Endings of the file names that can be read, or with `writable` written."""
    return tuple(s for f in formats() if f.write or not writable for s in f.suffixes)


def recognised(path: Path) -> bool:
    """Whether the file at `path` looks like one that hush reads: by its name, or a DICOM file."""
    return any(f.named(path) for f in formats()) or _is_dicom(path)


def format_of(record: Record) -> Format | None:
    """The format that a record was read from, if it was read from a file."""
    name = record.meta.get("format")
    return next((f for f in formats() if f.name == name), None)


def read(path: str | os.PathLike[str]) -> Record:
    """What the file at `path` holds, whatever its name ends in.

    One array of a .npz or HDF5 file is named as ``file.npz:key``. Uncompressed TIFF and .npy
    files are memory-mapped read-only, so ``record.data`` may not be writable and may have the
    file's byte order.

    Raises
    ------
    HushError
        One sentence naming the file, if it is missing, unreadable, damaged, or not an image of
        8-, 16- or 32-bit integers or floats with axes Y and X.
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
    fmt = next((f for f in formats() if f.recognises(head, file)), None)
    if fmt is None:
        raise HushError(
            f"{path}: is not a file hush reads, which are {', '.join(f.name for f in formats())}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            record = fmt.read(path)
        _check_samples(record)
        return _split_alpha(replace(record, source=file, meta={**record.meta, "format": fmt.name}))
    except HushError as error:
        raise HushError(f"{path}: {error}") from error
    except MemoryError as error:
        raise HushError(
            f"{path}: does not fit in memory; as an uncompressed TIFF it need not"
        ) from error
    except Exception as error:  # decoders raise nearly every class on a damaged file
        raise HushError(
            f"{path}: is a damaged or unusual {fmt.name} file: {_reason(error)}"
        ) from error


def check(record: Record, path: str | os.PathLike[str]) -> None:
    """Raise HushError, in one sentence, if `write` could not write `record` to `path`.

    Touches no file: call it before long work whose result is to be written.
    """
    _prepare(record, Path(path))


def write(record: Record, path: str | os.PathLike[str]) -> None:
    """Write `record` to `path` in the format that its name ends in, all or nothing.

    Dtype, shape and axes are the record's; metadata is kept as far as the format holds it.

    Raises
    ------
    HushError
        One sentence naming the file, if `check` would raise or the disk is full.
    """
    path = Path(path)
    fmt, record = _prepare(record, path)
    assert fmt.write is not None
    with atomic(path) as part:
        try:
            fmt.write(record, part)
        except HushError as error:
            raise HushError(f"{path}: {error}") from error
        except (OSError, MemoryError):
            raise
        except Exception as error:  # as varied as when reading
            raise HushError(f"{path}: cannot be written as {fmt.name}: {_reason(error)}") from error


@contextmanager
def opened(record: Record, path: str | os.PathLike[str] | None) -> Iterator[np.ndarray | None]:
    """An array in the file at `path` itself, for a result like `record`; None where none can be.

    Only some formats can be written item by item; memory does not grow with the file then. The
    file appears under its name at the end, as with `write`.
    """
    fmt = next((f for f in formats() if path is not None and f.named(Path(path))), None)
    if path is None or fmt is None or fmt.open is None or record.meta.get("alpha") is not None:
        yield None
        return
    _prepare(record, Path(path))
    with atomic(path) as part:
        data = fmt.open(record, part)
        yield data
        if isinstance(data, np.memmap):
            data.flush()


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path`, with the same ending, that becomes `path` at the end.

    If anything is raised inside, KeyboardInterrupt included, the temporary file is removed and
    `path` is left as it was. Missing parent folders are made.

    Raises
    ------
    HushError
        One sentence, for every OSError: folder not writable, disk full.

    Examples
    --------
    >>> with atomic("figures.json") as part:  # doctest: +SKIP
    ...     part.write_text("{}")
    """
    path = Path(path)
    check_target(path)
    target = Path(os.path.realpath(path))  # through a link: replace the file, keep the link
    part = target.with_name(f".hush-{secrets.token_hex(6)}{''.join(target.suffixes[-2:])[-32:]}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.touch(exist_ok=False)  # with the permissions that any new file gets
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
    with suppress(OSError):  # the new name outlives a power cut too, where folders can be synced
        _sync(target.parent)


def output_path(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    many: bool = False,
    real: bool = False,
) -> Path:
    """Where the result for `source` goes.

    Without `out`, beside the input: ``noisy.tif`` gives ``noisy.denoised.tif``. With `many`
    inputs, or if `out` is an existing folder or ends in a slash, the name is kept in that folder.
    Otherwise `out` itself. Kept names get another ending where the format is only read (JPEG's
    become ``.png``), or with `real` where it does not hold float32; endings that hush does not
    know become ``.tif``, but DICOM files, which often have none, get ``.dcm`` behind their names.

    Raises
    ------
    HushError
        If the input is a folder, or the result would replace it or could not be written at all.
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
    suffix = _written_as(suffix, real)
    if out is None:
        path = source.with_name(f"{stem}.denoised{suffix}")
    elif many or Path(out).is_dir() or os.fspath(out).endswith(("/", os.sep)):
        path = Path(out) / f"{stem}{suffix}"
    else:
        path = Path(out)
    _format_for(path)
    check_target(path)
    if _same_file(path, source):
        raise HushError(f"{path}: would replace the input; choose another output")
    return path


def _written_as(suffix: str, real: bool) -> str:
    """The ending of a result for a file that ends so, or with `real` of a float32 map for it."""
    fmt = next((f for f in formats() if suffix.lower() in f.suffixes), None)
    if fmt and real and not fmt.real:
        return ".tif"
    return fmt.instead or suffix if fmt else suffix


def _format_for(path: Path) -> Format:
    """The format to write that the name of `path` asks for."""
    fmt = next((f for f in formats() if f.named(path)), None)
    if fmt is None or fmt.write is None:
        why = fmt.why if fmt else "unknown kind of file"
        raise HushError(f"{path}: {why}; end the name in {', '.join(supported(writable=True))}")
    return fmt


def _is_dicom(path: Path) -> bool:
    """Whether there is a DICOM file at `path`, whose name may end in anything."""
    try:
        with path.open("rb") as stream:
            return stream.read(256).startswith(dicom.MAGIC, dicom.OFFSET)
    except OSError:  # whoever reads it says what is wrong
        return False


def _prepare(record: Record, path: Path) -> tuple[Format, Record]:
    """The format for `path`, and what to hand to its writer."""
    fmt = _format_for(path)
    if record.source is not None and _same_file(path, record.source):
        raise HushError(f"{path}: is the input itself; choose another output")
    check_target(path)
    try:
        record = _join_alpha(record)
        fmt.check(record)
    except HushError as error:
        raise HushError(f"{path}: {error}") from error
    return fmt, record


def _check_samples(record: Record) -> None:
    """Raise HushError unless the samples are numbers that methods can work on."""
    dtype = record.data.dtype
    advice = "convert it to 8- or 16-bit integers or 32-bit floats first"
    if dtype.kind == "b":
        raise HushError(f"holds boolean (1-bit) samples; {advice}")
    if dtype.kind == "c":
        raise HushError("holds complex samples; denoise the real and imaginary parts separately")
    if dtype.kind not in "iuf":
        raise HushError(f"holds {dtype} data rather than numbers; {advice}")
    if dtype.itemsize > (8 if dtype.kind == "f" else 4):
        raise HushError(f"holds {dtype} samples, more than a method can resolve; {advice}")
    if record.data.size == 0:
        raise HushError(f"holds no samples: its shape is {record.data.shape}")


def _split_alpha(record: Record) -> Record:
    """The record without its last samples along S that are opacity, kept in ``meta``."""
    count = record.meta.get("alpha_samples", 0)
    if not count:
        return record
    axis = record.axes.index("S")
    colour, alpha = np.split(record.data, [-count], axis=axis)
    return replace(record, data=colour, meta={**record.meta, "alpha": alpha, "alpha_axis": axis})


def _join_alpha(record: Record) -> Record:
    """The record with the opacity samples that `_split_alpha` took away, if any."""
    alpha = record.meta.get("alpha")
    if alpha is None:
        return record
    data, axis = record.data, record.meta["alpha_axis"]
    others = [[*x.shape[:axis], *x.shape[axis + 1 :]] for x in (alpha, data)]
    if alpha.dtype != data.dtype or others[0] != others[1]:
        raise HushError(
            f"the alpha channel, {alpha.dtype} {alpha.shape}, does not fit the samples, "
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
    """Whether both paths lead to one existing file."""
    try:
        return a.samefile(b)
    except OSError:
        return False


def _sync(path: Path) -> None:
    """Have the system put the file or folder onto the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _reason(error: BaseException) -> str:
    """One line saying what went wrong."""
    if isinstance(error, OSError):
        # numpy's own writer reports a short write without a number
        if error.errno == errno.ENOSPC or "requested and" in str(error):
            return "the disk is full"
        if error.strerror:
            return error.strerror.lower()
    return " ".join(str(error).split()) or type(error).__name__
