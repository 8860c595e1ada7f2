"""Find plain image sets and noisy/clean pairs in a folder by its layout.

There is no list of data sets: any ``images/*/`` is a set, and files are pairs if their names differ
only by words such as raw and gt, noisy and clean, test and average, avg1 and avg400.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path
from zlib import crc32

import numpy as np

from hush.errors import HushError
from hush.kinds import to_batch
from hush.studies.core import Note, ignore

_NOISY = {"raw", "noisy", "noise", "input", "test", "low", "lq", "single", "real"}
_CLEAN = {
    *("gt", "groundtruth", "clean", "reference", "ref", "average", "avg", "mean"),
    *("target", "high", "hq"),
}
_FILLER = {"image", "images", "img", "imgs", "patch", "patches"}
_AVERAGE_OF = re.compile(r"avg(\d+)")


@dataclass(frozen=True)
class Pair:
    """Two files of one scene. key : words common to their paths; averaged : avgN, if named."""

    key: tuple[str, ...]
    noisy: Path
    clean: Path
    averaged: str = ""

    @property
    def name(self) -> str:
        return "_".join(self.key) or self.noisy.stem


def image_files(folder: Path, kind: str | None = None) -> list[Path]:
    """Files of images, or of another kind of data, directly in a folder, sorted by name.

    Files that are read together count once.
    """
    from hush.io import once, recognised

    files = (p for p in folder.iterdir() if not p.name.startswith("."))
    found = sorted(p for p in files if p.is_file() and recognised(p, kind))
    return [Path(p) for p in once([str(p) for p in found], series=False).paths]


def find_sets(data: Path, only: str | None = None) -> list[Path]:
    """Folders of plain images: ``DIR/images/*/``, otherwise ``DIR/*/``, otherwise DIR itself."""
    base = _base(data)
    if _is_paired(base):
        return []
    children = [p for p in _folders(base) if image_files(p) and not find_pairs(p)]
    return _picked(children or [base] * bool(image_files(base)), only)


def find_paired_sets(data: Path, only: str | None = None) -> list[Path]:
    """Folders of pairs: DIR itself, otherwise ``DIR/images/*/``, otherwise ``DIR/*/``."""
    base = _base(data)
    if _is_paired(base):
        return _picked([base], only)
    return _picked([p for p in _folders(base) if find_pairs(p)], only)


def _is_paired(folder: Path) -> bool:
    """Whether pairs are of the folder itself, not of a subfolder that is a set of its own.

    They are if they lie in the folder or across its subfolders, as raw and gt do, or if every
    subfolder is a scene with one clean image.
    """
    pairs = find_pairs(folder)
    if any(p.noisy.parent == folder or p.noisy.parent != p.clean.parent for p in pairs):
        return True
    clean: dict[Path, set[Path]] = {}
    for pair in pairs:
        clean.setdefault(pair.clean.parent, set()).add(pair.clean)
    every = len(clean) > 1 and clean.keys() == set(_folders(folder))
    return every and all(len(of) == 1 for of in clean.values())


def find_pairs(folder: Path, note: Note = ignore) -> list[Pair]:
    """Pairs of a noisy and a clean image of one scene, in a folder and its direct subfolders.

    Files show the same scene if their paths agree except for words such as noisy or clean. Among
    ``avgN``, the file with the largest N is the clean one, all others are noisy. Where subfolders
    such as raw and gt say which is which, a file's name does not: ``raw/high_3`` is noisy. `note`
    gets what is called noisy, but has no single clean image.
    """
    files = [_File.of(p, folder) for p in image_files(folder)]
    files += [_File.of(p, folder) for f in _folders(folder) for p in image_files(f)]
    ranks = {file.folder for file in files if file.folder is not None}
    told = len(ranks) > 1  # one alone, such as a scene called "test", distinguishes nothing
    pairs: list[Pair] = []
    if told:
        # Names that are the same in both folders agree as they are.
        pairs = _matched([f for f in files if f.folder is not None], lambda f: f.whole, told)
    left = _unpaired(files, pairs)
    pairs += _matched(left, lambda f: f.rest, told)
    for file in _unpaired(left, pairs) if pairs else ():
        if file.rank(told) == 0:
            where = file.path.relative_to(folder)
            note(f"{folder.name}/{where} is left out: it needs a single clean image of its name")
    order = {file.path: i for i, file in enumerate(files)}
    first: dict[Path, int] = {}
    for pair in pairs:
        known = (order[pair.noisy], order[pair.clean])
        first[pair.clean] = min(first.get(pair.clean, len(files)), *known)
    return sorted(pairs, key=lambda pair: first[pair.clean])


@dataclass(frozen=True)
class _File:
    """A file and what its path says. folder, name : how clean it is by the words of its folder and
    of its name: 0 for noisy, N for avgN, infinite for clean; None if they do not say. whole, rest :
    the other words, all of the name's or only those that do not say."""

    path: Path
    folder: float | None
    name: float | None
    averaged: str
    whole: tuple[str, ...]
    rest: tuple[str, ...]

    @classmethod
    def of(cls, path: Path, base: Path) -> _File:
        *above, name = path.relative_to(base).with_suffix("").parts
        folder, in_folder, left = _said("/".join(above))
        own, in_name, right = _said(name)
        whole = (*left, *(_words_of(name) if folder is not None else right))
        return cls(path, folder, own, in_name or in_folder, whole, (*left, *right))

    def rank(self, told: bool) -> float | None:
        """How clean it is: by its folder if folders tell, otherwise by either."""
        if told and self.folder is not None:
            return self.folder
        known = [rank for rank in (self.folder, self.name) if rank is not None]
        return max(known, default=None)


