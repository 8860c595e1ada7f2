"""MRI for the study mid/mri: diffusion series and repeated scans, found by what a folder holds.

A series is a 4-D NIfTI file with b-values and directions beside it, found as `hush.io.gradients`
does. A file with ``mask`` in its name is the brain mask of the series beside it. Repeated scans are
those of `hush.studies.medical`, and the volumes at b = 0 of a series with three or more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from hush import kinds
from hush.errors import HushError, missing_package
from hush.io import read
from hush.kinds.volume.series import Series
from hush.record import Record
from hush.studies.core import Note, ignore
from hush.studies.medical import Scan as Repeated
from hush.studies.medical import read_planes

SUFFIXES = (".nii", ".nii.gz")
QUICK_SLICES = 16  #: in the middle of a volume with more
SILENT = 0.25  #: of the brightest volume at b = 0: below it another one holds noise only
NEIGHBOURS = 3  #: slices, from which on those of a volume are neighbours


@dataclass(frozen=True)
class Source:
    """A series' file. name : the folder's, with the file's if the folder has several; slices : how
    many; mask : the file with the brain mask, if there is one."""

    name: str
    path: Path
    slices: int
    mask: Path | None = None


@dataclass(frozen=True, eq=False)
class Scan:
    """A series, or a part of its slices. record : axes CZYX; mask : of the brain, if given."""

    name: str
    record: Record
    mask: np.ndarray | None = None

    @cached_property
    def series(self) -> Series:
        """Its volumes by their diffusion weighting."""
        return Series.of(len(self.record.data), self.record.context)

    @property
    def adjacent(self) -> bool:
        """Whether its slices are neighbours."""
        known = self.record.context.get("adjacent")
        return self.record.data.shape[1] >= NEIGHBOURS if known is None else bool(known)

    @property
    def zero(self) -> float:
        """The stored value that means no signal."""
        return float(self.record.context.get("zero", 0.0))

    def values(self, volumes: Sequence[int]) -> np.ndarray:
        """The values of some volumes, float32, 0 where there is no signal."""
        return real_values(self.record.data[list(volumes)], self.zero)

    @cached_property
    def silent(self) -> frozenset[int]:
        """The volumes without signal: constant ones, and those at b = 0 that are noise only."""
        tops = np.array([np.percentile(self.values([i]), 98) for i in range(self.series.count)])
        flat = [i for i, volume in enumerate(self.record.data) if volume.min() == volume.max()]
        weak = np.flatnonzero(self.series.unweighted)
        most = np.max(tops[weak], initial=0.0)
        return frozenset([*flat, *weak[tops[weak] < SILENT * most].tolist()])

    @property
    def weak(self) -> tuple[int, ...]:
        """The volumes at b = 0 with signal."""
        every = np.flatnonzero(self.series.unweighted).tolist()
        return tuple(i for i in every if i not in self.silent)

    @property
    def shells(self) -> list[tuple[int, ...]]:
        """The volumes of each weighted shell, those with signal."""
        weighted = [s for s in self.series.shells if not self.series.unweighted[s[0]]]
        return [tuple(i for i in shell if i not in self.silent) for shell in weighted]

    def take(self, volumes: Sequence[int]) -> Record:
        """Some volumes as a record of their own."""
        return taken(self.record, volumes)


def real_values(stored: np.ndarray, zero: float) -> np.ndarray:
    """Stored values as float32 with 0 where there is no signal, and where they are not finite."""
    values = stored.astype(np.float32) - np.float32(zero)
    return np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0)


def taken(record: Record, volumes: Sequence[int]) -> Record:
    """Some volumes of a series with axes CZYX, and what the context says about each of them."""
    context = {
        key: np.asarray(value)[list(volumes)] if key in ("bvals", "bvecs") else value
        for key, value in record.context.items()
    }
    return record.with_data(record.data[list(volumes)], context=context)


# -- finding -----------------------------------------------------------------------------------


def find_series(data: Path, only: str | None = None, note: Note = ignore) -> list[Source]:
    """The diffusion series in a folder and two levels of folders in it, by name.

    only : a pattern for the name of the folder with the file. note : gets why files of several
    volumes are left out.
    """
    if not data.is_dir():
        raise HushError(f"{data} is not a folder; give --data the folder with the study's data")
    found: dict[Path, list[Path]] = {}
    for depth in ("*", "*/*", "*/*/*"):
        for path in sorted(data.glob(depth)):
            if path.name.endswith(SUFFIXES) and path.is_file():
                found.setdefault(path.parent, []).append(path)
    sources = []
    for folder, files in found.items():
        if only is not None and not fnmatch(folder.name, only):
            continue
        masks = [path for path in files if "mask" in path.name.lower()]
        shapes = {path: _shape(path) for path in files if path not in masks}
        series = [path for path, shape in shapes.items() if _has_gradients(path, shape, note)]
        for path in series:
            mask = next((m for m in masks if m.name.startswith(_stem(path))), None)
            if mask is None and len(series) == len(masks) == 1:
                mask = masks[0]
            name = folder.name if len(series) == 1 else f"{folder.name}/{_stem(path)}"
            sources.append(Source(name, path, shapes[path][2], mask))
    return sources


def _has_gradients(path: Path, shape: tuple[int, ...], note: Note) -> bool:
    """Whether a file is a series with b-values and directions beside it; if not, `note` gets why,
    if it has several volumes."""
    from hush.io import gradients

    if len(shape) != 4:
        return False
    table = gradients.find(path, _stem(path), shape[3])
    if table.bvals is not None and table.bvecs is not None:
        return True
    why = " ".join(table.notes) or "no b-values and directions beside it fit its volumes"
    note(f"{path.parent.name}/{path.name} is left out: {why.removesuffix('.')}")
    return False


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".nii")


def _shape(path: Path) -> tuple[int, ...]:
    """The shape of a NIfTI file; nothing if it is none."""
    try:
        import nibabel
    except ImportError as error:
        raise missing_package(
            "nibabel", "medical", what=f"{path} is a NIfTI file, which"
        ) from error
    try:
        return tuple(getattr(nibabel.load(path), "shape", ()))
    except (nibabel.filebasedimages.ImageFileError, OSError, EOFError):
        return ()


# -- reading -----------------------------------------------------------------------------------


@lru_cache(maxsize=4)  # of every series a study uses several shells, one after another
def read_scan(source: Source, slices: tuple[int, int] | None, side: int | None) -> Scan:
    """A series, of some slices.

    side : resize slices to `side` × `side` and scale the series to −1 to 1, as papers do.
    """
    record = read(source.path)
    batch = kinds.to_batch(record)
    if len(batch) != 1:
        raise HushError(f"{source.path} holds {len(batch)} series; give each in a file of its own")
    data = np.asarray(batch.data[0])
    mask = None if source.mask is None else read_mask(source.mask, data.shape[1:])
    if slices is not None:
        first, last = slices
        if not 0 <= first < last <= data.shape[1]:
            raise HushError(f"{source.name} has slices 0:{data.shape[1]}, not {first}:{last}")
        data = data[:, first:last]
        mask = None if mask is None else mask[first:last]
    record = replace(record, data=np.ascontiguousarray(data), axes="CZYX", mask=None)
    if side is not None:
        record, mask = resized(record, side), None if mask is None else _fit(mask, side)
    return Scan(source.name, record, mask)


def read_mask(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """A brain mask ``(Z, Y, X)``; None if it is of another shape."""
    batch = kinds.to_batch(read(path))
    mask: np.ndarray = batch.data[0][0] > 0
    return mask if mask.shape == shape else None


def resized(record: Record, side: int) -> Record:
    """A series with slices of `side` × `side`, scaled linearly to −1 to 1, float32."""
    low, high = float(record.data.min()), float(record.data.max())
    span = (high - low) or 1.0
    data = 2 * (_fit(record.data.astype(np.float32), side) - np.float32(low)) / np.float32(span) - 1
    context = dict(record.context)
    context["zero"] = 2 * (float(context.get("zero", 0.0)) - low) / span - 1
    rows, columns = record.data.shape[-2:]
    if "spacing" in context:
        z, y, x = context["spacing"]
        context["spacing"] = (z, y * rows / side, x * columns / side)
    return replace(record, data=data.astype(np.float32), full=1.0, context=context)


def _fit(x: np.ndarray, side: int) -> np.ndarray:
    """Planes ``(…, Y, X)`` on a grid of `side` × `side`: linear, a mask by its nearest voxels."""
    from skimage.transform import resize

    shape = (side, side)
    order, smooth = (0, False) if x.dtype.kind == "b" else (1, min(x.shape[-2:]) > side)
    planes = x.reshape(-1, *x.shape[-2:])
    made = [
        resize(p, shape, order=order, anti_aliasing=smooth, preserve_range=True) for p in planes
    ]
    return np.stack(made).reshape(*x.shape[:-2], *shape).astype(x.dtype)


def middle(source: Source) -> tuple[int, int] | None:
    """The slices of a quick run: 16 in the middle, from an even one; None for all."""
    first = (source.slices - QUICK_SLICES) // 2 // 2 * 2
    return (first, first + QUICK_SLICES) if source.slices > QUICK_SLICES else None


def read_repeats(scan: Repeated) -> tuple[Record, np.ndarray]:
    """The first repeat as a volume, and the mean of the others ``(1, Z, Y, X)``."""
    first, *others = (np.stack(read_planes(path)).astype(np.float32) for path in scan.repeats)
    return Record(first, "ZYX", kind="volume"), np.mean(others, axis=0)[None]
