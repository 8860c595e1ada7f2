"""Where results go: files and folders that appear completely or not at all."""

from __future__ import annotations

import errno
import filecmp
import hashlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hush.errors import HushError

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

#: names of results while they are written; a killed process leaves them behind
BEGUN = re.compile(r"\.hush-[0-9a-f]{12}(\..*)?", re.DOTALL)
MANY = 256  #: files that are flushed to the disk one by one; more of them all at once


@contextmanager
def together(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path, beside which more files may be written; all are renamed at the end.

    They go into the folder of `path` under their own names, and that of `path` is the last. If
    anything is raised before, nothing is changed. Raises `HushError` as `atomic` does.
    """
    path = Path(path)
    check_target(path)
    target = Path(os.path.realpath(path))
    begun: list[Path] = []
    try:
        with _temporary(target.parent) as folder:
            yield folder / target.name
            parts = sorted(folder.iterdir(), key=lambda p: (p.name == target.name, p.name))
            for part in parts:
                check_target(target.with_name(part.name))
                sync(part)
            for part in parts:
                place = target.with_name(part.name)
                if part != parts[-1] and place.exists() and filecmp.cmp(part, place, shallow=False):
                    continue  # such as the table that was read
                if place.exists():
                    part.chmod(stat.S_IMODE(place.stat().st_mode))
                else:
                    begun.append(place)
                os.replace(part, place)
            begun.clear()
    except OSError as error:
        raise HushError(f"{path}: cannot be written: {reason(error)}") from error
    finally:
        for place in begun:
            _remove(place)
    with suppress(OSError):
        sync(target.parent)


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path of the same name, in a folder beside it, renamed to `path` at the end.

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
    try:
        with _temporary(target.parent) as folder:
            part = folder / target.name
            part.touch()  # with the permissions of any new file
            yield part
            if target.exists():
                part.chmod(stat.S_IMODE(target.stat().st_mode))
            sync(part)
            os.replace(part, target)
    except OSError as error:
        raise HushError(f"{path}: cannot be written: {reason(error)}") from error
    with suppress(OSError):  # keep the new name after a power cut, if folders can be synced
        sync(target.parent)


@contextmanager
def folder(path: str | os.PathLike[str], replaces: Callable[[Path], bool]) -> Iterator[Path]:
    """A temporary empty folder beside `path`, renamed to `path` at the end.

    An empty folder at `path` stays, perhaps because nothing can be put beside it, and is filled at
    the end. If anything is raised inside, `path` is left unchanged. Raises `HushError` as
    `check_folder` does, and for every OSError.
    """
    path = Path(path)
    check_folder(path, replaces)
    target = Path(os.path.realpath(path))
    old = target.with_name(f".hush-old-{hashlib.sha256(target.name.encode()).hexdigest()[:12]}")
    _recover(target, old)
    filled = target.is_dir() and not names_in(target)
    begun: list[Path] = []
    try:
        with _temporary(target if filled else target.parent) as part:
            yield part
            files = list(part.rglob("*"))
            if len(files) > MANY and hasattr(os, "sync"):
                os.sync()
            for file in files if len(files) <= MANY else [part]:
                sync(file)
            if filled:
                for file in sorted(part.iterdir()):
                    begun.append(target / file.name)
                    os.replace(file, begun[-1])
                begun.clear()
            else:
                _exchange(part, target, old)
    except OSError as error:
        raise HushError(f"{path}: cannot be written: {reason(error)}") from error
    finally:
        for place in (*begun, *([old] * target.exists())):
            _remove(place)
    with suppress(OSError):
        sync(target.parent)


@contextmanager
def _temporary(parent: Path) -> Iterator[Path]:
    """A new folder in `parent`, which is removed at the end if it is still there.

    It is locked, so that other processes see that it is in use; what killed ones left is not, and
    is removed first. Files have locks of their own, such as those of HDF5.
    """
    parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):  # a folder that cannot be listed may be written to
        for name in filter(BEGUN.fullmatch, os.listdir(parent)):
            if (handle := _locked(parent / name)) is not None:
                _remove(parent / name)
                os.close(handle)
    while True:
        part = parent / f".hush-{secrets.token_hex(6)}"
        part.mkdir()
        handle = _locked(part)
        if part.exists():  # else another process took it for a leftover
            break
        if handle is not None:
            os.close(handle)
    try:
        yield part
    finally:
        _remove(part)
        if handle is not None:
            os.close(handle)


def _locked(path: Path) -> int | None:
    """A handle that locks a file or folder; None where there are no locks, or another has it."""
    if fcntl is None:
        return None
    handle = None
    try:
        handle = os.open(path, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        if handle is not None:
            os.close(handle)
        return None
    return handle


def _remove(place: Path) -> None:
    """Remove a file or a folder, if it is there and can be removed."""
    if place.is_dir():
        shutil.rmtree(place, ignore_errors=True)
    else:
        with suppress(OSError):
            place.unlink(missing_ok=True)


def names_in(folder: Path) -> set[str]:
    """Names in a folder, without what is begun or was left by killed processes."""
    return {name for name in os.listdir(folder) if not BEGUN.fullmatch(name)}


def _recover(target: Path, old: Path) -> None:
    """Put back, or remove, an earlier result that a killed process moved away."""
    if not target.exists():
        with suppress(OSError):
            os.replace(old, target)
    elif old.exists():
        _remove(old)


def _exchange(part: Path, target: Path, old: Path) -> None:
    """Rename the folder `part` to `target`, which is moved to `old` if it exists."""
    if target.exists():
        part.chmod(stat.S_IMODE(target.stat().st_mode))
        os.replace(target, old)
    try:
        os.replace(part, target)
    except OSError:
        if old.exists():
            os.replace(old, target)
        raise


def check_folder(path: Path, replaces: Callable[[Path], bool]) -> None:
    """Raise HushError if a folder at `path` cannot be created or replaced.

    replaces : ``(folder) -> bool``, whether an earlier result, and nothing else, is in a folder.
    """
    if not path.is_dir():
        if path.exists():
            raise HushError(f"{path}: is a file, but the result is a folder; choose another name")
        check_target(path)
        return
    try:
        empty = not names_in(path)
        if not empty and not replaces(path):
            raise HushError(f"{path}: holds other files; choose a new or empty folder")
    except OSError as error:
        raise HushError(f"{path}: cannot be written: {reason(error)}") from error
    if not os.access(path if empty else path.resolve().parent, os.W_OK | os.X_OK):
        what = "it" if empty else "the folder above it"
        raise HushError(f"{path}: cannot be written: {what} is not writable")


def taken(path: Path) -> bool:
    """Whether there is something at `path`; an empty folder is nothing."""
    try:
        return path.exists() and not (path.is_dir() and not names_in(path))
    except OSError:  # writing there raises the error
        return True


def check_target(path: Path) -> None:
    """Raise HushError if a file at `path` cannot be created or replaced."""
    try:
        if path.is_dir():
            raise HushError(f"{path}: is a folder; give the name of a file")
        if path.exists() and not path.is_file():
            raise HushError(f"{path}: is not a regular file and cannot be replaced")
        folder = next(p for p in Path(os.path.realpath(path)).parents if p.exists())
    except (OSError, ValueError) as error:
        raise HushError(f"{path}: cannot be written: {reason(error)}") from error
    if not folder.is_dir():
        raise HushError(f"{path}: cannot be written: {folder} is a file, not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise HushError(f"{path}: cannot be written: the folder {folder} is not writable")


def same_file(a: Path, b: Path) -> bool:
    """Whether both paths are the same existing file."""
    try:
        return a.samefile(b)
    except OSError:
        return False


def sync(path: Path) -> None:
    """Flush the file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def reason(error: BaseException) -> str:
    """One line that says what went wrong."""
    if isinstance(error, OSError):
        # numpy's writer reports a short write without an error number
        if error.errno == errno.ENOSPC or "requested and" in str(error):
            return "the disk is full"
        if error.strerror:
            return error.strerror.lower()
    return " ".join(str(error).split()) or type(error).__name__
