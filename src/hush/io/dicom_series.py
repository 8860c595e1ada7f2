"""DICOM series: a folder of files that each hold one slice, as one volume.

A folder is a series if two or more of its own files, whatever their names, are slices of one series
with a position in the patient; folders in it do not count. Slices of unlike orientation, size,
spacing or type are never stacked: if there are several volumes, ``--series`` chooses one. With
``--kind image`` every file stays an image of its own.

The result is a folder of files with the same names and elements, derived images of one new series.
Slices of unlike slope or intercept are read in real units and written back by their own pair, so
unchanged values keep their stored integers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from hush.errors import HushError
from hush.io import dicom, dicom_slices
from hush.io.dicom_frames import outside
from hush.io.dicom_slices import Slice
from hush.io.place import reason
from hush.missing import Missing
from hush.record import Record


def is_series(folder: Path, kind: str | None) -> bool:
    """Whether a folder is one volume, or has to be: the user must say which of several it is."""
    if kind not in (None, "volume"):
        return False
    met: dict[str, Any] = {}
    for one in _slices(folder):
        if met.setdefault(one.series, one.copied) != one.copied or kind == "volume":
            return True
    return False


def may_be_slice(path: Path) -> bool:
    """Whether a file is a slice, by its header."""
    try:
        status = path.stat()
        return _header(path, status.st_mtime_ns, status.st_size) is not None
    except OSError:
        return False  # reading it raises the error


def is_whole(folder: Path, names: AbstractSet[str]) -> bool | None:
    """Whether these files are all slices of a folder that is one volume; None if no two of them are
    of one series."""
    every = list(_slices(folder))
    held = [one for one in every if one.name in names]
    series = [one.series for one in held]
    if not is_series(folder, None) or len(set(series)) == len(series):
        return None
    try:
        return len(held) == len(every) == len(_chosen(every, None))
    except HushError:  # several volumes: reading the folder says which
        return False


def read(folder: Path, series: str | None = None) -> Record:
    """The volume, axes ZYX, or series of volumes, axes CZYX, in a folder.

    series : the one to read, as its number, identifier or description; ``/coronal`` after it
    chooses an orientation.

    ``meta["slices"]`` says which file each slice is from; headers are read again on writing.

    Raises
    ------
    HushError
        If several volumes could be meant, slices form none, or a file is damaged.
    """
    every = sorted(_slices(folder), key=lambda s: (len(s.number), s.number, s.series, s.order))
    group = _chosen(every, series)
    first = dicom.opened(folder / group[0].name, pixels=False)
    stack = dicom_slices.stacked(group, first.get("Modality") != "CT")
    planes: np.ndarray | None = None
    missing: dict[Missing, None] = {}
    for i, one in enumerate(stack.slices):
        try:
            dataset = dicom.opened(folder / one.name)
            plane = dicom.pixels(dataset)
        except HushError as error:
            raise HushError(f"its file {one.name} {error}") from error
        except MemoryError:
            raise
        except Exception as error:  # on damaged files decoders raise almost any class
            raise HushError(
                f"its file {one.name} is damaged or unsupported: {reason(error)}"
            ) from error
        if planes is None:
            planes = np.empty((len(stack.slices), *plane.shape), plane.dtype)
        planes[i] = plane
        missing |= dict.fromkeys(dicom.padding(dataset))
    assert planes is not None
    stored, full = planes.dtype, max(s.full for s in stack.slices)
    marks, mask = tuple(missing), None
    if stack.scaled:
        marks, mask = (), outside(planes, marks)
        planes = dicom_slices.to_real(planes, stack.slices)
        full = dicom_slices.full_real(stack.slices)
    data, axes = planes, "ZYX"
    if stack.count > 1:
        data, axes = planes.reshape(stack.count, -1, *planes.shape[1:]), "CZYX"
        mask = None if mask is None else mask.reshape(data.shape)
    notes = list(stack.notes)
    if out := len(every) - len(group):
        what = "1 slice is" if out == 1 else f"{out} slices are"
        notes.append(f"{what} of another series or orientation and not in the result.")
    meta: dict[str, Any] = {"slices": stack.slices, "stored": stored, "scaled": stack.scaled}
    meta |= {"folder": folder.resolve(), "layout": (data.shape, data.dtype), "notes": notes}
    y, x = group[0].spacing
    if x > 0 and y > 0:
        meta["resolution"] = (1000 / x, 1000 / y)
    return Record(data, axes, "volume", meta, None, full, mask, stack.context, missing=marks)


def files(record: Record, path: Path) -> Sequence[Path]:
    """The files of a result in the folder `path`, named as those that were read."""
    return [path / s.name for s in record.meta.get("slices", ())]


def check(record: Record) -> None:
    """Raise HushError unless the record is a volume from a folder and has its dtype and shape."""
    if "slices" not in record.meta or "folder" not in record.meta:
        raise HushError(
            "only volumes read from a folder of DICOM files can be written as one; write .npy"
        )
    shape, dtype = record.meta["layout"]
    if (record.data.shape, record.data.dtype) != (shape, dtype):
        raise HushError(
            f"the DICOM files that were read hold a volume of {dtype} of shape {shape}, not "
            f"{record.data.dtype} of {record.data.shape}; write a .npy file"
        )
    nameless = next((s for s in record.meta["slices"] if not s.instance), None)
    if nameless is not None:
        raise HushError(f"the file {nameless.name} has no identifier; write a .npy file")


def write(record: Record, path: Path) -> None:
    """Write every file that was read with new pixels into the folder `path`; see `dicom.save`."""
    slices: Sequence[Slice] = record.meta["slices"]
    planes = record.data.reshape(-1, *record.data.shape[-2:])
    for plane, one in zip(planes, slices, strict=True):
        dataset = dicom.opened(record.meta["folder"] / one.name)
        dtype = record.meta["stored"]
        values = dicom_slices.to_stored(plane, one, dtype) if record.meta["scaled"] else plane
        dicom.save(dataset, values, path / one.name)


def _slices(folder: Path) -> Iterator[Slice]:
    """What the folder's own DICOM files say about their slices, in the order of the names."""
    for path in sorted(folder.iterdir(), key=lambda p: p.name):
        if path.name.startswith("."):
            continue
        try:
            status = path.stat()
            one = _header(path, status.st_mtime_ns, status.st_size)
        except OSError:  # reading the folder's files one by one raises the error
            continue
        if one is not None:
            yield one


