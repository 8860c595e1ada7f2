"""Gradient tables of diffusion series: the files beside an image, and their text.

b-values are in s/mm². Directions are those of FSL's ``.bvec`` files: along the axes X, Y and Z of
the image, with the first reversed if the determinant of the affine is positive
(https://fsl.fmrib.ox.ac.uk/fsl/docs/diffusion/dtifit.html).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hush.errors import HushError
from hush.record import Record

VALUES = (".bval", ".bvals")
DIRECTIONS = (".bvec", ".bvecs")
_WHOLE = [("bvals", "bvecs"), ("bval", "bvec"), ("bvals.txt", "bvecs.txt")]
_MOST = 2**22  #: bytes of a table of gradients


@dataclass(frozen=True)
class Gradients:
    """A table of gradients and the files it is from.

    bvals : ``(C,)``; bvecs : ``(C, 3)`` or None. files : the content of the files by the ending
    that the copy gets. names : of the files. notes : sentences about what was not used.
    """

    bvals: np.ndarray | None = None
    bvecs: np.ndarray | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def context(self) -> dict[str, np.ndarray]:
        """What `Record.context` says about it."""
        both = {"bvals": self.bvals, "bvecs": self.bvecs}
        return {name: x for name, x in both.items() if x is not None}


def find(image: Path, stem: str, count: int) -> Gradients:
    """The gradients of an image with `count` volumes, from the files beside it.

    The files are ``stem.bval`` and ``stem.bvec``; or those of a name with which `stem` begins; or
    ``bvals`` and ``bvecs``; or the only ones in the folder. Any but the first have to fit the
    number of volumes. The first are not used if they do not, which is said.
    """
    folder = image.parent
    for ending in VALUES:
        if (own := folder / f"{stem}{ending}").is_file():
            return _own(own, count)
    tables = sorted(p for e in VALUES for p in folder.glob(f"*{e}") if p.is_file())
    begun = [p for p in tables if p.stem and stem.startswith(tuple(p.stem + s for s in "_-."))]
    begun.sort(key=lambda p: -len(p.stem))
    begun += [folder / name for name, _ in _WHOLE if (folder / name).is_file()]
    for table in [*begun, *(tables if len(tables) == 1 else [])]:
        try:
            return _pair(table, count)
        except (HushError, OSError):
            continue  # it is that of another image
    return Gradients()


def _own(table: Path, count: int) -> Gradients:
    """The gradients in a file that has the image's name."""
    try:
        return _pair(table, count)
    except (HushError, OSError) as error:
        reason = error if isinstance(error, HushError) else "cannot be read"
        return Gradients(notes=(f"{table.name} {reason}; it is not used.",))


def _pair(table: Path, count: int) -> Gradients:
    """The b-values in a file, and the directions in that beside it."""
    raw = _read(table)
    bvals = values(raw, count)
    partner = next((p for p in _partners(table) if p.is_file()), None)
    if partner is None:
        return Gradients(bvals, None, {".bval": raw}, (table.name,))
    try:
        other = _read(partner)
        bvecs = directions(other, count)
    except (HushError, OSError) as error:
        reason = error if isinstance(error, HushError) else "cannot be read"
        note = f"{partner.name} {reason}; the directions are not used."
        return Gradients(bvals, None, {".bval": raw}, (table.name,), (note,))
    files = {".bval": raw, ".bvec": other}
    return Gradients(bvals, bvecs, files, (table.name, partner.name))


def _partners(table: Path) -> list[Path]:
    """Where the directions may be that belong to a file of b-values."""
    whole = dict(_WHOLE)
    if table.name in whole:
        return [table.with_name(whole[table.name])]
    first = VALUES.index(table.suffix)
    endings = (DIRECTIONS[first], DIRECTIONS[1 - first])
    return [table.with_suffix(e) for e in endings]


def _read(path: Path) -> bytes:
    if path.stat().st_size > _MOST:
        raise HushError("is too large for a table of gradients")
    return path.read_bytes()


def _rows(raw: bytes) -> list[list[float]]:
    """The numbers in each line of a table, apart by spaces, tabs, commas or semicolons."""
    text = raw.decode("utf-8-sig", "replace").replace(",", " ").replace(";", " ")
    lines = [line.partition("#")[0].split() for line in text.splitlines()]
    try:
        return [[float(word) for word in line] for line in lines if line]
    except ValueError:
        raise HushError("is not a table of numbers") from None


def values(raw: bytes, count: int) -> np.ndarray:
    """The b-values ``(C,)`` in the text of a row or a column; `HushError` unless they fit."""
    found = np.array([x for row in _rows(raw) for x in row], np.float64)
    if len(found) != count:
        raise HushError(f"holds {len(found)} b-values for {count} volumes")
    if not (np.isfinite(found) & (found >= 0)).all():
        raise HushError("holds b-values that are negative or not finite")
    return found


def directions(raw: bytes, count: int) -> np.ndarray:
    """The directions ``(C, 3)`` in the text of three rows or three columns; or `HushError`."""
    rows = _rows(raw)
    widths = {len(row) for row in rows}
    if len(rows) == 3 and widths == {count}:  # also three by three, as FSL writes it
        return np.array(rows, np.float64).T
    if len(rows) == count and widths == {3}:
        return np.array(rows, np.float64)
    shape = f"{len(rows)} × {widths.pop()}" if len(widths) == 1 else f"{len(rows)} uneven rows of"
    raise HushError(f"holds {shape} numbers, and not 3 for each of {count} volumes")


def texts(record: Record, count: int) -> dict[str, bytes]:
    """The files of gradients to write beside an image with `count` volumes, by their endings.

    The files that were read, byte for byte, if the record still has their numbers.
    """
    bvals, bvecs = (record.context.get(name) for name in ("bvals", "bvecs"))
    if bvals is None or np.size(bvals) != count or count < 2:
        return {}
    bvals = np.asarray(bvals, np.float64).reshape(-1)
    read: Gradients | None = record.meta.get("gradients")
    made = {".bval": (_line(bvals) + "\n").encode()}
    if bvecs is not None and np.shape(bvecs) == (count, 3):
        lines = [_line(row) for row in np.asarray(bvecs, np.float64).T]
        made[".bvec"] = "".join(f"{line}\n" for line in lines).encode()
    if read is not None:
        pairs = {".bval": (read.bvals, bvals), ".bvec": (read.bvecs, bvecs)}
        for ending, (old, new) in pairs.items():
            if old is not None and new is not None and np.array_equal(old, new, equal_nan=True):
                made[ending] = read.files[ending]
    return made


def _line(numbers: np.ndarray) -> str:
    return " ".join(f"{x:.10g}" for x in numbers.tolist())


# -- directions in space -----------------------------------------------------------------------


def from_space(directions: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Directions ``(C, 3)`` along right, anterior and superior as those of a ``.bvec`` file."""
    axes = _axes(affine)
    made: np.ndarray = np.linalg.solve(axes, np.asarray(directions, np.float64).T).T
    return made


def to_space(directions: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Directions ``(C, 3)`` of a ``.bvec`` file along right, anterior and superior."""
    made: np.ndarray = np.asarray(directions, np.float64) @ _axes(affine).T
    return made


def _axes(affine: np.ndarray) -> np.ndarray:
    """The axes of the image in space as columns, the first as FSL has it."""
    matrix = np.asarray(affine, np.float64)[:3, :3]
    axes: np.ndarray = matrix / np.linalg.norm(matrix, axis=0)
    if np.linalg.det(matrix) > 0:
        axes = axes * [-1, 1, 1]
    return axes
