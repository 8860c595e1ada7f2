"""Pairs of images with matches and known poses, found by their layout.

- ``NAME.npz``: a scene. Image i has keypoints ``kpts[kp_offsets[i]:kp_offsets[i+1]]`` and a pose
  ``K, R, T`` (x_cam = R x_world + T). Pair p of ``pairs`` has matches
  ``pair_offsets[p]:pair_offsets[p+1]`` of ``nn`` (the nearest neighbour in image j of each keypoint
  of image i), ``ratio`` and, packed, ``mutual``; ``image_wh`` is ``(N, 2)``, or ``(2,)`` for all.
- A folder with ``matches.h5``: a scene of the tutorial "RANSAC in 2020" (CVPR 2020), with a
  dataset "A-B" for each pair of images A and B: ``matches.h5`` ``(N, 4)`` in pixels,
  ``match_conf.h5`` ``(N,)``, which are distance ratios, and ``K1_K2.h5`` ``(1, 2, 3, 3)``; with one
  for each image, ``R.h5`` and ``T.h5``. Its matches are mutual.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hush.errors import HushError, missing_package
from hush.record import Record
from hush.studies import npz
from hush.studies.core import Note, ignore, left_out

if TYPE_CHECKING:
    import h5py

MINIMUM = 50  #: inliers among the mutual matches of a pair that is used
THRESHOLD = 3.0  #: pixels: a true match is as near to its epipolar lines as that
_KEYS = {"kpts", "kp_offsets", "pairs", "pair_offsets", "nn", "K", "R", "T"}
_SCORES = ("match_conf.h5", "matches_scores.h5")  #: names of the ratios' file


@dataclass(frozen=True)
class Pair:
    """Matches of two images and their relative pose, x_cam2 = R x_cam1 + T.

    matches : float32 ``(N, 4)``, x1 y1 x2 y2 in pixels. ratio, mutual : ``(N,)``, None if unknown.
    size1, size2 : (width, height), None if unknown.
    """

    name: str
    matches: np.ndarray
    ratio: np.ndarray | None
    mutual: np.ndarray | None
    K1: np.ndarray
    K2: np.ndarray
    R: np.ndarray
    T: np.ndarray
    size1: tuple[int, int] | None = None
    size2: tuple[int, int] | None = None

    @property
    def record(self) -> Record:
        """The matches as methods get them, with the calibration but not the pose."""
        context = {
            "ratio": self.ratio,
            "mutual": self.mutual,
            "size1": self.size1,
            "size2": self.size2,
            "K1": self.K1,
            "K2": self.K2,
        }
        known = {key: value for key, value in context.items() if value is not None}
        return Record(self.matches, "NC", kind="correspondences", context=known)

    def inliers(self) -> np.ndarray:
        """The matches that agree with the pose, bool ``(N,)``."""
        return sampson(self.matches, fundamental(self.K1, self.K2, self.R, self.T)) < THRESHOLD


@dataclass(frozen=True)
class Scene:
    """A scene and the keys of its pairs that are used."""

    path: Path
    keys: tuple[Any, ...]

    @property
    def name(self) -> str:
        return self.path.stem

    def read(self, key: Any) -> Pair:
        """One of its pairs."""
        read = _read_npz if self.path.suffix == ".npz" else _read_hdf5
        return read(self.path, key)

    def thinned(self, most: int) -> Scene:
        """The scene with at most so many pairs, evenly chosen."""
        if len(self.keys) <= most:
            return self
        chosen = np.linspace(0, len(self.keys) - 1, most).round().astype(int)
        return Scene(self.path, tuple(self.keys[i] for i in chosen))


def find_scenes(data: Path, only: str | None = None, note: Note = ignore) -> list[Scene]:
    """Scenes in ``DIR/points/pairs``, ``DIR/pairs`` or DIR, with the pairs that are used.

    These are pairs with at least `MINIMUM` true matches among the mutual ones; of the tutorial's
    scenes, all. Scenes without any and files that cannot be read are left out; `note` gets the
    reasons, or a `HushError` has them if nothing is left.
    """
    if not data.is_dir():
        raise HushError(f"{data} is not a folder; give --data the folder with the study's data")
    places = (data / "points" / "pairs", data / "pairs", data)
    base = next(place for place in places if place.is_dir())
    every = (*sorted(base.glob("*.npz")), *(p.parent for p in sorted(base.rglob("matches.h5"))))
    found, reasons = [], []
    for path in every:
        if only is not None and not fnmatch(path.stem, only):
            continue
        try:
            keys = _keys(path)
        except HushError as error:
            reasons.append(f"{path.name} is left out: {error}")
            continue
        if keys:
            found.append(Scene(path, keys))
        elif keys is not None:
            few = f"none of its pairs has {MINIMUM} mutual matches that agree with the pose"
            reasons.append(f"{path.name} is left out: {few}")
    left_out(reasons, found, note)
    return found


def _keys(path: Path) -> tuple[Any, ...] | None:
    """The pairs of a scene that are used; None if the file is no scene."""
    if path.suffix != ".npz":
        return _keys_hdf5(path)
    return _keys_npz(path) if npz.shapes(path).keys() >= _KEYS else None


# -- geometry --------------------------------------------------------------------------------


def fundamental(K1: np.ndarray, K2: np.ndarray, R: np.ndarray, T: np.ndarray) -> np.ndarray:
    """The fundamental matrix of a relative pose: x2ᵀ F x1 = 0."""
    x, y, z = T
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    F: np.ndarray = np.linalg.inv(K2).T @ cross @ R @ np.linalg.inv(K1)
    return F


def sampson(matches: np.ndarray, F: np.ndarray) -> np.ndarray:
    """Sampson's distance ``(N,)`` of matches ``(N, 4)``, in pixels: symmetric in the two images."""
    x1, x2 = (
        np.concatenate([x, np.ones((len(x), 1))], axis=1)
        for x in np.split(matches[:, :4].astype(np.float64), 2, axis=1)
    )
    lines2, lines1 = x1 @ F.T, x2 @ F
    algebraic = np.abs(np.sum(x2 * lines2, axis=1))
    gradient = np.sqrt(np.sum(lines1[:, :2] ** 2 + lines2[:, :2] ** 2, axis=1))
    distance: np.ndarray = algebraic / np.maximum(gradient, 1e-12)
    return distance


