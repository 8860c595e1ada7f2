"""Results that are written in parts: what is done is kept beside the result, and survives a kill.

Beside ``clean.zarr`` there is a folder ``clean.zarr.partial`` until the result is complete:

``run.json``
    What the result is of (a fingerprint of input and settings), and where its values are.
``clean.npy`` or ``values``
    The result's file itself, if its format can be filled in place, else its values as they lie in
    memory, from which the file is written at the end.
``input``, ``mask``
    Values for other processes, unless they can map the input.
``done/``
    A file for every part that is finished, with what was found in it.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from hush.errors import HushError
from hush.io.array import take_room
from hush.io.format import Format
from hush.io.place import check_target, reason, sync
from hush.record import Record
from hush.recording import let_go

COPIED = 2**22  #: values that are copied at once
#: what is restored of a part's results, beside classes of hush
_PLAIN = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy.core.numeric", "_frombuffer"),
    ("pathlib", "PosixPath"),
    ("pathlib", "WindowsPath"),
    ("builtins", "slice"),
    ("builtins", "complex"),
}


@dataclass(frozen=True)
class Mapped:
    """An array in a file, for other processes."""

    path: str
    dtype: str
    offset: int
    shape: tuple[int, ...]

    @classmethod
    def of(cls, x: np.ndarray) -> Mapped | None:
        """Where an array is, if all of it lies in a file that has a name."""
        if not isinstance(x, np.memmap) or isinstance(x.base, np.ndarray) or x.filename is None:
            return None
        path = Path(os.fspath(x.filename))
        return cls(str(path), x.dtype.str, x.offset, x.shape) if path.is_file() else None

    def open(self, mode: Any = "r") -> np.memmap:
        return np.memmap(self.path, self.dtype, mode, self.offset, self.shape)


@dataclass
class Partial:
    """The part of a result that is there; see the module.

    data : the values to fill. begun : how many parts were there when it was opened.
    """

    folder: Path
    values: Mapped
    data: np.memmap
    begun: int = 0

    def done(self, key: str) -> Any | None:
        """What was found in a part that is finished; None if it is not."""
        damaged = (EOFError, LookupError, ValueError, TypeError, AttributeError, ImportError)
        with (
            suppress(OSError, pickle.PickleError, *damaged),
            (self.folder / "done" / key).open("rb") as stream,
        ):
            return _Reader(stream).load()
        return None

    def mark(self, key: str, found: Any) -> None:
        """A part is finished, and its values are in the file."""
        place = self.folder / "done" / key
        part = place.with_name(f".{key}")
        part.write_bytes(pickle.dumps(found))
        os.replace(part, place)

    def shared(self, name: str, x: np.ndarray) -> Mapped:
        """The array `x` in a file: its own, or one in this folder."""
        if (found := Mapped.of(x)) is not None:
            return found
        made = Mapped(str(self.folder / name), x.dtype.str, 0, x.shape)
        _take(Path(made.path), x.nbytes)
        copy = made.open("r+")
        if x.flags.c_contiguous:
            source, target = x.reshape(-1), copy.reshape(-1)
            for start in range(0, len(source), COPIED):
                target[start : start + COPIED] = source[start : start + COPIED]
                let_go(source)
                let_go(target)
        else:
            copy[...] = x
        copy.flush()
        return made


class _Reader(pickle.Unpickler):
    """Restores only data: hush's own dataclasses, and arrays.

    A name that a module of hush has merely imported is none of its classes.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _PLAIN:
            return super().find_class(module, name)
        if module.split(".")[0] == "hush" and "." not in name:
            found = super().find_class(module, name)
            own = getattr(found, "__module__", "") == module
            if isinstance(found, type) and own and is_dataclass(found):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is not restored")


def folder_for(path: Path) -> Path:
    """The folder beside a result in which its parts are kept."""
    return path.with_name(f"{path.name}.partial")


@contextmanager
def partial(
    record: Record, path: Path, fmt: Format, fingerprint: str, anew: bool = True
) -> Iterator[Partial]:
    """The parts of a result like `record` at `path`, which goes on where an earlier run ended.

    The parts stay if anything is raised inside. At the end, a format that was filled in place is
    renamed to `path`; of others, `Partial.data` has the values to be written, until the context
    ends. anew : an earlier run with another fingerprint is removed; else that is a `HushError`.
    """
    path = Path(os.path.realpath(path))
    folder = folder_for(path)
    with _explained(path):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    with lock:
        with _explained(path):
            _lock(lock, path)
            part = _resumed(record, folder, fingerprint, anew)
            part = part or _begun(record, path, fmt, folder, fingerprint)
        try:
            yield part
        except BaseException:
            if not any((folder / "done").iterdir()):
                shutil.rmtree(folder, ignore_errors=True)
            raise
        with _explained(path):
            part.data.flush()
            _finish(part, path)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HushError(f"{path}: cannot be written: {reason(error)}") from error


def _lock(file: IO[str], path: Path) -> None:
    """One run at a time, where the system can tell; a killed one holds nothing."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise HushError(f"{path}: is being written by another run; wait for it") from None


def _resumed(record: Record, folder: Path, fingerprint: str, anew: bool) -> Partial | None:
    """What an earlier run with this fingerprint left, if there was one."""
    try:
        told = json.loads((folder / "run.json").read_text())
        same = told["fingerprint"] == fingerprint
        values = Mapped(
            str(folder / told["file"]), told["dtype"], told["offset"], record.data.shape
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    count = len([p for p in (folder / "done").glob("*") if p.name[0] != "."])
    if same and Path(values.path).is_file():
        return Partial(folder, values, values.open("r+"), count)
    if count and not anew:
        raise HushError(
            f"{folder} has parts of a result of another input, or with other settings; remove it, "
            "or start anew with --overwrite"
        )
    return None


def _begun(record: Record, path: Path, fmt: Format, folder: Path, fingerprint: str) -> Partial:
    for old in folder.iterdir():
        if old.name != "lock":
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    (folder / "done").mkdir()
    data, values = None, None
    if fmt.open and not fmt.folder and not fmt.files and record.meta.get("alpha") is None:
        data = fmt.open(record, folder / path.name)
        values = None if data is None else Mapped.of(data)
    if values is None:
        with suppress(OSError):
            (folder / path.name).unlink(missing_ok=True)
        dtype = record.data.dtype
        values = Mapped(str(folder / "values"), dtype.str, 0, record.data.shape)
        _take(Path(values.path), record.data.nbytes)
    told: dict[str, Any] = {"fingerprint": fingerprint, "file": Path(values.path).name}
    told |= {"dtype": values.dtype, "offset": values.offset}
    (folder / "run.json").write_text(json.dumps(told))
    return Partial(folder, values, values.open("r+"))


def _take(path: Path, size: int) -> None:
    """A file of this size, if the disk has room for it."""
    with path.open("wb") as stream:
        stream.truncate(size)
    take_room(path)


def _finish(part: Partial, path: Path) -> None:
    """Rename the result, if it was filled in place, and remove the folder."""
    made = Path(part.values.path)
    if made.name == path.name:
        check_target(path)
        if path.exists():
            made.chmod(stat.S_IMODE(path.stat().st_mode))
        sync(made)
        os.replace(made, path)
        with suppress(OSError):
            sync(path.parent)
    shutil.rmtree(part.folder, ignore_errors=True)
