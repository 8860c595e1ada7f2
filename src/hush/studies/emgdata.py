"""Recordings of surface EMG and of ECG, found by their layout and brought to one rate.

EMG: a folder of ``SUBJECT.npz`` with ``fs`` and arrays ``NAME`` ``(T, C)``, for each of which there
may be a ``NAME_label`` ``(T,)``, 0 at rest; or a folder of NINAPro's ``S1_E1_A1.mat`` (subject 1,
exercise 1). ECG: ``.npz`` with ``ids``, ``adu`` ``(N, T)`` and ``fs``, or WFDB records.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from hush.errors import HushError, missing_package
from hush.kinds.signal.beats import calibrates
from hush.studies import npz
from hush.studies.core import Note, ignore

RATE = 1000.0  #: Hz
SEGMENT = 10  #: seconds
EMG_LOWEST = 20.0  #: Hz; half of `RATE` is the highest frequency
ECG_BAND = (10.0, 200.0)  #: Hz
ORDER = 4  #: of Butterworth filters, which run forwards and backwards
ECG_MOST = 600  #: seconds of each ECG, its first ones
#: seconds: a segment with so long a run of equal extreme values is clipped, of equal values flat
CLIPPED, FLAT = 0.01, 0.5
#: seconds that are searched for a calibration's square wave, and for a flat line
CALIBRATION = 4
FLATTER = 0.01  #: span of a flat part of an ECG, relative to the whole, after filtering

_NINAPRO = re.compile(r"(?P<subject>S\d+)_(?P<exercise>E\d+)_A\d+", re.IGNORECASE)
_NINAPRO_RATE = 2000.0  #: Hz, of databases 2 and 3, whose files do not say
_OTHERS = re.compile(r"ecg|ekg|angle|deg|acc|gyro|force|torque|trigger|time", re.IGNORECASE)


@dataclass(frozen=True)
class Recording:
    """A recording of several channels. key : of the array in the file; length : samples at `RATE`;
    columns : those that are EMG."""

    path: Path
    subject: str
    name: str
    key: str
    rate: float
    length: int
    columns: tuple[int, ...]


@dataclass(frozen=True)
class Heart:
    """An ECG at `RATE`, band-passed. starts : where `SEGMENT` seconds of it are fit for use."""

    subject: str
    ecg: np.ndarray
    starts: np.ndarray


# -- EMG -------------------------------------------------------------------------------------


def find_emg(
    data: Path, only: str | None = None, note: Note = ignore
) -> list[tuple[str, list[Recording]]]:
    """Sets of EMG recordings by name: folders in ``DIR/signals`` or DIR, or one of them itself.

    Files that cannot be read are left out; `note` gets the reasons.
    """
    base = _base(data)
    found = [(p.name, _recordings([p, *_folders(p)], note)) for p in _folders(base)]
    # NINAPro's archives unpack into a folder for each subject.
    apart = [name for name, of in found if _is_ninapro(of) and len({r.subject for r in of}) == 1]
    loose = [r for name, of in found if name in apart for r in of]
    sets = [(name, of) for name, of in found if of and name not in apart]
    loose += [r for r in _recordings([base], note) if not sets or _is_ninapro([r])]
    if loose:
        sets.append((base.name, _in_order(loose)))
    return [(name, of) for name, of in sets if only is None or fnmatch(name, only)]


def _recordings(folders: Sequence[Path], note: Note) -> list[Recording]:
    found: list[Recording] = []
    for path in (p for folder in folders for p in sorted(folder.iterdir()) if p.is_file()):
        try:
            if path.suffix == ".npz":
                found += _in_npz(path)
            elif path.suffix == ".mat" and (match := _NINAPRO.fullmatch(path.stem)):
                found += _in_mat(path, match)
        except HushError as error:
            note(f"{path.name} is left out: {error}")
    return _in_order(found)


def _in_order(recordings: Sequence[Recording]) -> list[Recording]:
    return sorted(recordings, key=lambda r: (natural(r.subject), natural(r.name)))


def _is_ninapro(recordings: Sequence[Recording]) -> bool:
    return bool(recordings) and all(r.path.suffix == ".mat" for r in recordings)


def _in_npz(path: Path) -> Iterator[Recording]:
    """The EMG recordings in an .npz file."""
    shapes = npz.shapes(path)
    if "fs" not in shapes:
        return
    with np.load(path, allow_pickle=False) as arrays:
        rate = npz.number(path, arrays, "fs")
        named = [str(c) for c in arrays["columns"]] if "columns" in shapes else []
    for key, shape in shapes.items():
        if len(shape) != 2 or key in ("adu", "columns"):
            continue
        columns = list(range(shape[1]))
        if len(named) == shape[1]:
            columns = [c for c in columns if not _OTHERS.search(named[c])]
        if columns:
            length = int(shape[0] * RATE / rate)
            yield Recording(path, path.stem, key, key, rate, length, tuple(columns))


def _in_mat(path: Path, match: re.Match[str]) -> Iterator[Recording]:
    from scipy.io import whosmat

    try:
        shapes = {name: shape for name, shape, _ in whosmat(path)}
    except (ValueError, NotImplementedError, OSError) as e:
        raise HushError(f"{path} cannot be read as a MATLAB file: {e}") from e
    if "emg" in shapes:
        count, channels = shapes["emg"]
        length = int(count * RATE / _NINAPRO_RATE)
        subject, exercise = match["subject"], match["exercise"]
        yield Recording(
            path, subject, exercise, "emg", _NINAPRO_RATE, length, tuple(range(channels))
        )


@lru_cache(maxsize=4)  # segments are read in the order of their recordings
def read_emg(recording: Recording) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """A recording at `RATE`: band-passed ``(T, C)``, as stored ``(T, C)`` and where it works.

    The last is bool ``(T,)``, None without labels.
    """
    arrays = _arrays(recording)
    stored = np.asarray(arrays[recording.key])[:, recording.columns]
    labels = next(
        (arrays[k] for k in (f"{recording.key}_label", "restimulus", "stimulus") if k in arrays),
        None,
    )
    filled = np.stack([_without_gaps(c) for c in stored.T.astype(np.float64)], axis=1)
    x = band_passed(at_rate(filled, recording.rate), EMG_LOWEST, RATE / 2)
    # The nearest stored value of every sample shows where the recorder clipped.
    nearest = np.minimum(np.arange(len(x)) * recording.rate / RATE, len(stored) - 1).astype(int)
    active = None if labels is None else np.ravel(labels)[nearest] > 0
    return x.astype(np.float32), stored[nearest], active


def _arrays(recording: Recording) -> Mapping[str, np.ndarray]:
    if recording.path.suffix == ".npz":
        with np.load(recording.path, allow_pickle=False) as arrays:
            keys = (recording.key, f"{recording.key}_label")
            return {k: arrays[k] for k in keys if k in arrays}
    from scipy.io import loadmat

    names = ["emg", "restimulus", "stimulus"]
    contents: Mapping[str, np.ndarray] = loadmat(recording.path, variable_names=names)
    return contents


def usable(stored: np.ndarray) -> bool:
    """Whether a segment ``(T,)`` at `RATE`, as stored, is neither flat, clipped nor missing."""
    if not np.isfinite(stored).all():
        return False
    same = np.diff(stored) == 0
    extreme = (stored[1:] == stored.max()) | (stored[1:] == stored.min())
    return _longest(same) < FLAT * RATE and _longest(same & extreme) < CLIPPED * RATE


def _longest(run: np.ndarray) -> int:
    """The most consecutive True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], run, [False]])))
    return int(np.max(edges[1::2] - edges[::2], initial=0))