@lru_cache(2**16)
def _header(path: Path, changed: int, size: int) -> Slice | None:
    """The slice in a file, by its header; None for anything else.

    changed, size : of the file; the same one is asked for several times.
    """
    if not path.is_file():
        return None
    with path.open("rb") as stream:
        if not dicom.begins(stream.read(256), path):
            return None
    try:
        dataset = dicom.opened(path, pixels=False)
        return dicom_slices.of_file(dataset, 0, path.name)
    except Exception:  # not a slice; as an image, reading it says why
        return None


def _chosen(every: Sequence[Slice], series: str | None) -> list[Slice]:
    """The slices of the volume that is meant; `HushError` with a list if that is not clear."""
    found = dicom_slices.groups(every)
    numbers = {s.number: {t.series for t in every if t.number == s.number} for s in every}
    uids = sorted({s.series for s in every})

    def bases(group: list[Slice]) -> list[str]:
        """Names of a series, the one to show first."""
        first = group[0]
        shown = first.number if len(numbers[first.number]) == 1 else _ending(first.series, uids)
        return [x for x in (shown or first.series, first.number, first.series, first.text) if x]

    def names(group: list[Slice]) -> list[str]:
        beside = [g for g in found if g[0].series == group[0].series and _solid(g)]
        alike = [g for g in beside if g[0].facing == group[0].facing]
        endings = [""] if len(beside) < 2 else [f"/{group[0].facing}"]
        if len(alike) > 1:
            endings = [f"/{group[0].facing}/{1 + alike.index(group)}"] if group in alike else []
        return [f"{base}{ending}" for ending in endings for base in bases(group)]

    meant = found
    if series is not None:
        wanted = series.strip().lower()
        meant = [g for g in found if wanted in {x.lower() for x in names(g)}]
        meant = meant or [g for g in found if g[0].series.endswith(f".{wanted}")]
        meant = meant or [g for g in found if wanted in {x.lower() for x in bases(g)}]
    volumes = [g for g in meant if _solid(g)]
    if len({g[0].series for g in meant}) == 1 and len(volumes) == 1:
        return volumes[0]
    if len(meant) == 1 and (series is not None or len(found) == 1):
        return meant[0]
    listed = "; ".join(_listed(uid, found, names) for uid in dict.fromkeys(s.series for s in every))
    count = f"{len(uids)} series" if len(uids) > 1 else "one series of unlike slices"
    image = "--kind image denoises every file by itself"
    if not meant:
        known = ", ".join(dict.fromkeys(x for g in found for x in names(g)[:1]))
        raise HushError(f"holds no series '{series}'; choose from {known}")
    if not volumes:
        if series is None:
            raise HushError(
                f"holds {count} ({listed}), none with two parallel slices of one size; choose one "
                f"with --series, or {image}"
            )
        raise HushError(
            f"its series {series} is no volume, because its slices are not parallel or not of one "
            f"size; {image}"
        )
    raise HushError(f"holds {count} ({listed}); choose one with --series, or {image}")


def _solid(group: Sequence[Slice]) -> bool:
    """Whether slices are a volume or a series: more than one."""
    return len(group) > 1


def _listed(uid: str, found: Sequence[list[Slice]], names: Any) -> str:
    """A series in words: its name for --series, description, slices and orientations."""
    own = [g for g in found if g[0].series == uid]
    text = f" {own[0][0].text}" if own[0][0].text else ""
    stacks = [g for g in own if _solid(g)]
    if len(own) == 1:
        count = len(own[0])
        return f"{names(own[0])[0]}{text}: {count} {own[0][0].facing} slice{'s' * (count != 1)}"
    parts = [f"{names(g)[0]}{text}: {len(g)} {g[0].facing} slices" for g in stacks]
    if single := [g[0] for g in own if not _solid(g)]:
        facing = ", ".join(dict.fromkeys(s.facing for s in single))
        many = f"{len(single)} slices" if len(single) > 1 else "1 slice"
        name = "" if stacks else f"{names([*single])[0]}{text}: "
        parts.append(f"{name}{many} of {'unlike ' * (len(single) > 1)}orientation ({facing})")
    return ", ".join(parts)


def _ending(uid: str, uids: Sequence[str]) -> str:
    """The shortest ending of an identifier, after a dot, that no other one has."""
    parts = uid.split(".")
    for i in range(1, len(parts)):
        ending = ".".join(parts[-i:])
        if sum(u == ending or u.endswith(f".{ending}") for u in uids) == 1:
            return ending
    return uid
