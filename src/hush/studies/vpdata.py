"""Photographs' line segments and vanishing points, found by their layout.

An ``.npz`` file holds photographs one after the other: photograph i has the segments
``segments[seg_offsets[i]:seg_offsets[i+1]]`` ``(N, 4)`` in pixels and the vanishing points
``vps_xy`` ``(M, 2)`` in pixels (NYU-VP) or ``vp_dirs`` ``(M, 3)`` (YUD+) at ``vp_offsets``. The
calibration ``K`` is ``(3, 3)``, or one for each; ``train``, ``val`` and ``test`` are numbers of
photographs. Some segments may be labelled: ``labelled_segments`` with the photograph
``labelled_scene`` and the vanishing point ``labelled_vp`` in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path

import numpy as np

from hush.errors import HushError
from hush.record import Record
from hush.studies import npz
from hush.studies.core import Note, ignore, left_out

#: largest residual of a segment that belongs to a vanishing point, 2.6°: CONSAC's
THRESHOLD = 0.001
TRIED = 40  #: photographs by which the axes of directions are found
_KEYS = {"segments", "seg_offsets", "vp_offsets", "K"}


@dataclass(frozen=True)
class Photo:
    """Segments float32 ``(N, 4)`` of a photograph and unit directions ``(M, 3)`` of its vanishing
    points, K⁻¹v up to a sign. labelled : of some vanishing points, segments that belong to them."""

    name: str
    segments: np.ndarray
    directions: np.ndarray
    K: np.ndarray
    size: tuple[int, int] | None
    labelled: Mapping[int, np.ndarray]

    @property
    def record(self) -> Record:
        """The segments as methods get them."""
        context = {"K": self.K} | ({"size": self.size} if self.size else {})
        return Record(self.segments, "NC", kind="segments", context=context)

    def inliers(self) -> np.ndarray:
        """The segments that belong to a true vanishing point, bool ``(N,)``."""
        near: np.ndarray = residuals(self.directions, self.segments, self.K).min(
            axis=0, initial=np.inf
        )
        return near < THRESHOLD


@dataclass(frozen=True)
class Album:
    """A file's photographs, by number: to train on and to test on.

    Without splits in the file all are tested, and none are trained on.
    """

    path: Path
    train: tuple[int, ...]
    test: tuple[int, ...]

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def all(self) -> tuple[int, ...]:
        return tuple(sorted({*self.train, *self.test}))

    def read(self, numbers: Sequence[int]) -> Iterator[Photo]:
        """These photographs; those without segments or vanishing points are left out."""
        for i in numbers:
            photo = _photo(self.path, i)
            if len(photo.segments) and len(photo.directions):
                yield photo


def find_albums(data: Path, only: str | None = None, note: Note = ignore) -> list[Album]:
    """Files of photographs: DIR itself if it is one, or in ``DIR/points`` or DIR.

    Files that cannot be read are left out; `note` gets the reasons, or a `HushError` has them if
    nothing is left.
    """
    if data.is_file():
        paths = [data]
    elif data.is_dir():
        base = data / "points" if (data / "points").is_dir() else data
        paths = sorted(base.glob("*.npz"))
    else:
        raise HushError(f"{data} is neither a folder nor a file; give --data the study's data")
    found, reasons = [], []
    for path in paths:
        if only is None or fnmatch(path.stem, only):
            try:
                if _is_album(path):
                    found.append(_album(path))
            except HushError as error:
                reasons.append(f"{path.name} is left out: {error}")
    left_out(reasons, found, note)
    return found


def _album(path: Path) -> Album:
    arrays = _arrays(path)
    splits = {s: tuple(map(int, arrays[s])) for s in ("train", "val", "test") if s in arrays}
    train = splits.get("train", ()) + splits.get("val", ())
    rest = sorted(set(range(len(arrays["seg_offsets"]) - 1)) - set(train))
    return Album(path, train, splits.get("test", tuple(rest)))


def residuals(directions: np.ndarray, segments: np.ndarray, K: np.ndarray) -> np.ndarray:
    """1 − |cos| between segments ``(N, 4)`` and their middles' lines to vanishing points.

    directions : ``(M, 3)``, K⁻¹v. Returns ``(M, N)``; 1 for segments of length 0.
    """
    points = directions @ K.T  # homogeneous pixels
    ends = segments[:, :4].astype(np.float64).reshape(-1, 2, 2)
    middle, along = ends.mean(axis=1), ends[:, 1] - ends[:, 0]
    to = points[:, None, :2] - points[:, None, 2:] * middle
    lengths = np.hypot(to[..., 0], to[..., 1]) * np.hypot(along[:, 0], along[:, 1])
    inner = np.abs(np.sum(to * along, axis=-1))
    cosine = np.divide(inner, lengths, out=np.zeros_like(inner), where=lengths > 0)
    residual: np.ndarray = np.clip(1 - cosine, 0, 1)
    return residual


def _is_album(path: Path) -> bool:
    names = npz.shapes(path).keys()
    return names >= _KEYS and bool(names & {"vps_xy", "vp_dirs"})


@lru_cache(maxsize=4)
def _arrays(path: Path) -> Mapping[str, np.ndarray]:
    return npz.load(path)


def _photo(path: Path, i: int) -> Photo:
    arrays = _arrays(path)
    K = _calibration(arrays, i)
    vps = _vanishing_points(arrays, i)
    kind = _axes(path) if "vp_dirs" in arrays else "pixels"
    labelled = {}
    if "labelled_segments" in arrays:
        of = arrays["labelled_scene"] == i
        for number in np.unique(arrays["labelled_vp"][of]):
            labelled[int(number)] = arrays["labelled_segments"][
                of & (arrays["labelled_vp"] == number)
            ]
    size = None
    if "image_wh" in arrays:
        wh = arrays["image_wh"]
        size = tuple(int(x) for x in (wh if wh.ndim == 1 else wh[i]))
    segments = arrays["segments"][slice(*arrays["seg_offsets"][i : i + 2])]
    return Photo(
        f"{path.stem}/{i}",
        np.asarray(segments, np.float32),
        _READ[kind](vps, K),
        K,
        size,  # type: ignore[arg-type]
        labelled,
    )


def _calibration(arrays: Mapping[str, np.ndarray], i: int) -> np.ndarray:
    K = np.asarray(arrays["K"], np.float64)
    return K if K.ndim == 2 else K[i]


def _vanishing_points(arrays: Mapping[str, np.ndarray], i: int) -> np.ndarray:
    part = slice(*arrays["vp_offsets"][i : i + 2])
    stored = arrays["vp_dirs" if "vp_dirs" in arrays else "vps_xy"][part].astype(np.float64)
    if stored.shape[1] == 2:
        stored = np.concatenate([stored, np.ones((len(stored), 1))], axis=1)
    return stored


def _unit(x: np.ndarray) -> np.ndarray:
    unit: np.ndarray = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-300)
    return unit


#: how three stored numbers become directions in the camera's frame, with y downwards
_READ = {
    "directions": lambda x, K: _unit(x),
    "directions, y upwards": lambda x, K: _unit(x * (1, -1, 1)),
    "pixels": lambda x, K: _unit(x @ np.linalg.inv(K).T),
}


@lru_cache(maxsize=4)
def _axes(path: Path) -> str:
    """How a file's ``vp_dirs`` are stored: the reading that the most segments agree with.

    York Urban's axes have y upwards, and others do not say.
    """
    arrays = _arrays(path)
    count = len(arrays["seg_offsets"]) - 1
    agreeing = dict.fromkeys(_READ, 0)
    for i in np.unique(np.linspace(0, count - 1, min(count, TRIED)).round().astype(int)):
        K, stored = _calibration(arrays, i), _vanishing_points(arrays, i)
        segments = arrays["segments"][slice(*arrays["seg_offsets"][i : i + 2])]
        for kind, read in _READ.items():
            near = residuals(read(stored, K), segments, K).min(axis=0, initial=np.inf)
            agreeing[kind] += int(np.sum(near < THRESHOLD))
    return max(agreeing, key=lambda kind: agreeing[kind])