# -- ECG -------------------------------------------------------------------------------------


def find_ecg(data: Path, note: Note = ignore) -> list[Heart]:
    """The ECG recordings in ``DIR/signals``, DIR, or folders in it, by subject.

    Those without a whole segment are left out, and files that cannot be read; `note` gets what
    `find_emg` does not say of these.
    """
    base = _base(data)
    found: dict[str, Heart] = {}
    for folder in (base, *_folders(base)):
        for heart in (*_npz_hearts(folder, note), *_wfdb_hearts(folder, note)):
            if len(heart.starts):
                found.setdefault(heart.subject, heart)
    return [found[subject] for subject in sorted(found, key=natural)]


def _npz_hearts(folder: Path, note: Note) -> Iterator[Heart]:
    for path in sorted(folder.glob("*.npz")):
        try:
            if not {"ids", "adu", "fs"} <= npz.shapes(path).keys():
                continue
            arrays = npz.load(path)
            rate = npz.number(path, arrays, "fs")
        except HushError:  # `find_emg` reads the same file, and says so
            continue
        ids, adu = arrays["ids"], arrays["adu"]
        if len(ids) != len(adu):
            note(f"{path.name} is left out: it has {len(adu)} ECGs, but {len(ids)} 'ids'")
            continue
        for subject, x in zip(ids, adu, strict=True):
            yield _heart(str(subject), x, rate)


