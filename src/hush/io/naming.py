"""The paths of results: their names, folders and formats."""

from __future__ import annotations

import os
from pathlib import Path

from hush.errors import HushError
from hush.io import array, dicom
from hush.io.codecs import FORMATS, folder_format, formats, named, preferred, supported
from hush.io.format import Format
from hush.io.place import check_target, same_file


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
    Otherwise it is `out`. One of several images keeps its number or name: ``set.tif:2`` gives
    ``set.2.denoised.tif``. Input names get another ending if the format is only read (``.png`` for
    JPEG), or with `real` if it does not hold float32. Unknown endings become ``.tif``; DICOM files,
    which often have no ending, get ``.dcm`` after their names. If the ending is that of another
    kind of data than the content is, the result has the first ending of the content's format
    (``.sto`` for an alignment in a ``.txt`` file). If the format does not hold the stated `kind` of
    data, such as segments found in a photo, the result is ``.npz``.

    A folder that is one input, such as a DICOM series, becomes a folder: ``scan`` gives
    ``scan.denoised``, or `out` itself.

    Raises
    ------
    HushError
        If the input is another folder, or the result would replace it or cannot be written.
    """
    part = array.key_in_name(Path(source))
    source = array.split_key(Path(source))[0]
    whole = folder_format(source, kind)
    if source.is_dir() and whole is None:
        raise HushError(f"{source}: is a folder; give the files in it")
    source = source if source.name else source.resolve()  # the folder that one is in
    name = source.name
    known = next((s for s in supported() if name.lower().endswith(s)), None)
    bare = whole is not None and not whole.suffixes
    if whole is not None and bare:
        stem, suffix = name, ".tif" if real and not whole.real else ""
    elif known:
        stem, suffix = name[: -len(known)], name[-len(known) :]
    else:
        stem, suffix = (name, ".dcm") if is_dicom(source) else (source.stem, ".tif")
    stem += part
    own = _by_content(source) if whole is None else None
    meant = kind or (own.kind if own else None)
    if own and meant and own.holds(meant) and not _holds(suffix, meant):
        suffix = own.suffixes[0]
    suffix = _written_as(suffix, real, kind)
    inside = many or os.fspath(out or "").endswith(("/", os.sep)) or Path(out or "").is_dir()
    if out is None:
        fmt = next((f for f in formats() if suffix.lower() in f.suffixes), None)
        path = source.with_name(f"{stem}{fmt.joint if fmt else '.'}denoised{suffix}")
    elif many or (inside and (suffix or not bare) and not _held(Path(out))):
        path = Path(out) / f"{stem}{suffix}"
    else:
        path = Path(out)
    fmt = format_for(path, meant, whole)
    if fmt.folder is None or not path.is_dir():
        check_target(path)
    if path.resolve() in source.resolve().parents and fmt.folder is not None:
        raise HushError(f"{path}: holds the input; choose another output")
    if same_file(path, source):
        raise HushError(f"{path}: would replace the input; choose another output")
    return path


def holds(path: str | os.PathLike[str], kind: str) -> bool:
    """Whether a file with this name may hold that kind of data itself."""
    fmt = named(array.split_key(Path(path))[0], kind)
    return fmt is not None and fmt.holds(kind)


def _by_content(path: Path) -> Format | None:
    """The format of a file, if its content tells it."""
    try:
        with path.open("rb") as stream:
            head = stream.read(256)
        return next((f for f in formats() if f.magic and f.recognises(head, path)), None)
    except OSError:  # reading it later raises the error
        return None


def _holds(suffix: str, kind: str) -> bool:
    """Whether files with this ending may hold that kind of data."""
    return any(f.holds(kind) for f in formats() if suffix.lower() in f.suffixes)


def _written_as(suffix: str, real: bool, kind: str | None) -> str:
    """The ending of the result for a file with this ending, or with `real` of a float32 map."""
    fmt = preferred((f for f in formats() if suffix.lower() in f.suffixes), kind)
    if fmt and kind and not fmt.holds(kind):
        return ".npz"
    if fmt and real and not fmt.real:
        return ".tif" if fmt.kind in (None, "image") else ".npy"
    return fmt.instead or suffix if fmt else suffix


def _held(path: Path) -> bool:
    """Whether `path` is named as a format whose files are folders, such as Zarr."""
    fmt = named(path)
    return fmt is not None and fmt.folder is not None


def written_format(path: Path, kind: str | None, source: Format | None) -> Format | None:
    """The format to write, by the ending of `path` and the kind of data.

    source : the format of the input; folders without an ending get that, and so do files with one
        of its endings if it is for the same kind of data, and hush's own.
    """
    fmt = named(path, kind)
    if fmt is not None and source in FORMATS and source.write and source.named(path):
        fmt = source if source.kind == fmt.kind else fmt
    if fmt is None and source is not None and source.folder is not None and not source.suffixes:
        return source
    return fmt


def format_for(path: Path, kind: str | None = None, source: Format | None = None) -> Format:
    """The same; `HushError` if nothing can be written there."""
    fmt = written_format(path, kind, source)
    if fmt is None or fmt.write is None:
        why = fmt.why if fmt else "hush does not know this kind of file"
        raise HushError(
            f"{path}: {why}; use a name ending in {', '.join(supported(True, kind))}, or in / for "
            "a folder"
        )
    return fmt


def is_dicom(path: Path) -> bool:
    """Whether the file at `path` is a DICOM file, whatever its name."""
    try:
        with path.open("rb") as stream:
            return dicom.begins(stream.read(256), path)
    except OSError:  # reading it later raises the error
        return False
