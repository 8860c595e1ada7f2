"""Medical images for DiffDenoise's tables: find them and split them for training and testing.

Two layouts are supported. *Releases* such as fastMRI, M4Raw and the SIIM chest X-rays are folders
for each part, ``*train*`` beside ``*val*`` or ``*test*``, with ``.h5`` or ``.dcm`` files.
*Stand-ins* have no parts: series of ``.dcm`` slices of one subject and repeats of one scan are
split into blocks of slices, X-rays ``SUBJECT_NUMBER.png`` by subjects. Training data may also be in
a separate folder; then nothing is split.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path

import numpy as np

from hush.errors import HushError
from hush.studies.core import Note, ignore
from hush.studies.folders import image_files, keep_apart, marked, read_images
from hush.studies.frozen import centre_crop, frozen_noise
from hush.studies.sample import Sample

#: The paper's number of test images, and the most training images; the first ones are used.
TEST_MOST, TRAIN_MOST = 200, 1000
#: One in this many subjects is tested.
EVERY_SUBJECT = 5
#: Number of slices to test on real noise.
REAL_TEST = 8
#: Words in names that identify the content.
KINDS = {"brain": ("brain",), "knee": ("knee",), "chest": ("chest", "cxr", "covid", "siim")}

_RELEASED = (".h5", ".dcm")
_REPEAT = re.compile(r"(?P<subject>.*?)_?(?P<contrast>FLAIR|T1|T2)(?P<repeat>\d\d)", re.IGNORECASE)
_NAMED = re.compile(r"(?:(?P<subject>.*)_)?(?P<contrast>[A-Z]{2,})(?P<repeat>\d\d)", re.IGNORECASE)
#: words that number something else than repeats of a scan
_NUMBERED = {
    *("case", "day", "exam", "file", "frame", "im", "image", "img", "part", "pat", "patient"),
    *("scan", "ser", "series", "ses", "session", "set", "slice", "sub", "subj", "subject"),
    *("test", "train", "val", "visit", "vol", "volume"),
}


@dataclass(frozen=True)
class Plane:
    """One image: plane `index` of a file. name : seed of its noise."""

    path: Path
    index: int
    name: str


@dataclass(frozen=True)
class Images:
    """Clean images of one kind, to train on and to test on; no subject or slice is in both.

    kind : brain, knee or chest; label : the kind, and the series if needed.
    source : the folder's name; lessons : name of a separate training folder, with a checksum of
        its files.
    """

    kind: str
    label: str
    source: str
    train: Sequence[Plane]
    test: Sequence[Plane]
    lessons: str = ""


@dataclass(frozen=True)
class Scan:
    """Repeats of one scan, files or folders of slices; the first is the noisy one."""

    name: str
    contrast: str
    repeats: Sequence[Path]


@dataclass(frozen=True)
class Repeats:
    """Repeated scans of one contrast. train, test : scans and the slices used of each; lessons :
    name of a separate training folder, with a checksum of its files."""

    contrast: str
    source: str
    train: Sequence[tuple[Scan, Sequence[int]]]
    test: Sequence[tuple[Scan, Sequence[int]]]
    lessons: str = ""


# -- reading ---------------------------------------------------------------------------------


@lru_cache(maxsize=2)  # planes are read one by one, in the order of their files
def read_planes(path: Path) -> Sequence[np.ndarray]:
    """All planes ``(H, W)`` of a file, or of the files in a folder, in any units."""
    if path.is_dir():
        return [plane for file in image_files(path) for plane in read_planes(file)]
    return [image[0] for image in read_images(path)]


def normalised(x: np.ndarray) -> np.ndarray:
    """`x` scaled linearly so that its least value is 0 and its greatest 1, float32."""
    low, high = float(x.min()), float(x.max())
    return ((x - low) / ((high - low) or 1.0)).astype(np.float32)


def noisy_planes(planes: Sequence[Plane], spec: str, side: int, seed: int) -> Iterator[Sample]:
    """The middle `side` × `side` pixels of each plane, scaled to 0 to 1, with frozen noise."""
    for plane in planes:
        clean = centre_crop(normalised(read_planes(plane.path)[plane.index])[None], side)
        noisy, process = frozen_noise(clean, spec, plane.name, seed)
        yield Sample(plane.name, noisy, clean, process)


def repeated_slices(
    scans: Sequence[tuple[Scan, Sequence[int]]], side: int, seed: int
) -> Iterator[Sample]:
    """The first repeat, with the mean of the others as reference; the seed has no effect.

    All repeats are scaled in the same way, by the first one's least and greatest value.
    """
    for scan, slices in scans:
        volumes = [np.stack(read_planes(p)).astype(np.float32) for p in scan.repeats]
        low, high = volumes[0].min(), volumes[0].max()
        noisy, *others = ((v - low) / ((high - low) or 1.0) for v in volumes)
        reference = np.stack(others).mean(0)
        for index in slices:
            a, b = (centre_crop(v[index][None], side) for v in (noisy, reference))
            yield Sample(f"{scan.name}[{index}]", a, b)


# -- splits ----------------------------------------------------------------------------------


def blocks(count: int, test: int, gap: int = 1) -> tuple[list[int], list[int]]:
    """Training and test slices; the test block is in the middle, beside it `gap` unused slices."""
    first = (count - test) // 2
    train = [i for i in range(count) if not first - gap <= i < first + test + gap]
    return train, list(range(first, first + test))


def by_subject(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Training and test files ``SUBJECT_NUMBER``: one image of every fifth subject is tested."""
    subjects: dict[str, list[Path]] = {}
    for path in files:
        subjects.setdefault(path.stem.rpartition("_")[0] or path.stem, []).append(path)
    groups = list(subjects.values())
    tested = groups[::EVERY_SUBJECT]
    return [p for group in groups if group not in tested for p in group], [g[0] for g in tested]