def _wfdb_hearts(folder: Path, note: Note) -> Iterator[Heart]:
    headers = sorted(folder.glob("*.hea"))
    if not headers:
        return
    try:
        import wfdb
    except ImportError:
        raise missing_package("the wfdb package", "signals", what=str(folder)) from None
    for header in headers:
        name = str(header.with_suffix(""))
        try:
            about = wfdb.rdheader(name)
            last = min(about.sig_len, round(ECG_MOST * about.fs))
            record = wfdb.rdrecord(name, sampto=last, channels=[0])
        except (ValueError, OSError, IndexError) as e:
            note(f"{header.name} is left out: it cannot be read as a WFDB record: {e}")
            continue
        yield _heart(header.stem, record.p_signal[:, 0], float(record.fs))


def _heart(subject: str, stored: np.ndarray, rate: float) -> Heart:
    stored = np.asarray(stored[: round(ECG_MOST * rate)], np.float64)
    known, filled = np.isfinite(stored), _without_gaps(stored)
    x = band_passed(at_rate(filled, rate), *ECG_BAND)
    missing = ~known[np.minimum(np.arange(len(x)) * rate / RATE, len(known) - 1).astype(int)]
    return Heart(subject, x.astype(np.float32), _fit_for_use(x, missing))


def _fit_for_use(x: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Starts, a second apart, of segments without gaps, flat lines and calibrations."""
    second, part = round(RATE), round(CALIBRATION * RATE)
    bad = missing.copy()
    for start in range(0, len(x) - part + 1, second):
        piece = slice(start, start + part)
        if np.ptp(x[piece]) <= FLATTER * np.ptp(x) or calibrates(x[piece], RATE):
            bad[piece] = True
    size = round(SEGMENT * RATE)
    starts = [s for s in range(0, len(x) - size + 1, second) if not bad[s : s + size].any()]
    return np.asarray(starts, np.int64)


# -- common ----------------------------------------------------------------------------------


def _without_gaps(x: np.ndarray) -> np.ndarray:
    """`x` ``(T,)`` with lines in the place of missing values."""
    known = np.flatnonzero(np.isfinite(x))
    if len(known) == len(x):
        return x
    return np.interp(np.arange(len(x)), known, x[known]) if len(known) else np.zeros_like(x)


def at_rate(x: np.ndarray, rate: float) -> np.ndarray:
    """`x` ``(T, …)`` resampled from a rate to `RATE`."""
    from scipy.signal import resample_poly

    ratio = Fraction(RATE / rate).limit_denominator(5000)
    if ratio == 1:
        return x
    resampled: np.ndarray = resample_poly(x, ratio.numerator, ratio.denominator, padtype="line")
    return resampled


def band_passed(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """`x` ``(T, …)`` at `RATE` between two frequencies in Hz, without phase shift."""
    from scipy.signal import butter, sosfiltfilt

    passes = [(low, "highpass"), *([(high, "lowpass")] if high < RATE / 2 else [])]
    for edge, kind in passes:
        sections = butter(ORDER, edge, kind, fs=RATE, output="sos")
        x = sosfiltfilt(sections, x, axis=0, padlen=min(len(x) - 1, round(RATE)))
    return x


def natural(text: str) -> list[Any]:
    """A key by which S2 comes before S10."""
    return [(1, int(p), "") if p.isdigit() else (0, 0, p) for p in re.split(r"(\d+)", text) if p]


def _base(data: Path) -> Path:
    if not data.is_dir():
        raise HushError(f"{data} is not a folder; give --data the folder with the study's data")
    return data / "signals" if (data / "signals").is_dir() else data


def _folders(folder: Path) -> Sequence[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
