"""Medical images for DiffDenoise's tables: where they are, and what is trained on or tested.

Two layouts are known. *Releases* such as fastMRI, M4Raw and the SIIM chest X-rays come as folders
named after their parts, ``*train*`` beside ``*val*`` or ``*test*``, of ``.h5`` or ``.dcm`` files.
*Stand-ins* come without parts: series of ``.dcm`` slices of one subject and repeats of one
scan are cut into blocks of slices, X-rays ``SUBJECT_NUMBER.png`` by subjects.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path

import numpy as np

from hush.studies.folders import image_files, read_images
from hush.studies.images import centre_crop, frozen_noise
from hush.studies.sample import Sample

#: The paper tests on as many images; of larger training sets the first are taken.
TEST_MOST, TRAIN_MOST = 200, 1000
#: Every so many subjects, one is for the test.
EVERY_SUBJECT = 5
#: Slices of the block that real noise is tested on.
REAL_TEST = 8
#: Words in names that tell what is shown.
KINDS = {"brain": ("brain",), "knee": ("knee",), "chest": ("chest", "cxr", "covid", "siim")}

_RELEASED = (".h5", ".dcm")
_REPEAT = re.compile(r"(?P<subject>.*?)_?(?P<contrast>FLAIR|T1|T2)(?P<repeat>\d\d)", re.IGNORECASE)


@dataclass(frozen=True)
class Plane:
    """One image: plane `index` of a file. name : what its noise is seeded with."""

    path: Path
    index: int
    name: str


@dataclass(frozen=True)
class Images:
    """Clean images of one kind, to train on and to test on; no subject or slice is in both.

    kind : brain, knee or chest; label : the kind, and the series where it matters.
    source : the folder's name.
    """

    kind: str
    label: str
    source: str
    train: Sequence[Plane]
    test: Sequence[Plane]


@dataclass(frozen=True)
class Scan:
    """Repeats of one scan, the first of which is the noisy one: files, or folders of slices."""

    name: str
    contrast: str
    repeats: Sequence[Path]


@dataclass(frozen=True)
class Repeats:
    """Repeated scans of one contrast. train, test : scans and the slices taken of each."""

    contrast: str
    source: str
    train: Sequence[tuple[Scan, Sequence[int]]]
    test: Sequence[tuple[Scan, Sequence[int]]]


# -- reading ---------------------------------------------------------------------------------


@lru_cache(maxsize=2)  # planes are asked for one by one, in the order of their files
def read_planes(path: Path) -> Sequence[np.ndarray]:
    """Every plane ``(H, W)`` of a file, or of the files in a folder, in any units."""
    if path.is_dir():
        return [plane for file in image_files(path) for plane in read_planes(file)]
    return [image[0] for image in read_images(path)]


def normalised(x: np.ndarray) -> np.ndarray:
    """`x` linearly from its least and greatest value to 0 and 1, float32."""
    low, high = float(x.min()), float(x.max())
    return ((x - low) / ((high - low) or 1.0)).astype(np.float32)


def noisy_planes(planes: Sequence[Plane], spec: str, side: int, seed: int) -> Iterator[Sample]:
    """The middle `side` × `side` pixels of each plane, 0 to 1, under frozen noise."""
    for plane in planes:
        clean = centre_crop(normalised(read_planes(plane.path)[plane.index])[None], side)
        noisy, process = frozen_noise(clean, spec, plane.name, seed)
        yield Sample(plane.name, noisy, clean, process)


def repeated_slices(
    scans: Sequence[tuple[Scan, Sequence[int]]], side: int, seed: int
) -> Iterator[Sample]:
    """The first repeat against the mean of the others, whatever the seed.

    All repeats are scaled alike, by the first one's least and greatest value in the volume.
    """
    for scan, slices in scans:
        volumes = [np.stack(read_planes(p)).astype(np.float32) for p in scan.repeats]
        low, high = volumes[0].min(), volumes[0].max()
        noisy, *others = ((v - low) / ((high - low) or 1.0) for v in volumes)
        reference = np.stack(others).mean(0)
        for index in slices:
            pair = (centre_crop(v[index][None], side) for v in (noisy, reference))
            yield Sample(f"{scan.name}[{index}]", *pair)


# -- splits ----------------------------------------------------------------------------------


def blocks(count: int, test: int, gap: int = 1) -> tuple[list[int], list[int]]:
    """Slices to train on and to test on: a block in the middle, `gap` slices unused beside it."""
    first = (count - test) // 2
    train = [i for i in range(count) if not first - gap <= i < first + test + gap]
    return train, list(range(first, first + test))


def by_subject(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Files ``SUBJECT_NUMBER`` to train on and to test on: one image of every fifth subject."""
    subjects: dict[str, list[Path]] = {}
    for path in files:
        subjects.setdefault(path.stem.rpartition("_")[0] or path.stem, []).append(path)
    groups = list(subjects.values())
    tested = groups[::EVERY_SUBJECT]
    return [p for group in groups if group not in tested for p in group], [g[0] for g in tested]


# -- layouts ---------------------------------------------------------------------------------