# -- layouts ---------------------------------------------------------------------------------


def find_images(data: Path, only: str | None = None) -> list[Images]:
    """Sets of clean images in a folder, of the kinds in the paper, split for training and testing.

    A set that is too small to split is used for testing only.
    """
    found = []
    for folder in _candidates(data, only):
        if layout := _layout(folder):
            train, test = (
                _planes(folder, files, most if layout.released else None)
                for files, most in zip(layout.halves, (TRAIN_MOST, TEST_MOST), strict=True)
            )
            if not (train and test):
                train, test = [], _planes(folder, layout.every)
            found.append(Images(layout.kind, layout.label, folder.name, train, test))
    return _in_order(found)


def find_all_images(data: Path, only: str | None = None, most: int | None = None) -> list[Images]:
    """The same without a split: all for testing, or the first `most` images of each set. If the
    layout is unknown, all files are one set."""
    found = [(p, layout) for p in _candidates(data, only) if (layout := _layout(p))]
    if not found and (layout := _loose(data)):
        found = [(data, layout)]
    return _in_order(
        Images(layout.kind, layout.label, p.name, (), _planes(p, layout.every, most))
        for p, layout in found
    )


def learned_from(tested: Images, lessons: Sequence[Images]) -> Images:
    """The images `tested`, with the `lessons` of the same kind as training data.

    Raises `HushError` if a file would be used for both.
    """
    lessons = [images for images in lessons if images.kind == tested.kind]
    planes = [  # different names than test images: the name seeds the noise
        replace(plane, name=f"train/{images.source}/{plane.name}")
        for images in lessons
        for plane in images.test
    ][:TRAIN_MOST]
    keep_apart([p.path for p in planes], [p.path for p in tested.test])
    sources = "+".join(images.source for images in lessons)
    return replace(tested, train=planes, lessons=marked(sources, [p.path for p in planes]))


def find_repeats(data: Path, only: str | None = None, note: Note = ignore) -> list[Repeats]:
    """Repeated scans in a folder, by contrast, split for training and testing; short ones are
    used for testing only. `note` gets which are left out."""
    found, every = [], _candidates(data, None)
    for folder in _candidates(data, only):
        parts = _parts(folder)
        halves = (
            [_scans(_files(p)) for p in parts]
            if parts
            else [_scans_in(folder, every, direct=False)] * 2
        )
        for contrast in dict.fromkeys(scan.contrast for scan in halves[0]):
            train, test = (
                _taken(
                    [s for s in scans if s.contrast == contrast],
                    most,
                    None if parts else half,
                    note if parts or half else ignore,  # halves are of the same scans
                )
                for half, (scans, most) in enumerate(
                    zip(halves, (TRAIN_MOST, TEST_MOST), strict=True)
                )
            )
            found.append(Repeats(contrast, folder.name, train, test))
    return found


