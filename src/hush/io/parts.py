"""Which of several given files are one input: the files of a set, a header and its data, a series.

A pattern such as ``run1*`` matches every file of an image that is spread over several, and each of
them would be read as the whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hush.io import dicom_series, tiff_sets
from hush.io.codecs import named

_TIFF = (".tif", ".tiff", ".ome")
_TEXT = (".hea", ".nhdr", ".vhdr")  #: headers that name their files
_MOST = 2**20  #: bytes of a header
#: endings of files that belong to one of the same name, by its ending
_ALIKE = {
    **dict.fromkeys((".nii", ".nii.gz"), (".bval", ".bvec")),
    **dict.fromkeys((".hdr", ".hdr.gz"), (".img", ".img.gz", ".bval", ".bvec")),
}


@dataclass
class Inputs:
    """What to read of the files given.

    notes : sentences about files that are read together with others.
    """

    paths: list[str]
    notes: list[str] = field(default_factory=list)


def once(files: Sequence[str], kind: str | None = None, series: bool = True) -> Inputs:
    """The files to read, each input once, in the order given.

    The first file of a set stays, a header instead of its data, and the folder instead of all
    slices of a DICOM series. kind : of data, as the user stated it. series : whether slices become
    a folder.
    """
    made = Inputs(list(files))
    if len(files) < 2:
        return made
    places = {_place(Path(f)): f for f in files}
    left: dict[str, str] = {}  # with the one that they are read with
    for file in files:
        if file in left:
            continue
        held = [places[p] for p in map(_place, _together(Path(file), files)) if p in places]
        left |= {other: file for other in held if other != file and other not in left}
    heads: dict[str, list[str]] = {}
    for other, head in left.items():
        while head in left:  # a segment of a record, with its own data
            head = left[head]
        heads.setdefault(head, []).append(Path(other).name)
    made.notes += [
        f"{h}: read together with {_listed(names)}, as one" for h, names in heads.items()
    ]
    made.paths = [f for f in files if f not in left]
    return _as_series(made, kind) if series else made


def _place(path: Path) -> Path:
    return path.parent.resolve() / path.name


def _together(path: Path, files: Sequence[str]) -> Iterable[Path]:
    """The files that are read together with the one at `path`."""
    name = path.name.lower()
    if not path.is_file():
        return []
    if name.endswith(_TIFF):
        return tiff_sets.members(path)
    if name.endswith(_TEXT):
        named_there = _named_in(path)
        if name.endswith(".hea"):  # with annotations, and the headers of segments
            heads = [x.with_name(f"{x.name}.hea") for x in named_there]
            named_there += [y for x in heads if x.is_file() for y in [x, *_named_in(x)]]
            beside = (Path(f) for f in files if f.startswith(str(path)[:-3]))
            named_there += [x for x in beside if named(x) is None]
        return named_there
    ending = next((e for e in sorted(_ALIKE, key=len, reverse=True) if name.endswith(e)), "")
    stem = path.name[: len(path.name) - len(ending)]
    return [path.with_name(stem + other) for other in _ALIKE.get(ending, ())]


def _named_in(header: Path) -> list[Path]:
    """What may be names of files in a text header."""
    with header.open("rb") as stream:
        lines = stream.read(_MOST).decode("utf-8", "replace").splitlines()
    words = [word for line in lines for word in line.split()]
    words += [part.strip() for line in lines for part in re.split("[=:]", line)[1:]]
    return [
        header.with_name(x) for x in dict.fromkeys(words) if re.fullmatch(r"[^/\\\0]{1,255}", x)
    ]


def _as_series(made: Inputs, kind: str | None) -> Inputs:
    """The same with the folder in place of files that are all slices of one DICOM series."""
    if kind not in (None, "volume"):
        return made
    folders: dict[Path, list[str]] = {}
    for file in made.paths:
        if dicom_series.may_be_slice(path := Path(file)):
            folders.setdefault(path.parent, []).append(file)
    for folder, held in folders.items():
        if len(held) < 2:
            continue
        whole = dicom_series.is_whole(folder, {Path(f).name for f in held})
        if whole:
            where = made.paths.index(held[0])
            rest = set(held)
            made.paths = [
                *(f for f in made.paths[:where] if f not in rest),
                str(folder),
                *(f for f in made.paths[where:] if f not in rest),
            ]
            made.notes.append(
                f"{folder}: its {len(held)} files are slices of one series, read as a volume; "
                "--kind image takes each as an image"
            )
        elif whole is not None:
            made.notes.append(
                f"{folder}: {len(held)} of the files are slices of a series, each taken as an "
                "image; give the folder to read it as a volume"
            )
    return made


def _listed(names: Sequence[str]) -> str:
    return ", ".join([*names[:3], *[f"{len(names) - 3} more"] * (len(names) > 3)])