def find_images(data: Path, only: str | None = None) -> list[Images]:
    """Sets of clean images under a folder, of the kinds that the paper has."""
    found = [images for folder in _candidates(data, only) if (images := _images(folder))]
    return sorted(found, key=lambda images: list(KINDS).index(images.kind))


def find_repeats(data: Path, only: str | None = None) -> list[Repeats]:
    """Repeated scans under a folder, by contrast."""
    return [r for folder in _candidates(data, only) for r in _repeats(folder)]


def _candidates(data: Path, only: str | None) -> list[Path]:
    """The folder itself, what is in it, and what is in its ``images`` and ``volumes``."""
    inside = [p for f in (data, data / "images", data / "volumes") for p in _folders(f)]
    return [p for p in (data, *inside) if only is None or fnmatch(p.name, only)]


def _images(folder: Path) -> Images | None:
    if parts := _parts(folder):
        files = [_files(part) for part in parts]
        kind = _kind(folder.name, files[0][0]) or ("knee" if files[0][0].suffix == ".h5" else "")
        if not kind or _REPEAT.fullmatch(files[0][0].stem):
            return None
        if kind == "brain":  # the paper's contrast, where files name theirs
            files = [[f for f in part if "T2" in f.name] or part for part in files]
        train, test = (
            _planes(folder, part, most)
            for part, most in zip(files, (TRAIN_MOST, TEST_MOST), strict=True)
        )
        return Images(kind, kind, folder.name, train, test)
    series = [s for s in (folder, *_folders(folder)) if any(s.glob("*.dcm"))]
    if series and (kind := _kind(folder.name, series[0])):
        halves: tuple[list[Plane], list[Plane]] = ([], [])
        for one in series:
            slices = sorted(one.glob("*.dcm"))
            for half, taken in zip(halves, blocks(len(slices), len(slices) // 3), strict=True):
                half += _planes(folder, [slices[i] for i in taken])
        label = "-".join([kind, *(s.name.lower() for s in series if s != folder)])
        return Images(kind, label, folder.name, *halves)
    if _kind(folder.name) == "chest" and (files_here := image_files(folder)):
        train_files, test_files = by_subject(files_here)
        halves = _planes(folder, train_files), _planes(folder, test_files)
        return Images("chest", "chest", folder.name, *halves)
    return None


def _repeats(folder: Path) -> Iterator[Repeats]:
    parts = _parts(folder)
    found = [_scans(_files(part)) for part in parts] if parts else [_scans(_folders(folder))] * 2
    for contrast in dict.fromkeys(scan.contrast for scan in found[0]):
        halves = [
            _taken([s for s in scans if s.contrast == contrast], most, None if parts else half)
            for half, (scans, most) in enumerate(zip(found, (TRAIN_MOST, TEST_MOST), strict=True))
        ]
        yield Repeats(contrast, folder.name, *halves)


def _taken(scans: Sequence[Scan], most: int, half: int | None) -> list[tuple[Scan, Sequence[int]]]:
    """The first slices of these scans; of a scan that is cut in blocks, those of one half."""
    taken: list[tuple[Scan, Sequence[int]]] = []
    for scan in scans:
        if most <= 0:
            break
        count = len(read_planes(scan.repeats[0]))
        slices = range(count) if half is None else blocks(count, REAL_TEST, gap=0)[half]
        taken.append((scan, slices[:most]))
        most -= len(slices)
    return taken


def _scans(paths: Sequence[Path]) -> list[Scan]:
    """Scans of which there are several repeats, told by names such as ``…_T102``."""
    scans: dict[tuple[str, str], list[tuple[str, Path]]] = {}
    for path in paths:
        if match := _REPEAT.fullmatch(path.stem):
            key = match["subject"], match["contrast"].upper()
            scans.setdefault(key, []).append((match["repeat"], path))
    return [
        Scan("_".join(filter(None, key)), key[1], [path for _, path in sorted(repeats)])
        for key, repeats in scans.items()
        if len(repeats) > 1
    ]


def _parts(folder: Path) -> tuple[Path, Path] | None:
    """A release's folders of training and of test data."""
    named = {
        word: [p for p in _folders(folder) if word in p.name.lower() and _files(p)]
        for word in ("train", "val", "test")
    }
    test = named["val"] or named["test"]
    return (named["train"][0], test[0]) if named["train"] and test else None


def _files(part: Path) -> list[Path]:
    return sorted(p for p in part.rglob("*") if p.suffix.lower() in _RELEASED)


def _planes(folder: Path, files: Sequence[Path], most: int | None = None) -> list[Plane]:
    """The first planes of these files; slices of a ``.h5`` each are one, other files are one."""
    planes: list[Plane] = []
    for path in files:
        count = len(read_planes(path)) if path.suffix.lower() == ".h5" else 1
        name = str(path.relative_to(folder))
        planes += [Plane(path, i, f"{name}[{i}]" if count > 1 else name) for i in range(count)]
        if most and len(planes) >= most:
            break
    return planes[:most]


def _kind(*names: str | Path) -> str:
    text = " ".join(n if isinstance(n, str) else n.name for n in names).lower()
    return next((kind for kind, words in KINDS.items() if any(w in text for w in words)), "")


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