def find_all_repeats(data: Path, only: str | None = None, note: Note = ignore) -> list[Repeats]:
    """The same without a split: all for testing."""
    found, every = [], _candidates(data, None)
    for folder in _candidates(data, only):
        if parts := _parts(folder):
            scans = _scans([f for part in parts for f in _files(part)])
        else:
            scans = _scans_in(folder, every, direct=True)
        for contrast in dict.fromkeys(scan.contrast for scan in scans):
            if test := _taken([s for s in scans if s.contrast == contrast], note=note):
                found.append(Repeats(contrast, folder.name, (), test))
    return found


def repeats_learned_from(tested: Repeats, lessons: Sequence[Repeats]) -> Repeats:
    """The repeats `tested`, with the `lessons` of the same contrast as training data.

    Raises `HushError` if a file would be used for both.
    """
    lessons = [repeats for repeats in lessons if repeats.contrast == tested.contrast]
    scans = [scan for repeats in lessons for scan, _ in repeats.test]
    keep_apart(
        [p for scan in scans for p in scan.repeats],
        [p for scan, _ in tested.test for p in scan.repeats],
    )
    sources = "+".join(repeats.source for repeats in lessons)
    named = marked(sources, [p for scan in scans for p in scan.repeats])
    return replace(tested, train=_taken(scans, TRAIN_MOST), lessons=named)


def half_released(data: Path, only: str | None = None) -> list[Path]:
    """Folders of training data without test data beside them."""
    return [p for f in _candidates(data, only) for p in _named(f, "train") if not _parts(f)]


def _in_order(found: Iterable[Images]) -> list[Images]:
    return sorted(found, key=lambda images: list(KINDS).index(images.kind))


def _candidates(data: Path, only: str | None) -> list[Path]:
    """The folder, its subfolders, and those of its ``images`` and ``volumes``; parts of a release
    are not listed separately."""
    inside = [p for f in (data, data / "images", data / "volumes") for p in _folders(f)]
    found = [p for p in (data, *inside) if only is None or fnmatch(p.name, only)]
    parts = {part for p in found for part in _parts(p) or ()}
    return [p for p in found if p not in parts]


@dataclass(frozen=True)
class _Layout:
    """The layout of a folder: training and test files, and all files.

    released : the data come with a split, of which the first images are used.
    """

    kind: str
    label: str
    halves: tuple[Sequence[Path], Sequence[Path]]
    every: Sequence[Path]
    released: bool = False