# -- .npz ------------------------------------------------------------------------------------


@lru_cache(maxsize=2)  # pairs are read in the order of their scenes
def _arrays(path: Path) -> Mapping[str, np.ndarray]:
    contents = npz.load(path)
    if "mutual" in contents:
        contents["mutual"] = np.unpackbits(contents["mutual"])[: len(contents["nn"])].astype(bool)
    return contents


def _keys_npz(path: Path) -> tuple[int, ...]:
    arrays = _arrays(path)
    count = len(arrays["pairs"])
    if "gt_inlier_mutual_3px" in arrays:
        enough = arrays["gt_inlier_mutual_3px"] >= MINIMUM
        return tuple(int(p) for p in np.flatnonzero(enough))
    pairs = (_read_npz(path, p) for p in range(count))
    counts = [np.sum(p.inliers() & (True if p.mutual is None else p.mutual)) for p in pairs]
    return tuple(p for p in range(count) if counts[p] >= MINIMUM)


def _read_npz(path: Path, key: int) -> Pair:
    arrays = _arrays(path)
    i, j = (int(image) for image in arrays["pairs"][key])
    part = slice(*arrays["pair_offsets"][key : key + 2])
    first, second = (
        arrays["kpts"][slice(*arrays["kp_offsets"][image : image + 2])] for image in (i, j)
    )
    K, R, T = arrays["K"], arrays["R"], arrays["T"]
    rotation = R[j] @ R[i].T
    sizes: list[tuple[int, int] | None] = [None, None]
    if "image_wh" in arrays:
        wh = np.broadcast_to(arrays["image_wh"], (len(K), 2))
        sizes = [(int(w), int(h)) for w, h in (wh[i], wh[j])]
    return Pair(
        f"{path.stem}/{i}-{j}",
        np.concatenate([first, second[arrays["nn"][part]]], axis=1).astype(np.float32),
        arrays["ratio"][part].astype(np.float32) if "ratio" in arrays else None,
        arrays["mutual"][part] if "mutual" in arrays else None,
        K[i],
        K[j],
        rotation,
        T[j] - rotation @ T[i],
        *sizes,
    )


# -- HDF5 ------------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def _opened(path: Path) -> h5py.File:
    try:
        import h5py
    except ImportError:
        raise missing_package("h5py", "medical", what=f"{path} is an HDF5 file, which") from None
    try:
        return h5py.File(path, "r")
    except OSError as e:
        raise HushError(f"{path} cannot be read as an HDF5 file: {e}") from e


def _keys_hdf5(folder: Path) -> tuple[str, ...]:
    missing = [n for n in ("K1_K2.h5", "R.h5", "T.h5") if not (folder / n).is_file()]
    if missing:
        raise HushError(f"{folder} has matches.h5, but no {' and no '.join(missing)}")
    return tuple(_opened(folder / "matches.h5"))


def _read_hdf5(folder: Path, key: str) -> Pair:
    def stored(name: str, entry: str) -> np.ndarray:
        try:
            return np.asarray(_opened(folder / name)[entry])
        except KeyError:
            raise HushError(f"{folder / name} has no '{entry}', which matches.h5 has") from None

    first, second = _images(key, _opened(folder / "R.h5"))
    matches = stored("matches.h5", key)[:, :4].astype(np.float32)
    scores = next((name for name in _SCORES if (folder / name).is_file()), None)
    ratio = None if scores is None else stored(scores, key).reshape(-1).astype(np.float32)
    K1, K2 = stored("K1_K2.h5", key).reshape(2, 3, 3)
    R1, R2 = (stored("R.h5", image).reshape(3, 3) for image in (first, second))
    T1, T2 = (stored("T.h5", image).reshape(3) for image in (first, second))
    rotation = R2 @ R1.T
    return Pair(f"{folder.name}/{key}", matches, ratio, None, K1, K2, rotation, T2 - rotation @ T1)


def _images(key: str, poses: Mapping[str, Any]) -> tuple[str, str]:
    """The two images of "A-B"; their names may contain a hyphen too."""
    for at in (i for i, letter in enumerate(key) if letter == "-"):
        if key[:at] in poses and key[at + 1 :] in poses:
            return key[:at], key[at + 1 :]
    raise HushError(f"'{key}' in matches.h5 does not name two images that R.h5 has")


def pairs_of(scenes: Sequence[Scene]) -> Iterator[Pair]:
    """All pairs of scenes, scene by scene."""
    for scene in scenes:
        for key in scene.keys:
            yield scene.read(key)