def _words_of(text: str) -> list[str]:
    return re.split(r"[^a-z0-9]+", text.lower()) if text else []


def _said(text: str) -> tuple[float | None, str, list[str]]:
    """How clean a text says that a file is, its ``avgN`` and its other words."""
    rank: float | None = None
    averaged, rest = "", []
    for word in _words_of(text):
        if match := _AVERAGE_OF.fullmatch(word):
            rank, averaged = max(rank or 0.0, float(match[1])), word
        elif word in _CLEAN:
            rank = np.inf
        elif word in _NOISY:
            rank = rank or 0.0
        elif word not in _FILLER:
            rest.append(word)
    return rank, averaged, rest


def _unpaired(files: Sequence[_File], pairs: Sequence[Pair]) -> list[_File]:
    paired = {path for pair in pairs for path in (pair.noisy, pair.clean)}
    return [file for file in files if file.path not in paired]


def _matched(
    files: Sequence[_File], key: Callable[[_File], tuple[str, ...]], told: bool
) -> list[Pair]:
    """The pairs among files with the same key: one clean file and noisier ones."""
    scenes: dict[tuple[str, ...], list[_File]] = {}
    for file in files:
        scenes.setdefault(key(file), []).append(file)
    alike = Counter(of[0].rest for of in scenes.values())
    pairs = []
    for scene, members in scenes.items():
        ranks = [file.rank(told) or 0.0 for file in members]
        best = max(ranks)
        noisy = [f for f, rank in zip(members, ranks, strict=True) if rank < best]
        if best > 1 and len(noisy) == len(members) - 1:
            clean = members[ranks.index(best)].path
            short = members[0].rest if alike[members[0].rest] == 1 else scene
            noisy.sort(key=lambda f: (f.rank(told) or 0.0, f.averaged, f.path))
            pairs += [Pair(short, f.path, clean, f.averaged) for f in noisy]
    return pairs


def read_images(path: Path) -> Iterator[np.ndarray]:
    """Yield the images of a file as float32 ``(C, H, W)`` in units of full range."""
    from hush.io import read

    batch = to_batch(read(path, "image"))
    for index in range(len(batch)):
        yield batch.floats(index)


def first_image(files: Sequence[Path]) -> np.ndarray | None:
    """The first image of the first file that can be read; None without any."""
    for path in files:
        try:
            return next(read_images(path))
        except HushError:  # `sound` says which
            continue
    return None


def sound(files: Sequence[Path], note: Note = ignore) -> list[Path]:
    """The files that can be read; `note` gets why others are left out."""
    faults = {path: _seen(path, path.stat().st_mtime_ns)[1] for path in files}
    for path, fault in faults.items():
        if fault:
            note(f"{path.parent.name}/{path.name} is left out: {fault}")
    return [path for path in files if not faults[path]]


def sound_pairs(pairs: Sequence[Pair], note: Note = ignore) -> list[Pair]:
    """The pairs with images of the same shapes; `note` gets why others are left out."""
    found = []
    for pair in pairs:
        files = (pair.noisy, pair.clean)
        (noisy, fault), (clean, other) = (_seen(p, p.stat().st_mtime_ns) for p in files)
        fault = fault or other
        if not fault and noisy != clean:
            fault = f"{pair.noisy} holds {_words(noisy)}, but {pair.clean} {_words(clean)}"
        if fault:
            note(f"the pair {pair.name} is left out: {fault}")
        else:
            found.append(pair)
    return found


@lru_cache(maxsize=4096)
def _seen(path: Path, changed: int) -> tuple[list[tuple[int, ...]], str]:
    """The shapes of a file's images, and why it cannot be read. changed : when it was written."""
    try:
        return [x.shape for x in read_images(path)], ""
    except HushError as error:
        return [], str(error)


def _words(shapes: Sequence[tuple[int, ...]]) -> str:
    """``2 images of 3 × 40 × 48``."""
    sizes = " and ".join(" × ".join(map(str, s)) for s in dict.fromkeys(shapes))
    return f"{len(shapes)} image{'s'[: len(shapes) != 1]} of {sizes}"


def keep_apart(train: Sequence[Path], test: Sequence[Path]) -> None:
    """`HushError` if a file would be both trained on and tested on."""
    if both := {p.resolve() for p in train} & {p.resolve() for p in test}:
        raise HushError(
            f"{min(both)} would be both trained on and tested on; give --train and --data folders "
            "without common files"
        )


def marked(name: str, paths: Sequence[Path]) -> str:
    """The name with a checksum of the files, to distinguish folders with the same name."""
    files = [f for p in paths for f in (image_files(p) if p.is_dir() else [p])]
    text = ";".join(f"{f.parent.name}/{f.name}:{f.stat().st_size}" for f in files)
    return f"{name}#{crc32(text.encode()):08x}"


def _base(data: Path) -> Path:
    if not data.is_dir():
        raise HushError(f"{data} is not a folder; give --data the folder with the study's data")
    return data / "images" if (data / "images").is_dir() else data


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _picked(folders: list[Path], only: str | None) -> list[Path]:
    return [p for p in folders if only is None or fnmatch(p.name, only)]