def _layout(folder: Path) -> _Layout | None:
    if parts := _parts(folder):
        train, test = (_files(part) for part in parts)
        kind = _kind(folder.name, train[0]) or ("knee" if train[0].suffix == ".h5" else "")
        if not kind or _repeat(train[0]):
            return None
        train, test = _of_contrast(kind, train), _of_contrast(kind, test)
        return _Layout(kind, kind, (train, test), [*train, *test], released=True)
    series = [s for s in (folder, *_folders(folder)) if any(s.glob("*.dcm"))]
    if series and (kind := _kind(folder.name, series[0])):
        every: list[Path] = []
        halves: tuple[list[Path], list[Path]] = ([], [])
        for one in series:
            slices = sorted(one.glob("*.dcm"))
            every += slices
            for half, taken in zip(halves, blocks(len(slices), len(slices) // 3), strict=True):
                half += [slices[i] for i in taken]
        label = "-".join([kind, *(s.name.lower() for s in series if s != folder)])
        return _Layout(kind, label, halves, every)
    if _kind(folder.name) == "chest" and (files := image_files(folder)):
        return _Layout("chest", "chest", by_subject(files), files)
    return None


def _loose(folder: Path) -> _Layout | None:
    """A single part of a release: its files, at any depth in the folder."""
    files = _files(folder)
    if not files or _repeat(files[0]):
        return None
    kind = _kind(folder.name, folder.absolute().parent.name, files[0])
    if not kind and files[0].suffix == ".h5" and files[0].parent == folder:
        kind = "knee"
    files = _of_contrast(kind, files)
    return _Layout(kind, kind, (files, ()), files) if kind else None


def _of_contrast(kind: str, files: list[Path]) -> list[Path]:
    """For brains, the files named after the paper's contrast, if any; otherwise all files."""
    return [f for f in files if kind == "brain" and "T2" in f.name] or files


def _taken(
    scans: Sequence[Scan],
    most: int | None = None,
    half: int | None = None,
    note: Note = ignore,
) -> list[tuple[Scan, Sequence[int]]]:
    """The first slices of these scans; with `half`, those of one half of each scan's blocks."""
    taken: list[tuple[Scan, Sequence[int]]] = []
    left = most
    for scan in scans:
        if left is not None and left <= 0:
            break
        try:
            count = _slices(scan)
        except HushError as error:
            note(f"{scan.repeats[0].parent.name}/{scan.name} is left out: {error}")
            continue
        slices: Sequence[int] = range(count)
        if half is not None:
            cut = blocks(count, REAL_TEST, gap=0) if count > REAL_TEST else ([], slices)
            slices = cut[half]
        if slices:
            taken.append((scan, slices[:left]))
        left = None if left is None else left - len(slices)
    return taken


def _slices(scan: Scan) -> int:
    """How many slices a scan has; `HushError` unless they are alike in all of its repeats."""
    first, *others = ([plane.shape for plane in read_planes(p)] for p in scan.repeats)
    for path, shapes in zip(scan.repeats[1:], others, strict=True):
        if shapes != first:
            raise HushError(
                f"{path.name} has {_words(shapes)}, but {scan.repeats[0].name} {_words(first)}; "
                "repeats have as many slices of the same size"
            )
    if len(set(first)) > 1:
        raise HushError(f"its slices differ in size: {_words(first)}")
    return len(first)


def _words(shapes: Sequence[tuple[int, ...]]) -> str:
    """``6 slices of 40 × 48``."""
    sizes = " and ".join(" × ".join(map(str, s)) for s in dict.fromkeys(shapes))
    return f"{len(shapes)} slices of {sizes}" if shapes else "no slices"


def _repeat(path: Path) -> re.Match[str] | None:
    """What the name of a repeat says; None for other names. Slices in ``.dcm`` files are numbered
    too, so that theirs need a known contrast."""
    if match := _REPEAT.fullmatch(path.stem):
        return match
    match = None if path.suffix.lower() == ".dcm" else _NAMED.fullmatch(path.stem)
    return match if match and match["contrast"].lower() not in _NUMBERED else None


def _scans_in(folder: Path, others: Sequence[Path], direct: bool) -> list[Scan]:
    """The scans in a folder and in those of its subjects, which are none of the `others`; direct :
    repeats may be files too."""

    def within(place: Path) -> list[Scan]:
        return _scans([*_folders(place), *(_files(place, direct=True) if direct else ())])

    nested = [
        replace(scan, name=f"{subject.name}_{scan.name}")
        for subject in _folders(folder)
        if subject not in others and not _repeat(subject)
        for scan in within(subject)
    ]
    return within(folder) + nested


def _scans(paths: Sequence[Path]) -> list[Scan]:
    """Scans with several repeats, recognised by names such as ``…_T102`` or ``PD02``."""
    scans: dict[tuple[str, str], list[tuple[str, Path]]] = {}
    for path in paths:
        if match := _repeat(path):
            key = match["subject"] or "", match["contrast"].upper()
            scans.setdefault(key, []).append((match["repeat"], path))
    return [
        Scan("_".join(filter(None, key)), key[1], [path for _, path in sorted(repeats)])
        for key, repeats in scans.items()
        if len(repeats) > 1
    ]


def _parts(folder: Path) -> tuple[Path, Path] | None:
    """A release's folders with training and test data."""
    train, test = _named(folder, "train"), _named(folder, "val") or _named(folder, "test")
    return (train[0], test[0]) if train and test else None


def _named(folder: Path, word: str) -> list[Path]:
    """Subfolders with this word in their name that contain a release's files."""
    return [p for p in _folders(folder) if word in p.name.lower() and _files(p)]


def _files(part: Path, direct: bool = False) -> list[Path]:
    files = part.iterdir() if direct else part.rglob("*")
    return sorted(p for p in files if p.suffix.lower() in _RELEASED)


def _planes(folder: Path, files: Sequence[Path], most: int | None = None) -> list[Plane]:
    """The first planes of these files: each slice of a ``.h5`` file is one, other files are one."""
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
